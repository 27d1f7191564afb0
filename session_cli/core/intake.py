"""What one message from the swarm becomes: a message in the store and an event, or nothing, with the reason noted."""

from __future__ import annotations

import logging

from ..errors import MalformedMessage, ProtocolError
from ..protocol import content as contents
from ..protocol import session_v1
from ..protocol.payload import AttachmentPointer, Content, Ignored, VisibleMessage
from ..protocol.session_v1 import OpenedMessage
from ..protocol.storage_rpc import Namespace, StoredMessage
from ..store.records import AttachmentRow, NewMessage
from .profile import Profile
from .receiving import PollResult

LOG = logging.getLogger(__name__)
Outcome = tuple[OpenedMessage, Content] | ProtocolError


class Intake:
    """Takes messages into one profile."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._store = profile.store
        self._account = profile.identity.account_id

    def open(self, stored: StoredMessage) -> Outcome:
        """Decrypt and parse what the swarm gave; what is wrong with it, if something is."""
        try:
            opened = session_v1.decode_message(self._profile.identity, stored.data)
            content = contents.parse(opened.content)
            if content.timestamp_ms is not None and content.timestamp_ms != opened.timestamp_ms:
                raise MalformedMessage("A message's two times differ.")
        except ProtocolError as error:
            return error
        return opened, content

    def take(self, stored: StoredMessage, outcome: Outcome, now_ms: int) -> PollResult:
        """Store what `open` gave, inside the caller's transaction."""
        if isinstance(outcome, ProtocolError):
            LOG.info("skipped a message: %s", outcome.message)
            self._store.swarm.skip(stored.hash, outcome.slug, now_ms)
            return PollResult(skipped=1)
        opened, content = outcome
        payload = content.payload
        if not isinstance(payload, VisibleMessage):
            what = payload.what if isinstance(payload, Ignored) else type(payload).__name__
            LOG.info("ignored a message: %s", what)
            self._store.swarm.skip(stored.hash, what, now_ms)
            return PollResult(ignored=1)
        return self._take_visible(stored, opened, content, payload, now_ms=now_ms)

    def _take_visible(
        self, stored: StoredMessage, opened: OpenedMessage, content: Content, payload: VisibleMessage, *, now_ms: int
    ) -> PollResult:
        sender = opened.sender_id
        outgoing = sender == self._account
        conversation = contents.conversation_of(self._account, sender, payload)
        people = self._store.people
        if outgoing:
            if conversation != self._account:
                people.approve(conversation, by_us=True)
        else:
            people.approve(sender, by_us=False)
            if payload.profile and payload.profile.name:
                people.set_name(sender, payload.profile.name, payload.profile.updated_s)
        message_id = self._store.messages.add(
            NewMessage(
                conversation=conversation,
                direction="outgoing" if outgoing else "incoming",
                sender=sender,
                sent_ms=opened.timestamp_ms,
                body=payload.body,
                status="sent" if outgoing else "received",
                quote_author=payload.quote.author if payload.quote else None,
                quote_ms=payload.quote.timestamp_ms if payload.quote else None,
                expire_mode=content.expiration.mode.name.lower(),
                expire_s=content.expiration.seconds,
                request=not outgoing and not people.is_approved(sender),
                attachments=tuple(_attachment(pointer) for pointer in payload.attachments),
            )
        )
        if message_id is None:
            return PollResult()
        self._store.swarm.name_message(self._account, Namespace.MESSAGES, stored.hash, message_id)
        self._store.events.add("message", message_id)
        return PollResult(new=1)


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
