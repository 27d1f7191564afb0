"""`backup create`, `verify` and `restore`, as their users meet them."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from session_cli import Client
from session_cli.cli.schema import json_schema
from session_cli.devnet.network import Devnet
from session_cli.store.backup_format import HEADER_BYTES
from tests.support.devnet import SESSION, Done, Person
from tests.support.outcomes import (
    assert_absent,
    assert_private,
    bodies,
    check_json_refusal,
    check_refusal,
    files_below,
    objects,
    run_with,
    temporary_files,
)
from tests.support.strangers import Stranger

People = Callable[[str], Person]
LINUX = sys.platform == "linux"
SECRET = "-".join(["a", "long", "passphrase"])
PASSPHRASE = {"SESSION_BACKUP_PASSPHRASE": SECRET}


@pytest.fixture
def alice(person: People) -> Person:
    """Somebody with a message, whose shell knows the passphrase of her backups."""
    alice = person("Alice")
    alice.run("send", "me", "an old message")
    alice.extra = PASSPHRASE
    return alice


@pytest.fixture
def backup(alice: Person, tmp_path: Path) -> Path:
    """A backup of Alice's."""
    path = tmp_path / "alice.backup"
    alice.run("backup", "create", str(path))
    return path


def newcomer(alice: Person, folder: Path) -> Person:
    """The same person on a new machine."""
    return Person(folder, alice.network, alice.id, PASSPHRASE)


def the_object(done: Done) -> dict[str, Any]:
    (found,) = objects(done)
    jsonschema.validate(found, json_schema())
    return found


def contents_of(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in files_below(folder)}


# --- create -------------------------------------------------------------------------------------------------------


def test_everything_comes_back(alice: Person, person: People, shared_net: Devnet, tmp_path: Path) -> None:
    """What came before the backup is there and not shown again; what came after it is shown once."""
    bob, stranger = person("Bob"), Stranger(shared_net)
    bob.run("send", alice.id, "before, and shown")
    assert bodies(alice.receive()) == ["before, and shown"]
    alice.run("attach", "send", bob.id, "-", "--name", "a.txt", "--caption", "file", stdin=b"contents")
    stranger.say(alice.id, "before, but not fetched")
    file = tmp_path / "alice.backup"
    made = the_object(alice.run("backup", "create", "--json", str(file)))
    bob.run("send", alice.id, "after")
    alice.receive()
    laptop = newcomer(alice, tmp_path / "laptop")
    restored = laptop.run("backup", "restore", str(file))
    assert restored.text.strip() == alice.id
    assert (made["path"], made["account"]) == (str(file), alice.id)
    assert made["network"] == the_object(alice.run("whoami", "--json"))["network"]
    assert (made["profile"], made["messages"]) == ("default", 3)
    came = laptop.receive()
    assert bodies([event for event in came if event["type"] == "message"]) == ["before, but not fetched", "after"]
    assert laptop.receive() == []
    (listed,) = laptop.run("attach", "list", "--json").objects
    assert listed["attachments"][0]["name"] == "a.txt"
    assert laptop.run("phrase", "--yes").text == alice.run("phrase", "--yes").text
    laptop.run("send", bob.id, "from the laptop")
    assert bob.receive()[-1]["body"] == "from the laptop"


def test_what_waits_to_be_read_still_does(alice: Person, person: People, tmp_path: Path) -> None:
    person("Bob").run("send", alice.id, "not read yet")
    alice.run("recv", "--peek")
    alice.run("backup", "create", str(tmp_path / "b"))
    laptop = newcomer(alice, tmp_path / "laptop")
    laptop.run("backup", "restore", str(tmp_path / "b"))
    assert bodies(laptop.receive()) == ["not read yet"]


def test_names(alice: Person, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    named = run_with(alice, "backup", "create", cwd=folder)
    assert re.fullmatch(r"session-default-\d{4}-\d\d-\d\d-\d{6}\.backup\n", named.text)
    assert re.search(r"holds 1 message of 05", named.stderr)
    (made,) = folder.iterdir()
    made.unlink()
    in_folder = alice.run("backup", "create", "--quiet", str(folder))
    assert in_folder.stderr == ""
    assert [str(path) for path in folder.iterdir()] == [in_folder.text.strip()]


@pytest.mark.parametrize("mask", [0o000, 0o777])
def test_it_is_private_and_holds_nothing_in_clear(mask: int, alice: Person, tmp_path: Path) -> None:
    file = tmp_path / "b"
    assert run_with(alice, "backup", "create", str(file), umask=mask).code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    content = file.read_bytes()
    for secret in (b"an old message", b"Alice", alice.id.encode(), b"default", b"SQLite", b"devnet"):
        assert secret not in content
    laptop = newcomer(alice, tmp_path / "laptop")
    assert run_with(laptop, "backup", "verify", str(file), umask=mask).code == 0
    assert run_with(laptop, "backup", "restore", str(file), umask=mask).code == 0
    for home in (alice.home, laptop.home):
        assert_private(home)
        assert_absent(home, b"an old message", SECRET.encode())
        assert temporary_files(home) == []


def test_a_file_that_is_there_is_replaced_by_force_alone(alice: Person, tmp_path: Path) -> None:
    file = tmp_path / "b"
    file.write_text("precious")
    check_refusal(alice.try_run("backup", "create", str(file)), 73, str(file), "--force")
    check_json_refusal(alice.try_run("backup", "create", "--json", str(file)), 73, "cannot_create")
    assert file.read_text() == "precious"
    alice.run("backup", "create", "--force", str(file))
    alice.run("backup", "verify", str(file))
    check_refusal(alice.try_run("backup", "create", str(tmp_path / "none" / "b")), 73, "no folder")


def test_through_pipes(alice: Person, tmp_path: Path) -> None:
    made = alice.run("backup", "create", "-")
    assert made.stdout.startswith(b"session-backup\r\n")
    assert the_object(alice.run("backup", "verify", "--json", "-", stdin=made.stdout))["path"] is None
    laptop = newcomer(alice, tmp_path / "laptop")
    restored = the_object(laptop.run("backup", "restore", "-", "--json", stdin=made.stdout))
    assert (restored["type"], restored["id"], restored["name"]) == ("account", alice.id, "Alice")
    assert check_json_refusal(alice.try_run("backup", "create", "-", "--json"), 2, "usage")["message"]


def test_not_to_a_terminal(alice: Person) -> None:
    pty = pytest.importorskip("pty")
    main, side = pty.openpty()
    try:
        done = run_with(alice, "backup", "create", "-", stdout=side)
    finally:
        os.close(main)
        os.close(side)
    check_refusal(done, 2, "nothing for a terminal")


def test_a_reader_that_leaves(alice: Person) -> None:
    done = subprocess.run(
        ["sh", "-c", '"$@" backup create - | head -c 10; exit 0', "sh", *SESSION],
        env=alice.environment,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (done.stdout, done.stderr.count(b"\n") < 2) == (b"session-ba", True)
    assert temporary_files(alice.home) == []


def test_while_others_write(alice: Person, tmp_path: Path) -> None:
    senders = [alice.start("send", "me", f"text {index}", stdout=subprocess.DEVNULL) for index in range(3)]
    for index in range(3):
        alice.run("backup", "create", str(tmp_path / str(index)))
    assert [sender.wait(60) for sender in senders] == [0, 0, 0]
    counts = [
        the_object(alice.run("backup", "verify", "--json", str(tmp_path / str(index))))["messages"]
        for index in range(3)
    ]
    assert counts == sorted(counts)
    assert the_object(alice.run("store", "check", "--json"))["ok"]


def test_no_account(shared_definition: Path, tmp_path: Path) -> None:
    nobody = Person(tmp_path / "home", shared_definition, extra=PASSPHRASE)
    check_refusal(nobody.try_run("backup", "create", str(tmp_path / "b")), 78, "no profile")
    assert not (tmp_path / "b").exists()


# --- passphrases --------------------------------------------------------------------------------------------------


def test_where_the_passphrase_comes_from(backup: Path, alice: Person, tmp_path: Path) -> None:
    file = tmp_path / "passphrase"
    file.write_text(SECRET + "\nsecond line")
    for extra in (
        {"SESSION_BACKUP_PASSPHRASE_FILE": str(file)},
        {"SESSION_BACKUP_PASSPHRASE_COMMAND": f"head -n 1 {file}"},
    ):
        alice.extra = extra
        alice.run("backup", "verify", str(backup))
    alice.extra = {**PASSPHRASE, "SESSION_BACKUP_PASSPHRASE_FILE": str(file)}
    for command in ("verify", "restore", "create"):
        target = tmp_path / "new" if command == "create" else backup
        done = alice.try_run("backup", command, "--profile", "default" if command == "create" else "new", str(target))
        check_refusal(done, 2, "Only one of SESSION_BACKUP_PASSPHRASE and SESSION_BACKUP_PASSPHRASE_FILE")
    alice.extra = {}
    check_refusal(alice.try_run("backup", "create", str(tmp_path / "new")), 77, "SESSION_BACKUP_PASSPHRASE_FILE")
    check_refusal(alice.try_run("backup", "verify", str(backup)), 77, "The backup has a passphrase")
    file.write_text("\n")
    alice.extra = {"SESSION_BACKUP_PASSPHRASE_FILE": str(file)}
    check_refusal(alice.try_run("backup", "create", str(tmp_path / "new")), 77, "empty")
    assert not (tmp_path / "new").exists()


def test_the_stores_passphrase_is_another_matter(alice: Person, tmp_path: Path) -> None:
    alice.extra = {"SESSION_NEW_PASSPHRASE": "store"}
    alice.run("store", "rekey", "--key", "passphrase")
    alice.extra = {"SESSION_PASSPHRASE": "store", **PASSPHRASE}
    alice.run("backup", "create", str(tmp_path / "b"))
    laptop = newcomer(alice, tmp_path / "laptop")
    laptop.extra = {**PASSPHRASE, "SESSION_PASSPHRASE": "laptop's"}
    laptop.run("backup", "restore", str(tmp_path / "b"), "--key", "passphrase")
    assert laptop.run("whoami", "--quiet").text.strip() == alice.id
    laptop.extra = {"SESSION_PASSPHRASE": "store"}
    check_refusal(laptop.try_run("whoami"), 77)


def test_a_wrong_passphrase(backup: Path, alice: Person, tmp_path: Path) -> None:
    laptop = newcomer(alice, tmp_path / "laptop")
    laptop.extra = {"SESSION_BACKUP_PASSPHRASE": "wrong"}
    check_json_refusal(laptop.try_run("backup", "verify", "--json", str(backup)), 77, "wrong_key")
    check_refusal(laptop.try_run("backup", "restore", str(backup)), 77, "does not open this backup")
    assert not (laptop.home / "data").exists() or not list(files_below(laptop.home))


# --- verify -------------------------------------------------------------------------------------------------------


def test_what_a_backup_holds(backup: Path, alice: Person, tmp_path: Path) -> None:
    other = newcomer(alice, tmp_path / "other")
    shown = dict(line.split(maxsplit=1) for line in other.run("backup", "verify", str(backup)).lines)
    assert shown["account"] == alice.id
    assert (shown["profile"], shown["messages"]) == ("default", "1")
    assert shown["network"] == the_object(alice.run("whoami", "--json"))["network"]
    assert set(shown) == {"account", "profile", "network", "messages", "made", "size"}
    assert not (other.home / "data").exists(), "no profile is touched"


@pytest.mark.parametrize(
    ("damage", "code", "words"),
    [
        (lambda b: b[:0], 65, "no backup"),
        (lambda b: b"PK\3\4" + b, 65, "no backup"),
        (lambda b: b[:50], 65, "cut short"),
        (lambda b: b[:-1], 65, "cut short"),
        (lambda b: b[:HEADER_BYTES], 65, "cut short"),
        (lambda b: b[:40] + b"\xff" + b[41:], 65, "header is damaged"),
        (lambda b: b[:5000] + bytes([b[5000] ^ 1]) + b[5001:], 65, "damaged"),
        (lambda b: b + b"\0", 65, "damaged"),
        (lambda b: b[:16] + b"\2" + b[17:], 78, "later release"),
    ],
    ids=["empty", "something else", "in the header", "the last byte", "the header alone", "header", "body", "longer",
         "later"],
)  # fmt: skip
def test_damage_is_named_and_nothing_is_made(
    damage: Callable[[bytes], bytes], code: int, words: str, backup: Path, alice: Person, tmp_path: Path
) -> None:
    backup.write_bytes(damage(backup.read_bytes()))
    laptop = newcomer(alice, tmp_path / "laptop")
    check_refusal(laptop.try_run("backup", "verify", str(backup)), code, words)
    check_refusal(laptop.try_run("backup", "restore", "--force", str(backup)), code, words)
    assert laptop.try_run("whoami").code == 78
    assert {path.name for path in files_below(laptop.home)} <= {"scratch.lock"}
    before = alice.run("phrase", "--yes").text
    check_refusal(alice.try_run("backup", "restore", "--force", str(backup)), code, words)
    assert alice.run("phrase", "--yes").text == before
    assert [path.name for path in (alice.home / "config" / "keys").iterdir()] == ["default.key"]


def test_files_that_can_not_be_read(alice: Person, tmp_path: Path) -> None:
    for command in ("verify", "restore"):
        check_refusal(alice.try_run("backup", command, "--profile", "new", str(tmp_path / "none")), 66, "none")
        check_refusal(alice.try_run("backup", command, "--profile", "new", str(tmp_path)), 66, str(tmp_path))


# --- restore ------------------------------------------------------------------------------------------------------


def test_an_account_that_is_there_is_left_alone(backup: Path, alice: Person, person: People) -> None:
    bob = person("Bob")
    bob.extra = PASSPHRASE
    before = contents_of(bob.home / "data" / "profiles" / "default")
    check_refusal(bob.try_run("backup", "restore", str(backup)), 73, "--force", "--profile")
    check_json_refusal(bob.try_run("backup", "restore", "--json", str(backup)), 73, "profile_exists")
    assert contents_of(bob.home / "data" / "profiles" / "default") == before
    bob.run("backup", "restore", "--profile", "alice", str(backup))
    assert bob.run("whoami", "--quiet").text.strip() == bob.id
    assert bob.run("whoami", "--quiet", "--profile", "alice").text.strip() == alice.id


def test_force_replaces_the_account_and_removes_its_key(backup: Path, alice: Person, person: People) -> None:
    bob = person("Bob")
    bob.extra = PASSPHRASE
    keys = bob.home / "config" / "keys"
    (old_key,) = keys.iterdir()
    old = old_key.read_bytes()
    assert bob.run("backup", "restore", "--force", str(backup)).text.strip() == alice.id
    assert bob.run("whoami", "--quiet").text.strip() == alice.id
    assert [path.read_bytes() == old for path in keys.iterdir()] == [False]
    assert temporary_files(bob.home) == []
    assert [path.name for path in (bob.home / "data" / "profiles").iterdir() if path.is_dir()] == ["default"]


def test_force_leaves_a_key_that_a_copy_of_the_profile_needs(backup: Path, person: People) -> None:
    bob = person("Bob")
    bob.extra = PASSPHRASE
    profiles = bob.home / "data" / "profiles"
    subprocess.run(["cp", "-r", str(profiles / "default"), str(profiles / "copy")], check=True)
    bob.run("backup", "restore", "--force", str(backup))
    assert bob.run("whoami", "--quiet", "--profile", "copy").text.strip() == bob.id


def test_force_over_an_account_that_nobody_can_open(backup: Path, alice: Person) -> None:
    (alice.home / "data" / "profiles" / "default" / "key.json").write_text("{}")
    assert alice.try_run("whoami").code == 65
    alice.run("backup", "restore", "--force", str(backup))
    assert alice.run("whoami", "--quiet").text.strip() == alice.id


def test_not_while_somebody_has_it_open(backup: Path, alice: Person) -> None:
    with Client.open(environ=alice.environment):
        done = alice.try_run("backup", "restore", "--force", str(backup))
    check_refusal(done, 75, "to replace the profile", f"(process {os.getpid()})" if LINUX else "another")
    assert alice.run("whoami", "--quiet").text.strip() == alice.id
    assert temporary_files(alice.home) == []
    assert len(list((alice.home / "config" / "keys").iterdir())) == 1
    alice.run("backup", "restore", "--force", str(backup))


@pytest.mark.parametrize("method", ["keyfile", "command"])
def test_the_key_is_kept_as_asked_for_and_a_new_one(method: str, backup: Path, alice: Person, tmp_path: Path) -> None:
    laptop = newcomer(alice, tmp_path / "laptop")
    options = ("--key-command", "echo " + "ab" * 32) if method == "command" else ()
    restored = laptop.run("backup", "restore", str(backup), "--key", method, "--json", *options)
    assert the_object(restored)["store"]["key"] == method
    assert laptop.run("whoami", "--quiet").text.strip() == alice.id
    stores = [who.home / "data" / "profiles" / "default" / "messages.db" for who in (alice, laptop)]
    assert stores[0].read_bytes() != stores[1].read_bytes()


def test_a_key_command_that_fails_leaves_nothing(backup: Path, alice: Person, tmp_path: Path) -> None:
    laptop = newcomer(alice, tmp_path / "laptop")
    check_refusal(laptop.try_run("backup", "restore", str(backup), "--key-command", "false"), 77, "exit status 1")
    check_refusal(laptop.try_run("backup", "restore", str(backup), "--key", "command"), 2, "--key-command")
    assert {path.name for path in files_below(laptop.home)} <= {"scratch.lock"}


def test_another_network(backup: Path, alice: Person, tmp_path: Path) -> None:
    laptop = newcomer(alice, tmp_path / "laptop")
    check_refusal(laptop.try_run("backup", "restore", str(backup), "--network", "mainnet"), 78, "'devnet-", "'mainnet'")
    assert laptop.try_run("whoami").code == 78


def test_the_networks_definition_has_moved(backup: Path, alice: Person, tmp_path: Path) -> None:
    moved = tmp_path / "moved.toml"
    moved.write_bytes(Path(alice.network).read_bytes())
    laptop = newcomer(alice, tmp_path / "laptop")
    laptop.run("backup", "restore", str(backup), "--network", str(moved))
    done = run_with(laptop, "recv", env={k: v for k, v in laptop.environment.items() if k != "SESSION_NETWORK"})
    assert (done.code, done.stderr) == (0, "")


def test_asked_for_on_a_terminal(alice: Person, tmp_path: Path) -> None:
    """Twice when it is chosen, once when it is used."""
    pty = pytest.importorskip("pty")
    alice.extra = {}

    def talk(answers: list[str], *arguments: str) -> tuple[int, str]:
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(SESSION[0], [*SESSION, *arguments], alice.environment)  # noqa: S606
        seen = b""
        for answer in answers:
            while not seen.rstrip(b"\r\n").endswith(b": ") or seen.endswith(b"\n"):
                seen += os.read(terminal, 1000)
            os.write(terminal, answer.encode() + b"\n")
            seen += b"\n"
        try:
            while part := os.read(terminal, 1000):
                seen += part
        except OSError:
            pass
        os.close(terminal)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen.decode()

    file = str(tmp_path / "b")
    code, seen = talk(["one", "two"], "backup", "create", file)
    assert (code, "The two passphrases differ." in seen) == (65, True)
    assert not Path(file).exists()
    code, seen = talk([SECRET, SECRET], "backup", "create", file)
    assert (code, seen.count("Choose a passphrase for the backup: "), seen.count("Again: ")) == (0, 1, 1)
    assert SECRET not in seen
    code, seen = talk([SECRET], "backup", "verify", file)
    assert (code, seen.count("Passphrase of the backup: ")) == (0, 1)
