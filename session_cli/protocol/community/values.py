"""Reading what a community server wrote in JSON: each value is what it should be, or MalformedMessage is raised."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, NewType, TypeVar

from ...errors import MalformedMessage
from ..content import MAX_TIME_MS

T = TypeVar("T")

MemberId = NewType("MemberId", str)
"""Somebody as a community shows people: 66 lower-case hex digits beginning with 15, 25 or 05."""

MAX_NUMBER = 2**63 - 1
"""Of ids and counters: what a database's integer holds."""
_MOST_CONTAINERS = 200_000
"""Lists and objects in one answer: in memory they take many times the room that they have in the text."""
_MEMBER_ID = re.compile(r"(?:05|15|25)[0-9a-f]{64}\Z")


def parse_json(data: bytes) -> Any:
    """The value of a JSON text. Raises MalformedMessage, also for numbers that JSON does not have."""
    if data.count(b"[") + data.count(b"{") > _MOST_CONTAINERS:
        raise MalformedMessage("A community server's answer has more parts than make sense.")
    try:
        return json.loads(data, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise MalformedMessage("A community server's answer is not JSON.") from None


def mapping(value: Any) -> dict[str, Any]:
    """An object."""
    if not isinstance(value, dict):
        raise MalformedMessage("A community server sends something else in place of an object.")
    return value


def sequence(value: Any) -> list[Any]:
    """An array."""
    if not isinstance(value, list):
        raise MalformedMessage("A community server sends something else in place of a list.")
    return value


def number(value: Any) -> int:
    """A whole number that is an id, a counter or a size: not negative, of 63 bits."""
    if type(value) is not int or not 0 <= value <= MAX_NUMBER:
        raise MalformedMessage("A community server sends something else in place of a number.")
    return value


def flag(value: Any) -> bool:
    """A truth value. Some come as 0 or 1."""
    if isinstance(value, bool) or (type(value) is int and value in (0, 1)):
        return bool(value)
    raise MalformedMessage("A community server sends something else in place of true or false.")


def text(value: Any, longest: int) -> str:
    """A text, cut to the `longest` characters that anybody should have to read, and without halves of surrogates."""
    if not isinstance(value, str):
        raise MalformedMessage("A community server sends something else in place of a text.")
    return value[:longest].encode("utf-8", "replace").decode()


def time_ms(value: Any) -> int:
    """A time in seconds, as ms; a fraction of a ms is dropped."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise MalformedMessage("A community server sends something else in place of a time.")
    if not 0 <= value <= MAX_TIME_MS / 1000:
        raise MalformedMessage("A community server names a time that no calendar has.")
    return math.floor(value * 1000)


def blob(value: Any, longest: int) -> bytes:
    """Bytes from base64, padded or not; no more than `longest`."""
    if not isinstance(value, str) or len(value) > (longest + 2) // 3 * 4:
        raise MalformedMessage("A community server sends something else in place of bytes, or too many of them.")
    try:
        data = base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
    except ValueError:
        raise MalformedMessage("A community server sends bytes that are not base64.") from None
    if len(data) > longest:
        raise MalformedMessage("A community server sends more bytes than there can be.")
    return data


def member_id(value: Any) -> MemberId:
    """An id of one of the three kinds. That its key is a point shows when it is used."""
    if not isinstance(value, str) or not _MEMBER_ID.match(value):
        raise MalformedMessage("A community server sends something else in place of an id.")
    return MemberId(value)


def optional(values: dict[str, Any], name: str, read: Callable[[Any], T]) -> T | None:
    """A value of an object, or None if it is missing or null."""
    value = values.get(name)
    return None if value is None else read(value)


def each(values: Iterable[Any], read: Callable[[Any], T], most: int) -> tuple[T, ...]:
    """The values of a list that are what they should be, of the first `most`."""
    found = []
    for value in islice(values, most):
        try:
            found.append(read(value))
        except MalformedMessage:
            continue
    return tuple(found)


def _refuse(name: str) -> Any:
    raise ValueError(name)
