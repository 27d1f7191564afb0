"""Who is meant by a name, an id or the beginning of one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from session_cli.core.client import Client
from session_cli.core.names import MAX_NICKNAME, check_display_name, check_nickname
from session_cli.errors import AmbiguousName, InvalidAccountId, InvalidInput, SessionError
from session_cli.store.store import Store
from tests.support.histories import account_id

BOB, MALLORY, STRANGER, NEVER_MET = map(account_id, (1, 2, 3, 4))


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    """The account of somebody who has written to Bob and to Mallory, and was written to by a stranger."""
    with Client.create(environ={"SESSION_HOME": str(tmp_path)}, name="Alice") as client:
        store = client._store
        with store.transaction():
            for address, name in ((BOB, "Bob"), (MALLORY, "Mallory"), (STRANGER, "Sam")):
                store.people.set_name(address, name, 1)
                store.people.approve(address, by_us=address != STRANGER)
                store.people.approve(address, by_us=False)
        yield client


def takes_name(client: Client, address: str, name: str) -> None:
    """Somebody calls himself otherwise from now on."""
    store: Store = client._store
    with store.transaction():
        store.people.set_name(address, name, 2)


def test_a_name_of_our_own_comes_before_what_people_call_themselves(client: Client) -> None:
    client.contacts.rename(BOB, "Bob")
    takes_name(client, MALLORY, "Bob")
    assert client.resolve("Bob") == BOB
    client.contacts.rename("Bob", "Robert")
    assert client.resolve("Robert") == BOB
    with pytest.raises(AmbiguousName):
        client.resolve("Bob")
    client.contacts.rename(NEVER_MET, "Bob")
    assert client.resolve("Bob") == NEVER_MET
    client.contacts.rename(NEVER_MET, None)
    takes_name(client, BOB, "Bobby")
    assert client.resolve("Bob") == MALLORY


def test_several_of_a_name_are_listed(client: Client) -> None:
    takes_name(client, MALLORY, "Bob")
    with pytest.raises(AmbiguousName) as caught:
        client.resolve("Bob")
    for part in (BOB[:16], MALLORY[:16], "session contact rename"):
        assert part in caught.value.message
    assert STRANGER[:16] not in caught.value.message


def test_several_ids_that_begin_alike(client: Client) -> None:
    twin = BOB[:20] + "0" * 46
    takes_name(client, twin, "Twin")
    with pytest.raises(AmbiguousName, match="Use more of the id"):
        client.resolve(BOB[:20])
    assert client.resolve(BOB[:32]) == BOB


def test_a_stranger_is_named_by_his_id_alone_until_we_name_him(client: Client) -> None:
    with pytest.raises(InvalidAccountId, match=STRANGER[:16]):
        client.resolve("Sam")
    client.contacts.rename(STRANGER, "Sam")
    assert client.resolve("Sam") == STRANGER


@pytest.mark.parametrize("name", ["me", BOB, BOB[:8]])
def test_nobody_is_meant_by_a_name_that_says_another_thing(name: str, client: Client) -> None:
    before = client.resolve(name)
    takes_name(client, MALLORY, name)
    assert client.resolve(name) == before != MALLORY


def test_two_people_cannot_have_the_same_name_of_ours(client: Client) -> None:
    client.contacts.rename(BOB, "Pal")
    client.contacts.rename(BOB, "Pal")
    with pytest.raises(InvalidInput, match=BOB[:16]):
        client.contacts.rename(MALLORY, " Pal ")
    assert client.resolve("Pal") == BOB
    assert [contact.name for contact in client.contacts.all()] == ["Mallory", "Pal"]


@pytest.mark.parametrize("who", ["me", "Nobody", "Sam", "05aa", "deadbeef", ""])
def test_who_cannot_be_named(who: str, client: Client) -> None:
    with pytest.raises(SessionError):
        client.contacts.rename(who, "Pal")
    with pytest.raises(SessionError):
        client.contacts.rename(client.account_id, "Pal")
    assert [contact.nickname for contact in client.contacts.all()] == [None, None]


REFUSED = ["", " \t\n", "\u200d", "a\x1bb", "a\nb", "a\u202eb", "a\x7f", "a\u2028b"]


@pytest.mark.parametrize("name", [*REFUSED, "me", "ME", "deadbeef", "DEADBEEF05", BOB, "a" * (MAX_NICKNAME + 1)])
def test_nicknames_that_cannot_be(name: str, client: Client) -> None:
    with pytest.raises(InvalidInput):
        client.contacts.rename(BOB, name)
    assert {contact.nickname for contact in client.contacts.all()} == {None}


@pytest.mark.parametrize("name", ["deadbee", "Dead Beef", "meg", "👩‍👩‍👧", "x" * MAX_NICKNAME, "Ольга"])
def test_nicknames_that_can_be(name: str, client: Client) -> None:
    client.contacts.rename(BOB, f" {name}\n")
    assert client.resolve(name) == BOB
    assert check_nickname(name) == name


@pytest.mark.parametrize("name", [*REFUSED, "x" * 101, "é" * 51])
def test_names_for_others_to_see_that_cannot_be(name: str) -> None:
    with pytest.raises(InvalidInput):
        check_display_name(name)


def test_names_for_others_to_see_that_can_be() -> None:
    for name in ("a" * 100, "é" * 50, "Bób 🐻", "deadbeef"):
        assert check_display_name(f" {name} ") == name
