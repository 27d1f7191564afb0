"""Two people, the installed program, a local network: what the program is for."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from tests.support.devnet import Person

People = Callable[[str], Person]


def test_a_text_is_shown_once(person: People) -> None:
    alice, bob = person("Alice"), person("Bob")
    sent = alice.run("send", bob.id, "-", stdin=b"hi\n")
    assert sent.text == "1\n"
    (message,) = bob.receive()
    assert message["type"] == "message"
    assert (message["body"], message["direction"], message["status"]) == ("hi", "incoming", "received")
    assert message["sender"] == {"id": alice.id, "name": "Alice"}
    assert message["conversation"] == {"type": "contact", "id": alice.id, "name": "Alice"}
    assert message["request"] is True
    assert bob.receive() == []
    assert bob.run("recv").text == ""


def test_answers_are_no_requests(person: People) -> None:
    alice, bob = person("Alice"), person("Bob")
    alice.run("send", bob.id, "one")
    bob.receive()
    bob.run("send", alice.id[:10], "two")
    bob.run("send", "Alice", "three")
    accepted, first, second = alice.receive()
    assert (accepted["type"], accepted["state"], accepted["sender"]["id"]) == ("contact_request", "accepted", bob.id)
    assert (first["body"], second["body"]) == ("two", "three")
    assert first["request"] is False
    alice.run("send", "Bob", "four")
    assert [m["request"] for m in bob.receive()] == [False]


def test_a_20_mb_pipe_comes_out_the_same(person: People) -> None:
    alice, bob = person("Alice"), person("Bob")
    data = os.urandom(20_000_000)
    alice.run("attach", "send", bob.id, "-", "--name", "noise.bin", "--caption", "listen", stdin=data)
    (message,) = bob.receive()
    (attachment,) = message["attachments"]
    assert message["body"] == "listen"
    assert (attachment["name"], attachment["size"]) == ("noise.bin", len(data))
    saved = bob.run("attach", "save", str(message["id"]), "-o", "-").stdout
    assert hashlib.sha256(saved).digest() == hashlib.sha256(data).digest()


def test_a_second_device_sees_what_the_first_sent(person: People, tmp_path: Path) -> None:
    alice, bob = person("Alice"), person("Bob")
    alice.run("send", bob.id, "from my phone")
    phrase = alice.run("phrase", "--yes").text
    laptop = Person(tmp_path / "laptop", alice.network)
    restored = laptop.run("restore", "--expect", alice.id, stdin=phrase.encode())
    assert restored.text.strip() == alice.id
    (copy,) = laptop.receive()
    assert (copy["direction"], copy["body"], copy["status"]) == ("outgoing", "from my phone", "sent")
    assert copy["conversation"]["id"] == bob.id
    assert alice.receive() == [], "the device that sent it has it already"


def test_note_to_self(person: People, tmp_path: Path) -> None:
    alice = person("Alice")
    alice.run("send", "me", "remember the milk")
    assert alice.receive() == []
    laptop = Person(tmp_path / "laptop", alice.network)
    laptop.run("restore", stdin=alice.run("phrase", "--yes").stdout)
    (note,) = laptop.receive()
    assert (note["body"], note["conversation"]["type"]) == ("remember the milk", "self")
    assert note["conversation"]["id"] == alice.id


def test_a_quote_names_the_message(person: People) -> None:
    alice, bob = person("Alice"), person("Bob")
    alice.run("send", bob.id, "tea?")
    (question,) = bob.receive()
    bob.run("send", alice.id, "yes", "--quote", str(question["id"]))
    (answer,) = alice.receive("--type", "message")
    assert answer["quote"] == {
        "sender": {"id": alice.id, "name": "Alice"},
        "timestamp_ms": question["timestamp_ms"],
        "id": 1,
        "excerpt": "tea?",
    }


def test_waiting_for_the_first_message(person: People) -> None:
    import subprocess

    alice, bob = person("Alice"), person("Bob")
    with bob.start("recv", "--json", "--wait", "60", stdout=subprocess.PIPE) as waiting:
        alice.run("send", bob.id, "at last")
        output, _ = waiting.communicate(timeout=60)
    assert waiting.returncode == 0
    assert b'"body":"at last"' in output


def test_peek_does_not_mark(person: People) -> None:
    alice, bob = person("Alice"), person("Bob")
    alice.run("send", bob.id, "look")
    assert len(bob.receive("--peek")) == 1
    assert len(bob.receive("--peek")) == 1
    assert len(bob.receive()) == 1
    assert bob.try_run("recv", "--fail-empty").code == 1
