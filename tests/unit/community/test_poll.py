"""Polls: what is asked of a server in one request, and what comes of it."""

from __future__ import annotations

from typing import Any

import pytest

from session_cli.errors import NoPermission, ServerFailed, SessionError
from session_cli.protocol.community.auth import Capabilities
from session_cli.protocol.community.inbox import DirectMessages
from session_cli.protocol.community.poll import DirectCursor, RoomCursor, ServerPoll, poll
from session_cli.protocol.community.posts import Page
from session_cli.protocol.community.requests import CommunityRequest, Reply

JSON = {"content-type": "application/json"}
INFO = {"token": "a", "active_users": 1, "read": True, "write": True, "upload": True}


def part(body: Any, status: int = 200) -> dict[str, Any]:
    return {"code": status, "headers": JSON if status == 200 else {}, "body": body}


def answer(request: CommunityRequest[ServerPoll], *parts: dict[str, Any]) -> ServerPoll:
    return request.result(Reply(200, list(parts), is_json=True))


def change(seqno: int) -> dict[str, Any]:
    return {"id": seqno, "seqno": seqno, "reactions": {}}


def page_of(result: ServerPoll, number: int = 0) -> Page:
    page = result.rooms[number].page
    assert not isinstance(page, SessionError)
    return page


def test_what_is_asked() -> None:
    request = poll(
        [RoomCursor("a", 5, 12), RoomCursor("New")],
        inbox=DirectCursor(7),
        outbox=DirectCursor(),
    )
    assert (request.method, request.path) == ("POST", "/batch")
    assert request.repeatable
    assert request.only_reads
    assert request.json == [
        {"method": "GET", "path": "/capabilities"},
        {"method": "GET", "path": "/room/a/pollInfo/5"},
        {"method": "GET", "path": "/room/a/messages/since/12?t=r&reactors=5"},
        {"method": "GET", "path": "/room/New/pollInfo/0"},
        {"method": "GET", "path": "/room/New/messages/recent?reactors=5"},
        {"method": "GET", "path": "/inbox/since/7"},
        {"method": "GET", "path": "/outbox"},
    ]
    assert poll([]).json == [{"method": "GET", "path": "/capabilities"}]


def test_each_part_is_understood_alone() -> None:
    request = poll([RoomCursor("a", 5, 12), RoomCursor("b")], inbox=DirectCursor(7), outbox=DirectCursor())
    result = answer(
        request,
        part({"capabilities": ["blind"]}),
        part(INFO),
        part([change(13), change(15)]),
        part("", 403),
        part({}),
        part("", 304),
        part(None),
    )
    assert result.capabilities == Capabilities(frozenset({"blind"}))
    first, second = result.rooms
    assert not isinstance(first.info, SessionError)
    assert page_of(result).newest_seqno == 15
    assert isinstance(second.info, NoPermission)
    assert isinstance(second.page, ServerFailed)
    assert result.inbox == DirectMessages(newest_id=7)
    assert isinstance(result.outbox, ServerFailed)
    assert not result.more


def test_more_of_a_room() -> None:
    request = poll([RoomCursor("a", 0, 3)], limit=2)
    assert answer(request, part({}), part(INFO), part([change(4), change(5)])).more
    assert not answer(request, part({}), part(INFO), part([change(4)])).more


def test_older_messages_than_the_newest_are_no_more() -> None:
    request = poll([RoomCursor("a")], limit=2)
    assert not answer(request, part({}), part(INFO), part([change(4), change(5)])).more


def test_nothing_leads_back() -> None:
    """A server that gives out old messages over and over keeps nobody busy."""
    request = poll([RoomCursor("a", 0, 9)], inbox=DirectCursor(9), limit=1)
    old = {"id": 3}
    result = answer(request, part({}), part(INFO), part([change(4)]), part([old]))
    assert page_of(result).newest_seqno == 9
    assert result.inbox == DirectMessages((), 1, 9, more=False)
    assert not result.more


def test_an_empty_room_is_still_new() -> None:
    result = answer(poll([RoomCursor("a")]), part({}), part(INFO), part([]))
    assert page_of(result).newest_seqno is None


def test_more_direct_messages() -> None:
    result = answer(poll([], inbox=DirectCursor(), limit=1), part({"capabilities": []}), part([{"id": 3}]))
    assert result.more
    assert result.inbox == DirectMessages((), 1, 3, more=True)


@pytest.mark.parametrize(("sequence", "restarted"), [(8, True), (9, False), (10, False)])
def test_a_room_that_was_made_anew(sequence: int, restarted: bool) -> None:
    details = INFO | {"name": "A", "info_updates": 1, "message_sequence": sequence}
    result = answer(poll([RoomCursor("a", 5, 9)]), part({}), part(INFO | {"details": details}), part([]))
    assert result.rooms[0].restarted is restarted
    assert not answer(poll([RoomCursor("a", 5, 9)]), part({}), part(INFO), part([])).rooms[0].restarted
