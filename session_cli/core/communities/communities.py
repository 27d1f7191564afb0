"""The communities of one account, for those who script against them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...errors import (
    AmbiguousName,
    InvalidAccountId,
    InvalidInput,
    InvalidUrl,
    NoPermission,
    NotFound,
)
from ...network.clock import Deadline
from ...protocol.account import AccountId, is_blinded, is_community, is_group
from ...protocol.blinding import blinded15_ids
from ...protocol.community import endpoints, moderation
from ...protocol.community.auth import ServerIdentity
from ...protocol.community.posts import Page
from ...protocol.community.requests import CommunityRequest
from ...protocol.community.rooms import RoomInfo
from ...protocol.community.urls import (
    OFFICIAL,
    CommunityServer,
    CommunityUrl,
    canonical_server,
    parse_server_url,
    parse_url,
)
from ...protocol.community.values import MemberId
from ...store.communities import CLOSED, GONE, RoomRow, ServerRow
from ...store.marks import Early
from ...store.records import MessageRow
from ..addressing import ID_DIGITS, parse_address, rooms_called
from ..conversation_state import state_of
from ..marking import Marking
from ..model import Community, CommunityMember, Message
from ..names import looks_like_id
from ..profile import Profile
from .deeds import RoomDeeds
from .intake import CommunityIntake
from .receiving import CommunityReceiver
from .rooms import info_of, role_of
from .servers import CommunityServers, explained, whole_page
from .views import CommunityViews, address_of

if TYPE_CHECKING:
    from ...network.network import Network
    from ..inbox import Inbox
    from ..sending import Sender

PAGE = 100
"""Messages in one request for older ones."""
MAX_BAN_S = 10 * 366 * 86_400
_FOR_MODERATORS = "Only a moderator of the community can do that, and only an admin to a moderator."
_FOR_ADMINS = "Only an admin of the community can do that."
_ROLES = (("admins", "admin", False), ("moderators", "moderator", False))
_HIDDEN_ROLES = (("hidden_admins", "admin", True), ("hidden_moderators", "moderator", True))


class Communities:
    """The rooms of one account. A room is named by its URL, its address without the key, its name, or its short name.

    Everything raises InvalidInput for what can't be, InvalidUrl, InvalidAccountId and AmbiguousName for rooms and
    people that can't be told, NoPermission for what the server does not let us do, NetworkError and ServiceRefused.
    """

    def __init__(
        self,
        profile: Profile,
        network: Callable[[], Network],
        sender: Callable[[], Sender],
        inbox: Callable[[], Inbox],
        message_of: Callable[[MessageRow], Message],
        timeout: float | None,
    ) -> None:
        self._profile = profile
        self._store = profile.store
        self._network = network
        self._sender = sender
        self._inbox = inbox
        self._message_of = message_of
        self._timeout = timeout
        self._servers = CommunityServers(profile, network)
        self._deeds = RoomDeeds(profile, network, timeout)
        self._receiver = CommunityReceiver(profile, network)
        self._views = CommunityViews(profile.store)
        self._intake = CommunityIntake(profile)

    # Looking.

    def all(self) -> list[Community]:
        """Every room that we have joined, by name. Offline."""
        found = [self._community(row) for row in self._store.communities.rooms()]
        return sorted(found, key=lambda one: (one.name or one.id, one.id))

    def resolve(self, who: str) -> str:
        """The address of the room meant (its URL without the key). Offline."""
        wanted = who.strip()
        found = rooms_called(self._profile, wanted)
        found = found or [row.address for row in self._store.communities.rooms() if row.info.get("name") == wanted]
        if len(found) == 1:
            return found[0]
        if found:
            raise AmbiguousName(f"{wanted!r} could be any of these: {', '.join(found)}. Use the address.")
        raise InvalidAccountId(f"You have joined no community {wanted!r}; see session community list.")

    def get(self, who: str) -> Community:
        """A room that we have joined. Offline."""
        return self._community(self._row(self.resolve(who)))

    def _row(self, address: str) -> RoomRow:
        row = self._store.communities.room(address)
        if row is None:
            raise InvalidAccountId(f"You are not in the community {address} any more.")
        return row

    def _server(self, base_url: str) -> ServerRow:
        server = self._store.communities.server(base_url)
        if server is None:
            raise InvalidInput(f"The community server {base_url} is not known.")
        return server

    def _community(self, row: RoomRow) -> Community:
        server, info = self._server(row.base_url), row.info
        settings = state_of(self._store.configs.conversation(row.address), self._store.now_ms())
        place = CommunityServer(server.base_url, server.server_key)
        pins = info.get("pins", ())
        here = (self._store.communities.message_of(row.address, pin) for pin in pins)
        return Community(
            id=row.address,
            url=CommunityUrl(place, row.token).text(),
            name=info.get("name") or row.token,
            description=info.get("description"),
            state={CLOSED: "closed", GONE: "gone"}.get(row.refused, "joined"),
            write=bool(info.get("write")) and not row.refused,
            upload=bool(info.get("upload")) and not row.refused,
            role=role_of(info),
            active_users=info.get("active_users", 0),
            created_ms=info.get("created_ms"),
            pinned=tuple(pins),
            pinned_ids=tuple(one for one in here if one is not None),
            muted=settings.muted,
            muted_until_ms=settings.muted_until_ms,
            hidden=settings.hidden,
            problem=server.problem,
        )

    def look(self, url: str) -> Community:
        """A room as its server describes it, joined or not."""
        place = self._place(url)
        return self._described(place.server, self._look(place.server, endpoints.room_info(place.room)))

    def rooms(self, url: str) -> list[Community]:
        """The rooms of a server, by its URL, or that of any of its rooms; '' is the network's default server."""
        place = self._default()[0] if not url.strip() else parse_server_url(url)
        found = self._look(place, endpoints.list_rooms())
        return [self._described(place, room) for room in found.rooms]

    def _described(self, place: CommunityServer, room: RoomInfo) -> Community:
        address = address_of(place.base_url, room.token)
        known = self._store.communities.room(address)
        info = info_of(room)
        return Community(
            id=address,
            url=CommunityUrl(place, room.token).text(),
            name=room.name or room.token,
            description=room.description,
            state="joined" if known is not None else "open" if room.rights.read else "closed",
            write=room.rights.write,
            upload=room.rights.upload,
            role=role_of(info),
            active_users=room.active_users,
            created_ms=room.created_ms,
            pinned=tuple(info["pins"]),
        )

    def _default(self) -> tuple[CommunityServer, Sequence[str]]:
        default = self._network().definition.community
        if default is None:
            return OFFICIAL, ()
        return CommunityServer(default.url, default.x25519), default.rooms

    def _place(self, url: str) -> CommunityUrl:
        """The room of a URL, or of the default server by its short name."""
        text = url.strip()
        if "/" in text or "?" in text:
            return parse_url(text)
        return CommunityUrl(self._default()[0], text.lower())

    def _known(self, place: CommunityServer) -> ServerRow:
        """A server as we know it, or as one that we don't. Raises InvalidUrl where it is known under another key."""
        server = canonical_server(place)
        known = self._store.communities.server(server.base_url)
        if known is None or known.server_key == server.key:
            return known or ServerRow(server.base_url, server.key)
        if self._store.communities.rooms(server.base_url):
            raise InvalidUrl(
                f"You are in a room of {server.base_url} already, whose key is {known.server_key.hex()} and not the "
                "one in this URL: somebody may be cheating. Ask somebody you trust for the right one."
            )
        return ServerRow(server.base_url, server.key)

    def _check_new(self, address: str) -> None:
        """Raise InvalidInput for a room that we are in already under another form of its address."""
        same = address.partition("://")[2]
        for row in self._store.communities.rooms():
            if row.address != address and row.address.partition("://")[2] == same:
                raise InvalidInput(f"You are in this room already, by the address {row.address}.")

    def _look(self, place: CommunityServer, request: CommunityRequest[Any]) -> Any:
        """What a server answers; one where we have joined nothing is not told who asks."""
        server = self._known(place)
        nameless = not self._store.communities.rooms(server.base_url)
        return self._servers.ask(server, request, Deadline(self._timeout), nameless=nameless)

    def _ask(self, server: ServerRow, request: CommunityRequest[Any]) -> Any:
        return self._servers.ask(server, request, Deadline(self._timeout))

    # Joining and leaving.

    def join(self, url: str) -> Community:
        """Join a room, and fetch its latest messages. A name (`session`) is a room of the network's default server."""
        place = self._place(url)
        server = self._known(place.server)
        address = address_of(server.base_url, place.room)
        deadline = Deadline(self._timeout)
        with self._inbox().exclusively(deadline, purpose="to join a community"):
            self._check_new(address)
            if self._store.communities.room(address) is None:
                capabilities = self._servers.ask(server, endpoints.capabilities(), deadline)
                server = replace(server, capabilities=capabilities.names)
                room = self._servers.ask(server, endpoints.room_info(place.room), deadline)
                if not room.rights.read:
                    raise NoPermission(f"{room.name or room.token} is closed to you: you are banned there, perhaps.")
                with self._store.transaction():
                    now_s = self._store.now_ms() // 1000
                    self._store.communities.put_server(server)
                    self._store.communities.put_room(
                        RoomRow(address, server.base_url, room.token, now_s, info=info_of(room))
                    )
                    self._views.name(address, room.name or room.token)
                    self._store.conversations.show(address)
            self._receiver.poll(deadline, [server.base_url])
        joined = self._community(self._row(address))
        if joined.state == "closed":
            raise NoPermission(f"{joined.name} is closed to you: you are banned there, perhaps.")
        return joined

    def leave(self, who: str) -> Community:
        """Leave a room, and forget what was written there, on all our devices. Returns it as it was. Offline."""
        address = self.resolve(who)
        before = self._community(self._row(address))
        with self._store.transaction():
            self._views.forget(address)
            self._store.configs.note_deleted(address)
        return before

    def fetch_older(self, who: str, count: int) -> int:
        """Fetch up to so many messages that are older than those that are here; returns how many came."""
        address = self.resolve(who)
        deadline, left, came = Deadline(self._timeout), count, 0
        with self._inbox().exclusively(deadline, purpose="to fetch older messages"):
            while left > 0:
                row = self._row(address)
                server, oldest = self._server(row.base_url), row.oldest_id or 0
                if oldest <= 1:
                    break
                page = self._page_before(server, row.token, oldest, min(PAGE, left), deadline)
                ids = [entry.id for entry in page.entries if entry.id < oldest]
                if not ids:
                    break
                with self._store.transaction():
                    me, now_ms = self._servers.identity(server), self._network().clock.now_ms()
                    communities = self._store.communities
                    before = [post_id for post_id in ids if communities.message_of(address, post_id) is None]
                    self._intake.take_page(address, me, page, now_ms, is_news=False)
                    came += sum(communities.message_of(address, post_id) is not None for post_id in before)
                    self._store.communities.put_room(replace(self._row(address), oldest_id=min(ids)))
                left -= len(ids)
        return came

    def _page_before(self, server: ServerRow, token: str, post_id: int, limit: int, deadline: Deadline) -> Page:
        return whole_page(
            lambda request: self._servers.ask(server, request, deadline),
            lambda size: endpoints.before(token, post_id, limit=size),
            limit,
        )

    # What is done to messages.

    def pin(self, message_id: int, *, pinned: bool = True) -> Message:
        """Pin a message (by its local id) for everybody, or no more. For admins."""
        row = self._post(message_id)
        self._deeds.pin(row, pinned=pinned)
        return self._message_of(row)

    def delete(self, message_ids: Sequence[int]) -> list[Message]:
        """Delete messages (by local ids) for everybody: ours, or as a moderator any. Returns them as they were."""
        rows = [self._post(message_id) for message_id in dict.fromkeys(message_ids)]
        before = [self._message_of(row) for row in rows]
        for _ in self._deeds.unsend(rows, self._sender(), own_devices=False):
            pass
        return before

    def _post(self, message_id: int) -> MessageRow:
        row = self._store.messages.get(message_id)
        if row is None:
            raise InvalidInput(f"There is no message {message_id}.")
        if not is_community(row.conversation):
            raise InvalidInput(f"Message {message_id} is of no community.")
        return row

    # People.

    def staff(self, who: str) -> list[CommunityMember]:
        """The moderators and admins of a room; the hidden ones only if we are one."""
        row = self._row(self.resolve(who))
        room: RoomInfo = self._ask(self._server(row.base_url), endpoints.room_info(row.token))
        me = self._servers.identity(self._server(row.base_url))
        return [
            replace(self._member(me, member), role=role, hidden=hidden)
            for listed, role, hidden in (*_ROLES, *_HIDDEN_ROLES)
            for member in getattr(room, listed)
        ]

    def _member(self, me: ServerIdentity, member: str) -> CommunityMember:
        shown = self._intake.member(me, member)
        if shown == self._profile.identity.account_id:
            return CommunityMember(member, self._store.settings.get("display_name"), shown, None)
        account = self._store.communities.account_of(member)
        people = (self._store.people.get(one) for one in (account, member) if one is not None)
        name = next((person.shown_name for person in people if person is not None and person.shown_name), None)
        return CommunityMember(member, name, account, None)

    def _named(self, row: RoomRow, server: ServerRow, me: ServerIdentity, who: str, *, by_own_name: bool) -> MemberId:
        """Who is meant: by an id, the beginning of one that has written there, or a name that we gave.

        By a name that they give themselves (`by_own_name`) only where nobody gets any power, and if one alone has it.
        """
        wanted = who.strip()
        if wanted == "me":
            return me.member_id
        senders = self._store.communities.senders(row.address)
        named = self._store.people.by_nickname(wanted)
        if named is None and len(wanted) == ID_DIGITS:
            named = parse_address(wanted)
        if named is not None:
            return self._shown_id(server, me, named, senders)
        found = {sender for sender in senders if looks_like_id(wanted) and sender.startswith(wanted.lower())}
        if len(found) > 1:
            raise AmbiguousName(f"{wanted!r} could be any of these: {', '.join(sorted(found))}.")
        if found:
            return self._shown_id(server, me, found.pop(), senders)
        called = {person.address for person in self._store.people.called(wanted)} & senders
        if len(called) == 1 and by_own_name:
            return self._shown_id(server, me, called.pop(), senders)
        if called:
            ids = " or ".join(sorted(called))
            raise InvalidAccountId(f"Anybody can call himself {wanted!r}; if it is who you think, give the id: {ids}")
        raise InvalidAccountId(
            f"Nobody whose messages have been fetched from there is known as {wanted!r}; see session recv, and session "
            "community mods."
        )

    def _shown_id(self, server: ServerRow, me: ServerIdentity, who: str, senders: Collection[str]) -> MemberId:
        """The id by which the server knows somebody. No account id is ever told to it."""
        if who == self._profile.identity.account_id:
            return me.member_id
        if is_blinded(who):
            return MemberId(who)
        if is_group(who) or is_community(who):
            raise InvalidAccountId(f"{who[:10]}… is nobody who could be in a community.")
        known = self._store.communities.blinded_of(who, server.base_url)
        found = (
            [known] if known else [one for one in blinded15_ids(AccountId(who), server.server_key) if one in senders]
        )
        if not found:
            raise InvalidAccountId("Nobody with this account has written there; give the id that is seen there.")
        return MemberId(found[0])

    def member(self, who: str, member: str) -> CommunityMember:
        """Whom `ban` and `unban` take somebody for. Offline."""
        _, _, me, target = self._target(who, member, by_own_name=True)
        return self._member(me, target)

    def ban(self, who: str, member: str, *, seconds: int | None = None, delete: bool = False) -> CommunityMember:
        """Keep somebody (an id as it is seen there, or a prefix of one) out of a room, for a time or (None) for good.

        `delete`: with all that they wrote there. For moderators.
        """
        if seconds is not None and not 0 < seconds <= MAX_BAN_S:
            raise InvalidInput("Somebody can be banned for up to ten years; without a time it is for good.")
        row, server, me, target = self._target(who, member, by_own_name=True)
        if target in me.own_ids:
            raise InvalidInput("You can't ban yourself; to leave a room: session community leave")
        with explained(_FOR_MODERATORS):
            self._ask(server, moderation.ban(target, [row.token], seconds=seconds))
            if delete:
                # Not found: there is nothing that could be deleted.
                with suppress(NotFound):
                    self._ask(server, endpoints.delete_all(row.token, target))
        if delete:
            self._bury(row, self._intake.member(me, target))
        until_ms = self._store.now_ms() + 1000 * seconds if seconds is not None else None
        return replace(self._member(me, target), banned=True, banned_until_ms=until_ms)

    def _bury(self, row: RoomRow, sender: AccountId) -> None:
        marking = Marking(self._store, self._profile.identity.account_id)
        with self._store.transaction():
            now_ms = self._store.now_ms()
            for message_id in self._store.messages.sent_by(row.address, sender, now_ms + 86_400_000):
                found = self._store.messages.get(message_id)
                if found is not None:
                    marking.bury(found, Early("unsend", sender, now_ms))

    def unban(self, who: str, member: str) -> CommunityMember:
        """Let somebody in again. For moderators."""
        row, server, me, target = self._target(who, member, by_own_name=True)
        with explained(_FOR_MODERATORS):
            self._ask(server, moderation.unban(target, [row.token]))
        return replace(self._member(me, target), banned=False)

    def grant(self, who: str, member: str, *, admin: bool = False, hidden: bool = False) -> CommunityMember:
        """Make somebody a moderator of a room, or an admin. For admins."""
        row, server, me, target = self._target(who, member)
        roles: dict[str, bool] = {"admin": True} if admin else {"moderator": True}
        with explained(_FOR_ADMINS):
            self._ask(server, moderation.set_moderator(target, [row.token], visible=not hidden, **roles))
        role = "admin" if admin else "moderator"
        return replace(self._member(me, target), role=role, hidden=hidden)

    def revoke(self, who: str, member: str) -> CommunityMember:
        """Take such a role away. For admins."""
        row, server, me, target = self._target(who, member)
        with explained(_FOR_ADMINS):
            self._ask(server, moderation.set_moderator(target, [row.token], moderator=False))
        return self._member(me, target)

    def _target(
        self, who: str, member: str, *, by_own_name: bool = False
    ) -> tuple[RoomRow, ServerRow, ServerIdentity, MemberId]:
        row = self._row(self.resolve(who))
        server = self._server(row.base_url)
        me = self._servers.identity(server)
        return row, server, me, self._named(row, server, me, member, by_own_name=by_own_name)
