"""What notices and events say, in a line without brackets. Nothing in it is made harmless yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .text import counted, human_time, short_id

if TYPE_CHECKING:
    from ..core.model import Event, Message

EXCERPT = 60
_MOST_NAMED = 5
"""Of the people in a notice, so many are named."""
DELETED = "deleted"
_CALLS = {
    "ringing": "is calling; calls can't be taken here",
    "missed": "missed call",
    "answered": "call, answered on another device",
    "declined": "call, declined on another device",
}
_AFTER = {"after_send": "after they are sent", "after_read": "after they are read"}


def timer_text(mode: str, seconds: int) -> str:
    """What a setting for disappearing messages does."""
    if mode not in _AFTER or not seconds:
        return "messages don't disappear any more"
    return f"messages disappear {human_time(seconds)} {_AFTER[mode]}"


def notice_text(message: Message) -> str | None:
    """What stands in the place of a text: what a notice says, or that a message was deleted; None for others."""
    content = message.content
    match message.kind:
        case "expiration_update":
            return timer_text(content["mode"], content["seconds"])
        case "call":
            return _CALLS[content["state"]]
        case "media_saved":
            return "saved a file"
        case "group_update":
            return _group_change(message)
        case "community_update":
            return _community_change(content)
        case "unknown":
            return f"{content['reason']}; kept for a later version"
    return DELETED if message.deleted else None


def _group_change(message: Message) -> str:
    """What happened to a group, said of its sender."""
    content, sender = message.content, message.sender.id
    people = _people(content.get("members", ()))
    match content["change"]:
        case "invited":
            waits = "session group accept or decline" if message.request else "you are in it now"
            return f"invites you to the group {content['name']} ({waits})"
        case "added":
            return f"added {people}" + (", who can read what was written before" if content["history"] else "")
        case "removed":
            return f"removed {people}"
        case "promoted":
            return f"made {people} {'admins' if len(content['members']) > 1 else 'an admin'}"
        case "renamed":
            return f"gave the group the name {content['name']}" if content["name"] else "gave the group another name"
        case "picture":
            return "changed the picture of the group"
        case "description":
            text = " ".join(content["text"].split())
            return f"the group is about this: {text}" if text else "the group has no description any more"
        case "left":
            others = [member for member in content["members"] if member["id"] != sender]
            return f"says that {_people(others)} left the group" if others else "left the group"
        case "joined":
            return "joined the group"
        case "kicked":
            return "an admin removed you from the group"
    return "an admin ended the group for everyone"


def _community_change(content: Mapping[str, Any]) -> str:
    """What happened to a room, said of the room itself."""
    match content["change"]:
        case "renamed":
            return f"is called {content['name']} now"
        case "closed":
            return "can't be read any more: its server does not let you"
        case "opened":
            return "can be read again"
        case "gone":
            return "is not on its server any more"
    can = "read there now, and not write"
    if content["write"]:
        can = (
            "read, write and send files there now"
            if content["upload"]
            else "read and write there now, but send no files"
        )
    role = {"admin": ", as an admin", "moderator": ", as a moderator"}.get(content.get("role") or "", "")
    return f"you may {can}{role}"


def _people(members: Sequence[Mapping[str, Any]]) -> str:
    """Members by name and id: nobody's name may pass for somebody else."""
    named = [f"{one['name']} ({short_id(one['id'])})" if one["name"] else short_id(one["id"]) for one in members]
    if len(named) > _MOST_NAMED:
        named[_MOST_NAMED - 1 :] = [counted(len(named) - _MOST_NAMED + 1, "other")]
    *front, last = named or ["nobody"]
    return f"{', '.join(front)} and {last}" if front else last


def event_line(event: Event) -> str:
    """What somebody did, for events that are no messages or notices."""
    content, target = event.content, event.message
    match event.type:
        case "reaction":
            verb = "takes back" if content["removed"] else "reacts"
            return f"{verb} {content['emoji']} {'from' if content['removed'] else 'to'} {_named(target)}"
        case "unsend":
            return f"deleted {_named(target)}"
        case "receipt":
            return f"has read {_named(target)}"
        case "typing":
            return "is typing…" if content["started"] else "stopped typing"
        case "contact_request":
            return "accepted your message request"
        case "profile":
            name, before = content["name"], content["previous_name"]
            if name != before:
                return f"is called {name} now, no longer {before}"
            return "has another picture" if content["picture"] else "has no picture any more"
    return f"{content['reason']}; kept for a later version"


def _named(message: Message | None) -> str:
    if message is None:
        return "a message"
    text = " ".join(message.text.split())
    return f"#{message.id}" + (f": {excerpt(text)}" if text else "")


def excerpt(text: str) -> str:
    """The beginning of a text of one line."""
    return text if len(text) <= EXCERPT else text[: EXCERPT - 1] + "…"
