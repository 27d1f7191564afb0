"""What a guard says about other nodes is believed only of those on the way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from session_cli.errors import NetworkError
from session_cli.network.clock import Deadline, NetworkClock
from session_cli.network.definition import MAINNET
from session_cli.network.onion import OnionClient
from session_cli.network.pool import NodePool
from session_cli.network.transport import Reply, Transport
from session_cli.protocol import storage_rpc
from session_cli.protocol.account import Identity
from session_cli.protocol.storage_rpc import ServiceNode


class LyingTransport(Transport):
    """Every guard gives the same answer."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__()
        self._answer = Reply(status, {}, body.encode())
        self.asked: list[str] = []

    def post(self, url: str, body: bytes, **options: object) -> Reply:
        self.asked.append(url)
        return self._answer


def _nodes() -> dict[bytes, ServiceNode]:
    nodes = {}
    for number in range(12):
        identity = Identity.from_seed(bytes([number]) * 32)
        node = ServiceNode(identity.ed25519_public, identity.x25519_public, f"10.0.{number}.1", 22021, number % 3)
        nodes[node.ed25519] = node
    return nodes


def _client(transport: Transport, tmp_path: Path) -> OnionClient:
    pool = NodePool(MAINNET, transport, tmp_path / "cache" / "pool.json")
    pool.state.nodes = _nodes()
    pool.state.fetched_s = 1e12  # in the future: nothing may be asked of a seed here
    pool.ensure = lambda deadline: None  # type: ignore[method-assign]
    return OnionClient(pool, transport, NetworkClock())


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (502, "Next node not found: " + "ab" * 32),
        (502, "Next node not found: nonsense"),
        (504, "Request time out"),
        (400, "Invalid ciphertext"),
        (200, "no base64 at all"),
        (200, ""),
        (500, "x" * 10_000),
    ],
)
def test_nodes_that_were_not_on_the_way_stay(status: int, body: str, tmp_path: Path) -> None:
    transport = LyingTransport(status, body)
    client = _client(transport, tmp_path)
    destination = next(iter(client.pool.state.nodes.values()))
    with pytest.raises(NetworkError):
        client.call(destination, storage_rpc.info(), Deadline(10))
    assert set(client.pool.state.nodes) == set(_nodes())
    assert len(transport.asked) == 2
    assert len(set(transport.asked)) == 2, "the second attempt goes over another guard"


def test_the_guard_can_not_be_talked_away_by_itself_but_the_destination_can(tmp_path: Path) -> None:
    destination = next(iter(_nodes().values()))
    transport = LyingTransport(502, f"Next node not found: {destination.ed25519.hex()}")
    client = _client(transport, tmp_path)
    with pytest.raises(NetworkError, match="gone"):
        client.call(destination, storage_rpc.info(), Deadline(10))
    assert set(_nodes()) - set(client.pool.state.nodes) == {destination.ed25519}
    assert len(transport.asked) == 1


def test_the_cache_is_readable_json_of_public_facts(tmp_path: Path) -> None:
    client = _client(LyingTransport(504, ""), tmp_path)
    client.pool.guards(())
    document = json.loads((tmp_path / "cache" / "pool.json").read_text())
    assert set(document) == {"format", "fetched_s", "guards", "clock_offset_ms", "nodes"}
