"""How the values of an entry are read from its tree and written into it.

A field reads one value from one or two keys. What is missing, of another type or out of range reads as the value that
nothing was ever set to. Writing touches the field's own keys alone, and `write_fields` only the fields that have
changed: so what another version wrote, and this one doesn't understand, stays as it was.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from ...errors import InvalidInput
from ..account import AccountId
from ..content import MAX_NAME_BYTES
from ..payload import Expiration, ExpirationMode
from .tree import Tree

MAX_PICTURE_URL_BYTES = 223
KEY_BYTES = 32
ID_BYTES = 33
_MICROSECONDS_FROM = 9_000_000_000_000
_MILLISECONDS_FROM = 9_000_000_000

T = TypeVar("T")


class NotifyMode(enum.IntEnum):
    """When a conversation notifies."""

    DEFAULT = 0
    ALL = 1
    DISABLED = 2
    MENTIONS = 3


@dataclass(frozen=True, slots=True)
class Picture:
    """Where a profile picture lies, and the key (32 bytes) that decrypts it."""

    url: str
    key: bytes = field(repr=False)


class Field(Protocol):
    """One value of an entry. `always` fields are written into every entry, so that it never is empty."""

    @property
    def always(self) -> bool: ...

    def read(self, tree: Tree) -> Any: ...

    def write(self, tree: Tree, value: Any) -> Tree: ...


def read_fields(fields: Mapping[str, Field], tree: Tree) -> dict[str, Any]:
    """The values of an entry, by their names."""
    return {name: field.read(tree) for name, field in fields.items()}


def write_fields(fields: Mapping[str, Field], tree: Tree, entry: object) -> Tree:
    """The tree of an entry with the values that `entry` has in attributes of the fields' names."""
    for name, field_ in fields.items():
        value = getattr(entry, name)
        if field_.always or value != field_.read(tree):
            tree = field_.write(tree, value)
    return tree


def integer(tree: Tree, key: bytes) -> int:
    """An integer, or 0."""
    value = tree.get(key)
    return value if isinstance(value, int) else 0


def blob(tree: Tree, key: bytes, size: int) -> bytes | None:
    """Bytes of this size, or None."""
    value = tree.get(key)
    return value if isinstance(value, bytes) and len(value) == size else None


def text(tree: Tree, key: bytes, limit: int) -> str:
    """Text, cut to `limit` bytes of UTF-8; or nothing."""
    value = tree.get(key)
    return value[:limit].decode(errors="ignore") if isinstance(value, bytes) else ""


def seconds_of(time: int) -> int:
    """A time in seconds, which may have been written in milli- or microseconds."""
    if time > _MICROSECONDS_FROM:
        return time // 1_000_000
    return time // 1_000 if time > _MILLISECONDS_FROM else time


def id_bytes(account_id: str, prefix: str) -> bytes:
    """The 33 bytes of an id. Raises InvalidInput unless it is one of the kind whose prefix (two digits) this is."""
    try:
        raw = bytes.fromhex(account_id)
    except ValueError:
        raw = b""
    if len(raw) != ID_BYTES or not account_id.startswith(prefix):
        raise InvalidInput(f"An id of this kind has 66 hex digits beginning with {prefix}.")
    return raw


def id_text(raw: bytes, prefix: str) -> AccountId | None:
    """The id whose 33 bytes these are, or None if they are none of the kind."""
    return AccountId(raw.hex()) if len(raw) == ID_BYTES and raw[:1].hex() == prefix else None


@dataclass(frozen=True, slots=True)
class Flag:
    """The integer 1, or nothing."""

    key: bytes
    always: bool = False

    def read(self, tree: Tree) -> bool:
        return integer(tree, self.key) != 0

    def write(self, tree: Tree, value: bool) -> Tree:
        return tree.with_value([self.key], 1 if value else None)


@dataclass(frozen=True, slots=True)
class Number:
    """An integer other than 0, or nothing."""

    key: bytes
    always: bool = False

    def read(self, tree: Tree) -> int:
        return integer(tree, self.key)

    def write(self, tree: Tree, value: int) -> Tree:
        return tree.with_value([self.key], value or None)


@dataclass(frozen=True, slots=True)
class Positive:
    """An integer above 0, or nothing."""

    key: bytes
    always: bool = False

    def read(self, tree: Tree) -> int:
        return max(0, integer(tree, self.key))

    def write(self, tree: Tree, value: int) -> Tree:
        return tree.with_value([self.key], value if value > 0 else None)


@dataclass(frozen=True, slots=True)
class Seconds:
    """A time above 0, or nothing; some apps wrote it in finer units."""

    key: bytes
    always: bool = False

    def read(self, tree: Tree) -> int:
        return seconds_of(max(0, integer(tree, self.key)))

    def write(self, tree: Tree, value: int) -> Tree:
        return tree.with_value([self.key], seconds_of(value) if value > 0 else None)


@dataclass(frozen=True, slots=True)
class Text:
    """Text of limited length in bytes of UTF-8, cut at a character. Nothing for an empty one, unless `always`."""

    key: bytes
    limit: int = MAX_NAME_BYTES
    always: bool = False

    def read(self, tree: Tree) -> str:
        return text(tree, self.key, self.limit)

    def write(self, tree: Tree, value: str) -> Tree:
        if self.key in tree and value == self.read(tree):
            return tree
        cut = value.encode(errors="replace")[: self.limit].decode(errors="ignore").encode()
        return tree.with_value([self.key], cut if cut or self.always else None)


@dataclass(frozen=True, slots=True)
class Notify:
    """When to notify. Conversations with one person know no mentions: `mentions` false takes them for everything."""

    key: bytes
    mentions: bool = True
    always: bool = False

    def read(self, tree: Tree) -> NotifyMode:
        value = integer(tree, self.key)
        return self._allowed(NotifyMode(value) if 0 <= value <= max(NotifyMode) else NotifyMode.DEFAULT)

    def write(self, tree: Tree, value: NotifyMode) -> Tree:
        return tree.with_value([self.key], int(self._allowed(value)) or None)

    def _allowed(self, mode: NotifyMode) -> NotifyMode:
        return NotifyMode.ALL if mode is NotifyMode.MENTIONS and not self.mentions else mode


@dataclass(frozen=True, slots=True)
class Choice:
    """A member of an enumeration of integers, whose 0 is nothing."""

    key: bytes
    of: type[enum.IntEnum]
    always: bool = False

    def read(self, tree: Tree) -> enum.IntEnum:
        try:
            return self.of(integer(tree, self.key))
        except ValueError:
            return self.of(0)

    def write(self, tree: Tree, value: enum.IntEnum) -> Tree:
        return tree.with_value([self.key], int(value) or None)


@dataclass(frozen=True, slots=True)
class Pictured:
    """A picture: both of its keys, or none."""

    url_key: bytes = b"p"
    key_key: bytes = b"q"
    always: bool = False

    def read(self, tree: Tree) -> Picture | None:
        url, key = tree.get(self.url_key), blob(tree, self.key_key, KEY_BYTES)
        return Picture(url.decode(errors="replace"), key) if isinstance(url, bytes) and url and key else None

    def write(self, tree: Tree, value: Picture | None) -> Tree:
        """Raises InvalidInput for a picture that others could not read."""
        if value is None:
            return tree.with_values({self.url_key: None, self.key_key: None})
        url = value.url.encode(errors="replace")
        if not 0 < len(url) <= MAX_PICTURE_URL_BYTES or len(value.key) != KEY_BYTES:
            raise InvalidInput("A profile picture needs an address of at most 223 bytes and a key of 32.")
        return tree.with_values({self.url_key: url, self.key_key: value.key})


_MODES = {1: ExpirationMode.AFTER_SEND, 2: ExpirationMode.AFTER_READ}


@dataclass(frozen=True, slots=True)
class Expiring:
    """How messages disappear: mode and seconds, or neither."""

    mode_key: bytes = b"e"
    seconds_key: bytes = b"E"
    always: bool = False

    def read(self, tree: Tree) -> Expiration:
        mode = _MODES.get(integer(tree, self.mode_key))
        seconds = integer(tree, self.seconds_key)
        return Expiration(mode, seconds) if mode and seconds > 0 else Expiration()

    def write(self, tree: Tree, value: Expiration) -> Tree:
        number = next((number for number, mode in _MODES.items() if mode is value.mode), None)
        if number is None or value.seconds <= 0:
            return tree.with_values({self.mode_key: None, self.seconds_key: None})
        return tree.with_values({self.mode_key: number, self.seconds_key: value.seconds})


@dataclass(frozen=True, slots=True)
class Numbers:
    """A set of integers."""

    key: bytes
    always: bool = False

    def read(self, tree: Tree) -> frozenset[int]:
        value = tree.get(self.key)
        return (
            frozenset(item for item in value if isinstance(item, int)) if isinstance(value, frozenset) else frozenset()
        )

    def write(self, tree: Tree, value: frozenset[int]) -> Tree:
        return tree.with_value([self.key], value)


@dataclass(frozen=True, slots=True)
class Ids:
    """A set of account ids. Other things in the set stay there."""

    key: bytes
    prefix: str = "05"
    always: bool = False

    def read(self, tree: Tree) -> frozenset[AccountId]:
        value = tree.get(self.key)
        items = value if isinstance(value, frozenset) else frozenset()
        found = (id_text(item, self.prefix) for item in items if isinstance(item, bytes))
        return frozenset(account_id for account_id in found if account_id)

    def write(self, tree: Tree, value: frozenset[AccountId]) -> Tree:
        present = tree.get(self.key)
        others = present - set(map(bytes.fromhex, self.read(tree))) if isinstance(present, frozenset) else frozenset()
        return tree.with_value([self.key], others | {id_bytes(account_id, self.prefix) for account_id in value})


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes of a fixed size, or None."""

    key: bytes
    size: int = KEY_BYTES
    always: bool = False

    def read(self, tree: Tree) -> bytes | None:
        return blob(tree, self.key, self.size)

    def write(self, tree: Tree, value: bytes | None) -> Tree:
        if value is not None and len(value) != self.size:
            raise InvalidInput(f"A value of {self.size} bytes is needed here, not of {len(value)}.")
        return tree.with_value([self.key], value)
