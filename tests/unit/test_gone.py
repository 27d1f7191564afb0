"""Messages whose time has come: nothing shows them, nothing stops at them, and every clock starts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from session_cli.core.expiry import purge
from session_cli.core.sending import Sender
from session_cli.network.clock import Deadline
from session_cli.protocol.account import Identity
from session_cli.protocol.payload import Expiration, ExpirationMode, Quote, VisibleMessage
from session_cli.store.events import EVERYTHING
from session_cli.store.records import NewDelivery, NewMessage
from tests.support.incoming import NOW_MS, Recipient

ALICE, BOB = Identity.from_seed(b"\x01" * 16), Identity.from_seed(b"\x02" * 16)
HOUR = Expiration(ExpirationMode.AFTER_SEND, 3_600)
HOUR_MS = 3_600_000


@pytest.fixture
def bob() -> Iterator[Recipient]:
    recipient = Recipient(BOB)
    yield recipient
    recipient.close()


def test_an_answer_does_not_show_what_has_disappeared(bob: Recipient) -> None:
    bob.get(ALICE, VisibleMessage("burn"), NOW_MS, HOUR)
    bob.get(ALICE, VisibleMessage("answer", quote=Quote(ALICE.account_id, NOW_MS)), NOW_MS + 1)
    (first, answer) = bob.log(ALICE.account_id)
    assert answer.quote is not None
    assert (answer.quote.id, answer.quote.body) == (first.id, "burn")
    bob.now_ms += HOUR_MS
    for _ in range(2):
        (answer,) = bob.log(ALICE.account_id)
        assert answer.quote is not None
        assert (answer.quote.id, answer.quote.body, answer.quote.timestamp_ms) == (None, None, NOW_MS)
        purge(bob.profile.store)


def test_who_only_looks_is_not_held_up_by_what_has_disappeared(bob: Recipient) -> None:
    """It can't be deleted where nothing can be written, and so is there still."""
    for number in range(7):
        bob.get(ALICE, VisibleMessage("burn"), NOW_MS + number, HOUR)
    bob.get(ALICE, VisibleMessage("stays"), NOW_MS + 7)
    bob.now_ms += 2 * HOUR_MS
    (event,) = bob.profile.store.events.unread("default", EVERYTHING, 3)
    assert event.message is not None
    assert event.message.body == "stays"
    assert bob.profile.store.events.unread("default", EVERYTHING, 3, event.seq) == []


def own_message(bob: Recipient, status: str, sent_ms: int) -> int:
    store = bob.profile.store
    entry = NewMessage(
        ALICE.account_id, "outgoing", BOB.account_id, sent_ms, "burn", status, expire_mode="after_send", expire_s=3_600
    )
    with store.transaction():
        message_id = store.messages.add(entry)
        assert message_id is not None
        store.deliveries.add(message_id, NewDelivery("recipient", ALICE.account_id, 1, b"x", "hash"))
    return message_id


def ends_ms(bob: Recipient, message_id: int) -> Any:
    row = bob.profile.store.messages.get(message_id)
    return row.expires_ms if row else "gone"


@pytest.mark.parametrize(("status", "starts"), [("pending", True), ("failed", True), ("queued", False)])
def test_the_copy_of_a_message_starts_its_clock_where_its_sender_died(
    bob: Recipient, status: str, starts: bool
) -> None:
    message_id = own_message(bob, status, NOW_MS - 5_000)
    bob.get(BOB, VisibleMessage("burn", sync_target=ALICE.account_id), NOW_MS - 5_000, HOUR)
    assert ends_ms(bob, message_id) == (NOW_MS + HOUR_MS if starts else None)


def test_a_message_that_is_given_up_goes_as_well(bob: Recipient) -> None:
    bob.now_ms = int(time.time() * 1_000)
    message_id = own_message(bob, "pending", bob.now_ms - HOUR_MS)
    Sender(bob.profile, lambda: pytest.fail("nobody is to be told")).resend_left(Deadline(None))
    assert ends_ms(bob, message_id) == bob.now_ms + HOUR_MS
    bob.now_ms += HOUR_MS
    assert purge(bob.profile.store) == 1
