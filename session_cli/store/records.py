"""Rows of the store as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class AttachmentRow:
    """One attachment. `id` is None before it is in the store; `saved` is the path it was last saved to.

    `duration_ms` is that of a voice message, where it is known.
    """

    url: str
    key: bytes = field(repr=False)
    digest: bytes | None = field(repr=False)
    size: int
    content_type: str
    name: str | None
    voice: bool = False
    width: int | None = None
    height: int | None = None
    caption: str | None = None
    saved: str | None = None
    duration_ms: int | None = None
    id: int | None = None


@dataclass(frozen=True, slots=True)
class PersonRow:
    """Somebody who is known.

    `name` is what they call themselves, `nickname` what we call them; `approved`: we wrote to them, or want them to
    write; `approved_me`: they wrote to us; `blocked`: we want nothing from them. `picture_url` and `picture_key`
    (32 bytes) lead to their picture.
    """

    address: str
    name: str | None
    nickname: str | None
    approved: bool
    approved_me: bool
    blocked: bool = False
    picture_url: str | None = None
    picture_key: bytes | None = field(default=None, repr=False)
    profile_updated_s: int = 0

    @property
    def shown_name(self) -> str | None:
        """The name to show: ours if there is one."""
        return self.nickname or self.name

    @property
    def is_contact(self) -> bool:
        """Whether our other devices are told of this person: one of us has written to the other, or we said something
        of him."""
        return self.approved or self.approved_me or self.blocked or self.nickname is not None


@dataclass(frozen=True, slots=True)
class ReactionRow:
    """An emoji that somebody (an address) put on a message."""

    emoji: str
    sender: str
    sender_name: str | None


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message, or a notice of another `kind`, on its way into the store. Times are ms of network time.

    `expires_ms` is when it disappears, if its clock runs already. `content` is what a notice says, or what a message
    has beside text and files: see `store.messages`.
    """

    conversation: str
    direction: str
    sender: str
    sent_ms: int
    body: str = field(repr=False)
    status: str
    quote_author: str | None = None
    quote_ms: int | None = None
    expire_mode: str = "off"
    expire_s: int = 0
    expires_ms: int | None = None
    request: bool = False
    kind: str = "message"
    content: Mapping[str, Any] = field(default_factory=dict)
    attachments: tuple[AttachmentRow, ...] = ()


@dataclass(frozen=True, slots=True)
class MessageRow:
    """A stored message or notice with what a reader needs beside it: the names of those concerned, the quoted message.

    `read`: an incoming one was read here, one of ours by whom it went to. `deleted`: only its place is left.
    """

    id: int
    conversation: str
    conversation_name: str | None
    direction: str
    sender: str
    sender_name: str | None
    sent_ms: int
    body: str = field(repr=False)
    status: str
    quote_author: str | None
    quote_ms: int | None
    expire_mode: str
    expire_s: int
    expires_ms: int | None
    request: bool
    hash: str | None
    kind: str
    content: Mapping[str, Any]
    deleted: bool
    read: bool
    quote_name: str | None
    quote_id: int | None
    quote_body: str | None
    attachments: tuple[AttachmentRow, ...] = ()
    reactions: tuple[ReactionRow, ...] = ()


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """Sealed bytes for one swarm (`account`). `role` is `recipient` or `own`."""

    role: str
    account: str
    ttl_ms: int
    data: bytes = field(repr=False)
    hash: str


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """A delivery that has not reached its swarm yet. `message_id` is None where it is of no message.

    `effect` is what is done here when it has: see `core.effects`. `tried_ms`: since when a community server may
    have it (0: it has not).
    """

    id: int
    message_id: int | None
    role: str
    account: str
    ttl_ms: int
    data: bytes = field(repr=False)
    hash: str
    effect: Mapping[str, Any] | None = None
    tried_ms: int = 0


@dataclass(frozen=True, slots=True)
class EventRow:
    """One entry of the log that readers follow.

    `message` is what it is about, or what it happened to; None where that is no message, or none that we have. What
    happened apart from it is in `detail`.
    """

    seq: int
    type: str
    message: MessageRow | None
    detail: EventDetail | None = None


@dataclass(frozen=True, slots=True)
class EventDetail:
    """What an event says by itself: in which conversation (an address), who did it, when (ms), and more by its type."""

    conversation: str | None
    conversation_name: str | None
    sender: str | None
    sender_name: str | None
    sent_ms: int
    content: Mapping[str, Any]
