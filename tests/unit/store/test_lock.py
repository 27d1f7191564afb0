from __future__ import annotations

import os
import signal
import stat
import sys
import time
from pathlib import Path
from types import FrameType

import pytest

from session_cli.errors import StoreLocked, StoreUnwritable
from session_cli.file_lock import FileLock, SharedLock, SoleLock, processes_with
from session_cli.store.sharing import claim_store, share_store
from tests.support.waiting import wait_until

from . import worker


def test_a_lock_is_taken_and_given_back(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lock = FileLock(path, 0)
    for _ in range(2):
        with lock, pytest.raises(StoreLocked):
            FileLock(path, 0).__enter__()
    with FileLock(path, 0):
        pass
    assert path.read_bytes() == str(os.getpid()).encode()


def test_an_exception_gives_it_back(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), FileLock(tmp_path / "lock", 0):
        raise KeyboardInterrupt
    with FileLock(tmp_path / "lock", 0):
        pass


def test_one_object_is_one_lock(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "lock", 0)
    with lock, pytest.raises(RuntimeError):
        lock.__enter__()
    with lock:
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="file modes are POSIX's")
def test_the_file_is_private(tmp_path: Path, any_umask: int) -> None:
    with FileLock(tmp_path / "lock", 0):
        assert stat.S_IMODE((tmp_path / "lock").stat().st_mode) == 0o600


def test_the_refusal_says_what_it_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    begin = time.monotonic()
    with FileLock(path, 0), pytest.raises(StoreLocked) as caught:
        FileLock(path, 0.2, purpose="to receive messages").__enter__()
    assert 0.2 <= time.monotonic() - begin < 5
    assert "to receive messages" in caught.value.message
    assert f"process {os.getpid()}" in caught.value.message


def test_nowhere_to_lock(tmp_path: Path) -> None:
    with pytest.raises(StoreUnwritable, match="No such file"):
        FileLock(tmp_path / "missing" / "lock", 0).__enter__()


def test_a_killed_holder_gives_it_back(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with worker.start("hold_lock", path) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            with pytest.raises(StoreLocked, match=f"process {holder.pid}"):
                FileLock(path, 0.1).__enter__()
        finally:
            holder.kill()
    with FileLock(path, 5):
        pass


def test_processes_take_turns(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    number = tmp_path / "lock.number"
    number.write_text("0")
    workers = [worker.start("count_under_lock", path, "25") for _ in range(4)]
    assert [process.wait() for process in workers] == [0] * 4
    for process in workers:
        process.communicate()
    assert number.read_text() == "100"


class Interrupted(Exception):
    pass


@pytest.mark.skipif(sys.platform == "win32", reason="timers are POSIX's")
def test_a_signal_ends_the_waiting(tmp_path: Path) -> None:
    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGALRM, interrupt)
    begin = time.monotonic()
    try:
        with FileLock(tmp_path / "lock", 0):
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            with pytest.raises(Interrupted):
                FileLock(tmp_path / "lock", 60).__enter__()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - begin < 10


# --- shared -------------------------------------------------------------------------------------------------------


def shared(path: Path, timeout_s: float = 0.1) -> SharedLock:
    return SharedLock(path, timeout_s, purpose="to open it")


def sole(path: Path, timeout_s: float = 0.1) -> SoleLock:
    return SoleLock(path, timeout_s, purpose="to have it")


def test_many_share_and_one_has_it_alone(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with shared(path) as one, shared(path) as other:
        assert (one.held, other.held) == (True, True)
        with pytest.raises(StoreLocked, match="to have it, but another session command"):
            sole(path).__enter__()
    assert not one.held
    with sole(path), pytest.raises(StoreLocked, match="has it alone"):
        shared(path).__enter__()
    with sole(path):
        pass
    assert path.read_bytes() == b""


def test_a_killed_one_that_shared_it_is_named_and_gives_it_back(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with worker.start("share_lock", path) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            named = rf"\(process {holder.pid}\)" if sys.platform == "linux" else "another"
            with pytest.raises(StoreLocked, match=named):
                sole(path).__enter__()
        finally:
            holder.kill()
    with sole(path, 5):
        pass


def test_who_has_a_file_open_is_told_from_who_has_it_locked(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("others do not tell")
    path = tmp_path / "lock"
    with worker.start("open_file", path) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "open\n"
            assert processes_with(path) == [holder.pid]
            assert processes_with(path, locked=True) == []
        finally:
            holder.kill()
    assert processes_with(path) == []
    assert processes_with(tmp_path / "missing") == []


def test_nowhere_to_share(tmp_path: Path, unprivileged: Path) -> None:
    unprivileged.chmod(0o500)
    with shared(unprivileged / "lock") as lock:
        assert not lock.held
    unprivileged.chmod(0o700)
    with SharedLock(unprivileged / "lock", 0, purpose="to look", create=False) as lock:
        assert not lock.held
    assert not (unprivileged / "lock").exists()


def test_one_that_may_only_be_read_can_be_shared(unprivileged: Path) -> None:
    path = unprivileged / "lock"
    path.touch(0o400)
    unprivileged.chmod(0o500)
    with shared(path) as lock:
        assert lock.held
        os.chmod(path, 0o600)  # noqa: PTH101
        with pytest.raises(StoreLocked):
            sole(path).__enter__()


def test_a_folder_that_was_replaced_while_its_lock_was_waited_for(tmp_path: Path) -> None:
    folder, aside, made = tmp_path / "profile", tmp_path / "aside", tmp_path / "made"
    folder.mkdir()
    made.mkdir()
    with claim_store(folder, 0, purpose="to replace the profile"):
        waiting = worker.start("share_store_of", folder)
        if sys.platform == "linux":
            wait_until(lambda: processes_with(folder / "store.lock") == [waiting.pid])
        folder.rename(aside)
        made.rename(folder)
    with waiting:
        assert waiting.stdout is not None
        assert waiting.stdout.readline() == "held\n"
        try:
            claim_store(aside, 0, purpose="").__enter__()
            with pytest.raises(StoreLocked):
                claim_store(folder, 0, purpose="").__enter__()
        finally:
            waiting.kill()
    folder.rename(tmp_path / "gone")
    assert share_store(folder) is None
