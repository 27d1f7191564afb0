"""When what came disappears: by what the swarm and its sender say."""

from __future__ import annotations

import pytest

from session_cli.core.filing import Arrival
from session_cli.protocol.account import Identity
from session_cli.protocol.payload import Content, Expiration, ExpirationMode, VisibleMessage
from session_cli.protocol.storage_rpc import MAX_TTL_MS, MessageHash, StoredMessage

NOW = 1_800_000_000_000
SENT = NOW - 10_000
TIMER_S = 60
TIMER_MS = 1_000 * TIMER_S
NATURAL = SENT + MAX_TTL_MS
"""Until when a swarm keeps what nobody has shortened."""
OFF, AFTER_READ, AFTER_SEND = ExpirationMode.OFF, ExpirationMode.AFTER_READ, ExpirationMode.AFTER_SEND
PEER = Identity.from_seed(b"\x05" * 16)


def arrival(
    mode: ExpirationMode, kept_ms: int, *, sent_ms: int = SENT, seconds: int = TIMER_S, outgoing: bool = False
) -> Arrival:
    return Arrival(
        StoredMessage(MessageHash("h"), SENT, kept_ms, b""),
        PEER.account_id,
        sent_ms,
        Content(VisibleMessage("x"), sent_ms, Expiration(mode, seconds if mode is not OFF else 0)),
        PEER.account_id,
        outgoing,
        NOW,
        None,
    )


@pytest.mark.parametrize("outgoing", [True, False])
@pytest.mark.parametrize(
    ("kept_ms", "sent_ms", "ends_ms"),
    [
        (SENT + TIMER_MS, SENT, SENT + TIMER_MS),
        (SENT + TIMER_MS + 5_000, SENT, SENT + TIMER_MS + 5_000),  # stored some time after it was sent
        (SENT + TIMER_MS - 1, SENT, SENT + TIMER_MS),  # no member makes it go before its time
        (1, SENT, SENT + TIMER_MS),
        (0, SENT, SENT + TIMER_MS),
        (NOW + TIMER_MS, SENT, NOW + TIMER_MS),
        (NOW + TIMER_MS + 1, SENT, NOW + TIMER_MS),  # nor keeps it for longer than from now on
        (NATURAL, SENT, NOW + TIMER_MS),
        (SENT + TIMER_MS, NOW + 10 * MAX_TTL_MS, NOW + TIMER_MS),  # nor does its sender
        (SENT + TIMER_MS, 1, SENT + TIMER_MS),
    ],
)
def test_after_sending(kept_ms: int, sent_ms: int, ends_ms: int, outgoing: bool) -> None:
    assert arrival(AFTER_SEND, kept_ms, sent_ms=sent_ms, outgoing=outgoing).expires_ms == ends_ms


def test_our_own_count_as_read() -> None:
    assert arrival(AFTER_READ, SENT + TIMER_MS, outgoing=True).expires_ms == SENT + TIMER_MS


@pytest.mark.parametrize("kept_ms", [NATURAL, NOW + TIMER_MS, NOW + 1, NOW, NOW - 1, 1, 0])
def test_what_came_waits_for_its_reader_whatever_one_member_of_the_swarm_says(kept_ms: int) -> None:
    assert arrival(AFTER_READ, kept_ms).expires_ms is None


@pytest.mark.parametrize("outgoing", [True, False])
def test_what_stays(outgoing: bool) -> None:
    assert arrival(OFF, NATURAL, outgoing=outgoing).expires_ms is None
