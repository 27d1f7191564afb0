"""Members of a swarm need not give messages in the order in which they were sent: in the end all is the same."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from session_cli.core.intake import Intake
from session_cli.core.preferences import Preferences
from session_cli.core.profile import Profile, choose_network, create_profile, key_sources, open_profile
from session_cli.core.sealing import STAYS
from session_cli.protocol import content as contents
from session_cli.protocol import session_v1
from session_cli.protocol.account import Identity
from session_cli.protocol.payload import (
    Content,
    Expiration,
    ExpirationMode,
    Payload,
    Quote,
    Reaction,
    ReadReceipt,
    RequestAccepted,
    TimerUpdate,
    Unsend,
    VisibleMessage,
)
from session_cli.protocol.payload import Profile as Described
from session_cli.protocol.storage_rpc import MessageHash, Namespace, StoredMessage, message_hash
from session_cli.store.history import Range
from session_cli.store.key import KeyMethod

ALICE, BOB, MALLORY = (Identity.from_seed(bytes([number]) * 16) for number in (1, 2, 3))
NOW_MS = 1_800_000_000_000
EXPIRES_MS = NOW_MS + 14 * 86_400_000
ALL = Preferences(read_receipts=True, typing=True, saved_notices=True)


@dataclass(frozen=True, slots=True)
class Said:
    """Something that somebody said to Alice, or another device of hers to her, at a time after the first (ms)."""

    who: Identity
    at: int
    payload: Payload


def _bob(name: str) -> Described:
    return Described(name, updated_s=int(name[-1]))


QUESTION, ANSWER, NOTE, SPAM = 10, 20, 30, 40
SAID = [
    Said(ALICE, QUESTION, VisibleMessage("tea?", sync_target=BOB.account_id)),
    Said(BOB, ANSWER, VisibleMessage("yes", quote=Quote(ALICE.account_id, NOW_MS + QUESTION), profile=_bob("Bob 1"))),
    Said(BOB, 21, VisibleMessage("or rather coffee", profile=_bob("Bob 2"))),
    Said(ALICE, NOTE, VisibleMessage("milk", sync_target=ALICE.account_id)),
    Said(ALICE, 31, VisibleMessage("sugar", sync_target=ALICE.account_id)),
    Said(MALLORY, SPAM, VisibleMessage("buy this")),
    Said(BOB, 50, RequestAccepted(_bob("Bob 1"))),
    # Put, taken and put again; put and taken.
    Said(BOB, 51, Reaction(ALICE.account_id, NOW_MS + QUESTION, "🥰", remove=False)),
    Said(BOB, 52, Reaction(ALICE.account_id, NOW_MS + QUESTION, "🥰", remove=True)),
    Said(BOB, 53, Reaction(ALICE.account_id, NOW_MS + QUESTION, "🥰", remove=False)),
    Said(BOB, 54, Reaction(ALICE.account_id, NOW_MS + QUESTION, "😮", remove=False)),
    Said(BOB, 55, Reaction(ALICE.account_id, NOW_MS + QUESTION, "😮", remove=True)),
    Said(ALICE, 56, Reaction(BOB.account_id, NOW_MS + ANSWER, "👍", remove=False, sync_target=BOB.account_id)),
    Said(ALICE, 57, Reaction(BOB.account_id, NOW_MS + 21, "😢", remove=False, sync_target=BOB.account_id)),
    Said(ALICE, 58, Reaction(ALICE.account_id, NOW_MS + NOTE, "🥛", remove=False, sync_target=ALICE.account_id)),
    Said(BOB, 60, ReadReceipt((NOW_MS + QUESTION, NOW_MS + ANSWER))),
    Said(BOB, 61, ReadReceipt((NOW_MS + QUESTION,))),
    # Deleted by the author, by another device of ours, and by those who may not.
    Said(BOB, 70, Unsend(BOB.account_id, NOW_MS + 21)),
    Said(ALICE, 71, Unsend(ALICE.account_id, NOW_MS + 31)),
    Said(ALICE, 72, Unsend(MALLORY.account_id, NOW_MS + SPAM)),
    Said(MALLORY, 73, Unsend(ALICE.account_id, NOW_MS + QUESTION)),
    Said(MALLORY, 74, Unsend(BOB.account_id, NOW_MS + ANSWER)),
    Said(BOB, 75, Unsend(ALICE.account_id, NOW_MS + QUESTION)),
    Said(MALLORY, 76, Reaction(ALICE.account_id, NOW_MS + QUESTION, "😈", remove=False)),
]


def _stored(said: Said, expiration: Expiration = STAYS) -> StoredMessage:
    sent_ms = NOW_MS + said.at
    content = contents.serialize(Content(said.payload, sent_ms, expiration))
    data = session_v1.encode_message(said.who, ALICE.account_id, content, sent_ms)
    return StoredMessage(MessageHash(message_hash(ALICE.account_id, 0, data)), sent_ms, EXPIRES_MS, data)


STORED = [_stored(said) for said in SAID]
GONE = (21, 31, SPAM)
"""When those were sent that are deleted in the end."""
PLACE = st.integers(0, len(SAID) - 1)
COPIES = [_stored(said) for said in SAID]
"""The same, sealed anew: under other hashes, as a repeated attempt to store it leaves behind."""


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Alice's home, before anything came."""
    home = tmp_path_factory.mktemp("alice")
    made = create_profile(_sources(home), ALICE, choose_network("mainnet"), method=KeyMethod.KEYFILE)
    made.store.close()
    return home


def _sources(home: Path) -> Any:
    return key_sources({"SESSION_HOME": str(home)}, "default", None)


def _take(profile: Profile, stored: Sequence[StoredMessage]) -> None:
    intake, store, own_id = Intake(profile, ALL), profile.store, profile.identity.account_id
    for each in stored:
        with store.transaction():
            if store.swarm.mark_seen(own_id, Namespace.MESSAGES, each.hash, each.expiration_ms):
                intake.take(each, intake.open(each), NOW_MS + 1_000)


def _state(profile: Profile) -> Iterator[object]:
    """All that is known in the end, but for numbers which tell in what order it came, and which of its copies."""
    store = profile.store
    by_id = {row.id: row for row in store.messages.rows("", ())}
    for row in sorted(by_id.values(), key=lambda row: (row.conversation, row.sent_ms)):
        reactions = sorted((each.emoji, each.sender) for each in row.reactions)
        quoted = by_id[row.quote_id].sent_ms if row.quote_id else None
        yield row.conversation, row.sender, row.sent_ms, row.body, row.status, row.read, row.deleted, row.request
        yield reactions, row.quote_ms, quoted, row.quote_body, row.expires_ms
    yield store.people.known()
    yield [len(store.search.find(store.search.parse(word), Range(), None)) for word in ("tea", "coffee", "sugar")]


def _outcome(empty: Path, home: Path, stored: Sequence[StoredMessage]) -> tuple[list[object], set[str]]:
    """What is known, and what our swarm is to delete, after messages came in an order."""
    shutil.copytree(empty, home)
    profile = open_profile(_sources(home))
    profile.store.now_ms = lambda: NOW_MS
    try:
        _take(profile, stored)
        return list(_state(profile)), set(profile.store.chores.deletions())
    finally:
        profile.store.close()
        shutil.rmtree(home)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(len(SAID))), again=st.lists(st.tuples(PLACE, PLACE), max_size=12))
def test_the_end_does_not_depend_on_the_order(
    empty: Path, tmp_path: Path, order: list[int], again: list[tuple[int, int]]
) -> None:
    expected, deleted = _outcome(empty, tmp_path / "in-order", STORED)
    mixed = [STORED[number] for number in order]
    for place, number in again:
        mixed.insert(place, COPIES[number])
    found, also_deleted = _outcome(empty, tmp_path / "mixed", mixed)
    assert found == expected
    gone = {index for index, said in enumerate(SAID) if said.at in GONE}
    assert deleted == {STORED[number].hash for number in gone}
    copied = {COPIES[number].hash for _, number in again if number in gone}
    assert also_deleted == deleted | copied, "no copy is left in our swarm of what was deleted"


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0), (0, 1, 2, 0), (2, 0, 1, 1)])
def test_what_was_said_last_of_disappearing_messages_holds(empty: Path, tmp_path: Path, order: tuple[int, ...]) -> None:
    """Also where the same bytes come again when their hashes are forgotten."""
    said = [(1, ExpirationMode.OFF, 0), (2, ExpirationMode.AFTER_READ, 300), (3, ExpirationMode.AFTER_SEND, 86_400)]
    stored = [
        _stored(Said(ALICE, at, TimerUpdate(sync_target=BOB.account_id)), Expiration(mode, seconds))
        for at, mode, seconds in said
    ]
    shutil.copytree(empty, tmp_path / "home")
    profile = open_profile(_sources(tmp_path / "home"))
    try:
        for number in order:
            _take(profile, [stored[number]])
            with profile.store.transaction():
                profile.store.swarm.forget_expired(2 * EXPIRES_MS, seen_before_ms=1)
        assert profile.store.conversations.expiration(BOB.account_id) == ("after_send", 86_400)
    finally:
        profile.store.close()
