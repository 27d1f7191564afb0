"""Permissions, file systems, room, leftovers, locks."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from session_cli.core.doctor import files
from session_cli.core.scratch import scratch_lock
from session_cli.file_lock import FileLock, holder_of

from .conftest import SubjectMaker
from .found import statuses, text

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="file modes are POSIX's")


def test_all_private(profile: Path, subject: SubjectMaker) -> None:
    findings = list(files.check_permissions(subject()))
    assert statuses(findings) == ["ok", "info"]
    assert "below one folder" in findings[1].message


def test_nothing_there(subject: SubjectMaker) -> None:
    assert statuses(files.check_permissions(subject())) == ["ok"]


@pytest.mark.parametrize(
    ("name", "mode", "status"),
    [
        ("data/profiles/default/messages.db", 0o640, "warning"),
        ("data/profiles/default", 0o750, "warning"),
        ("data/profiles/default/key.json", 0o644, "warning"),
        ("data/profiles/default/key.json", 0o660, "problem"),
        ("config/keys/default.key", 0o640, "problem"),
        ("config/keys", 0o711, "warning"),
        ("config/config.toml", 0o644, None),
        ("config/config.toml", 0o666, "warning"),
    ],
)
def test_open_to_others(
    name: str, mode: int, status: str | None, home: Path, profile: Path, subject: SubjectMaker
) -> None:
    path = home / name
    path.touch()
    path.chmod(mode)
    findings = [finding for finding in files.check_permissions(subject()) if name in finding.message]
    assert statuses(findings) == ([status] if status else [])
    for finding in findings:
        assert f"{mode:04o}" in finding.message
        assert (finding.advice or "").startswith("chmod u=rw")
        os.system(finding.advice or "")  # noqa: S605 - the advice has to work as it stands
    assert path.stat().st_mode & 0o022 == 0


def test_a_file_of_somebody_else(profile: Path, subject: SubjectMaker) -> None:
    if os.geteuid() != 0:
        pytest.skip("giving a file away takes root")
    os.chown(profile / "key.json", 12345, -1)
    findings = [finding for finding in files.check_permissions(subject()) if finding.advice]
    assert statuses(findings) == ["warning"]
    assert "user 12345" in findings[0].message


def test_a_parent_that_everybody_can_write(home: Path, profile: Path, subject: SubjectMaker) -> None:
    home.chmod(0o777)
    findings = [finding for finding in files.check_permissions(subject()) if finding.advice]
    assert statuses(findings) == ["problem"]
    assert findings[0].advice == f"chmod o-w {home}"
    home.chmod(0o1777)
    assert "problem" not in statuses(files.check_permissions(subject())), "as /tmp is"


MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
server:/home /home nfs4 rw 0 0
tmpfs /home/me/my\\040disk tmpfs rw 0 0
none /tmp tmpfs rw 0 0
/dev/sdb /tmp ext4 rw 0 0
broken
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [("/usr", "ext4"), ("/home/me", "nfs4"), ("/home/me/my disk/x", "tmpfs"), ("/homes", "ext4"), ("/tmp/x", "ext4")],
)
def test_which_file_system(folder: str, kind: str) -> None:
    assert files.file_system_of(Path(folder), MOUNTS) == kind


def test_the_place(subject: SubjectMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    assert statuses(files.check_place(subject())) in (["ok"], ["info"])
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: "x / nfs rw 0 0")
    assert statuses(files.check_place(subject())) == ["warning"]


@pytest.mark.parametrize(("free", "status"), [(10**12, "ok"), (10**7, "warning"), (10**5, "problem")])
def test_room(free: int, status: str) -> None:
    assert statuses(files.check_room(free, Path("/x"))) == [status]


def test_room_here(subject: SubjectMaker) -> None:
    assert statuses(files.check_disk(subject()))[0] in ("ok", "warning")


def test_nothing_left_over(profile: Path, subject: SubjectMaker) -> None:
    assert statuses(files.check_leftovers(subject())) == ["ok"]


def test_leftovers(profile: Path, subject: SubjectMaker) -> None:
    unfinished = profile.with_name(".bob.abcdef01.new")
    unfinished.mkdir()
    (unfinished / ".key.json.00.new").touch()
    findings = list(files.check_leftovers(subject()))
    assert statuses(findings) == ["info"]
    assert "2 unfinished files" in findings[0].message
    long_ago = time.time() - 7200
    for path in (unfinished / ".key.json.00.new", unfinished):
        os.utime(path, (long_ago, long_ago))
    findings = list(files.check_leftovers(subject()))
    assert statuses(findings) == ["warning"], "the folder stands for what is in it"
    assert findings[0].advice == f"rm -r {unfinished}"


@pytest.mark.parametrize("name", [".0123456789abcdef.scratch.tmp", ".bob.01234567.replaced.tmp"])
def test_leftovers_of_backups_and_compactions(name: str, profile: Path, subject: SubjectMaker) -> None:
    left = profile.with_name(name)
    left.mkdir()
    (left / "messages.db").touch()
    with scratch_lock(profile.parent):
        assert statuses(files.check_leftovers(subject())) == ["info"], "it may be at work"
    (finding,) = files.check_leftovers(subject())
    assert statuses([finding]) == ["warning"]
    assert str(left) in finding.message
    if "bob" in name:
        assert finding.advice is not None
        assert "session whoami --profile bob" in finding.advice, "it is all that is left of him"
        profile.with_name("bob").mkdir()
        (finding,) = files.check_leftovers(subject())
    assert finding.advice == f"rm -r {left}"


def test_key_files_that_nobody_uses(home: Path, profile: Path, subject: SubjectMaker) -> None:
    (home / "config/keys/gone.key").touch()
    findings = list(files.check_leftovers(subject()))
    assert statuses(findings) == ["info"]
    assert "gone.key" in findings[0].message
    assert "default.key" not in text(findings)
    (profile / "key.json").write_bytes(b"damaged")
    assert statuses(files.check_leftovers(subject())) == ["ok"], "whose they are can't be told"


def test_locks(profile: Path, subject: SubjectMaker) -> None:
    path = profile / "receive.lock"
    assert holder_of(path) is None
    assert not path.exists(), "looking makes nothing"
    path = profile.with_name("Some.One") / path.name
    path.parent.mkdir()
    assert statuses(files.check_locks(subject())) == ["ok"]
    with FileLock(path, 0):
        assert holder_of(path) == os.getpid()
        findings = list(files.check_locks(subject()))
        assert statuses(findings) == ["info"]
        assert f"Process {os.getpid()} holds Some.One/receive.lock" in findings[0].message
    assert holder_of(path) is None
    with FileLock(path, 0):
        path.write_bytes(b"")
        assert "Another process holds" in text(files.check_locks(subject()))
