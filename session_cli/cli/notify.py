"""What came, as desktop notifications."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from .text import counted, harmless, short_id

if TYPE_CHECKING:
    from ..core.model import Event, Party

_MOST_TEXT = 300
_MOST_NAME = 100
_MOST_APART = 4
"""More new messages than this share one notification."""


_TITLES = {
    "message": "New message",
    "reaction": "New reaction",
    "contact_request": "Message request accepted",
}
_CHANGES = {"invited": "Invitation to a group"}
_CALLS = {"ringing": "Incoming call", "missed": "Missed call"}
"""What is worth a notification, and what it is called. Other calls were answered, or declined, on another device."""


class Shown(StrEnum):
    """How much of a message others may read on the screen."""

    ALL = "all"
    NAME = "name"
    NOTHING = "nothing"


class Notifier:
    """Shows what came on the desktop, but of no conversation (named by its id) for which `is_muted` holds.

    Raises NotificationFailed if that can't be done here.
    """

    def __init__(self, shown: Shown, environ: Mapping[str, str], is_muted: Callable[[str], bool]) -> None:
        from ..network.desktop import check_support

        # Whether the desktop is there counts when there is something to show.
        check_support()
        self._shown = shown
        self._environ = environ
        self._is_muted = is_muted

    def groups(self, events: Sequence[Event]) -> list[list[Event]]:
        """Events cut into groups, each to be shown, and taken, before the next: one by one, or many at once."""
        if sum(map(self._is_wanted, events)) > _MOST_APART:
            return [list(events)]
        groups: list[list[Event]] = [[]]
        for event in events:
            # What is not shown counts as received with what is shown next: not before it turns out that this works.
            groups[-1].append(event)
            if self._is_wanted(event):
                groups.append([])
        return [group for group in groups if group]

    def show(self, events: Sequence[Event]) -> None:
        """Show a group of events in one notification. Raises NotificationFailed."""
        came = [event for event in events if self._is_wanted(event)]
        if len(came) > _MOST_APART:
            names = list(dict.fromkeys(map(_name, came)))
            who = ", ".join(names[:_MOST_APART]) + (" …" if len(names) > _MOST_APART else "")
            self._send(counted(len(came), "new message"), "" if self._shown is Shown.NOTHING else who)
            return
        for event in came:
            self._send(*self._text(event))

    def _is_wanted(self, event: Event) -> bool:
        place = event.conversation
        return _is_worth_showing(event) and not (place is not None and self._is_muted(place.id))

    def _text(self, event: Event) -> tuple[str, str]:
        match self._shown:
            case Shown.NOTHING:
                return _title(event), ""
            case Shown.NAME:
                return _name(event), _title(event)
            case Shown.ALL:
                return _name(event), _details(event)

    def _send(self, title: str, text: str) -> None:
        import html

        from ..network import desktop

        # The text may be read as markup; the title never is.
        desktop.show(harmless(title), html.escape(harmless(text, multiline=True)), self._environ)


def _is_worth_showing(event: Event) -> bool:
    """Whether somebody else did something that a person wants to know at once."""
    target = event.message
    if not _title(event) or event.sender is None or (target is not None and target.deleted):
        return False
    own = target is not None and target.direction == "outgoing"
    if event.type != "reaction":
        return not own
    return target is not None and own and target.sender != event.sender and not event.content["removed"]


def _title(event: Event) -> str:
    """What an event is called, if it is worth a notification."""
    if event.type == "call":
        return _CALLS.get(event.message.content["state"], "") if event.message else ""
    if event.type == "group_update":
        return _CHANGES.get(event.message.content["change"], "") if event.message else ""
    return _TITLES.get(event.type, "")


def _details(event: Event) -> str:
    message = event.message
    if event.type == "reaction" and message is not None:
        return f"{event.content['emoji']} to: {_excerpt(message.text)}"
    if event.type != "message" or message is None:
        return _title(event)
    files = counted(len(message.attachments), "file") if message.attachments else ""
    return "\n".join(filter(None, (_excerpt(message.text), files)))


def _excerpt(text: str) -> str:
    return text[:_MOST_TEXT] + ("…" if len(text) > _MOST_TEXT else "")


def _name(event: Event) -> str:
    """Who did something, and in a group or room also where."""
    if event.sender is None:
        return "Session"
    place = event.conversation
    who = _shown_name(event.sender)
    return f"{who} in {_shown_name(place)}" if place is not None and place.is_shared else who


def _shown_name(party: Party) -> str:
    return party.name[:_MOST_NAME] if party.name else short_id(party.id)
