"""Showing to recipients that one is typing, while what is to be sent is read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .context import App
from .text import short_id

if TYPE_CHECKING:
    from ..core.client import Client


@contextmanager
def shown_as_typing(app: App, client: Client, recipients: Sequence[str], read: Callable[[], str]) -> Iterator[str]:
    """What `read` gives, which may take its time; the recipients are told meanwhile that something is being typed.

    If reading fails, or the block, they are told that nothing comes.
    """
    from ..core.typing_signals import EVERY_S

    signals = client.typing_to(recipients)
    for account, reason in signals.untold:
        app.note(f"session: --typing does nothing for {short_id(account)}: {reason}.")
    text = _in_background(read)
    try:
        while True:
            signals.typing()
            try:
                found = text.result(timeout=EVERY_S)
                break
            except TimeoutError:
                continue
        yield found
    except Exception:
        signals.stopped()
        raise


def _in_background(read: Callable[[], str]) -> Future[str]:
    """Start to read in another thread: the client belongs to this one, which has to go on telling."""
    found: Future[str] = Future()

    def run() -> None:
        try:
            found.set_result(read())
        except Exception as error:  # noqa: BLE001 - raised where the result is asked for
            found.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return found
