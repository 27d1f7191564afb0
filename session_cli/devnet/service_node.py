"""A service node's HTTPS server: routes, limits and the texts of the real storage server."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Callable

from aiohttp import web
from multidict import CIMultiDict

from .directory import Member
from .http_server import Answer, BodyTooLarge, Listener, read_body
from .onion_relay import OnionRelay
from .options import SERVER_NAME, STORAGE_VERSION
from .replies import Reply
from .request_log import RequestLog, RequestRecord, Role
from .storage_rpc import StorageRpc
from .wire import Wire

MAX_BODY_BYTES = 10_485_760
BURST = 600
PER_SECOND = 300
MAX_TRACKED = 10_000
_ROLES: dict[str, Role] = {"/onion_req/v2": "guard", "/storage_rpc/v1": "destination"}
"""What a node is to the client that connects to it, by route."""


class RateLimit:
    """A bucket of tokens for each client address."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, address: str) -> bool:
        """Whether a request from this address may pass now."""
        now = self._clock()
        tokens, since = self._buckets.pop(address, (float(BURST), now))
        tokens = min(BURST, tokens + max(0.0, now - since) * PER_SECOND)
        allowed = tokens >= 1
        # The oldest goes when there are too many, so the one just seen is put at the end.
        if len(self._buckets) >= MAX_TRACKED:
            self._buckets.pop(next(iter(self._buckets)))
        self._buckets[address] = (tokens - 1 if allowed else tokens, now)
        return allowed


class ServiceNode:
    """One node's server. It listens between `start` and `stop`, which may alternate."""

    def __init__(
        self,
        member: Member,
        rpc: StorageRpc,
        relay: OnionRelay,
        *,
        log: RequestLog,
        context: ssl.SSLContext,
        clock: Callable[[], float],
        max_onion_bytes: int,
        wire: Wire,
    ) -> None:
        self._wire = wire
        self.member = member
        self.relay = relay
        self.rpc = rpc
        self._log = log
        self._rate_limit = RateLimit(clock)
        self._max_onion_bytes = max(MAX_BODY_BYTES, max_onion_bytes)
        self.listener = Listener(self._serve, member.ip, member.port, context)

    async def start(self) -> None:
        """Listen; the member then has its port. Raises NetworkUnreachable."""
        await self.listener.start()
        self.member.port = self.listener.port
        self.member.running = True

    async def silence(self, met: Callable[[], None]) -> None:
        """Accept connections and never answer; for the other nodes be gone. `met` is called for each connection."""
        self.member.running = False
        await self.listener.silence(met)

    async def stop(self) -> None:
        """Be gone: for clients and for the other nodes."""
        self.member.running = False
        await self.listener.stop()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        return await self._wire.serve(request, self._handle, _ROLES.get(request.path))

    async def _handle(self, request: web.BaseRequest) -> Answer:
        match request.method, request.path_qs:
            case "POST", "/storage_rpc/v1":
                return await self._storage(request)
            case "POST", "/onion_req/v2":
                return await self._onion(request)
            case "POST", "/ping_test/v1":
                key = base64.b64encode(self.member.legacy_public).decode()
                return _answer(Reply(200, ""), CIMultiDict({"X-Oxen-Snode-Pubkey": key}))
            case "GET", "/get_stats/v1":
                return _answer(Reply(200, {"version": ".".join(map(str, STORAGE_VERSION))}))
        return _answer(Reply(404, f"{request.method.lower()} {request.path_qs} Not Found"))

    def _unready(self) -> Reply | None:
        if self.member.swarm_id is None:
            return Reply(503, "Service node is not ready: not in any swarm\n")
        return None

    async def _storage(self, request: web.BaseRequest) -> Answer:
        refusal = self._unready()
        if refusal is None and not self._rate_limit.take(request.remote or ""):
            refusal = Reply(429, "Too Many Requests\n")
        if refusal is None and "x-loki-long-poll" in request.headers:
            refusal = Reply(410, "long polling is no longer supported, client upgrade required")
        method, parts = "", tuple[str, ...]()
        if refusal is None:
            try:
                answered = await self.rpc.answer(await read_body(request, MAX_BODY_BYTES))
            except BodyTooLarge:
                refusal = Reply(413, "Request body too large")
            else:
                refusal, method, parts = answered.reply, answered.method, answered.parts
        self._log.add(RequestRecord("storage", self.member.index, method, refusal.status, parts=parts))
        return _answer(refusal, calls=(method, *parts))

    async def _onion(self, request: web.BaseRequest) -> Answer:
        refusal = self._unready()
        if refusal is not None:
            return _answer(refusal)
        try:
            body = await read_body(request, self._max_onion_bytes)
        except BodyTooLarge:
            return _answer(Reply(413, "Request body too large"))
        reply = await self.relay.from_client(body)
        headers = CIMultiDict({"Server": SERVER_NAME})
        headers.extend(reply.headers or {"Content-Type": "text/plain"})
        headers.setdefault("Content-Type", "text/plain")
        return Answer(reply.status, headers, reply.body, reply.reason, calls=reply.calls)


def _answer(reply: Reply, extra: CIMultiDict[str] | None = None, calls: tuple[str, ...] = ()) -> Answer:
    headers = CIMultiDict({"Server": SERVER_NAME, "Content-Type": reply.content_type})
    headers.extend(extra or {})
    return Answer(reply.status, headers, reply.to_bytes(), calls=calls)
