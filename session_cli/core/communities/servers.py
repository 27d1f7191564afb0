"""Asking community servers, as whoever we are to each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ...errors import AnswerTooLarge, Banned, NoPermission, SessionError
from ...network.clock import Deadline
from ...network.community import Question
from ...protocol.community import endpoints
from ...protocol.community.auth import ServerIdentity
from ...protocol.community.posts import Page
from ...protocol.community.requests import CommunityRequest
from ...protocol.community.urls import CommunityServer
from ...store.communities import RoomRow, ServerRow
from ..profile import Profile

if TYPE_CHECKING:
    from ...network.network import Network

T = TypeVar("T")
Ask = Callable[[CommunityRequest[Any]], Any]
PAGES = 20
"""How far is looked for what a server may have got: as far as a poll comes, more or less."""
SMALLER = 8
"""By how much less is asked for where an answer is too large."""
_RETRY_MS, _LONGEST_RETRY_MS = 60_000, 3_600_000
"""A server that failed is left alone for a while, twice as long each time."""


class CommunityServers:
    """The servers that one profile knows."""

    def __init__(self, profile: Profile, network: Callable[[], Network]) -> None:
        self._identity = profile.identity
        self._store = profile.store
        self._network = network

    def identity(self, server: ServerRow) -> ServerIdentity:
        """Who we are to a server: always somebody with a blinded id, which all servers take and nearly all demand.

        A server that claims to want the account id is not believed.
        """
        return ServerIdentity.of(self._identity, server.server_key, blinded=True)

    def is_resting(self, server: ServerRow) -> bool:
        """Whether a server failed a short while ago, and is to be left alone."""
        now_ms = self._store.now_ms()
        return now_ms < server.retry_ms <= now_ms + _LONGEST_RETRY_MS

    def note_failure(self, base_url: str, error: SessionError) -> int:
        """Note that a server was asked in vain; returns how often in a row. To be called inside a transaction."""
        server = self._store.communities.server(base_url)
        if server is None:
            return 0
        failures = server.failures + 1
        retry_ms = self._store.now_ms() + min(_RETRY_MS << min(failures - 1, 10), _LONGEST_RETRY_MS)
        self._store.communities.put_server(replace(server, failures=failures, retry_ms=retry_ms, problem=error.message))
        return failures

    def ask(self, server: ServerRow, request: CommunityRequest[T], deadline: Deadline, *, nameless: bool = False) -> T:
        """What a server answers; `nameless`: to anybody. Raises what `CommunityClient.ask` raises."""
        asker = None if nameless else self.identity(server)
        return self._network().communities.ask(Question(_place(server), request, asker), deadline)

    def ask_all(
        self, questions: Sequence[tuple[ServerRow, CommunityRequest[T], int]], deadline: Deadline
    ) -> list[T | SessionError]:
        """What several servers answer at the same time, each with so many bytes at the most."""
        asked = [Question(_place(server), request, self.identity(server), most) for server, request, most in questions]
        return self._network().communities.ask_all(asked, deadline)


def whole_page(ask: Ask, request_of: Callable[[int], CommunityRequest[Page]], limit: int) -> Page:
    """A page of up to `limit` entries, or of fewer where these are too large. Raises what `ask` raises."""
    while True:
        try:
            page: Page = ask(request_of(limit))
        except AnswerTooLarge:
            if limit == 1:
                raise
            limit = max(1, limit // SMALLER)
        else:
            return page


def pages_since(ask: Ask, room: RoomRow) -> Iterator[Page]:
    """What has changed in a room since we know it, as far as it is worth looking. Raises what `ask` raises."""
    seqno = room.seqno
    for _ in range(PAGES):
        request_of = partial(_newest, room.token) if seqno is None else partial(_since, room.token, seqno)
        page = whole_page(ask, request_of, endpoints.DEFAULT_LIMIT)
        yield page
        if seqno is None or not page.more or page.newest_seqno is None or page.newest_seqno <= seqno:
            return
        seqno = page.newest_seqno


def _newest(token: str, limit: int) -> CommunityRequest[Page]:
    return endpoints.recent(token, limit=limit)


def _since(token: str, seqno: int, limit: int) -> CommunityRequest[Page]:
    return endpoints.since(token, seqno, limit=limit)


@contextmanager
def explained(why: str) -> Iterator[None]:
    """Say why a server does not let us do something. It says only that it does not."""
    try:
        yield
    except Banned:
        raise
    except NoPermission as error:
        raise NoPermission(why, status=error.status) from None


def why_not_written(room: RoomRow) -> str:
    """Why we may not write in a room, as far as we know."""
    name = room.info.get("name") or room.token
    if not room.refused and not room.info.get("write", True):
        return f"{name} is read only: only its moderators may write there."
    return f"You may not write in {name}: you are banned there, perhaps."


def _place(server: ServerRow) -> CommunityServer:
    return CommunityServer(server.base_url, server.server_key)
