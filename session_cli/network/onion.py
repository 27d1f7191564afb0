"""Requests through onion paths: to service nodes and to servers.

Each request goes over a guard and further hops to its destination. When the path fails, the hop that the error names
is dropped and one more attempt is made over another path; what the destination itself answers is final here.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO, TypeVar

from ..errors import (
    ClockOutOfSync,
    NetworkError,
    NetworkUnreachable,
    OnionError,
    PathFailed,
    RateLimited,
    ServiceRefused,
    SessionError,
)
from ..protocol import onion as layers
from ..protocol.onion import Hop, OnionRequest, ServerDestination, SnodeDestination, V4Request, V4Response
from ..protocol.onion_stream import StreamedReply, StreamedRequest
from ..protocol.storage_rpc import Request, ServiceNode
from .clock import Deadline, NetworkClock
from .pool import NodePool
from .transport import Reply, Transport

LOG = logging.getLogger(__name__)
T = TypeVar("T")

REQUEST_TIMEOUT_S = 10.0
SERVER_TIMEOUT_S = 30.0
PATHS_TRIED = 2
GUARDS_TRIED = 4
SHORT_ANSWER_BYTES = 1_000_000
_NOT_FOUND = ("Next node not found: ", "Next node is currently unreachable: ", "Snode not ready: ")
Progress = Callable[[int], None]
"""Told the number of body bytes that have passed so far."""


class WrongSwarm(SessionError):
    """A node says that an account belongs to another swarm. `body` is its answer, which lists that swarm."""

    slug = "wrong_swarm"

    def __init__(self, body: Any) -> None:
        super().__init__("The node does not hold this account.")
        self.body = body


class NodeFailed(NetworkError):
    """The destination node answered, but with trouble of its own; another member of the swarm may do better."""

    slug = "node_failed"


@dataclass(slots=True)
class PathUsed:
    """The hops of the last successful request, and how long it took; for those who want to see."""

    hops: list[ServiceNode] = field(default_factory=list)
    destination: str = ""
    milliseconds: int = 0


class OnionClient:
    """Sends requests over onion paths. `lane` spreads parallel requests over the guards."""

    def __init__(self, pool: NodePool, transport: Transport, clock: NetworkClock) -> None:
        self.pool = pool
        self.clock = clock
        self.last_path = PathUsed()
        self._transport = transport
        self._suspects: set[bytes] = set()
        """Hops of paths that failed without saying which hop it was; avoided while there are others."""

    def call(self, node: ServiceNode, request: Request, deadline: Deadline, *, lane: int = 0) -> Any:
        """Let a service node answer a storage RPC. Returns the answer's JSON.

        Raises WrongSwarm (421), ClockOutOfSync (406), ServiceRefused (400, 401, 403, 404), RateLimited (429),
        NodeFailed (anything else the node says), NetworkError (no path worked).
        """
        payload = layers.compact_json(request.to_json())
        destination = SnodeDestination(node.ed25519, node.x25519)

        def attempt(hops: list[Hop], guard: ServiceNode) -> layers.SnodeReply:
            onion = layers.build_request(hops, destination, payload)
            reply = self._to_guard(guard, onion, deadline, REQUEST_TIMEOUT_S)
            return layers.open_snode_reply(onion.reply_key, reply.body)

        answer = self._over_paths(attempt, {node.ed25519}, deadline, lane, request.method)
        return _accept(answer)

    def call_server(
        self, server: ServerDestination, request: V4Request, deadline: Deadline, *, lane: int = 0
    ) -> V4Response:
        """Let an HTTP server answer a small request. Returns whatever status it gave. Raises NetworkError."""
        payload = layers.encode_v4_request(request)

        def attempt(hops: list[Hop], guard: ServiceNode) -> V4Response:
            onion = layers.build_request(hops, server, payload)
            reply = self._to_guard(guard, onion, deadline, SERVER_TIMEOUT_S)
            return layers.decode_v4_response(onion.reply_key.open(reply.body))

        return self._over_paths(attempt, (), deadline, lane, f"{request.method} server")

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

        def attempt(hops: list[Hop], guard: ServiceNode) -> V4Response:
            onion = StreamedRequest(hops, server, meta, size)
            url = _guard_url(guard)
            timeout = deadline.limit(_transfer_timeout(size))
            chunks = onion.chunks(_counted(body(), progress))
            with self._transport.exchange(url, chunks, size=onion.size, timeout=timeout) as (reply, parts):
                answer = _bounded(parts)
            _check_guard(reply.status, answer)
            return layers.decode_v4_response(onion.reply_key.open(answer))

        return self._over_paths(attempt, (), deadline, 0, "upload")

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

        def attempt(hops: list[Hop], guard: ServiceNode) -> V4Response:
            sink.seek(0)
            sink.truncate()
            onion = layers.build_request(hops, server, payload)
            timeout = deadline.limit(_transfer_timeout(size))
            with self._transport.exchange(_guard_url(guard), onion.body, timeout=timeout) as (reply, parts):
                if reply.status != 200:
                    _check_guard(reply.status, _bounded(parts))
                opener = StreamedReply(onion.reply_key)
                written = 0
                for part in parts:
                    written += sink.write(opener.feed(part))
                    progress(written)
            return opener.finish()

        return self._over_paths(attempt, (), deadline, 0, "download")

    def _over_paths(
        self,
        attempt: Callable[[list[Hop], ServiceNode], T],
        exclude: Collection[bytes],
        deadline: Deadline,
        lane: int,
        what: str,
    ) -> T:
        self.pool.ensure(deadline)
        tried: set[bytes] = set()
        unreachable: set[bytes] = set()
        failures = 0
        refreshed = False
        while True:
            path = self._choose_path(exclude, tried, lane)
            if path is None:
                raise NetworkUnreachable("There are too few nodes for a path.")
            guard = path[0]
            started = time.monotonic()
            try:
                result = attempt([Hop(hop.ed25519, hop.x25519) for hop in path], guard)
            except NetworkUnreachable as error:
                LOG.info("%s: guard not reached", what)
                tried.add(guard.ed25519)
                unreachable.add(guard.ed25519)
                if len(unreachable) >= GUARDS_TRIED:
                    if refreshed:
                        network = self.pool.definition.name
                        raise NetworkUnreachable(
                            f"No guard of the network {network!r} can be reached: {error.message}"
                        ) from None
                    # Our list may describe a network that is gone.
                    self.pool.refresh(deadline)
                    refreshed = True
                    tried.clear()
                    unreachable.clear()
                continue
            except (NetworkError, OnionError) as error:
                LOG.info("%s: failed (%s)", what, type(error).__name__)
                tried.add(guard.ed25519)
                failures += 1
                self._suspects.update(hop.ed25519 for hop in path[1:])
                self._blame(error, path, exclude, final=failures >= PATHS_TRIED)
                continue
            elapsed = int((time.monotonic() - started) * 1000)
            LOG.info("%s: %d ms", what, elapsed)
            self.last_path = PathUsed(path, what, elapsed)
            self._suspects.difference_update(hop.ed25519 for hop in path)
            if unreachable:
                self.pool.replace_guards(unreachable, guard)
            return result

    def _choose_path(self, exclude: Collection[bytes], tried: set[bytes], lane: int) -> list[ServiceNode] | None:
        avoided = {*exclude, *tried}
        guards = self.pool.guards(avoided)
        guard = guards[lane % len(guards)] if guards else self.pool.substitute_guard(avoided)
        return self.pool.path(guard, exclude, avoid=self._suspects) if guard else None

    def _blame(
        self,
        error: NetworkError | OnionError,
        path: list[ServiceNode],
        destination: Collection[bytes],
        *,
        final: bool,
    ) -> None:
        """Drop the hop that the error names. Raises it if there shall be no other attempt.

        A name that was not on the way is passed over: a hostile guard could talk us out of all other nodes. Which of
        several silent hops failed can't be known, and it may be the destination: with a swarm's member as destination
        the error becomes NodeFailed, so that another member is asked.
        """
        if isinstance(error, RateLimited):
            raise error
        if isinstance(error, PathFailed) and error.node is not None:
            node = bytes.fromhex(error.node)
            if node in destination or node in (hop.ed25519 for hop in path[1:]):
                self.pool.drop(node)
            if node in destination:
                raise NodeFailed("A node that the request was for is gone.")
        if final:
            if destination:
                raise NodeFailed(f"A storage server could not be reached: {error.message}")
            raise PathFailed(error.message) if isinstance(error, OnionError) else error

    def _to_guard(self, guard: ServiceNode, onion: OnionRequest, deadline: Deadline, timeout: float) -> Reply:
        reply = self._transport.post(_guard_url(guard), onion.body, timeout=deadline.limit(timeout))
        _check_guard(reply.status, reply.body)
        return reply


def _guard_url(guard: ServiceNode) -> str:
    return f"https://{guard.ip}:{guard.port}/onion_req/v2"


def _transfer_timeout(size: int) -> float:
    """Seconds for a transfer: a minute, and as long again as it takes at 64 kB/s."""
    return 60.0 + size / 64_000


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


def _check_guard(status: int, body: bytes) -> None:
    """Whatever is not 200 comes from the path itself, in clear. Raises PathFailed, naming the hop if it is known."""
    if status == 200:
        return
    text = body[:200].decode("utf-8", "replace").strip()
    for prefix in _NOT_FOUND:
        node = text.removeprefix(prefix)
        if node != text and len(node) == 64 and all(c in "0123456789abcdef" for c in node):
            raise PathFailed("A hop of the path is gone.", node=node)
    if status == 429:
        raise RateLimited("The guard asks to slow down.")
    raise PathFailed(f"The path failed with status {status}.")


def _accept(reply: layers.SnodeReply) -> Any:
    if reply.status == 200:
        return reply.json()
    text = reply.body if isinstance(reply.body, str) else json.dumps(reply.body)
    return raise_for_status(reply.status, text)


def raise_for_status(status: int, body: Any) -> Any:
    """Turn a storage server's refusal, of a whole request or of a part of a batch, into its exception."""
    text = body.strip() if isinstance(body, str) else ""
    if status == 421:
        if isinstance(body, str):
            try:
                body = json.loads(body)
            except (ValueError, RecursionError):
                body = None
        raise WrongSwarm(body)
    if status == 406:
        raise ClockOutOfSync(
            "The network refuses our signature's time. Check this machine's clock: it must be right within a minute."
        )
    if status == 429:
        raise RateLimited("The storage server asks to slow down.")
    if status in (400, 401, 403, 404):
        raise ServiceRefused(f"The storage server refuses ({status}): {text[:200]}", status=status)
    raise NodeFailed(f"The storage server failed with status {status}.")
