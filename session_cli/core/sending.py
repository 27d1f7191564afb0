"""Sending: a message becomes sealed bytes in the store first, and then goes to the swarms.

A one-to-one message is stored twice, in the recipient's swarm and, as a copy for our own other devices, in ours. Both
go out at the same time. What counts as sent is what the recipient's swarm has proved to hold.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ..errors import (
    ClockOutOfSync,
    EmptyMessage,
    InvalidInput,
    NetworkError,
    NotAdmin,
    ServerFailed,
    ServiceRefused,
    SessionError,
    StoreLocked,
    Unconfirmed,
)
from ..file_lock import FileLock
from ..network.clock import Deadline
from ..network.parallel import run_parallel
from ..protocol.account import AccountId, is_blinded, is_community, is_group
from ..protocol.payload import Expiration, Payload, ReadReceipt, RequestAccepted
from ..protocol.storage_rpc import MessageHash, StoreResult
from ..store.records import AttachmentRow, DeliveryRow, MessageRow, NewMessage
from .bodies import check_body
from .delivering import ATTEMPT_S, Carrier, goes_to_a_server, now_ms
from .effects import Effect, Effects, acceptance
from .places import place_in_swarm
from .profile import Profile
from .sealing import STAYS, Sealer, expiration_of

if TYPE_CHECKING:
    from ..network.network import Network

LOG = logging.getLogger(__name__)
COPIES_AT_ONCE = 4
LOCK_TIMEOUT_S = 60.0
CLOCK_AHEAD_MS = 10_000
"""Swarms refuse what is dated further in the future."""
_ABANDONED_MS = 15 * 60 * 1000
"""A message that is still being sent after this time is not: its process was killed."""
_HELD_MS = 150_000
"""How long others leave it to the process that is at it; one that has died is at it no longer."""
_STALE_MS, _FILES_STAY_MS = 10 * 60_000, 55 * 60_000
"""How old a message may be when it comes to a community server; and how long that keeps files that no message names."""
_ACCEPTANCE_S = 10.0
"""How long an answer waits for the news that a message request is accepted, to come behind it."""


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A message in the store, what has to reach a swarm for it, the recipient's first, and what goes before it."""

    message_id: int
    deliveries: list[DeliveryRow]
    besides: list[DeliveryRow]


@dataclass(frozen=True, slots=True)
class Flushed:
    """What became of the outbox: the messages that wait no longer, and the conversations whose server takes nothing."""

    done: list[MessageRow] = field(default_factory=list)
    held: dict[str, NetworkError] = field(default_factory=dict)


class Sender:
    """Sends messages of one profile over one network."""

    def __init__(self, profile: Profile, network: Callable[[], Network]) -> None:
        self._profile = profile
        self._store = profile.store
        self._network = network
        self._sealer = Sealer(profile)
        self._effects = Effects(profile.store, profile.identity.account_id)
        self._carrier = Carrier(profile, network)

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
        entry = NewMessage(
            conversation=recipient,
            direction="outgoing",
            sender=self._profile.identity.account_id,
            sent_ms=0,
            body=body,
            status="queued" if queue else "pending",
            quote_author=quoted.sender if quoted else None,
            quote_ms=quoted.sent_ms if quoted else None,
            attachments=attachments,
        )
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
            return self._stored(self._prepare(replace(entry, status="queued")).message_id)
        with ExitStack() as stack:
            if queue and goes_to_a_server(recipient):
                # Nobody else may send it at the same time: there it would stand twice.
                lock = FileLock(self._profile.folder / "outbox.lock", deadline.limit(LOCK_TIMEOUT_S), purpose="to send")
                try:
                    stack.enter_context(lock)
                except StoreLocked:
                    return self._stored(self._prepare(entry).message_id)
            return self._send_now(self._prepare(entry), deadline)

    def _send_now(self, prepared: _Prepared, deadline: Deadline) -> MessageRow:
        try:
            problem = self._send_out(prepared, deadline)
        except SessionError:
            # Who could not be answered shall not be told later that he is accepted: the next answer says as much.
            with self._store.transaction():
                for delivery in prepared.besides:
                    self._store.deliveries.finish(delivery)
            raise
        except BaseException:
            self._give_up(prepared)
            raise
        if problem is not None:
            LOG.info("queued: %s", problem.message)
        return self._stored(prepared.message_id)

    def _give_up(self, prepared: _Prepared) -> None:
        """Call a message to a community server failed whose sending was broken off. A poll tells if it arrived."""
        row = self._store.messages.get(prepared.message_id)
        if row is None or row.status != "pending" or not goes_to_a_server(row.conversation):
            return
        with self._store.transaction():
            for delivery in prepared.deliveries:
                self._store.deliveries.finish(delivery)
            self._store.messages.set_status(row.id, "failed")

    def announce_expiration(self, recipient: AccountId, expiration: Expiration, deadline: Deadline) -> MessageRow:
        """Say, and note, that what we write to somebody disappears from now on, or stays. Returns the notice.

        Raises NetworkError or ServiceRefused if that did not reach the recipient's swarm; then all is as before.
        """
        mode, seconds = expiration.mode.name.lower(), expiration.seconds
        self._network().prepare(deadline)
        entry = NewMessage(
            conversation=recipient,
            direction="outgoing",
            sender=self._profile.identity.account_id,
            sent_ms=0,
            body="",
            status="pending",
            kind="expiration_update",
            content={"mode": mode, "seconds": seconds},
        )
        prepared = self._prepare(entry, expiration)
        try:
            self._send_out(prepared, deadline)
        except SessionError:
            with self._store.transaction():
                self._store.messages.delete([prepared.message_id])
            raise
        return self._stored(prepared.message_id)

    def transmit(
        self,
        payload: Payload | Callable[[int], Payload],
        accounts: Sequence[AccountId],
        deadline: Deadline,
        *,
        expiration: Expiration = STAYS,
        effect: Effect | None = None,
    ) -> int:
        """Send what is no message of its own: a reaction, a request to delete. Returns its time, in ms.

        What depends on its time is made by a function of that. The first of `accounts` is whom it is for; our own
        among them gets the copy for our other devices. `effect` is
        what it does here. Whatever ends this process before that is noted: a later run sends the same again, and does
        it. Raises NetworkError, ServiceRefused; then nothing is left of it.
        """
        network = self._network()
        network.prepare(deadline)
        deliveries: list[DeliveryRow] = []
        with self._store.transaction():
            sent_ms = self._store.next_sent_ms(network.clock.now_ms())
            payload = payload(sent_ms) if callable(payload) else payload
            for account in accounts:
                ttl_ms = self._sealer.ttl_ms(account, expiration)
                new = self._sealer.seal(payload, account, sent_ms, ttl_ms, recipient=accounts[0], expiration=expiration)
                deliveries.append(
                    self._store.deliveries.add(
                        None,
                        new,
                        effect={**effect, "sent_ms": sent_ms} if effect is not None and not deliveries else None,
                        follows=deliveries[0].id if deliveries else None,
                        free_ms=now_ms() + _HELD_MS,
                    )
                )
                if new.role == "own" or is_group(account):
                    # A poll that meets it must not take it for something that another device has said.
                    place = place_in_swarm(account, self._profile.identity.account_id)
                    self._store.swarm.mark_seen(*place, new.hash, sent_ms + ttl_ms, seen_ms=sent_ms)
        outcomes = self._carrier.attempt(deliveries, deadline, dated_ms=sent_ms)
        first = outcomes[0]
        if isinstance(first, SessionError):
            with self._store.transaction():
                self._store.deliveries.give_up(deliveries[0])
            self._carrier.take_back(deliveries[1:], outcomes[1:], deadline)
            raise first
        self._carrier.settle(deliveries, outcomes)
        return sent_ms

    def transmit_each(
        self, payloads: Sequence[tuple[AccountId, Callable[[int], Payload]]], deadline: Deadline
    ) -> list[StoreResult | SessionError]:
        """Send several people something of their own, which depends on its time (ms), at once.

        Returns in their order what became of each; nothing is left of what failed. Raises NetworkError where there is
        no way to anybody, InvalidInput.
        """
        network = self._network()
        network.prepare(deadline)
        deliveries: list[DeliveryRow] = []
        with self._store.transaction():
            for account, payload_at in payloads:
                sent_ms = self._store.next_sent_ms(network.clock.now_ms())
                new = self._sealer.seal(payload_at(sent_ms), account, sent_ms)
                # Not noted: who asked for it knows what is left to be done, and whether it still is.
                deliveries.append(DeliveryRow(0, None, new.role, new.account, new.ttl_ms, new.data, new.hash))
        return self._carrier.deliver(deliveries, deadline.within(ATTEMPT_S))

    def put_down(self, entry: NewMessage, expiration: Expiration | None = None) -> int:
        """Put a message into the outbox, to be sent by `flush`; returns its id. To be called inside a transaction.

        Raises NotAdmin, InvalidInput.
        """
        return self._put(replace(entry, status="queued"), expiration).message_id

    def leave(self, payload: Payload, account: AccountId) -> None:
        """Put down what is no message of its own, to be sent by `resend_left`. To be called inside a transaction."""
        sent_ms = self._store.next_sent_ms(self._network().clock.now_ms())
        receipt = isinstance(payload, ReadReceipt)
        self._store.deliveries.add(None, self._sealer.seal(payload, account, sent_ms), receipt=receipt)

    def signal(self, payload: Payload, account: AccountId, deadline: Deadline, *, ttl_ms: int) -> None:
        """Send what is worth nothing later: that somebody is typing. Raises NetworkError, ServiceRefused."""
        network = self._network()
        network.prepare(deadline)
        with self._store.transaction():
            sent_ms = self._store.next_sent_ms(network.clock.now_ms())
        new = self._sealer.seal(payload, account, sent_ms, ttl_ms)
        nameless = DeliveryRow(0, None, new.role, new.account, new.ttl_ms, new.data, new.hash)
        (outcome,) = self._carrier.deliver([nameless], deadline, dated_ms=sent_ms)
        if isinstance(outcome, SessionError):
            raise outcome

    def accept_request(self, account: AccountId, deadline: Deadline) -> None:
        """Tell somebody who wrote to us that we want to talk. Raises NetworkError, ServiceRefused."""
        self.transmit(RequestAccepted(), [account], deadline, effect=acceptance(account))

    def _send_out(self, prepared: _Prepared, deadline: Deadline) -> NetworkError | None:
        """Bring what is left of a message to the swarms. What keeps it in the outbox is returned; else as `send`."""
        message_id, deliveries = prepared.message_id, prepared.deliveries
        row = self._stored(message_id)
        if goes_to_a_server(row.conversation):
            return self._send_to_server(row, deliveries, deadline)
        if not all(map(self._sealer.is_current, deliveries)):
            try:
                deliveries = self._seal_anew(row, deliveries)
            except (InvalidInput, NotAdmin) as error:
                # It can't be said any more, and what waits behind it must not wait for that.
                refused: list[StoreResult | SessionError] = [ServiceRefused(error.message) for _ in deliveries]
                return self._conclude(message_id, deliveries, refused, deadline)
        misdated = self._send_before(prepared.besides, row, deadline)
        if not misdated:
            outcomes = self._carrier.deliver(deliveries, deadline, dated_ms=row.sent_ms)
            misdated = self._is_misdated(row, outcomes[0])
            if misdated:
                self._carrier.take_back(deliveries[1:], outcomes[1:], deadline)
        if misdated:
            deliveries = self._redate(row, deliveries)
            if not deliveries:
                return None
            outcomes = self._carrier.deliver(deliveries, deadline)
        return self._conclude(message_id, deliveries, outcomes, deadline)

    def _send_to_server(
        self, row: MessageRow, deliveries: list[DeliveryRow], deadline: Deadline
    ) -> NetworkError | None:
        """Bring a message to a community server.

        That takes what is hours old, and nobody shows it: such a message gets another time, unless it is there already.
        So does an answer: what it quotes may have got another time, too, when it was sent.
        """
        age_ms = abs(self._network().clock.now_ms() - row.sent_ms)
        answers = row.quote_ms is not None and not any(each.tried_ms for each in deliveries)
        if age_ms > _STALE_MS or (answers and row.status == "queued"):
            for delivery in [each for each in deliveries if each.tried_ms]:
                (outcome,) = run_parallel([self._carrier.servers.finding(delivery, deadline)])
                if outcome is not None:
                    return self._conclude(row.id, deliveries, [outcome], deadline)
            # The time of a message with files says how long the server has had these.
            has_files = any(not attachment.key for attachment in row.attachments)
            if has_files and age_ms > _FILES_STAY_MS:
                gone = ServiceRefused("The community server has not kept the files so long; send them again.")
                return self._conclude(row.id, deliveries, [gone], deadline)
            deliveries = deliveries if has_files else self._redate(row, deliveries)
            if not deliveries:
                return None
        outcomes = self._carrier.deliver(deliveries, deadline)
        for delivery, outcome in zip(deliveries, outcomes, strict=True):
            if isinstance(outcome, SessionError) and not isinstance(outcome, Unconfirmed | ServerFailed):
                with self._store.transaction():
                    self._store.deliveries.note_tried(delivery, 0)
        return self._conclude(row.id, deliveries, outcomes, deadline)

    def _send_before(self, besides: list[DeliveryRow], row: MessageRow, deadline: Deadline) -> bool:
        """Store what goes before a message; returns whether the message must be given another time first.

        What can't be stored now is left to a later run: the message itself says as much.
        """
        if not besides:
            return False
        outcomes = self._carrier.deliver(besides, deadline.within(_ACCEPTANCE_S), dated_ms=row.sent_ms)
        self._carrier.settle(besides, outcomes)
        return any(self._is_misdated(row, outcome) for outcome in outcomes)

    def _is_misdated(self, row: MessageRow, outcome: StoreResult | SessionError) -> bool:
        """Whether no swarm takes a message because of its time, and our clock has been put right meanwhile."""
        ahead = row.sent_ms > self._network().clock.now_ms() + CLOCK_AHEAD_MS
        return ahead and isinstance(outcome, ClockOutOfSync)

    # The outbox.

    def flush(self, deadline: Deadline, *, patience_s: float = 0, eager: bool = False) -> Flushed:
        """Send what waits in the outbox, oldest first, the same bytes as ever; returns what became of it.

        What a swarm refuses for good is `failed` from then on, and an error is logged. Ends at the first message that
        the network does not take, by raising NetworkError. A community server is no part of it: what that does not take
        keeps nothing waiting but what is for the same conversation; unless `eager`, one that failed a short while ago
        is not asked. Raises StoreLocked if another process is at it for longer than `patience_s`.
        """
        flushed = Flushed()
        if not self._store.messages.queued():
            return flushed
        lock = self._profile.folder / "outbox.lock"
        with FileLock(lock, deadline.limit(patience_s), purpose="to send what waits in the outbox"):
            self._network().prepare(deadline)
            for message_id in self._store.messages.queued():
                # In this order: what is still queued after they were read, they are all of.
                deliveries = self._store.deliveries.of_message(message_id)
                row = self._stored(message_id)
                if row.status != "queued" or row.conversation in flushed.held:
                    continue  # the process that queued it has just sent it, or it has to wait for what is before it
                try:
                    problem = self._flush_one(row, deliveries, deadline, eager=eager)
                except ServiceRefused as error:
                    LOG.error("Message %d from the outbox was refused for good: %s", message_id, error.message)
                    problem = None
                if problem is None:
                    flushed.done.append(self._stored(message_id))
                elif goes_to_a_server(row.conversation):
                    flushed.held[row.conversation] = problem
                else:
                    raise problem
        return flushed

    def _flush_one(
        self, row: MessageRow, deliveries: list[DeliveryRow], deadline: Deadline, *, eager: bool
    ) -> NetworkError | None:
        if not goes_to_a_server(row.conversation):
            besides = self._store.deliveries.acceptances(row.conversation)
            return self._send_out(_Prepared(row.id, deliveries, besides), deadline)
        problem = None if eager else self._carrier.servers.resting(row.conversation)
        if problem is None:
            problem = self._send_out(_Prepared(row.id, deliveries, []), deadline)
            if problem is not None and not isinstance(problem, Unconfirmed):
                self._carrier.servers.note_failure(row.conversation, problem)
        return problem

    def send_waiting(self, message_id: int, deadline: Deadline) -> None:
        """Send one message that waits in the outbox; if the network fails, it waits on. Raises ServiceRefused."""
        lock = self._profile.folder / "outbox.lock"
        with FileLock(lock, deadline.limit(LOCK_TIMEOUT_S), purpose="to send what waits in the outbox"):
            row = self._store.messages.get(message_id)
            if row is None or row.status != "queued":
                return
            deliveries = self._store.deliveries.of_message(message_id)
            problem = self._send_out(_Prepared(message_id, deliveries, []), deadline)
        if problem is not None:
            LOG.info("queued: %s", problem.message)

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
                self._store.timers.start(message_id, self._store.now_ms())
        if row.hash is not None:
            self._carrier.delete_own_copies([MessageHash(row.hash)], deadline)
        return self._stored(message_id)

    def resend_left(self, deadline: Deadline) -> None:
        """Store what an earlier run could not: copies for our own devices, receipts, what a process died over.

        Failures wait for the next run, behind what was not tried for longer. What another process is at is left to it.
        """
        started_ms = now_ms()
        before_ms = started_ms - _ABANDONED_MS
        if self._store.messages.has_pending(before_ms):
            with self._store.transaction():
                for message_id in self._store.messages.give_up_pending(before_ms):
                    self._store.timers.start(message_id, self._store.now_ms())
        while self._store.deliveries.left(started_ms, now_ms() + _HELD_MS, 1):
            with self._store.transaction():
                until_ms = now_ms() + _HELD_MS
                left = self._store.deliveries.left(started_ms, until_ms, COPIES_AT_ONCE)
                self._store.deliveries.hold(left, until_ms)
            for stale in [delivery for delivery in left if not self._sealer.is_current(delivery)]:
                # Those who were removed from the group since must not be able to read it.
                left.remove(stale)
                with self._store.transaction():
                    self._store.deliveries.give_up(stale)
            if not left:
                continue
            outcomes = self._carrier.attempt(left, deadline)
            self._carrier.settle(left, outcomes)
            if all(isinstance(outcome, NetworkError) for outcome in outcomes):
                return

    def _stored(self, message_id: int) -> MessageRow:
        row = self._store.messages.get(message_id)
        if row is None:
            raise InvalidInput(
                "The message is not here any more: meanwhile the contact was deleted, here or on another device. It "
                "may have been sent."
            )
        return row

    def _prepare(self, entry: NewMessage, expiration: Expiration | None = None) -> _Prepared:
        """Store a message, whose time is now, and all that has to reach a swarm for it.

        It disappears as is set for the conversation, unless that is about to change.
        """
        with self._store.transaction():
            return self._put(entry, expiration)

    def _put(self, entry: NewMessage, expiration: Expiration | None) -> _Prepared:
        recipient = AccountId(entry.conversation)
        own_id = self._profile.identity.account_id
        person = self._store.people.get(recipient)
        accepts = recipient != own_id and person is not None and person.approved_me and not person.approved
        besides = []
        if accepts:
            accepted_ms = self._store.next_sent_ms(self._network().clock.now_ms())
            new = self._sealer.seal(RequestAccepted(), recipient, accepted_ms)
            besides.append(self._store.deliveries.add(None, new, effect=acceptance(recipient)))
        sent_ms = self._store.next_sent_ms(self._network().clock.now_ms())
        if expiration is None:
            expiration = expiration_of(*self._store.conversations.expiration(recipient))
        if is_blinded(recipient) and (base_url := self._store.communities.server_of(recipient)) is not None:
            # We may leave the room where we met, and shall know them again all the same.
            self._store.communities.note_server(recipient, base_url)
        entry = replace(entry, sent_ms=sent_ms, expire_mode=expiration.mode.name.lower(), expire_s=expiration.seconds)
        sealed = self._sealer.seal_entry(entry, sent_ms, expiration)
        message_id = self._store.messages.add(entry)
        if message_id is None:
            raise LookupError("another message of ours has this sent time")
        if recipient != own_id and not is_group(recipient) and not is_community(recipient):
            self._effects.accept(recipient)
        deliveries = [self._store.deliveries.add(message_id, new) for new in sealed]
        return _Prepared(message_id, deliveries, besides)

    def _seal_anew(self, row: MessageRow, deliveries: list[DeliveryRow]) -> list[DeliveryRow]:
        """Encrypt what waits for a group with its newest key. Raises InvalidInput, NotAdmin."""
        expiration = expiration_of(row.expire_mode, row.expire_s)
        with self._store.transaction():
            (new,) = self._sealer.seal_entry(row, row.sent_ms, expiration)
            for delivery in deliveries:
                self._store.deliveries.replace(delivery.id, new.data, new.hash)
            return self._store.deliveries.of_message(row.id)

    def _redate(self, row: MessageRow, deliveries: list[DeliveryRow]) -> list[DeliveryRow]:
        """Seal a message anew, with the time that it is by the network's clock.

        Another process at the same message of the outbox may have been faster: then what it has left is returned.
        """
        with self._store.transaction():
            left = self._store.deliveries.of_message(row.id)
            if self._stored(row.id).status in ("sent", "read"):
                return []
            if [delivery.hash for delivery in left] != [delivery.hash for delivery in deliveries]:
                return left
            sent_ms = self._store.redate(row.id, self._network().clock.now_ms())
            expiration = expiration_of(row.expire_mode, row.expire_s)
            new_ones = self._sealer.seal_entry(row, sent_ms, expiration)
            sealed = {new.role: new for new in new_ones}
            for delivery in deliveries:
                new = sealed[delivery.role]
                self._store.deliveries.replace(delivery.id, new.data, new.hash)
            return self._store.deliveries.of_message(row.id)

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
            row = self._stored(message_id)
            before = row.status
            stays = before == "sent" or (before == "queued" and isinstance(first, NetworkError))
            for delivery, outcome in zip(deliveries, outcomes, strict=True):
                if isinstance(outcome, StoreResult):
                    self._carrier.note_stored(delivery, outcome)
                elif isinstance(first, SessionError) and not stays:
                    self._store.deliveries.finish(delivery)
            if not (isinstance(first, SessionError) and stays):
                # Also what never arrives was written to disappear.
                self._store.timers.start(message_id, self._network().clock.now_ms())
            if not isinstance(first, SessionError):
                self._store.messages.set_status(message_id, "sent")
                if row.kind == "expiration_update" and not is_group(row.conversation):
                    # Together: who dies here must not have told others something else than is set.
                    self._store.conversations.set_expiration(row.conversation, **row.content, said_ms=row.sent_ms)
            elif not stays:
                self._store.messages.set_status(message_id, "failed")
        if isinstance(first, SessionError) and stays:
            return first if before == "queued" and isinstance(first, NetworkError) else None
        if isinstance(first, SessionError):
            self._carrier.take_back(deliveries[1:], outcomes[1:], deadline)
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
