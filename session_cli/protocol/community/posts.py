"""Posts in rooms: making and verifying them, and reading the lists in which a server gives them out.

A post is a padded content, and its author's signature over the padded bytes. Nothing else is signed: room, time and
order are the server's word. A server hands out whatever it was given, so that whoever reads has to verify.

A list holds posts, deletions, and changes of reactions. An entry that is none of these is left out and counted, and
never costs those around it.
"""

from __future__ import annotations

import base64
import functools
from dataclasses import dataclass, field
from typing import Any

from ...errors import BadSignature, InvalidInput, MalformedMessage, MessageTooLong
from .. import content as contents
from ..account import IdPrefix, ed25519_from_x25519, key_of, verify_signature
from ..padding import pad, unpad
from ..payload import Content
from ..session_v1 import parse_envelope
from .auth import ServerIdentity
from .values import (
    MAX_NUMBER,
    MemberId,
    blob,
    each,
    flag,
    mapping,
    member_id,
    number,
    optional,
    sequence,
    text,
    time_ms,
)

MOST_POSTS = 256
"""Of a list: what servers give out at most."""
MAX_POST_BYTES = 1_000_000
"""Of a padded post. Servers have no limit of their own; a text of 2,000 characters takes 24,000 at most."""
MAX_EMOJI_CODE_POINTS = 12
"""Of a reaction; servers refuse longer ones."""
MOST_REACTIONS, MOST_REACTORS = 200, 20
MAX_REACTORS_ASKED = 10_000
CLOCK_TOLERANCE_MS = 6 * 3600 * 1000
"""How far an author's clock may be away from the server's: a post that says otherwise was made for another time."""
SIGNATURE_BYTES = 64
_LONGEST_WHISPER_TARGET = 200
_SIGN_BIT = 0x80


@dataclass(frozen=True, slots=True)
class SignedPost:
    """What goes to the server: the padded content, and its signature (64 bytes)."""

    data: bytes = field(repr=False)
    signature: bytes = field(repr=False)

    def json(self) -> dict[str, Any]:
        """Both in base64."""
        return {
            "data": base64.b64encode(self.data).decode(),
            "signature": base64.b64encode(self.signature).decode(),
        }


@dataclass(frozen=True, slots=True)
class PostReaction:
    """An emoji under a post. `reactors` are some of the `count` people, the first ones first; `you`: we are one."""

    emoji: str
    count: int
    you: bool
    reactors: tuple[MemberId, ...]


@dataclass(frozen=True, slots=True)
class Post:
    """A post as a server gives it, not verified. `seqno` counts the room's changes up to the latest one of this post.

    `data` is padded. A whisper is for moderators, for one person (`whisper_to`), or for both.
    """

    id: int
    seqno: int
    author: MemberId
    posted_ms: int
    edited_ms: int | None
    data: bytes = field(repr=False)
    signature: bytes = field(repr=False)
    reactions: tuple[PostReaction, ...] = ()
    whisper: bool = False
    whisper_mods: bool = False
    whisper_to: str | None = None


@dataclass(frozen=True, slots=True)
class SentPost:
    """What a server says of a post that it has taken. One that is `filtered` is shown to nobody."""

    id: int
    seqno: int
    posted_ms: int
    filtered: bool


@dataclass(frozen=True, slots=True)
class Deletion:
    """A post was deleted, by its author or a moderator."""

    id: int
    seqno: int


@dataclass(frozen=True, slots=True)
class ReactionChange:
    """All reactions under a post, of which some have changed and nothing else."""

    id: int
    seqno: int
    reactions: tuple[PostReaction, ...]


Entry = Post | Deletion | ReactionChange


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a room's messages, in the order in which they were posted; each stands there once.

    `malformed` entries were left out. `newest_seqno` is from where to ask on, and passes them by; None for an empty
    page. `more`: there were as many as could be, so that further ones may wait.
    """

    entries: tuple[Entry, ...]
    malformed: int = 0
    newest_seqno: int | None = None
    more: bool = False


@dataclass(frozen=True, slots=True)
class OpenedPost:
    """What a verified post says. `content` is as the author wrote it, serialised."""

    post: Post
    serialized: bytes = field(repr=False)
    content: Content


# Making and reading one post.


def make_post(author: ServerIdentity, serialized: bytes) -> SignedPost:
    """Pad and sign a content (serialised). Raises MessageTooLong."""
    padded = pad(serialized)
    if len(padded) > MAX_POST_BYTES:
        raise MessageTooLong(f"The message takes {len(padded):,} bytes; a post has up to {MAX_POST_BYTES:,}.")
    return SignedPost(padded, author.sign_post(padded))


def verify_post(author: MemberId, data: bytes, signature: bytes) -> None:
    """Check that an author signed the padded bytes of a post. Raises BadSignature."""
    if not author.startswith(IdPrefix.USER):
        verify_signature(key_of(author), data, signature)
        return
    if len(signature) != SIGNATURE_BYTES:
        raise BadSignature("A signature or its key has the wrong size.")
    # An X25519 key doesn't tell the sign of its Ed25519 key. Some apps sign with the one that is positive, some with
    # their own, and some put its sign into the last bit of the signature, which has no other use.
    positive = _positive_key(author)
    negative = positive[:31] + bytes([positive[31] | _SIGN_BIT])
    keys = (negative, positive) if signature[63] & _SIGN_BIT else (positive, negative)
    bare = signature[:63] + bytes([signature[63] & ~_SIGN_BIT])
    try:
        verify_signature(keys[0], data, bare)
    except BadSignature:
        verify_signature(keys[1], data, bare)


def open_post(post: Post) -> OpenedPost:
    """Verify a post, and read what it says, which was said when it was edited last.

    Raises BadSignature and MalformedMessage.
    """
    verify_post(post.author, post.data, post.signature)
    serialized = content_of(post.data)
    content = contents.parse(serialized)
    said_ms = post.posted_ms if post.edited_ms is None else post.edited_ms
    if content.timestamp_ms is not None and abs(content.timestamp_ms - said_ms) > CLOCK_TOLERANCE_MS:
        raise MalformedMessage("A post was made for another time than the server says.")
    return OpenedPost(post, serialized, content)


def content_of(padded: bytes) -> bytes:
    """The serialised content of padded bytes: bare, as apps send it now, or in an envelope, as they may come to."""
    try:
        return unpad(parse_envelope(padded).content)
    except MalformedMessage:
        return unpad(padded)


@functools.lru_cache(maxsize=1024)
def _positive_key(author: str) -> bytes:
    try:
        return ed25519_from_x25519(key_of(author))
    except InvalidInput:
        raise BadSignature("The author's id is none that could have signed.") from None


# Lists of posts.


def parse_page(value: Any, limit: int) -> Page:
    """The entries of a list that was asked for with this limit. Raises MalformedMessage for what is no list."""
    rows = sequence(value)
    found: dict[int, Entry] = {}
    newest = None
    for row in rows[:MOST_POSTS]:
        try:
            entry = parse_entry(row)
        except MalformedMessage:
            seqno = _seqno_of(row)
        else:
            seqno = entry.seqno
            if entry.id not in found or found[entry.id].seqno < seqno:
                found[entry.id] = entry
        newest = seqno if newest is None else max(newest, seqno)
    ordered = tuple(found[message_id] for message_id in sorted(found))
    return Page(ordered, len(rows) - len(ordered), newest, len(rows) >= min(limit, MOST_POSTS))


def parse_entry(value: Any) -> Entry:
    """A post, a deletion or a change of reactions. Raises MalformedMessage."""
    fields = mapping(value)
    message_id, seqno = number(fields.get("id")), number(fields.get("seqno"))
    if optional(fields, "deleted", flag):
        return Deletion(message_id, seqno)
    reactions = parse_reactions(fields.get("reactions") or {})
    if "session_id" not in fields and "data" not in fields:
        return ReactionChange(message_id, seqno, reactions)
    signature = blob(fields.get("signature"), SIGNATURE_BYTES)
    if len(signature) != SIGNATURE_BYTES:
        raise MalformedMessage("A post has a signature of another size than signatures have.")
    return Post(
        id=message_id,
        seqno=seqno,
        author=member_id(fields.get("session_id")),
        posted_ms=time_ms(fields.get("posted")),
        edited_ms=optional(fields, "edited", time_ms),
        data=blob(fields.get("data"), MAX_POST_BYTES),
        signature=signature,
        reactions=reactions,
        whisper=optional(fields, "whisper", flag) or False,
        whisper_mods=optional(fields, "whisper_mods", flag) or False,
        # A moderator can address a whisper to anything.
        whisper_to=optional(fields, "whisper_to", lambda target: text(target, _LONGEST_WHISPER_TARGET)),
    )


def parse_post(value: Any) -> Post:
    """A post and nothing else. Raises MalformedMessage."""
    entry = parse_entry(value)
    if not isinstance(entry, Post):
        raise MalformedMessage("A community server sends something else in place of a post.")
    return entry


def parse_sent_post(value: Any) -> SentPost:
    """Raises MalformedMessage."""
    fields = mapping(value)
    return SentPost(
        id=number(fields.get("id")),
        seqno=number(fields.get("seqno")),
        posted_ms=time_ms(fields.get("posted")),
        filtered=optional(fields, "filtered", flag) or False,
    )


def parse_reactions(value: Any) -> tuple[PostReaction, ...]:
    """The reactions under a post, in the order in which they came; odd ones are left out. Raises MalformedMessage."""
    found = each(mapping(value).items(), _reaction, MOST_REACTIONS)
    return tuple(reaction for _, reaction in sorted(found, key=lambda pair: pair[0]))


def parse_reactors(value: Any) -> tuple[tuple[MemberId, int], ...]:
    """Who reacted, and when (ms), the first ones first; odd entries are left out. Raises MalformedMessage."""
    return each(sequence(value), _reactor, MAX_REACTORS_ASKED)


def _reaction(item: tuple[str, Any]) -> tuple[int, PostReaction]:
    emoji, fields = item[0], mapping(item[1])
    if not 0 < len(emoji) <= MAX_EMOJI_CODE_POINTS or text(emoji, MAX_EMOJI_CODE_POINTS) != emoji:
        raise MalformedMessage("A reaction is empty, or much longer than any emoji.")
    count = number(fields.get("count"))
    if not count:
        raise MalformedMessage("A reaction comes from nobody.")
    reactors = each(optional(fields, "reactors", sequence) or (), member_id, MOST_REACTORS)
    index = optional(fields, "index", number)
    you = optional(fields, "you", flag) or False
    return MAX_NUMBER if index is None else index, PostReaction(emoji, count, you, reactors)


def _reactor(value: Any) -> tuple[MemberId, int]:
    pair = sequence(value)
    if len(pair) != 2:
        raise MalformedMessage("A reaction has an author and a time.")
    return member_id(pair[0]), time_ms(pair[1])


def _seqno_of(row: Any) -> int:
    """The seqno of an entry that is left out, so that it is not asked for again and again; 0 if it has none."""
    try:
        return number(mapping(row).get("seqno"))
    except MalformedMessage:
        return 0
