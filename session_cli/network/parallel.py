"""Running a few requests at the same time: the only place where the client uses threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from ..errors import SessionError

T = TypeVar("T")


def run_parallel(calls: Sequence[Callable[[], T]]) -> list[T | SessionError]:
    """Run all calls, the first one on this thread; each result stands where its call stood.

    Our own errors are returned, not raised, so that the success of one call is not lost in the failure of another.
    Any other exception is raised once all calls have ended.
    """
    results: dict[int, T | SessionError] = {}
    unexpected: list[BaseException] = []

    def run(index: int) -> None:
        try:
            results[index] = calls[index]()
        except SessionError as error:
            results[index] = error
        except BaseException as error:  # noqa: BLE001 - handed to the calling thread below
            unexpected.append(error)

    threads = [threading.Thread(target=run, args=(index,), daemon=True) for index in range(1, len(calls))]
    for thread in threads:
        thread.start()
    if calls:
        run(0)
    if unexpected and isinstance(unexpected[0], KeyboardInterrupt):
        raise unexpected[0]
    for thread in threads:
        thread.join()
    if unexpected:
        raise unexpected[0]
    return [results[index] for index in range(len(calls))]
