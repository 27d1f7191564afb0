"""What one message from the swarm becomes: a message or notice in the store, a mark on one, an event; or nothing.

Whoever is not us speaks for himself, in the conversation with him. What we ourselves sent from another device is
believed as far as other devices have a say: see `_OWN`.
"""

from __future__ import annotations

import logging
import re
from typing import Literal

from ..errors import BadSignature, InvalidAccountId, MalformedMessage, ProtocolError, UnsupportedVersion
from ..protocol import content as contents
from ..protocol import session_v1
from ..protocol.account import AccountId, parse_account_id
from ..protocol.payload import (
    Call,
    CallKind,
    Content,
    GroupInvite,
    GroupPromotion,
    GroupUpdate,
    Ignored,
    MediaSaved,
    Payload,
    Reaction,
    ReadReceipt,
    RequestAccepted,
    TimerUpdate,
    Typing,
    Unknown,
    Unsend,
    VisibleMessage,
)
from ..protocol.session_v1 import OpenedMessage
from ..protocol.storage_rpc import MAX_MESSAGE_BYTES, Namespace, StoredMessage
from ..store.marks import Early
from ..store.records import PersonRow
from .communities.recognising import recognise
from .filing import Arrival, Filing
from .people import learn_profile
from .preferences import Preferences
from .profile import Profile
from .receiving import PollResult

LOG = logging.getLogger(__name__)
Outcome = tuple[OpenedMessage, Content] | ProtocolError

TYPING_MS = 20_000
"""How long it is news that somebody is typing."""
OVERTAKEN_MS = 120_000
"""How much older than the contacts of another device a message must be for these to decide about it."""
SAME_CALL_MS = 3_600_000
"""How far apart the messages of one call are at the most."""
_OWN = (VisibleMessage, TimerUpdate, Reaction, Unsend, Call, GroupUpdate, Unknown)
"""What our other devices send to us."""
_CALL_STATES = ("ringing", "missed", "declined", "answered")
"""The last of them that any message of a call speaks for is its state, whichever comes first."""
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NEWER = "a message of a newer protocol version than this client speaks"
_GROUP = "a message of a group, which this version does not know"


class Intake:
    """Takes messages into one profile."""

    def __init__(self, profile: Profile, preferences: Preferences) -> None:
        self._profile = profile
        self._store = profile.store
        self._account = profile.identity.account_id
        self._preferences = preferences
        self._filing = Filing(profile)

    def open(self, stored: StoredMessage) -> Outcome:
        """Decrypt and parse what the swarm gave; what is wrong with it, if something is."""
        try:
            if len(stored.data) > MAX_MESSAGE_BYTES:
                raise MalformedMessage("A message is larger than any that a swarm takes.")
            opened = session_v1.decode_message(self._profile.identity, stored.data)
            content = contents.parse(opened.content)
            if content.timestamp_ms is not None and content.timestamp_ms != opened.timestamp_ms:
                raise MalformedMessage("A message's two times differ.")
        except ProtocolError as error:
            return error
        return opened, content

    def take(self, stored: StoredMessage, outcome: Outcome, now_ms: int, *, notice_id: int | None = None) -> PollResult:
        """Store what `open` gave, inside the caller's transaction. `now_ms` is when it came.

        A message takes the place of the notice `notice_id`, if one was there for it until now.
        """
        if isinstance(outcome, UnsupportedVersion):
            return self._keep_nameless(stored, now_ms)
        if isinstance(outcome, ProtocolError):
            LOG.info("skipped a message: %s", outcome.message)
            self._store.swarm.skip(stored.hash, outcome.slug, now_ms)
            return PollResult(skipped=1)
        opened, content = outcome
        payload = content.payload
        outgoing = opened.sender_id == self._account
        if not outgoing:
            recognise(self._store, opened.sender_id)
        person = self._store.people.get(opened.sender_id)
        reason = self._reason_to_ignore(person, payload, outgoing=outgoing)
        if reason is not None:
            return self._filing.ignore(stored, reason, now_ms)
        conversation = AccountId(contents.conversation_of(self._account, opened.sender_id, payload))
        if outgoing:
            # A sender is somebody. For whom another device of ours says that a copy is need not be.
            try:
                conversation = parse_account_id(conversation)
            except InvalidAccountId:
                return self._filing.ignore(stored, "a copy of a message to nobody", now_ms)
        arrival = Arrival(
            stored,
            opened.sender_id,
            opened.timestamp_ms,
            content,
            conversation,
            outgoing,
            now_ms,
            person,
            notice_id,
        )
        was_hidden = self._store.configs.conversation(conversation).hidden
        result = self._take(arrival, payload)
        if was_hidden and _latest_ms(stored, opened) < self._store.conversations.gone_ms(conversation):
            # It is none of the news that are to bring it back.
            self._store.conversations.hide(conversation)
        return result

    def _take(self, arrival: Arrival, payload: Payload) -> PollResult:
        match payload:
            case VisibleMessage():
                return self._take_visible(arrival, payload)
            case TimerUpdate():
                return self._take_timer(arrival, payload)
            case MediaSaved():
                return self._filing.add_notice(arrival, "media_saved", {"timestamp_ms": payload.timestamp_ms})
            case Call():
                return self._take_call(arrival, payload)
            case Unknown(what):
                return self._filing.add_notice(arrival, "unknown", {"reason": what})
            case GroupInvite() | GroupPromotion():
                return self._take_offer(arrival, payload)
            case GroupUpdate():
                return self._filing.ignore(
                    arrival.stored, f"{type(payload).__name__} outside of a group", arrival.now_ms
                )
            case Reaction():
                learn_profile(self._store, arrival.sender, payload.profile, arrival.sent_ms, arrival.outgoing)
                done = self._filing.marking.react(arrival.conversation, arrival.sender, payload, arrival.sent_ms)
                return PollResult(new=int(done))
            case Unsend():
                return PollResult(new=int(self._filing.marking.unsend(arrival.sender, payload, arrival.sent_ms)))
            case ReadReceipt():
                return PollResult(new=self._filing.marking.note_read(arrival.sender, payload, arrival.sent_ms))
            case Typing():
                return self._take_typing(arrival, payload)
            case RequestAccepted():
                return self._take_acceptance(arrival, payload)
            case Ignored(what):
                return self._filing.ignore(arrival.stored, what, arrival.now_ms)

    def _reason_to_ignore(self, person: PersonRow | None, payload: Payload, *, outgoing: bool) -> str | None:
        """Why a message does not count, if it doesn't."""
        name = type(payload).__name__
        if outgoing:
            from_other_device = isinstance(payload, _OWN)
            if isinstance(payload, Call):
                from_other_device = payload.kind in (CallKind.ANSWER, CallKind.END_CALL)
            return None if from_other_device else f"{name} from ourselves"
        if person is not None and person.blocked:
            return "from somebody who is blocked"
        wanted = True
        match payload:
            case ReadReceipt():
                wanted = self._preferences.read_receipts
            case Typing():
                wanted = self._preferences.typing
        if not wanted:
            return f"{name}, which the settings don't ask for"
        # Not receipts: what they name may be from another device of ours, and still to come.
        if isinstance(payload, Typing | MediaSaved | Call) and not (person and person.approved):
            return f"{name} from somebody to whom we never wrote"
        return None

    def is_overtaken(self, stored: StoredMessage, outcome: Outcome) -> bool:
        """Whether what `open` gave is of a conversation that one of our devices deleted after it was written.

        Without that, what was deleted would come back with every device that has not seen it yet: swarms keep messages
        for two weeks. Where nothing is known of a contact, what was written before the newest contacts of another
        device is of one who was deleted: by us in any case, for our devices know to whom we write; by others if it is
        not so recent that the other device need not have seen it. To be called inside a transaction, with the configs
        that came at the same time taken in before.
        """
        if isinstance(outcome, ProtocolError):
            return False
        opened, content = outcome
        if isinstance(content.payload, ReadReceipt | Unsend):
            return False
        conversation = contents.conversation_of(self._account, opened.sender_id, content.payload)
        person = self._store.people.get(conversation)
        if conversation == self._account or (person is not None and person.is_contact):
            return False
        latest_ms = _latest_ms(stored, opened)
        if latest_ms < self._store.conversations.gone_ms(conversation):
            return True
        slack_ms = 0 if opened.sender_id == self._account else OVERTAKEN_MS
        return latest_ms < self._store.configs.merged_ms(Namespace.CONTACTS) - slack_ms

    def _is_decided(self, conversation: AccountId, time_ms: int) -> bool:
        """Whether what another device said later is to be believed rather than what messages of this time did."""
        config = Namespace.USER_PROFILE if conversation == self._account else Namespace.CONTACTS
        return time_ms < self._store.configs.merged_ms(config) - OVERTAKEN_MS

    # Messages.

    def _take_visible(self, arrival: Arrival, payload: VisibleMessage) -> PollResult:
        people = self._store.people
        if arrival.outgoing:
            if arrival.conversation != self._account:
                people.approve(arrival.conversation, by_us=True)
                self._store.messages.settle_request(arrival.conversation)
        else:
            self._note_acceptance(arrival)
            learn_profile(self._store, arrival.sender, payload.profile, arrival.sent_ms, arrival.outgoing)
        return self._filing.add_message(arrival, payload)

    # Notices.

    def _take_timer(self, arrival: Arrival, payload: TimerUpdate) -> PollResult:
        """Note that what somebody writes disappears from now on. It changes nothing for what we write, unless it was us
        who said so."""
        expiration = arrival.content.expiration
        mode, seconds = expiration.mode.name.lower(), expiration.seconds
        if not arrival.outgoing:
            learn_profile(self._store, arrival.sender, payload.profile, arrival.sent_ms, arrival.outgoing)
        elif not self._is_decided(arrival.conversation, arrival.sent_ms):
            # Not under a time far off, which would let nobody change it before.
            said_ms = min(arrival.sent_ms, arrival.now_ms)
            self._store.conversations.set_expiration(arrival.conversation, mode, seconds, said_ms)
        return self._filing.add_notice(arrival, "expiration_update", {"mode": mode, "seconds": seconds})

    def _take_call(self, arrival: Arrival, payload: Call) -> PollResult:
        """Note a call, once for all of its messages, and what became of it."""
        if not _UUID.fullmatch(payload.uuid):
            return self._filing.ignore(arrival.stored, "a call without an id", arrival.now_ms)
        since_ms = arrival.sent_ms - SAME_CALL_MS
        known = self._store.messages.call(payload.uuid, None if arrival.outgoing else arrival.conversation, since_ms)
        became = _state_of_call(payload.kind, outgoing=arrival.outgoing)
        if known is not None:
            state = max(known.content["state"], became, key=_CALL_STATES.index)
            self._store.messages.set_content(known.id, {"call_id": payload.uuid, "state": state})
            return PollResult(ignored=1)
        if not arrival.outgoing and payload.kind in (CallKind.PRE_OFFER, CallKind.OFFER):
            early = self._store.marks.take_early_call(payload.uuid, (self._account, arrival.sender))
            state = max(("ringing", *early), key=_CALL_STATES.index)
            return self._filing.add_notice(arrival, "call", {"call_id": payload.uuid, "state": state})
        if became != "ringing":
            self._filing.marking.note_call(Early(became, arrival.sender, arrival.sent_ms, payload.uuid))
        return self._filing.ignore(arrival.stored, "a call that is not known", arrival.now_ms)

    def _keep_nameless(self, stored: StoredMessage, now_ms: int) -> PollResult:
        """Keep what only a later version can open; until then nobody knows from whom it is."""
        content = {"reason": _NEWER, "hash": stored.hash}
        seq = self._store.events.add_detail(
            "unknown", conversation=None, sender=None, sent_ms=stored.timestamp_ms, content=content
        )
        self._filing.keep(stored, _NEWER, now_ms, seq, None)
        return PollResult(new=1)

    def _take_offer(self, arrival: Arrival, payload: GroupInvite | GroupPromotion) -> PollResult:
        """Be asked into a group, or to run one. The message is deleted: it is of no use to anybody any more."""
        from .groups.membership import Membership

        if arrival.outgoing:
            return self._filing.ignore(arrival.stored, "an invitation of ours", arrival.now_ms)
        learn_profile(self._store, arrival.sender, payload.profile, arrival.sent_ms, arrival.outgoing)
        try:
            count = Membership(self._store, self._profile.identity).take(payload, arrival.sender, arrival.sent_ms)
        except (BadSignature, MalformedMessage) as error:
            LOG.info("skipped an invitation: %s", error.message)
            self._store.swarm.skip(arrival.stored.hash, error.slug, arrival.now_ms)
            return PollResult(skipped=1)
        self._store.chores.add_hashes([arrival.stored.hash])
        return PollResult(new=count)

    # What leaves nothing behind but an event.

    def _take_typing(self, arrival: Arrival, payload: Typing) -> PollResult:
        self._store.events.add_detail(
            "typing",
            conversation=arrival.conversation,
            sender=arrival.sender,
            sent_ms=arrival.sent_ms,
            content={"started": payload.started},
            ends_ms=min(arrival.sent_ms, arrival.now_ms) + TYPING_MS,
        )
        return PollResult(new=1)

    def _take_acceptance(self, arrival: Arrival, payload: RequestAccepted) -> PollResult:
        learn_profile(
            self._store, arrival.sender, payload.profile, arrival.sent_ms, arrival.outgoing, keep_picture=True
        )
        if self._note_acceptance(arrival):
            return PollResult(new=1)
        return self._filing.ignore(arrival.stored, "the acceptance of no request", arrival.now_ms)

    def _note_acceptance(self, arrival: Arrival) -> bool:
        """Note that somebody wants to talk with us, and the event, if we had asked for it; whether we had.

        Who answers accepts by that, too, and the answer may be here first.
        """
        person = arrival.person
        if person is not None and person.approved_me:
            return False
        self._store.people.approve(arrival.sender, by_us=False)
        if person is None or not person.approved:
            return False
        self._store.events.add_detail(
            "contact_request",
            conversation=arrival.conversation,
            sender=arrival.sender,
            sent_ms=arrival.sent_ms,
            content={"state": "accepted"},
        )
        return True


def _latest_ms(stored: StoredMessage, opened: OpenedMessage) -> int:
    """When a message was written or stored, whichever is later: one of long ago may come out of an outbox just now."""
    return max(opened.timestamp_ms, stored.timestamp_ms)


def _state_of_call(kind: CallKind, *, outgoing: bool) -> Literal["ringing", "missed", "declined", "answered"]:
    """What a message says of the state of a call to us."""
    if kind is CallKind.ANSWER and outgoing:
        return "answered"
    if kind is CallKind.END_CALL:
        return "declined" if outgoing else "missed"
    return "ringing"
