"""Rows of the store as values."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class AttachmentRow:
    """One attachment. `id` is None before it is in the store; `saved` is the path it was last saved to."""

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
    id: int | None = None


@dataclass(frozen=True, slots=True)
class PersonRow:
    """Somebody who is known.

    `name` is what they call themselves, `nickname` what we call them; `approved`: we wrote to them; `approved_me`: they
    wrote to us.
    """

    address: str
    name: str | None
    nickname: str | None
    approved: bool
    approved_me: bool

    @property
    def shown_name(self) -> str | None:
        """The name to show: ours if there is one."""
        return self.nickname or self.name


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message on its way into the store. Times are ms of network time."""

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
    request: bool = False
    attachments: tuple[AttachmentRow, ...] = ()


@dataclass(frozen=True, slots=True)
class MessageRow:
    """A stored message with what a reader needs beside it: the names of those concerned."""

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
    request: bool
    hash: str | None
    attachments: tuple[AttachmentRow, ...] = ()


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """Sealed bytes for one swarm. `role` is `recipient` or `own`."""

    role: str
    account: str
    ttl_ms: int
    data: bytes = field(repr=False)
    hash: str


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """A delivery that has not reached its swarm yet."""

    id: int
    message_id: int
    role: str
    account: str
    ttl_ms: int
    data: bytes = field(repr=False)
    hash: str


@dataclass(frozen=True, slots=True)
class EventRow:
    """One entry of the log that readers follow."""

    seq: int
    type: str
    message: MessageRow
