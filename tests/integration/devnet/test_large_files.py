"""Files as large as the server takes, over three hops."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from session_cli.devnet.network import Devnet, DevnetOptions
from session_cli.protocol.onion import (
    EncType,
    Hop,
    ServerDestination,
    V4Request,
    build_request,
    decode_v4_response,
    encode_v4_request,
)

from .helpers import PathClient, new_session

ROOT = Path(__file__).resolve().parents[3]
SIZE = 100_000_000


@pytest.mark.parametrize("enc_type", EncType)
def test_up_and_down(enc_type: EncType) -> None:
    """Large enough to be worked on in threads and written in pieces."""
    data = os.urandom(3_000_000)
    with Devnet(DevnetOptions(nodes=4, swarms=1)) as net:
        client = PathClient(net, net.nodes[:3])
        uploaded = client.file_server(V4Request("POST", "/file", {}, data), enc_type)
        file_id = json.loads(uploaded.body)["id"]
        assert client.file_server(V4Request("GET", f"/file/{file_id}"), enc_type).body == data
        with new_session() as session:
            assert session.get(f"{net.file_server_url}/file/{file_id}", timeout=10).content == data
        client.close()


def test_over_the_limit() -> None:
    """A little over, the file server says so inside of the onion; far over, the guard does."""
    with Devnet(DevnetOptions(nodes=3, swarms=1, max_file_size=20_000_000)) as net:
        client = PathClient(net, net.nodes[:3])
        assert client.file_server(V4Request("POST", "/file", {}, bytes(20_000_001))).code == 413
        response = client.post(bytes(22_000_000))
        assert (response.status_code, response.text) == (413, "Request body too large")
        client.close()


@pytest.fixture
def server() -> Iterator[tuple[int, dict[str, Any]]]:
    """The process id of a network, and where it is."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.integration.devnet.server_process"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        yield process.pid, json.loads(process.stdout.readline())


def peak_memory(pid: int) -> int:
    """The most memory that the process ever had, in bytes."""
    match = re.search(r"VmHWM:\s+([0-9]+) kB", Path(f"/proc/{pid}/status").read_text())
    assert match is not None
    return int(match[1]) * 1024


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the memory of a process from /proc")
def test_hundred_megabytes(server: tuple[int, dict[str, Any]]) -> None:
    """Up and down in seconds, while others are served.

    The network holds the file twice at most: as the last hop has it, and as the server has it.
    """
    pid, place = server
    data = os.urandom(SIZE)
    host, port = place["file_server"].removeprefix("http://").split(":")
    destination = ServerDestination(host, bytes.fromhex(place["x25519"]), "http", int(port))
    hops = [Hop(bytes.fromhex(node[2]), bytes.fromhex(node[3])) for node in place["nodes"][:3]]
    guard = f"https://{place['nodes'][0][0]}:{place['nodes'][0][1]}/onion_req/v2"
    other = f"https://{place['nodes'][5][0]}:{place['nodes'][5][1]}/storage_rpc/v1"
    delays: list[float] = []
    finished = threading.Event()

    def ask_meanwhile() -> None:
        with new_session() as session:
            while not finished.wait(0.05):
                started = time.monotonic()
                response = session.post(other, json={"method": "info", "params": {}}, timeout=20)
                assert response.status_code == 200
                delays.append(time.monotonic() - started)

    upload = build_request(hops, destination, encode_v4_request(V4Request("POST", "/file", {}, data)))
    before = peak_memory(pid)
    others = threading.Thread(target=ask_meanwhile)
    others.start()
    try:
        with new_session() as session:
            started = time.monotonic()
            response = session.post(guard, data=upload.body, timeout=60)
            answer = decode_v4_response(upload.reply_key.open(response.content))
            assert answer.code == 200
            path = f"/file/{json.loads(answer.body)['id']}"
            download = build_request(hops, destination, encode_v4_request(V4Request("GET", path)))
            response = session.post(guard, data=download.body, timeout=60)
            seconds = time.monotonic() - started
    finally:
        finished.set()
        others.join()
    assert decode_v4_response(download.reply_key.open(response.content)).body == data
    growth = peak_memory(pid) - before
    print(f"{SIZE} bytes up and down in {seconds:.2f} s, {growth / SIZE:.2f} times the file in memory")
    assert growth < 2 * SIZE + 32_000_000
    assert seconds < 20
    assert max(delays) < 2
