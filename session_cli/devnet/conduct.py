"""Faults in what nodes do and say: their answers, their clocks, what they keep, pass on and list."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from .faults import (
    AlteredList,
    Blame,
    CallFault,
    Clock,
    Drop,
    Forgets,
    InnerStatus,
    ListFault,
    LyingSignatures,
    Nonsense,
    NoReplication,
    StaleList,
    Status,
    WrongSwarm,
)
from .injections import Injection, Injections, Place
from .listing import UNUSED_PORT, Listed, ListedNode
from .replies import OnionReply, Reply
from .request_log import Role
from .wire import Intercepted, strikes_before_the_call

_RUBBISH = "\x7fELF is no answer"
_NODE_TEXTS = {
    401: "retrieve signature verification failed",
    406: "Timestamp error: check your clock",
    421: "Misdirected Request\n",
    429: "Too Many Requests\n",
    500: "request failed",
    502: "oxend returned unparsable data",
    503: "Service node is not ready: not done syncing\n",
}
_BLAMING = {
    "not_found": (502, "Next node not found: {}"),
    "unreachable": (502, "Next node is currently unreachable: {}"),
    "not_ready": (503, "Snode not ready: {}"),
}


class Conduct:
    """How one node, or the seed node, behaves. Ask it only while `faulty`."""

    def __init__(self, injections: Injections, place: Place) -> None:
        self._injections = injections
        self._place = place

    @property
    def faulty(self) -> bool:
        """Whether any fault is at work in the network."""
        return bool(self._injections.live)

    # Calls.

    async def at_call(
        self, method: str, parts: tuple[str, ...], run: Callable[[], Awaitable[Reply]], *, outermost: bool
    ) -> Reply:
        """Carry a call out, or one inside of a batch, and answer as the node does. Raises Intercepted, too."""

        def is_meant(injection: Injection) -> bool:
            return outermost or injection.aim.methods is not None

        def is_swallowed(injection: Injection) -> bool:
            return injection.aim.methods is not None and strikes_before_the_call(injection)

        def is_refused(injection: Injection) -> bool:
            return is_meant(injection) and not _comes_after(injection)

        called = (method,)
        for _, injection in self._injections.striking(
            (Drop, Status), self._place, "destination", called, when=is_swallowed
        ):
            raise Intercepted(injection)
        for refusal, _ in self._injections.striking(InnerStatus, self._place, None, called, when=is_refused):
            return _refused(refusal)
        reply = await run()

        def is_spoilt(injection: Injection) -> bool:
            match injection.fault:
                case InnerStatus():
                    return is_meant(injection) and _comes_after(injection)
                case Nonsense(what="body" | "shape"):
                    return is_meant(injection)
                case Nonsense():
                    return False
            # What is invented was said already, in place of asking the peers.
            has_claims = isinstance(reply.body, dict) and isinstance(reply.body.get("swarm"), dict)
            return has_claims and not _is_invented(injection)

        kinds: tuple[type[CallFault], ...] = (InnerStatus, Nonsense, LyingSignatures)
        for fault, _ in self._injections.striking(kinds, self._place, None, called, when=is_spoilt):
            reply = _spoilt(reply, fault)
        if isinstance(reply.body, dict) and isinstance(reply.body.get("results"), list):
            for nonsense, _ in self._injections.striking(
                Nonsense, self._place, None, (method, *parts), when=_changes_the_parts
            ):
                reply = _with_other_parts(reply, reply.body["results"], nonsense)
        return reply

    def sealed_nonsense(self, calls: tuple[str, ...]) -> bytes | None:
        """What the destination seals instead of its answer; None if it seals that."""
        for _ in self._injections.striking(Nonsense, self._place, None, calls, when=_is_sealed):
            return _RUBBISH.encode()
        return None

    def wrong_swarm(self, method: str) -> WrongSwarm | None:
        """How a node refuses a call on an account as none of its own; None if it does not."""
        return self._injections.first(WrongSwarm, self._place, None, (method,))

    def instead_of_peers(
        self, method: str, peers: Sequence[str], own: dict[str, Any]
    ) -> dict[str, dict[str, Any]] | None:
        """What a node says of its swarm without having asked it, by peer; None if it asks."""
        kept = self._injections.first(NoReplication, self._place, None, (method,))
        if kept is not None:
            return {} if kept.says == "nothing" else {peer: {"failed": True, "timeout": True} for peer in peers}
        for _ in self._injections.striking(LyingSignatures, self._place, None, (method,), when=_is_invented):
            return {peer: dict(own) for peer in peers}
        return None

    # The node itself.

    def clock_offset_ms(self) -> int:
        """How far the node's clock is off."""
        return int(sum(fault.seconds * 1000 for fault, _ in self._injections.striking(Clock, self._place)))

    def forgets(self) -> bool:
        """Whether a message that the node now claims to have stored is gone at once."""
        return self._injections.first(Forgets, self._place) is not None

    def blame(self, role: Role, following: bytes, identities: Sequence[bytes]) -> OnionReply | None:
        """What a hop says of other nodes instead of passing a request on; None if it passes it on."""
        fault = self._injections.first(Blame, self._place, role)
        if fault is None:
            return None
        if isinstance(fault.node, int):
            named = identities[fault.node].hex()
        else:
            named = following.hex() if fault.node is None else fault.node
        status, text = _BLAMING[fault.says]
        return OnionReply(status, text.format(named).encode())

    def listed(self, method: str, members: Sequence[Listed]) -> Sequence[Listed]:
        """The nodes as the place lists them."""
        for fault, injection in self._injections.striking(ListFault, self._place, None, (method,)):
            match fault:
                case StaleList():
                    members = injection.nodes
                case AlteredList():
                    members = _altered(members, fault, injection.nodes)
        return members


def _comes_after(injection: Injection) -> bool:
    return isinstance(injection.fault, InnerStatus) and injection.fault.after


def _is_sealed(injection: Injection) -> bool:
    return injection.fault == Nonsense("sealed")


def _changes_the_parts(injection: Injection) -> bool:
    return isinstance(injection.fault, Nonsense) and injection.fault.what in ("fewer_parts", "more_parts")


def _is_invented(injection: Injection) -> bool:
    return injection.fault == LyingSignatures("invented")


def _refused(fault: InnerStatus) -> Reply:
    return Reply(fault.code, _NODE_TEXTS.get(fault.code, "") if fault.body is None else fault.body)


def _spoilt(reply: Reply, fault: CallFault) -> Reply:
    match fault:
        case InnerStatus():
            return _refused(fault)
        case Nonsense(what="shape"):
            return replace(reply, body={"unexpected": [None, {}, -1]})
        case Nonsense():
            return replace(reply, body=_RUBBISH)
        case LyingSignatures(how="wrong" | "alone"):
            return _with_lies(reply, alone=fault.how == "alone")
    return reply


def _with_lies(reply: Reply, *, alone: bool) -> Reply:
    """An answer for a swarm in which the node speaks for itself alone, or no signature is right."""
    if not isinstance(reply.body, dict):
        return reply
    swarm: dict[str, dict[str, Any]] = reply.body["swarm"]
    if alone:
        # The node itself stands first.
        return replace(reply, body=reply.body | {"swarm": dict(list(swarm.items())[:1])})
    lies = {member: result | _forged(result) for member, result in swarm.items()}
    return replace(reply, body=reply.body | {"swarm": lies})


def _forged(result: dict[str, Any]) -> dict[str, str]:
    if "signature" not in result:
        return {}
    signature = bytearray(base64.b64decode(result["signature"]))
    signature[0] ^= 1
    return {"signature": base64.b64encode(signature).decode()}


def _with_other_parts(reply: Reply, results: list[Any], fault: Nonsense) -> Reply:
    other = results[:-1] if fault.what == "fewer_parts" else [*results, *results[-1:]]
    return replace(reply, body={"results": other})


def _altered(members: Sequence[Listed], fault: AlteredList, invented: tuple[ListedNode, ...]) -> list[Listed]:
    """The list with its lies. The first of the invented nodes lend their keys to the rekeyed ones."""
    keys = dict(zip(fault.rekey, invented, strict=False))
    listed: list[Listed] = []
    for member in members:
        if member.index in fault.omit:
            continue
        shown = ListedNode.of(member)
        if member.index in keys:
            other = keys[member.index]
            shown = replace(shown, ed25519=other.ed25519, x25519=other.x25519, legacy_public=other.legacy_public)
        if member.index in fault.move:
            shown = replace(shown, port=UNUSED_PORT)
        listed.append(shown)
    return [*listed, *invented[len(fault.rekey) :]]
