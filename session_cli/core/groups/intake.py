"""What a message in a group becomes: an entry of its conversation, a mark on one, or something for an admin to do.

Everybody speaks for himself. What is said in an admin's name counts with the group's signature alone. What a group is
made of is not learnt here, but from its configs: what tells of changes of these is there for people to read.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from ...errors import BadSignature, DecryptionFailed, MalformedMessage, ProtocolError
from ...protocol import content as contents
from ...protocol.config.fields import KEY_BYTES, Picture
from ...protocol.config.group_members import Member, Offer
from ...protocol.group import messages, updates
from ...protocol.payload import (
    Content,
    Expiration,
    ExpirationMode,
    GroupDeleteContent,
    GroupInfoChange,
    GroupInfoKind,
    GroupInviteResponse,
    GroupLeftNotice,
    GroupMemberChange,
    GroupMemberLeft,
    Reaction,
    Unknown,
    Unsend,
    VisibleMessage,
)
from ...protocol.session_v1 import OpenedMessage
from ...protocol.storage_rpc import MAX_MESSAGE_BYTES, Namespace, StoredMessage
from ...store.marks import Early
from ...store.store import Store
from ..filing import Arrival, Filing
from ..people import learn_profile
from ..profile import Profile
from ..receiving import PollResult
from .notices import named, notice_of
from .state import GroupState

LOG = logging.getLogger(__name__)
Opened = tuple[OpenedMessage, Content] | ProtocolError
_SPOKEN = (VisibleMessage, Reaction, Unknown)
"""What nobody wants of somebody who is blocked."""
_TIMELESS = (GroupMemberLeft, GroupInviteResponse, GroupDeleteContent)
"""What leaves nothing to disappear."""


class GroupIntake:
    """Takes the messages of groups into one profile."""

    def __init__(self, profile: Profile) -> None:
        self._store: Store = profile.store
        self._own_id = profile.identity.account_id
        self._filing = Filing(profile)

    def open(self, state: GroupState, stored: StoredMessage) -> Opened:
        """Decrypt and parse what a group's swarm gave; what is wrong with it, if something is.

        DecryptionFailed: none of the keys that we have by now opens it.
        """
        try:
            if len(stored.data) > MAX_MESSAGE_BYTES:
                raise MalformedMessage("A message is larger than any that a swarm takes.")
            opened = messages.decode_message(state.group_id, state.keys.encryption_keys, stored.data)
            content = contents.parse(opened.content)
            if content.timestamp_ms is not None and content.timestamp_ms != opened.timestamp_ms:
                raise MalformedMessage("A message's two times differ.")
        except ProtocolError as error:
            return error
        return opened, content

    def take(
        self, state: GroupState, stored: StoredMessage, opened: Opened, now_ms: int, *, notice_id: int | None = None
    ) -> tuple[GroupState, PollResult]:
        """Store what `open` gave, inside the caller's transaction; `now_ms` is when it came.

        Returns the group as we, if we are an admin, have to change it then.
        """
        if isinstance(opened, ProtocolError):
            LOG.info("skipped a message of a group: %s", opened.message)
            self._store.swarm.skip(stored.hash, opened.slug, now_ms)
            return state, PollResult(skipped=1)
        message, content = opened
        sender = message.sender_id
        arrival = Arrival(
            stored,
            sender,
            message.timestamp_ms,
            content,
            state.group_id,
            sender == self._own_id,
            now_ms,
            self._store.people.get(sender),
            notice_id,
        )
        if arrival.person is not None and arrival.person.blocked and isinstance(content.payload, _SPOKEN):
            return state, self._filing.ignore(stored, "from somebody who is blocked", now_ms)
        if arrival.sent_ms < 1000 * state.info.delete_before:
            return state, self._filing.ignore(stored, "from before all was deleted", now_ms)
        try:
            return self._take(state, arrival)
        except BadSignature as error:
            LOG.info("skipped a message of a group: %s", error.message)
            self._store.swarm.skip(stored.hash, error.slug, now_ms)
            return state, PollResult(skipped=1)

    def _take(self, state: GroupState, arrival: Arrival) -> tuple[GroupState, PollResult]:
        filing, payload = self._filing, arrival.content.payload
        member = state.member(arrival.sender) if not arrival.outgoing else None
        if state.admin and member is not None and isinstance(payload, VisibleMessage | Reaction):
            # Whoever speaks is here, even if what says so is lost.
            state = _accepted(state, member)
        match payload:
            case VisibleMessage():
                learn_profile(self._store, arrival.sender, payload.profile, arrival.sent_ms, arrival.outgoing)
                return state, filing.add_message(arrival, payload)
            case Reaction():
                learn_profile(self._store, arrival.sender, payload.profile, arrival.sent_ms, arrival.outgoing)
                done = filing.marking.react(arrival.conversation, arrival.sender, payload, arrival.sent_ms)
                return state, PollResult(new=int(done))
            case Unsend():
                done = filing.marking.unsend_in_group(state.group_id, arrival.sender, payload, arrival.sent_ms)
                return state, PollResult(new=int(done))
            case GroupInfoChange() | GroupMemberChange():
                updates.verify_change(payload, state.group_id, arrival.sent_ms)
                if not (arrival.outgoing or (member is not None and member.admin)):
                    # The signature covers little, and could be taken from what an admin said.
                    raise BadSignature("A change of a group is told by somebody who is no admin.")
                return state, self._take_change(arrival, payload)
            case GroupDeleteContent():
                return state, self._delete(state, arrival, payload)
            case GroupInviteResponse():
                learn_profile(
                    self._store, arrival.sender, payload.profile, arrival.sent_ms, arrival.outgoing, keep_picture=True
                )
                if member is None or not payload.approved:
                    return state, filing.ignore(
                        arrival.stored, "an answer of somebody who is no member", arrival.now_ms
                    )
                if state.admin:
                    state = _joined(state, member, payload)
                return state, self._say(arrival, {"change": "joined"})
            case GroupLeftNotice():
                members = named(self._store, [arrival.sender])
                return state, self._say(arrival, {"change": "left", "members": members})
            case GroupMemberLeft():
                if state.admin and member is not None and not member.removal:
                    # Not before all is read: he may have come back since.
                    self._store.groups.add_errand(state.group_id, "left", arrival.sender, arrival.sent_ms)
                return state, filing.ignore(arrival.stored, "somebody has left", arrival.now_ms)
            case Unknown(what):
                return state, filing.add_notice(arrival, "unknown", {"reason": what})
            case _:
                name = type(payload).__name__
                return state, filing.ignore(arrival.stored, f"{name} in a group", arrival.now_ms)

    def _take_change(self, arrival: Arrival, change: GroupInfoChange | GroupMemberChange) -> PollResult:
        notice = notice_of(self._store, change)
        if notice is not None:
            return self._say(arrival, dict(notice))
        if not isinstance(change, GroupInfoChange) or change.kind is not GroupInfoKind.TIMER:
            raise ValueError("a change that says nothing")
        seconds = change.timer_s or 0
        content = {"mode": "after_send" if seconds else "off", "seconds": seconds}
        return self._filing.add_notice(arrival, "expiration_update", content)

    def _say(self, arrival: Arrival, notice: dict[str, object]) -> PollResult:
        if isinstance(arrival.content.payload, _TIMELESS):
            arrival = replace(arrival, content=replace(arrival.content, expiration=Expiration(ExpirationMode.OFF, 0)))
        return self._filing.add_notice(arrival, "group_update", notice)

    def _delete(self, state: GroupState, arrival: Arrival, order: GroupDeleteContent) -> PollResult:
        """Delete messages: those of the sender himself, or any, on the word of an admin."""
        by_admin = order.signature is not None
        if by_admin:
            updates.verify_change(order, state.group_id, arrival.sent_ms)
        said = Early("unsend", arrival.sender, arrival.sent_ms)
        doomed: dict[int, None] = {}
        for hash in order.hashes:
            message_id = self._store.swarm.message_of(state.group_id, Namespace.GROUP_MESSAGES, hash)
            if message_id is not None:
                doomed[message_id] = None
            elif by_admin:
                # Should it come later, from another member of the swarm.
                self._store.swarm.mark_seen(
                    state.group_id, Namespace.GROUP_MESSAGES, hash, arrival.stored.expiration_ms
                )
        if by_admin:
            for member in order.members:
                sent = self._store.messages.sent_by(state.group_id, member, arrival.sent_ms)
                doomed.update(dict.fromkeys(sent))
        count = 0
        for message_id in doomed:
            row = self._store.messages.get(message_id)
            if row is not None and (by_admin or row.sender == arrival.sender):
                count += self._filing.marking.bury(row, said)
                if state.admin and row.hash is not None and not arrival.outgoing:
                    # Members can't delete in the swarm.
                    self._store.groups.add_errand(state.group_id, "delete", row.hash)
        return PollResult(new=count)


def is_undecided(opened: Opened) -> bool:
    """Whether what `GroupIntake.open` gave may be another thing once we have more keys."""
    return isinstance(opened, DecryptionFailed)


def _joined(state: GroupState, member: Member, answer: GroupInviteResponse) -> GroupState:
    """With a member who has accepted, as he calls himself."""
    profile = answer.profile
    if profile is None or member.removal:
        return _accepted(state, member)
    picture = None
    if profile.picture_url and profile.picture_key and len(profile.picture_key) == KEY_BYTES:
        picture = Picture(profile.picture_url, profile.picture_key)
    known = replace(member, name=profile.name or member.name, picture=picture or member.picture)
    return _accepted(state.with_member(known) if known != member else state, known)


def _accepted(state: GroupState, member: Member) -> GroupState:
    """With a member whose invitation or promotion, if there was any, is accepted."""
    if member.removal or member.admin or member.invitation == Offer.ACCEPTED:
        return state
    return state.with_member(member.with_invitation(Offer.ACCEPTED))
