"""How a message that came is put into the store, whoever it is from: an entry of its conversation, and an event."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ..protocol.account import AccountId, is_community, is_group
from ..protocol.payload import AttachmentPointer, Content, ExpirationMode, VisibleMessage
from ..protocol.storage_rpc import Namespace, StoredMessage
from ..store.records import AttachmentRow, NewMessage, PersonRow
from ..store.unknowns import UnknownRow
from .marking import Marking
from .places import place_in_swarm
from .profile import Profile
from .receiving import PollResult

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message that was opened, and where it belongs. `now_ms` is network time, at which it came.

    `person` is the sender, as he is known before. `notice_id` is that of the notice whose place it takes, if it could
    not be understood when it came. What `is_news` readers are given.
    """

    stored: StoredMessage
    sender: AccountId
    sent_ms: int
    content: Content
    conversation: AccountId
    outgoing: bool
    now_ms: int
    person: PersonRow | None
    notice_id: int | None = None
    is_news: bool = True

    @property
    def is_request(self) -> bool:
        """Whether it is from somebody whom we never wrote to."""
        if is_group(self.conversation) or is_community(self.conversation):
            return False
        return not (self.outgoing or (self.person and self.person.approved))

    @property
    def expires_ms(self) -> int | None:
        """When it disappears, or None where that does not begin before somebody reads it.

        The swarm keeps what disappears after sending for just as long; our own messages count as read. Nobody's word
        makes a clock run longer than from now on, and that of a member of the swarm makes none shorter than from when
        it was sent. Nor does one member say that another device has read it: see `SwarmChores.learn`.
        """
        expiration = self.content.expiration
        timer_ms = 1000 * expiration.seconds
        if expiration.mode is ExpirationMode.OFF:
            return None
        if expiration.mode is ExpirationMode.AFTER_READ and not self.outgoing:
            return None
        return min(max(self.stored.expiration_ms, self.sent_ms + timer_ms), self.now_ms + timer_ms)


class Filing:
    """Files what came for one account. To be called inside a transaction."""

    def __init__(self, profile: Profile) -> None:
        self._store = profile.store
        self._own_id = profile.identity.account_id
        self.marking = Marking(profile.store, self._own_id)

    def entry(self, arrival: Arrival, **fields: Any) -> NewMessage:
        """An entry of the conversation that a message belongs to; `fields` is what it says."""
        expiration = arrival.content.expiration
        return NewMessage(
            conversation=arrival.conversation,
            direction="outgoing" if arrival.outgoing else "incoming",
            sender=arrival.sender,
            sent_ms=arrival.sent_ms,
            status="sent" if arrival.outgoing else "received",
            expire_mode=expiration.mode.name.lower(),
            expire_s=expiration.seconds,
            expires_ms=arrival.expires_ms,
            request=arrival.is_request,
            **fields,
        )

    def add(self, arrival: Arrival, entry: NewMessage) -> PollResult:
        """Store a message or notice, and what was said about it before it was here."""
        if entry.expires_ms is not None and entry.expires_ms <= arrival.now_ms:
            return self.ignore(arrival.stored, "disappeared before it was fetched", arrival.now_ms)
        messages = self._store.messages
        message_id = messages.replace(arrival.notice_id, entry) if arrival.notice_id else messages.add(entry)
        account, namespace = place_in_swarm(arrival.conversation, self._own_id)
        if message_id is None:
            self.marking.name_copy(arrival.conversation, arrival.sender, arrival.sent_ms, arrival.stored.hash)
            return PollResult()
        self._store.swarm.name_message(account, namespace, arrival.stored.hash, message_id)
        if entry.request:
            # Whatever it is: who sends it can be answered, declined and blocked.
            self._store.people.approve(arrival.sender, by_us=False)
        if not arrival.is_news:
            return PollResult()
        seq = self._store.events.add(entry.kind, message_id)
        if entry.kind == "unknown":
            self.keep(arrival.stored, entry.content["reason"], arrival.now_ms, seq, message_id, namespace=namespace)
        if not is_community(arrival.conversation):
            # There a server tells of everything in its order.
            self.marking.apply_early(message_id, arrival.conversation, arrival.sender, arrival.sent_ms)
        return PollResult(new=1)

    def add_message(
        self, arrival: Arrival, payload: VisibleMessage, marks: Mapping[str, Any] = MappingProxyType({})
    ) -> PollResult:
        """Store what somebody wrote; `marks` is what is to be known of it besides."""
        entry = self.entry(
            arrival,
            body=payload.body,
            quote_author=payload.quote.author if payload.quote else None,
            quote_ms=payload.quote.timestamp_ms if payload.quote else None,
            content={**_content(payload), **marks},
            attachments=tuple(_attachment(pointer) for pointer in payload.attachments),
        )
        return self.add(arrival, entry)

    def add_notice(self, arrival: Arrival, kind: str, content: Mapping[str, Any]) -> PollResult:
        """Store a notice."""
        return self.add(arrival, self.entry(arrival, body="", kind=kind, content=content))

    def ignore(self, stored: StoredMessage, what: str, now_ms: int) -> PollResult:
        """Remember that a message is of no use."""
        LOG.info("ignored a message: %s", what)
        self._store.swarm.skip(stored.hash, what, now_ms)
        return PollResult(ignored=1)

    def keep(
        self,
        stored: StoredMessage,
        reason: str,
        now_ms: int,
        seq: int,
        message_id: int | None,
        *,
        namespace: int = Namespace.MESSAGES,
    ) -> None:
        """Keep what only a later version may understand, as the swarm gave it."""
        hash, times = stored.hash, (stored.timestamp_ms, stored.expiration_ms)
        row = UnknownRow(hash, namespace, *times, stored.data, reason, now_ms, seq, message_id)
        self._store.unknowns.add(row)


def _content(payload: VisibleMessage) -> dict[str, Any]:
    """What a message has beside text and files. A preview must be of a link in the text, and say something of it."""
    content: dict[str, Any] = {}
    preview = payload.preview
    if preview is not None and preview.url and preview.url in payload.body and (preview.title or preview.image):
        content["preview"] = {"url": preview.url, "title": preview.title}
    if payload.invitation is not None:
        content["invitation"] = {"url": payload.invitation.url, "name": payload.invitation.name}
    return content


def _attachment(pointer: AttachmentPointer) -> AttachmentRow:
    return AttachmentRow(
        url=pointer.url,
        key=pointer.key,
        digest=pointer.digest,
        size=pointer.size,
        content_type=pointer.content_type,
        name=pointer.file_name,
        voice=pointer.voice,
        width=pointer.width,
        height=pointer.height,
        caption=pointer.caption,
    )
