"""The groups and communities that an account is in."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from nacl import bindings as sodium

from ...errors import InvalidInput
from ..account import AccountId
from . import fields, servers
from .fields import NotifyMode
from .tree import EMPTY, Tree

AUTH_DATA_BYTES = 100
_GROUPS, _COMMUNITIES, _LEGACY_GROUPS = b"g", b"o", b"C"
_SEED, _AUTH_DATA = b"K", b"s"
_LEGACY_PUBLIC, _LEGACY_SECRET = b"k", b"K"


class Removed(enum.IntEnum):
    """Whether the account is still in a group. `DESTROYED` is final."""

    NOT = 0
    KICKED = 1
    DESTROYED = 2


@dataclass(frozen=True, slots=True)
class _Conversation:
    """What all have. Times are in seconds, 0 if there is none; `priority` is above 0 if pinned, -1 if hidden.

    `invited` is an invitation that was not accepted yet.
    """

    priority: int = 0
    joined_at: int = 0
    notify: NotifyMode = NotifyMode.DEFAULT
    muted_until: int = 0
    invited: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Group(_Conversation):
    """A group. `seed` (32 bytes) is what admins have, `auth_data` (100 bytes) what lets other members in."""

    group_id: AccountId
    name: str = ""
    seed: bytes | None = field(default=None, repr=False)
    auth_data: bytes | None = field(default=None, repr=False)
    removed: Removed = Removed.NOT

    @property
    def is_admin(self) -> bool:
        """Whether the account can sign for the group."""
        return self.seed is not None

    def kicked(self) -> Group:
        """After the account was removed from it."""
        removed = Removed.DESTROYED if self.removed is Removed.DESTROYED else Removed.KICKED
        return replace(self, seed=None, auth_data=None, removed=removed)

    def destroyed(self) -> Group:
        """After an admin ended it."""
        return replace(self, seed=None, auth_data=None, removed=Removed.DESTROYED)

    def invited_again(self) -> Group:
        """After a new invitation, which a group that was ended can't have."""
        return replace(self, removed=Removed.NOT) if self.removed is Removed.KICKED else self


@dataclass(frozen=True, slots=True, kw_only=True)
class Community(_Conversation):
    """A room of a community server (key: 32 bytes). `room` is as its people write it."""

    base_url: str
    room: str
    server_key: bytes


@dataclass(frozen=True, slots=True)
class LegacyKeys:
    """The X25519 key pair of a legacy group (32 bytes each)."""

    public: bytes
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacyGroup(_Conversation):
    """A group of the old kind, which no app sends to any more. `timer` is in seconds, 0 for none."""

    group_id: AccountId
    name: str = ""
    keys: LegacyKeys | None = None
    members: frozenset[AccountId] = frozenset()
    admins: frozenset[AccountId] = frozenset()
    timer: int = 0


@dataclass(frozen=True, slots=True)
class _LegacyKeyPair:
    always: bool = False

    def read(self, tree: Tree) -> LegacyKeys | None:
        public = fields.blob(tree, _LEGACY_PUBLIC, fields.KEY_BYTES)
        secret = fields.blob(tree, _LEGACY_SECRET, fields.KEY_BYTES)
        return LegacyKeys(public, secret) if public and secret else None

    def write(self, tree: Tree, value: LegacyKeys | None) -> Tree:
        if value and not len(value.public) == len(value.secret) == fields.KEY_BYTES:
            raise InvalidInput("The keys of a legacy group have 32 bytes each.")
        public, secret = (value.public, value.secret) if value else (None, None)
        return tree.with_values({_LEGACY_PUBLIC: public, _LEGACY_SECRET: secret})


_COMMON: dict[str, fields.Field] = {
    "priority": fields.Number(b"+"),
    "joined_at": fields.Seconds(b"j"),
    "notify": fields.Notify(b"@"),
    "muted_until": fields.Seconds(b"!"),
    "invited": fields.Flag(b"i"),
}
_GROUP_FIELDS: dict[str, fields.Field] = {
    **_COMMON,
    "name": fields.Text(b"n"),
    "removed": fields.Choice(b"r", Removed),
}
_COMMUNITY_FIELDS: dict[str, fields.Field] = {**_COMMON, "room": fields.Text(b"n", always=True)}
_LEGACY_FIELDS: dict[str, fields.Field] = {
    **_COMMON,
    "name": fields.Text(b"n", always=True),
    "keys": _LegacyKeyPair(),
    "members": fields.Ids(b"m"),
    "admins": fields.Ids(b"a"),
    "timer": fields.Positive(b"E"),
}


@dataclass(frozen=True, slots=True)
class UserGroups:
    """A view of the data of a UserGroups config. Ids that can't be of their kind raise InvalidInput."""

    data: Tree = EMPTY

    def group(self, group_id: AccountId) -> Group | None:
        """The group of this id, or None."""
        entry = self.data.branch(_GROUPS, fields.id_bytes(group_id, "03"))
        return _read_group(group_id, entry) if entry else None

    def groups(self) -> Iterator[Group]:
        """All groups, in the order of their ids."""
        for key, entry in sorted(self.data.branch(_GROUPS).items()):
            group_id = fields.id_text(key, "03")
            if group_id and isinstance(entry, Tree):
                yield _read_group(group_id, entry)

    def with_group(self, group: Group) -> UserGroups:
        """With this group, new or changed. A seed that is not the group's is left out."""
        path = (_GROUPS, fields.id_bytes(group.group_id, "03"))
        entry = fields.write_fields(_GROUP_FIELDS, self.data.branch(*path), group)
        if _SEED not in entry or _access(group.group_id, entry) != (group.seed, group.auth_data):
            if group.auth_data is not None and len(group.auth_data) != AUTH_DATA_BYTES:
                raise InvalidInput(f"What lets a member into a group has {AUTH_DATA_BYTES} bytes.")
            if _is_seed_of(group.group_id, group.seed):
                entry = entry.with_value([_SEED], group.seed)
            else:
                entry = entry.with_values({_SEED: b"", _AUTH_DATA: group.auth_data})
        return UserGroups(self.data.with_value(path, entry))

    def without_group(self, group_id: AccountId) -> UserGroups:
        """Without this group; the same if it is not there."""
        return UserGroups(self.data.with_value((_GROUPS, fields.id_bytes(group_id, "03")), None))

    def community(self, base_url: str, room: str) -> Community | None:
        """The room of this name, however it is written, or None. Raises InvalidUrl for one that can't be."""
        found = servers.room(self.data, servers.path(_COMMUNITIES, base_url, room))
        return _read_community(found) if found else None

    def communities(self) -> Iterator[Community]:
        """All rooms, by server."""
        yield from map(_read_community, servers.rooms(self.data, _COMMUNITIES))

    def with_community(self, community: Community) -> UserGroups:
        """With this room, new or changed. Raises InvalidUrl and InvalidInput."""
        path = servers.path(_COMMUNITIES, community.base_url, community.room)
        entry = fields.write_fields(_COMMUNITY_FIELDS, self.data.branch(*path), community)
        return UserGroups(servers.with_room(self.data, path, community.server_key, entry))

    def without_community(self, base_url: str, room: str) -> UserGroups:
        """Without this room; the same if it is not there. Raises InvalidUrl."""
        return UserGroups(servers.without_room(self.data, servers.path(_COMMUNITIES, base_url, room)))

    def legacy_groups(self) -> Iterator[LegacyGroup]:
        """All groups of the old kind, in the order of their ids."""
        for key, entry in sorted(self.data.branch(_LEGACY_GROUPS).items()):
            group_id = fields.id_text(key, "05")
            if group_id and isinstance(entry, Tree):
                yield LegacyGroup(group_id=group_id, **fields.read_fields(_LEGACY_FIELDS, entry))

    def with_legacy_group(self, group: LegacyGroup) -> UserGroups:
        """With this group of the old kind, new or changed."""
        path = (_LEGACY_GROUPS, fields.id_bytes(group.group_id, "05"))
        entry = fields.write_fields(_LEGACY_FIELDS, self.data.branch(*path), group)
        return UserGroups(self.data.with_value(path, entry))

    def without_legacy_group(self, group_id: AccountId) -> UserGroups:
        """Without this group of the old kind; the same if it is not there."""
        return UserGroups(self.data.with_value((_LEGACY_GROUPS, fields.id_bytes(group_id, "05")), None))


def _read_group(group_id: AccountId, entry: Tree) -> Group:
    seed, auth_data = _access(group_id, entry)
    return Group(group_id=group_id, seed=seed, auth_data=auth_data, **fields.read_fields(_GROUP_FIELDS, entry))


def _access(group_id: AccountId, entry: Tree) -> tuple[bytes | None, bytes | None]:
    seed = fields.blob(entry, _SEED, fields.KEY_BYTES)
    return seed if _is_seed_of(group_id, seed) else None, fields.blob(entry, _AUTH_DATA, AUTH_DATA_BYTES)


def _is_seed_of(group_id: AccountId, seed: bytes | None) -> bool:
    return (
        seed is not None
        and len(seed) == fields.KEY_BYTES
        and sodium.crypto_sign_seed_keypair(seed)[0].hex() == group_id[2:]
    )


def _read_community(room: servers.Room) -> Community:
    values = fields.read_fields(_COMMUNITY_FIELDS, room.entry)
    if values["room"].lower() != room.name:
        values["room"] = room.name
    return Community(base_url=room.base_url, server_key=room.server_key, **values)
