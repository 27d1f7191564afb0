"""How rooms of communities are joined and left, and what is written there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from session_cli.protocol.account import Identity
from session_cli.protocol.community.auth import ServerIdentity
from tests.support.communities import Server, post, room, room_addresses, running_server
from tests.support.devnet import Person
from tests.support.friends import entry, events, log
from tests.support.histories import open_store
from tests.support.outcomes import bodies, check_json_refusal, check_refusal
from tests.support.terminal import at_terminal

FOREIGN = "https://open.example.org/lobby?public_key=" + "ab" * 32


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with running_server(tmp_path) as server:
        yield server


@pytest.fixture
def three(server: Server) -> tuple[Person, Person, Person]:
    """Alice, who is the admin, Bob and Carol, all of them in the lobby."""
    return server.person("Alice", "lobby"), server.person("Bob", "lobby"), server.person("Carol", "lobby")


def blinded(server: Server, person: Person) -> str:
    """The id by which somebody is known on the server."""
    profile = open_store(person)
    try:
        identity: Identity = profile.identity
    finally:
        profile.store.close()
    return ServerIdentity.of(identity, server.net.community_x25519, blinded=True).member_id


# Joined.


def test_a_room_is_joined_by_its_url(server: Server) -> None:
    alice = server.person("Alice")
    address = server.address()
    shown = address.removeprefix("http://")
    done = alice.run("community", "join", server.url())
    assert done.lines == [address]
    assert done.stderr == (
        f"You are in The Lobby ({shown}) now, and may read, write and send files. It is public: what is written there "
        "is not end-to-end encrypted.\n"
    )
    again = alice.run("community", "join", server.url())
    assert again.lines == [address]
    assert again.stderr == f"You were in The Lobby ({shown}) already, and may read, write and send files.\n"
    found = room(alice)
    assert found == room(alice, "The Lobby") == room(alice, address) == room(alice, server.url())
    expected = {"id": address, "url": server.url(), "name": "The Lobby", "state": "joined", "role": "admin"}
    assert expected.items() <= found.items()
    assert (found["description"], found["write"], found["upload"]) == ("A room to try things out", True, True)
    assert alice.run("community", "list").lines == [f"The Lobby         {address}  admin"]
    facts = dict(line.split("  ", 1) for line in alice.run("community", "show", "lobby").lines)
    assert facts["URL"].strip() == server.url()
    assert alice.run("community", "join", server.url()).lines == [address], "to be there already is fine"
    assert room_addresses(alice) == [address]


def test_a_room_of_the_networks_own_server_is_joined_by_its_short_name(server: Server) -> None:
    alice = server.person("Alice")
    (joined,) = alice.run("community", "join", "books", "--json").objects
    assert (joined["id"], joined["name"], joined["url"]) == (server.address("books"), "Books", server.url("books"))
    check_json_refusal(alice.try_run("community", "join", "nowhere", "--json"), 69, "not_found")
    assert room_addresses(alice) == [server.address("books")]


@pytest.mark.parametrize(
    "wrong",
    ["https://open.example.org/lobby", "https://open.example.org/?public_key=" + "ab" * 32, FOREIGN[:-1], "ftp://x/y"],
)
def test_what_is_no_rooms_url(server: Server, wrong: str) -> None:
    alice = server.person("Alice")
    check_refusal(alice.try_run("community", "join", wrong), 65)
    assert room_addresses(alice) == []


def test_a_server_with_another_key_is_not_talked_to(server: Server) -> None:
    alice = server.person("Alice")
    wrong = f"{server.address()}?public_key={'ab' * 32}"
    assert alice.try_run("community", "join", wrong).code != 0
    assert room_addresses(alice) == []


def test_the_rooms_of_a_server(server: Server) -> None:
    alice = server.person("Alice", "lobby")
    found = {each["name"]: each for each in alice.run("community", "rooms", "--json").objects}
    assert {name: each["state"] for name, each in found.items()} == {
        "Books": "open",
        "News": "open",
        "The Lobby": "joined",
        "Words": "open",
    }
    assert found["Books"]["url"] == server.url("books")
    assert list(found) == [
        each["name"] for each in alice.run("community", "rooms", server.url("news"), "--json").objects
    ]
    rows = alice.run("community", "rooms").lines
    assert [row.split()[0] for row in rows] == ["books", "lobby", "news", "words"]
    assert rows[0].endswith("active  What we read")
    assert "[joined] A room to try things out" in rows[1]
    code, shown = at_terminal(alice, "community", "rooms")
    assert code == 0
    assert f"session community join '{server.url('books')}'" in shown
    looked = room(alice, server.url("books"))
    assert (looked["state"], looked["name"], looked["description"]) == ("open", "Books", "What we read")
    assert room_addresses(alice) == [server.address()], "to look is not to join"
    check_refusal(alice.try_run("community", "show", "books"), 65)
    check_refusal(alice.try_run("community", "rooms", "nonsense"), 65)


# Written and read.


def test_all_in_a_room_read_each_other(server: Server, three: tuple[Person, Person, Person]) -> None:
    for sender in three:
        sender.run("send", "lobby", f"this is {sender.home.name}")
    ids = {blinded(server, one): one for one in three}
    for reader in three:
        came = [each for each in reader.receive() if each["type"] == "message"]
        assert {each["body"] for each in came} == {f"this is {one.home.name}" for one in three if one is not reader}
        assert {each["sender"]["id"] for each in came} == {id for id, one in ids.items() if one is not reader}
        place = {"type": "community", "id": server.address(), "name": "The Lobby"}
        assert all(each["conversation"] == place for each in came)
        assert not any(each["request"] for each in came)
        assert len(bodies(log(reader, "lobby"))) == 3
        assert reader.receive() == []
    names = {each["sender"]["id"]: each["sender"]["name"] for each in log(three[0], "lobby")}
    assert names[blinded(server, three[1])] == "Bob"
    assert three[0].run("contact", "list").text == "", "to be in a room with somebody approves nobody"
    assert three[0].run("request", "list").text == ""


def test_what_is_read_says_in_which_room_it_was_written(server: Server, three: tuple[Person, Person, Person]) -> None:
    alice, bob, _ = three
    shown = server.address().removeprefix("http://")
    bob.run("community", "join", "books")
    alice.run("community", "join", "books")
    alice.run("send", "lobby", "hello lobby")
    alice.run("send", "books", "hello books", "--to", server.address())
    lines = bob.run("recv").lines
    assert lines[lines.index("    hello lobby") - 1] == f"  @ The Lobby ({shown})"
    assert lines.count("    hello books") == 2
    assert bodies(bob.receive("--cursor", "other", "--from", "The Lobby")) == ["hello lobby", "hello books"]
    assert "  @ The Lobby" not in bob.run("log", "lobby").text, "all of it is in this room"
    assert f"  @ The Lobby ({shown})" in bob.run("log").lines
    rows = {row.split("  ")[1].strip() or row: row for row in bob.run("list").lines}
    assert any(
        "The Lobby         lobby        " in row and "[community] Alice: hello books" in row for row in rows.values()
    )


def test_a_long_text_a_pipe_and_a_search(three: tuple[Person, Person, Person]) -> None:
    alice, bob, _ = three
    alice.run("send", "lobby", "-", stdin="línea one\n日本 two\n".encode())
    bob.receive()
    (found,) = bob.run("search", "two", "--in", "lobby", "--json").objects
    assert found["body"] == "línea one\n日本 two"
    assert bob.try_run("search", "three", "--in", "lobby").code == 1


def test_an_answer_names_what_it_answers(three: tuple[Person, Person, Person]) -> None:
    alice, bob, carol = three
    _, for_bob, alices = post(alice, bob, "who comes?")
    carol.receive()
    bob.run("send", "lobby", "I do", "--quote", str(for_bob))
    (answer,) = [each for each in carol.receive() if each["type"] == "message"]
    assert answer["quote"]["excerpt"] == "who comes?"
    assert answer["quote"]["sender"]["id"] == alices
    assert entry(carol, answer["quote"]["id"])["body"] == "who comes?"


def test_files_in_rooms(three: tuple[Person, Person, Person], tmp_path: Path) -> None:
    alice, bob, _ = three
    (tmp_path / "plan.bin").write_bytes(bytes(range(256)) * 40)
    alice.run("attach", "send", "lobby", str(tmp_path / "plan.bin"), "--caption", "the plan")
    (found,) = [each for each in bob.receive() if each["type"] == "message"]
    (file,) = found["attachments"]
    assert (found["body"], file["name"], file["size"]) == ("the plan", "plan.bin", 10_240)
    assert bob.run("attach", "save", str(found["id"]), "-o", "-").stdout == (tmp_path / "plan.bin").read_bytes()


def test_reactions_in_rooms(server: Server, three: tuple[Person, Person, Person]) -> None:
    alice, bob, carol = three
    for_alice, for_bob, _ = post(alice, bob, "hello")
    carol.receive()
    bob.run("react", str(for_bob), "👍")
    (reaction,) = events(alice, "reaction")
    assert (reaction["emoji"], reaction["removed"]) == ("👍", False)
    assert reaction["target"]["id"] == for_alice
    (mark,) = entry(alice, for_alice)["reactions"]
    assert (mark["emoji"], [one["id"] for one in mark["senders"]]) == ("👍", [blinded(server, bob)])
    carol.receive()
    assert any(each.get("reactions") for each in log(carol, "lobby"))
    bob.run("react", str(for_bob), "--remove")
    alice.receive()
    assert entry(alice, for_alice)["reactions"] == []


def test_own_posts_are_unsent(three: tuple[Person, Person, Person]) -> None:
    alice, bob, carol = three
    own, for_carol, _ = post(bob, carol, "oops")
    bob.run("unsend", str(own))
    (gone,) = events(carol, "unsend")
    assert gone["target"]["id"] == for_carol
    assert entry(carol, for_carol)["deleted"] is True
    assert "oops" not in carol.run("log", "lobby").text
    alice.receive()
    assert "oops" not in alice.run("log", "lobby").text
    _, for_bob, _ = post(alice, bob, "stays")
    assert bob.try_run("unsend", str(for_bob)).code != 0
    assert entry(bob, for_bob)["body"] == "stays"


def test_where_one_may_only_read(server: Server) -> None:
    alice, bob = server.person("Alice", "news", "words"), server.person("Bob")
    done = bob.run("community", "join", "news")
    assert "and may read. It is public" in done.stderr
    assert bob.run("community", "list").text.endswith("  [read only]\n")
    post(alice, bob, "good news", "news")
    check_json_refusal(bob.try_run("send", "news", "may I?", "--json"), 77, "no_permission")
    assert bodies(log(bob, "news", "--limit", "0"))[:1] == ["good news"]
    assert "may read and write, but send no files." in bob.run("community", "join", "words").stderr
    check_refusal(bob.try_run("attach", "send", "words", str(server.folder / "network.toml")), 77)
    bob.run("send", "words", "only words")


def test_older_messages_are_fetched_when_asked_for(server: Server) -> None:
    alice = server.person("Alice", "lobby")
    texts = [f"number {number}" for number in range(130)]
    alice.run("send", "lobby", "--lines", stdin="\n".join(texts).encode())
    bob = server.person("Bob", "lobby")
    before = bodies(log(bob, "lobby", "--limit", "0"))
    assert before == texts[-len(before) :]
    assert len(before) < 130
    assert bodies(bob.receive()) == before
    some = bob.run("log", "lobby", "--fetch", "10", "--limit", "0", "--json")
    assert bodies(some.objects) == texts[-len(before) - 10 :]
    assert some.stderr == "session: 10 older messages came.\n"
    assert bodies(log(bob, "lobby", "--fetch", "1000", "--limit", "0")) == texts
    done = bob.run("log", "lobby", "--fetch", "5", "--limit", "1")
    assert done.stderr == "session: There is nothing older.\n"
    assert bodies(bob.receive()) == [], "what was fetched so is no news"
    check_refusal(bob.try_run("log", "--fetch", "5"), 2, "session log ROOM --fetch N")
    assert bob.try_run("log", "me", "--fetch", "5").code == 65


def test_an_exported_room(three: tuple[Person, Person, Person], server: Server) -> None:
    alice, bob, _ = three
    post(alice, bob, "for posterity")
    page = bob.run("export", "lobby", "--format", "html").text
    assert f"in the community The Lobby, {server.address()}" in page
    assert "for posterity" in page


# How the conversation is treated.


def test_a_room_is_muted_hidden_and_pinned(server: Server, three: tuple[Person, Person, Person]) -> None:
    bob = three[1]
    (state,) = bob.run("community", "mute", "lobby", "--for", "1h", "--json").objects
    assert state["conversation"] == {"type": "community", "id": server.address(), "name": "The Lobby"}
    assert (state["muted"], state["muted_until"] is not None) == (True, True)
    assert room(bob)["muted"] is True
    bob.run("community", "unmute", "lobby")
    assert room(bob)["muted"] is False
    bob.run("community", "hide", "The Lobby")
    assert room(bob)["hidden"] is True
    assert bob.run("community", "list").text.endswith("  [hidden]\n")
    assert bob.run("list").text == ""
    bob.run("community", "unhide", server.address())
    (state,) = bob.run("contact", "pin", "lobby", "--json").objects
    assert (state["pinned"], state["hidden"]) == (True, False)
    check_refusal(bob.try_run("community", "mute", "lobby", "--for", "soon"), 2, "soon")


# Left, and on other devices.


def test_a_room_is_left_for_good(server: Server, three: tuple[Person, Person, Person]) -> None:
    alice, bob, _ = three
    post(alice, bob, "hello")
    check_refusal(bob.try_run("community", "leave", "lobby"), 2, "--yes")
    code, shown = at_terminal(bob, "community", "leave", "lobby", typed=b"no\n")
    assert code == 2
    assert "Nothing was done" in shown
    assert room_addresses(bob) == [server.address()]
    (left,) = bob.run("community", "leave", "lobby", "--yes", "--json").objects
    assert (left["id"], left["name"]) == (server.address(), "The Lobby")
    assert (room_addresses(bob), log(bob), bob.run("list").text) == ([], [], "")
    check_refusal(bob.try_run("community", "leave", "lobby", "--yes"), 65)
    assert bob.try_run("send", server.address(), "hello?").code != 0
    alice.run("send", "lobby", "without you")
    assert bob.receive() == []
    bob.run("community", "join", "lobby")
    assert bodies(log(bob, "lobby"))[-1] == "without you", "what the server still has"


def test_rooms_come_and_go_on_other_devices(server: Server, three: tuple[Person, Person, Person]) -> None:
    alice, bob, _ = three
    post(alice, bob, "hello")
    bob.run("sync")
    laptop = bob.second_device()
    laptop.receive()
    assert room_addresses(laptop) == [server.address()]
    assert bodies(log(laptop, "lobby")) == ["hello"]
    laptop.run("send", "lobby", "from the laptop")
    bob.receive()
    (mine,) = [each for each in log(bob, "lobby") if each["body"] == "from the laptop"]
    assert (mine["direction"], mine["sender"]["id"]) == ("outgoing", bob.id)
    laptop.run("community", "leave", "lobby", "--yes")
    laptop.run("sync")
    bob.receive()
    assert (room_addresses(bob), log(bob)) == ([], [])


# Messages to one of those in a room.


def test_somebody_seen_in_a_room_is_written_to(server: Server, three: tuple[Person, Person, Person]) -> None:
    _, bob, carol = three
    _, _, seen = post(carol, bob, "I am new here")
    assert seen == blinded(server, carol)
    bob.run("send", seen, "welcome, Carol")
    (request,) = [each for each in carol.receive() if each["type"] == "message"]
    assert (request["body"], request["request"]) == ("welcome, Carol", True)
    assert request["sender"]["id"] == request["conversation"]["id"] == bob.id
    assert request["conversation"]["type"] == "contact"
    assert [each["sender"]["id"] for each in carol.run("request", "list", "--json").objects] == [bob.id]
    carol.run("send", bob.id, "thank you")
    (answer,) = [each for each in bob.receive() if each["type"] == "message"]
    assert (answer["body"], answer["sender"]["id"]) == ("thank you", carol.id)
    assert bodies(log(bob, carol.id)) == ["welcome, Carol", "thank you"], "two conversations have become one"
    assert {each["conversation"]["id"] for each in bob.run("list", "--json").objects} == {server.address(), carol.id}
    bob.run("send", "Carol", "you are welcome")
    assert bodies(carol.receive()) == ["you are welcome"]


def test_nobody_is_written_to_whom_no_room_has_shown(three: tuple[Person, Person, Person]) -> None:
    assert three[1].try_run("send", "15" + "ab" * 32, "hello").code in (65, 69)
