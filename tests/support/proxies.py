"""Proxies: a real one, and small ones of our own that note where they are asked to go and know how to fail."""

from __future__ import annotations

import ipaddress
import re
import selectors
import socket
import socketserver
import struct
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

from tests.support.tools import find_tool, free_ports, tool_environment
from tests.support.waiting import wait_until

_PIECE = 1 << 16
_PATIENCE_S = 30.0
_GARBAGE = b"\x00\xff it is a proxy that lost its mind \r\n\r\n" * 8


class Fault(Enum):
    """What a proxy does instead of its work."""

    REFUSE = "refuses"
    HANG = "says nothing"
    CLOSE = "hangs up"
    GARBAGE = "talks nonsense"


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a proxy was asked to connect to."""

    host: str
    port: int

    @property
    def is_name(self) -> bool:
        """Whether the proxy had to find out the address."""
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return True
        return False


class _Malformed(Exception):
    """The client does not speak the proxy's protocol."""


class Proxy(socketserver.ThreadingTCPServer):
    """A proxy on a free port of 127.0.0.1, working while it is open as a context manager.

    `names` are all the names it knows, with their addresses. `destinations` is where clients asked to go, in order;
    `clients` counts the connections made to the proxy itself.
    """

    scheme: ClassVar[str]
    daemon_threads = False  # waited for at the end

    def __init__(self, names: Mapping[str, str] | None = None, fault: Fault | None = None) -> None:
        self.names = dict(names or {})
        self.fault = fault
        self.destinations: list[Destination] = []
        self.clients = 0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), name="proxy", daemon=True)
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return "127.0.0.1", self.server_address[1]

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.address[1]}"

    def __enter__(self) -> Proxy:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self.shutdown()
        self._thread.join()
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Count a client before its thread begins."""
        self.clients += 1
        super().process_request(request, client_address)

    def serve(self, client: socket.socket) -> None:
        """All of one client's connection."""
        client.settimeout(_PATIENCE_S)
        try:
            if self.fault is Fault.HANG:
                self._closing.wait()
            elif self.fault is Fault.GARBAGE:
                client.recv(_PIECE)
                client.sendall(_GARBAGE)
            elif self.fault is not Fault.CLOSE:
                self._serve(client)
        except (OSError, _Malformed):
            pass  # the client went away, or is none

    def _serve(self, client: socket.socket) -> None:
        destination = self.greet(client)
        self.destinations.append(destination)
        address = destination.host if not destination.is_name else self.names.get(destination.host)
        if self.fault is Fault.REFUSE or address is None:
            self.answer(client, accepted=False)
            return
        try:
            server = socket.create_connection((address, destination.port), timeout=_PATIENCE_S)
        except OSError:
            self.answer(client, accepted=False)
            return
        with server:
            self.answer(client, accepted=True)
            self._relay(client, server)

    def greet(self, client: socket.socket) -> Destination:
        """Read what the client wants. Raises _Malformed, OSError."""
        raise NotImplementedError

    def answer(self, client: socket.socket, *, accepted: bool) -> None:
        """Tell the client what came of it. Raises OSError."""
        raise NotImplementedError

    def _relay(self, client: socket.socket, server: socket.socket) -> None:
        """Carry bytes both ways until one side has no more, or the proxy closes."""
        other = {client: server, server: client}
        with selectors.DefaultSelector() as selector:
            for each in other:
                selector.register(each, selectors.EVENT_READ)
            while not self._closing.is_set():
                for key, _ in selector.select(0.1):
                    assert isinstance(key.fileobj, socket.socket)
                    data = key.fileobj.recv(_PIECE)
                    if not data:
                        return
                    other[key.fileobj].sendall(data)


class _Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, Proxy)
        self.server.serve(self.request)


def _read(client: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = client.recv(size - len(data))
        if not piece:
            raise _Malformed
        data += piece
    return data


class SocksProxy(Proxy):
    """SOCKS 5 without authentication (RFC 1928)."""

    scheme = "socks5h"

    def greet(self, client: socket.socket) -> Destination:
        version, methods = _read(client, 2)
        if version != 5 or 0 not in _read(client, methods):
            raise _Malformed
        client.sendall(b"\x05\x00")
        version, command, _, kind = _read(client, 4)
        if (version, command) != (5, 1):
            raise _Malformed
        if kind == 3:
            host = _read(client, _read(client, 1)[0]).decode("idna")
        else:
            family, size = {1: (socket.AF_INET, 4), 4: (socket.AF_INET6, 16)}[kind]
            host = socket.inet_ntop(family, _read(client, size))
        return Destination(host, struct.unpack(">H", _read(client, 2))[0])

    def answer(self, client: socket.socket, *, accepted: bool) -> None:
        client.sendall(bytes([5, 0 if accepted else 5, 0, 1]) + bytes(6))


class ConnectProxy(Proxy):
    """HTTP with CONNECT alone (RFC 9110, section 9.3.6): anything else is not answered."""

    scheme = "http"

    def greet(self, client: socket.socket) -> Destination:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            if len(head) > _PIECE:
                raise _Malformed
            head += _read(client, 1)
        request = re.match(rb"CONNECT \[?([^\s\[\]]+?)\]?:(\d+) HTTP/1\.[01]\r\n", head)
        if request is None:
            raise _Malformed
        return Destination(request[1].decode("ascii"), int(request[2]))

    def answer(self, client: socket.socket, *, accepted: bool) -> None:
        client.sendall(
            b"HTTP/1.1 200 Connection established\r\n\r\n" if accepted else b"HTTP/1.1 403 Forbidden\r\n\r\n"
        )


class Microsocks:
    """The SOCKS server `microsocks`, running while it is open as a context manager; skips the test without it."""

    def __init__(self, folder: Path) -> None:
        self._program = find_tool("microsocks")
        self._log = folder / "microsocks.log"
        (self.port,) = free_ports(1)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return "127.0.0.1", self.port

    @property
    def url(self) -> str:
        return f"socks5h://127.0.0.1:{self.port}"

    @property
    def destinations(self) -> list[Destination]:
        """Where it connected clients to, in order."""
        found = re.findall(r"^client\[\d+\] \S+: connected to (\S+):(\d+)$", self._log.read_text(), re.MULTILINE)
        return [Destination(host, int(port)) for host, port in found]

    def __enter__(self) -> Microsocks:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                # What it connects to is bound to 127.0.0.1 as well: it leads nowhere else.
                [self._program, "-i", "127.0.0.1", "-p", str(self.port), "-b", "127.0.0.1"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env=tool_environment(),
            )
        try:
            wait_until(self._listens)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _listens(self) -> bool:
        assert self._process.poll() is None, self._log.read_text()
        try:
            socket.create_connection(self.address, timeout=1).close()
        except OSError:
            return False
        return True

    def _stop(self) -> None:
        self._process.kill()
        self._process.wait()
