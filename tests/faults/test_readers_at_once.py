"""Many processes of one account that send and receive at the same time."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from session_cli.devnet.network import Devnet
from tests.support.devnet import Person
from tests.support.outcomes import bodies, check_json_refusal
from tests.support.stores import check_store, open_store
from tests.support.strangers import Stranger
from tests.support.waiting import wait_until

People = Callable[[str], Person]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="followers are ended by a signal")
SENDERS = 8
LINES = 50


def shown(path: Path) -> list[str]:
    """The texts in a file of events."""
    return [json.loads(line)["body"] for line in path.read_text().splitlines()]


@pytest.mark.parametrize("queue", [(), ("--queue",)], ids=["directly", "with an outbox"])
def test_eight_senders_and_two_followers(queue: tuple[str, ...], person: People, tmp_path: Path) -> None:
    """Each message is shown by one of the two, and each sender's come in their order. Another reader sees all."""
    alice, bob = person("Alice"), person("Bob")
    outputs = [tmp_path / f"follower {number}" for number in range(2)]
    followers = []
    for output in outputs:
        with output.open("ab") as file:
            followers.append(bob.start("recv", "--json", "--follow", "--interval", "0.5", stdout=file))
    inputs = [tmp_path / f"sender {number}" for number in range(SENDERS)]
    for number, path in enumerate(inputs):
        path.write_text("".join(f"{number} {line}\n" for line in range(LINES)))
    senders = []
    for path in inputs:
        with path.open("rb") as file:
            command = ("send", "--lines", *queue, bob.id)
            senders.append(alice.start(*command, stdin=file, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    ids: list[bytes] = []
    for process in senders:
        out, errors = process.communicate(timeout=120)
        assert (process.returncode, errors) == (0, b"")
        ids += out.split()
    assert len(set(ids)) == SENDERS * LINES
    alice.run("outbox", "flush")
    wait_until(lambda: sum(len(output.read_bytes().splitlines()) for output in outputs) >= SENDERS * LINES)
    for process in followers:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)
    sent = [f"{number} {line}" for number in range(SENDERS) for line in range(LINES)]
    assert Counter(text for output in outputs for text in shown(output)) == Counter(sent)
    assert bob.receive() == []
    everything = bodies(bob.receive("--cursor", "second"))
    assert Counter(everything) == Counter(sent)
    for texts in (everything, *map(shown, outputs)):
        for number in range(SENDERS):
            lines = [int(text.split()[1]) for text in texts if text.startswith(f"{number} ")]
            assert lines == sorted(lines)
    for who in (alice, bob):
        connection = open_store(who)
        check_store(connection)
        connection.close()


def test_what_is_there_is_shown_before_the_network_is_asked(bob_and_net: tuple[Person, Devnet]) -> None:
    bob, net = bob_and_net
    for node in net.nodes:
        node.stop()
    done = bob.try_run("recv", "--json", "--cursor", "other", "--timeout", "3")
    assert done.code == 75
    assert bodies(done.objects[:-1]) == ["one", "two"]
    assert done.objects[-1]["type"] == "error"
    assert bob.run("recv", "--json", "--cursor", "third", "--max", "1", "--timeout", "3").objects[0]["body"] == "one"
    check_json_refusal(bob.try_run("recv", "--json", "--timeout", "3"), 75, done.objects[-1]["error"])


@pytest.fixture
def bob_and_net(private_net: Devnet, tmp_path: Path) -> tuple[Person, Devnet]:
    """Somebody with two messages in the store, on a network to be stopped."""
    definition = tmp_path / "network.toml"
    private_net.write_definition(definition)
    bob, stranger = Person(tmp_path / "bob", definition).init(), Stranger(private_net)
    for body in ("one", "two"):
        stranger.say(bob.id, body)
    assert bodies(bob.receive()) == ["one", "two"]
    return bob, private_net
