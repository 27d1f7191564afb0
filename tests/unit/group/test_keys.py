"""A group's keys: what always holds, and what is refused. The official library's are in the scripts."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_cli.errors import BadSignature, InvalidInput, MalformedMessage, UnsupportedVersion
from session_cli.protocol import bencode, signed_dict
from session_cli.protocol.account import AccountId, Identity
from session_cli.protocol.group import dump
from session_cli.protocol.group.identity import GroupIdentity, shared_key
from session_cli.protocol.group.keys import GroupKey, GroupKeys, StoredKeys
from session_cli.protocol.group.multi_encrypt import seal
from tests.support.payloads import mutations

GROUP = GroupIdentity.from_seed(b"\3" * 32)
EMPTY = GroupKeys(GROUP.group_id)
ADMIN, ANN, TOM = (Identity.from_seed(bytes([number]) * 16) for number in (1, 2, 3))
ALL = [one.account_id for one in (ADMIN, ANN, TOM)]
NOW_MS = 1_795_000_000_000
DAY_MS = 24 * 3600 * 1000


def rekeyed(held: GroupKeys, members: list[AccountId], name: str, timestamp_ms: int = NOW_MS) -> StoredKeys:
    """The message of a new key, as the swarm has it."""
    pending = held.rekey(GROUP, members).pending
    assert pending
    return StoredKeys(name, timestamp_ms, pending.message)


def history(count: int, step_ms: int = DAY_MS) -> list[StoredKeys]:
    """So many changes of the keys, one after the other, for all members."""
    held, found = EMPTY, []
    for number in range(count):
        message = rekeyed(held, ALL, f"k{number}", NOW_MS + number * step_ms)
        held, _ = held.load(message, ADMIN, GROUP)
        found.append(message)
    return found


def test_admins_and_members_get_the_same_key_and_others_none() -> None:
    message = rekeyed(EMPTY, ALL[:2], "k0")
    by_admin, _ = EMPTY.load(message, ADMIN, GROUP)
    by_member, found = EMPTY.load(message, ANN)
    assert found
    assert by_member == by_admin
    by_stranger, found = EMPTY.load(message, TOM)
    assert not found
    assert by_stranger == EMPTY, "who has no key keeps nothing of others alive"


def test_who_was_removed_keeps_the_old_keys_alone() -> None:
    first = rekeyed(EMPTY, ALL, "k0")
    held, _ = EMPTY.load(first, ADMIN, GROUP)
    second = rekeyed(held, ALL[:2], "k1")
    loaded = EMPTY.load_all([first, second], TOM)
    assert loaded.found == ("k0",)
    assert loaded.keys.active_hashes == {"k0", "k1"}
    assert loaded.keys.generation == 0


def test_a_pending_key_is_used_at_once() -> None:
    held, _ = EMPTY.load(rekeyed(EMPTY, ALL, "k0"), ADMIN, GROUP)
    changed = held.rekey(GROUP, ALL)
    pending = changed.pending
    assert pending
    assert changed.encryption_keys == (pending.key, *held.encryption_keys)
    assert (changed.generation, pending.generation) == (0, 1)
    assert changed.rekey(GROUP, ALL) == changed
    stored = StoredKeys("k1", NOW_MS + 1, pending.message)
    confirmed, _ = changed.load(stored, ADMIN, GROUP)
    assert confirmed.pending is None
    assert confirmed.encryption_keys == changed.encryption_keys
    assert confirmed.generation == 1


def test_a_pending_key_gives_way_to_a_later_generation_alone() -> None:
    first, second, third = history(3)
    held, _ = EMPTY.load(first, ADMIN, GROUP)
    mine = held.rekey(GROUP, ALL[:2])
    same_generation, _ = mine.load(second, ADMIN, GROUP)
    assert same_generation.pending == mine.pending
    assert same_generation.encryption_keys[0] == (mine.pending.key if mine.pending else None)
    later, _ = same_generation.load(third, ADMIN, GROUP)
    assert later.pending is None


def test_two_admins_at_once() -> None:
    held, _ = EMPTY.load(rekeyed(EMPTY, ALL, "k0"), ADMIN, GROUP)
    same = [held.rekey(GROUP, order).pending for order in (ALL, ALL[::-1])]
    assert same[0] == same[1]
    conflict = held.rekey(GROUP, ALL[1:])
    conflicting = [rekeyed(held, ALL, "a", NOW_MS + 1), rekeyed(held, ALL[:2], "b", NOW_MS + 2)]
    for order in itertools.permutations(conflicting):
        loaded = held.load_all(order, ADMIN, GROUP).keys
        assert loaded.needs_rekey
        assert len(loaded.encryption_keys) == 3
        assert not loaded.rekey(GROUP, ALL).needs_rekey, "it is done, if not pushed"
        assert replace(loaded, pending=conflict.pending).needs_rekey
        settled, _ = loaded.load(rekeyed(loaded, ALL, "c", NOW_MS + 3), ADMIN, GROUP)
        assert settled.generation == 2
        assert not settled.needs_rekey


@given(st.permutations(range(5)), st.lists(st.integers(0, 4), max_size=3))
def test_the_order_of_messages_decides_nothing(order: list[int], again: list[int]) -> None:
    messages = history(5, 20 * DAY_MS)
    expected = EMPTY.load_all(messages, ANN).keys
    assert EMPTY.load_all([messages[number] for number in [*order, *again]], ANN).keys == expected
    assert [key.generation for key in expected.keys] == [0, 1, 2, 3, 4]


def test_generations_expire_when_their_successor_is_old() -> None:
    messages = history(5, 31 * DAY_MS)
    held = EMPTY.load_all(messages, ANN).keys
    assert [key.generation for key in held.keys] == [2, 3, 4]
    assert held.active_hashes == {"k2", "k3", "k4"}
    assert EMPTY.load_all(messages[::-1], ANN).keys == held


def test_a_supplement_gives_all_keys_there_are() -> None:
    messages = history(3)
    held = EMPTY.load_all(messages, ADMIN, GROUP).keys
    late = Identity.from_seed(b"\7" * 16)
    supplement = StoredKeys("s", NOW_MS + 9 * DAY_MS, held.supplement(GROUP, [late.account_id]))
    loaded, found = EMPTY.load(supplement, late)
    assert found
    assert loaded.keys == held.keys, "with the times at which the swarm got them"
    assert loaded.active_hashes == {"s"}
    for identity, group in ((TOM, None), (ADMIN, GROUP)):
        again, found = held.load(supplement, identity, group)
        assert (found, again.keys) == (False, held.keys)
        assert again.active_hashes == {"k0", "k1", "k2", "s"}


def test_without_keys_there_is_no_supplement() -> None:
    for held in (EMPTY, EMPTY.rekey(GROUP, ALL)):
        with pytest.raises(InvalidInput):
            held.supplement(GROUP, ALL)


@pytest.mark.parametrize("count", [0, 1, 44, 45, 46, 100])
def test_the_number_of_members_is_hidden(count: int) -> None:
    members = [Identity.from_seed(bytes([number]) * 16).account_id for number in range(count)]
    pending = EMPTY.rekey(GROUP, members).pending
    assert pending
    fields = bencode.decode(pending.message)
    assert isinstance(fields, dict)
    listed = fields[b"k"]
    assert isinstance(listed, list)
    assert len(listed) == -(-count // 45) * 45
    assert len(set(map(str, listed))) == len(listed)


def test_ids_without_a_usable_key_are_passed_over() -> None:
    odd = AccountId("05" + "00" * 32)
    message = rekeyed(EMPTY, [odd, ANN.account_id], "k0")
    assert EMPTY.load(message, ANN)[1]


# What is refused.

GOOD = rekeyed(EMPTY, ALL, "k0")
FIELDS = bencode.decode(GOOD.data)
assert isinstance(FIELDS, dict)
HELD = EMPTY.load_all(history(2), ADMIN, GROUP).keys
SUPPLEMENT = HELD.supplement(GROUP, [ANN.account_id])


def signed(changes: dict[bytes, object], without: bytes = b"") -> StoredKeys:
    """The message with other fields, signed by the group."""
    assert isinstance(FIELDS, dict)
    fields = {key: value for key, value in {**FIELDS, **changes}.items() if key not in (b"~", without)}
    return replace(GOOD, data=signed_dict.sign(bencode.encode(fields), GROUP.sign))


def test_unknown_fields_are_passed_over() -> None:
    assert EMPTY.load(signed({b"H": b"later"}), ANN)[1]


@pytest.mark.parametrize(
    "changes",
    [
        {b"#": bytes(23)},
        {b"#": 7},
        {b"G": -1},
        {b"G": 2**62 + 1},
        {b"G": b"0"},
        {b"K": bytes(47)},
        {b"K": 0},
        {b"k": []} | {b"K": b""},
        {b"k": [bytes(48)] * 44},
        {b"k": [bytes(48)] * 75},
        {b"k": [bytes(48)] * 44 + [bytes(49)]},
        {b"k": [7] * 45},
        {b"k": {}},
        {b"+": b""},
        {b"+": [bytes(67)]},
        {b"+": [7]},
    ],
    ids=str,
)
def test_signed_but_malformed(changes: dict[bytes, object]) -> None:
    for identity, group in ((ANN, None), (ADMIN, GROUP)):
        with pytest.raises(MalformedMessage):
            EMPTY.load(signed(changes), identity, group)


@pytest.mark.parametrize("missing", [b"#", b"G", b"K", b"k"])
def test_what_is_missing(missing: bytes) -> None:
    with pytest.raises(MalformedMessage):
        EMPTY.load(signed({}, without=missing), ANN)


def test_a_key_that_its_admins_cannot_read() -> None:
    with pytest.raises(MalformedMessage):
        EMPTY.load(signed({b"K": bytes(48)}), ADMIN, GROUP)


@pytest.mark.parametrize(
    "disclosed",
    [
        {b"x": bytes(60)},
        [bytes(60)],
        [{b"g": 0, b"k": bytes(31), b"t": 0, b"x": b"later"}],
        [{b"g": -1, b"k": bytes(32), b"t": 0}],
    ],
    ids=["no list", "no keys", "short key", "generation"],
)
def test_a_supplement_with_rubbish_inside(disclosed: object) -> None:
    nonce = bytes(24)
    domain = b"SessionGroupKeyMemberKey"
    shared = shared_key(GROUP.x25519_secret, ANN.x25519_public, GROUP.x25519_public, ANN.x25519_public, domain)
    unsigned = bencode.encode({b"#": nonce, b"+": [seal(shared, nonce, bencode.encode(disclosed))], b"G": 0})
    supplement = replace(GOOD, data=signed_dict.sign(unsigned, GROUP.sign))
    assert not EMPTY.load(supplement, TOM)[1]
    with pytest.raises(MalformedMessage):
        EMPTY.load(supplement, ANN)


def test_who_signed() -> None:
    mallory = GroupIdentity.from_seed(b"\4" * 32)
    unsigned = GOOD.data[:-72] + b"e"
    with pytest.raises(BadSignature):
        EMPTY.load(replace(GOOD, data=signed_dict.sign(unsigned, mallory.sign)), ANN)
    with pytest.raises(BadSignature):
        GroupKeys(mallory.group_id).load(GOOD, ANN)
    with pytest.raises(MalformedMessage):
        EMPTY.load(replace(GOOD, data=unsigned), ANN)


@given(mutations(st.sampled_from([GOOD.data, SUPPLEMENT])))
def test_damaged_messages_change_nothing(data: bytes) -> None:
    loaded = HELD.load_all([StoredKeys("x", NOW_MS, data)], ANN)
    if data in (GOOD.data, SUPPLEMENT):
        assert loaded.accepted == ("x",)
    else:
        assert loaded.keys == HELD
        assert [name for name, _ in loaded.refused] == ["x"]


# What is kept.

KEYS = st.builds(GroupKey, st.integers(0, 2**62), st.integers(0, 2**53), st.binary(min_size=32, max_size=32))


@given(
    st.lists(KEYS, max_size=4), st.dictionaries(st.integers(0, 2**62), st.frozensets(st.text(min_size=1)), max_size=3)
)
def test_dump_and_load(held: list[GroupKey], hashes: dict[int, frozenset[str]]) -> None:
    for pending in (None, HELD.rekey(GROUP, ALL).pending):
        kept = GroupKeys(GROUP.group_id, tuple(sorted(held)), hashes, pending)
        assert dump.load(GROUP.group_id, dump.dump(kept)) == kept


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"le",
        b"d1:#i1ee",
        b"d1:#i1e1:Ali1ee1:Llee",
        b"d1:#i1e1:All1:aee1:Llee",
        b"d1:#i1e1:Alli1e1:\xffee1:Llee",
        b"d1:#i1e1:Ale1:Lli1eee",
        b"d1:#i1e1:Ale1:Lle1:Pdee",
    ],
)
def test_malformed_dumps(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        dump.load(GROUP.group_id, data)


def test_a_dump_of_a_later_version() -> None:
    with pytest.raises(UnsupportedVersion):
        dump.load(GROUP.group_id, b"d1:#i2e1:Ale1:Llee")


def test_secrets_stay_out_of_sight() -> None:
    shown = repr(HELD.rekey(GROUP, ALL))
    assert not any(repr(key)[2:20] in shown for key in HELD.rekey(GROUP, ALL).encryption_keys)
