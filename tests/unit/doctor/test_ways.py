"""The proxy, and how clocks are judged. What needs a network is tested with the command."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from session_cli.core.doctor import ways
from session_cli.errors import ProxyUnreachable, UsageError
from session_cli.network.proxy_probe import ProxyKind, probe_proxy
from tests.support.proxies import ConnectProxy, Fault, SocksProxy
from tests.support.tools import free_ports

from .conftest import SubjectMaker
from .found import statuses


@contextmanager
def tor() -> Iterator[str]:
    """What Tor answers on its SOCKS port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for _ in range(2):
                client, _ = server.accept()
                with client:
                    said = client.recv(100)
                    socks = said[:1] == b"\x05"
                    client.sendall(b"\x05\x00" if socks else b"HTTP/1.0 501 Tor is not an HTTP Proxy\r\n\r\n<html>")

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"socks5h://127.0.0.1:{server.getsockname()[1]}"
        thread.join()


def test_tor_is_told_from_other_proxies(subject: SubjectMaker) -> None:
    with tor() as url:
        assert probe_proxy(url, 5) is ProxyKind.TOR
    with tor() as url:
        (finding,) = ways.check_proxy(subject(proxy=url))
    assert (finding.status, finding.message) == ("ok", "Tor answers.")


def test_proxies_that_are_there(subject: SubjectMaker) -> None:
    with SocksProxy() as proxy:
        assert probe_proxy(proxy.url, 5) is ProxyKind.SOCKS
        assert proxy.destinations == [], "it was not made to connect anywhere"
    with ConnectProxy() as proxy:
        assert probe_proxy(proxy.url, 5) is ProxyKind.HTTP
        assert statuses(ways.check_proxy(subject(proxy=proxy.url))) == ["ok"]


@pytest.mark.parametrize("fault", [Fault.GARBAGE, Fault.CLOSE])
def test_something_else_at_its_place(fault: Fault, subject: SubjectMaker) -> None:
    with SocksProxy(fault=fault) as proxy:
        examined = subject(proxy=proxy.url)
        assert statuses(ways.check_proxy(examined)) == ["problem"]
        assert examined.proxy_is_down


def test_a_proxy_that_says_nothing() -> None:
    with SocksProxy(fault=Fault.HANG) as proxy, pytest.raises(ProxyUnreachable, match="in time"):
        probe_proxy(proxy.url, 0.2)


def test_no_proxy_there(subject: SubjectMaker) -> None:
    (port,) = free_ports(1)
    examined = subject(proxy=f"socks5h://user:secret@127.0.0.1:{port}")
    (finding,) = ways.check_proxy(examined)
    assert finding.status == "problem"
    assert f"127.0.0.1:{port}" in finding.message
    assert "secret" not in finding.message
    assert examined.proxy_is_down
    with pytest.raises(UsageError):
        probe_proxy("socks5://127.0.0.1:1", 1)


def test_no_proxy_wanted(subject: SubjectMaker) -> None:
    assert statuses(ways.check_proxy(subject())) == ["ok"]


SECONDS = 1000


@pytest.mark.parametrize(
    ("offset_ms", "samples", "status", "words"),
    [
        (0, {}, "info", "2026"),
        (0, {"a": 100}, "ok", "step"),
        (0, {"a": 90 * SECONDS}, "ok", "step"),
        (0, {"a": 90 * SECONDS, "b": 91 * SECONDS, "c": 89 * SECONDS}, "warning", "90 s behind"),
        (-3600 * SECONDS, {"a": -3600 * SECONDS}, "warning", "3,600 s ahead"),
    ],
)
def test_clocks(offset_ms: int, samples: dict[str, int], status: str, words: str) -> None:
    findings = list(ways.judge_clock(offset_ms, samples, 2026))
    assert statuses(findings) == [status]
    assert words in findings[0].message
