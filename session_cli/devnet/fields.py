"""Reading the fields of a request's parameters, with the storage server's words for what is wrong."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any, TypeVar

from .namespaces import ALL_NAMESPACES, NAMESPACE_MAX, NAMESPACE_MIN, Namespaces

T = TypeVar("T")

_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}\Z")
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})*\Z")
_DECIMAL = re.compile(r"-?[0-9]{1,19}\Z")
_EARLIEST_MS = 1_000_000_000
_MAX_UNSIGNED = 2**64 - 1
_MIN_SIGNED = -(2**63)


class ParseError(Exception):
    """Parameters that the storage server refuses; the text is its own."""


def is_integer(value: object) -> bool:
    """A JSON integer of at most 64 bits (true and false are none)."""
    return type(value) is int and _MIN_SIGNED <= value <= _MAX_UNSIGNED


def is_unsigned(value: object) -> bool:
    """A JSON integer of at most 64 bits, not negative."""
    return type(value) is int and 0 <= value <= _MAX_UNSIGNED


def is_base64(text: str) -> bool:
    """Standard alphabet; padding may be left out."""
    if not _BASE64.match(text):
        return False
    return len(text) % 4 == 0 if text.endswith("=") else len(text) % 4 != 1


def from_base64(text: str) -> bytes:
    """Decode what `is_base64` accepted."""
    return base64.b64decode(text + "=" * (-len(text) % 4))


def is_hex(text: str) -> bool:
    """Whole bytes in hex, in either case."""
    return bool(_HEX.match(text))


class Fields:
    """The parameters of one call. Null is the same as absent; a wrong type raises ParseError."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def _wrong(self, name: str, expected: str) -> ParseError:
        return ParseError(f"Invalid value given for '{name}': expected {expected}")

    def text(self, name: str) -> str | None:
        value = self._values.get(name)
        if value is not None and not isinstance(value, str):
            raise self._wrong(name, "string")
        return value

    def boolean(self, name: str) -> bool:
        value = self._values.get(name)
        if value is not None and not isinstance(value, bool):
            raise self._wrong(name, "boolean")
        return bool(value)

    def integer(self, name: str) -> int | None:
        value = self._values.get(name)
        if value is not None and not is_integer(value):
            raise self._wrong(name, "integer")
        return value

    def namespace(self, name: str) -> int | None:
        value = self._values.get(name)
        if value is None:
            return None
        if not is_integer(value):
            raise self._wrong(name, "16-bit integer")
        return self._in_range(name, value)

    def namespaces(self, name: str) -> Namespaces:
        """One namespace or all; 0 if absent."""
        value = self._values.get(name)
        if value is None:
            return 0
        if value == ALL_NAMESPACES:
            return ALL_NAMESPACES
        if not is_integer(value):
            raise self._wrong(name, 'integer or "all"')
        return self._in_range(name, value)

    def _in_range(self, name: str, value: int) -> int:
        if not NAMESPACE_MIN <= value <= NAMESPACE_MAX:
            raise ParseError(f"Invalid value given for '{name}': value out of range")
        return value

    def timestamp(self, name: str) -> int | None:
        """Milliseconds since 1970."""
        value = self._values.get(name)
        if value is None:
            return None
        if not is_unsigned(value):
            raise self._wrong(name, "integer timestamp (in milliseconds)")
        if value < _EARLIEST_MS:
            raise ParseError(f"Invalid timestamp for '{name}': timestamp must be in milliseconds")
        return int(value)

    def timestamps(self, name: str) -> list[int] | None:
        """A list, or a single one."""
        value = self._values.get(name)
        if value is None:
            return None
        listed = value if isinstance(value, list) else [value]
        if not all(map(is_unsigned, listed)):
            raise self._wrong(name, "timestamp array")
        return listed

    def texts(self, name: str) -> list[str] | None:
        """A list, or a single one."""
        value = self._values.get(name)
        if value is None:
            return None
        listed = value if isinstance(value, list) else [value]
        if not all(isinstance(element, str) for element in listed):
            raise self._wrong(name, "string array")
        return listed

    def integers(self, name: str) -> list[int] | None:
        """A list, or a single one."""
        value = self._values.get(name)
        if value is None:
            return None
        listed = value if isinstance(value, list) else [value]
        if not all(map(is_integer, listed)):
            raise self._wrong(name, "integer array")
        return listed

    def decimal(self, name: str, *, unsigned: bool) -> int | None:
        """An integer, or the same in a string, as old clients send it."""
        value = self._values.get(name)
        if isinstance(value, str):
            if not _DECIMAL.match(value) or (unsigned and value.startswith("-")):
                raise ParseError(f"Invalid value given for '{name}': \"{value}\"")
            return int(value)
        if value is None:
            return None
        if unsigned and not is_unsigned(value):
            raise self._wrong(name, "positive integer")
        return self.integer(name)


def required(name: str, value: T | None) -> T:
    """The value, or the error that it is missing."""
    if value is None:
        raise ParseError(f"Required field '{name}' missing")
    return value


def at_most_one(first: str, a: object, second: str, b: object) -> None:
    """Refuse two fields that exclude each other."""
    if a is not None and b is not None:
        raise ParseError(f"Cannot specify both '{first}' and '{second}'")
