"""Rooms of communities, and who is in them, as text for people."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .notices import excerpt
from .output import Painter
from .text import cell_width, counted, fitted, harmless, room_token, short_id

if TYPE_CHECKING:
    from ..core.model import Community, CommunityMember

NAME_COLUMNS = 16
_TOKEN_COLUMNS = 20
_STATES = {
    "joined": "you are in it",
    "open": "you are not in it (session community join)",
    "closed": "its server does not let you read it",
    "gone": "it is not on its server any more (session community leave)",
}
_MARKS = {"open": "not joined", "closed": "closed to you", "gone": "gone"}


def community_text(community: Community) -> str:
    """A room in a sentence: the name and the address."""
    address = harmless(short_id(community.id))
    return f"{harmless(community.name)} ({address})" if community.name else address


def rights_text(community: Community) -> str:
    """What may be done in a room."""
    if community.state in ("closed", "gone"):
        return "do nothing"
    if not community.write:
        return "read"
    return "read, write and send files" if community.upload else "read and write, but send no files"


def community_rows(communities: Sequence[Community], painter: Painter) -> list[str]:
    """A line for each room that we have joined: name, address, what we are in it, marks."""
    width = max((cell_width(harmless(community.id)) for community in communities), default=0)
    return [_row(community, width, painter) for community in communities]


def _row(community: Community, width: int, painter: Painter) -> str:
    name = fitted(harmless(community.name or "(no name)"), NAME_COLUMNS)
    words = [community.role] if community.role else []
    if community.state != "joined":
        words.append(painter.warning(f"[{_MARKS[community.state]}]"))
    elif not community.write:
        words.append(painter.warning("[read only]"))
    if community.problem is not None:
        words.append(painter.warning("[server failed]"))
    if community.hidden:
        words.append(painter.dim("[hidden]"))
    address = painter.dim(fitted(harmless(community.id), width))
    return "  ".join([painter.name(name), address, *words]).rstrip()


def offer_row(community: Community, painter: Painter) -> str:
    """A line for a room of a server: short name, name, how many were there lately, what it is about."""
    token, name = (
        fitted(harmless(room_token(community.id)), _TOKEN_COLUMNS),
        fitted(harmless(community.name or "(no name)"), NAME_COLUMNS),
    )
    about = excerpt(harmless(" ".join((community.description or "").split())))
    marks = {"open": "", "joined": "[joined] "}.get(community.state, f"[{_MARKS.get(community.state)}] ")
    active = f"{community.active_users:>6} active"
    return f"{painter.name(token)}  {name}  {active}  {painter.warning(marks) if marks else ''}{about}".rstrip()


def community_facts(community: Community) -> dict[str, str]:
    """What is known of a room, for people: label and value."""
    muted = (
        _yes_no(community.muted) if community.muted_until_ms is None else f"until {_minute(community.muted_until_ms)}"
    )
    facts = {
        "address": harmless(community.id),
        "URL": harmless(community.url),
        "name": harmless(community.name) if community.name else "(none)",
        "description": harmless(" ".join(community.description.split())) if community.description else "(none)",
        "state": _STATES[community.state],
        "you may": rights_text(community),
        "you are": community.role or "no moderator",
        "active": f"{counted(community.active_users, 'user')} lately",
        "created": _minute(community.created_ms) if community.created_ms is not None else "(unknown)",
        "pinned": _pins(community),
        "muted": muted,
        "hidden": _yes_no(community.hidden),
    }
    if community.problem is not None:
        facts["problem"] = f"nothing can be fetched: {harmless(community.problem)}"
    if community.state == "open":
        del facts["muted"], facts["hidden"]
    return facts


def _pins(community: Community) -> str:
    here = [f"#{message_id}" for message_id in community.pinned_ids]
    others = len(community.pinned) - len(here)
    if others:
        here.append(f"{counted(others, 'message')} not here" if here else counted(others, "message"))
    return ", ".join(here) or "no message"


def member_row(member: CommunityMember, painter: Painter, *, own_id: str) -> str:
    """A line: name, the beginning of the id that is seen in the room, what they are there."""
    is_own = own_id in (member.id, member.account)
    name = "me" if is_own else harmless(member.name or "(no name)")
    line = f"{painter.name(fitted(name, NAME_COLUMNS))}  {painter.dim(short_id(member.id))}  {_standing(member)}"
    if member.account is not None and member.account != member.id and not is_own:
        line += "  " + painter.dim(f"account {short_id(member.account)}")
    return line


def member_text(member: CommunityMember) -> str:
    """Somebody in a sentence: the name and the id that is seen in the room."""
    return f"{harmless(member.name)} ({short_id(member.id)})" if member.name else short_id(member.id)


def _standing(member: CommunityMember) -> str:
    if member.banned:
        return "banned" if member.banned_until_ms is None else f"banned until {_minute(member.banned_until_ms)}"
    if member.banned is False:
        return "not banned"
    if member.role is None:
        return "no moderator"
    return member.role + (", hidden" if member.hidden else "")


def _minute(milliseconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(milliseconds / 1000))


def _yes_no(value: bool) -> str:
    return "yes" if value else "no"
