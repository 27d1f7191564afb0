"""The network as this machine knows it and reaches it, for those who want to see."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ..errors import SessionError
from ..network.clock import Deadline
from ..network.definition import load_definition
from ..network.network import Network
from ..network.parallel import Attempt, first_success, run_parallel
from ..network.path import Path
from ..network.pool_cache import Trouble
from ..network.proxy import check_direct
from ..protocol import storage_rpc
from ..store.locations import locate

if TYPE_CHECKING:
    from ..protocol.storage_rpc import ServiceNode


ASKED = 2
"""How often a hop is asked, at the most."""


@dataclass(frozen=True, slots=True)
class Node:
    """A service node: its identity (Ed25519, hex), where it is, and how often it has failed us lately."""

    id: str
    ip: str
    port: int
    strikes: int


@dataclass(frozen=True, slots=True)
class Hop:
    """A hop of a path: how long a question to it and the answer took (ms), or why there was none."""

    node: Node
    latency_ms: int | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class StandingPath:
    """A path in use, guard first, and when the hops behind the guard were drawn (Unix time)."""

    hops: tuple[Hop, ...]
    built_s: float


@dataclass(frozen=True, slots=True)
class Swarm:
    """The members of the swarm that holds an account, by our list of nodes."""

    account_id: str
    members: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class NetworkStatus:
    """What is known without asking anybody. `fetched_s` (Unix time) is None if there is no list of nodes yet.

    `stale`: the list was found wrong since, and will be fetched anew. `clock_offset_ms` is what has to be added to
    this machine's time (None: no node has told the time). `struck` are all nodes with strikes; `troubles` what went
    wrong lately, oldest first.
    """

    network: str
    seeds: tuple[str, ...]
    nodes: int
    swarms: int
    fetched_s: float | None
    stale: bool
    guards: tuple[Node, ...]
    struck: tuple[Node, ...]
    clock_offset_ms: int | None
    troubles: tuple[Trouble, ...]
    shown_swarms: tuple[Swarm, ...]


def open_network(
    reference: str, environ: Mapping[str, str] = os.environ, *, proxy: str | None = None, direct: bool = False
) -> Network:
    """A network without an account, by name or path of a definition. Raises InvalidNetworkDefinition, UsageError."""
    if direct:
        check_direct(proxy)
    return Network(load_definition(reference), locate(environ).cache, proxy=proxy, direct=direct)


def status(network: Network, accounts: Sequence[str] = ()) -> NetworkStatus:
    """What is known of a network, and of the swarms of some accounts."""
    pool = network.pool
    age_s = pool.age_s
    return NetworkStatus(
        network=network.definition.name,
        seeds=tuple(seed.url for seed in network.definition.seeds),
        nodes=len(pool.nodes),
        swarms=len({node.swarm_id for node in pool.nodes.values() if node.swarm_id is not None}),
        fetched_s=None if age_s is None else time.time() - age_s,
        stale=pool.state.stale,
        guards=tuple(_node(network, guard) for guard in network.onion.paths.guards()),
        struck=tuple(
            sorted(
                (
                    _node(network, pool.nodes[key])
                    for key in pool.state.strikes
                    if key in pool.nodes and pool.strikes(key)
                ),
                key=lambda node: (-node.strikes, node.ip),
            )
        ),
        clock_offset_ms=network.clock.offset_ms if network.clock.samples else None,
        troubles=tuple(pool.state.troubles),
        shown_swarms=tuple(
            Swarm(account, tuple(sorted((_node(network, member) for member in pool.swarm(account)), key=_by_address)))
            for account in accounts
        ),
    )


def measure_paths(network: Network, deadline: Deadline) -> list[StandingPath]:
    """The paths in use, with every hop asked for its version over the hops before it.

    Where there are none yet, they are found. Raises NetworkError if there is no way into the network.
    """
    network.prepare(deadline)
    for lane, _ in enumerate(network.onion.paths.guards()):
        # A path is drawn with the first request over it.
        path = network.onion.paths.choose((), lane=lane)
        if path is None or path.fresh:
            network.onion.call_anybody(storage_rpc.info(), lambda body, _: body, deadline, lane=lane)
    return measure_standing_paths(network, deadline)


def ask_guards(network: Network, deadline: Deadline) -> list[Hop]:
    """The guards there are, each asked for its version; none is looked for. Raises NetworkError at the deadline."""
    guards = network.onion.paths.guards()
    hops: list[Hop] = []
    for answer in run_parallel([partial(_measure, network, Path((guard,)), 0, deadline) for guard in guards]):
        if isinstance(answer, SessionError):
            raise answer
        hops.append(answer)
    return hops


def measure_standing_paths(network: Network, deadline: Deadline) -> list[StandingPath]:
    """As `measure_paths`, but only the paths there are: nobody is asked who does not know us yet.

    Raises NetworkError if the time ran out before any of them was measured.
    """
    paths = network.onion.paths.standing()
    built = {known.hops: known.built_s for known in network.pool.state.paths}
    measured = run_parallel([partial(_measure_path, network, path, deadline) for path in paths])
    if measured and all(isinstance(hops, SessionError) for hops in measured):
        raise next(hops for hops in measured if isinstance(hops, SessionError))
    return [
        StandingPath(hops, built[path.keys])
        for path, hops in zip(paths, measured, strict=True)
        if not isinstance(hops, SessionError)
    ]


def _measure_path(network: Network, path: Path, deadline: Deadline) -> tuple[Hop, ...]:
    # The first question opens the connection, which takes several times as long as an answer.
    _measure(network, path, 0, deadline)
    hops: list[Hop] = []
    for length, node in enumerate(path.hops):
        if hops and hops[-1].problem is not None:
            hops.append(Hop(_node(network, node), None, "Nothing gets that far."))
        else:
            hops.append(_measure(network, path, length, deadline))
    return tuple(hops)


def _measure(network: Network, path: Path, length: int, deadline: Deadline) -> Hop:
    node = path.hops[length]
    limit = network.onion.pace.guard
    question = partial(network.onion.probe, node, Path(path.hops[:length]))
    try:
        # One that fails once may do better the next time, as it would for a message.
        latency_ms = first_success((Attempt(question, limit, limit) for _ in range(ASKED)), deadline)
        return Hop(_node(network, node), latency_ms, None)
    except SessionError as error:
        if deadline.left() == 0.0:
            raise
        return Hop(_node(network, node), None, error.message)


def _by_address(node: Node) -> tuple[str, int]:
    return node.ip, node.port


def _node(network: Network, node: ServiceNode) -> Node:
    return Node(node.ed25519.hex(), node.ip, node.port, network.pool.strikes(node.ed25519))
