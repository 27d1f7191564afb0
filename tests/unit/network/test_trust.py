"""Which paths are taken, who is blamed, and what is remembered of it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

import pytest

from session_cli.errors import NetworkError, NetworkUnreachable, PathFailed
from session_cli.network.clock import TOLERANCE_MS, Deadline, NetworkClock
from session_cli.network.definition import MAINNET
from session_cli.network.onion import OnionClient
from session_cli.network.path import LIFETIME_S, PATHS, Path, PathBook
from session_cli.network.pool import NodePool, subnet_of
from session_cli.network.pool_cache import MOST_STRIKES, STRIKE_LIFETIME_S, KnownPath, PoolCache, State
from session_cli.network.transport import Reply, Transport
from session_cli.protocol import storage_rpc
from session_cli.protocol.account import Identity
from session_cli.protocol.storage_rpc import ServiceNode


def _nodes(count: int = 20) -> list[ServiceNode]:
    nodes = []
    for number in range(count):
        identity = Identity.from_seed(bytes([number]) * 32)
        nodes.append(
            ServiceNode(identity.ed25519_public, identity.x25519_public, f"10.0.{number}.1", 22021, number % 3)
        )
    return nodes


@pytest.fixture
def pool(tmp_path: FilePath) -> NodePool:
    pool = NodePool(MAINNET, tmp_path)
    pool.replace(_nodes())
    return pool


@pytest.fixture
def book(pool: NodePool) -> PathBook:
    book = PathBook(pool)
    for node in _nodes()[:PATHS]:
        book.add_guard(node)
    return book


def _strike(pool: NodePool, node: ServiceNode, count: int = 1) -> None:
    pool.change(lambda state: state.strike(node.ed25519, count))


# Paths.


def test_a_path_has_different_hops_in_different_networks_and_not_its_destination(book: PathBook) -> None:
    destination = _nodes()[5]
    for _ in range(200):
        path = book.choose({destination.ed25519})
        assert path is not None
        assert path.fresh
        assert len({*path.keys, destination.ed25519}) == 4
        assert len({subnet_of(hop) for hop in path.hops}) == 3


def test_where_all_nodes_share_a_network_there_is_no_path(pool: NodePool) -> None:
    pool.replace([replace(node, ip=f"10.0.0.{number + 1}") for number, node in enumerate(_nodes())])
    book = PathBook(pool)
    book.add_guard(_nodes()[0])
    assert book.choose(()) is None
    pool.definition = replace(MAINNET, subnet_diversity=False)
    assert book.choose(()) is not None


def test_a_path_that_worked_stands(book: PathBook) -> None:
    path = book.choose(())
    assert path is not None
    book.succeeded(path, 300)
    for _ in range(5):
        again = book.choose(())
        assert again is not None
        assert again.keys == path.keys
        assert not again.fresh
        assert again.latency_ms == 300
    # Parallel requests are spread over the guards, and so are further attempts.
    assert book.guards()[0] != book.guards()[1]
    assert {choice.guard for lane in range(4) if (choice := book.choose((), lane=lane))} == set(book.guards())
    other = book.choose((), used=[path.keys])
    assert other is not None
    assert other.guard != path.guard
    third = book.choose((), used=[path.keys, other.keys])
    assert third is not None
    assert third.fresh
    assert third.keys not in (path.keys, other.keys)


def test_standing_paths_share_no_node(book: PathBook) -> None:
    for lane in range(PATHS):
        path = book.choose((), lane=lane)
        assert path is not None
        book.succeeded(path, 100)
    first, second = book.standing()
    assert not set(first.keys) & set(second.keys)


def test_later_hops_change_and_the_guard_stays(book: PathBook, pool: NodePool, monkeypatch: pytest.MonkeyPatch) -> None:
    path = book.choose(())
    assert path is not None
    book.succeeded(path, 100)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + LIFETIME_S + 1)
    later = book.choose(())
    assert later is not None
    assert later.guard == path.guard
    assert later.fresh
    assert pool.state.paths[0].hops == path.keys, "the old one stands until the new one has worked"
    book.succeeded(later, 100)
    assert pool.state.paths[0].hops == later.keys


def test_a_hop_that_fails_twice_is_replaced_behind_its_guard(book: PathBook, pool: NodePool) -> None:
    path = book.choose(())
    assert path is not None
    book.succeeded(path, 100)
    _strike(pool, path.hops[1])
    _strike(pool, path.hops[1])
    assert pool.state.strikes_of(path.hops[1].ed25519) == 2
    # Spread over both guards, since neither is to blame.
    later = book.choose(())
    assert later is not None
    assert path.hops[1] not in later.hops


def path_as_standing(path: Path) -> Path:
    """The same path, once it has worked."""
    return replace(path, fresh=False, latency_ms=100)


def test_destinations_on_the_standing_path_are_gone_around(book: PathBook) -> None:
    path = book.choose(())
    assert path is not None
    book.succeeded(path, 100)
    around = book.choose({path.hops[1].ed25519})
    assert around is not None
    assert path.hops[1] not in around.hops
    book.succeeded(around, 100)
    assert book.choose(()) == path_as_standing(path), "for once only"
    other = book.choose({path.hops[0].ed25519})
    assert other is not None
    assert other.guard != path.guard, "and so is a guard that shall be asked itself"


def test_struck_nodes_are_drawn_last(pool: NodePool) -> None:
    nodes = _nodes()
    for node in nodes[4:]:
        _strike(pool, node)
    assert {pool.draw(()) for _ in range(100)} <= set(nodes[:4])
    for node in nodes[:4]:
        _strike(pool, node, MOST_STRIKES)
    assert {pool.draw(()) for _ in range(100)} <= set(nodes[4:])
    assert pool.draw({node.ed25519 for node in nodes}) is None
    assert pool.draw({node.ed25519 for node in nodes[4:]}) in nodes[:4]


def test_strikes_are_forgotten_after_two_days(pool: NodePool, monkeypatch: pytest.MonkeyPatch) -> None:
    node = _nodes()[0]
    for _ in range(5):
        _strike(pool, node)
    assert pool.strikes(node.ed25519) == MOST_STRIKES
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + STRIKE_LIFETIME_S - 1)
    assert pool.strikes(node.ed25519) == MOST_STRIKES
    monkeypatch.setattr(time, "time", lambda: now + STRIKE_LIFETIME_S)
    assert pool.strikes(node.ed25519) == 0


def test_a_guard_goes_with_the_third_strike_or_with_the_list(book: PathBook, pool: NodePool) -> None:
    first, second = book.guards()
    _strike(pool, first, 2)
    book.drop_hopeless()
    assert book.guards() == [first, second]
    assert (choice := book.choose(())) and choice.guard == second, "the better one comes first"
    _strike(pool, first)
    book.drop_hopeless()
    assert book.guards() == [second]
    pool.replace(_nodes()[5:])
    book.drop_hopeless()
    assert book.guards() == []
    assert not pool.state.paths


def test_a_substitute_takes_the_place_of_the_guard_that_failed(book: PathBook) -> None:
    first, second = book.guards()
    substitute = _nodes()[9]
    book.replace_guards({first.ed25519}, substitute)
    assert book.guards() == [second, substitute]
    book.replace_guards({second.ed25519, substitute.ed25519}, first)
    assert first in book.guards()
    assert len(book.guards()) == PATHS


# What is remembered.


def test_two_processes_add_up_their_experience(tmp_path: FilePath) -> None:
    nodes = _nodes()
    one = NodePool(MAINNET, tmp_path)
    one.replace(nodes)
    two = NodePool(MAINNET, tmp_path)
    _strike(one, nodes[0])
    _strike(two, nodes[0])
    _strike(two, nodes[1])
    PathBook(one).add_guard(nodes[2])
    PathBook(two).add_guard(nodes[3])
    PathBook(two).add_guard(nodes[4])
    one.save()
    two.save()
    state = NodePool(MAINNET, tmp_path).state
    assert state.strikes_of(nodes[0].ed25519) == 2
    assert state.strikes_of(nodes[1].ed25519) == 1
    assert [path.guard for path in state.paths] == [nodes[2].ed25519, nodes[3].ed25519]


def test_the_cache_is_readable_json_of_public_facts(book: PathBook, pool: NodePool, tmp_path: FilePath) -> None:
    _strike(pool, _nodes()[7])
    pool.save()
    listed = json.loads((tmp_path / "mainnet.json").read_text())
    assert set(listed) == {"format", "fetched_s", "nodes"}
    state = json.loads((tmp_path / "mainnet.state.json").read_text())
    assert state["guards"] == [guard.ed25519.hex() for guard in book.guards()]
    assert set(state) == {
        "format",
        "guards",
        "paths",
        "strikes",
        "clock_offset_ms",
        "clock_samples",
        "troubles",
        "stale",
        "refresh_failed_s",
    }
    for path in tmp_path.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600


def test_a_cache_that_can_not_be_written_is_said_once(
    pool: NodePool, tmp_path: FilePath, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A file stands where the folder would be.
    monkeypatch.setattr(pool, "_cache", PoolCache(tmp_path / "mainnet.json", "x"))
    for _ in range(3):
        _strike(pool, _nodes()[0])
        pool.save()
    assert len(caplog.records) == 1


def test_a_known_path_without_hops_is_its_guard() -> None:
    assert KnownPath((b"g",), 0.0).guard == b"g"
    assert State().strikes_of(b"anybody") == 0


# Blame.


class LyingTransport(Transport):
    """Every guard gives the same answer."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__()
        self._answer = Reply(status, {}, body.encode())
        self.asked: list[str] = []

    def post(self, url: str, body: bytes, **options: Any) -> Reply:
        options["cancellation"].reached = True
        self.asked.append(url)
        return self._answer


def _client(pool: NodePool, transport: Transport) -> OnionClient:
    def nothing(deadline: Deadline) -> None:
        """The list is there."""

    def never(deadline: Deadline) -> None:
        raise NetworkUnreachable("nobody was to be asked for a list")

    return OnionClient(pool, transport, NetworkClock(), ready=nothing, refresh=never)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (502, "Next node not found: " + "ab" * 32),
        (502, "Next node not found: nonsense"),
        (502, "Next node is currently unreachable: " + "ab" * 32),
        (504, "Request time out"),
        (400, "Invalid ciphertext"),
        (200, "no base64 at all"),
        (200, ""),
        (500, "x" * 10_000),
    ],
)
def test_nothing_is_held_against_anybody_while_nothing_works(
    status: int, body: str, book: PathBook, pool: NodePool
) -> None:
    transport = LyingTransport(status, body)
    with pytest.raises(NetworkError):
        _client(pool, transport).call(_nodes()[8], storage_rpc.info(), Deadline(10))
    assert not pool.state.strikes
    assert set(pool.nodes) == {node.ed25519 for node in _nodes()}
    guards = {f"https://{guard.ip}:{guard.port}/onion_req/v2" for guard in book.guards()}
    assert set(transport.asked[:2]) == guards, "the second attempt goes over the other guard"
    assert pool.state.troubles


def test_a_node_that_is_named_is_out_if_it_was_on_the_way(book: PathBook, pool: NodePool) -> None:
    destination = _nodes()[8]
    transport = LyingTransport(502, f"Next node not found: {destination.ed25519.hex()}")
    with pytest.raises(PathFailed):
        _client(pool, transport).call(destination, storage_rpc.info(), Deadline(10))
    assert pool.strikes(destination.ed25519) == MOST_STRIKES
    assert len(pool.state.strikes) == 1
    assert pool.state.stale, "and the list is to be fetched anew"


def test_a_guard_can_not_be_named_away(book: PathBook, pool: NodePool) -> None:
    guard = book.guards()[0]
    transport = LyingTransport(502, f"Next node not found: {guard.ed25519.hex()}")
    with pytest.raises(NetworkError):
        _client(pool, transport).call(_nodes()[8], storage_rpc.info(), Deadline(10))
    assert not pool.state.strikes


# The clock.


@pytest.fixture
def clock() -> Iterator[NetworkClock]:
    yield NetworkClock(local_ms=lambda: 1_000_000)


def test_one_node_or_two_do_not_move_the_clock(clock: NetworkClock) -> None:
    for _ in range(10):
        clock.observe("a", 60_000)
        clock.observe("b", 60_000)
    assert clock.offset_ms == 0
    clock.observe("c", 60_000)
    assert clock.now_ms() == 1_060_000


def test_the_middle_counts(clock: NetworkClock) -> None:
    for node, ahead in (("a", 50), ("b", 10**12), ("c", -20)):
        clock.observe(node, ahead)
    assert clock.offset_ms == 0
    clock.settle({"a": 30_000, "b": 31_000, "c": -(10**12)})
    assert clock.offset_ms == 30_000


@pytest.mark.parametrize(("ahead", "offset"), [(TOLERANCE_MS, 0), (TOLERANCE_MS + 1, TOLERANCE_MS + 1), (-2001, -2001)])
def test_small_differences_are_left_alone(ahead: int, offset: int, clock: NetworkClock) -> None:
    clock.settle({"a": ahead, "b": ahead, "c": ahead})
    assert clock.offset_ms == offset


def test_a_clock_that_was_put_right_needs_no_offset(clock: NetworkClock) -> None:
    clock.settle({"a": 60_000, "b": 60_000, "c": 60_000})
    for node in "defgh":
        clock.observe(node, 100)
    assert clock.offset_ms == 0


def test_what_is_worth_remembering(clock: NetworkClock) -> None:
    assert [clock.observe(node, 10) for node in "abcde"] == [True] * 5
    assert clock.observe("f", 20) is False
    assert clock.observe("a", 5_000) is True
