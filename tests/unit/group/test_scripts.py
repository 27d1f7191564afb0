"""Histories of groups against the official library's results: every byte that is pushed, everything that is read."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.vectors import cases

from .script import Script


@pytest.mark.parametrize("vector", cases("groups", "script"))
def test_script(vector: dict[str, Any]) -> None:
    script = Script(vector)
    for step in vector["steps"]:
        script.play(step)
