"""What is done to messages, and to calls, by what arrives: in any order, and within limits."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

import pytest

from session_cli.core.marking import Marking
from session_cli.protocol import content as contents
from session_cli.protocol.account import Identity
from session_cli.protocol.payload import (
    Call,
    CallKind,
    Content,
    Expiration,
    ExpirationMode,
    Payload,
    Reaction,
    ReadReceipt,
    TimerUpdate,
    Unknown,
    Unsend,
    VisibleMessage,
)
from session_cli.protocol.storage_rpc import Namespace
from session_cli.store.marks import MOST_EARLY, MOST_REACTIONS
from tests.support.incoming import NOW_MS, Recipient, older_version

ME, BOB, EVE = (Identity.from_seed(bytes([digit]) * 16) for digit in (1, 2, 3))
CALL = "01234567-89ab-4def-8123-456789abcdef"


@pytest.fixture
def me() -> Iterator[Recipient]:
    recipient = Recipient(ME)
    with recipient.profile.store.transaction():
        recipient.profile.store.people.approve(BOB.account_id, by_us=True)
    yield recipient
    recipient.close()


# Calls.

OFFER, ANSWER, HANG_UP = (Call(kind, CALL) for kind in (CallKind.OFFER, CallKind.ANSWER, CallKind.END_CALL))


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ([(BOB, OFFER)], "ringing"),
        ([(BOB, OFFER), (BOB, HANG_UP)], "missed"),
        ([(BOB, OFFER), (ME, HANG_UP)], "declined"),
        ([(BOB, OFFER), (ME, ANSWER), (BOB, HANG_UP)], "answered"),
        ([(BOB, OFFER), (ME, ANSWER), (ME, HANG_UP)], "answered"),
        ([(BOB, OFFER), (EVE, HANG_UP)], "ringing"),
    ],
)
def test_what_became_of_a_call_does_not_depend_on_the_order(said: list[tuple[Identity, Payload]], state: str) -> None:
    for order in permutations(enumerate(said)):
        me = Recipient(ME)
        with me.profile.store.transaction():
            for friend in (BOB, EVE):
                me.profile.store.people.approve(friend.account_id, by_us=True)
        for at, (sender, payload) in order:
            me.get(sender, payload, NOW_MS + at)
        (call,) = me.log(BOB.account_id)
        assert call.content == {"call_id": CALL, "state": state}, order
        me.close()


# Limits.


def test_a_receipt_names_each_message_once_and_not_too_many() -> None:
    times = [1 + number % 100 for number in range(5_000)] + list(range(101, contents.MAX_RECEIPT_TIMES + 50))
    receipt = contents.parse(contents.serialize(Content(ReadReceipt(tuple(times)), NOW_MS))).payload
    assert receipt == ReadReceipt(tuple(range(1, contents.MAX_RECEIPT_TIMES + 1)))


def test_a_person_puts_so_many_reactions_on_a_message(me: Recipient) -> None:
    me.get(BOB, VisibleMessage("hi"), NOW_MS)

    def react(sender: Identity, emoji: str, at: int, *, remove: bool = False) -> None:
        target = None if sender is BOB else BOB.account_id
        me.get(sender, Reaction(BOB.account_id, NOW_MS, emoji, remove, sync_target=target), NOW_MS + at)

    for number in range(MOST_REACTIONS + 5):
        react(BOB, f"b{number}", number)
        react(ME, f"m{number}", number)
    react(BOB, "b0", 100, remove=True)
    react(BOB, "new", 101)
    (message,) = me.log(BOB.account_id)
    found = [each.emoji for each in message.reactions]
    assert sorted(found) == sorted(
        # Another device of ours may put more.
        [f"b{number}" for number in range(1, MOST_REACTIONS)] + [f"m{number}" for number in range(MOST_REACTIONS + 5)]
    )


def test_our_own_deletions_are_all_remembered(me: Recipient) -> None:
    """However many there are, a second copy of a note that was deleted does not bring it back."""
    own = ME.account_id
    for number in range(MOST_EARLY + 1):
        with me.profile.store.transaction():
            Marking(me.profile.store, own).unsend(own, Unsend(own, NOW_MS + number), NOW_MS + number)
    for _ in range(2):
        me.get(ME, VisibleMessage("gone", sync_target=own), NOW_MS + MOST_EARLY)
    assert me.log(own) == []
    me.check()


# Requests.


@pytest.mark.parametrize("payload", [TimerUpdate(), Unknown("too new")])
def test_whatever_a_stranger_sends_can_be_answered_to(me: Recipient, payload: Payload) -> None:
    timer = Expiration(ExpirationMode.AFTER_READ, 3_600)
    if isinstance(payload, Unknown):
        with older_version():
            me.get(EVE, VisibleMessage("from the future"), NOW_MS)
    else:
        me.get(EVE, payload, NOW_MS, timer)
    (notice,) = me.log(EVE.account_id)
    store = me.profile.store
    assert [first for _, _, first in store.conversations.requests()] == [notice.id]
    person = store.people.get(EVE.account_id)
    assert person is not None
    assert (person.approved, person.approved_me) == (False, True)
    assert store.swarm.message_of(ME.account_id, Namespace.MESSAGES, str(notice.hash)) == notice.id
