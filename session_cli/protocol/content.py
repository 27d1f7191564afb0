"""The content of messages: typed values (`session_cli.protocol.payload`) on our side, protobuf on the wire.

A content carries one payload; where a peer sends several, the first in the order of `_PAYLOADS` counts. Parsing is
strict about what a value means and lenient about what does not concern us: unknown fields are skipped.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..errors import MalformedMessage
from .account import AccountId
from .payload import (
    AttachmentPointer,
    Call,
    CallKind,
    CommunityInvitation,
    Content,
    Expiration,
    ExpirationMode,
    GroupUpdate,
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
    Unknown,
    Unsend,
    VisibleMessage,
)

if TYPE_CHECKING:
    from .proto import session_pb2 as pb

MAX_BODY_CODE_POINTS = 2_000
"""Longest body sent without a subscription; receivers that enforce it cut the rest."""
MAX_ATTACHMENTS = 32
MAX_RECEIPT_TIMES = 1_000
"""Of different messages that a receipt names; further ones don't count. A message has room for 76,000."""
MAX_EMOJI_CODE_POINTS = 32
"""Of a reaction. The longest emoji, a family in skin tones, has eleven."""
EXPIRATION_TIMER_UPDATE = 2
VOICE_MESSAGE = 1
MAX_TIME_MS = 253_402_300_799_999
"""The end of the year 9999, and of what RFC 3339 can say. No message is from later."""
MAX_NAME_BYTES = 100
MAX_PICTURE_URL_BYTES = 223
"""Of a profile picture's address; the configuration that devices share has room for no more."""
_NEW_KIND = "a kind of message that this version does not know"
_NEW_FLAGS = "a message with flags that this version does not know"
_NEW_VALUE = "a message with values that this version does not know"
_WITHOUT_SENSE = {
    # Legacy configuration (7, 11, 14), subscriptions (16, 17) and a second name of the message (18).
    "Content": frozenset({7, 11, 14, 16, 17, 18}),
    # Legacy groups (3, 104) and timers (5).
    "DataMessage": frozenset({3, 5, 104}),
    "GroupUpdateMessage": frozenset(),
}
"""Fields, by number, that we don't read and that alone make no message."""
_ID = re.compile(r"(?:0[0357]|15|25)[0-9a-f]{64}\Z")


def serialize(content: Content) -> bytes:
    """Content → protobuf. Raises ValueError for payloads that can't be sent (`Ignored`, `Unknown`)."""
    from .proto import session_pb2

    message = session_pb2.Content()
    payload = content.payload
    match payload:
        case VisibleMessage():
            _fill_visible(message.dataMessage, payload)
        case TimerUpdate(profile, sync_target):
            message.dataMessage.flags = EXPIRATION_TIMER_UPDATE
            _fill_common(message.dataMessage, profile, sync_target)
        case Reaction():
            reaction = message.dataMessage.reaction
            reaction.id, reaction.author, reaction.emoji = payload.timestamp_ms, payload.author, payload.emoji
            reaction.action = reaction.REMOVE if payload.remove else reaction.REACT
            _fill_common(message.dataMessage, payload.profile, payload.sync_target)
        case ReadReceipt(timestamps):
            message.receiptMessage.type = session_pb2.ReceiptMessage.READ
            message.receiptMessage.timestamp.extend(timestamps)
        case Typing(started):
            action = session_pb2.TypingMessage.STARTED if started else session_pb2.TypingMessage.STOPPED
            message.typingMessage.timestamp = content.timestamp_ms or 0
            message.typingMessage.action = action
        case Unsend(author, timestamp):
            message.unsendRequest.author, message.unsendRequest.timestamp = author, timestamp
        case MediaSaved(timestamp):
            notice = message.dataExtractionNotification
            notice.type = notice.MEDIA_SAVED
            notice.timestamp = notice.msgTimestamp = timestamp
        case RequestAccepted(profile):
            message.messageRequestResponse.isApproved = True
            _fill_profile(message.messageRequestResponse, profile)
        case Call(kind, uuid, sdps):
            message.callMessage.CopyFrom(session_pb2.CallMessage(type=kind.name, uuid=uuid, sdps=sdps))
        case GroupUpdate():
            _fill_group_update(message.dataMessage, payload)
        case Ignored(what) | Unknown(what):
            raise ValueError(f"{what} is never sent.")
    if content.timestamp_ms is not None:
        message.sigTimestamp = content.timestamp_ms
    if not isinstance(payload, Typing):
        # Both fields, even when off: a content with neither marks its sender as an old client.
        wire_modes = {
            ExpirationMode.OFF: session_pb2.Content.UNKNOWN,
            ExpirationMode.AFTER_READ: session_pb2.Content.DELETE_AFTER_READ,
            ExpirationMode.AFTER_SEND: session_pb2.Content.DELETE_AFTER_SEND,
        }
        message.expirationType = wire_modes[content.expiration.mode]
        message.expirationTimer = content.expiration.seconds
    return message.SerializeToString()


def _fill_visible(data: pb.DataMessage, payload: VisibleMessage) -> None:
    if payload.body:
        data.body = payload.body
    for pointer in payload.attachments:
        _fill_pointer(data.attachments.add(), pointer)
    if payload.quote:
        data.quote.id, data.quote.author = payload.quote.timestamp_ms, payload.quote.author
    if payload.preview:
        preview = data.preview.add()
        preview.url = payload.preview.url
        if payload.preview.title:
            preview.title = payload.preview.title
        if payload.preview.image:
            _fill_pointer(preview.image, payload.preview.image)
    if payload.invitation:
        data.openGroupInvitation.url = payload.invitation.url
        data.openGroupInvitation.name = payload.invitation.name
    if payload.blocks_requests is not None:
        data.blocksCommunityMessageRequests = payload.blocks_requests
    _fill_common(data, payload.profile, payload.sync_target)


def _fill_common(data: pb.DataMessage, profile: Profile | None, sync_target: str | None) -> None:
    _fill_profile(data, profile)
    if sync_target is not None:
        data.syncTarget = sync_target


def _fill_profile(message: pb.DataMessage | pb.MessageRequestResponse, profile: Profile | None) -> None:
    if profile is None:
        return
    if profile.name:
        message.profile.displayName = profile.name
    if profile.picture_url and profile.picture_key:
        message.profile.profilePicture = profile.picture_url
        message.profileKey = profile.picture_key
    if profile.updated_s:
        message.profile.lastUpdateSeconds = profile.updated_s


def _fill_pointer(message: pb.AttachmentPointer, pointer: AttachmentPointer) -> None:
    message.id = pointer.server_id
    message.url = pointer.url
    if pointer.key:
        message.key = pointer.key
    message.size = pointer.size
    message.contentType = pointer.content_type
    if pointer.digest is not None:
        message.digest = pointer.digest
    if pointer.file_name:
        message.fileName = pointer.file_name
    if pointer.voice:
        message.flags = VOICE_MESSAGE
    if pointer.width and pointer.height:
        message.width, message.height = pointer.width, pointer.height
    if pointer.caption:
        message.caption = pointer.caption


def parse(serialized: bytes) -> Content:
    """Protobuf → content. Raises MalformedMessage; what means nothing becomes `Ignored`, what is too new `Unknown`."""
    from .proto import session_pb2
    from .wire import has_new_values, parse_message

    message = parse_message(session_pb2.Content, serialized, unless=has_new_values)
    for name, read in _PAYLOADS:
        if message.HasField(name):
            too_new = Unknown(_NEW_VALUE, message.dataMessage.syncTarget or None)
            payload = read(message) if message.IsInitialized() else too_new
            break
    else:
        payload = _without_sense(message, "a content without a payload")
    timestamp_ms = check_time(message.sigTimestamp) if message.sigTimestamp else None
    return Content(payload, timestamp_ms, _read_expiration(message))


def _without_sense(
    message: pb.Content | pb.DataMessage | pb.GroupUpdateMessage, what: str, sync_target: str | None = None
) -> Ignored | Unknown:
    """What to call something that says nothing in the fields that we know."""
    from .wire import unknown_numbers

    new = unknown_numbers(message) - _WITHOUT_SENSE[message.DESCRIPTOR.name]
    return Unknown(_NEW_KIND, sync_target) if new else Ignored(what)


def check_time(milliseconds: int) -> int:
    """A time as it is, or MalformedMessage for one that no calendar has: the field has room for 584 million years."""
    if milliseconds > MAX_TIME_MS:
        raise MalformedMessage("A message names a time after the year 9999.")
    return milliseconds


def _read_expiration(message: pb.Content) -> Expiration:
    seconds = message.expirationTimer
    if not seconds:
        return Expiration()
    mode = ExpirationMode(message.expirationType)
    # A timer of unknown kind is read as Desktop reads it.
    return Expiration(ExpirationMode.AFTER_READ if mode is ExpirationMode.OFF else mode, seconds)


def _read_data(content: pb.Content) -> Payload:
    data = content.dataMessage
    profile = _read_profile(data)
    sync_target = data.syncTarget or None
    if data.flags == EXPIRATION_TIMER_UPDATE:
        return TimerUpdate(profile, sync_target)
    if data.flags:
        return Unknown(_NEW_FLAGS, sync_target)
    if data.HasField("groupUpdateMessage"):
        return _read_group_update(data, profile)
    if data.HasField("reaction"):
        reaction = data.reaction
        if not reaction.emoji:
            raise MalformedMessage("A reaction names no emoji.")
        if len(reaction.emoji) > MAX_EMOJI_CODE_POINTS:
            raise MalformedMessage("A reaction is much longer than any emoji.")
        return Reaction(
            reaction.author,
            check_time(reaction.id),
            reaction.emoji,
            reaction.action == reaction.REMOVE,
            profile,
            sync_target,
        )
    if len(data.attachments) > MAX_ATTACHMENTS:
        raise MalformedMessage(f"A message has more than {MAX_ATTACHMENTS} attachments.")
    visible = VisibleMessage(
        body=data.body,
        attachments=tuple(_read_pointer(pointer) for pointer in data.attachments),
        quote=_read_quote(data.quote) if data.HasField("quote") else None,
        preview=_read_preview(data.preview[0]) if data.preview else None,
        invitation=(
            CommunityInvitation(data.openGroupInvitation.url, data.openGroupInvitation.name)
            if data.HasField("openGroupInvitation")
            else None
        ),
        profile=profile,
        sync_target=sync_target,
        blocks_requests=(
            data.blocksCommunityMessageRequests if data.HasField("blocksCommunityMessageRequests") else None
        ),
    )
    if not (visible.body.strip() or visible.attachments or visible.quote or visible.preview or visible.invitation):
        return _without_sense(data, "an empty message", sync_target)
    return visible


def _fill_group_update(data: pb.DataMessage, update: GroupUpdate) -> None:
    from .group.update_content import fill

    fill(data.groupUpdateMessage, update)
    _fill_profile(data, getattr(update, "profile", None))


def _read_group_update(data: pb.DataMessage, profile: Profile | None) -> Payload:
    from .group.update_content import read

    return read(data.groupUpdateMessage, profile) or _without_sense(data.groupUpdateMessage, "an empty group update")


def _read_quote(quote: pb.Quote) -> Quote | None:
    """The reference, or None if it can't be one: a reply is worth reading all the same."""
    if quote.id > MAX_TIME_MS or not _ID.match(quote.author):
        return None
    return Quote(quote.author, quote.id, quote.text or None)


def _read_pointer(pointer: pb.AttachmentPointer) -> AttachmentPointer:
    return AttachmentPointer(
        url=pointer.url,
        key=pointer.key,
        size=pointer.size,
        digest=pointer.digest or None,
        content_type=pointer.contentType or "application/octet-stream",
        file_name=pointer.fileName or None,
        voice=bool(pointer.flags & VOICE_MESSAGE),
        width=pointer.width or None,
        height=pointer.height or None,
        caption=pointer.caption or None,
        server_id=pointer.id,
    )


def _read_preview(preview: pb.Preview) -> LinkPreview:
    image = _read_pointer(preview.image) if preview.HasField("image") else None
    return LinkPreview(preview.url, preview.title or None, image)


def _read_profile(message: pb.DataMessage | pb.MessageRequestResponse) -> Profile | None:
    if not message.HasField("profile"):
        return None
    key, url = message.profileKey, message.profile.profilePicture
    if len(key) != 32 or len(url.encode()) > MAX_PICTURE_URL_BYTES:
        url = ""
    return Profile(
        name=truncate_name(message.profile.displayName) or None,
        picture_url=url or None,
        picture_key=key if url else None,
        updated_s=_believable(message.profile.lastUpdateSeconds),
    )


def _believable(seconds: int) -> int:
    """A profile's time, or 0 (unknown) for one after the year 9999: it would beat all names to come."""
    return seconds if seconds * 1000 <= MAX_TIME_MS else 0


def truncate_name(name: str) -> str:
    """A display name cut to 100 bytes of UTF-8, at a code point's boundary."""
    return name.encode()[:MAX_NAME_BYTES].decode(errors="ignore")


def _read_receipt(content: pb.Content) -> Payload:
    receipt = content.receiptMessage
    if receipt.type != receipt.READ:
        return Ignored("a delivery receipt")
    times = islice(dict.fromkeys(receipt.timestamp), MAX_RECEIPT_TIMES)
    return ReadReceipt(tuple(map(check_time, times)))


def _read_extraction(content: pb.Content) -> Payload:
    notice = content.dataExtractionNotification
    if notice.type != notice.MEDIA_SAVED:
        return Ignored("a screenshot notice")
    return MediaSaved(check_time(notice.timestamp or notice.msgTimestamp))


def _read_response(content: pb.Content) -> Payload:
    response = content.messageRequestResponse
    return RequestAccepted(_read_profile(response)) if response.isApproved else Ignored("a declined message request")


def _read_call(content: pb.Content) -> Payload:
    call = content.callMessage
    return Call(CallKind(call.type), call.uuid.lower(), tuple(call.sdps))


def _read_typing(content: pb.Content) -> Payload:
    return Typing(content.typingMessage.action == content.typingMessage.STARTED)


def _read_unsend(content: pb.Content) -> Payload:
    return Unsend(content.unsendRequest.author, check_time(content.unsendRequest.timestamp))


_PAYLOADS: tuple[tuple[Any, Callable[[pb.Content], Payload]], ...] = (
    ("dataMessage", _read_data),
    ("receiptMessage", _read_receipt),
    ("typingMessage", _read_typing),
    ("dataExtractionNotification", _read_extraction),
    ("unsendRequest", _read_unsend),
    ("callMessage", _read_call),
    ("messageRequestResponse", _read_response),
)


def conversation_of(own_id: AccountId, sender_id: AccountId, payload: Payload) -> str:
    """Whose conversation a message belongs to.

    The sender's; for a message from ourselves the one it was synced for, or our own (note to self). A foreign
    `sync_target` is nobody's business: believing it would let a stranger write into another conversation.
    """
    if sender_id != own_id:
        return sender_id
    target = getattr(payload, "sync_target", None)
    return target or own_id
