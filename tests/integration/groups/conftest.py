"""People who know each other, on the local network of this test process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.group_clients import Maker, Three, befriend, clients, happened


@pytest.fixture
def make(shared_definition: Path, tmp_path: Path) -> Iterator[Maker]:
    with clients(shared_definition, tmp_path) as make:
        yield make


@pytest.fixture
def friends(make: Maker) -> Three:
    """Alice, who has talked with Bob and with Carol."""
    alice, bob, carol = make("Alice"), make("Bob"), make("Carol")
    befriend(alice, bob)
    befriend(alice, carol)
    for client in (alice, bob, carol):
        happened(client)
    return alice, bob, carol
