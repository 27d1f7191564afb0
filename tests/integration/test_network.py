"""The network floor on local networks: definitions, connections, files."""

from __future__ import annotations

import contextlib
import gzip
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from session_cli.errors import (
    InvalidNetworkDefinition,
    NetworkUnreachable,
    RequestTimeout,
    UsageError,
)
from session_cli.network.clock import Deadline
from session_cli.network.definition import BUILT_IN, MAINNET, load_definition
from session_cli.network.network import Network
from session_cli.network.proxy import check_proxy
from session_cli.network.transport import Cancellation, Transport


@pytest.fixture
def network(shared_definition: Path, tmp_path: Path) -> Iterator[Network]:
    with Network(load_definition(str(shared_definition)), tmp_path / "cache") as network:
        yield network


# Definitions.


def test_built_in_networks() -> None:
    assert set(BUILT_IN) == {"mainnet", "testnet"}
    assert all(seed.certificate_sha256 for seed in MAINNET.seeds)
    assert load_definition("mainnet") is MAINNET


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not toml",
        'name = "x"\nid = "x"\nseeds = []\n[file_server]\nurl = "http://f"\ned25519 = "00"\nx25519 = "00"',
        'name = "x"\nid = "x"\n[[seeds]]\nurl = "ftp://s"\n[file_server]',
        'name = 3\nid = "x"\n[[seeds]]\nurl = "http://s"\n[file_server]',
        'name = "x"\nid = "x"\n[[seeds]]\nurl = "http://s"\ncertificate_sha256 = "12"\n[file_server]\nurl = "http://f"',
    ],
)
def test_malformed_definitions(text: str, tmp_path: Path) -> None:
    path = tmp_path / "network.toml"
    path.write_text(text)
    with pytest.raises(InvalidNetworkDefinition) as caught:
        load_definition(str(path))
    assert str(path) in caught.value.message


def test_a_network_that_is_nowhere() -> None:
    with pytest.raises(InvalidNetworkDefinition, match="neither mainnet nor testnet"):
        load_definition("mainent")


# Connections.


def test_a_proxy_is_used_for_everything_or_nothing_is_sent(shared_definition: Path, tmp_path: Path) -> None:
    with Network(load_definition(str(shared_definition)), tmp_path, proxy="socks5h://127.0.0.1:1") as network:
        with pytest.raises(NetworkUnreachable):
            network.prepare(Deadline(20))
        assert not network.pool.nodes


@pytest.mark.parametrize("url", ["socks5://127.0.0.1:9050", "127.0.0.1:9050", "ftp://x", "socks5h://", "http://h:0"])
def test_proxies_that_would_leak_or_make_no_sense(url: str) -> None:
    with pytest.raises(UsageError):
        check_proxy(url)


def test_deadlines() -> None:
    assert Deadline(None).limit(5) == 5
    assert Deadline(100).limit(5) == 5
    with pytest.raises(RequestTimeout):
        Deadline(0).limit(5)


def test_a_server_that_never_answers(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        transport = Transport()
        with pytest.raises(RequestTimeout):
            transport.post(f"http://127.0.0.1:{server.getsockname()[1]}/", b"", timeout=0.3)
        transport.close()


def _dribbling_server(ready: threading.Event) -> socket.socket:
    """Sends the head of an answer, and then a byte now and then, for ever."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = server.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            while True:
                connection.sendall(b"x")
                ready.set()
                time.sleep(0.01)

    threading.Thread(target=serve, daemon=True).start()
    return server


def test_a_server_that_dribbles_is_cut_off_from_outside() -> None:
    """Its bytes come too often for the library's time-out, and would hold us for hours."""
    ready, cancellation, ended = threading.Event(), Cancellation(), threading.Event()
    transport = Transport()
    with _dribbling_server(ready) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"

        def ask() -> None:
            with pytest.raises(NetworkUnreachable):
                transport.post(url, b"", timeout=30, cancellation=cancellation)
            ended.set()

        threading.Thread(target=ask, daemon=True).start()
        assert ready.wait(10)
        assert cancellation.reached
        assert not ended.wait(0.1)
        cancellation.cancel()
        assert ended.wait(5)
        with pytest.raises(NetworkUnreachable):
            transport.post(url, b"", timeout=30, cancellation=cancellation)
    transport.close()


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
def test_packed_answers(encoding: str) -> None:
    body = b"answer " * 100_000
    packed = {"gzip": gzip.compress(body), "deflate": zlib.compress(body), "br": body}[encoding]
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: {len(packed)}\r\n\r\n".encode()
    transport = Transport()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for cut in (0, 10) if encoding != "br" else (0,):
                connection, _ = server.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(head + packed[: len(packed) - cut])

        threading.Thread(target=serve, daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        if encoding == "br":
            with pytest.raises(NetworkUnreachable, match="nobody asked for"):
                transport.post(url, b"", timeout=10)
        else:
            assert transport.post(url, b"", timeout=10).body == body
            with pytest.raises(NetworkUnreachable):
                transport.post(url, b"", timeout=10)
    transport.close()


@pytest.mark.parametrize("location", [b"\xff", b"http://[bad", b"http://127.0.0.1:1/", b"/elsewhere"])
def test_redirects_are_answers_like_others(location: bytes) -> None:
    """Whatever they say: nobody follows them, and nobody reads where they lead."""
    transport = Transport()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: " + location + b"\r\nContent-Length: 2\r\n\r\nno")

        threading.Thread(target=serve, daemon=True).start()
        reply = transport.post(f"http://127.0.0.1:{server.getsockname()[1]}/", b"", timeout=10)
    transport.close()
    assert (reply.status, reply.body) == (302, b"no")


def test_nobody_can_mark_us_with_a_cookie() -> None:
    seen: list[bytes] = []
    transport = Transport()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for _ in range(2):
                connection, _ = server.accept()
                with connection:
                    seen.append(connection.recv(4096))
                    connection.sendall(
                        b"HTTP/1.1 200 OK\r\nSet-Cookie: id=1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
                    )

        threading.Thread(target=serve, daemon=True).start()
        for _ in range(2):
            transport.post(f"http://127.0.0.1:{server.getsockname()[1]}/", b"", timeout=10)
    transport.close()
    assert len(seen) == 2
    assert not any(b"cookie" in request.lower() for request in seen)
    names = [line.split(b":")[0] for line in seen[0].split(b"\r\n")[1:] if line]
    assert names == [b"Host", b"User-Agent", b"Accept-Language", b"Accept", b"Accept-Encoding", b"Content-Length"]


# Files.


def test_files_there_and_back(network: Network, tmp_path: Path) -> None:
    data = bytes(range(256)) * 5000
    uploaded = network.files.upload(
        lambda: (data[at : at + 70_000] for at in range(0, len(data), 70_000)),
        len(data),
        Deadline(30),
        lambda done: None,
    )
    assert uploaded.expires_s is not None
    with (tmp_path / "file").open("w+b") as sink:
        sink.write(b"something that was there before")
        network.files.download(uploaded.url, sink, len(data), Deadline(30), lambda done: None)
        sink.seek(0)
        assert sink.read() == data


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('id = "devnet-', 'id = "mainnet"\nold = "'),
        ('url = "https://127.0.0.1:', 'url = "https://127.0.0.1:0'),
        ('url = "https://127.0.0.1:', 'url = "https://user@127.0.0.1:'),
    ],
)
def test_definitions_that_could_pass_for_another(old: str, new: str, shared_definition: Path, tmp_path: Path) -> None:
    text = shared_definition.read_text()
    assert old in text
    path = tmp_path / "network.toml"
    path.write_text(text.replace(old, new))
    with pytest.raises(InvalidNetworkDefinition):
        load_definition(str(path))
