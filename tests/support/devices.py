"""Devices of one account whose stores are in memory, and the swarm between them, which is made for the test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast

from session_cli.core.config_sync import ConfigSync
from session_cli.core.preferences import Preferences
from session_cli.core.receiving import Receiver
from session_cli.errors import NodeFailed, SessionError
from session_cli.network.clock import Deadline
from session_cli.network.network import Network
from session_cli.network.swarm import Page, Poll
from session_cli.network.swarm_steps import OwnStore
from session_cli.protocol import content as contents
from session_cli.protocol import session_v1
from session_cli.protocol.account import AccountId, Identity
from session_cli.protocol.config import dump as dumps
from session_cli.protocol.config.contacts import Contact, Contacts
from session_cli.protocol.config.convo_info_volatile import ConversationKind, ConvoInfoVolatile
from session_cli.protocol.config.kinds import ACCOUNT_KINDS, TTL_MS, ConfigKind
from session_cli.protocol.config.state import ConfigKeys, ConfigState, Merged
from session_cli.protocol.config.tree import Tree
from session_cli.protocol.payload import Content, Expiration, Payload
from session_cli.protocol.storage_rpc import (
    MessageHash,
    Namespace,
    RetrieveResult,
    StoredMessage,
    message_hash,
)
from session_cli.protocol.storage_upkeep import ExpireResult
from session_cli.store.records import NewMessage
from session_cli.store.store import Store
from tests.support.stores import profile_in_memory

BEGUN_MS = 1_795_000_000_000
NODE = "ab" * 32


@dataclass(slots=True)
class Swarm:
    """One member, which keeps what it is given, by namespace, and tells it in order. Time passes as the test says."""

    identity: Identity
    now_ms: int = BEGUN_MS
    kept: dict[int, dict[str, StoredMessage]] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    pushes: int = 0
    problem: SessionError | None = None
    loses_reply: bool = False
    takes_nothing: bool = False
    refuses: dict[int, SessionError] = field(default_factory=dict)
    page_size: int = 100

    def put(self, namespace: int, data: bytes, *, stored_ms: int | None = None) -> str:
        """Keep some bytes; what is there already keeps its place."""
        at_ms = self.now_ms if stored_ms is None else stored_ms
        name = message_hash(self.identity.account_id, Namespace(namespace), data)
        self.kept.setdefault(namespace, {}).setdefault(name, StoredMessage(name, at_ms, self.now_ms + TTL_MS, data))
        return name

    # What a network offers.

    def poll_one(self, poll: Poll, deadline: Deadline) -> Page:
        if self.problem:
            raise self.problem
        parts: dict[int, RetrieveResult | SessionError] = {}
        for namespace, positions in poll.positions.items():
            kept = list(self.kept.get(namespace, {}).values())
            names = [one.hash for one in kept]
            last = positions.get(NODE, "")
            start = names.index(MessageHash(last)) + 1 if last in names else 0
            page = tuple(kept[start : start + self.page_size])
            more = start + self.page_size < len(kept)
            parts[namespace] = self.refuses.get(namespace) or RetrieveResult(page, more=more, malformed=0)
        return Page(NODE, parts)

    def members(self, account_id: str) -> list[str]:
        return [NODE]

    def prepare(self, deadline: Deadline) -> None:
        if self.problem:
            raise self.problem

    def replace(
        self, identity: Identity, stores: Sequence[OwnStore], obsolete: Sequence[str], deadline: Deadline
    ) -> None:
        self.prepare(deadline)
        if self.takes_nothing:
            raise NodeFailed("nothing is taken")
        self.pushes += 1
        names = [self.put(one.namespace, one.data) for one in stores]
        assert not set(names) & set(obsolete), "what was just stored must not be deleted"
        for name in obsolete:
            for kept in self.kept.values():
                if kept.pop(name, None):
                    self.deleted.append(name)
        if self.loses_reply:
            raise NodeFailed("the answer is lost")

    def extend(self, identity: Identity, hashes: Sequence[str], until_ms: int, deadline: Deadline) -> ExpireResult:
        here = {name for kept in self.kept.values() for name in kept}
        return ExpireResult({NODE: {name: until_ms for name in hashes if name in here}}, 1)

    @property
    def network(self) -> Network:
        clock = SimpleNamespace(now_ms=lambda: self.now_ms)
        return cast(Network, SimpleNamespace(swarm=self, upkeep=self, prepare=self.prepare, clock=clock))


class Device:
    """One device of the account."""

    def __init__(self, swarm: Swarm, *, is_new: bool = False, preferences: Preferences | None = None) -> None:
        self.swarm = swarm
        self.profile = profile_in_memory(swarm.identity)
        self.store: Store = self.profile.store
        self.store.now_ms = lambda: swarm.now_ms
        self.receiver = Receiver(self.profile, lambda: swarm.network, preferences or Preferences())
        if is_new:
            with self.store.transaction():
                self.store.configs.note_polled()

    @property
    def configs(self) -> ConfigSync:
        return self.receiver.configs

    def poll(self) -> int:
        """Fetch what is new; returns how many config messages were understood."""
        return self.receiver.poll(Deadline(10)).merged

    def push(self) -> None:
        self.configs.push(Deadline(10))

    def sync(self) -> None:
        """Poll, and push what is to be pushed, as the client does."""
        self.poll()
        if self.store.configs.is_due():
            self.push()

    def state(self, kind: ConfigKind) -> ConfigState:
        row = self.store.configs.get(kind.namespace)
        return dumps.load(kind, row.dump) if row else ConfigState(kind)

    def contents(self) -> dict[str, Any]:
        """What the store says of all that is shared. Whom a name means that two people have, each device may say."""
        given = {one.account_id: one.nickname for one in Contacts(self.state(ConfigKind.CONTACTS).data)}
        counts = Counter(given.values())
        people = [
            replace(person, nickname=given[account_id]) if counts[given.get(account_id, "")] > 1 else person
            for person in self.store.people.known()
            if (account_id := AccountId(person.address)) in given or person.is_contact
        ]
        people.sort(key=lambda person: person.address)
        known = [person.address for person in people] + [self.swarm.identity.account_id]
        reads = ConvoInfoVolatile(self.state(ConfigKind.CONVO_INFO_VOLATILE).data)
        settings = []
        for address in known:
            is_set = self.store.configs.conversation(address)
            shared = reads.get(ConversationKind.ONE_TO_ONE, address) is not None
            # A place that is hidden has none among those that are pinned; and what is long read nobody is told.
            pinned, read_ms = is_set.pinned * (not is_set.hidden), is_set.read_ms * shared
            settings.append(replace(is_set, pinned=pinned, read_ms=read_ms))
        own = {
            name: self.store.settings.get(name)
            for name in ("display_name", "picture_url", "picture_key", "profile_updated_s")
        }
        return {"people": people, "settings": settings, "own": own}

    def close(self) -> None:
        self.store.close()


class Phone:
    """Another app of the account: it knows nothing but configs, and writes into them what it likes."""

    def __init__(self, swarm: Swarm) -> None:
        self._swarm = swarm
        self.keys = ConfigKeys.of_account(swarm.identity)
        self.states = {kind: ConfigState(kind) for kind in ACCOUNT_KINDS}

    def pull(self) -> Mapping[ConfigKind, Merged]:
        """Take in all there is."""
        merged = {}
        for kind in ACCOUNT_KINDS:
            kept = self._swarm.kept.get(kind.namespace, {}).values()
            merged[kind] = self.states[kind].merge(
                [(one.hash, one.data) for one in kept], self.keys, self._swarm.now_ms
            )
            self.states[kind] = merged[kind].state
        return merged

    def write(self, kind: ConfigKind, data: Tree) -> None:
        """Change a config, and push it."""
        self.states[kind] = self.states[kind].with_data(data)
        self.push(kind)

    def push(self, kind: ConfigKind) -> None:
        state = self.states[kind]
        if not state.needs_push:
            return
        push = state.push(self.keys, self._swarm.now_ms)
        names = [self._swarm.put(kind.namespace, data) for data in push.messages]
        for name in push.obsolete:
            self._swarm.kept[kind.namespace].pop(name, None)
        self.states[kind] = push.state.confirm_pushed(push.seqno, names)

    def data(self, kind: ConfigKind) -> Tree:
        return self.states[kind].data


def settle(devices: Sequence[Device], rounds: int = 20) -> None:
    """Let all devices poll and push in turns until nobody pushes any more."""
    swarm = devices[0].swarm
    for _ in range(rounds):
        before = swarm.pushes
        for device in devices:
            device.sync()
        if swarm.pushes == before:
            return
    raise AssertionError("they push without end")


def approve(device: Device, *people: str) -> None:
    with device.store.transaction():
        for person in people:
            device.store.people.approve(person, by_us=True)


def name(device: Device, person: str, nickname: str | None) -> None:
    with device.store.transaction():
        device.store.people.set_nickname(person, nickname)


def nickname(device: Device, person: str) -> str | None:
    row = device.store.people.get(person)
    return row.nickname if row else None


def write_to(device: Device, person: str, body: str = "hello") -> None:
    """A message of ours in the store."""
    with device.store.transaction():
        now_ms = device.swarm.now_ms
        sent = NewMessage(person, "outgoing", device.swarm.identity.account_id, now_ms, body, "sent")
        assert device.store.messages.add(sent)


def say(swarm: Swarm, sender: Identity, payload: Payload, sent_ms: int, **more: Any) -> None:
    """Have the swarm keep a message to us."""
    content = contents.serialize(Content(payload, sent_ms, more.pop("expiration", Expiration())))
    data = session_v1.encode_message(sender, swarm.identity.account_id, content, sent_ms)
    swarm.put(0, data, **more)


def rename_contact(phone: Phone, person: AccountId, nickname: str) -> None:
    contacts = Contacts(phone.data(ConfigKind.CONTACTS))
    known = contacts.get(person) or Contact(person)
    phone.write(ConfigKind.CONTACTS, contacts.with_contact(replace(known, nickname=nickname)).data)
