"""What moderators and admins ask of a community server about people: bans, roles, rights, and deleting all posts.

Where a function takes rooms by their tokens, None stands for the server as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ...errors import InvalidInput
from . import rooms
from .requests import CommunityRequest
from .rooms import MemberRights, Right
from .values import MemberId, each, flag, mapping, member_id, number, optional, sequence, time_ms

_MOST_CHANGES = 10_000
_LONGEST_WAIT_S = 1_000_000_000
_NO_MEMBER = "The community server knows nobody of this id, or there is no such room."


@dataclass(frozen=True, slots=True)
class ComingRights:
    """A change of somebody's rights that comes at `at_ms`; None for a right that stays as it is."""

    member: MemberId
    at_ms: int
    read: bool | None
    write: bool | None
    upload: bool | None


def ban(member: MemberId, where: Sequence[str] | None, *, seconds: int | None = None) -> CommunityRequest[None]:
    """Ban somebody, as a moderator, from some rooms or (`where` is None) from the server; for a time, or for ever."""
    if seconds is not None and seconds < 1:
        raise InvalidInput("A ban lasts for at least a second.")
    fields = _where(where) | ({} if seconds is None else {"timeout": seconds})
    return CommunityRequest("POST", f"/user/{member}/ban", lambda _: None, fields, _NO_MEMBER)


def unban(member: MemberId, where: Sequence[str] | None) -> CommunityRequest[None]:
    """Take a ban away. A role that somebody had before does not come back."""
    return CommunityRequest("POST", f"/user/{member}/unban", lambda _: None, _where(where), _NO_MEMBER)


def set_moderator(
    member: MemberId,
    where: Sequence[str] | None,
    *,
    moderator: bool | None = None,
    admin: bool | None = None,
    visible: bool | None = None,
) -> CommunityRequest[dict[str, int]]:
    """Make somebody a moderator or admin of some rooms, or of all, or take that away. Only admins can.

    `admin` false alone leaves a moderator; `moderator` false takes both. `visible` None is as the server does it: shown
    for a room, hidden for the whole server. Gives the new `info_updates` of the rooms. Raises InvalidInput.
    """
    if (moderator is None and admin is None) or (moderator is False and admin):
        raise InvalidInput("Say whether somebody is to be a moderator, or an admin, or neither.")
    given = {"moderator": moderator, "admin": admin, "visible": visible}
    fields = _where(where) | {name: value for name, value in given.items() if value is not None}
    return CommunityRequest("POST", f"/user/{member}/moderator", _counts("info_updates"), fields, _NO_MEMBER)


def all_rights(room: str) -> CommunityRequest[dict[MemberId, MemberRights]]:
    """All that was set for single people in a room, for moderators."""
    return CommunityRequest("GET", f"/room/{room}/permissions", rooms.parse_all_rights, missing=_NO_MEMBER)


def rights_of(room: str, member: MemberId) -> CommunityRequest[MemberRights]:
    """What was set for one person in a room, for moderators."""
    path = f"/room/{room}/permissions/{member}"
    return CommunityRequest("GET", path, rooms.parse_member_rights, missing=_NO_MEMBER)


def set_rights(
    room: str, member: MemberId, rights: Mapping[Right, bool | None], *, keep_coming: bool = False
) -> CommunityRequest[MemberRights]:
    """Set what somebody may do in a room, as a moderator; None: what the room's defaults say. Gives what is set then.

    Changes that were to come are dropped, unless `keep_coming`. Raises InvalidInput if nothing is to be set.
    """
    if not rights:
        raise InvalidInput("Nothing is to be changed about anybody's rights.")
    fields: dict[str, bool] = {
        f"default_{right}" if value is None else right: value is not False for right, value in rights.items()
    }
    if keep_coming:
        fields["unschedule"] = False
    path = f"/room/{room}/permissions/{member}"
    return CommunityRequest("POST", path, rooms.parse_member_rights, fields, _NO_MEMBER)


def coming_rights(room: str, member: MemberId | None = None) -> CommunityRequest[tuple[ComingRights, ...]]:
    """The changes of rights that are to come, of all people or of one, for moderators."""
    path = f"/room/{room}/futurePermissions" + ("" if member is None else f"/{member}")
    return CommunityRequest("GET", path, partial(_coming, member), missing=_NO_MEMBER)


def set_coming_rights(
    room: str, member: MemberId, rights: Mapping[Right, bool], *, seconds: float
) -> CommunityRequest[tuple[ComingRights, ...]]:
    """Let a change of somebody's rights (but not of `accessible`) come in so many seconds. Gives all that are to come.

    Raises InvalidInput.
    """
    if not rights or "accessible" in rights or not 0 < seconds < _LONGEST_WAIT_S:
        raise InvalidInput("A change to come is one of reading, writing or uploading, and within thirty years.")
    path = f"/room/{room}/futurePermissions/{member}"
    fields: dict[str, Any] = {"in": seconds}
    fields.update(rights.items())
    # Made twice, the same change would come twice.
    return CommunityRequest("POST", path, partial(_coming, member), fields, _NO_MEMBER, repeatable=False)


def delete_everywhere(member: MemberId) -> CommunityRequest[dict[str, int]]:
    """Delete all messages and files of somebody where we moderate. Gives how many messages in each room."""
    return CommunityRequest("DELETE", f"/rooms/all/{member}", _counts("rooms"), missing=_NO_MEMBER)


def _where(where: Sequence[str] | None) -> dict[str, Any]:
    if where is None:
        return {"global": True}
    if not where:
        raise InvalidInput("Name at least one room.")
    return {"rooms": list(where)}


def _coming(member: MemberId | None, value: Any) -> tuple[ComingRights, ...]:
    """Where one person is asked about, the answer does not repeat who."""

    def read(entry: Any) -> ComingRights:
        fields = mapping(entry)
        return ComingRights(
            member=member or member_id(fields.get("session_id")),
            at_ms=time_ms(fields.get("at")),
            read=optional(fields, "read", flag),
            write=optional(fields, "write", flag),
            upload=optional(fields, "upload", flag),
        )

    return each(sequence(value), read, _MOST_CHANGES)


def _counts(name: str) -> Callable[[Any], dict[str, int]]:
    """A number for each room."""

    def entry(item: tuple[str, Any]) -> tuple[str, int]:
        return item[0], number(item[1])

    def read(value: Any) -> dict[str, int]:
        return dict(each(mapping(mapping(value).get(name)).items(), entry, rooms.MOST_ROOMS))

    return read
