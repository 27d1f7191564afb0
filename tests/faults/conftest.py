"""A network to misbehave, and two people who have been on it before."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from session_cli.devnet.network import Devnet, DevnetOptions
from tests.support.devnet import Person
from tests.support.rough import Correspondence, acquaint


@pytest.fixture(scope="session")
def rough_net() -> Iterator[Devnet]:
    """One local network a test process, for faults that are taken away again. It waits only briefly for dead nodes."""
    with Devnet(DevnetOptions(peer_timeout=0.3, hop_timeout=2.0)) as net:
        yield net


@pytest.fixture(scope="session")
def acquainted(rough_net: Devnet, tmp_path_factory: pytest.TempPathFactory) -> tuple[Person, Person]:
    """Alice and Bob, who have met."""
    return acquaint(rough_net, tmp_path_factory.mktemp("acquainted"))


@pytest.fixture
def pair(rough_net: Devnet, acquainted: tuple[Person, Person], tmp_path: Path) -> Iterator[Correspondence]:
    """Alice and Bob for one test. It may inject what it likes, and stop nodes or move them."""
    alice, bob = (
        Person(shutil.copytree(who.home, tmp_path / name), who.network, who.id)
        for who, name in zip(acquainted, ("alice", "bob"), strict=True)
    )
    swarms = [node.swarm_id for node in rough_net.nodes]
    try:
        yield Correspondence(rough_net, alice, bob)
    finally:
        rough_net.chaos.clear()
        # In this order: nodes that start or move are given what others hold.
        for node in rough_net.nodes:
            node.start()
        for node in rough_net.nodes:
            node.wipe()
        for node, swarm in zip(rough_net.nodes, swarms, strict=True):
            node.join_swarm(swarm)
