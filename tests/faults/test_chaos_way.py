"""What befalls requests and answers on their way: at one guard, at all, behind them, and at the destination."""

from __future__ import annotations

import pytest

from session_cli.devnet.faults import (
    ContentType,
    Delay,
    Drop,
    Empty,
    Endless,
    Fault,
    Garble,
    Page,
    Status,
    Throttle,
    Truncate,
)
from tests.support.rough import Correspondence, label, state_of

BEFORE: list[Fault] = [Drop(), *(Status(code) for code in (429, 500, 502, 503, 504))]
AFTER: list[Fault] = [
    Drop(after=True),
    Status(502, after=True),
    Garble(),
    Truncate(),
    Truncate(0.9, consistent=True),
    Page(),
    Page(code=503),
    Empty(),
]
SILENT: list[Fault] = [
    Drop("hang"),
    Drop("hang", after=True),
    Throttle(20),
    Throttle(20, header=True),
    Endless(),
    Endless(20),
    Delay(60),
]
_LONG_S = 60.0
HARMLESS: list[Fault] = [Delay(0.1, 0.1), Throttle(100_000), ContentType()]


def taken(fault: Fault) -> tuple[str, ...]:
    """What may come after all: the request was carried out before the fault struck."""
    return () if fault in BEFORE or fault == Drop("hang") else ("lost",)


@pytest.mark.parametrize("fault", BEFORE + AFTER + SILENT + HARMLESS, ids=label)
def test_at_one_guard(fault: Fault, pair: Correspondence) -> None:
    """The other one carries the message; nothing is said of it."""
    struck = pair.net.chaos.inject(fault, nodes=pair.guards[:1], roles={"guard"})
    assert pair.send_until(struck).stderr == ""
    pair.settle()


@pytest.mark.parametrize("fault", BEFORE + AFTER, ids=label)
def test_at_every_guard(fault: Fault, pair: Correspondence) -> None:
    struck = pair.net.chaos.inject(fault, roles={"guard"})
    pair.send_in_vain("lost")
    assert struck.hits
    pair.settle(taken=taken(fault))


@pytest.mark.parametrize("fault", SILENT, ids=label)
def test_at_every_guard_for_ever(fault: Fault, pair: Correspondence) -> None:
    """It is over in time, whatever dribbles; and then it is as if nothing had been."""
    struck = pair.net.chaos.inject(fault, roles={"guard"})
    pair.send_in_vain("lost", timeout=2)
    assert struck.hits
    pair.settle(taken=taken(fault))


@pytest.mark.parametrize("fault", HARMLESS, ids=label)
def test_at_every_guard_and_nothing_lost(fault: Fault, pair: Correspondence) -> None:
    struck = pair.net.chaos.inject(fault, roles={"guard"})
    assert pair.send("slowly").stderr == ""
    assert pair.receive().stderr == ""
    assert struck.hits
    pair.settle()


@pytest.mark.parametrize("fault", [Drop(), Drop(after=True), Status(503), Garble()], ids=label)
def test_behind_the_guards(fault: Fault, pair: Correspondence) -> None:
    """Half of the nodes spoil what they pass on, those on the standing paths first: a way is found around them."""
    standing = {hop for hops, *_ in state_of(pair.alice)["paths"] for hop in hops}
    others = [node for node in pair.net.nodes if node not in pair.guards]
    others.sort(key=lambda node: node.ed25519.hex() not in standing)
    struck = pair.net.chaos.inject(fault, nodes=others[:5], roles={"middle"})
    # Whoever says nothing is waited for, and five in a row may be such.
    assert pair.send_until(struck, timeout=_LONG_S).stderr == ""
    pair.receive(timeout=_LONG_S)
    pair.settle()


@pytest.mark.parametrize("fault", [Drop(), Drop("hang"), *AFTER[:3]], ids=label)
def test_at_most_of_a_swarm(fault: Fault, pair: Correspondence) -> None:
    """A store is done, and its answer lost, as often as you like: one message comes of it."""
    struck = pair.net.chaos.inject(fault, nodes=pair.members(pair.bob)[:3], roles={"destination"}, methods={"store"})
    assert pair.send_until(struck).stderr == ""
    pair.settle()


@pytest.mark.parametrize("fault", [Drop(), Drop(after=True), Status(503), Garble()], ids=label)
def test_at_a_whole_swarm(fault: Fault, pair: Correspondence) -> None:
    struck = pair.net.chaos.inject(fault, swarm=pair.bob.id, roles={"destination"}, methods={"store"})
    pair.send_in_vain("lost", timeout=4)
    assert struck.hits
    pair.settle(taken=taken(fault))
