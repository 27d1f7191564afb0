"""Whatever arrives, a node answers with a refusal, and goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from session_cli.devnet.directory import Member
from session_cli.devnet.network import Devnet, DevnetOptions
from session_cli.protocol.account import Identity
from session_cli.protocol.onion import EncType, LayerKey, frame, guard_control

from .helpers import new_session

METHODS = [
    "active_nodes_bin",
    "batch",
    "delete",
    "delete_all",
    "delete_before",
    "expire",
    "expire_all",
    "get_expiries",
    "get_swarm",
    "ifelse",
    "info",
    "oxend_request",
    "retrieve",
    "revoke_subaccount",
    "sequence",
    "store",
    "unrevoke_subaccount",
]
FIELDS = [
    "data",
    "else",
    "endpoint",
    "expiry",
    "extend",
    "if",
    "last_hash",
    "max_count",
    "max_size",
    "messages",
    "namespace",
    "params",
    "pubKey",
    "pubkey",
    "pubkey_ed25519",
    "requests",
    "revoke",
    "sig_timestamp",
    "signature",
    "subaccount",
    "subaccount_sig",
    "then",
    "timestamp",
    "ttl",
    "unrevoke",
]
ACCOUNT = Identity.from_seed(bytes(16)).account_id
EXPECTED = {200, 400, 401, 403, 404, 406}

plausible = st.sampled_from(
    ["A" * 86, "B" * 43, "C" * 48, ACCOUNT, "03" + "11" * 32, "all", "", "\ud800", 10**12, 1, -1]
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=100) | plausible
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner))
params = st.dictionaries(st.sampled_from(FIELDS), values | st.just([{"method": "info", "params": {}}])).flatmap(
    lambda chosen: st.sampled_from([chosen, {"pubkey": ACCOUNT, "timestamp": 10**12} | chosen])
)
calls = st.fixed_dictionaries({"method": st.sampled_from(METHODS), "params": params})
relaxed = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture(scope="module")
def net() -> Iterator[Devnet]:
    with Devnet(DevnetOptions(nodes=1, swarms=1)) as running:
        yield running


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with new_session() as opened:
        yield opened


@pytest.fixture(scope="module")
def member(net: Devnet) -> Member:
    return next(iter(net.directory))


@relaxed
@given(call=calls)
def test_parameters(net: Devnet, call: dict[str, Any]) -> None:
    reply = net.nodes[0].answer(json.dumps(call).encode())
    assert reply.status in EXPECTED
    reply.to_bytes()


@relaxed
@given(body=st.binary(max_size=300) | values.map(lambda value: json.dumps(value).encode()))
def test_bodies(net: Devnet, body: bytes) -> None:
    assert net.nodes[0].answer(body).status == 400


@settings(relaxed, max_examples=60)
@given(
    blob=st.binary(max_size=200),
    control=st.dictionaries(
        st.sampled_from(["headers", "host", "target", "protocol", "port", "destination", "ephemeral_key", "enc_type"]),
        values | st.sampled_from(["11" * 32, "aes-gcm", "/oxen/v4/lsrpc", "http", "127.0.0.1", 1, 70_000, 2**70]),
    ).map(lambda value: json.dumps(value).encode())
    | st.binary(max_size=50),
    enc_type=st.sampled_from(EncType),
)
def test_layers(session: requests.Session, member: Member, blob: bytes, control: bytes, enc_type: EncType) -> None:
    """What is inside of a layer that decrypts may be anything."""
    key = LayerKey.for_sender(member.x25519, enc_type)
    request = frame(key.seal(frame(blob, control)), guard_control(key))
    response = session.post(f"https://{member.ip}:{member.port}/onion_req/v2", data=request, timeout=10)
    assert response.status_code in {200, 502, 504}


@settings(relaxed, max_examples=60)
@given(plaintext=st.binary(max_size=100) | st.from_regex(rb"l[0-9]{1,2}:.{0,40}e", fullmatch=True))
def test_file_server(session: requests.Session, net: Devnet, plaintext: bytes) -> None:
    """The same for the file server; an undecipherable request and a senseless one differ."""
    key = LayerKey.for_sender(net.file_server_x25519, EncType.AES_GCM)
    url = net.file_server_url + "/oxen/v4/lsrpc"
    assert session.post(url, data=plaintext, timeout=10).status_code == 400
    response = session.post(url, data=frame(key.seal(plaintext), guard_control(key)), timeout=10)
    assert response.status_code == 200
    assert b"Invalid v4 onion request" in key.open(response.content)
