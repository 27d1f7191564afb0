"""Sending: a message becomes sealed bytes in the store first, and then goes to the swarms.

A one-to-one message is stored twice, in the recipient's swarm and, as a copy for our own other devices, in ours. Both
go out at the same time. What counts as sent is what the recipient's swarm has proved to hold.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ..errors import (
    ClockOutOfSync,
    EmptyMessage,
    InvalidInput,
    MessageTooLong,
    NetworkError,
    ServiceRefused,
    SessionError,
)
from ..file_lock import FileLock
from ..network.clock import Deadline
from ..network.parallel import run_parallel
from ..protocol import content as contents
from ..protocol import payload as payloads
from ..protocol import session_v1, storage_rpc
from ..protocol.account import AccountId
from ..protocol.payload import Content, Profile, Quote, VisibleMessage
from ..protocol.storage_rpc import MAX_TTL_MS, MessageHash, StoreResult
from ..store.records import AttachmentRow, DeliveryRow, MessageRow, NewDelivery, NewMessage
from .profile import Profile as LocalProfile

if TYPE_CHECKING:
    from ..network.network import Network

LOG = logging.getLogger(__name__)
COPIES_AT_ONCE = 4
MOST_CHARACTERS = contents.MAX_BODY_CODE_POINTS
"""In one message."""
LOCK_TIMEOUT_S = 60.0
CLOCK_AHEAD_MS = 10_000
"""Swarms refuse what is dated further in the future."""
_ABANDONED_MS = 24 * 3600 * 1000
"""A message that is still being sent after this time is not: its process was killed."""


def check_body(body: str) -> None:
    """Raise MessageTooLong if a body is over the protocol's limit; receivers would cut it silently."""
    if len(body) > MOST_CHARACTERS:
        raise MessageTooLong(
            f"The message has {len(body):,} characters; Session takes up to {MOST_CHARACTERS:,}. "
            "Send it in parts with --split, or as a file: session attach send TO -"
        )


def split_body(body: str, limit: int = MOST_CHARACTERS) -> list[str]:
    """Cut a long body into parts of up to `limit` characters: between paragraphs, lines or words where that can be.

    No part is blank. Nothing but the white space at the cuts is lost.
    """
    parts, rest = [], body.strip()
    while len(rest) > limit:
        # A part shorter than half would be waste: then rather cut at something smaller.
        window = rest[: limit + 1]
        for pattern in (r"\n\s*\n", r"\n", r"\s"):
            cuts = [match.start() for match in re.finditer(pattern, window) if match.start() >= limit // 2]
            if cuts:
                break
        cut = cuts[-1] if cuts else limit
        parts.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    return [*parts, rest] if rest else parts


class Sender:
    """Sends messages of one profile over one network."""

    def __init__(self, profile: LocalProfile, network: Callable[[], Network]) -> None:
        self._profile = profile
        self._store = profile.store
        self._network = network

    def send(
        self,
        recipient: AccountId,
        body: str,
        deadline: Deadline,
        *,
        attachments: tuple[AttachmentRow, ...] = (),
        quoted: MessageRow | None = None,
        queue: bool = False,
        hold: bool = False,
    ) -> MessageRow:
        """Send one message, and return it as stored. Its status is `sent`.

        With `queue`, where the network does not take it now, its status is `queued`: it waits in the outbox. `hold`:
        it is not even tried, because others wait there before it.
        Raises EmptyMessage, MessageTooLong; NetworkError (not with `queue`) or ServiceRefused if the recipient's swarm
        did not take it, the message then stays in the store as `failed`.
        """
        if not body.strip() and not attachments:
            raise EmptyMessage("There is nothing to send: the message is empty.")
        check_body(body)
        network = self._network()
        quote = Quote(quoted.sender, quoted.sent_ms) if quoted else None
        message = VisibleMessage(body, tuple(map(_pointer, attachments)), quote)
        if not hold:
            try:
                network.prepare(deadline)
            except NetworkError as error:
                if not queue:
                    raise
                LOG.info("queued: %s", error.message)
                hold = True
        if hold:
            # What time it is by the network, the last run may have learnt.
            message_id, _ = self._prepare(recipient, message, attachments, network.clock.now_ms(), "queued")
            return self._stored(message_id)
        status = "queued" if queue else "pending"
        message_id, deliveries = self._prepare(recipient, message, attachments, network.clock.now_ms(), status)
        problem = self._send_out(message_id, message, deliveries, deadline)
        if problem is not None:
            LOG.info("queued: %s", problem.message)
        return self._stored(message_id)

    def _send_out(
        self, message_id: int, message: VisibleMessage, deliveries: list[DeliveryRow], deadline: Deadline
    ) -> NetworkError | None:
        """Bring what is left of a message to the swarms. What keeps it in the outbox is returned; else as `send`."""
        row = self._stored(message_id)
        outcomes = self._deliver(deliveries, deadline, dated_ms=row.sent_ms)
        now_ms = self._network().clock.now_ms()
        if row.sent_ms > now_ms + CLOCK_AHEAD_MS and isinstance(outcomes[0], ClockOutOfSync):
            # No swarm takes it, and our clock has been put right meanwhile.
            self._take_back(deliveries[1:], outcomes[1:], deadline)
            deliveries = self._redate(message_id, AccountId(row.conversation), message, deliveries)
            if not deliveries:
                return None
            outcomes = self._deliver(deliveries, deadline)
        return self._conclude(message_id, deliveries, outcomes, deadline)

    # The outbox.

    def flush(self, deadline: Deadline, *, patience_s: float = 0) -> list[MessageRow]:
        """Send what waits in the outbox, oldest first, the same bytes as ever; returns what reached its recipient.

        Ends at the first message that the network does not take, by raising NetworkError. Raises StoreLocked if
        another process is at it for longer than `patience_s`. What a swarm refuses for good is `failed` from then on,
        with a warning.
        """
        if not self._store.messages.queued():
            return []
        done: list[MessageRow] = []
        lock = self._profile.folder / "outbox.lock"
        with FileLock(lock, deadline.limit(patience_s), purpose="to send what waits in the outbox"):
            self._network().prepare(deadline)
            for message_id in self._store.messages.queued():
                # In this order: what is still queued after they were read, they are all of.
                deliveries = self._store.deliveries.of_message(message_id)
                row = self._stored(message_id)
                if row.status != "queued":
                    continue  # the process that queued it has just sent it
                message = VisibleMessage(row.body, tuple(map(_pointer, row.attachments)), _quote(row))
                try:
                    problem = self._send_out(message_id, message, deliveries, deadline)
                except ServiceRefused as error:
                    LOG.warning("Message %d from the outbox was refused: %s", message_id, error.message)
                    continue
                if problem is not None:
                    raise problem
                done.append(self._stored(message_id))
        return done

    def drop(self, message_id: int, deadline: Deadline) -> MessageRow:
        """Take a message out of the outbox, never to be sent. Raises InvalidInput if it is not there."""
        with FileLock(self._profile.folder / "outbox.lock", LOCK_TIMEOUT_S, purpose="to change the outbox"):
            row = self._store.messages.get(message_id)
            if row is None or row.status != "queued":
                raise InvalidInput(f"Message {message_id} does not wait in the outbox; see session outbox list.")
            with self._store.transaction():
                for delivery in self._store.deliveries.of_message(message_id):
                    self._store.deliveries.finish(delivery)
                self._store.messages.set_status(message_id, "failed")
        if row.hash is not None:
            self._delete_own_copies([MessageHash(row.hash)], deadline)
        return self._stored(message_id)

    def resend_own_copies(self, deadline: Deadline) -> None:
        """Store the copies for our own devices that an earlier run could not store. Failures wait for the next run."""
        before_ms = int(time.time() * 1000) - _ABANDONED_MS
        if self._store.messages.has_pending(before_ms):
            with self._store.transaction():
                self._store.messages.give_up_pending(before_ms)
        left = self._store.deliveries.own_copies_left()[:COPIES_AT_ONCE]
        for delivery, outcome in zip(left, self._deliver(left, deadline), strict=True):
            if isinstance(outcome, StoreResult):
                with self._store.transaction():
                    self._note_stored(delivery, outcome)

    def _stored(self, message_id: int) -> MessageRow:
        row = self._store.messages.get(message_id)
        if row is None:
            raise LookupError("a message that was just stored is gone")
        return row

    def _prepare(
        self,
        recipient: AccountId,
        message: VisibleMessage,
        attachments: tuple[AttachmentRow, ...],
        now_ms: int,
        status: str,
    ) -> tuple[int, list[DeliveryRow]]:
        own_id = self._profile.identity.account_id
        with self._store.transaction():
            sent_ms = self._store.next_sent_ms(now_ms)
            new = self._seal_all(recipient, message, sent_ms)
            message_id = self._store.messages.add(
                NewMessage(
                    conversation=recipient,
                    direction="outgoing",
                    sender=own_id,
                    sent_ms=sent_ms,
                    body=message.body,
                    status=status,
                    quote_author=message.quote.author if message.quote else None,
                    quote_ms=message.quote.timestamp_ms if message.quote else None,
                    attachments=attachments,
                )
            )
            if message_id is None:
                raise LookupError("another message of ours has this sent time")
            if recipient != own_id:
                self._store.people.approve(recipient, by_us=True)
            return message_id, [_row(self._store.deliveries.add(message_id, d), message_id, d) for d in new]

    def _redate(
        self, message_id: int, recipient: AccountId, message: VisibleMessage, deliveries: list[DeliveryRow]
    ) -> list[DeliveryRow]:
        """Seal a message anew, with the time that it is by the network's clock.

        Another process at the same message of the outbox may have been faster: then what it has left is returned.
        """
        with self._store.transaction():
            left = self._store.deliveries.of_message(message_id)
            if self._stored(message_id).status == "sent":
                return []
            if [delivery.hash for delivery in left] != [delivery.hash for delivery in deliveries]:
                return left
            sent_ms = self._store.redate(message_id, self._network().clock.now_ms())
            sealed = {new.role: new for new in self._seal_all(recipient, message, sent_ms)}
            for delivery in deliveries:
                new = sealed[delivery.role]
                self._store.deliveries.replace(delivery.id, new.data, new.hash)
        return [_row(old.id, message_id, sealed[old.role]) for old in deliveries]

    def _seal_all(self, recipient: AccountId, message: VisibleMessage, sent_ms: int) -> list[NewDelivery]:
        """What has to be stored: for the recipient, if that is somebody else, and for our own devices."""
        own_id = self._profile.identity.account_id
        new = [self._seal(own_id, replace(message, sync_target=recipient), sent_ms, "own")]
        if recipient != own_id:
            name = self._store.settings.get("display_name")
            to_recipient = replace(message, profile=Profile(name) if name else None)
            new.insert(0, self._seal(recipient, to_recipient, sent_ms, "recipient"))
        return new

    def _seal(self, account: AccountId, message: VisibleMessage, sent_ms: int, role: str) -> NewDelivery:
        serialized = contents.serialize(Content(message, sent_ms))
        if len(serialized) > session_v1.MAX_CONTENT_BYTES:
            raise MessageTooLong(
                f"The message takes {len(serialized):,} bytes; a swarm stores up to {session_v1.MAX_CONTENT_BYTES:,}."
            )
        data = session_v1.encode_message(self._profile.identity, account, serialized, sent_ms)
        return NewDelivery(role, account, MAX_TTL_MS, data, storage_rpc.message_hash(account, 0, data))

    def _deliver(
        self, deliveries: list[DeliveryRow], deadline: Deadline, *, dated_ms: int | None = None
    ) -> list[StoreResult | SessionError]:
        if not deliveries:
            return []
        store = self._network().swarm.store
        return run_parallel(
            [
                partial(store, delivery.account, delivery.data, delivery.ttl_ms, deadline, lane=lane, dated_ms=dated_ms)
                for lane, delivery in enumerate(deliveries)
            ]
        )

    def _conclude(
        self,
        message_id: int,
        deliveries: list[DeliveryRow],
        outcomes: list[StoreResult | SessionError],
        deadline: Deadline,
    ) -> NetworkError | None:
        first = outcomes[0]
        with self._store.transaction():
            # Another process may have been at the same message of the outbox.
            before = self._stored(message_id).status
            waits = isinstance(first, NetworkError) and before in ("queued", "sent")
            for delivery, outcome in zip(deliveries, outcomes, strict=True):
                if isinstance(outcome, StoreResult):
                    self._note_stored(delivery, outcome)
                elif isinstance(first, SessionError) and not waits:
                    self._store.deliveries.finish(delivery)
            if not waits:
                self._store.messages.set_status(message_id, "failed" if isinstance(first, SessionError) else "sent")
        if isinstance(first, NetworkError) and waits:
            return first if before == "queued" else None
        if isinstance(first, SessionError):
            self._take_back(deliveries[1:], outcomes[1:], deadline)
            raise first
        if not first.is_safe:
            LOG.warning(
                "Sent, but only %d of the %d members of the recipient's swarm confirm that they hold it.",
                len(first.confirmed),
                first.swarm_size,
            )
        for outcome in outcomes[1:]:
            if isinstance(outcome, SessionError):
                LOG.warning("Sent, but our own other devices will see it later: %s", outcome.message)
        return None

    def _take_back(
        self, copies: list[DeliveryRow], outcomes: list[StoreResult | SessionError], deadline: Deadline
    ) -> None:
        """Delete our own copy of a message that did not reach its recipient, so that no device shows it as sent."""
        hashes = [
            MessageHash(copy.hash)
            for copy, outcome in zip(copies, outcomes, strict=True)
            if isinstance(outcome, StoreResult)
        ]
        if hashes:
            self._delete_own_copies(hashes, deadline)

    def _delete_own_copies(self, hashes: list[MessageHash], deadline: Deadline) -> None:
        try:
            self._network().swarm.delete(self._profile.identity, hashes, deadline)
        except (NetworkError, ServiceRefused) as error:
            LOG.warning("Not sent, but our own other devices may show it as sent: %s", error.message)

    def _note_stored(self, delivery: DeliveryRow, outcome: StoreResult) -> None:
        self._store.deliveries.finish(delivery)
        if delivery.role == "own":
            expires_ms = outcome.expiration_ms or self._network().clock.now_ms() + delivery.ttl_ms
            message_id = delivery.message_id
            self._store.swarm.mark_seen(delivery.account, 0, delivery.hash, expires_ms, message_id=message_id)


def _row(delivery_id: int, message_id: int, new: NewDelivery) -> DeliveryRow:
    return DeliveryRow(delivery_id, message_id, new.role, new.account, new.ttl_ms, new.data, new.hash)


def _quote(row: MessageRow) -> Quote | None:
    return Quote(row.quote_author, row.quote_ms) if row.quote_author and row.quote_ms else None


def _pointer(attachment: AttachmentRow) -> payloads.AttachmentPointer:
    from ..protocol.attachment import parse_download_url

    return payloads.AttachmentPointer(
        url=attachment.url,
        key=attachment.key,
        size=attachment.size,
        digest=attachment.digest,
        content_type=attachment.content_type,
        file_name=attachment.name,
        voice=attachment.voice,
        server_id=parse_download_url(attachment.url).numeric_id,
    )
