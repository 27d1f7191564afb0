"""What the client gives to its caller: plain values, ready to be shown or turned into JSON."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..store.records import AttachmentRow, MessageRow


@dataclass(frozen=True, slots=True)
class Party:
    """A person or conversation: its id, and the best name we have for it."""

    id: str
    name: str | None
    type: str = "contact"


@dataclass(frozen=True, slots=True)
class Contact:
    """A person: the name that we gave, and the one that they give themselves.

    `approved`: we have written to them, or answered; `approved_me`: they have written to us.
    """

    id: str
    nickname: str | None
    profile_name: str | None
    approved: bool
    approved_me: bool

    @property
    def name(self) -> str | None:
        """The name to show: ours if there is one."""
        return self.nickname or self.profile_name


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that came or went with a message. `name` is what its sender called it, as sent: don't use it as a path."""

    id: int
    name: str | None
    content_type: str
    size: int
    voice: bool
    saved: str | None


@dataclass(frozen=True, slots=True)
class Quote:
    """The message that another one answers, named by its author and sent time."""

    author: str
    timestamp_ms: int


@dataclass(frozen=True, slots=True)
class Message:
    """A message of either direction.

    `id` is local and stable; `(sender.id, timestamp_ms)` names it within its conversation on all devices; `hash` is the
    swarm's. `status`: `received`; or for our own `pending` (being sent), `sent` (stored in the recipient's swarm),
    `queued` (waits in the outbox) or `failed`. `request`: from somebody whom we never wrote to.
    """

    id: int
    hash: str | None
    direction: str
    conversation: Party
    sender: Party
    timestamp_ms: int
    body: str = field(repr=False)
    attachments: tuple[Attachment, ...]
    quote: Quote | None
    expire_mode: str
    expire_s: int
    request: bool
    status: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """With whom we talk: the last message, how many events of it were not received yet, and whether it only asks.

    `request`: somebody wrote whom we never answered.
    """

    party: Party
    last_message: Message | None
    unread: int
    request: bool


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened, for readers of `receive`. `seq` is its place in the log."""

    seq: int
    type: str
    message: Message


@dataclass(frozen=True, slots=True)
class Cursor:
    """A reader of the log: how many events it has before it, and since when there is such a reader (ms)."""

    name: str
    unread: int
    made_ms: int


def attachment_of(row: AttachmentRow) -> Attachment:
    """A stored attachment as the caller sees it."""
    return Attachment(row.id or 0, row.name, row.content_type, row.size, row.voice, row.saved)


def message_of(row: MessageRow, own_id: str, own_name: str | None) -> Message:
    """A stored message as the caller sees it."""
    note_to_self = row.conversation == own_id
    conversation_name = own_name if note_to_self else row.conversation_name
    return Message(
        id=row.id,
        hash=row.hash,
        direction=row.direction,
        conversation=Party(row.conversation, conversation_name, "self" if note_to_self else "contact"),
        sender=Party(row.sender, own_name if row.sender == own_id else row.sender_name),
        timestamp_ms=row.sent_ms,
        body=row.body,
        attachments=tuple(attachment_of(attachment) for attachment in row.attachments),
        quote=Quote(row.quote_author, row.quote_ms) if row.quote_author and row.quote_ms else None,
        expire_mode=row.expire_mode,
        expire_s=row.expire_s,
        request=row.request,
        status=row.status,
    )
