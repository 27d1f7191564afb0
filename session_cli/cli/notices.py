"""What notices and events say, in a line without brackets. Nothing in it is made harmless yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .text import human_time

if TYPE_CHECKING:
    from ..core.model import Event, Message

EXCERPT = 60
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
        case "unknown":
            return f"{content['reason']}; kept for a later version"
    return DELETED if message.deleted else None


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
    text = " ".join(message.body.split())
    return f"#{message.id}" + (f": {excerpt(text)}" if text else "")


def excerpt(text: str) -> str:
    """The beginning of a text of one line."""
    return text if len(text) <= EXCERPT else text[: EXCERPT - 1] + "…"
