"""Community servers that are against us, slow, or many."""

from __future__ import annotations

import base64
import json
import time
from contextlib import ExitStack
from dataclasses import replace

import pytest

from session_cli.core.client import Client
from session_cli.core.communities.receiving import AFRESH_EVERY
from session_cli.devnet.community_faults import ForgedPosts, Oversized, Redirect, Rewrite, WrongKey
from session_cli.devnet.community_options import CommunityOptions, CommunityRoom
from session_cli.devnet.faults import Drop, Fault, Garble, InnerStatus, Nonsense, Page
from session_cli.devnet.network import Devnet, DevnetOptions
from session_cli.errors import ServiceRefused
from session_cli.network.clock import Deadline
from session_cli.protocol import content as contents
from session_cli.protocol.blinding import parse_blinded_id
from session_cli.protocol.community import endpoints
from session_cli.protocol.community.inbox import seal_direct_message
from session_cli.protocol.community.posts import make_post
from session_cli.protocol.payload import Content, VisibleMessage
from tests.support.group_clients import Maker
from tests.support.rooms import SINCE, ask, identity_of, latest, post_row, posts, said, told

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
    due(bob)
    texts += [event.message.body for event in bob.receive() if event.type == "message" and event.message]
    assert texts.count("in the room") == 1 or (isinstance(fault, ForgedPosts) and "in the room" not in texts)
    assert texts.count("to you alone") == 1


def test_a_server_learns_no_account_id_unless_it_computes_it(net: Devnet, pair: tuple[Client, Client]) -> None:
    """Neither in what it is asked, nor in what is written there."""
    alice, bob = pair
    bob.send("lobby", "who am I?")
    alice.communities.rooms("")
    assert said(alice) == ["who am I?"]
    author = latest(alice).sender.id
    assert author.startswith("15")
    assert bob.account_id[2:] not in author


def due(client: Client) -> None:
    """Let servers that failed be worth another try."""
    for server in client._store.communities.servers():
        client._store.communities.put_server(replace(server, retry_ms=0))


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
    content = contents.serialize(Content(VisibleMessage("hello"), bob.network.clock.now_ms()))
    ask(bob, endpoints.edit("lobby", int(latest(bob).hash), make_post(identity_of(bob), content)))
    assert said(alice) == []
    assert latest(alice).body == "hello"


def test_only_the_author_edits(net: Devnet, pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    bob.send("lobby", "I am Bob")
    assert said(alice) == ["I am Bob"]
    post_id = int(latest(alice).hash)
    for author, becomes in ((alice, "I am Bob"), (bob, "I am Mallory")):
        change = told(post_row(post_id, author, "I am Mallory", edited=time.time()))
        with net.chaos.inject(change, community=True, methods=SINCE) as forged:
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
    change = told(post_row(post_id, bob, "for ever", edited=time.time()))
    with net.chaos.inject(change, community=True, methods=SINCE) as forged:
        assert said(alice) == []
        assert forged.hits
    assert latest(alice).body == ""


# Lies.


def test_only_what_was_said_by_ourselves_or_by_friends_is_taken_from_an_outbox(
    net: Devnet, pair: tuple[Client, Client]
) -> None:
    """Both sides of a conversation have its key: the other one can make what we are said to have written."""
    alice, bob = pair
    bob.send("lobby", "I am Bob")
    alice.poll()
    alice.send(latest(alice).sender.id, "to Bob")
    assert [event.message.body for event in bob.receive() if event.message and event.message.request] == ["to Bob"]
    me, you = identity_of(bob), identity_of(alice)
    words = contents.serialize(Content(VisibleMessage("I confess"), bob.network.clock.now_ms()))
    now_s = bob.network.clock.now_ms() / 1000
    row = {
        "id": 99,
        "posted_at": now_s,
        "expires_at": now_s + 1_000,
        "sender": me.member_id,
        "recipient": you.member_id,
        "message": base64.b64encode(seal_direct_message(me, parse_blinded_id(you.member_id), words)).decode(),
    }
    methods = {"GET /outbox", "GET /outbox/since/<id>"}
    with net.chaos.inject(told(row), community=True, methods=methods) as forged:
        bob.poll()
        assert forged.hits
        assert [message.body for message in bob.history.log(alice.account_id)] == ["to Bob"]
        assert not bob.contacts.find(alice.account_id).approved
        bob.send(alice.account_id, "hello Alice")
        bob._store.communities.put_server(replace(bob._store.communities.servers()[0], outbox_id=None))
        bob.poll()
        assert "I confess" in [message.body for message in bob.history.log(alice.account_id)], "now it may be so"


def test_no_time_is_believed_that_makes_no_sense(net: Devnet, pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    row = post_row(50, alice, "from the year 9999", posted=253_370_764_800)
    with net.chaos.inject(told(row), community=True, methods=SINCE):
        assert said(bob) == []
    assert posts(bob) == []


def test_a_room_that_counts_anew_is_read_anew(net: Devnet, pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    alice.send("lobby", "before the backup was restored")
    bob.poll()
    (room,) = bob._store.communities.rooms()
    bob._store.communities.put_room(replace(room, seqno=1_000))
    alice.send("lobby", "afterwards")
    for _ in range(AFRESH_EVERY + 1):
        bob.poll()
    assert [body for body, _ in posts(bob)][-1] == "afterwards"


def test_our_reaction_is_known_among_many(net: Devnet, pair: tuple[Client, Client]) -> None:
    """A server names but a few of those who reacted, and says of us whether we did."""
    alice, bob = pair
    alice.send("lobby", "well?")
    bob.poll()
    post_id = int(latest(bob).hash)
    for you in (True, False):
        reactors = [f"15{number:064x}" for number in range(5)]
        told_of = {"👍": {"index": 0, "count": 30, "you": you, "reactors": reactors}}
        change = told({"id": post_id, "seqno": 1_000 + (not you), "reactions": told_of})
        with net.chaos.inject(change, community=True, methods=SINCE):
            bob.poll()
        (reaction,) = latest(bob).reactions
        assert (bob.account_id in [sender.id for sender in reaction.senders]) is you
        assert len(reaction.senders) == 5 + you


# What is too much, or takes too long.


def test_answers_that_are_too_large_are_asked_for_in_parts(
    net: Devnet, pair: tuple[Client, Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A member can write as much as he likes: of that the others have to be able to read on."""
    alice, bob = pair
    bob.communities.join("books")
    alice.communities.join("books")
    for number in range(4):
        alice.send("lobby", f"{number}" * 2_000)
        alice.send("books", f"book {number}")
    monkeypatch.setattr("session_cli.core.communities.receiving.MAX_ANSWER_BYTES", 8_000)
    monkeypatch.setattr("session_cli.core.communities.receiving.LARGEST_ANSWER_BYTES", 10_000)
    came = said(bob)
    assert sorted(came) == sorted([*(f"{number}" * 2_000 for number in range(4)), *(f"book {n}" for n in range(4))])
    assert bob.communities.get("lobby").problem is None


def test_one_post_that_is_too_large_keeps_no_other_room_from_being_read(
    net: Devnet, pair: tuple[Client, Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = pair
    bob.communities.join("books")
    alice.communities.join("books")
    alice.send("lobby", "x" * 2_000)
    alice.send("books", "a book")
    monkeypatch.setattr("session_cli.core.communities.receiving.MAX_ANSWER_BYTES", 3_000)
    monkeypatch.setattr("session_cli.core.communities.receiving.LARGEST_ANSWER_BYTES", 3_000)
    assert said(bob) == ["a book"]


def test_a_server_that_fails_is_left_alone_for_a_while(
    net: Devnet, pair: tuple[Client, Client], caplog: pytest.LogCaptureFixture
) -> None:
    alice, bob = pair
    alice.send("lobby", "are you there?")
    with net.chaos.inject(Page(code=200), community=True) as struck:
        for number in range(4):
            bob.poll()
            hits = struck.hits
            bob.poll()
            assert struck.hits == hits, "not at once"
            assert bob.communities.get("lobby").problem
            assert ("Nothing comes from the community server" in caplog.text) is (number >= 2)
            (server,) = bob._store.communities.servers()
            assert server.failures == number + 1
            due(bob)
        assert caplog.text.count("Nothing comes from the community server") == 1
    assert said(bob) == ["are you there?"]
    assert bob.communities.get("lobby").problem is None


def test_slow_servers_have_a_limit_together(
    net: Devnet, pair: tuple[Client, Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else waits for them: neither the people who wrote, nor what we have to send."""
    alice, bob = pair
    alice.send(bob.account_id, "to you alone")
    monkeypatch.setattr("session_cli.core.communities.receiving.PATIENCE_S", 1.0)
    with net.chaos.inject(Drop("hang"), community=True) as struck:
        events = bob.receive()
        first = next(events)
        assert first.message
        assert first.message.body == "to you alone"
        assert not struck.hits
        assert list(events) == []
        assert struck.hits


def test_whom_the_whole_server_bans_every_room_is_closed_to(net: Devnet, pair: tuple[Client, Client]) -> None:
    _, bob = pair
    bob.communities.join("books")
    banned = InnerStatus(403, "Banned")
    with net.chaos.inject(banned, community=True, methods={"POST /batch"}):
        assert said(bob) == ["community_update"] * 2
        assert {room.state for room in bob.communities.all()} == {"closed"}
    due(bob)
    assert said(bob) == ["community_update"] * 2
    assert {room.state for room in bob.communities.all()} == {"joined"}


def test_who_gets_no_time_has_not_failed(net: Devnet, pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    alice.send("lobby", "take your time")
    with net.chaos.inject(Drop("hang"), community=True):
        bob._timeout = 3.0
        bob.poll()
    assert bob.communities.get("lobby").problem is None
    bob._timeout = 60.0
    assert said(bob) == ["take your time"]


def test_older_messages_have_an_end(net: Devnet, pair: tuple[Client, Client]) -> None:
    """Whatever is told of them: what was deleted, or what is newer than what was asked for."""
    alice, bob = pair
    for number in range(3):
        alice.send("lobby", f"message {number}")
    bob.poll()
    (room,) = bob._store.communities.rooms()
    bob._store.communities.put_room(replace(room, oldest_id=90))
    gone = [{"id": number, "seqno": number, "deleted": True} for number in range(80, 90)]
    newer = [post_row(95, alice, "newer")]
    for rows in (gone, newer):
        with net.chaos.inject(told(*rows), community=True, methods={"GET /room/<room>/messages/before/<id>"}) as lie:
            assert bob.communities.fetch_older("lobby", 50) == 0
            assert lie.hits <= 3
    assert bob._store.communities.rooms()[0].oldest_id == 80


# What moderators do.


def test_a_whisper_is_marked(net: Devnet, pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    row = post_row(70, alice, "this is a warning", whisper=True, whisper_to=identity_of(bob).member_id)
    with net.chaos.inject(told(row), community=True, methods=SINCE):
        assert said(bob) == ["this is a warning"]
    assert latest(bob).content == {"whisper": True}


def test_what_a_filter_swallows_is_not_sent(net: Devnet, pair: tuple[Client, Client]) -> None:
    _, bob = pair
    swallowed = Rewrite(
        lambda reply: replace(reply, body=json.dumps({**json.loads(reply.body), "filtered": True}).encode())
    )
    methods = {"POST /room/<room>/message"}
    with net.chaos.inject(swallowed, community=True, methods=methods), pytest.raises(ServiceRefused, match="filter"):
        bob.send("lobby", "a bad word")
    assert posts(bob) == [("a bad word", "failed")]


def test_who_takes_a_message_is_worth_asking_again(net: Devnet, pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    with net.chaos.inject(Page(code=200), community=True):
        bob.poll()
    assert bob.communities.get("lobby").problem
    alice.send("lobby", "still there?")
    assert said(bob) == []
    bob.send("lobby", "yes")
    assert bob.communities.get("lobby").problem is None
    assert said(bob) == ["still there?"]


def test_an_outbox_is_read_by_who_wants_no_requests(pair: tuple[Client, Client], make: Maker) -> None:
    alice, bob = pair
    alice.send("lobby", "write to me")
    bob.poll()
    bob.profiles.change(community_requests=False)
    bob.sync()
    phone = make("phone", of=bob)
    phone.poll()
    phone.poll()
    somebody = latest(phone).sender.id
    bob.send(somebody, "from the other device")
    phone.poll()
    assert [message.body for message in phone.history.log(somebody)] == ["from the other device"]


def test_who_wants_no_requests_can_still_take_notes(pair: tuple[Client, Client], make: Maker) -> None:
    _, bob = pair
    bob.profiles.change(community_requests=False)
    bob.send("lobby", "leave me alone")
    bob.sync()
    phone = make("phone", of=bob)
    phone.poll()
    phone.poll()
    assert phone.send("me", "a note").status == "sent"


def test_a_room_that_is_back_under_another_name_is_told_of_as_both(net: Devnet, pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    with net.chaos.inject(InnerStatus(403, "Banned"), community=True, methods={"POST /batch"}):
        bob.poll()
    ask(alice, endpoints.set_room("lobby", name="The Hall"))
    due(bob)
    assert [event.content["change"] for event in bob.receive(types=["community_update"])] == [
        "closed",
        "opened",
        "renamed",
    ]


def test_what_is_told_to_other_devices_waits_for_no_community(net: Devnet, pair: tuple[Client, Client]) -> None:
    _, bob = pair
    before = sum(record.kind == "community" for record in net.request_log)
    with bob:
        bob.profiles.change(name="Robert")
        bob.network.prepare(Deadline(30))
    assert sum(record.kind == "community" for record in net.request_log) == before
