"""What goes to stdout: JSON objects by a contract, or text for people."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from .text import harmless, human_size, short_id, wrapped

if TYPE_CHECKING:
    from ..core.model import Attachment, Conversation, Message, Party

JSON_VERSION = 1
_INDENT = "    "
_TAB = 4
_LEAST_ROOM = 20
UNSENT = {"pending": "being sent", "queued": "waits to be sent", "failed": "not sent"}
"""The states of our own messages that have not arrived, in words."""


def iso_time(milliseconds: int) -> str:
    """RFC 3339 in UTC with milliseconds."""
    seconds, rest = divmod(milliseconds, 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest:03d}Z"


def json_object(type: str, **fields: Any) -> dict[str, Any]:
    """An object of the contract."""
    return {"v": JSON_VERSION, "type": type, **fields}


def json_line(value: dict[str, Any]) -> str:
    """An object as text, without the end of its line."""
    import json

    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    # Control characters and line ends to some readers, though not to JSON.
    return re.sub("[\x7f-\x9f\u2028\u2029]", lambda match: f"\\u{ord(match[0]):04x}", text)


def message_json(message: Message) -> dict[str, Any]:
    """A message as `--json` shows it; see session-json(5)."""
    expires = None
    if message.expire_s:
        expires = {"mode": message.expire_mode, "seconds": message.expire_s, "at": None}
    return json_object(
        "message",
        id=message.id,
        hash=message.hash,
        direction=message.direction,
        conversation=_party_json(message.conversation, with_type=True),
        sender=_party_json(message.sender),
        timestamp=iso_time(message.timestamp_ms),
        timestamp_ms=message.timestamp_ms,
        body=message.body,
        attachments=[attachment_json(attachment) for attachment in message.attachments],
        quote=(
            {"sender": {"id": message.quote.author}, "timestamp_ms": message.quote.timestamp_ms}
            if message.quote
            else None
        ),
        expires=expires,
        request=message.request,
        status=message.status,
    )


def conversation_json(conversation: Conversation) -> dict[str, Any]:
    """A conversation as `list --json` shows it."""
    last = conversation.last_message
    return json_object(
        "conversation",
        conversation=_party_json(conversation.party, with_type=True),
        last_message=message_json(last) if last else None,
        unread=conversation.unread,
        request=conversation.request,
    )


def _party_json(party: Party, *, with_type: bool = False) -> dict[str, Any]:
    described = {"id": party.id, "name": party.name}
    return {"type": party.type, **described} if with_type else described


def attachment_json(attachment: Attachment) -> dict[str, Any]:
    """An attachment inside a message."""
    return {
        "id": attachment.id,
        "name": attachment.name,
        "content_type": attachment.content_type,
        "size": attachment.size,
        "voice": attachment.voice,
        "saved": attachment.saved,
    }


class Painter:
    """Colours for a terminal, or none; and how many columns the terminal has, if what is written goes to one."""

    def __init__(self, *, enabled: bool, columns: int | None = None) -> None:
        self._enabled = enabled
        self.columns = columns

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._enabled else text

    def dim(self, text: str) -> str:
        return self._paint("2", text)

    def bold(self, text: str) -> str:
        return self._paint("1", text)

    def name(self, text: str) -> str:
        return self._paint("1;36", text)

    def good(self, text: str) -> str:
        return self._paint("32", text)

    def hit(self, text: str) -> str:
        return self._paint("1;31", text)

    def warning(self, text: str) -> str:
        return self._paint("33", text)

    def error(self, text: str) -> str:
        return self._paint("1;31", text)


def message_text(message: Message, painter: Painter, hits: Iterable[tuple[int, int]] = ()) -> str:
    """A message for people: who and when, then the text, indented so that no text can pass for another message.

    On a terminal its lines are cut to fit: the terminal would go on at its edge, where messages begin.

    `hits` are the places in the text to be marked, in characters and in order.
    """
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(message.timestamp_ms / 1000))
    if message.direction == "outgoing":
        to = "note to self" if message.conversation.type == "self" else "to " + party_text(message.conversation)
        who = f"me ({to})"
    else:
        who = party_text(message.sender)
    marks = " [message request]" if message.request else ""
    if message.status in UNSENT:
        marks += f" [{UNSENT[message.status]}]"
    marks = painter.warning(marks) if marks else ""
    head = f"{painter.dim(when)}  {painter.name(who)}{marks}  {painter.dim(f'#{message.id}')}"
    below = []
    if message.quote:
        below.append(painter.dim(f"in reply to a message of {short_id(harmless(message.quote.author))}"))
    if message.body:
        below += _marked(message.body, hits, painter).split("\n")
    below += [painter.dim(attachment_text(attachment)) for attachment in message.attachments]
    first, *rest = _cut(head, painter.columns)
    return "\n".join([first, *(_INDENT + line for line in [*rest, *_cut_all(below, painter.columns)])])


def _cut(line: str, columns: int | None) -> list[str]:
    """A line in parts that fit on a terminal of so many columns, indented."""
    return [line] if columns is None else wrapped(line.expandtabs(_TAB), max(_LEAST_ROOM, columns - len(_INDENT)))


def _cut_all(lines: Iterable[str], columns: int | None) -> Iterator[str]:
    for line in lines:
        yield from _cut(line, columns)


def _marked(text: str, hits: Iterable[tuple[int, int]], painter: Painter) -> str:
    parts, at = [], 0
    for begin, end in hits:
        parts.append(harmless(text[at:begin], multiline=True))
        lines = harmless(text[begin:end], multiline=True).split("\n")
        parts.append("\n".join(painter.hit(line) for line in lines))
        at = end
    return "".join([*parts, harmless(text[at:], multiline=True)])


def party_text(party: Party) -> str:
    """A name with the beginning of the id, which nobody else can have; the id alone for the nameless."""
    return f"{harmless(party.name)} ({short_id(party.id)})" if party.name else short_id(party.id)


def attachment_text(attachment: Attachment, *, with_place: bool = True) -> str:
    """One line about a file, perhaps with the place it was saved at."""
    kind = "voice message" if attachment.voice else harmless(attachment.content_type)
    name = harmless(attachment.name) if attachment.name else "unnamed file"
    saved = f", saved as {harmless(attachment.saved)}" if attachment.saved and with_place else ""
    return f"[{name}: {kind}, {human_size(attachment.size)}{saved}]"
