"""Faults at work: what each is aimed at, whom it befalls, and how often it struck."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from types import TracebackType
from typing import Literal, TypeVar, get_args

from .faults import ROLES, Drop, Fault, InvalidFault, Status
from .fields import is_hex
from .listing import ListedNode
from .request_log import Role

F = TypeVar("F", bound=Fault)
ServerName = Literal["seed", "file_server", "community"]
Place = int | ServerName
"""A part of the network: a service node's index, or one of the servers."""
SERVERS: tuple[ServerName, ...] = get_args(ServerName)

RPC_METHODS = frozenset(
    {
        "active_nodes_bin",
        "batch",
        "delete",
        "delete_all",
        "delete_before",
        "expire",
        "expire_all",
        "get_expiries",
        "get_snodes_for_pubkey",
        "get_swarm",
        "ifelse",
        "info",
        "oxend_request",
        "retrieve",
        "revoke_subaccount",
        "sequence",
        "store",
        "unrevoke_subaccount",
    }
)
SEED_METHODS = frozenset({"get_n_service_nodes", "get_service_nodes", "get_all_service_nodes", "ons_resolve"})
FILE_METHODS = frozenset(
    {
        "GET /file/<id>",
        "GET /file/<id>/info",
        "GET /files/<id>",
        "GET /session_version",
        "GET /token_info",
        "POST /file",
        "POST /file/<id>/extend",
        "POST /files",
    }
)
COMMUNITY_METHODS = frozenset(
    {
        "DELETE /inbox",
        "DELETE /room/<room>/all/<user>",
        "DELETE /room/<room>/message/<id>",
        "DELETE /room/<room>/reaction/<id>/<emoji>",
        "DELETE /room/<room>/reactions/<id>",
        "DELETE /room/<room>/reactions/<id>/<emoji>",
        "DELETE /rooms/all/<user>",
        "GET /capabilities",
        "GET /inbox",
        "GET /inbox/since/<id>",
        "GET /outbox",
        "GET /outbox/since/<id>",
        "GET /room/<room>",
        "GET /room/<room>/file/<id>",
        "GET /room/<room>/file/<id>/<name>",
        "GET /room/<room>/futurePermissions",
        "GET /room/<room>/futurePermissions/<user>",
        "GET /room/<room>/message/<id>",
        "GET /room/<room>/messages/before/<id>",
        "GET /room/<room>/messages/recent",
        "GET /room/<room>/messages/since/<n>",
        "GET /room/<room>/permissions",
        "GET /room/<room>/permissions/<user>",
        "GET /room/<room>/pollInfo/<n>",
        "GET /room/<room>/reactors/<id>/<emoji>",
        "GET /rooms",
        "POST /batch",
        "POST /inbox/<user>",
        "POST /room/<room>/file",
        "POST /room/<room>/futurePermissions/<user>",
        "POST /room/<room>/message",
        "POST /room/<room>/permissions/<user>",
        "POST /room/<room>/pin/<id>",
        "POST /room/<room>/unpin/<id>",
        "POST /room/<room>/unpin/all",
        "POST /sequence",
        "POST /user/<user>/ban",
        "POST /user/<user>/moderator",
        "POST /user/<user>/unban",
        "PUT /room/<room>",
        "PUT /room/<room>/message/<id>",
        "PUT /room/<room>/reaction/<id>/<emoji>",
    }
)
METHODS = RPC_METHODS | SEED_METHODS | FILE_METHODS | COMMUNITY_METHODS
"""What a fault can be aimed at: RPC methods, the seed node's, and the routes of the other servers."""

_METHODS_AT = {
    "nodes": RPC_METHODS,
    "seed": SEED_METHODS,
    "file_server": FILE_METHODS,
    "community": COMMUNITY_METHODS,
}
_ANSWERERS = {
    "nodes": "nodes answer",
    "seed": "the seed node answers",
    "file_server": "the file server answers",
    "community": "the community server answers",
}


@dataclass(frozen=True, slots=True)
class Aim:
    """Where and when a fault strikes. Raises InvalidFault if it makes no sense.

    `nodes` are indices, or a share such as "30%"; `swarm` is the place of a swarm among their ids in ascending order,
    or an account id whose swarm it is. With neither, and no server, a fault is aimed at all nodes. `roles` and
    `methods` None are all; `probability` is that of each occasion.
    """

    nodes: tuple[int, ...] | str | None = None
    swarm: int | str | None = None
    seed: bool = False
    file_server: bool = False
    community: bool = False
    roles: frozenset[Role] | None = None
    methods: frozenset[str] | None = None
    probability: float = 1.0

    def __post_init__(self) -> None:
        if isinstance(self.nodes, str):
            share(self.nodes)
        if isinstance(self.swarm, str) and not (len(self.swarm) == 66 and is_hex(self.swarm)):
            raise InvalidFault("swarm", "must be a number from 0, or an account id of 66 hex digits")
        if self.nodes is not None and self.swarm is not None:
            raise InvalidFault("swarm", "can't be given together with 'nodes'")
        if not 0 < self.probability <= 1:
            raise InvalidFault("probability", "must be more than 0 and at most 1")
        self._check_names("roles", self.roles, ROLES)
        answered = frozenset[str]().union(*(_METHODS_AT[place] for place in self._aimed_at))
        for place, elsewhere in _METHODS_AT.items():
            for method in sorted((self.methods or frozenset()) & elsewhere - answered):
                raise InvalidFault("methods", f"names {method!r}, which only {_ANSWERERS[place]}: set {place!r}")
        self._check_names("methods", self.methods, answered)

    @staticmethod
    def _check_names(key: str, names: frozenset[str] | None, known: frozenset[str]) -> None:
        if names is not None and not names:
            raise InvalidFault(key, "must not be empty")
        for name in sorted(names or ()):
            if name not in known:
                raise InvalidFault(key, f"knows no {name!r}; it knows {', '.join(sorted(known))}")

    @property
    def _aimed_at(self) -> list[str]:
        return [*(["nodes"] if self.at_nodes else []), *self.servers]

    @property
    def servers(self) -> list[ServerName]:
        """The servers at which it is aimed."""
        return [server for server in SERVERS if getattr(self, server)]

    @property
    def at_nodes(self) -> bool:
        """Whether it is aimed at service nodes at all."""
        return self.nodes is not None or self.swarm is not None or not self.servers

    @property
    def is_for_community_alone(self) -> bool:
        return self._aimed_at == ["community"]

    def check(self, fault: Fault) -> None:
        """Refuse what this fault can't be aimed at. Raises InvalidFault."""
        kind = fault.kind
        for key in self._aimed_at:
            if key not in fault.places:
                raise InvalidFault(key, f"can't suffer from {kind!r}")
        if self.roles is not None:
            if self.servers:
                raise InvalidFault("roles", "are those of service nodes, not of servers")
            for role in sorted(self.roles - fault.roles):
                raise InvalidFault("roles", f"{role!r} can't suffer from {kind!r}")
        if self.methods is not None:
            if not fault.by_method:
                raise InvalidFault("methods", f"are nothing that {kind!r} can be aimed at")
            for method in sorted(self.methods - (self.methods if fault.methods is None else fault.methods)):
                raise InvalidFault("methods", f"{method!r} can't suffer from {kind!r}")
            if self.roles is not None and self.roles <= {"exit"}:
                raise InvalidFault("methods", "are not known to the exit, which can't read what it passes on")
            if (
                isinstance(fault, Drop | Status)
                and not fault.after
                and (self._aimed_at != ["nodes"] or self.roles not in (None, {"destination"}))
            ):
                raise InvalidFault(
                    "methods", "are known to the destination alone until they are answered; set 'after', or aim there"
                )
        if self.probability < 1 and not fault.by_chance:
            raise InvalidFault("probability", f"is nothing that {kind!r} can have")


def share(text: str) -> float:
    """A share such as "30%" as a number between 0 and 1. Raises InvalidFault."""
    number = text.removesuffix("%")
    if number == text or not number.isdigit() or not 0 < int(number) <= 100:
        raise InvalidFault("nodes", 'must be a list of indices, or a share from "1%" to "100%"')
    return int(number) / 100


def _described(aim: Aim, places: frozenset[Place], node_count: int) -> str:
    """Where and when a fault strikes."""
    nodes = sorted(place for place in places if isinstance(place, int))
    where = _folded(nodes)
    if len(nodes) == node_count:
        where = ["all nodes"]
    elif nodes:
        where[0] = f"{'node' if len(nodes) == 1 else 'nodes'} {where[0]}"
    where += [f"the {place.replace('_', ' ')}" for place in SERVERS if place in places]
    words = f"at {', '.join(where[:-1])} and {where[-1]}" if len(where) > 1 else f"at {where[0]}" if where else ""
    if aim.roles is not None:
        words += f" as {' or '.join(sorted(aim.roles))}"
    if aim.methods is not None:
        words += f", in {' or '.join(sorted(aim.methods))}"
    if aim.probability < 1:
        words += f", with probability {aim.probability:g}"
    return words


def _folded(numbers: list[int]) -> list[str]:
    """Numbers in ascending order, three and more in a row as a range."""
    folded: list[str] = []
    # Numbers in a row keep the same distance to their places in the list.
    for _, row in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        run = [number for _, number in row]
        folded += [f"{run[0]}-{run[-1]}"] if len(run) > 2 else map(str, run)
    return folded


class Injection:
    """A fault at work. Remove it with `remove`, or use it as a context manager; `hits` counts how often it struck."""

    def __init__(
        self,
        fault: Fault,
        aim: Aim,
        places: Iterable[Place],
        node_count: int,
        seed: int,
        remove: Callable[[Injection], None],
    ) -> None:
        self.fault = fault
        self.aim = aim
        self.places = frozenset(places)
        self.words = f"{fault.words}, {_described(aim, self.places, node_count)}"
        """What it is, and where and when it strikes, in the words of a file; the same from beginning to end."""
        self.hits = 0
        self.random = random.Random(seed)  # noqa: S311 - to be repeatable, not unpredictable
        """Its own, so that what one fault does can't depend on how often another was asked."""
        self.nodes: tuple[ListedNode, ...] = ()
        """What a fault in the lists remembers or made up."""
        self.removed = asyncio.Event()
        """For the network's thread: whoever hangs in this fault waits for it."""
        self._remove = remove

    def __repr__(self) -> str:
        return f"Injection({self.words}, {self.hits} hits)"

    def remove(self) -> None:
        """Take the fault out of the network. Does nothing if it is out already."""
        self._remove(self)

    def __enter__(self) -> Injection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    def concerns(self, place: Place, role: Role | None, calls: tuple[str, ...]) -> bool:
        """Whether it is aimed at this place in this role, while it answers these calls."""
        aim = self.aim
        return (
            place in self.places
            and (aim.roles is None or role in aim.roles)
            and (aim.methods is None or not aim.methods.isdisjoint(calls))
        )

    def happens(self) -> bool:
        """Whether it strikes on this occasion, by its probability."""
        probability = self.aim.probability
        return probability >= 1 or self.random.random() < probability


class Injections:
    """All faults at work in one network. `live` is replaced as a whole, so that it can be read from any thread."""

    def __init__(self) -> None:
        self.live: tuple[Injection, ...] = ()

    def striking(
        self,
        kinds: type[F] | tuple[type[F], ...],
        place: Place,
        role: Role | None = None,
        calls: tuple[str, ...] = (),
        *,
        when: Callable[[Injection], bool] | None = None,
    ) -> Iterator[tuple[F, Injection]]:
        """The faults of these kinds that strike now, the longest at work first; each is counted.

        `when` chooses among them before chance does.
        """
        for injection in self.live:
            fault = injection.fault
            if (
                isinstance(fault, kinds)
                and injection.concerns(place, role, calls)
                and (when is None or when(injection))
                and injection.happens()
            ):
                injection.hits += 1
                yield fault, injection

    def first(self, kind: type[F], place: Place, role: Role | None = None, calls: tuple[str, ...] = ()) -> F | None:
        """The first fault of this kind that strikes now, if any."""
        return next((fault for fault, _ in self.striking(kind, place, role, calls)), None)
