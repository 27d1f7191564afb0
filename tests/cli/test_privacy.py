"""Who learns of us: the seed and two guards, nobody else, by whatever command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from session_cli.devnet.network import Devnet
from tests.support.devnet import Person
from tests.support.outcomes import bodies
from tests.support.proxies import Fault, SocksProxy
from tests.support.sockets import Watched, guards_of, seed_of, watch, watch_code
from tests.support.waiting import wait_until

DATA = bytes(range(256)) * 2000
PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


def check_discreet(run: Watched, person: Person, net: Devnet) -> None:
    """It went well, connected to the seed and to at most two guards, and did nothing else with the network."""
    assert run.done.code == 0, run.done.stderr
    guards = guards_of(person, net)
    assert len(guards) <= 2
    assert set(run.connections) <= guards | {seed_of(net)}
    assert (run.names, run.others) == ([], [])


def test_only_the_seed_and_guards_are_connected_to(shared_net: Devnet, shared_definition: Path, tmp_path: Path) -> None:
    alice, bob = Person(tmp_path / "alice", shared_definition), Person(tmp_path / "bob", shared_definition)
    for who in (alice, bob):
        made = watch(who, "init", "--quiet")
        assert made.done.code == 0, made.done.stderr
        assert made.events == (), "an account is made without asking anybody"
        who.id = made.done.text.strip()
    file = tmp_path / "file.bin"
    file.write_bytes(DATA)

    sent = watch(alice, "send", bob.id, "hello")
    check_discreet(sent, alice, shared_net)
    assert seed_of(shared_net) in sent.connections, "who is new has to ask for the nodes"
    first_guards = guards_of(alice, shared_net)
    sent = watch(alice, "send", bob.id, "with a file", "--attach", str(file))
    check_discreet(sent, alice, shared_net)
    received = watch(bob, "recv", "--json")
    check_discreet(received, bob, shared_net)
    assert bodies(received.done.objects) == ["hello", "with a file"]
    saved = watch(bob, "attach", "save", str(received.done.objects[1]["id"]), "-o", str(tmp_path / "saved.bin"))
    check_discreet(saved, bob, shared_net)
    assert (tmp_path / "saved.bin").read_bytes() == DATA
    assert sent.connections
    assert saved.connections
    assert guards_of(alice, shared_net) == first_guards, "guards are kept"


def test_a_message_more_costs_two_connections(private_net: Devnet, tmp_path: Path) -> None:
    """Once the nodes are known, a message goes to guards alone: no seed, no node is asked about anything."""
    definition = tmp_path / "network.toml"
    private_net.write_definition(definition)
    alice, bob = (Person(tmp_path / name, definition).init() for name in ("alice", "bob"))
    alice.run("send", bob.id, "first")
    asked = sum(record.kind == "seed" for record in private_net.request_log)
    assert asked == 1
    again = watch(alice, "send", bob.id, "second")
    check_discreet(again, alice, private_net)
    assert set(again.connections) <= guards_of(alice, private_net)
    assert 1 <= len(again.connections) <= 2
    assert sum(record.kind == "seed" for record in private_net.request_log) == asked


@pytest.mark.parametrize("command", [("whoami",), ("phrase", "--yes"), ("attach", "list")])
def test_questions_about_ourselves_are_asked_of_nobody(
    command: tuple[str, ...], person: Callable[[str], Person]
) -> None:
    asked = watch(person("Alice"), *command)
    assert (asked.done.code, asked.events) == (0, ())


def test_proxies_of_the_environment_are_ignored(shared_net: Devnet, shared_definition: Path, tmp_path: Path) -> None:
    """A variable meant for browsers must not send our messages through somebody's proxy."""
    alice = Person(tmp_path / "alice", shared_definition).init()
    for scheme in ("http", "socks5h"):
        with SocksProxy() as proxy:
            url = f"{scheme}://127.0.0.1:{proxy.address[1]}"
            alice.extra = dict.fromkeys(PROXY_VARIABLES, url)
            check_discreet(watch(alice, "send", "me", "hello"), alice, shared_net)
            check_discreet(watch(alice, "recv"), alice, shared_net)
            assert proxy.clients == 0


# What the tests above rely on: that what is not written down did not happen.

CONNECTS = """
import asyncio, os, socket, threading
import requests, socks

there = ("127.0.0.1", int(os.environ["PORT"]))

def fetch(**options):
    try:
        requests.get("http://%s:%d/" % there, timeout=10, **options)
    except requests.RequestException:
        pass

fetch()
fetch(proxies={"http": "socks5h://%s:%d" % there})
thread = threading.Thread(target=fetch)
thread.start()
thread.join()
socks.socksocket().connect_ex(there)
socket.socket().connect_ex(there)
socket.create_connection(there)
asyncio.run(asyncio.open_connection(*there))
"""

OTHERS = """
import socket, subprocess, sys

def attempt(action, *arguments):
    try:
        action(*arguments)
    except PermissionError as refusal:
        print(refusal)

attempt(socket.getaddrinfo, "a.invalid", 1)
attempt(socket.gethostbyname, "b.invalid")
attempt(socket.gethostbyname_ex, "c.invalid")
attempt(socket.gethostbyaddr, "127.0.0.1")
attempt(socket.getnameinfo, ("127.0.0.1", 1), 0)
socket.getaddrinfo("127.0.0.1", 1)
datagram = socket.socket(type=socket.SOCK_DGRAM)
datagram.bind(("127.0.0.1", 0))
datagram.sendto(b"", ("127.0.0.1", 9))
attempt(datagram.connect, ("192.0.2.1", 9))
attempt(datagram.sendto, b"", ("192.0.2.1", 9))
subprocess.run([sys.executable, "-c", ""])
"""


def test_the_recorder_sees_every_connection(person: Callable[[str], Person]) -> None:
    """Whatever library makes it, in whatever thread: as many are written down as arrive at the other end."""
    with SocksProxy(fault=Fault.CLOSE) as there:
        run = watch_code(CONNECTS, {**person("Alice").environment, "PORT": str(there.address[1])})
        assert run.done.code == 0, run.done.stderr
        assert run.connections == [there.address] * 7
        wait_until(lambda: there.clients == 7)


def test_the_recorder_sees_the_rest_and_lets_nothing_out(person: Callable[[str], Person]) -> None:
    run = watch_code(OTHERS, person("Alice").environment)
    assert run.done.code == 0, run.done.stderr
    assert run.names == ["a.invalid", "b.invalid", "c.invalid", "127.0.0.1", "127.0.0.1"]
    assert run.connections == [("192.0.2.1", 9)]
    assert [(event.event, event.address) for event in run.others] == [
        ("socket.bind", ("127.0.0.1", 0)),
        ("socket.sendto", ("127.0.0.1", 9)),
        ("socket.sendto", ("192.0.2.1", 9)),
        ("subprocess.Popen", None),
    ]
    assert len(run.done.lines) == 7, "all that would have asked or reached somebody else was refused"
