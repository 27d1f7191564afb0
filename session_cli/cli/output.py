"""Messages and events as text for people."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from .notices import event_line, excerpt, notice_text
from .text import COLOUR_END, counted, harmless, human_size, human_time, short_id, wrapped

if TYPE_CHECKING:
    from ..core.model import Attachment, Event, Message, Party, Quote, Reactions

_INDENT = "    "
Line = tuple[str, str]
"""The mark in front of a line (none: a text that somebody wrote), and what it says."""
_TAB = 4
_LEAST_ROOM = 20
UNSENT = {"pending": "being sent", "queued": "waits to be sent", "failed": "not sent"}
"""The states of our own messages that have not arrived, in words."""
STATES = {**UNSENT, "read": "read"}
"""The states of messages that are worth a word."""
_NAMES = 3
"""Of those who put the same emoji on a message, so many are named."""


class Painter:
    """Colours for a terminal, or none; and how many columns the terminal has, if what is written goes to one."""

    def __init__(self, *, enabled: bool, columns: int | None = None) -> None:
        self._enabled = enabled
        self.columns = columns

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}{COLOUR_END}" if self._enabled else text

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


def message_text(
    message: Message, painter: Painter, hits: Iterable[tuple[int, int]] = (), *, with_place: bool = True
) -> str:
    """A message for people: who and when, then the text, indented so that no text can pass for another message.

    What somebody wrote in a group or room has a line in front of it that names it, unless `with_place` is off: where no
    text and no name can stand, so that nobody can pass for a member.

    On a terminal its lines are cut to fit: the terminal would go on at its edge, where messages begin.

    `hits` are the places in the text to be marked, in characters and in order.
    """
    if message.direction == "outgoing":
        to = "note to self" if message.conversation.type == "self" else "to " + party_text(message.conversation)
        who = f"me ({to})"
    else:
        who = party_text(message.sender)
    marks = ""
    if message.request:
        marks = " [invitation]" if message.conversation.type == "group" else " [message request]"
    if message.content.get("whisper"):
        marks += " [whispered]"
    if message.status in STATES:
        marks += f" [{STATES[message.status]}]"
    head = _head(message.timestamp_ms, who, painter, marks, f"#{message.id}")
    below = _place(message.conversation, message.sender) if with_place and message.direction == "incoming" else []
    notice = notice_text(message)
    if notice is not None:
        return _laid_out(head, [*below, ("*", harmless(notice)), *_fate(message)], painter)
    if message.quote:
        below.append((">", _quoted(message.quote)))
    if message.body:
        hits = tuple(hits)
        shown = _marked(message.body, hits, painter) if hits else harmless(message.text, multiline=True)
        below += [("", line) for line in shown.split("\n")]
    if message.preview:
        title = f"{harmless(message.preview.title)}, " if message.preview.title else ""
        below.append(("+", f"preview: {title}{harmless(message.preview.url)}"))
    if message.invitation:
        name, url = harmless(message.invitation.name), harmless(message.invitation.url)
        below.append(("+", f"invitation to the community {name}: {url}"))
    below += [("+", attachment_text(attachment)[1:-1]) for attachment in message.attachments]
    if message.reactions:
        below.append(("~", "   ".join(map(_reaction, message.reactions))))
    return _laid_out(head, [*below, *_fate(message)], painter)


def event_text(event: Event, painter: Painter) -> str:
    """An event of the log for people."""
    if event.is_entry and event.message is not None:
        return message_text(event.message, painter)
    who = "somebody" if event.sender is None else "me" if event.direction == "outgoing" else party_text(event.sender)
    head = _head(event.timestamp_ms, who, painter)
    below = _place(event.conversation, event.sender)
    return _laid_out(head, [*below, ("*", harmless(event_line(event)))], painter)


def _place(conversation: Party | None, sender: Party | None) -> list[Line]:
    """A line about the group or room in which something was done; nothing where the head names that place already."""
    if conversation is None or not conversation.is_shared or conversation == sender:
        return []
    return [("@", party_text(conversation))]


def _head(timestamp_ms: int, who: str, painter: Painter, marks: str = "", behind: str = "") -> str:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(timestamp_ms / 1000))
    marks = painter.warning(marks) if marks else ""
    return f"{painter.dim(when)}  {painter.name(who)}{marks}" + (f"  {painter.dim(behind)}" if behind else "")


def _laid_out(head: str, below: Iterable[Line], painter: Painter) -> str:
    """A head, and lines below it. What is no text of the sender's has a mark in front, where no text can begin."""
    first, *rest = _cut(head, painter.columns)
    lines = [first, *(_INDENT + line for line in rest)]
    for mark, text in below:
        parts = _cut(text, painter.columns)
        if mark:
            begin, *more = map(painter.dim, parts)
            lines += [f"  {painter.dim(mark)} {begin}", *(_INDENT + line for line in more)]
        else:
            lines += [_INDENT + line for line in parts]
    return "\n".join(lines)


def _fate(message: Message) -> list[Line]:
    """A line about when a message will be gone, if it will."""
    if not message.expire_s or message.deleted:
        return []
    if message.expires_ms is not None:
        left_s = max(0.0, message.expires_ms / 1000 - time.time())
        return [("*", f"disappears in {human_time(left_s)}")]
    begin = "read" if message.expire_mode == "after_read" else "sent"
    return [("*", f"disappears {human_time(message.expire_s)} after it is {begin}")]


def _quoted(quote: Quote) -> str:
    name = _name(quote.author)
    if quote.id is None:
        return f"{name}: [a message that is not here]"
    if quote.text is None:
        return f"{name}: [a deleted message]  #{quote.id}"
    text = excerpt(harmless(" ".join(quote.text.split())))
    return f"{name}: {text or '[a message without text]'}  #{quote.id}"


def _name(party: Party) -> str:
    """What to call somebody where only those can be meant who are in the conversation."""
    if party.type == "self":
        return "me"
    return harmless(party.name) if party.name else short_id(harmless(party.id))


def _reaction(reaction: Reactions) -> str:
    """An emoji, and by whom it is."""
    names = [_name(sender) for sender in reaction.senders]
    more = f" and {counted(len(names) - _NAMES, 'other')}" if len(names) > _NAMES else ""
    return f"{harmless(reaction.emoji)} {', '.join(names[:_NAMES])}{more}"


def _cut(line: str, columns: int | None) -> list[str]:
    """A line in parts that fit on a terminal of so many columns, indented."""
    return [line] if columns is None else wrapped(line.expandtabs(_TAB), max(_LEAST_ROOM, columns - len(_INDENT)))


def _marked(text: str, hits: Iterable[tuple[int, int]], painter: Painter) -> str:
    parts, at = [], 0
    for begin, end in hits:
        parts.append(harmless(text[at:begin], multiline=True))
        lines = harmless(text[begin:end], multiline=True).split("\n")
        parts.append("\n".join(painter.hit(line) for line in lines))
        at = end
    return "".join([*parts, harmless(text[at:], multiline=True)])


def party_text(party: Party) -> str:
    """A name with the beginning of the id, or with a room's address, which nobody else can have; or that alone."""
    shown = harmless(short_id(party.id))
    return f"{harmless(party.name)} ({shown})" if party.name else shown


def attachment_text(attachment: Attachment, *, with_place: bool = True) -> str:
    """One line about a file, perhaps with the place it was saved at."""
    kind = "voice message" if attachment.voice else harmless(attachment.content_type)
    name = harmless(attachment.name) if attachment.name else "unnamed file"
    facts = [human_size(attachment.size)]
    if attachment.width and attachment.height:
        facts.insert(0, f"{attachment.width}×{attachment.height}")
    if attachment.duration_ms is not None:
        minutes, seconds = divmod(round(attachment.duration_ms / 1000), 60)
        facts.insert(0, f"{minutes}:{seconds:02d}")
    saved = f", saved as {harmless(attachment.saved)}" if attachment.saved and with_place else ""
    return f"[{name}: {', '.join([kind, *facts])}{saved}]"
