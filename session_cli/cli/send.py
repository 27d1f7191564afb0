"""`send`: a message, to one recipient or several; or a stream of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import EmptyMessage, InvalidInput, SessionError, UsageError
from . import completing
from .context import App
from .exit_codes import ExitCode, exit_code_of
from .files import StripMetadata
from .json_output import message_json
from .people import More, To
from .text import harmless
from .typer_app import Seconds, message_id, single_command

if TYPE_CHECKING:
    from ..core.attachments import OutgoingFile
    from ..core.client import Client
    from ..core.model import Message

_EXCERPT = 60


def send(
    ctx: typer.Context,
    to: To,
    text: Annotated[
        str | None,
        typer.Argument(metavar="[TEXT|-]", help="The message; - or nothing with a pipe: standard input."),
    ] = None,
    more: More = None,
    attach: Annotated[
        list[Path] | None,
        typer.Option("--attach", "-a", help="Send this file along; may be repeated.", metavar="FILE", readable=False),
    ] = None,
    strip_metadata: StripMetadata = False,
    voice: Annotated[
        str | None,
        typer.Option("--voice", help="Send this recording as a voice message; - is standard input.", metavar="FILE|-"),
    ] = None,
    convert: Annotated[
        bool, typer.Option("--convert", help="With --voice: have ffmpeg turn other formats into AAC.")
    ] = False,
    quote: Annotated[
        int | None,
        typer.Option(
            "--quote",
            help="Answer the message with this id.",
            metavar="ID",
            parser=message_id,
            autocompletion=completing.messages,
        ),
    ] = None,
    queue: Annotated[
        bool,
        typer.Option("--queue", help="If the network is down, keep it in the outbox, and succeed (not for files)."),
    ] = False,
    typing: Annotated[
        bool, typer.Option("--typing", help="Show that you are typing first, and while standard input is read.")
    ] = False,
    split: Annotated[bool, typer.Option("--split", help="Send a text that is too long in several messages.")] = False,
    lines: Annotated[
        bool, typer.Option("--lines", help="Each line of standard input is a message, sent as it comes.")
    ] = False,
    batch_seconds: Annotated[
        float,
        typer.Option(
            "--batch-seconds",
            help="With --lines: what comes within so many seconds is one message.",
            metavar="SECONDS",
            click_type=Seconds(0, 1e6),
            show_default=False,
        ),
    ] = 0.0,
) -> int:
    """Send a message, and print its id.

    Success means that the recipient's swarm holds the message and has proved it; its owner fetches it from there
    within 14 days. A copy goes to your own other devices. A group has one swarm, for all of its members. What goes to a
    room of a community, its server has said to have; it is public there, and not end-to-end encrypted. With --queue,
    success can also mean that it waits in the outbox, from where the next send or recv sends it.

    Files go as they are: what an image tells beside the picture, such as where it was taken, goes along, unless
    --strip-metadata takes it out. A voice message is MP3 or AAC in MP4, of up to five minutes, and goes without a text.

    With several recipients each gets a message of their own. If some can't be reached, the exit code is 1.

    Who answers has read: what came from a recipient, and a recv has shown, counts as read from then on, as with read.

    In the text, @ and the id of somebody mentions them: their app shows the name, and yours does. --quote answers a
    message of the same conversation. --typing is for people who have written to you and to whom you
    wrote; others are not told.
    """
    app: App = ctx.obj
    recipients = [app.text_argument(name) for name in [to, *(more or [])]]
    if convert and voice is None:
        raise UsageError("--convert goes with --voice.")
    if strip_metadata and not attach:
        raise UsageError("--strip-metadata goes with --attach.")
    if lines:
        if text not in (None, "-") or attach or quote is not None or voice is not None or typing:
            raise UsageError(
                "--lines reads standard input; it excludes a text, --attach, --voice, --quote and --typing."
            )
        if sys.stdin.isatty():
            app.note("Each line is a message; Ctrl-D ends.")
        with app.open_client() as client:
            return _send_lines(app, client, recipients, batch_seconds=batch_seconds, queue=queue, split=split)
    if batch_seconds:
        raise UsageError("--batch-seconds goes with --lines.")
    if voice is not None and (text is not None or attach or split or typing):
        raise UsageError("A voice message goes alone: --voice excludes a text, --attach, --split and --typing.")
    if voice == "-" and sys.stdin.isatty():
        raise UsageError("Standard input is the terminal; pipe a recording in, or name a file.")
    source = _source(app, text, has_files=bool(attach) or voice is not None)
    body = None if typing else source()
    with app.open_client() as client:
        sending = Sending(app, client, recipients, queue=queue)
        if voice is not None:
            recording = client.files.voice_message(
                sys.stdin.buffer if voice == "-" else Path(voice), convert=convert, environ=app.environ
            )
            sending.send("", attachments=[recording], quote=quote)
            return sending.exit_code
        with nullcontext(body) if body is not None else _while_typing(app, client, recipients, source) as read:
            parts = _parts(read, split=split)
            sending.send_parts(parts, attachments=attach or [], quote=quote, strip_metadata=strip_metadata)
        return sending.exit_code


def _while_typing(
    app: App, client: Client, recipients: Sequence[str], source: Callable[[], str]
) -> AbstractContextManager[str]:
    from .typing_signals import shown_as_typing

    return shown_as_typing(app, client, recipients, source)


def _source(app: App, text: str | None, *, has_files: bool) -> Callable[[], str]:
    """What reads the text: that given, or standard input where that was asked for or is all that can be meant."""
    if text is None and has_files:
        return lambda: ""
    if text is None and sys.stdin.isatty():
        raise UsageError("What shall be sent? Give the text, or - to type it, or pipe it in.")
    if text is not None and text != "-":
        given = app.text_argument(text)
        return lambda: given

    def read() -> str:
        body = app.read_text()
        if not body.strip():
            raise EmptyMessage("There is nothing to send: standard input is empty.")
        return body

    return read


def _parts(body: str, *, split: bool) -> Sequence[str]:
    if not split:
        return [body]
    from ..core.bodies import split_body

    return split_body(body) or [body]


class Sending:
    """Messages to the same people, one after the other: prints what became of each, and keeps it in mind.

    Who did not get one message gets none of those behind it.
    """

    def __init__(self, app: App, client: Client, recipients: Sequence[str], *, queue: bool = False) -> None:
        self._app = app
        self._client = client
        self._queue = queue
        self._all: list[str] = list(dict.fromkeys(client.recipient(name) for name in recipients))
        self._left = self._all
        self._problem: SessionError | None = None
        self._waits = False

    def send(
        self,
        body: str,
        *,
        attachments: Sequence[Path | OutgoingFile] = (),
        quote: int | None = None,
        split_files: bool = False,
        strip_metadata: bool = False,
        part: str = "",
    ) -> None:
        """Send one message, which may be a `part` (as it is called in errors) of a longer one.

        With one recipient, raises what kept him from getting it; of several, each failure is reported.
        """
        sent = self._client.send_to_all(
            self._left,
            body,
            attachments=attachments,
            quote=quote,
            queue=self._queue,
            split=split_files,
            strip_metadata=strip_metadata,
            progress=self._app.progress(),
        )
        reached = []
        for recipient, outcome in zip(self._left, sent, strict=True):
            if not isinstance(outcome, SessionError):
                reached.append(recipient)
                self._note_waiting(outcome)
                self._app.emit_json(message_json(outcome)) if self._app.json else self._app.emit(str(outcome.id))
                continue
            self._problem = outcome
            if len(self._all) > 1:
                text = f"Not sent to {recipient}{part}: {outcome.message}"
                self._app.report(outcome, text, recipient={"id": recipient})
        self._left = reached
        if self._problem is not None and len(self._all) == 1:
            raise self._problem

    def send_parts(
        self, parts: Sequence[str], *, attachments: Sequence[Path], quote: int | None, strip_metadata: bool
    ) -> None:
        """Send a text in its parts; files and quote go with the first."""
        self.send(
            parts[0],
            attachments=attachments,
            quote=quote,
            strip_metadata=strip_metadata,
            part=", no part of it" if len(parts) > 1 else "",
        )
        for number, part in enumerate(parts[1:], 2):
            try:
                self.send(part, part=f", from part {number} of {len(parts)} on")
            except SessionError:
                self._app.say(f"session: Of the {len(parts)} parts only the first {number - 1} went out.")
                raise

    def _note_waiting(self, message: Message) -> None:
        """Say once that it is not sent yet."""
        if message.status == "queued" and not self._waits:
            self._waits = True
            self._app.note("session: Not sent yet: it waits in the outbox until the next send or recv.")

    @property
    def is_over(self) -> bool:
        """Whether nobody is left to send to."""
        return not self._left

    @property
    def exit_code(self) -> int:
        """0 if all got everything, 1 if some did; where nobody did, the code of what kept the last one from it."""
        if self._problem is None:
            return ExitCode.OK
        return ExitCode.NEGATIVE if self._left else exit_code_of(self._problem)


def _send_lines(
    app: App, client: Client, recipients: Sequence[str], *, batch_seconds: float, queue: bool, split: bool
) -> int:
    """Send standard input line by line, until its end.

    A line that can't be a message is reported and passed over. Where a message can't be sent, all ends: what comes
    behind it must not overtake it.
    """
    from ..core.bodies import MOST_CHARACTERS
    from .line_batches import line_batches

    sending = Sending(app, client, recipients, queue=queue)
    refused = False
    with sys.stdin.buffer as stream:
        for text in line_batches(stream.fileno(), batch_seconds, MOST_CHARACTERS):
            excerpt = text if len(text) <= _EXCERPT else text[:_EXCERPT] + "…"
            try:
                for part in _parts(text, split=split):
                    sending.send(part)
            except InvalidInput as error:
                refused = True
                app.report(error, f"A line was not sent: {error.message} It begins: {text[:_EXCERPT]}")
            except SessionError:
                app.say(f"session: Ended at the line: {harmless(excerpt)}")
                raise
            if sending.is_over:
                app.say(f"session: Ended at the line: {harmless(excerpt)}")
                break
    return sending.exit_code or (ExitCode.NEGATIVE if refused else ExitCode.OK)


commands = {"send": single_command("send", send)}
