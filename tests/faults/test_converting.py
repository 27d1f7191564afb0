"""Somebody wants the program to end while it has another one work for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.devnet import Person
from tests.support.outcomes import temporary_files
from tests.support.recordings import wav
from tests.support.waiting import wait_until

People = Callable[[str], Person]

_SLOW = """#!{python}
import os, sys, time
with open(sys.argv[-1].removeprefix("file:"), "wb") as target:
    target.write(b"half of it")
with open({pid!r} + ".new", "w") as file:
    file.write(str(os.getpid()))
os.rename({pid!r} + ".new", {pid!r})
time.sleep(60)
"""


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_ended_while_a_recording_is_converted(number: signal.Signals, person: People, tmp_path: Path) -> None:
    """The other program ends with it, unless nobody could tell it to; and nothing of the recording is left."""
    alice = person("Alice")
    (tmp_path / "bin").mkdir()
    program, pid_file = tmp_path / "bin" / "ffmpeg", tmp_path / "pid"
    program.write_text(_SLOW.format(python=sys.executable, pid=str(pid_file)))
    program.chmod(0o755)
    able = replace(alice, extra={"PATH": str(program.parent)})
    process = able.start(
        "send", "me", "--voice", "-", "--convert", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin is not None
    process.stdin.write(wav(1))
    process.stdin.close()
    wait_until(pid_file.exists)
    converter = int(pid_file.read_text())
    try:
        process.send_signal(number)
        assert process.wait(30) == -number
        if number is not signal.SIGKILL:
            wait_until(lambda: not is_running(converter))
    finally:
        if is_running(converter):
            os.kill(converter, signal.SIGKILL)
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()
    assert temporary_files(alice.home) == []
    assert alice.run("log", "--json").objects == []
