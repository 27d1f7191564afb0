"""One config on one device: what it holds, what of it is in the swarm, and what is still to be pushed.

    poll    merged = state.merge(messages, keys, now_ms)
    change  state = state.with_data(UserProfile(state.data).with_name("Alice", now_s).data)
    push    pushed = state.push(keys, now_ms); store pushed.messages; then delete pushed.obsolete
            state = pushed.state.confirm_pushed(pushed.seqno, hashes)

A state never changes. If a push fails, go on with the state from before it. If the process dies between the store and
the confirmation, the next poll brings back what was stored, which confirms it as well.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from ...errors import DecryptionFailed, InvalidInput, ProtocolError
from ..account import Identity
from ..signed_dict import Signer
from . import message as messages
from . import multipart, sealing, wrapping
from .kinds import ConfigKind
from .message import INITIAL, ConfigMessage, Draft
from .multipart import PartStore
from .tree import EMPTY, Tree

MAX_OBSOLETE_HASHES = 256
"""How many messages are remembered to be deleted. A device that only ever reads would gather them without end, and the
swarm forgets them by itself."""


class Phase(enum.IntEnum):
    """Where the data is: in the swarm, changed since, or on its way."""

    CLEAN = 0
    DIRTY = 1
    WAITING = 2


@dataclass(frozen=True, slots=True)
class ConfigKeys:
    """What opens and closes the messages of a config, 32 bytes a key.

    `encryption`: the first one encrypts, all decrypt. `identity`: the account whose messages are wrapped. `verify_key`:
    the group (Ed25519) that has to have signed; `sign` is what its admins have.
    """

    encryption: tuple[bytes, ...] = field(repr=False)
    identity: Identity | None = None
    verify_key: bytes | None = None
    sign: Signer | None = field(default=None, repr=False)

    @classmethod
    def of_account(cls, identity: Identity) -> ConfigKeys:
        """The keys of all configs of an account."""
        return cls((identity.seed,), identity)

    @property
    def may_merge(self) -> bool:
        """Whether messages that this device writes would be taken by others."""
        return self.verify_key is None or self.sign is not None


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge gave: the new state, and the swarm's hashes of the messages that were understood, in order.

    `obsolete` are those that nobody needs any more once the state is pushed. `refused` says what was wrong with the
    others; they are left alone, as a later version may understand them. `newest` is the highest of those that came.
    """

    state: ConfigState
    accepted: tuple[str, ...]
    obsolete: frozenset[str]
    refused: tuple[tuple[str, ProtocolError], ...]
    newest: ConfigMessage | None = None


@dataclass(frozen=True, slots=True)
class Push:
    """What to store in the swarm, all of it, and which messages to delete there after that has succeeded."""

    state: ConfigState
    seqno: int
    messages: tuple[bytes, ...] = field(repr=False)
    obsolete: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Incoming:
    hashes: frozenset[str]
    message: ConfigMessage


@dataclass(frozen=True, slots=True)
class ConfigState:
    """One config on one device. Begins empty.

    `message` is a draft while there are changes to push. `current_hashes` are the swarm's hashes of the message that
    holds the data, of each part if it is in several.
    """

    kind: ConfigKind
    message: ConfigMessage | Draft = INITIAL
    phase: Phase = Phase.CLEAN
    current_hashes: frozenset[str] = frozenset()
    obsolete_hashes: frozenset[str] = frozenset()
    parts: PartStore = field(default_factory=PartStore)

    @property
    def data(self) -> Tree:
        """What the config holds, changes included."""
        return self.message.data

    @property
    def seqno(self) -> int:
        """The sequence number of the message that holds the data, or will."""
        return self.message.seqno

    @property
    def needs_push(self) -> bool:
        """Whether the swarm does not have the data yet."""
        return self.phase is not Phase.CLEAN and self.kind is not ConfigKind.LOCAL

    @property
    def active_hashes(self) -> frozenset[str]:
        """The messages whose expiry in the swarm has to be put off: those with the data, and parts of one to come."""
        return self.current_hashes | self.parts.waiting_hashes

    def with_data(self, data: Tree) -> ConfigState:
        """With other data. The state itself, if it is the same data."""
        if data is self.data or data == self.data:
            return self
        return self._begun(data)

    def renewed(self) -> ConfigState:
        """With a message to push although nothing has changed: after a group's key has, which is to encrypt it."""
        return self._begun(self.data)

    def _begun(self, data: Tree) -> ConfigState:
        if isinstance(self.message, Draft):
            return replace(self, message=replace(self.message, data=data))
        return replace(
            self,
            message=messages.draft_after(self.message, data),
            phase=Phase.DIRTY,
            current_hashes=frozenset(),
            obsolete_hashes=self.obsolete_hashes | self.current_hashes,
        )

    def redrafted(self, origin: Tree, seqno: int) -> ConfigState:
        """With the same draft, but as one that makes all of `origin` into its data under a lower sequence number.

        For drafts that came after messages which the swarm has never had.
        """
        if not isinstance(self.message, Draft):
            raise ValueError("only a draft can still be another message")
        return replace(self, message=messages.redraft(self.message, origin, seqno))

    def merge(self, stored: Iterable[tuple[str, bytes]], keys: ConfigKeys, now_ms: int) -> Merged:
        """Take in messages from the swarm: pairs of the swarm's hash and the bytes, in any order.

        `now_ms` (of the network's clock) tells parts of messages that have waited too long. Never raises for what a
        message holds.
        """
        state = replace(self, parts=self.parts.expire(now_ms))
        accepted: list[str] = []
        refused: list[tuple[str, ProtocolError]] = []
        incoming: list[_Incoming] = []
        for message_hash, data in stored:
            try:
                state, found = state._open(message_hash, data, keys, now_ms)
            except ProtocolError as error:
                refused.append((message_hash, error))
                continue
            accepted.append(message_hash)
            if found:
                incoming.append(found)
        if incoming:
            state = state._take_in(incoming, keys)
        obsolete = state.obsolete_hashes - self.obsolete_hashes if keys.may_merge else frozenset()
        state = replace(state, obsolete_hashes=_limited(obsolete, self.obsolete_hashes - state.current_hashes))
        newest = max((item.message for item in incoming), key=lambda message: message.order, default=None)
        return Merged(state, tuple(accepted), obsolete, tuple(refused), newest)

    def _open(
        self, message_hash: str, stored: bytes, keys: ConfigKeys, now_ms: int
    ) -> tuple[ConfigState, _Incoming | None]:
        """Decrypt and read one message; nothing yet for a part of one that is not complete, or that is known."""
        if keys.identity and self.kind.wrapped_as is not None:
            stored = wrapping.unwrap(keys.identity, self.kind, stored)
        payload = sealing.unpad(_decrypt(stored, keys.encryption, self.kind.domain))
        state, hashes = self, [message_hash]
        if payload.startswith(multipart.MARK):
            parts, whole = self.parts.add(multipart.parse(payload), message_hash, now_ms)
            state = replace(self, parts=parts)
            if whole is None:
                return state, None
            payload, hashes = sealing.unpad(whole.payload), list(whole.hashes)
        plaintext = sealing.decompress(payload)
        return state, _Incoming(frozenset(hashes), messages.parse(plaintext, verify_key=keys.verify_key))

    def _take_in(self, incoming: list[_Incoming], keys: ConfigKeys) -> ConfigState:
        known = [self._finished(keys)] if self.seqno else []
        found = [*known, *(item.message for item in incoming)]
        all_hashes = self.current_hashes.union(*(item.hashes for item in incoming))
        resolution = messages.resolve(found, may_merge=keys.may_merge)
        if resolution.draft:
            draft = resolution.draft
            if self.phase is not Phase.DIRTY:
                # Devices that had nothing of their own to add make the same bytes, if they all do as the official
                # library does: it calls everything new in this case, and nothing in the other.
                draft = replace(draft, origin=EMPTY)
            return replace(
                self,
                message=draft,
                phase=Phase.DIRTY,
                current_hashes=frozenset(),
                obsolete_hashes=self.obsolete_hashes | all_hashes,
            )
        taken = found[resolution.taken or 0]
        copies = [item for item in incoming if item.message.order == taken.order]
        if taken.seqno == 0 or (known and taken.order == known[0].order and not (copies and self.needs_push)):
            current = self.current_hashes
            return replace(self, obsolete_hashes=(self.obsolete_hashes | all_hashes) - current)
        current = copies[0].hashes
        return replace(
            self,
            message=taken,
            phase=Phase.CLEAN,
            current_hashes=current,
            obsolete_hashes=(self.obsolete_hashes | all_hashes) - current,
        )

    def _finished(self, keys: ConfigKeys) -> ConfigMessage:
        return self.message.finish(keys.sign) if isinstance(self.message, Draft) else self.message

    def push(self, keys: ConfigKeys, now_ms: int) -> Push:
        """What to store and what to delete then. The same bytes as ever if nothing has changed: they can be restored.

        Raises InvalidInput for a config that never leaves the device, that this device may not write, or that is too
        large.
        """
        if self.kind is ConfigKind.LOCAL or not keys.may_merge or not keys.encryption:
            raise InvalidInput("This config is not for this device to write into the network.")
        message = self._finished(keys)
        payload = sealing.pad(sealing.compress(messages.serialize(message)))
        parts = self.parts
        if len(payload) + sealing.OVERHEAD <= sealing.MAX_MESSAGE_BYTES:
            sealed = [self._seal(message.seqno, payload, keys)]
        else:
            chunks = multipart.split(payload)
            sealed = [sealing.encrypt(chunk, keys.encryption[0], self.kind.domain) for chunk in chunks]
            parts = parts.finish(multipart.hash_of(payload), len(chunks), now_ms)
        state = replace(
            self,
            message=message,
            phase=Phase.WAITING if self.phase is Phase.DIRTY else self.phase,
            obsolete_hashes=frozenset(),
            parts=parts,
        )
        return Push(state, message.seqno, tuple(sealed), self.obsolete_hashes)

    def _seal(self, seqno: int, payload: bytes, keys: ConfigKeys) -> bytes:
        encrypted = sealing.encrypt(payload, keys.encryption[0], self.kind.domain)
        if keys.identity is None or self.kind.wrapped_as is None:
            return encrypted
        wrapped = wrapping.wrap(keys.identity, self.kind, seqno, encrypted)
        return wrapped if len(wrapped) <= sealing.MAX_MESSAGE_BYTES else encrypted

    def confirm_pushed(self, seqno: int, hashes: Iterable[str]) -> ConfigState:
        """After everything of a push was stored, under these hashes. Nothing changes if the data has, meanwhile."""
        if self.phase is not Phase.WAITING or seqno != self.seqno:
            return self
        current = frozenset(hashes)
        return replace(self, phase=Phase.CLEAN, current_hashes=current, obsolete_hashes=self.obsolete_hashes - current)


def _limited(new: frozenset[str], known: frozenset[str]) -> frozenset[str]:
    kept = MAX_OBSOLETE_HASHES - len(new)
    return new | known if len(known) <= kept else new.union(sorted(known)[: max(0, kept)])


def _decrypt(stored: bytes, keys: tuple[bytes, ...], domain: bytes) -> bytes:
    for key in keys:
        try:
            return sealing.decrypt(stored, key, domain)
        except DecryptionFailed:
            continue
    raise DecryptionFailed("A config does not decrypt with any key.")
