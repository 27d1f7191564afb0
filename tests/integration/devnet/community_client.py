"""A client of a community server that signs as told, and as wrongly as told."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

from session_cli.devnet.network import Devnet
from session_cli.protocol.account import Identity
from session_cli.protocol.blinding import blind15, blind25
from session_cli.protocol.onion import (
    EncType,
    LayerKey,
    V4Request,
    decode_v4_response,
    encode_v4_request,
    frame,
    guard_control,
)

from .helpers import MovableClock

NOTHING: dict[str, Any] = {}


@dataclass
class Answer:
    """An answer; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes = field(repr=False)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class CommunityClient:
    """Asks one network's community server."""

    net: Devnet
    clock: MovableClock
    nonces: dict[str, bytes] = field(default_factory=dict)

    def ask(
        self, who: Identity | None, method: str, path: str, value: Any = None, *, auth: str = "15", **headers: str
    ) -> Answer:
        """A request in order, signed by an account, with a JSON body if there is a value."""
        body = None if value is None else json.dumps(value).encode()
        named = dict(headers)
        if value is not None:
            named["Content-Type"] = "application/json"
        if who is not None:
            named |= self.signed(who, auth, method, path, body or b"")
        return self.direct(method, path, named, body)

    def signed(
        self, who: Identity, auth: str, method: str, path: str, body: bytes, replay: dict[str, Any] = NOTHING
    ) -> dict[str, str]:
        """The X-SOGS headers of a request, with the changes that a recording asks for."""
        server_key = self.net.community_x25519
        nonce = os.urandom(16)
        if "nonce" in replay:
            nonce = self.nonces.setdefault(replay["nonce"]["label"], os.urandom(replay["nonce"]["length"]))
        timestamp = str(int(self.clock()) + replay.get("timestamp_offset", 0))
        if "timestamp" in replay:
            timestamp = replay["timestamp"].replace("now+", timestamp)
        bare, question_mark, query = replay.get("signed_path", path).partition("?")
        digest = hashlib.blake2b(body, digest_size=64).digest()
        parts = [server_key, nonce, timestamp.encode(), method.encode(), unquote(bare).encode()]
        parts += [(question_mark + query).encode(), digest if body else b""]
        if "signed" in replay:
            named = {
                "server_pk": server_key,
                "nonce": nonce,
                "timestamp": timestamp.encode(),
                "blake2b64(body)": digest,
                "blake2b64(empty)": hashlib.blake2b(digest_size=64).digest(),
            }
            parts = [named.get(part, part.encode()) for part in replay["signed"]]
        message = b"".join(parts)
        if auth == "00":
            key, signature = "00" + who.ed25519_public.hex(), who.sign(message)
        else:
            keys = (blind15 if auth == "15" else blind25)(who, server_key)
            key, signature = keys.blinded_id, keys.sign(message)
        headers = {
            "X-SOGS-Pubkey": key,
            "X-SOGS-Nonce": base64.b64encode(nonce).decode(),
            "X-SOGS-Timestamp": timestamp,
            "X-SOGS-Signature": base64.b64encode(signature).decode(),
        }
        for name, change in replay.get("after_signing", {}).items():
            _change(headers, name, change)
        return headers

    def direct(self, method: str, path: str, headers: dict[str, str], body: bytes | None) -> Answer:
        """A request over plain HTTP."""
        connection = http.client.HTTPConnection(self.net.community_url.removeprefix("http://"), timeout=20)
        try:
            connection.putrequest(method, quote(path, safe="/?&=%,:*"), skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body or b"")))
            connection.endheaders(body)
            response = connection.getresponse()
            content = response.read()
            return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, content)
        finally:
            connection.close()

    def sealed(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None, enc_type: EncType = EncType.AES_GCM
    ) -> tuple[LayerKey, Answer]:
        """A request inside of an onion's last layer: its key, and the answer as it came."""
        key = LayerKey.for_sender(self.net.community_x25519, enc_type)
        plaintext = encode_v4_request(V4Request(method, path, headers, body))
        return key, self.direct("POST", "/oxen/v4/lsrpc", {}, frame(key.seal(plaintext), guard_control(key)))

    def by_onion(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None, enc_type: EncType = EncType.AES_GCM
    ) -> Answer:
        """A request inside of an onion's last layer, and what was sealed in the answer."""
        key, outer = self.sealed(method, path, headers, body, enc_type)
        assert outer.status == 200
        inner = decode_v4_response(key.open(outer.body))
        return Answer(inner.code, dict(inner.headers), inner.body)


def _change(headers: dict[str, str], name: str, change: dict[str, Any]) -> None:
    value = headers.pop(name)
    match change["op"]:
        case "drop":
            return
        case "set":
            headers[name] = change["value"]
        case "base64_to_hex":
            headers[name] = base64.b64decode(value).hex()
        case "hex_to_base64":
            headers[name] = base64.b64encode(bytes.fromhex(value)).decode()
        case "strip_base64_padding":
            headers[name] = value.rstrip("=")
        case "upper_case":
            headers[name] = value.upper()
        case "flip_lowest_bit_of_byte_5":
            data = bytearray(base64.b64decode(value))
            data[5] ^= 1
            headers[name] = base64.b64encode(data).decode()
        case "keep_first_63_bytes":
            headers[name] = base64.b64encode(base64.b64decode(value)[:63]).decode()
        case other:
            raise AssertionError(other)
