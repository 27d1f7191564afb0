"""The keys that a group's messages and configs are encrypted with, as one device has them.

Every change of the keys is one signed message in the swarm. A full one has a new key, of the next generation, encrypted
for each member; a supplement has the keys that there are, for members who come later. They lie there side by side:

    full         d 1:# nonce  1:G generation  1:K key for admins  1:k list of keys for members, then of noise  1:~ e
    supplement   d 1:# nonce  1:+ list of lists of keys  1:G generation  1:~ e

An admin computes the same message from the same list of members every time, and so do two admins at once.

    poll     loaded = keys.load_all(stored, identity, group); go on with loaded.keys
    change   rekeyed = keys.rekey(group, members); store rekeyed.pending.message with the configs that it encrypts

A value never changes. If a push fails, go on with the keys from before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, pairwise

from nacl import bindings as sodium

from ...errors import InvalidInput, MalformedMessage, ProtocolError
from .. import bencode, signed_dict
from ..account import AccountId, Identity, key_of
from ..config.state import ConfigKeys
from .identity import GroupIdentity, keyed_hash, shared_key, x25519_of_group
from .multi_encrypt import NONCE_BYTES, TAG_BYTES, open_first, seal, unseal

KEY_BYTES = 32
LIST_MULTIPLE = 45
"""The list for members is filled up to a multiple of this, so that it tells little of how many there are."""
LIFETIME_MS = 60 * 24 * 3600 * 1000
"""How long before the newest key a key was replaced that is of no use any more: twice what a swarm keeps."""
MAX_GENERATION = 2**62
"""The highest generation that is believed: none could follow the highest possible one."""

_SEALED_BYTES = KEY_BYTES + TAG_BYTES
_NONCE, _SUPPLEMENT, _GENERATION, _ADMIN_KEY, _MEMBER_KEYS = b"#", b"+", b"G", b"K", b"k"
_LEAST_SUPPLEMENT_BYTES = 52 + TAG_BYTES
_MEMBER_DOMAIN = b"SessionGroupKeyMemberKey"


@dataclass(frozen=True, slots=True, order=True)
class GroupKey:
    """One key (32 bytes), and when the swarm got it (ms)."""

    generation: int
    timestamp_ms: int
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class PendingKey:
    """A key that its admin uses already; `message` has yet to come back from the swarm."""

    message: bytes = field(repr=False)
    generation: int
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class StoredKeys:
    """A message with keys as it comes from the swarm: its hash, the swarm's time of it (ms), its bytes."""

    hash: str
    timestamp_ms: int
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came of messages with keys: the keys there are now, and the hashes of the messages that counted.

    `found` are those of them with a key for this account. `refused` says what was wrong with the others.
    """

    keys: GroupKeys
    accepted: tuple[str, ...]
    found: tuple[str, ...]
    refused: tuple[tuple[str, ProtocolError], ...]


@dataclass(frozen=True, slots=True)
class GroupKeys:
    """A group's keys on one device. Begins without any.

    `keys` ascend by generation and time. `hashes` are the swarm's, of the messages of each generation that is still
    held, whether or not they had a key for this account.
    """

    group_id: AccountId
    keys: tuple[GroupKey, ...] = ()
    hashes: Mapping[int, frozenset[str]] = field(default_factory=dict)
    pending: PendingKey | None = None

    @property
    def encryption_keys(self) -> tuple[bytes, ...]:
        """The first one encrypts, all decrypt: the newest first, a pending one before all. Empty without any."""
        known = [held.key for held in reversed(self.keys)]
        return tuple(dict.fromkeys([self.pending.key, *known] if self.pending else known))

    @property
    def generation(self) -> int:
        """The generation of the newest key in the swarm, 0 without any: what a notice of removal has to name."""
        return self.keys[-1].generation if self.keys else 0

    @property
    def active_hashes(self) -> frozenset[str]:
        """The messages whose expiry in the swarm has to be put off."""
        return frozenset().union(*self.hashes.values())

    @property
    def needs_rekey(self) -> bool:
        """Whether two admins have changed the keys at once, for different members, and none has changed them again."""
        if len(self.keys) < 2 or (self.pending and self.pending.generation > self.generation):
            return False
        return self.keys[-1].generation == self.keys[-2].generation

    def config_keys(self, group: GroupIdentity | None = None) -> ConfigKeys:
        """What opens and closes the messages of the group's configs; with `group`, an admin's, what signs them."""
        return ConfigKeys(self.encryption_keys, verify_key=key_of(self.group_id), sign=group.sign if group else None)

    def rekey(self, group: GroupIdentity, members: Iterable[AccountId]) -> GroupKeys:
        """With a new key, pending. `members` are all in the list of members, admins and those to be removed included.

        The configs have to be pushed with it: they are to be encrypted with the new key. Raises InvalidInput.
        """
        generation = self.keys[-1].generation + 1 if self.keys else 0
        ids = sorted(set(members))
        material = keyed_hash(
            b"SessionGroupKeyGen",
            "".join(ids).encode() + b"%d" % generation + _seed_hash(group),
            KEY_BYTES + NONCE_BYTES,
        )
        key, nonce = material[:KEY_BYTES], material[KEY_BYTES:]
        sealed = [seal(shared, nonce, key) for shared in _member_keys(group, ids)]
        unsigned = bencode.encode(
            {
                _NONCE: nonce,
                _GENERATION: generation,
                _ADMIN_KEY: seal(_admin_key(group), nonce, key),
                _MEMBER_KEYS: [*sealed, *_noise(group, material, -len(sealed) % LIST_MULTIPLE)],
            }
        )
        return replace(self, pending=PendingKey(signed_dict.sign(unsigned, group.sign), generation, key))

    def supplement(self, group: GroupIdentity, members: Sequence[AccountId]) -> bytes:
        """The message that gives members all keys there are, but a pending one. Raises InvalidInput without any key."""
        if not self.keys:
            raise InvalidInput("A group without keys has none to give to new members.")
        disclosed = bencode.encode([{b"g": one.generation, b"k": one.key, b"t": one.timestamp_ms} for one in self.keys])
        seed_hash = _seed_hash(group)
        nonce = keyed_hash(b"SessionGroupKeyGen", "".join(members).encode() + disclosed + seed_hash, NONCE_BYTES)
        unsigned = bencode.encode(
            {
                _NONCE: nonce,
                _SUPPLEMENT: [seal(shared, nonce, disclosed) for shared in _member_keys(group, members)],
                _GENERATION: self.generation,
            }
        )
        return signed_dict.sign(unsigned, group.sign)

    def load_all(self, stored: Iterable[StoredKeys], identity: Identity, group: GroupIdentity | None = None) -> Loaded:
        """Take in messages from the swarm, in any order. Never raises for what a message holds. See `load`."""
        keys = self
        accepted: list[str] = []
        found: list[str] = []
        refused: list[tuple[str, ProtocolError]] = []
        for message in stored:
            try:
                keys, had_key = keys.load(message, identity, group)
            except ProtocolError as error:
                refused.append((message.hash, error))
                continue
            accepted.append(message.hash)
            if had_key:
                found.append(message.hash)
        return Loaded(keys, tuple(accepted), tuple(found), tuple(refused))

    def load(
        self, stored: StoredKeys, identity: Identity, group: GroupIdentity | None = None
    ) -> tuple[GroupKeys, bool]:
        """Take in one message: the keys there are now, and whether it had any for this account (known or not).

        `group` is what admins have; they read their own part. Raises MalformedMessage and BadSignature.
        """
        generation, new_keys = _read(stored, self.group_id, identity, group)
        if not new_keys:
            return self._with_hash(generation, stored.hash)._without_expired(), False
        keys = self
        for new in new_keys:
            keys = keys._with_hash(new.generation, stored.hash)._with_key(new)
        pending = self.pending
        if pending and any(new.key == pending.key or new.generation > pending.generation for new in new_keys):
            keys = replace(keys, pending=None)
        return keys._without_expired(), True

    def _with_hash(self, generation: int, message_hash: str) -> GroupKeys:
        known = self.hashes.get(generation, frozenset())
        return replace(self, hashes={**self.hashes, generation: known | {message_hash}})

    def _with_key(self, new: GroupKey) -> GroupKeys:
        """With this key; the same if it is held already, in the same generation and under whichever time."""
        if any((held.generation, held.key) == (new.generation, new.key) for held in self.keys):
            return self
        return replace(self, keys=tuple(sorted([*self.keys, new])))

    def _without_expired(self) -> GroupKeys:
        """Without the generations that were replaced too long ago, and without the hashes of generations not held."""
        kept = self.keys
        first_times = {generation: next(held).timestamp_ms for generation, held in groupby(kept, _generation_of)}
        generations = sorted(first_times)
        for older, newer in pairwise(generations):
            if first_times[newer] + LIFETIME_MS >= kept[-1].timestamp_ms:
                break
            kept = tuple(held for held in kept if held.generation > older)
        hashes = {
            generation: found for generation, found in self.hashes.items() if kept and generation >= kept[0].generation
        }
        return replace(self, keys=kept, hashes=hashes)


def _generation_of(key: GroupKey) -> int:
    return key.generation


def _seed_hash(group: GroupIdentity) -> bytes:
    return keyed_hash(b"SessionGroupKeySeed", group.seed)


def _admin_key(group: GroupIdentity) -> bytes:
    return keyed_hash(b"SessionGroupKeyAdminKey", group.seed)


def _member_keys(group: GroupIdentity, members: Iterable[AccountId]) -> list[bytes]:
    """What the group shares with each member. Ids whose key can't be used are passed over: nobody has them."""
    found = []
    for account_id in members:
        member = key_of(account_id)
        try:
            found.append(shared_key(group.x25519_secret, member, group.x25519_public, member, _MEMBER_DOMAIN))
        except InvalidInput:
            continue
    return found


def _noise(group: GroupIdentity, material: bytes, count: int) -> list[bytes]:
    """What can't be told from keys of further members, and is the same every time."""
    seed = keyed_hash(b"SessionGroupJunkMembers", material + group.ed25519_secret)
    stream = bytes(sodium.randombytes_buf_deterministic(count * _SEALED_BYTES, seed)) if count else b""
    return [stream[at : at + _SEALED_BYTES] for at in range(0, len(stream), _SEALED_BYTES)]


# Reading.


def _read(
    stored: StoredKeys, group_id: AccountId, identity: Identity, group: GroupIdentity | None
) -> tuple[int, list[GroupKey]]:
    """The generation of a message with keys, and the keys in it that are for this account."""
    signed_dict.verify(stored.data, key_of(group_id))
    fields = bencode.decode(stored.data)
    if not isinstance(fields, dict):
        raise MalformedMessage("A message with a group's keys is no dict.")
    nonce = fields.get(_NONCE)
    if not isinstance(nonce, bytes) or len(nonce) != NONCE_BYTES:
        raise MalformedMessage("A message with a group's keys has no nonce.")
    generation = _believable(fields.get(_GENERATION))
    if _SUPPLEMENT in fields:
        return generation, _read_supplement(fields[_SUPPLEMENT], nonce, group_id, identity, is_admin=group is not None)
    key = _read_full(fields, nonce, group_id, identity, group)
    return generation, [GroupKey(generation, stored.timestamp_ms, key)] if key else []


def _read_full(
    fields: dict[bytes, bencode.Value],
    nonce: bytes,
    group_id: AccountId,
    identity: Identity,
    group: GroupIdentity | None,
) -> bytes | None:
    for_admins, for_members = fields.get(_ADMIN_KEY), fields.get(_MEMBER_KEYS)
    if not isinstance(for_admins, bytes) or len(for_admins) != _SEALED_BYTES:
        raise MalformedMessage("A message with a group's keys has none for its admins.")
    if not isinstance(for_members, list) or len(for_members) % LIST_MULTIPLE:
        raise MalformedMessage(f"The number of keys for a group's members is no multiple of {LIST_MULTIPLE}.")
    if any(not isinstance(sealed, bytes) or len(sealed) != _SEALED_BYTES for sealed in for_members):
        raise MalformedMessage("A key for a group's member has the wrong size.")
    if group is None:
        return open_first(_own_key(group_id, identity), nonce, for_members)
    key = unseal(_admin_key(group), nonce, for_admins)
    if key is None:
        raise MalformedMessage("A message with a group's keys has none that its admins can read.")
    return key


def _read_supplement(
    lists: bencode.Value, nonce: bytes, group_id: AccountId, identity: Identity, *, is_admin: bool
) -> list[GroupKey]:
    if not isinstance(lists, list):
        raise MalformedMessage("A supplement to a group's keys has no list.")
    if any(not isinstance(sealed, bytes) or len(sealed) < _LEAST_SUPPLEMENT_BYTES for sealed in lists):
        raise MalformedMessage("A supplement to a group's keys holds something too short.")
    disclosed = None if is_admin else open_first(_own_key(group_id, identity), nonce, lists)
    if disclosed is None:
        return []
    listed = bencode.decode(disclosed)
    if not isinstance(listed, list):
        raise MalformedMessage("A supplement to a group's keys is no list.")
    return [_read_key(item) for item in listed]


def _read_key(value: bencode.Value) -> GroupKey:
    match value:
        case {b"g": int() as generation, b"k": bytes() as key, b"t": int() as timestamp_ms} if len(key) == KEY_BYTES:
            return GroupKey(_believable(generation), timestamp_ms, key)
    raise MalformedMessage("A supplement to a group's keys has a malformed key.")


def _believable(generation: bencode.Value | None) -> int:
    if not isinstance(generation, int) or not 0 <= generation <= MAX_GENERATION:
        raise MalformedMessage("The generation of a group's keys is out of range.")
    return generation


def _own_key(group_id: AccountId, identity: Identity) -> bytes:
    group = x25519_of_group(group_id)
    return shared_key(identity.x25519_secret, group, group, identity.x25519_public, _MEMBER_DOMAIN)
