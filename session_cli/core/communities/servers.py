"""Asking community servers, as whoever we are to each of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from ...errors import BlindingRequired, SessionError
from ...network.clock import Deadline
from ...network.community import Question
from ...protocol.community.auth import BLIND, Capabilities, ServerIdentity, wants_blinding
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
        """Who we are to a server."""
        known = Capabilities(server.capabilities) if server.capabilities is not None else None
        return ServerIdentity.of(self._identity, server.server_key, blinded=wants_blinding(known))

    def ask(self, server: ServerRow, request: CommunityRequest[T], deadline: Deadline) -> T:
        """What a server answers. Raises what `CommunityClient.ask` raises."""
        (answer,) = self.ask_all([(server, request)], deadline)
        if isinstance(answer, SessionError):
            raise answer
        return answer

    def ask_all(
        self, questions: Sequence[tuple[ServerRow, CommunityRequest[T]]], deadline: Deadline
    ) -> list[T | SessionError]:
        """What several servers answer at the same time. One that wants blinded ids is asked again with one."""
        client = self._network().communities
        asked = [self._question(server, request) for server, request in questions]
        answers = client.ask_all(asked, deadline)
        for number, (server, request) in enumerate(questions):
            if isinstance(answers[number], BlindingRequired) and not wants_blinding(
                Capabilities(server.capabilities or frozenset())
            ):
                changed = replace(server, capabilities=frozenset({*(server.capabilities or ()), BLIND}))
                with self._store.transaction():
                    self._store.communities.put_server(changed)
                answers[number] = client.ask_all([self._question(changed, request)], deadline)[0]
        return answers

    def _question(self, server: ServerRow, request: CommunityRequest[T]) -> Question[T]:
        return Question(CommunityServer(server.base_url, server.server_key), request, self.identity(server))
