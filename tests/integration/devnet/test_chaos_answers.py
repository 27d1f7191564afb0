"""Faults in what nodes say, do and list: each shows what it promises, and is gone when it is removed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import requests

from session_cli.devnet.faults import (
    AlteredList,
    Clock,
    Forgets,
    InnerStatus,
    InvalidFault,
    LyingSignatures,
    Nonsense,
    NoReplication,
    StaleList,
    WrongSwarm,
)
from session_cli.devnet.network import Devnet, DevnetOptions, NodeHandle
from session_cli.errors import OnionError, RpcError
from session_cli.protocol import node_lists, storage_rpc
from session_cli.protocol.account import Identity

from .helpers import PathClient, new_session
from .test_network import contents, direct, retrieve, store, swarm_of

INFO = storage_rpc.info()


@pytest.fixture(scope="module")
def module_net() -> Iterator[Devnet]:
    with Devnet(DevnetOptions(peer_timeout=0.1)) as running:
        yield running


@pytest.fixture
def net(module_net: Devnet) -> Iterator[Devnet]:
    yield module_net
    module_net.chaos.clear()


@pytest.fixture
def account() -> Identity:
    return Identity.generate()


@pytest.fixture
def swarm(net: Devnet, account: Identity) -> list[NodeHandle]:
    return swarm_of(net, account.account_id)


def request_store(identity: Identity, data: bytes = b"hello") -> storage_rpc.Request:
    return store(identity.account_id, data, time.time())


def through_onion(net: Devnet, node: NodeHandle, request: storage_rpc.Request) -> Any:
    path = [other for other in net.nodes if other.index != node.index][:3]
    client = PathClient(net, path)
    try:
        return client.rpc(node, request.method, dict(request.params))
    finally:
        client.close()


def confirmed(body: Any, data: bytes, identity: Identity) -> frozenset[str]:
    digest = storage_rpc.message_hash(identity.account_id, 0, data)
    return frozenset(storage_rpc.parse_store(body, digest).confirmed)


# Answers.


@pytest.mark.parametrize("after", [False, True])
def test_inner_status(net: Devnet, account: Identity, swarm: list[NodeHandle], after: bool) -> None:
    """The guard answers 200; what it carries says no, be it true or not."""
    with net.chaos.inject(InnerStatus(500, after=after), nodes=[swarm[0]], methods={"store"}) as fault:
        reply = through_onion(net, swarm[0], request_store(account))
        assert (reply.status, reply.body) == (500, "request failed")
        assert through_onion(net, swarm[0], INFO).status == 200
        assert fault.hits == 1
    assert contents(swarm[1], account) == ([b"hello"] if after else [])
    assert direct(swarm[0], request_store(account))[0] == 200


@pytest.mark.parametrize(
    ("code", "text"), [(401, "retrieve signature verification failed"), (406, "Timestamp error: check your clock")]
)
def test_words_of_the_real_server(net: Devnet, code: int, text: str) -> None:
    with net.chaos.inject(InnerStatus(code), nodes=[5]):
        assert direct(net.nodes[5], INFO) == (code, text)
    with net.chaos.inject(InnerStatus(code, "of my own"), nodes=[5]):
        assert direct(net.nodes[5], INFO) == (code, "of my own")


def test_part_of_a_batch(net: Devnet, account: Identity, swarm: list[NodeHandle]) -> None:
    """Aimed at a method it strikes that part alone; aimed at none, the batch."""
    batch = storage_rpc.batch([INFO, request_store(account), retrieve(account, time.time())])
    with net.chaos.inject(InnerStatus(429), nodes=[swarm[0]], methods={"store"}) as fault:
        status, body = direct(swarm[0], batch)
        assert (status, [part["code"] for part in body["results"]]) == (200, [200, 429, 200])
        assert fault.hits == 1
    with net.chaos.inject(InnerStatus(429), nodes=[swarm[0]]) as fault:
        assert direct(swarm[0], batch) == (429, "Too Many Requests\n")
        assert fault.hits == 1


def test_too_few_and_too_many_parts(net: Devnet) -> None:
    batch = storage_rpc.batch([INFO, INFO])
    for what, count in (("fewer_parts", 1), ("more_parts", 3)):
        with net.chaos.inject(Nonsense(what), nodes=[5]) as fault:  # type: ignore[arg-type]
            assert len(direct(net.nodes[5], batch)[1]["results"]) == count
            direct(net.nodes[5], INFO)
            assert fault.hits == 1
    assert len(direct(net.nodes[5], batch)[1]["results"]) == 2


def test_nonsense(net: Devnet) -> None:
    with net.chaos.inject(Nonsense("sealed"), nodes=[5]) as fault:
        with pytest.raises(OnionError, match="not JSON"):
            through_onion(net, net.nodes[5], INFO)
        assert fault.hits == 1
    with net.chaos.inject(Nonsense("body"), nodes=[5]):
        reply = through_onion(net, net.nodes[5], INFO)
        assert reply.status == 200
        with pytest.raises(OnionError, match="not JSON"):
            reply.json()
    with net.chaos.inject(Nonsense("shape"), nodes=[5], methods={"info"}):
        assert "t" not in through_onion(net, net.nodes[5], INFO).json()
        results = direct(net.nodes[5], storage_rpc.batch([INFO]))[1]["results"]
        assert results[0]["code"] == 200
        assert "t" not in results[0]["body"]
    assert "t" in through_onion(net, net.nodes[5], INFO).json()


def test_wrong_swarm(net: Devnet, account: Identity, swarm: list[NodeHandle]) -> None:
    node = swarm[0]

    def shown(fault: WrongSwarm) -> Any:
        with net.chaos.inject(fault, nodes=[node]) as injection:
            status, body = direct(node, request_store(account))
            assert status == 421
            assert direct(node, storage_rpc.get_swarm(account.account_id))[0] == 200
            assert injection.hits == 1
        return body if isinstance(body, str) else [entry["pubkey_ed25519"] for entry in body["snodes"]]

    own = [member.ed25519.hex() for member in swarm]
    assert shown(WrongSwarm("real")) == own
    other = shown(WrongSwarm("other"))
    assert len(other) == 4
    assert not set(other) & set(own)
    assert shown(WrongSwarm("nobody")) == []
    assert shown(WrongSwarm("rubbish")) == "Misdirected Request\n"
    assert shown(WrongSwarm(members=(0, 11))) == [net.nodes[index].ed25519.hex() for index in (0, 11)]
    with net.chaos.inject(WrongSwarm(), methods={"retrieve"}):
        assert direct(node, request_store(account))[0] == 200
    assert contents(node, account) == [b"hello"]
    with pytest.raises(InvalidFault, match="members"):
        net.chaos.inject(WrongSwarm(members=(99,)))


def test_no_signature_is_right(net: Devnet, account: Identity, swarm: list[NodeHandle]) -> None:
    """In a batch as well, and though all have stored it."""
    batch = storage_rpc.batch([request_store(account), INFO])
    with net.chaos.inject(LyingSignatures("wrong"), nodes=[swarm[0]]) as fault:
        body = direct(swarm[0], batch)[1]["results"][0]["body"]
        assert len(body["swarm"]) == 4
        with pytest.raises(RpcError, match="No member of the swarm proved"):
            confirmed(body, b"hello", account)
        assert fault.hits == 1
    assert all(contents(member, account) == [b"hello"] for member in swarm)
    assert len(confirmed(direct(swarm[0], request_store(account))[1], b"hello", account)) == 4


def test_tells_of_itself_alone(net: Devnet, account: Identity, swarm: list[NodeHandle]) -> None:
    with net.chaos.inject(LyingSignatures("alone"), nodes=[swarm[0]]):
        body = direct(swarm[0], request_store(account))[1]
    assert confirmed(body, b"hello", account) == {swarm[0].ed25519.hex()} == set(body["swarm"])
    assert contents(swarm[1], account) == [b"hello"]


def test_claims_for_others(net: Devnet, account: Identity, swarm: list[NodeHandle]) -> None:
    with net.chaos.inject(LyingSignatures("invented"), nodes=[swarm[0]]) as fault:
        body = direct(swarm[0], request_store(account))[1]
        assert fault.hits == 1
    assert len(body["swarm"]) == 4
    assert confirmed(body, b"hello", account) == {swarm[0].ed25519.hex()}
    assert [contents(member, account) for member in swarm] == [[b"hello"], [], [], []]


# Nodes.


def test_forgets(net: Devnet, account: Identity, swarm: list[NodeHandle]) -> None:
    """Whether asked by the client or by a peer."""
    with net.chaos.inject(Forgets(), nodes=swarm[:2]) as fault:
        body = direct(swarm[0], request_store(account))[1]
        assert len(confirmed(body, b"hello", account)) == 4
        assert fault.hits == 2
    assert [contents(member, account) for member in swarm] == [[], [], [b"hello"], [b"hello"]]
    direct(swarm[0], request_store(account))
    assert contents(swarm[1], account) == [b"hello"]


def test_no_replication(net: Devnet, account: Identity, swarm: list[NodeHandle]) -> None:
    with net.chaos.inject(NoReplication(), nodes=[swarm[0]], methods={"store"}) as fault:
        body = direct(swarm[0], request_store(account))[1]
        assert set(body["swarm"]) == {swarm[0].ed25519.hex()}
        assert fault.hits == 1
        assert direct(swarm[1], request_store(account, b"elsewhere"))[0] == 200
        assert fault.hits == 1
    assert contents(swarm[1], account) == [b"elsewhere"]
    with net.chaos.inject(NoReplication("timeout"), nodes=[swarm[0]]):
        body = direct(swarm[0], request_store(account, b"once more"))[1]
        assert [body["swarm"][peer.ed25519.hex()] for peer in swarm[1:]] == [{"failed": True, "timeout": True}] * 3
    assert contents(swarm[1], account) == [b"elsewhere"]


def test_clock(net: Devnet, account: Identity, swarm: list[NodeHandle]) -> None:
    """A node an hour ahead refuses what is right, and takes what is an hour ahead."""
    now = time.time()
    with net.chaos.inject(Clock(3600), nodes=[swarm[0]]) as fault:
        told = direct(swarm[0], INFO)[1]["t"] / 1000
        assert 3590 < told - now < 3700
        assert fault.hits >= 1
        assert direct(swarm[0], retrieve(account, now)) == (406, "retrieve timestamp too far from current time")
        assert direct(swarm[0], retrieve(account, now + 3600))[0] == 200
        assert direct(swarm[1], retrieve(account, now))[0] == 200
    assert direct(swarm[0], retrieve(account, now))[0] == 200
    with net.chaos.inject(Clock(-3600), nodes=[swarm[0]]):
        assert direct(swarm[0], request_store(account)) == (406, "Timestamp error: check your clock")


# Lists.


def seed_list(net: Devnet) -> list[dict[str, Any]]:
    with new_session() as session:
        call = {"method": "get_n_service_nodes", "params": {"active_only": True}}
        result = session.post(f"{net.seed_url}/json_rpc", json=call, timeout=5).json()["result"]
    return list(result["service_node_states"])


def node_list(node: NodeHandle) -> list[dict[str, Any]]:
    params = {"endpoint": "get_service_nodes", "params": {"active_only": True}}
    return list(direct(node, storage_rpc.Request("oxend_request", params))[1]["result"]["service_node_states"])


def binary_list(node: NodeHandle) -> list[bytes]:
    """The Ed25519 keys in it."""
    with new_session() as session:
        call = {"method": "active_nodes_bin", "params": {}}
        records = session.post(f"https://{node.ip}:{node.port}/storage_rpc/v1", json=call, timeout=5).content
    return [records[start : start + 32] for start in range(0, len(records), 51)]


def keys(listed: Sequence[dict[str, Any]]) -> list[str]:
    return [entry["pubkey_ed25519"] for entry in listed]


def addresses(listed: Sequence[dict[str, Any]]) -> list[tuple[str, str, int]]:
    return [(entry["pubkey_ed25519"], entry["public_ip"], entry["storage_port"]) for entry in listed]


def test_stale_list(net: Devnet) -> None:
    """The seed shows the list of before; nodes do only if they are aimed at."""
    left = net.nodes[11]
    with net.chaos.inject(StaleList(), seed=True) as fault:
        swarm_id = left.swarm_id
        left.join_swarm(None)
        try:
            earlier = net.chaos.snapshot()
            assert left.ed25519.hex() in keys(seed_list(net))
            assert fault.hits == 1
            assert left.ed25519.hex() not in keys(node_list(net.nodes[0]))
        finally:
            left.join_swarm(swarm_id)
    assert left.ed25519.hex() in keys(seed_list(net))
    with net.chaos.inject(StaleList(earlier), nodes=[0], seed=True):
        assert left.ed25519.hex() not in keys(seed_list(net))
        assert left.ed25519.hex() not in keys(node_list(net.nodes[0]))
        assert left.ed25519.hex() in keys(node_list(net.nodes[1]))


def test_altered_list(net: Devnet) -> None:
    true = {entry["pubkey_ed25519"]: entry for entry in seed_list(net)}
    with net.chaos.inject(AlteredList(add=2, omit=(0,), move=(1,), rekey=(2,)), nodes=[5], seed=True) as fault:
        listed = seed_list(net)
        # Without the times in the records, which go on.
        assert addresses(node_list(net.nodes[5])) == addresses(listed)
        assert [key.hex() for key in binary_list(net.nodes[5])] == keys(listed)
        assert fault.hits == 3
        assert keys(node_list(net.nodes[6])) == list(true)
    assert len(listed) == 12 - 1 + 2
    by_key = {entry["pubkey_ed25519"]: entry for entry in listed}
    zero, one, two = (node.ed25519.hex() for node in net.nodes[:3])
    assert zero not in by_key
    assert by_key[one]["storage_port"] != true[one]["storage_port"]
    assert two not in by_key
    strangers = [entry for key, entry in by_key.items() if key not in true]
    assert len(strangers) == 3
    assert [entry["storage_port"] for entry in strangers].count(true[two]["storage_port"]) == 1
    assert len(node_lists.parse_service_nodes({"service_node_states": listed})) == 13
    with pytest.raises(requests.ConnectionError), new_session() as session:
        session.get(f"https://{strangers[-1]['public_ip']}:{strangers[-1]['storage_port']}", timeout=5)
    assert keys(seed_list(net)) == list(true)


def test_list_of_one_method(net: Devnet) -> None:
    with net.chaos.inject(AlteredList(omit=(0,)), nodes=[5], methods={"active_nodes_bin"}) as fault:
        assert len(binary_list(net.nodes[5])) == 11
        assert len(node_list(net.nodes[5])) == 12
        assert fault.hits == 1
    with net.chaos.inject(AlteredList(omit=(0,)), nodes=[5], methods={"oxend_request"}) as fault:
        params = {"endpoint": "ons_resolve", "params": {"type": 0, "name_hash": "00" * 32}}
        assert direct(net.nodes[5], storage_rpc.Request("oxend_request", params))[0] == 200
        assert fault.hits == 0, "names are no lists"
    for wrong in (AlteredList(omit=(99,)), AlteredList(move=(-1,)), AlteredList(rekey=(12,))):
        with pytest.raises(InvalidFault):
            net.chaos.inject(wrong)
