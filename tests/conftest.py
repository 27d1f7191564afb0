"""What holds for all tests."""

from __future__ import annotations

from hypothesis import settings

# How long an example takes depends on what else the machine does; tests/bench measures time, properties don't.
settings.register_profile("session", deadline=None)
settings.load_profile("session")
