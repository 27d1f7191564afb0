"""`/onion_req/v2`: what a service node does with a layer that it is given."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from ..errors import OnionError
from ..protocol.onion import MAX_HOP_NUMBER
from .conduct import Conduct
from .directory import Directory, Member
from .fields import from_base64, is_base64, is_hex
from .http_server import Workers, pieces
from .layers import LayerCipher, NodeKeys, split_frame
from .options import SERVER_NAME
from .replies import OnionReply, Reply, parse_json, to_json
from .request_log import RequestLog, RequestRecord, Role
from .storage_rpc import StorageRpc
from .wire import Wire

_RELAYED_STATUSES = frozenset({200, 400, 401, 403, 404, 406, 410, 413, 421, 429, 502, 503, 504})
"""What passes between nodes; any other status of a server arrives as 500."""
_CIPHER_NAMES = frozenset({None, "aes-gcm", "gcm", "xchacha20", "xchacha20-poly1305", "aes-cbc", "cbc"})
_HOP_BY_HOP = frozenset({"connection", "content-encoding", "content-length", "date", "keep-alive", "transfer-encoding"})


@dataclass(frozen=True, slots=True)
class Layer:
    """A sealed layer with what stood beside it."""

    blob: memoryview = field(repr=False)
    ephemeral_key: bytes
    enc_type: str | None
    hop: int
    previous: int | None


@dataclass(frozen=True, slots=True)
class RelayTimeouts:
    """Seconds that a node waits for the next one, and the last node for a server."""

    hop: float
    server: float


class Control:
    """The JSON beside a layer. Its errors are OnionError in the storage server's words."""

    def __init__(self, text: bytes) -> None:
        try:
            value = parse_json(text)
        except ValueError as error:
            raise OnionError(f"[json.exception.parse_error.101] parse error: {error}") from None
        if not isinstance(value, dict):
            raise OnionError("[json.exception.type_error.304] cannot use at() with a value that is no object")
        self.values: Mapping[str, Any] = value

    def text(self, name: str, default: str | None = None) -> str | None:
        value = self.values.get(name, default)
        if value is not None and not isinstance(value, str):
            raise OnionError("[json.exception.type_error.302] type must be string")
        return value

    def number(self, name: str, default: int) -> int:
        value = self.values.get(name, default)
        if type(value) is not int:
            raise OnionError("[json.exception.type_error.302] type must be number")
        return value

    def key(self, name: str) -> bytes:
        """32 bytes in hex or base64."""
        text = self.text(name)
        if text is None:
            raise OnionError(f"[json.exception.out_of_range.403] key '{name}' not found")
        if len(text) == 64 and is_hex(text):
            return bytes.fromhex(text)
        if len(text) in (43, 44) and is_base64(text):
            return from_base64(text)
        raise OnionError(f"Hex key data is invalid: expected 32 hex digits, received {len(text)}")


class OnionRelay:
    """The onion side of one node."""

    def __init__(
        self,
        member: Member,
        directory: Directory,
        rpc: StorageRpc,
        *,
        log: RequestLog,
        workers: Workers,
        session: aiohttp.ClientSession,
        relays: Mapping[int, OnionRelay],
        timeouts: RelayTimeouts,
        wire: Wire,
        conduct: Conduct,
    ) -> None:
        self._wire = wire
        self._conduct = conduct
        self._member = member
        self._directory = directory
        self._rpc = rpc
        self._log = log
        self._workers = workers
        self._session = session
        self._relays = relays
        self._timeouts = timeouts
        self._keys = NodeKeys(member.identity.x25519_public, member.identity.x25519_secret)

    async def from_client(self, body: bytearray) -> OnionReply:
        """Answer a whole onion request that came over HTTP. The body is decrypted in place."""
        try:
            blob, control_text = split_frame(memoryview(body))
            control = Control(control_text)
            layer = Layer(
                blob,
                control.key("ephemeral_key"),
                control.text("enc_type"),
                max(0, control.number("hop_no", 0)),
                None,
            )
            if layer.enc_type not in _CIPHER_NAMES:
                raise OnionError(f"Invalid encryption type {layer.enc_type}")
        except OnionError as error:
            self._log.add(RequestRecord("onion", self._member.index, "onion_req", 400, "guard", len(body)))
            return OnionReply(400, f"Error parsing onion request: {error}".encode())
        return await self.handle(layer)

    async def handle(self, layer: Layer) -> OnionReply:
        """Open a layer, and do what it says."""
        if self._member.swarm_id is None:
            return self._noted(
                layer, "middle", OnionReply(503, f"Snode not ready: {self._member.ed25519.hex()}".encode())
            )
        if layer.hop > MAX_HOP_NUMBER:
            return self._noted(layer, "middle", OnionReply(400, b"onion request max path length exceeded"))
        try:
            cipher = LayerCipher(self._keys, layer.ephemeral_key, layer.enc_type)
            plaintext = await self._workers.run(len(layer.blob), lambda: cipher.open(layer.blob))
        except OnionError:
            return self._noted(layer, "middle", OnionReply(400, b"Invalid ciphertext"))
        try:
            blob, control_text = split_frame(plaintext)
            control = Control(control_text)
            is_guard = layer.previous is None
            if "headers" in control.values:
                answer = partial(self._answer, layer, cipher, blob, control)
                return await self._wire.at_hop("destination", is_guard, answer)
            if "host" in control.values:
                ask = partial(self._to_server, layer, cipher, plaintext, control)
                return await self._wire.at_hop("exit", is_guard, ask)
            following = Layer(
                blob,
                control.key("ephemeral_key"),
                control.text("enc_type"),
                layer.hop + 1,
                self._member.index,
            )
            if following.enc_type not in _CIPHER_NAMES:
                raise OnionError("The next layer's cipher is unknown.")
            destination = control.key("destination")
        except OnionError:
            return self._noted(layer, "middle", self._sealed(cipher, Reply(400, "Invalid json")))
        return await self._wire.at_hop("middle", is_guard, partial(self._to_node, layer, destination, following))

    def _noted(self, layer: Layer, role: Role, reply: OnionReply, following: int | None = None) -> OnionReply:
        """Log what this node saw."""
        actual: Role = "guard" if role == "middle" and layer.previous is None else role
        self._log.add(
            RequestRecord(
                "onion",
                self._member.index,
                "onion_req",
                reply.status,
                actual,
                len(layer.blob),
                previous=layer.previous,
                following=following,
            )
        )
        return reply

    @staticmethod
    def _sealed(cipher: LayerCipher, reply: Reply, *, as_json: bool = False, as_base64: bool = True) -> OnionReply:
        embedded = reply.embedded
        if isinstance(embedded, dict) and not as_json:
            embedded = to_json(embedded).decode()
        blob = cipher.seal(to_json({"body": embedded, "status": reply.status}))
        return OnionReply(200, base64.b64encode(blob) if as_base64 else blob)

    async def _answer(self, layer: Layer, cipher: LayerCipher, blob: memoryview, control: Control) -> OnionReply:
        answered = await self._rpc.answer(blob)
        self._log.add(
            RequestRecord("storage", self._member.index, answered.method, answered.reply.status, parts=answered.parts)
        )
        reply = self._sealed(
            cipher,
            answered.reply,
            as_json=control.values.get("json") is True,
            as_base64=control.values.get("base64") is not False,
        )
        if self._conduct.faulty and (rubbish := self._conduct.sealed_nonsense(answered.calls)) is not None:
            reply = OnionReply(200, base64.b64encode(cipher.seal(rubbish)))
        return self._noted(layer, "destination", replace(reply, calls=answered.calls))

    async def _to_node(self, layer: Layer, destination: bytes, following: Layer) -> OnionReply:
        if self._conduct.faulty:
            role: Role = "guard" if layer.previous is None else "middle"
            identities = [member.ed25519 for member in self._directory]
            if (lie := self._conduct.blame(role, destination, identities)) is not None:
                return self._noted(layer, "middle", lie)
        target = self._directory.find(destination)
        if target is None:
            text = f"Next node not found: {destination.hex()}"
            return self._noted(layer, "middle", OnionReply(502, text.encode()))
        try:
            async with asyncio.timeout(self._timeouts.hop):
                reply = await self._next(target, following)
        except TimeoutError:
            reply = OnionReply(504, b"Request time out")
        status = reply.status if reply.status in _RELAYED_STATUSES else 500
        passed_on = OnionReply(status, reply.body, calls=reply.calls)
        return self._noted(layer, "middle", passed_on, following=target.index)

    async def _next(self, target: Member, following: Layer) -> OnionReply:
        """The next node's answer, for which one may wait in vain."""
        if not target.running:
            if target.missed():
                return OnionReply(502, f"Next node is currently unreachable: {target.ed25519.hex()}".encode())
            await asyncio.Event().wait()
        return await self._relays[target.index].handle(following)

    async def _to_server(
        self, layer: Layer, cipher: LayerCipher, plaintext: memoryview, control: Control
    ) -> OnionReply:
        protocol, target = control.text("protocol", "https"), control.text("target")
        host, port = control.text("host"), control.number("port", 443)
        if host is None or target is None:
            raise OnionError("A server destination lacks its address.")
        allowed = target.startswith(("/oxen/", "/loki/")) and target.endswith("/lsrpc") and "?" not in target
        if protocol not in ("http", "https") or not allowed:
            return self._noted(layer, "exit", self._sealed(cipher, Reply(400, "Invalid url")))
        try:
            reply = await self._post(URL.build(scheme=protocol, host=host, port=port, path=target), plaintext)
        except aiohttp.ClientConnectorCertificateError:
            reply = OnionReply(502, b"SSL certificate problem: self-signed certificate")
        except TimeoutError:
            waited = int(self._timeouts.server * 1000)
            reply = OnionReply(504, f"Operation timed out after {waited} milliseconds with 0 bytes received".encode())
        except aiohttp.ServerDisconnectedError:
            reply = OnionReply(502, b"Empty reply from server")
        except aiohttp.ClientPayloadError:
            reply = OnionReply(502, b"transfer closed with outstanding read data remaining")
        except (aiohttp.ClientError, ValueError, OverflowError, OSError):
            reply = OnionReply(
                502, f"Failed to connect to {host} port {port} after 0 ms: Couldn't connect to server".encode()
            )
        return self._noted(layer, "exit", reply)

    async def _post(self, url: URL, body: memoryview) -> OnionReply:
        async def upload() -> AsyncIterator[memoryview]:
            for piece in pieces(body):
                yield piece

        headers = {
            "Accept": "*/*",
            "Accept-Encoding": "deflate, gzip",
            "Content-Length": str(len(body)),
            "Content-Type": "application/octet-stream",
            "User-Agent": SERVER_NAME,
        }
        timeout = aiohttp.ClientTimeout(total=self._timeouts.server)
        request = self._session.post(url, data=upload(), headers=headers, timeout=timeout, allow_redirects=False)
        async with request as response:
            announced = response.content_length
            content = bytearray(announced or 0)
            size = 0
            while piece := await response.content.readany():
                content[size : size + len(piece)] = piece
                size += len(piece)
            # Shorter than announced if the library unpacked it.
            del content[size:]
            passed_on = CIMultiDict((k, v) for k, v in response.headers.items() if k.lower() not in _HOP_BY_HOP)
            reason = f"HTTP/1.1 {response.status} {response.reason}"
            return OnionReply(response.status, content, passed_on, reason)
