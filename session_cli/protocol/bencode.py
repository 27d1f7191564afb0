"""Bencoding, strictly canonical: whatever decodes encodes to the same bytes again.

    integer  i-7e          no leading zeros, no -0, 64 bits with sign
    string   3:abc         bytes
    list     l…e
    dict     d…e           keys are strings, strictly ascending by their bytes

`decode` and `encode` serve small things. The readers take a place in the bytes and return what stands there with the
place behind it; formats that are read into values of their own are built on them. They raise MalformedMessage, and
IndexError where the bytes end too early, which `complete` turns into MalformedMessage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias, TypeVar

from ..errors import MalformedMessage

Value: TypeAlias = "int | bytes | list[Value] | dict[bytes, Value]"

MAX_DEPTH = 32
"""How deep lists and dicts may nest. Session's own formats need seven levels."""
MIN_INT: Final = -(2**63)
MAX_INT: Final = 2**63 - 1

INT, LIST, DICT, END = b"ilde"
COLON = ord(":")
ZERO, NINE = b"09"
_MAX_INT_DIGITS = 20
_MAX_LENGTH_DIGITS = 10

T = TypeVar("T")


def read_int(data: bytes, at: int) -> tuple[int, int]:
    """The integer whose `i` stands at `at`."""
    end = data.find(b"e", at, at + _MAX_INT_DIGITS + 2)
    digits = data[at + 1 : end]
    try:
        number = int(digits)
    except ValueError:
        number = MAX_INT + 1
    if end < 0 or not MIN_INT <= number <= MAX_INT or b"%d" % number != digits:
        raise MalformedMessage("A bencoded integer is malformed.")
    return number, end + 1


def read_string(data: bytes, at: int) -> tuple[bytes, int]:
    """The string whose length begins at `at`."""
    if data[at + 1] == COLON and ZERO <= data[at] <= NINE:
        start, end = at + 2, at + 2 + data[at] - ZERO
    else:
        colon = data.find(b":", at, at + _MAX_LENGTH_DIGITS + 1)
        digits = data[at:colon]
        if colon < 0 or not digits.isdigit() or (data[at] == ZERO and len(digits) > 1):
            raise MalformedMessage("The length of a bencoded string is malformed.")
        start, end = colon + 1, colon + 1 + int(digits)
    if end > len(data):
        raise MalformedMessage("A bencoded string is cut short.")
    return data[start:end], end


def read(data: bytes, at: int, depth: int = 0) -> tuple[Value, int]:
    """Whatever stands at `at`; `depth` says how many lists and dicts it is inside of."""
    token = data[at]
    if token == INT:
        return read_int(data, at)
    if ZERO <= token <= NINE:
        return read_string(data, at)
    if token not in (LIST, DICT):
        raise MalformedMessage("Bytes are not bencoded.")
    check_depth(depth)
    at += 1
    if token == LIST:
        items: list[Value] = []
        while data[at] != END:
            item, at = read(data, at, depth + 1)
            items.append(item)
        return items, at + 1
    entries: dict[bytes, Value] = {}
    last = None
    while data[at] != END:
        key, at = read_string(data, at)
        if last is not None and key <= last:
            raise MalformedMessage("The keys of a bencoded dict are out of order.")
        last = key
        entries[key], at = read(data, at, depth + 1)
    return entries, at + 1


def check_depth(depth: int) -> None:
    """Raise MalformedMessage where something inside of `depth` lists and dicts may not open another."""
    if depth >= MAX_DEPTH:
        raise MalformedMessage("Bencoded data nests too deep.")


def complete(reader: Callable[[bytes, int], tuple[T, int]], data: bytes) -> T:
    """What `reader` finds in `data`, which must hold nothing else. Raises MalformedMessage."""
    try:
        value, end = reader(data, 0)
    except IndexError:
        raise MalformedMessage("Bencoded data is cut short.") from None
    if end != len(data):
        raise MalformedMessage("Something follows the bencoded data.")
    return value


def decode(data: bytes) -> Value:
    """The value that `data` is the encoding of. Raises MalformedMessage."""
    return complete(read, data)


def encode_string(value: bytes) -> bytes:
    """A string's encoding."""
    return b"%d:%s" % (len(value), value)


def encode_dict(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A dict's encoding, of keys and values that are encoded already, in any order."""
    return b"d%se" % b"".join([encode_string(key) + value for key, value in sorted(pairs)])


def encode(value: object) -> bytes:
    """The one encoding of integers of 64 bits, bytes, sequences and mappings of such. Raises ValueError for others."""
    match value:
        case bytes():
            return encode_string(value)
        case int() if MIN_INT <= value <= MAX_INT:
            return b"i%de" % value
        case Mapping():
            return encode_dict((key, encode(item)) for key, item in value.items())
        case list() | tuple():
            return b"l%se" % b"".join([encode(item) for item in value])
        case _:
            raise ValueError("Only integers, bytes, lists and dicts can be bencoded.")
