"""Storage requests, hashes and the belief in answers."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl import bindings as sodium

from session_cli.errors import RpcError
from session_cli.protocol import node_lists, storage_rpc, swarm
from session_cli.protocol.account import Identity
from session_cli.protocol.storage_rpc import ServiceNode, StoreResult

ACCOUNT = "05ffba630924aa1224bb930dde21c0d11bf004608f2812217f8ac812d6c7e3ad48"
ME = Identity.from_seed(b"\x07" * 16)


@pytest.mark.parametrize(
    ("namespace", "expected"),
    [
        (0, "tse7cPdGXVWduXXcEKR/FS0RYFBYv/dQ0HmjzQMyqQo"),
        (2, "igEDLvcHR/3A8zHvuiLwzJOFXmhFe5SY5Z+GFWbqJtw"),
        (-10, "d48BWNFAd57PyvUMrGK2bqjeTNLkHhnUPWHo6MZOBZQ"),
        (-11, "XbFO8t9j+KjAiAf2gz7uwsdT2L3EcHpWXjOM7xj8aCY"),
    ],
)
def test_message_hashes(namespace: int, expected: str) -> None:
    assert storage_rpc.message_hash(ACCOUNT, namespace, b"hello") == expected


def test_retrieve_is_signed_over_namespace_and_time() -> None:
    for namespace, text in ((0, b"retrieve1700000000000"), (-11, b"retrieve-111700000000000")):
        request = storage_rpc.retrieve(ME, timestamp_ms=1_700_000_000_000, namespace=namespace)
        signature = base64.b64decode(request.params["signature"])
        assert sodium.crypto_sign_open(signature + text, ME.ed25519_public) == text
        assert request.params["pubkey_ed25519"] == ME.ed25519_public.hex()


def test_a_batch_holds_one_to_twenty() -> None:
    request = storage_rpc.get_swarm(ACCOUNT)
    for count in (0, 21):
        with pytest.raises(ValueError, match="batch"):
            storage_rpc.batch([request] * count)
    assert len(storage_rpc.batch([request] * 20).params["requests"]) == 20


# The swarm's proof of a store.

HASH = storage_rpc.message_hash(ACCOUNT, 0, b"hello")
MEMBERS = [sodium.crypto_sign_seed_keypair(bytes([i]) * 32) for i in range(3)]


def _result(secret: bytes, signed: str = HASH, **changes: Any) -> dict[str, Any]:
    signature = base64.b64encode(sodium.crypto_sign(signed.encode(), secret)[:64]).decode()
    return {"hash": HASH, "signature": signature, "expiry": 5} | changes


def _answer(*results: dict[str, Any]) -> dict[str, Any]:
    swarm_results = {public.hex(): result for (public, _), result in zip(MEMBERS, results, strict=False)}
    return {"swarm": swarm_results, "t": 1_700_000_000_000, "hash": HASH}


def test_store_counts_members_that_proved_it() -> None:
    body = _answer(_result(MEMBERS[0][1]), {"failed": True, "timeout": True}, _result(MEMBERS[2][1], already=1))
    result = storage_rpc.parse_store(body, HASH)
    assert result.confirmed == {MEMBERS[0][0].hex(), MEMBERS[2][0].hex()}
    assert result.failed == {MEMBERS[1][0].hex(): "timeout"}
    assert result.expiration_ms == 5


@pytest.mark.parametrize(
    "result",
    [
        {"failed": True, "code": "500", "reason": "disk full"},
        _result(MEMBERS[1][1]),  # signed by another key
        _result(MEMBERS[0][1], signed="something else"),
        _result(MEMBERS[0][1], hash="A" * 43),
        _result(MEMBERS[0][1], signature="short"),
        _result(MEMBERS[0][1], signature=None),
        {"hash": HASH},
        "ok",
    ],
)
def test_an_unproved_store_is_none(result: Any) -> None:
    with pytest.raises(RpcError):
        storage_rpc.parse_store(_answer(result), HASH)


def test_a_stranger_confirms_nothing() -> None:
    body: dict[str, Any] = _answer(_result(MEMBERS[0][1]), _result(MEMBERS[1][1]))
    known = frozenset({MEMBERS[1][0].hex()})
    assert storage_rpc.parse_store(body, HASH, known).confirmed == known
    with pytest.raises(RpcError):
        storage_rpc.parse_store(body, HASH, frozenset({"aa" * 32}))


@pytest.mark.parametrize("body", [None, [], "x", {}, {"swarm": []}, {"swarm": {}}, {"swarm": {"zz": {"hash": HASH}}}])
def test_malformed_store_answers(body: Any) -> None:
    with pytest.raises(RpcError):
        storage_rpc.parse_store(body, HASH)


# Other answers.


def test_retrieve_leaves_malformed_elements_out() -> None:
    good = {"hash": storage_rpc.message_hash(ACCOUNT, 0, b"hi"), "timestamp": 1, "expiration": 2, "data": "aGk="}
    odd: list[Any] = [7, {}, good | {"data": "%"}, good | {"timestamp": "1"}, good | {"hash": None}]
    odd += [good | {"expiration": 2**63}, good | {"timestamp": -1}, good | {"hash": HASH}]
    result = storage_rpc.parse_retrieve({"messages": [*odd, good], "more": True}, ACCOUNT, 0)
    assert [message.data for message in result.messages] == [b"hi"]
    assert (result.more, result.malformed) == (True, 8)
    assert storage_rpc.parse_retrieve({"messages": [good]}, ACCOUNT, 2).messages == ()
    bodies: list[Any] = [None, {}, {"messages": 3}]
    for body in bodies:
        with pytest.raises(RpcError):
            storage_rpc.parse_retrieve(body, ACCOUNT, 0)


def test_batch_parts_must_match_the_question() -> None:
    parts = storage_rpc.parse_batch({"results": [{"code": 200, "body": {}}, {"code": 401}]}, 2)
    assert [part.code for part in parts] == [200, 401]
    lists: list[Any] = [[], [{"code": 200}], [1, 2], [{}, {}]]
    odd: list[Any] = [None, {}, *({"results": results} for results in lists)]
    for body in odd:
        with pytest.raises(RpcError):
            storage_rpc.parse_batch(body, 2)


NODE = {
    "public_ip": "10.1.2.3",
    "storage_port": 22021,
    "pubkey_ed25519": "aa" * 32,
    "pubkey_x25519": "bb" * 32,
    "swarm_id": 2**64 - 2,
    "storage_server_version": [2, 8, 0],
}


def test_node_lists_keep_what_is_usable() -> None:
    bad: list[Any] = [
        3,
        {},
        NODE | {"public_ip": "0.0.0.0"},
        NODE | {"public_ip": ""},
        NODE | {"storage_port": 0},
        NODE | {"storage_port": "22021"},
        NODE | {"pubkey_x25519": "bb"},
        NODE | {"pubkey_ed25519": "zz" * 32},
    ]
    nodes = node_lists.parse_service_nodes({"service_node_states": [*bad, NODE]})
    assert nodes == [storage_rpc.ServiceNode(b"\xaa" * 32, b"\xbb" * 32, "10.1.2.3", 22021, 2**64 - 2, (2, 8, 0))]
    with pytest.raises(RpcError):
        node_lists.parse_service_nodes({"service_node_states": None})


def test_swarm_answers() -> None:
    entry = {"ip": "10.1.2.3", "port_https": 5, "port": "5", "pubkey_ed25519": "aa" * 32, "pubkey_x25519": "bb" * 32}
    nodes = node_lists.parse_swarm({"snodes": [entry, {"ip": 3}], "swarm": "ff"})
    assert [(node.port, node.swarm_id) for node in nodes] == [(5, 255)]
    with pytest.raises(RpcError):
        node_lists.parse_swarm({"swarm": "ff"})


# Swarm arithmetic.


@pytest.mark.parametrize(
    ("account", "position"),
    [
        ("053506f4a71324b7dd114eddbf4e311f39dde243e1f2cb97c40db1961f70ebaae8", 17589930838143112648),
        ("05cf27da303a50ac8c4b2d43d27259505c9bcd73fc21cf2a57902c3d050730b604", 10370619079776428163),
        ("03d3511706b8b34f6e8411bf07bd22ba6b2435ca56846fbccf6eb1e166a6cd15cc", 2144983569669512198),
    ],
)
def test_swarm_positions(account: str, position: int) -> None:
    assert swarm.swarm_position(account) == position


@pytest.mark.parametrize(
    ("position", "expected"),
    [
        (150, 100),
        (151, 200),
        (0x223, 498),
        (0x224, 596),
        (0x8000000000000000, 694),
        (0xA000000000000000, 100),
        (2**64 - 1, 100),
    ],
)
def test_nearest_swarm(position: int, expected: int) -> None:
    assert swarm.nearest_swarm(position, [694, 100, 200, 300, 399, 498, 596]) == expected


@given(st.integers(0, 2**64 - 1), st.sets(st.integers(0, 2**64 - 1), max_size=20))
def test_nearest_swarm_has_the_least_distance(position: int, ids: set[int]) -> None:
    nearest = swarm.nearest_swarm(position, ids)
    candidates = ids - {swarm.NO_SWARM}
    if not candidates:
        assert nearest is None
        return
    assert nearest in candidates

    def distance(swarm_id: int) -> int:
        return min((swarm_id - position) % 2**64, (position - swarm_id) % 2**64)

    assert distance(nearest) == min(map(distance, candidates))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["swarm", "messages", "results", "snodes", "service_node_states", "hash", "code", "data", "t"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_json_is_parsed_or_refused(body: Any) -> None:
    for parse in (
        lambda value: storage_rpc.parse_retrieve(value, ACCOUNT, 0),
        node_lists.parse_swarm,
        node_lists.parse_service_nodes,
        lambda value: storage_rpc.parse_store(value, HASH),
        lambda value: storage_rpc.parse_batch(value, 1),
    ):
        try:
            parse(body)
        except RpcError:
            continue


# Lists of nodes, and sizes.


def _record(number: int, *, ip: bytes = b"\x0a\0\0\x01", port: int = 22021, swarm_id: int = 7) -> bytes:
    key = Identity.from_seed(bytes([number]) * 32).ed25519_public
    return key + swarm_id.to_bytes(8, "big") + ip + port.to_bytes(2, "big") + (22020).to_bytes(2, "big") + b"\2\x0b\3"


def test_compact_lists_keep_what_is_usable() -> None:
    records = [
        _record(1),
        _record(2, swarm_id=2**64 - 1),
        _record(3, ip=bytes(4)),
        _record(4, port=0),
        b"\xff" * 32 + _record(5)[32:],
    ]
    first, second = node_lists.parse_active_nodes(base64.b64encode(b"".join(records)).decode())
    identity = Identity.from_seed(b"\1" * 32)
    assert first == ServiceNode(identity.ed25519_public, identity.x25519_public, "10.0.0.1", 22021, 7, (2, 11, 3))
    assert second.swarm_id is None


@pytest.mark.parametrize("body", [None, 3, {}, "=", "AAAA", base64.b64encode(bytes(52)).decode()])
def test_malformed_compact_lists(body: Any) -> None:
    with pytest.raises(RpcError):
        node_lists.parse_active_nodes(body)


def test_an_account_without_an_answer_has_an_empty_list() -> None:
    assert node_lists.parse_active_nodes("") == []


@pytest.mark.parametrize(
    ("namespaces", "fractions"),
    [
        (storage_rpc.OWN_NAMESPACES, {0: -2, 2: -8, 3: -8, 5: -8, 4: -8}),
        ((-11, 11, 13, 14, 12), {-11: -8, 11: -2, 13: -8, 14: -8, 12: -8}),
        ((0,), {0: -1}),
        ((2, 3), {2: -2, 3: -2}),
        ((0, 11, 2), {0: -3, 11: -3, 2: -3}),
        ((), {}),
    ],
)
def test_shares_of_an_answer(namespaces: tuple[int, ...], fractions: dict[int, int]) -> None:
    assert storage_rpc.size_fractions(namespaces) == fractions


def test_two_answers_to_the_same_bytes_add_up() -> None:
    hash = storage_rpc.MessageHash("h")
    first = StoreResult(frozenset({"a"}), {"b": "timeout", "c": "failed"}, 4, hash, 10)
    second = StoreResult(frozenset({"b"}), {"c": "timeout"}, 3, hash, None)
    both = first.merged(second)
    assert both == StoreResult(frozenset({"a", "b"}), {"c": "timeout"}, 4, hash, 10)
    assert not first.is_safe
    assert both.is_safe


def test_the_time_of_a_batch_is_that_of_its_parts() -> None:
    now = 1_795_397_225_612
    assert (
        storage_rpc.network_time({"results": [{"code": 401, "body": "no"}, {"code": 200, "body": {"t": now}}]}) == now
    )
    assert storage_rpc.network_time({"results": [{"code": 200}, 3]}) is None
    assert storage_rpc.network_time({"t": now}) == now
    assert storage_rpc.network_time({"t": 5}) is None


@pytest.mark.parametrize("odd", [float("inf"), 1e400, float("nan"), "x", [], {}, None, True, -1, 10**40])
def test_odd_numbers_in_lists_of_nodes_cost_their_entry_at_the_most(odd: Any) -> None:
    identity = Identity.from_seed(b"\1" * 32)
    keys = {"pubkey_ed25519": identity.ed25519_public.hex(), "pubkey_x25519": identity.x25519_public.hex()}
    listed = {**keys, "public_ip": "10.0.0.1", "storage_port": 22021}
    for name in ("storage_port", "swarm_id", "storage_server_version", "public_ip"):
        node_lists.parse_service_nodes({"service_node_states": [{**listed, name: odd}]})
    node_lists.parse_service_nodes({"service_node_states": [{**listed, "storage_server_version": [odd]}]})
    for name in ("port_https", "ip"):
        node_lists.parse_swarm({"snodes": [{**keys, "ip": "10.0.0.1", "port_https": 1, name: odd}], "swarm": odd})


@pytest.mark.parametrize(
    ("ip", "usable"),
    [
        ("10.0.0.1", True),
        ("255.1.2.249", True),
        ("0.0.0.0", False),
        ("255.255.255.255", False),
        ("256.1.1.1", False),
        ("evil.example", False),
        ("1.2.3", False),
        ("1.2.3.4.5", False),
        ("1.2.3.4.", False),
        ("1.2.3.4 ", False),
        ("::1", False),
        ("", False),
    ],
)
def test_addresses_are_four_numbers(ip: str, usable: bool) -> None:
    assert node_lists.is_usable(ServiceNode(bytes(32), bytes(32), ip, 1)) is usable


def test_a_delete_counts_when_a_member_proves_it() -> None:
    node = Identity.from_seed(b"\3" * 32)
    name, hashes = node.ed25519_public.hex(), [storage_rpc.MessageHash("h1"), storage_rpc.MessageHash("h2")]
    signature = base64.b64encode(node.sign(f"{ACCOUNT}h1h2h1".encode())).decode()
    body = {"swarm": {name: {"deleted": ["h1"], "signature": signature}, "aa" * 32: {"failed": True, "timeout": True}}}
    assert storage_rpc.parse_delete(body, ACCOUNT, hashes, frozenset({name})) == {name}
    wrongs: list[Any] = [
        {"swarm": {name: {"deleted": ["h2"], "signature": signature}}},
        {"swarm": {name: {"deleted": ["h1"]}}},
        {"swarm": {}},
        {},
        None,
    ]
    for wrong in wrongs:
        with pytest.raises(RpcError):
            storage_rpc.parse_delete(wrong, ACCOUNT, hashes, frozenset({name}))
    with pytest.raises(RpcError):
        storage_rpc.parse_delete(body, ACCOUNT, hashes, frozenset({"bb" * 32}))
