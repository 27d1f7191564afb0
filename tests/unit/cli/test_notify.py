"""Which events are worth a notification, and what they are called."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from session_cli.cli.notify import Notifier, Shown
from session_cli.network import desktop
from session_cli.protocol.account import Identity
from session_cli.protocol.payload import Call, CallKind, Unsend, VisibleMessage
from tests.support.incoming import NOW_MS, Recipient

ALICE, BOB = Identity.from_seed(b"\x01" * 16), Identity.from_seed(b"\x02" * 16)
CALL = "01234567-89ab-4def-8123-456789abcdef"


@pytest.fixture
def bob() -> Iterator[Recipient]:
    recipient = Recipient(BOB)
    with recipient.profile.store.transaction():
        for by_us in (True, False):
            recipient.profile.store.people.approve(ALICE.account_id, by_us=by_us)
    yield recipient
    recipient.close()


def notified(bob: Recipient, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Title and text of the notifications of all that came."""
    shown: list[tuple[str, str]] = []
    monkeypatch.setattr(desktop, "check_support", lambda: None)
    monkeypatch.setattr(desktop, "show", lambda title, text, environ: shown.append((title, text)))
    for show in (Shown.NOTHING, Shown.NAME, Shown.ALL):
        notifier = Notifier(show, {}, lambda place: False)
        for group in notifier.groups(bob.events()):
            notifier.show(group)
    return shown


def test_what_is_not_shown_counts_with_what_is_shown_next(bob: Recipient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or it would be gone where notifications turn out not to work."""
    monkeypatch.setattr(desktop, "check_support", lambda: None)
    carol = Identity.from_seed(b"\x03" * 16)
    for number, sender in enumerate([carol, ALICE, carol]):
        bob.get(sender, VisibleMessage("hello"), NOW_MS + number)
    notifier = Notifier(Shown.ALL, {}, lambda place: place == carol.account_id)
    groups = notifier.groups([event for event in bob.events() if event.type == "message"])
    assert [[event.sender.id for event in group if event.sender] for group in groups] == [
        [carol.account_id, ALICE.account_id],
        [carol.account_id],
    ]


@pytest.mark.parametrize(
    ("then", "title"),
    [
        (None, "Incoming call"),
        ((ALICE, CallKind.END_CALL), "Missed call"),
        ((BOB, CallKind.ANSWER), None),
        ((BOB, CallKind.END_CALL), None),
    ],
)
def test_a_call_is_called_what_became_of_it(
    bob: Recipient, monkeypatch: pytest.MonkeyPatch, then: tuple[Identity, CallKind] | None, title: str | None
) -> None:
    bob.get(ALICE, Call(CallKind.PRE_OFFER, CALL), NOW_MS)
    if then:
        who, kind = then
        bob.get(who, Call(kind, CALL), NOW_MS + 1)
    shown = notified(bob, monkeypatch)
    if title is None:
        assert shown == []
        return
    assert shown[0] == (title, "")
    assert [text for _, text in shown[1:]] == [title, title]
    assert all(name.startswith(ALICE.account_id[:6]) for name, _ in shown[1:])


def test_a_call_of_long_ago_does_not_ring(bob: Recipient, monkeypatch: pytest.MonkeyPatch) -> None:
    bob.get(ALICE, Call(CallKind.PRE_OFFER, CALL), NOW_MS)
    bob.now_ms += 600_000
    assert notified(bob, monkeypatch)[0] == ("Missed call", "")


def test_what_was_deleted_is_no_news(bob: Recipient, monkeypatch: pytest.MonkeyPatch) -> None:
    bob.get(ALICE, VisibleMessage("oops"), NOW_MS)
    assert len(notified(bob, monkeypatch)) == 3
    bob.get(ALICE, Unsend(ALICE.account_id, NOW_MS), NOW_MS + 1)
    assert notified(bob, monkeypatch) == []
