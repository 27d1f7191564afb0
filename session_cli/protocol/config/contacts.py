"""The people that an account knows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ..account import AccountId
from ..blinding import BlindedId
from ..payload import Expiration
from . import fields, servers
from .fields import NotifyMode, Picture
from .tree import EMPTY, Tree

_CONTACTS = b"c"
_BLINDED = b"b"


@dataclass(frozen=True, slots=True)
class Contact:
    """One person. Times are in seconds, 0 if there is none; `priority` is above 0 if pinned, -1 if hidden."""

    account_id: AccountId
    name: str = ""
    nickname: str = ""
    picture: Picture | None = None
    profile_updated: int = 0
    approved: bool = False
    approved_me: bool = False
    blocked: bool = False
    priority: int = 0
    notify: NotifyMode = NotifyMode.DEFAULT
    muted_until: int = 0
    expiration: Expiration = field(default_factory=Expiration)
    created: int = 0
    pro_features: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class BlindedContact:
    """Somebody known from a community alone, by the id that hides the account there."""

    blinded_id: BlindedId
    base_url: str
    server_key: bytes
    name: str = ""
    picture: Picture | None = None
    profile_updated: int = 0
    priority: int = 0
    created: int = 0
    pro_features: frozenset[int] = frozenset()


_FIELDS: dict[str, fields.Field] = {
    "name": fields.Text(b"n", always=True),
    "nickname": fields.Text(b"N"),
    "picture": fields.Pictured(),
    "profile_updated": fields.Positive(b"t"),
    "approved": fields.Flag(b"a"),
    "approved_me": fields.Flag(b"A"),
    "blocked": fields.Flag(b"b"),
    "priority": fields.Number(b"+"),
    "notify": fields.Notify(b"@", mentions=False),
    "muted_until": fields.Seconds(b"!"),
    "expiration": fields.Expiring(),
    "created": fields.Seconds(b"j"),
    "pro_features": fields.Numbers(b"f"),
}
_BLINDED_FIELDS: dict[str, fields.Field] = {
    name: _FIELDS[name] for name in ("name", "picture", "profile_updated", "priority", "created", "pro_features")
}
_LEGACY_BLINDING = fields.Flag(b"y")
_LEGACY_PREFIX, _PREFIX = "15", "25"


@dataclass(frozen=True, slots=True)
class Contacts:
    """A view of the data of a Contacts config."""

    data: Tree = EMPTY

    def get(self, account_id: AccountId) -> Contact | None:
        """The contact of this id. Raises InvalidInput if it is no account's."""
        entry = self.data.branch(_CONTACTS).get(fields.id_bytes(account_id, "05"))
        return Contact(account_id, **fields.read_fields(_FIELDS, entry)) if isinstance(entry, Tree) else None

    def __iter__(self) -> Iterator[Contact]:
        """All contacts, in the order of their ids."""
        for key, entry in sorted(self.data.branch(_CONTACTS).items()):
            account_id = fields.id_text(key, "05")
            if account_id and isinstance(entry, Tree):
                yield Contact(account_id, **fields.read_fields(_FIELDS, entry))

    def with_contact(self, contact: Contact) -> Contacts:
        """With this contact, new or changed. Raises InvalidInput for an id or a picture that can't be."""
        path = (_CONTACTS, fields.id_bytes(contact.account_id, "05"))
        entry = fields.write_fields(_FIELDS, self.data.branch(*path), contact)
        return Contacts(self.data.with_value(path, entry))

    def without_contact(self, account_id: AccountId) -> Contacts:
        """Without this contact; the same if there is none."""
        return Contacts(self.data.with_value((_CONTACTS, fields.id_bytes(account_id, "05")), None))

    def blinded(self) -> Iterator[BlindedContact]:
        """Those who are known from communities alone."""
        for room in servers.rooms(self.data, _BLINDED):
            prefix = _LEGACY_PREFIX if _LEGACY_BLINDING.read(room.entry) else _PREFIX
            if fields.id_text(_bytes_of(prefix + room.name), prefix):
                values = fields.read_fields(_BLINDED_FIELDS, room.entry)
                yield BlindedContact(BlindedId(prefix + room.name), room.base_url, room.server_key, **values)

    def with_blinded(self, contact: BlindedContact) -> Contacts:
        """With this blinded contact, new or changed. Raises InvalidInput for an id, address or key that can't be."""
        prefix = contact.blinded_id[:2]
        legacy = prefix == _LEGACY_PREFIX
        fields.id_bytes(contact.blinded_id, _LEGACY_PREFIX if legacy else _PREFIX)
        path = servers.path(_BLINDED, contact.base_url, contact.blinded_id[2:])
        entry = fields.write_fields(_BLINDED_FIELDS, self.data.branch(*path), contact)
        entry = _LEGACY_BLINDING.write(entry, legacy)
        return Contacts(servers.with_room(self.data, path, contact.server_key, entry))

    def without_blinded(self, contact: BlindedContact) -> Contacts:
        """Without this blinded contact; the same if there is none."""
        path = servers.path(_BLINDED, contact.base_url, contact.blinded_id[2:])
        return Contacts(servers.without_room(self.data, path))


def _bytes_of(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""
