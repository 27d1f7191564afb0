"""One account on several devices: what one changes, the others show."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from session_cli.devnet.network import Devnet
from session_cli.protocol.account import AccountId
from session_cli.protocol.config.contacts import Contact, Contacts
from session_cli.protocol.config.convo_info_volatile import ConversationKind, ConvoInfoVolatile, ReadState
from session_cli.protocol.config.dump import load
from session_cli.protocol.config.kinds import ConfigKind
from session_cli.protocol.config.tree import Value
from session_cli.protocol.config.user_groups import Community, Group, UserGroups
from session_cli.protocol.config.user_profile import UserProfile
from session_cli.protocol.payload import Expiration, ExpirationMode
from session_cli.store.configs import ConversationSettings
from session_cli.store.store import Store
from tests.support.devnet import Person
from tests.support.friends import befriend
from tests.support.histories import account_id, open_store
from tests.support.other_app import phone_of
from tests.support.outcomes import bodies
from tests.support.strangers import now_ms

People = Callable[[str], Person]
CONTACTS, PROFILE, READS = ConfigKind.CONTACTS, ConfigKind.USER_PROFILE, ConfigKind.CONVO_INFO_VOLATILE


@contextmanager
def store_of(person: Person) -> Iterator[Store]:
    profile = open_store(person)
    try:
        yield profile.store
    finally:
        profile.store.close()


def contacts(person: Person) -> dict[str, dict[str, Any]]:
    """What `contact list` shows, by id."""
    return {one["id"]: one for one in person.run("contact", "list", "--json").objects}


def settings(person: Person, address: str) -> ConversationSettings:
    with store_of(person) as store:
        return store.configs.conversation(address)


def arrange(person: Person, address: str, **changes: Any) -> None:
    """Change what is set for a conversation."""
    with store_of(person) as store, store.transaction():
        store.configs.set_conversation(replace(store.configs.conversation(address), **changes))


@pytest.fixture
def alice(person: People) -> Person:
    return person("Alice")


@pytest.fixture
def bob(person: People) -> Person:
    return person("Bob")


def test_all_that_is_shared(alice: Person, bob: Person) -> None:
    """Changed on one device, shown on the other; and back."""
    befriend(alice, bob)
    laptop = alice.second_device()
    laptop.receive()
    assert laptop.run("whoami", "--json").objects[0]["name"] == "Alice", "restoring brings the name"
    shown = contacts(laptop)[bob.id]
    assert (shown["profile_name"], shown["approved"], shown["approved_me"]) == ("Bob", True, True)
    for here, there, word in ((alice, laptop, "one"), (laptop, alice, "two")):
        here.run("profile", "set", "--name", f"Alice {word}")
        here.run("contact", "rename", bob.id, f"Bobby {word}")
        here.run("expire", bob.id, "1d" if word == "one" else "off")
        arrange(here, bob.id, pinned=len(word) - 2, notify=2 if word == "one" else 0, muted_until_s=2_000_000_000)
        here.receive()
        there.receive()
        assert there.run("whoami", "--json").objects[0]["name"] == f"Alice {word}"
        assert contacts(there)[bob.id]["nickname"] == f"Bobby {word}"
        assert replace(settings(there, bob.id), read_ms=0) == replace(settings(here, bob.id), read_ms=0)
        assert settings(there, bob.id).expire_mode == ("after_send" if word == "one" else "off")
    bob.run("send", alice.id, "have you read this?")
    alice.receive()
    laptop.receive()
    before_ms = settings(laptop, bob.id).read_ms
    alice.run("read", bob.id)
    alice.receive()  # which tells the laptop
    laptop.receive()
    assert settings(laptop, bob.id).read_ms == settings(alice, bob.id).read_ms > before_ms
    pushes = [alice, laptop, alice, laptop]
    for device in pushes:
        device.receive()
    with store_of(alice) as one, store_of(laptop) as other:
        for store in (one, other):
            assert not store.configs.is_due(), "everything is told"
        rows = [store.configs.get(CONTACTS.namespace) for store in (one, other)]
        assert len({load(CONTACTS, row.dump).message for row in rows if row}) == 1


def test_who_is_blocked_is_blocked_everywhere(alice: Person, bob: Person) -> None:
    """Nothing of theirs is stored on a device which hears of the block and of the message at once."""
    befriend(alice, bob)
    laptop = alice.second_device()
    laptop.receive()
    alice.run("contact", "block", bob.id)
    alice.receive()
    bob.run("send", alice.id, "let me in")
    assert laptop.receive() == []
    assert contacts(laptop)[bob.id]["blocked"]
    assert all(one["body"] != "let me in" for one in laptop.run("log", "--json").objects)
    laptop.run("contact", "unblock", bob.id)
    laptop.receive()
    alice.receive()
    assert not contacts(alice)[bob.id]["blocked"]
    bob.run("send", alice.id, "thank you")
    assert bodies(alice.receive()) == ["thank you"]


def test_both_change_something(alice: Person, bob: Person) -> None:
    """Different things: both stay. The same thing: both devices come to one of the two."""
    befriend(alice, bob)
    laptop = alice.second_device()
    laptop.receive()
    alice.run("contact", "rename", bob.id, "Bobby")
    laptop.run("contact", "rename", account_id(9), "Nina")
    arrange(laptop, bob.id, pinned=1)
    for device in (alice, laptop, alice, laptop):
        device.receive()
    for device in (alice, laptop):
        assert {one["nickname"] for one in contacts(device).values()} == {"Bobby", "Nina"}
        assert settings(device, bob.id).pinned == 1
    alice.run("contact", "rename", bob.id, "B one")
    laptop.run("contact", "rename", bob.id, "B two")
    for device in (alice, laptop, alice, laptop):
        device.receive()
    assert contacts(alice)[bob.id]["nickname"] == contacts(laptop)[bob.id]["nickname"]
    assert contacts(alice)[bob.id]["nickname"] in ("B one", "B two")


def test_a_phone(alice: Person, bob: Person, shared_net: Devnet) -> None:
    """Another app of the account: it deletes, hides, approves and reads; it knows groups, and keys that we don't."""
    befriend(alice, bob)
    phone = phone_of(shared_net, alice)
    phone.pull()
    friend, nina = AccountId(bob.id), AccountId(account_id(9))
    known = Contacts(phone.data(CONTACTS)).get(friend)
    assert known
    assert (known.name, known.approved, known.approved_me) == ("Bob", True, True)
    assert known.created
    assert UserProfile(phone.data(PROFILE)).name == "Alice"
    timer = Expiration(ExpirationMode.AFTER_READ, 300)
    data = Contacts(phone.data(CONTACTS)).with_contact(replace(known, nickname="B", expiration=timer))
    data = data.with_contact(Contact(nina, "Nina", approved=True, created=5))
    phone.write(CONTACTS, data.data.with_value([b"?"], 7).with_value((b"c", bytes.fromhex(nina), b"~"), frozenset({1})))
    groups = UserGroups().with_group(Group(group_id=AccountId("03" + "5" * 64), auth_data=b"a" * 100))
    groups = groups.with_community(Community(base_url="http://x.example", room="Room", server_key=b"k" * 32))
    phone.write(ConfigKind.USER_GROUPS, groups.data)
    phone.write(PROFILE, phone.data(PROFILE).with_values({b"s": b"de", b"E": 5}))
    alice.receive()
    shown = contacts(alice)
    assert (shown[bob.id]["nickname"], shown[nina]["profile_name"]) == ("B", "Nina")
    assert settings(alice, bob.id).expire_s == 300, "set without a notice"
    alice.run("contact", "rename", nina, "N")
    alice.run("profile", "set", "--name", "Alicia")
    alice.receive()
    before = {kind: phone.data(kind) for kind in (CONTACTS, PROFILE, ConfigKind.USER_GROUPS)}
    phone.pull()
    wanted = before[CONTACTS].with_value((b"c", bytes.fromhex(nina), b"N"), b"N")
    assert phone.data(CONTACTS).encode() == wanted.encode()
    assert phone.data(ConfigKind.USER_GROUPS).encode() == before[ConfigKind.USER_GROUPS].encode()
    changed: dict[bytes, Value | None] = {b"n": b"Alicia", b"t": UserProfile(phone.data(PROFILE)).updated}
    assert phone.data(PROFILE).encode() == before[PROFILE].with_values(changed).encode()
    state = ReadState(now_ms(), unread=True)
    reads = ConvoInfoVolatile(phone.data(READS)).with_read(ConversationKind.ONE_TO_ONE, bob.id, state, now_ms())
    phone.write(READS, reads.data)
    alice.receive()
    assert settings(alice, bob.id).unread
    alice.run("read", bob.id)
    alice.receive()
    phone.pull()
    found = ConvoInfoVolatile(phone.data(READS)).get(ConversationKind.ONE_TO_ONE, bob.id)
    assert found
    assert not found.unread
    phone.write(CONTACTS, Contacts(phone.data(CONTACTS)).without_contact(friend).data)
    alice.receive()
    assert bob.id not in contacts(alice)
    assert alice.run("log", "--json", bob.id).objects == []
    phone.pull()
    assert Contacts(phone.data(CONTACTS)).get(friend) is None, "nobody brings him back"
    bob.run("send", alice.id, "remember me?")
    assert bodies(alice.receive()) == ["remember me?"]
    phone.pull()
    again = Contacts(phone.data(CONTACTS)).get(friend)
    assert again
    assert (again.approved, again.approved_me) == (False, True)


def test_a_name_of_before(alice: Person, tmp_path: Path) -> None:
    """A name given with `restore` is for accounts that have none."""
    alice.receive()
    laptop = Person(tmp_path / "other", alice.network, alice.id)
    laptop.run("restore", "--quiet", "--name", "Somebody", stdin=alice.run("phrase", "--yes").stdout)
    laptop.receive()
    assert laptop.run("whoami", "--json").objects[0]["name"] == "Alice"
    alice.receive()
    assert alice.run("whoami", "--json").objects[0]["name"] == "Alice"


def test_without_a_network_it_waits(alice: Person, bob: Person) -> None:
    befriend(alice, bob)
    laptop = alice.second_device()
    laptop.receive()
    alice.run("contact", "rename", bob.id, "Bobby")
    down = alice.try_run("--proxy", "socks5h://127.0.0.1:1", "recv")
    assert down.code in {69, 75}
    laptop.receive()
    assert contacts(laptop)[bob.id]["nickname"] is None
    alice.receive()
    laptop.receive()
    assert contacts(laptop)[bob.id]["nickname"] == "Bobby"
