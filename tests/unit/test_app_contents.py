"""What the official apps write, each in its own way: all of it means the same here."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from session_cli.protocol import content as contents
from session_cli.protocol import session_v1
from session_cli.protocol.account import Identity, key_of
from session_cli.protocol.padding import pad
from session_cli.protocol.payload import (
    Content,
    Expiration,
    ExpirationMode,
    MediaSaved,
    Profile,
    Quote,
    ReadReceipt,
    VisibleMessage,
)
from session_cli.protocol.proto import session_pb2 as pb
from tests.support.incoming import Recipient
from tests.support.vectors import VECTORS

ME, BOB = (Identity.from_seed(bytes([digit]) * 16) for digit in (1, 2))
SENT_MS = 1_700_000_000_000


@pytest.fixture
def me() -> Iterator[Recipient]:
    recipient = Recipient(ME)
    yield recipient
    recipient.close()


def visible(**fields: Any) -> pb.DataMessage:
    return pb.DataMessage(body="hi", **fields)


def read(message: pb.Content, more: str = "") -> Content:
    """What a content says, with more fields (hex) behind those that we write."""
    return contents.parse(message.SerializeToString() + bytes.fromhex(more))


def test_zeros_for_a_message_that_stays() -> None:
    """iOS writes them, Android and Desktop leave them out."""
    written = pb.Content(dataMessage=visible(), expirationType=0, expirationTimer=0, sigTimestamp=SENT_MS)  # type: ignore[arg-type]
    assert written.HasField("expirationTimer")
    left_out = pb.Content(dataMessage=visible(), sigTimestamp=SENT_MS)
    assert read(written) == read(left_out) == Content(VisibleMessage("hi"), SENT_MS)


@pytest.mark.parametrize(
    ("kind", "seconds", "meant"),
    [
        ("UNKNOWN", 60, Expiration(ExpirationMode.AFTER_READ, 60)),
        ("DELETE_AFTER_READ", 60, Expiration(ExpirationMode.AFTER_READ, 60)),
        ("DELETE_AFTER_SEND", 60, Expiration(ExpirationMode.AFTER_SEND, 60)),
        ("DELETE_AFTER_READ", 0, Expiration()),
        ("DELETE_AFTER_SEND", 0, Expiration()),
    ],
)
def test_kinds_of_timers(kind: str, seconds: int, meant: Expiration) -> None:
    message = pb.Content(dataMessage=visible(), expirationType=kind, expirationTimer=seconds)
    assert read(message).expiration == meant


def test_a_kind_of_timer_from_the_future_is_read_as_one_that_is_left_out() -> None:
    assert read(pb.Content(dataMessage=visible(), expirationTimer=60), "6007").expiration == Expiration(
        ExpirationMode.AFTER_READ, 60
    )


def test_an_empty_picture_is_none() -> None:
    """Android writes address and key where there is no picture, too."""
    profile = pb.LokiProfile(displayName="Bob", profilePicture="", lastUpdateSeconds=7)
    data = visible(profile=profile, profileKey=b"", blocksCommunityMessageRequests=False)
    expected = VisibleMessage("hi", profile=Profile("Bob", updated_s=7), blocks_requests=False)
    assert read(pb.Content(dataMessage=data)).payload == expected


def test_a_quote_with_an_empty_text_and_files() -> None:
    quoted = pb.Quote.QuotedAttachment(contentType="image/png", fileName="a.png")
    quote = pb.Quote(id=5, author=BOB.account_id, text="", attachments=[quoted])
    assert read(pb.Content(dataMessage=visible(quote=quote))).payload == VisibleMessage(
        "hi", quote=Quote(BOB.account_id, 5)
    )


def test_what_the_newest_library_adds() -> None:
    """Times of data messages, and second names: of the content, of a quoted message, of those that were read."""
    name = "910102030405060708" + "09"
    data = visible(timestamp=SENT_MS, quote=pb.Quote(id=5, author=BOB.account_id))
    assert read(pb.Content(dataMessage=data, sigTimestamp=SENT_MS), name) == Content(
        VisibleMessage("hi", quote=Quote(BOB.account_id, 5)), SENT_MS
    )
    receipt = pb.ReceiptMessage(type="READ", timestamp=[5]).SerializeToString() + bytes.fromhex("190102030405060708")
    assert contents.parse(b"\x2a" + bytes([len(receipt)]) + receipt).payload == ReadReceipt((5,))


def test_receipts_may_be_packed() -> None:
    assert contents.parse(bytes.fromhex("2a06080112020506")).payload == ReadReceipt((5, 6))


@pytest.mark.parametrize(
    ("times", "meant"),
    [({"timestamp": 5}, 5), ({"msgTimestamp": 5}, 5), ({"timestamp": 5, "msgTimestamp": 6}, 5), ({}, 0)],
)
def test_whose_file_was_saved(times: dict[str, int], meant: int) -> None:
    """The apps write one time, the newest library the other one, or none."""
    notice = pb.DataExtractionNotification(type="MEDIA_SAVED", **times)
    assert read(pb.Content(dataExtractionNotification=notice)).payload == MediaSaved(meant)


@pytest.mark.parametrize("signed", [None, 0, SENT_MS])
def test_a_time_that_is_not_signed(signed: int | None, me: Recipient) -> None:
    """Old clients leave it out."""
    assert me.get(BOB, pb.Content(dataMessage=visible(), sigTimestamp=signed).SerializeToString(), SENT_MS).new == 1
    assert [message.timestamp_ms for message in me.log(BOB.account_id)] == [SENT_MS]


@pytest.mark.parametrize("signed", [1, SENT_MS - 1, SENT_MS + 1])
def test_times_that_differ(signed: int, me: Recipient) -> None:
    assert me.get(BOB, pb.Content(dataMessage=visible(), sigTimestamp=signed).SerializeToString(), SENT_MS).skipped == 1


ENVELOPES = {
    "as we write it": {"type": 6, "sourceDevice": 1, "proSig": bytes(64)},
    "of old clients": {"type": 6, "source": "", "sourceDevice": 1},
    "with a source, which means nothing": {"type": 6, "source": "05" + "AB" * 32},
    "bare": {"type": 6},
    "of the type of a group's": {"type": 7, "serverTimestamp": 5},
}


@pytest.mark.parametrize("fields", ENVELOPES.values(), ids=ENVELOPES.keys())
@pytest.mark.parametrize(
    "request_fields", [{}, {"verb": "", "path": "", "requestId": 0}, {"verb": "PUT", "path": "/x"}]
)
def test_envelopes(fields: dict[str, Any], request_fields: dict[str, Any], me: Recipient) -> None:
    content = pb.Content(dataMessage=visible()).SerializeToString()
    box = session_v1.seal(BOB, key_of(ME.account_id), pad(content))
    envelope = pb.Envelope(timestamp=SENT_MS, content=box, **fields)
    request = pb.WebSocketRequestMessage(body=envelope.SerializeToString(), **request_fields)
    assert me.take(pb.WebSocketMessage(request=request).SerializeToString()).new == 1
    assert [message.body for message in me.log(BOB.account_id)] == ["hi"]


# What another client really stored.

RECORDING = json.loads((VECTORS / "sessionjs" / "messages.json").read_text())


@pytest.mark.parametrize("case", RECORDING["cases"], ids=lambda case: case["name"])
def test_recorded_messages_find_their_places(case: dict[str, Any]) -> None:
    for store in case["stores"]:
        owner = Identity.from_seed(bytes.fromhex(RECORDING["accounts"][store["owner"]]["seed"]))
        me = Recipient(owner)
        assert me.take(base64.b64decode(store["data"])).new == 1
        decoded = next(each for each in case["decoded"][store["owner"]] if each["hash"] == store["hash"])
        data = decoded["content"]["dataMessage"]
        (message,) = me.log(data.get("syncTarget") or store["sender"])
        assert (message.kind, message.body, message.sender.id) == ("message", data.get("body", ""), store["sender"])
        assert message.hash == store["hash"]
        assert message.direction == ("outgoing" if store["sender"] == owner.account_id else "incoming")
        me.check()
        me.close()
