"""Making a local network misbehave, on purpose and for a while.

    with net.chaos.inject(Delay(0.2, jitter=0.1), nodes=[3, 4], roles={"guard"}, methods={"store"}, probability=0.5):
        ...
    fault = net.chaos.inject(Garble(), nodes="30%")
    fault.hits, fault.remove()
    net.chaos.inject(Rewrite(change), community=True, methods={"GET /rooms"})
    net.chaos.kill([1, 2], how="silent")
    net.chaos.revive([1])
    net.chaos.clear()

`faults` and `community_faults` have all kinds. Everything here may be called from any thread but the network's own.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from ..errors import InvalidInput
from ..protocol.account import Identity
from .chaos_file import Plan, PlannedFault
from .directory import Directory, Member
from .faults import AlteredList, Blame, Dead, Death, Fault, InvalidFault, StaleList, WrongSwarm
from .http_server import Listener
from .injections import Aim, Injection, Injections, Place, ServerName, share
from .listing import UNUSED_PORT, ListedNode
from .request_log import Role
from .service_node import ServiceNode

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Network(Protocol):
    """What chaos needs of its network."""

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something in the network's thread, and wait for it."""


class Indexed(Protocol):
    """A node, by its place in the list."""

    @property
    def index(self) -> int: ...


Nodes = Iterable[int | Indexed] | str
"""Nodes, by index or handle; or a share of all, such as "30%"."""


class Chaos:
    """The faults of one network. A network that stops forgets them."""

    def __init__(self, network: Network) -> None:
        self.injections = Injections()
        self._network = network
        self._random = random.Random()  # noqa: S311 - to be repeatable, not unpredictable
        self._directory: Directory
        self._nodes: Sequence[ServiceNode] = ()
        self._servers: dict[ServerName, Listener] = {}
        self._dead: dict[Place, Injection] = {}
        self._burying: asyncio.Lock
        self._order: list[int] = []
        self._schedule: set[asyncio.Task[None]] = set()

    # For the network, in its thread.

    def attach(
        self, directory: Directory, nodes: Sequence[ServiceNode], servers: Mapping[ServerName, Listener]
    ) -> None:
        """Meet the parts of a network that starts."""
        self._directory = directory
        self._nodes = nodes
        self._servers = dict(servers)
        self._burying = asyncio.Lock()
        self._order = self._random.sample(range(len(nodes)), len(nodes))

    def detach(self) -> None:
        """Let go of everything when the network stops."""
        for task in self._schedule:
            task.cancel()
        for injection in self.injections.live:
            injection.removed.set()
        self.injections.live = ()
        self._dead.clear()

    # For whoever makes trouble.

    @property
    def active(self) -> tuple[Injection, ...]:
        """The faults at work, the longest at work first."""
        return self.injections.live

    def reseed(self, seed: int) -> None:
        """Have everything drawn from here on, by faults that begin from here on, be drawn the same way each time."""

        async def reseed() -> None:
            self._random.seed(seed)
            self._order = self._random.sample(range(len(self._nodes)), len(self._nodes))

        self._network.call(reseed())

    def inject(
        self,
        fault: Fault,
        *,
        nodes: Nodes | None = None,
        swarm: int | str | None = None,
        seed: bool = False,
        file_server: bool = False,
        community: bool = False,
        roles: Iterable[Role] | None = None,
        methods: Iterable[str] | None = None,
        probability: float = 1.0,
    ) -> Injection:
        """Let a fault begin; it lasts until it is removed.

        Without `nodes`, `swarm` and servers (`seed`, `file_server`, `community`) it is aimed at all service nodes. A
        swarm is given by its place among their ids in ascending order, or by an account (66 hex digits) that it
        serves. A share takes the nodes in an order that is drawn once for all faults: equal shares are the same nodes.
        What is aimed at methods strikes a request or answer if any of its calls, those inside of a batch included, has
        one of these names.

        Raises InvalidFault if the fault can't be aimed so, NetworkUnreachable if the network does not run.
        """
        aim = Aim(
            nodes if nodes is None or isinstance(nodes, str) else _indices(nodes),
            swarm,
            seed,
            file_server,
            community,
            None if roles is None else frozenset(roles),
            None if methods is None else frozenset(methods),
            probability,
        )
        return self._network.call(self.begin(fault, aim))

    def kill(
        self,
        nodes: Nodes | None = None,
        *,
        how: Death = "refuse",
        swarm: int | str | None = None,
        seed: bool = False,
        file_server: bool = False,
        community: bool = False,
    ) -> Injection:
        """Let nodes or servers be dead, all nodes unless some are named, until `revive` or until this is removed."""
        return self.inject(Dead(how), nodes=nodes, swarm=swarm, seed=seed, file_server=file_server, community=community)

    def revive(
        self, nodes: Nodes | None = None, *, seed: bool = False, file_server: bool = False, community: bool = False
    ) -> None:
        """Bring what `kill` or a fault has killed back to life; everything unless something is named."""

        async def revive() -> None:
            if nodes is None and not (seed or file_server or community):
                places = frozenset[Place]((*range(len(self._nodes)), *self._servers))
            else:
                named = () if nodes is None else nodes if isinstance(nodes, str) else _indices(nodes)
                aim = Aim(named, None, seed, file_server, community)
                self._check(Dead(), aim)
                places = self._places(aim)
            for injection in self.injections.live:
                if isinstance(injection.fault, Dead):
                    injection.places -= places
                    if not injection.places:
                        self._forget(injection)
            await self._bury_or_revive()

        self._network.call(revive())

    def clear(self) -> None:
        """Remove every fault."""

        async def clear() -> None:
            for injection in self.injections.live:
                self._forget(injection)
            await self._bury_or_revive()

        self._network.call(clear())

    def follow(self, plan: Plan) -> None:
        """Let the faults of a plan begin and end when it says, counted from now.

        Raises InvalidInput if it does not fit this network; then nothing has begun.
        """
        if plan.random_seed is not None:
            self.reseed(plan.random_seed)
        self._network.call(self._follow(plan))

    def snapshot(self) -> tuple[ListedNode, ...]:
        """The list of nodes as it is now, for a StaleList to show later."""
        return tuple(map(ListedNode.of, self._directory))

    # In the network's thread.

    async def begin(self, fault: Fault, aim: Aim) -> Injection:
        """As `inject`, in the network's thread."""
        self._check(fault, aim)
        places, seed = self._places(aim), self._random.getrandbits(64)
        injection = Injection(fault, aim, places, len(self._nodes), seed, self._remove)
        injection.nodes = self._list_for(fault, injection.random)
        self.injections.live = (*self.injections.live, injection)
        _log.info("fault begins: %s", injection.words)
        await self._bury_or_revive()
        return injection

    async def end(self, injection: Injection) -> None:
        """As `Injection.remove`, in the network's thread."""
        self._forget(injection)
        await self._bury_or_revive()

    async def _follow(self, plan: Plan) -> None:
        for planned in plan.faults:
            try:
                self._check(planned.fault, planned.aim)
            except InvalidFault as error:
                raise InvalidInput(f"{planned.name}: {error}") from None
        for planned in plan.faults:
            if planned.at == 0 and planned.seconds is None:
                await self.begin(planned.fault, planned.aim)
            else:
                task = asyncio.create_task(self._for_a_while(planned))
                self._schedule.add(task)
                task.add_done_callback(self._schedule.discard)

    async def _for_a_while(self, planned: PlannedFault) -> None:
        await asyncio.sleep(planned.at)
        injection = await self.begin(planned.fault, planned.aim)
        if planned.seconds is not None:
            await asyncio.sleep(planned.seconds)
            if injection in self.injections.live:
                await self.end(injection)

    def _remove(self, injection: Injection) -> None:
        # Whatever is left of a network that stopped has no faults.
        if injection in self.injections.live:
            self._network.call(self.end(injection))

    def _forget(self, injection: Injection) -> None:
        self.injections.live = tuple(other for other in self.injections.live if other is not injection)
        injection.removed.set()
        hits = "1 hit" if injection.hits == 1 else f"{injection.hits} hits"
        _log.info("fault ends after %s: %s", hits, injection.words)

    async def _bury_or_revive(self) -> None:
        """Make those dead, and only those, that a fault wants dead; of several faults the latest counts."""
        async with self._burying:
            deaths: dict[Place, Injection] = {}
            for injection in self.injections.live:
                if isinstance(injection.fault, Dead):
                    deaths.update(dict.fromkeys(injection.places, injection))
            for place in (*range(len(self._nodes)), *self._servers):
                death = deaths.get(place)
                if death is not self._dead.get(place):
                    await self._let(place, death)

    async def _let(self, place: Place, death: Injection | None) -> None:
        """Let a place be dead, dead otherwise, or alive."""
        part = self._servers[place] if isinstance(place, str) else self._nodes[place]
        if isinstance(part, ServiceNode):
            part.member.death = death
        if death is None:
            self._dead.pop(place, None)
            await part.start()
            if isinstance(part, ServiceNode):
                self._directory.deliver_queued(part.member)
            return
        self._dead[place] = death
        if death.fault == Dead("silent"):
            await part.silence(lambda: self._count(place))
        else:
            await part.stop()

    def _count(self, place: Place) -> None:
        death = self._dead.get(place)
        if death is not None:
            death.hits += 1

    def _places(self, aim: Aim) -> frozenset[Place]:
        """What is aimed at, in this network."""
        places: set[Place] = set()
        # What is aimed at all servers strikes those that there are.
        places.update(server for server in aim.servers if server in self._servers)
        if aim.swarm is not None:
            places.update(member.index for member in self._swarm(aim.swarm))
        elif isinstance(aim.nodes, str):
            count = max(1, round(share(aim.nodes) * len(self._nodes)))
            places.update(self._order[:count])
        elif aim.nodes is not None:
            places.update(aim.nodes)
        elif aim.at_nodes:
            places.update(range(len(self._nodes)))
        return frozenset(places)

    def _swarm(self, swarm: int | str) -> list[Member]:
        if isinstance(swarm, str):
            return self._directory.swarm_of(swarm)[1]
        return [member for member in self._directory if member.swarm_id == self._swarm_ids()[swarm]]

    def _swarm_ids(self) -> list[int]:
        return sorted({member.swarm_id for member in self._directory if member.swarm_id is not None})

    def _check(self, fault: Fault, aim: Aim) -> None:
        """Refuse a fault that can't be aimed so, or names what this network does not have. Raises InvalidFault."""
        aim.check(fault)
        if aim.is_for_community_alone and "community" not in self._servers:
            raise InvalidFault("community", "names a server that this network was started without")
        if isinstance(aim.nodes, tuple):
            self._check_index("nodes", *aim.nodes)
        if isinstance(aim.swarm, int) and not 0 <= aim.swarm < len(self._swarm_ids()):
            count = len(self._swarm_ids())
            raise InvalidFault("swarm", f"is {aim.swarm}, but there are {count}, counted from 0")
        self._check_indices(fault)

    def _check_index(self, key: str, *given: int) -> None:
        for index in given:
            if not 0 <= index < len(self._nodes):
                raise InvalidFault(key, f"names node {index}, but there are {len(self._nodes)}, counted from 0")

    def _check_indices(self, fault: Fault) -> None:
        match fault:
            case WrongSwarm():
                self._check_index("members", *fault.members)
            case Blame(node=int(index)):
                self._check_index("node", index)
            case AlteredList():
                for key, given in (("omit", fault.omit), ("move", fault.move), ("rekey", fault.rekey)):
                    self._check_index(key, *given)

    def _list_for(self, fault: Fault, rng: random.Random) -> tuple[ListedNode, ...]:
        """What a fault in the lists goes by: the list as it was, or nodes that nobody has ever seen."""
        match fault:
            case StaleList():
                return self.snapshot() if fault.snapshot is None else fault.snapshot
            case AlteredList():
                count = len(fault.rekey) + fault.add
                return tuple(self._invented(len(self._nodes) + number, rng) for number in range(count))
        return ()

    def _invented(self, index: int, rng: random.Random) -> ListedNode:
        identity = Identity.from_seed(rng.randbytes(32))
        ip = f"127.{rng.randrange(16, 255)}.{rng.randrange(256)}.{rng.randrange(2, 255)}"
        swarm_id = rng.choice([member.swarm_id for member in self._directory])
        key = identity.ed25519_public
        return ListedNode(index, key, identity.x25519_public, key, ip, UNUSED_PORT, UNUSED_PORT, swarm_id)


def _indices(nodes: Iterable[int | Indexed]) -> tuple[int, ...]:
    return tuple(node if isinstance(node, int) else node.index for node in nodes)
