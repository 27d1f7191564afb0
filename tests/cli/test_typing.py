"""Typing: who is told, and what is shown of it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace

from session_cli.devnet.network import Devnet
from session_cli.protocol.payload import Typing
from tests.support.devnet import Person
from tests.support.friends import befriend, events, log, other_app
from tests.support.outcomes import check_refusal
from tests.support.strangers import Stranger, now_ms
from tests.support.waiting import wait_until

People = Callable[[str], Person]
MINUTE_MS = 60_000


def watching(someone: Person) -> Person:
    """The same person, who wants to see who is typing."""
    return replace(someone, extra={"SESSION_TYPING": "true"})


def test_typing_comes_before_the_message(person: People) -> None:
    alice, bob = person("Alice"), watching(person("Bob"))
    befriend(alice, bob)
    assert alice.run("send", bob.id, "here it is", "--typing").stderr == ""
    first, second = bob.receive()
    assert (first["type"], first["started"], first["sender"]["name"]) == ("typing", True, "Alice")
    assert (second["type"], second["body"]) == ("message", "here it is")
    assert first["timestamp_ms"] < second["timestamp_ms"]
    assert [each["body"] for each in log(bob)][-1] == "here it is"


def test_the_other_one_sees_it_while_one_types(person: People) -> None:
    alice, bob = person("Alice"), watching(person("Bob"))
    befriend(alice, bob)
    with alice.start("send", bob.id, "-", "--typing", stdin=subprocess.PIPE) as typing:
        assert typing.stdin is not None
        wait_until(lambda: "typing" in [each["type"] for each in bob.receive()])
        typing.stdin.write(b"at last")
        typing.stdin.close()
        assert typing.wait(60) == 0
    assert [each["body"] for each in events(bob, "message")] == ["at last"]


def test_who_types_nothing_in_the_end_has_stopped(person: People) -> None:
    alice, bob = person("Alice"), watching(person("Bob"))
    befriend(alice, bob)
    check_refusal(alice.try_run("send", bob.id, "-", "--typing"), 65, "empty")
    check_refusal(alice.try_run("send", bob.id, "x" * 2_001, "--typing"), 65, "2,001")
    assert [each["started"] for each in bob.receive()] == [True, False, True, False]


def test_it_is_shown_only_to_those_who_want_to_see_it(person: People) -> None:
    alice, bob = person("Alice"), person("Bob")
    befriend(alice, bob)
    alice.run("send", bob.id, "hi", "--typing")
    assert [each["type"] for each in bob.receive()] == ["message"]


def test_only_friends_are_told(person: People) -> None:
    alice, bob, carol = person("Alice"), watching(person("Bob")), watching(person("Carol"))
    note = alice.run("send", bob.id, "hello", "--typing").stderr
    assert note == f"session: --typing does nothing for {bob.id[:10]}…: you have not written to them yet.\n"
    assert "have not answered" in alice.run("send", bob.id, "hello?", "--typing").stderr
    assert [each["type"] for each in bob.receive()] == ["message", "message"]
    assert "notes to self" in alice.run("send", "me", "note", "--typing").stderr
    befriend(alice, carol)
    assert bob.id[:10] in alice.run("send", carol.id, "to both", "--to", bob.id, "--typing").stderr
    assert [each["type"] for each in carol.receive()] == ["typing", "message"]
    check_refusal(alice.try_run("send", bob.id, "--lines", "--typing"), 2, "--typing")


def test_old_news_are_none(person: People, shared_net: Devnet) -> None:
    alice, bob = watching(person("Alice")), person("Bob")
    befriend(alice, bob)
    app, mallory = other_app(shared_net, bob), Stranger(shared_net)
    app.tell(alice.id, Typing(started=True), sent_ms=now_ms() - MINUTE_MS)
    mallory.tell(alice.id, Typing(started=True))
    assert alice.receive() == []
    app.tell(alice.id, Typing(started=True))
    text = alice.run("recv").text
    assert "Bob" in text
    assert "* is typing…" in text


def test_a_reader_who_comes_late_does_not_see_it(person: People, shared_net: Devnet) -> None:
    alice, bob = watching(person("Alice")), person("Bob")
    befriend(alice, bob)
    other_app(shared_net, bob).tell(alice.id, Typing(started=True), sent_ms=now_ms() - 17_000)
    alice.receive("--cursor", "other")
    wait_until(lambda: alice.receive("--peek") == [])


def test_followers_see_it(person: People, shared_net: Devnet) -> None:
    alice, bob = watching(person("Alice")), person("Bob")
    befriend(alice, bob)
    read, write = os.pipe()
    with alice.start("recv", "--follow", "--json", "--interval", "0.5", "--max", "1", stdout=write) as following:
        os.close(write)
        other_app(shared_net, bob).tell(alice.id, Typing(started=True))
        with os.fdopen(read, "rb") as output:
            assert b'"type":"typing"' in output.readline()
        assert following.wait(60) == 0
