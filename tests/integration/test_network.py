"""The network floor on local networks: seeds, guards, paths, swarms, clocks, and what goes wrong with them."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from session_cli.devnet.network import Devnet, DevnetOptions
from session_cli.errors import (
    ClockOutOfSync,
    InvalidNetworkDefinition,
    NetworkUnreachable,
    RequestTimeout,
    ServiceRefused,
    UsageError,
)
from session_cli.network.clock import Deadline, NetworkClock
from session_cli.network.definition import BUILT_IN, MAINNET, Seed, load_definition
from session_cli.network.network import Network
from session_cli.network.onion import WrongSwarm
from session_cli.network.transport import Transport, check_proxy
from session_cli.protocol import storage_rpc
from session_cli.protocol.account import Identity

ME = Identity.from_seed(b"\x01" * 16)
DAY_MS = 24 * 3600 * 1000


@pytest.fixture
def network(shared_definition: Path, tmp_path: Path) -> Iterator[Network]:
    with Network(load_definition(str(shared_definition)), tmp_path / "cache") as network:
        yield network


def _private(net: Devnet, tmp_path: Path, **changes: Any) -> Network:
    path = tmp_path / "network.toml"
    net.write_definition(path)
    return Network(replace(load_definition(str(path)), **changes), tmp_path / "cache")


# Definitions.


def test_built_in_networks() -> None:
    assert set(BUILT_IN) == {"mainnet", "testnet"}
    assert all(seed.certificate_sha256 for seed in MAINNET.seeds)
    assert load_definition("mainnet") is MAINNET


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not toml",
        'name = "x"\nid = "x"\nseeds = []\n[file_server]\nurl = "http://f"\ned25519 = "00"\nx25519 = "00"',
        'name = "x"\nid = "x"\n[[seeds]]\nurl = "ftp://s"\n[file_server]',
        'name = 3\nid = "x"\n[[seeds]]\nurl = "http://s"\n[file_server]',
        'name = "x"\nid = "x"\n[[seeds]]\nurl = "http://s"\ncertificate_sha256 = "12"\n[file_server]\nurl = "http://f"',
    ],
)
def test_malformed_definitions(text: str, tmp_path: Path) -> None:
    path = tmp_path / "network.toml"
    path.write_text(text)
    with pytest.raises(InvalidNetworkDefinition) as caught:
        load_definition(str(path))
    assert str(path) in caught.value.message


def test_a_network_that_is_nowhere() -> None:
    with pytest.raises(InvalidNetworkDefinition, match="neither mainnet nor testnet"):
        load_definition("mainent")


# Seeds and the pool.


def test_the_pool_is_fetched_once_and_kept(shared_net: Devnet, shared_definition: Path, tmp_path: Path) -> None:
    definition = load_definition(str(shared_definition))
    with Network(definition, tmp_path) as first:
        first.pool.ensure(Deadline(10))
        assert set(first.pool.state.nodes) == {node.ed25519 for node in shared_net.nodes}
        guards = {guard.ed25519 for guard in first.pool.guards(())}
    (cache,) = tmp_path.iterdir()
    assert cache.stat().st_mode & 0o777 == 0o600
    with Network(replace(definition, seeds=(Seed("http://127.0.0.1:1"),)), tmp_path) as second:
        second.pool.ensure(Deadline(10))  # asks nobody
        assert {guard.ed25519 for guard in second.pool.guards(())} == guards


def test_a_damaged_cache_is_fetched_anew(shared_definition: Path, tmp_path: Path) -> None:
    definition = load_definition(str(shared_definition))
    (tmp_path / f"{definition.id}.json").write_text('{"format": 1, "nodes": [["zz"]]}')
    with Network(definition, tmp_path) as network:
        network.pool.ensure(Deadline(10))
        assert len(network.pool.state.nodes) == 12


def test_an_old_list_serves_when_no_seed_answers(private_net: Devnet, tmp_path: Path) -> None:
    with _private(private_net, tmp_path) as network:
        network.pool.refresh(Deadline(10))
        network.pool.state.fetched_s -= 10 * 3600
        network.pool.save()
    with _private(private_net, tmp_path, seeds=(Seed("http://127.0.0.1:1"),)) as network:
        network.pool.ensure(Deadline(10))
        assert network.pool.state.nodes


@pytest.mark.parametrize("pin", ["00" * 32, None])
def test_a_seed_with_another_certificate_is_not_believed(
    pin: str | None, shared_definition: Path, tmp_path: Path
) -> None:
    definition = load_definition(str(shared_definition))
    seeds = tuple(replace(seed, certificate_sha256=pin) for seed in definition.seeds)
    with Network(replace(definition, seeds=seeds), tmp_path) as network, pytest.raises(NetworkUnreachable):
        network.pool.ensure(Deadline(10))


def test_all_seeds_are_tried(shared_definition: Path, tmp_path: Path) -> None:
    definition = load_definition(str(shared_definition))
    dead = tuple(Seed(f"https://127.0.0.1:{port}") for port in (1, 2, 3))
    with Network(replace(definition, seeds=dead + definition.seeds), tmp_path) as network:
        network.pool.ensure(Deadline(20))
        assert len(network.pool.state.nodes) == 12


def test_paths_are_made_of_different_nodes(network: Network) -> None:
    network.pool.ensure(Deadline(10))
    (guard, *_) = network.pool.guards(())
    destination = next(key for key in network.pool.state.nodes if key != guard.ed25519)
    for _ in range(30):
        path = network.pool.path(guard, {destination})
        assert path is not None
        assert path[0] == guard
        assert len({hop.ed25519 for hop in path} | {destination}) == 4


def test_subnet_diversity(network: Network) -> None:
    network.pool.ensure(Deadline(10))
    nodes = list(network.pool.state.nodes.values())
    network.pool.definition = replace(network.pool.definition, subnet_diversity=True)
    same = {node.ed25519: replace(node, ip=f"10.0.0.{number}") for number, node in enumerate(nodes)}
    network.pool.state.nodes = same
    assert network.pool.path(next(iter(same.values())), ()) is None


# Swarms.


def test_store_and_retrieve(network: Network) -> None:
    identity = Identity.generate()
    stored = network.swarm.store(identity.account_id, b"one", DAY_MS, Deadline(20))
    assert len(stored.confirmed) == 4
    assert not stored.failed
    assert stored.hash == storage_rpc.message_hash(identity.account_id, 0, b"one")
    page = network.swarm.retrieve(identity, {}, Deadline(20))
    assert [message.data for message in page.messages] == [b"one"]
    assert not page.more
    again = network.swarm.retrieve(identity, {page.node: stored.hash}, Deadline(20), prefer=page.node)
    if again.node == page.node:
        assert again.messages == ()
    network.swarm.delete(identity, [stored.hash], Deadline(20))
    assert network.swarm.retrieve(identity, {}, Deadline(20)).messages == ()


def test_a_redirect_leads_to_the_right_swarm(network: Network) -> None:
    """A list that puts our account into another swarm is put right by the first answer."""
    network.pool.ensure(Deadline(10))
    right = {node.ed25519 for node in network.pool.swarm(ME.account_id)}
    swarm_ids = {node.swarm_id for node in network.pool.state.nodes.values()}
    own = next(node.swarm_id for node in network.pool.swarm(ME.account_id))
    (other, *_) = swarm_ids - {own}
    exchange = {own: other, other: own}
    network.pool.state.nodes = {
        key: replace(node, swarm_id=exchange.get(node.swarm_id, node.swarm_id))
        for key, node in network.pool.state.nodes.items()
    }
    wrong = network.pool.swarm(ME.account_id)
    with pytest.raises(WrongSwarm):
        network.onion.call(wrong[0], storage_rpc.retrieve(ME, timestamp_ms=network.clock.now_ms()), Deadline(10))
    page = network.swarm.retrieve(ME, {}, Deadline(20))
    assert bytes.fromhex(page.node) in right


def test_a_refusal_is_final(network: Network) -> None:
    network.pool.ensure(Deadline(10))
    node = network.pool.swarm(ME.account_id)[0]
    with pytest.raises(ServiceRefused) as caught:
        network.onion.call(node, storage_rpc.store(ME.account_id, b"x", timestamp_ms=1, ttl_ms=1), Deadline(10))
    assert caught.value.status == 403


def test_skewed_clocks_are_noticed_and_put_right(private_net: Devnet, tmp_path: Path) -> None:
    def an_hour_behind() -> int:
        return time.time_ns() // 1_000_000 - 3_600_000

    with _private(private_net, tmp_path) as network:
        network.clock._local_ms = an_hour_behind
        assert network.swarm.retrieve(ME, {}, Deadline(20)).messages == ()
        assert abs(network.clock.offset_ms - 3_600_000) < 10_000
    with _private(private_net, tmp_path) as network:
        assert abs(network.clock.offset_ms - 3_600_000) < 10_000, "the next run begins with what this one learnt"


def test_a_clock_that_can_not_be_put_right(
    private_net: Devnet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NetworkClock, "learn", lambda *_: None)
    with _private(private_net, tmp_path) as network:
        network.clock.offset_ms = -3_600_000
        with pytest.raises(ClockOutOfSync):
            network.swarm.retrieve(ME, {}, Deadline(20))


def test_small_differences_of_clocks_are_left_alone() -> None:
    clock = NetworkClock(local_ms=lambda: 1_000_000)
    clock.learn(1_001_500)
    assert clock.offset_ms == 0
    clock.learn(1_060_000)
    assert clock.now_ms() == 1_060_000


def test_failing_members_and_hops_are_passed_over(private_net: Devnet, tmp_path: Path) -> None:
    """With a member of the swarm and a guard gone, messages still get through."""
    with _private(private_net, tmp_path) as network:
        network.swarm.retrieve(ME, {}, Deadline(20))
        members = {node.ed25519 for node in network.pool.swarm(ME.account_id)}
        handles = {node.ed25519: node for node in private_net.nodes}
        guards = [guard.ed25519 for guard in network.pool.guards(())]
        handles[guards[0]].stop()
        handles[next(key for key in members if key not in guards)].stop()
        result = network.swarm.store(ME.account_id, b"still here", DAY_MS, Deadline(60))
        assert 2 <= len(result.confirmed) <= 3
        assert result.failed


def test_everything_gone(private_net: Devnet, tmp_path: Path) -> None:
    with _private(private_net, tmp_path) as network:
        network.pool.ensure(Deadline(10))
        private_net.stop()
        with pytest.raises(NetworkUnreachable, match="devnet"):
            network.swarm.retrieve(ME, {}, Deadline(20))


def test_a_network_that_moved_is_found_again(tmp_path: Path) -> None:
    """A list of nodes that are all gone is replaced by what a seed says."""
    with Devnet(DevnetOptions()) as net, _private(net, tmp_path) as network:
        network.pool.ensure(Deadline(10))
        network.pool.state.nodes = {key: replace(node, port=1) for key, node in network.pool.state.nodes.items()}
        assert network.swarm.retrieve(ME, {}, Deadline(30)).messages == ()


def test_guards_stay_while_nothing_works_and_go_when_others_do(private_net: Devnet, tmp_path: Path) -> None:
    with _private(private_net, tmp_path) as network:
        network.swarm.retrieve(ME, {}, Deadline(20))
        guards = list(network.pool.state.guards)
        handles = {node.ed25519: node for node in private_net.nodes}
        for node in private_net.nodes:
            node.stop()
        with pytest.raises(NetworkUnreachable):
            network.swarm.retrieve(ME, {}, Deadline(20))
        assert network.pool.state.guards == guards, "nobody can tell a dead guard from a pulled plug"
        for node in private_net.nodes:
            node.start()
        for guard in guards:
            handles[guard].stop()
        network.swarm.retrieve(ME, {}, Deadline(40))
        assert not set(network.pool.state.guards) & set(guards)


# Connections.


def test_only_seeds_and_guards_are_connected_to(
    network: Network, shared_net: Devnet, monkeypatch: pytest.MonkeyPatch
) -> None:
    places: set[tuple[str, int]] = set()
    connect = socket.socket.connect

    def recording(self: socket.socket, address: Any) -> None:
        if threading.current_thread().name != "devnet":  # the network's own connections, in this process too
            places.add(address[:2])
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", recording)
    for number in range(5):
        network.swarm.store(ME.account_id, b"x%d" % number, DAY_MS, Deadline(20), lane=number)
    network.swarm.retrieve(ME, {}, Deadline(20))
    upload = network.files.upload(lambda: [b"y" * 1000], 1000, Deadline(20), lambda done: None)
    guards = {(guard.ip, guard.port) for guard in network.pool.guards(())}
    seed = shared_net.seed_url.removeprefix("https://").split(":")
    assert places <= guards | {(seed[0], int(seed[1]))}
    assert upload.url.file_id


def test_a_proxy_is_used_for_everything_or_nothing_is_sent(shared_definition: Path, tmp_path: Path) -> None:
    with Network(load_definition(str(shared_definition)), tmp_path, proxy="socks5h://127.0.0.1:1") as network:
        with pytest.raises(NetworkUnreachable):
            network.swarm.retrieve(ME, {}, Deadline(20))
        assert not network.pool.state.nodes


@pytest.mark.parametrize("url", ["socks5://127.0.0.1:9050", "127.0.0.1:9050", "ftp://x", "socks5h://", "http://h:0"])
def test_proxies_that_would_leak_or_make_no_sense(url: str) -> None:
    with pytest.raises(UsageError):
        check_proxy(url)


def test_deadlines() -> None:
    assert Deadline(None).limit(5) == 5
    assert Deadline(100).limit(5) == 5
    with pytest.raises(RequestTimeout):
        Deadline(0).limit(5)


def test_a_server_that_never_answers(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        transport = Transport()
        with pytest.raises(RequestTimeout):
            transport.post(f"http://127.0.0.1:{server.getsockname()[1]}/", b"", timeout=0.3)
        transport.close()


# Files.


def test_files_there_and_back(network: Network, tmp_path: Path) -> None:
    data = bytes(range(256)) * 5000
    uploaded = network.files.upload(
        lambda: (data[at : at + 70_000] for at in range(0, len(data), 70_000)),
        len(data),
        Deadline(30),
        lambda done: None,
    )
    assert uploaded.expires_s is not None
    with (tmp_path / "file").open("w+b") as sink:
        sink.write(b"something that was there before")
        network.files.download(uploaded.url, sink, len(data), Deadline(30), lambda done: None)
        sink.seek(0)
        assert sink.read() == data


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('id = "devnet-', 'id = "mainnet"\nold = "'),
        ('url = "https://127.0.0.1:', 'url = "https://127.0.0.1:0'),
        ('url = "https://127.0.0.1:', 'url = "https://user@127.0.0.1:'),
    ],
)
def test_definitions_that_could_pass_for_another(old: str, new: str, shared_definition: Path, tmp_path: Path) -> None:
    text = shared_definition.read_text()
    assert old in text
    path = tmp_path / "network.toml"
    path.write_text(text.replace(old, new))
    with pytest.raises(InvalidNetworkDefinition):
        load_definition(str(path))
