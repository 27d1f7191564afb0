"""Groups and their members as text for people."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from .notices import timer_text
from .output import Painter, party_text
from .text import counted, fitted, harmless, short_id

if TYPE_CHECKING:
    from ..core.model import Group, GroupMember, Party

NAME_COLUMNS = 16
UNDONE = ("invite_failed", "invite_not_sent", "promotion_failed", "promotion_not_sent")
"""The statuses of members to whom something has still to be sent."""
_STATUSES = {
    "member": "member",
    "admin": "admin",
    "invite_sent": "invited",
    "invite_failed": "invitation failed",
    "invite_not_sent": "invitation not sent yet",
    "promotion_sent": "made an admin, not confirmed yet",
    "promotion_failed": "to be an admin, but sending that failed",
    "promotion_not_sent": "to be an admin, but that is not sent yet",
    "sending": "being sent",
    "removed": "being removed",
    "removed_with_messages": "being removed, with all messages",
    "unknown": "of a state that only a later version knows",
}
_DONE = {"removed": "removed", "removed_with_messages": "removed, with all messages"}
_STATES = {
    "member": "you are a member",
    "admin": "you are an admin",
    "invited": "it invites you (session group accept or decline)",
    "kicked": "you were removed (session group delete)",
    "destroyed": "it was ended for everyone (session group delete)",
}


def group_text(group: Group) -> str:
    """A group in a sentence: the name and the beginning of the id."""
    return f"{harmless(group.name)} ({short_id(group.id)})" if group.name else short_id(group.id)


def people_text(people: Iterable[Party]) -> str:
    """People in a sentence: A, B and C."""
    *front, last = ["you" if one.type == "self" else party_text(one) for one in people]
    return f"{', '.join(front)} and {last}" if front else last


def member_row(member: GroupMember, painter: Painter, *, done: bool = False, may_resend: bool = False) -> str:
    """A line: name, id, how far it has come. `done`: what is to be said of removals is that they were made."""
    party = member.party
    name = "me" if party.type == "self" else harmless(party.name or "(no name)")
    status = (_DONE if done else _STATUSES).get(member.status, _STATUSES["unknown"])
    if member.status in UNDONE:
        status = painter.warning(status + (" (session group resend)" if may_resend else ""))
    return f"{painter.name(fitted(name, NAME_COLUMNS))}  {painter.dim(short_id(party.id))}  {status}"


def group_row(group: Group, painter: Painter) -> str:
    """A line: name, id, what we are in it, marks."""
    name = fitted(harmless(group.name or "(no name)"), NAME_COLUMNS)
    line = f"{painter.name(name)}  {painter.dim(short_id(group.id))}  "
    match group.state:
        case "invited":
            by = f" by {party_text(group.inviter)}" if group.inviter else ""
            line += painter.warning(f"[you are invited{by}]")
        case "kicked":
            line += painter.warning("[you were removed]")
        case "destroyed":
            line += painter.warning("[ended for everyone]")
        case state:
            line += f"{state:<6}" + (f"  {counted(group.members, 'member')}" if group.members else "")
    if group.hidden:
        line += "  " + painter.dim("[hidden]")
    return line.rstrip()


def group_facts(group: Group) -> dict[str, str]:
    """What is known, for people: label and value."""
    muted = _yes_no(group.muted) if group.muted_until_ms is None else f"until {_minute(group.muted_until_ms)}"
    facts = {
        "id": group.id,
        "name": harmless(group.name) if group.name else "(none)",
        "description": harmless(" ".join(group.description.split())) if group.description else "(none)",
        "state": _STATES[group.state],
        "invited by": party_text(group.inviter) if group.inviter else "(unknown)",
        "members": str(group.members) if group.members else "(unknown)",
        "created": _minute(group.created_ms),
        "invited" if group.state == "invited" else "joined": _minute(group.joined_ms),
        "messages": timer_text("after_send", group.timer_s).removeprefix("messages ") if group.timer_s else "stay",
        "picture": _yes_no(group.picture),
        "pinned": _yes_no(group.pinned),
        "muted": muted,
        "hidden": _yes_no(group.hidden),
    }
    if group.inviter is None and group.state != "invited":
        del facts["invited by"]
    if group.waiting:
        facts["waiting"] = "yes: what was changed here has still to be brought to the group; recv does it"
    return facts


def _minute(milliseconds: int | None) -> str:
    if milliseconds is None:
        return "(unknown)"
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(milliseconds / 1000))


def _yes_no(value: bool) -> str:
    return "yes" if value else "no"
