"""Direct messages between blinded ids, as a server keeps them: what came (inbox) and what we sent (outbox).

The server sees the two blinded ids and the time; the message itself, and which account sent it, only the other side.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ...errors import DecryptionFailed, InvalidInput, MalformedMessage, MessageTooLong
from .. import content as contents
from ..account import AccountId
from ..blinding import BlindedId, decrypt, encrypt, parse_blinded_id
from ..padding import pad
from ..payload import Content
from .auth import ServerIdentity
from .posts import CLOCK_TOLERANCE_MS, content_of
from .values import MAX_NUMBER, blob, mapping, number, sequence, time_ms

MOST_MESSAGES = 256
MAX_MESSAGE_BYTES = 200_000
"""Of a sealed message. Servers have no limit of their own."""


@dataclass(frozen=True, slots=True)
class DirectMessage:
    """A direct message as the server keeps it, until `expires_ms`."""

    id: int
    posted_ms: int
    expires_ms: int
    sender: BlindedId
    recipient: BlindedId
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SentMessage:
    """What a server says of a direct message that it has taken. `sender` is a 05 id if we signed as such."""

    id: int
    posted_ms: int
    expires_ms: int


@dataclass(frozen=True, slots=True)
class DirectMessages:
    """A part of an inbox or outbox, oldest first, and how many in it made no sense.

    `newest_id` is from where to ask on; None if there was nothing. `more`: further ones may wait.
    """

    messages: tuple[DirectMessage, ...] = ()
    malformed: int = 0
    newest_id: int | None = None
    more: bool = False


@dataclass(frozen=True, slots=True)
class OpenedDirectMessage:
    """What a direct message says, and which account wrote it. `sent_by_us`: it was we, to the blinded `recipient`."""

    message: DirectMessage
    sender: AccountId
    sent_by_us: bool
    serialized: bytes = field(repr=False)
    content: Content


def parse_direct_messages(value: Any, limit: int) -> DirectMessages:
    """An inbox or outbox, asked for with this limit. Raises MalformedMessage for what is no list."""
    rows = sequence(value)
    found: dict[int, DirectMessage] = {}
    newest = None
    for row in rows[:MOST_MESSAGES]:
        message_id = _id_of(row)
        newest = message_id if newest is None else max(newest, message_id)
        try:
            message = _direct_message(row)
        except MalformedMessage:
            continue
        found.setdefault(message.id, message)
    ordered = tuple(found[message_id] for message_id in sorted(found))
    return DirectMessages(ordered, len(rows) - len(ordered), newest, len(rows) >= min(limit, MOST_MESSAGES))


def parse_sent_message(value: Any) -> SentMessage:
    """Raises MalformedMessage."""
    fields = mapping(value)
    times = time_ms(fields.get("posted_at")), time_ms(fields.get("expires_at"))
    return SentMessage(number(fields.get("id")), *times)


def seal_direct_message(sender: ServerIdentity, recipient: BlindedId, serialized: bytes) -> bytes:
    """Pad and encrypt a content (serialised) for a blinded id. Raises InvalidInput, MessageTooLong."""
    sealed = encrypt(sender.identity, sender.server_key, recipient, pad(serialized))
    if len(sealed) > MAX_MESSAGE_BYTES:
        raise MessageTooLong(f"The message takes {len(sealed):,} bytes; up to {MAX_MESSAGE_BYTES:,} are possible.")
    return sealed


def open_direct_message(reader: ServerIdentity, message: DirectMessage) -> OpenedDirectMessage:
    """Decrypt a message that we received or sent, and see that it comes from who it says.

    Raises DecryptionFailed, UnsupportedVersion and MalformedMessage.
    """
    try:
        opened = decrypt(
            reader.identity, reader.server_key, message.data, sender=message.sender, recipient=message.recipient
        )
    except InvalidInput as error:
        raise DecryptionFailed(error.message) from None
    sent_by_us = opened.sender == reader.identity.account_id
    serialized = content_of(opened.plaintext)
    content = contents.parse(serialized)
    if content.timestamp_ms is not None and abs(content.timestamp_ms - message.posted_ms) > CLOCK_TOLERANCE_MS:
        raise MalformedMessage("A direct message was made for another time than the server says.")
    return OpenedDirectMessage(message, opened.sender, sent_by_us, serialized, content)


def _direct_message(value: Any) -> DirectMessage:
    fields = mapping(value)
    return DirectMessage(
        id=number(fields.get("id")),
        posted_ms=time_ms(fields.get("posted_at")),
        expires_ms=time_ms(fields.get("expires_at")),
        sender=_blinded_id(fields.get("sender")),
        recipient=_blinded_id(fields.get("recipient")),
        data=blob(fields.get("message"), MAX_MESSAGE_BYTES),
    )


def _blinded_id(value: Any) -> BlindedId:
    try:
        blinded = parse_blinded_id(value if isinstance(value, str) else "")
    except InvalidInput as error:
        raise MalformedMessage(error.message) from None
    if blinded != value:
        raise MalformedMessage("A blinded id is written in lower case.")
    return blinded


def _id_of(row: Any) -> int:
    """The id of a message that may be left out, so that it is not asked for again and again; 0 if it has none."""
    found = row.get("id") if isinstance(row, dict) else None
    return found if type(found) is int and 0 <= found <= MAX_NUMBER else 0
