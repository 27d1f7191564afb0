"""Answers to messages, and what they show of the message answered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from session_cli.devnet.network import Devnet
from session_cli.protocol.payload import Quote, VisibleMessage
from tests.support.devnet import Person
from tests.support.friends import befriend, entry, events, other_app
from tests.support.outcomes import check_json_refusal, check_refusal
from tests.support.strangers import Stranger

People = Callable[[str], Person]


def test_an_answer_names_the_message_on_all_devices(person: People) -> None:
    alice, bob = person("Alice"), person("Bob")
    befriend(alice, bob)
    alice.run("send", bob.id, "tea? " + "long " * 60)
    (question,) = bob.receive()
    (answer,) = bob.run("send", alice.id, "yes", "--quote", str(question["id"]), "--json").objects
    named = {"timestamp_ms": question["timestamp_ms"], "excerpt": question["body"][:200]}
    assert answer["quote"] == {**named, "id": question["id"], "sender": question["sender"]}
    (got,) = alice.receive()
    assert got["quote"] == {**named, "id": 3, "sender": {"id": alice.id, "name": "Alice"}}
    assert "> me: tea? long long" in alice.run("log").text
    laptop = alice.second_device()
    laptop.receive()
    quote = entry(laptop, 4)["quote"]
    assert (quote["id"], quote["excerpt"], quote["sender"]["id"]) == (3, named["excerpt"], alice.id)
    # And the other way: the answer to an answer, from the second device.
    laptop.run("send", bob.id, "good", "--quote", "4")
    assert [each["quote"]["id"] for each in bob.receive()] == [answer["id"]]
    assert [each["quote"]["id"] for each in alice.receive()] == [4]


def test_answers_to_what_is_not_here(person: People, shared_net: Devnet) -> None:
    alice, bob = person("Alice"), person("Bob")
    befriend(alice, bob)
    app, mallory = other_app(shared_net, bob), Stranger(shared_net)
    app.tell(alice.id, VisibleMessage("never", quote=Quote(alice.id, 1_700_000_000_000)))
    # A message of another conversation is as good as none: who is told of it learns nothing.
    mallory.tell(alice.id, VisibleMessage("what was that?", quote=Quote(bob.id, entry(alice, 2)["timestamp_ms"])))
    for message in alice.receive():
        assert (message["quote"]["id"], message["quote"]["excerpt"]) == (None, None)
    assert alice.run("log").text.count("[a message that is not here]") == 2
    check_refusal(alice.try_run("send", bob.id, "?", "--quote", "99"), 65, "99")


def test_answers_to_files_and_to_what_was_deleted(person: People, tmp_path: Path) -> None:
    alice, bob = person("Alice"), person("Bob")
    befriend(alice, bob)
    picture = tmp_path / "picture.bin"
    picture.write_bytes(b"123")
    alice.run("send", bob.id, "--attach", str(picture))
    (file,) = bob.receive()
    bob.run("send", alice.id, "nice", "--quote", str(file["id"]))
    (answer,) = alice.receive()
    assert (answer["quote"]["id"], answer["quote"]["excerpt"]) == (3, "")
    assert "> me: [a message without text]" in alice.run("log").text
    alice.run("unsend", "3")
    assert (entry(alice, 4)["quote"]["id"], entry(alice, 4)["quote"]["excerpt"]) == (3, None)
    assert "> me: [a deleted message]" in alice.run("log").text
    check_json_refusal(alice.try_run("send", bob.id, "well", "--quote", "3", "--json"), 65, "invalid_input")


def test_what_was_said_elsewhere_is_not_quoted(person: People) -> None:
    alice, bob, carol = person("Alice"), person("Bob"), person("Carol")
    befriend(alice, bob)
    for to in ((carol.id,), (bob.id, "--to", carol.id), ("me",)):
        error = check_json_refusal(
            alice.try_run("send", to[0], "?", *to[1:], "--quote", "2", "--json"), 65, "invalid_input"
        )
        assert bob.id[:10] in error["message"]
    assert (events(bob, "message"), events(carol, "message")) == ([], [])
