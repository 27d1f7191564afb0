"""Standing paths: which nodes our requests go over.

There are two, each a guard and two further hops. The guards see this machine's address, and stay the same from run to
run: a cron job that drew new ones every five minutes would in a day have shown its address to a good part of the
network, and sooner or later to somebody who also watches the other end. The later hops are drawn anew every ten
minutes, as the apps do, so that none of them sees for long where we go.

New hops cost no request of their own: they are tried with the next request, and become the standing path once that
has been answered. A process that finds standing paths in the cache uses them at once.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from ..protocol.storage_rpc import ServiceNode
from .pool import NodePool, subnet_of
from .pool_cache import MOST_STRIKES, KnownPath, State

PATHS = 2
LIFETIME_S = 600
"""How long the hops behind the guard are kept, as in the apps."""
_SMOOTHING = 4


@dataclass(frozen=True, slots=True)
class Path:
    """The way of one request, guard first. Empty where onion requests are off.

    `fresh`: not the standing path of its guard, and not known to work. `detour`: it goes around the destination of one
    request, and is not to become the standing path. `latency_ms` is what requests over this guard took lately.
    """

    hops: tuple[ServiceNode, ...]
    fresh: bool = False
    latency_ms: int | None = None
    detour: bool = False

    @property
    def guard(self) -> ServiceNode | None:
        return self.hops[0] if self.hops else None

    @property
    def keys(self) -> tuple[bytes, ...]:
        return tuple(hop.ed25519 for hop in self.hops)


DIRECTLY = Path(())
"""No path at all."""


class PathBook:
    """The standing paths of one network."""

    def __init__(self, pool: NodePool) -> None:
        self._pool = pool

    def guards(self) -> list[ServiceNode]:
        """The nodes that may see our address: those of the standing paths that are still in the list."""
        nodes = self._pool.nodes
        return [nodes[path.guard] for path in self._pool.state.paths if path.guard in nodes]

    def standing(self) -> list[Path]:
        """The standing paths as they would be used now, without those that lack a hop."""
        nodes = self._pool.nodes
        return [
            Path(tuple(nodes[hop] for hop in known.hops), False, known.latency_ms)
            for known in self._pool.state.paths
            if all(hop in nodes for hop in known.hops) and len(known.hops) == self._pool.definition.hops
        ]

    def add_guard(self, guard: ServiceNode) -> None:
        """Let a node that proved to be there be a guard from now on; its path is drawn when it is needed."""

        def change(state: State) -> None:
            # Another process may have found guards meanwhile; then those are enough.
            if len(state.paths) < PATHS and all(path.guard != guard.ed25519 for path in state.paths):
                state.paths.append(KnownPath((guard.ed25519,), 0.0))

        self._pool.change(change)
        self._pool.save()

    def replace_guards(self, failed: Collection[bytes], working: ServiceNode) -> None:
        """Put a node that works in the place of a guard that failed while it did not, and strike those that failed."""

        def change(state: State) -> None:
            kept = [path for path in state.paths if path.guard not in failed]
            failing = (path for path in state.paths if path.guard in failed)
            worst = sorted(failing, key=lambda path: state.strikes_of(path.guard))
            if all(path.guard != working.ed25519 for path in kept):
                kept.append(KnownPath((working.ed25519,), 0.0))
            state.paths = (kept + worst)[:PATHS]

        self._pool.strike(failed)
        self._pool.change(change)
        self._pool.save()

    def drop_hopeless(self) -> None:
        """Let go of guards that have failed too often, or are no longer in the network."""
        nodes, state = self._pool.nodes, self._pool.state
        hopeless = {
            path.guard
            for path in state.paths
            if path.guard not in nodes or state.strikes_of(path.guard) >= MOST_STRIKES
        }
        if not hopeless:
            return

        def change(state: State) -> None:
            state.paths = [path for path in state.paths if path.guard not in hopeless]

        self._pool.change(change)

    def choose(
        self,
        exclude: Collection[bytes],
        *,
        lane: int = 0,
        avoid_guards: Collection[bytes] = (),
        used: Collection[tuple[bytes, ...]] = (),
    ) -> Path | None:
        """A path without the nodes in `exclude` (its destination above all). None if no guard is left.

        Of several guards the better one comes first; equally good ones share parallel requests (`lane`). `used` are the
        paths that the same request has been tried on: other guards come before theirs, and other hops behind theirs.
        """
        nodes, state = self._pool.nodes, self._pool.state
        slots = [
            path
            for path in state.paths
            if path.guard in nodes and path.guard not in exclude and path.guard not in avoid_guards
        ]
        if not slots:
            return None

        def order(slot: KnownPath) -> tuple[int, int, int]:
            tries = sum(hops[0] == slot.guard for hops in used)
            return tries, state.strikes_of(slot.guard), (slots.index(slot) - lane) % len(slots)

        slot = min(slots, key=order)
        stands = self._stands(slot, slots) and slot.hops not in used
        detour = stands and any(hop in exclude for hop in slot.hops)
        if stands and not detour:
            return Path(tuple(nodes[hop] for hop in slot.hops), False, slot.latency_ms)
        path = self._fresh(nodes[slot.guard], exclude, slot.latency_ms, used)
        return replace(path, detour=True) if path is not None and detour else path

    def over(
        self, guard: ServiceNode, exclude: Collection[bytes], used: Collection[tuple[bytes, ...]] = ()
    ) -> Path | None:
        """A path over a guard that has no standing one. None if too few nodes are left."""
        return self._fresh(guard, exclude, None, used)

    def _stands(self, slot: KnownPath, slots: Sequence[KnownPath]) -> bool:
        pool = self._pool
        # Two that were drawn at the same time may share a hop; then the later one is drawn again, if there are others.
        enough = len(pool.nodes) > PATHS * pool.definition.hops
        earlier = {hop for path in slots[: slots.index(slot)] for hop in path.hops} if enough else set[bytes]()
        return (
            earlier.isdisjoint(slot.hops)
            and len(slot.hops) == pool.definition.hops
            and 0 <= time.time() - slot.built_s < LIFETIME_S
            and all(hop in pool.nodes for hop in slot.hops)
            and not any(pool.strikes(hop) for hop in slot.hops[1:])
        )

    def _fresh(
        self,
        guard: ServiceNode,
        exclude: Collection[bytes],
        latency_ms: int | None,
        used: Collection[tuple[bytes, ...]],
    ) -> Path | None:
        """Guard and newly drawn hops, in different /24 networks where the network asks for it.

        They are not in another standing path, nor in a path tried just now, while there are others.
        """
        others = {hop for path in self._pool.state.paths if path.guard != guard.ed25519 for hop in path.hops}
        tried = {hop for hops in used for hop in hops}
        for avoided in (others | tried, others, set()):
            hops = self._draw_hops(guard, {*exclude, *avoided})
            if hops is not None:
                return Path(hops, True, latency_ms)
        return None

    def _draw_hops(self, guard: ServiceNode, exclude: Collection[bytes]) -> tuple[ServiceNode, ...] | None:
        definition = self._pool.definition
        hops = [guard]
        while len(hops) < definition.hops:
            subnets = {subnet_of(hop) for hop in hops} if definition.subnet_diversity else ()
            node = self._pool.draw({hop.ed25519 for hop in hops} | set(exclude), subnets)
            if node is None:
                return None
            hops.append(node)
        return tuple(hops)

    def succeeded(self, path: Path, elapsed_ms: int | None) -> None:
        """A request over this path was answered: what is held against its hops is forgotten.

        `elapsed_ms` is how long an ordinary request took; None for others. A fresh path becomes the standing one of its
        guard.
        """
        guard, state = path.guard, self._pool.state
        if guard is None:
            return
        struck = [hop for hop in path.keys if hop in state.strikes]
        slot = next((slot for slot in state.paths if slot.guard == guard.ed25519), None)
        before = slot.latency_ms if slot else None
        latency = elapsed_ms if before is None or elapsed_ms is None else _smoothed(before, elapsed_ms)
        # Written only when it matters: a warm run that learns nothing new leaves the disk alone.
        tells = elapsed_ms is not None and (before is None or abs(elapsed_ms - before) > before + 100)
        stays = path.fresh and not path.detour
        if not struck and not stays and not tells:
            return

        def change(state: State) -> None:
            for hop in path.keys:
                state.strikes.pop(hop, None)
            for known in state.paths:
                if known.guard == guard.ed25519:
                    known.latency_ms = known.latency_ms if latency is None else latency
                    if stays:
                        known.hops, known.built_s = path.keys, time.time()

        self._pool.change(change)


def _smoothed(before: int, now: int) -> int:
    return (before * (_SMOOTHING - 1) + now) // _SMOOTHING
