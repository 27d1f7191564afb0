"""Where the list of nodes comes from, who is believed, and what is kept of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from session_cli.devnet.faults import AlteredList, InnerStatus
from session_cli.devnet.network import Devnet, DevnetOptions
from session_cli.errors import NetworkError, NetworkUnreachable
from session_cli.network.clock import Deadline
from session_cli.network.definition import Seed
from session_cli.network.node_list import agree
from session_cli.protocol.account import Identity
from session_cli.protocol.storage_rpc import ServiceNode
from tests.support.network import INBOX, ME, fallback_nodes, network_of

NOBODY = (Seed("http://127.0.0.1:1"),)


def _age(folder: Path, seconds: float) -> None:
    """Let the list in the cache be older than it is."""
    (cache,) = (path for path in (folder / "cache").glob("*.json") if not path.name.endswith(".state.json"))
    document = json.loads(cache.read_text())
    document["fetched_s"] -= seconds
    cache.write_text(json.dumps(document))


def _seed_requests(net: Devnet) -> int:
    return sum(record.kind == "seed" for record in net.request_log)


def test_the_list_is_fetched_once_and_kept(shared_net: Devnet, tmp_path: Path) -> None:
    with network_of(shared_net, tmp_path) as first:
        first.prepare(Deadline(10))
        assert set(first.pool.nodes) == {node.ed25519 for node in shared_net.nodes}
        guards = first.onion.paths.guards()
        assert len({guard.ed25519 for guard in guards}) == 2
    for path in (tmp_path / "cache").iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
    with network_of(shared_net, tmp_path, seeds=NOBODY) as second:
        second.prepare(Deadline(10))  # asks nobody
        assert second.onion.paths.guards() == guards


@pytest.mark.parametrize("content", ['{"format": 2, "nodes": [["zz"]], "fetched_s": 1}', "[]", '{"format": 1}', "\0"])
def test_a_damaged_cache_is_fetched_anew(content: str, shared_net: Devnet, tmp_path: Path) -> None:
    with network_of(shared_net, tmp_path) as network:
        network.prepare(Deadline(10))
    for path in (tmp_path / "cache").glob("*.json"):
        path.write_text(content)
    with network_of(shared_net, tmp_path) as network:
        network.prepare(Deadline(10))
        assert len(network.pool.nodes) == 12


def test_an_old_list_is_refreshed_by_the_nodes_without_a_word_to_the_seed(private_net: Devnet, tmp_path: Path) -> None:
    with network_of(private_net, tmp_path) as network:
        network.swarm.retrieve(ME, INBOX, Deadline(10))
    asked = _seed_requests(private_net)
    _age(tmp_path, 3 * 3600)
    with network_of(private_net, tmp_path) as network:
        assert (network.pool.age_s or 0) > 2 * 3600
        network.swarm.retrieve(ME, INBOX, Deadline(10))
        assert 0 <= (network.pool.age_s or -1) < 60
        assert len(network.pool.nodes) == 12
    assert _seed_requests(private_net) == asked
    lists = [record for record in private_net.request_log if "active_nodes_bin" in record.parts]
    assert len(lists) == 3


def test_nodes_that_do_not_know_the_compact_list_are_asked_for_the_long_one(
    private_net: Devnet, tmp_path: Path
) -> None:
    private_net.chaos.inject(InnerStatus(400, "no method active_nodes_bin"), methods={"active_nodes_bin"})
    with network_of(private_net, tmp_path) as network:
        network.prepare(Deadline(10))
        network.list.refresh_from_nodes(Deadline(10))
        assert len(network.pool.nodes) == 12
    assert sum(record.method == "oxend_request" for record in private_net.request_log) == 3


def test_an_old_list_serves_when_nobody_gives_a_new_one(private_net: Devnet, tmp_path: Path) -> None:
    with network_of(private_net, tmp_path) as network:
        network.prepare(Deadline(10))
    _age(tmp_path, 10 * 3600)
    with (
        private_net.chaos.inject(InnerStatus(500), methods={"active_nodes_bin", "oxend_request"}) as fault,
        network_of(private_net, tmp_path, seeds=NOBODY) as network,
    ):
        network.swarm.retrieve(ME, INBOX, Deadline(10))
        hits = fault.hits
        assert hits >= 3
        network.swarm.retrieve(ME, INBOX, Deadline(10))
        assert fault.hits == hits, "nobody is asked again before some minutes have passed"
        assert (network.pool.age_s or 0) > 9 * 3600


def test_one_liar_among_the_nodes_is_outvoted(private_net: Devnet, tmp_path: Path) -> None:
    """Whichever three are asked, at most one of them shows nodes that don't exist and swaps keys."""
    with network_of(private_net, tmp_path) as network:
        network.prepare(Deadline(10))
        with private_net.chaos.inject(AlteredList(add=5, rekey=(1, 2), omit=(3,)), nodes=[0]):
            for _ in range(8):
                network.list.refresh_from_nodes(Deadline(10))
                assert set(network.pool.nodes) == {node.ed25519 for node in private_net.nodes}


def test_where_the_nodes_disagree_the_seed_decides(private_net: Devnet, tmp_path: Path) -> None:
    with network_of(private_net, tmp_path) as network:
        network.prepare(Deadline(10))
        with private_net.chaos.inject(AlteredList(omit=tuple(range(2, 12))), nodes="100%"):
            with pytest.raises(NetworkError, match="agree on 2 nodes"):
                network.list.refresh_from_nodes(Deadline(10))
            network.list.refresh(Deadline(10))
        assert len(network.pool.nodes) == 12


def test_where_no_seed_answers_the_fallback_nodes_do(private_net: Devnet, tmp_path: Path) -> None:
    with network_of(private_net, tmp_path, seeds=NOBODY, fallback_nodes=fallback_nodes(private_net)[:5]) as network:
        assert network.swarm.retrieve(ME, INBOX, Deadline(20)).messages() == ()
        assert len(network.pool.nodes) == 12


def test_fallback_nodes_that_are_gone_change_nothing(private_net: Devnet, tmp_path: Path) -> None:
    gone = tuple(replace(node, port=1) for node in fallback_nodes(private_net)[:5])
    with (
        network_of(private_net, tmp_path, seeds=NOBODY, fallback_nodes=gone) as network,
        pytest.raises(NetworkUnreachable, match="No seed of the network 'devnet'"),
    ):
        network.prepare(Deadline(20))


@pytest.mark.parametrize("pin", ["00" * 32, None])
def test_a_seed_with_another_certificate_is_not_believed(pin: str | None, shared_net: Devnet, tmp_path: Path) -> None:
    seeds = (Seed(shared_net.seed_url, pin),)
    with (
        network_of(shared_net, tmp_path, seeds=seeds) as network,
        pytest.raises(NetworkUnreachable, match="certificate"),
    ):
        network.prepare(Deadline(10))


def test_all_seeds_are_tried(shared_net: Devnet, tmp_path: Path) -> None:
    with network_of(shared_net, tmp_path) as network:
        dead = tuple(Seed(f"https://127.0.0.1:{port}") for port in (1, 2, 3))
        seeds = dead + network.definition.seeds
    with network_of(shared_net, tmp_path, seeds=seeds) as network:
        network.prepare(Deadline(20))
        assert len(network.pool.nodes) == 12


def test_a_list_of_nodes_that_are_all_gone_is_replaced_by_what_a_seed_says(tmp_path: Path) -> None:
    with Devnet(DevnetOptions()) as net, network_of(net, tmp_path) as network:
        network.prepare(Deadline(10))
        network.pool.replace([replace(node, port=1) for node in network.pool.nodes.values()])
        assert network.swarm.retrieve(ME, INBOX, Deadline(30)).messages() == ()


# What counts as agreement.


def _node(number: int, **changes: object) -> ServiceNode:
    identity = Identity.from_seed(bytes([number]) * 32)
    node = ServiceNode(identity.ed25519_public, identity.x25519_public, f"10.0.{number}.1", 22021, number % 3)
    return replace(node, **changes)  # type: ignore[arg-type]


NODES = [_node(number) for number in range(6)]


@pytest.mark.parametrize(
    ("change", "agreed"),
    [
        (lambda nodes: [nodes, nodes, nodes], 6),
        (lambda nodes: [nodes, nodes], 6),
        (lambda nodes: [nodes], 0),
        (lambda nodes: [], 0),
        (lambda nodes: [nodes, nodes[:3], []], 3),
        (lambda nodes: [nodes, [replace(node, ip="10.9.9.9") for node in nodes], []], 0),
        (lambda nodes: [nodes, [replace(node, swarm_id=9) for node in nodes], nodes[:1]], 1),
        (lambda nodes: [[replace(node, x25519=bytes(32)) for node in nodes]] * 3, 0),
        (lambda nodes: [[*nodes, *nodes], nodes[:0], nodes[:0]], 0),
        (lambda nodes: [nodes, [replace(node, version=(2, 11, 3)) for node in nodes], []], 6),
    ],
)
def test_two_of_three_make_it_true(change: Callable[[list[ServiceNode]], list[list[ServiceNode]]], agreed: int) -> None:
    assert len(agree(change(NODES))) == agreed
