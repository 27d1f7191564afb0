"""Waiting for what happens soon, instead of sleeping for what might."""

from __future__ import annotations

import time
from collections.abc import Callable

_PAUSE_S = 0.02


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Return once `condition` holds; fail if it does not within so many seconds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"it did not happen within {seconds:g} s"
        time.sleep(_PAUSE_S)
