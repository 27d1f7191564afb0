"""A network for faults. The warnings about certificates, which are self-signed and checked by nobody, say nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from session_cli.devnet.network import CommunityOptions, Devnet, DevnetOptions

from .helpers import HOP_S, PathClient

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore:Unverified HTTPS request"))


@pytest.fixture(scope="module")
def faulty_module_net() -> Iterator[Devnet]:
    with Devnet(
        DevnetOptions(hop_timeout=HOP_S, peer_timeout=0.1, server_timeout=0.5, community=CommunityOptions())
    ) as running:
        yield running


@pytest.fixture
def faulty_net(faulty_module_net: Devnet) -> Iterator[Devnet]:
    yield faulty_module_net
    faulty_module_net.chaos.clear()
    assert faulty_module_net.chaos.active == ()


@pytest.fixture
def client(faulty_net: Devnet) -> Iterator[PathClient]:
    """Over the nodes 0, 1 and 2."""
    path_client = PathClient(faulty_net, faulty_net.nodes[:3])
    yield path_client
    path_client.close()
