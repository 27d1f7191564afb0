"""Whatever comes from the swarm, and in whatever order: it is taken or skipped, and the store stays sound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from session_cli.cli.json_output import event_json, message_json
from session_cli.cli.output import Painter, event_text
from session_cli.core.model import Message
from session_cli.core.preferences import Preferences
from session_cli.core.receiving import PollResult
from session_cli.core.reparse import reparse
from session_cli.protocol import content as contents
from session_cli.protocol import session_v1
from session_cli.protocol.account import AccountId, Identity
from session_cli.protocol.payload import (
    Call,
    CallKind,
    Content,
    Expiration,
    ExpirationMode,
    GroupInvite,
    GroupPromotion,
    MediaSaved,
    Payload,
    Profile,
    Reaction,
    ReadReceipt,
    RequestAccepted,
    TimerUpdate,
    Typing,
    Unsend,
    VisibleMessage,
)
from tests.support.contract import check_object
from tests.support.incoming import DAYS_14_MS, NOW_MS, Recipient, older_version
from tests.support.payloads import CONTENTS, PAYLOADS, mutations

ME, FRIEND, STRANGER, ENEMY = (Identity.from_seed(bytes([digit]) * 16) for digit in (1, 2, 3, 4))
SENDERS = st.sampled_from([ME, FRIEND, STRANGER, ENEMY])
TALKATIVE = Preferences(read_receipts=True, typing=True, saved_notices=True)
PAINTER = Painter(enabled=False, columns=80)


@contextmanager
def recipient(preferences: Preferences = TALKATIVE) -> Iterator[Recipient]:
    """Somebody who has a friend and an enemy."""
    made = Recipient(ME, preferences)
    with closing(made):
        people = made.profile.store.people
        with made.profile.store.transaction():
            people.approve(FRIEND.account_id, by_us=True)
            people.set_blocked(ENEMY.account_id, blocked=True)
        yield made


def check(me: Recipient) -> None:
    """All that is in the store can be shown, to people and to scripts."""
    me.check()
    for event in me.events():
        check_object(event_json(event))
        event_text(event, PAINTER)
    for row in me.profile.store.messages.rows("", ()):
        check_object(message_json(me.viewer.message(row)))


SERIALIZED = CONTENTS.map(contents.serialize)
BYTES = st.binary(max_size=100) | SERIALIZED | mutations(SERIALIZED)


@given(st.lists(st.tuples(SENDERS, BYTES, st.integers(0, contents.MAX_TIME_MS)), max_size=4), st.data())
def test_whoever_signs_can_say_anything(messages: list[tuple[Identity, bytes, int]], data: st.DataObject) -> None:
    with recipient(data.draw(st.sampled_from([TALKATIVE, Preferences()]))) as me:
        for sender, content, sent_ms in messages:
            result = me.take(me.seal(sender, content, sent_ms), expiration_ms=data.draw(st.integers(0, 2**53)))
            assert isinstance(result, PollResult)
        check(me)


@given(st.lists(PAYLOADS, max_size=6), SENDERS, st.integers(1, contents.MAX_TIME_MS - 10))
def test_whoever_keeps_the_rules_is_taken_or_ignored(payloads: list[Payload], sender: Identity, first_ms: int) -> None:
    with recipient() as me:
        for number, payload in enumerate(payloads):
            result = me.get(sender, payload, first_ms + number)
            # Those that are made up here bear no signature of a group.
            assert not result.skipped or isinstance(payload, GroupInvite | GroupPromotion)
            assert not (result.new and sender is ENEMY)
        check(me)


@given(st.lists(st.binary(max_size=200).map(lambda rest: b"\0" + rest) | st.binary(max_size=200), max_size=6))
def test_anybody_can_store_anything(stored: list[bytes]) -> None:
    with recipient() as me:
        results = [me.take(data) for data in dict.fromkeys(stored)]
        for data, result in zip(dict.fromkeys(stored), results, strict=True):
            assert result == (PollResult(new=1) if data[:1] == b"\0" else PollResult(skipped=1))
        check(me)


# A conversation, in which everybody speaks of what the others said.


@dataclass(frozen=True, slots=True)
class Said:
    """One message of a conversation between us and a friend; what it refers to is a number in it."""

    sender: Identity
    payload: Payload
    expiration: Expiration


@st.composite
def conversations(draw: st.DrawFn) -> list[Said]:
    count = draw(st.integers(1, 8))
    times = st.integers(0, count).map(lambda number: NOW_MS + number)
    authors = st.sampled_from([ME.account_id, FRIEND.account_id])
    call = st.sampled_from(["0b6cf4ae-7a5c-4f0e-8a6e-d6ab2d1e6d55", "1b6cf4ae-7a5c-4f0e-8a6e-d6ab2d1e6d55"])
    target = FRIEND.account_id
    payloads = st.one_of(
        st.sampled_from("abc").map(VisibleMessage),
        st.integers(1, 2).map(lambda version: VisibleMessage("hi", profile=Profile(str(version), updated_s=version))),
        st.builds(Reaction, authors, times, st.sampled_from("👍👎"), st.booleans()),
        st.builds(Unsend, authors, times),
        st.builds(ReadReceipt, st.lists(times, max_size=3).map(tuple)),
        st.builds(TimerUpdate),
        st.builds(MediaSaved, times),
        st.builds(RequestAccepted),
        st.builds(Typing, st.booleans()),
        st.builds(Call, st.sampled_from(CallKind), call),
    )
    expirations = st.sampled_from(
        [Expiration(), Expiration(ExpirationMode.AFTER_SEND, 60), Expiration(ExpirationMode.AFTER_READ, 60)]
    )
    said = []
    for _ in range(count):
        sender, payload = draw(st.sampled_from([ME, FRIEND])), draw(payloads)
        if sender is ME and isinstance(payload, VisibleMessage | Reaction | TimerUpdate):
            payload = replace(payload, sync_target=target)
        said.append(Said(sender, payload, Expiration() if isinstance(payload, Typing) else draw(expirations)))
    return said


def sealed(said: Sequence[Said]) -> list[bytes]:
    """A conversation as the swarm stores it, in the order in which it was written."""

    def seal(number: int, one: Said) -> bytes:
        content = contents.serialize(Content(one.payload, NOW_MS + number, one.expiration))
        return session_v1.encode_message(one.sender, ME.account_id, content, NOW_MS + number)

    return [seal(number, one) for number, one in enumerate(said)]


def take(me: Recipient, stored: Sequence[bytes]) -> None:
    for data in stored:
        me.take(data, expiration_ms=NOW_MS + DAYS_14_MS)


def written(me: Recipient) -> list[Message]:
    """What the history says, but for what names it here and in the swarm, which may hold it twice."""

    def bare(message: Message) -> Message:
        return replace(message, id=0, hash=None, content=dict(message.content))

    return [bare(message) for place in (FRIEND, ME) for message in me.log(AccountId(place.account_id))]


@given(conversations(), st.randoms(use_true_random=False))
def test_any_order_leaves_a_sound_store(said: list[Said], random: Any) -> None:
    with recipient() as me:
        stored = sealed(said)
        random.shuffle(stored)
        take(me, stored)
        check(me)
        before = written(me)
        take(me, stored)
        # Stored anew, because its sender did not know that it had been stored. What becomes of a call depends on the
        # order of what is said about it.
        take(me, [data for data, one in zip(sealed(said), said, strict=True) if not isinstance(one.payload, Call)])
        assert written(me) == before, "what comes a second time changes nothing"


def about_messages(said: Sequence[Said]) -> list[Said]:
    """A conversation in which nobody says anything about notices: an older version can't tell them from messages.

    Nor of what comes later: a message that was deleted before it was understood says nothing of its sender either.
    """
    texts, kept = set[tuple[str, int]](), list[Said]()
    for number, one in enumerate(said):
        payload = one.payload
        if isinstance(payload, Unsend | Reaction) and (payload.author, payload.timestamp_ms) not in texts:
            payload = Typing(started=True)
        if isinstance(payload, VisibleMessage):
            texts.add((one.sender.account_id, NOW_MS + number))
        kept.append(replace(one, payload=payload))
    return kept


@given(conversations().map(about_messages))
def test_what_is_read_anew_is_as_if_it_had_been_understood_at_once(said: list[Said]) -> None:
    stored = sealed(said)
    with recipient() as now, recipient() as later:
        take(now, stored)
        with older_version():
            take(later, stored)
        reparse(later.profile, TALKATIVE)
        check(later)
        assert written(later) == written(now)
        assert sorted(event.type for event in later.events()) == sorted(event.type for event in now.events())
        assert not later.profile.store.unknowns.hashes()
