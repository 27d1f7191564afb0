"""A request on a network of which much is dead: who is asked over whom, and what counts as a try."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

import pytest

from session_cli.errors import NetworkError, NetworkUnreachable, PathFailed, SessionError
from session_cli.network import pace
from session_cli.network.attempts import InTurn
from session_cli.network.clock import Deadline, NetworkClock
from session_cli.network.definition import MAINNET
from session_cli.network.onion import Answer, OnionClient
from session_cli.network.pace import Pace
from session_cli.network.path import DIRECTLY, Path
from session_cli.network.pool import MOST_SHOWN, NodePool
from session_cli.network.swarm_members import MEMBERS_TRIED, Members, Turns
from session_cli.network.transport import Cancellation, Transport
from session_cli.protocol import storage_rpc
from session_cli.protocol.account import Identity
from session_cli.protocol.storage_rpc import ServiceNode

QUICK = Pace(
    request=1.0, guard=0.4, least_patience=0.05, most_patience=0.2, unknown_patience=0.1, build=2.0
)  # as always, and twenty times as fast
NODES = [
    ServiceNode(one.ed25519_public, one.x25519_public, f"10.0.{number}.1", 22021, number % 2)
    for number in range(16)
    for one in (Identity.from_seed(bytes([number]) * 32),)
]
GUARDS = NODES[:2]


class _Wire:
    """The network: nodes that are `silent`, and the rest. `asked` are the ways that requests went, ends included.

    Those that are `gone` are noticed to be so at once. So many questions as `lost` says fail at once behind the guard.
    """

    def __init__(self) -> None:
        self.silent: set[bytes] = set()
        self.gone: set[ServiceNode] = set()
        self.lost = 0
        self.go = threading.Event()
        self.over = threading.Event()
        self.asked: list[tuple[str, tuple[ServiceNode, ...]]] = []
        self._lock = threading.Lock()

    def carry(self, what: str, way: tuple[ServiceNode, ...], cancellation: Cancellation) -> None:
        with self._lock:
            self.asked.append((what, way))
            loses = what == "question" and self.lost > 0
            self.lost -= loses
        dead = [number for number, node in enumerate(way) if node.ed25519 in self.silent]
        cancellation.reached = 0 not in dead
        if way[0] in self.gone:
            cancellation.reached = False
            raise NetworkUnreachable("connection refused")
        if loses or self.gone.intersection(way):
            raise PathFailed("The path failed with status 502.")
        if dead:
            self.over.wait(10)
            raise PathFailed("The path failed with status 504.")

    def kill(self, nodes: Collection[ServiceNode]) -> None:
        self.silent.update(node.ed25519 for node in nodes)

    def ends(self, what: str) -> list[ServiceNode]:
        """Whom questions of one kind were for, in this order."""
        return [way[-1] for asked, way in self.asked if asked == what]

    def connected(self) -> list[ServiceNode]:
        """Who has seen our address."""
        return list(dict.fromkeys(way[0] for _, way in self.asked))


class _Client(OnionClient):
    wire: _Wire

    def _call(
        self, what: str, node: ServiceNode, request: Any, parse: Any, path: Path, cancellation: Cancellation
    ) -> Answer:
        def run(cancellation: Cancellation) -> ServiceNode:
            self.wire.carry(what, (*path.hops, node), cancellation)
            return node

        return self.timed(what, path, node, run, cancellation)


@pytest.fixture
def client(tmp_path: FilePath, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Client]:
    """One that has two guards."""
    monkeypatch.setattr(pace, "DIRECT", QUICK)
    pool = NodePool(replace(MAINNET, subnet_diversity=False), tmp_path)
    pool.replace(NODES)

    def ready(deadline: Deadline) -> None:
        """The list is there."""

    def refresh(deadline: Deadline) -> None:
        raise NetworkUnreachable("there is no other list")

    one = _Client(pool, Transport(), NetworkClock(), ready=ready, refresh=refresh)
    one.wire = _Wire()
    for guard in GUARDS:
        one.paths.add_guard(guard)
    yield one
    one.wire.over.set()
    one.wire.go.set()


def _ask(
    client: _Client,
    nodes: list[ServiceNode],
    seconds: float | None = 10,
    failed: Callable[[ServiceNode, SessionError], None] | None = None,
) -> ServiceNode:
    """Who answers."""
    request = storage_rpc.info()
    answered: ServiceNode = client.ask(
        InTurn(nodes), lambda _: request, lambda body, _: body, Deadline(seconds), what="question", failed=failed
    )
    return answered


def test_where_all_is_well_one_request_is_enough(client: _Client) -> None:
    assert _ask(client, NODES[5:8]) == NODES[5]
    assert [what for what, _ in client.wire.asked] == ["question"]


def test_the_way_to_a_node_costs_it_no_try(client: _Client) -> None:
    """Both guards are silent, and so are all hops but two: the one node that can answer is still there to be asked."""
    client.wire.kill([*GUARDS, *NODES[6:]])
    assert _ask(client, [NODES[5]]) == NODES[5]
    assert not set(client.paths.guards()) & set(NODES[6:])


def test_silent_guards_are_replaced_once_another_one_has_served(client: _Client) -> None:
    """Also where the attempts over them are still under way."""
    client.wire.kill(GUARDS)
    assert _ask(client, NODES[5:9]) in NODES[5:9]
    served = client.wire.asked[-1][1][0]
    assert served in client.paths.guards()
    assert all(client.pool.strikes(guard.ed25519) for guard in GUARDS)


def test_a_node_has_its_time_to_answer_however_long_its_path_took(
    client: _Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else is asked beside it, although one has waited for longer than one has patience."""
    monkeypatch.setattr(client, "pace", replace(QUICK, unknown_patience=0.8, request=5.0))
    client.wire.lost = 2
    client.wire.kill(GUARDS[1:])
    build, carry = client._builder.build, client.wire.carry

    def slowly(*arguments: Any) -> Path:
        threading.Event().wait(1.2)
        path = build(*arguments)
        monkeypatch.setattr(client.wire, "carry", answer_slowly)
        return path

    def answer_slowly(*arguments: Any) -> None:
        carry(*arguments)
        threading.Event().wait(0.3)

    monkeypatch.setattr(client._builder, "build", slowly)
    assert _ask(client, NODES[5:10]) in NODES[5:10]
    assert len(client.wire.ends("question")) == 3


def test_one_path_at_a_time_is_built_behind_a_guard(client: _Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever else is to be asked waits for it: no try is used up, and the guard is not asked twice."""
    client.wire.lost = 2
    client.wire.kill(GUARDS[1:])
    build, lock = client._builder.build, threading.Lock()
    together: list[bool] = []

    def alone(guard: ServiceNode, *arguments: Any) -> Path:
        first = lock.acquire(blocking=False)
        together.append(not first)
        threading.Event().wait(0.4)  # several times the patience with an attempt
        try:
            return build(guard, *arguments)
        finally:
            if first:
                lock.release()

    monkeypatch.setattr(client._builder, "build", alone)
    assert _ask(client, NODES[5:10]) in NODES[5:10]
    assert together == [False]


def test_a_path_that_works_is_kept_when_nodes_at_its_end_are_not_there(
    client: _Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[ServiceNode] = []

    def build(guard: ServiceNode, *_: Any) -> Path:
        built.append(guard)
        return Path((guard, *NODES[12:14]), fresh=True)

    monkeypatch.setattr(client._builder, "build", build)
    client.wire.gone.update(NODES[3:7])
    assert _ask(client, [*NODES[3:7], NODES[9]]) == NODES[9]
    assert len(built) == len(set(built))


def test_a_path_at_whose_end_nobody_is_there_is_given_up(client: _Client, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[ServiceNode] = []

    def build(guard: ServiceNode, *_: Any) -> Path:
        built.append(guard)
        return Path((guard, *NODES[12:14]), fresh=True)

    monkeypatch.setattr(client._builder, "build", build)
    client.wire.gone.update(NODES[3:12])
    with pytest.raises(NetworkError):
        _ask(client, NODES[3:12])
    assert len(built) > len(set(built))


def test_nodes_that_were_silent_are_no_hops_any_more(client: _Client) -> None:
    client.wire.kill(NODES[2:10])
    builder, deadline = client._builder, Deadline(10)
    for _ in range(4):
        builder.build(GUARDS[0], set(), deadline, Cancellation())
    probed = [way[-1] for what, way in client.wire.asked if what == "info" and way[-1] in NODES[2:10]]
    assert len(probed) == len(set(probed))


def test_when_only_silent_nodes_are_left_they_are_tried_again(client: _Client) -> None:
    for node in NODES[1:]:
        client._builder.avoid(node)
    with pytest.raises(PathFailed, match="too few"):
        client._builder.build(GUARDS[0], set(), Deadline(10), Cancellation())
    assert len(client._builder.build(GUARDS[0], set(), Deadline(10), Cancellation()).hops) == 3


def test_a_node_that_is_the_only_guard_is_asked_last_and_over_another_one(client: _Client) -> None:
    """Others are asked over it first; and it is asked in the same round, for it alone has the answer."""
    client.wire.kill(NODES[3:6])
    client.wire.gone.add(GUARDS[1])
    assert _ask(client, [*NODES[3:5], GUARDS[0], NODES[5]]) == GUARDS[0]
    ways = [way for what, way in client.wire.asked if what == "question"]
    # The second could not be asked over the other guard, which is no try.
    assert [way[-1] for way in ways] == [NODES[3], NODES[4], NODES[4], NODES[5], GUARDS[0]]
    assert ways[-1][0] not in GUARDS


def test_an_answer_that_comes_late_is_taken_while_another_guard_is_looked_for(client: _Client) -> None:
    """All that might become a guard is silent, and there are many."""

    class Late(_Wire):
        """The first guard is reached, and answers, only when others have been asked to be guards."""

        def carry(self, what: str, way: tuple[ServiceNode, ...], cancellation: Cancellation) -> None:
            if what == "question" and way[0] == GUARDS[0]:
                self.go.wait(10)
                return
            if way[0] not in GUARDS:
                self.go.set()
            super().carry(what, way, cancellation)

    client.wire = Late()
    client.wire.kill(NODES[1:])
    assert _ask(client, [NODES[5]] * 3) == NODES[5]
    assert client.wire.go.is_set()
    assert len(client.wire.connected()) == 2, "and the search is at its first candidate"
    client.wire.over.set()


def test_a_path_may_take_longer_to_find_than_a_request_may_take(
    client: _Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node has the same time to answer as ever."""
    monkeypatch.setattr(client, "pace", replace(QUICK, request=0.2))
    client.wire.lost = 2
    build = client._builder.build

    def slowly(*arguments: Any) -> Path:
        threading.Event().wait(0.4)
        return build(*arguments)

    monkeypatch.setattr(client._builder, "build", slowly)
    assert _ask(client, [NODES[3]] * 3) == NODES[3]
    assert client.wire.ends("question") == [NODES[3]] * 3


def test_what_is_silent_for_good_comes_to_an_end_without_a_deadline(client: _Client) -> None:
    client.wire.kill(NODES)
    with pytest.raises(NetworkError):
        _ask(client, NODES[3:6], seconds=None)
    assert len(client.wire.connected()) <= MOST_SHOWN + len(GUARDS)
    assert not client.pool.state.strikes


def test_a_silent_guard_says_nothing_of_the_node(client: _Client) -> None:
    told: list[ServiceNode] = []
    client.wire.kill(GUARDS)
    assert _ask(client, NODES[5:7], failed=lambda node, _: told.append(node)) in NODES[5:7]
    assert told == []


def test_all_nodes_are_told_of_when_they_are_silent(client: _Client) -> None:
    told: list[ServiceNode] = []
    client.wire.kill(NODES[5:8])
    with pytest.raises(NetworkError):
        _ask(client, NODES[5:8], failed=lambda node, _: told.append(node))
    assert set(told) == set(NODES[5:8])


def test_directly_there_is_no_way_to_be_looked_for(client: _Client) -> None:
    client.direct = True
    assert _ask(client, [NODES[5]]) == NODES[5]
    assert client.wire.asked == [("question", (*DIRECTLY.hops, NODES[5]))]


# Whose turn it is.


@pytest.fixture
def members(client: _Client) -> Members:
    """The members of a swarm of eight."""

    def renew(deadline: Deadline) -> None:
        raise NetworkUnreachable("the list is good")

    return Members(client, Identity.from_seed(b"\x01" * 16).account_id, renew)


def test_each_member_has_its_turn_in_every_round(members: Members) -> None:
    turns = Turns(members)
    taken = [node for _ in range(MEMBERS_TRIED) if (node := turns.take())]
    assert len(taken) == MEMBERS_TRIED
    assert turns.take() is None
    size = len(members.names)
    assert len(set(taken[:size])) == size
    assert taken[size:] == taken[: MEMBERS_TRIED - size]


def test_who_is_put_back_is_next_and_has_lost_no_try(members: Members) -> None:
    turns = Turns(members)
    for _ in range(3 * MEMBERS_TRIED):
        node = turns.take()
        assert node is not None
        turns.put_back(node)
    assert turns.take() == node
    assert sum(turns.take() is not None for _ in range(2 * MEMBERS_TRIED)) == MEMBERS_TRIED - 1


def test_who_was_put_back_can_be_asked_for_a_second_opinion(members: Members) -> None:
    first = Turns(members)
    asked, unasked = first.take(), first.take()
    assert asked is not None
    assert unasked is not None
    first.put_back(unasked)
    assert Turns(members).take() == unasked


def test_a_choice_is_made_only_where_there_is_one(members: Members) -> None:
    turns = Turns(members)
    last = turns.take()
    assert last is not None
    turns.put_back(last)
    size = len(members.names)
    taken = [turns.take({last.ed25519}) for _ in range(size)]
    assert taken[-1] == last
    assert len(set(taken)) == size
    inturn = InTurn(NODES[:2])
    assert [inturn.take({NODES[0].ed25519}) for _ in range(3)] == [NODES[1], NODES[0], None]
