"""Reading what came, as a log: every reader has its own place in it, and is given every event once.

Polling and reading are apart. A poll puts events into the store, in one transaction with the swarm's position; a reader
takes them from there. Two processes that poll, or that read as the same reader, wait for each other; those who only
look wait for nobody.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InvalidInput, NetworkError, StoreLocked, UsageError
from ..file_lock import FileLock
from ..network.clock import Deadline
from ..protocol.account import is_community, is_group
from ..store.events import EVERYTHING, TYPES, Selection
from ..store.store import Store
from .expiry import purge
from .profile import Profile

if TYPE_CHECKING:
    from ..store.readers import Mark, Writing
    from ..store.records import EventRow
    from .model import Cursor, Event
    from .receiving import PollResult

POLL_INTERVAL_S = 1.5
"""Seconds between polls while waiting for the first message."""
LONGEST_PAUSE_S = 60.0
"""How long at the most a follower waits before it tries a network again that failed."""
LOCK_TIMEOUT_S = 60.0
_READER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

Trouble = NetworkError | StoreLocked


@dataclass(frozen=True, slots=True)
class Reading:
    """How to read.

    `reader` is whose place counts; `selection` which events are wanted; `size` how many come in one batch at the most,
    `most` in all. `wait`: so many seconds for the first event. `follow`: for ever, with `interval` seconds between
    polls, whatever becomes of the network. `peek`: without taking. `polled` is told what each poll brought, and
    `trouble` of what a follower gets over by itself. `recall` is given what this reader was about to write to a file
    when it died, and returns how many of the events are there.
    """

    reader: str
    selection: Selection = EVERYTHING
    size: int = 200
    most: int | None = None
    wait: float = 0.0
    follow: bool = False
    interval: float = 5.0
    peek: bool = False
    polled: Callable[[PollResult], None] = field(default=lambda _: None)
    trouble: Callable[[Trouble], None] = field(default=lambda _: None)
    recall: Callable[[Writing], int] | None = None


class Batch:
    """Some events in order, for one reader. What is not taken will come again.

    As long as a batch is in somebody's hands, no other process reads as the same reader.
    """

    def __init__(self, store: Store, reading: Reading, events: Sequence[Event]) -> None:
        self._store = store
        self._reading = reading
        self.events = list(events)
        self.taken = 0

    @property
    def reader(self) -> str:
        """For whom it is."""
        return self._reading.reader

    def take(self, events: Sequence[Event]) -> None:
        """Note that some of the events, in their order, have reached whom they are for. Nothing where one peeks."""
        self.taken += len(events)
        while events and not self._reading.peek:
            try:
                with self._store.quick_transaction():
                    self._store.readers.take(self._reading.reader, [event.seq for event in events])
                return
            except StoreLocked:
                # It has been shown already; who follows has time.
                if not self._reading.follow:
                    raise

    def announce(self, events: Sequence[Event], place: tuple[int, int, int], marks: Sequence[Mark]) -> None:
        """Note that some events are about to be written at a place of a file; `take` makes an end of it.

        `place` is device, inode and offset; `marks` has one for each event.
        """
        if not self._reading.peek:
            from ..store.readers import Writing

            writing = Writing(tuple(event.seq for event in events), *place, tuple(marks))
            with self._store.quick_transaction():
                self._store.readers.set_writing(self._reading.reader, writing)


class Inbox:
    """The events of one profile.

    The `polls` fetch into the store what is new, one after the other: what one brought is given out before the next
    begins. `event_of` makes events of rows.
    """

    def __init__(
        self,
        profile: Profile,
        polls: Sequence[Callable[[Deadline], PollResult]],
        event_of: Callable[[EventRow], Event],
    ) -> None:
        self._folder = profile.folder
        self._store = profile.store
        self._polls = polls
        self._event_of = event_of

    def poll(self, deadline: Deadline) -> PollResult:
        """Fetch all that is new into the store. Another process that does so is waited for.

        Raises NetworkError, ServiceRefused, StoreLocked, StoreError.
        """
        from .receiving import PollResult

        result = PollResult()
        for poll in self._polls:
            result += self._fetch(poll, deadline, LOCK_TIMEOUT_S)
        return result

    def poll_first(self, deadline: Deadline) -> PollResult:
        """The first of the polls alone, unless another process is at it. Raises as `poll`."""
        return self._fetch(self._polls[0], deadline, 0)

    def _fetch(self, poll: Callable[[Deadline], PollResult], deadline: Deadline, patience_s: float) -> PollResult:
        with FileLock(self._folder / "receive.lock", deadline.limit(patience_s), purpose="to receive messages"):
            return poll(deadline)

    @contextmanager
    def exclusively(self, deadline: Deadline, *, purpose: str) -> Iterator[None]:
        """Have nobody poll meanwhile. Another process that does so is waited for. Raises StoreLocked."""
        patience = deadline.limit(LOCK_TIMEOUT_S)
        with FileLock(self._folder / "receive.lock", patience, purpose=purpose):
            yield

    def batches(self, reading: Reading, timeout: float | None) -> Generator[Batch, None, None]:
        """Give out what there is, poll (`timeout` seconds at the most), give out what came; again, if that is asked.

        Ends when as many events as wanted were given out, and, unless it follows, when there are no more. It also ends
        when not all of a batch was taken. Raises UsageError, what `poll` raises, and StoreLocked where another process
        reads as the same reader for too long; followers get over NetworkError and StoreLocked.
        """
        check_reader_name(reading.reader)
        drain = _Drain(self._store, self._folder, reading, self._event_of)
        end = time.monotonic() + reading.wait
        failures = 0
        while True:
            try:
                yield from drain.batches(timeout)
                if drain.finished:
                    return
                for poll in self._polls:
                    reading.polled(self._fetch(poll, Deadline(timeout), LOCK_TIMEOUT_S))
                    failures = 0
                    yield from drain.batches(timeout)
                    if drain.finished:
                        return
            except (NetworkError, StoreLocked) as error:
                # Who waits, waits for the network as well.
                if reading.follow:
                    reading.trouble(error)
                elif isinstance(error, StoreLocked) or end - time.monotonic() <= POLL_INTERVAL_S:
                    raise
                failures += 1
            left = end - time.monotonic()
            if drain.finished or (not reading.follow and (drain.given or left <= 0)):
                return
            if reading.follow:
                time.sleep(max(reading.interval, min(LONGEST_PAUSE_S, reading.interval * (2 ** min(failures, 10) - 1))))
            else:
                time.sleep(min(POLL_INTERVAL_S, left))

    # Cursors.

    def cursors(self) -> list[Cursor]:
        """The readers there are, by name, and how much each has before it."""
        from .model import Cursor

        return [
            Cursor(reader.name, self._store.events.count_unread(reader.name), reader.made_ms)
            for reader in self._store.readers.all()
        ]

    def reset(self, name: str, *, to_end: bool = False, since_ms: int | None = None) -> Cursor:
        """Put a reader, made if need be, at the beginning of the log, at its end, or before the events since a time.

        Raises UsageError for a bad name, StoreLocked while it is reading.
        """
        check_reader_name(name)
        with _lock(self._folder, name, Deadline(LOCK_TIMEOUT_S)), self._store.transaction():
            from_start = not to_end and since_ms is None
            self._store.readers.place(name, 0 if from_start else self._store.readers.last_seq(since_ms))
        return next(cursor for cursor in self.cursors() if cursor.name == name)

    def delete(self, name: str) -> Cursor:
        """Forget a reader, and return what it was.

        Raises InvalidInput if there is none of that name, StoreLocked while it is reading.
        """
        check_reader_name(name)
        with _lock(self._folder, name, Deadline(LOCK_TIMEOUT_S)), self._store.transaction():
            known = next((cursor for cursor in self.cursors() if cursor.name == name), None)
            if known is None:
                raise InvalidInput(f"There is no cursor {name!r}; see session cursor list.")
            self._store.readers.delete(name)
        return known


class _Drain:
    """Gives out what is in the store, batch by batch, each under the lock of its reader."""

    def __init__(self, store: Store, folder: Path, reading: Reading, event_of: Callable[[EventRow], Event]) -> None:
        self._store = store
        self._folder = folder
        self._reading = reading
        self._event_of = event_of
        self._after = 0
        self.given = 0
        self.finished = False

    def batches(self, timeout: float | None) -> Iterator[Batch]:
        reading = self._reading
        while not self.finished:
            if not reading.peek:
                purge(self._store)
            size = reading.size if reading.most is None else min(reading.size, reading.most - self.given)
            if size <= 0:
                self.finished = True
                return
            with nullcontext() if reading.peek else _lock(self._folder, reading.reader, Deadline(timeout)):
                self._recall()
                rows = self._store.events.unread(reading.reader, reading.selection, size, self._after)
                if not rows:
                    return
                events = [self._event_of(row) for row in rows]
                batch = Batch(self._store, reading, events)
                if not reading.peek:
                    self._store.check_room()
                yield batch
            self.given += batch.taken
            self.finished = batch.taken < len(events)
            if reading.peek:
                self._after = events[-1].seq

    def _recall(self) -> None:
        """Find out whether what a killed process was about to write has been written."""
        reading = self._reading
        writing = None if reading.peek else self._store.readers.writing(reading.reader)
        if writing is None or reading.recall is None:
            return
        written = writing.seqs[: reading.recall(writing)]
        with self._store.quick_transaction():
            self._store.readers.take(reading.reader, list(written))


@contextmanager
def _lock(folder: Path, reader: str, deadline: Deadline) -> Iterator[None]:
    path = folder / f"reader-{reader}.lock"
    with FileLock(path, deadline.limit(LOCK_TIMEOUT_S), purpose=f"to read as {reader!r}"):
        yield


def select(*, sender: str | None = None, types: Sequence[str] = (), since_ms: int | None = None) -> Selection:
    """Which events are wanted: of one sender, group or room (an id), of some types, sent at or after a time (ms).

    Raises UsageError for a type that there is not.
    """
    for type in types:
        if type not in TYPES:
            raise UsageError(f"There are no events of type {type!r}; there are: {', '.join(TYPES)}.")
    if sender is not None and (is_group(sender) or is_community(sender)):
        return Selection(None, tuple(types), since_ms, place=sender)
    return Selection(sender, tuple(types), since_ms)


def check_reader_name(name: str) -> str:
    """Return `name` if it can name a reader, and so a file; raise UsageError if it can't."""
    if not _READER_NAME.fullmatch(name):
        raise UsageError(
            "A cursor's name has 1 to 64 characters, all of them letters, digits, dots, hyphens or underscores, "
            "and begins with a letter or digit."
        )
    return name
