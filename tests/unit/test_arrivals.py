"""When what came disappears, and whether another device has read it: by what the swarm and its sender say."""

from __future__ import annotations

import pytest

from session_cli.core.intake import _Arrival
from session_cli.protocol.account import Identity
from session_cli.protocol.payload import Content, Expiration, ExpirationMode, VisibleMessage
from session_cli.protocol.session_v1 import OpenedMessage
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
) -> _Arrival:
    return _Arrival(
        StoredMessage(MessageHash("h"), SENT, kept_ms, b""),
        OpenedMessage(PEER.account_id, PEER.ed25519_public, sent_ms, b""),
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
    found = arrival(AFTER_SEND, kept_ms, sent_ms=sent_ms, outgoing=outgoing)
    assert (found.expires_ms, found.read_elsewhere) == (ends_ms, False)


def test_our_own_count_as_read() -> None:
    found = arrival(AFTER_READ, SENT + TIMER_MS, outgoing=True)
    assert (found.expires_ms, found.read_elsewhere) == (SENT + TIMER_MS, False)


@pytest.mark.parametrize(
    ("kept_ms", "read"),
    [
        (NATURAL, False),
        (NOW + TIMER_MS + 1, False),
        (NOW + TIMER_MS, True),
        (NOW + TIMER_MS - 1, True),
        (NOW, True),
        (NOW - 1, True),
        (0, False),
    ],
)
def test_what_came_is_read_elsewhere_when_the_swarm_keeps_it_no_longer(kept_ms: int, read: bool) -> None:
    found = arrival(AFTER_READ, kept_ms)
    assert (found.expires_ms, found.read_elsewhere) == (kept_ms if read else None, read)


@pytest.mark.parametrize(("less_ms", "read"), [(0, False), (1_000, False), (1_001, True)])
def test_a_time_as_long_as_the_swarms_own_is_no_sign_of_a_reader(less_ms: int, read: bool) -> None:
    found = arrival(AFTER_READ, NATURAL - less_ms, seconds=MAX_TTL_MS // 1_000)
    assert (found.expires_ms, found.read_elsewhere) == (NATURAL - less_ms if read else None, read)


@pytest.mark.parametrize("outgoing", [True, False])
def test_what_stays(outgoing: bool) -> None:
    found = arrival(OFF, NATURAL, outgoing=outgoing)
    assert (found.expires_ms, found.read_elsewhere) == (None, False)
