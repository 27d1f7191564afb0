"""What we do to the messages of rooms: reactions, deletions, pins. A server does it at once, or not at all."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from ...errors import InvalidInput, NetworkError, NoPermission, NotFound, ProtocolError, ServiceRefused, StoreLocked
from ...network.clock import Deadline
from ...protocol.community import endpoints
from ...protocol.community.auth import Capabilities
from ...protocol.community.posts import Post, open_post
from ...store.communities import RoomRow, ServerRow
from ...store.records import EventDetail, EventRow, MessageRow
from ..marking import Marking
from ..profile import Profile
from ..reacting import check_target, one_emoji, own_emoji, to_take_back
from .servers import CommunityServers, explained, pages_since, why_not_written

if TYPE_CHECKING:
    from ...network.network import Network
    from ..sending import Sender

LOG = logging.getLogger(__name__)


class RoomDeeds:
    """Acts on posts for one profile. What it returns is what was done, in the form of events that are in no log.

    Everything raises InvalidInput for what is no post, or of no room of ours; NoPermission for what the server does
    not let us do, NetworkError and ServiceRefused.
    """

    def __init__(self, profile: Profile, network: Callable[[], Network], timeout: float | None) -> None:
        self._profile = profile
        self._store = profile.store
        self._own_id = profile.identity.account_id
        self._network = network
        self._timeout = timeout
        self._servers = CommunityServers(profile, network)

    def react(self, row: MessageRow, emoji: str) -> list[EventRow]:
        """Put an emoji on a post; nothing is done if ours is there already."""
        wanted = one_emoji(emoji)
        check_target(row)
        return [] if wanted in own_emoji(row, self._own_id) else [self._react(row, wanted, removed=False)]

    def take_back(self, row: MessageRow, emoji: str | None) -> list[EventRow]:
        """Take an emoji of ours off a post, or (None) all of them; nothing is done if there is none."""
        ours = to_take_back(row, self._own_id, emoji)
        check_target(row)
        return [self._react(row, each, removed=True) for each in ours]

    def _react(self, row: MessageRow, emoji: str, *, removed: bool) -> EventRow:
        room, server, post_id = self.place(row)
        if server.capabilities is not None and not Capabilities(server.capabilities).reactions:
            raise InvalidInput("The server of this community knows no reactions.")
        request = (endpoints.unreact if removed else endpoints.react)(room.token, post_id, emoji)
        with explained(why_not_written(room)):
            self._servers.ask(server, request, Deadline(self._timeout))
        now_ms = self._network().clock.now_ms()
        with self._store.transaction():
            self._store.marks.react(row.id, self._own_id, emoji, now_ms, removed=removed)
        content = {"emoji": emoji, "removed": removed}
        return self._event("reaction", row, now_ms, content)

    def unsend(self, rows: Sequence[MessageRow], sender: Sender, *, own_devices: bool) -> Iterator[EventRow]:
        """Delete posts for everybody: ours, or as a moderator anybody's. All are checked first."""
        for row in rows:
            self._check_deletion(row, own_devices=own_devices)
        for row in rows:
            yield self._delete(row, sender)

    def _check_deletion(self, row: MessageRow, *, own_devices: bool) -> None:
        if row.kind not in ("message", "unknown"):
            raise InvalidInput(f"{row.id} is a notice, and no message that could be deleted.")
        if own_devices:
            raise InvalidInput(
                f"Message {row.id} is of a community, where messages are deleted for everyone or not at all."
            )
        if row.status == "pending":
            raise StoreLocked(f"Message {row.id} is being sent right now; try again when that is over.")
        if row.status in ("queued", "failed"):
            return
        room, _, _ = self.place(row)
        if row.direction == "incoming" and not (room.info.get("moderator") or room.info.get("admin")):
            raise NoPermission(f"Message {row.id} is not yours: only its author and moderators can delete it.")

    def _delete(self, row: MessageRow, sender: Sender) -> EventRow:
        deadline, post_id = Deadline(self._timeout), None
        may_be_there = row.status == "failed"
        if row.status == "queued":
            may_be_there = any(each.tried_ms for each in self._store.deliveries.of_message(row.id))
            sender.drop(row.id, deadline)
        elif not may_be_there:
            _, _, post_id = self.place(row)
        if may_be_there:
            post_id = self._arrived(row, deadline)
        if post_id is not None:
            room, server = self._room(row)
            # Not found: somebody was faster, or an earlier answer to us was lost.
            with suppress(NotFound), explained("Only its author, and moderators, can delete a message."):
                self._servers.ask(server, endpoints.delete(room.token, post_id), deadline)
        with self._store.transaction():
            now_ms = self._store.now_ms()
            Marking(self._store, self._own_id).delete(row, now_ms)
        return self._event("unsend", row, now_ms, {})

    def _arrived(self, row: MessageRow, deadline: Deadline) -> int | None:
        """The number of a post of ours that is in its room although no answer said so; None if it is not."""
        room, server = self._room(row)
        me = self._servers.identity(server)
        try:
            pages = pages_since(lambda request: self._servers.ask(server, request, deadline), room)
            for post in (entry for page in pages for entry in page.entries if isinstance(entry, Post)):
                with suppress(ProtocolError):
                    if post.author in me.own_ids and open_post(post).content.timestamp_ms == row.sent_ms:
                        return post.id
        except (NetworkError, ServiceRefused) as error:
            LOG.warning("Message %d may be in the room all the same: %s", row.id, error.message)
        return None

    def pin(self, row: MessageRow, *, pinned: bool) -> None:
        """Pin a post for everybody, or no more."""
        room, server, post_id = self.place(row)
        request = (endpoints.pin if pinned else endpoints.unpin)(room.token, post_id)
        with explained("Only an admin of the community can pin messages there."):
            self._servers.ask(server, request, Deadline(self._timeout))
        pins = [one for one in room.info.get("pins", ()) if one != post_id] + ([post_id] if pinned else [])
        with self._store.transaction():
            current = self._store.communities.room(room.address)
            if current is not None:
                self._store.communities.note_info(room.address, {**current.info, "pins": pins})

    def place(self, row: MessageRow) -> tuple[RoomRow, ServerRow, int]:
        """Where a post is: its room and server, and its number there."""
        room, server = self._room(row)
        if row.hash is None or not row.hash.isdecimal():
            raise InvalidInput(f"Message {row.id} is not on the server.")
        return room, server, int(row.hash)

    def _room(self, row: MessageRow) -> tuple[RoomRow, ServerRow]:
        room = self._store.communities.room(row.conversation)
        server = self._store.communities.server(room.base_url) if room is not None else None
        if room is None or server is None:
            raise InvalidInput(f"Message {row.id} is of no community that you are in.")
        return room, server

    def _event(self, kind: str, row: MessageRow, when_ms: int, content: dict[str, object]) -> EventRow:
        detail = EventDetail(row.conversation, row.conversation_name, self._own_id, None, when_ms, content)
        return EventRow(0, kind, row, detail)
