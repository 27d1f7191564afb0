"""Reading back what was written: messages in the order of their times, and the conversations that they make.

The store keeps the order within each conversation; that of all messages is merged from these. Only reads, a page at a
time and each of them short: nobody waits for a reader, and a reader waits for nobody, however long it takes over what
it was given.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from heapq import merge
from itertools import islice
from typing import Any

import apsw

from .configs import Configs, ConversationSettings
from .events import UNREAD
from .messages import Messages
from .queries import fetch_all, fetch_one
from .records import MessageRow

PAGE = 500
"""Messages that are in memory at the same time."""
_FIRST_RUN, _LONGEST_RUN = 8, 128
"""Positions that are read of a conversation in one go: more each time, as one that is read on is likely a busy one."""
_POSITIONS = 16_000
"""Of all conversations that are in memory at the same time, about."""

Position = tuple[int, int]
"""A message's time in ms and its id: what messages are ordered by."""


@dataclass(frozen=True, slots=True)
class Range:
    """Which messages are wanted. What is None does not matter.

    `conversation` and `sender` are addresses; times are in ms, and both ends belong to the range; `before` and `after`
    are positions of messages that don't.
    """

    conversation: str | None = None
    sender: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    before: Position | None = None
    after: Position | None = None
    has_attachment: bool = False


@dataclass(frozen=True, slots=True)
class ConversationRow:
    """A conversation: whom it is with, its last message, how many events of it a reader has before it; what is set."""

    address: str
    name: str | None
    approved: bool
    last_message: MessageRow | None
    unread: int
    settings: ConversationSettings


class History:
    """Finds messages by place and time."""

    def __init__(self, connection: apsw.Connection, messages: Messages, configs: Configs) -> None:
        self._connection = connection
        self._messages = messages
        self._configs = configs

    def position(self, message_id: int) -> Position | None:
        """Where a message stands; None if there is no such message."""
        row = fetch_one(self._connection, "SELECT sent_ms, id FROM messages WHERE id = ?", (message_id,))
        return (row[0], row[1]) if row else None

    def named(self, conversation: str, sender: str, sent_ms: int) -> MessageRow | None:
        """The message that a person sent to a conversation at a time, which is its name on every device."""
        found = self._messages.rows(
            "WHERE c.address = ? AND m.sent_ms = ? AND s.address = ?", (conversation, sent_ms, sender)
        )
        return found[0] if found else None

    def nth_last(self, wanted: Range, number: int) -> Position | None:
        """The position of a range's last message (number 1), the one before it (2) ...; None if there are fewer."""
        gone = self._messages.overdue()
        positions = (found for found in self._positions(wanted, backwards=True) if found[1] not in gone)
        return next(islice(positions, number - 1, None), None)

    def stream(self, wanted: Range, *, start: Position | None = None) -> Iterator[MessageRow]:
        """The messages of a range, oldest first, perhaps from the position of one of them on; in constant memory.

        What others add meanwhile belongs to it if it comes behind what was read already.
        """
        at = (start[0], start[1] - 1) if start else wanted.after
        while True:
            state = self._state()
            positions = self._positions(replace(wanted, after=at))
            while page := list(islice(positions, PAGE)):
                yield from self.by_ids([message_id for _, message_id in page])
                at = page[-1]
                if len(page) == PAGE and self._state() != state:
                    break
            else:
                return

    def _state(self) -> tuple[int, int]:
        """Another one after every change of the store."""
        row = fetch_one(self._connection, "PRAGMA data_version")
        return (row[0] if row else 0, self._connection.total_changes())

    def _positions(self, wanted: Range, *, backwards: bool = False) -> Iterator[Position]:
        """The positions of a range in order or backwards, merged from those of its conversations."""
        everywhere = replace(wanted, conversation=None)
        where, parameters = condition(everywhere)
        order = "DESC" if backwards else "ASC"
        # One statement finds the first position in each: mostly, of many conversations few are read on.
        first = f"FROM messages m {where} AND m.conversation_id = c.id ORDER BY m.sent_ms {order}, m.id {order} LIMIT 1"
        heads = fetch_all(
            self._connection,
            f"SELECT c.id, (SELECT m.sent_ms {first}), (SELECT m.id {first}) FROM conversations c "  # noqa: S608 - put together of constants
            "WHERE ? IS NULL OR c.address = ?",
            (*parameters, *parameters, wanted.conversation, wanted.conversation),
        )
        longest_run = max(_FIRST_RUN, min(_LONGEST_RUN, _POSITIONS // max(1, len(heads))))
        return merge(
            *(
                self._run(conversation_id, everywhere, (sent_ms, message_id), longest_run, backwards=backwards)
                for conversation_id, sent_ms, message_id in heads
                if message_id is not None
            ),
            reverse=backwards,
        )

    def _run(
        self, conversation_id: int, wanted: Range, first: Position, longest: int, *, backwards: bool
    ) -> Iterator[Position]:
        """The positions of a range in one conversation, of which the first is known; at most `longest` in memory."""
        yield first
        order, length, last = "DESC" if backwards else "ASC", _FIRST_RUN, first
        while True:
            where, parameters = condition(replace(wanted, before=last) if backwards else replace(wanted, after=last))
            rows = fetch_all(
                self._connection,
                f"SELECT m.sent_ms, m.id FROM messages m {where} AND m.conversation_id = ? "  # noqa: S608 - put together of constants
                f"ORDER BY m.sent_ms {order}, m.id {order} LIMIT ?",
                (*parameters, conversation_id, length),
            )
            yield from ((sent_ms, message_id) for sent_ms, message_id in rows)
            if len(rows) < length:
                return
            length, last = min(2 * length, longest), (rows[-1][0], rows[-1][1])

    def by_ids(self, message_ids: list[int]) -> list[MessageRow]:
        """Messages by their ids, oldest first; those that are gone are left out."""
        found: list[MessageRow] = []
        for start in range(0, len(message_ids), PAGE):
            some = tuple(message_ids[start : start + PAGE])
            marks = ", ".join("?" * len(some))
            found += self._messages.rows(f"WHERE m.id IN ({marks})", some)
        return sorted(found, key=lambda row: (row.sent_ms, row.id))

    def conversations(self, reader: str, *, hidden: bool = False) -> list[ConversationRow]:
        """The conversations that are shown, or those that are `hidden`, and how much of each `reader` has before it.

        Those that are pinned come first, then the one with the latest message. One without messages is shown if it is
        pinned, or marked as unread.
        """
        gone = json.dumps(sorted(self._messages.overdue()))
        rows = fetch_all(
            self._connection,
            """
            SELECT c.id, c.address, coalesce(p.nickname, p.name), coalesce(p.approved, 0),
                   (SELECT m.id FROM messages m WHERE m.conversation_id = c.id
                    AND m.id NOT IN (SELECT value FROM json_each(?1))
                    ORDER BY m.sent_ms DESC, m.id DESC LIMIT 1)
            FROM conversations c LEFT JOIN people p ON p.address = c.address
            WHERE c.hidden = ?2
            AND (c.pinned > 0 OR c.unread OR EXISTS (SELECT 1 FROM messages m WHERE m.conversation_id = c.id))
            """,
            (gone, hidden),
        )
        unread = dict(
            fetch_all(
                self._connection,
                f"SELECT m.conversation_id, count(*) FROM events e JOIN messages m ON m.id = e.message_id "  # noqa: S608 - a constant
                f"WHERE {UNREAD} AND m.id NOT IN (SELECT value FROM json_each(?2)) GROUP BY 1",
                (reader, gone),
            )
        )
        last = {message.id: message for message in self.by_ids([row[4] for row in rows if row[4] is not None])}
        settings = self._configs.conversations()
        found = [
            ConversationRow(
                address, name, bool(approved), last.get(last_id), unread.get(conversation_id, 0), settings[address]
            )
            for conversation_id, address, name, approved, last_id in rows
        ]
        return sorted(found, key=_latest, reverse=True)


def _latest(row: ConversationRow) -> tuple[int, bool, Position, str]:
    message = row.last_message
    position = (message.sent_ms, message.id) if message else (0, 0)
    return (row.settings.pinned, message is not None, position, row.address)


def condition(wanted: Range) -> tuple[str, tuple[Any, ...]]:
    """A WHERE clause on `m` (messages), for a range, and its parameters."""
    conditions = ["true"]
    parameters: list[Any] = []
    for text, values in (
        ("m.conversation_id = (SELECT id FROM conversations WHERE address = ?)", (wanted.conversation,)),
        ("m.sender_id = (SELECT id FROM people WHERE address = ?)", (wanted.sender,)),
        ("m.sent_ms >= ?", (wanted.since_ms,)),
        ("m.sent_ms <= ?", (wanted.until_ms,)),
        ("(m.sent_ms, m.id) < (?, ?)", wanted.before or (None,)),
        ("(m.sent_ms, m.id) > (?, ?)", wanted.after or (None,)),
    ):
        if values[0] is not None:
            conditions.append(text)
            parameters += values
    if wanted.has_attachment:
        conditions.append("EXISTS (SELECT 1 FROM attachments a WHERE a.message_id = m.id)")
    return f"WHERE {' AND '.join(conditions)}", tuple(parameters)
