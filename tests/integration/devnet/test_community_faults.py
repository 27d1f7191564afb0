"""A hostile community server: each fault shows what it promises, sealed or not, and is gone when it is removed."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import requests

from session_cli.devnet.community_faults import ForgedPosts, Oversized, Redirect, Rewrite, WrongKey
from session_cli.devnet.faults import (
    Drop,
    Fault,
    Forgets,
    Garble,
    InnerStatus,
    InvalidFault,
    Nonsense,
    Page,
    StaleList,
    Throttle,
    Truncate,
)
from session_cli.devnet.network import CommunityOptions, Devnet, DevnetOptions, Moderator
from session_cli.devnet.routes import Reply
from session_cli.errors import BadSignature, OnionError
from session_cli.protocol.account import Identity, verify_signature
from session_cli.protocol.blinding import blind15
from session_cli.protocol.onion import decode_v4_response

from .community_client import Answer, CommunityClient
from .helpers import MovableClock

ROOM = "/room/lobby"
ALICE = Identity.generate()
RECENT = "GET /room/<room>/messages/recent"
POLL = [{"method": "GET", "path": "/capabilities"}, {"method": "GET", "path": f"{ROOM}/messages/recent"}]


@pytest.fixture(scope="module")
def module_server() -> Iterator[CommunityClient]:
    clock = MovableClock()
    community = CommunityOptions(moderators=[Moderator(ALICE.account_id, admin=True)])
    with Devnet(DevnetOptions(nodes=1, swarms=1, community=community, clock=clock)) as net:
        server = CommunityClient(net, clock)
        data = b"words"
        signature = blind15(ALICE, net.community_x25519).sign(data)
        value = {"data": base64.b64encode(data).decode(), "signature": base64.b64encode(signature).decode()}
        for _ in range(2):
            assert server.ask(ALICE, "POST", f"{ROOM}/message", value).status == 201
        yield server


@pytest.fixture
def server(module_server: CommunityClient) -> Iterator[CommunityClient]:
    yield module_server
    module_server.net.chaos.clear()
    assert poll(module_server)[1]["code"] == 200


def poll(server: CommunityClient) -> Any:
    body = json.dumps(POLL).encode()
    headers = server.signed(ALICE, "15", "POST", "/batch", body) | {"Content-Type": "application/json"}
    return server.by_onion("POST", "/batch", headers, body).json


def recent(server: CommunityClient) -> Answer:
    return server.by_onion("GET", f"{ROOM}/messages/recent", {}, None)


def test_redirect(server: CommunityClient) -> None:
    with server.net.chaos.inject(Redirect("http://127.0.0.1:1/x", 307), community=True) as fault:
        for answer in (recent(server), server.ask(None, "GET", ROOM)):
            assert (answer.status, answer.headers["location"]) == (307, "http://127.0.0.1:1/x")
        assert fault.hits == 2
    assert recent(server).status == 200


def test_statuses(server: CommunityClient) -> None:
    """A status strikes the whole request, or those of a name inside of a batch."""
    with server.net.chaos.inject(InnerStatus(429), community=True):
        answer = recent(server)
        assert (answer.status, answer.body) == (429, b"Rate limited")
        assert server.ask(ALICE, "POST", "/batch", POLL).status == 429
    with server.net.chaos.inject(InnerStatus(503, body="busy"), community=True, methods={RECENT}) as fault:
        assert [part["code"] for part in poll(server)] == [200, 503]
        assert fault.hits == 1


@pytest.mark.parametrize("after", [False, True])
def test_a_status_that_lies_about_what_was_done(server: CommunityClient, after: bool) -> None:
    before = server.ask(None, "GET", ROOM).json["message_sequence"]
    post = {"data": "eA==", "signature": base64.b64encode(bytes(64)).decode()}
    with server.net.chaos.inject(InnerStatus(500, after=after), community=True):
        answer = server.ask(ALICE, "POST", f"{ROOM}/message", post)
    assert answer.status == 500
    assert server.ask(None, "GET", ROOM).json["message_sequence"] - before == after


def test_a_page_instead_of_an_answer(server: CommunityClient) -> None:
    """A portal's page comes in the place of what is sealed; the server's own comes inside."""
    with server.net.chaos.inject(Page(), community=True):
        key, outer = server.sealed("GET", ROOM, {}, None)
        assert outer.body.startswith(b"<!doctype html>")
        with pytest.raises(OnionError):
            key.open(outer.body)
    with server.net.chaos.inject(InnerStatus(200, body="<!doctype html>"), community=True):
        answer = recent(server)
        assert (answer.status, answer.body) == (200, b"<!doctype html>")
        assert answer.headers["content-type"].startswith("text/html")


def test_oversized(server: CommunityClient) -> None:
    with server.net.chaos.inject(Oversized(3_000_000), community=True):
        assert len(recent(server).body) == 3_000_000
    with server.net.chaos.inject(Oversized(1_000_000), community=True, methods={RECENT}):
        assert [len(json.dumps(part)) > 900_000 for part in poll(server)] == [False, True]


def test_nonsense(server: CommunityClient) -> None:
    inject = server.net.chaos.inject
    with inject(Nonsense("body"), community=True):
        answer = recent(server)
        assert answer.headers["content-type"] == "application/json"
        with pytest.raises(ValueError, match="Expecting value"):
            json.loads(answer.body)
    with inject(Nonsense("body"), community=True, methods={RECENT}):
        assert isinstance(poll(server)[1]["body"], str), "what is no JSON can't stand in a batch as it is"
    with inject(Nonsense("shape"), community=True):
        assert recent(server).json == {"unexpected": [None, {}, -1]}
    with inject(Nonsense("fewer_parts"), community=True):
        assert len(poll(server)) == 1
    with inject(Nonsense("more_parts"), community=True):
        assert len(poll(server)) == 3
        assert server.ask(None, "GET", "/capabilities").json["capabilities"], "there are no parts"
    with inject(Oversized(100), community=True), inject(ForgedPosts(), community=True):
        assert len(recent(server).body) == 100, "there are no posts left to forge"
    with inject(Nonsense("sealed"), community=True) as fault:
        key, outer = server.sealed("GET", ROOM, {}, None)
        with pytest.raises(OnionError):
            decode_v4_response(key.open(outer.body))
        assert server.ask(None, "GET", ROOM).status == 200, "only what is sealed can be sealed nonsense"
        assert fault.hits == 1


def test_wrong_key(server: CommunityClient) -> None:
    with server.net.chaos.inject(WrongKey(), community=True):
        _, outer = server.sealed("GET", ROOM, {}, None)
        assert outer.status == 400
    with server.net.chaos.inject(WrongKey("answer"), community=True):
        key, outer = server.sealed("GET", ROOM, {}, None)
        assert outer.status == 200
        with pytest.raises(OnionError):
            key.open(outer.body)


def test_forged_signatures_and_authors(server: CommunityClient) -> None:
    def holds(post: Any) -> bool:
        key = bytes.fromhex(post["session_id"][2:])
        try:
            verify_signature(key, base64.b64decode(post["data"]), base64.b64decode(post["signature"]))
        except BadSignature:
            return False
        return True

    first = recent(server).json[-1]
    assert holds(first)
    for how in ("signature", "author"):
        with server.net.chaos.inject(ForgedPosts(how), community=True):
            assert not holds(recent(server).json[-1])
            assert not holds(poll(server)[1]["body"][-1]), "also inside of a batch"
            assert not holds(server.ask(None, "GET", f"{ROOM}/message/{first['id']}").json)


def test_forged_numbers(server: CommunityClient) -> None:
    count = len(recent(server).json)
    inject = server.net.chaos.inject
    with inject(ForgedPosts("numbers"), community=True):
        assert {(post["id"], post["seqno"]) for post in recent(server).json} == {(2**80, 2**80)}
    with inject(ForgedPosts("backwards"), community=True):
        assert {post["seqno"] for post in recent(server).json} == {0}
    with inject(ForgedPosts("twice"), community=True):
        assert len(recent(server).json) == 2 * count
    with inject(ForgedPosts("flood"), community=True):
        assert len(recent(server).json) == 5000
    with inject(ForgedPosts(), community=True) as fault:
        assert server.ask(None, "GET", ROOM).status == 200
        assert fault.hits == 0, "no post was told of"


def test_rewriting_anything(server: CommunityClient) -> None:
    def deeper(reply: Reply) -> Reply:
        return replace(reply, status=200, body=b"[" * 100_000 + b"]" * 100_000)

    with server.net.chaos.inject(Rewrite(deeper), community=True, methods={"GET /capabilities"}):
        answer = server.by_onion("GET", "/capabilities", {}, None)
        with pytest.raises(RecursionError):
            json.loads(answer.body)
        assert recent(server).status == 200


def test_what_happens_on_the_way(server: CommunityClient) -> None:
    """Sealed answers suffer as those of other servers do."""
    inject = server.net.chaos.inject
    for fault in (Garble(), Truncate(consistent=True)):
        with inject(fault, community=True):
            key, outer = server.sealed("GET", ROOM, {}, None)
            with pytest.raises(OnionError):
                key.open(outer.body)
    with inject(Drop(), community=True), pytest.raises(ConnectionError):
        recent(server)
    with inject(Throttle(20_000), community=True, methods={"GET /capabilities"}) as throttle:
        assert [part["code"] for part in poll(server)] == [200, 200]
        assert throttle.hits == 1, "a batch is struck for what is inside"


def test_death(server: CommunityClient) -> None:
    server.net.chaos.kill(community=True)
    with pytest.raises(requests.ConnectionError):
        requests.get(server.net.community_url, timeout=5)
    server.net.chaos.revive(community=True)
    assert recent(server).status == 200


@pytest.mark.parametrize("fault", [Forgets(), StaleList()])
def test_what_it_can_not_suffer_from(server: CommunityClient, fault: Fault) -> None:
    with pytest.raises(InvalidFault, match="'community' can't suffer from"):
        server.net.chaos.inject(fault, community=True)


def test_a_network_without_one() -> None:
    with Devnet(DevnetOptions(nodes=1, swarms=1)) as net, pytest.raises(InvalidFault, match="started without"):
        net.chaos.inject(Redirect(), community=True)


@pytest.mark.parametrize("make", [lambda: Redirect(code=200), lambda: Oversized(0), lambda: Oversized(10**10)])
def test_values_that_make_no_sense(make: Any) -> None:
    with pytest.raises(InvalidFault):
        make()
