"""What the client gives to its caller: plain values, ready to be shown or turned into JSON."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..protocol.account import is_community, is_group
from ..protocol.payload import CommunityInvitation
from ..store.records import AttachmentRow, EventRow, MessageRow

RINGING_MS = 60_000
"""How long a call rings."""
KNOWN_AS = "known_as"
"""Under which key the content of a message in a room has the id by which it means us."""
SHOWN_DIGITS = 10
"""Of the id of somebody who is meant."""
_MENTION = re.compile(r"@((?:05|15|25)[0-9a-f]{64})(?![0-9a-f])")
"""How apps write that somebody is meant."""


@dataclass(frozen=True, slots=True)
class Party:
    """A person or conversation: its id, the best name we have for it, and `type`.

    That is `contact`, `group`, `community` (the id is a room's address), or `self`: us.
    """

    id: str
    name: str | None
    type: str = "contact"

    @property
    def is_shared(self) -> bool:
        """Whether it is a conversation of many, in which it matters who wrote."""
        return self.type in ("group", "community")


@dataclass(frozen=True, slots=True)
class Contact:
    """A person: the name that we gave, and the one that they give themselves.

    `approved`: we want to hear from them, as we have written to them or said so; `approved_me`: they have written to
    us; `blocked`: what they send is dropped. `picture`: whether they have a picture. `pinned`, `muted` and `hidden` are
    those of the conversation; `muted_until_ms` is None if that has no end.
    """

    id: str
    nickname: str | None
    profile_name: str | None
    approved: bool
    approved_me: bool
    blocked: bool = False
    picture: bool = False
    pinned: bool = False
    muted: bool = False
    muted_until_ms: int | None = None
    hidden: bool = False

    @property
    def name(self) -> str | None:
        """The name to show: ours if there is one."""
        return self.nickname or self.profile_name

    @property
    def request(self) -> bool:
        """Whether they ask to talk with us, and wait for an answer."""
        return self.approved_me and not (self.approved or self.blocked or self.hidden)


@dataclass(frozen=True, slots=True)
class Group:
    """A group that we are in, were in, or are asked to join.

    `state`: `member`, `admin`, `invited` (it waits for our answer), `kicked` (we were removed) or `destroyed` (it was
    ended for everyone). `inviter` invited us, as far as this device knows. `members` is how many there are, those who
    have yet to accept included; 0 until that is known. `timer_s`: after how many seconds messages disappear, 0 for
    never. `waiting`: something that was changed here has still to be brought to the group.
    """

    id: str
    name: str | None
    description: str | None
    state: str
    members: int
    created_ms: int | None
    joined_ms: int | None
    timer_s: int
    picture: bool
    inviter: Party | None
    waiting: bool
    pinned: bool
    muted: bool
    muted_until_ms: int | None
    hidden: bool

    @property
    def admin(self) -> bool:
        """Whether we may change it."""
        return self.state == "admin"


@dataclass(frozen=True, slots=True)
class GroupMember:
    """A member of a group, or one to be.

    `status`: `member`, `admin`, `invite_sent`, `invite_failed`, `invite_not_sent`, `promotion_sent`,
    `promotion_failed`, `promotion_not_sent`, `sending` (this device is about to send an invitation or promotion),
    `removed` or `removed_with_messages` (some admin has still to carry that out), or `unknown`: as a later version has
    it.
    """

    party: Party
    status: str
    admin: bool


@dataclass(frozen=True, slots=True)
class Community:
    """A room on a community server. `id` is its address, `url` the same with the server's key, for others to join it.

    `state`: `joined`; `open` (we may look at it, and have not joined), `closed` (the server does not let us read it, or
    not any more: we are banned, perhaps) or `gone`. `write` and `upload` are what we may do; `role` is `moderator`,
    `admin` or None. `pinned` are the numbers, on the server, of pinned messages, and `pinned_ids` the local ids of
    those of them that are here. `problem`: why nothing could be fetched from the server the last time.
    """

    id: str
    url: str
    name: str | None
    description: str | None
    state: str
    write: bool
    upload: bool
    role: str | None
    active_users: int
    created_ms: int | None
    pinned: tuple[int, ...] = ()
    pinned_ids: tuple[int, ...] = ()
    muted: bool = False
    muted_until_ms: int | None = None
    hidden: bool = False
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class CommunityMember:
    """Somebody as a room knows them: by the blinded id, and by the account, where we know which it is.

    `role`: `moderator`, `admin` or None; `hidden`: only moderators are shown it. `banned`: they are kept out, until
    `banned_until_ms` or (None) for good; None where that is not known.
    """

    id: str
    name: str | None
    account: str | None
    role: str | None
    hidden: bool = False
    banned: bool | None = None
    banned_until_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that came or went with a message. `name` is what its sender called it, as sent: don't use it as a path.

    `width` and `height` are an image's, in pixels, as its sender says; `duration_ms` is a voice message's, if known.
    """

    id: int
    name: str | None
    content_type: str
    size: int
    voice: bool
    saved: str | None
    width: int | None = None
    height: int | None = None
    duration_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Quote:
    """The message that another one answers, named by its author and sent time.

    `id` and `body` are those of the message; None where we don't have it, the `body` also where it was deleted.
    `mentions` are the people whom it means.
    """

    author: Party
    timestamp_ms: int
    id: int | None = None
    body: str | None = field(default=None, repr=False)
    mentions: tuple[Party, ...] = ()

    @property
    def text(self) -> str | None:
        """The body with the names of those whom it means; None where there is none."""
        return _with_names(self.body, self.mentions) if self.body is not None else None


@dataclass(frozen=True, slots=True)
class Reactions:
    """An emoji on a message, and who put it there, in their order."""

    emoji: str
    senders: tuple[Party, ...]


@dataclass(frozen=True, slots=True)
class LinkPreview:
    """What its sender says of a link in a message. Nothing was fetched to check it."""

    url: str
    title: str | None


@dataclass(frozen=True, slots=True)
class Message:
    """A message of either direction, or a notice that stands between messages.

    `kind` is `message`, or what the notice is about, told by `content`: see `session_cli.store.messages`. `id` is local
    and stable; `(sender.id, timestamp_ms)` names it within its conversation on all devices; `hash` is the swarm's.
    `status`: `received`; or for our own `pending` (being sent), `sent` (stored in the recipient's swarm), `queued`
    (waits in the outbox), `failed` or `read` (by its recipient, who said so). `read`: of one that came, that it was
    read here; of one of ours, its status. `request`: from somebody whom we never wrote to. `deleted`: only the place of
    it is left. `expires_ms` is when it disappears, if its clock runs. `mentions` are the people whom the text means:
    each of them stands there as @ and the id.
    """

    id: int
    hash: str | None
    direction: str
    conversation: Party
    sender: Party
    timestamp_ms: int
    body: str = field(repr=False)
    attachments: tuple[Attachment, ...]
    quote: Quote | None
    expire_mode: str
    expire_s: int
    request: bool
    status: str
    expires_ms: int | None = None
    read: bool = False
    deleted: bool = False
    kind: str = "message"
    content: Mapping[str, Any] = field(default_factory=dict, repr=False)
    reactions: tuple[Reactions, ...] = ()
    mentions: tuple[Party, ...] = ()

    @property
    def text(self) -> str:
        """The body with the names of those whom it means, as far as they are known, in place of their ids."""
        return _with_names(self.body, self.mentions)

    @property
    def mentioned(self) -> bool:
        """Whether the text means us."""
        return any(party.type == "self" for party in self.mentions)

    @property
    def preview(self) -> LinkPreview | None:
        """The preview of a link in the text, if its sender sent one."""
        found = self.content.get("preview") if self.kind == "message" else None
        return LinkPreview(found["url"], found["title"]) if found else None

    @property
    def invitation(self) -> CommunityInvitation | None:
        """The community that the message invites to, if it does."""
        found = self.content.get("invitation") if self.kind == "message" else None
        return CommunityInvitation(found["url"], found["name"]) if found else None


def _with_names(body: str, mentions: Sequence[Party]) -> str:
    """A text in which those whom it means are called by their names."""
    known = {party.id: party for party in mentions}
    return _MENTION.sub(lambda match: _called(known.get(match[1]), match[0]), body) if known else body


def _called(party: Party | None, text: str) -> str:
    """Somebody who is meant: with the beginning of the id, which nobody's name can take the place of."""
    if party is None:
        return text
    if party.type == "self":
        return "@me"
    name, shown = " ".join((party.name or "").split()), f"{party.id[:SHOWN_DIGITS]}…"
    return f"@{name} ({shown})" if name else f"@{shown}"


@dataclass(frozen=True, slots=True)
class ConversationState:
    """How a conversation is treated, on all devices.

    `pinned`: it comes first. `muted`: nobody is notified of what comes, until `muted_until_ms` or (None) for good.
    `hidden`: it is not shown until something new comes. `marked_unread`: the user wants to come back to it.
    """

    pinned: bool
    muted: bool
    muted_until_ms: int | None
    hidden: bool
    marked_unread: bool


@dataclass(frozen=True, slots=True)
class Conversation:
    """With whom we talk: the last message, how many events of it were not received yet, and whether it only asks.

    `request`: somebody wrote whom we never answered. `state` is what is set for it.
    """

    party: Party
    last_message: Message | None
    unread: int
    request: bool
    state: ConversationState


@dataclass(frozen=True, slots=True)
class MessageRequest:
    """Somebody wrote whom we never wrote to: how many messages, the first of them, the time of the last (ms)."""

    sender: Party
    messages: int
    first_message: Message
    last_ms: int


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened, for readers of `receive`. `seq` is its place in the log; 0 for what we did ourselves.

    `message` is what came (type `message`, or the notice that the type names), or to which something happened; None
    where that is no message, or none that is here. `sender` did it, at `timestamp_ms`, in `conversation`; None where
    that can't be known. `direction` is `outgoing` for what was done on another device of ours, else `incoming`. What
    else there is to say is in `content`: of a reaction `emoji` and `removed`; of typing `started`; of a profile `name`,
    `previous_name` and `picture`; of an unknown `reason`.
    """

    seq: int
    type: str
    message: Message | None
    direction: str
    conversation: Party | None
    sender: Party | None
    timestamp_ms: int
    content: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def is_entry(self) -> bool:
        """Whether `message` is what came, and not what something happened to."""
        return self.message is not None and self.type == self.message.kind


@dataclass(frozen=True, slots=True)
class Cursor:
    """A reader of the log: how many events it has before it, and since when there is such a reader (ms)."""

    name: str
    unread: int
    made_ms: int


def attachment_of(row: AttachmentRow) -> Attachment:
    """A stored attachment as the caller sees it."""
    return Attachment(
        row.id or 0,
        row.name,
        row.content_type,
        row.size,
        row.voice,
        row.saved,
        row.width,
        row.height,
        row.duration_ms,
    )


@dataclass(frozen=True, slots=True)
class Viewer:
    """Turns what is stored into what the caller sees, for the account `own_id` whose name is `own_name`, at a time."""

    own_id: str
    own_name: str | None
    now_ms: int
    name_of: Callable[[str], str | None] = lambda _: None
    """The name that we have for an id, where it is not stored with what names it."""

    def party(self, address: str, name: str | None) -> Party:
        """A person, or the conversation with one."""
        if address == self.own_id:
            return Party(address, self.own_name, "self")
        if is_community(address):
            return Party(address, name, "community")
        return Party(address, name, "group" if is_group(address) else "contact")

    def message(self, row: MessageRow) -> Message:
        """A message or notice."""
        return message_of(row, self)

    def mentions(self, body: str, known_as: str | None = None) -> tuple[Party, ...]:
        """The people whom a text means; `known_as` means us, too."""
        if "@" not in body:
            return ()
        ours, found = (self.own_id, known_as), dict.fromkeys(_MENTION.findall(body))
        return tuple(
            Party(who, self.own_name, "self") if who in ours else Party(who, self.name_of(who)) for who in found
        )

    def event(self, row: EventRow) -> Event:
        """An event of the log."""
        message = self.message(row.message) if row.message else None
        detail = row.detail
        if detail is None:
            if message is None:
                raise LookupError("an event says nothing")
            place, sender, when_ms = message.conversation, message.sender, message.timestamp_ms
            return Event(row.seq, row.type, message, message.direction, place, sender, when_ms, message.content)
        return Event(
            row.seq,
            row.type,
            message,
            "outgoing" if detail.sender == self.own_id else "incoming",
            self.party(detail.conversation, detail.conversation_name) if detail.conversation is not None else None,
            self.party(detail.sender, detail.sender_name) if detail.sender is not None else None,
            detail.sent_ms,
            detail.content,
        )


def message_of(row: MessageRow, viewer: Viewer) -> Message:
    """A stored message as the caller sees it."""
    reactions: dict[str, list[Party]] = {}
    for reaction in row.reactions:
        reactions.setdefault(reaction.emoji, []).append(viewer.party(reaction.sender, reaction.sender_name))
    quote = None
    if row.quote_author and row.quote_ms:
        author = viewer.party(row.quote_author, row.quote_name)
        mentions = viewer.mentions(row.quote_body or "")
        quote = Quote(author, row.quote_ms, row.quote_id, row.quote_body, mentions)
    return Message(
        id=row.id,
        hash=row.hash,
        direction=row.direction,
        conversation=viewer.party(row.conversation, row.conversation_name),
        sender=viewer.party(row.sender, row.sender_name),
        timestamp_ms=row.sent_ms,
        body=row.body,
        attachments=tuple(attachment_of(attachment) for attachment in row.attachments),
        quote=quote,
        expire_mode=row.expire_mode,
        expire_s=row.expire_s,
        request=row.request,
        status="read" if row.read and row.status == "sent" else row.status,
        expires_ms=row.expires_ms,
        read=row.read,
        deleted=row.deleted,
        kind=row.kind,
        content=_content(row, viewer.now_ms),
        reactions=tuple(Reactions(emoji, tuple(senders)) for emoji, senders in reactions.items()),
        mentions=viewer.mentions(row.body, row.content.get(KNOWN_AS)),
    )


def _content(row: MessageRow, now_ms: int) -> Mapping[str, Any]:
    """What a notice says by now: who is called does not ring for ever."""
    if row.kind == "call" and row.content["state"] == "ringing" and row.sent_ms + RINGING_MS <= now_ms:
        return {**row.content, "state": "missed"}
    return row.content
