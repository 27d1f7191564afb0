"""Requests as values, several in one, and what refusals mean."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from session_cli.protocol.community import endpoints, moderation
from session_cli.protocol.community.inbox import DirectMessages
from session_cli.protocol.community.posts import SignedPost
from session_cli.protocol.community.requests import CommunityRequest, Reply, batch, in_sequence, raise_for_status
from session_cli.protocol.community.values import MemberId
from session_cli.protocol.onion import V4Response

JSON = {"content-type": "application/json"}
SOMEBODY = MemberId("15" + "ab" * 32)
SIGNED = SignedPost(b"data", bytes(64))

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)
NAMES = """
    id seqno session_id posted edited deleted data signature reactions index count you reactors whisper whisper_to
    whisper_mods filtered token name description info_updates message_sequence created active_users active_users_cutoff
    image_id pinned_messages pinned_at pinned_by moderators admins hidden_moderators hidden_admins read write upload
    default_read default_write default_upload default_accessible details capabilities posted_at expires_at sender
    recipient message added removed rooms unpinned at code headers body content-type
"""
names = st.sampled_from(NAMES.split())
nearly = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 2**64)
    | st.floats()
    | st.sampled_from([SOMEBODY, "05" + "cd" * 32, "AAAA", "lobby", "application/json", "👍"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=12),
    max_leaves=40,
)
"""What looks like an answer."""

EVERYTHING: list[CommunityRequest[Any]] = [
    endpoints.capabilities(),
    endpoints.list_rooms(),
    endpoints.room_info("lobby"),
    endpoints.poll_info("lobby", 3),
    endpoints.set_room("lobby", name="Lobby"),
    endpoints.recent("lobby"),
    endpoints.before("lobby", 7),
    endpoints.since("lobby", 7),
    endpoints.message("lobby", 7),
    endpoints.post("lobby", SIGNED),
    endpoints.edit("lobby", 7, SIGNED),
    endpoints.delete("lobby", 7),
    endpoints.delete_all("lobby", SOMEBODY),
    endpoints.react("lobby", 7, "👍"),
    endpoints.unreact("lobby", 7, "👍"),
    endpoints.remove_reactions("lobby", 7),
    endpoints.remove_reactions("lobby", 7, "👍"),
    endpoints.reactors("lobby", 7, "👍"),
    endpoints.pin("lobby", 7),
    endpoints.unpin("lobby", 7),
    endpoints.unpin("lobby"),
    endpoints.inbox(),
    endpoints.inbox(3),
    endpoints.outbox(3, limit=256),
    endpoints.send_direct(SOMEBODY, b"sealed"),  # type: ignore[arg-type]  # a blinded id is one
    endpoints.clear_inbox(),
    endpoints.upload("lobby"),
    moderation.ban(SOMEBODY, ["lobby"]),
    moderation.unban(SOMEBODY, None),
    moderation.set_moderator(SOMEBODY, ["lobby"], admin=True),
    moderation.all_rights("lobby"),
    moderation.rights_of("lobby", SOMEBODY),
    moderation.set_rights("lobby", SOMEBODY, {"write": False}),
    moderation.coming_rights("lobby"),
    moderation.set_coming_rights("lobby", SOMEBODY, {"write": False}, seconds=60),
    moderation.delete_everywhere(SOMEBODY),
]


def answer(status: int, text: str = "", kind: str = "text/plain; charset=utf-8") -> V4Response:
    return V4Response(status, {"content-type": kind}, text.encode())


# Refusals.


@pytest.mark.parametrize(
    ("status", "text", "error"),
    [
        (400, "Invalid authentication: this server requires the use of blinded ids", BlindingRequired),
        (400, "Invalid authentication: X-SOGS-Pubkey must be 00- or 15- prefixed", ServiceRefused),
        (401, "Invalid authentication: X-SOGS-Signature verification failed", NoPermission),
        (403, "Banned", Banned),
        (403, "Permission denied", NoPermission),
        (404, "", NotFound),
        (405, "", ServiceRefused),
        (412, "", ServiceRefused),
        (425, "Invalid authentication: X-SOGS-Nonce cannot be reused", ClockOutOfSync),
        (429, "Rate limited", RateLimited),
        (429, "filtration rejected message (profanity)", ServiceRefused),
        (500, "", ServerFailed),
        (502, "", ServerFailed),
        (999, "", ServerFailed),
        (-1, "", ServiceRefused),
        (304, "", ServiceRefused),
        (100, "", ServiceRefused),
    ],
)
def test_refusals(status: int, text: str, error: type[SessionError]) -> None:
    with pytest.raises(error) as caught:
        endpoints.capabilities().result_of(answer(status, text))
    assert type(caught.value) is error
    assert text not in caught.value.message or not text


def test_what_is_missing_is_named() -> None:
    with pytest.raises(NotFound, match="no such room"):
        endpoints.room_info("lobby").result_of(answer(404))
    with pytest.raises(NotFound, match="no such message"):
        endpoints.message("lobby", 1).result_of(answer(404))


def test_a_refusal_of_any_text_is_short() -> None:
    with pytest.raises(NoPermission):
        raise_for_status(Reply(403, raw=b"\xff" * 1_000_000), "")


@pytest.mark.parametrize(
    "response",
    [
        answer(200),
        answer(200, "{}", "text/html"),
        answer(200, "", "application/json"),
        answer(200, "[" * 100_000, "application/json"),
        answer(200, '{"capabilities": [' + "[" * 5000 + "]" * 5000 + "]}", "application/json"),
        answer(200, '{"capabilities": NaN}', "application/json"),
        answer(200, "9" * 10_000, "application/json"),
        answer(200, '{"capabilities": [' + "[]," * 200_000 + "7]}", "application/json"),
        answer(200, "{}", "application/json"),
        V4Response(200, {"content-type": "application/json"}, b"\xff\xfe"),
    ],
)
def test_answers_without_sense(response: V4Response) -> None:
    try:
        found = endpoints.capabilities().result_of(response)
    except ServerFailed:
        return
    assert found.names == frozenset()


def test_the_content_type_may_have_parameters_and_any_case() -> None:
    response = V4Response(200, {"Content-Type": "Application/JSON; charset=utf-8"}, b'{"capabilities": ["sogs"]}')
    assert endpoints.capabilities().result_of(response).names == {"sogs"}


@given(st.sampled_from(EVERYTHING), anything | nearly, st.sampled_from([200, 201, 304, 404, 500]))
def test_any_answer_is_understood_or_refused(request: CommunityRequest[Any], value: Any, status: int) -> None:
    try:
        request.result(Reply(status, value, is_json=True))
    except SessionError:
        return
    assert status < 400


@given(anything | nearly)
def test_any_answer_to_a_batch_is_understood_or_refused(value: Any) -> None:
    for request in (batch(EVERYTHING[:3]), in_sequence(EVERYTHING[:3])):
        try:
            results = request.result(Reply(200, value, is_json=True))
        except ServerFailed:
            continue
        assert len(results) <= 3


# Several in one.


def part(status: int, body: Any, headers: dict[str, str] | None = JSON) -> dict[str, Any]:
    return {"code": status, "body": body} | ({} if headers is None else {"headers": headers})


def test_a_batch_gives_each_its_own() -> None:
    request = batch(
        [endpoints.capabilities(), endpoints.delete("lobby", 1), endpoints.inbox(5), endpoints.react("a", 1, "x")]
    )
    assert json.loads(request.body or b"") == [
        {"method": "GET", "path": "/capabilities"},
        {"method": "DELETE", "path": "/room/lobby/message/1"},
        {"method": "GET", "path": "/inbox/since/5"},
        {"method": "PUT", "path": "/room/a/reaction/1/x", "json": {}},
    ]
    parts = [
        part(200, {"capabilities": ["sogs"]}),
        part(404, "PCFkb2N0eXBlIGh0bWw+", {"content-type": "text/html; charset=utf-8"}),
        part(304, "", {}),
        {"code": 500, "content-type": "text/plain", "body": ""},
    ]
    first, second, third, fourth = request.result(Reply(200, parts, is_json=True))
    assert first.names == {"sogs"}
    assert isinstance(second, NotFound)
    assert third == DirectMessages()
    assert isinstance(fourth, ServerFailed)


def test_a_part_may_be_in_base64() -> None:
    body = "SW52YWxpZCBhdXRoZW50aWNhdGlvbjogdGhpcyBzZXJ2ZXIgcmVxdWlyZXMgdGhlIHVzZSBvZiBibGluZGVkIGlkcw=="
    request = batch([endpoints.capabilities()])
    [found] = request.result(Reply(200, [part(400, body, {"content-type": "text/plain; charset=utf-8"})], is_json=True))
    assert isinstance(found, BlindingRequired)


@pytest.mark.parametrize("odd", [None, 7, [], {}, {"code": "200"}, {"code": 200, "headers": 7, "body": {}}])
def test_an_odd_part_costs_only_itself(odd: Any) -> None:
    request = batch([endpoints.capabilities(), endpoints.capabilities()])
    first, second = request.result(Reply(200, [odd, part(200, {"capabilities": []})], is_json=True))
    assert isinstance(first, ServerFailed)
    assert second.names == frozenset()


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_batch_with_another_number_of_answers_is_refused(count: int) -> None:
    with pytest.raises(ServerFailed):
        batch(EVERYTHING[:2]).result(Reply(200, [part(200, {})] * count, is_json=True))


def test_a_sequence_may_end_early() -> None:
    request = in_sequence([moderation.ban(SOMEBODY, ["lobby"]), endpoints.delete_all("lobby", SOMEBODY)])
    [found] = request.result(Reply(200, [part(403, "")], is_json=True))
    assert isinstance(found, NoPermission)


def test_what_can_be_asked_again() -> None:
    once = [request.path for request in EVERYTHING if not request.repeatable]
    assert once == [
        "/room/lobby/message",
        f"/inbox/{SOMEBODY}",
        f"/room/lobby/futurePermissions/{SOMEBODY}",
    ]
    assert not batch([endpoints.capabilities(), endpoints.post("lobby", SIGNED)]).repeatable
    assert batch([endpoints.capabilities(), endpoints.inbox()]).only_reads
    assert not batch([endpoints.capabilities(), endpoints.delete("lobby", 1)]).only_reads
    assert not endpoints.clear_inbox().only_reads


# Paths and bodies.


@pytest.mark.parametrize("request_", EVERYTHING, ids=lambda request: f"{request.method} {request.path[:40]}")
def test_paths_are_plain_and_bodies_where_they_belong(request_: CommunityRequest[Any]) -> None:
    assert request_.path.isascii()
    assert request_.path.startswith("/")
    if request_.path != "/room/lobby/file":
        assert (request_.json is None) == (request_.method in ("GET", "DELETE"))
    assert ("Content-Type" in request_.headers) == (request_.json is not None)


@given(st.text(min_size=1, max_size=12))
def test_any_emoji_stays_one_part_of_the_path(emoji: str) -> None:
    try:
        path = endpoints.react("lobby", 7, emoji).path
    except InvalidInput:
        assert any(0xD800 <= ord(letter) < 0xE000 for letter in emoji)
        return
    assert path.count("/") == 5
    assert "?" not in path
    assert unquote(path.rpartition("/")[2]) == emoji


@pytest.mark.parametrize("emoji", ["", "x" * 13, "\ud800"])
def test_what_is_no_emoji_is_refused(emoji: str) -> None:
    with pytest.raises(InvalidInput):
        endpoints.react("lobby", 7, emoji)


def test_messages_are_asked_for_as_the_apps_do() -> None:
    assert endpoints.recent("lobby").path == "/room/lobby/messages/recent?reactors=5"
    assert endpoints.since("lobby", 9).path == "/room/lobby/messages/since/9?t=r&reactors=5"
    assert endpoints.since("lobby", 9, limit=256).path == "/room/lobby/messages/since/9?t=r&limit=256&reactors=5"


def test_posts_carry_what_they_need_and_no_more() -> None:
    assert endpoints.post("lobby", SIGNED).json == {"data": "ZGF0YQ==", "signature": "A" * 86 + "=="}
    whisper = endpoints.post("lobby", SIGNED, files=[3, 4], whisper_to=SOMEBODY, whisper_mods=True).json
    assert whisper["files"] == [3, 4]
    assert (whisper["whisper_to"], whisper["whisper_mods"]) == (SOMEBODY, True)
    assert endpoints.edit("lobby", 1, SIGNED, files=[3]).json["files"] == [3]


def test_moderation() -> None:
    assert moderation.ban(SOMEBODY, ["a", "b"], seconds=60).json == {"rooms": ["a", "b"], "timeout": 60}
    assert moderation.ban(SOMEBODY, None).json == {"global": True}
    assert moderation.set_moderator(SOMEBODY, ["a"], moderator=True, visible=False).json == {
        "rooms": ["a"],
        "moderator": True,
        "visible": False,
    }
    assert moderation.set_rights("a", SOMEBODY, {"write": False, "read": None}, keep_coming=True).json == {
        "write": False,
        "default_read": True,
        "unschedule": False,
    }
    coming = moderation.coming_rights("a", SOMEBODY).result(Reply(200, [{"at": 1.5, "write": False}, 7], is_json=True))
    assert coming == (moderation.ComingRights(SOMEBODY, 1500, None, False, None),)


def test_what_makes_no_sense_is_not_asked() -> None:
    for ask in (
        lambda: endpoints.set_room("lobby"),
        lambda: moderation.ban(SOMEBODY, []),
        lambda: moderation.ban(SOMEBODY, ["a"], seconds=0),
        lambda: moderation.set_moderator(SOMEBODY, ["a"]),
        lambda: moderation.set_moderator(SOMEBODY, ["a"], moderator=False, admin=True),
        lambda: moderation.set_rights("a", SOMEBODY, {}),
        lambda: moderation.set_coming_rights("a", SOMEBODY, {}, seconds=1),
        lambda: moderation.set_coming_rights("a", SOMEBODY, {"write": True}, seconds=0),
    ):
        with pytest.raises(InvalidInput):
            ask()


def test_names_of_files_are_encoded() -> None:
    headers = endpoints.upload_headers('a "b"; c/ü.txt')
    assert headers["Content-Disposition"] == "attachment; filename*=UTF-8''a%20%22b%22%3B%20c%2F%C3%BC.txt"
    assert endpoints.upload_headers(None)["Content-Disposition"] == "attachment"
