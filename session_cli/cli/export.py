"""`export`: the history as a file for others to read."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from ..errors import StoreUnwritable, UsageError
from .context import App
from .exit_codes import ExitCode
from .history import day_line, person
from .json_output import json_line, json_object, message_json
from .output import Painter, message_text
from .people import With
from .text import counted
from .times import Since, Until, moment
from .typer_app import single_command

if TYPE_CHECKING:
    from ..core.client import Client
    from ..core.exporting import Export, ExportedFile
    from ..core.model import Message, Party


class Format(StrEnum):
    """The forms of an export."""

    JSONL = "jsonl"
    HTML = "html"
    TEXT = "text"


_ENDINGS = {".html": Format.HTML, ".htm": Format.HTML, ".txt": Format.TEXT}

FilesOf = Callable[["Message"], "list[ExportedFile]"]


def export(
    ctx: typer.Context,
    to: With = None,
    format: Annotated[
        Format | None,
        typer.Option("--format", help="jsonl, html or text (default: by the ending of FILE, else jsonl)."),
    ] = None,
    output: Annotated[
        str, typer.Option("--output", "-o", help="The file to write; - is standard output.", metavar="FILE|-")
    ] = "-",
    attachments: Annotated[
        bool,
        typer.Option("--attachments", help="Put attachments into a folder beside FILE; download those never saved."),
    ] = False,
    since: Since = None,
    until: Until = None,
    force: Annotated[
        bool, typer.Option("--force", "-f", help="Replace an existing file, and its attachments.")
    ] = False,
) -> int:
    """Write the history to a file: JSON lines, a page or a text.

    The file is not encrypted: whoever can read it can read the messages. It is made with access for you alone, and
    only appears when it is complete. jsonl holds the objects that log --json prints. html is one page without scripts,
    for any browser, also with no network; attachments that were saved before are copied into a folder beside it.
    """
    app: App = ctx.obj
    target = None if output == "-" else Path(output)
    chosen = format or (_ENDINGS.get(target.suffix.lower()) if target else None) or Format.JSONL
    if attachments and target is None:
        raise UsageError("With --attachments name a file with --output: the attachments are put beside it.")
    start, stop, conversation = moment(app, since), moment(app, until, end=True), person(app, to)
    with ExitStack() as stack:
        client = stack.enter_context(app.open_client(online=attachments))
        exported = _open(client, target, force=force, download=attachments) if target else None
        if exported:
            stack.enter_context(exported)
        wanted = _Wanted(client, conversation, start, stop)
        files_of = exported.files_of if exported and (attachments or chosen is Format.HTML) else _no_files
        sink = exported.output if exported else sys.stdout.buffer
        count = _write(sink, _PRODUCERS[chosen](wanted, files_of), target)
        if exported:
            exported.commit()
            if app.json:
                fields = {"format": chosen.value, "messages": count, "missing": exported.missing}
                app.emit_json(json_object("export", path=str(Path(output).absolute()), **fields))
            app.note(f"session: {counted(count, 'message')} written to {target}, not encrypted.")
    if exported and exported.missing:
        app.note(f"session: {counted(exported.missing, 'attachment')} could not be had; the export says which.")
    return ExitCode.NEGATIVE if exported and exported.missing else ExitCode.OK


def _open(client: Client, target: Path, *, force: bool, download: bool) -> Export:
    from ..core.exporting import Export

    return Export(target, overwrite=force, fetch=client.fetch_attachment if download else None)


def _write(sink: BinaryIO, parts: Iterator[tuple[str, int]], target: Path | None) -> int:
    """Write pieces of text; returns how many messages they were. Raises StoreUnwritable, or OSError of stdout."""
    count = 0
    for text, messages in parts:
        try:
            sink.write(text.encode("utf-8", "surrogateescape"))
        except OSError as error:
            if target is None:
                raise
            raise StoreUnwritable(f"Can't write {target}: {error.strerror}.") from None
        count += messages
    sink.flush()
    return count


class _Wanted:
    """The messages to be exported."""

    def __init__(self, client: Client, conversation: str | None, start: int | None, stop: int | None) -> None:
        self.client = client
        self._only = client.resolve(conversation) if conversation is not None else None
        self._start = start
        self._stop = stop

    def messages(self, conversation: str | None = None) -> Iterator[Message]:
        """All of them, by time, or those of one conversation."""
        return self.client.history.log(
            conversation or self._only, since_ms=self._start, until_ms=self._stop, limit=None
        )

    def parties(self) -> list[Party]:
        """The conversations that have any."""
        found = [each.party for each in self.client.history.conversations() if self._only in (None, each.party.id)]
        return [party for party in found if next(self.messages(party.id), None) is not None]

    def includes(self, message: Message) -> bool:
        """Whether a message is one of them."""
        return (
            self._only in (None, message.conversation.id)
            and (self._start is None or message.timestamp_ms >= self._start)
            and (self._stop is None or message.timestamp_ms <= self._stop)
        )


def _no_files(message: Message) -> list[ExportedFile]:
    return []


def _placed(message: Message, files: list[ExportedFile]) -> Message:
    """A message that says of its files where they lie in the export."""
    if not files:
        return message
    attachments = [
        dataclasses.replace(file.attachment, saved=str(file.path)) if file.path else file.attachment for file in files
    ]
    return dataclasses.replace(message, attachments=tuple(attachments))


def _as_jsonl(wanted: _Wanted, files_of: FilesOf) -> Iterator[tuple[str, int]]:
    for message in wanted.messages():
        yield json_line(message_json(_placed(message, files_of(message)))) + "\n", 1


def _as_text(wanted: _Wanted, files_of: FilesOf) -> Iterator[tuple[str, int]]:
    painter, last = Painter(enabled=False), None
    for message in wanted.messages():
        day = day_line(message, last, painter)
        yield day + message_text(_placed(message, files_of(message)), painter) + "\n", 1
        last = message


def _as_html(wanted: _Wanted, files_of: FilesOf) -> Iterator[tuple[str, int]]:
    from . import page

    client, parties, count = wanted.client, wanted.parties(), 0
    yield page.begin(_title(parties), parties, _remarks(client, parties)), 0
    for party in parties:
        lookup = partial(client.history.named, party.id)
        chapter = page.Chapter(party, heading=len(parties) > 1, lookup=lookup, is_included=wanted.includes)
        yield chapter.begin(), 0
        for message in wanted.messages(party.id):
            count += 1
            yield chapter.message(message, files_of(message) or page.left_out(message)), 1
        yield chapter.end(), 0
    yield page.end(count), 0


def _title(parties: list[Party]) -> str:
    if len(parties) != 1:
        return "Messages"
    (party,) = parties
    return "Note to self" if party.type == "self" else party.name or party.id


def _remarks(client: Client, parties: list[Party]) -> list[str]:
    """What is to be known about the page."""
    exported = time.strftime("%Y-%m-%d %H:%M, UTC%z", time.localtime())
    remarks = [f"Session messages of {client.name or 'me'}, {client.account_id}"]
    if len(parties) == 1 and parties[0].type != "self":
        nameless = "without a name"
        with_whom = (
            f"in the {parties[0].type} {parties[0].name or nameless}"
            if parties[0].is_shared
            else f"with {parties[0].name or f'somebody {nameless}'}"
        )
        remarks.append(f"{with_whom}, {parties[0].id}")
    return [*remarks, f"Exported on {exported}; times are of that zone. This page is not encrypted."]


_PRODUCERS = {Format.JSONL: _as_jsonl, Format.TEXT: _as_text, Format.HTML: _as_html}

commands = {"export": single_command("export", export)}
