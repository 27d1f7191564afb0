"""What happens when somebody wants this process to end.

An exception raised in a signal handler can come out anywhere, even where Python can only print and forget it. So a
signal ends the process on the spot, as it would without us: everything that matters is written in one step or not at
all. The few things that have to be undone first are registered here; and where a piece of work can't be undone, the
signal waits until it is done.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
_undo: list[Callable[[], object]] = []


class Terminated(BaseException):
    """SIGTERM or SIGHUP arrived while `raising` was in force; the number is its argument."""


def install() -> None:
    """Let the signals end the process, after what is registered was undone. What the caller ignores stays ignored."""
    for number in _numbers():
        signal.signal(number, _die)


def _numbers() -> list[signal.Signals]:
    """The signals that are ours to handle: under nohup, for one, SIGHUP is ignored and shall stay so."""
    found = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
    return [number for number in found if signal.getsignal(number) is not signal.SIG_IGN]


def _die(number: int, frame: FrameType | None) -> None:
    for undo in reversed(_undo):
        with suppress(OSError):
            undo()
    end_by(number)


def end_by(number: int) -> None:
    """End this process by a signal, so that its parent knows why."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def undo_when_killed(undo: Callable[[], object]) -> ExitStack:
    """From now on, until what this returns is left or closed, a signal calls `undo` before it ends the process.

    `undo` may raise OSError.
    """
    registered = ExitStack()
    registered.callback(_undo.remove, undo)
    _undo.append(undo)
    return registered


@contextmanager
def _handlers(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Other handlers for the block; none where Python allows none, in other threads than the first."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in _numbers()}
    try:
        yield
    finally:
        for number, handler_before in before.items():
            signal.signal(number, handler_before)


@contextmanager
def interrupts_ignored() -> Iterator[None]:
    """In the block Ctrl-C is somebody else's: of a program that has the terminal now and gets the signal, too.

    That program may be started in the block: what ignores the signal here is not inherited.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        yield
        return
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def deferred() -> Iterator[None]:
    """A signal that arrives in the block has its effect at the block's end."""
    arrived: list[int] = []
    try:
        with _handlers(lambda number, frame: arrived.append(number)):
            yield
    finally:
        if arrived:
            os.kill(os.getpid(), arrived[0])


@contextmanager
def raising() -> Iterator[None]:
    """In the block signals raise: SIGINT KeyboardInterrupt, the others Terminated. For work that has to be wound up."""

    def handle(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise Terminated(number)

    with _handlers(handle):
        yield
