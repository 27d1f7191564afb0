"""Desktop notifications, through `notify-send`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import NotificationFailed
from .text import counted, harmless, short_id

if TYPE_CHECKING:
    from ..core.model import Event, Message

PROGRAM = "notify-send"
_TIMEOUT_S = 10.0
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
        if shutil.which(PROGRAM, path=environ.get("PATH", os.defpath)) is None:
            raise NotificationFailed(f"--notify needs the program {PROGRAM} (Debian's package libnotify-bin).")
        self._shown = shown
        self._environ = dict(environ)
        bus = Path(f"/run/user/{os.getuid()}/bus") if hasattr(os, "getuid") else None
        if "DBUS_SESSION_BUS_ADDRESS" not in environ and bus is not None and bus.exists():
            # cron and systemd services don't have it, and the desktop is there all the same.
            self._environ["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={bus}"

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
        import subprocess

        # The text may be read as markup; the title never is. Both are UTF-8, whatever the locale says.
        shown = (harmless(title), html.escape(harmless(text, multiline=True)))
        arguments: list[str | bytes] = [PROGRAM, "--app-name=session", "--"]
        arguments += [part.encode() for part in shown]
        try:
            subprocess.run(
                arguments,
                env=self._environ,
                check=True,
                capture_output=True,
                timeout=_TIMEOUT_S,
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired:
            raise NotificationFailed("The desktop does not answer; nothing could be shown.") from None
        except subprocess.CalledProcessError as error:
            reason = harmless(error.stderr.decode(errors="replace").strip().partition("\n")[0])
            raise NotificationFailed(
                f"Nothing could be shown on the desktop: {reason.rstrip('.') or 'no reason given'}."
            ) from None
        except OSError as error:
            raise NotificationFailed(f"{PROGRAM} can't be run: {error.strerror}.") from None


def _name(message: Message) -> str:
    return message.sender.name[:_MOST_NAME] if message.sender.name else short_id(message.sender.id)
