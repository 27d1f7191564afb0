"""What people do to messages: reactions, receipts, and asking for them to be deleted; also before the message is here.

Members of a swarm need not give messages in the order in which they were sent. What is said about a message that is not
here is kept for as long as a swarm could still bring it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import apsw

from .messages import Messages
from .people import person_id
from .queries import fetch_all
from .records import MessageRow

Kind = Literal["reaction", "unsend", "receipt", "answered", "declined", "missed"]
EARLY_KINDS: tuple[Kind, ...] = ("reaction", "unsend", "receipt", "answered", "declined", "missed")
"""What the numbers in the table mean; the last three: what became of a call."""
EARLY_KEPT_MS = 15 * 86_400_000
MOST_EARLY = 1_000
"""Of one sender and kind. Who says more about messages that are not here is not listened to."""
MOST_REACTIONS = 20
"""Different ones of one person on a message, counting those taken away."""


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
    about: str = ""
    """The emoji, or the id of the call."""
    removed: bool = False


_NO_MESSAGE = Target("", "", 0)
"""A call is named by its id."""


class Marks:
    """Reads and writes what was done to messages. Writing happens inside the caller's transaction."""

    def __init__(self, connection: apsw.Connection, messages: Messages, now_ms: Callable[[], int]) -> None:
        self._connection = connection
        self._messages = messages
        self._now_ms = now_ms

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

    def has_room(self, message_id: int, sender: str, emoji: str) -> bool:
        """Whether a person who uses this emoji has not put too many different ones on a message."""
        rows = fetch_all(
            self._connection,
            """
            SELECT r.emoji FROM reactions r JOIN people p ON p.id = r.sender_id
            WHERE r.message_id = ? AND p.address = ?
            """,
            (message_id, sender),
        )
        return len(rows) < MOST_REACTIONS or (emoji,) in rows

    def sent_at(self, conversation: str, author: str, times_ms: Iterable[int]) -> dict[int, int]:
        """The ids of the messages that somebody sent to a conversation at some of these times, by time."""
        rows = fetch_all(
            self._connection,
            """
            SELECT m.sent_ms, m.id FROM json_each(?1) t JOIN messages m ON m.sent_ms = t.value
            WHERE m.conversation_id = (SELECT id FROM conversations WHERE address = ?2)
            AND m.sender_id = (SELECT id FROM people WHERE address = ?3)
            """,
            (json.dumps(list(times_ms)), conversation, author),
        )
        return dict(rows)

    def note_read(self, message_id: int, read_ms: int) -> bool:
        """Note that one of our messages was read; False if that is known."""
        self._connection.execute(
            "INSERT INTO receipts (message_id, read_ms) VALUES (?, ?) ON CONFLICT DO NOTHING", (message_id, read_ms)
        )
        return self._connection.changes() == 1

    # Before the message.

    def add_early(self, target: Target, said: Early, most: int | None = MOST_EARLY) -> bool:
        """Keep what was said about a message that is not here; False if its sender has said `most` of that kind."""
        kind = EARLY_KINDS.index(said.kind)
        if most is not None:
            count = "SELECT count(*) FROM early WHERE sender = ? AND kind = ?"
            if int(self._connection.execute(count, (said.sender, kind)).get) >= most:
                return False
        self._connection.execute(
            """
            INSERT INTO early (conversation, author, target_ms, kind, sender, sent_ms, about, removed, kept_ms)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT DO UPDATE SET sent_ms = excluded.sent_ms, removed = excluded.removed, kept_ms = excluded.kept_ms
            WHERE excluded.sent_ms > sent_ms
            """,
            (
                target.conversation,
                target.author,
                target.sent_ms,
                kind,
                said.sender,
                said.sent_ms,
                said.about,
                said.removed,
                self._now_ms(),
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
            f"SELECT kind, sender, sent_ms, about, removed FROM early {where} ORDER BY sent_ms",  # noqa: S608 - a constant
            parameters,
        )
        if rows:
            self._connection.execute(f"DELETE FROM early {where}", parameters)  # noqa: S608 - a constant
        return [
            Early(EARLY_KINDS[kind], sender, sent_ms, about, bool(removed))
            for kind, sender, sent_ms, about, removed in rows
        ]

    def forget_person(self, address: str) -> None:
        """Forget what was said by somebody, or in the conversation with him, about messages that are not here."""
        self._connection.execute("DELETE FROM early WHERE ?1 IN (conversation, sender)", (address,))

    def add_early_call(self, said: Early, most: int | None = MOST_EARLY) -> bool:
        """Keep what became of a call that is not here; else as `add_early`."""
        return self.add_early(_NO_MESSAGE, said, most)

    def take_early_call(self, call_id: str, senders: Iterable[str]) -> set[Kind]:
        """What became of a call that is here now, as those say who have a say; it is forgotten."""
        rows = fetch_all(
            self._connection,
            """
            DELETE FROM early WHERE target_ms = 0 AND author = '' AND conversation = '' AND about = ?
            AND sender IN (SELECT value FROM json_each(?)) RETURNING kind
            """,
            (call_id, json.dumps(list(senders))),
        )
        return {EARLY_KINDS[kind] for (kind,) in rows}

    def forget_early(self, now_ms: int) -> None:
        """Forget what was said about messages that no swarm can bring any more, whatever time its sender gave it."""
        self._connection.execute("DELETE FROM early WHERE kept_ms < ?", (now_ms - EARLY_KEPT_MS,))
