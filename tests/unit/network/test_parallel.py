"""Several attempts at one thing, and several things at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from session_cli.errors import NetworkError, NetworkUnreachable, RateLimited, RequestTimeout, SessionError
from session_cli.network.clock import Deadline
from session_cli.network.parallel import (
    MOST_ATTEMPTS_AT_ONCE,
    Attempt,
    Pause,
    as_completed,
    first_success,
    run_parallel,
)
from session_cli.network.transport import Cancellation

NEVER = 3600.0


def _succeed(value: Any) -> Callable[[Cancellation], Any]:
    return lambda _: value


def _fail(error: BaseException) -> Callable[[Cancellation], Any]:
    def run(_: Cancellation) -> Any:
        raise error

    return run


class _Silence:
    """An attempt that says nothing until the test ends."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self._ended = threading.Event()

    def __call__(self, _: Cancellation) -> None:
        self.begun.set()
        self._ended.wait(20)
        raise NetworkUnreachable("cut")

    def end(self) -> None:
        self._ended.set()


@pytest.fixture
def silence() -> Iterator[_Silence]:
    one = _Silence()
    yield one
    one.end()


def _attempt(run: Callable[[Cancellation], Any], limit: float = NEVER, patience: float = NEVER) -> Attempt[Any]:
    return Attempt(run, limit, patience)


def test_the_first_success_counts_and_no_more_attempts_are_made() -> None:
    made = []

    def attempts() -> Iterator[Attempt[Any]]:
        for number in range(5):
            made.append(number)
            yield _attempt(_succeed(number))

    assert first_success(attempts(), Deadline(5)) == 0
    assert made == [0]


def test_a_failure_brings_the_next_attempt_at_once() -> None:
    told: list[str] = []
    attempts = [_attempt(_fail(RateLimited("one"))), _attempt(_fail(NetworkError("two"))), _attempt(_succeed(3))]
    result = first_success(iter(attempts), Deadline(5), lambda _, error: told.append(error.message))
    assert (result, told) == (3, ["one", "two"])


def test_silence_brings_the_next_attempt_when_patience_is_over(silence: _Silence) -> None:
    outrun: list[Attempt[Any]] = []
    slow = _attempt(silence, patience=0.01)
    assert first_success(iter([slow, _attempt(_succeed("quick"))]), Deadline(5), outrun=outrun.append) == "quick"
    assert outrun == [slow]


def test_who_is_not_slow_yet_is_not_outrun(silence: _Silence) -> None:
    outrun: list[Attempt[Any]] = []

    def attempts() -> Iterator[Attempt[Any]]:
        yield _attempt(silence, patience=0.01)
        yield _attempt(_succeed("quick"), patience=NEVER)

    first_success(attempts(), Deadline(5), outrun=outrun.append)
    assert len(outrun) == 1


def test_an_early_attempt_may_still_win() -> None:
    late, go = _Silence(), threading.Event()

    def early(_: Cancellation) -> str:
        go.wait(10)
        return "early"

    def attempts() -> Iterator[Attempt[Any]]:
        yield _attempt(early, patience=0.01)
        go.set()
        yield _attempt(late)

    assert first_success(attempts(), Deadline(5)) == "early"
    late.end()


def test_the_losers_are_cancelled(silence: _Silence) -> None:
    slow = _attempt(silence, patience=0.0)
    first_success(iter([slow, _attempt(_succeed(1))]), Deadline(5))
    connection = _Connection()
    slow.cancellation.attach(connection)  # type: ignore[arg-type]
    assert connection.interrupted, "an attempt that connects after the end is cut at once"


class _Connection:
    interrupted = False

    def interrupt(self, user: Cancellation) -> None:
        self.interrupted = True


def test_an_attempt_ends_at_its_limit(silence: _Silence) -> None:
    told: list[SessionError] = []
    attempts = [_attempt(silence, limit=0.01), _attempt(_succeed("next"))]
    assert first_success(iter(attempts), Deadline(5), lambda _, error: told.append(error)) == "next"
    assert [type(error) for error in told] == [RequestTimeout]


def test_all_is_over_at_the_deadline(silence: _Silence) -> None:
    with pytest.raises(RequestTimeout, match=r"--timeout is used up. Before that: no$"):
        first_success(iter([_attempt(_fail(NetworkError("no"))), _attempt(silence)]), Deadline(0.05))
    with pytest.raises(RequestTimeout):
        first_success(iter([_attempt(_succeed(1))]), Deadline(0))


def test_the_last_error_is_raised_when_there_are_no_more_attempts() -> None:
    with pytest.raises(RateLimited, match="second"):
        first_success(
            iter([_attempt(_fail(NetworkError("first"))), _attempt(_fail(RateLimited("second")))]), Deadline(5)
        )
    with pytest.raises(NetworkUnreachable):
        first_success(iter(()), Deadline(5))


def test_whoever_runs_out_of_attempts_waits_for_those_under_way() -> None:
    def slowly(_: Cancellation) -> str:
        time.sleep(0.05)
        return "in the end"

    def attempts() -> Iterator[Attempt[Any]]:
        yield _attempt(slowly, patience=0.0)
        raise NetworkUnreachable("there are no more guards")

    assert first_success(attempts(), Deadline(5)) == "in the end"


def test_a_failure_can_be_final(silence: _Silence) -> None:
    def final(_: Attempt[Any], error: SessionError) -> None:
        raise error

    attempts = [_attempt(silence, patience=0.0), _attempt(_fail(RateLimited("stop"))), _attempt(_succeed(1))]
    with pytest.raises(RateLimited, match="stop"):
        first_success(iter(attempts), Deadline(5), final)


def test_a_pause_is_waited_for_where_there_is_no_attempt_to_be_made() -> None:
    steps: list[Attempt[Any] | Pause] = [Pause(0.01), Pause(0.01), _attempt(_succeed("then"))]
    assert first_success(iter(steps), Deadline(5)) == "then"
    with pytest.raises(NetworkUnreachable, match="nobody to ask"):
        first_success(iter([Pause(0.01)]), Deadline(5))


def test_a_failure_ends_a_pause() -> None:
    failing = threading.Event()

    def fail(_: Cancellation) -> Any:
        failing.wait(10)
        raise NetworkError("no")

    def attempts() -> Iterator[Attempt[Any] | Pause]:
        yield _attempt(fail, patience=0.0)
        failing.set()
        yield Pause(NEVER)
        yield _attempt(_succeed("next"))

    assert first_success(attempts(), Deadline(5)) == "next"


def test_a_pause_ends_at_the_deadline() -> None:
    with pytest.raises(RequestTimeout, match="--timeout"):
        first_success(iter([Pause(NEVER)]), Deadline(0.05))


def test_a_bug_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        first_success(iter([_attempt(_fail(ZeroDivisionError())), _attempt(_succeed(1))]), Deadline(5))


def test_only_so_many_attempts_run_at_once() -> None:
    silences = [_Silence() for _ in range(MOST_ATTEMPTS_AT_ONCE + 3)]
    with pytest.raises(RequestTimeout):
        first_success((_attempt(one, patience=0.0) for one in silences), Deadline(0.2))
    assert sum(one.begun.is_set() for one in silences) == MOST_ATTEMPTS_AT_ONCE
    for one in silences:
        one.end()


# Several things at a time.


def test_results_stand_where_their_calls_stood() -> None:
    def call(number: int) -> int:
        if number % 3 == 0:
            raise NetworkError(str(number))
        return number

    results = run_parallel([lambda number=number: call(number) for number in range(20)], at_once=4)  # type: ignore[misc]
    for number, result in enumerate(results):
        assert isinstance(result, NetworkError) if number % 3 == 0 else result == number
    assert run_parallel([]) == []


def test_no_more_run_at_once_than_was_said() -> None:
    lock, running, most = threading.Lock(), 0, 0

    def call() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.005)
        with lock:
            running -= 1

    run_parallel([call] * 30, at_once=5)
    assert 1 < most <= 5


def test_an_unexpected_error_is_raised_in_the_end() -> None:
    with pytest.raises(ZeroDivisionError):
        run_parallel([lambda: 1, lambda: 1 // 0, lambda: 3], at_once=2)


def test_results_come_as_soon_as_they_are_there(silence: _Silence) -> None:
    problem = NetworkError("no")

    def fail() -> str:
        raise problem

    def slow() -> str:
        with pytest.raises(NetworkUnreachable):
            silence(Cancellation())
        return "slow"

    results = as_completed([slow, lambda: "quick", fail], at_once=2)
    first = [next(results), next(results)]
    assert sorted(first, key=lambda one: one[0]) == [(1, "quick"), (2, problem)]
    silence.end()
    assert list(results) == [(0, "slow")]
    assert list(as_completed([], at_once=2)) == []


def test_so_many_results_are_in_memory_at_once() -> None:
    begun: list[int] = []

    def call(number: int) -> int:
        begun.append(number)
        return number

    results = as_completed([partial(call, number) for number in range(30)], at_once=4)
    for taken, (_, number) in enumerate(results, 1):
        assert len(begun) <= taken + 3
        assert number in begun
    assert sorted(begun) == list(range(30))


def test_who_takes_no_more_results_leaves_the_rest_undone() -> None:
    begun: list[int] = []
    before = threading.active_count()
    results = as_completed([partial(begun.append, number) for number in range(50)], at_once=3)
    next(results)
    results.close()  # type: ignore[attr-defined]
    for _ in range(500):
        if threading.active_count() <= before:
            break
        time.sleep(0.01)
    assert threading.active_count() <= before
    assert len(begun) <= 3


def test_what_is_none_of_our_errors_is_raised() -> None:
    def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(as_completed([broken] * 5, at_once=2))
