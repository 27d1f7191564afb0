"""Events as the library gives them."""

from __future__ import annotations

from session_cli.core.model import Event, Message


def message_of(event: Event) -> Message:
    """The message that came, for events which must have one."""
    assert event.message is not None
    return event.message
