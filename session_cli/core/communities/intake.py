"""What came from a community server: posts become messages of their room, direct messages those of people.

A server says what it likes; what counts of a post is what its author signed. What a room's moderators do, the server
says alone.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace

from ...errors import BadSignature, DecryptionFailed, InvalidUrl, MalformedMessage, ProtocolError
from ...protocol.account import AccountId
from ...protocol.community.auth import ServerIdentity
from ...protocol.community.inbox import DirectMessages, open_direct_message
from ...protocol.community.posts import Deletion, Entry, Page, Post, PostReaction, ReactionChange, open_post
from ...protocol.community.urls import CommunityServer, file_id_of, file_url
from ...protocol.payload import AttachmentPointer, Content, Expiration, VisibleMessage
from ...protocol.storage_rpc import MessageHash, StoredMessage
from ...store.communities import FOR_EVER_MS, ServerRow
from ...store.marks import Early
from ...store.records import PersonRow
from ..filing import Arrival, Filing
from ..people import learn_profile
from ..profile import Profile
from ..receiving import PollResult
from .recognising import merge

LOG = logging.getLogger(__name__)
_STAYS = Expiration()


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

    # Rooms.

    def take_page(
        self, address: str, me: ServerIdentity, page: Page, now_ms: int, *, is_news: bool = True
    ) -> PollResult:
        """Take in a part of a room's messages. What `is_news` readers are given; the rest is just there."""
        result = PollResult(skipped=page.malformed)
        for entry in page.entries:
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
        except (BadSignature, MalformedMessage) as error:
            LOG.info("skipped a post: %s", error.message)
            communities.note_post(address, post.id, None)
            return PollResult(skipped=1)
        payload = opened.content.payload
        if not isinstance(payload, VisibleMessage):
            communities.note_post(address, post.id, None)
            return PollResult(ignored=1)
        sender = self.person(me, post.author)
        if message_id is not None:
            self._edit(message_id, {post.author, sender}, payload.body)
            return self._react(address, post.id, reactions, now_ms, is_news=is_news)
        person = self._store.people.get(sender)
        if person is not None and person.blocked:
            communities.note_post(address, post.id, None)
            return PollResult(ignored=1)
        if sender == self._own_id and (ours := self._arrived(address, opened.content, post.posted_ms)) is not None:
            communities.note_post(address, post.id, ours)
            return self._react(address, post.id, reactions, now_ms, is_news=is_news)
        learn_profile(self._store, sender, payload.profile, post.posted_ms, sender == self._own_id)
        if payload.quote is not None:
            payload = replace(payload, quote=replace(payload.quote, author=self.person(me, payload.quote.author)))
        if payload.attachments:
            payload = replace(payload, attachments=self._files(address, payload))
        communities.note_post(address, post.id, None)
        stored = _stored(str(post.id), post.posted_ms)
        result = self._file(address, sender, payload, stored, person, now_ms, is_news=is_news)
        if not result.new and communities.message_of(address, post.id) is None:
            communities.note_post(address, post.id, self._id_of(address, sender, post.posted_ms))
        if post.reactions:
            result += self._react(address, post.id, reactions, now_ms, is_news=is_news)
        return result

    def _edit(self, message_id: int, authors: Collection[str], body: str) -> None:
        """Let a message say something else, if its author says so: a server may call anything by its number."""
        row = self._store.messages.get(message_id)
        if row is None or row.deleted or row.sender not in authors:
            LOG.info("skipped an edit that is none")
            return
        self._store.messages.set_body(message_id, body)

    def _arrived(self, conversation: str, content: Content, posted_ms: int) -> int | None:
        """The message of this device that our own words are, if no answer said so far that they arrived."""
        payload, said_ms = content.payload, content.timestamp_ms
        row = self._store.history.named(conversation, self._own_id, said_ms) if said_ms is not None else None
        if row is None or not isinstance(payload, VisibleMessage) or payload.body != row.body:
            return None
        if row.status not in ("queued", "pending", "failed"):
            return None
        for delivery in self._store.deliveries.of_message(row.id):
            self._store.deliveries.finish(delivery)
        self._store.messages.set_status(row.id, "sent")
        if self._store.history.named(conversation, self._own_id, posted_ms) is None:
            self._store.messages.set_time(row.id, posted_ms)
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
        return self._filing.add_message(arrival, payload)

    def _id_of(self, conversation: str, sender: str, sent_ms: int) -> int | None:
        row = self._store.history.named(conversation, sender, sent_ms)
        return row.id if row is not None else None

    def person(self, me: ServerIdentity, author: str) -> AccountId:
        """Who somebody is whom a server names: ourselves, an account that we know, or whom nobody knows."""
        if author in me.own_ids:
            return self._own_id
        return AccountId(self._store.communities.account_of(author) or author)

    def take_deletions(self, address: str, post_ids: Iterable[int], now_ms: int) -> PollResult:
        """Delete posts that are no longer in their room."""
        count, communities = 0, self._store.communities
        for post_id in post_ids:
            message_id = communities.message_of(address, post_id)
            row = self._store.messages.get(message_id) if message_id is not None else None
            if row is not None:
                count += self._filing.marking.bury(row, Early("unsend", row.sender, now_ms))
            elif message_id is None:
                communities.note_post(address, post_id, None)
        return PollResult(new=count)

    def _reactions(self, me: ServerIdentity, told: Iterable[PostReaction]) -> _Reactions:
        """Who reacted how, and which emoji are told of as a whole: a server names but some of those who reacted."""
        by_emoji = {reaction.emoji: reaction for reaction in told}
        given = {
            (emoji, str(self.person(me, reactor)))
            for emoji, reaction in by_emoji.items()
            for reactor in reaction.reactors
        }
        return _Reactions(given, {emoji for emoji, one in by_emoji.items() if one.count > len(one.reactors)})

    def _react(self, address: str, post_id: int, told: _Reactions, now_ms: int, *, is_news: bool) -> PollResult:
        """Let a message have the reactions that the server tells of."""
        message_id = self._store.communities.message_of(address, post_id)
        row = self._store.messages.get(message_id) if message_id is not None else None
        if row is None or row.deleted:
            return PollResult()
        before = {(reaction.emoji, reaction.sender) for reaction in row.reactions}
        gone = {(emoji, who) for emoji, who in before - told.given if emoji not in told.partly}
        count = 0
        for pairs, removed in ((told.given - before, False), (gone, True)):
            for emoji, who in sorted(pairs):
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
        for message in found.messages:
            try:
                opened = open_direct_message(me, message)
            except (BadSignature, DecryptionFailed, MalformedMessage, ProtocolError) as error:
                LOG.info("skipped a direct message: %s", error.message)
                result += PollResult(skipped=1)
                continue
            payload = opened.content.payload
            if not isinstance(payload, VisibleMessage):
                result += PollResult(ignored=1)
                continue
            person = None
            if opened.sent_by_us:
                conversation, sender = self.person(me, message.recipient), self._own_id
                self._store.communities.note_server(message.recipient, server.base_url)
                self._store.people.approve(conversation, by_us=True)
                if self._arrived(conversation, opened.content, message.posted_ms) is not None:
                    continue
            else:
                conversation = sender = opened.sender
                person, nameless = self._store.people.get(sender), self._store.people.get(message.sender)
                if any(each is not None and each.blocked for each in (person, nameless)):
                    result += PollResult(ignored=1)
                    continue
                self._store.communities.note_account(message.sender, sender, server.base_url)
                merge(self._store, message.sender, sender)
                person = self._store.people.get(sender)
                learn_profile(self._store, sender, payload.profile, message.posted_ms, outgoing=False)
            stored = _stored(f"{server.base_url} {message.id}", message.posted_ms)
            result += self._file(conversation, sender, payload, stored, person, now_ms)
        return result


def _stored(name: str, posted_ms: int) -> StoredMessage:
    """What a server keeps, in the form of what swarms keep."""
    return StoredMessage(MessageHash(name), posted_ms, FOR_EVER_MS, b"")
