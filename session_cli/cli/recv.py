"""`recv`: what is new, once for each reader."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import CannotCreate, HookFailed, SessionError, UsageError
from . import completing
from .context import App
from .exit_codes import ExitCode
from .files import NOT_TO_BE_HAD
from .json_output import event_json, json_line
from .notify import Notifier, Shown
from .output import event_text
from .settings import DOWNLOAD, DOWNLOAD_NAME, INTERVAL, MARK_READ, NOTIFY_SHOW
from .text import counted
from .times import Since, moment
from .typer_app import Seconds, single_command

if TYPE_CHECKING:
    from ..core.client import Client
    from ..core.files import ReceivedFile
    from ..core.inbox import Batch, Reading, Trouble
    from ..core.model import Event
    from ..core.receiving import PollResult
    from .event_output import EventWriter
    from .hook import Hook

_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh", "fish", "env", "perl", "python", "python3", "awk", "sed"})
_MOST_S = 1e6
"""Eleven days; the system has no clock for very long waits."""


class FileNames(StrEnum):
    """How downloaded files are called."""

    NAME = "name"
    ID = "id"
    TIME = "time"


def recv(
    ctx: typer.Context,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on for ever, through network failures.")] = False,
    interval: Annotated[
        float | None,
        typer.Option(
            "--interval",
            help="Seconds between polls of --follow (default: 5).",
            metavar="SECONDS",
            click_type=Seconds(0.5, _MOST_S),
        ),
    ] = None,
    wait: Annotated[
        float,
        typer.Option(
            "--wait",
            help="Wait up to so many seconds for the first message.",
            metavar="SECONDS",
            click_type=Seconds(0, _MOST_S),
            show_default=False,
        ),
    ] = 0.0,
    most: Annotated[
        int | None, typer.Option("--max", help="End after so many; the others stay unread.", metavar="N", min=1)
    ] = None,
    peek: Annotated[bool, typer.Option("--peek", help="Show without marking as received.")] = False,
    mark_read: Annotated[bool, typer.Option("--mark-read", help="Mark what has been shown as read.")] = False,
    cursor: Annotated[
        str | None,
        typer.Option("--cursor", help="Read as a reader of this name, with a place of its own.", metavar="NAME"),
    ] = None,
    sender: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Only from this sender, or in this group or room; the others stay unread.",
            metavar="WHO",
            autocompletion=completing.recipients,
        ),
    ] = None,
    types: Annotated[
        list[str] | None,
        typer.Option("--type", help="Only events of this type: message, reaction …; may be repeated.", metavar="TYPE"),
    ] = None,
    since: Since = None,
    fail_empty: Annotated[bool, typer.Option("--fail-empty", help="Exit with 1 if nothing came.")] = False,
    download: Annotated[
        Path | None,
        typer.Option("--download", help="Save files into this folder, made if need be.", metavar="DIR", readable=False),
    ] = None,
    download_name: Annotated[
        FileNames | None,
        typer.Option(
            "--download-name", help="How saved files are called: name (the sender's), id or time first.", metavar="HOW"
        ),
    ] = None,
    no_attachments: Annotated[
        bool, typer.Option("--no-attachments", help="Save no files, whatever the configuration says.")
    ] = False,
    command: Annotated[
        str | None, typer.Option("--exec", help="Run CMD for each event, its JSON on standard input.", metavar="CMD")
    ] = None,
    shell: Annotated[bool, typer.Option("--exec-shell", help="Hand CMD to sh -c.")] = False,
    exec_timeout: Annotated[
        float,
        typer.Option(
            "--exec-timeout",
            help="CMD has failed after so many seconds (default: 60).",
            metavar="SECONDS",
            click_type=Seconds(0.1, _MOST_S),
            show_default=False,
        ),
    ] = 60.0,
    exec_retry: Annotated[
        int | None,
        typer.Option("--exec-retry", help="Try CMD N times more, then pass over the event.", metavar="N", min=0),
    ] = None,
    notify: Annotated[bool, typer.Option("--notify", help="Show desktop notifications.")] = False,
    notify_show: Annotated[
        Shown | None, typer.Option("--notify-show", help="How much: all, name or nothing.", metavar="WHAT")
    ] = None,
    also_print: Annotated[
        bool, typer.Option("--print", help="With --exec or --notify: write to stdout as well.")
    ] = False,
) -> int:
    """Receive what is new, oldest first.

    Every event is shown once: it counts as received when it has been written out, or when the command or notification
    for it has succeeded. If that fails half way, the next recv begins with the event that was not shown. Each --cursor
    is a reader of its own and sees everything; without one, all recv share a reader, and the events.

    With --mark-read what has been shown counts as read, too: the clocks of messages that disappear after they are read
    start, and, with the setting read_receipts, whoever wrote is told. --peek marks nothing.

    What was written or done in a group or room has a line below its sender that begins with @ and names it.

    What --from, --type, --since and --max leave out stays unread, for another recv.

    With --exec, CMD is cut into words and run without a shell; the fields are in its environment too (SESSION_BODY,
    SESSION_SENDER_ID …, all listed in session-json(5)). Where it fails, recv ends with 1, and the event stays unread;
    with --exec-retry it is passed over at last. --exec and --notify take the place of writing to stdout. What comes in
    muted conversations counts as received without a notification.
    """
    app: App = ctx.obj
    _check_combinations(follow=follow, wait=wait, fail_empty=fail_empty, command=command, notify=notify, peek=peek)
    if (shell or exec_retry is not None) and command is None:
        raise UsageError("--exec-shell and --exec-retry go with --exec.")
    if also_print and command is None and not notify:
        raise UsageError("--print goes with --exec or --notify.")
    if mark_read and peek:
        raise UsageError("--peek only looks; it excludes --mark-read.")
    since_ms = moment(app, since)
    folder = None if no_attachments else app.setting(DOWNLOAD, given=download)
    if folder is not None:
        _ensure_folder(folder)
    with app.open_client() as client:
        delivery = _Delivery(app, client, folder=folder, retries=exec_retry)
        delivery.marks = not peek and app.setting(MARK_READ, given=mark_read or None)
        delivery.file_names = FileNames(app.setting(DOWNLOAD_NAME, given=download_name))
        if command is not None:
            delivery.hook = _hook(app, client, command, shell=shell, timeout_s=exec_timeout)
            if not shell and _looks_like_shell(command):
                app.note("session: --exec replaces and redirects nothing in CMD; --exec-shell hands it to a shell.")
        if notify:
            shown = Shown(app.setting(NOTIFY_SHOW, given=notify_show))
            delivery.notifier = Notifier(shown, app.environ, client.conversations.is_muted)
        if also_print or (command is None and not notify):
            from .event_output import EventWriter

            delivery.writer = EventWriter(delivery.render)
        reading = _reading(
            app, client, delivery, cursor=cursor, sender=sender, types=types, since_ms=since_ms, most=most, wait=wait,
            follow=follow, interval=interval, peek=peek,
        )  # fmt: skip
        with closing(client.batches(reading)) as batches:
            for batch in batches:
                delivery.handle(batch)
        if delivery.marks:
            client.reads.tell()
    if not delivery.handled and sys.stdout.isatty():
        app.note("Nothing new.")
    if delivery.incomplete or (fail_empty and not delivery.handled):
        return ExitCode.NEGATIVE
    return ExitCode.OK


def _ensure_folder(folder: Path) -> None:
    """Make the folder that files are saved in, if only itself is missing. Raises CannotCreate."""
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise CannotCreate(f"Can't save files in {folder}: {error.strerror}.") from None


def _check_combinations(
    *, follow: bool, wait: float, fail_empty: bool, command: str | None, notify: bool, peek: bool
) -> None:
    if follow and (wait or fail_empty):
        raise UsageError("--follow goes on for ever; it excludes --wait and --fail-empty.")
    if peek and (command is not None or notify):
        raise UsageError("--peek only looks; it excludes --exec and --notify.")


def _looks_like_shell(command: str) -> bool:
    """Whether somebody expects a shell, and none is named."""
    program = Path(command.split(maxsplit=1)[0]).name if command.strip() else ""
    return program not in _SHELLS and any(char in command for char in "$|<>&;`")


def _hook(app: App, client: Client, command: str, *, shell: bool, timeout_s: float) -> Hook:
    from .hook import Hook

    # What the command says goes out by the same profile and the same way as what we say.
    ours = {"SESSION_PROFILE": client.profile_name}
    if app.network_name is not None:
        ours["SESSION_NETWORK"] = app.network_name
    if app.proxy_url is not None:
        ours["SESSION_PROXY"] = app.proxy_url
    return Hook(command, shell=shell, timeout_s=timeout_s, environ={**app.environ, **ours})


def _reading(
    app: App,
    client: Client,
    delivery: _Delivery,
    *,
    cursor: str | None,
    sender: str | None,
    types: list[str] | None,
    since_ms: int | None,
    most: int | None,
    wait: float,
    follow: bool,
    interval: float | None,
    peek: bool,
) -> Reading:
    from ..core.client import DEFAULT_READER
    from ..core.inbox import Reading, select

    troubles = _Troubles(app)

    asleep: set[str] = set()

    def polled(result: PollResult) -> None:
        troubles.over()
        for server in sorted(set(result.resting) - asleep):
            asleep.add(server)
            app.note(f"session: {server} failed, and is not asked for a while; see session community list.")
        if result.skipped:
            verb = "was" if result.skipped == 1 else "were"
            app.note(f"session: {counted(result.skipped, 'message')} could not be read and {verb} skipped.")

    return Reading(
        DEFAULT_READER if cursor is None else cursor,
        select(
            sender=client.resolve(app.text_argument(sender)) if sender is not None else None,
            types=types or (),
            since_ms=since_ms,
        ),
        # A command may take long, and others shall read on meanwhile.
        size=1 if delivery.hook else 200,
        most=most,
        wait=wait,
        follow=follow,
        interval=app.setting(INTERVAL, given=interval),
        peek=peek,
        polled=polled,
        trouble=troubles.note,
        recall=delivery.writer.recall if delivery.writer else None,
    )


@dataclass(slots=True)
class _Troubles:
    """Says once that the network is gone, and that it is back."""

    app: App
    known: bool = False

    def note(self, trouble: Trouble) -> None:
        if not self.known:
            self.known = True
            self.app.note(f"session: {trouble.message} Trying again until it works.")

    def over(self) -> None:
        if self.known:
            self.known = False
            self.app.note("session: It works again.")


@dataclass(slots=True)
class _Delivery:
    """Brings events to where they are wanted."""

    app: App
    client: Client
    folder: Path | None
    retries: int | None
    file_names: FileNames = FileNames.NAME
    hook: Hook | None = None
    notifier: Notifier | None = None
    writer: EventWriter | None = None
    marks: bool = False
    handled: int = field(default=0, init=False)
    incomplete: bool = field(default=False, init=False)

    def render(self, event: Event) -> bytes:
        text = json_line(event_json(event)) if self.app.json else event_text(event, self.app.painter())
        return text.encode("utf-8", errors="surrogatepass") + b"\n"

    def handle(self, batch: Batch) -> None:
        """Deliver a batch. Raises OSError, HookFailed, NotificationFailed; what was delivered before is taken."""
        for events in self._portions(batch.events):
            ready = [self._with_files(event) for event in events]
            if self.hook is not None:
                for event in ready:
                    self._run_hook(self.hook, event)
            if self.notifier is not None:
                self.notifier.show(ready)
            # Last: what has been written can't be taken back.
            if self.writer is not None:
                self.writer.write(batch, ready)
            else:
                batch.take(ready)
            if self.marks:
                shown = (event.message for event in ready if event.message and event.is_entry)
                self.client.reads.note_shown(shown, batch.reader)
        self.handled += batch.taken

    def _portions(self, events: Sequence[Event]) -> list[list[Event]]:
        """What is handled together. Files, commands and notifications can fail, and hold up nothing but their event."""
        if self.notifier is not None:
            return self.notifier.groups(events)
        if self.folder is not None or self.hook is not None:
            return [[event] for event in events]
        return [list(events)]

    def _run_hook(self, hook: Hook, event: Event) -> None:
        from .hook import fields_of, pause_before

        values = event_json(event)
        data = (json_line(values) + "\n").encode("utf-8", errors="surrogatepass")
        attempt = 0
        while True:
            try:
                hook.run(data, fields_of(event, values))
                return
            except HookFailed as error:
                name = f"message {event.message.id}" if event.message else f"an event of type {event.type}"
                what = f"The command for {name} failed. {error.message}"
                if self.retries is None:
                    raise HookFailed(f"{what} It stays unread; the next recv begins with it.") from None
                if attempt == self.retries:
                    about = {"message_id": event.message.id} if event.message else {}
                    self.app.report(error, f"{what} It is passed over.", **about)
                    self.incomplete = True
                    return
            attempt += 1
            pause_before(attempt)

    def _with_files(self, event: Event) -> Event:
        from dataclasses import replace

        message = event.message
        if self.folder is None or message is None or event.type != "message":
            return event
        # Nothing is fetched for strangers.
        if message.direction == "outgoing" or message.request or not message.attachments:
            return event
        prefix = {
            FileNames.NAME: "",
            FileNames.ID: f"{message.id}-",
            FileNames.TIME: f"{_compact_time(message.timestamp_ms)}-",
        }[self.file_names]
        again = f"To try again: session attach save {message.id}"
        try:
            files = self.client.files.of(message.id)
        except NOT_TO_BE_HAD as error:
            self._report_unsaved(message.id, error, again)
            return event
        for file in files:
            if _is_saved(file, self.folder):
                continue
            try:
                self.client.files.save(file, self.folder, prefix=prefix, progress=self.app.progress())
            except NOT_TO_BE_HAD as error:
                number = [one.id for one in message.attachments].index(file.id) + 1
                self._report_unsaved(message.id, error, again if file.part_ids else f"{again} --number {number}")
        return replace(event, message=self.client.message(message.id))

    def _report_unsaved(self, message_id: int, error: SessionError, again: str) -> None:
        self.incomplete = True
        text = f"A file of message {message_id} could not be saved: {error.message} {again}"
        self.app.report(error, text, message_id=message_id)


def _is_saved(file: ReceivedFile, folder: Path) -> bool:
    """Whether a file lies in the folder already, whole: an earlier run may have been killed behind it."""
    if file.saved is None:
        return False
    path = Path(file.saved)
    try:
        return path.parent == folder.absolute() and path.stat().st_size == file.size
    except OSError:
        return False


def _compact_time(milliseconds: int) -> str:
    import time

    return time.strftime("%Y%m%dT%H%M%S", time.localtime(milliseconds / 1000))


commands = {"recv": single_command("recv", recv)}
