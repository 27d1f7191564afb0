"""`attach`: files, sent and received."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import CannotCreate, InvalidInput, SessionError, UsageError
from . import completing
from .context import App
from .exit_codes import ExitCode
from .files import NOT_TO_BE_HAD, StripMetadata
from .json_output import json_object, message_json
from .output import message_text
from .people import More, To, With
from .text import harmless
from .times import Since, moment
from .typer_app import PlainTyper, message_id

if TYPE_CHECKING:
    from ..core.attachments import OutgoingFile
    from ..core.client import Client
    from ..core.files import ReceivedFile

app = PlainTyper(help="Send, list and save files.", no_args_is_help=True)


@app.plain_command()
def send(
    ctx: typer.Context,
    to: To,
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...|-", help="The files; - is standard input.", show_default=False)
    ],
    more: More = None,
    name: Annotated[
        str | None, typer.Option("--name", help="The name that the recipient sees (one file only).", metavar="NAME")
    ] = None,
    content_type: Annotated[
        str | None, typer.Option("--type", help="The MIME type (one file only).", metavar="TYPE")
    ] = None,
    caption: Annotated[str, typer.Option("--caption", help="A text to go with the files.", metavar="TEXT")] = "",
    split: Annotated[bool, typer.Option("--split", help="Send a file that is too large in parts.")] = False,
    strip_metadata: StripMetadata = False,
) -> int:
    """Send files, or what comes through a pipe, as one message; print its id.

    Files are encrypted while they are read; memory use does not grow with their size. They go as they are: what an
    image tells beside the picture, such as where it was taken, goes along, unless --strip-metadata takes it out.

    With --split, a file of more than 9,828,080 bytes, which is what every app takes, goes in up to 31 parts with a list
    of them. attach save joins them and checks that all is there; who has another program is told how in the message.

    In a community files are not encrypted, and have up to 10,000,000 bytes: they go to one room at a time, and whole.
    """
    from ..core.attachments import DEFAULT_TYPE, OutgoingFile, guess_type, open_file
    from .send import Sending

    context: App = ctx.obj
    if len(files) > 1 and (name or content_type):
        raise UsageError("--name and --type are for one file; give several files in several calls.")
    name = context.text_argument(name) if name else None
    if files.count("-") > 1:
        raise UsageError("Standard input can be sent once.")
    if "-" in files and sys.stdin.isatty():
        raise UsageError("Standard input is the terminal; pipe something in, or name a file.")

    def outgoing(file: str) -> OutgoingFile:
        if file != "-":
            return open_file(Path(file), name=name, content_type=content_type)
        guessed = guess_type(name) if name else DEFAULT_TYPE
        return OutgoingFile(sys.stdin.buffer, "standard input", name, content_type or guessed)

    recipients = [context.text_argument(person) for person in [to, *(more or [])]]
    caption = context.text_argument(caption)
    with context.open_client() as client:
        sending = Sending(context, client, recipients)
        attachments = [outgoing(file) for file in files]
        sending.send(caption, attachments=attachments, split_files=split, strip_metadata=strip_metadata)
        return sending.exit_code


@app.plain_command("list")
def list_(
    ctx: typer.Context,
    to: With = None,
) -> None:
    """List messages that have files, oldest first."""
    context: App = ctx.obj
    painter = context.painter()
    with context.open_client(online=False) as client:
        for message in client.messages_with_attachments(context.text_argument(to) if to else None):
            if context.json:
                context.emit_json(message_json(message))
            else:
                context.emit(message_text(message, painter))


@app.plain_command()
def save(
    ctx: typer.Context,
    message_ids: Annotated[
        list[int] | None,
        typer.Argument(
            metavar="[MESSAGE...]",
            parser=message_id,
            help="The ids of messages.",
            show_default=False,
            autocompletion=completing.messages_with_files,
        ),
    ] = None,
    output: Annotated[
        str,
        typer.Option("--output", "-o", help="A folder, a file, or - for standard output.", metavar="DIR|FILE|-"),
    ] = ".",
    number: Annotated[
        int | None, typer.Option("--number", "-n", help="Only the n-th file of the message.", min=1, metavar="N")
    ] = None,
    all_: Annotated[
        bool, typer.Option("--all", help="Every received file that was not saved yet; or all files of the MESSAGE.")
    ] = False,
    sender: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Of --all, only from this person.",
            metavar="WHO",
            autocompletion=completing.recipients,
        ),
    ] = None,
    since: Since = None,
    parts: Annotated[bool, typer.Option("--parts", help="Save the parts of a file as they are.")] = False,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace an existing file.")] = False,
) -> int:
    """Download, check and decrypt the files of messages; print where they were saved.

    Nothing is written before all of a file has proved genuine. In a folder a file gets its sender's name, made safe,
    and a number if the name is taken. The parts of a file that was sent with --split are joined.

    With --all and no MESSAGE, everything is saved that others have sent and that was not saved yet, but for message
    requests. With --all or several messages, a file that can't be had does not stop the others; the exit code is 1
    then. The network keeps files for 14 days: --since 14d leaves out what is gone.
    """
    context: App = ctx.obj
    wanted = list(dict.fromkeys(message_ids or []))
    if not wanted and not all_:
        raise UsageError("Which files? Name a message, or use --all.")
    if (sender is not None or since is not None) and wanted:
        raise UsageError("--from and --since go with --all, and without a message.")
    if number is not None and (all_ or len(wanted) > 1):
        raise UsageError("--number is for one message, and excludes --all.")
    since_ms = moment(context, since)
    target = Path(output)
    if (all_ or len(wanted) > 1) and not target.is_dir():
        raise UsageError("Several files are saved into a folder; name one that is there with --output.")
    if output.endswith(os.sep) and not target.is_dir():
        raise CannotCreate(f"There is no folder {target}.")
    if output == "-" and sys.stdout.isatty():
        raise UsageError("Standard output is the terminal; redirect it, or name a file with --output.")
    with context.open_client() as client:
        saving = _Saving(context, client, target, force=force, goes_on=all_ or len(wanted) > 1)
        if not wanted:
            wanted = client.files.unsaved(
                sender=context.text_argument(sender) if sender is not None else None, since_ms=since_ms
            )
            for each in wanted:
                saving.save_all(each, parts=parts, again=False)
            if not wanted:
                context.note("session: There is no file that was not saved yet.")
        elif output == "-":
            saving.write(wanted[0], number, parts=parts)
        elif number is not None:
            saving.save(wanted[0], client.files.attachment(wanted[0], number - 1))
        else:
            for each in wanted:
                saving.save_all(each, parts=parts, again=True)
        return ExitCode.NEGATIVE if saving.incomplete else ExitCode.OK


class _Saving:
    """Saves files of messages into one place, and prints where they are. `goes_on`: whatever can't be had is reported.

    Otherwise that is raised.
    """

    def __init__(self, app: App, client: Client, target: Path, *, force: bool, goes_on: bool) -> None:
        self._app = app
        self._client = client
        self._target = target
        self._force = force
        self._goes_on = goes_on
        self.incomplete = False

    def save_all(self, message_id: int, *, parts: bool, again: bool) -> None:
        """Save the files of a message; those that were saved before only `again`."""
        try:
            files = self._files(message_id, parts=parts)
        except NOT_TO_BE_HAD as error:
            self._pass_over(message_id, error)
            return
        if len(files) > 1 and not self._target.is_dir():
            raise UsageError(f"Message {message_id} has {len(files)} files; name a folder, or choose with --number.")
        for file in files:
            if again or any(row.saved is None for row in file.attachments):
                try:
                    self.save(message_id, file)
                except NOT_TO_BE_HAD as error:
                    self._pass_over(message_id, error)

    def save(self, message_id: int, file: ReceivedFile) -> None:
        """Save one file."""
        progress = self._app.progress()
        path = self._client.files.save(file, self._target, overwrite=self._force, progress=progress)
        if self._app.json:
            fields: dict[str, Any] = {"message_id": message_id, "attachment_id": file.id, "path": str(path.absolute())}
            if file.part_ids:
                fields["parts"] = list(file.part_ids)
            self._app.emit_json(json_object("saved_attachment", **fields))
        else:
            self._app.emit(harmless(str(path)))

    def write(self, message_id: int, number: int | None, *, parts: bool) -> None:
        """Write the only file of a message, or that of a number, to standard output."""
        if number is not None:
            file = self._client.files.attachment(message_id, number - 1)
        else:
            file, *others = self._files(message_id, parts=parts)
            if others:
                raise UsageError(f"Message {message_id} has {1 + len(others)} files; choose one with --number.")
        self._client.files.write(file, sys.stdout.buffer.write, progress=self._app.progress())
        sys.stdout.buffer.flush()

    def _files(self, message_id: int, *, parts: bool) -> list[ReceivedFile]:
        files = self._client.files.of(message_id, parts=parts)
        if not files:
            raise InvalidInput(f"Message {message_id} has no files.")
        return files

    def _pass_over(self, message_id: int, error: SessionError) -> None:
        if not self._goes_on:
            raise error
        self.incomplete = True
        text = f"A file of message {message_id} could not be saved: {error.message}"
        self._app.report(error, text, message_id=message_id)


commands = {"attach": app}
