"""Messages, and notices of other kinds between them, with their attachments."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import apsw

from .events import KINDS, TYPES
from .people import person_id
from .queries import fetch_all
from .records import AttachmentRow, MessageRow, NewMessage, ReactionRow

STATUSES = ("received", "sent", "failed", "pending", "queued")
EXPIRE_MODES = ("off", "after_send", "after_read")
"""What the numbers in the tables mean.

Of the kinds, a message's `content` has `preview` (url, title) and `invitation` (url, name) where it has one; an
expiration_update's the new `mode` and `seconds`; a call's `call_id` and `state` (ringing, answered, declined, missed);
a media_saved's `timestamp_ms`, that of the message whose file was saved (0: unknown); an unknown's `reason`; a
group_update's `change` and more by that: see `core.groups.notices`.
"""
_ATTACHMENT = (
    "message_id, url, key, digest, size, content_type, name, voice, width, height, caption, saved, duration_ms, id"
)
_MESSAGE = """
    SELECT m.id, c.address, coalesce(correspondent.nickname, correspondent.name), m.outgoing,
           s.address, coalesce(s.nickname, s.name), m.sent_ms, m.body, m.status,
           q.author, q.sent_ms, coalesce(x.mode, 0), coalesce(x.seconds, 0), x.ends_ms, m.request,
           (SELECT h.hash FROM seen_hashes h WHERE h.message_id = m.id LIMIT 1),
           coalesce(d.kind, 0), d.content, t.message_id IS NOT NULL,
           CASE WHEN m.outgoing THEN r.message_id IS NOT NULL ELSE m.sent_ms <= c.read_ms END,
           coalesce(quoted.nickname, quoted.name), qm.id, CASE WHEN qt.message_id IS NULL THEN qm.body END, qx.ends_ms
    FROM messages m
    JOIN conversations c ON c.id = m.conversation_id
    JOIN people s ON s.id = m.sender_id
    LEFT JOIN people correspondent ON correspondent.address = c.address
    LEFT JOIN quotes q ON q.message_id = m.id
    LEFT JOIN people quoted ON quoted.address = q.author
    LEFT JOIN messages qm
        ON qm.conversation_id = m.conversation_id AND qm.sent_ms = q.sent_ms AND qm.sender_id = quoted.id
    LEFT JOIN tombstones qt ON qt.message_id = qm.id
    LEFT JOIN expirations qx ON qx.message_id = qm.id
    LEFT JOIN expirations x ON x.message_id = m.id
    LEFT JOIN details d ON d.message_id = m.id
    LEFT JOIN tombstones t ON t.message_id = m.id
    LEFT JOIN receipts r ON r.message_id = m.id
"""
_MESSAGE_FIELDS = tuple(field.name for field in dataclasses.fields(MessageRow))[:-2]
"""The columns above but for the last, in their order; attachments and reactions are read apart."""
_MANY = 500
"""Bound parameters in one statement at most."""


class Messages:
    """Reads and writes messages. Writing happens inside the caller's transaction.

    What has disappeared by the time that `now_ms` tells is not found, even before it is deleted.
    """

    def __init__(self, connection: apsw.Connection, now_ms: Callable[[], int]) -> None:
        self._connection = connection
        self._now_ms = now_ms

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
        self._connection.execute(
            "UPDATE conversations SET hidden = 0 WHERE address = ? AND hidden <> 0", (message.conversation,)
        )
        self._add_extras(message_id, message)
        return int(message_id)

    def replace(self, message_id: int, message: NewMessage) -> int | None:
        """Put a message into the place of a notice, whose id and marks it takes over. Returns the id, or None.

        None: the message is there already, and the notice is gone.
        """
        self._connection.execute(
            """
            UPDATE OR IGNORE messages
            SET conversation_id = ?, sender_id = ?, sent_ms = ?, status = ?, request = ?, body = ? WHERE id = ?
            """,
            (
                self._conversation(message.conversation),
                person_id(self._connection, message.sender),
                message.sent_ms,
                STATUSES.index(message.status),
                message.request,
                message.body,
                message_id,
            ),
        )
        if not self._connection.changes():
            self.delete([message_id])
            return None
        outdated = ["details", "expirations", "quotes", "attachments"]
        if message.kind != "message":
            outdated.append("reactions")  # which only messages have
        for table in outdated:
            self._connection.execute(f"DELETE FROM {table} WHERE message_id = ?", (message_id,))  # noqa: S608 - a constant
        self._add_extras(message_id, message)
        return message_id

    def _add_extras(self, message_id: int, message: NewMessage) -> None:
        """Store what few messages have."""
        if message.quote_author is not None and message.quote_ms is not None:
            self._connection.execute(
                "INSERT INTO quotes (message_id, author, sent_ms) VALUES (?, ?, ?)",
                (message_id, message.quote_author, message.quote_ms),
            )
        if (message.expire_mode, message.expire_s) != ("off", 0):
            self._connection.execute(
                "INSERT INTO expirations (message_id, mode, seconds, ends_ms) VALUES (?, ?, ?, ?)",
                (message_id, EXPIRE_MODES.index(message.expire_mode), message.expire_s, message.expires_ms),
            )
        if message.kind != "message" or message.content:
            self._connection.execute(
                "INSERT INTO details (message_id, kind, content) VALUES (?, ?, ?)",
                (message_id, KINDS.index(message.kind), _json(message.content)),
            )
        for position, attachment in enumerate(message.attachments):
            self._connection.execute(
                """
                INSERT INTO attachments (message_id, position, url, key, digest, size, content_type, name, voice,
                                         width, height, caption, duration_ms)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
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
                    attachment.duration_ms,
                ),
            )

    def _conversation(self, address: str) -> int:
        self._connection.execute(
            "INSERT INTO conversations (kind, address) VALUES ('contact', ?) ON CONFLICT (address) DO NOTHING",
            (address,),
        )
        return int(self._connection.execute("SELECT id FROM conversations WHERE address = ?", (address,)).get)

    def call(self, call_id: str, conversation: str | None, since_ms: int) -> MessageRow | None:
        """The notice of a call with an id, since a time; in one conversation (an address) or (None) wherever it is."""
        found = self.rows(
            """
            WHERE m.conversation_id IN (SELECT id FROM conversations WHERE ?1 IS NULL OR address = ?1)
            AND m.sent_ms >= ?2 AND d.kind = ?3 AND json_extract(d.content, '$.call_id') = ?4
            """,
            (conversation, since_ms, KINDS.index("call"), call_id),
        )
        return found[0] if found else None

    def set_content(self, message_id: int, content: Mapping[str, Any]) -> None:
        """Change what a notice says."""
        self._connection.execute("UPDATE details SET content = ? WHERE message_id = ?", (_json(content), message_id))

    def set_status(self, message_id: int, status: str) -> None:
        """Change a message's status."""
        self._connection.execute("UPDATE messages SET status = ? WHERE id = ?", (STATUSES.index(status), message_id))

    def set_body(self, message_id: int, body: str) -> None:
        """Change what a message says: its author did."""
        self._connection.execute("UPDATE messages SET body = ? WHERE id = ?", (body, message_id))

    def move_conversation(self, old: str, new: str) -> None:
        """Let all messages of one conversation be of another one; those that are there already stay where they are."""
        self._connection.execute(
            "UPDATE OR IGNORE messages SET conversation_id = ? WHERE conversation_id = ?",
            (self._conversation(new), self._conversation(old)),
        )

    def set_time(self, message_id: int, sent_ms: int) -> None:
        """Change when a message was sent, in ms, and by which time it is quoted."""
        self._connection.execute(
            """
            UPDATE quotes SET sent_ms = ?1
            WHERE sent_ms = (SELECT sent_ms FROM messages WHERE id = ?2)
            AND author = (SELECT p.address FROM messages m JOIN people p ON p.id = m.sender_id WHERE m.id = ?2)
            AND message_id IN (
                SELECT id FROM messages WHERE conversation_id = (SELECT conversation_id FROM messages WHERE id = ?2)
            )
            """,
            (sent_ms, message_id),
        )
        self._connection.execute("UPDATE messages SET sent_ms = ? WHERE id = ?", (sent_ms, message_id))

    def settle_request(self, conversation: str) -> None:
        """Note that what a person wrote is no request any more."""
        self._connection.execute(
            """
            UPDATE messages SET request = 0
            WHERE conversation_id = (SELECT id FROM conversations WHERE address = ?) AND request = 1
            """,
            (conversation,),
        )

    def bury(self, message_id: int, deleted_ms: int) -> None:
        """Delete what a message says, its files, and all that was said about it. Its place remains."""
        self._connection.execute(
            "INSERT INTO tombstones (message_id, deleted_ms) VALUES (?, ?) ON CONFLICT DO NOTHING",
            (message_id, deleted_ms),
        )
        self._connection.execute("UPDATE messages SET body = '' WHERE id = ?", (message_id,))
        # Nobody will ever know what else than a message it could have been.
        self._connection.execute(
            "UPDATE events SET type = ? WHERE seq = (SELECT event_seq FROM unknowns WHERE message_id = ?)",
            (TYPES.index("message"), message_id),
        )
        for table in ("attachments", "quotes", "details", "reactions", "deliveries", "unknowns"):
            self._connection.execute(f"DELETE FROM {table} WHERE message_id = ?", (message_id,))  # noqa: S608 - a constant

    def delete(self, message_ids: Iterable[int]) -> int:
        """Delete messages with all that belongs to them, their events too; returns how many there were."""
        doomed = [(message_id,) for message_id in message_ids]
        before = self._connection.total_changes()
        self._connection.executemany("DELETE FROM messages WHERE id = ?", doomed)
        if self._connection.total_changes() == before:
            return 0
        # All at once: the events have no index by message.
        self._connection.execute(
            "DELETE FROM events WHERE message_id IN (SELECT value FROM json_each(?))",
            (json.dumps([message_id for (message_id,) in doomed]),),
        )
        return len(doomed)

    def delete_conversation(self, address: str, before_ms: int | None = None) -> int:
        """Delete all messages of a conversation, or those sent before a time; returns how many there were."""
        rows = fetch_all(
            self._connection,
            """
            SELECT id FROM messages WHERE conversation_id = (SELECT id FROM conversations WHERE address = ?1)
            AND (?2 IS NULL OR sent_ms < ?2)
            """,
            (address, before_ms),
        )
        return self.delete([row[0] for row in rows]) if rows else 0

    def last_time_of(self, conversation: str, sender: str) -> int:
        """When somebody sent the last of what is here of a conversation, in ms; 0 if there is nothing."""
        rows = fetch_all(
            self._connection,
            """
            SELECT max(sent_ms) FROM messages WHERE conversation_id = (SELECT id FROM conversations WHERE address = ?)
            AND sender_id = (SELECT id FROM people WHERE address = ?)
            """,
            (conversation, sender),
        )
        return int(rows[0][0] or 0)

    def drop_attachments(self, conversation: str, before_ms: int) -> None:
        """Forget the files of messages of a conversation that were sent before a time."""
        self._connection.execute(
            """
            DELETE FROM attachments WHERE message_id IN (
                SELECT id FROM messages WHERE sent_ms < ?2
                AND conversation_id = (SELECT id FROM conversations WHERE address = ?1)
            )
            """,
            (conversation, before_ms),
        )

    def sent_by(self, conversation: str, sender: str, before_ms: int) -> list[int]:
        """The messages of a conversation that somebody sent before a time."""
        rows = fetch_all(
            self._connection,
            """
            SELECT id FROM messages WHERE conversation_id = (SELECT id FROM conversations WHERE address = ?)
            AND sender_id = (SELECT id FROM people WHERE address = ?) AND sent_ms < ?
            """,
            (conversation, sender, before_ms),
        )
        return [row[0] for row in rows]

    def directions(self, address: str) -> set[str]:
        """In which directions messages of a conversation went: incoming, outgoing, both, or none if there are none."""
        rows = fetch_all(
            self._connection,
            """
            SELECT DISTINCT outgoing FROM messages
            WHERE conversation_id = (SELECT id FROM conversations WHERE address = ?)
            """,
            (address,),
        )
        return {"outgoing" if outgoing else "incoming" for (outgoing,) in rows}

    def count_waiting(self, address: str, before_ms: int) -> int:
        """How many messages of a conversation that were written before a time wait in the outbox."""
        rows = fetch_all(
            self._connection,
            """
            SELECT count(*) FROM messages WHERE status = ?
            AND conversation_id = (SELECT id FROM conversations WHERE address = ?) AND sent_ms < ?
            """,
            (STATUSES.index("queued"), address, before_ms),
        )
        return int(rows[0][0])

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

    def give_up_pending(self, before_ms: int) -> list[int]:
        """Call those messages failed that were begun before a time, by processes which can't be at it any more."""
        given_up = self._begun_before(before_ms)
        for message_id in given_up:
            self.set_status(message_id, "failed")
            self._connection.execute("DELETE FROM deliveries WHERE message_id = ?", (message_id,))
        return given_up

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

    def overdue(self) -> set[int]:
        """The messages that have disappeared, and are not deleted yet: on a file system that can't be written."""
        rows = fetch_all(self._connection, "SELECT message_id FROM expirations WHERE ends_ms <= ?", (self._now_ms(),))
        return {row[0] for row in rows}

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
        """Messages by a condition on `m` (messages), `c` (conversations) and `s` (senders), with all that they have."""
        now_ms = self._now_ms()
        messages = [
            message
            for message in (
                _message(row, now_ms) for row in fetch_all(self._connection, _MESSAGE + condition, parameters)
            )
            if message.expires_ms is None or message.expires_ms > now_ms
        ]
        ids = [message.id for message in messages]
        attachments, reactions = self._attachments(ids), self._reactions(ids)
        return [
            dataclasses.replace(
                message,
                attachments=tuple(attachments.get(message.id, ())),
                reactions=tuple(reactions.get(message.id, ())),
            )
            if message.id in attachments or message.id in reactions
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

    def _reactions(self, message_ids: list[int]) -> dict[int, list[ReactionRow]]:
        found: dict[int, list[ReactionRow]] = {}
        for start in range(0, len(message_ids), _MANY):
            some = message_ids[start : start + _MANY]
            statement = f"""
                SELECT r.message_id, r.emoji, p.address, coalesce(p.nickname, p.name)
                FROM reactions r JOIN people p ON p.id = r.sender_id
                WHERE r.message_id IN ({", ".join("?" * len(some))}) AND r.removed = 0
                ORDER BY r.message_id, r.sent_ms, r.emoji
                """  # noqa: S608 - only question marks are put in
            for message_id, *reaction in fetch_all(self._connection, statement, tuple(some)):
                found.setdefault(message_id, []).append(ReactionRow(*reaction))
        return found

    def set_saving(self, attachment_id: int, path: str) -> None:
        """Remember where an attachment is about to be saved; to be followed by `set_saved`."""
        self._connection.execute("UPDATE attachments SET saving = ? WHERE id = ?", (path, attachment_id))

    def saving(self) -> list[tuple[int, str]]:
        """The attachments that were about to be saved when the process died, and where."""
        rows = fetch_all(self._connection, "SELECT id, saving FROM attachments WHERE saving IS NOT NULL ORDER BY id")
        return [(row[0], row[1]) for row in rows]

    def set_saved(self, attachment_id: int, path: str | None) -> None:
        """Remember where an attachment was saved; None if it was only about to be."""
        self._connection.execute(
            "UPDATE attachments SET saved = coalesce(?, saved), saving = NULL WHERE id = ?", (path, attachment_id)
        )

    def set_duration(self, attachment_id: int, duration_ms: int) -> None:
        """Remember how long a voice message is."""
        self._connection.execute("UPDATE attachments SET duration_ms = ? WHERE id = ?", (duration_ms, attachment_id))


def _message(row: tuple[Any, ...], now_ms: int) -> MessageRow:
    *columns, quoted_ends_ms = row
    values = dict(zip(_MESSAGE_FIELDS, columns, strict=True))
    if quoted_ends_ms is not None and quoted_ends_ms <= now_ms:
        values["quote_id"] = values["quote_body"] = None  # it has disappeared
    values["direction"] = "outgoing" if values["direction"] else "incoming"
    values["status"] = STATUSES[values["status"]]
    values["expire_mode"] = EXPIRE_MODES[values["expire_mode"]]
    values["kind"] = KINDS[values["kind"]]
    values["content"] = json.loads(values["content"]) if values["content"] is not None else {}
    return MessageRow(**values | {name: bool(values[name]) for name in ("request", "deleted", "read")})


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def _attachment(row: tuple[Any, ...]) -> AttachmentRow:
    url, key, digest, size, content_type, name, voice, *rest = row
    return AttachmentRow(url, key, digest, size, content_type, name, bool(voice), *rest)
