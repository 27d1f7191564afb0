"""The community client against the local network's server, through onion paths: what one writes, the other reads."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import pytest

from session_cli.devnet.community_faults import ForgedPosts, Oversized, Redirect, Rewrite, WrongKey
from session_cli.devnet.faults import Drop, Fault, Garble, InnerStatus, Nonsense, Page, Truncate
from session_cli.devnet.network import CommunityOptions, CommunityRoom, Devnet, DevnetOptions, Moderator
from session_cli.devnet.routes import Reply
from session_cli.errors import BadSignature, BlindingRequired, FileGone, NotFound, SessionError
from session_cli.network.clock import Deadline
from session_cli.network.community import Question
from session_cli.network.network import Network
from session_cli.protocol.account import Identity
from session_cli.protocol.blinding import parse_blinded_id
from session_cli.protocol.community import endpoints, moderation
from session_cli.protocol.community.auth import ServerIdentity
from session_cli.protocol.community.inbox import DirectMessages, open_direct_message, seal_direct_message
from session_cli.protocol.community.poll import DirectCursor, RoomCursor, poll
from session_cli.protocol.community.posts import Deletion, Post, ReactionChange, make_post, open_post
from session_cli.protocol.community.posts import Page as Posts
from session_cli.protocol.community.requests import CommunityRequest
from session_cli.protocol.community.urls import CommunityServer, parse_url
from session_cli.protocol.payload import Content, VisibleMessage
from tests.support.network import network_of

T = TypeVar("T")
SECONDS = 30.0
ROOMS = (CommunityRoom("lobby", "The Lobby"), CommunityRoom("Books"))
ADMIN, ALICE = Identity.generate(), Identity.generate()


@dataclass
class Member:
    """Somebody on one server."""

    network: Network
    server: CommunityServer
    identity: ServerIdentity

    def ask(self, request: CommunityRequest[T], seconds: float = SECONDS) -> T:
        return self.network.communities.ask(Question(self.server, request, self.identity), Deadline(seconds))


@pytest.fixture(scope="module")
def net() -> Iterator[Devnet]:
    community = CommunityOptions(rooms=ROOMS, moderators=[Moderator(ADMIN.account_id, admin=True)])
    with Devnet(DevnetOptions(nodes=6, swarms=1, community=community, hop_timeout=2.0)) as running:
        yield running


@pytest.fixture(scope="module")
def network(net: Devnet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with network_of(net, tmp_path_factory.mktemp("network")) as network:
        yield network


@pytest.fixture
def server(net: Devnet) -> Iterator[CommunityServer]:
    yield parse_url(net.room_url("lobby")).server
    net.chaos.clear()


@pytest.fixture
def alice(network: Network, server: CommunityServer) -> Member:
    return Member(network, server, ServerIdentity.of(ALICE, server.key))


@pytest.fixture
def admin(network: Network, server: CommunityServer) -> Member:
    return Member(network, server, ServerIdentity.of(ADMIN, server.key))


@pytest.fixture
def bob(network: Network, server: CommunityServer) -> Member:
    """Somebody new each time."""
    return Member(network, server, ServerIdentity.of(Identity.generate(), server.key))


def say(member: Member, words: str, **options: Any) -> int:
    body = b"\x0a" + bytes([len(words)]) + words.encode()
    serialized = b"\x0a" + bytes([len(body)]) + body
    return member.ask(endpoints.post("lobby", make_post(member.identity, serialized), **options)).id


def words_of(content: Content) -> str:
    assert isinstance(content.payload, VisibleMessage)
    return content.payload.body


def test_joining_and_polling(admin: Member, bob: Member) -> None:
    assert bob.ask(endpoints.capabilities()).blind
    assert {room.token for room in bob.ask(endpoints.list_rooms()).rooms} == {"lobby", "Books"}
    first = say(admin, "first")
    polled = bob.ask(poll([RoomCursor("lobby"), RoomCursor("nowhere")], inbox=DirectCursor(), outbox=DirectCursor()))
    lobby, nowhere = polled.rooms
    assert isinstance(nowhere.info, NotFound)
    assert isinstance(lobby.page, Posts)
    assert not isinstance(lobby.info, SessionError)
    post = next(entry for entry in lobby.page.entries if entry.id == first)
    assert isinstance(post, Post)
    assert words_of(open_post(post).content) == "first"
    assert post.author == admin.identity.member_id
    say(admin, "second")
    cursor = RoomCursor("lobby", lobby.info.details.info_updates if lobby.info.details else 0, lobby.page.newest_seqno)
    (again,) = bob.ask(poll([cursor])).rooms
    assert isinstance(again.page, Posts)
    assert not isinstance(again.info, SessionError)
    assert [words_of(open_post(entry).content) for entry in again.page.entries if isinstance(entry, Post)] == ["second"]
    assert again.info.details is None, "nothing has changed about the room"


def test_reactions_pins_and_deletions_reach_whoever_polls(admin: Member, bob: Member) -> None:
    number = say(bob, "look")
    page = bob.ask(endpoints.recent("lobby"))
    assert admin.ask(endpoints.react("lobby", number, "👍")).changed == 1
    assert admin.ask(endpoints.react("lobby", number, "👍")).changed == 0
    assert admin.ask(endpoints.pin("lobby", number)).info_updates > 0
    (change,) = bob.ask(endpoints.since("lobby", page.newest_seqno or 0)).entries
    assert isinstance(change, ReactionChange)
    assert [(one.emoji, one.count) for one in change.reactions] == [("👍", 1)]
    assert number in [pin.message_id for pin in bob.ask(endpoints.room_info("lobby")).pins]
    admin.ask(endpoints.delete("lobby", number))
    (deletion,) = bob.ask(endpoints.since("lobby", change.seqno)).entries
    assert isinstance(deletion, Deletion)
    assert number not in [pin.message_id for pin in bob.ask(endpoints.room_info("lobby")).pins]


def test_direct_messages(alice: Member, bob: Member) -> None:
    bob.ask(endpoints.capabilities())
    recipient = parse_blinded_id(bob.identity.member_id)
    content = b"\x0a\x04\x0a\x02hi"
    alice.ask(endpoints.send_direct(recipient, seal_direct_message(alice.identity, recipient, content)))
    polled = bob.ask(poll([], inbox=DirectCursor(), outbox=DirectCursor()))
    assert isinstance(polled.inbox, DirectMessages)
    (message,) = polled.inbox.messages
    opened = open_direct_message(bob.identity, message)
    assert (words_of(opened.content), opened.sender) == ("hi", ALICE.account_id)
    assert bob.ask(endpoints.inbox(message.id)).messages == ()
    sent = alice.ask(endpoints.outbox()).messages[-1]
    assert open_direct_message(alice.identity, sent).sent_by_us
    assert bob.ask(endpoints.clear_inbox()) == 1


def test_files(alice: Member, bob: Member) -> None:
    data = bytes(range(256)) * 2000
    client, deadline = alice.network.communities, Deadline(SECONDS)
    number = client.upload(
        alice.server, "lobby", alice.identity, lambda: [data], len(data), deadline, lambda _: None, name="d t.bin"
    )
    say(alice, "see file", files=[number])
    sink = io.BytesIO()
    client.download(bob.server, "lobby", bob.identity, number, sink, len(data), deadline, lambda _: None)
    assert sink.getvalue() == data
    with pytest.raises(FileGone):
        client.download(bob.server, "Books", bob.identity, number, io.BytesIO(), 1, deadline, lambda _: None)


def test_moderation(admin: Member, bob: Member) -> None:
    say(bob, "spam")
    member = bob.identity.member_id
    admin.ask(moderation.ban(member, ["lobby"]))
    with pytest.raises(SessionError):
        say(bob, "more")
    admin.ask(endpoints.delete_all("lobby", member))
    admin.ask(moderation.unban(member, ["lobby"]))
    say(bob, "sorry")
    updates = admin.ask(moderation.set_moderator(member, ["lobby"], moderator=True))
    assert updates.keys() == {"lobby"}
    assert member in bob.ask(endpoints.room_info("lobby")).moderators
    assert admin.ask(moderation.rights_of("lobby", member)).moderator


def test_account_ids_are_refused(network: Network, server: CommunityServer) -> None:
    plain = Member(network, server, ServerIdentity.of(ALICE, server.key, blinded=False))
    with pytest.raises(BlindingRequired):
        plain.ask(endpoints.capabilities())


def _deep(reply: Reply) -> Reply:
    return replace(reply, body=b"[" * 50_000 + b"]" * 50_000)


def _alien(reply: Reply) -> Reply:
    return replace(reply, body=b'[{"id": null}, 7, [], {"id": 1e999, "seqno": {}}, {"seqno": -1, "data": "\\ud800"}]')


@pytest.mark.parametrize(
    "fault",
    [
        Redirect(),
        Oversized(25_000_000),
        WrongKey(),
        WrongKey("answer"),
        Nonsense("sealed"),
        Nonsense("body"),
        Nonsense("shape"),
        InnerStatus(500),
        InnerStatus(418, body="tea"),
        InnerStatus(200, body="<!doctype html>"),
        Rewrite(_deep),
        Page(),
        Garble(),
        Truncate(consistent=True),
        Drop(),
    ],
    ids=lambda fault: fault.words,
)
def test_a_hostile_server_is_an_error_like_others(net: Devnet, bob: Member, fault: Fault) -> None:
    with net.chaos.inject(fault, community=True), pytest.raises(SessionError):
        bob.ask(endpoints.recent("lobby"), 6.0)
    assert isinstance(bob.ask(endpoints.recent("lobby")), Posts)


def test_forged_posts_are_found_out(net: Devnet, alice: Member, bob: Member) -> None:
    number = say(alice, "true")
    for how in ("signature", "author"):
        with net.chaos.inject(ForgedPosts(how), community=True):
            page = bob.ask(endpoints.recent("lobby"))
        (post,) = [entry for entry in page.entries if entry.id == number]
        assert isinstance(post, Post)
        with pytest.raises(BadSignature):
            open_post(post)


def test_forged_numbers_cost_nothing_but_themselves(net: Devnet, alice: Member, bob: Member) -> None:
    say(alice, "here")
    known = bob.ask(endpoints.recent("lobby"))
    for fault in (ForgedPosts("numbers"), ForgedPosts("flood"), ForgedPosts("twice"), Rewrite(_alien)):
        with net.chaos.inject(fault, community=True, methods={"GET /room/<room>/messages/recent"}):
            page = bob.ask(endpoints.recent("lobby"))
        assert len(page.entries) <= 256
        assert page.malformed or len(page.entries) >= len(known.entries)
    with net.chaos.inject(ForgedPosts("backwards"), community=True):
        (room,) = bob.ask(poll([RoomCursor("lobby", 0, (known.newest_seqno or 1) - 1)])).rooms
        assert isinstance(room.page, Posts)
        assert room.page.newest_seqno == (known.newest_seqno or 1) - 1, "nobody is led back"
