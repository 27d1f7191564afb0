"""Every recorded exchange with a community server: what was asked would be asked, and every answer is understood."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import unquote

import pytest

from session_cli.errors import (
    Banned,
    BlindingRequired,
    ClockOutOfSync,
    InvalidInput,
    NoPermission,
    NotFound,
    RateLimited,
    ServerFailed,
    ServiceRefused,
    SessionError,
)
from session_cli.protocol.account import verify_signature
from session_cli.protocol.community import inbox, posts
from session_cli.protocol.community.auth import ServerIdentity, body_hash, signed_bytes
from session_cli.protocol.community.inbox import DirectMessages
from session_cli.protocol.community.poll import RoomCursor, poll
from session_cli.protocol.community.posts import Deletion, Page, Post
from session_cli.protocol.community.requests import CommunityRequest, Reply
from session_cli.protocol.community.rooms import RoomList
from session_cli.protocol.onion import EncType, LayerKey, V4Response, decode_v4_request, decode_v4_response
from session_cli.protocol.payload import VisibleMessage

from .recordings import SCENARIOS, Exchange, exchanges, load, request_for

REFUSALS: dict[int, type[SessionError]] = {
    400: ServiceRefused,
    401: NoPermission,
    403: NoPermission,
    404: NotFound,
    405: ServiceRefused,
    406: ServiceRefused,
    412: ServiceRefused,
    425: ClockOutOfSync,
    429: RateLimited,
    500: ServerFailed,
}


def _is_file(exchange: Exchange) -> bool:
    return exchange.method == "GET" and "/file/" in exchange.path


def _asked(exchange: Exchange) -> CommunityRequest[object] | None:
    """Our request of the same kind; None if this client never asks, or never so."""
    try:
        return request_for(
            exchange.method, exchange.path, exchange.json if exchange.method != "POST" else _json(exchange)
        )
    except (LookupError, InvalidInput, ValueError, TypeError, AttributeError):
        return None


def _json(exchange: Exchange) -> object:
    return None if exchange.path.endswith("/file") else exchange.json


@pytest.mark.parametrize("exchange", exchanges())
def test_signatures_of_requests(exchange: Exchange) -> None:
    if not exchange.is_as_it_should_be or exchange.fields["as"] is None:
        return
    headers = exchange.headers
    signed = signed_bytes(
        exchange.server_key,
        base64.b64decode(headers["X-SOGS-Nonce"]),
        int(headers["X-SOGS-Timestamp"]),
        exchange.method,
        exchange.path,
        body_hash(exchange.body),
    )
    key, signature = headers["X-SOGS-Pubkey"], base64.b64decode(headers["X-SOGS-Signature"])
    verify_signature(bytes.fromhex(key)[1:], signed, signature)
    who = ServerIdentity.of(
        exchange.identity(exchange.fields["as"]), exchange.server_key, blinded=exchange.fields["auth"] == "15"
    )
    if exchange.fields["auth"] != "25":
        assert who.header_key == key
        verify_signature(bytes.fromhex(key)[1:], signed, who.sign_request(signed))


@pytest.mark.parametrize("exchange", exchanges())
def test_every_answer_is_understood(exchange: Exchange) -> None:
    request = _asked(exchange)
    reply = Reply.of(exchange.response)
    if exchange.status in REFUSALS:
        with pytest.raises(REFUSALS[exchange.status]) as caught:
            (request or CommunityRequest(exchange.method, exchange.path, lambda value: value)).result(reply)
        assert (type(caught.value) is Banned) == (reply.words == "Banned")
        assert (type(caught.value) is BlindingRequired) == reply.words.endswith("requires the use of blinded ids")
        return
    if _is_file(exchange):
        return
    assert request is not None
    result = request.result(reply)
    if isinstance(result, Page | DirectMessages | RoomList):
        assert result.malformed == 0
    if exchange.status == 304:
        assert result == DirectMessages()
    if isinstance(result, list):
        assert [_status_of(part) for part in result] == [_expected(part) for part in exchange.answer]


def _expected(part: dict[str, Any]) -> type[SessionError] | None:
    """What a part of a batch raises. This client fetches no files in batches."""
    is_file = part["code"] == 200 and part["headers"]["content-type"] == "application/octet-stream"
    return ServerFailed if is_file else REFUSALS.get(part["code"])


def _status_of(part: object) -> type[SessionError] | None:
    if not isinstance(part, SessionError):
        return None
    return next(kind for kind in dict.fromkeys(REFUSALS.values()) if type(part) is kind)


def test_nearly_everything_is_asked_as_it_was() -> None:
    """Paths and bodies of those requests that were well received, apart from what this client never asks."""
    differing = []
    for scenario in SCENARIOS:
        for exchange in load(scenario):
            if not 200 <= exchange.status < 300 or _is_file(exchange):
                continue
            request = _asked(exchange)
            assert request is not None, exchange.fields["name"]
            assert request.method == exchange.method
            assert unquote(request.path.partition("?")[0]) == unquote(exchange.path.partition("?")[0])
            if exchange.path.endswith("/file") or exchange.path in ("/batch", "/sequence"):
                continue
            if (request.json or {}) != (exchange.json or {}):
                differing.append(exchange.fields["name"])
    # With keys that no server looks at, or null for an empty text.
    assert differing == [
        "send again with extra keys",
        "post 2 bob",
        "promote to admin (Desktop form)",
        "remove",
        "description removed",
    ]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_all_posts_verify_and_say_something(scenario: str) -> None:
    for exchange in load(scenario):
        if "/messages/" not in exchange.path or exchange.status != 200:
            continue
        for entry in posts.parse_page(exchange.answer, 100).entries:
            if isinstance(entry, Post):
                opened = posts.open_post(entry)
                assert isinstance(opened.content.payload, VisibleMessage)
                assert opened.content.payload.body


@pytest.mark.parametrize("exchange", exchanges("direct_messages"))
def test_direct_messages_open(exchange: Exchange) -> None:
    if exchange.status != 200 or "box" not in exchange.path or exchange.method != "GET":
        return
    reader = ServerIdentity.of(exchange.identity(exchange.fields["as"]), exchange.server_key)
    found = inbox.parse_direct_messages(exchange.answer, 100)
    for message in found.messages:
        opened = inbox.open_direct_message(reader, message)
        assert opened.sent_by_us == ("outbox" in exchange.path)
        assert isinstance(opened.content.payload, VisibleMessage)


@pytest.mark.parametrize("exchange", exchanges("onion"))
def test_through_onions(exchange: Exchange) -> None:
    """The layer that only the server and the client read, both ways, as it was recorded."""
    onion = exchange.fields.get("onion") or {}
    if "outer_response_body" not in onion or onion["outer_status"] != 200 or not exchange.is_as_it_should_be:
        return
    secret = bytes.fromhex(onion["ephemeral_secret_key"])
    key = LayerKey.for_sender(exchange.server_key, EncType.parse(onion["enc_type"]), ephemeral_secret=secret)
    response = decode_v4_response(key.open(bytes.fromhex(onion["outer_response_body"])))
    assert response.code == exchange.status
    assert _content(response) == _content(exchange.response)
    if "plain_request" not in onion:
        return
    request = decode_v4_request(onion["plain_request"].encode())
    assert (request.method.upper(), request.endpoint) == (exchange.method.upper(), exchange.path)


def _content(response: V4Response) -> object:
    reply = Reply.of(response)
    return reply.value if reply.is_json else reply.raw


def test_a_poll_of_rooms_reads_recorded_parts() -> None:
    """A poll answered with what the server said to each of its parts alone."""
    answers: dict[str, Exchange] = {}
    for exchange in load("rooms_and_poll"):
        if exchange.fields["as"] == "alice" and exchange.status == 200:
            answers[exchange.path.partition("?")[0]] = exchange
    assert "/room/lobby/pollInfo/0" in answers
    request = poll([RoomCursor("lobby"), RoomCursor("nowhere")])
    parts = []
    for part in request.json:
        known = answers.get(part["path"].partition("?")[0])
        if part["path"] == "/capabilities":
            parts.append({"code": 200, "headers": {"content-type": "application/json"}, "body": {"capabilities": []}})
        elif "/messages/" in part["path"] and "lobby" in part["path"]:
            parts.append({"code": 200, "headers": {"content-type": "application/json"}, "body": []})
        elif known is None:
            parts.append({"code": 404, "headers": {"content-type": "text/html; charset=utf-8"}, "body": ""})
        else:
            parts.append({"code": 200, "headers": {"content-type": "application/json"}, "body": known.answer})
    result = request.result(Reply(200, parts, is_json=True))
    lobby, nowhere = result.rooms
    assert not isinstance(lobby.info, SessionError)
    assert lobby.info.details is not None
    assert lobby.info.details.name == "The Lobby"
    assert isinstance(nowhere.info, NotFound)
    assert isinstance(nowhere.page, NotFound)
    assert (result.inbox, result.outbox, result.more) == (None, None, False)


def test_deletions_are_told() -> None:
    found = [
        entry
        for exchange in load("messages")
        if "/messages/since/" in exchange.path and exchange.status == 200
        for entry in posts.parse_page(exchange.answer, 100).entries
    ]
    assert any(isinstance(entry, Deletion) for entry in found)
    assert any(isinstance(entry, Post) and entry.edited_ms for entry in found)
