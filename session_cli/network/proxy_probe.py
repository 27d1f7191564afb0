"""Whether a proxy is there, and what it is: asked itself, without having it connect anywhere."""

from __future__ import annotations

import socket
from enum import StrEnum
from urllib.parse import urlsplit

from ..errors import ProxyUnreachable
from .proxy import check_proxy

_SOCKS_GREETING = b"\x05\x02\x00\x02"  # version 5; two ways to log in: none, or user name and password
_DEFAULT_PORTS = {"socks5h": 1080, "http": 80, "https": 443}
_LIMIT = 4096


class ProxyKind(StrEnum):
    """What answers at a proxy's address."""

    TOR = "Tor"
    SOCKS = "a SOCKS5 proxy"
    HTTP = "something"  # an HTTP proxy shows what it is only when it connects somewhere
    OTHER = "no SOCKS5 proxy"


def probe_proxy(url: str, timeout_s: float) -> ProxyKind:
    """What is at the address of a proxy (`socks5h://…`, `http://…`). Raises ProxyUnreachable, UsageError."""
    parts = urlsplit(check_proxy(url))
    host, port = parts.hostname or "", parts.port or _DEFAULT_PORTS[parts.scheme]
    try:
        if not parts.scheme.startswith("socks"):
            socket.create_connection((host, port), timeout_s).close()
            return ProxyKind.HTTP
        if _ask(host, port, _SOCKS_GREETING, timeout_s)[:1] != b"\x05":
            return ProxyKind.OTHER
        # Tor's own words to who takes it for another kind of proxy.
        answer = _ask(host, port, b"GET / HTTP/1.0\r\n\r\n", timeout_s)
        return ProxyKind.TOR if b"Tor is not an HTTP Proxy" in answer else ProxyKind.SOCKS
    except OSError as error:
        place = parts.netloc.rpartition("@")[2]
        reason = "no answer in time" if isinstance(error, TimeoutError) else (error.strerror or "no such host")
        raise ProxyUnreachable(f"The proxy {place} can't be reached ({reason.lower()}).") from None


def _ask(host: str, port: int, question: bytes, timeout_s: float) -> bytes:
    """The beginning of what is answered; nothing if the other side hangs up. Raises OSError (TimeoutError)."""
    answer = b""
    with socket.create_connection((host, port), timeout_s) as connection:
        connection.sendall(question)
        try:
            while len(answer) < _LIMIT and (part := connection.recv(_LIMIT)):
                answer += part
                if question is _SOCKS_GREETING:
                    break
        except ConnectionResetError:
            pass  # hung up: what was said before counts
    return answer
