"""What came, as desktop notifications."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from .text import counted, harmless, short_id

if TYPE_CHECKING:
    from ..core.model import Event, Message

_MOST_TEXT = 300
_MOST_NAME = 100
_MOST_APART = 4
"""More new messages than this share one notification."""


class Shown(StrEnum):
    """How much of a message others may read on the screen."""

    ALL = "all"
    NAME = "name"
    NOTHING = "nothing"


class Notifier:
    """Shows what came on the desktop. Raises NotificationFailed if that can't be done here."""

    def __init__(self, shown: Shown, environ: Mapping[str, str]) -> None:
        from ..network.desktop import check_support

        # Whether the desktop is there counts when there is something to show.
        check_support()
        self._shown = shown
        self._environ = environ

    def groups(self, events: Sequence[Event]) -> list[list[Event]]:
        """Events cut into groups, each to be shown, and taken, before the next: one by one, or many at once."""
        many = sum(event.message.direction == "incoming" for event in events) > _MOST_APART
        return [list(events)] if many else [[event] for event in events]

    def show(self, events: Sequence[Event]) -> None:
        """Show a group of events in one notification. Raises NotificationFailed."""
        came = [event.message for event in events if event.message.direction == "incoming"]
        if len(came) > _MOST_APART:
            names = list(dict.fromkeys(_name(message) for message in came))
            who = ", ".join(names[:_MOST_APART]) + (" …" if len(names) > _MOST_APART else "")
            self._send(counted(len(came), "new message"), "" if self._shown is Shown.NOTHING else who)
            return
        for message in came:
            self._send(*self._text(message))

    def _text(self, message: Message) -> tuple[str, str]:
        match self._shown:
            case Shown.NOTHING:
                return "New message", ""
            case Shown.NAME:
                return _name(message), "New message"
            case Shown.ALL:
                body = message.body[:_MOST_TEXT] + ("…" if len(message.body) > _MOST_TEXT else "")
                files = counted(len(message.attachments), "file") if message.attachments else ""
                return _name(message), "\n".join(filter(None, (body, files)))

    def _send(self, title: str, text: str) -> None:
        import html

        from ..network import desktop

        # The text may be read as markup; the title never is.
        desktop.show(harmless(title), html.escape(harmless(text, multiline=True)), self._environ)


def _name(message: Message) -> str:
    return message.sender.name[:_MOST_NAME] if message.sender.name else short_id(message.sender.id)
