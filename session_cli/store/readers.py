"""Readers of the log: each has its own place, and so sees every event once.

A reader mostly takes events in order. Where it asked for some of them only, it took these, and the others stay: then
its place is before the first that it left, and those taken beyond are named one by one.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass

import apsw

from .queries import fetch_all, fetch_one


@dataclass(frozen=True, slots=True)
class ReaderRow:
    """A reader: its name, the last event before the first that it has not taken, and when it was made (ms)."""

    name: str
    seq: int
    made_ms: int


@dataclass(frozen=True, slots=True)
class Mark:
    """What tells a line that was to be written: its length, a digest of it, and its beginning (both in hex)."""

    length: int
    digest: str
    head: str


@dataclass(frozen=True, slots=True)
class Writing:
    """What a reader was about to write to a file: which events, where in which file, and the lines."""

    seqs: tuple[int, ...]
    device: int
    inode: int
    offset: int
    marks: tuple[Mark, ...]


class Readers:
    """The places of all readers. Writing happens inside the caller's transaction."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def all(self) -> list[ReaderRow]:
        """The readers there are, by name."""
        rows = fetch_all(self._connection, "SELECT name, seq, made_ms FROM readers ORDER BY name")
        return [ReaderRow(*row) for row in rows]

    def take(self, reader: str, seqs: list[int]) -> None:
        """Note that a reader has had these events, and is no longer about to write them."""
        self._ensure(reader)
        self._connection.executemany(
            "INSERT INTO taken (reader, seq) SELECT ?1, ?2 WHERE ?2 > (SELECT seq FROM readers WHERE name = ?1) "
            "ON CONFLICT DO NOTHING",
            [(reader, seq) for seq in seqs],
        )
        first_left = self._connection.execute(
            """
            SELECT e.seq FROM events e WHERE e.seq > (SELECT seq FROM readers WHERE name = ?1)
            AND NOT EXISTS (SELECT 1 FROM taken t WHERE t.reader = ?1 AND t.seq = e.seq) ORDER BY e.seq LIMIT 1
            """,
            (reader,),
        ).get
        if first_left is None:
            place = self._connection.execute("SELECT coalesce(max(seq), 0) FROM events").get
        else:
            place = first_left - 1
        self._connection.execute("UPDATE readers SET seq = max(seq, ?), writing = NULL WHERE name = ?", (place, reader))
        self._connection.execute("DELETE FROM taken WHERE reader = ? AND seq <= ?", (reader, place))

    def place(self, reader: str, seq: int) -> None:
        """Put a reader, made if need be, before the first event after `seq`, whatever it has had before."""
        self._ensure(reader)
        self._connection.execute("UPDATE readers SET seq = ?, writing = NULL WHERE name = ?", (seq, reader))
        self._connection.execute("DELETE FROM taken WHERE reader = ?", (reader,))

    def delete(self, reader: str) -> None:
        """Forget a reader."""
        self._connection.execute("DELETE FROM readers WHERE name = ?", (reader,))

    def last_seq(self, before_ms: int | None = None) -> int:
        """The number of the last event; or of the last before the first event of a message sent at or after a time."""
        if before_ms is None:
            row = fetch_one(self._connection, "SELECT coalesce(max(seq), 0) FROM events")
        else:
            row = fetch_one(
                self._connection,
                """
                SELECT coalesce((SELECT e.seq - 1 FROM events e JOIN messages m ON m.id = e.message_id
                                 WHERE m.sent_ms >= ? ORDER BY e.seq LIMIT 1),
                                (SELECT max(seq) FROM events), 0)
                """,
                (before_ms,),
            )
        return int(row[0]) if row else 0

    def set_writing(self, reader: str, writing: Writing | None) -> None:
        """Note what a reader is about to write, or that it does not after all."""
        self._ensure(reader)
        text = json.dumps(asdict(writing)) if writing else None
        self._connection.execute("UPDATE readers SET writing = ? WHERE name = ?", (text, reader))

    def writing(self, reader: str) -> Writing | None:
        """What a reader was about to write when it died; None if it did not die over that."""
        row = fetch_one(self._connection, "SELECT writing FROM readers WHERE name = ?", (reader,))
        if row is None or row[0] is None:
            return None
        fields = json.loads(row[0])
        marks = tuple(Mark(**mark) for mark in fields["marks"])
        return Writing(tuple(fields["seqs"]), fields["device"], fields["inode"], fields["offset"], marks)

    def _ensure(self, reader: str) -> None:
        self._connection.execute(
            "INSERT INTO readers (name, seq, made_ms) VALUES (?, 0, ?) ON CONFLICT DO NOTHING",
            (reader, int(time.time() * 1000)),
        )
