"""What is made of the word of one member of our swarm; with a swarm made for the test."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from session_cli.core.expiry import purge
from session_cli.core.preferences import Preferences
from session_cli.core.receiving import PollResult, Receiver
from session_cli.network.clock import Deadline
from session_cli.network.network import Network
from session_cli.network.swarm import Page
from session_cli.protocol.account import Identity
from session_cli.protocol.payload import Call, CallKind, Expiration, ExpirationMode, MediaSaved, Payload, VisibleMessage
from session_cli.protocol.storage_rpc import Namespace, RetrieveResult, StoredMessage, message_hash
from tests.support.incoming import DAYS_14_MS, NOW_MS, Recipient

ALICE, BOB = Identity.from_seed(b"\x01" * 16), Identity.from_seed(b"\x02" * 16)
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
AFTER_READ = Expiration(ExpirationMode.AFTER_READ, 600)
AFTER_SEND = Expiration(ExpirationMode.AFTER_SEND, 3_600)
CALL = "01234567-89ab-4def-8123-456789abcdef"


@pytest.fixture
def bob() -> Iterator[Recipient]:
    recipient = Recipient(BOB)
    with recipient.profile.store.transaction():
        recipient.profile.store.people.approve(ALICE.account_id, by_us=True)
    yield recipient
    recipient.close()


def poll(bob: Recipient, *held: tuple[bytes, int]) -> PollResult:
    """Poll a member that gives these sealed bytes, and says until when it keeps them."""
    stored = tuple(
        StoredMessage(message_hash(BOB.account_id, Namespace.MESSAGES, data), NOW_MS, kept_ms, data)
        for data, kept_ms in held
    )
    page = Page("node", {Namespace.MESSAGES: RetrieveResult(stored, more=False)})
    swarm = SimpleNamespace(poll_one=lambda asked, deadline: page, members=lambda account: frozenset({"node"}))
    network = SimpleNamespace(swarm=swarm, clock=SimpleNamespace(now_ms=lambda: bob.now_ms))
    return Receiver(bob.profile, lambda: cast(Network, network), Preferences()).poll(Deadline(None))


def sealed(bob: Recipient, payload: Payload, expiration: Expiration) -> bytes:
    return bob.seal(ALICE, payload, NOW_MS, expiration)


@pytest.mark.parametrize("kept_ms", [NOW_MS + DAYS_14_MS, NOW_MS + 60_000, NOW_MS, NOW_MS - DAY_MS, 1])
def test_a_member_cannot_make_an_unread_message_disappear(bob: Recipient, kept_ms: int) -> None:
    assert poll(bob, (sealed(bob, VisibleMessage("burn"), AFTER_READ), kept_ms)).new == 1
    (message,) = bob.log(ALICE.account_id)
    assert (message.body, message.expires_ms, message.read) == ("burn", None, False)
    (waiting,) = bob.profile.store.timers.waiting(NOW_MS, 9)
    assert waiting.kept_ms == NOW_MS + DAYS_14_MS, "as it would be if nobody had shortened it"


def test_what_disappeared_does_not_come_back(bob: Recipient) -> None:
    """Where one member said that it goes at once, and another one still has it."""
    data = sealed(bob, VisibleMessage("burn"), AFTER_SEND)
    assert poll(bob, (data, 1)).new == 1
    bob.now_ms += 2 * DAY_MS
    assert purge(bob.profile.store) == 1
    other = bob.seal(ALICE, VisibleMessage("later"), bob.now_ms)
    assert poll(bob, (other, bob.now_ms + DAYS_14_MS)).new == 1
    assert poll(bob, (data, NOW_MS + DAYS_14_MS)) == PollResult()
    assert [message.body for message in bob.log(ALICE.account_id)] == ["later"]


def test_hashes_are_forgotten_when_no_member_can_hold_their_messages(bob: Recipient) -> None:
    assert poll(bob, (sealed(bob, VisibleMessage("first"), Expiration()), NOW_MS + DAYS_14_MS)).new == 1
    for passed_ms, left in ((DAYS_14_MS + DAY_MS, 2), (DAYS_14_MS + DAY_MS + 1, 2)):
        bob.now_ms = NOW_MS + passed_ms
        poll(bob, (bob.seal(ALICE, VisibleMessage("x"), bob.now_ms), bob.now_ms + DAYS_14_MS))
        assert _hashes(bob) == left


def _hashes(bob: Recipient) -> Any:
    return bob.profile.store._connection.execute("SELECT count(*) FROM seen_hashes").get


@pytest.mark.parametrize("payload", [Call(CallKind.PRE_OFFER, CALL), MediaSaved(1)])
def test_what_a_swarm_keeps_for_minutes_is_not_taken_for_read(bob: Recipient, payload: Payload) -> None:
    data = sealed(bob, payload, AFTER_READ)
    bob.now_ms += 299_000
    assert poll(bob, (data, NOW_MS + 300_000)).new == 1
    (notice,) = bob.log(ALICE.account_id)
    assert (notice.expires_ms, notice.read) == (None, False)
    assert bob.profile.store.timers.waiting(bob.now_ms, 9) == [], "nor later"
