"""Rooms, and what a poll says of them."""

from __future__ import annotations

from typing import Any

import pytest

from session_cli.errors import MalformedMessage
from session_cli.protocol.community.rooms import (
    LONGEST_DESCRIPTION,
    LONGEST_NAME,
    DefaultRights,
    MemberRights,
    Pin,
    Rights,
    Roles,
    parse_all_rights,
    parse_member_rights,
    parse_poll_info,
    parse_room,
    parse_rooms,
)

SOMEBODY = "15" + "ab" * 32


def room(**changes: Any) -> dict[str, Any]:
    return {
        "token": "Lobby",
        "name": "The Lobby",
        "info_updates": 3,
        "message_sequence": 9,
        "created": 1.5,
        "active_users": 4,
        "active_users_cutoff": 604800,
        "moderators": [SOMEBODY],
        "admins": [],
        "read": True,
        "write": True,
        "upload": False,
    } | changes


def test_a_room() -> None:
    found = parse_room(
        room(
            description="Come in.",
            image_id=7,
            pinned_messages=[{"id": 1, "pinned_at": 2.5, "pinned_by": SOMEBODY}, {"id": 2}],
            hidden_admins=[SOMEBODY, "ff" + "00" * 32],
            moderator=True,
            default_read=True,
            default_accessible=True,
            default_write=False,
            default_upload=False,
        )
    )
    assert (found.token, found.name, found.description, found.image_id) == ("Lobby", "The Lobby", "Come in.", 7)
    assert (found.info_updates, found.message_sequence, found.created_ms) == (3, 9, 1500)
    assert (found.active_users, found.active_period_s) == (4, 604800)
    assert found.rights == Rights(read=True, write=True, upload=False)
    assert found.roles == Roles(moderator=True)
    assert found.defaults == DefaultRights(read=True, accessible=True, write=False, upload=False)
    assert found.pins == (Pin(1, 2500, found.moderators[0]),)
    assert (found.moderators, found.admins) == ((SOMEBODY,), ())
    assert (found.hidden_moderators, found.hidden_admins) == ((), (SOMEBODY,))


@pytest.mark.parametrize(
    ("flags", "roles"),
    [
        ({}, Roles()),
        ({"moderator": True}, Roles(moderator=True)),
        ({"admin": True}, Roles(moderator=True, admin=True)),
        ({"global_moderator": True}, Roles(moderator=True, global_moderator=True)),
        ({"global_admin": True}, Roles(True, True, True, True)),
    ],
)
def test_roles(flags: dict[str, bool], roles: Roles) -> None:
    assert parse_room(room(**flags)).roles == roles


@pytest.mark.parametrize(
    "changes",
    [
        {"token": None},
        {"token": "a/b"},
        {"token": "x" * 65},
        {"token": "lob\nby"},
        {"name": None},
        {"info_updates": "3"},
        {"message_sequence": -1},
        {"read": "yes"},
        {"write": None},
        {"description": 7},
        {"moderators": "everybody"},
        {"active_users": 1.5},
        {"admin": "no"},
    ],
)
def test_a_room_that_can_not_be(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedMessage):
        parse_room(room(**changes))
    found = parse_rooms([room(), room(**changes), None])
    assert [one.token for one in found.rooms] == ["Lobby"]
    assert found.malformed == 2


def test_texts_have_an_end() -> None:
    found = parse_room(room(name="n" * 10_000_000, description="d" * 10_000_000))
    assert (len(found.name), len(found.description or "")) == (LONGEST_NAME, LONGEST_DESCRIPTION)
    assert parse_room(room(name="half \ud83d")).name.encode()


def test_a_poll() -> None:
    short = {"token": "lobby", "active_users": 2, "read": True, "write": False, "upload": False}
    found = parse_poll_info(short, asked="LOBBY")
    assert (found.active_users, found.details) == (2, None)
    assert found.rights == Rights(read=True, write=False, upload=False)
    assert parse_poll_info(short | {"details": room()}, asked="lobby").details == parse_room(room())


@pytest.mark.parametrize("details", [room(token="other"), {}, 7])
def test_a_poll_of_another_room_is_refused(details: Any) -> None:
    short = {"token": "lobby", "read": True, "write": False, "upload": False}
    with pytest.raises(MalformedMessage):
        parse_poll_info(short, asked="other")
    with pytest.raises(MalformedMessage):
        parse_poll_info(short | {"details": details}, asked="lobby")
    with pytest.raises(MalformedMessage):
        parse_room(room(), asked="other")


def test_rights_of_people() -> None:
    assert parse_member_rights({}) == MemberRights()
    assert parse_member_rights({"read": False, "admin": True}) == MemberRights(read=False, moderator=True, admin=True)
    found = parse_all_rights({SOMEBODY: {"banned": True}, "x": {}, "05" + "cd" * 32: 7})
    assert found == {SOMEBODY: MemberRights(banned=True)}
