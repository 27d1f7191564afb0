"""Contacts as a file for other programs: CSV (RFC 4180) and vCards (RFC 6350; version 3.0 is read, too).

What such a file says is only data: it is checked as a whole before anything of it counts.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from ..errors import InvalidAccountId, InvalidInput
from ..protocol.account import AccountId, parse_account_id
from .model import Contact
from .names import check_nickname

T = TypeVar("T")
COLUMNS = ("id", "nickname", "name", "approved", "blocked")
MAX_NAME_BYTES = 100
_MOST_SHOWN = 5
"""Of what is wrong with a file, so much is said."""
_YES, _NO = ("yes", "true", "1"), ("no", "false", "0")
_CARD_VERSIONS = ("3.0", "4.0")
_FOLD = 75
"""Bytes in a line of a vCard."""
_PROPERTY = re.compile(r"(?:[A-Za-z0-9-]+\.)?([A-Za-z0-9-]+)((?:;[^:;\"]*(?:\"[^\"]*\"[^:;\"]*)*)*):(.*)", re.DOTALL)
_FIRST = re.compile(r"(?:\\.|[^\\,])*", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Entry:
    """What a file says of somebody, and in which line that begins. None: nothing.

    `name` is what the person is said to call himself.
    """

    line: int
    account_id: AccountId
    nickname: str | None = None
    name: str | None = None
    approved: bool | None = None
    blocked: bool | None = None


@dataclass(frozen=True, slots=True)
class AddressBook:
    """The people of a file, and how many of its vCards have no account id."""

    entries: tuple[Entry, ...]
    without_id: int = 0


class Problems:
    """What is wrong with a file, line by line."""

    def __init__(self) -> None:
        self._found: list[tuple[int, str]] = []

    def add(self, line: int, what: str) -> None:
        self._found.append((line, what))

    def check(self) -> None:
        """Raise InvalidInput if there are any."""
        if not self._found:
            return
        shown = "; ".join(f"line {line}: {what.rstrip('.')}" for line, what in sorted(self._found)[:_MOST_SHOWN])
        rest = f"; and {len(self._found) - _MOST_SHOWN} more" if len(self._found) > _MOST_SHOWN else ""
        raise InvalidInput(f"Nothing was imported: {shown}{rest}.")


# Writing.


def to_csv(contacts: Iterable[Contact]) -> str:
    """Contacts as CSV, names as they are: whoever opens it in a spreadsheet has to say that the cells are text."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for contact in contacts:
        flags = ("yes" if flag else "no" for flag in (contact.approved, contact.blocked))
        writer.writerow((contact.id, contact.nickname or "", contact.profile_name or "", *flags))
    return text.getvalue()


def to_vcards(contacts: Iterable[Contact]) -> str:
    """Contacts as vCards of version 4.0."""
    return "".join(_fold(line) for contact in contacts for line in _card(contact))


def _card(contact: Contact) -> Iterator[str]:
    yield "BEGIN:VCARD"
    yield "VERSION:4.0"
    # Every card must have one; whoever has no name is called by the id.
    yield f"FN:{_escaped(contact.profile_name or contact.nickname or contact.id)}"
    if contact.nickname:
        yield f"NICKNAME:{_escaped(contact.nickname)}"
    yield f"IMPP:session:{contact.id}"
    yield f"X-SESSION-APPROVED:{'yes' if contact.approved else 'no'}"
    yield f"X-SESSION-BLOCKED:{'yes' if contact.blocked else 'no'}"
    yield "END:VCARD"


def _escaped(text: str) -> str:
    text = re.sub(r"([\\,;])", r"\\\1", text)
    return re.sub("\r\n|\r|\n", r"\\n", text)


def _fold(line: str) -> str:
    """A line, cut between characters into lines of so many bytes, those after the first beginning with a space."""
    lines, size = [""], 0
    for char in line:
        length = len(char.encode("utf-8", "replace"))
        if size + length > _FOLD:
            lines.append(" ")
            size = 1
        lines[-1] += char
        size += length
    return "".join(one + "\r\n" for one in lines)


# Reading.


def parse(text: str) -> AddressBook:
    """The people in a file of either form. Raises InvalidInput that names the lines where it is wrong."""
    text = text.removeprefix("\ufeff")
    problems = Problems()
    is_cards = text.lstrip()[:11].upper() == "BEGIN:VCARD"
    book = _parse_cards(text, problems) if is_cards else AddressBook(tuple(_parse_csv(text, problems)))
    # Who is listed twice with the same words is listed once.
    entries = tuple({replace(entry, line=0): entry for entry in reversed(book.entries)}.values())[::-1]
    _check_unique(entries, problems)
    problems.check()
    return replace(book, entries=entries)


def _check_unique(entries: Iterable[Entry], problems: Problems) -> None:
    for key, what in (("account_id", "the id"), ("nickname", "the nickname")):
        lines: dict[str, int] = {}
        for entry in entries:
            value = getattr(entry, key)
            if value is not None and lines.setdefault(value, entry.line) != entry.line:
                problems.add(entry.line, f"{what} of line {lines[value]} again")


def _parse_csv(text: str, problems: Problems) -> Iterator[Entry]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    columns: list[str] | None = None
    line = 1
    try:
        for row in reader:
            if not any(cell.strip() for cell in row):
                pass
            elif columns is None:
                columns = _header([cell.strip().lower() for cell in row], line)
            elif len(row) != len(columns):
                problems.add(line, f"{len(row)} columns instead of {len(columns)}")
            else:
                cells = {name: cell.strip() for name, cell in zip(columns, row, strict=True)}
                # People who are listed without a word are wanted.
                yield from _entry(line, cells, problems, approved=True if "approved" not in columns else None)
            line = reader.line_num + 1
    except csv.Error as error:
        problems.add(line, f"this is no CSV: {error}")
    if columns is None:
        problems.add(1, f"the names of the columns are missing: {','.join(COLUMNS)}")


def _header(columns: list[str], line: int) -> list[str]:
    unknown = [name for name in columns if name not in COLUMNS]
    if unknown or "id" not in columns or len(set(columns)) != len(columns):
        what = (
            f"there is no column {unknown[0][:20]!r}" if unknown else "each column has to have its name, one of them id"
        )
        raise InvalidInput(f"Nothing was imported: line {line}: {what}; the columns are {','.join(COLUMNS)}.")
    return columns


def _parse_cards(text: str, problems: Problems) -> AddressBook:
    entries, without_id = list[Entry](), 0
    card: dict[str, list[str]] | None = None
    began = 0
    for line, content in _unfolded(text):
        match = _PROPERTY.fullmatch(content)
        name, value = (match[1].upper(), match[3]) if match else ("", "")
        if (name, value.strip().upper()) == ("BEGIN", "VCARD"):
            if card is not None:
                problems.add(line, f"the card of line {began} has no end")
            card, began = {}, line
        elif card is None or match is None:
            problems.add(line, "this is no vCard")
            return AddressBook(())
        elif (name, value.strip().upper()) == ("END", "VCARD"):
            found = _card_cells(card, began, problems)
            if found is None:
                without_id += 1
            else:
                wanted = None if "X-SESSION-APPROVED" in card else True
                entries += _entry(began, found, problems, approved=wanted)
            card = None
        else:
            card.setdefault(name, []).append(value)
    if card is not None:
        problems.add(began, "the card has no end")
    return AddressBook(tuple(entries), without_id)


def _unfolded(text: str) -> Iterator[tuple[int, str]]:
    """The lines of a file put together again, and where each began; without the empty ones."""
    began, whole = 0, ""
    for number, line in enumerate(re.split("\r\n|\n|\r", text), 1):
        if line[:1] in (" ", "\t") and whole:
            whole += line[1:]
            continue
        if whole:
            yield began, whole
        began, whole = number, line if line.strip() else ""
    if whole:
        yield began, whole


def _card_cells(card: dict[str, list[str]], line: int, problems: Problems) -> dict[str, str] | None:
    """What a card says, as the cells of a row; None if it has no account id."""
    version = card.get("VERSION", [""])[0].strip()
    addresses = [value.strip() for value in card.get("X-SESSION-ID", [])]
    for value in card.get("IMPP", []):
        scheme, _, address = value.strip().partition(":")
        if scheme.lower() == "session":
            addresses.append(address)
    if not addresses:
        return None
    if version not in _CARD_VERSIONS:
        problems.add(line, f"a vCard of version {version[:10] or '(none)'}; 3.0 and 4.0 can be read")
    if len({address.lower() for address in addresses}) > 1:
        problems.add(line, "a card with several account ids")
    # Of several nicknames the first counts; a comma that is no separator is escaped.
    nickname = _FIRST.match(card.get("NICKNAME", [""])[0])
    full_name = _unescaped(card.get("FN", [""])[0]).strip()
    cells = {
        "id": addresses[0],
        "nickname": _unescaped(nickname[0]).strip() if nickname else "",
        "name": full_name,
        "approved": card.get("X-SESSION-APPROVED", [""])[0].strip(),
        "blocked": card.get("X-SESSION-BLOCKED", [""])[0].strip(),
    }
    if full_name in (cells["id"], cells["nickname"]):
        cells["name"] = ""
    return cells


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda match: "\n" if match[1] in "nN" else match[1], text)


def _entry(line: int, cells: dict[str, str], problems: Problems, *, approved: bool | None) -> list[Entry]:
    """What a row says, or nothing if it is wrong. `approved` is what counts where it says nothing of that."""

    def take(key: str, read: Callable[[str], T]) -> T | None:
        try:
            return read(cells[key]) if cells.get(key) else None
        except (InvalidInput, InvalidAccountId) as error:
            problems.add(line, error.message)
            return None

    if not cells["id"]:
        problems.add(line, "there is no id")
    account_id = take("id", parse_account_id)
    nickname, name = take("nickname", check_nickname), take("name", _check_name)
    flags = {key: take(key, _flag) for key in ("approved", "blocked")}
    if account_id is None:
        return []
    # A list of those who are blocked approves nobody.
    wanted = (None if flags["blocked"] else approved) if flags["approved"] is None else flags["approved"]
    return [Entry(line, account_id, nickname, name, wanted, flags["blocked"])]


def _check_name(text: str) -> str:
    size = len(text.encode("utf-8", "replace"))
    if size > MAX_NAME_BYTES:
        raise InvalidInput(f"The name takes {size} bytes, more than {MAX_NAME_BYTES}.")
    return " ".join(text.splitlines())


def _flag(text: str) -> bool:
    if text.lower() not in (*_YES, *_NO):
        raise InvalidInput(f"{text[:20]!r} is neither yes nor no.")
    return text.lower() in _YES
