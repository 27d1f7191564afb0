"""Rooms of communities as several people and devices have them, with servers that do what they should and others."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from session_cli.core.attachments import OutgoingFile
from session_cli.core.client import Client
from session_cli.core.communities.servers import CommunityServers
from session_cli.devnet.community_faults import ForgedPosts, Oversized, Redirect, Rewrite, WrongKey
from session_cli.devnet.community_options import CommunityOptions, CommunityRoom
from session_cli.devnet.faults import Drop, Fault, Garble, Nonsense, Page
from session_cli.devnet.network import Devnet, DevnetOptions
from session_cli.errors import InvalidInput, NoPermission, Unconfirmed
from session_cli.network.clock import Deadline
from session_cli.protocol import content as contents
from session_cli.protocol.community import endpoints
from session_cli.protocol.community.auth import ServerIdentity
from session_cli.protocol.community.posts import make_post
from session_cli.protocol.payload import Content, VisibleMessage
from tests.support.group_clients import Maker, clients

ROOMS = (
    CommunityRoom("lobby", "The Lobby"),
    CommunityRoom("books", "Books"),
    CommunityRoom("quiet", "Quiet", upload=False),
)


@pytest.fixture
def net() -> Iterator[Devnet]:
    options = CommunityOptions(ROOMS, first_is_admin=True)
    with Devnet(DevnetOptions(nodes=4, swarms=1, community=options)) as made:
        yield made


@pytest.fixture
def make(net: Devnet, tmp_path: Path) -> Iterator[Maker]:
    net.write_definition(tmp_path / "network.toml")
    with clients(tmp_path / "network.toml", tmp_path) as maker:
        yield maker


@pytest.fixture
def pair(make: Maker) -> tuple[Client, Client]:
    """Alice, who runs the server, and Bob, both in the lobby."""
    alice, bob = make("Alice"), make("Bob")
    for one in (alice, bob):
        one.communities.join("lobby")
    return alice, bob


def said(client: Client) -> list[Any]:
    """What is new in rooms: texts, or types of events."""
    return [
        event.message.body if event.type == "message" and event.message else event.type
        for event in client.receive()
        if event.conversation and event.conversation.type == "community"
    ]


def latest(client: Client, room: str = "lobby") -> Any:
    return list(client.history.log(client.resolve(room)))[-1]


def a_file(data: bytes, name: str = "list.txt") -> OutgoingFile:
    return OutgoingFile(io.BytesIO(data), name, name, "text/plain", len(data))


# Files.


def test_a_file_goes_to_the_room_and_comes_whole(net: Devnet, pair: tuple[Client, Client], tmp_path: Path) -> None:
    alice, bob = pair
    data = bytes(range(256)) * 300
    alice.send("lobby", "the list", attachments=[a_file(data)])
    assert said(bob) == ["the list"]
    (attachment,) = latest(bob).attachments
    assert (attachment.name, attachment.size) == ("list.txt", len(data))
    assert not [record for record in net.request_log if record.kind == "file"], (
        "the network's file server has none of it"
    )


def test_no_file_where_there_may_be_none(pair: tuple[Client, Client]) -> None:
    _, bob = pair
    bob.communities.join("quiet")
    with pytest.raises(NoPermission):
        bob.send("quiet", attachments=[a_file(b"data")])
    with pytest.raises(InvalidInput, match="alone"):
        list(bob.send_to_all(["lobby", "me"], "text", attachments=[a_file(b"data")]))


# What becomes of posts.


def test_what_a_moderator_deletes_at_once_is_gone_for_its_author(pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    bob.send("lobby", "oops")
    assert said(alice) == ["oops"]
    list(alice.unsend([latest(alice).id]))
    assert said(bob) == ["unsend"]
    assert latest(bob).deleted
    assert said(bob) == []


def test_what_was_not_deleted_stays(pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    for number in range(3):
        bob.send("lobby", f"message {number}")
        alice.send("lobby", f"answer {number}")
        assert "unsend" not in said(bob)
    assert said(bob) == []
    texts = [message.body for message in bob.history.log(bob.resolve("lobby"))]
    assert sorted(texts) == sorted(f"{what} {number}" for what in ("message", "answer") for number in range(3))


def test_older_messages_come_when_they_are_asked_for(pair: tuple[Client, Client], make: Maker) -> None:
    alice, _ = pair
    for number in range(120):
        alice.send("lobby", f"message {number}")
    carol = make("Carol")
    carol.communities.join("lobby")
    came = said(carol)
    assert came == [f"message {number}" for number in range(20, 120)], "the latest page, not all there is"
    assert carol.communities.fetch_older("lobby", 15) == 15
    assert said(carol) == []
    assert next(iter(carol.history.log(carol.resolve("lobby"), limit=500))).body == "message 5"
    assert carol.communities.fetch_older("lobby", 50) == 5
    assert carol.communities.fetch_older("lobby", 50) == 0


# Devices.


def test_rooms_are_the_same_on_all_devices(pair: tuple[Client, Client], make: Maker) -> None:
    alice, bob = pair
    alice.communities.join("books")
    alice.sync()
    tablet = make("tablet", of=alice)
    bob.send("lobby", "for all devices")
    assert "for all devices" in said(tablet)
    assert [room.name for room in tablet.communities.all()] == ["Books", "The Lobby"]
    tablet.communities.leave("books")
    tablet.sync()
    alice.poll()
    assert [room.name for room in alice.communities.all()] == ["The Lobby"]


# Servers.

HOSTILE: list[Fault] = [
    Oversized(),
    Redirect(),
    WrongKey("request"),
    WrongKey("answer"),
    Nonsense(what="sealed"),
    Page(code=200),
    Garble(),
    *(ForgedPosts(how) for how in ("signature", "author", "numbers", "backwards", "twice", "flood")),
]


@pytest.mark.parametrize("fault", HOSTILE, ids=str)
def test_a_hostile_server_keeps_nothing_else_from_us(fault: Fault, net: Devnet, pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    alice.send("lobby", "in the room")
    alice.send(bob.account_id, "to you alone")
    struck = net.chaos.inject(fault, community=True)
    texts = [event.message.body for event in bob.receive() if event.type == "message" and event.message]
    assert "to you alone" in texts
    assert struck.hits
    struck.remove()
    texts += [event.message.body for event in bob.receive() if event.type == "message" and event.message]
    assert texts.count("in the room") <= 1
    assert texts.count("to you alone") == 1


def test_a_server_learns_no_account_id_unless_it_computes_it(net: Devnet, pair: tuple[Client, Client]) -> None:
    """Neither in what it is asked, nor in what is written there."""
    alice, bob = pair
    bob.send("lobby", "who am I?")
    alice.communities.rooms("")
    (author,) = (
        {message.sender.id for message in alice.history.log(alice.resolve("lobby"))} or {""} if said(alice) else {""}
    )
    assert author.startswith("15")
    assert bob.account_id[2:] not in author


def test_each_server_is_asked_once_for_all_rooms(net: Devnet, make: Maker) -> None:
    """Twenty rooms on four servers: four requests, and what was said in each comes."""
    rooms = tuple(CommunityRoom(f"room{number}", f"Room {number}") for number in range(5))
    with ExitStack() as stack:
        options = DevnetOptions(nodes=1, swarms=1, community=CommunityOptions(rooms))
        servers = [stack.enter_context(Devnet(options)) for _ in range(4)]
        alice, bob = make("Alice"), make("Bob")
        urls = [server.room_url(room.token) for server in servers for room in rooms]
        for url in urls:
            alice.communities.join(url)
            bob.communities.join(url)
        assert len(bob.communities.all()) == 20

        def asked() -> int:
            return sum(record.kind == "community" for server in servers for record in server.request_log)

        before = asked()
        bob.poll()
        assert asked() - before == 4
        for url in urls:
            alice.send(url, f"in {url}")
        before = asked()
        assert sorted(said(bob)) == sorted(f"in {url}" for url in urls)
        assert asked() - before == 4


def test_who_is_blocked_says_nothing_in_rooms_either(pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    bob.send("lobby", "first")
    assert said(alice) == ["first"]
    alice.contacts.set_blocked(latest(alice).sender.id, blocked=True)
    alice.sync()
    bob.send("lobby", "second")
    assert said(alice) == []
    alice.contacts.set_blocked(latest(alice).sender.id, blocked=False)
    bob.send("lobby", "third")
    assert said(alice) == ["third"]


def test_an_edited_post_says_what_it_says_now(net: Devnet, pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    bob.send("lobby", "helo")
    assert said(alice) == ["helo"]
    server = bob._store.communities.servers()[0]
    servers = CommunityServers(bob._profile, bob._use_network)
    me = servers.identity(server)
    content = contents.serialize(Content(VisibleMessage("hello"), bob.network.clock.now_ms()))
    servers.ask(server, endpoints.edit("lobby", int(latest(bob).hash), make_post(me, content)), Deadline(30))
    assert said(alice) == []
    assert latest(alice).body == "hello"


def edit_of(post_id: int, by: Client, words: str) -> Rewrite:
    """A server that says of a post that it says something else now, which is indeed signed."""
    me = ServerIdentity.of(by._profile.identity, by._store.communities.servers()[0].server_key)
    now_ms = by.network.clock.now_ms()
    made = make_post(me, contents.serialize(Content(VisibleMessage(words), now_ms)))
    times = {"posted": now_ms / 1000, "edited": now_ms / 1000 + 1}
    row = {"id": post_id, "seqno": 1000, "session_id": me.member_id, **times, **made.json()}
    return Rewrite(lambda reply: replace(reply, body=json.dumps([row]).encode()))


def test_only_the_author_edits(net: Devnet, pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    bob.send("lobby", "I am Bob")
    assert said(alice) == ["I am Bob"]
    post_id = int(latest(alice).hash)
    for author, becomes in ((alice, "I am Bob"), (bob, "I am Mallory")):
        change = edit_of(post_id, author, "I am Mallory")
        with net.chaos.inject(change, community=True, methods={"GET /room/<room>/messages/since/<n>"}) as forged:
            assert said(alice) == []
            assert forged.hits
        assert latest(alice).body == becomes
        alice._store.communities.put_room(replace(alice._store.communities.rooms()[0], seqno=1))


def test_no_edit_brings_back_what_was_deleted(net: Devnet, pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    bob.send("lobby", "for a moment")
    alice.poll()
    post_id = int(latest(alice).hash)
    assert list(bob.unsend([latest(bob).id]))
    assert said(alice) == ["for a moment", "unsend"]
    change = edit_of(post_id, bob, "for ever")
    with net.chaos.inject(change, community=True, methods={"GET /room/<room>/messages/since/<n>"}) as forged:
        assert said(alice) == []
        assert forged.hits
    assert latest(alice).body == ""


# Answers that never come.

POST = "POST /room/<room>/message"


def posts(client: Client) -> list[tuple[str, str]]:
    """What stands in the lobby for a client: texts and states."""
    return [(message.body, message.status) for message in client.history.log(client.resolve("lobby"))]


def test_what_arrived_without_an_answer_is_found(net: Devnet, pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    alice.poll()
    lost = net.chaos.inject(Drop(after=True), community=True, methods={POST})
    assert bob.send("lobby", "only the answer is lost").status == "sent"
    assert lost.hits
    lost.remove()
    assert said(alice) == ["only the answer is lost"]
    assert said(bob) == []
    assert posts(bob) == [("only the answer is lost", "sent")]


def test_what_seems_lost_is_known_again_when_it_is_met(net: Devnet, pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    lost = net.chaos.inject(Drop(after=True), community=True)
    with pytest.raises(Unconfirmed):
        bob.send("lobby", "did it?")
    assert posts(bob) == [("did it?", "failed")]
    lost.remove()
    assert said(bob) == []
    assert posts(bob) == [("did it?", "sent")]
    assert list(bob.unsend([latest(bob).id]))
    assert said(alice) == []


@pytest.mark.parametrize("arrives", [True, False])
def test_what_waits_is_given_to_the_server_once(net: Devnet, pair: tuple[Client, Client], arrives: bool) -> None:
    alice, bob = pair
    lost = net.chaos.inject(Drop(after=arrives), community=True)
    assert bob.send("lobby", "later", queue=True).status == "queued"
    lost.remove()
    assert bob.send("lobby", "behind it", queue=True).status == "sent"
    bob.poll()
    assert posts(bob) == [("later", "sent"), ("behind it", "sent")]
    assert said(alice) == ["later", "behind it"]


@pytest.mark.parametrize("arrives", [True, False])
def test_direct_messages_are_given_to_the_server_once(net: Devnet, pair: tuple[Client, Client], arrives: bool) -> None:
    alice, bob = pair
    alice.send("lobby", "here I am")
    bob.poll()
    somebody = latest(bob).sender.id
    lost = net.chaos.inject(Drop(after=arrives), community=True)
    assert bob.send(somebody, "psst", queue=True).status == "queued"
    lost.remove()
    assert bob.send(somebody, "hello?", queue=True).status == "sent"
    bob.poll()
    assert [(message.body, message.status) for message in bob.history.log(somebody)] == [
        ("psst", "sent"),
        ("hello?", "sent"),
    ]
    assert [event.message.body for event in alice.receive() if event.message] == ["psst", "hello?"]
