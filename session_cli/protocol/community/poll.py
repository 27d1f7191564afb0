"""What is asked of a server when it is polled: one request for all of its rooms, whatever came of which.

Of each room that is its state, and what has changed in it since the last time (of a new room: its newest messages); of
the server what it can do, and where people are known by blinded ids their direct messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...errors import SessionError
from . import endpoints
from .auth import Capabilities
from .inbox import DirectMessages
from .posts import Page
from .requests import CommunityRequest, batch
from .rooms import PollInfo


@dataclass(frozen=True, slots=True)
class RoomCursor:
    """How far we know a room: its `info_updates`, 0 if nothing; `seqno` is that of its latest message, 0 where there
    was none, None if nothing is known.
    """

    room: str
    info_updates: int = 0
    seqno: int | None = None


@dataclass(frozen=True, slots=True)
class DirectCursor:
    """How far we know our inbox or outbox on a server; `since_id` None: nothing, or everything is wanted anew."""

    since_id: int | None = None


@dataclass(frozen=True, slots=True)
class RoomPoll:
    """What a poll brought of a room, or why not: a room that is closed to us costs the others nothing.

    `restarted`: the room counts from the beginning again, so that what we know of it leads nowhere.
    """

    room: str
    info: PollInfo | SessionError
    page: Page | SessionError
    restarted: bool = False


@dataclass(frozen=True, slots=True)
class ServerPoll:
    """What a poll brought of a server, in the order in which it is to be applied. None: it was not asked for."""

    capabilities: Capabilities | SessionError
    rooms: tuple[RoomPoll, ...]
    inbox: DirectMessages | SessionError | None
    outbox: DirectMessages | SessionError | None

    @property
    def more(self) -> bool:
        """Whether it is worth asking again at once, from where this ended. A server may say so for ever."""
        parts = [room.page for room in self.rooms] + [self.inbox, self.outbox]
        return any(isinstance(part, Page | DirectMessages) and part.more for part in parts)


def poll(
    rooms: Sequence[RoomCursor],
    *,
    inbox: DirectCursor | None = None,
    outbox: DirectCursor | None = None,
    limit: int = endpoints.DEFAULT_LIMIT,
) -> CommunityRequest[ServerPoll]:
    """Everything that is new on a server, up to `limit` entries of each kind.

    Without blinding a server has no inbox and no outbox, and some people want no messages from there: then both are
    left out.
    """
    asked: list[CommunityRequest[Any]] = [endpoints.capabilities()]
    for cursor in rooms:
        asked += [endpoints.poll_info(cursor.room, cursor.info_updates), _messages(cursor, limit)]
    if inbox is not None:
        asked.append(endpoints.inbox(inbox.since_id, limit=limit))
    if outbox is not None:
        asked.append(endpoints.outbox(outbox.since_id, limit=limit))
    together = batch(asked)

    def read(value: Any) -> ServerPoll:
        parts = iter(together.read(value))
        return ServerPoll(
            capabilities=next(parts),
            rooms=tuple(_room(cursor, next(parts), next(parts)) for cursor in rooms),
            inbox=_advanced_direct(inbox, next(parts)) if inbox is not None else None,
            outbox=_advanced_direct(outbox, next(parts)) if outbox is not None else None,
        )

    return CommunityRequest(together.method, together.path, read, together.json)


def _messages(cursor: RoomCursor, limit: int) -> CommunityRequest[Page]:
    if cursor.seqno is not None:
        return endpoints.since(cursor.room, cursor.seqno, limit=limit)
    return endpoints.recent(cursor.room, limit=limit)


def _room(cursor: RoomCursor, info: PollInfo | SessionError, page: Page | SessionError) -> RoomPoll:
    details = info.details if isinstance(info, PollInfo) else None
    restarted = details is not None and details.message_sequence < (cursor.seqno or 0)
    return RoomPoll(cursor.room, info, _advanced(cursor, page), restarted)


def _advanced(cursor: RoomCursor, page: Page | SessionError) -> Page | SessionError:
    """A page that never leads back to where we have been, nor on from there if it leads nowhere."""
    if isinstance(page, SessionError):
        return page
    known = cursor.seqno or 0
    newest = max(page.newest_seqno or 0, known)
    # Behind the newest messages there are older ones, which nobody asked for.
    return replace(page, newest_seqno=newest or None, more=page.more and cursor.seqno is not None and known < newest)


def _advanced_direct(cursor: DirectCursor, part: DirectMessages | SessionError) -> DirectMessages | SessionError:
    if isinstance(part, SessionError):
        return part
    known = cursor.since_id or 0
    newest = max(part.newest_id or 0, known)
    return replace(part, newest_id=newest or None, more=part.more and known < newest)
