"""Messages to several recipients, and the notices of removal that are such, against the official library's."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_cli.errors import MalformedMessage
from session_cli.protocol import bencode
from session_cli.protocol.account import AccountId, Identity, key_of
from session_cli.protocol.group import multi_encrypt
from session_cli.protocol.group.identity import GroupIdentity
from session_cli.protocol.group.kick import kick_notice, kicked_generation
from tests.support.vectors import cases

GROUP = GroupIdentity.from_seed(b"\3" * 32)
ME, OTHER = (Identity.from_seed(bytes([number]) * 16) for number in (1, 2))
NONCE = bytes.fromhex("32ab4bb45d6df5cc14e1c330fb1a8b68ea3826a8c2213a49")


def raw(value: str | None) -> bytes | None:
    return None if value is None else bytes.fromhex(value)


@pytest.mark.parametrize("vector", cases("multi_encrypt", "multi_encrypt"))
def test_vector(vector: dict[str, Any]) -> None:
    domain, encoded = vector["domain"].encode(), bytes.fromhex(vector["encoded"])
    secret, public = (bytes.fromhex(vector["sender"][name]) for name in ("x25519_sk", "x25519_pk"))
    recipients = [bytes.fromhex(recipient["x25519_pk"]) for recipient in vector["recipients"]]
    messages = [bytes.fromhex(message) for message in vector["messages"]]
    pairs = list(zip(recipients, itertools.cycle(messages), strict=False))
    made = multi_encrypt.encrypt(secret, public, pairs, domain, nonce=bytes.fromhex(vector["nonce"]))
    ours, theirs = bencode.decode(made), bencode.decode(encoded)
    assert isinstance(ours, dict)
    assert isinstance(theirs, dict)
    assert isinstance(ours[b"e"], list)
    assert isinstance(theirs[b"e"], list)
    padding = theirs[b"e"][len(recipients) :]
    assert len(padding) == (-len(recipients) % vector["pad"] if vector["pad"] else 0)
    assert bencode.encode({**ours, b"e": [*ours[b"e"], *padding]}) == encoded
    for reader in (*vector["recipients"], *vector["outsiders"]):
        own_secret, own_public = bytes.fromhex(reader["x25519_sk"]), bytes.fromhex(reader["x25519_pk"])
        found = multi_encrypt.decrypt(own_secret, own_public, public, encoded, domain)
        assert found == raw(reader["plaintext"])
    first = vector["recipients"][0]
    for case in vector["failures_for_first_recipient"]:
        own = bytes.fromhex(first["x25519_sk"]), bytes.fromhex(first["x25519_pk"])
        sender, changed = bytes.fromhex(case["sender_x25519_pk"]), bytes.fromhex(case["encoded"])
        if case["description"] == "not bencoded":
            with pytest.raises(MalformedMessage):
                multi_encrypt.decrypt(*own, sender, changed, case["domain"].encode())
        else:
            assert multi_encrypt.decrypt(*own, sender, changed, case["domain"].encode()) == raw(case["plaintext"])


@pytest.mark.parametrize("vector", cases("groups", "kicked"))
def test_kick_notice_vector(vector: dict[str, Any]) -> None:
    group = GroupIdentity.from_seed(bytes.fromhex(vector["group_seed"]))
    removed = [AccountId(account["account_id"]) for account in vector["accounts"] if account["plaintext"]]
    nonce = bytes.fromhex(vector["nonce"])
    assert kick_notice(group, removed, vector["generation"], nonce=nonce).hex() == vector["message"]
    for account in vector["accounts"]:
        identity = Identity.from_seed(bytes.fromhex(account["seed"]))
        found = kicked_generation(identity, group.group_id, bytes.fromhex(vector["message"]))
        assert found == (vector["generation"] if account["plaintext"] else None)


@given(st.lists(st.binary(min_size=16, max_size=16), min_size=1, max_size=4, unique=True), st.integers(0, 2**62))
def test_only_those_removed_learn_of_it(seeds: list[bytes], generation: int) -> None:
    removed = [Identity.from_seed(seed) for seed in seeds]
    notice = kick_notice(GROUP, [one.account_id for one in removed], generation)
    assert [kicked_generation(one, GROUP.group_id, notice) for one in removed] == [generation] * len(removed)
    outsider = Identity.from_seed(b"outsider" + bytes(24))
    assert kicked_generation(outsider, GROUP.group_id, notice) is None
    another = GroupIdentity.from_seed(b"\4" * 32)
    assert kicked_generation(removed[0], another.group_id, notice) is None


def test_unusable_keys_are_passed_over() -> None:
    unusable = AccountId("05" + "00" * 32)
    notice = kick_notice(GROUP, [unusable, ME.account_id], 7, nonce=NONCE)
    assert notice == kick_notice(GROUP, [ME.account_id], 7, nonce=NONCE)


@pytest.mark.parametrize(
    "plaintext",
    [b"", ME.x25519_public, key_of(OTHER.account_id) + b"7", ME.x25519_public + b"-1", ME.x25519_public + b"9" * 20],
    ids=["empty", "no generation", "somebody else", "negative", "enormous"],
)
def test_a_notice_that_names_nobody_removes_nobody(plaintext: bytes) -> None:
    pairs = [(ME.x25519_public, plaintext)]
    notice = multi_encrypt.encrypt(GROUP.x25519_secret, GROUP.x25519_public, pairs, b"SessionGroupKickedMessage")
    with pytest.raises(MalformedMessage):
        kicked_generation(ME, GROUP.group_id, notice)


@pytest.mark.parametrize(
    "notice",
    [
        b"",
        b"de",
        b"le",
        b"d1:#24:" + NONCE + b"e",
        b"d1:#3:abc1:elee",
        b"d1:#24:" + NONCE + b"1:eli1eee",
        b"l" * 70_000,
    ],
)
def test_malformed_notices(notice: bytes) -> None:
    with pytest.raises(MalformedMessage):
        kicked_generation(ME, GROUP.group_id, notice)


def test_truncated_ciphertexts_open_nothing() -> None:
    notice = b"d1:#24:" + NONCE + b"1:el0:15:" + bytes(15) + b"16:" + bytes(16) + b"ee"
    assert kicked_generation(ME, GROUP.group_id, notice) is None
