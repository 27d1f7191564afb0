"""What people do to messages: reactions, receipts, and asking for them to be deleted; also before the message is here.

Members of a swarm need not give messages in the order in which they were sent. What is said about a message that is not
here is kept for as long as a swarm could still bring it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import apsw

from .messages import Messages
from .people import person_id
from .queries import fetch_all
from .records import MessageRow

Kind = Literal["reaction", "unsend", "receipt"]
EARLY_KINDS: tuple[Kind, ...] = ("reaction", "unsend", "receipt")
"""What the numbers in the table mean."""
EARLY_KEPT_MS = 15 * 86_400_000
MOST_EARLY = 1_000
"""Of one sender. Who says more about messages that are not here is not listened to."""


@dataclass(frozen=True, slots=True)
class Target:
    """A message by its name on all devices: conversation and author (addresses), and when it was sent (ms)."""

    conversation: str
    author: str
    sent_ms: int


@dataclass(frozen=True, slots=True)
class Early:
    """What was said about a message that was not here."""

    kind: Kind
    sender: str
    sent_ms: int
    emoji: str = ""
    removed: bool = False


class Marks:
    """Reads and writes what was done to messages. Writing happens inside the caller's transaction."""

    def __init__(self, connection: apsw.Connection, messages: Messages) -> None:
        self._connection = connection
        self._messages = messages

    def find(self, target: Target) -> MessageRow | None:
        """The message, if it is here."""
        found = self._messages.rows(
            "WHERE c.address = ? AND m.sent_ms = ? AND s.address = ?",
            (target.conversation, target.sent_ms, target.author),
        )
        return found[0] if found else None

    def find_anywhere(self, author: str, sent_ms: int) -> list[MessageRow]:
        """The messages that somebody sent at a time, in whatever conversations."""
        return self._messages.rows(
            "WHERE m.conversation_id IN (SELECT id FROM conversations) AND m.sent_ms = ? AND s.address = ?",
            (sent_ms, author),
        )

    def react(self, message_id: int, sender: str, emoji: str, sent_ms: int, *, removed: bool) -> bool:
        """Note what a person did with an emoji, unless something later is known; returns whether that changes anything.

        The first of what is said with the same time counts.
        """
        sender_id = person_id(self._connection, sender)
        before = self._connection.execute(
            "SELECT removed FROM reactions WHERE message_id = ? AND sender_id = ? AND emoji = ?",
            (message_id, sender_id, emoji),
        ).get
        self._connection.execute(
            """
            INSERT INTO reactions (message_id, sender_id, emoji, sent_ms, removed) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (message_id, sender_id, emoji)
            DO UPDATE SET sent_ms = excluded.sent_ms, removed = excluded.removed WHERE excluded.sent_ms > sent_ms
            """,
            (message_id, sender_id, emoji, sent_ms, removed),
        )
        changed = self._connection.changes() == 1
        return changed and (not removed if before is None else bool(before) != removed)

    def note_read(self, message_id: int, read_ms: int) -> bool:
        """Note that one of our messages was read; False if that is known."""
        self._connection.execute(
            "INSERT INTO receipts (message_id, read_ms) VALUES (?, ?) ON CONFLICT DO NOTHING", (message_id, read_ms)
        )
        return self._connection.changes() == 1

    # Before the message.

    def add_early(self, target: Target, said: Early) -> bool:
        """Keep what was said about a message that is not here; False if its sender has said too much of that kind."""
        count = self._connection.execute("SELECT count(*) FROM early WHERE sender = ?", (said.sender,)).get
        if int(count) >= MOST_EARLY:
            return False
        self._connection.execute(
            """
            INSERT INTO early (conversation, author, target_ms, kind, sender, sent_ms, emoji, removed)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT DO UPDATE SET sent_ms = excluded.sent_ms, removed = excluded.removed
            WHERE excluded.sent_ms > sent_ms
            """,
            (
                target.conversation,
                target.author,
                target.sent_ms,
                EARLY_KINDS.index(said.kind),
                said.sender,
                said.sent_ms,
                said.emoji,
                said.removed,
            ),
        )
        return True

    def take_early(self, target: Target) -> list[Early]:
        """What was said about a message that is here now, oldest first; it is forgotten.

        What we asked from another device may name no conversation ('').
        """
        where = "WHERE target_ms = ? AND author = ? AND conversation IN (?, '')"
        parameters = (target.sent_ms, target.author, target.conversation)
        rows = fetch_all(
            self._connection,
            f"SELECT kind, sender, sent_ms, emoji, removed FROM early {where} ORDER BY sent_ms",  # noqa: S608 - a constant
            parameters,
        )
        if rows:
            self._connection.execute(f"DELETE FROM early {where}", parameters)  # noqa: S608 - a constant
        return [
            Early(EARLY_KINDS[kind], sender, sent_ms, emoji, bool(removed))
            for kind, sender, sent_ms, emoji, removed in rows
        ]

    def forget_person(self, address: str) -> None:
        """Forget what was said by somebody, or in the conversation with him, about messages that are not here."""
        self._connection.execute("DELETE FROM early WHERE ?1 IN (conversation, sender)", (address,))

    def forget_early(self, now_ms: int) -> None:
        """Forget what was said about messages that no swarm can bring any more."""
        self._connection.execute("DELETE FROM early WHERE sent_ms < ?", (now_ms - EARLY_KEPT_MS,))
