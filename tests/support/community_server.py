"""A community server that says whatever a test wants it to say, behind onion requests."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from nacl import bindings as sodium

from session_cli.protocol.account import verify_signature
from session_cli.protocol.community.auth import body_hash, signed_bytes
from session_cli.protocol.community.urls import CommunityServer
from session_cli.protocol.onion import (
    V4Request,
    V4Response,
    decode_v4_request,
    encode_v4_response,
    open_request,
)

Answer = Callable[[V4Request], V4Response | bytes]


def as_json(value: Any, status: int = 200) -> V4Response:
    """An answer in JSON."""
    return V4Response(status, {"content-type": "application/json"}, json.dumps(value).encode())


def as_text(text: str, status: int) -> V4Response:
    """A refusal."""
    return V4Response(status, {"content-type": "text/plain; charset=utf-8"}, text.encode())


@dataclass
class ScriptedServer:
    """What `answer` gives goes back; bytes go back unsealed, in place of an answer. All `requests` are kept."""

    answer: Answer
    public: bytes = b""
    secret: bytes = field(default=b"", repr=False)
    port: int = 0
    requests: list[V4Request] = field(default_factory=list)
    outer_status: int = 200

    @property
    def address(self) -> CommunityServer:
        return CommunityServer(f"http://127.0.0.1:{self.port}", self.public)

    @property
    def nonces(self) -> list[str]:
        """Of all requests, in their order."""
        return [request.headers["X-SOGS-Nonce"] for request in self.requests]

    def check(self, request: V4Request) -> str:
        """Verify who asks, and return the key. Raises BadSignature, KeyError."""
        nonce, signature = (base64.b64decode(request.headers[f"X-SOGS-{name}"]) for name in ("Nonce", "Signature"))
        key, time_s = request.headers["X-SOGS-Pubkey"], int(request.headers["X-SOGS-Timestamp"])
        digest = body_hash(request.body)
        signed = signed_bytes(self.public, nonce, time_s, request.method, request.endpoint, digest)
        verify_signature(bytes.fromhex(key)[1:], signed, signature)
        return key

    def serve(self, body: bytes) -> bytes:
        """The answer to an onion's innermost layer."""
        opened = open_request(body, self.public, self.secret)
        request = decode_v4_request(opened.plaintext)
        self.requests.append(request)
        answer = self.answer(request)
        return answer if isinstance(answer, bytes) else opened.key.seal(encode_v4_response(answer))


@contextmanager
def community_server(answer: Answer) -> Iterator[ScriptedServer]:
    """A server on this machine, for as long as the context lasts."""
    public, secret = sodium.crypto_box_keypair()
    scripted = ScriptedServer(answer, public, secret)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = scripted.serve(body)
            self.send_response(scripted.outer_status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            with suppress(ConnectionError):  # who has heard enough goes
                self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        scripted.port = http.server_port
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield scripted
        finally:
            http.shutdown()
            thread.join()
