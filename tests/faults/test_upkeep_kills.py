"""Backups, restorations, new keys and compactions that are killed: the old or the new state works, nothing is left."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
@pytest.mark.parametrize("command", ["create", "restore", "replace", "rekey", "passphrase", "compact"])
def test_killed_at_every_step_and_at_many_moments(command: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.upkeep_kills", command, str(tmp_path)],
        cwd=TOP,
        env={"PATH": os.environ.get("PATH", os.defpath)},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-5000:]
    killed, _ = map(int, done.stdout.split())
    assert killed > 10, "it was always faster"
