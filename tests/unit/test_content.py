"""Every payload survives the wire; odd ones are refused or ignored, never guessed at."""

from __future__ import annotations

import pytest

from session_cli.errors import MalformedMessage
from session_cli.protocol import content as contents
from session_cli.protocol.account import AccountId
from session_cli.protocol.payload import (
    AttachmentPointer,
    Call,
    CallKind,
    CommunityInvitation,
    Content,
    Expiration,
    ExpirationMode,
    Ignored,
    LinkPreview,
    MediaSaved,
    Payload,
    Profile,
    Quote,
    Reaction,
    ReadReceipt,
    RequestAccepted,
    TimerUpdate,
    Typing,
    Unsend,
    VisibleMessage,
)
from session_cli.protocol.proto import session_pb2 as pb

ME = AccountId("05" + "11" * 32)
THEM = AccountId("05" + "22" * 32)
POINTER = AttachmentPointer(
    "http://files.test/file/12", b"k" * 64, 5, b"d" * 32, "image/png", "a.png", True, 3, 4, "caption", 12
)
PAYLOADS: list[Payload] = [
    VisibleMessage("hello"),
    VisibleMessage("", (POINTER, AttachmentPointer("http://files.test/file/1", b"k" * 32, 1))),
    VisibleMessage(
        "reply",
        quote=Quote(THEM, 17),
        preview=LinkPreview("https://example.test", "title", POINTER),
        profile=Profile("Alice", "http://files.test/file/9", b"p" * 32, 1_700_000_000),
        sync_target=THEM,
    ),
    VisibleMessage(invitation=CommunityInvitation("https://example.test/room?public_key=00", "Room")),
    TimerUpdate(Profile("Alice"), THEM),
    Reaction(THEM, 5, "👍", remove=False),
    Reaction(THEM, 5, "👍", remove=True, sync_target=THEM),
    ReadReceipt((1, 2, 3)),
    Typing(started=True),
    Typing(started=False),
    Unsend(THEM, 9),
    MediaSaved(9),
    RequestAccepted(Profile("Alice")),
    *(Call(kind, "0b6cf4ae-7a5c-4f0e-8a6e-d6ab2d1e6d55", ("sdp",)) for kind in CallKind),
]


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda p: type(p).__name__)
def test_round_trip(payload: Payload) -> None:
    expiration = Expiration(ExpirationMode.AFTER_READ, 300)
    if isinstance(payload, Typing):
        expiration = Expiration()
    content = Content(payload, 1_700_000_000_000, expiration)
    assert contents.parse(contents.serialize(content)) == content


def test_expiration_fields_are_there_even_when_off() -> None:
    message = pb.Content.FromString(contents.serialize(Content(VisibleMessage("x"), 1)))
    assert message.HasField("expirationType")
    assert message.HasField("expirationTimer")
    typing = pb.Content.FromString(contents.serialize(Content(Typing(started=True), 1)))
    assert not typing.HasField("expirationType")


def test_a_pointer_always_has_the_id_that_readers_insist_on() -> None:
    payload = VisibleMessage("", (AttachmentPointer("http://files.test/file/x", b"k" * 64, 1),))
    message = pb.Content.FromString(contents.serialize(Content(payload, 1)))
    assert message.dataMessage.attachments[0].HasField("id")


def _parse(message: pb.Content) -> Payload:
    return contents.parse(message.SerializePartialToString()).payload


@pytest.mark.parametrize(
    "message",
    [
        pb.Content(),
        pb.Content(dataMessage=pb.DataMessage()),
        pb.Content(dataMessage=pb.DataMessage(body=" \n ")),
        pb.Content(receiptMessage=pb.ReceiptMessage(type="DELIVERY", timestamp=[1])),
        pb.Content(messageRequestResponse=pb.MessageRequestResponse(isApproved=False)),
        pb.Content(dataExtractionNotification=pb.DataExtractionNotification(type="SCREENSHOT")),
    ],
)
def test_valid_but_meaningless(message: pb.Content) -> None:
    assert isinstance(_parse(message), Ignored)


@pytest.mark.parametrize(
    "message",
    [
        pb.Content(dataMessage=pb.DataMessage(reaction=pb.Reaction(id=1, author="05", action="REACT"))),
        pb.Content(dataMessage=pb.DataMessage(attachments=[pb.AttachmentPointer(url="u")])),
        pb.Content(dataMessage=pb.DataMessage(attachments=[pb.AttachmentPointer(id=1)] * 33)),
        pb.Content(unsendRequest=pb.UnsendRequest(author="05")),
        pb.Content(callMessage=pb.CallMessage(uuid="x")),
    ],
)
def test_malformed(message: pb.Content) -> None:
    with pytest.raises(MalformedMessage):
        _parse(message)


def test_invalid_utf8_is_malformed() -> None:
    with pytest.raises(MalformedMessage):
        contents.parse(bytes.fromhex("0a040a02ff00"))


def test_a_timer_of_unknown_kind_is_read_as_after_read() -> None:
    message = pb.Content(dataMessage=pb.DataMessage(body="x"), expirationTimer=60)
    assert contents.parse(message.SerializeToString()).expiration == Expiration(ExpirationMode.AFTER_READ, 60)


def test_a_picture_needs_a_key_of_32_bytes() -> None:
    profile = pb.LokiProfile(displayName="A", profilePicture="http://files.test/file/1")
    message = pb.Content(dataMessage=pb.DataMessage(body="x", profile=profile, profileKey=b"short"))
    payload = _parse(message)
    assert isinstance(payload, VisibleMessage)
    assert payload.profile == Profile("A")


def test_long_names_are_cut_at_a_code_point() -> None:
    assert contents.truncate_name("é" * 60) == "é" * 50
    assert contents.truncate_name("a" + "é" * 60) == "a" + "é" * 49


def test_a_sync_target_counts_only_from_ourselves() -> None:
    payload = VisibleMessage("x", sync_target=THEM)
    other = AccountId("05" + "33" * 32)
    assert contents.conversation_of(ME, ME, payload) == THEM
    assert contents.conversation_of(ME, ME, VisibleMessage("x")) == ME
    assert contents.conversation_of(ME, other, payload) == other


def test_an_ignored_payload_is_never_sent() -> None:
    with pytest.raises(ValueError, match="never sent"):
        contents.serialize(Content(Ignored("a thing"), 1))


def test_times_that_no_calendar_has() -> None:
    late = contents.MAX_TIME_MS + 1
    with pytest.raises(MalformedMessage):
        _parse(pb.Content(dataMessage=pb.DataMessage(body="x"), sigTimestamp=late))
    with pytest.raises(MalformedMessage):
        _parse(pb.Content(unsendRequest=pb.UnsendRequest(author=THEM, timestamp=2**64 - 1)))
    profile = pb.LokiProfile(displayName="A", lastUpdateSeconds=2**63)
    payload = _parse(pb.Content(dataMessage=pb.DataMessage(body="x", profile=profile)))
    assert isinstance(payload, VisibleMessage)
    assert payload.profile == Profile("A", updated_s=0)


@pytest.mark.parametrize(("author", "when"), [(THEM, 2**63), ("a", 1), ("\x1b[31m", 1), ("05" + "AA" * 32, 1)])
def test_a_reply_to_nothing_that_could_be_is_read_without_the_reference(author: str, when: int) -> None:
    payload = _parse(pb.Content(dataMessage=pb.DataMessage(body="x", quote=pb.Quote(id=when, author=author))))
    assert payload == VisibleMessage("x")
