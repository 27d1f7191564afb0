"""Two people in a room of a community, on a local network of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from session_cli.core.client import Client
from session_cli.devnet.community_options import CommunityOptions, CommunityRoom
from session_cli.devnet.network import Devnet, DevnetOptions
from tests.support.group_clients import Maker, clients

ROOMS = (
    CommunityRoom("lobby", "The Lobby"),
    CommunityRoom("books", "Books"),
    CommunityRoom("quiet", "Quiet", upload=False),
)


@pytest.fixture
def net() -> Iterator[Devnet]:
    options = CommunityOptions(ROOMS, first_is_admin=True)
    with Devnet(DevnetOptions(nodes=4, swarms=1, community=options)) as made:
        yield made


@pytest.fixture
def make(net: Devnet, tmp_path: Path) -> Iterator[Maker]:
    net.write_definition(tmp_path / "network.toml")
    with clients(tmp_path / "network.toml", tmp_path) as maker:
        yield maker


@pytest.fixture
def pair(make: Maker) -> tuple[Client, Client]:
    """Alice, who runs the server, and Bob, both in the lobby."""
    alice, bob = make("Alice"), make("Bob")
    for one in (alice, bob):
        one.communities.join("lobby")
    return alice, bob
