"""Nodes that are dead in one way or another: one, the guards, half of them, all."""

from __future__ import annotations

import pytest

from session_cli.devnet.faults import Death, Throttle
from tests.support.rough import Correspondence, guards_in

DEATHS: list[Death] = ["refuse", "silent", "unreachable"]
death = pytest.mark.parametrize("how", DEATHS)


@death
def test_a_member(how: Death, pair: Correspondence) -> None:
    struck = pair.net.chaos.kill(pair.members(pair.bob)[:1], how=how)
    assert pair.send_until(struck).stderr == ""
    pair.receive()
    pair.settle()


@death
def test_all_members_but_one(how: Death, pair: Correspondence) -> None:
    """The message is where it can be had, and a warning says how little that is."""
    pair.net.chaos.kill(pair.members(pair.bob)[:3], how=how)
    done = pair.send("held by one")
    assert done.stderr == (
        "session: Sent, but only 1 of the 4 members of the recipient's swarm confirm that they hold it.\n"
    )
    pair.receive_until_shown()
    pair.settle()


@death
def test_a_whole_swarm(how: Death, pair: Correspondence) -> None:
    pair.net.chaos.kill(swarm=pair.bob.id, how=how)
    pair.send_in_vain("lost", timeout=3)
    assert pair.try_receive(timeout=2).code == 75
    pair.settle()


@death
def test_the_guards(how: Death, pair: Correspondence) -> None:
    """Others are found, and the message goes out."""
    before = pair.guards
    pair.net.chaos.kill(before, how=how)
    assert pair.send("over others", timeout=30).stderr == ""
    assert pair.receive().code == 0
    assert set(pair.guards) - set(before)
    assert len(pair.guards) == 2
    pair.settle()


@pytest.mark.parametrize("first", ["guards", "others"])
@death
def test_half_of_the_network(how: Death, first: str, pair: Correspondence) -> None:
    """Half of each swarm: with the guards of both, as far as they go, or without them."""
    guards = {node.index for node in [*pair.guards, *guards_in(pair.bob, pair.net)]}
    nodes = sorted(pair.net.nodes, key=lambda node: (node.index in guards) is (first == "others"))
    swarms = {node.swarm_id for node in nodes}
    dead = [node for swarm in swarms for node in [node for node in nodes if node.swarm_id == swarm][:2]]
    assert 2 * len(dead) == len(nodes)
    pair.net.chaos.kill(dead, how=how)
    pair.send("around them", timeout=30)
    pair.receive(timeout=30)
    pair.settle()


@death
def test_everybody(how: Death, pair: Correspondence) -> None:
    """It is over in time. Who is offline keeps the guards, and holds nothing against anybody."""
    guards, bobs = pair.guards, guards_in(pair.bob, pair.net)
    pair.net.chaos.kill(how=how)
    pair.send_in_vain("lost", timeout=2)
    assert pair.try_receive(timeout=2).code == 75
    pair.settle()
    assert pair.guards == guards
    assert guards_in(pair.bob, pair.net) == bobs


def test_everybody_and_the_seed(pair: Correspondence) -> None:
    pair.net.chaos.kill(pair.net.nodes, seed=True)
    done = pair.send_in_vain("lost")
    assert "devnet" in done.stderr
    pair.settle()


@pytest.mark.parametrize("header", [False, True])
def test_guards_that_dribble_are_given_up_in_time(header: bool, pair: Correspondence) -> None:
    """The time-out is for the whole command, and not begun anew with each byte."""
    struck = pair.net.chaos.inject(Throttle(10, header=header))
    for timeout in (1, 2):
        done = pair.send_in_vain(f"lost {timeout}", timeout=timeout)
        assert "--timeout" in done.stderr
    assert struck.hits
    pair.settle(taken=("lost 1", "lost 2"))
