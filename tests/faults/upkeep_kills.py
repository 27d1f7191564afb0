"""Runs one command again and again, kills it at another moment each time, and looks at what it left.

    python -m tests.faults.upkeep_kills COMMAND FOLDER

A process of its own, because it forks: no thread may be running. Fails with a traceback, else prints two numbers: how
often the command was killed, and how often it was faster.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path

from session_cli.cli.app import run
from session_cli.core.client import Client
from session_cli.core.profile import key_sources
from session_cli.core.upkeep import check_store
from session_cli.errors import NotConfigured
from session_cli.store.database import open_database
from session_cli.store.key import KeySources, open_key
from tests.support.outcomes import temporary_files

MOMENTS = 24
FILE_EVENTS = {"open", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate", "os.chmod"}
PASSPHRASES = {"old": "-".join(["old", "words"]), "new": "-".join(["new", "words"])}


@dataclass(frozen=True, slots=True)
class Command:
    """A command line, and what must be true whenever it was killed, and after its next undisturbed run."""

    arguments: list[str]
    pristine: Path
    after_kill: Callable[[], None]
    after_next: Callable[[], None]


def in_child(work: Callable[[], object], kill_after_s: float | None = None) -> int:
    """Do something in a process of its own, perhaps kill it; returns how it ended, as `subprocess` does."""
    pid = os.fork()
    if pid == 0:
        try:
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, 1)
            if kill_after_s is not None:
                os.dup2(null, 2)
            work()
        except SystemExit as end:
            os._exit(int(end.code or 0))
        except BaseException:  # noqa: BLE001 - said, and passed on as a number
            sys.excepthook(*sys.exc_info())
            os._exit(99)
        os._exit(0)
    if kill_after_s is not None:
        time.sleep(kill_after_s)
        os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def run_killed_at(arguments: list[str], number: int, home: Path) -> None:
    """Run a command that dies just before its n-th change of, or look into, a file of the home."""
    left = number

    def hook(event: str, values: tuple[object, ...]) -> None:
        nonlocal left
        if event in FILE_EVENTS and any(str(home) in str(value) for value in values):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    run(arguments)


def torment(command: Command, home: Path) -> tuple[int, int]:
    """Kill the command before every step that it takes in its files, and at moments spread over its time."""

    def prepare() -> None:
        shutil.rmtree(home)
        shutil.copytree(command.pristine, home)

    def examine() -> None:
        command.after_kill()
        assert in_child(lambda: run(command.arguments)) == 0
        command.after_next()
        assert temporary_files(home) == []

    durations = []
    for _ in range(3):
        prepare()
        begun = time.monotonic()
        assert in_child(lambda: run(command.arguments)) == 0
        durations.append(time.monotonic() - begun)
    killed = number = 0
    while True:
        prepare()
        ended = in_child(partial(run_killed_at, command.arguments, number, home))
        assert ended in (0, -signal.SIGKILL), ended
        if ended == 0:
            break
        number += 1
        killed += 1
        examine()
    faster = 0
    for moment in range(MOMENTS):
        prepare()
        ended = in_child(lambda: run(command.arguments), min(durations) * (moment + 0.5) / MOMENTS)
        assert ended in (0, -signal.SIGKILL), ended
        killed += ended != 0
        faster += ended == 0
        examine()
    return killed, faster


def make_account(home: Path, *, large: bool = True) -> str:
    """An account with a store of some size, most of which is free."""
    os.environ["SESSION_HOME"] = str(home)
    assert in_child(lambda: run(["init", "--quiet"])) == 0
    if large:
        key = open_key(home / "data" / "profiles" / "default", secrets=key_sources(os.environ, "default", None))
        connection = open_database(home / "data" / "profiles" / "default" / "messages.db", key, create=False)
        connection.execute("CREATE TABLE padding AS SELECT randomblob(2000000) AS content")
        connection.execute("INSERT INTO padding VALUES (randomblob(500000))")
        connection.execute("DELETE FROM padding WHERE rowid = 1")
        connection.close()
    return account()


def account() -> str:
    """The account of the profile, whose store must be sound."""
    with Client.open() as client:
        found = str(client.account_id)
    sources = key_sources(os.environ, "default", None)
    findings = list(check_store(sources))
    assert findings == [], findings
    return found


def expect(*accounts: str | None) -> Callable[[], None]:
    """A check that the account is one of these; None stands for no profile at all."""

    def look() -> None:
        try:
            found: str | None = account()
        except NotConfigured:
            found = None
        assert found in accounts, found

    return look


def main(what: str, folder: Path) -> tuple[int, int]:
    """Prepare and torment one command."""
    home, pristine, backup = folder / "home", folder / "pristine", folder / "home" / "the.backup"
    os.environ |= {"SESSION_NETWORK": "testnet", "SESSION_BACKUP_PASSPHRASE": PASSPHRASES["old"]}
    # Each run shall spend its time on its work.
    for module in ("cli.account", "cli.backup", "cli.store", "core.backup", "core.upkeep"):
        import_module(f"session_cli.{module}")
    # Guesses are not the subject here; they would take all the time.
    cheap = KeySources.__dataclass_fields__["cost"].default
    object.__setattr__(cheap, "operations", 1)
    object.__setattr__(cheap, "memory_bytes", 8192)
    first = make_account(folder / "first")
    assert in_child(lambda: run(["backup", "create", "--quiet", str(folder / "kept")])) == 0
    second = make_account(pristine, large=what != "restore")
    if what == "restore":
        shutil.rmtree(pristine / "data")
        shutil.rmtree(pristine / "config")
    shutil.copytree(pristine, home)
    os.environ["SESSION_HOME"] = str(home)

    def backup_is_whole_or_absent() -> None:
        expect(second)()
        if backup.exists():
            assert in_child(lambda: run(["backup", "verify", str(backup)])) == 0
            backup.unlink()

    def old_or_new_passphrase() -> None:
        try:
            expect(second)()
        except Exception:  # noqa: BLE001 - whatever it is, the other one must do
            os.environ["SESSION_PASSPHRASE"] = PASSPHRASES["new"]
            expect(second)()

    def new_passphrase() -> None:
        os.environ["SESSION_PASSPHRASE"] = PASSPHRASES["new"]
        expect(second)()
        os.environ["SESSION_PASSPHRASE"] = PASSPHRASES["old"]

    def compacted() -> None:
        expect(second)()
        assert (home / "data" / "profiles" / "default" / "messages.db").stat().st_size < 1_000_000

    nothing_more = expect(second)
    match what:
        case "create":
            command = Command(
                ["backup", "create", "--quiet", str(backup)], pristine, backup_is_whole_or_absent, nothing_more
            )
        case "restore":
            # What is there already is a whole profile, which the next run has to replace.
            arguments = ["backup", "restore", "--quiet", "--force", str(folder / "kept")]
            command = Command(arguments, pristine, expect(first, None), expect(first))
        case "replace":
            arguments = ["backup", "restore", "--quiet", "--force", str(folder / "kept")]
            command = Command(arguments, pristine, expect(first, second), expect(first))
        case "rekey":
            command = Command(["store", "rekey", "--quiet", "--key", "keyfile"], pristine, nothing_more, nothing_more)
        case "passphrase":
            os.environ["SESSION_HOME"] = str(pristine)
            os.environ["SESSION_NEW_PASSPHRASE"] = PASSPHRASES["old"]
            assert in_child(lambda: run(["store", "rekey", "--quiet", "--key", "passphrase"])) == 0
            os.environ |= {"SESSION_HOME": str(home), "SESSION_PASSPHRASE": PASSPHRASES["old"]}
            os.environ["SESSION_NEW_PASSPHRASE"] = PASSPHRASES["new"]
            arguments = ["store", "rekey", "--quiet", "--key", "passphrase"]
            command = Command(arguments, pristine, old_or_new_passphrase, new_passphrase)
        case _:
            command = Command(["store", "compact"], pristine, nothing_more, compacted)
    return torment(command, home)


if __name__ == "__main__":
    print(*main(sys.argv[1], Path(sys.argv[2])))
