"""Faults on the way: each shows at the wire what it promises, and is gone when it is removed."""

from __future__ import annotations

import json
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from session_cli.devnet.faults import (
    Blame,
    ContentType,
    Delay,
    Drop,
    Empty,
    Endless,
    Fault,
    Garble,
    Page,
    Status,
    Throttle,
    Truncate,
)
from session_cli.devnet.network import Devnet, NodeHandle
from session_cli.errors import OnionError
from session_cli.protocol import storage_rpc
from session_cli.protocol.account import Identity
from session_cli.protocol.onion import V4Request
from tests.support.waiting import wait_until

from .helpers import INFO, PathClient, ask, ask_seed, healthy, new_session
from .test_network import contents, direct, store, swarm_of

SOON_S = 0.25
"""Long enough for an answer that comes at all, short enough to wait for one that doesn't."""


@pytest.fixture
def net(faulty_net: Devnet) -> Devnet:
    return faulty_net


def raw_connection(node: NodeHandle) -> ssl.SSLSocket:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = context.wrap_socket(socket.create_connection((node.ip, node.port), 5))
    body = json.dumps(INFO).encode()
    connection.sendall(b"POST /storage_rpc/v1 HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    return connection


# Answers over HTTP.


def test_delay(net: Devnet) -> None:
    node = net.nodes[5]
    with net.chaos.inject(Delay(0.15, jitter=0.05), nodes=[5]) as fault:
        started = time.monotonic()
        assert healthy(node)
        assert time.monotonic() - started >= 0.15
        assert fault.hits == 1
        assert healthy(net.nodes[6])
        assert fault.hits == 1
    assert healthy(node)
    assert fault.hits == 1


def test_delay_ends_with_its_fault(net: Devnet) -> None:
    """Who waits when the network heals is answered then."""
    fault = net.chaos.inject(Delay(60), nodes=[5])
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(healthy, net.nodes[5])
        wait_until(lambda: fault.hits == 1)
        fault.remove()
        assert answer.result(5)


def test_connection_closed(net: Devnet) -> None:
    with net.chaos.inject(Drop(), nodes=[5]) as fault, pytest.raises(requests.ConnectionError):
        ask(net.nodes[5])
    assert fault.hits == 1
    assert healthy(net.nodes[5])


def test_connection_left_open(net: Devnet) -> None:
    with net.chaos.inject(Drop("hang"), nodes=[5]) as fault, pytest.raises(requests.ReadTimeout):
        ask(net.nodes[5], seconds=SOON_S)
    assert fault.hits == 1
    assert healthy(net.nodes[5])


@pytest.mark.parametrize("after", [False, True])
def test_lost_request_or_lost_answer(net: Devnet, after: bool) -> None:
    """Only a lost answer leaves its request carried out."""
    identity = Identity.generate()
    node = swarm_of(net, identity.account_id)[0]
    with net.chaos.inject(Drop(after=after), methods={"store"}) as fault:
        with pytest.raises(requests.ConnectionError):
            direct(node, store(identity.account_id, b"perhaps", time.time()))
        assert fault.hits == 1
        assert contents(node, identity) == ([b"perhaps"] if after else [])


def test_body_dribbles(net: Devnet) -> None:
    with net.chaos.inject(Throttle(400), nodes=[5]) as fault, raw_connection(net.nodes[5]) as connection:
        started = time.monotonic()
        head = connection.recv(65536)
        assert b"\r\n\r\n" in head
        assert len(head.partition(b"\r\n\r\n")[2]) < 60
        while connection.recv(65536):
            pass
        assert time.monotonic() - started >= 0.15
    assert fault.hits == 1


def test_header_dribbles(net: Devnet) -> None:
    with net.chaos.inject(Throttle(1000, header=True), nodes=[5]) as fault, raw_connection(net.nodes[5]) as connection:
        received = connection.recv(65536)
        assert b"\r\n\r\n" not in received
        while piece := connection.recv(65536):
            received += piece
        assert received.startswith(b"HTTP/1.1 200 OK\r\n")
        assert json.loads(received.partition(b"\r\n\r\n")[2])["version"]
    assert fault.hits == 1


def test_garbled(net: Devnet) -> None:
    node = net.nodes[5]
    with net.chaos.inject(Garble(2), nodes=[5], methods={"active_nodes_bin"}):
        answer = ask(node, {"method": "active_nodes_bin", "params": {}}).content
    intact = ask(node, {"method": "active_nodes_bin", "params": {}}).content
    assert len(answer) == len(intact)
    assert sum(a != b for a, b in zip(answer, intact, strict=True)) == 2


def test_cut_short(net: Devnet) -> None:
    with net.chaos.inject(Truncate(keep=0.25), nodes=[5]), new_session() as session:
        url = f"https://{net.nodes[5].ip}:{net.nodes[5].port}/storage_rpc/v1"
        answer = session.post(url, json=INFO, timeout=5, stream=True)
        promised = int(answer.headers["Content-Length"])
        with pytest.raises(requests.RequestException, match="IncompleteRead"):
            _ = answer.content
    with net.chaos.inject(Truncate(keep=0.25, consistent=True), nodes=[5]):
        answer = ask(net.nodes[5])
        assert len(answer.content) == int(answer.headers["Content-Length"]) == promised // 4


def test_other_contents(net: Devnet) -> None:
    node = net.nodes[5]
    with net.chaos.inject(ContentType("text/html"), nodes=[5]):
        answer = ask(node)
        assert (answer.headers["Content-Type"], answer.json()["hf"]) == ("text/html", [19, 6])
    with net.chaos.inject(Page(), nodes=[5]):
        answer = ask(node)
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert "<html" in answer.text
    with net.chaos.inject(Empty(), nodes=[5]):
        answer = ask(node)
        assert (answer.status_code, answer.content) == (200, b"")
    assert healthy(node)


def test_answer_without_end(net: Devnet) -> None:
    with net.chaos.inject(Endless(), nodes=[5]) as fault, new_session() as session:
        url = f"https://{net.nodes[5].ip}:{net.nodes[5].port}/storage_rpc/v1"
        with session.post(url, json=INFO, timeout=5, stream=True) as answer:
            assert "Content-Length" not in answer.headers
            pieces = answer.iter_content(4096)
            assert sum(len(next(pieces)) for _ in range(60)) > 60_000
        assert fault.hits == 1
    assert healthy(net.nodes[5])


def test_status_storm(net: Devnet, client: PathClient) -> None:
    """From the guard, and from a hop behind it, which the guard passes on; neither is sealed."""
    with net.chaos.inject(Status(429), nodes=[0], roles={"guard"}) as fault:
        answer = client.post(b"anything")
        assert (answer.status_code, answer.text) == (429, "Too Many Requests\n")
        assert healthy(net.nodes[0])
        assert fault.hits == 1
    with net.chaos.inject(Status(503, "not today"), nodes=[1]), pytest.raises(AssertionError, match="not today"):
        client.rpc(net.nodes[5], "info", {})
    with net.chaos.inject(Status(502), nodes=[1], roles={"guard"}) as fault:
        assert client.rpc(net.nodes[5], "info", {}).status == 200
        assert fault.hits == 0


def test_odd_status_dribbles(net: Devnet) -> None:
    """Also a status that has no name."""
    node = net.nodes[5]
    with (
        net.chaos.inject(Status(599, "odd", after=True), nodes=[5]),
        net.chaos.inject(Throttle(10_000, header=True), nodes=[5]),
    ):
        answer = ask(node)
        assert (answer.status_code, answer.text) == (599, "odd")


def test_several_at_once(net: Devnet) -> None:
    """One after the other, the longest at work first."""
    with net.chaos.inject(Page("page"), nodes=[5]), net.chaos.inject(Truncate(consistent=True), nodes=[5]):
        assert ask(net.nodes[5]).text == "pa"
    with net.chaos.inject(Truncate(consistent=True), nodes=[5]), net.chaos.inject(Page("page"), nodes=[5]):
        assert ask(net.nodes[5]).text == "page"


# Between nodes.


@pytest.mark.parametrize(
    "fault",
    [Drop(), Drop("hang"), Drop(after=True), Endless(), Throttle(1), Delay(60)],
    ids=repr,
)
def test_what_never_comes_is_waited_for(net: Devnet, client: PathClient, fault: Fault) -> None:
    with net.chaos.inject(fault, nodes=[1], roles={"middle"}) as injection:
        with pytest.raises(AssertionError, match="Request time out"):
            client.rpc(net.nodes[5], "info", {})
        assert injection.hits == 1
    assert client.rpc(net.nodes[5], "info", {}).status == 200


@pytest.mark.parametrize("fault", [Garble(), Truncate(), Empty(), Page()], ids=repr)
@pytest.mark.parametrize(("role", "node"), [("guard", 0), ("middle", 2), ("destination", 5)])
def test_spoilt_on_the_way(net: Devnet, client: PathClient, fault: Fault, role: Any, node: int) -> None:
    with net.chaos.inject(fault, roles={role}, nodes=[node], methods={"info"}) as injection:
        with pytest.raises((OnionError, requests.RequestException)):
            client.rpc(net.nodes[5], "info", {})
        assert injection.hits == 1
    assert client.rpc(net.nodes[5], "info", {}).status == 200


def test_every_hop_counts(net: Devnet, client: PathClient) -> None:
    with net.chaos.inject(Delay(0.01)) as fault:
        client.rpc(net.nodes[5], "info", {})
        assert fault.hits == 4
    with net.chaos.inject(Delay(0.01), roles={"exit"}) as fault:
        client.rpc(net.nodes[5], "info", {})
        assert fault.hits == 0
        assert client.file_server(V4Request("GET", "/file/nothing")).code == 404
        assert fault.hits == 1


def test_guard_and_exit_at_once(net: Devnet) -> None:
    """A node with two roles suffers once from what is aimed at both."""
    client = PathClient(net, net.nodes[:1])
    for roles in (None, {"guard"}, {"exit"}, {"guard", "exit"}):
        with net.chaos.inject(Delay(0.01), nodes=[0], roles=roles) as fault:  # type: ignore[arg-type]
            assert client.file_server(V4Request("GET", "/file/nothing")).code == 404
            assert fault.hits == 1
    client.close()


def test_methods_are_known_all_along_the_path(net: Devnet, client: PathClient) -> None:
    """The names of a batch's parts count, and a guard suffers from them though it can't see them."""
    with net.chaos.inject(Garble(), nodes=[0], roles={"guard"}, methods={"get_swarm"}) as fault:
        assert client.rpc(net.nodes[5], "info", {}).status == 200
        assert fault.hits == 0
        parts = [storage_rpc.info(), storage_rpc.get_swarm(Identity.generate().account_id)]
        with pytest.raises(OnionError):
            client.rpc(net.nodes[5], "batch", dict(storage_rpc.batch(parts).params))
        assert fault.hits == 1


def test_blame(net: Devnet, client: PathClient) -> None:
    named = net.nodes[9].ed25519.hex()
    following = net.nodes[1].ed25519.hex()
    for fault, text in (
        (Blame(), f"Next node not found: {following}"),
        (Blame(9), f"Next node not found: {named}"),
        (Blame("ab" * 32, "unreachable"), f"Next node is currently unreachable: {'ab' * 32}"),
        (Blame(9, "not_ready"), f"Snode not ready: {named}"),
    ):
        with net.chaos.inject(fault, roles={"guard"}) as injection:
            with pytest.raises(AssertionError, match=text):
                client.rpc(net.nodes[5], "info", {})
            assert injection.hits == 1
    with net.chaos.inject(Blame(9), nodes=[2]), pytest.raises(AssertionError, match=named):
        client.rpc(net.nodes[5], "info", {})


# Servers.


def test_seed_and_file_server(net: Devnet, client: PathClient) -> None:
    with net.chaos.inject(Status(500, "no"), seed=True) as fault:
        assert ask_seed(net).status_code == 500
        assert healthy(net.nodes[0])
        assert fault.hits == 1
    with net.chaos.inject(Truncate(), file_server=True, methods={"GET /file/<id>"}) as fault:
        assert requests.get(f"{net.file_server_url}/token_info", timeout=5).status_code == 502
        assert fault.hits == 0
        with pytest.raises(AssertionError, match="transfer closed"):
            client.file_server(V4Request("GET", "/file/nothing"))
        assert fault.hits == 1
    uploaded = requests.post(f"{net.file_server_url}/file", data=b"contents", timeout=5).json()["id"]
    with net.chaos.inject(Garble(1), file_server=True):
        garbled = requests.get(f"{net.file_server_url}/file/{uploaded}", timeout=5).content
    assert len(garbled) == 8
    assert garbled != b"contents"
    assert requests.get(f"{net.file_server_url}/file/{uploaded}", timeout=5).content == b"contents"
