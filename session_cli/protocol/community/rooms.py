"""Rooms as a server describes them to one person: what they are called, what that person may do, who watches over them.

A poll brings what changes with every visitor (`PollInfo`), and the whole description only when it has changed since
the `info_updates` that was named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

from ...errors import InvalidUrl, MalformedMessage
from ..config.servers import canonical_room
from .values import MemberId, each, flag, mapping, member_id, number, optional, sequence, text, time_ms

LONGEST_NAME, LONGEST_DESCRIPTION = 500, 10_000
MOST_ROOMS, MOST_PINS, MOST_MODERATORS = 10_000, 1_000, 10_000
Right = Literal["read", "accessible", "write", "upload"]
_RIGHTS: tuple[Right, ...] = get_args(Right)


@dataclass(frozen=True, slots=True)
class Rights:
    """What somebody may do in a room."""

    read: bool
    write: bool
    upload: bool


@dataclass(frozen=True, slots=True)
class Roles:
    """What somebody is in a room. Admins are moderators as well, and those of all rooms are those of each."""

    moderator: bool = False
    admin: bool = False
    global_moderator: bool = False
    global_admin: bool = False


@dataclass(frozen=True, slots=True)
class DefaultRights:
    """What those may do in a room for whom nothing else was said. Only moderators are told."""

    read: bool
    accessible: bool
    write: bool
    upload: bool


@dataclass(frozen=True, slots=True)
class Pin:
    """A pinned message."""

    message_id: int
    pinned_ms: int
    pinned_by: MemberId


@dataclass(frozen=True, slots=True)
class RoomInfo:
    """A room. `token` is its name in addresses, as its people write it; `info_updates` counts changes of what is said
    here, `message_sequence` those of its messages. `admins` are not among the `moderators`, and the hidden ones of both
    are shown to moderators alone. `image_id` is a file of the room.
    """

    token: str
    name: str
    description: str | None
    info_updates: int
    message_sequence: int
    created_ms: int | None
    active_users: int
    active_period_s: int
    rights: Rights
    roles: Roles
    defaults: DefaultRights | None
    image_id: int | None
    pins: tuple[Pin, ...]
    moderators: tuple[MemberId, ...]
    admins: tuple[MemberId, ...]
    hidden_moderators: tuple[MemberId, ...]
    hidden_admins: tuple[MemberId, ...]


@dataclass(frozen=True, slots=True)
class PollInfo:
    """What a poll brings of a room beside its messages; `details` only if they have changed."""

    token: str
    active_users: int
    rights: Rights
    roles: Roles
    defaults: DefaultRights | None
    details: RoomInfo | None


@dataclass(frozen=True, slots=True)
class RoomList:
    """The rooms of a server that one may know of, and how many of them made no sense."""

    rooms: tuple[RoomInfo, ...]
    malformed: int


@dataclass(frozen=True, slots=True)
class MemberRights:
    """What was set for one person in a room; None where the room's defaults hold."""

    read: bool | None = None
    accessible: bool | None = None
    write: bool | None = None
    upload: bool | None = None
    banned: bool = False
    moderator: bool = False
    admin: bool = False
    hidden: bool = False


def parse_room(value: Any, *, asked: str | None = None) -> RoomInfo:
    """A room: the one that was `asked` for, if one was.

    Raises MalformedMessage for one without what every room has. Odd pins and ids in it are left out.
    """
    fields = mapping(value)
    return RoomInfo(
        token=_token(fields, asked),
        name=text(fields.get("name"), LONGEST_NAME),
        description=optional(fields, "description", lambda found: text(found, LONGEST_DESCRIPTION)),
        info_updates=number(fields.get("info_updates")),
        message_sequence=number(fields.get("message_sequence")),
        created_ms=optional(fields, "created", time_ms),
        active_users=optional(fields, "active_users", number) or 0,
        active_period_s=optional(fields, "active_users_cutoff", number) or 0,
        rights=_rights(fields),
        roles=_roles(fields),
        defaults=_defaults(fields),
        image_id=optional(fields, "image_id", number),
        pins=each(optional(fields, "pinned_messages", sequence) or (), _pin, MOST_PINS),
        moderators=_ids(fields, "moderators"),
        admins=_ids(fields, "admins"),
        hidden_moderators=_ids(fields, "hidden_moderators"),
        hidden_admins=_ids(fields, "hidden_admins"),
    )


def parse_rooms(value: Any) -> RoomList:
    """Raises MalformedMessage for what is no list."""
    entries = sequence(value)
    found = each(entries, parse_room, MOST_ROOMS)
    return RoomList(found, len(entries) - len(found))


def parse_poll_info(value: Any, *, asked: str) -> PollInfo:
    """What a poll brings of the room that was `asked` for. Raises MalformedMessage."""
    fields = mapping(value)
    return PollInfo(
        token=_token(fields, asked),
        active_users=optional(fields, "active_users", number) or 0,
        rights=_rights(fields),
        roles=_roles(fields),
        defaults=_defaults(fields),
        details=optional(fields, "details", partial(parse_room, asked=asked)),
    )


def parse_member_rights(value: Any) -> MemberRights:
    """Raises MalformedMessage."""
    fields = mapping(value)
    return MemberRights(
        **{name: optional(fields, name, flag) for name in _RIGHTS},
        banned=_is_set(fields, "banned"),
        moderator=_is_set(fields, "moderator") or _is_set(fields, "admin"),
        admin=_is_set(fields, "admin"),
        hidden=_is_set(fields, "hidden"),
    )


def parse_all_rights(value: Any) -> dict[MemberId, MemberRights]:
    """What was set for each person for whom anything was; odd entries are left out. Raises MalformedMessage."""
    return dict(each(mapping(value).items(), _entry, MOST_MODERATORS))


def _entry(item: tuple[str, Any]) -> tuple[MemberId, MemberRights]:
    return member_id(item[0]), parse_member_rights(item[1])


def _token(fields: Mapping[str, Any], asked: str | None) -> str:
    token = fields.get("token")
    try:
        room = canonical_room(token if isinstance(token, str) else "")
    except InvalidUrl:
        raise MalformedMessage("A community server names a room in a way that no room has.") from None
    if asked is not None and room != asked.lower():
        raise MalformedMessage("A community server speaks of another room than it was asked about.")
    return str(token)


def _rights(fields: Mapping[str, Any]) -> Rights:
    return Rights(*(flag(fields.get(name)) for name in ("read", "write", "upload")))


def _roles(fields: dict[str, Any]) -> Roles:
    in_all = _is_set(fields, "global_moderator"), _is_set(fields, "global_admin")
    admin = _is_set(fields, "admin") or in_all[1]
    moderator = _is_set(fields, "moderator") or in_all[0] or admin
    return Roles(moderator, admin, in_all[0] or in_all[1], in_all[1])


def _defaults(fields: dict[str, Any]) -> DefaultRights | None:
    values = [optional(fields, f"default_{name}", flag) for name in _RIGHTS]
    if None in values:
        return None
    return DefaultRights(*map(bool, values))


def _pin(value: Any) -> Pin:
    fields = mapping(value)
    return Pin(number(fields.get("id")), time_ms(fields.get("pinned_at")), member_id(fields.get("pinned_by")))


def _ids(fields: dict[str, Any], name: str) -> tuple[MemberId, ...]:
    return each(optional(fields, name, sequence) or (), member_id, MOST_MODERATORS)


def _is_set(fields: dict[str, Any], name: str) -> bool:
    return optional(fields, name, flag) or False
