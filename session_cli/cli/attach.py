"""`attach`: files, sent and received."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import CannotCreate, InvalidInput, UsageError
from . import completing
from .context import App
from .json_output import json_object, message_json
from .output import message_text
from .people import To, With
from .text import harmless
from .typer_app import PlainTyper, message_id

if TYPE_CHECKING:
    from ..core.attachments import OutgoingFile

app = PlainTyper(help="Send, list and save files.", no_args_is_help=True)


@app.plain_command()
def send(
    ctx: typer.Context,
    to: To,
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...|-", help="The files; - is standard input.", show_default=False)
    ],
    name: Annotated[
        str | None, typer.Option("--name", help="The name that the recipient sees (one file only).", metavar="NAME")
    ] = None,
    content_type: Annotated[
        str | None, typer.Option("--type", help="The MIME type (one file only).", metavar="TYPE")
    ] = None,
    caption: Annotated[str, typer.Option("--caption", help="A text to go with the files.", metavar="TEXT")] = "",
) -> None:
    """Send files, or what comes through a pipe, as one message; print its id.

    Files are encrypted while they are read; memory use does not grow with their size.
    """
    from ..core.attachments import DEFAULT_TYPE, OutgoingFile, guess_type, open_file

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

    with context.open_client() as client:
        message = client.send(
            context.text_argument(to),
            context.text_argument(caption),
            attachments=[outgoing(file) for file in files],
            progress=context.progress(),
        )
        if context.json:
            context.emit_json(message_json(message))
        else:
            context.emit(str(message.id))


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
    message_id: Annotated[
        int,
        typer.Argument(
            metavar="MESSAGE",
            parser=message_id,
            help="The id of the message.",
            show_default=False,
            autocompletion=completing.messages_with_files,
        ),
    ],
    output: Annotated[
        str,
        typer.Option("--output", "-o", help="A folder, a file, or - for standard output.", metavar="DIR|FILE|-"),
    ] = ".",
    number: Annotated[
        int | None, typer.Option("--number", "-n", help="Only the n-th file of the message.", min=1, metavar="N")
    ] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace an existing file.")] = False,
) -> None:
    """Download, check and decrypt a message's files; print where they were saved.

    Nothing is written before all of a file has proved genuine. In a folder a file gets its sender's name, made safe,
    and a number if the name is taken.
    """
    context: App = ctx.obj
    with context.open_client() as client:
        message = client.message(message_id)
        if not message.attachments:
            raise InvalidInput(f"Message {message_id} has no files.")
        wanted = range(len(message.attachments)) if number is None else [number - 1]
        if output == "-":
            if sys.stdout.isatty():
                raise UsageError("Standard output is the terminal; redirect it, or name a file with --output.")
            if len(wanted) > 1:
                raise UsageError(f"Message {message_id} has {len(wanted)} files; choose one with --number.")
            client.fetch_attachment(message_id, wanted[0], sys.stdout.buffer.write, progress=context.progress())
            sys.stdout.buffer.flush()
            return
        target = Path(output)
        if output.endswith(os.sep) and not target.is_dir():
            raise CannotCreate(f"There is no folder {target}.")
        if len(wanted) > 1 and not target.is_dir():
            raise UsageError(f"Message {message_id} has {len(wanted)} files; name a folder, or choose with --number.")
        for index in wanted:
            path = client.save_attachment(message_id, index, target, overwrite=force, progress=context.progress())
            if context.json:
                context.emit_json(
                    json_object(
                        "saved_attachment",
                        message_id=message_id,
                        attachment_id=message.attachments[index].id,
                        path=str(path.absolute()),
                    )
                )
            else:
                context.emit(harmless(str(path)))


commands = {"attach": app}
