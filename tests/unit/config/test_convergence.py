"""Devices that change the same config at random, with lost, late and repeated messages, come to the same bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from session_cli.protocol.account import AccountId
from session_cli.protocol.config import message as messages
from session_cli.protocol.config.contacts import Contact, Contacts
from session_cli.protocol.config.convo_info_volatile import ConversationKind, ConvoInfoVolatile, ReadState
from session_cli.protocol.config.dump import dump, load
from session_cli.protocol.config.fields import NotifyMode, Picture
from session_cli.protocol.config.kinds import ConfigKind
from session_cli.protocol.config.state import ConfigKeys, ConfigState
from session_cli.protocol.config.tree import Tree
from session_cli.protocol.config.user_groups import Community, Group, LegacyGroup, UserGroups
from session_cli.protocol.config.user_profile import UserProfile
from session_cli.protocol.payload import Expiration, ExpirationMode

NOW_MS = 1_795_000_000_000
KEYS = ConfigKeys((b"k" * 32,))  # bare: wrapping adds nothing but time here
PEOPLE = [AccountId("05" + f"{number:064x}") for number in range(6)]
GROUPS = [AccountId("03" + f"{number:064x}") for number in range(4)]
ROOMS = ["lobby", "Tea-Room", "cats"]
SERVERS = ["http://one.example", "https://two.example:8080"]

Edit = Callable[[Tree, Random], Tree]


def edit_profile(data: Tree, random: Random) -> Tree:
    view, now_s = UserProfile(data), NOW_MS // 1000 + random.randrange(100)
    picture = Picture(f"http://files.example/{random.randrange(3)}", bytes([random.randrange(3)]) * 32)
    edits: list[Callable[[], UserProfile]] = [
        lambda: view.with_name(random.choice(["Alice", "Алиса", ""]), now_s),
        lambda: view.with_picture(random.choice([picture, None]), now_s),
        lambda: view.with_reuploaded_picture(picture, now_s),
        lambda: view.with_note_to_self_priority(random.randrange(-1, 2)),
        lambda: view.with_note_to_self_expiry(random.choice([0, 60, 3600])),
        lambda: view.with_blinded_requests(random.choice([None, False, True]), now_s),
    ]
    return random.choice(edits)().data


def edit_contacts(data: Tree, random: Random) -> Tree:
    view, account_id = Contacts(data), random.choice(PEOPLE)
    contact = view.get(account_id) or Contact(account_id)
    edits: list[Callable[[], Contacts]] = [
        lambda: view.without_contact(account_id),
        lambda: view.with_contact(replace(contact, name=random.choice(["Bob", "Bobby", ""]))),
        lambda: view.with_contact(replace(contact, approved=random.random() < 0.7, created=NOW_MS // 1000)),
        lambda: view.with_contact(replace(contact, blocked=not contact.blocked)),
        lambda: view.with_contact(replace(contact, notify=random.choice(list(NotifyMode)))),
        lambda: view.with_contact(replace(contact, expiration=Expiration(ExpirationMode.AFTER_READ, 60))),
        lambda: view.with_contact(replace(contact, pro_features=frozenset(random.sample(range(4), 2)))),
    ]
    return random.choice(edits)().data


def edit_conversations(data: Tree, random: Random) -> Tree:
    view, kind = ConvoInfoVolatile(data), random.choice([ConversationKind.ONE_TO_ONE, ConversationKind.GROUP])
    conversation_id = random.choice(PEOPLE if kind is ConversationKind.ONE_TO_ONE else GROUPS)
    state = ReadState(NOW_MS + random.randrange(1000), random.random() < 0.3)
    server, room = random.choice(SERVERS), random.choice(ROOMS)
    edits: list[Callable[[], ConvoInfoVolatile]] = [
        lambda: view.without(kind, conversation_id),
        lambda: view.with_read(kind, conversation_id, state, NOW_MS),
        lambda: view.with_community(server, room, server.encode().ljust(32), state, NOW_MS),
        lambda: view.without_community(server, room),
    ]
    return random.choice(edits)().data


def edit_groups(data: Tree, random: Random) -> Tree:
    view, group_id = UserGroups(data), random.choice(GROUPS)
    group = view.group(group_id) or Group(group_id=group_id)
    server, room = random.choice(SERVERS), random.choice(ROOMS)
    members = frozenset(random.sample(PEOPLE, 3))
    edits: list[Callable[[], UserGroups]] = [
        lambda: view.with_group(replace(group, name=random.choice(["Cats", "Dogs"]), auth_data=bytes(100))),
        lambda: view.with_group(group.kicked()),
        lambda: view.with_group(group.destroyed()),
        lambda: view.without_group(group_id),
        lambda: view.with_community(Community(base_url=server, room=room, server_key=server.encode().ljust(32))),
        lambda: view.without_community(server, room),
        lambda: view.with_legacy_group(LegacyGroup(group_id=PEOPLE[0], members=members, admins=members)),
        lambda: view.without_legacy_group(PEOPLE[0]),
    ]
    return random.choice(edits)().data


EDITS: dict[ConfigKind, Edit] = {
    ConfigKind.USER_PROFILE: edit_profile,
    ConfigKind.CONTACTS: edit_contacts,
    ConfigKind.CONVO_INFO_VOLATILE: edit_conversations,
    ConfigKind.USER_GROUPS: edit_groups,
}


@dataclass
class World:
    """A swarm and the devices of one account."""

    kind: ConfigKind
    devices: list[ConfigState]
    random: Random
    swarm: dict[str, bytes]

    @classmethod
    def of(cls, kind: ConfigKind, devices: int, seed: int) -> World:
        return cls(kind, [ConfigState(kind) for _ in range(devices)], Random(seed), {})

    def change(self, device: int) -> None:
        state = self.devices[device]
        self.devices[device] = state.with_data(EDITS[self.kind](state.data, self.random))

    def poll(self, device: int, *, everything: bool = False) -> None:
        """Some of what the swarm holds, or all of it, in any order, some of it twice."""
        found = list(self.swarm.items())
        if not everything:
            found = self.random.choices(found, k=self.random.randrange(len(found) + 1)) if found else []
        self.random.shuffle(found)
        merged = self.devices[device].merge(found, KEYS, NOW_MS)
        assert not merged.refused
        assert merged.accepted == tuple(name for name, _ in found)
        assert not merged.state.current_hashes & merged.state.obsolete_hashes
        self.devices[device] = merged.state

    def push(self, device: int, *, luck: bool = False) -> None:
        """Store, delete what is obsolete, confirm; any of which may fail."""
        before = self.devices[device]
        if not before.needs_push:
            return
        pushed = before.push(KEYS, NOW_MS)
        if not luck and self.random.random() < 0.2:
            return  # nothing reached the swarm: the state from before goes on
        stored = {hashlib.blake2b(message).hexdigest()[:16]: message for message in pushed.messages}
        self.swarm.update(stored)
        if luck or self.random.random() < 0.8:
            for name in pushed.obsolete:
                assert name not in stored
                self.swarm.pop(name, None)
        if luck or self.random.random() < 0.8:
            self.devices[device] = pushed.state.confirm_pushed(pushed.seqno, stored)
        else:
            self.devices[device] = self.random.choice([before, load(self.kind, dump(pushed.state))])

    def live(self, steps: int) -> None:
        """Changes, polls and pushes of devices at random."""
        for _ in range(steps):
            device = self.random.randrange(len(self.devices))
            self.change(device)
            if self.random.random() < 0.5:
                self.poll(device)
            if self.random.random() < 0.5:
                self.push(device)

    def settle(self) -> bytes:
        """All devices poll all and push what they have to, until none has; what all hold then."""
        for _ in range(8):
            for device in range(len(self.devices)):
                self.poll(device, everything=True)
            if not any(state.needs_push for state in self.devices):
                break
            for device in range(len(self.devices)):
                self.push(device, luck=True)
        held = {self._plain(state) for state in self.devices}
        assert len(held) == 1
        assert not any(state.needs_push for state in self.devices)
        fresh = ConfigState(self.kind).merge(self.swarm.items(), KEYS, NOW_MS).state
        assert {self._plain(fresh)} == held
        return held.pop()

    @staticmethod
    def _plain(state: ConfigState) -> bytes:
        assert isinstance(state.message, messages.ConfigMessage)
        return messages.serialize(state.message)


@pytest.mark.parametrize("kind", EDITS, ids=lambda kind: kind.name)
@given(st.integers(2, 5), st.integers(0, 40), st.integers(0, 2**32))
@settings(max_examples=25)
def test_devices_converge(kind: ConfigKind, devices: int, steps: int, seed: int) -> None:
    world = World.of(kind, devices, seed)
    world.live(steps)
    world.settle()
    world.live(steps // 2)
    world.settle()


@pytest.mark.parametrize("kind", EDITS, ids=lambda kind: kind.name)
def test_many_devices_converge(kind: ConfigKind) -> None:
    """Twenty devices, fifty changes each."""
    world = World.of(kind, 20, seed=len(kind.name))
    world.live(1_000)
    world.settle()
