"""What a signal undoes, and for how long."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from session_cli import signals
from session_cli.cli.hook import Hook
from session_cli.core.exporting import Export
from session_cli.core.scratch import scratch_folder
from session_cli.core.spool import NewFile
from session_cli.errors import HookFailed

posix = pytest.mark.skipif(sys.platform == "win32", reason="hooks are run as on POSIX")


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    before = list(signals._undo)
    yield
    assert signals._undo == before


def test_until_it_is_left() -> None:
    def undo() -> None:
        """Never called: nobody is killed."""

    with signals.undo_when_killed(undo):
        with signals.undo_when_killed(undo):
            assert signals._undo[-2:] == [undo, undo]
        assert undo in signals._undo
    assert undo not in signals._undo


def test_scratch_folders(tmp_path: Path) -> None:
    count = len(signals._undo)
    with scratch_folder(tmp_path), pytest.raises(ValueError, match="mine"), scratch_folder(tmp_path / "other"):
        assert len(signals._undo) == count + 2
        raise ValueError("mine")


@pytest.mark.parametrize("nameless", [True, False])
@pytest.mark.parametrize("overwrite", [True, False])
@pytest.mark.parametrize("complete", [True, False])
def test_new_files(
    *, nameless: bool, overwrite: bool, complete: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not nameless:
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    target = tmp_path / "target"
    new = NewFile(target, overwrite=overwrite)
    with new as output:
        output.write(b"content")
        if complete:
            new.commit()
    assert [path.name for path in tmp_path.iterdir()] == (["target"] if complete else [])


def test_exports(tmp_path: Path) -> None:
    with Export(tmp_path / "all.html") as export:
        export.output.write(b"content")
        export.commit()


@posix
@pytest.mark.parametrize("command", ["true", "false"])
def test_hooks(command: str) -> None:
    hook = Hook(command, shell=False, timeout_s=10, environ=os.environ)
    try:
        hook.run(b"{}", {})
    except HookFailed:
        assert command == "false"


def test_progress_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    from session_cli.cli.progress import ProgressBar

    monkeypatch.setattr(sys, "stderr", io.StringIO())
    bar = ProgressBar()
    for _ in range(3):
        bar("reading", 1, 2)
        bar("reading", 2, 2)
