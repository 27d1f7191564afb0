"""Asking community servers, as whoever we are to each of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from ...errors import SessionError
from ...network.clock import Deadline
from ...network.community import Question
from ...protocol.community.auth import ServerIdentity
from ...protocol.community.requests import CommunityRequest
from ...protocol.community.urls import CommunityServer
from ...store.communities import ServerRow
from ..profile import Profile

if TYPE_CHECKING:
    from ...network.network import Network

T = TypeVar("T")


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


def _place(server: ServerRow) -> CommunityServer:
    return CommunityServer(server.base_url, server.server_key)
