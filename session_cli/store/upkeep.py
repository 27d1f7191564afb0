"""Upkeep of a database as a whole: facts, checks, copies and compaction."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import apsw

from ..errors import StoreError, StoreLocked
from ..private_files import create_private_file
from .database import as_migrated, connect, translate_errors
from .events import TYPES
from .queries import fetch_one

CIPHER = "SQLCipher 4: AES-256-CBC, HMAC-SHA512"
MOST_FINDINGS = 20

_COPIED_PAGES = 1024
_MERGED_PAGES = 1024
_CHANGES_OF_A_STEP = 2
"""Rows that SQLite counts as changed where there was something to merge; the statement itself counts as one."""
_PLAIN_HEADER = b"SQLite format 3\0"

Progress = Callable[[int, int], object]
"""Told how many bytes of how many are done."""

_INVARIANTS = (
    # What must not be found, and what it means.
    (
        "SELECT count(*) FROM readers WHERE seq > coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0)",
        "{} of the readers' positions lie behind the last event: what comes next would not be shown",
    ),
    (
        f"SELECT count(*) FROM events WHERE type = {TYPES.index('message')} AND message_id IS NULL",  # noqa: S608
        "{} events have lost their message",
    ),
    (
        "SELECT count(*) FROM (SELECT 1 FROM attachments GROUP BY message_id "
        "HAVING min(position) <> 0 OR max(position) <> count(*) - 1)",
        "{} messages lack some of their attachments",
    ),
    (
        "SELECT count(*) = 0 FROM settings WHERE name = 'seed'",
        "the account's secret is missing",
    ),
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a database holds, and how large it is. A page has `page_bytes` bytes."""

    version: int
    messages: int
    conversations: int
    attachments: int
    unknowns: int
    page_bytes: int
    pages: int
    free_pages: int


class Upkeep:
    """Looks after one open database."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def facts(self) -> Facts:
        """Counts and sizes."""
        with translate_errors(self._connection.filename):
            messages, conversations, attachments, unknowns = (
                self._count(table) for table in ("messages", "conversations", "attachments", "unknowns")
            )
            version, page_bytes, pages, free_pages = (
                int(self._connection.pragma(name))
                for name in ("user_version", "page_size", "page_count", "freelist_count")
            )
        return Facts(version, messages, conversations, attachments, unknowns, page_bytes, pages, free_pages)

    def _count(self, table: str) -> int:
        row = fetch_one(self._connection, f"SELECT count(*) FROM {table}")  # noqa: S608 - a name of ours
        return int(row[0]) if row else 0

    # Copies.

    def snapshot(self, target: Path, key: bytes, progress: Progress) -> Facts:
        """Copy the database as it is at this moment to the new file `target`, encrypted with `key` (32 bytes).

        Others may go on writing; what they write meanwhile is not in the copy. Returns the facts of the copy. If this
        fails, `target` may be left behind. Raises StoreUnwritable, StoreDamaged.
        """
        os.close(create_private_file(target))
        with translate_errors(self._connection.filename), closing(connect(target, key, 0)) as copy:
            # It is read once, or thrown away: nothing in it needs to outlast a power cut.
            copy.pragma("journal_mode", "off")
            copy.pragma("synchronous", "off")
            self._connection.execute("BEGIN")
            try:
                facts = self.facts()
                _copy(self._connection, copy, progress)
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
        return facts

    def compact(self, key: bytes, folder: Path, progress: Progress) -> None:
        """Leave out what is free in the file, and put the rest in order.

        A copy encrypted with the same `key` is made in `folder` first, and then written back in one transaction. To be
        closed after this. Raises StoreLocked if others have the database open, StoreUnwritable, StoreDamaged.
        """
        connection, path = self._connection, Path(self._connection.filename)
        compacted = folder / path.name
        with translate_errors(path), self._alone():
            self._merge_index()
            # SQLite takes an empty file for one that isn't there, and leaves it its mode.
            os.close(create_private_file(compacted))
            # Its own VACUUM would keep all of the database in memory, because no temporary file may be in clear.
            connection.execute("VACUUM INTO ?", (str(compacted),))
            with compacted.open("rb") as file:
                if file.read(len(_PLAIN_HEADER)) == _PLAIN_HEADER:
                    raise StoreError("The database library made a copy without encryption; nothing was changed.")
            if compacted.stat().st_size < path.stat().st_size:
                with closing(connect(compacted, key, 0)) as source:
                    _copy(source, connection, progress)

    def _merge_index(self) -> None:
        """Make one piece of the pieces of the word index. A signal is handled between two steps."""
        pages = -_MERGED_PAGES  # below 0: all pieces, not only those that are due
        while True:
            before = self._connection.total_changes()
            self._connection.execute("INSERT INTO message_search (message_search, rank) VALUES ('merge', ?)", (pages,))
            if self._connection.total_changes() - before < _CHANGES_OF_A_STEP:
                return
            pages = _MERGED_PAGES

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self._exclude_others()
        try:
            yield
        finally:
            # This removes the journal, too. If it can't be done now, the next one to open the database does it.
            with suppress(apsw.Error):
                self._connection.pragma("journal_mode", "wal")

    def _exclude_others(self) -> None:
        """Leave write-ahead logging, which only one who is alone can do, and stay alone. Raises StoreLocked."""
        self._connection.pragma("locking_mode", "exclusive")
        with suppress(apsw.BusyError):
            if self._connection.pragma("journal_mode", "delete") == "delete":
                return
        raise StoreLocked("Other processes have the store open; try again when they have finished.")

    def change_key(self, key: bytes) -> None:
        """Encrypt all of the database anew, with another key of 32 bytes; nobody else may have it open."""
        with translate_errors(self._connection.filename):
            self._exclude_others()
            if self._connection.execute(f"PRAGMA rekey=\"x'{key.hex()}'\"", can_cache=False).get != "ok":
                raise StoreError(f"The key of {self._connection.filename} can't be changed.")

    # Checks.

    def quick_check(self) -> list[str]:
        """What is wrong with the file's structure, each in a few words. Raises StoreDamaged if it can't be read."""
        return self._pragma_check("quick_check")

    def full_check(self) -> list[str]:
        """As `quick_check`, and that every index agrees with its table, which takes longer."""
        return self._pragma_check("integrity_check")

    def check_contents(self) -> Iterator[str]:
        """What is wrong with what the tables say of each other. Old ones are brought up to date for as long only.

        Raises StoreDamaged, and StoreTooNew for tables of a later release.
        """
        with translate_errors(self._connection.filename), as_migrated(self._connection):
            broken: dict[tuple[str, str], int] = {}
            for table, _, parent, _ in self._connection.execute("PRAGMA foreign_key_check"):
                broken[str(table), str(parent)] = broken.get((str(table), str(parent)), 0) + 1
            for (table, parent), count in broken.items():
                yield f"{count} entries of {table} belong to entries of {parent} that don't exist"
            for query, meaning in _INVARIANTS:
                try:
                    row = fetch_one(self._connection, query)
                except apsw.SQLError:
                    yield "tables are missing, or other ones than this version has"
                    return
                if row and row[0]:
                    yield meaning.format(row[0])

    def _pragma_check(self, name: str) -> list[str]:
        with translate_errors(self._connection.filename):
            found = [str(row[0]) for row in self._connection.execute(f"PRAGMA {name}({MOST_FINDINGS})")]
        return [] if found == ["ok"] else found


def _copy(source: apsw.Connection, target: apsw.Connection, progress: Progress) -> None:
    """Copy a database page by page, in one transaction of the target. A signal is handled between two steps."""
    page_bytes = int(source.pragma("page_size"))
    with target.backup("main", source, "main") as copying:
        while not copying.done:
            copying.step(_COPIED_PAGES)
            total = copying.page_count
            progress((total - copying.remaining) * page_bytes, total * page_bytes)
