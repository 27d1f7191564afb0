"""What came from a community server: posts become messages of their room, direct messages those of people.

A server says what it likes; what counts of a post is what its author signed. What a room's moderators do, the server
says alone. In a room everybody stays who is seen there, also where we know the account behind an id.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from ...errors import BadSignature, DecryptionFailed, InvalidUrl, MalformedMessage, ProtocolError
from ...protocol.account import AccountId, is_blinded
from ...protocol.community.auth import ServerIdentity
from ...protocol.community.inbox import DirectMessage, DirectMessages, open_direct_message
from ...protocol.community.posts import (
    CLOCK_TOLERANCE_MS,
    Deletion,
    Entry,
    Page,
    Post,
    PostReaction,
    ReactionChange,
    open_post,
)
from ...protocol.community.urls import CommunityServer, file_id_of, file_url
from ...protocol.payload import AttachmentPointer, Content, Expiration, VisibleMessage
from ...protocol.storage_rpc import MessageHash, StoredMessage
from ...store.communities import FOR_EVER_MS, ServerRow
from ...store.marks import Early
from ...store.records import MessageRow, PersonRow
from ...store.store import Store
from ..filing import Arrival, Filing
from ..model import KNOWN_AS
from ..people import learn_profile
from ..profile import Profile
from ..receiving import PollResult
from .recognising import account_behind, merge

LOG = logging.getLogger(__name__)
_STAYS = Expiration()
MOST_KEPT_MS = 30 * 86_400_000
"""No server keeps direct messages for so long."""


@dataclass(frozen=True, slots=True)
class _Reactions:
    """Emoji and who put it, as far as that is told; and those emoji that others have put, too."""

    given: set[tuple[str, str]]
    partly: set[str]


class CommunityIntake:
    """Takes what one profile gets from servers. To be called inside a transaction."""

    def __init__(self, profile: Profile) -> None:
        self._store = profile.store
        self._own_id = profile.identity.account_id
        self._filing = Filing(profile)
        self._blocked: set[str] = set()

    # Rooms.

    def take_page(
        self, address: str, me: ServerIdentity, page: Page, now_ms: int, *, is_news: bool = True
    ) -> PollResult:
        """Take in a part of a room's messages. What `is_news` readers are given; the rest is just there."""
        result = PollResult(skipped=page.malformed)
        self._blocked = self._store.communities.blocked()
        # What is done to messages, is done after they were written.
        for entry in sorted(page.entries, key=lambda entry: not isinstance(entry, Post)):
            result += self._take(address, me, entry, now_ms, is_news=is_news)
        return result

    def _take(self, address: str, me: ServerIdentity, entry: Entry, now_ms: int, *, is_news: bool) -> PollResult:
        match entry:
            case Deletion():
                return self.take_deletions(address, [entry.id], now_ms)
            case ReactionChange():
                return self._react(address, entry.id, self._reactions(me, entry.reactions), now_ms, is_news=is_news)
            case Post():
                return self._take_post(address, me, entry, now_ms, is_news=is_news)

    def _take_post(self, address: str, me: ServerIdentity, post: Post, now_ms: int, *, is_news: bool) -> PollResult:
        reactions = self._reactions(me, post.reactions)
        communities = self._store.communities
        known = communities.is_known(address, post.id)
        message_id = communities.message_of(address, post.id) if known else None
        if known and (message_id is None or post.edited_ms is None):
            return self._react(address, post.id, reactions, now_ms, is_news=is_news)
        try:
            opened = open_post(post)
            _check_time(post.posted_ms, now_ms)
        except (BadSignature, MalformedMessage) as error:
            LOG.info("skipped a post: %s", error.message)
            if not known:
                communities.note_post(address, post.id, None)
            return PollResult(skipped=1)
        payload = opened.content.payload
        if not isinstance(payload, VisibleMessage):
            if not known:
                communities.note_post(address, post.id, None)
            return PollResult(ignored=1)
        sender = self.member(me, post.author)
        if message_id is not None:
            self._edit(message_id, sender, payload.body)
            return self._react(address, post.id, reactions, now_ms, is_news=is_news)
        person = self._store.people.get(sender)
        if self._is_blocked(sender, person):
            communities.note_post(address, post.id, None)
            return PollResult(ignored=1)
        refuses = payload.blocks_requests
        if is_blinded(sender) and refuses is not None and refuses != communities.is_hermit(sender):
            communities.note_hermit(sender, is_one=refuses)
        if sender == self._own_id and (ours := self._arrived(address, opened.content, post.posted_ms)) is not None:
            communities.note_post(address, post.id, ours)
            return self._react(address, post.id, reactions, now_ms, is_news=is_news)
        learn_profile(self._store, sender, payload.profile, post.posted_ms, sender == self._own_id)
        if payload.quote is not None:
            payload = replace(payload, quote=replace(payload.quote, author=self.member(me, payload.quote.author)))
        if payload.attachments:
            payload = replace(payload, attachments=self._files(address, payload))
        communities.note_post(address, post.id, None)
        stored = _stored(str(post.id), post.posted_ms)
        marks: dict[str, Any] = {"whisper": True} if post.whisper or post.whisper_mods else {}
        if known_as := next((own for own in me.own_ids if f"@{own}" in payload.body), None):
            marks[KNOWN_AS] = known_as
        result = self._file(address, sender, payload, stored, person, now_ms, is_news=is_news, marks=marks)
        if not result.new and communities.message_of(address, post.id) is None:
            communities.note_post(address, post.id, self._id_of(address, sender, post.posted_ms))
        if post.reactions:
            # They come with the message, and are no news of their own.
            self._react(address, post.id, reactions, now_ms, is_news=False)
        return result

    def _is_blocked(self, sender: str, person: PersonRow | None) -> bool:
        """Whether we want to read nothing of somebody, by the id that is seen, or by the account behind it."""
        return (person is not None and person.blocked) or sender in self._blocked

    def _edit(self, message_id: int, author: str, body: str) -> None:
        """Let a message say something else, if its author says so: a server may call anything by its number."""
        row = self._store.messages.get(message_id)
        if row is None or row.deleted or row.sender != author:
            LOG.info("skipped an edit that is none")
            return
        self._store.messages.set_body(message_id, body)

    def _arrived(self, conversation: str, content: Content, posted_ms: int) -> int | None:
        """The message of this device that our own words are, if no answer said so far that they arrived.

        They are known by the time that they have themselves: who is meant reads otherwise there than here.
        """
        payload, said_ms = content.payload, content.timestamp_ms
        row = self._store.history.named(conversation, self._own_id, said_ms) if said_ms is not None else None
        if row is None or not isinstance(payload, VisibleMessage) or row.status not in ("queued", "pending", "failed"):
            return None
        if row.deleted:
            LOG.warning("Message %d arrived although it was deleted; once more: session unsend %d", row.id, row.id)
        for delivery in self._store.deliveries.of_message(row.id):
            self._store.deliveries.finish(delivery)
        self._store.messages.set_status(row.id, "sent")
        note_time(self._store, row, posted_ms)
        return row.id

    def _files(self, address: str, payload: VisibleMessage) -> tuple[AttachmentPointer, ...]:
        """A post's files, each at the address where it is if it is in the room, whatever is said of it."""
        room = self._store.communities.room(address)
        server = self._store.communities.server(room.base_url) if room is not None else None
        if room is None or server is None:
            return ()
        place, found = CommunityServer(server.base_url, server.server_key), []
        for pointer in payload.attachments:
            if pointer.key:
                found.append(pointer)
                continue
            with suppress(InvalidUrl):
                found.append(replace(pointer, url=file_url(place, room.token, file_id_of(pointer))))
        return tuple(found)

    def _file(
        self,
        conversation: str,
        sender: AccountId,
        payload: VisibleMessage,
        stored: StoredMessage,
        person: PersonRow | None,
        now_ms: int,
        *,
        is_news: bool = True,
        marks: Mapping[str, Any] = MappingProxyType({}),
    ) -> PollResult:
        arrival = Arrival(
            stored,
            sender,
            stored.timestamp_ms,
            Content(payload, stored.timestamp_ms, _STAYS),
            AccountId(conversation),
            sender == self._own_id,
            now_ms,
            person,
            is_news=is_news,
        )
        return self._filing.add_message(arrival, payload, marks)

    def _id_of(self, conversation: str, sender: str, sent_ms: int) -> int | None:
        row = self._store.history.named(conversation, sender, sent_ms)
        return row.id if row is not None else None

    def member(self, me: ServerIdentity, author: str) -> AccountId:
        """Who somebody is whom a server names: ourselves, or the one with that id."""
        return self._own_id if author in me.own_ids else AccountId(author)

    def take_deletions(self, address: str, post_ids: Iterable[int], now_ms: int) -> PollResult:
        """Delete posts that are no longer in their room."""
        count, communities = 0, self._store.communities
        for post_id in post_ids:
            message_id = communities.message_of(address, post_id)
            row = self._store.messages.get(message_id) if message_id is not None else None
            if row is not None:
                # By whom, its author or a moderator, the server does not say.
                count += self._filing.marking.bury(row, Early("unsend", address, now_ms))
            elif message_id is None:
                communities.note_post(address, post_id, None)
        return PollResult(new=count)

    def _reactions(self, me: ServerIdentity, told: Iterable[PostReaction]) -> _Reactions:
        """Who reacted how, and which emoji are told of as a whole: a server names but some of those who reacted."""
        by_emoji = {reaction.emoji: reaction for reaction in told}
        given = {
            (emoji, str(self.member(me, reactor)))
            for emoji, reaction in by_emoji.items()
            for reactor in reaction.reactors
        }
        # Of ourselves it says more: whether we are among all of them.
        ours = {(emoji, str(self._own_id)) for emoji, reaction in by_emoji.items() if reaction.you}
        return _Reactions(given | ours, {emoji for emoji, one in by_emoji.items() if one.count > len(one.reactors)})

    def _react(self, address: str, post_id: int, told: _Reactions, now_ms: int, *, is_news: bool) -> PollResult:
        """Let a message have the reactions that the server tells of."""
        message_id = self._store.communities.message_of(address, post_id)
        row = self._store.messages.get(message_id) if message_id is not None else None
        if row is None or row.deleted:
            return PollResult()
        before = {(reaction.emoji, reaction.sender) for reaction in row.reactions}
        gone = {(emoji, who) for emoji, who in before - told.given if emoji not in told.partly or who == self._own_id}
        count = 0
        for pairs, removed in ((told.given - before, False), (gone, True)):
            for emoji, who in sorted(pairs):
                if not removed and self._is_blocked(who, self._store.people.get(who)):
                    continue
                done = self._store.marks.react(row.id, who, emoji, now_ms, removed=removed)
                if done and is_news and who != self._own_id:
                    content = {"emoji": emoji, "removed": removed}
                    self._store.events.add_detail(
                        "reaction",
                        message_id=row.id,
                        conversation=address,
                        sender=who,
                        sent_ms=now_ms,
                        content=content,
                    )
                    count += 1
        return PollResult(new=count)

    # Direct messages.

    def take_direct(self, server: ServerRow, me: ServerIdentity, found: DirectMessages, now_ms: int) -> PollResult:
        """Take in messages of our inbox or outbox on a server."""
        result = PollResult(skipped=found.malformed)
        self._blocked = self._store.communities.blocked()
        for message in found.messages:
            name = f"{message.id} {hashlib.sha256(message.data).hexdigest()}"
            if self._store.communities.is_taken(server.base_url, name):
                continue
            taken = self._take_direct(server, me, message, now_ms)
            if taken is not None:
                result += taken
                expires_ms = min(message.expires_ms, now_ms + MOST_KEPT_MS)
                self._store.communities.note_taken(server.base_url, name, expires_ms)
        return result

    def _take_direct(
        self, server: ServerRow, me: ServerIdentity, message: DirectMessage, now_ms: int
    ) -> PollResult | None:
        """What became of a direct message; None: nothing for now."""
        communities = self._store.communities
        try:
            opened = open_direct_message(me, message)
            _check_time(message.posted_ms, now_ms)
        except (BadSignature, DecryptionFailed, MalformedMessage, ProtocolError) as error:
            LOG.info("skipped a direct message: %s", error.message)
            return PollResult(skipped=1)
        payload = opened.content.payload
        if not isinstance(payload, VisibleMessage):
            return PollResult(ignored=1)
        stored = _stored(f"{server.base_url} {message.id}", message.posted_ms)
        if opened.sent_by_us:
            account = account_behind(self._store, message.recipient, server.server_key)
            conversation = account or AccountId(message.recipient)
            if self._arrived(conversation, opened.content, message.posted_ms) is not None:
                return PollResult()
            if not is_blinded(conversation) and not self._has_approved(conversation):
                # Both sides of a conversation have the same key: that somebody could have made himself, to be let in.
                return None
            communities.note_server(message.recipient, server.base_url)
            if account is not None:
                communities.note_account(message.recipient, account, server.base_url)
            return self._file(conversation, self._own_id, payload, stored, None, now_ms)
        sender = opened.sender
        if self._is_blocked(message.sender, self._store.people.get(message.sender)) or self._is_blocked(
            sender, self._store.people.get(sender)
        ):
            return PollResult(ignored=1)
        communities.note_account(message.sender, sender, server.base_url)
        merge(self._store, message.sender, sender)
        person = self._store.people.get(sender)
        learn_profile(self._store, sender, payload.profile, message.posted_ms, outgoing=False)
        return self._file(sender, sender, payload, stored, person, now_ms)

    def _has_approved(self, account: str) -> bool:
        person = self._store.people.get(account)
        return person is not None and person.approved


def note_time(store: Store, row: MessageRow, posted_ms: int) -> None:
    """Let a message of ours have the time that its server gives it, by which others name it, if that makes any sense.

    To be called inside a transaction.
    """
    if abs(posted_ms - row.sent_ms) > CLOCK_TOLERANCE_MS:
        return
    if store.history.named(row.conversation, row.sender, posted_ms) is None:
        store.messages.set_time(row.id, posted_ms)


def _check_time(posted_ms: int, now_ms: int) -> None:
    if posted_ms > now_ms + CLOCK_TOLERANCE_MS:
        raise MalformedMessage("A community server says that something was written in the future.")


def _stored(name: str, posted_ms: int) -> StoredMessage:
    """What a server keeps, in the form of what swarms keep."""
    return StoredMessage(MessageHash(name), posted_ms, FOR_EVER_MS, b"")
