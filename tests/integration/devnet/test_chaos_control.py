"""Dead nodes, what faults can be aimed at, chance, and ends."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import Any

import pytest
import requests

from session_cli.devnet.community_faults import Redirect
from session_cli.devnet.community_routes import CommunityRoutes
from session_cli.devnet.fault_kinds import FAULTS
from session_cli.devnet.faults import (
    ACCOUNT_METHODS,
    LIST_METHODS,
    SWARM_METHODS,
    Blame,
    Clock,
    Dead,
    Delay,
    Drop,
    Endless,
    Fault,
    InnerStatus,
    InvalidFault,
    Status,
    Throttle,
)
from session_cli.devnet.file_routes import FileRoutes
from session_cli.devnet.injections import COMMUNITY_METHODS, FILE_METHODS, METHODS, RPC_METHODS, SEED_METHODS
from session_cli.devnet.network import Devnet, DevnetOptions
from session_cli.errors import NetworkUnreachable, OnionError
from session_cli.protocol.account import Identity
from tests.support.waiting import wait_until

from .helpers import HOP_S, PathClient, ask, ask_seed, healthy
from .test_network import contents, direct, store, swarm_of

SOON_S = 0.25
"""Long enough for an answer that comes at all, short enough to wait for one that doesn't."""


@pytest.fixture
def net(faulty_net: Devnet) -> Devnet:
    return faulty_net


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


def test_stopped_and_started_otherwise(net: Devnet) -> None:
    """Handles and faults may both stop and start a node; none of them trips over the other."""
    node = net.nodes[5]
    with net.chaos.kill([5], how="silent"):
        node.start()
        assert healthy(node)
        node.stop()
    assert healthy(node)


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
        (Redirect(), {}, "nodes"),
        (Redirect(), {"file_server": True}, "file_server"),
        (Redirect(), {"community": True, "methods": {"POST /file"}}, "methods"),
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
    files, community = net._files._routes, net._community._routes if net._community else None
    assert isinstance(files, FileRoutes)
    assert isinstance(community, CommunityRoutes)
    routes = files._routes
    assert {f"{method} {name}" for name, _, methods in routes for method in methods} == FILE_METHODS
    several = {"POST /batch", "POST /sequence"}
    assert {f"{one.method} {one.name}" for one in community._endpoints} | several == COMMUNITY_METHODS
    assert METHODS == RPC_METHODS | SEED_METHODS | FILE_METHODS | COMMUNITY_METHODS
    kept = {name for name, prepare in node.rpc._methods.items() if "_account_method" in prepare.__qualname__}
    assert kept == ACCOUNT_METHODS
    assert kept - {"retrieve", "get_expiries"} == SWARM_METHODS
    assert {*seed_node._LIST_METHODS, "active_nodes_bin", "oxend_request"} == LIST_METHODS


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
