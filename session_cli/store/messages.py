"""Messages, their attachments, and the people in them."""

from __future__ import annotations

import dataclasses
from typing import Any

import apsw

from .queries import fetch_all, fetch_one
from .records import AttachmentRow, MessageRow, NewMessage, PersonRow

STATUSES = ("received", "sent", "failed", "pending", "queued")
EXPIRE_MODES = ("off", "after_send", "after_read")
"""What the numbers in the table mean."""
_ATTACHMENT = "message_id, url, key, digest, size, content_type, name, voice, width, height, caption, saved, id"
_MESSAGE = """
    SELECT m.id, c.address, coalesce(correspondent.nickname, correspondent.name), m.outgoing,
           s.address, coalesce(s.nickname, s.name), m.sent_ms, m.body, m.status,
           q.author, q.sent_ms, coalesce(x.mode, 0), coalesce(x.seconds, 0), m.request,
           (SELECT h.hash FROM seen_hashes h WHERE h.message_id = m.id LIMIT 1)
    FROM messages m
    JOIN conversations c ON c.id = m.conversation_id
    JOIN people s ON s.id = m.sender_id
    LEFT JOIN people correspondent ON correspondent.address = c.address
    LEFT JOIN quotes q ON q.message_id = m.id
    LEFT JOIN expirations x ON x.message_id = m.id
"""
_MESSAGE_FIELDS = tuple(field.name for field in dataclasses.fields(MessageRow))[:-1]
"""The columns above, in their order; attachments are read apart."""
_MANY = 500
"""Bound parameters in one statement at most."""


class Messages:
    """Reads and writes messages. Writing happens inside the caller's transaction."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def add(self, message: NewMessage) -> int | None:
        """Store a message with its attachments. Returns its id, or None if it is there already.

        One sender sends one message at one time to one conversation; whatever comes with the same three is a copy.
        """
        if (message.direction == "incoming") != (message.status == "received"):
            raise ValueError(f"an {message.direction} message can't be {message.status}")
        message_id = self._connection.execute(
            """
            INSERT INTO messages (conversation_id, sender_id, sent_ms, status, request, body)
            VALUES (?, ?, ?, ?, ?, ?)
            ON CONFLICT (conversation_id, sent_ms, sender_id) DO NOTHING RETURNING id
            """,
            (
                self._conversation(message.conversation),
                person_id(self._connection, message.sender),
                message.sent_ms,
                STATUSES.index(message.status),
                message.request,
                message.body,
            ),
        ).get
        if message_id is None:
            return None
        self._add_extras(message_id, message)
        return int(message_id)

    def _add_extras(self, message_id: int, message: NewMessage) -> None:
        """Store what few messages have."""
        if message.quote_author is not None and message.quote_ms is not None:
            self._connection.execute(
                "INSERT INTO quotes (message_id, author, sent_ms) VALUES (?, ?, ?)",
                (message_id, message.quote_author, message.quote_ms),
            )
        if (message.expire_mode, message.expire_s) != ("off", 0):
            self._connection.execute(
                "INSERT INTO expirations (message_id, mode, seconds) VALUES (?, ?, ?)",
                (message_id, EXPIRE_MODES.index(message.expire_mode), message.expire_s),
            )
        for position, attachment in enumerate(message.attachments):
            self._connection.execute(
                """
                INSERT INTO attachments (message_id, position, url, key, digest, size, content_type, name, voice,
                                         width, height, caption)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """,
                (
                    message_id,
                    position,
                    attachment.url,
                    attachment.key,
                    attachment.digest,
                    attachment.size,
                    attachment.content_type,
                    attachment.name,
                    attachment.voice,
                    attachment.width,
                    attachment.height,
                    attachment.caption,
                ),
            )

    def _conversation(self, address: str) -> int:
        self._connection.execute(
            "INSERT INTO conversations (kind, address) VALUES ('contact', ?) ON CONFLICT (address) DO NOTHING",
            (address,),
        )
        return int(self._connection.execute("SELECT id FROM conversations WHERE address = ?", (address,)).get)

    def set_status(self, message_id: int, status: str) -> None:
        """Change a message's status."""
        self._connection.execute("UPDATE messages SET status = ? WHERE id = ?", (STATUSES.index(status), message_id))

    def set_time(self, message_id: int, sent_ms: int) -> None:
        """Change when a message was sent, in ms."""
        self._connection.execute("UPDATE messages SET sent_ms = ? WHERE id = ?", (sent_ms, message_id))

    def last_sent_ms(self, sender: str, *, before_id: int) -> int:
        """The latest time of a sender's messages older than the given one; 0 if there are none."""
        found = self._connection.execute(
            """
            SELECT max((SELECT m.sent_ms FROM messages m
                        WHERE m.conversation_id = c.id AND m.sender_id = s.id AND m.id < ?2
                        ORDER BY m.sent_ms DESC LIMIT 1))
            FROM people s CROSS JOIN conversations c WHERE s.address = ?1
            """,
            (sender, before_id),
        ).get
        return int(found or 0)

    def give_up_pending(self, before_ms: int) -> None:
        """Call those messages failed that were begun before a time, by processes which can't be at it any more."""
        for message_id in self._begun_before(before_ms):
            self.set_status(message_id, "failed")
            self._connection.execute("DELETE FROM deliveries WHERE message_id = ?", (message_id,))

    def has_pending(self, before_ms: int) -> bool:
        """Whether a message is still being sent, as it seems, that was begun before a time."""
        return bool(self._begun_before(before_ms))

    def _begun_before(self, before_ms: int) -> list[int]:
        rows = fetch_all(
            self._connection,
            """
            SELECT DISTINCT m.id FROM deliveries d JOIN messages m ON m.id = d.message_id
            WHERE m.status = 3 AND m.sent_ms < ?
            """,
            (before_ms,),
        )
        return [row[0] for row in rows]

    def queued(self) -> list[int]:
        """The messages in the outbox, oldest first."""
        rows = fetch_all(
            self._connection,
            """
            SELECT DISTINCT m.id FROM deliveries d JOIN messages m ON m.id = d.message_id
            WHERE m.status = 4 ORDER BY m.id
            """,
        )
        return [row[0] for row in rows]

    def get(self, message_id: int) -> MessageRow | None:
        """A message with its attachments."""
        found = self.rows("WHERE m.id = ?", (message_id,))
        return found[0] if found else None

    def with_attachments(self, conversation: str | None = None) -> list[MessageRow]:
        """All messages that have attachments, oldest first, perhaps of one conversation only."""
        return self.rows(
            """
            WHERE m.id IN (SELECT message_id FROM attachments) AND (?1 IS NULL OR c.address = ?1)
            ORDER BY m.sent_ms, m.id
            """,
            (conversation,),
        )

    def latest(self, count: int, *, with_attachments: bool = False) -> list[MessageRow]:
        """The messages that were stored last, newest first; perhaps of those with attachments only."""
        return self.rows(
            "WHERE (?1 = 0 OR m.id IN (SELECT message_id FROM attachments)) ORDER BY m.id DESC LIMIT ?2",
            (int(with_attachments), count),
        )

    def rows(self, condition: str, parameters: tuple[Any, ...]) -> list[MessageRow]:
        """Messages by a condition on `m` (messages), `c` (conversations) and `s` (senders), with their attachments."""
        messages = [_message(row) for row in fetch_all(self._connection, _MESSAGE + condition, parameters)]
        attachments = self._attachments([message.id for message in messages])
        return [
            dataclasses.replace(message, attachments=tuple(attachments[message.id]))
            if message.id in attachments
            else message
            for message in messages
        ]

    def _attachments(self, message_ids: list[int]) -> dict[int, list[AttachmentRow]]:
        found: dict[int, list[AttachmentRow]] = {}
        for start in range(0, len(message_ids), _MANY):
            some = message_ids[start : start + _MANY]
            marks = ", ".join("?" * len(some))
            statement = (
                f"SELECT {_ATTACHMENT} FROM attachments WHERE message_id IN ({marks}) ORDER BY message_id, position"  # noqa: S608 - only question marks are put in
            )
            for row in fetch_all(self._connection, statement, tuple(some)):
                found.setdefault(row[0], []).append(_attachment(row[1:]))
        return found

    def set_saved(self, attachment_id: int, path: str) -> None:
        """Remember where an attachment was saved."""
        self._connection.execute("UPDATE attachments SET saved = ? WHERE id = ?", (path, attachment_id))


def _message(row: tuple[Any, ...]) -> MessageRow:
    values = dict(zip(_MESSAGE_FIELDS, row, strict=True))
    values["direction"] = "outgoing" if values["direction"] else "incoming"
    values["status"] = STATUSES[values["status"]]
    values["expire_mode"] = EXPIRE_MODES[values["expire_mode"]]
    return MessageRow(**values | {"request": bool(values["request"])})


def person_id(connection: apsw.Connection, address: str) -> int:
    """The number of a person, who is noted if new. To be called inside a transaction."""
    found = connection.execute("SELECT id FROM people WHERE address = ?", (address,)).get
    if found is None:
        found = connection.execute("INSERT INTO people (address) VALUES (?) RETURNING id", (address,)).get
    return int(found)


def _attachment(row: tuple[Any, ...]) -> AttachmentRow:
    url, key, digest, size, content_type, name, voice, *rest = row
    return AttachmentRow(url, key, digest, size, content_type, name, bool(voice), *rest)


class People:
    """Who is known, by address, and how far they and we have accepted each other."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def set_name(self, address: str, name: str, updated_s: int) -> None:
        """Take over the name that a person gave with a message, unless a later one is known."""
        self._connection.execute(
            """
            INSERT INTO people (address, name, profile_updated_s) VALUES (?, ?, ?)
            ON CONFLICT (address) DO UPDATE SET name = excluded.name, profile_updated_s = excluded.profile_updated_s
            WHERE excluded.profile_updated_s > profile_updated_s OR profile_updated_s = 0
            """,
            (address, name, updated_s),
        )

    def approve(self, address: str, *, by_us: bool) -> None:
        """Remember that we wrote to a person, or that the person wrote to us."""
        column = "approved" if by_us else "approved_me"
        self._connection.execute(
            f"INSERT INTO people (address, {column}) VALUES (?, 1) ON CONFLICT (address) DO UPDATE SET {column} = 1",  # noqa: S608 - one of two constants
            (address,),
        )

    def is_approved(self, address: str) -> bool:
        """Whether we have written to this person, so that their messages are no requests."""
        row = fetch_one(self._connection, "SELECT approved FROM people WHERE address = ?", (address,))
        return bool(row and row[0])

    def set_nickname(self, address: str, nickname: str | None) -> None:
        """Give a person a name of our own, which nobody else may have, or take it away."""
        self._connection.execute(
            """
            INSERT INTO people (address, nickname) VALUES (?, ?)
            ON CONFLICT (address) DO UPDATE SET nickname = excluded.nickname
            """,
            (address, nickname),
        )

    def by_nickname(self, nickname: str) -> str | None:
        """The address of the person whom we call so."""
        row = fetch_one(self._connection, "SELECT address FROM people WHERE nickname = ?", (nickname,))
        return row[0] if row else None

    def known(self) -> list[PersonRow]:
        """Everybody who is known or has a conversation, by the name to be shown, then by address."""
        return self._find("true", ())

    def called(self, name: str) -> list[PersonRow]:
        """People who call themselves so, whether we wrote to them or not."""
        return self._find("name = ?", (name,))

    def beginning(self, digits: str) -> list[PersonRow]:
        """People whose addresses begin with these digits, in lower case."""
        return self._find("substr(address, 1, length(?1)) = ?1", (digits,))

    def _find(self, condition: str, parameters: tuple[Any, ...]) -> list[PersonRow]:
        rows = fetch_all(
            self._connection,
            f"""
            SELECT address, name, nickname, approved, approved_me FROM (
                SELECT address, name, nickname, approved, approved_me FROM people
                UNION ALL
                SELECT address, NULL, NULL, 0, 0 FROM conversations WHERE address NOT IN (SELECT address FROM people)
            )
            WHERE {condition} ORDER BY coalesce(nickname, name) IS NULL, coalesce(nickname, name), address
            """,  # noqa: S608 - one of three constants
            parameters,
        )
        return [
            PersonRow(address, name, nickname, bool(approved), bool(approved_me))
            for address, name, nickname, approved, approved_me in rows
        ]
