"""What admins and moderators of rooms can do, and what others can not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.communities import Server, post, room, running_server, staff
from tests.support.devnet import Person
from tests.support.friends import entry, events, log
from tests.support.outcomes import bodies, check_json_refusal, check_refusal
from tests.support.terminal import at_terminal

Room = tuple[Person, Person, Person, Person]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with running_server(tmp_path) as server:
        yield server


@pytest.fixture
def four(server: Server) -> Room:
    """Alice, who is the admin, Mia, whom she has made a moderator, and two others, all of them in the lobby."""
    alice, mia, bob, eve = (server.person(name, "lobby") for name in ("Alice", "Mia", "Bob", "Eve"))
    _, _, mias = post(mia, alice, "may I help?")
    alice.run("community", "grant", "lobby", mias)
    for one in (alice, mia, bob, eve):
        one.receive()
    return alice, mia, bob, eve


# Who is one.


def test_roles_are_given_and_taken(four: Room) -> None:
    alice, mia, bob, eve = four
    alices, mias = (next(id for id, role in staff(bob).items() if role == wanted) for wanted in ("admin", "moderator"))
    assert room(mia)["role"] == "moderator"
    assert room(bob)["role"] is None
    rows = bob.run("community", "mods", "lobby").lines
    assert f"Mia               {mias[:10]}…  moderator" in rows
    assert any(
        row.startswith("me  ") and row.endswith(f"  {alices[:10]}…  admin")
        for row in alice.run("community", "mods", "lobby").lines
    )
    _, _, bobs = post(bob, alice, "and I?")
    (made,) = alice.run("community", "grant", "lobby", bobs[:12], "--admin", "--hidden", "--json").objects
    assert (made["id"], made["role"], made["hidden"], made["banned"]) == (bobs, "admin", True, None)
    assert bobs not in staff(eve)
    assert staff(mia)[bobs] == "admin"
    bob.receive()
    assert room(bob)["role"] == "admin"
    done = bob.run("community", "revoke", "lobby", mias)
    assert done.text == f"Mia               {mias[:10]}…  no moderator\n"
    mia.receive()
    assert room(mia)["role"] is None
    assert mias not in staff(eve)


def test_roles_are_for_admins_to_give(four: Room) -> None:
    alice, mia, bob, _ = four
    _, _, bobs = post(bob, alice, "hello")
    for one in (mia, bob):
        check_json_refusal(one.try_run("community", "grant", "lobby", bobs, "--json"), 77, "no_permission")
        check_refusal(one.try_run("community", "revoke", "lobby", bobs), 77)
    assert bobs not in staff(alice)
    check_refusal(alice.try_run("community", "grant", "lobby", "nobody"), 65)
    check_refusal(alice.try_run("community", "grant", "nowhere", bobs), 65)


def test_a_new_moderator_may_write_where_others_only_read(server: Server) -> None:
    alice, bob = server.person("Alice", "lobby", "news"), server.person("Bob", "lobby", "news")
    _, _, bobs = post(bob, alice, "let me write the news")
    alice.run("community", "grant", "news", bobs)
    (change,) = events(bob, "community_update")
    assert (change["change"], change["write"], change["sender"]) == ("rights", True, None)
    assert change["conversation"]["id"] == server.address("news")
    assert "you may read, write and send files there now, as a moderator" in bob.run("log", "news").text
    bob.run("send", "news", "news by Bob")
    assert "news by Bob" in bodies(alice.receive())


# Messages of others.


def test_moderators_delete_what_others_wrote(four: Room) -> None:
    _, mia, bob, eve = four
    _, for_mia, _ = post(eve, mia, "buy this")
    (for_bob,) = [each["id"] for each in bob.receive() if each["type"] == "message"]
    check_refusal(bob.try_run("community", "delete", str(for_bob), "--yes"), 77)
    check_refusal(mia.try_run("community", "delete", str(for_mia)), 2, "--yes")
    code, shown = at_terminal(mia, "community", "delete", str(for_mia), typed=b"no\n")
    assert code == 2
    assert "by Eve (15" in shown
    assert entry(mia, for_mia)["body"] == "buy this"
    (deleted,) = mia.run("community", "delete", str(for_mia), "--yes", "--json").objects
    assert (deleted["id"], deleted["body"]) == (for_mia, "buy this")
    (gone,) = events(bob, "unsend")
    assert gone["target"]["id"] == for_bob
    assert entry(bob, for_bob)["deleted"] is True
    eve.receive()
    assert "buy this" not in eve.run("log", "lobby").text


def test_only_messages_in_rooms_can_be_deleted_so(four: Room) -> None:
    alice = four[0]
    note = alice.run("send", "me", "remember").text.strip()
    check_refusal(alice.try_run("community", "delete", note, "--yes"), 65)
    check_refusal(alice.try_run("community", "pin", note), 65)
    check_refusal(alice.try_run("community", "delete", "4711", "--yes"), 65, "4711")
    assert entry(alice, int(note))["body"] == "remember"


def test_admins_pin_messages(four: Room) -> None:
    alice, mia, bob, _ = four
    _, for_alice, _ = post(mia, alice, "read the rules")
    (for_bob,) = [each["id"] for each in bob.receive() if each["type"] == "message"]
    done = alice.run("community", "pin", str(for_alice))
    assert done.stderr.startswith(f"Message {for_alice} in The Lobby (")
    assert done.stderr.endswith(") is pinned now, for everybody.\n")
    bob.receive()
    assert len(room(bob)["pinned_messages"]) == 1
    for one, number in ((mia, "1"), (bob, str(for_bob))):
        assert one.try_run("community", "pin", number).code in (65, 77)
    check_refusal(bob.try_run("community", "unpin", str(for_bob)), 77)
    (message,) = alice.run("community", "unpin", str(for_alice), "--json").objects
    assert message["body"] == "read the rules"
    bob.receive()
    assert room(bob)["pinned_messages"] == []


# Those who are not wanted.


def test_who_is_banned_neither_reads_nor_writes(four: Room, server: Server) -> None:
    alice, mia, bob, eve = four
    _, _, eves = post(eve, mia, "spam")
    done = mia.run("community", "ban", "lobby", eves)
    assert done.text == f"Eve               {eves[:10]}…  banned\n"
    check_refusal(eve.try_run("send", "lobby", "more spam"), 77)
    bob.run("send", "lobby", "peace at last")
    came = eve.receive()
    assert "peace at last" not in bodies(came)
    (closed,) = [each for each in came if each["type"] == "community_update"]
    assert (closed["change"], closed["conversation"]["id"]) == ("closed", server.address())
    assert room(eve)["state"] == "closed"
    assert eve.run("community", "list").text.endswith("  [closed to you]\n")
    assert "spam" in bodies(log(eve, "lobby")), "what was read stays"
    assert eve.receive() == [], "it is told once"
    assert mia.run("community", "unban", "lobby", eves).text.endswith("  not banned\n")
    came = eve.receive()
    assert [each["change"] for each in came if each["type"] == "community_update"] == ["opened"]
    assert room(eve)["state"] == "joined"
    assert "peace at last" in bodies(log(eve, "lobby"))
    eve.run("send", "lobby", "sorry")
    assert "sorry" in bodies(alice.receive())


def test_a_ban_for_a_time_and_with_all_that_was_written(four: Room) -> None:
    _, mia, bob, eve = four
    _, first, eves = post(eve, mia, "spam")
    _, second, _ = post(eve, mia, "more spam")
    bob.receive()
    refused = mia.try_run("community", "ban", "lobby", eves, "--for", "1d", "--delete")
    check_refusal(refused, 2, "--yes")
    eve.run("send", "lobby", "still here")
    (banned,) = mia.run("community", "ban", "lobby", eves[:10], "--for", "1d", "--delete", "--yes", "--json").objects
    assert (banned["id"], banned["banned"], banned["banned_until"] is not None) == (eves, True, True)
    for one in (mia, bob):
        one.receive()
        assert "spam" not in one.run("log", "lobby").text
    assert all(entry(mia, number)["deleted"] for number in (first, second))
    check_refusal(mia.try_run("community", "ban", "lobby", eves, "--for", "later"), 2, "later")


def test_bans_are_for_moderators(four: Room) -> None:
    alice, mia, bob, eve = four
    _, _, eves = post(eve, bob, "hello")
    alices = next(id for id, role in staff(bob).items() if role == "admin")
    check_json_refusal(bob.try_run("community", "ban", "lobby", eves, "--json"), 77, "no_permission")
    check_refusal(bob.try_run("community", "unban", "lobby", eves), 77)
    check_refusal(mia.try_run("community", "ban", "lobby", alices), 77)
    alice.run("send", "lobby", "still the admin")
    check_refusal(bob.try_run("community", "ban", "lobby", "nobody"), 65)
