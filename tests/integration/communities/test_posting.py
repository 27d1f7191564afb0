"""What is written in rooms while answers are lost, or long in coming."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

import pytest

from session_cli.core.client import Client
from session_cli.devnet.faults import Delay, Drop, InnerStatus
from session_cli.devnet.network import Devnet
from session_cli.errors import AmbiguousName, InvalidAccountId, InvalidInput, NoPermission, Unconfirmed
from session_cli.protocol.community import endpoints
from session_cli.protocol.community.posts import open_post
from session_cli.protocol.payload import VisibleMessage
from tests.support.group_clients import Maker
from tests.support.histories import account_id
from tests.support.rooms import a_file, ask, identity_of, latest, posts, said
from tests.support.waiting import wait_until

POST = "POST /room/<room>/message"


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


@pytest.fixture
def arrived_by_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is on its way to a server arrives at once, or not at all."""
    monkeypatch.setattr("session_cli.core.communities.posting.ON_ITS_WAY_MS", 0)


@pytest.mark.usefixtures("arrived_by_now")
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


def test_what_may_still_be_on_its_way_is_not_given_again(net: Devnet, pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    with net.chaos.inject(Drop(), community=True):
        assert bob.send("lobby", "wait", queue=True).status == "queued"
    assert bob.send("lobby", "and this", queue=True).status == "queued"
    assert type(bob.outbox.flush().problem) is Unconfirmed
    assert said(alice) == []
    assert bob.communities.get("lobby").problem is None
    (first, *_) = bob.outbox.waiting()
    tried_ms = [delivery.tried_ms for delivery in bob._store.deliveries.of_message(first.id)]
    bob.poll()
    assert [delivery.tried_ms for delivery in bob._store.deliveries.of_message(first.id)] == tried_ms


@pytest.mark.usefixtures("arrived_by_now")
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


@pytest.mark.parametrize("queue", [True, False])
def test_what_is_deleted_on_its_way_is_gone(
    net: Devnet, pair: tuple[Client, Client], monkeypatch: pytest.MonkeyPatch, queue: bool
) -> None:
    """Whether it arrived, the answer would have said."""
    alice, bob = pair
    with net.chaos.inject(Drop(after=True), community=True), suppress(Unconfirmed):
        bob.send("lobby", "oops", queue=queue)
    assert said(alice) == ["oops"]
    assert list(bob.unsend([latest(bob).id]))
    assert said(alice) == ["unsend"]
    assert said(bob) == []


def test_what_was_deleted_and_arrives_all_the_same_can_be_deleted_again(
    net: Devnet, pair: tuple[Client, Client], caplog: pytest.LogCaptureFixture
) -> None:
    alice, bob = pair
    with net.chaos.inject(Drop(after=True), community=True):
        with suppress(Unconfirmed):
            bob.send("lobby", "oops")
        assert list(bob.unsend([latest(bob).id]))
    assert said(bob) == []
    assert f"session unsend {latest(bob).id}" in caplog.text
    assert said(alice) == ["oops"]
    assert list(bob.unsend([latest(bob).id]))
    assert said(alice) == ["unsend"]


@pytest.mark.usefixtures("arrived_by_now")
def test_what_waits_is_quoted_by_the_time_that_it_gets(net: Devnet, pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    with net.chaos.inject(InnerStatus(500, "no"), community=True, methods={POST}):
        first = bob.send("lobby", "first", queue=True)
        answer = bob.send("lobby", "as I said", quote=first.id, queue=True)
        assert (first.status, answer.status) == ("queued", "queued")
    monkeyed = bob._store.communities.servers()[0]
    bob._store.communities.put_server(replace(monkeyed, retry_ms=0))
    bob.poll()
    assert [status for _, status in posts(bob)] == ["sent", "sent"]
    assert latest(bob).quote.id == first.id
    alice.poll()
    assert latest(alice).quote.body == "first"


@pytest.mark.usefixtures("arrived_by_now")
def test_a_server_that_takes_nothing_keeps_nothing_else_waiting(net: Devnet, pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    with net.chaos.inject(Drop(), community=True) as dead:
        assert bob.send("lobby", "first", queue=True).status == "queued"
        assert bob.send(alice.account_id, "to you", queue=True).status == "sent"
        assert bob.send("lobby", "second", queue=True).status == "queued"
        bob.poll()
        hits = dead.hits
        assert bob.send(alice.account_id, "and this", queue=True).status == "sent"
        assert bob.send("lobby", "third", queue=True).status == "queued"
        bob.poll()
        assert dead.hits == hits, "it is left alone for a while"
        flushed = bob.outbox.flush()
        assert flushed.gone == []
        assert flushed.problem
    assert len(bob.outbox.flush().gone) == 3
    assert said(alice) == ["first", "second", "third"]


# How old it is.


def earlier(client: Client, monkeypatch: pytest.MonkeyPatch, hours: float) -> None:
    """Let it be some hours earlier for somebody, who is not online."""
    now_ms = client.network.clock.now_ms
    monkeypatch.setattr(client.network.clock, "now_ms", lambda: now_ms() - int(hours * 3_600_000))


def test_what_waited_for_long_is_dated_anew(
    net: Devnet, pair: tuple[Client, Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody shows a post whose author says that it was written hours before."""
    alice, bob = pair
    with net.chaos.inject(Drop(), community=True), monkeypatch.context() as patched:
        earlier(bob, patched, 7)
        assert bob.send("lobby", "at last", queue=True).status == "queued"
    bob.poll()
    assert posts(bob) == [("at last", "sent")]
    assert said(alice) == ["at last"]


def test_what_waited_for_long_and_arrived_long_ago_is_not_dated_anew(
    net: Devnet, pair: tuple[Client, Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = pair
    with net.chaos.inject(Drop(after=True), community=True), monkeypatch.context() as patched:
        earlier(bob, patched, 2)
        assert bob.send("lobby", "hours ago", queue=True).status == "queued"
    bob.send("lobby", "now")
    assert posts(bob) == [("hours ago", "sent"), ("now", "sent")]
    assert said(alice) == ["hours ago", "now"]


def test_files_that_no_server_has_any_more_are_not_sent(
    net: Devnet, pair: tuple[Client, Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = pair
    refused = net.chaos.inject(InnerStatus(500, "no"), community=True, methods={POST})
    with refused, monkeypatch.context() as patched:
        earlier(bob, patched, 1.5)
        assert bob.send("lobby", "see", attachments=[a_file(b"data")], queue=True).status == "queued"
    bob.poll()
    assert posts(bob) == [("see", "failed")]
    assert said(alice) == []


def test_a_server_that_takes_but_a_few_at_a_time_is_waited_for(
    pair: tuple[Client, Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = pair
    monkeypatch.setattr("session_cli.core.communities.posting.WAITS_S", (0.2, 20.0))
    for number in range(7):
        bob.send("lobby", f"message {number}")
    assert said(alice) == [f"message {number}" for number in range(7)]


# What is said besides.


def content_of(client: Client, post_id: int) -> VisibleMessage:
    """What stands in a post on the server."""
    payload = open_post(ask(client, endpoints.message("lobby", post_id))).content.payload
    assert isinstance(payload, VisibleMessage)
    return payload


def test_a_mention_names_nobody_by_the_account(pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    alice.send("lobby", "here")
    bob.poll()
    stranger, nobody = account_id(7), "05" + "ab" * 32
    sent = bob.send("lobby", f"@{alice.account_id} and @{bob.account_id} and @{stranger}; @{nobody}")
    body = content_of(bob, int(sent.hash or 0)).body
    assert re.findall("@05[0-9a-f]*", body) == [f"@{nobody}"], "which is none"
    assert f"@{identity_of(alice).member_id} and @{identity_of(bob).member_id} and @15" in body
    alice.poll()
    assert latest(alice).mentioned


def test_who_breaks_off_sending_knows_that_it_was_not_sent(
    pair: tuple[Client, Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, bob = pair

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("session_cli.core.communities.posting._RoomPost.send", interrupt)
        with pytest.raises(KeyboardInterrupt):
            bob.send("lobby", "never mind")
    assert posts(bob) == [("never mind", "failed")]
    assert list(bob.unsend([latest(bob).id]))


def test_a_quote_names_nobody_by_the_account(pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    first = bob.send("lobby", "first")
    alice.poll()
    own = bob.send("lobby", "as I said", quote=first.id)
    other = alice.send("lobby", "indeed", quote=latest(alice).id)
    for message in (own, other):
        quote = content_of(bob, int(message.hash or 0)).quote
        assert quote
        assert quote.author == identity_of(bob).member_id
        assert quote.timestamp_ms == first.timestamp_ms
    bob.poll()
    assert latest(bob).quote.id == first.id


def test_whom_we_know_by_the_account_is_quoted_as_is_seen_there(pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    alice.send("lobby", "write to me")
    bob.poll()
    bob.send(latest(bob).sender.id, "here I am")
    alice.poll()
    alice.send(bob.account_id, "hello")
    bob.poll()
    written = bob.send("lobby", "who?", quote=latest(bob).id)
    quote = content_of(bob, int(written.hash or 0)).quote
    assert quote
    assert quote.author == identity_of(alice).member_id


def test_through_servers_go_messages_alone(pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    alice.send("lobby", "here I am")
    bob.poll()
    somebody = latest(bob).sender.id
    sent = bob.send(somebody, "psst")
    with pytest.raises(InvalidInput, match="own-devices"):
        list(bob.unsend([sent.id]))
    assert not latest(bob, somebody).deleted
    assert list(bob.unsend([sent.id], own_devices=True))
    assert latest(bob, somebody).deleted


def test_who_wants_no_messages_from_rooms_gets_none(pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    alice.profiles.change(community_requests=False)
    alice.send("lobby", "leave me alone")
    assert content_of(alice, int(latest(alice).hash)).blocks_requests is True
    assert said(bob) == ["leave me alone"]
    somebody = latest(bob).sender.id
    with pytest.raises(NoPermission, match="no messages"):
        bob.send(somebody, "psst")
    alice.profiles.change(community_requests=True)
    alice.send("lobby", "or not")
    bob.poll()
    bob.send(somebody, "psst")
    assert [event.message.body for event in alice.receive() if event.message] == ["psst"]


# Where it goes.


def test_what_is_meant_for_a_person_never_goes_to_a_room(pair: tuple[Client, Client], make: Maker) -> None:
    alice, bob = pair
    carol = make("lobby")
    alice.send(carol.account_id, "hello")
    carol.poll()
    carol.send(alice.account_id, "hi")
    alice.poll()
    with pytest.raises(AmbiguousName, match="everybody reads it"):
        alice.send("lobby", "dear Carol")
    alice.contacts.rename(carol.account_id, "lobby")
    assert alice.send("lobby", "dear Carol").conversation.id == carol.account_id
    assert said(bob) == []


def test_no_name_that_a_server_gives_is_written_to(pair: tuple[Client, Client]) -> None:
    _, bob = pair
    assert bob.resolve("The Lobby") == bob.communities.get("lobby").id
    with pytest.raises(InvalidAccountId, match="short name: lobby"):
        bob.send("The Lobby", "hello")


def test_two_processes_give_a_message_to_the_server_once(net: Devnet, pair: tuple[Client, Client]) -> None:
    """One sends what shall wait if need be, and is at it; the other one would send what waits."""
    alice, bob = pair
    with (
        Client.open(environ={"SESSION_HOME": str(bob.folder.parents[2])}, timeout=60) as other,
        ThreadPoolExecutor(1) as pool,
        net.chaos.inject(Delay(2.0), community=True) as slow,
    ):
        sending = pool.submit(bob.send, "lobby", "once only", queue=True)
        wait_until(lambda: bool(other.outbox.waiting()), 30)
        other.poll()
        assert sending.result().status == "sent"
        assert slow.hits
    assert said(alice) == ["once only"]
    bob.poll()
    assert posts(bob) == [("once only", "sent")]
