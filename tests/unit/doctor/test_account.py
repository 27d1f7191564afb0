"""Profile, key, store, deliveries."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from session_cli.core.client import Client
from session_cli.core.doctor import Finding, Status, account, examine
from session_cli.core.profile import key_sources, open_profile
from session_cli.errors import KeySourceFailed
from session_cli.store.communities import RoomRow, ServerRow
from session_cli.store.key import KeyInfo, KeyMethod
from session_cli.store.records import NewDelivery, NewMessage
from tests.support.outcomes import files_below

from .conftest import SubjectMaker
from .found import statuses, text

ME = "05" + "ab" * 32


def create(home: Path, profile: str = "default", **options: object) -> Path:
    environ = {"SESSION_HOME": str(home), "PATH": os.environ["PATH"], "SESSION_PASSPHRASE": "secret"}
    with Client.create(profile, environ=environ, **options) as client:  # type: ignore[arg-type]
        return client.folder


# The profile.


def test_profiles(home: Path, profile: Path, subject: SubjectMaker) -> None:
    assert statuses(account.check_profile(subject())) == ["ok"]
    findings = list(account.check_profile(subject("bob")))
    assert statuses(findings) == ["problem"]
    assert "Others: default." in findings[0].message
    assert "--profile" in (findings[0].advice or "")
    assert statuses(account.check_profile(subject("../bob"))) == ["problem"]
    (profile / "messages.db").unlink()
    assert "has no messages.db" in text(account.check_profile(subject()))


# The key.


def test_a_key_file(profile: Path, subject: SubjectMaker) -> None:
    examined = subject()
    assert statuses(account.check_key(examined)) == ["ok"]
    assert examined.key is not None


@pytest.mark.parametrize("fault", ["missing", "short", "open", "other"])
def test_a_key_file_that_does_not_do(fault: str, home: Path, profile: Path, subject: SubjectMaker) -> None:
    path = home / "config/keys/default.key"
    match fault:
        case "missing":
            path.unlink()
        case "short":
            path.write_bytes(b"short")
        case "open":
            path.chmod(0o644)
        case _:
            path.write_bytes(bytes(32))
    examined = subject()
    assert statuses(account.check_key(examined)) == ["problem"]
    assert examined.key is None
    assert statuses(account.check_store(examined)) == ["info"]
    assert statuses(account.check_deliveries(examined)) == ["info"]


def test_a_header_that_does_not_do(profile: Path, subject: SubjectMaker) -> None:
    (profile / "key.json").write_bytes(b"{}")
    assert statuses(account.check_key(subject())) == ["problem"]
    (profile / "key.json").unlink()
    assert statuses(account.check_key(subject())) == ["problem"]
    assert statuses(account.check_key(subject("bob"))) == ["info"]


def test_passphrases(home: Path, tmp_path: Path, subject: SubjectMaker) -> None:
    create(home, key_method=KeyMethod.PASSPHRASE)
    findings = list(account.check_key(subject(SESSION_PASSPHRASE="secret")))
    assert statuses(findings) == ["ok"]
    assert "SESSION_PASSPHRASE" in findings[0].message
    assert statuses(account.check_key(subject(SESSION_PASSPHRASE="wrong"))) == ["problem"]
    both = list(account.check_key(subject(SESSION_PASSPHRASE="secret", SESSION_PASSPHRASE_FILE="/x")))
    assert statuses(both) == ["problem"]
    assert both[0].advice == "Unset all of them but one."
    assert statuses(account.check_key(subject())) == ["problem"], "nobody is there to type it"


def test_a_passphrase_that_is_typed(home: Path, subject: SubjectMaker) -> None:
    create(home, key_method=KeyMethod.PASSPHRASE)
    asked = []

    def answer(*, new: bool) -> str:
        asked.append(new)
        return typed

    typed = "secret"
    assert statuses(account.check_key(subject(prompt=answer))) == ["warning", "ok"]
    typed = "wrong"
    assert statuses(account.check_key(subject(prompt=answer))) == ["warning", "problem"]
    assert asked == [False, False], "once each"


def test_commands(home: Path, tmp_path: Path, subject: SubjectMaker) -> None:
    printed = "ab" * 32
    create(home, key_method=KeyMethod.COMMAND, key_command=f"echo {printed}")
    findings = list(account.check_key(subject()))
    assert statuses(findings) == ["ok"]
    assert printed not in text(findings)


def test_a_command_that_cron_could_not_run(home: Path, tmp_path: Path, subject: SubjectMaker) -> None:
    program = tmp_path / "bin/key-of-mine"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho {'ab' * 32}\n")
    program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    environ = {"SESSION_HOME": str(home), "PATH": path}
    Client.create(environ=environ, key_method=KeyMethod.COMMAND, key_command="key-of-mine").close()
    findings = list(account.check_key(subject(PATH=path)))
    assert statuses(findings) == ["ok", "warning"]
    assert "'key-of-mine'" in findings[1].message


def test_a_keyring(home: Path, subject: SubjectMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    create(home)
    keyring = KeyInfo(KeyMethod.KEYRING, keyring_backend="some.Keyring", keyring_entry="x")
    monkeypatch.setattr(account, "describe_key", lambda _: keyring)
    findings = list(account.check_key(subject()))
    assert statuses(findings) == ["ok", "info"]
    assert "some.Keyring" in findings[0].message

    def locked(*_: object, **__: object) -> bytes:
        raise KeySourceFailed("The keyring some.Keyring did not give the key (KeyringLocked). Is it unlocked?")

    monkeypatch.setattr(account, "open_key", locked)
    assert statuses(account.check_key(subject())) == ["problem"]


def test_the_bare_environment() -> None:
    bare = account.bare_environment(
        {"HOME": "/h", "DISPLAY": ":0", "SESSION_HOME": "/s", "PATH": "/opt", "GPG_TTY": "x"}
    )
    assert bare == {"HOME": "/h", "SESSION_HOME": "/s", "PATH": "/usr/bin:/bin", "SHELL": "/bin/sh"}


# The store.


def test_a_store(profile: Path, subject: SubjectMaker) -> None:
    examined = subject()
    list(account.check_key(examined))
    findings = list(account.check_store(examined))
    assert statuses(findings) == ["ok"]
    assert "the network mainnet" in findings[0].message
    assert statuses(account.check_deliveries(examined)) == ["ok"]


@pytest.mark.parametrize("fault", ["header", "page", "empty", "missing"])
def test_damage(fault: str, profile: Path, subject: SubjectMaker) -> None:
    path = profile / "messages.db"
    content = bytearray(path.read_bytes())
    examined = subject()
    list(account.check_key(examined))
    match fault:
        case "missing":
            path.unlink()
        case "empty":
            path.write_bytes(b"")
        case _:
            content[20 if fault == "header" else len(content) - 2000] ^= 1
            path.write_bytes(content)
    assert statuses(account.check_store(examined)) == ["info" if fault == "missing" else "problem"]


@pytest.mark.parametrize(("version", "expected"), [(1, ["info"]), (2, []), (3, ["problem"])])
def test_versions_of_the_tables(version: int, expected: list[str]) -> None:
    assert statuses(account.check_version(version, 2)) == expected


def test_deliveries(profile: Path, home: Path, subject: SubjectMaker) -> None:
    left = [("sent", "own"), ("pending", "recipient"), ("failed", "own"), ("queued", "recipient"), ("queued", "own")]
    opened = open_profile(key_sources({"SESSION_HOME": str(home)}, "default", None))
    with opened.store.transaction():
        for number, (status, role) in enumerate(left, 1):
            message = opened.store.messages.add(NewMessage(ME, "outgoing", ME, number, "x", status=status))
            assert message is not None
            opened.store.deliveries.add(message, NewDelivery(role, ME, 1, b"sealed", f"hash {number}"))
    opened.store.close()
    examined = subject()
    list(account.check_key(examined))
    list(account.check_store(examined))
    findings = list(account.check_deliveries(examined))
    assert statuses(findings) == ["info", "warning", "info"]
    assert all(finding.message.startswith("1 ") for finding in findings)


def test_communities(profile: Path, home: Path, subject: SubjectMaker) -> None:
    def look() -> list[Finding]:
        examined = subject()
        list(account.check_key(examined))
        list(account.check_store(examined))
        return list(account.check_communities(examined))

    assert statuses(look()) == ["ok"]
    opened = open_profile(key_sources({"SESSION_HOME": str(home)}, "default", None))
    server = ServerRow("http://rooms.example", bytes(32))
    with opened.store.transaction():
        opened.store.communities.put_server(server)
        opened.store.communities.put_room(RoomRow("http://rooms.example/lobby", server.base_url, "lobby"))
    assert statuses(look()) == ["ok"]
    with opened.store.transaction():
        opened.store.communities.put_server(replace(server, failures=3, problem="It said nothing."))
    opened.store.close()
    (finding,) = look()
    assert finding.status is Status.WARNING
    assert "http://rooms.example, asked in vain 3 times in a row: It said nothing." in finding.message


# Nothing changes.


def snapshot(folder: Path) -> list[tuple[str, int, int, bytes]]:
    return sorted(
        (str(path), path.stat().st_mode, path.stat().st_mtime_ns, path.read_bytes()) for path in files_below(folder)
    )


def test_nothing_is_changed(home: Path, profile: Path, subject: SubjectMaker) -> None:
    (profile / "messages.db").chmod(0o644)
    (home / "config/keys").chmod(0o755)
    before = snapshot(home)
    assert {finding.check: finding.status for finding in examine(subject(), offline=True)}["store"] == "ok"
    assert snapshot(home) == before


def test_nothing_is_changed_beside_a_writer(home: Path, profile: Path) -> None:
    opened = open_profile(key_sources({"SESSION_HOME": str(home)}, "default", None))
    with opened.store.transaction():
        opened.store.settings.set("display_name", "In the log")
    # In another process, as it is in life: connections of one process share what SQLite keeps of the file.
    look = (
        "import os; from session_cli.core.doctor import *; s = Subject('default')\n"
        "for f in examine(s, offline=True):\n"
        "  if f.check == 'deliveries': print(s.store.settings.get('display_name'), f.status)\n"
    )
    with opened.store.transaction():
        before = snapshot(home)
        done = subprocess.run(
            [sys.executable, "-c", look],
            env={**os.environ, "SESSION_HOME": str(home)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert snapshot(home) == before
    assert done.stdout == "In the log ok\n"
    opened.store.close()


def test_what_a_killed_process_has_left(home: Path, profile: Path, tmp_path: Path, subject: SubjectMaker) -> None:
    script = (
        "import os; from session_cli.core.profile import *\n"
        "p = open_profile(key_sources(os.environ, 'default', None))\n"
        "with p.store.transaction(): p.store.settings.set('display_name', 'In the log')\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", script], env={**os.environ, "SESSION_HOME": str(home)}, check=False)
    assert (profile / "messages.db-wal").stat().st_size
    before = snapshot(home)
    assert {finding.check: finding.status for finding in examine(subject(), offline=True)}["store"] == "ok"
    assert snapshot(home) == before
    (profile / "messages.db-shm").unlink()
    found = [finding for finding in examine(subject(), offline=True) if finding.check == "store"]
    assert statuses(found) == ["warning"], "a log without its index can't be read without a trace"
    assert not (profile / "messages.db-shm").exists()


# No trouble stops the others.


def test_every_check_reports_though_everything_is_broken(home: Path, subject: SubjectMaker) -> None:
    shutil.rmtree(home, ignore_errors=True)
    home.write_text("a file where the folder should be")
    findings = list(examine(subject(network_reference="/nowhere.toml"), offline=False))
    assert "network" in {finding.check for finding in findings}
    assert len({finding.check for finding in findings}) == 20
    assert "itself failed" not in text(findings)


def test_a_check_that_fails_itself_is_a_finding(subject: SubjectMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    from session_cli.core import doctor

    def broken(_: object) -> list[object]:
        raise ZeroDivisionError

    monkeypatch.setattr(doctor, "CHECKS", (("broken", broken), ("disk", lambda _: [])))
    (finding,) = examine(subject(), offline=True)
    assert (finding.check, finding.status) == ("broken", "problem")
    assert "ZeroDivisionError" in finding.message
