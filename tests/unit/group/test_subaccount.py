"""Subaccounts against the official library's results, and the requests that are signed with them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_cli.errors import BadSignature, InvalidAccountId, InvalidInput, MalformedMessage, RpcError
from session_cli.protocol import storage_rpc, storage_upkeep
from session_cli.protocol.account import AccountId, Identity, verify_signature
from session_cli.protocol.group import subaccount
from session_cli.protocol.group.identity import GroupIdentity, parse_group_id
from session_cli.protocol.group.subaccount import Access, GroupMember
from session_cli.protocol.storage_rpc import MessageHash, Request, SwarmAccount
from tests.support.vectors import VECTORS, cases

GROUP = GroupIdentity.from_seed(bytes.fromhex("0123456789abcdeffedcba98765432100123456789abcdeffedcba9876543210"))
ME = Identity.from_seed(b"\x07" * 16)
OTHER = Identity.from_seed(b"\x08" * 16)
NOW_MS = 1_795_397_226_000
HASHES = [MessageHash("a" * 43), MessageHash("b" * 43)]
RECORDED: dict[str, dict[str, Any]] = {
    entry["name"]: entry
    for entry in json.loads((VECTORS / "storage_rpc" / "subaccount.json").read_text(encoding="utf-8"))
}


def member_of(group: GroupIdentity, identity: Identity) -> GroupMember:
    return GroupMember.from_auth_data(identity, group.group_id, subaccount.auth_data(group, identity.account_id))


@pytest.mark.parametrize("vector", cases("groups", "subaccount"))
def test_vector(vector: dict[str, Any]) -> None:
    group = GroupIdentity.from_seed(bytes.fromhex(vector["group_seed"]))
    member = Identity.from_seed(bytes.fromhex(vector["member_seed"]))
    other = Identity.from_seed(bytes.fromhex(vector["other_seed"]))
    assert (group.group_id, member.account_id) == (vector["group_id"], vector["member_account_id"])
    access = Access.READ
    access |= Access.WRITE if vector["write"] else access
    access |= Access.DELETE if vector["delete"] else access
    data = subaccount.auth_data(group, member.account_id, access)
    assert data.hex() == vector["auth_data"]
    assert subaccount.token(group, member.account_id, access).hex() == vector["token"]
    for check in vector["verify"]:
        needed = Access.READ
        needed |= Access.WRITE if check["need_write"] else needed
        needed |= Access.DELETE if check["need_delete"] else needed
        assert subaccount.is_valid(member, group.group_id, data, needed) is check["member_ok"]
        assert subaccount.is_valid(other, group.group_id, data, needed) is check["other_account_ok"]
    damaged = bytes.fromhex(vector["damaged_auth_data"])
    assert subaccount.is_valid(member, group.group_id, damaged, Access.READ) is vector["damaged_verifies"]
    asking = GroupMember.from_auth_data(member, group.group_id, data, Access.READ)
    for expected in vector["signatures"]:
        payload = bytes.fromhex(expected["payload"])
        fields = asking.authentication(payload)
        assert asking.sign(payload).hex() == expected["signature"]
        assert fields == {
            "pubkey": group.group_id,
            "subaccount": expected["subaccount_base64"],
            "subaccount_sig": expected["subaccount_sig_base64"],
            "signature": expected["signature_base64"],
        }


REQUESTS: dict[str, tuple[Callable[[SwarmAccount], Request], str]] = {
    "store": (
        lambda account: storage_rpc.store_own(account, 11, b"hello", timestamp_ms=NOW_MS, ttl_ms=60_000),
        f"store11{NOW_MS}",
    ),
    "retrieve": (
        lambda account: storage_rpc.retrieve(account, timestamp_ms=NOW_MS, namespace=-11),
        f"retrieve-11{NOW_MS}",
    ),
    "delete": (lambda account: storage_rpc.delete(account, HASHES), f"delete{''.join(HASHES)}"),
    "expire": (
        lambda account: storage_upkeep.extend(account, HASHES, NOW_MS),
        f"expireextend{NOW_MS}{''.join(HASHES)}",
    ),
    "get_expiries": (
        lambda account: storage_upkeep.get_expiries(account, HASHES, timestamp_ms=NOW_MS),
        f"get_expiries{NOW_MS}{''.join(HASHES)}",
    ),
    "delete_all": (
        lambda account: storage_upkeep.delete_all(account, 11, timestamp_ms=NOW_MS),
        f"delete_all11{NOW_MS}",
    ),
}


@pytest.mark.parametrize("method", REQUESTS)
def test_each_kind_of_account_proves_its_requests(method: str) -> None:
    make, signed = REQUESTS[method]
    member = member_of(GROUP, ME)
    accounts: list[tuple[SwarmAccount, bytes, set[str]]] = [
        (ME, ME.ed25519_public, {"pubkey", "pubkey_ed25519", "signature"}),
        (GROUP, GROUP.ed25519_public, {"pubkey", "signature"}),
        (member, member.token[4:], {"pubkey", "subaccount", "subaccount_sig", "signature"}),
    ]
    for account, key, fields in accounts:
        request = make(account)
        assert request.method == method
        assert request.params["pubkey"] == account.account_id
        verify_signature(key, signed.encode(), base64.b64decode(request.params["signature"]))
        proof = {"pubkey", "pubkey_ed25519", "signature", "subaccount", "subaccount_sig"}
        assert proof & set(request.params) == fields


def test_access_is_changed_as_in_the_recordings() -> None:
    """What the real servers accepted, and the proof that each gave of having done it."""
    for name in ("revoke_three", "unrevoke_three_plus"):
        entry = RECORDED[f"subaccount.{name}"]
        sent = entry["request"]["body"]
        params = sent["params"]
        verb = sent["method"].removesuffix("_subaccount")
        tokens = [base64.b64decode(token) for token in params[verb]]
        make = storage_upkeep.revoke_subaccounts if verb == "revoke" else storage_upkeep.unrevoke_subaccounts
        made = make(GROUP, tokens, timestamp_ms=params["timestamp"])
        assert (made.method, set(made.params)) == (sent["method"], set(params))
        assert made.params[verb] == params[verb]
        signed = f"{sent['method']}{params['timestamp']}".encode() + b"".join(tokens)
        verify_signature(bytes.fromhex(params["pubkey"][2:]), signed, base64.b64decode(params["signature"]))
        verify_signature(GROUP.ed25519_public, signed, base64.b64decode(made.params["signature"]))
        body = entry["response"]["body"]
        members = frozenset(body["swarm"])
        group_id, sent_ms = params["pubkey"], params["timestamp"]
        assert storage_upkeep.parse_access(body, group_id, tokens, sent_ms, members) == members
        assert storage_upkeep.parse_access(body, group_id, tokens, sent_ms, frozenset([min(members)])) == {min(members)}
        for wrong in ((group_id, tokens[1:], sent_ms, members), (group_id, tokens, sent_ms + 1, members)):
            with pytest.raises(RpcError):
                storage_upkeep.parse_access(body, *wrong)
        with pytest.raises(RpcError):
            storage_upkeep.parse_access(body, group_id, tokens, sent_ms, frozenset(["aa" * 32]))


def test_a_recorded_delete_all_is_proved() -> None:
    recorded = json.loads((VECTORS / "storage_rpc" / "delete.json").read_text(encoding="utf-8"))
    entry = next(entry for entry in recorded if entry["name"] == "delete_all.ns2")
    params, body = entry["request"]["body"]["params"], entry["response"]["body"]
    members = frozenset(body["swarm"])
    assert storage_upkeep.parse_delete_all(body, params["pubkey"], params["timestamp"], members) == members
    with pytest.raises(RpcError):
        storage_upkeep.parse_delete_all(body, params["pubkey"], params["timestamp"] + 1, members)


@pytest.mark.parametrize(
    "body", [None, [], {}, {"swarm": []}, {"swarm": {"aa": 3}}, {"swarm": {"aa": {"signature": 1}}}]
)
def test_malformed_answers_prove_nothing(body: Any) -> None:
    with pytest.raises(RpcError):
        storage_upkeep.parse_access(body, GROUP.group_id, [bytes(36)], NOW_MS, frozenset(["aa"]))
    with pytest.raises(RpcError):
        storage_upkeep.parse_delete_all(body, GROUP.group_id, NOW_MS, frozenset(["aa"]))


@pytest.mark.parametrize("count", [0, storage_upkeep.MOST_REVOKED + 1])
def test_a_request_revokes_no_more_than_a_swarm_remembers(count: int) -> None:
    with pytest.raises(ValueError, match="subaccounts"):
        storage_upkeep.revoke_subaccounts(GROUP, [bytes(36)] * count, timestamp_ms=NOW_MS)


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=16, max_size=16), st.binary(max_size=200))
def test_members_sign_what_their_token_verifies(seed: bytes, member_seed: bytes, message: bytes) -> None:
    group, identity = GroupIdentity.from_seed(seed), Identity.from_seed(member_seed)
    member = member_of(group, identity)
    assert member.token == subaccount.token(group, identity.account_id)
    verify_signature(member.token[4:], message, member.sign(message))
    verify_signature(group.ed25519_public, member.token, member.token_signature)


GOOD = subaccount.auth_data(GROUP, ME.account_id)


@pytest.mark.parametrize(
    "data",
    [b"", GOOD[:-1], GOOD + b"\0", b"\x05" + GOOD[1:], GOOD[:4] + bytes(32) + GOOD[36:], b"\x03\x01" + GOOD[2:]],
    ids=["empty", "short", "long", "prefix", "zero factor", "reads only"],
)
def test_malformed_auth_data(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        GroupMember.from_auth_data(ME, GROUP.group_id, data)


@given(st.integers(1, 99), st.integers(1, 255))
def test_damaged_auth_data_lets_nobody_in(at: int, flip: int) -> None:
    damaged = GOOD[:at] + bytes([GOOD[at] ^ flip]) + GOOD[at + 1 :]
    assert not subaccount.is_valid(ME, GROUP.group_id, damaged, Access(0))


def test_auth_data_is_for_one_account_and_group() -> None:
    with pytest.raises(BadSignature):
        GroupMember.from_auth_data(OTHER, GROUP.group_id, GOOD)
    with pytest.raises(BadSignature):
        GroupMember.from_auth_data(ME, GroupIdentity.from_seed(b"\1" * 32).group_id, GOOD)
    assert subaccount.is_valid(ME, GROUP.group_id, GOOD)


def test_an_id_without_a_key_gets_no_access() -> None:
    for digits in ("00" * 32, "ff" * 32):
        with pytest.raises(InvalidInput):
            subaccount.auth_data(GROUP, AccountId("05" + digits))


def test_identity() -> None:
    assert GroupIdentity.generate() != GroupIdentity.generate()
    assert "0123456789abcdef" not in repr(GROUP)
    assert parse_group_id(f" {GROUP.group_id.upper()}\n") == GROUP.group_id
    for text in ("", "03", "05" + GROUP.group_id[2:], GROUP.group_id + "0", "03" + "00" * 32, "03" + "ff" * 32):
        with pytest.raises(InvalidAccountId):
            parse_group_id(text)
    with pytest.raises(InvalidInput):
        GroupIdentity.from_seed(b"\1" * 16)
