"""Faults on the way, and dead nodes: each shows at the wire what it promises, and is gone when it is removed."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from session_cli.devnet.faults import (
    FAULTS,
    Blame,
    Clock,
    ContentType,
    Dead,
    Delay,
    Drop,
    Empty,
    Endless,
    Fault,
    Garble,
    InnerStatus,
    InvalidFault,
    Page,
    Status,
    Throttle,
    Truncate,
)
from session_cli.devnet.injections import FILE_METHODS, METHODS, RPC_METHODS, SEED_METHODS
from session_cli.devnet.network import Devnet, DevnetOptions, NodeHandle
from session_cli.errors import NetworkUnreachable, OnionError
from session_cli.protocol import storage_rpc
from session_cli.protocol.account import Identity
from session_cli.protocol.onion import V4Request
from tests.support.waiting import wait_until

from .helpers import PathClient, new_session
from .test_network import contents, direct, store, swarm_of

INFO = {"method": "info", "params": {}}
HOP_S = 0.3
SOON_S = 0.25
"""Long enough for an answer that comes at all, short enough to wait for one that doesn't."""


@pytest.fixture(scope="module")
def module_net() -> Iterator[Devnet]:
    with Devnet(DevnetOptions(hop_timeout=HOP_S, peer_timeout=0.1, server_timeout=0.5)) as running:
        yield running


@pytest.fixture
def net(module_net: Devnet) -> Iterator[Devnet]:
    yield module_net
    module_net.chaos.clear()
    assert module_net.chaos.active == ()


@pytest.fixture
def client(net: Devnet) -> Iterator[PathClient]:
    """Over the nodes 0, 1 and 2."""
    path_client = PathClient(net, net.nodes[:3])
    yield path_client
    path_client.close()


def ask(node: NodeHandle, call: dict[str, Any] = INFO, *, seconds: float = 5.0) -> requests.Response:
    with new_session() as session:
        return session.post(f"https://{node.ip}:{node.port}/storage_rpc/v1", json=call, timeout=seconds)


def ask_seed(net: Devnet, *, seconds: float = 5.0) -> requests.Response:
    call = {"method": "get_service_nodes", "params": {"fields": ["public_ip"]}}
    with new_session() as session:
        return session.post(f"{net.seed_url}/json_rpc", json=call, timeout=seconds)


def healthy(node: NodeHandle) -> bool:
    return bool(ask(node).json()["version"])


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
        with pytest.raises(AssertionError, match="Failed to connect"):
            client.file_server(V4Request("GET", "/file/nothing"))
        assert fault.hits == 1
    uploaded = requests.post(f"{net.file_server_url}/file", data=b"contents", timeout=5).json()["id"]
    with net.chaos.inject(Garble(1), file_server=True):
        garbled = requests.get(f"{net.file_server_url}/file/{uploaded}", timeout=5).content
    assert len(garbled) == 8
    assert garbled != b"contents"
    assert requests.get(f"{net.file_server_url}/file/{uploaded}", timeout=5).content == b"contents"


# Death.


def test_refuse(net: Devnet, client: PathClient) -> None:
    death = net.chaos.kill([5, net.nodes[1]])
    with pytest.raises(requests.ConnectionError):
        ask(net.nodes[5])
    assert not net.nodes[5].running
    with pytest.raises(AssertionError, match="Request time out"):
        client.rpc(net.nodes[6], "info", {})
    assert death.hits == 1
    net.chaos.revive([1])
    assert client.rpc(net.nodes[6], "info", {}).status == 200
    assert not net.nodes[5].running
    death.remove()
    death.remove()
    assert healthy(net.nodes[5])


def test_silent(net: Devnet) -> None:
    port = net.nodes[5].port
    with net.chaos.kill([5], how="silent") as death:
        connection = socket.create_connection((net.nodes[5].ip, port), 5)
        connection.sendall(b"anything")
        connection.settimeout(SOON_S)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        wait_until(lambda: death.hits == 1)
        assert not net.nodes[5].running
    connection.settimeout(5)
    with contextlib.suppress(ConnectionResetError):
        assert connection.recv(1) == b""
    connection.close()
    assert net.nodes[5].port == port
    assert healthy(net.nodes[5])


def test_unreachable(net: Devnet, client: PathClient) -> None:
    """The node before says so at once, and so do the peers in its swarm."""
    identity = Identity.generate()
    first, second, *_ = swarm_of(net, identity.account_id)
    with net.chaos.kill([1], how="unreachable") as death:
        started = time.monotonic()
        with pytest.raises(AssertionError, match=f"Next node is currently unreachable: {net.nodes[1].ed25519.hex()}"):
            client.rpc(net.nodes[5], "info", {})
        assert time.monotonic() - started < HOP_S
        assert death.hits == 1
    with net.chaos.kill([second], how="unreachable") as death:
        _, body = direct(first, store(identity.account_id, b"one missing", time.time()))
        assert body["swarm"][second.ed25519.hex()] == {"failed": True, "timeout": True}
        assert death.hits == 1
    assert contents(second, identity) == [b"one missing"], "what its peers held for it comes when it is back"


def test_half_the_network(net: Devnet) -> None:
    net.chaos.kill("50%")
    assert sum(node.running for node in net.nodes) == 6
    net.chaos.kill(swarm=0)
    assert not any(node.running for node in net.nodes[:4])
    net.chaos.revive()
    assert all(node.running for node in net.nodes)
    assert net.chaos.active == ()


def test_dead_servers(net: Devnet) -> None:
    net.chaos.kill(seed=True, file_server=True)
    with pytest.raises(requests.ConnectionError):
        ask_seed(net)
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{net.file_server_url}/token_info", timeout=5)
    net.chaos.revive(seed=True)
    assert ask_seed(net).status_code == 200
    net.chaos.kill(seed=True, how="silent")
    with pytest.raises(requests.RequestException):
        ask_seed(net, seconds=SOON_S)
    net.chaos.revive()
    assert ask_seed(net).status_code == 200
    assert requests.get(f"{net.file_server_url}/token_info", timeout=5).status_code == 502


def test_the_latest_death_counts(net: Devnet) -> None:
    refused = net.chaos.kill([5])
    silent = net.chaos.kill([5], how="silent")
    socket.create_connection((net.nodes[5].ip, net.nodes[5].port), 5).close()
    silent.remove()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((net.nodes[5].ip, net.nodes[5].port), 5)
    refused.remove()
    assert healthy(net.nodes[5])


# Chance and aim.


def test_chance_can_be_repeated(net: Devnet) -> None:
    def outcomes() -> list[int]:
        net.chaos.reseed(7)
        with net.chaos.inject(Status(500), nodes="50%", probability=0.4) as fault:
            statuses = [ask(node).status_code for node in net.nodes for _ in range(2)]
        assert fault.hits == statuses.count(500)
        return statuses

    first = outcomes()
    assert 1 <= first.count(500) <= 11
    assert outcomes() == first


@pytest.mark.parametrize(
    ("fault", "aim", "key"),
    [
        (Delay(1), {"nodes": "a third"}, "nodes"),
        (Delay(1), {"nodes": "0%"}, "nodes"),
        (Delay(1), {"nodes": [99]}, "nodes"),
        (Delay(1), {"swarm": 3}, "swarm"),
        (Delay(1), {"swarm": "05ab"}, "swarm"),
        (Delay(1), {"swarm": 0, "nodes": [1]}, "swarm"),
        (Delay(1), {"roles": {"king"}}, "roles"),
        (Delay(1), {"roles": ()}, "roles"),
        (Delay(1), {"seed": True, "roles": {"guard"}}, "roles"),
        (Delay(1), {"methods": {"steal"}}, "methods"),
        (Delay(1), {"probability": 0}, "probability"),
        (Drop(), {"methods": {"store"}, "roles": {"guard"}}, "methods"),
        (Status(), {"methods": {"POST /file"}, "file_server": True}, "methods"),
        (Dead(), {"probability": 0.5}, "probability"),
        (Dead(), {"methods": {"store"}}, "methods"),
        (Dead(), {"roles": {"guard"}}, "roles"),
        (Clock(), {"seed": True}, "seed"),
        (InnerStatus(), {"file_server": True}, "file_server"),
        (InnerStatus(), {"roles": {"guard"}}, "roles"),
        (Blame(99), {}, "node"),
    ],
)
def test_senseless_aims(net: Devnet, fault: Fault, aim: dict[str, Any], key: str) -> None:
    with pytest.raises(InvalidFault) as error:
        net.chaos.inject(fault, **aim)
    assert error.value.key == key
    assert net.chaos.active == ()


@pytest.mark.parametrize(
    ("kind", "values", "key"),
    [
        ("delay", {"seconds": -1}, "seconds"),
        ("delay", {"jitter": -1}, "jitter"),
        ("throttle", {"bytes_per_second": 0}, "bytes_per_second"),
        ("garble", {"count": 0}, "count"),
        ("truncate", {"keep": 1}, "keep"),
        ("endless", {"bytes_per_second": -1}, "bytes_per_second"),
        ("status", {"code": 99}, "code"),
        ("page", {"code": 600}, "code"),
        ("inner_status", {"code": 0}, "code"),
        ("blame", {"node": "xy"}, "node"),
        ("altered_list", {"add": -1}, "add"),
    ],
)
def test_senseless_faults(kind: str, values: dict[str, Any], key: str) -> None:
    with pytest.raises(InvalidFault) as error:
        FAULTS[kind](**values)
    assert error.value.key == key


def test_methods_are_those_of_the_network(net: Devnet) -> None:
    """What a fault can be aimed at is what nodes and servers answer."""
    from session_cli.devnet import seed_node

    node = net.nodes[0]._node
    assert set(node.rpc._methods) == RPC_METHODS
    assert set(seed_node._METHODS) == SEED_METHODS
    routes = net._files._routes._routes
    assert {f"{method} {name}" for name, _, methods in routes for method in methods} == FILE_METHODS
    assert METHODS == RPC_METHODS | SEED_METHODS | FILE_METHODS


# Ends.


def test_needs_a_running_network() -> None:
    with Devnet(DevnetOptions(nodes=2, swarms=1)) as net:
        fault = net.chaos.inject(Delay(1))
    assert net.chaos.active == ()
    fault.remove()
    with pytest.raises(NetworkUnreachable):
        net.chaos.inject(Delay(1))


@pytest.mark.parametrize(
    "fault",
    [
        Drop("hang"),
        Drop("hang", after=True),
        Delay(600),
        Throttle(1),
        Throttle(1, header=True),
        Endless(10),
        Dead("silent"),
        Dead("refuse"),
    ],
    ids=repr,
)
def test_a_stop_waits_for_nothing(fault: Fault) -> None:
    """Neither for clients that hang in a fault, nor for nodes that do."""
    with Devnet(DevnetOptions(nodes=5, swarms=1)) as net:
        injection = net.chaos.inject(fault, nodes=[1, 4])
        client = PathClient(net, net.nodes[:3])

        def hang() -> None:
            with contextlib.suppress(requests.RequestException):
                ask(net.nodes[4])

        def hang_behind_the_guard() -> None:
            with contextlib.suppress(requests.RequestException, AssertionError, OnionError):
                client.rpc(net.nodes[3], "info", {})

        threads = [threading.Thread(target=hang), threading.Thread(target=hang_behind_the_guard)]
        for thread in threads:
            thread.start()
        wait_until(lambda: injection.hits >= (1 if fault == Dead("refuse") else 2))
        started = time.monotonic()
    assert time.monotonic() - started < 1
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()
    client.close()
