"""One config on one device: phases, hashes, dumps, messages in parts."""

from __future__ import annotations

import contextlib
import functools
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_cli.errors import (
    BadSignature,
    DecryptionFailed,
    InvalidInput,
    MalformedMessage,
    ProtocolError,
    UnsupportedVersion,
)
from session_cli.protocol import bencode
from session_cli.protocol.account import Identity
from session_cli.protocol.config import multipart, sealing
from session_cli.protocol.config.dump import dump, load
from session_cli.protocol.config.kinds import ACCOUNT_KINDS, TTL_MS, ConfigKind
from session_cli.protocol.config.multipart import PartStore
from session_cli.protocol.config.state import MAX_OBSOLETE_HASHES, ConfigKeys, ConfigState, Phase
from session_cli.protocol.config.tree import EMPTY, Tree
from session_cli.protocol.config.user_profile import UserProfile

NOW = 1_795_000_000_000
DAY = 24 * 60 * 60 * 1000
ALICE = Identity.from_seed(bytes.fromhex("0123456789abcdef0123456789abcdef"))
KEYS = ConfigKeys.of_account(ALICE)
BARE = ConfigKeys((b"k" * 32,))
KIND = ConfigKind.USER_PROFILE


NONE: frozenset[str] = frozenset()


def hashes(*names: str) -> frozenset[str]:
    return frozenset(names)


def named(state: ConfigState, name: str) -> ConfigState:
    return state.with_data(UserProfile(state.data).with_name(name, NOW // 1000).data)


def name_of(state: ConfigState) -> str:
    return UserProfile(state.data).name


def large(size: int, seed: int = 1) -> Tree:
    """Data of this many bytes, which no compression makes smaller."""
    random = Random(seed)
    return EMPTY.with_values({b"%05d" % number: random.randbytes(1000) for number in range(size // 1000)})


LARGE = large(290_000)


@functools.cache
def parts() -> list[tuple[str, bytes]]:
    """A large config, as the four parts that are pushed of it."""
    pushed = ConfigState(KIND).with_data(LARGE).push(KEYS, NOW)
    return [(f"part{number}", message) for number, message in enumerate(pushed.messages)]


def test_namespaces_and_time_to_live() -> None:
    assert [kind.namespace for kind in ACCOUNT_KINDS] == [2, 3, 5, 4]
    assert [ConfigKind.GROUP_INFO.namespace, ConfigKind.GROUP_MEMBERS.namespace] == [13, 14]
    assert TTL_MS == 2_592_000_000


def test_from_change_to_confirmation() -> None:
    state = named(ConfigState(KIND), "Alice")
    assert (state.phase, state.seqno, state.needs_push) == (Phase.DIRTY, 1, True)
    assert named(state, "Alice") is state
    pushed = state.push(KEYS, NOW)
    assert (pushed.state.phase, pushed.seqno, pushed.obsolete) == (Phase.WAITING, 1, NONE)
    assert pushed.state.confirm_pushed(2, ["h"]) is pushed.state
    clean = pushed.state.confirm_pushed(1, ["h1"])
    assert (clean.phase, clean.active_hashes, clean.needs_push) == (Phase.CLEAN, hashes("h1"), False)
    assert clean.push(KEYS, NOW).messages == pushed.messages
    changed = named(clean, "Alicia")
    assert (changed.seqno, changed.active_hashes, changed.obsolete_hashes) == (2, NONE, hashes("h1"))
    assert changed.push(KEYS, NOW).obsolete == {"h1"}


def test_a_change_while_waiting_makes_the_confirmation_void() -> None:
    pushed = named(ConfigState(KIND), "Alice").push(KEYS, NOW)
    changed = named(pushed.state, "Bob")
    assert (changed.phase, changed.seqno) == (Phase.DIRTY, 2)
    assert changed.confirm_pushed(pushed.seqno, ["h1"]) is changed


def test_what_comes_back_counts_as_confirmed() -> None:
    before = named(ConfigState(KIND), "Alice")
    pushed = before.push(KEYS, NOW)
    for state in (before, pushed.state):
        merged = state.merge([("h1", pushed.messages[0])], KEYS, NOW).state
        assert (merged.phase, merged.current_hashes, merged.obsolete_hashes) == (Phase.CLEAN, hashes("h1"), NONE)
        assert merged.confirm_pushed(1, ["h1"]) is merged


def test_what_is_current_never_becomes_obsolete() -> None:
    pushed = named(ConfigState(KIND), "Alice").push(KEYS, NOW)
    state = pushed.state.confirm_pushed(1, ["h1"])
    again = state.merge([("h1", pushed.messages[0]), ("copy", pushed.messages[0])], KEYS, NOW)
    assert again.state.current_hashes == {"h1"}
    assert again.obsolete == again.state.obsolete_hashes == {"copy"}


def test_what_does_not_open_is_left_alone() -> None:
    state = named(ConfigState(KIND), "Alice")
    other = named(ConfigState(KIND), "Mallory").push(ConfigKeys.of_account(Identity.generate()), NOW)
    merged = state.merge([("foreign", other.messages[0]), ("empty", b"")], KEYS, NOW)
    assert (merged.state, merged.accepted, merged.obsolete) == (state, (), NONE)
    assert [(found, type(error)) for found, error in merged.refused] == [
        ("foreign", DecryptionFailed),
        ("empty", DecryptionFailed),
    ]


@pytest.mark.parametrize(
    "payload", [b"", b"\0" * 216, b"q", b"z", b"zzzz", b"m", b"mle", b"d", b"de", b"z" + b"(\xb5/\xfd"]
)
def test_what_opens_to_nonsense_is_refused(payload: bytes) -> None:
    sealed = sealing.encrypt(payload, ALICE.seed, KIND.domain)
    merged = ConfigState(KIND).merge([("bad", sealed)], KEYS, NOW)
    assert merged.state == ConfigState(KIND)
    assert [type(error) for _, error in merged.refused] == [MalformedMessage]


def test_a_local_config_stays_on_the_device() -> None:
    state = ConfigState(ConfigKind.LOCAL).with_data(EMPTY.with_value([b"theme"], 3))
    assert not state.needs_push
    with pytest.raises(InvalidInput):
        state.push(KEYS, NOW)
    assert load(ConfigKind.LOCAL, dump(state)) == state


@pytest.mark.parametrize("keys", [ConfigKeys((bytes(32),), verify_key=ALICE.ed25519_public), ConfigKeys(())])
def test_who_cannot_sign_or_encrypt_does_not_push(keys: ConfigKeys) -> None:
    with pytest.raises(InvalidInput):
        ConfigState(ConfigKind.GROUP_INFO).push(keys, NOW)


def test_a_device_that_only_reads_does_not_gather_hashes() -> None:
    state = writer = ConfigState(KIND)
    for number in range(MAX_OBSOLETE_HASHES + 20):
        pushed = named(writer, f"name {number}").push(BARE, NOW)
        writer = pushed.state.confirm_pushed(pushed.seqno, [f"h{number}"])
        merged = state.merge([(f"h{number}", pushed.messages[0])], BARE, NOW)
        assert merged.obsolete == state.current_hashes
        state = merged.state
    assert len(state.obsolete_hashes) == MAX_OBSOLETE_HASHES
    assert name_of(state) == name_of(writer)


def test_a_member_of_a_group_gathers_none() -> None:
    admin = replace(BARE, verify_key=ALICE.ed25519_public, sign=ALICE.sign)
    member = replace(admin, sign=None)
    first = ConfigState(ConfigKind.GROUP_INFO).with_data(EMPTY.with_value([b"n"], b"one")).push(admin, NOW)
    second = first.state.with_data(EMPTY.with_value([b"n"], b"two")).push(admin, NOW)
    stored = [("h1", first.messages[0]), ("h2", second.messages[0])]
    merged = ConfigState(ConfigKind.GROUP_INFO).merge(stored, member, NOW)
    assert (merged.state.current_hashes, merged.obsolete, merged.state.obsolete_hashes) == (hashes("h2"), NONE, NONE)
    unsigned = first.state.with_data(EMPTY.with_value([b"n"], b"three")).push(BARE, NOW)
    assert [type(error) for _, error in merged.state.merge([("h3", unsigned.messages[0])], member, NOW).refused] == [
        MalformedMessage
    ]
    other = replace(admin, sign=Identity.generate().sign)
    forged = first.state.with_data(EMPTY.with_value([b"n"], b"three")).push(other, NOW)
    assert [type(error) for _, error in merged.state.merge([("h3", forged.messages[0])], member, NOW).refused] == [
        BadSignature
    ]


def test_secrets_are_not_shown() -> None:
    state = named(ConfigState(KIND), "Alice")
    shown = repr((state, KEYS, state.push(KEYS, NOW), state.push(KEYS, NOW).state))
    assert "Alice" not in shown
    assert ALICE.seed.hex() not in shown
    assert repr(ALICE.seed) not in shown


# Messages in parts


def test_parts_have_the_form_that_all_read() -> None:
    assert len(parts()) == 4
    payloads = [sealing.decrypt(message, ALICE.seed, KIND.domain) for _, message in parts()]
    assert all(len(message) <= sealing.MAX_MESSAGE_BYTES for _, message in parts())
    assert payloads[2].startswith(b"ml32:")
    assert payloads[2][37:49] == b"1:\x021:\x0476710:"
    chunks = [multipart.parse(payload).chunk for payload in payloads]
    assert [len(chunk) for chunk in chunks[:-1]] == [76_710] * 3
    assert multipart.hash_of(b"".join(chunks)) == payloads[0][5:37]
    assert multipart.parse(payloads[0] + bytes(4)) == multipart.parse(payloads[0])


@given(st.permutations(range(4)), st.lists(st.integers(0, 3), max_size=3))
def test_parts_in_any_order_and_more_than_once(order: list[int], extra: list[int]) -> None:
    state = ConfigState(KIND)
    for number in [*order[:2], *extra, *order[2:]]:
        state = state.merge([parts()[number]], KEYS, NOW).state
        state = load(KIND, dump(state))
        complete = state.phase is Phase.CLEAN and state.seqno == 1
    assert complete
    assert state.data == LARGE
    assert state.current_hashes == state.active_hashes == {name for name, _ in parts()}
    late = state.merge([parts()[0]], KEYS, NOW + DAY)
    assert (late.state, late.accepted) == (state, ("part0",))


def test_parts_are_kept_alive_and_for_a_week() -> None:
    state = ConfigState(KIND).merge(parts()[:2], KEYS, NOW).state
    assert state.active_hashes == {"part0", "part1"}
    later = state.merge(parts()[2:3], KEYS, NOW + 6 * DAY).state
    assert later.active_hashes == {"part0", "part1", "part2"}
    assert later.merge(parts()[3:], KEYS, NOW + 12 * DAY).state.data == LARGE
    lost = later.merge(parts()[3:], KEYS, NOW + 14 * DAY).state
    assert (lost.data, lost.active_hashes) == (EMPTY, hashes("part3"))


def test_parts_of_several_configs_do_not_mix() -> None:
    state = ConfigState(KIND).merge(parts(), KEYS, NOW).state
    following = state.with_data(large(290_000, seed=2)).push(KEYS, NOW)
    others = [(f"other{number}", message) for number, message in enumerate(following.messages)]
    mixed = [part for pair in zip(parts(), others, strict=True) for part in pair]
    merged = ConfigState(KIND).merge(mixed, KEYS, NOW).state
    assert (merged.seqno, merged.current_hashes) == (2, hashes(*dict(others)))
    assert merged.obsolete_hashes == {name for name, _ in parts()}


def test_own_parts_that_come_back_are_known() -> None:
    pushed = ConfigState(KIND).with_data(LARGE).push(KEYS, NOW)
    back = pushed.state.merge(parts(), KEYS, NOW)
    assert back.state == pushed.state
    assert len(back.accepted) == len(parts())


def _part(name: bytes, index: int, count: int, chunk: bytes) -> multipart.Part:
    return multipart.parse(multipart.MARK + bencode.encode([name, bytes([index]), bytes([count]), chunk]))


@pytest.mark.parametrize(
    "payload",
    [
        b"m",
        b"mi1e",
        b"ml32:",
        b"d1:#i1ee",
        *(
            b"m" + bencode.encode(value)
            for value in (
                [],
                [bytes(31), b"\0", b"\2", b"x"],
                [bytes(32), b"\0\0", b"\2", b"x"],
                [bytes(32), b"\0", b"", b"x"],
                [bytes(32), b"\0", b"\1", b"x"],
                [bytes(32), b"\2", b"\2", b"x"],
                [bytes(32), b"\0", b"\2", b""],
                [bytes(32), 0, 2, b"x"],
                [bytes(32), b"\0", b"\2", b"x", b"more"],
            )
        ),
    ],
)
def test_malformed_parts(payload: bytes) -> None:
    with pytest.raises(MalformedMessage):
        multipart.parse(payload)


def test_hostile_parts_do_not_disturb_others() -> None:
    payload = b"d1:#i1e1:&de1:<le1:=dee"
    name = multipart.hash_of(payload)
    store, _ = PartStore().add(_part(name, 0, 2, payload[:9]), "h0", NOW)
    with pytest.raises(MalformedMessage):
        store.add(_part(name, 1, 3, b"x"), "other", NOW)
    whole = store.add(_part(name, 1, 2, payload[9:]), "h1", NOW)[1]
    assert whole
    assert (whole.payload, whole.hashes) == (payload, ("h0", "h1"))
    wrong, none = store.add(_part(name, 1, 2, b"x"), "h1", NOW)
    assert (wrong.sets, none) == ({}, None)


def test_parts_take_limited_memory() -> None:
    store = PartStore()
    chunk = bytes(multipart.MAX_CHUNK_BYTES)
    for number in range(400):
        store, _ = store.add(_part(number.to_bytes(32, "big"), 0, 255, chunk), f"h{number}", NOW + number)
    assert sum(part_set.size for part_set in store.sets.values()) <= multipart.MAX_KEPT_BYTES
    assert (399).to_bytes(32, "big") in store.sets
    assert (0).to_bytes(32, "big") not in store.sets


def test_a_config_too_large_for_any_swarm() -> None:
    for data in (large(5_100_000), EMPTY.with_value([b"n"], bytes(5_000_000)), large(4_900_000)):
        with pytest.raises(InvalidInput, match="too large"):
            ConfigState(KIND).with_data(data).push(KEYS, NOW)


def test_a_config_that_is_too_large_only_when_wrapped_is_pushed_bare() -> None:
    state = ConfigState(KIND).with_data(large(73_000))
    (stored,) = state.push(KEYS, NOW).messages
    assert len(stored) == sealing.MAX_MESSAGE_BYTES
    assert ConfigState(KIND).merge([("h", stored)], KEYS, NOW).state.data == state.data


# Dumps


@given(st.lists(st.sampled_from(["change", "push", "confirm", "merge"]), max_size=8), st.randoms())
def test_dumps_are_complete(steps: list[str], random: Random) -> None:
    state = ConfigState(KIND)
    for step in steps:
        match step:
            case "change":
                state = named(state, f"name {random.randrange(5)}")
            case "push":
                state = state.push(KEYS, NOW).state
            case "confirm":
                state = state.confirm_pushed(state.seqno, [f"h{state.seqno}"])
            case "merge":
                other = named(ConfigState(KIND), f"other {random.randrange(5)}").push(KEYS, NOW)
                state = state.merge([(f"m{random.randrange(3)}", other.messages[0])], KEYS, NOW).state
        assert load(KIND, dump(state)) == state
        assert dump(load(KIND, dump(state))) == dump(state)


@given(st.binary(max_size=60))
def test_garbage_is_no_dump(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        load(KIND, data)


@given(st.integers(0, 500), st.binary(min_size=1, max_size=2))
def test_a_damaged_dump_loads_or_is_refused(at: int, put: bytes) -> None:
    state = named(named(ConfigState(KIND), "Alice").push(KEYS, NOW).state.confirm_pushed(1, ["h1"]), "Bob")
    data = dump(state)
    with contextlib.suppress(ProtocolError):
        load(KIND, data[:at] + put + data[at + 1 :])


def test_a_dump_of_a_later_version() -> None:
    with pytest.raises(UnsupportedVersion):
        load(KIND, dump(ConfigState(KIND)).replace(b"1:#i1e", b"1:#i2e", 1))
