"""`contact export` and `contact import`: contacts as files of other programs."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InvalidInput, UnreadableInput, UsageError
from .context import App
from .json_output import json_object
from .text import counted, harmless

if TYPE_CHECKING:
    from typing import BinaryIO

MAX_BYTES = 50_000_000


class Format(StrEnum):
    """The forms of an address book."""

    CSV = "csv"
    VCARD = "vcard"


def export(
    ctx: typer.Context,
    output: Annotated[
        str, typer.Option("--output", "-o", help="The file to write; - is standard output.", metavar="FILE|-")
    ] = "-",
    format: Annotated[
        Format | None, typer.Option("--format", help="csv or vcard (default: vcard if FILE ends with .vcf).")
    ] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace an existing file.")] = False,
) -> None:
    """Write the contacts to a file, as CSV or as vCards.

    The columns of the CSV are id, nickname (yours), name (theirs), approved and blocked. The file is not encrypted; it
    is made with access for you alone, and only appears when it is complete. Anybody chooses his name freely, and no
    name is altered: open the file in a spreadsheet as text, for one that begins with = could be taken for a formula.
    """
    app: App = ctx.obj
    target = None if output == "-" else Path(output)
    if target is None and app.json:
        raise UsageError("With --json standard output is for objects; name a file with --output.")
    chosen = format or (Format.VCARD if target and target.suffix.lower() == ".vcf" else Format.CSV)
    from ..core.address_book import to_csv, to_vcards

    with app.open_client(online=False) as client:
        contacts = client.contacts.all()
    text = to_csv(contacts) if chosen is Format.CSV else to_vcards(contacts)
    if target is None:
        _print(text)
        return
    from ..core.spool import save_new_file

    save_new_file(target, text.encode("utf-8", "replace"), overwrite=force)
    if app.json:
        fields = {"path": str(target.absolute()), "format": chosen.value, "contacts": len(contacts)}
        app.emit_json(json_object("contact_export", **fields))
    app.note(f"session: {counted(len(contacts), 'contact')} written to {target}, not encrypted.")


def _print(text: str) -> None:
    """Write to standard output: as it is, but on a terminal, to which a name could be an order."""
    if sys.stdout.isatty():
        text = harmless(text.replace("\r\n", "\n"), multiline=True)
    sys.stdout.buffer.write(text.encode("utf-8", "replace"))
    sys.stdout.buffer.flush()


def import_(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="The file to read; - is standard input.")],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Let the file's nicknames go before yours, and its blocked no unblock.")
    ] = False,
) -> None:
    """Take over contacts from a file: CSV, or vCards of version 3.0 or 4.0. Works offline.

    The first line of a CSV names its columns, of which only id is needed: id,nickname,name,approved,blocked. approved
    and blocked are yes or no; without a column approved, all are approved, as by contact add. A vCard has the id in
    IMPP:session:ID or X-SESSION-ID; those without one are left out. A name counts until they say themselves how they
    are called.

    Everything is checked first; where a line is wrong, nothing is changed, and the error names it. What the file does
    not say stays: nobody is deleted by it, or unapproved, and none of your names is replaced, and nobody unblocked,
    without --overwrite.
    """
    app: App = ctx.obj
    from ..core.address_book import parse

    book = parse(_read(file))
    with app.open_client(online=False) as client:
        done = client.contacts.import_book(book, overwrite=overwrite)
    if app.json:
        app.emit_json(
            json_object(
                "contact_import",
                added=done.added,
                changed=done.changed,
                unchanged=done.unchanged,
                kept=done.kept,
                skipped=done.skipped,
            )
        )
        return
    text = f"{counted(done.added, 'contact')} added, {done.changed} changed, {done.unchanged} as they were."
    if done.kept:
        text += f" For {done.kept} of them your own name or block was kept; --overwrite changes that."
    if done.skipped:
        text += f" Left out: {done.skipped} (your own id, or a card without one)."
    app.note(text)


def _read(file: str) -> str:
    name = "standard input" if file == "-" else file
    try:
        if file == "-":
            if sys.stdin.isatty():
                raise UsageError("Standard input is the terminal; pipe a file in, or name one.")
            data = _all_of(sys.stdin.buffer, name)
        else:
            with Path(file).open("rb") as source:
                data = _all_of(source, name)
    except OSError as error:
        raise UnreadableInput(f"Can't read {name}: {error.strerror}.") from None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InvalidInput(f"Nothing was imported: {name} is no UTF-8 text (line {line}).") from None


def _all_of(source: BinaryIO, name: str) -> bytes:
    data = source.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise InvalidInput(f"Nothing was imported: {name} has more than {MAX_BYTES:,} bytes.")
    return data
