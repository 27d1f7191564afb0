"""Requests about messages that a swarm holds, held against recordings, and the belief in the answers."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_cli.errors import RpcError
from session_cli.protocol import storage_upkeep
from session_cli.protocol.account import Identity, verify_signature
from session_cli.protocol.storage_rpc import MessageHash
from session_cli.protocol.storage_upkeep import ExpireResult, parse_expire, parse_expiries

RECORDED: dict[str, dict[str, Any]] = {
    entry["name"]: entry
    for entry in json.loads(
        (Path(__file__).parents[1] / "vectors" / "storage_rpc" / "expire.json").read_text(encoding="utf-8")
    )
}
ME = Identity.from_seed(b"\x07" * 16)
NODES = [Identity.from_seed(bytes([number]) * 32) for number in range(1, 5)]
NAMES = [node.ed25519_public.hex() for node in NODES]
MEMBERS = frozenset(NAMES)
H1, H2, H3 = (MessageHash(name * 43) for name in "abc")
SOON, LATER = 1_800_000_000_000, 1_800_000_100_000


def test_requests_are_signed_as_the_recorded_ones() -> None:
    """What the real servers accepted was signed over just these texts."""
    for name in ("expire.shorten.down", "get_expiries.two"):
        sent = RECORDED[name]["request"]["body"]
        params, hashes = sent["params"], sent["params"]["messages"]
        if sent["method"] == "expire":
            made = storage_upkeep.expire(ME, hashes, params["expiry"])
        else:
            made = storage_upkeep.get_expiries(ME, hashes, timestamp_ms=params["timestamp"])
        assert made.method == sent["method"]
        assert set(made.params) == set(params)
        whose = ("pubkey", "pubkey_ed25519", "signature")
        assert {key: made.params[key] for key in params if key not in whose} == {
            key: params[key] for key in params if key not in whose
        }
        what = "expireshorten" if made.method == "expire" else "get_expiries"
        signed = f"{what}{params.get('expiry') or params.get('timestamp')}{''.join(params['messages'])}".encode()
        recorded_key = bytes.fromhex(params["pubkey_ed25519"])
        verify_signature(recorded_key, signed, base64.b64decode(params["signature"]))
        verify_signature(ME.ed25519_public, signed, base64.b64decode(made.params["signature"]))


def result(node: Identity, updated: list[str], unchanged: dict[str, int], *, until: int = LATER) -> dict[str, Any]:
    """What a member answers who was asked about all three."""
    told = "".join(f"{hash}{unchanged[hash]}" for hash in sorted(unchanged))
    signed = f"{ME.account_id}{until}{H1}{H2}{H3}{''.join(updated)}{told}"
    signature = base64.b64encode(node.sign(signed.encode())).decode()
    return {"expiry": until, "updated": updated, "unchanged": unchanged, "signature": signature}


def read(*results: Any, until: int = LATER) -> ExpireResult:
    body = {"swarm": dict(zip(NAMES, results, strict=False))}
    return parse_expire(body, ME.account_id, [H1, H2, H3], until, MEMBERS)


def test_each_member_says_what_it_keeps() -> None:
    found = read(*(result(node, [H1], {H2: SOON}) for node in NODES))
    assert [found.dropped_ms(hash) for hash in (H1, H2, H3)] == [LATER, SOON, 0]


def test_a_few_members_make_nothing_disappear() -> None:
    kept = [result(node, [H1, H2, H3], {}) for node in NODES[:2]]
    lying = [result(node, [], {}) for node in NODES[2:]]
    assert read(*kept, *lying).dropped_ms(H1) == LATER, "half of them"
    assert read(*kept[:1], *[result(node, [], {}) for node in NODES[1:]]).dropped_ms(H1) == 0, "most of them"
    assert read(result(NODES[0], [], {})).dropped_ms(H1) is None, "one alone"


@pytest.mark.parametrize(
    "wrong",
    [
        {"failed": True, "timeout": True},
        result(NODES[1], [H1], {}),
        result(NODES[0], [H1], {}) | {"updated": [H2]},
        result(NODES[0], [H1], {H2: SOON}) | {"unchanged": {H2: SOON + 1}},
        result(NODES[0], [H1], {}) | {"expiry": LATER - 1},
        result(NODES[0], [H1], {}) | {"signature": None},
        result(NODES[0], [H1], {}) | {"signature": "?"},
        result(NODES[0], [H1], {}) | {"unchanged": []},
        result(NODES[0], [H1], {}) | {"updated": 7},
        result(NODES[0], [H1], {}, until=LATER + 1),
        "ok",
        None,
    ],
)
def test_what_is_not_proved_counts_for_nothing(wrong: Any) -> None:
    with pytest.raises(RpcError):
        read(wrong)
    beside = read(wrong, *(result(node, [H1], {}) for node in NODES[1:]))
    assert set(beside.kept) == set(NAMES[1:])


def test_a_stranger_proves_nothing() -> None:
    body = {"swarm": {NAMES[0]: result(NODES[0], [H1], {})}}
    with pytest.raises(RpcError):
        parse_expire(body, ME.account_id, [H1, H2, H3], LATER, MEMBERS - {NAMES[0]})


def test_expiries_name_what_was_asked_for() -> None:
    assert parse_expiries({"expiries": {H1: SOON, H3: LATER}}, [H1, H2]) == {H1: SOON}
    wrongs: list[Any] = [
        None,
        {},
        {"expiries": []},
        {"expiries": {H1: "1"}},
        {"expiries": {H1: -1}},
        {"expiries": {H1: 2**63}},
    ]
    for wrong in wrongs:
        with pytest.raises(RpcError):
            parse_expiries(wrong, [H1])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["swarm", NAMES[0], "expiries", H1, "updated", "unchanged", "expiry", "signature"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_json_is_parsed_or_refused(body: Any) -> None:
    for parse in (
        lambda: parse_expire(body, ME.account_id, [H1], LATER, MEMBERS),
        lambda: parse_expire({"swarm": {NAMES[0]: body}}, ME.account_id, [H1], LATER, MEMBERS),
        lambda: parse_expiries(body, [H1]),
    ):
        try:
            parse()
        except RpcError:
            continue
