"""Clocks that are wrong: those of nodes, and this machine's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from session_cli.core.client import Client
from session_cli.devnet.faults import Clock
from session_cli.network.clock import Deadline, NetworkClock
from session_cli.network.definition import load_definition
from session_cli.network.network import Network
from session_cli.protocol.account import Identity
from tests.support.devnet import Person
from tests.support.events import message_of
from tests.support.rough import Correspondence, opened, state_of
from tests.support.strangers import now_ms

HOUR_S = 3600.0
HOUR_MS = 3_600_000
SOON_MS = 600_000
"""Close enough: sent times only ever grow, so that a message can be dated a little after the one before it."""
both_ways = pytest.mark.parametrize("seconds", [HOUR_S, -HOUR_S])


def last_sent_ms(pair: Correspondence) -> int:
    """When the message that Bob was shown last says that it was sent."""
    with opened(pair.bob) as bob:
        return bob.message(len(pair.shown) + 1).timestamp_ms


@both_ways
def test_at_one_node(seconds: float, pair: Correspondence) -> None:
    """The others agree with us: nobody is warned, and our clock is left alone."""
    struck = pair.net.chaos.inject(Clock(seconds), nodes=pair.members(pair.bob)[:1])
    assert pair.send_until(struck).stderr == ""
    for _ in range(4):
        assert pair.receive().stderr == ""
    assert state_of(pair.bob)["clock_offset_ms"] == 0
    assert state_of(pair.alice)["clock_offset_ms"] == 0
    pair.settle()


@both_ways
def test_at_a_third(seconds: float, pair: Correspondence) -> None:
    """One member of Bob's swarm and the like elsewhere. Messages are dated rightly by the majority."""
    struck = pair.net.chaos.inject(Clock(seconds), nodes=[node for node in pair.net.nodes if node.index % 3 == 0])
    for number in range(6):
        pair.send(f"message {number}")
        pair.receive()
    assert struck.hits
    pair.settle()


@both_ways
def test_at_a_whole_swarm(seconds: float, pair: Correspondence) -> None:
    """Its members refuse what is right; that is told as trouble, or got over, and nothing is lost."""
    pair.net.chaos.inject(Clock(seconds), swarm=pair.bob.id)
    done = pair.try_send("perhaps")
    pair.try_receive()
    if done.code == 75:
        assert "clock" in done.stderr
    pair.settle()


@both_ways
def test_everybody_else_is_wrong(seconds: float, pair: Correspondence) -> None:
    """Which is what our own clock being wrong looks like: it is put right, and for later runs as well; and back."""
    struck = pair.net.chaos.inject(Clock(seconds))
    for offset_ms in (seconds * 1000, 0):
        number = 0
        while abs(state_of(pair.alice)["clock_offset_ms"] - offset_ms) > SOON_MS:
            assert number < 8
            pair.send(f"message {number}, {offset_ms}")
            number += 1
        assert pair.send(f"right, {offset_ms}").stderr == ""
        pair.receive()
        if offset_ms > 0:
            assert abs(last_sent_ms(pair) - now_ms() - offset_ms) < SOON_MS
        assert struck.hits
        struck.remove()
    pair.settle()


def test_a_message_that_is_dated_anew_has_one_copy(pair: Correspondence) -> None:
    """Ours goes ahead with our swarm, and the recipient's refuses what is an hour too early for it.

    The message is then sealed anew; the copy for our own devices that was stored before must not stay beside the other.
    """
    others = [node for node in pair.net.nodes if node not in pair.members(pair.alice)]
    struck = pair.net.chaos.inject(Clock(-HOUR_S), nodes=others)
    pair.try_send("perhaps")
    assert struck.hits
    pair.settle()


# This machine's clock.


@pytest.fixture
def alice(pair: Correspondence) -> Iterator[Client]:
    """Alice's account in this process."""
    client = Client.open(network=str(pair.alice.network), environ=pair.alice.environment, timeout=20)
    yield client
    client.close()


@pytest.mark.parametrize("ahead_ms", [HOUR_MS, -HOUR_MS])
def test_ours_is_wrong(ahead_ms: int, alice: Client, pair: Correspondence) -> None:
    # Whose clock is behind dates after what was sent before: that must not be long ago.
    pair.sent.append(alice.send(pair.bob.id, "before").body)
    network = alice.network
    network.clock._local_ms = lambda: now_ms() + ahead_ms
    for number in range(2):
        sent = alice.send(pair.bob.id, f"message {number}")
        assert sent.status == "sent"
        pair.sent.append(sent.body)
    assert [message_of(event).body for event in alice.receive()] == []
    assert abs(network.clock.offset_ms + ahead_ms) < SOON_MS
    pair.receive()
    assert abs(last_sent_ms(pair) - now_ms()) < SOON_MS
    alice.close()
    pair.settle()


def test_ours_is_ahead_when_a_request_is_answered(alice: Client, pair: Correspondence, tmp_path: Path) -> None:
    """The acceptance, which goes first, finds it out; the answer is not dated in the future for that."""
    carol = Person(tmp_path / "carol", pair.alice.network).init("--name", "Carol")
    carol.run("send", alice.account_id, "can we talk?")
    assert [message_of(event).request for event in alice.receive()] == [True]
    alice.network.clock._local_ms = lambda: now_ms() + HOUR_MS
    assert alice.send(carol.id, "yes").status == "sent"
    (answer,) = [each for each in carol.receive() if each["type"] == "message"]
    assert answer["body"] == "yes"
    assert abs(answer["timestamp_ms"] - now_ms()) < SOON_MS


@pytest.mark.parametrize("ahead_ms", [HOUR_MS, -HOUR_MS])
def test_ours_is_wrong_from_the_start(ahead_ms: int, pair: Correspondence, tmp_path: Path) -> None:
    """A first poll by who has never been here: the signed time is refused, and made right."""
    me = Identity.generate()
    clock = NetworkClock(local_ms=lambda: now_ms() + ahead_ms)
    with Network(load_definition(str(pair.alice.network)), tmp_path / "cache") as network:
        network.clock = network.onion.clock = clock
        page = network.swarm.retrieve(me, {0: {}}, Deadline(20))
        assert page.messages() == ()
    assert abs(clock.now_ms() - now_ms()) < SOON_MS


def test_every_clock_shows_another_time(pair: Correspondence) -> None:
    """Then there is no time that most agree on: what works is chance, and what does not is told in time."""
    for node in pair.net.nodes:
        pair.net.chaos.inject(Clock(HOUR_S * (node.index + 1)), nodes=[node])
    for number in range(2):
        pair.try_send(f"perhaps {number}")
        pair.try_receive()
    assert any(injection.hits for injection in pair.net.chaos.active)
    pair.settle()
