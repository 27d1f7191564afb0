"""Requests through onion paths: to service nodes and to servers.

Each request goes over a guard and further hops to its destination. What is small is tried over another path (and where
there is a choice, at another node) as soon as one fails or is silent for longer than usual; all of it is over at the
deadline. What the destination itself answers is judged by the caller.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, BinaryIO, TypeVar

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
from ..protocol.onion import Hop, OnionRequest, ServerDestination, SnodeDestination, V4Request, V4Response
from ..protocol.onion_stream import StreamedReply, StreamedRequest
from ..protocol.storage_rpc import Request, ServiceNode
from . import pace
from .clock import Deadline, NetworkClock
from .pace import transfer_limit
from .parallel import first_success
from .path import Path, PathBook
from .path_builder import PathBuilder
from .pool import NodePool
from .replies import accept, check_guard, target_spoke
from .transport import Cancellation, Reply, Transport
from .trial import NoPath, OnionAttempt, PathUnfinished, Trial

LOG = logging.getLogger(__name__)
T = TypeVar("T")

CALL_ATTEMPTS = 4
SERVER_ATTEMPTS = 3
SHORT_ANSWER_BYTES = 1_000_000
Progress = Callable[[int], None]
"""Told the number of body bytes that have passed so far."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What an attempt brought, and how."""

    value: Any
    path: Path
    target: ServiceNode | None
    elapsed_ms: int


@dataclass(slots=True)
class _BuiltPaths:
    """Paths that were built hop by hop behind one guard, for one request; whoever needs one waits for it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    paths: list[Path] = field(default_factory=list)


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
        nodes: Iterator[ServiceNode],
        request_for: Callable[[ServiceNode], Request],
        parse: Callable[[Any, ServiceNode], T],
        deadline: Deadline,
        *,
        what: str,
        lane: int = 0,
        failed: Callable[[ServiceNode, SessionError], None] | None = None,
    ) -> T:
        """Ask one node after the other for an answer that `parse` accepts.

        `failed` is told of each failure; it may change what `nodes` will give, and raises to make an end. It knows
        WrongSwarm (421), ClockOutOfSync (406), ServiceRefused (400, 401, 403, 404), RateLimited (429), NodeFailed
        (anything else the node says), RpcError (what `parse` says), and NetworkError or OnionError for paths that did
        not work. Raises the last of them (as a NetworkError), RequestTimeout at the deadline.
        """

        def attempts() -> Iterator[OnionAttempt]:
            for node in nodes:
                path, request = trial.path({node.ed25519}), request_for(node)
                if trial.needs_building and path.guard is not None:
                    behind = built[path.guard.ed25519]
                    asked = threading.Event()
                    run = partial(self._call_surely, what, node, request, parse, path.guard, behind, asked, deadline)
                    # Its hops are found later; for now it is only known to go over that guard.
                    yield self._attempt(run, Path(path.hops[:1]), node, asked)
                else:
                    yield self._attempt(partial(self._call, what, node, request, parse, path), path, node)

        def note(attempt: OnionAttempt, error: SessionError) -> None:
            trial.failed(attempt, error)
            if target_spoke(error) and not attempt.built:
                # Whatever it said came over a path that works.
                self.paths.succeeded(attempt.path, None)
            if failed is not None and attempt.target is not None and attempt.was_asked:
                failed(attempt.target, error)

        self.prepare(deadline)
        trial = self._trial(what, deadline, lane)
        built: defaultdict[bytes, _BuiltPaths] = defaultdict(_BuiltPaths)
        answer = self._run(trial, attempts(), deadline, note)
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
            iter([node] * CALL_ATTEMPTS),
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

        def nodes() -> Iterator[ServiceNode]:
            asked: set[bytes] = {guard.ed25519 for guard in self.paths.guards()}
            for _ in range(CALL_ATTEMPTS):
                node = self.pool.draw(asked) or self.pool.draw(())
                if node is None:
                    return
                asked.add(node.ed25519)
                yield node

        return self.ask(nodes(), lambda _: request, parse, deadline, what=request.method, lane=lane)

    def call_server(
        self, server: ServerDestination, request: V4Request, deadline: Deadline, *, lane: int = 0
    ) -> V4Response:
        """Let an HTTP server answer a small request. Returns whatever status it gave. Raises NetworkError."""
        payload = layers.encode_v4_request(request)

        def run(path: Path, cancellation: Cancellation) -> V4Response:
            onion = layers.build_request(_hops(path), server, payload)
            reply = self._post(_entrance(path, server), onion, self.pace.server, cancellation)
            return layers.decode_v4_response(onion.reply_key.open(reply.body))

        return self._serve(f"{request.method} at a server", server, run, deadline, lane)

    def upload(
        self,
        *,
        server: ServerDestination,
        meta: dict[str, object],
        body: Callable[[], Iterable[bytes]],
        size: int,
        deadline: Deadline,
        progress: Progress,
    ) -> V4Response:
        """Send a large body to a server. `body` is called once an attempt. Raises NetworkError."""
        limit, idle = transfer_limit(size), self.pace.idle_limit(size)

        def run(path: Path, cancellation: Cancellation) -> V4Response:
            onion = StreamedRequest(_hops(path), server, meta, size)
            chunks = onion.chunks(_counted(body(), progress))
            with self._transport.exchange(
                _entrance(path, server), chunks, size=onion.size, timeout=idle, cancellation=cancellation
            ) as (reply, parts):
                answer = _bounded(parts)
            check_guard(reply.status, answer)
            return layers.decode_v4_response(onion.reply_key.open(answer))

        return self._serve("upload", server, run, deadline, 0, transfer_s=limit)

    def download(
        self,
        *,
        server: ServerDestination,
        request: V4Request,
        sink: BinaryIO,
        size: int,
        deadline: Deadline,
        progress: Progress,
    ) -> V4Response:
        """Write a large answer's body to `sink`, emptied first. Not to be believed unless this returns with code 200.

        `size` is only used to decide how long to wait. Raises NetworkError.
        """
        payload = layers.encode_v4_request(request)
        limit, idle = transfer_limit(size), self.pace.idle_limit(size)

        def run(path: Path, cancellation: Cancellation) -> V4Response:
            sink.seek(0)
            sink.truncate()
            onion = layers.build_request(_hops(path), server, payload)
            with self._transport.exchange(
                _entrance(path, server), onion.body, timeout=idle, cancellation=cancellation
            ) as (reply, parts):
                if reply.status != 200:
                    check_guard(reply.status, _bounded(parts))
                opener = StreamedReply(onion.reply_key)
                written = 0
                for part in parts:
                    written += sink.write(opener.feed(part))
                    progress(written)
            return opener.finish()

        return self._serve("download", server, run, deadline, 0, transfer_s=limit)

    # Attempts.

    def _serve(
        self,
        what: str,
        server: ServerDestination,
        run: Callable[[Path, Cancellation], V4Response],
        deadline: Deadline,
        lane: int,
        *,
        transfer_s: float | None = None,
    ) -> V4Response:
        """Attempts at a server, one after the other: a large transfer is never made twice at a time."""
        one_at_a_time = threading.Lock()

        def run_alone(path: Path, cancellation: Cancellation) -> V4Response:
            # One that was given up on may still be about to read or write the file that both share.
            with one_at_a_time:
                try:
                    return run(path, cancellation)
                except PathFailed as error:
                    if error.node is not None:
                        raise
                    raise PathFailed(f"The server, or the way to it: {error.message}") from None

        def attempts() -> Iterator[OnionAttempt]:
            for _ in range(SERVER_ATTEMPTS):
                path = trial.path(())
                limit = transfer_s or self.pace.server
                attempt = partial(self._timed, what, path, None, partial(run_alone, path))
                yield OnionAttempt(attempt, limit, limit, path=path)

        self.prepare(deadline)
        if transfer_s is not None:
            self._prove_path(deadline, lane)
        trial = self._trial(what, deadline, lane)
        answer = self._run(trial, attempts(), deadline, trial.failed, transfer=transfer_s is not None)
        value: V4Response = answer.value
        return value

    def _prove_path(self, deadline: Deadline, lane: int) -> None:
        """Let something small go ahead where the path is not known to work: a file is large, and goes over it once."""
        path = None if self.direct else self.paths.choose((), lane=lane)
        if path is not None and path.fresh:
            self.call_anybody(storage_rpc.info(), lambda body, _: body, deadline, lane=lane)

    def _trial(self, what: str, deadline: Deadline, lane: int) -> Trial:
        return Trial(
            what,
            self.pool,
            self.paths,
            lambda exclude: self._builder.substitute(exclude, deadline),
            lambda: self._refresh(deadline),
            lane=lane,
            direct=self.direct,
        )

    def _run(
        self,
        trial: Trial,
        attempts: Iterator[OnionAttempt],
        deadline: Deadline,
        failed: Callable[[OnionAttempt, SessionError], None],
        *,
        transfer: bool = False,
    ) -> _Answer:
        try:
            answer: _Answer = first_success(attempts, deadline, failed, trial.outrun)
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
    def _timed(
        what: str,
        path: Path,
        target: ServiceNode | None,
        run: Callable[[Cancellation], Any],
        cancellation: Cancellation,
    ) -> _Answer:
        started = time.monotonic()
        value = run(cancellation)
        elapsed = int((time.monotonic() - started) * 1000)
        guard = path.guard or target
        LOG.info("%s over %s: %d ms", what, guard.ip if guard else "no guard", elapsed)
        if LOG.isEnabledFor(logging.DEBUG):
            way = [hop.ip for hop in path.hops] + ([target.ip] if target else ["a server"])
            LOG.debug("  by way of %s", " → ".join(way))
        return _Answer(value, path, target, elapsed)

    def _attempt(
        self,
        run: Callable[[Cancellation], _Answer],
        path: Path,
        node: ServiceNode,
        asked: threading.Event | None = None,
    ) -> OnionAttempt:
        """One at a node. `asked`: where a path is built first, what will tell that the node itself is asked."""
        patience, built = self.pace.patience(path.latency_ms), asked is not None
        asked = asked or threading.Event()
        return OnionAttempt(run, self.pace.request, patience, path=path, target=node, built=built, asked=asked)

    def _call(
        self,
        what: str,
        node: ServiceNode,
        request: Request,
        parse: Callable[[Any, ServiceNode], T],
        path: Path,
        cancellation: Cancellation,
    ) -> _Answer:
        """One attempt at a storage RPC."""

        def run(cancellation: Cancellation) -> T:
            payload = layers.compact_json(request.to_json())
            onion = layers.build_request(_hops(path), SnodeDestination(node.ed25519, node.x25519), payload)
            reply = self._post(_guard_url(path.guard or node), onion, self.pace.request, cancellation)
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

        return self._timed(what, path, node, run, cancellation)

    def _call_surely(
        self,
        what: str,
        node: ServiceNode,
        request: Request,
        parse: Callable[[Any, ServiceNode], T],
        guard: ServiceNode,
        built: _BuiltPaths,
        asked: threading.Event,
        deadline: Deadline,
        cancellation: Cancellation,
    ) -> _Answer:
        """One attempt over a path that is built first, and shared with the other attempts while it does well."""
        with built.lock:
            path = next((path for path in built.paths if node.ed25519 not in path.keys), None)
            if path is None:
                limit = deadline.within(self.pace.request)
                path = self._builder.build(guard, {node.ed25519}, limit, cancellation)
                built.paths.append(path)
        asked.set()
        try:
            return self._call(what, node, request, parse, path, cancellation)
        except SessionError as error:
            if not target_spoke(error):
                with built.lock, suppress(ValueError):
                    built.paths.remove(path)
            raise

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


def _hops(path: Path) -> list[Hop]:
    return [Hop(hop.ed25519, hop.x25519) for hop in path.hops]


def _guard_url(guard: ServiceNode) -> str:
    return f"https://{guard.ip}:{guard.port}/onion_req/v2"


def _entrance(path: Path, server: ServerDestination) -> str:
    """Where a request to a server goes in: at the guard, or without onion requests at the server itself."""
    if path.guard is not None:
        return _guard_url(path.guard)
    port = "" if server.port is None else f":{server.port}"
    return f"{server.protocol}://{server.host}{port}{server.target}"


def _counted(chunks: Iterable[bytes], progress: Progress) -> Iterator[bytes]:
    done = 0
    for chunk in chunks:
        yield chunk
        done += len(chunk)
        progress(done)


def _bounded(parts: Iterable[bytes]) -> bytes:
    """A short answer as a whole. Raises PathFailed for one that doesn't end: a guard could fill our memory."""
    answer = bytearray()
    for part in parts:
        answer += part
        if len(answer) > SHORT_ANSWER_BYTES:
            raise PathFailed("A guard sent more than anybody asked for.")
    return bytes(answer)
