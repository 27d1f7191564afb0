"""A service node's HTTP level and its parameters, where the recordings are silent."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from session_cli.devnet.account_requests import (
    parse_delete,
    parse_expire,
    parse_get_expiries,
    parse_retrieve,
    parse_revoke,
    parse_store,
    parse_unrevoke,
)
from session_cli.devnet.fields import Fields, ParseError
from session_cli.devnet.network import Devnet, DevnetOptions, NodeHandle
from session_cli.devnet.service_node import BURST, MAX_TRACKED, PER_SECOND, RateLimit
from session_cli.devnet.swarm_storage import MAX_RETRIEVE_SIZE, size_limit
from session_cli.protocol.account import Identity

from .helpers import MovableClock, new_session

INFO = b'{"method":"info","params":{}}'
ALICE = Identity.from_seed(bytes(range(32)))
SIGNATURE = "A" * 86
HASH = "B" * 43


@pytest.fixture(scope="module")
def net() -> Iterator[Devnet]:
    with Devnet(DevnetOptions(nodes=2, swarms=1, max_file_size=1_000_000)) as running:
        yield running


def url(node: NodeHandle, path: str = "/storage_rpc/v1") -> str:
    return f"https://{node.ip}:{node.port}{path}"


def test_rate_limit() -> None:
    """600 requests at once, then 300 a second; the onion route has no limit."""
    clock = MovableClock(frozen_at=time.time())
    with Devnet(DevnetOptions(nodes=1, swarms=1, clock=clock)) as net, new_session() as session:
        node = net.nodes[0]

        def burst() -> int:
            """How many pass before the first refusal."""
            for passed in range(BURST + 10):
                response = session.post(url(node), data=INFO, timeout=10)
                if response.status_code == 429:
                    assert response.text == "Too Many Requests\n"
                    assert response.headers["Content-Type"] == "text/plain"
                    return passed
            return -1

        assert burst() == BURST
        assert session.post(url(node, "/onion_req/v2"), data=b"", timeout=10).status_code == 400
        clock.advance(0.5)
        assert burst() == PER_SECOND // 2
        clock.advance(-3600)
        assert burst() == 0


def test_rate_limit_forgets_the_longest_unseen() -> None:
    clock = MovableClock(frozen_at=0)
    limit = RateLimit(clock)
    for _ in range(BURST):
        assert limit.take("first")
    assert not limit.take("first")
    for number in range(MAX_TRACKED):
        assert limit.take(f"other {number}")
    assert limit.take("first")


def test_large_bodies(net: Devnet) -> None:
    """10 MiB at most for storage RPC; the onion route takes what the file server takes, at least as much."""
    node = net.nodes[0]
    with new_session() as session:
        for path in ("/storage_rpc/v1", "/onion_req/v2"):
            response = session.post(url(node, path), data=bytes(10_485_760), timeout=10)
            assert response.status_code == 400
        response = session.post(url(node), data=bytes(10_485_761), timeout=10)
        assert (response.status_code, response.text) == (413, "Request body too large")


def test_body_without_announced_length(net: Devnet) -> None:
    with new_session() as session:
        response = session.post(url(net.nodes[0]), data=iter([INFO[:10], INFO[10:]]), timeout=10)
        assert response.json()["version"] == [2, 8, 0]
        too_much = session.post(url(net.nodes[0]), data=iter([bytes(6_000_000)] * 2), timeout=10)
        assert too_much.status_code == 413


def test_client_that_asks_before_sending(net: Devnet) -> None:
    """curl waits for `100 Continue` with large bodies."""
    node = net.nodes[0]
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((node.ip, node.port), 5) as raw, context.wrap_socket(raw) as connection:
        head = (
            f"POST /storage_rpc/v1 HTTP/1.1\r\nHost: x\r\nContent-Length: {len(INFO)}\r\nExpect: 100-continue\r\n\r\n"
        )
        connection.sendall(head.encode())
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(INFO)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")


def test_client_that_hangs_up(net: Devnet) -> None:
    """A client that goes in the middle of a body hurts nobody."""
    node = net.nodes[0]
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((node.ip, node.port), 5) as raw, context.wrap_socket(raw) as connection:
        connection.sendall(b"POST /onion_req/v2 HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc")
    with new_session() as session:
        assert session.post(url(node), data=INFO, timeout=10).status_code == 200


def test_node_without_a_swarm() -> None:
    with Devnet(DevnetOptions(nodes=2, swarms=1)) as net, new_session() as session:
        net.nodes[0].join_swarm(None)
        for path in ("/storage_rpc/v1", "/onion_req/v2"):
            response = session.post(url(net.nodes[0], path), data=INFO, timeout=10)
            assert (response.status_code, response.text) == (503, "Service node is not ready: not in any swarm\n")
        listed = session.post(
            net.seed_url + "/json_rpc",
            json={"method": "get_service_nodes", "params": {"active_only": True, "fields": ["swarm"]}},
            timeout=10,
        )
        assert len(listed.json()["result"]["service_node_states"]) == 1


def test_database_that_fails(net: Devnet) -> None:
    """A full disk is the node's failure, and told as such."""
    member = next(iter(net.directory))

    class Broken:
        def execute(self, *_: object) -> None:
            import sqlite3

            raise sqlite3.OperationalError("database or disk is full")

    intact = member.storage._database
    body = {"pubkey": ALICE.account_id, "timestamp": int(time.time() * 1000), "ttl": 60_000, "data": "AAAA"}
    member.storage._database = Broken()  # type: ignore[assignment]
    try:
        response = requests.post(url(net.nodes[0]), json={"method": "store", "params": body}, verify=False, timeout=10)
    finally:
        member.storage._database = intact
    assert (response.status_code, response.text) == (500, "request failed")


@pytest.mark.parametrize(
    ("params", "complaint"),
    [
        ({"data": 5}, "Invalid value given for 'data': expected string"),
        ({"timestamp": "x"}, "Invalid value given for 'timestamp': \"x\""),
        ({"timestamp": 1.5}, "Invalid value given for 'timestamp': expected integer"),
        ({"timestamp": True}, "Invalid value given for 'timestamp': expected integer"),
        ({"timestamp": 1, "ttl": "-1"}, "Invalid value given for 'ttl': \"-1\""),
        ({"timestamp": 1, "expiry": 5}, "Invalid timestamp for 'expiry': timestamp must be in milliseconds"),
        ({"timestamp": 1, "ttl": 1}, "Required field 'pubkey' missing"),
        ({"timestamp": 1, "ttl": 1, "pubkey": "zz" * 33}, "Pubkey must be 66 hex digits (33 bytes) long"),
        (
            {"timestamp": 1, "ttl": 1, "pubkey": ALICE.account_id, "data": "AAAAA"},
            "Invalid 'data' value: not base64 encoded",
        ),
        (
            {"timestamp": 1, "ttl": 1, "pubkey": ALICE.account_id, "signature": SIGNATURE, "pubkey_ed25519": "z" * 64},
            "invalid pubkey_ed25519: value is not hex",
        ),
        (
            {
                "timestamp": 1,
                "ttl": 1,
                "pubkey": ALICE.account_id,
                "signature": SIGNATURE,
                "subaccount": "A" * 48,
                "subaccount_sig": "A",
            },
            "invalid subaccount signature: expected base64 encoded Ed25519 signature",
        ),
    ],
)
def test_store_parameters(params: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ParseError) as error:
        parse_store(params)
    assert str(error.value) == complaint


def test_null_is_absent() -> None:
    parsed = parse_store(
        {
            "timestamp": 1,
            "ttl": 1,
            "expiry": None,
            "pubKey": None,
            "pubkey": ALICE.account_id.upper(),
            "data": "",
            "namespace": None,
        }
    )
    assert (parsed.account, parsed.data, parsed.namespace) == (ALICE.account_id, b"", 0)


def test_other_parameters() -> None:
    owner = {"pubkey": ALICE.account_id, "signature": SIGNATURE}
    with pytest.raises(ParseError, match="Required field 'timestamp' missing"):
        parse_retrieve(owner)
    assert parse_delete({**owner, "messages": HASH}).hashes == [HASH]
    with pytest.raises(ParseError, match="'messages': expected string array"):
        parse_delete({**owner, "messages": [1]})
    assert parse_expire({**owner, "messages": [HASH], "expiry": 5}).expiries == [5]
    with pytest.raises(ParseError, match="'expiry': expected timestamp array"):
        parse_expire({**owner, "messages": [HASH], "expiry": -5})
    assert parse_get_expiries({**owner, "messages": ["any text"], "timestamp": 10**12}).hashes == ["any text"]
    with pytest.raises(ParseError, match="cannot revoke more than 50 subaccounts at once"):
        parse_revoke({**owner, "revoke": ["A" * 48] * 51, "timestamp": 10**12})
    with pytest.raises(ParseError, match="invalid unrevoke: expected base64 or hex-encoded subaccount tag"):
        parse_unrevoke({**owner, "unrevoke": "AA", "timestamp": 10**12})
    with pytest.raises(ParseError, match="'required': expected boolean"):
        parse_delete({**owner, "messages": [HASH], "required": 1})


def test_fields() -> None:
    assert Fields({"n": "all"}).namespaces("n") == "all"
    with pytest.raises(ParseError, match="""expected integer or "all\""""):
        Fields({"n": "some"}).namespaces("n")
    with pytest.raises(ParseError, match="expected integer array"):
        Fields({"n": ["1"]}).integers("n")
    assert Fields({"n": 7}).integers("n") == [7]


@pytest.mark.parametrize(
    ("max_count", "max_size", "limit"),
    [
        (None, None, 1_560_000),
        (10, None, MAX_RETRIEVE_SIZE),
        (None, -1, MAX_RETRIEVE_SIZE),
        (None, -2, 3_900_000),
        (None, -8, 975_000),
        (None, 10**9, MAX_RETRIEVE_SIZE),
        (5, 400, 400),
    ],
)
def test_size_limit(max_count: int | None, max_size: int | None, limit: int) -> None:
    assert size_limit(max_count, max_size) == limit


def test_odd_numbers(net: Devnet) -> None:
    """Numbers of any size are refused or taken, but never a node's downfall."""
    now = int(time.time() * 1000)
    account = "03" + ALICE.ed25519_public.hex()

    def signed(text: str) -> str:
        import base64

        return base64.b64encode(ALICE.sign(text.encode())).decode()

    def call(method: str, **params: Any) -> tuple[int, str]:
        request = json.dumps({"method": method, "params": {"pubkey": account, **params}})
        with new_session() as session:
            response = session.post(url(net.nodes[0]), data=request, timeout=10)
        return response.status_code, response.text

    huge = 2**64 - 1
    retrieve = {"timestamp": now, "signature": signed(f"retrieve{now}")}
    for count in (huge, -(2**63), -1, -2, 2**31):
        assert call("retrieve", max_count=count, **retrieve)[0] == 200
        assert call("retrieve", max_size=count, **retrieve)[0] == 200
    assert call("expire_all", expiry=huge, signature=signed(f"expire_all{huge}"))[0] == 200
    assert call("expire", expiry=huge, messages=HASH, signature=signed(f"expire{huge}{HASH}"))[0] == 200
    assert call("store", timestamp=huge, expiry=huge, data="")[0] == 403
    assert call("store", timestamp=-(2**63), ttl=20_000, data="")[0] == 406
    assert call("retrieve", max_count=10**30, **retrieve) == (
        400,
        "invalid request: Invalid value given for 'max_count': expected integer",
    )
    assert call("delete_before", before=huge, signature=signed(f"delete_before{huge}"))[0] == 401
