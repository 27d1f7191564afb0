"""What is too new is kept, within limits where anybody could send it, and read anew by a version that knows it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apsw
import pytest

from session_cli.cli.json_output import event_json
from session_cli.core.intake import Intake, Outcome
from session_cli.core.preferences import Preferences
from session_cli.core.reparse import Reparsed, reparse
from session_cli.errors import MalformedMessage
from session_cli.protocol import content as contents
from session_cli.protocol.account import AccountId, Identity
from session_cli.protocol.payload import (
    Content,
    Expiration,
    ExpirationMode,
    Ignored,
    Profile,
    Reaction,
    ReadReceipt,
    Unknown,
    Unsend,
    VisibleMessage,
)
from session_cli.protocol.storage_rpc import MAX_MESSAGE_BYTES
from session_cli.store import unknowns
from tests.support.incoming import NOW_MS, Recipient, much_older_version, older_version

ME, BOB, CAROL = (Identity.from_seed(bytes([digit]) * 16) for digit in (1, 2, 3))
HOUR_MS = 3_600_000
NOTHING = Preferences()
TOO_NEW = b"\0\x02" + bytes(2_000)


@pytest.fixture
def me() -> Iterator[Recipient]:
    recipient = Recipient(ME)
    yield recipient
    recipient.close()


def said(me: Recipient, conversation: AccountId = BOB.account_id) -> list[tuple[int, str, str]]:
    return [(message.id, message.kind, message.body) for message in me.log(conversation)]


def kept(me: Recipient) -> int:
    return me.profile.store.upkeep.facts().unknowns


# Keeping.


def test_a_newer_protocol_version_is_kept_as_it_came(me: Recipient) -> None:
    assert me.take(TOO_NEW).new == 1
    (event,) = me.events()
    assert (event.type, event.message, event.sender, event.conversation) == ("unknown", None, None, None)
    assert "newer protocol version" in event.content["reason"]
    (name,) = me.profile.store.unknowns.hashes()
    row = me.profile.store.unknowns.get(name)
    assert row is not None
    assert (row.data, row.fetched_ms, row.message_id) == (TOO_NEW, NOW_MS, None)
    me.check()


@pytest.mark.parametrize(
    "content",
    [
        "ca0602ffff",  # a kind of content with a number from the future
        "0a050a009a0600",  # a data message of no known kind
        "0a0520080a0178",  # flags that there are not
        "0a05c2070208007880d095ffbc31",  # of a group
        "2a020807",  # a receipt of a kind that there is not
        "0a0d5a0b080112023035" + "1a01782007",  # something else than to put on an emoji or take it off
    ],
)
def test_kinds_that_are_not_known_are_kept_where_they_belong(content: str, me: Recipient) -> None:
    data = me.seal(BOB, bytes.fromhex(content), 1_700_000_000_000)
    assert me.take(data).new == 1
    (message,) = me.log(BOB.account_id)
    (event,) = me.events()
    assert (message.kind, message.sender.id, message.request) == ("unknown", BOB.account_id, True)
    assert event.message == message
    (name,) = me.profile.store.unknowns.hashes()
    row = me.profile.store.unknowns.get(name)
    assert row is not None
    assert (row.data, row.message_id, row.reason) == (data, message.id, message.content["reason"])
    assert me.take(data).new == 0
    me.check()


def test_what_our_other_devices_send_is_kept_in_its_conversation(me: Recipient) -> None:
    with older_version():
        me.get(ME, VisibleMessage("hi", sync_target=BOB.account_id), 1_000)
        me.get(ME, VisibleMessage("note"), 2_000)
    assert [message.kind for message in me.log(BOB.account_id) + me.log(ME.account_id)] == ["unknown", "unknown"]


@pytest.mark.parametrize("target", ["", "x", "03" + "a" * 64, "05" + "f" * 64, "05" + "a" * 63])
def test_copies_for_nobody_are_ignored(target: str, me: Recipient) -> None:
    result = me.get(ME, VisibleMessage("hi", sync_target=target), 1_000)
    assert (result.new, result.ignored) == ((1, 0) if not target else (0, 1))


def test_blocked_people_have_nothing_kept(me: Recipient) -> None:
    with me.profile.store.transaction():
        me.profile.store.people.set_blocked(BOB.account_id, blocked=True)
    assert me.get(BOB, bytes.fromhex("ca0602ffff"), 1_000).ignored == 1
    assert kept(me) == 0


@pytest.mark.parametrize(
    "content",
    [
        "",
        "3a020a00",  # legacy configuration
        "5a0408011000",
        "7001",  # when the timer was changed
        "82010408011003" + "8a0103616263" + "91010102030405060708",  # a proof of a subscription, and a second name
        "0a041a020a00",  # a legacy group
        "0a05c206020801",
        "0a02283c",  # a legacy timer
    ],
)
def test_what_never_meant_anything_is_not_kept(content: str, me: Recipient) -> None:
    assert isinstance(contents.parse(bytes.fromhex(content)).payload, Ignored)
    assert me.get(BOB, bytes.fromhex(content), 1_000).ignored == 1
    assert kept(me) == 0


def test_deleting_it_for_everyone_deletes_what_was_kept(me: Recipient) -> None:
    with older_version():
        me.get(BOB, VisibleMessage("regretted"), 1_000)
    me.get(BOB, Unsend(BOB.account_id, 1_000), 2_000)
    assert kept(me) == 0
    assert reparse(me.profile, NOTHING) == Reparsed(0, 0)
    assert [(message.body, message.deleted) for message in me.log(BOB.account_id)] == [("", True)]
    # Who had not received it is told of a message that is gone.
    assert [event_json(event)["type"] for event in me.events()] == ["message", "unsend"]
    me.check()


@pytest.mark.parametrize("note", [False, True], ids=["message", "note to self"])
def test_a_deletion_that_came_first_leaves_nothing(note: bool, me: Recipient) -> None:
    author = ME if note else BOB
    me.get(author, Unsend(author.account_id, 1_000), 2_000)
    with older_version():
        me.get(author, VisibleMessage("regretted"), 1_000)
    assert kept(me) == 0
    assert reparse(me.profile, NOTHING) == Reparsed(0, 0)
    me.check()


# Limits.


def test_a_flood_from_nobody_knows_whom_has_an_end(me: Recipient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unknowns, "MOST_NAMELESS", 5)
    me.get(BOB, bytes.fromhex("ca0602ffff"), 1_700_000_000_000)
    for number in range(8):
        me.take(TOO_NEW + bytes([number]))
    store = me.profile.store
    rows = [store.unknowns.get(name) for name in store.unknowns.hashes()]
    assert [row.data[-1] for row in rows if row and row.message_id is None] == [3, 4, 5, 6, 7]
    assert len(rows) == 6, "what somebody signed is not the flood's to push out"
    assert [event.type for event in me.events()] == ["unknown"] * 6
    me.check()


def test_a_flood_of_large_ones_has_an_end(me: Recipient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unknowns, "MOST_NAMELESS_BYTES", 10_000)
    for number in range(8):
        me.take(TOO_NEW + bytes([number]))
    assert kept(me) == len(me.events()) == 4


def test_nothing_is_larger_than_what_a_swarm_takes(me: Recipient) -> None:
    assert me.take(bytes(MAX_MESSAGE_BYTES)).new == 1
    assert me.take(bytes(MAX_MESSAGE_BYTES + 1)).skipped == 1
    assert kept(me) == 1


# Reading anew.


def test_nothing_to_read_anew(me: Recipient) -> None:
    assert reparse(me.profile, NOTHING) == Reparsed(0, 0)
    me.take(TOO_NEW)
    me.get(BOB, bytes.fromhex("ca0602ffff"), 1_700_000_000_000)
    before = (me.events(), said(me))
    assert reparse(me.profile, NOTHING) == Reparsed(2, 0)
    assert (me.events(), said(me), kept(me)) == (*before, 2)


def test_what_is_understood_takes_its_place(me: Recipient) -> None:
    with older_version():
        me.get(BOB, VisibleMessage("two", profile=Profile("Bob")), 2_000)
    me.get(BOB, VisibleMessage("one"), 1_000)
    me.get(BOB, VisibleMessage("three"), 3_000)
    me.take(TOO_NEW)
    assert said(me) == [(2, "message", "one"), (1, "unknown", ""), (3, "message", "three")]
    assert reparse(me.profile, NOTHING) == Reparsed(2, 1)
    assert said(me) == [(2, "message", "one"), (1, "message", "two"), (3, "message", "three")]
    assert [event.message.body if event.message else event.type for event in me.events()] == [
        "one", "three", "unknown", "two",
    ]  # fmt: skip
    message = me.log(BOB.account_id)[1]
    assert (message.sender.name, message.hash is not None) == ("Bob", True)
    person = me.profile.store.people.get(BOB.account_id)
    assert person is not None
    assert person.approved_me
    assert reparse(me.profile, NOTHING) == Reparsed(1, 0)
    me.check()


def test_what_was_sealed_in_a_newer_way(me: Recipient) -> None:
    with much_older_version():
        me.get(BOB, VisibleMessage("hi"), 1_000)
    assert [event.type for event in me.events()] == ["unknown"]
    assert said(me) == []
    assert reparse(me.profile, NOTHING) == Reparsed(1, 1)
    assert said(me) == [(1, "message", "hi")]
    assert [event.type for event in me.events()] == ["message"]
    me.check()


def test_what_turns_out_to_be_no_message_leaves_no_trace(me: Recipient) -> None:
    me.get(BOB, VisibleMessage("hi"), 1_000)
    with older_version():
        me.get(BOB, Reaction(BOB.account_id, 1_000, "👍", remove=False), 2_000)
        me.get(BOB, Reaction(BOB.account_id, 2_000, "👍", remove=False), 3_000)
        me.get(BOB, Unsend(CAROL.account_id, 9_000), 4_000)
    assert reparse(me.profile, NOTHING) == Reparsed(3, 3)
    assert [(message.body, len(message.reactions)) for message in me.log(BOB.account_id)] == [("hi", 1)]
    assert [event.type for event in me.events()] == ["message", "reaction"]
    assert kept(me) == 0
    me.check()


def test_marks_on_what_was_not_understood_stay(me: Recipient) -> None:
    with me.profile.store.transaction():
        me.profile.store.people.approve(BOB.account_id, by_us=True)
    with older_version():
        me.get(ME, VisibleMessage("from my phone", sync_target=BOB.account_id), 1_000)
    me.preferences = Preferences(read_receipts=True)
    me.get(BOB, Reaction(ME.account_id, 1_000, "👍", remove=False), 2_000)
    me.get(BOB, ReadReceipt((1_000,)), 3_000)
    assert reparse(me.profile, NOTHING) == Reparsed(1, 1)
    (message,) = me.log(BOB.account_id)
    assert (message.body, message.status, [reaction.emoji for reaction in message.reactions]) == (
        "from my phone", "read", ["👍"],
    )  # fmt: skip
    me.check()


def test_clocks_run_from_when_it_came(me: Recipient) -> None:
    """A message that nobody has read is not gone because it was understood late; one that had its time is."""
    two_hours = 2 * HOUR_MS // 1000
    with older_version():
        me.get(BOB, VisibleMessage("after read"), NOW_MS, Expiration(ExpirationMode.AFTER_READ, two_hours))
        me.get(CAROL, VisibleMessage("after send"), NOW_MS, Expiration(ExpirationMode.AFTER_SEND, two_hours))
    me.now_ms += 13 * 24 * HOUR_MS + 23 * HOUR_MS
    assert reparse(me.profile, NOTHING) == Reparsed(2, 2)
    assert said(me) == [(1, "message", "after read")]
    assert not me.log(BOB.account_id)[0].read
    assert said(me, CAROL.account_id) == []
    me.check()


def test_a_copy_that_came_another_way_is_not_shown_twice(me: Recipient) -> None:
    with pytest.MonkeyPatch.context() as patch:
        # An older version that did not even know for whom it was.
        patch.setattr(contents, "parse", lambda _: Content(Unknown("too new"), None))
        me.get(ME, VisibleMessage("hi", sync_target=BOB.account_id), 1_000)
    me.get(ME, VisibleMessage("hi", sync_target=BOB.account_id), 1_000)
    assert reparse(me.profile, NOTHING) == Reparsed(1, 1)
    assert said(me) == [(2, "message", "hi")]
    assert said(me, ME.account_id) == []
    me.check()


def test_what_this_version_refuses_stays(me: Recipient) -> None:
    with older_version():
        me.get(BOB, VisibleMessage("hi"), 1_000)

    def refuse(serialized: bytes) -> Content:
        raise MalformedMessage("no")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contents, "parse", refuse)
        assert reparse(me.profile, NOTHING) == Reparsed(1, 0)
    assert reparse(me.profile, NOTHING) == Reparsed(1, 1)


def test_a_message_that_can_not_be_stored_stays(me: Recipient) -> None:
    with older_version():
        me.get(BOB, VisibleMessage("hi"), 1_000)
        me.get(BOB, VisibleMessage("there"), 2_000)
    take = Intake.take

    def fail(self: Intake, stored: Any, outcome: Outcome, *rest: Any, **more: Any) -> Any:
        take(self, stored, outcome, *rest, **more)
        if not isinstance(outcome, Exception) and outcome[0].timestamp_ms == 1_000:
            raise ValueError
        return None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Intake, "take", fail)
        assert reparse(me.profile, NOTHING) == Reparsed(2, 1)
    assert said(me) == [(1, "unknown", ""), (2, "message", "there")]
    assert reparse(me.profile, NOTHING) == Reparsed(1, 1)
    me.check()


def test_an_end_at_any_moment_loses_nothing(me: Recipient) -> None:
    with older_version():
        for number, text in enumerate("abc"):
            me.get(BOB, VisibleMessage(text), 1_000 + number)
    connection: apsw.Connection = me.profile.store._connection
    moments = 0
    while kept(me):
        moments += 1
        left = moments

        def count_down(*_: object) -> bool:
            nonlocal left
            left -= 1
            if not left:
                raise KeyboardInterrupt
            return True

        connection.exec_trace = count_down
        try:
            reparse(me.profile, NOTHING)
        except KeyboardInterrupt:
            assert not connection.in_transaction
        finally:
            connection.exec_trace = None
        me.check()
        messages = me.log(BOB.account_id)
        assert [message.body or "abc"[message.id - 1] for message in messages] == ["a", "b", "c"]
        assert len(me.events()) == 3
        assert sum(message.kind == "unknown" for message in messages) == kept(me)
    assert moments > 20
    assert [body for _, _, body in said(me)] == ["a", "b", "c"]


# Messages that only look special.


def field(number: int, value: bytes) -> bytes:
    """A field of bytes as protobuf writes it; numbers below 2,048 and lengths below 16,384."""
    tag, length = number << 3 | 2, len(value)
    return bytes([*_varint(tag), *_varint(length)]) + value


def _varint(number: int) -> list[int]:
    return [number] if number < 128 else [number & 127 | 128, number >> 7]


PROOFS = {
    "the apps'": "0801" + "1220" + "11" * 32 + "1a20" + "22" * 32 + "2080d095ffbc31" + "2a40" + "33" * 64,
    "the newest library's": "1220" + "11" * 32 + "1a20" + "22" * 32 + "20808ba4ab06" + "2a40" + "33" * 64,
    "of wrong sizes": "120111" + "1a0122" + "2a0133",
    "of wrong types": "1001" + "0a0178",
    "empty": "",
}


@pytest.mark.parametrize("proof", PROOFS.values(), ids=PROOFS.keys())
def test_messages_with_proofs_of_a_subscription_are_ordinary(proof: str, me: Recipient) -> None:
    inner = field(1, bytes.fromhex(proof)) + bytes.fromhex("1003" + "1801")
    content = field(1, field(1, b"hi")) + field(16, inner) + field(17, b"abc")
    assert me.get(BOB, content, 1_000).new == 1
    assert said(me) == [(1, "message", "hi")]
    assert kept(me) == 0


def test_long_texts_are_ordinary(me: Recipient) -> None:
    text = "🜂" * 10_000
    me.get(BOB, VisibleMessage(text), 1_000)
    assert said(me) == [(1, "message", text)]
