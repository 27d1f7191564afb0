"""Several devices of one account whose users change things at random come to the same, and to rest."""

from __future__ import annotations

from contextlib import suppress
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from session_cli.core.config_views import ConfigViews
from session_cli.errors import NodeFailed
from session_cli.protocol.account import AccountId, Identity
from session_cli.protocol.config.kinds import ACCOUNT_KINDS
from tests.support.devices import Device, Swarm, settle
from tests.support.histories import account_id

PEOPLE = [AccountId(account_id(number)) for number in range(1, 7)]
DEVICES, CHANGES = 5, 30


def change(device: Device, random: Random) -> None:
    """Something that a command does to the store."""
    store, person, own_id = device.store, random.choice(PEOPLE), device.swarm.identity.account_id
    now_s = device.swarm.now_ms // 1000
    with store.transaction():
        match random.randrange(13):
            case 0:
                store.people.approve(person, by_us=True)
            case 1:
                store.people.approve(person, by_us=False)
            case 2:
                store.people.set_blocked(person, blocked=random.random() < 0.5)
            case 3:
                name = random.choice([None, "Bob", "Mum", "Anna", "Boss"])
                if name is None or store.people.by_nickname(name) in (None, person):
                    store.people.set_nickname(person, name)
            case 4:
                if store.people.set_name(person, random.choice(["Robert", "Bob", "Роберт"]), now_s):
                    picture = random.choice([(None, None), (f"http://files.example/{now_s}", b"k" * 32)])
                    store.people.set_picture(person, *picture)
            case 5:
                store.conversations.set_expiration(
                    random.choice([person, own_id]), "after_send", 86_400, device.swarm.now_ms
                )
            case 6:
                store.conversations.set_expiration(
                    person, *random.choice([("after_read", 300), ("off", 0)]), device.swarm.now_ms
                )
            case 7:
                store.conversations.mark_read(person, device.swarm.now_ms)
            case 8:
                store._connection.execute(
                    "UPDATE conversations SET hidden = ?, pinned = ?, notify = ?, muted_until_s = ? WHERE address = ?",
                    (random.random() < 0.3, random.randrange(2), random.randrange(3), now_s, person),
                )
            case 9:
                store.conversations._ensure(person)
                store._connection.execute("UPDATE conversations SET unread = 1 WHERE address = ?", (person,))
            case 10:
                store.settings.set("display_name", f"Alice {now_s}")
                store.settings.set("profile_updated_s", max(now_s, (store.settings.get("profile_updated_s") or 0) + 1))
            case 11:
                store.settings.set("picture_url", f"http://files.example/own{now_s}")
                store.settings.set("picture_key", random.randbytes(32))
                store.settings.set("profile_updated_s", max(now_s, (store.settings.get("profile_updated_s") or 0) + 1))
            case 12:
                ConfigViews(store, own_id).delete_contact(person, 1000 * now_s)
                store.configs.note_deleted(person)


def live(swarm: Swarm, devices: list[Device], random: Random) -> None:
    """Changes, polls and pushes in any order; some fail, of some only the answer is lost."""
    for _ in range(CHANGES):
        swarm.now_ms += random.randrange(1, 60_000)
        device = random.choice(devices)
        change(device, random)
        swarm.problem = NodeFailed("down") if random.random() < 0.15 else None
        swarm.loses_reply = random.random() < 0.15
        for device in random.sample(devices, random.randrange(3)):
            try:
                device.sync()
            except NodeFailed:
                continue
    swarm.problem, swarm.loses_reply = None, False


@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32))
def test_devices_come_to_the_same(seed: int) -> None:
    random = Random(seed)
    swarm = Swarm(Identity.from_seed(b"\x07" * 16))
    devices = [Device(swarm, is_new=number == 0) for number in range(DEVICES)]
    try:
        live(swarm, devices, random)
        settle(devices)
        for kind in ACCOUNT_KINDS:
            assert len({device.state(kind).message for device in devices}) == 1, kind
            assert len({device.state(kind).data.encode() for device in devices}) == 1
        first = devices[0].contents()
        for device in devices[1:]:
            assert device.contents() == first
        restored = Device(swarm)
        devices.append(restored)
        restored.sync()
        assert {**restored.contents(), "settings": 0} == {**first, "settings": 0}
        pushes = swarm.pushes
        for device in devices * 2:
            swarm.now_ms += 5_000
            device.sync()
        assert swarm.pushes == pushes, "nobody has anything to say"
        for kind in ACCOUNT_KINDS:
            kept = set(swarm.kept.get(kind.namespace, {}))
            assert devices[0].state(kind).current_hashes <= kept, "what is current is there"
    finally:
        for device in devices:
            device.close()


@pytest.mark.parametrize("seed", range(3))
def test_what_was_changed_is_not_forgotten(seed: int) -> None:
    """Each device names one person, however the pushes go: all of them have all names in the end."""
    random = Random(seed)
    swarm = Swarm(Identity.from_seed(b"\x08" * 16))
    devices = [Device(swarm, is_new=number == 0) for number in range(DEVICES)]
    for number, device in enumerate(devices):
        with device.store.transaction():
            device.store.people.set_nickname(PEOPLE[number], f"N{number}")
        for each in random.sample(devices, 3):
            swarm.loses_reply = random.random() < 0.4
            try:
                each.sync()
            except NodeFailed:
                continue
    swarm.loses_reply = False
    settle(devices)
    names = {person: f"N{number}" for number, person in enumerate(PEOPLE[:DEVICES])}
    for device in devices:
        assert {row.address: row.nickname for row in device.store.people.known()} == names
        device.close()


def push_as_it_comes(device: Device, random: Random) -> None:
    """A run of a command that was killed somewhere, or was not."""
    came_to = random.choice(["nothing", "polled", "begun to push", "pushed", "done"])
    if came_to == "nothing":
        return
    device.poll()
    if came_to == "polled":
        return
    device.swarm.takes_nothing, device.swarm.loses_reply = came_to == "begun to push", came_to == "pushed"
    with suppress(NodeFailed):
        device.push()
    device.swarm.takes_nothing = device.swarm.loses_reply = False


@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), count=st.integers(2, 3))
def test_runs_that_end_anywhere_lose_nothing(seed: int, count: int) -> None:
    """Every device has something new to say all the time, and few of its runs come to their end."""
    random = Random(seed)
    swarm = Swarm(Identity.from_seed(b"\x09" * 16))
    devices = [Device(swarm, is_new=number == 0) for number in range(count)]
    try:
        settle(devices)
        names = {}
        for turn in range(30):
            for number, device in enumerate(devices):
                person, nickname = account_id(100 * number + turn), f"{number}/{turn}"
                with device.store.transaction():
                    device.store.people.set_nickname(person, nickname)
                names[person] = nickname
            swarm.now_ms += 1_000
            push_as_it_comes(random.choice(devices), random)
        settle(devices)
        for device in devices:
            assert {row.address: row.nickname for row in device.store.people.known()} == names
    finally:
        for device in devices:
            device.close()
