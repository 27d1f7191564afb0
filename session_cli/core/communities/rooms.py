"""What is kept of a room beside its messages: what the server says of it, as JSON has it.

`name`, `description`, `read`, `write`, `upload`, `moderator`, `admin`, `active_users`, `created_ms`, and `pins`: the
numbers of posts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...protocol.community.rooms import PollInfo, Rights, Roles, RoomInfo

Info = Mapping[str, Any]


def info_of(room: RoomInfo) -> dict[str, Any]:
    """What is kept of a whole description."""
    return {
        "name": room.name,
        "description": room.description,
        "active_users": room.active_users,
        "created_ms": room.created_ms,
        "pins": [pin.message_id for pin in room.pins],
        **_rights(room.rights, room.roles),
    }


def with_poll(known: Info, poll: PollInfo) -> dict[str, Any]:
    """The same after a poll."""
    described = info_of(poll.details) if poll.details is not None else dict(known)
    return {**described, "active_users": poll.active_users, **_rights(poll.rights, poll.roles)}


def role_of(info: Info) -> str | None:
    """What we are there: `admin`, `moderator` or None."""
    if info.get("admin"):
        return "admin"
    return "moderator" if info.get("moderator") else None


def _rights(rights: Rights, roles: Roles) -> dict[str, Any]:
    return {
        "read": rights.read,
        "write": rights.write,
        "upload": rights.upload,
        "moderator": roles.moderator,
        "admin": roles.admin,
    }
