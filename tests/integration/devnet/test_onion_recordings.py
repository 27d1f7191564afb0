"""Recorded onion requests, sent to the letter to nodes with the recorded keys, are answered as recorded."""

from __future__ import annotations

import base64
import contextlib
import json
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests

from session_cli.devnet.certificates import Certificate
from session_cli.devnet.layers import LayerCipher, NodeKeys
from session_cli.devnet.network import Devnet, DevnetOptions
from session_cli.protocol.onion import EncType, LayerKey

from .comparison import Comparison
from .helpers import load_recording, needs_loopback_addresses, new_session, recorded_specs

pytestmark = needs_loopback_addresses

ENTRIES = {entry["name"]: entry for entry in load_recording("storage_rpc", "onion")}

TIMES = frozenset({"/t", "/timestamp", "/results/*/body/t", "/results/*/body/timestamp"})
"""What differs in the decrypted answers. Addresses of nodes are this test's own."""
ADDRESSES = frozenset({"/snodes/*/ip", "/results/*/body/snodes/*/ip"})

HOLD_OLD_TIMES = {
    "onion.store": 406,
    "onion.store.json": 406,
}
"""Stores of the day of the recording: too old today, which is what the answer has to say."""

TEXT_OF_ITS_LIBRARY = "Error parsing onion request: [json.exception"
"""What follows after this is the JSON library's own text, and not compared."""

ANSWERS = {
    22300: (200, b""),
    22301: (404, b""),
    22303: (500, b"oops"),
    22304: (None, b""),
    22308: (429, b""),
}
"""The little servers behind `onion.server.*`: port, status (None: never answers), body (empty: the size received)."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int, context: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.received: list[tuple[str, dict[str, str], bytes]] = []
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_side=True)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is part of the test."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "testserver"
    sys_version = ""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.received.append((self.path, headers, body))
        status, text = ANSWERS[self.server.server_port]
        if status is None:
            time.sleep(1)
            return
        text = text or f"got {len(body)} bytes".encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("X-Test", "yes")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def version_string(self) -> str:
        return "testserver"

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def net() -> Iterator[Devnet]:
    with Devnet(DevnetOptions(node_specs=recorded_specs(), server_timeout=0.3, hop_timeout=0.6)) as running:
        yield running


@contextlib.contextmanager
def running_servers() -> Iterator[dict[int, _Server]]:
    running = {port: _Server(port) for port in ANSWERS}
    running[22305] = _Server(22305, Certificate.generate("127.0.0.1").server_context())
    threads = [threading.Thread(target=server.serve_forever, args=(0.02,)) for server in running.values()]
    for thread in threads:
        thread.start()
    try:
        yield running
    finally:
        for server in running.values():
            server.shutdown()
            server.server_close()
        for thread in threads:
            thread.join()


def send(net: Devnet, entry: dict[str, Any]) -> requests.Response:
    node = net.nodes[entry["to"]["node"] - 1]
    with new_session() as session:
        body = bytes.fromhex(entry["request"]["body_hex"])
        return session.post(f"https://{node.ip}:{node.port}{entry['request']['path']}", data=body, timeout=20)


def open_answer(entry: dict[str, Any], content: bytes) -> Any:
    """The answer, decrypted with the recorded key of the layer that it answers."""
    blob = base64.b64decode(content, validate=True) if entry["response_encoding"] == "base64" else content
    layer = entry["layers"][-1]
    if layer["enc_type"] == "aes-cbc":
        # The key is the shared secret itself, which needs a key pair to be computed from.
        seed = bytes.fromhex(layer["ephemeral_seckey"])
        node = load_recording("storage_rpc", "network")["nodes"][layer["node"] - 1]
        cipher = LayerCipher(NodeKeys(b"", seed), bytes.fromhex(node["pubkey_x25519"]), "aes-cbc")
        return json.loads(bytes(cipher.open(memoryview(bytearray(blob)))))
    key = LayerKey(EncType.parse(layer["enc_type"]), b"", bytes.fromhex(layer["shared_key"]))
    return json.loads(key.open(blob))


def compare_answers(recorded: Any, actual: Any) -> list[str]:
    """Both are `{"body", "status"}`; a body of JSON may be text."""
    comparison = Comparison(TIMES | ADDRESSES, "", "")
    comparison.compare(recorded["status"], actual["status"], "/status")
    bodies = []
    for answer in (recorded, actual):
        body = answer["body"]
        bodies.append(json.loads(body) if isinstance(body, str) and body.startswith("{") else body)
    comparison.compare(type(recorded["body"]).__name__, type(actual["body"]).__name__, "/type")
    comparison.compare(bodies[0], bodies[1])
    return comparison.differences


@pytest.mark.parametrize("name", [name for name in ENTRIES if ".server." not in name and "hop_down" not in name])
def test_to_service_nodes(net: Devnet, name: str) -> None:
    entry = ENTRIES[name]
    expected, response = entry["response"], send(net, entry)
    assert response.status_code == expected["status"]
    assert response.reason == expected["reason"]
    assert response.headers["Content-Type"] == expected["headers"]["content-type"]
    assert response.headers["Server"] == expected["headers"]["server"]
    if entry.get("response_decrypted") is None:
        text = str(expected["body"])
        cut = TEXT_OF_ITS_LIBRARY if text.startswith(TEXT_OF_ITS_LIBRARY) else text
        assert response.text[: len(cut)] == cut
        assert cut != text or response.text == text
        return
    actual = open_answer(entry, response.content)
    if name in HOLD_OLD_TIMES:
        assert actual == {"body": "Timestamp error: check your clock", "status": HOLD_OLD_TIMES[name]}
        return
    recorded = entry["response_decrypted"]
    assert compare_answers(json.loads(recorded) if isinstance(recorded, str) else recorded, actual) == []


def test_next_node_down(net: Devnet) -> None:
    entry = ENTRIES["onion.hop_down_3"]
    net.nodes[8].stop()
    try:
        response = send(net, entry)
    finally:
        net.nodes[8].start()
    assert (response.status_code, response.text) == (entry["response"]["status"], entry["response"]["body"])


def test_to_servers(net: Devnet) -> None:
    """One test for all, because the ports of the servers behind are sealed into the requests."""
    found = {}
    with running_servers() as servers:
        for name, entry in ENTRIES.items():
            if ".server." in name and (differences := server_differences(net, servers, entry)):
                found[name] = differences
    assert found == {}


def server_differences(net: Devnet, servers: dict[int, _Server], entry: dict[str, Any]) -> list[str]:
    expected, received = entry["response"], entry.get("server_received")
    for server in servers.values():
        server.received.clear()
    response = send(net, entry)
    comparison = Comparison(frozenset(), "", "")
    comparison.compare([expected["status"], expected["reason"]], [response.status_code, response.reason], "/status")
    headers = {header: response.headers.get(header) for header in expected["headers"]}
    comparison.compare(expected["headers"], headers, "/headers")
    if entry.get("response_decrypted") is not None:
        recorded = json.loads(entry["response_decrypted"])
        return comparison.differences + compare_answers(recorded, open_answer(entry, response.content))
    # The time-out is this test's own.
    comparison.compare(expected["body"].replace("25000", "300"), response.text, "/body")
    if received:
        ((path, sent, body),) = servers[received["port"]].received
        arrived = {"path": path, "headers": sent, "body_hex": body.hex(), "port": received["port"]}
        comparison.varies = frozenset({"/received/headers/accept-encoding"})
        comparison.compare(received, arrived, "/received")
    return comparison.differences
