"""A clock that tests move, the recorded network, and a plain HTTP client."""

from __future__ import annotations

import json
import secrets
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import requests

from session_cli.devnet.network import Devnet, NodeHandle, NodeSpec
from session_cli.protocol.onion import (
    EncType,
    Hop,
    ServerDestination,
    SnodeDestination,
    SnodeReply,
    V4Request,
    V4Response,
    build_request,
    decode_v4_response,
    encode_v4_request,
    open_snode_reply,
)

VECTORS = Path(__file__).resolve().parents[2] / "vectors"

needs_loopback_addresses = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the recorded ports need an own loopback address for each node"
)


class MovableClock:
    """The time of day, plus what a test adds to it; or standing still at a moment."""

    def __init__(self, frozen_at: float | None = None) -> None:
        self._frozen_at = frozen_at
        self._offset = 0.0

    def __call__(self) -> float:
        return (time.time() if self._frozen_at is None else self._frozen_at) + self._offset

    def advance(self, seconds: float) -> None:
        self._offset += seconds


def load_recording(folder: str, name: str) -> Any:
    """A recorded file: JSON below `tests/vectors`."""
    return json.loads((VECTORS / folder / f"{name}.json").read_text(encoding="utf-8"))


def recorded_specs() -> list[NodeSpec]:
    """The nodes of the storage recordings, with all keys, ports and swarms, on addresses of this test's own."""
    second, third = 16 + secrets.randbelow(239), secrets.randbelow(256)
    return [
        NodeSpec(
            bytes.fromhex(node["seed"]),
            ip=f"127.{second}.{third}.{10 + node['node']}",
            port=node["https_port"],
            swarm_id=node["swarm_id"],
            omq_port=node["omq_port"],
            legacy_public=bytes.fromhex(node["pubkey_legacy"]),
        )
        for node in load_recording("storage_rpc", "network")["nodes"]
    ]


def new_session() -> requests.Session:
    """An HTTP session that takes any certificate, and no proxy from the environment."""
    session = requests.Session()
    session.verify = False
    session.trust_env = False
    return session


class PathClient:
    """Sends onion requests over a path, and opens the answers."""

    def __init__(self, net: Devnet, path: Sequence[NodeHandle]) -> None:
        self.net = net
        self.path = path
        self.session = new_session()

    def close(self) -> None:
        self.session.close()

    def post(self, body: bytes) -> requests.Response:
        guard = self.path[0]
        return self.session.post(f"https://{guard.ip}:{guard.port}/onion_req/v2", data=body, timeout=30)

    def rpc(
        self, node: NodeHandle, method: str, params: dict[str, Any], enc_type: EncType = EncType.AES_GCM
    ) -> SnodeReply:
        """A storage RPC at a node."""
        payload = json.dumps({"method": method, "params": params}).encode()
        destination = SnodeDestination(node.ed25519, node.x25519)
        request = build_request(self._hops(), destination, payload, enc_type)
        response = self.post(request.body)
        assert response.status_code == 200, response.text
        return open_snode_reply(request.reply_key, response.content)

    def file_server(self, request: V4Request, enc_type: EncType = EncType.AES_GCM) -> V4Response:
        """A request to the file server."""
        return self._server(self.net.file_server_url, self.net.file_server_x25519, request, enc_type)

    def community(self, request: V4Request, enc_type: EncType = EncType.AES_GCM) -> V4Response:
        """A request to the community server."""
        return self._server(self.net.community_url, self.net.community_x25519, request, enc_type)

    def _server(self, url: str, x25519: bytes, request: V4Request, enc_type: EncType) -> V4Response:
        host, port = url.removeprefix("http://").split(":")
        destination = ServerDestination(host, x25519, "http", int(port))
        sealed = build_request(self._hops(), destination, encode_v4_request(request), enc_type)
        response = self.post(sealed.body)
        assert response.status_code == 200, response.text
        return decode_v4_response(sealed.reply_key.open(response.content))

    def _hops(self) -> list[Hop]:
        return [Hop(node.ed25519, node.x25519) for node in self.path]


INFO = {"method": "info", "params": {}}
HOP_S = 0.3
"""How long a node of the networks with faults waits for the next."""


def ask(node: NodeHandle, call: dict[str, Any] = INFO, *, seconds: float = 5.0) -> requests.Response:
    with new_session() as session:
        return session.post(f"https://{node.ip}:{node.port}/storage_rpc/v1", json=call, timeout=seconds)


def ask_seed(net: Devnet, *, seconds: float = 5.0) -> requests.Response:
    call = {"method": "get_service_nodes", "params": {"fields": ["public_ip"]}}
    with new_session() as session:
        return session.post(f"{net.seed_url}/json_rpc", json=call, timeout=seconds)


def healthy(node: NodeHandle) -> bool:
    return bool(ask(node).json()["version"])
