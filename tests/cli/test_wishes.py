"""What people have asked command-line messengers for, for years and in vain; the numbers are names only.

Each test shows the wish granted in its plainest form. Corners of it are tested where they belong.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from session_cli.cli.app import COMMANDS
from session_cli.cli.exit_codes import ExitCode
from session_cli.cli.manual import EXIT_CODES
from session_cli.devnet.network import Devnet
from tests.support.devnet import SESSION, Person
from tests.support.outcomes import bodies, files_below
from tests.support.strangers import Stranger
from tests.support.waiting import wait_until

People = Callable[[str], Person]
ROOT = Path(__file__).parents[2]


def test_wish_4_an_exit_status_that_tells_the_truth(private_net: Devnet, tmp_path: Path) -> None:
    definition = tmp_path / "network.toml"
    private_net.write_definition(definition)
    alice, bob = (Person(tmp_path / name, definition).init() for name in ("alice", "bob"))
    assert alice.try_run("send", bob.id, "arrives").code == 0
    assert bodies(bob.receive()) == ["arrives"]
    private_net.chaos.kill()
    assert alice.try_run("send", "--timeout", "2", bob.id, "does not").code == 75
    assert bob.try_run("recv", "--timeout", "2").code == 75
    private_net.chaos.clear()
    assert bob.receive() == []


def test_wish_5_distinct_codes_that_are_documented() -> None:
    """Every code has a line in the manual, and the manual names no other; test_exit_codes.py provokes each."""
    page = (ROOT / "man/man1/session.1").read_text(encoding="utf-8")
    section = page.partition(".SH EXIT STATUS")[2].partition(".SH ")[0]
    shown = {
        int(code): text.replace("\\-", "-") for code, text in re.findall(r"^\.TP\n\\fB(\d+)\\fR\n(.*)$", section, re.M)
    }
    assert set(shown) == {int(code) for code in ExitCode}
    assert shown == {int(code): text for code, text in EXIT_CODES.items()}
    provoked = (ROOT / "tests/cli/test_exit_codes.py").read_text(encoding="utf-8")
    assert {int(code) for code in re.findall(r"^def test_(\d+)_", provoked, re.M)} == set(shown)


def test_wish_6_json_for_every_command_and_as_rich_as_the_text(person: People, tmp_path: Path) -> None:
    """One object a line, each with its version and type; what the text shows is in it."""
    alice, bob = person("Alice"), person("Bob")
    (tmp_path / "a.txt").write_text("data")
    calls: tuple[tuple[str, ...], ...] = (
        ("whoami",),
        ("send", bob.id, "hello"),
        ("attach", "send", bob.id, str(tmp_path / "a.txt")),
        ("recv",),
        ("log",),
        ("list",),
        ("search", "hello"),
        ("attach", "list"),
        ("cursor", "list"),
        ("outbox", "list"),
        ("config", "list"),
        ("schema", "message"),
        ("store", "info"),
        ("store", "check"),
        ("network", "status"),
        ("network", "path"),
        ("doctor", "--offline"),
    )
    for call in calls:
        for item in alice.run(*call, "--json").objects:
            assert item["v"] == 1 and item["type"], call
    bob.run("recv", "--cursor", "text")
    text = bob.run("recv", "--peek").text
    for item in bob.receive():
        assert item["sender"]["name"] in text
        assert f"#{item['id']}" in text
        assert item["body"] in text
        assert all(file["name"] in text for file in item["attachments"])


def test_wish_7_flags_where_people_type_them(person: People) -> None:
    alice = person("Alice")
    alice.run("send", "me", "hello")
    expected = alice.run("log", "--json").objects
    assert alice.run("--json", "log").objects == expected
    assert alice.run("attach", "--json", "list").objects == alice.run("attach", "list", "--json").objects
    assert alice.run("log", "me", "--json", "--limit", "1").objects == expected


def test_wish_8_nothing_but_data_on_stdout_and_silence_on_demand(person: People, tmp_path: Path) -> None:
    newcomer = Person(tmp_path / "new", person("Alice").network)
    made = newcomer.run("init", "--name", "New")
    assert re.fullmatch(r"05[0-9a-f]{64}\n", made.text)
    assert "phrase" in made.stderr.lower()
    quiet = Person(tmp_path / "quiet", newcomer.network).run("init", "--quiet")
    assert re.fullmatch(r"05[0-9a-f]{64}\n", quiet.text)
    assert quiet.stderr == ""
    assert newcomer.run("recv", "-v").stdout == b""


def test_wish_9_the_identifier_of_what_was_sent(person: People) -> None:
    alice, bob = person("Alice"), person("Bob")
    number = alice.run("send", bob.id, "question").text.strip()
    (sent,) = alice.run("send", bob.id, "--quote", number, "more", "--json").objects
    first, second = bob.receive()
    assert second["timestamp_ms"] == sent["timestamp_ms"]
    assert second["quote"] == {
        "sender": {"id": alice.id, "name": "Alice"},
        "timestamp_ms": first["timestamp_ms"],
        "id": first["id"],
        "excerpt": "question",
    }
    assert [item["id"] for item in alice.run("log", bob.id, "--json").objects] == [int(number), sent["id"]]


def test_wish_10_one_shot_commands_load_little(person: People) -> None:
    """How fast they are is measured by tests/bench; here is what makes them so."""
    alice = person("Alice")
    alice.run("recv")
    loaded = {
        name: subprocess.run(
            [Path(SESSION[0]).with_name("python"), "-X", "importtime", "-m", "session_cli", *name.split()],
            env=alice.environment,
            capture_output=True,
            check=True,
            text=True,
        ).stderr
        for name in ("--help", "whoami", "log", "recv")
    }
    for module, allowed in {
        "apsw": {"whoami", "log", "recv"},
        "requests": {"recv"},
        "keyring": set[str](),
        "google.protobuf": set[str](),
        "rich": set[str](),
    }.items():
        assert {name for name, text in loaded.items() if re.search(rf"\| +{re.escape(module)}$", text, re.M)} == allowed


def test_wish_11_several_runs_at_once(person: People) -> None:
    alice, bob = person("Alice"), person("Bob")
    senders = [alice.start("send", "-q", bob.id, f"text {n}", stdout=subprocess.DEVNULL) for n in range(4)]
    receivers = [bob.start("recv", "--json", stdout=subprocess.PIPE) for _ in range(2)]
    readers = [bob.start("log", stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait(timeout=120) for process in [*senders, *readers]] == [0] * 6
    shown = [
        json.loads(line)["body"] for receiver in receivers for line in receiver.communicate(timeout=120)[0].splitlines()
    ]
    assert Counter([*shown, *bodies(bob.receive())]) == Counter(f"text {n}" for n in range(4))


def test_wish_12_a_store_that_is_locked_says_so(person: People, shared_net: Devnet, tmp_path: Path) -> None:
    bob, at_it = person("Bob"), tmp_path / "at it"
    Stranger(shared_net).say(bob.id, "hello")
    holder = bob.start("recv", "--exec", f"touch '{at_it}' && exec sleep 60", "--exec-shell")
    try:
        wait_until(at_it.exists)
        refused = bob.try_run("recv", "--timeout", "1")
        assert (refused.code, refused.stdout) == (75, b"")
        assert f"another session command (process {holder.pid}) is at it" in refused.stderr
    finally:
        holder.terminate()
        holder.wait(timeout=60)


def test_wish_13_a_message_is_never_lost(person: People, shared_net: Devnet) -> None:
    """Who can't write it out has not received it."""
    bob = person("Bob")
    Stranger(shared_net).say(bob.id, "precious")
    with Path("/dev/full").open("wb") as full:
        assert bob.start("recv", stdout=full, stderr=subprocess.DEVNULL).wait(timeout=60) == 74
    assert bob.try_run("recv", "--exec", "false").code == 1
    assert bodies(bob.receive()) == ["precious"]


def test_wish_14_history_is_kept_and_searched(person: People) -> None:
    alice, bob = person("Alice"), person("Bob")
    for text in ("the disk is full", "nothing of note"):
        alice.run("send", bob.id, text)
    bob.receive()
    assert bodies(bob.run("log", alice.id, "--json").objects) == ["the disk is full", "nothing of note"]
    assert bodies(bob.run("search", '"disk is"', "--from", alice.id, "--json").objects) == ["the disk is full"]
    assert bodies(alice.run("search", "no*", "--in", bob.id, "--json").objects) == ["nothing of note"]


def test_wish_15_sending_to_a_name(person: People) -> None:
    alice, bob = person("Alice"), person("Bob")
    bob.run("send", alice.id, "I am Bob")
    alice.receive()
    alice.run("send", bob.id[:10], "by the beginning of the id")
    alice.run("send", "Bob", "by name")
    assert bodies(bob.receive()) == ["by the beginning of the id", "by name"]


def test_wish_16_stdin_without_surprises(person: People) -> None:
    alice = person("Alice")
    assert alice.run("send", "me", "given", stdin=b"ignored").text
    assert alice.run("send", "me", "-", stdin=b"read\n").text
    assert alice.run("send", "me", stdin=b"read, too").text
    assert alice.try_run("send", "me", stdin=b"").code == 65
    assert bodies(alice.run("log", "me", "--json").objects) == ["given", "read", "read, too"]


def test_wish_17_a_pipe_becomes_an_attachment(person: People) -> None:
    alice, bob = person("Alice"), person("Bob")
    screenshot = os.urandom(50_000)
    alice.run("attach", "send", bob.id, "-", "--name", "shot.png", stdin=screenshot)
    (message,) = bob.receive()
    assert message["attachments"][0]["name"] == "shot.png"
    assert bob.run("attach", "save", str(message["id"]), "-o", "-").stdout == screenshot


def test_wish_18_where_attachments_go(person: People, tmp_path: Path) -> None:
    """Nowhere, unless they are asked for; then where they are wanted. Nothing comes from strangers."""
    alice, bob = person("Alice"), person("Bob")
    bob.run("send", alice.id, "you may send me files")
    alice.run("attach", "send", bob.id, "-", "--name", "a.txt", stdin=b"secret text")
    before = files_below(bob.home)
    message = bob.receive("--peek")[-1]
    assert message["attachments"][0]["saved"] is None
    assert {path.name for path in files_below(bob.home)} - {path.name for path in before} <= {"receive.lock"}
    message = bob.receive("--download", str(tmp_path), "--download-name", "id")[-1]
    assert (tmp_path / f"{message['id']}-a.txt").read_bytes() == b"secret text"


def test_wish_19_something_is_run_on_each_message(person: People, tmp_path: Path) -> None:
    alice, bob = person("Alice"), person("Bob")
    text = "with 'quotes', $(commands) and\nlines"
    alice.run("send", bob.id, "-", stdin=text.encode())
    hook = tmp_path / "hook"
    hook.write_text('#!/bin/sh\ncat > event.json; printf %s "$SESSION_SENDER_NAME: $SESSION_BODY" > fields\n')
    hook.chmod(0o755)
    subprocess.run([*SESSION, "recv", "--exec", str(hook)], cwd=tmp_path, env=bob.environment, check=True, timeout=60)
    assert (tmp_path / "fields").read_text() == f"Alice: {text}"
    assert json.loads((tmp_path / "event.json").read_text())["body"] == text


@pytest.mark.parametrize("how", ["keyfile", "passphrase"])
def test_wish_20_everything_is_encrypted_at_rest(
    how: str, person: People, shared_definition: Path, tmp_path: Path
) -> None:
    bob = Person(tmp_path / "bob", shared_definition, extra={"SESSION_PASSPHRASE": "correct horse battery"}).init(
        "--key", how
    )
    secret = "a sentence that stands nowhere else"
    person("Alice").run("send", bob.id, secret)
    assert bodies(bob.receive()) == [secret]
    phrase = bob.run("phrase", "--yes").text.split()
    database = bob.home / "data/profiles/default/messages.db"
    with pytest.raises(sqlite3.DatabaseError):
        sqlite3.connect(database).execute("SELECT count(*) FROM sqlite_master").fetchall()
    for path in files_below(bob.home):
        data = path.read_bytes()
        assert secret.encode() not in data
        assert " ".join(phrase).encode() not in data
        assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("how", ["keyfile", "passphrase file", "passphrase command", "command"])
def test_wish_21_without_a_keyring(how: str, shared_definition: Path, tmp_path: Path) -> None:
    """As under cron: no terminal, no session bus, nothing but PATH and HOME in the environment."""
    secret = tmp_path / "secret"
    secret.write_text("correct horse battery\n")
    secret.chmod(0o600)
    arguments, extra = {
        "keyfile": (["--key", "keyfile"], {}),
        "passphrase file": (["--key", "passphrase"], {"SESSION_PASSPHRASE_FILE": str(secret)}),
        "passphrase command": (["--key", "passphrase"], {"SESSION_PASSPHRASE_COMMAND": f"cat {secret}"}),
        "command": (["--key", "command", "--key-command", f"cat {secret}"], {}),
    }[how]
    bob = Person(tmp_path / "bob", shared_definition, extra=extra).init(*arguments)
    assert bob.run("whoami", "--quiet", "--no-input").text.strip() == bob.id
    bob.run("recv")
    secret.write_text("something else\n")
    if how != "keyfile":
        assert bob.try_run("recv").code == 77


def test_every_command_is_in_the_manual() -> None:
    """What can't be found is as good as not there."""
    pages = {path.name for path in (ROOT / "man/man1").iterdir()}
    assert {f"session-{name}.1" for name in COMMANDS} <= pages
