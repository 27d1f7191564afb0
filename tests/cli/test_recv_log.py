"""`recv` as a log: readers with places of their own, and what they leave for later."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from session_cli import Client
from session_cli.cli.event_output import mark
from session_cli.devnet.network import Devnet
from session_cli.store.readers import Writing
from tests.support.devnet import Person
from tests.support.outcomes import bodies, check_json_refusal, check_refusal, run_with
from tests.support.strangers import Stranger
from tests.support.waiting import wait_until

People = Callable[[str], Person]


@pytest.fixture
def bob(person: People, shared_net: Devnet) -> Person:
    """Somebody to whom a stranger has said one, two, three."""
    bob, stranger = person("Bob"), Stranger(shared_net)
    for text in ("one", "two", "three"):
        stranger.say(bob.id, text)
    return bob


def test_max_leaves_the_others_unread(bob: Person) -> None:
    assert bodies(bob.receive("--max", "2")) == ["one", "two"]
    assert bodies(bob.receive("--max", "2")) == ["three"]
    assert bob.receive("--max", "2") == []
    check_refusal(bob.try_run("recv", "--max", "0"), 2, "--max")


def test_peek_marks_nothing(bob: Person) -> None:
    assert bodies(bob.receive("--peek")) == ["one", "two", "three"]
    assert bodies(bob.receive("--peek", "--max", "1")) == ["one"]
    assert bodies(bob.receive()) == ["one", "two", "three"]
    assert bob.receive("--peek") == []


def test_each_cursor_sees_everything_once(bob: Person) -> None:
    assert bodies(bob.receive("--max", "1")) == ["one"]
    assert bodies(bob.receive("--cursor", "audit")) == ["one", "two", "three"]
    assert bob.receive("--cursor", "audit") == []
    listed = bob.run("cursor", "list", "--json").objects
    assert [(cursor["name"], cursor["unread"]) for cursor in listed] == [("audit", 0), ("default", 2)]
    assert bob.run("cursor", "list").lines == ["audit    0 unread events", "default  2 unread events"]


def test_cursors_are_reset_and_deleted(bob: Person) -> None:
    bob.receive()
    (cursor,) = bob.run("cursor", "reset", "default", "--json").objects
    assert (cursor["type"], cursor["name"], cursor["unread"]) == ("cursor", "default", 3)
    assert bodies(bob.receive()) == ["one", "two", "three"]
    assert bob.run("cursor", "reset", "late", "--to-end").text == "late  0 unread events\n"
    assert bob.receive("--cursor", "late") == []
    assert bob.run("cursor", "delete", "late").stdout == b""
    check_json_refusal(bob.try_run("cursor", "delete", "late", "--json"), 65, "invalid_input")
    assert bodies(bob.receive("--cursor", "late")) == ["one", "two", "three"]
    for name in ("", "../x", "a/b", "-"):
        check_refusal(bob.try_run("recv", "--cursor", name), 2, "cursor")


def test_one_sender_alone_and_then_the_others(person: People, shared_net: Devnet) -> None:
    """What is left out stays unread, wherever it lies."""
    bob, alice, carol = person("Bob"), person("Alice"), person("Carol")
    for who, text in ((alice, "a1"), (carol, "c1"), (alice, "a2"), (carol, "c2")):
        who.run("send", bob.id, text)
    assert bodies(bob.receive("--from", carol.id)) == ["c1", "c2"]
    assert bob.receive("--from", carol.id) == []
    assert bodies(bob.receive("--from", alice.id[:12], "--max", "1")) == ["a1"]
    alice.run("send", bob.id, "a3")
    assert bodies(bob.receive()) == ["a2", "a3"]
    assert bob.receive() == []
    check_refusal(bob.try_run("recv", "--from", "Nobody"), 65, "Nobody")


def test_types(bob: Person) -> None:
    assert bodies(bob.receive("--type", "message", "--max", "1")) == ["one"]
    check_refusal(bob.try_run("recv", "--type", "nonsense"), 2, "nonsense", "message")
    assert bodies(bob.receive()) == ["two", "three"]


def test_follow_prints_each_line_as_it_comes(person: People, shared_net: Devnet) -> None:
    bob, stranger = person("Bob"), Stranger(shared_net)
    follower = bob.start(
        "recv", "--follow", "--interval", "0.5", "--json", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert follower.stdout is not None
        for text in ("one", "two"):
            stranger.say(bob.id, text)
            assert json.loads(follower.stdout.readline())["body"] == text
    finally:
        follower.send_signal(signal.SIGTERM)
        output, errors = follower.communicate(timeout=60)
    assert (output, errors, follower.returncode) == (b"", b"", -signal.SIGTERM)
    assert bob.receive() == []


def test_follow_gets_over_a_network_that_is_gone(private_net: Devnet, tmp_path: Path) -> None:
    """It says so once, and once that it is back."""
    definition = tmp_path / "network.toml"
    private_net.write_definition(definition)
    bob, stranger = Person(tmp_path / "bob", definition).init(), Stranger(private_net)
    bob.run("recv")
    private_net.chaos.kill()
    follower = bob.start(
        "recv", "--follow", "--interval", "0.5", "--timeout", "2", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert follower.stdout is not None and follower.stderr is not None
        first = follower.stderr.readline().decode()
        assert first.startswith("session: ") and "Trying again" in first
        private_net.chaos.clear()
        stranger.say(bob.id, "at last")
        assert b"at last" in follower.stdout.readline() + follower.stdout.readline()
    finally:
        follower.terminate()
        _, errors = follower.communicate(timeout=60)
    assert errors.decode() == "session: It works again.\n"


def test_follow_ends_at_max(bob: Person) -> None:
    assert bodies(bob.receive("--follow", "--max", "3")) == ["one", "two", "three"]


@pytest.mark.parametrize("more", [["--wait", "1"], ["--fail-empty"]])
def test_follow_excludes_what_ends(more: list[str], bob: Person) -> None:
    check_refusal(bob.try_run("recv", "--follow", *more), 2, "--follow")


def test_fail_empty(bob: Person) -> None:
    assert len(bob.receive("--fail-empty")) == 3
    done = bob.try_run("recv", "--fail-empty")
    assert (done.code, done.stdout, done.stderr) == (1, b"", "")


def test_what_is_there_is_shown_before_the_network_is_asked(private_net: Devnet, tmp_path: Path) -> None:
    definition = tmp_path / "network.toml"
    private_net.write_definition(definition)
    bob = Person(tmp_path / "bob", definition).init()
    Stranger(private_net).say(bob.id, "seen by the audit only")
    bob.run("recv", "--cursor", "audit")
    private_net.chaos.kill()
    done = bob.try_run("recv", "--json", "--timeout", "3")
    message, error = done.objects
    assert (message["body"], error["type"], done.code) == ("seen by the audit only", "error", 75)
    assert bob.try_run("recv", "--timeout", "2").stdout == b""


def test_appending_to_a_file_goes_on_where_a_killed_run_ended(bob: Person, tmp_path: Path) -> None:
    """Whether a line was written before the kill is looked up in the file itself."""
    log = tmp_path / "log"
    with log.open("ab") as file:
        run_with(bob, "recv", "--json", "--max", "1", stdout=file)
    first = log.read_bytes()
    second = bob.run("recv", "--json", "--peek", "--max", "1").stdout
    with Client.open(environ=bob.environment) as client, client._store.transaction():
        # As a kill between writing and noting it leaves things: `two` was to be written at the end of the file …
        status = log.stat()
        writing = Writing((2,), status.st_dev, status.st_ino, status.st_size, (mark(second),))
        client._store.readers.set_writing("default", writing)
    log.write_bytes(first + second)  # … and was
    with log.open("ab") as file:
        run_with(bob, "recv", "--json", stdout=file)
    assert [json.loads(line)["body"] for line in log.read_text().splitlines()] == ["one", "two", "three"]


def test_downloads(person: People, tmp_path: Path) -> None:
    alice, bob = person("Alice"), person("Bob")
    bob.run("send", alice.id, "you may send me files")
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (tmp_path / "report.txt").write_text("figures")
    for _ in range(2):
        alice.run("attach", "send", bob.id, str(tmp_path / "report.txt"))
    alice.run("send", bob.id, "no file")
    accepted, first, second, text = bob.receive("--download", str(inbox))
    assert accepted["type"] == "contact_request"
    assert first["attachments"][0]["saved"] == str(inbox / "report.txt")
    assert second["attachments"][0]["saved"] == str(inbox / "report (2).txt")
    assert text["attachments"] == []
    assert sorted(file.name for file in inbox.iterdir()) == ["report (2).txt", "report.txt"]
    alice.run("attach", "send", bob.id, str(tmp_path / "report.txt"))
    (third,) = bob.receive("--download", str(inbox), "--download-name", "id")
    assert third["attachments"][0]["saved"] == str(inbox / f"{third['id']}-report.txt")
    alice.run("attach", "send", bob.id, str(tmp_path / "report.txt"))
    bob.receive("--download", str(tmp_path / "new"))
    assert (tmp_path / "new/report.txt").read_text() == "figures"
    check_refusal(bob.try_run("recv", "--download", str(tmp_path / "no/where")), 73, "no/where")


def test_no_attachments(person: People, tmp_path: Path) -> None:
    alice, bob = person("Alice"), person("Bob")
    alice.run("attach", "send", bob.id, "-", "--name", "a.txt", stdin=b"data")
    (message,) = bob.receive("--download", str(tmp_path), "--no-attachments")
    assert message["attachments"][0]["saved"] is None
    assert not (tmp_path / "a.txt").exists()


def test_a_file_that_is_gone_stops_nothing(person: People, shared_net: Devnet, tmp_path: Path) -> None:
    alice, bob = person("Alice"), person("Bob")
    bob.run("send", alice.id, "you may send me files")
    assert shared_net.options.data_dir is not None
    shelves = shared_net.options.data_dir / "files"
    before = set(shelves.iterdir())
    alice.run("attach", "send", bob.id, "-", "--name", "a.txt", stdin=b"data")
    for shelf in set(shelves.iterdir()) - before:
        shelf.unlink()
    alice.run("send", bob.id, "behind it")
    done = bob.try_run("recv", "--json", "--download", str(tmp_path))
    assert done.code == 1
    error, first, second = (shown for shown in done.objects if shown["type"] != "contact_request")
    assert (error["type"], error["error"], error["message_id"]) == ("error", "file_gone", first["id"])
    assert (first["body"], second["body"]) == ("", "behind it")
    assert f"session attach save {first['id']} --number 1" in done.stderr
    assert bob.receive() == []


def test_waiting_for_a_lock_is_75_and_names_who_has_it(bob: Person, tmp_path: Path) -> None:
    at_it = tmp_path / "at it"
    holder = bob.start("recv", "--exec", f"touch '{at_it}' && exec sleep 60", "--exec-shell")
    try:
        wait_until(at_it.exists)
        error = check_json_refusal(bob.try_run("recv", "--json", "--timeout", "1"), 75, "store_locked")
        assert f"process {holder.pid}" in error["message"]
        assert bodies(bob.receive("--cursor", "other")) == ["one", "two", "three"], "other readers don't wait"
    finally:
        holder.terminate()
        holder.wait(timeout=60)
    assert bodies(bob.receive()) == ["one", "two", "three"]
