"""A web server of the network: plain HTTP, and the same routes inside of onion requests (v4 and v3)."""

from __future__ import annotations

import base64
import json
import sqlite3
from io import BufferedReader
from typing import Protocol

from aiohttp import web
from multidict import CIMultiDict

from ..errors import OnionError
from ..protocol.onion import encode_v4_head, parse_control, parse_ephemeral_key
from .http_server import Answer, BodyTooLarge, Bytes, Listener, Workers, read_body
from .layers import LayerCipher, NodeKeys, split_frame
from .request_log import Kind, RequestLog, RequestRecord
from .routes import HTML, TEXT, Crash, Reply, Request, Routes, page
from .wire import Wire


class Misconduct(Protocol):
    """How a server deals with sealed requests. Ask it only while `faulty`."""

    @property
    def faulty(self) -> bool: ...

    def cannot_read(self) -> bool:
        """Whether the server has not the key to which requests are sealed."""

    def sealed_nonsense(self, calls: tuple[str, ...]) -> bytes | None:
        """What is sealed instead of an answer; None if that is."""

    def sealed_for_nobody(self, calls: tuple[str, ...], size: int) -> bytes | None:
        """What is sent instead of a sealed answer of so many bytes; None if that is."""


_V4_PATH = "/oxen/v4/lsrpc"
_V3_PATHS = ("/oxen/v3/lsrpc", "/loki/v3/lsrpc")
_TAG_BYTES = 16
_INVALID_V4 = Reply(400, {"content-type": TEXT}, b"Invalid v4 onion request")


def max_request_bytes(max_file_size: int) -> int:
    """How large a request may be: the largest file, what its layers add, and some room for headers."""
    return max_file_size + max_file_size // 50 + 1_000_000


class WebServer:
    """Listens between `listener.start` and `listener.stop`."""

    def __init__(
        self,
        routes: Routes,
        keys: NodeKeys,
        log: RequestLog,
        workers: Workers,
        *,
        kind: Kind,
        ip: str,
        port: int,
        max_file_size: int,
        wire: Wire,
        conduct: Misconduct | None = None,
    ) -> None:
        self._kind: Kind = kind
        self._wire = wire
        self._conduct = conduct
        self._routes = routes
        self._keys = keys
        self._log = log
        self._workers = workers
        self._max_body = max_request_bytes(max_file_size)
        # Legacy uploads are base64, a third longer than their file.
        self._max_direct = max_request_bytes(max_file_size * 4 // 3)
        self.listener = Listener(self._serve, ip, port)

    @property
    def public_key(self) -> bytes:
        """The key to which requests are sealed, 32 bytes."""
        return self._keys.public

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        return await self._wire.serve(request, self._handle)

    async def _handle(self, request: web.BaseRequest) -> Answer:
        path = request.path
        is_v4, is_v3 = path == _V4_PATH, path in _V3_PATHS
        try:
            body = await read_body(request, self._max_body if is_v4 else self._max_direct)
        except BodyTooLarge:
            return _answer(Reply(413, {"content-type": HTML}))
        if request.method == "POST" and (is_v4 or is_v3):
            sealed = await (self._v4(body) if is_v4 else self._v3(body))
            return _answer(page(400)) if sealed is None else sealed
        headers = {name.lower(): value for name, value in request.headers.items()}
        plain = Request(request.method, request.raw_path, headers, body)
        reply = await self._routed(plain, page(500))
        return _answer(reply, _calls(plain, reply))

    async def _routed(self, request: Request, on_crash: Reply) -> Reply:
        try:
            reply = await self._routes.handle(request)
        except Crash:
            reply = on_crash
        except (OSError, sqlite3.Error):
            reply = self._routes.failed()
        method = "".join(_calls(request, reply)[:1])
        self._log.add(RequestRecord(self._kind, None, method, reply.status, parts=reply.parts))
        return reply

    async def _open(self, body: bytearray) -> tuple[LayerCipher, memoryview] | None:
        """Decrypt an onion request in its own memory; None if that can't be done."""
        try:
            blob, control_text = split_frame(memoryview(body))
            control = parse_control(control_text)
            enc_type = control.get("enc_type")
            if enc_type is not None and not isinstance(enc_type, str):
                return None
            cipher = LayerCipher(self._keys, parse_ephemeral_key(control), enc_type)
            return cipher, await self._workers.run(len(blob), lambda: cipher.open(blob))
        except OnionError:
            return None

    async def _v4(self, body: bytearray) -> Answer | None:
        if self._conduct is not None and self._conduct.faulty and self._conduct.cannot_read():
            return None
        opened = await self._open(body)
        if opened is None:
            return None
        cipher, plaintext = opened
        calls: tuple[str, ...] = ()
        try:
            request = _parse_v4(plaintext)
        except OnionError:
            reply = _INVALID_V4
        else:
            reply = await self._routed(request, _INVALID_V4)
            calls = _calls(request, reply)
        try:
            sealed = await self._workers.run(reply.length, lambda: _seal_v4(cipher, reply))
        except OSError:
            sealed = _seal_v4(cipher, self._routes.failed())
        if self._conduct is not None and self._conduct.faulty:
            if (nonsense := self._conduct.sealed_nonsense(calls)) is not None:
                sealed = cipher.seal(nonsense)
            if (unreadable := self._conduct.sealed_for_nobody(calls, len(sealed))) is not None:
                sealed = unreadable
        return _sealed(sealed, calls)

    async def _v3(self, body: bytearray) -> Answer | None:
        opened = await self._open(body)
        if opened is None:
            return None
        cipher, plaintext = opened
        try:
            values = json.loads(bytes(plaintext))
            method, endpoint = values["method"], "/" + values["endpoint"].lstrip("/")
            headers = {str(name).lower(): str(value) for name, value in (values.get("headers") or {}).items()}
            content = (values.get("body") or "").encode()
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        request = Request(method, endpoint, headers, content)
        reply = await self._routed(request, page(500))
        if 200 <= reply.status <= 299:
            answer = reply.body if reply.path is None else reply.path.read_bytes()
        else:
            answer = json.dumps({"status_code": reply.status}).encode()
        sealed = await self._workers.run(len(answer), lambda: base64.b64encode(cipher.seal(answer)))
        return _sealed(sealed, _calls(request, reply))


def _calls(request: Request, reply: Reply) -> tuple[str, ...]:
    """Method and route, and those of a batch's parts; nothing if there is no such route.

    Inside of an onion a method is any text.
    """
    return (f"{request.method} {reply.route}", *reply.parts) if reply.route else ()


def _answer(reply: Reply, calls: tuple[str, ...] = ()) -> Answer:
    headers = CIMultiDict(reply.headers)
    return Answer(reply.status, headers, reply.body, file=reply.path, size=reply.size, calls=calls)


def _sealed(body: Bytes, calls: tuple[str, ...]) -> Answer:
    return Answer(200, CIMultiDict({"Content-Type": HTML}), body, calls=calls)


def _parse_v4(data: memoryview) -> Request:
    """The request inside; its body stays where it lies. Raises OnionError."""
    parts: list[memoryview] = []
    if bytes(data[:1]) != b"l":
        raise OnionError("A v4 request is not a list.")
    at = 1
    while bytes(data[at : at + 1]) != b"e":
        length, colon, _ = bytes(data[at : at + 12]).partition(b":")
        start = at + len(length) + 1
        if not colon or not length.isdigit() or len(parts) == 2 or start + int(length) >= len(data):
            raise OnionError("A v4 request is malformed.")
        at = start + int(length)
        parts.append(data[start:at])
    if not parts or at != len(data) - 1:
        raise OnionError("A v4 request is malformed.")
    meta = parse_control(bytes(parts[0]))
    method, endpoint, headers = meta.get("method"), meta.get("endpoint"), meta.get("headers") or {}
    if not isinstance(method, str) or not isinstance(endpoint, str) or not endpoint.startswith("/"):
        raise OnionError("A v4 request lacks its method or endpoint.")
    if not isinstance(headers, dict):
        raise OnionError("A v4 request's headers are no object.")
    named = {str(name).lower(): str(value) for name, value in headers.items()}
    return Request(method, endpoint, named, parts[1] if len(parts) == 2 else b"")


def _seal_v4(cipher: LayerCipher, reply: Reply) -> Bytes:
    """The sealed answer, made in one buffer: a file is read into it, and encrypted where it lies."""
    head = encode_v4_head({"code": reply.status, "headers": dict(reply.headers)}, reply.length)
    before = cipher.prefix_bytes
    buffer = bytearray(before + len(head) + reply.length + 1 + _TAG_BYTES)
    start = before + len(head)
    end = start + reply.length
    buffer[before:start] = head
    if reply.path is None:
        buffer[start:end] = reply.body
    else:
        with reply.path.open("rb") as file:
            _fill(file, memoryview(buffer)[start:end])
    buffer[end : end + 1] = b"e"
    return cipher.seal_in_place(buffer)


def _fill(file: BufferedReader, room: memoryview) -> None:
    done = 0
    while done < len(room) and (count := file.readinto(room[done:])):
        done += count
