"""Community servers through the paths of a local network, and what becomes of their misdeeds."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from session_cli.devnet.network import Devnet
from session_cli.errors import (
    AttachmentTooLarge,
    Banned,
    BlindingRequired,
    FileGone,
    FileTooLargeForServer,
    NetworkError,
    NetworkUnreachable,
    NoPermission,
    NotFound,
    RateLimited,
    RequestTimeout,
    ServerFailed,
    SessionError,
    Unconfirmed,
)
from session_cli.network.clock import Deadline
from session_cli.network.community import ATTEMPTS, MAX_ANSWER_BYTES, MAX_FILE_BYTES, CommunityClient, Question
from session_cli.network.network import Network
from session_cli.protocol.account import Identity
from session_cli.protocol.community import endpoints
from session_cli.protocol.community.auth import ServerIdentity
from session_cli.protocol.community.poll import RoomCursor, poll
from session_cli.protocol.community.posts import make_post
from session_cli.protocol.community.requests import CommunityRequest
from session_cli.protocol.community.urls import CommunityServer
from session_cli.protocol.onion import V4Request, V4Response
from tests.support.community_server import ScriptedServer, as_json, as_text, community_server
from tests.support.network import network_of

T = TypeVar("T")
Said = V4Response | bytes
ME = Identity.from_seed(b"\x07" * 16)
CAPABILITIES = as_json({"capabilities": ["blind", "sogs"]})


@pytest.fixture(params=[False, True], ids=["onion", "direct"])
def network(request: pytest.FixtureRequest, shared_net: Devnet, tmp_path: Path) -> Iterator[Network]:
    with network_of(shared_net, tmp_path, direct=request.param) as network:
        yield network


@pytest.fixture
def onion(shared_net: Devnet, tmp_path: Path) -> Iterator[Network]:
    with network_of(shared_net, tmp_path) as network:
        yield network


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with community_server(lambda _: CAPABILITIES) as server:
        yield server


def me_on(server: ScriptedServer, *, blinded: bool = True) -> ServerIdentity:
    return ServerIdentity.of(ME, server.public, blinded=blinded)


def asking(server: ScriptedServer, request: CommunityRequest[T]) -> Question[T]:
    return Question(server.address, request, me_on(server))


def post(server: ScriptedServer) -> Question[Any]:
    return Question(server.address, endpoints.post("lobby", make_post(me_on(server), b"x")), me_on(server))


# Requests.


@pytest.mark.parametrize("blinded", [True, False])
def test_a_server_knows_who_asks(network: Network, server: ScriptedServer, blinded: bool) -> None:
    who = me_on(server, blinded=blinded)
    question = Question(server.address, endpoints.capabilities(), who)
    assert network.communities.ask(question, Deadline(30)).blind
    [request] = server.requests
    assert server.check(request) == who.header_key
    assert request.body is None


def test_nobody_can_ask_as_well(network: Network, server: ScriptedServer) -> None:
    assert network.communities.ask(Question(server.address, endpoints.capabilities(), None), Deadline(30)).blind
    assert server.requests[0].headers == {}


def test_a_poll_is_one_request(network: Network, server: ScriptedServer) -> None:
    def answer(request: V4Request) -> V4Response:
        server.check(request)
        parts = json.loads(request.body or b"")
        return as_json([{"code": 404, "headers": {"content-type": "text/html"}, "body": ""} for _ in parts])

    server.answer = answer
    result = network.communities.ask(asking(server, poll([RoomCursor("a"), RoomCursor("b", 1, 2)])), Deadline(30))
    assert all(isinstance(room.info, NotFound) for room in result.rooms)
    assert len(server.requests) == 1
    assert server.requests[0].headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("status", "text", "error"),
    [
        (400, "Invalid authentication: this server requires the use of blinded ids", BlindingRequired),
        (403, "Banned", Banned),
        (403, "Permission denied", NoPermission),
        (404, "", NotFound),
        (429, "Rate limited", RateLimited),
        (500, "", ServerFailed),
    ],
)
def test_refusals_are_final(
    onion: Network, server: ScriptedServer, status: int, text: str, error: type[SessionError]
) -> None:
    server.answer = lambda _: as_text(text, status)
    questions: list[Question[Any]] = [asking(server, endpoints.capabilities()), post(server)]
    for question in questions:
        server.requests.clear()
        with pytest.raises(error):
            onion.communities.ask(question, Deadline(30))
        assert len(server.requests) == 1


@pytest.mark.parametrize("body", [b"", b"[" * 50_000, b'{"capabilities": 7}', b"\xff", b"null"])
def test_answers_without_sense(onion: Network, server: ScriptedServer, body: bytes) -> None:
    server.answer = lambda _: V4Response(200, {"content-type": "application/json"}, body)
    with pytest.raises(ServerFailed):
        onion.communities.ask(asking(server, endpoints.capabilities()), Deadline(30))


def test_an_answer_that_does_not_end(network: Network, server: ScriptedServer) -> None:
    server.answer = lambda _: bytes(MAX_ANSWER_BYTES + 1)
    with pytest.raises(NetworkError):
        network.communities.ask(asking(server, endpoints.capabilities()), Deadline(60))


# Failures on the way.


def test_what_only_reads_is_asked_again_under_another_nonce(network: Network, server: ScriptedServer) -> None:
    answers = iter(list[Said]([b"not sealed", b"", CAPABILITIES]))
    server.answer = lambda _: next(answers)
    assert network.communities.ask(asking(server, endpoints.capabilities()), Deadline(60)).blind
    assert len(set(server.nonces)) == len(server.requests) == 3


def test_attempts_have_an_end(onion: Network, server: ScriptedServer) -> None:
    server.answer = lambda _: b"not sealed"
    with pytest.raises(NetworkError):
        onion.communities.ask(asking(server, endpoints.capabilities()), Deadline(60))
    assert len(server.requests) == ATTEMPTS


def test_a_server_that_fails_is_named(onion: Network, server: ScriptedServer) -> None:
    server.outer_status = 503
    with pytest.raises(NetworkError, match=f"127.0.0.1:{server.port}"):
        onion.communities.ask(asking(server, endpoints.capabilities()), Deadline(60))


def test_a_message_is_never_sent_twice(network: Network, server: ScriptedServer) -> None:
    server.answer = lambda _: b"not sealed"
    with pytest.raises(Unconfirmed, match="may have got the message or not"):
        network.communities.ask(post(server), Deadline(60))
    assert len(server.requests) == 1


def test_a_message_without_an_answer_by_the_deadline_is_unconfirmed(network: Network, server: ScriptedServer) -> None:
    network.communities.ask(asking(server, endpoints.capabilities()), Deadline(30))
    over = threading.Event()

    def answer(_: V4Request) -> V4Response:
        over.wait(30)
        return CAPABILITIES

    server.answer = answer
    try:
        with pytest.raises(Unconfirmed):
            network.communities.ask(post(server), Deadline(2))
        with pytest.raises(RequestTimeout):
            network.communities.ask(asking(server, endpoints.capabilities()), Deadline(2))
    finally:
        over.set()


def test_a_server_that_is_not_there_got_nothing(network: Network, server: ScriptedServer) -> None:
    with community_server(lambda _: CAPABILITIES) as gone:
        pass
    questions: list[Question[Any]] = [asking(gone, endpoints.recent("lobby")), post(gone)]
    for question in questions:
        with pytest.raises(NetworkUnreachable, match="can't be reached") as caught:
            network.communities.ask(question, Deadline(60))
        assert str(gone.port) in caught.value.message


def test_another_key_than_the_servers_opens_nothing(onion: Network, server: ScriptedServer) -> None:
    elsewhere = CommunityServer(server.address.base_url, bytes(31) + b"\x09")
    with pytest.raises(NetworkError):
        onion.communities.ask(Question(elsewhere, endpoints.capabilities(), None), Deadline(60))
    assert server.requests == []


# Several servers.


def test_one_server_costs_the_others_nothing(onion: Network) -> None:
    with community_server(lambda _: CAPABILITIES) as good, community_server(lambda _: as_text("Banned", 403)) as bad:
        with community_server(lambda _: CAPABILITIES) as gone:
            pass
        questions = [asking(server, endpoints.capabilities()) for server in (bad, good, gone, good)]
        first, second, third, fourth = onion.communities.ask_all(questions, Deadline(60))
    assert isinstance(first, Banned)
    assert isinstance(third, NetworkUnreachable)
    assert second == fourth
    assert not isinstance(second, SessionError)


# Files.


def silent(_: int) -> None:
    """Nobody wants to know how far it is."""


def pieces(data: bytes) -> Callable[[], Iterator[bytes]]:
    return lambda: (data[start : start + 50_000] for start in range(0, len(data), 50_000))


def send(client: CommunityClient, server: ScriptedServer, data: bytes, name: str | None = None) -> int:
    return client.upload(
        server.address, "lobby", me_on(server), pieces(data), len(data), Deadline(60), silent, name=name
    )


@pytest.mark.parametrize("size", [0, 1, 300_000])
def test_files_go_up_signed(network: Network, server: ScriptedServer, size: int) -> None:
    data = bytes(number % 251 for number in range(size))
    server.answer = lambda request: as_json({"id": 42 if server.check(request) else 0}, 201)
    assert send(network.communities, server, data, "a b.txt") == 42
    [request] = server.requests
    assert (request.method, request.endpoint) == ("POST", "/room/lobby/file")
    assert request.body == data
    assert request.headers["Content-Disposition"] == "attachment; filename*=UTF-8''a%20b.txt"


def test_each_attempt_at_a_file_is_signed_anew(network: Network, server: ScriptedServer) -> None:
    answers = iter(list[Said]([b"not sealed", as_json({"id": 1}, 201)]))
    server.answer = lambda request: next(answers) if server.check(request) else b""
    assert send(network.communities, server, b"abc") == 1
    assert len(set(server.nonces)) == 2


def test_files_that_are_too_large(onion: Network, server: ScriptedServer) -> None:
    with pytest.raises(AttachmentTooLarge):
        send(onion.communities, server, bytes(endpoints.MAX_FILE_BYTES + 1))
    assert server.requests == []
    server.answer = lambda _: as_text("", 413)
    with pytest.raises(FileTooLargeForServer):
        send(onion.communities, server, b"abc")


@pytest.mark.parametrize("answer", [as_json({}), as_json({"id": "1"}), as_text("1", 200)])
def test_an_upload_without_a_number(onion: Network, server: ScriptedServer, answer: V4Response) -> None:
    server.answer = lambda _: answer
    with pytest.raises(ServerFailed):
        send(onion.communities, server, b"abc")


def fetch(client: CommunityClient, server: ScriptedServer) -> bytes:
    sink = io.BytesIO()
    client.download(server.address, "lobby", me_on(server), 42, sink, 10, Deadline(60), silent)
    return sink.getvalue()


def test_files_come_down(network: Network, server: ScriptedServer) -> None:
    data = bytes(range(256)) * 2000
    file = V4Response(200, {"content-type": "application/octet-stream"}, data)
    answers = iter(list[Said]([b"not sealed", file]))
    server.answer = lambda request: next(answers) if server.check(request) else b""
    assert fetch(network.communities, server) == data
    assert {request.endpoint for request in server.requests} == {"/room/lobby/file/42"}
    assert len(set(server.nonces)) == 2


@pytest.mark.parametrize(("status", "error"), [(404, FileGone), (403, NoPermission), (500, ServerFailed)])
def test_files_that_do_not_come(onion: Network, server: ScriptedServer, status: int, error: type[SessionError]) -> None:
    server.answer = lambda _: as_text("", status)
    with pytest.raises(error):
        fetch(onion.communities, server)


def test_a_file_that_does_not_end(onion: Network, server: ScriptedServer) -> None:
    endless = V4Response(200, {}, bytes(MAX_FILE_BYTES + 1))
    server.answer = lambda _: endless
    with pytest.raises(NetworkError):
        fetch(onion.communities, server)


def test_nothing_of_us_reaches_the_server(onion: Network, server: ScriptedServer) -> None:
    """Neither the account nor its real key, in any request."""
    server.answer = lambda request: replace(CAPABILITIES, code=200 if server.check(request) else 0)
    onion.communities.ask(asking(server, endpoints.capabilities()), Deadline(30))
    shown = repr(server.requests)
    assert ME.account_id[2:] not in shown
    assert ME.ed25519_public.hex() not in shown


def test_what_is_kept_of_failures_names_no_server(network: Network, server: ScriptedServer, tmp_path: Path) -> None:
    """The cache is not encrypted: it must not tell which communities somebody is in."""
    with community_server(lambda _: CAPABILITIES) as gone:
        pass
    server.answer = lambda _: b"not sealed"
    for one in (gone, server):
        with pytest.raises(NetworkError):
            network.communities.ask(asking(one, endpoints.capabilities()), Deadline(60))
        with pytest.raises(NetworkError, match=str(one.port)):
            fetch(network.communities, one)
    network.close()
    kept = b"".join(path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file())
    assert b"community" in kept
    assert str(gone.port).encode() not in kept
    assert str(server.port).encode() not in kept
