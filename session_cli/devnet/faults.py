"""What can go wrong in a network: every kind of fault as a small value, under the name that fault files use.

    on the way      delay drop throttle garble truncate content_type page empty endless status
    in an answer    inner_status nonsense wrong_swarm lying_signatures
    in a node       dead clock forgets no_replication blame
    in the lists    stale_list altered_list

`community_faults` has those of a community server alone, `fault_kinds` the table of all.

`chaos` injects them, aimed at nodes, roles and methods. Numbers of seconds and bytes are what they are; shares are
between 0 and 1. A value that makes no sense raises InvalidFault.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal, get_args

from ..errors import InvalidInput
from .fields import is_hex
from .listing import ListedNode
from .request_log import Role

ROLES: frozenset[Role] = frozenset(get_args(Role))
Death = Literal["refuse", "silent", "unreachable"]

SWARM_METHODS = frozenset(
    {
        "delete",
        "delete_all",
        "delete_before",
        "expire",
        "expire_all",
        "revoke_subaccount",
        "store",
        "unrevoke_subaccount",
    }
)
"""What a node passes on to its swarm."""
ACCOUNT_METHODS = SWARM_METHODS | {"get_expiries", "retrieve"}
"""What only the swarm of an account answers."""
LIST_METHODS = frozenset(
    {"active_nodes_bin", "get_all_service_nodes", "get_n_service_nodes", "get_service_nodes", "oxend_request"}
)
"""What is answered with a list of nodes."""

_CAPTIVE_PORTAL = "<!doctype html>\n<html lang=en>\n<title>Sign in</title>\n<h1>Sign in to use this network</h1>\n"


class InvalidFault(InvalidInput):
    """A fault, or what it is aimed at, makes no sense. `key` is the parameter to blame."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"{key!r} {reason}.")
        self.key = key


def check(holds: bool, key: str, reason: str) -> None:
    """Raise InvalidFault unless it holds."""
    if not holds:
        raise InvalidFault(key, reason)


def is_short(value: object) -> bool:
    """Whether it is worth a place on a line: something is given, and it has but one line."""
    return value is not None and value != () and "\n" not in str(value)


def written(value: Any) -> str:
    """A value as a file of faults has it."""
    if isinstance(value, float):
        return str(int(value) if value.is_integer() else value)
    # JSON and TOML write texts, whole numbers, lists of them and truth alike.
    return json.dumps(value, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Fault:
    """Any fault. `places` are what it can befall, `roles` those at which it can strike a node (empty: it has none).

    `by_method` says whether it can be aimed at methods, `methods` at which alone it can strike (None: any), `by_chance`
    whether it can have a probability.
    """

    kind: ClassVar[str]
    places: ClassVar[frozenset[str]] = frozenset({"nodes"})
    roles: ClassVar[frozenset[Role]] = frozenset()
    by_method: ClassVar[bool] = True
    methods: ClassVar[frozenset[str] | None] = None
    by_chance: ClassVar[bool] = True

    @property
    def words(self) -> str:
        """Its kind and its keys, as a file has them; without those that are not given, and texts of many lines."""
        keys = [one for one in fields(self) if one.metadata.get("in_files", True)]
        values = {one.name: getattr(self, one.name) for one in keys}
        shown = [f"{key} = {written(value)}" for key, value in values.items() if is_short(value)]
        return ", ".join([self.kind, *shown])


@dataclass(frozen=True, slots=True)
class WireFault(Fault):
    """Something that happens to requests and answers on their way, whatever they say.

    A client's connection to a guard, the seed node or another server is HTTP, and suffers in HTTP's ways. Between
    nodes whole messages travel: what never comes whole never comes, and is waited for until the hop's time is up.
    """

    places = frozenset({"nodes", "seed", "file_server", "community"})
    roles = ROLES


# On the way.


@dataclass(frozen=True, slots=True)
class Delay(WireFault):
    """The answer is held back: `seconds`, and up to `jitter` more."""

    kind = "delay"
    seconds: float = 0.0
    jitter: float = 0.0

    def __post_init__(self) -> None:
        check(self.seconds >= 0, "seconds", "must not be negative")
        check(self.jitter >= 0, "jitter", "must not be negative")
        check(self.seconds + self.jitter > 0, "seconds", "must be positive where there is no 'jitter'")


@dataclass(frozen=True, slots=True)
class Drop(WireFault):
    """Nothing comes back: the connection is closed, or stays open for ever.

    Nothing is done either, unless `after`: then the request is carried out, and its answer alone is lost.
    """

    kind = "drop"
    how: Literal["close", "hang"] = "close"
    after: bool = False


@dataclass(frozen=True, slots=True)
class Throttle(WireFault):
    """The body of an answer dribbles at so many bytes a second; with `header` its header does, too."""

    kind = "throttle"
    bytes_per_second: float
    header: bool = False

    def __post_init__(self) -> None:
        check(self.bytes_per_second > 0, "bytes_per_second", "must be positive")


@dataclass(frozen=True, slots=True)
class Garble(WireFault):
    """So many bytes of the answer's body are other ones."""

    kind = "garble"
    count: int = 3

    def __post_init__(self) -> None:
        check(self.count >= 1, "count", "must be at least 1")


@dataclass(frozen=True, slots=True)
class Truncate(WireFault):
    """Of the answer's body only a share comes, less than its header promised; or, if `consistent`, as it promised."""

    kind = "truncate"
    keep: float = 0.5
    consistent: bool = False

    def __post_init__(self) -> None:
        check(0 <= self.keep < 1, "keep", "must be at least 0 and less than 1")


@dataclass(frozen=True, slots=True)
class ContentType(WireFault):
    """The answer claims to be of another type. Only HTTP has types, so hops behind the guard don't show it."""

    kind = "content_type"
    roles = frozenset[Role]({"guard", "destination"})
    value: str = "text/html"


@dataclass(frozen=True, slots=True)
class Page(WireFault):
    """A web page instead of the answer, as from a captive portal or a proxy."""

    kind = "page"
    html: str = _CAPTIVE_PORTAL
    code: int = 200

    def __post_init__(self) -> None:
        check(200 <= self.code <= 599, "code", "must be an HTTP status from 200 to 599")


@dataclass(frozen=True, slots=True)
class Empty(WireFault):
    """The answer has no body."""

    kind = "empty"


@dataclass(frozen=True, slots=True)
class Endless(WireFault):
    """After the answer come more bytes, so many a second, and never an end."""

    kind = "endless"
    bytes_per_second: float = 1_000_000

    def __post_init__(self) -> None:
        check(self.bytes_per_second > 0, "bytes_per_second", "must be positive")


@dataclass(frozen=True, slots=True)
class Status(WireFault):
    """An HTTP status from somebody on the way; a client finds it outside of the sealed answer.

    The request is not carried out, unless `after`. Without a `body` it is what such a server says with this status.
    """

    kind = "status"
    code: int = 503
    body: str | None = None
    after: bool = False

    def __post_init__(self) -> None:
        check(200 <= self.code <= 599, "code", "must be an HTTP status from 200 to 599")


# In an answer.


@dataclass(frozen=True, slots=True)
class CallFault(Fault):
    """Something that a node or server says about a call, seen only by whoever opens its answer.

    Without methods it strikes a batch as a whole; with methods, also the calls of these names inside of a batch.
    """


@dataclass(frozen=True, slots=True)
class InnerStatus(CallFault):
    """A status from the destination itself, inside of the sealed answer.

    The call is not carried out, unless `after`. Without a `body` it is what such a server says with this status.
    """

    kind = "inner_status"
    places = frozenset({"nodes", "community"})
    code: int = 500
    body: str | None = None
    after: bool = False

    def __post_init__(self) -> None:
        check(100 <= self.code <= 599, "code", "must be a status from 100 to 599")


@dataclass(frozen=True, slots=True)
class Nonsense(CallFault):
    """An answer that decrypts to nonsense: `what` is sealed is no JSON, or its body is none, or JSON of other shape.

    Only onion requests have something `sealed`. `fewer_parts` leaves out the last result of a batch, `more_parts`
    repeats it.
    """

    kind = "nonsense"
    places = frozenset({"nodes", "community"})
    what: Literal["sealed", "body", "shape", "fewer_parts", "more_parts"] = "body"


@dataclass(frozen=True, slots=True)
class WrongSwarm(CallFault):
    """421 for every call on an account: a swarm is shown that is the account's own, another, nobody's, or rubbish.

    `members` (indices of nodes) are shown instead of any of these.
    """

    kind = "wrong_swarm"
    methods = ACCOUNT_METHODS
    shows: Literal["real", "other", "nobody", "rubbish"] = "real"
    members: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class LyingSignatures(CallFault):
    """What an answer claims for the members of a swarm can't be believed.

    `wrong`: all did it, but no signature is right. `alone`: all did it, but the node tells of itself alone.
    `invented`: nobody else was asked, and their claims are signed with the node's own key.
    """

    kind = "lying_signatures"
    methods = SWARM_METHODS
    how: Literal["wrong", "alone", "invented"] = "wrong"


# In a node.


@dataclass(frozen=True, slots=True)
class Dead(Fault):
    """Nobody answers any more: connections are refused, or accepted and left in silence.

    Other nodes wait for a dead one, as long as they wait; with `unreachable` they notice at once, and say so as
    storage servers since 2.11 do. Towards clients that is the same as `refuse`.
    """

    kind = "dead"
    places = frozenset({"nodes", "seed", "file_server", "community"})
    by_method = False
    by_chance = False
    how: Death = "refuse"


@dataclass(frozen=True, slots=True)
class Clock(Fault):
    """The node's clock is wrong by so many seconds: in `t`, and in what it takes for too old or too new.

    When its messages expire follows the right time all the same. A hit is a look at the clock.
    """

    kind = "clock"
    by_method = False
    seconds: float = 3600.0

    def __post_init__(self) -> None:
        check(self.seconds != 0, "seconds", "must not be 0")


@dataclass(frozen=True, slots=True)
class Forgets(Fault):
    """The node says that it has stored a message, with a good signature, and keeps nothing."""

    kind = "forgets"
    by_method = False


@dataclass(frozen=True, slots=True)
class NoReplication(Fault):
    """The node passes nothing on to its swarm. It tells of itself alone, or that the others did not answer."""

    kind = "no_replication"
    methods = SWARM_METHODS
    says: Literal["nothing", "timeout"] = "nothing"


@dataclass(frozen=True, slots=True)
class Blame(Fault):
    """A hop passes nothing on, and claims that a node can't be had.

    `node` is whom it names: an index, or 64 hex digits; the next one on the path if it is not given.
    """

    kind = "blame"
    roles = frozenset({"guard", "middle"})
    by_method = False
    node: int | str | None = None
    says: Literal["not_found", "unreachable", "not_ready"] = "not_found"

    def __post_init__(self) -> None:
        if isinstance(self.node, str):
            check(len(self.node) == 64 and is_hex(self.node), "node", "must be an index or 64 hex digits")


# In the lists.


@dataclass(frozen=True, slots=True)
class ListFault(Fault):
    """A wrong list of nodes: `get_service_nodes` of the seed node or of service nodes, and `active_nodes_bin`."""

    places = frozenset({"nodes", "seed"})
    methods = LIST_METHODS


@dataclass(frozen=True, slots=True)
class StaleList(ListFault):
    """The list stays as it was when the fault began."""

    kind = "stale_list"
    # In Python, a list of another moment: what `Chaos.snapshot` returned then.
    snapshot: tuple[ListedNode, ...] | None = field(default=None, repr=False, metadata={"in_files": False})


@dataclass(frozen=True, slots=True)
class AlteredList(ListFault):
    """The list with lies: `add` so many nodes that don't exist; `omit`, `move` or `rekey` those of these indices.

    Nobody listens where a moved node is said to be; a node with other keys can't read what is sealed for it.
    """

    kind = "altered_list"
    add: int = 0
    omit: tuple[int, ...] = ()
    move: tuple[int, ...] = ()
    rekey: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        check(0 <= self.add <= 10_000, "add", "must be from 0 to 10000")
        altered = self.add or self.omit or self.move or self.rekey
        check(bool(altered), "add", "must be positive where nothing stands in 'omit', 'move' or 'rekey'")
