"""What is too new for this version, as its users meet it, and `store reparse`."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from session_cli import Client
from session_cli.devnet.network import Devnet
from session_cli.protocol.payload import VisibleMessage
from session_cli.protocol.proto import session_pb2 as pb
from tests.support.devnet import Person
from tests.support.incoming import much_older_version, older_version
from tests.support.outcomes import bodies, check_refusal
from tests.support.stores import check_store, open_store
from tests.support.strangers import Stranger
from tests.support.swarm import put_messages

People = Callable[[str], Person]
NEWER_VERSION = b"\0\x02" + bytes(1_534)


@pytest.fixture
def carol(shared_net: Devnet) -> Stranger:
    return Stranger(shared_net)


def poll(person: Person) -> None:
    """Fetch, as the version that is in force does it, and show nothing."""
    with Client.open(environ=person.environment, timeout=60) as client:
        client.poll()


def test_what_is_too_new_is_shown_and_kept(person: People, carol: Stranger) -> None:
    bob = person("Bob")
    group = pb.GroupUpdateMessage.FromString(bytes.fromhex("ca0602ffff"))  # something of groups that is not known yet
    contents = [
        bytes.fromhex("ca0602ffff"),  # a kind of content with a number from the future
        pb.Content(dataMessage=pb.DataMessage(body="x", flags=64)).SerializeToString(),
        pb.Content(dataMessage=pb.DataMessage(groupUpdateMessage=group)).SerializeToString(),
    ]
    carol.store(bob.id, NEWER_VERSION, *(carol.seal(bob.id, content) for content in contents))
    carol.say(bob.id, "and a word")
    shown = bob.receive()
    assert [event["type"] for event in shown] == ["unknown"] * 4 + ["message"]
    nameless, *signed = shown[:4]
    assert (nameless["id"], nameless["sender"], nameless["conversation"]) == (None, None, None)
    assert "newer protocol version" in nameless["reason"]
    assert {event["sender"]["id"] for event in signed} == {carol.id}
    for event, word in zip(signed, ("kind", "flags", "kind"), strict=True):
        assert word in event["reason"]
        assert event["request"]
    logged = bob.run("log", carol.id, "--json").objects
    assert [entry["id"] for entry in logged] == [event["id"] for event in shown[1:]]
    words = " ".join(bob.run("log").text.split())
    assert "a message with flags that this version does not know; kept for a later version" in words
    assert bob.run("store", "info", "--json").objects[0]["unknown_messages"] == 4
    assert "unknown   4 kept for a later version" in bob.run("store", "info").lines
    before = bob.run("log", "--json").text
    assert bob.run("store", "reparse").text == "None of 4 messages is understood by this version; all stay.\n"
    (result,) = bob.run("store", "reparse", "--json").objects
    assert (result["profile"], result["kept"], result["understood"], result["left"]) == ("default", 4, 0, 4)
    assert bob.run("log", "--json").text == before
    assert bob.receive() == []


def test_a_newer_version_reads_what_an_older_one_kept(person: People, carol: Stranger, tmp_path: Path) -> None:
    alice = person("Alice")
    bob = person("Bob")
    laptop = alice.second_device()
    with much_older_version():
        carol.say(alice.id, "sealed in a newer way")
        poll(alice)
    with older_version():
        alice.run("send", bob.id, "of a newer kind")
        poll(bob)
        poll(laptop)
    carol.store(alice.id, NEWER_VERSION)
    assert [event["type"] for event in alice.receive()] == ["unknown", "unknown"]
    assert [event["type"] for event in bob.receive()] == ["unknown"]
    alice.run("send", bob.id, "the next one")
    assert alice.run("store", "reparse").text == "1 of 2 messages understood; 1 left for a later version.\n"
    assert bodies(alice.receive()) == ["sealed in a newer way"]
    # Carol's message was too new for the laptop, too.
    for device, other, count in ((bob, alice, 1), (laptop, bob, 2)):
        (result,) = device.run("store", "reparse", "--json").objects
        assert (result["kept"], result["understood"], result["left"]) == (count, count, 0)
        texts = [event["body"] for event in device.receive() if event["type"] == "message"]
        assert texts.count("of a newer kind") == 1
        assert bodies(device.run("log", other.id, "--json").objects) == ["of a newer kind", "the next one"]
        assert device.run("store", "check").text == "The store is sound.\n"
    assert bob.run("store", "reparse").text == "No message waits for a later version.\n"


def test_a_flood_from_nobody_knows_whom(person: People, carol: Stranger, shared_net: Devnet) -> None:
    bob = person("Bob")
    put_messages(shared_net, bob.id, [NEWER_VERSION + number.to_bytes(4, "big") for number in range(1_050)])
    carol.say(bob.id, "still here")
    shown = bob.receive()
    assert len(shown) == 1_001
    assert bodies(shown[-1:]) == ["still here"]
    assert bob.run("store", "info", "--json").objects[0]["unknown_messages"] == 1_000


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no kill -9")
def test_a_kill_at_any_moment_loses_nothing(person: People, carol: Stranger, shared_net: Devnet) -> None:
    bob = person("Bob")
    texts = [f"text {number}" for number in range(150)]
    put_messages(shared_net, bob.id, [carol.seal(bob.id, VisibleMessage(text)) for text in texts])
    with older_version():
        poll(bob)
    left = [150]
    for moment in range(8):
        with bob.start("store", "reparse") as process:
            time.sleep(0.15 + 0.05 * moment)
            os.kill(process.pid, signal.SIGKILL)
        connection = open_store(bob)
        check_store(connection)
        left.append(connection.execute("SELECT count(*) FROM unknowns").get)
        assert connection.execute("SELECT count(*) FROM messages").get == 150
        assert connection.execute("SELECT count(*) FROM messages WHERE body = ''").get == left[-1]
        connection.close()
    assert left == sorted(left, reverse=True)
    bob.run("store", "reparse")
    assert sorted(bodies(bob.receive())) == sorted(texts)


def test_no_profile(shared_definition: Path, tmp_path: Path) -> None:
    nobody = Person(tmp_path / "home", shared_definition)
    check_refusal(nobody.try_run("store", "reparse"), 78, "no profile")
