"""Requests through onion paths to service nodes.

Each request goes over a guard and further hops to its destination. What is small is tried over another path (and where
there is a choice, at another node) as soon as one fails or is silent for longer than usual; all of it is over at the
deadline. What the destination itself answers is judged by the caller.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from ..errors import (
    NetworkUnreachable,
    NodeFailed,
    OnionError,
    PathFailed,
    RpcError,
    SessionError,
)
from ..protocol import onion as layers
from ..protocol import storage_rpc
from ..protocol.onion import Hop, OnionRequest, SnodeDestination
from ..protocol.storage_rpc import Request, ServiceNode
from . import pace
from .attempts import Candidates, InTurn, NodeAttempts
from .clock import Deadline, NetworkClock
from .parallel import Pause, first_success
from .path import Path, PathBook
from .path_builder import PathBuilder
from .pool import NodePool
from .replies import accept, check_guard, target_spoke
from .transport import Cancellation, Reply, Transport
from .trial import NoPath, OnionAttempt, PathUnfinished, Trial

LOG = logging.getLogger(__name__)
T = TypeVar("T")

CALL_ATTEMPTS = 4


@dataclass(frozen=True, slots=True)
class Answer:
    """What an attempt brought, and how."""

    value: Any
    path: Path
    target: ServiceNode | None
    elapsed_ms: int


class OnionClient:
    """Sends requests over onion paths. `lane` spreads parallel requests over the guards. Safe for several threads.

    `ready` has a usable list of nodes in the pool before each request, `refresh` fetches a new one. With `direct`,
    requests go without detour to their destination, which then sees our address; they are sealed to its key all the
    same.
    """

    def __init__(
        self,
        pool: NodePool,
        transport: Transport,
        clock: NetworkClock,
        *,
        ready: Callable[[Deadline], None],
        refresh: Callable[[Deadline], None],
        direct: bool = False,
    ) -> None:
        self.pool = pool
        self.clock = clock
        self.paths = PathBook(pool)
        self.pace = pace.PROXIED if transport.proxied else pace.DIRECT
        self._transport = transport
        self._ready = ready
        self._refresh = refresh
        self.direct = direct
        self._builder = PathBuilder(pool, self.paths, self.pace, self.probe, refresh)

    # Requests.

    def ask(
        self,
        nodes: Candidates,
        request_for: Callable[[ServiceNode], Request],
        parse: Callable[[Any, ServiceNode], T],
        deadline: Deadline,
        *,
        what: str,
        lane: int = 0,
        failed: Callable[[ServiceNode, SessionError], None] | None = None,
    ) -> T:
        """Ask one node after the other for an answer that `parse` accepts.

        `failed` is told of each failure of a node that may have been asked; it may change what `nodes` will give, and
        raises to make an end. It knows WrongSwarm (421), ClockOutOfSync (406), ServiceRefused (400, 401, 403, 404),
        RateLimited (429), NodeFailed (anything else the node says), RpcError (what `parse` says), and NetworkError or
        OnionError for paths that did not work. Raises the last of them (as a NetworkError), RequestTimeout at the
        deadline.
        """

        def call(node: ServiceNode, path: Path, cancellation: Cancellation) -> Answer:
            return self._call(what, node, request_for(node), parse, path, cancellation)

        self.prepare(deadline)
        trial = self.trial(what, deadline, lane)
        attempts = NodeAttempts(trial, nodes, self.pace, self.paths, call, self._builder, deadline, failed)
        answer = self.run(trial, iter(attempts), deadline, attempts.note)
        value: T = answer.value
        return value

    def call(self, node: ServiceNode, request: Request, deadline: Deadline, *, lane: int = 0) -> Any:
        """Let this one service node answer a storage RPC, if need be over several paths. Returns the answer's JSON.

        What the node itself says is final: WrongSwarm (421), ClockOutOfSync (406), ServiceRefused (400, 401, 403,
        404), RateLimited (429), NodeFailed (anything else). Raises NetworkError if no path worked.
        """

        def final(node: ServiceNode, error: SessionError) -> None:
            if target_spoke(error):
                raise error

        return self.ask(
            InTurn([node] * CALL_ATTEMPTS),
            lambda _: request,
            lambda body, _: body,
            deadline,
            what=request.method,
            lane=lane,
            failed=final,
        )

    def call_anybody(
        self, request: Request, parse: Callable[[Any, ServiceNode], T], deadline: Deadline, *, lane: int = 0
    ) -> T:
        """Let some service node answer that is not on the way. Raises NetworkError."""

        self.prepare(deadline)
        asked: set[bytes] = {guard.ed25519 for guard in self.paths.guards()}
        nodes: list[ServiceNode] = []
        while len(nodes) < CALL_ATTEMPTS and (node := self.pool.draw(asked) or self.pool.draw(())) is not None:
            asked.add(node.ed25519)
            nodes.append(node)
        return self.ask(InTurn(nodes), lambda _: request, parse, deadline, what=request.method, lane=lane)

    # Attempts.

    def trial(self, what: str, deadline: Deadline, lane: int) -> Trial:
        """What keeps account of the attempts at one request."""
        return Trial(
            what,
            self.pool,
            self.paths,
            lambda exclude: self._builder.substitute(exclude, deadline),
            lambda: self._refresh(deadline),
            lane=lane,
            direct=self.direct,
            silence_s=self.pace.silence,
        )

    def run(
        self,
        trial: Trial,
        attempts: Iterator[OnionAttempt | Pause],
        deadline: Deadline,
        failed: Callable[[OnionAttempt, SessionError], None],
        *,
        transfer: bool = False,
    ) -> Answer:
        """The answer to the first attempt that gets one, with the consequences for all who took part.

        `failed` is told of each failure. Raises NetworkError, or what the destination said.
        """
        try:
            answer: Answer = first_success(attempts, deadline, failed, trial.outrun)
        except BaseException as error:
            trial.gave_up()
            self.pool.save()
            if isinstance(error, OnionError | NoPath | PathUnfinished):
                raise PathFailed(error.message) from None
            if isinstance(error, RpcError):
                raise NodeFailed(error.message) from None
            raise
        # How long a file takes says nothing about how long a request may be silent.
        trial.succeeded(answer.path, answer.target, None if transfer else answer.elapsed_ms)
        if answer.path.guard is not None:
            self._builder.retest_guards(answer.path.guard, deadline)
        return answer

    @staticmethod
    def timed(
        what: str,
        path: Path,
        target: ServiceNode | None,
        run: Callable[[Cancellation], Any],
        cancellation: Cancellation,
    ) -> Answer:
        """Run one attempt, and take its time."""
        started = time.monotonic()
        value = run(cancellation)
        elapsed = int((time.monotonic() - started) * 1000)
        guard = path.guard or target
        LOG.info("%s over %s: %d ms", what, guard.ip if guard else "no guard", elapsed)
        if LOG.isEnabledFor(logging.DEBUG):
            way = [hop.ip for hop in path.hops] + ([target.ip] if target else ["a server"])
            LOG.debug("  by way of %s", " → ".join(way))
        return Answer(value, path, target, elapsed)

    def _call(
        self,
        what: str,
        node: ServiceNode,
        request: Request,
        parse: Callable[[Any, ServiceNode], T],
        path: Path,
        cancellation: Cancellation,
    ) -> Answer:
        """One attempt at a storage RPC."""

        def run(cancellation: Cancellation) -> T:
            payload = layers.compact_json(request.to_json())
            onion = layers.build_request(hops_of(path), SnodeDestination(node.ed25519, node.x25519), payload)
            reply = self._post(guard_url(path.guard or node), onion, self.pace.request, cancellation)
            try:
                answer = layers.open_snode_reply(onion.reply_key, reply.body)
            except OnionError:
                if reply.headers.get("content-type", "").startswith("text/html"):
                    raise NetworkUnreachable(
                        "A web page came in place of an answer. Something between this machine and the network "
                        "answers itself; is there a login page?"
                    ) from None
                raise
            body = accept(answer)
            self._watch_clock(node, body)
            try:
                return parse(body, node)
            except (ArithmeticError, LookupError, TypeError, ValueError) as error:
                # Every field is checked; should a check be missing, one answer is lost and not the command.
                raise RpcError(f"A node's answer makes no sense ({type(error).__name__}).") from None

        return self.timed(what, path, node, run, cancellation)

    def _post(self, url: str, onion: OnionRequest, timeout: float, cancellation: Cancellation) -> Reply:
        reply = self._transport.post(url, onion.body, timeout=timeout, cancellation=cancellation)
        check_guard(reply.status, reply.body)
        return reply

    def _watch_clock(self, node: ServiceNode, body: Any) -> None:
        told_ms = storage_rpc.network_time(body)
        if told_ms is not None and self.clock.observe(node.ed25519.hex(), told_ms - self.clock.local_ms()):
            self.remember_clock()

    def remember_clock(self) -> None:
        """Let the next run begin with what this one has learnt of the network's time."""
        offset_ms, samples = self.clock.offset_ms, dict(self.clock.samples)

        def change(state: Any) -> None:
            state.clock_offset_ms, state.clock_samples = offset_ms, samples

        self.pool.change(change)

    def prepare(self, deadline: Deadline) -> None:
        """Have a list of nodes and guards. Does nothing where both are there. Raises NetworkUnreachable."""
        self._ready(deadline)
        if not self.direct:
            self._builder.ensure_guards(deadline)

    def probe(self, node: ServiceNode, path: Path, cancellation: Cancellation) -> int:
        """Whether a node answers over a path: how long it took, in ms. Raises NetworkError, OnionError."""
        try:
            answer = self._call("info", node, storage_rpc.info(), lambda body, _: body, path, cancellation)
        except SessionError as error:
            if target_spoke(error):
                raise NodeFailed(error.message) from None
            raise
        return answer.elapsed_ms


def hops_of(path: Path) -> list[Hop]:
    return [Hop(hop.ed25519, hop.x25519) for hop in path.hops]


def guard_url(guard: ServiceNode) -> str:
    return f"https://{guard.ip}:{guard.port}/onion_req/v2"
