"""`store info`, `check`, `rekey` and `compact`, as their users meet them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from session_cli import Client
from session_cli.cli.schema import json_schema
from session_cli.core.profile import key_sources
from session_cli.store.database import open_database
from session_cli.store.key import open_key
from tests.support.devnet import Done, Person
from tests.support.outcomes import (
    assert_absent,
    assert_private,
    bodies,
    check_json_refusal,
    check_refusal,
    objects,
    temporary_files,
)

People = Callable[[str], Person]
LINUX = sys.platform == "linux"
OLD, NEW = "-".join(["old", "words"]), "-".join(["new", "words"])


@pytest.fixture
def alice(person: People) -> Person:
    alice = person("Alice")
    alice.run("send", "me", "an old message")
    return alice


def folder_of(person: Person) -> Path:
    return person.home / "data" / "profiles" / "default"


def keys_of(person: Person) -> list[str]:
    return sorted(path.name for path in (person.home / "config" / "keys").iterdir())


def the_object(done: Done) -> dict[str, Any]:
    (found,) = objects(done)
    jsonschema.validate(found, json_schema())
    return found


def execute(person: Person, statement: str) -> None:
    """Change the database behind the program's back."""
    key = open_key(folder_of(person), secrets=key_sources(person.environment, "default", None))
    connection = open_database(folder_of(person) / "messages.db", key, create=False)
    connection.pragma("foreign_keys", False)
    connection.execute(statement)
    connection.close()


def assert_works(person: Person) -> None:
    assert person.run("whoami", "--quiet").text.strip() == person.id
    with Client.open(environ=person.environment) as client:
        assert client.message(1).body == "an old message"
    assert the_object(person.run("store", "check", "--json"))["ok"]


# --- info ---------------------------------------------------------------------------------------------------------


def test_facts(alice: Person) -> None:
    alice.run("attach", "send", "me", "-", "--name", "a.txt", stdin=b"contents")
    info = the_object(alice.run("store", "info", "--json"))
    assert (info["messages"], info["conversations"], info["attachments"]) == (2, 1, 1)
    assert info["key"] == {"method": "keyfile", "keyring": None}
    assert Path(info["path"]).stat().st_size <= info["size"]
    assert info["free_pages"] < info["pages"]
    shown = dict(line.split(maxsplit=1) for line in alice.run("store", "info").lines)
    assert list(shown) == ["path", "size", "version", "cipher", "key", "messages", "files", "unknown"]
    assert (shown["path"], shown["messages"]) == (info["path"], "2 in 1 conversation")
    assert "SQLCipher 4" in shown["cipher"]


def test_no_profile(shared_definition: Path, tmp_path: Path) -> None:
    nobody = Person(tmp_path / "home", shared_definition)
    for command in (("info",), ("check",), ("compact",), ("rekey", "--key", "keyfile")):
        check_refusal(nobody.try_run("store", *command), 78, "no profile")
    assert not nobody.home.exists()


# --- rekey --------------------------------------------------------------------------------------------------------


def test_from_a_key_file_to_a_passphrase_to_another_and_back(alice: Person) -> None:
    assert keys_of(alice) == ["default.key"]
    alice.extra = {"SESSION_NEW_PASSPHRASE": OLD}
    changed = alice.run("store", "rekey", "--key", "passphrase")
    assert (changed.stdout, "now comes from a passphrase" in changed.stderr) == (b"", True)
    assert keys_of(alice) == []
    alice.extra = {"SESSION_PASSPHRASE": OLD}
    assert_works(alice)
    check_refusal(alice.try_run("store", "rekey", "--key", "passphrase"), 77, "SESSION_NEW_PASSPHRASE_FILE")
    alice.extra = {"SESSION_PASSPHRASE": OLD, "SESSION_NEW_PASSPHRASE": NEW}
    changed_json = the_object(alice.run("store", "rekey", "--key", "passphrase", "--json"))
    assert changed_json["before"] == changed_json["after"] == {"method": "passphrase", "keyring": None}
    check_refusal(alice.try_run("whoami"), 77)
    alice.extra = {"SESSION_PASSPHRASE": NEW}
    assert_works(alice)
    alice.run("store", "rekey", "--key", "keyfile")
    alice.extra = {}
    assert_works(alice)
    assert len(keys_of(alice)) == 1
    assert_private(alice.home)
    assert_absent(alice.home, OLD.encode(), NEW.encode())


def test_a_new_key_file_replaces_the_old_one(alice: Person) -> None:
    before = (alice.home / "config" / "keys" / "default.key").read_bytes()
    changed = alice.run("store", "rekey", "--key", "keyfile")
    assert "as before, but from another one" in changed.stderr
    (name,) = keys_of(alice)
    assert (alice.home / "config" / "keys" / name).read_bytes() != before
    assert_works(alice)


def test_to_a_command(alice: Person, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("ab" * 32)
    alice.run("store", "rekey", "--key", "command", "--key-command", f"cat {secret}", "--quiet")
    assert keys_of(alice) == []
    assert_works(alice)
    secret.write_text("cd" * 32)
    check_refusal(alice.try_run("whoami"), 77)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "--key"),
        (("--key", "command"), 2, "--key-command"),
        (("--key", "keyfile", "--key-command", "echo x"), 2, "--key command only"),
        (("--key", "command", "--key-command", "false"), 77, "exit status 1"),
        (("--key", "keyring"), 77, "No keyring"),
        (("--key", "passphrase"), 77, "SESSION_NEW_PASSPHRASE"),
    ],
)
def test_a_refusal_changes_nothing(arguments: tuple[str, ...], code: int, words: str, alice: Person) -> None:
    alice.extra = {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}
    header = (folder_of(alice) / "key.json").read_bytes()
    check_refusal(alice.try_run("store", "rekey", *arguments), code, words)
    assert (folder_of(alice) / "key.json").read_bytes() == header
    assert keys_of(alice) == ["default.key"]
    assert_works(alice)


def test_two_new_passphrases(alice: Person) -> None:
    alice.extra = {"SESSION_NEW_PASSPHRASE": NEW, "SESSION_NEW_PASSPHRASE_COMMAND": "echo x"}
    check_refusal(alice.try_run("store", "rekey", "--key", "passphrase"), 2, "Only one of SESSION_NEW_PASSPHRASE and")


# --- check --------------------------------------------------------------------------------------------------------


def check(person: Person) -> list[dict[str, str]]:
    """The findings, which come with exit code 1, in both forms."""
    done = person.try_run("store", "check", "--json")
    found = the_object(done)
    assert done.code == (0 if found["ok"] else 1)
    assert found["ok"] == (found["findings"] == [])
    shown = person.try_run("store", "check")
    assert (shown.code, len(shown.lines)) == (done.code, len(found["findings"]) or 1)
    return list(found["findings"])


def test_a_sound_store(alice: Person) -> None:
    done = alice.run("store", "check")
    assert (done.text, done.stderr) == ("The store is sound.\n", "")
    assert check(alice) == []


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("DELETE FROM settings WHERE name = 'seed'", "secret is missing"),
        ("INSERT INTO readers (name, seq) VALUES ('late', 1000000)", "1 of the readers' positions"),
        ("INSERT INTO events (type, message_id) VALUES (0, NULL)", "1 events have lost their message"),
        ("DELETE FROM conversations", "entries of messages belong to entries of conversations that don't exist"),
        ("DROP TABLE readers", "tables are missing"),
    ],
)
def test_what_does_not_fit_together(statement: str, words: str, alice: Person) -> None:
    execute(alice, statement)
    (finding,) = check(alice)
    assert finding["part"] == "contents"
    assert words in finding["message"]


@pytest.mark.parametrize("page", [0, 1, 5])
def test_damaged_pages(page: int, alice: Person) -> None:
    alice.run("store", "compact")
    path = folder_of(alice) / "messages.db"
    with path.open("r+b") as file:
        file.seek(page * 4096 + 100)
        file.write(b"damage")
    findings = check(alice)
    assert {finding["part"] for finding in findings} == {"database"}
    advice = alice.try_run("store", "check")
    assert "session backup restore --force" in advice.stderr


@pytest.mark.parametrize("content", [b"", b"x", b"SQLite format 3\0" + bytes(4080)])
def test_a_database_that_is_none(content: bytes, alice: Person) -> None:
    (folder_of(alice) / "messages.db").write_bytes(content)
    (finding,) = check(alice)
    assert finding["part"] == "database"


def test_a_missing_database(alice: Person) -> None:
    (folder_of(alice) / "messages.db").unlink()
    (finding,) = check(alice)
    assert finding["part"] == "database"


@pytest.mark.parametrize("content", [None, b"", b"{}", b"[" * 10_000])
def test_a_header_that_is_none(content: bytes | None, alice: Person) -> None:
    header = folder_of(alice) / "key.json"
    if content is None:
        header.unlink()
    else:
        header.write_bytes(content)
    (finding,) = check(alice)
    assert finding["part"] == "key"
    assert "key.json" in finding["message"]


def test_others_have_access(alice: Person) -> None:
    folder_of(alice).chmod(0o755)
    (folder_of(alice) / "key.json").chmod(0o640)
    findings = the_object(alice.try_run("store", "check", "--json"))["findings"]
    assert [finding["part"] for finding in findings] == ["files", "files"]
    assert f"chmod 600 {folder_of(alice) / 'key.json'}" in findings[1]["message"]


def test_the_key_can_not_be_had(alice: Person) -> None:
    (alice.home / "config" / "keys" / "default.key").unlink()
    check_json_refusal(alice.try_run("store", "check", "--json"), 77, "key_unavailable")


def test_a_later_store(alice: Person) -> None:
    execute(alice, "PRAGMA user_version = 1000")
    for command in (("info",), ("check",)):
        check_refusal(alice.try_run("store", *command), 78, "later release")


# --- compact ------------------------------------------------------------------------------------------------------


def bloat(person: Person) -> None:
    """Make the store large, and nearly all of it free."""
    execute(person, "CREATE TABLE padding AS SELECT randomblob(4000000) AS content")
    execute(person, "DROP TABLE padding")


def test_what_is_free_is_given_back(alice: Person) -> None:
    bloat(alice)
    before = the_object(alice.run("store", "info", "--json"))
    done = the_object(alice.run("store", "compact", "--json"))
    after = the_object(alice.run("store", "info", "--json"))
    assert before["free_pages"] > 900
    assert after["free_pages"] == 0
    assert done["before"] - done["after"] > 3_600_000
    assert (folder_of(alice) / "messages.db").stat().st_size == done["after"]
    assert_works(alice)
    assert_private(alice.home)
    assert temporary_files(alice.home) == []
    assert_absent(alice.home, b"an old message", b"SQLite format 3")
    assert "0 B freed" in alice.run("store", "compact").text
    alice.run("send", "me", "one more")


def test_killed_half_way_it_is_not_damaged(alice: Person) -> None:
    bloat(alice)
    # What SQLite leaves when it is killed between the first page written and the last.
    code = (
        "import os, sys; from pathlib import Path; from session_cli.store.database import open_database\n"
        "database = open_database(Path(sys.argv[1]), bytes.fromhex(sys.stdin.read()), create=False)\n"
        "database.pragma('locking_mode', 'exclusive'); database.pragma('journal_mode', 'delete')\n"
        "database.pragma('cache_size', 5); database.execute('BEGIN')\n"
        "database.execute('CREATE TABLE half (content)')\n"
        "database.execute('INSERT INTO half SELECT randomblob(4000) FROM events, pragma_function_list LIMIT 500')\n"
        "os.kill(os.getpid(), 9)"
    )
    path = folder_of(alice) / "messages.db"
    key = open_key(folder_of(alice), secrets=key_sources(alice.environment, "default", None))
    subprocess.run([sys.executable, "-c", code, str(path)], input=key.hex().encode(), check=False)
    journal = path.with_name("messages.db-journal")
    assert journal.stat().st_size > 0
    done = alice.try_run("doctor", "--offline", "--json")
    (found,) = (item for item in done.objects if item["check"] == "store")
    assert (found["status"], "can't be looked at without writing" in found["message"]) == ("warning", True)
    assert "damaged" not in done.text
    assert_works(alice)
    assert not journal.exists()
    (found,) = (item for item in alice.run("doctor", "--offline", "--json").objects if item["check"] == "store")
    assert found["status"] == "ok"


def test_not_while_others_have_it_open(alice: Person) -> None:
    bloat(alice)
    with Client.open(environ=alice.environment):
        who = f"(process {os.getpid()})" if LINUX else "another"
        check_refusal(alice.try_run("store", "compact"), 75, "to compact the store", who)
        check_json_refusal(alice.try_run("store", "compact", "--json"), 75, "store_locked")
    assert_works(alice)
    alice.run("store", "compact")


def test_others_wait_meanwhile(alice: Person) -> None:
    bloat(alice)
    senders = [alice.start("send", "me", f"text {index}", stdout=subprocess.DEVNULL) for index in range(3)]
    compacting = [alice.try_run("store", "compact").code for _ in range(3)]
    assert set(compacting) <= {0, 75}
    assert [sender.wait(60) for sender in senders] == [0, 0, 0]
    assert_works(alice)


def test_a_damaged_store_is_not_compacted(alice: Person) -> None:
    bloat(alice)
    path = folder_of(alice) / "messages.db"
    with path.open("r+b") as file:
        file.seek(5 * 4096 + 100)
        file.write(b"damage")
    content = path.read_bytes()
    check_refusal(alice.try_run("store", "compact"), 65, "damaged")
    assert path.read_bytes()[4096:] == content[4096:]
    assert temporary_files(alice.home) == []


def test_receiving_after_all_of_it(alice: Person, person: People) -> None:
    bob = person("Bob")
    bob.run("send", alice.id, "first")
    assert bodies(alice.receive()) == ["first"]
    alice.run("store", "compact")
    alice.run("store", "rekey", "--key", "keyfile")
    bob.run("send", alice.id, "second")
    assert bodies(alice.receive()) == ["second"]
