"""Deleting messages: for everyone, on one's own devices, and what others may not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from session_cli.devnet.network import Devnet
from session_cli.protocol.payload import Unsend
from tests.support.devnet import Person
from tests.support.friends import befriend, entry, events, log, other_app
from tests.support.outcomes import check_json_refusal, check_refusal
from tests.support.strangers import Stranger
from tests.support.swarm import hashes_of

People = Callable[[str], Person]


def test_a_message_is_deleted_everywhere(person: People, shared_net: Devnet, tmp_path: Path) -> None:
    alice, bob = person("Alice"), person("Bob")
    befriend(alice, bob)
    laptop = alice.second_device()
    note = tmp_path / "note.txt"
    note.write_text("secret file")
    sent = alice.run("send", bob.id, "a secret word", "--attach", str(note)).text.strip()
    laptop.receive()
    (seen,) = bob.receive()
    bob.run("react", str(seen["id"]), "😮")
    alice.receive()
    kept, identity = entry(alice, int(sent))["hash"], other_app(shared_net, alice).identity
    assert kept in hashes_of(shared_net, identity)
    (done,) = alice.run("unsend", sent, "--json").objects
    assert (done["type"], done["target"]["id"], done["sender"]["id"]) == ("unsend", int(sent), alice.id)
    assert kept not in hashes_of(shared_net, identity)
    assert alice.receive() == []
    assert [event["type"] for event in bob.receive()] == ["unsend"]
    assert [event["type"] for event in laptop.receive()][-1] == "unsend"
    for device in (alice, bob, laptop):
        (left,) = [each for each in log(device) if each["timestamp_ms"] == seen["timestamp_ms"]]
        assert (left["deleted"], left["body"], left["attachments"], left["reactions"]) == (True, "", [], [])
        assert device.try_run("search", "secret").code == 1
        assert "deleted" in device.run("log").text
    check_refusal(alice.try_run("attach", "save", sent, "-o", str(tmp_path)), 65, "no files")


def test_what_was_not_read_yet_shows_only_its_place(person: People) -> None:
    alice, bob = person("Alice"), person("Bob")
    alice.run("send", bob.id, "oops")
    assert len(bob.receive("--cursor", "other")) == 1
    alice.run("unsend", "1")
    assert len(bob.receive("--cursor", "other")) == 1
    message, event = bob.receive()
    assert (message["type"], message["deleted"], message["body"]) == ("message", True, "")
    assert (event["type"], event["target"]["id"]) == ("unsend", message["id"])


def test_only_the_author_deletes_for_everyone(person: People, shared_net: Devnet) -> None:
    alice, bob = person("Alice"), person("Bob")
    befriend(alice, bob)
    error = check_json_refusal(bob.try_run("unsend", "2", "1", "--json"), 65, "invalid_input")
    assert "--own-devices 1" in error["message"]
    assert not entry(bob, 2)["deleted"], "all are checked before the first is deleted"
    app, mallory = other_app(shared_net, bob), Stranger(shared_net)
    one, two = entry(alice, 1), entry(alice, 2)
    app.tell(alice.id, Unsend(alice.id, one["timestamp_ms"]))
    for author, at in ((alice.id, one["timestamp_ms"]), (bob.id, two["timestamp_ms"])):
        mallory.tell(alice.id, Unsend(author, at))
    mallory.tell(alice.id, Unsend(mallory.id, two["timestamp_ms"]))
    assert alice.receive() == []
    assert [each["deleted"] for each in log(alice)] == [False, False]


def test_on_own_devices_any_message_goes(person: People) -> None:
    alice, bob = person("Alice"), person("Bob")
    befriend(alice, bob)
    laptop = alice.second_device()
    laptop.receive()
    assert alice.run("unsend", "--own-devices", "1", "2").stdout == b""
    assert [event["type"] for event in laptop.receive()] == ["unsend", "unsend"]
    assert bob.receive() == []
    assert [each["deleted"] for each in log(alice)] == [True, True]
    assert [each["deleted"] for each in log(laptop)] == [True, True]
    assert [each["deleted"] for each in log(bob)] == [False, False]
    alice.run("unsend", "1")
    assert [event["target"]["id"] for event in bob.receive()] == [1], "what is gone here can still be taken from others"


def test_a_device_that_comes_later_never_shows_it(person: People) -> None:
    alice, bob = person("Alice"), person("Bob")
    befriend(alice, bob)
    alice.run("unsend", "1", "--own-devices")
    alice.run("unsend", "2", "--own-devices")
    laptop = alice.second_device()
    assert [event["type"] for event in laptop.receive() if event["type"] == "message"] == []
    assert log(laptop) == []


def test_what_can_not_be_deleted(person: People) -> None:
    alice = person("Alice")
    alice.run("send", "me", "note")
    check_refusal(alice.try_run("unsend", "7"), 65, "7")
    check_refusal(alice.try_run("unsend", "x"), 2, "x")
    check_refusal(alice.try_run("unsend"), 2)
    assert len(log(alice)) == 1


def test_what_waits_is_never_sent(private_net: Devnet, tmp_path: Path) -> None:
    definition = tmp_path / "network.toml"
    private_net.write_definition(definition)
    alice, bob = (Person(tmp_path / name, definition).init("--name", name) for name in ("Alice", "Bob"))
    befriend(alice, bob)
    for node in private_net.nodes:
        node.stop()
    waiting = alice.run("send", bob.id, "later", "--queue", "--timeout", "3").text.strip()
    alice.run("unsend", waiting, "--timeout", "3")
    assert alice.run("outbox", "list").text == ""
    assert entry(alice, int(waiting))["deleted"]
    check_json_refusal(alice.try_run("unsend", "1", "--json", "--timeout", "3"), 75, "network_unreachable")
    assert not entry(alice, 1)["deleted"], "what nobody was asked to delete stays"
    for node in private_net.nodes:
        node.start()
    alice.receive()
    assert events(bob, "message") == []
