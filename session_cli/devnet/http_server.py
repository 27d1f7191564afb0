"""The HTTP level that all servers of the network share: listening, reading bodies, writing answers of any size."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from aiohttp import web
from multidict import CIMultiDict

from ..errors import NetworkUnreachable

T = TypeVar("T")
Bytes = bytes | bytearray | memoryview
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

SMALL_BYTES = 1 << 16
"""Up to this size work is done at once; above it, in a thread, and written piece by piece."""
_PIECE_BYTES = 1 << 18
_SHUTDOWN_SECONDS = 0.2


class BodyTooLarge(Exception):
    """A request's body is over the limit."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server says to a request. With `file` the body is that file, of `size` bytes.

    `calls` names what was answered (the RPC method and the calls inside of it, or the HTTP method and route); it is
    not sent.
    """

    status: int
    headers: CIMultiDict[str]
    body: Bytes = field(default=b"", repr=False)
    reason: str | None = None
    file: Path | None = None
    size: int = 0
    calls: tuple[str, ...] = ()


class Listener:
    """One server socket with its handler. Start and stop it as often as you like."""

    def __init__(self, handler: Handler, ip: str, port: int, context: ssl.SSLContext | None = None) -> None:
        self._handler = handler
        self._context = context
        self._silence: asyncio.Server | None = None
        self._held: set[asyncio.BaseTransport] = set()
        self._server: web.Server | None = None
        self._runner: web.ServerRunner | None = None
        self.ip = ip
        self.port = port

    async def start(self) -> None:
        """Listen; port 0 becomes the one that the system chose. Raises NetworkUnreachable if that can't be."""
        if self._runner is not None:
            return
        self._end_silence()
        server = web.Server(self._handler, access_log=None, read_bufsize=_PIECE_BYTES)
        runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_SECONDS)
        await runner.setup()
        try:
            await web.TCPSite(runner, self.ip, self.port, ssl_context=self._context).start()
        except OSError as error:
            await runner.cleanup()
            raise NetworkUnreachable(
                f"The local network can't listen on {self.ip} port {self.port}: {error.strerror or error}."
            ) from None
        self._server, self._runner = server, runner
        self.port = runner.addresses[0][1]

    async def silence(self, met: Callable[[], None]) -> None:
        """Go on listening, but never say anything, not even to begin TLS; `met` is called for each connection."""
        await self.stop()
        self._silence = await asyncio.get_running_loop().create_server(
            lambda: _Silent(self._held, met), self.ip, self.port
        )

    def _end_silence(self) -> None:
        silence, self._silence = self._silence, None
        if silence is not None:
            silence.close()
        for transport in tuple(self._held):
            if isinstance(transport, asyncio.Transport):
                transport.abort()

    async def stop(self) -> None:
        """Stop listening and close every connection."""
        self._end_silence()
        server, runner = self._server, self._runner
        self._server = self._runner = None
        if server is None or runner is None:
            return
        transports = [connection.transport for connection in server.connections]
        await runner.cleanup()
        for transport in transports:
            if isinstance(transport, asyncio.Transport):
                # A TLS connection would wait for the client to say goodbye, which an idle one never does.
                transport.abort()
        # Sockets are closed in the loop's next turn.
        await asyncio.sleep(0)


class _Silent(asyncio.Protocol):
    """A connection that is held, and never answered."""

    def __init__(self, held: set[asyncio.BaseTransport], met: Callable[[], None]) -> None:
        self._held = held
        self._met = met
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._held.add(transport)
        self._met()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._held.discard(self._transport)


async def read_body(request: web.BaseRequest, limit: int) -> bytearray:
    """The whole body in one buffer of its size. Raises BodyTooLarge over the limit (bytes)."""
    announced = request.content_length
    if announced is not None and announced > limit:
        raise BodyTooLarge
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    if announced is None:
        return await _read_unannounced(request, limit)
    body = bytearray(announced)
    size = 0
    while piece := await request.content.readany():
        body[size : size + len(piece)] = piece
        size += len(piece)
    return body if size == announced else body[:size]


async def _read_unannounced(request: web.BaseRequest, limit: int) -> bytearray:
    body = bytearray()
    while piece := await request.content.readany():
        body += piece
        if len(body) > limit:
            raise BodyTooLarge
    return body


def pieces(body: Bytes) -> Iterable[memoryview]:
    """A large body in pieces, without copying it."""
    view = memoryview(body)
    for start in range(0, len(view), _PIECE_BYTES):
        yield view[start : start + _PIECE_BYTES]


async def respond(request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
    """Write an answer. A large body goes out piece by piece, never copied as a whole."""
    if answer.file is not None:
        return await _respond_with_file(request, answer, answer.file)
    status, reason, headers, body = answer.status, answer.reason, answer.headers, answer.body
    if len(body) <= SMALL_BYTES:
        return web.Response(status=status, reason=reason, headers=headers, body=bytes(body))
    response = web.StreamResponse(status=status, reason=reason, headers=headers)
    response.content_length = len(body)
    await response.prepare(request)
    for piece in pieces(body):
        await response.write(piece)
    await response.write_eof()
    return response


async def _respond_with_file(request: web.BaseRequest, answer: Answer, path: Path) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    response.content_length = answer.size
    with path.open("rb") as file:
        await response.prepare(request)
        while request.method != "HEAD" and (piece := file.read(_PIECE_BYTES)):
            await response.write(piece)
    await response.write_eof()
    return response


class Workers:
    """Threads for what would keep other clients waiting."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def run(self, size: int, work: Callable[[], T]) -> T:
        """Do work on `size` bytes: at once if it is little, else in a thread."""
        if size <= SMALL_BYTES:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)
