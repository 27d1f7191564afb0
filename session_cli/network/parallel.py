"""Doing several requests at the same time: the only place where the client uses threads."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast

from ..errors import NetworkUnreachable, RequestTimeout, SessionError
from .clock import Deadline
from .transport import Cancellation

T = TypeVar("T")

MOST_ATTEMPTS_AT_ONCE = 6


def run_parallel(calls: Sequence[Callable[[], T]], *, at_once: int | None = None) -> list[T | SessionError]:
    """Run all calls, some of them on this thread; each result stands where its call stood.

    Our own errors are returned, not raised, so that the success of one call is not lost in the failure of another.
    Any other exception is raised once all calls have ended. `at_once` limits how many run at the same time.
    """
    results: dict[int, T | SessionError] = {}
    unexpected: list[BaseException] = []
    waiting = iter(range(len(calls)))
    lock = threading.Lock()

    def work() -> None:
        while not unexpected:
            with lock:
                index = next(waiting, None)
            if index is None:
                return
            try:
                results[index] = calls[index]()
            except SessionError as error:
                results[index] = error
            except BaseException as error:  # noqa: BLE001 - handed to the calling thread below
                unexpected.append(error)

    helpers = min(len(calls), at_once or len(calls)) - 1
    threads = [threading.Thread(target=work, daemon=True) for _ in range(helpers)]
    for thread in threads:
        thread.start()
    work()
    if unexpected and isinstance(unexpected[0], KeyboardInterrupt):
        raise unexpected[0]
    for thread in threads:
        thread.join()
    if unexpected:
        raise unexpected[0]
    return [results[index] for index in range(len(calls))]


def as_completed(calls: Sequence[Callable[[], T]], *, at_once: int) -> Iterator[tuple[int, T | SessionError]]:
    """Run all calls on other threads; gives the number and the result of each as soon as it is there.

    No more than `at_once` of them run or have a result that was not yet taken, so that many large results are not in
    memory together. Our own errors are results; any other exception is raised. Whoever takes no more results leaves the
    rest undone.
    """
    results: queue.SimpleQueue[tuple[int, T | SessionError | None, BaseException | None]] = queue.SimpleQueue()
    waiting = iter(range(len(calls)))
    lock, free = threading.Lock(), threading.Semaphore(at_once)
    left = threading.Event()

    def work() -> None:
        while free.acquire() and not left.is_set():
            with lock:
                index = next(waiting, None)
            if index is None:
                return
            try:
                results.put((index, calls[index](), None))
            except SessionError as error:
                results.put((index, error, None))
            except BaseException as error:  # noqa: BLE001 - handed to the thread that takes the results
                results.put((index, None, error))

    threads = min(len(calls), at_once)
    for _ in range(threads):
        threading.Thread(target=work, daemon=True).start()
    try:
        for _ in calls:
            index, result, unexpected = results.get()
            if unexpected is not None:
                raise unexpected
            yield index, cast(T | SessionError, result)
            free.release()
    finally:
        left.set()
        free.release(threads + 1)


@dataclass(frozen=True)
class Attempt(Generic[T]):
    """One way to get something done. `run` is given `cancellation`, which can end it from outside.

    It has failed when `limit_s` seconds are over; when `patience_s` are over, another one is started beside it.
    """

    run: Callable[[Cancellation], T]
    limit_s: float
    patience_s: float
    cancellation: Cancellation = field(default_factory=Cancellation)


A = TypeVar("A", bound=Attempt[Any])


@dataclass(frozen=True, slots=True)
class Pause:
    """In place of an attempt: none would be of use now; ask again in so many seconds, or when one has failed."""

    seconds: float


@dataclass(frozen=True, slots=True)
class _Running(Generic[A]):
    attempt: A
    patient_until: float
    ends: float


def first_success(
    attempts: Iterator[A | Pause],
    deadline: Deadline,
    failed: Callable[[A, SessionError], None] | None = None,
    outrun: Callable[[A], None] | None = None,
) -> Any:
    """The result of the first attempt that succeeds; the others are cancelled.

    The next attempt is taken when one has failed, or has been silent for longer than one has patience with it; it may
    depend on what happened so far, for `failed` is told of each failure (and ends everything by raising). `outrun` is
    told of each that was still silent, after more than its time of patience, when another one succeeded. All is over at
    the deadline, to the moment, whatever the other side does. Raises the error of the attempt that failed last when
    there are no more, RequestTimeout at the deadline.
    """
    race: _Race[A] = _Race(attempts, deadline, failed)
    try:
        result = race.run()
        for attempt in race.silent():
            if outrun is not None:
                outrun(attempt)
        return result
    finally:
        race.cancel()


class _Race(Generic[A]):
    def __init__(
        self, attempts: Iterator[A | Pause], deadline: Deadline, failed: Callable[[A, SessionError], None] | None
    ) -> None:
        self._attempts = attempts
        self._deadline = deadline
        self._failed = failed
        self._outcomes: queue.SimpleQueue[tuple[int, Any, BaseException | None]] = queue.SimpleQueue()
        self._running: dict[int, _Running[A]] = {}
        self._started = 0
        self._patient_until = 0.0
        self._exhausted = False
        self._problem: SessionError | None = None

    def run(self) -> Any:
        while True:
            while self._wants_another():
                self._start_next()
            if not self._running and self._exhausted:
                raise self._problem or NetworkUnreachable("There is nobody to ask.")
            try:
                number, result, error = self._outcomes.get(timeout=self._pause())
            except queue.Empty:
                self._give_up_on_the_silent()
                continue
            ended = self._running.pop(number, None)
            if ended is None:
                continue  # given up on before
            if error is None:
                return result
            if not isinstance(error, SessionError):
                raise error
            self._note(ended.attempt, error)

    def silent(self) -> list[A]:
        now = time.monotonic()
        return [running.attempt for running in self._running.values() if running.patient_until <= now]

    def cancel(self) -> None:
        for running in self._running.values():
            running.attempt.cancellation.cancel()

    def _wants_another(self) -> bool:
        impatient = time.monotonic() >= self._patient_until
        return impatient and not self._exhausted and len(self._running) < MOST_ATTEMPTS_AT_ONCE

    def _start_next(self) -> None:
        if self._deadline.left() == 0.0:
            raise self._out_of_time()
        try:
            attempt = next(self._attempts, None)
        except SessionError as error:
            # What was started earlier may still succeed.
            self._problem = error
            attempt = None
        if attempt is None:
            self._exhausted = True
            return
        now = time.monotonic()
        if isinstance(attempt, Pause):
            self._patient_until = now + attempt.seconds
            return
        number = self._started
        self._started += 1
        left = self._deadline.left()
        limit = attempt.limit_s if left is None else min(attempt.limit_s, left)
        self._patient_until = now + attempt.patience_s
        self._running[number] = _Running(attempt, self._patient_until, now + limit)
        threading.Thread(target=self._work, args=(number, attempt), daemon=True).start()

    def _work(self, number: int, attempt: A) -> None:
        try:
            self._outcomes.put((number, attempt.run(attempt.cancellation), None))
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
            self._outcomes.put((number, None, error))

    def _pause(self) -> float:
        moments = [running.ends for running in self._running.values()]
        if not self._exhausted and len(self._running) < MOST_ATTEMPTS_AT_ONCE:
            moments.append(self._patient_until)
        until, left = min(moments) - time.monotonic(), self._deadline.left()
        return max(0.0, until if left is None else min(until, left))

    def _give_up_on_the_silent(self) -> None:
        if self._deadline.left() == 0.0:
            raise self._out_of_time()
        now = time.monotonic()
        for number in [number for number, running in self._running.items() if running.ends <= now]:
            silent = self._running.pop(number).attempt
            silent.cancellation.cancel()
            self._note(silent, RequestTimeout("There was no answer in time."))

    def _out_of_time(self) -> RequestTimeout:
        before = f" Before that: {self._problem.message}" if self._problem else ""
        return RequestTimeout(f"The time allowed by --timeout is used up.{before}")

    def _note(self, attempt: A, error: SessionError) -> None:
        self._problem = error
        self._patient_until = 0.0
        if self._failed is not None:
            self._failed(attempt, error)
