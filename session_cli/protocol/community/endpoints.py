"""The requests of everybody to a community server, one function each. `room` is a room's token, in any case.

Those of its moderators about people are in `moderation`.

Numbers and ids stand in paths as they are; what a person or a server chose is percent-encoded.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote

from ...errors import InvalidInput
from ..blinding import BlindedId
from . import inbox as direct
from . import posts, rooms
from .auth import Capabilities, parse_capabilities
from .posts import Page, Post, SentPost, SignedPost
from .requests import CommunityRequest
from .rooms import PollInfo, Right, RoomInfo, RoomList
from .values import MemberId, mapping, number, optional

DEFAULT_LIMIT = 100
"""How many messages a server gives out where nothing else is asked for; it gives out 256 at most."""
REACTORS = 5
"""How many of those who reacted are asked for; the apps show so many."""
MAX_FILE_BYTES = 10_000_000
_NO_ROOM = "There is no such room on the community server (any more), or it is closed to you."
_NO_MESSAGE = "There is no such message in the room (any more)."
_NO_RECIPIENT = "The community server knows nobody of this id, or does not let them receive messages."
_NO_POSTS = "There are no messages of this person in the room, or the community server does not know them."


@dataclass(frozen=True, slots=True)
class Reacted:
    """What came of a reaction: whether, or for how many, anything changed, and the message's seqno since."""

    changed: int
    seqno: int


@dataclass(frozen=True, slots=True)
class Pinned:
    """What came of pinning: how many pins went, and the room's `info_updates` since."""

    unpinned: int
    info_updates: int


# Servers and rooms.


def capabilities() -> CommunityRequest[Capabilities]:
    """What the server can do."""
    return CommunityRequest("GET", "/capabilities", parse_capabilities)


def list_rooms() -> CommunityRequest[RoomList]:
    """The rooms that are open to us."""
    return CommunityRequest("GET", "/rooms", rooms.parse_rooms)


def room_info(room: str) -> CommunityRequest[RoomInfo]:
    """What there is to know of a room."""
    return CommunityRequest("GET", f"/room/{room}", partial(rooms.parse_room, asked=room), missing=_NO_ROOM)


def poll_info(room: str, info_updates: int) -> CommunityRequest[PollInfo]:
    """What changes of a room all the time, and all the rest if `info_updates` is not the newest."""
    path = f"/room/{room}/pollInfo/{info_updates}"
    return CommunityRequest("GET", path, partial(rooms.parse_poll_info, asked=room), missing=_NO_ROOM)


def set_room(
    room: str,
    *,
    name: str | None = None,
    description: str | None = None,
    image_id: int | None = None,
    defaults: Mapping[Right, bool] | None = None,
) -> CommunityRequest[int]:
    """Change a room, as an admin; an empty description takes it away. Gives the new `info_updates`.

    Raises InvalidInput if nothing is to be changed.
    """
    fields: dict[str, Any] = {f"default_{right}": value for right, value in (defaults or {}).items()}
    given = {"name": name, "description": description, "image": image_id}
    fields |= {key: value for key, value in given.items() if value is not None}
    if not fields:
        raise InvalidInput("Nothing is to be changed about the room.")
    return CommunityRequest("PUT", f"/room/{room}", _info_updates, fields, missing=_NO_ROOM)


# Messages.


def recent(room: str, *, limit: int = DEFAULT_LIMIT) -> CommunityRequest[Page]:
    """The newest messages of a room, without deletions."""
    return _page(f"/room/{room}/messages/recent", limit)


def before(room: str, message_id: int, *, limit: int = DEFAULT_LIMIT) -> CommunityRequest[Page]:
    """The newest messages before one, without deletions."""
    return _page(f"/room/{room}/messages/before/{message_id}", limit)


def since(room: str, seqno: int, *, limit: int = DEFAULT_LIMIT) -> CommunityRequest[Page]:
    """What has changed since a seqno, oldest first: posts that came or were edited, deletions, reactions."""
    return _page(f"/room/{room}/messages/since/{seqno}", limit, "t=r")


def message(room: str, message_id: int) -> CommunityRequest[Post]:
    """One message."""
    return CommunityRequest("GET", f"/room/{room}/message/{message_id}", posts.parse_post, missing=_NO_MESSAGE)


def post(
    room: str,
    sent: SignedPost,
    *,
    files: Sequence[int] = (),
    whisper_to: MemberId | None = None,
    whisper_mods: bool = False,
) -> CommunityRequest[SentPost]:
    """Post a message, with the files of the room that it is about. Only moderators can whisper."""
    fields = sent.json()
    if files:
        fields["files"] = list(files)
    if whisper_to is not None:
        fields["whisper_to"] = whisper_to
    if whisper_mods:
        fields["whisper_mods"] = True
    path = f"/room/{room}/message"
    return CommunityRequest("POST", path, posts.parse_sent_post, fields, _NO_ROOM, repeatable=False)


def edit(room: str, message_id: int, sent: SignedPost, *, files: Sequence[int] = ()) -> CommunityRequest[None]:
    """Put another text into the place of one of our messages."""
    fields = sent.json() | ({"files": list(files)} if files else {})
    return _done("PUT", f"/room/{room}/message/{message_id}", fields, _NO_MESSAGE)


def delete(room: str, message_id: int) -> CommunityRequest[None]:
    """Delete a message: our own, or as a moderator anybody's."""
    return _done("DELETE", f"/room/{room}/message/{message_id}", None, _NO_MESSAGE)


def delete_all(room: str, member: MemberId) -> CommunityRequest[None]:
    """Delete all messages and files of somebody in a room: our own, or as a moderator anybody's."""
    return _done("DELETE", f"/room/{room}/all/{member}", None, _NO_POSTS)


# Reactions.


def react(room: str, message_id: int, emoji: str) -> CommunityRequest[Reacted]:
    """Put an emoji under a message. Raises InvalidInput for a text that no server takes for one."""
    return CommunityRequest("PUT", _under(room, "reaction", message_id, emoji), _reacted("added"), {}, _NO_MESSAGE)


def unreact(room: str, message_id: int, emoji: str) -> CommunityRequest[Reacted]:
    """Take our emoji away."""
    return CommunityRequest(
        "DELETE", _under(room, "reaction", message_id, emoji), _reacted("removed"), missing=_NO_MESSAGE
    )


def remove_reactions(room: str, message_id: int, emoji: str | None = None) -> CommunityRequest[Reacted]:
    """Take away what all people have put under a message, one emoji or all, as a moderator."""
    path = f"/room/{room}/reactions/{message_id}" if emoji is None else _under(room, "reactions", message_id, emoji)
    return CommunityRequest("DELETE", path, _reacted("removed"), missing=_NO_MESSAGE)


def reactors(
    room: str, message_id: int, emoji: str, *, limit: int = DEFAULT_LIMIT
) -> CommunityRequest[tuple[tuple[MemberId, int], ...]]:
    """Who has put an emoji under a message, and when (ms), the first ones first."""
    path = f"{_under(room, 'reactors', message_id, emoji)}?limit={limit}"
    return CommunityRequest("GET", path, posts.parse_reactors, missing=_NO_MESSAGE)


# Pins.


def pin(room: str, message_id: int) -> CommunityRequest[Pinned]:
    """Pin a message, as an admin; one that is pinned already comes last."""
    return CommunityRequest("POST", f"/room/{room}/pin/{message_id}", _pinned, {}, _NO_MESSAGE)


def unpin(room: str, message_id: int | None = None) -> CommunityRequest[Pinned]:
    """Take a pin away, or all of them, as an admin."""
    which = "all" if message_id is None else message_id
    return CommunityRequest("POST", f"/room/{room}/unpin/{which}", _pinned, {}, _NO_MESSAGE)


# Direct messages.


def inbox(since_id: int | None = None, *, limit: int = DEFAULT_LIMIT) -> CommunityRequest[direct.DirectMessages]:
    """Direct messages to us, behind one or (None) all."""
    return _direct("/inbox", since_id, limit)


def outbox(since_id: int | None = None, *, limit: int = DEFAULT_LIMIT) -> CommunityRequest[direct.DirectMessages]:
    """Direct messages that we sent, from whichever device, behind one or (None) all."""
    return _direct("/outbox", since_id, limit)


def send_direct(recipient: BlindedId, sealed: bytes) -> CommunityRequest[direct.SentMessage]:
    """Send a direct message. The id has to be just as the server shows it."""
    fields = {"message": base64.b64encode(sealed).decode()}
    path = f"/inbox/{recipient}"
    return CommunityRequest("POST", path, direct.parse_sent_message, fields, _NO_RECIPIENT, repeatable=False)


def clear_inbox() -> CommunityRequest[int]:
    """Delete all direct messages to us, for their senders as well. Gives their number.

    Some servers count from 1 again afterwards: whoever remembers the last id has to forget it.
    """
    return CommunityRequest("DELETE", "/inbox", lambda value: number(mapping(value).get("deleted")))


# Files.


def upload(room: str) -> CommunityRequest[int]:
    """Upload a file, whose bytes go beside this request. Gives its number."""
    return CommunityRequest("POST", f"/room/{room}/file", _uploaded, missing=_NO_ROOM)


def upload_headers(name: str | None) -> dict[str, str]:
    """The headers of an upload; the server keeps the name for whoever downloads."""
    disposition = "attachment" if name is None else f"attachment; filename*=UTF-8''{quote(name, safe='')}"
    return {"Content-Type": "application/octet-stream", "Content-Disposition": disposition}


def download_path(room: str, file_id: int) -> str:
    """Where a file is fetched from."""
    return f"/room/{room}/file/{file_id}"


# What answers hold.


def _page(path: str, limit: int, query: str = "") -> CommunityRequest[Page]:
    asked = [query, f"limit={limit}" if limit != DEFAULT_LIMIT else "", f"reactors={REACTORS}"]
    full = f"{path}?{'&'.join(filter(None, asked))}"
    return CommunityRequest("GET", full, partial(posts.parse_page, limit=limit), missing=_NO_ROOM)


def _direct(path: str, since_id: int | None, limit: int) -> CommunityRequest[direct.DirectMessages]:
    full = path if since_id is None else f"{path}/since/{since_id}"
    if limit != DEFAULT_LIMIT:
        full += f"?limit={limit}"
    read = partial(direct.parse_direct_messages, limit=limit)
    return CommunityRequest("GET", full, read, nothing=direct.DirectMessages())


def _done(method: str, path: str, fields: dict[str, Any] | None, missing: str) -> CommunityRequest[None]:
    return CommunityRequest(method, path, lambda _: None, fields, missing)


def _under(room: str, what: str, message_id: int, emoji: str) -> str:
    if not 0 < len(emoji) <= posts.MAX_EMOJI_CODE_POINTS:
        raise InvalidInput(f"A reaction has 1 to {posts.MAX_EMOJI_CODE_POINTS} characters.")
    try:
        return f"/room/{room}/{what}/{message_id}/{quote(emoji, safe='')}"
    except UnicodeEncodeError:
        raise InvalidInput("A reaction is a text.") from None


def _uploaded(value: Any) -> int:
    return number(mapping(value).get("id"))


def _info_updates(value: Any) -> int:
    return number(mapping(value).get("info_updates"))


def _reacted(name: str) -> Callable[[Any], Reacted]:
    def read(value: Any) -> Reacted:
        fields = mapping(value)
        return Reacted(_count(fields.get(name)), number(fields.get("seqno")))

    return read


def _pinned(value: Any) -> Pinned:
    fields = mapping(value)
    return Pinned(optional(fields, "unpinned", _count) or 0, _info_updates(value))


def _count(value: Any) -> int:
    """How many; some answers say only whether there were any."""
    return int(value) if isinstance(value, bool) else number(value)
