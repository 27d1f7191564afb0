"""What is remembered of a network between runs: its list of nodes, and our own experience with them.

Two files below the cache folder, both of public facts, both for the owner's eyes only: the list itself, large and
seldom written, and a small one for guards, paths, strikes and the clock. Several processes may write the small one:
each applies its own changes to what lies there now, under a lock.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..file_lock import FileLock
from ..private_files import make_private_folder, write_private_file
from ..protocol.storage_rpc import ServiceNode

MOST_STRIKES = 3
"""With so many a node is not used for paths any more, as in the official apps."""
STRIKE_LIFETIMES_S = (3600, 6 * 3600, 48 * 3600)
"""How long one strike counts, two, three: who failed once may have been unlucky, or slandered."""
TROUBLES_KEPT = 20
_FORMAT = 2
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)
_LOCK_TIMEOUT_S = 2.0
_LARGEST_OFFSET_MS = 50 * 365 * 24 * 3600 * 1000


@dataclass(slots=True)
class KnownPath:
    """A standing path: Ed25519 keys (guard first), when its later hops were drawn (Unix time), and how long an
    ordinary request took on it (ms, None until one has)."""

    hops: tuple[bytes, ...]
    built_s: float
    latency_ms: int | None = None

    @property
    def guard(self) -> bytes:
        return self.hops[0]


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that went wrong: when (Unix time), in which kind of request, what (its name, and in words), and over
    which guard (address)."""

    at_s: float
    request: str
    error: str
    guard: str | None
    message: str


@dataclass(slots=True)
class State:
    """Our experience with a network. `strikes` maps a node (Ed25519 key) to their number and the last one's time.

    `shown` are the nodes that have seen our address lately, as guards or because they might have become some: when that
    was first (Unix time), and whether they answered. `stale` says that the list was found wrong since it was fetched;
    `refresh_failed_s` when refreshing it failed, `search_failed_s` when no second guard was found.
    """

    paths: list[KnownPath] = field(default_factory=list)
    strikes: dict[bytes, tuple[int, float]] = field(default_factory=dict)
    shown: dict[bytes, tuple[float, bool]] = field(default_factory=dict)
    clock_offset_ms: int = 0
    clock_samples: dict[str, int] = field(default_factory=dict)
    troubles: list[Trouble] = field(default_factory=list)
    stale: bool = False
    refresh_failed_s: float = 0.0
    search_failed_s: float = 0.0

    def strikes_of(self, node: bytes) -> int:
        """How often a node has failed us lately."""
        count, last_s = self.strikes.get(node, (0, 0.0))
        return count if count and 0 <= time.time() - last_s < STRIKE_LIFETIMES_S[count - 1] else 0

    def strike(self, node: bytes, count: int = 1) -> None:
        """Hold something against a node."""
        self.strikes[node] = (min(MOST_STRIKES, self.strikes_of(node) + count), time.time())

    def note(self, trouble: Trouble) -> None:
        """Remember something that went wrong; the oldest is forgotten."""
        self.troubles = [*self.troubles, trouble][-TROUBLES_KEPT:]


Change = Callable[[State], None]


@dataclass(slots=True)
class NodeList:
    """The list of nodes by Ed25519 key, and when it was fetched (Unix time, 0: never)."""

    nodes: dict[bytes, ServiceNode] = field(default_factory=dict)
    fetched_s: float = 0.0


class PoolCache:
    """The two files of one network. What can't be read counts as empty; what can't be written raises StoreError."""

    def __init__(self, folder: Path, network_id: str) -> None:
        self._folder = folder
        self._list_file = folder / f"{network_id}.json"
        self._state_file = folder / f"{network_id}.state.json"
        self._lock_file = folder / f"{network_id}.lock"

    def load_list(self) -> NodeList:
        """The remembered list; empty if there is none or it is of another format."""
        try:
            document = _read(self._list_file)
            nodes = [
                ServiceNode(bytes.fromhex(ed25519), bytes.fromhex(x25519), ip, port, swarm_id, tuple(version))
                for ed25519, x25519, ip, port, swarm_id, version in document["nodes"]
            ]
            return NodeList({node.ed25519: node for node in nodes}, float(document["fetched_s"]))
        except _UNREADABLE:
            return NodeList()

    def save_list(self, known: NodeList) -> None:
        """Write the list. Raises StoreError."""
        rows = [
            [node.ed25519.hex(), node.x25519.hex(), node.ip, node.port, node.swarm_id, list(node.version)]
            for node in known.nodes.values()
        ]
        self._write(self._list_file, {"format": _FORMAT, "fetched_s": known.fetched_s, "nodes": rows})

    def load_state(self) -> State:
        """The remembered state; empty if there is none or it is of another format."""
        try:
            return _parse_state(_read(self._state_file))
        except _UNREADABLE:
            return State()

    def update_state(self, changes: list[Change]) -> State:
        """Apply changes to what lies on the disk now, write it, and return it. Raises StoreError."""
        make_private_folder(self._folder)
        with FileLock(self._lock_file, _LOCK_TIMEOUT_S, purpose="to note what was learnt about the network"):
            state = self.load_state()
            for change in changes:
                change(state)
            # Under the lock nobody else writes it: what lies there was left by a process that was killed.
            for leftover in self._folder.glob(f".{self._state_file.name}.*.new"):
                with suppress(OSError):
                    leftover.unlink()
            self._write(self._state_file, _state_document(state))
        return state

    def lock(self, timeout_s: float, purpose: str) -> FileLock:
        """A lock for what only one process shall do at a time. Raises StoreError where there is no folder for it."""
        make_private_folder(self._folder)
        return FileLock(self._folder / f"{self._list_file.stem}.guards.lock", timeout_s, purpose=purpose)

    def _write(self, path: Path, document: dict[str, Any]) -> None:
        make_private_folder(self._folder)
        write_private_file(path, json.dumps(document, separators=(",", ":")).encode())


def _read(path: Path) -> Any:
    document: Any = json.loads(path.read_bytes())
    if document["format"] != _FORMAT:
        raise ValueError("another format")
    return document


def _state_document(state: State) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "guards": [path.guard.hex() for path in state.paths],
        "paths": [[[hop.hex() for hop in path.hops], path.built_s, path.latency_ms] for path in state.paths],
        "strikes": {
            node.hex(): [count, last_s] for node, (count, last_s) in state.strikes.items() if state.strikes_of(node)
        },
        "shown": {node.hex(): [first_s, answered] for node, (first_s, answered) in state.shown.items()},
        "clock_offset_ms": state.clock_offset_ms,
        "clock_samples": state.clock_samples,
        "troubles": [[t.at_s, t.request, t.error, t.guard, t.message] for t in state.troubles],
        "stale": state.stale,
        "refresh_failed_s": state.refresh_failed_s,
        "search_failed_s": state.search_failed_s,
    }


def _parse_state(document: Any) -> State:
    if abs(int(document["clock_offset_ms"])) > _LARGEST_OFFSET_MS:
        raise ValueError("no clock is that wrong")
    return State(
        paths=[
            KnownPath(tuple(map(bytes.fromhex, hops)), float(built_s), None if latency is None else int(latency))
            for hops, built_s, latency in document["paths"]
            if hops
        ],
        strikes={
            bytes.fromhex(node): (min(max(int(count), 0), MOST_STRIKES), float(s))
            for node, (count, s) in document["strikes"].items()
        },
        # What earlier versions did not know may be missing.
        shown={
            bytes.fromhex(node): (float(s), answered is True)
            for node, (s, answered) in document.get("shown", {}).items()
        },
        clock_offset_ms=int(document["clock_offset_ms"]),
        clock_samples={str(node): int(ahead) for node, ahead in document["clock_samples"].items()},
        troubles=[
            Trouble(float(at_s), str(request), str(error), None if guard is None else str(guard), str(message))
            for at_s, request, error, guard, message in document["troubles"]
        ],
        stale=document["stale"] is True,
        refresh_failed_s=float(document["refresh_failed_s"]),
        search_failed_s=float(document.get("search_failed_s", 0.0)),
    )
