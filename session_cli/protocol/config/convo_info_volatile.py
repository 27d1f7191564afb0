"""How far each conversation has been read.

An entry that is absent says nothing: old ones are left out, so that the config stays small.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass

from ...errors import InvalidInput
from . import fields, servers
from .tree import EMPTY, Tree

RECENT_MS = 30 * 24 * 60 * 60 * 1000
"""What was read longer ago is not written any more."""
STALE_MS = 45 * 24 * 60 * 60 * 1000
"""What was read longer ago is removed; so apps whose clocks differ don't add and remove in turns."""
_COMMUNITIES = b"o"
_LAST_READ = b"r"
_LEGACY_BLINDING = fields.Flag(b"y")


class ConversationKind(enum.Enum):
    """With whom; beside these there are communities. The value is the key under which the entries stand."""

    ONE_TO_ONE = b"1"
    GROUP = b"g"
    LEGACY_GROUP = b"C"
    BLINDED = b"b"

    @property
    def prefixes(self) -> tuple[str, ...]:
        """What ids begin with."""
        match self:
            case ConversationKind.GROUP:
                return ("03",)
            case ConversationKind.BLINDED:
                return "15", "25"
            case _:
                return ("05",)


@dataclass(frozen=True, slots=True)
class ReadState:
    """The time of the last message that was read (ms, 0 if none), and whether the user marked it as unread.

    `pro_expiry` and `pro_tag` (32 bytes) say which of a contact's subscriptions is current.
    """

    last_read_ms: int = 0
    unread: bool = False
    pro_expiry: int = 0
    pro_tag: bytes | None = None

    def is_stale(self, now_ms: int) -> bool:
        """Whether nobody needs to be told any more."""
        return not self.unread and self.last_read_ms < now_ms - STALE_MS


_FIELDS: dict[str, fields.Field] = {
    "last_read_ms": fields.Positive(_LAST_READ),
    "unread": fields.Flag(b"u"),
    "pro_expiry": fields.Positive(b"e"),
    "pro_tag": fields.Blob(b"g"),
}
_WRITTEN = {name: field for name, field in _FIELDS.items() if name != "last_read_ms"}


@dataclass(frozen=True, slots=True)
class ConvoInfoVolatile:
    """A view of the data of a ConvoInfoVolatile config. Ids that can't be of their kind raise InvalidInput."""

    data: Tree = EMPTY

    def get(self, kind: ConversationKind, conversation_id: str) -> ReadState | None:
        """The state of a conversation, or None."""
        entry = self.data.branch(*self._path(kind, conversation_id))
        return _read(entry) if entry else None

    def items(self, kind: ConversationKind) -> Iterator[tuple[str, ReadState]]:
        """All conversations of a kind: ids and states."""
        for key, entry in sorted(self.data.branch(kind.value).items()):
            if isinstance(entry, Tree) and (conversation_id := _id_of(kind, key, entry)):
                yield conversation_id, _read(entry)

    def with_read(
        self, kind: ConversationKind, conversation_id: str, state: ReadState, now_ms: int
    ) -> ConvoInfoVolatile:
        """With the state of a conversation. A time long past is left out, unless a later one stood there."""
        path = self._path(kind, conversation_id)
        entry = _write(self.data.branch(*path), state, now_ms)
        if kind is ConversationKind.BLINDED and entry:
            entry = _LEGACY_BLINDING.write(entry, conversation_id.startswith("15"))
        return ConvoInfoVolatile(self.data.with_value(path, entry))

    def without(self, kind: ConversationKind, conversation_id: str) -> ConvoInfoVolatile:
        """Without a conversation; the same if it is not there."""
        return ConvoInfoVolatile(self.data.with_value(self._path(kind, conversation_id), None))

    def community(self, base_url: str, room: str) -> ReadState | None:
        """The state of a community's room, or None. Raises InvalidUrl for one that can't be."""
        found = servers.room(self.data, servers.path(_COMMUNITIES, base_url, room))
        return _read(found.entry) if found else None

    def communities(self) -> Iterator[tuple[servers.Room, ReadState]]:
        """All rooms, and their states."""
        for room in servers.rooms(self.data, _COMMUNITIES):
            yield room, _read(room.entry)

    def with_community(
        self, base_url: str, room: str, server_key: bytes, state: ReadState, now_ms: int
    ) -> ConvoInfoVolatile:
        """With the state of a community's room; see `with_read`. Raises InvalidUrl and InvalidInput."""
        path = servers.path(_COMMUNITIES, base_url, room)
        entry = _write(self.data.branch(*path), state, now_ms)
        return ConvoInfoVolatile(servers.with_room(self.data, path, server_key, entry))

    def without_community(self, base_url: str, room: str) -> ConvoInfoVolatile:
        """Without a community's room; the same if it is not there. Raises InvalidUrl."""
        return ConvoInfoVolatile(servers.without_room(self.data, servers.path(_COMMUNITIES, base_url, room)))

    def without_stale(self, now_ms: int) -> ConvoInfoVolatile:
        """Without what was read long ago. To be called before each push."""
        view = self
        for kind in ConversationKind:
            for conversation_id, state in list(view.items(kind)):
                if state.is_stale(now_ms):
                    view = view.without(kind, conversation_id)
        for room, state in list(view.communities()):
            if state.is_stale(now_ms):
                view = view.without_community(room.base_url, room.name)
        return view

    def _path(self, kind: ConversationKind, conversation_id: str) -> tuple[bytes, bytes]:
        if conversation_id[:2] not in kind.prefixes:
            raise InvalidInput(f"An id of this kind begins with {' or '.join(kind.prefixes)}.")
        key = fields.id_bytes(conversation_id, conversation_id[:2])
        if kind is ConversationKind.BLINDED and self.data.branch(kind.value, key[1:]):
            return kind.value, key[1:]  # as some versions write it
        return kind.value, key


def _id_of(kind: ConversationKind, key: bytes, entry: Tree) -> str | None:
    if kind is ConversationKind.BLINDED and len(key) == fields.ID_BYTES - 1:
        return ("15" if _LEGACY_BLINDING.read(entry) else "25") + key.hex()
    return next((found for prefix in kind.prefixes if (found := fields.id_text(key, prefix))), None)


def _read(entry: Tree) -> ReadState:
    return ReadState(**fields.read_fields(_FIELDS, entry))


def _write(entry: Tree, state: ReadState, now_ms: int) -> Tree:
    entry = fields.write_fields(_WRITTEN, entry, state)
    if state.last_read_ms > now_ms - RECENT_MS or state.last_read_ms < fields.integer(entry, _LAST_READ):
        return entry.with_value([_LAST_READ], state.last_read_ms)
    return entry
