"""The service nodes we know, and the guards we keep, across runs.

The list is public and lies in the cache folder. Guards stay the same from run to run: a cron job that picked a new
one every five minutes would in a day have shown its address to most of the network.
"""

from __future__ import annotations

import json
import logging
import random
import secrets
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import NetworkError, NetworkUnreachable, ProtocolError, RpcError, StoreUnwritable
from ..private_files import make_private_folder, write_private_file
from ..protocol.storage_rpc import ServiceNode, parse_service_nodes
from ..protocol.swarm import swarm_for
from .clock import Deadline
from .definition import NetworkDefinition
from .transport import Transport

LOG = logging.getLogger(__name__)

MAX_AGE_S = 2 * 3600
GUARDS = 2
SEED_TIMEOUT_S = 10.0
_FORMAT = 1
_FIELDS = (
    "public_ip",
    "storage_port",
    "pubkey_x25519",
    "pubkey_ed25519",
    "swarm_id",
    "storage_server_version",
)


@dataclass(slots=True)
class PoolState:
    """What is remembered between runs. `guards` are Ed25519 keys; `fetched_s` is Unix time."""

    nodes: dict[bytes, ServiceNode] = field(default_factory=dict)
    fetched_s: float = 0.0
    guards: list[bytes] = field(default_factory=list)
    clock_offset_ms: int = 0


class NodePool:
    """The service nodes of one network, from the cache file, refreshed from the seeds when old or missing."""

    def __init__(self, definition: NetworkDefinition, transport: Transport, cache_file: Path) -> None:
        self.definition = definition
        self._transport = transport
        self._file = cache_file
        self.state = _load(cache_file)
        self._random = random.SystemRandom()

    @property
    def age_s(self) -> float:
        """Seconds since the list was fetched."""
        return time.time() - self.state.fetched_s

    def ensure(self, deadline: Deadline) -> None:
        """Have a usable list: a fresh one if ours is older than two hours, an older one if no seed answers.

        Raises NetworkUnreachable if there is none at all.
        """
        usable = len(self.state.nodes) > self.definition.hops
        if usable and 0 <= self.age_s < MAX_AGE_S:
            return
        try:
            self.refresh(deadline)
        except NetworkError:
            if not usable:
                raise

    def refresh(self, deadline: Deadline) -> None:
        """Fetch the list from a seed, trying all of them in random order. Raises NetworkUnreachable."""
        seeds = list(self.definition.seeds)
        self._random.shuffle(seeds)
        problems = []
        for seed in seeds:
            try:
                nodes = self._ask_seed(seed.url, seed.certificate_sha256, deadline)
            except (NetworkError, ProtocolError) as error:
                problems.append(error.message)
                continue
            self.state.nodes = {node.ed25519: node for node in nodes}
            self.state.fetched_s = time.time()
            self.state.guards = [key for key in self.state.guards if key in self.state.nodes]
            self.save()
            return
        raise NetworkUnreachable(
            f"No seed of the network {self.definition.name!r} can be reached: {' '.join(dict.fromkeys(problems))}"
        )

    def _ask_seed(self, url: str, pin: str | None, deadline: Deadline) -> list[ServiceNode]:
        params = {"active_only": True, "fields": dict.fromkeys(_FIELDS, True)}
        body = {"jsonrpc": "2.0", "id": "0", "method": "get_n_service_nodes", "params": params}
        reply = self._transport.post(
            url + "/json_rpc",
            json.dumps(body).encode(),
            timeout=deadline.limit(SEED_TIMEOUT_S),
            headers={"Content-Type": "application/json"},
            pin=pin,
            verify=pin is None,
        )
        if reply.status != 200:
            raise NetworkUnreachable(f"A seed answered with status {reply.status}.")
        try:
            answer = json.loads(reply.body)
        except (ValueError, RecursionError):
            raise RpcError("A seed's answer is not JSON.") from None
        nodes = parse_service_nodes(answer.get("result") if isinstance(answer, dict) else None)
        if len(nodes) <= self.definition.hops:
            raise RpcError(f"A seed listed {len(nodes)} usable nodes, too few for a path.")
        return nodes

    def swarm(self, account_id: str) -> list[ServiceNode]:
        """The members of the swarm that holds an account; empty if the list knows no swarms."""
        nodes = list(self.state.nodes.values())
        swarm_id = swarm_for(account_id, {node.swarm_id for node in nodes if node.swarm_id is not None})
        return [node for node in nodes if node.swarm_id == swarm_id and swarm_id is not None]

    def known(self, nodes: Iterable[ServiceNode]) -> list[ServiceNode]:
        """Those of the nodes that are in our list, as our list has them."""
        return [self.state.nodes[node.ed25519] for node in nodes if node.ed25519 in self.state.nodes]

    def drop(self, ed25519: bytes) -> None:
        """Forget a node that the network no longer knows."""
        self.state.nodes.pop(ed25519, None)
        if ed25519 in self.state.guards:
            self.state.guards.remove(ed25519)

    def guards(self, exclude: Collection[bytes]) -> list[ServiceNode]:
        """Our guards without the excluded nodes. Missing ones are drawn, and kept from then on."""
        kept = [key for key in self.state.guards if key in self.state.nodes]
        while len(kept) < GUARDS:
            candidates = [key for key in list(self.state.nodes) if key not in kept and key not in exclude]
            if not candidates:
                break
            kept.append(secrets.choice(candidates))
        if kept != self.state.guards:
            self.state.guards = kept
            self.save()
        return [self.state.nodes[key] for key in kept if key not in exclude]

    def substitute_guard(self, exclude: Collection[bytes]) -> ServiceNode | None:
        """A node to try where no guard works. It becomes one only by `replace_guards`.

        If it did at once, a machine whose network is down would draw new guards with every run.
        """
        candidates = [node for key, node in list(self.state.nodes.items()) if key not in exclude]
        return secrets.choice(candidates) if candidates else None

    def replace_guards(self, unreachable: Collection[bytes], working: ServiceNode) -> None:
        """Keep a node that works instead of guards that could not be reached while it could."""
        kept = [key for key in self.state.guards if key not in unreachable and key != working.ed25519]
        self.state.guards = [working.ed25519, *kept]
        self.save()

    def path(
        self, guard: ServiceNode, exclude: Collection[bytes], *, avoid: Collection[bytes] = ()
    ) -> list[ServiceNode] | None:
        """Guard and further hops, in different /24 networks where the network asks for it; None if too few remain.

        Excluded nodes are never used, those to avoid only where there are no others.
        """
        hops = [guard]
        while len(hops) < self.definition.hops:
            taken = {hop.ed25519 for hop in hops} | set(exclude)
            subnets = {_subnet(hop) for hop in hops}
            candidates = [
                node
                for key, node in list(self.state.nodes.items())
                if key not in taken and not (self.definition.subnet_diversity and _subnet(node) in subnets)
            ]
            if not candidates:
                return None
            preferred = [node for node in candidates if node.ed25519 not in avoid]
            hops.append(secrets.choice(preferred or candidates))
        return hops

    def save(self) -> None:
        """Write the cache file, for the owner's eyes only. A cache that can't be written is no error."""
        document = {
            "format": _FORMAT,
            "fetched_s": self.state.fetched_s,
            "guards": [key.hex() for key in self.state.guards],
            "clock_offset_ms": self.state.clock_offset_ms,
            "nodes": [
                [node.ed25519.hex(), node.x25519.hex(), node.ip, node.port, node.swarm_id, list(node.version)]
                for node in self.state.nodes.values()
            ],
        }
        try:
            make_private_folder(self._file.parent)
            write_private_file(self._file, json.dumps(document, separators=(",", ":")).encode())
        except StoreUnwritable as error:
            LOG.warning("%s Every run will have to ask a seed first.", error.message)


def _subnet(node: ServiceNode) -> str:
    return node.ip.rpartition(".")[0]


def _load(path: Path) -> PoolState:
    """The remembered state; empty if there is none or it is of another format."""
    try:
        document: Any = json.loads(path.read_bytes())
        if document["format"] != _FORMAT:
            return PoolState()
        nodes = [
            ServiceNode(bytes.fromhex(ed25519), bytes.fromhex(x25519), ip, port, swarm_id, tuple(version))
            for ed25519, x25519, ip, port, swarm_id, version in document["nodes"]
        ]
        return PoolState(
            {node.ed25519: node for node in nodes},
            float(document["fetched_s"]),
            [bytes.fromhex(key) for key in document["guards"]],
            int(document["clock_offset_ms"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return PoolState()
