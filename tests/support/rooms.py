"""What people see in rooms of communities, as clients in this process, and what servers may say of it."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

from session_cli.core.attachments import OutgoingFile
from session_cli.core.client import Client
from session_cli.core.communities.servers import CommunityServers
from session_cli.devnet.community_faults import Rewrite
from session_cli.network.clock import Deadline
from session_cli.protocol import content as contents
from session_cli.protocol.community.auth import ServerIdentity
from session_cli.protocol.community.posts import make_post
from session_cli.protocol.community.requests import CommunityRequest
from session_cli.protocol.payload import Content, VisibleMessage

SINCE = {"GET /room/<room>/messages/since/<n>"}


def said(client: Client) -> list[Any]:
    """What is new in rooms: texts, or types of events."""
    return [
        event.message.body if event.type == "message" and event.message else event.type
        for event in client.receive()
        if event.conversation and event.conversation.type == "community"
    ]


def latest(client: Client, room: str = "lobby") -> Any:
    """The last message of a room."""
    return list(client.history.log(client.resolve(room)))[-1]


def posts(client: Client, room: str = "lobby") -> list[tuple[str, str]]:
    """What stands in a room for a client: texts and states."""
    return [(message.body, message.status) for message in client.history.log(client.resolve(room), limit=1_000)]


def a_file(data: bytes, name: str = "list.txt") -> OutgoingFile:
    return OutgoingFile(io.BytesIO(data), name, name, "text/plain", len(data))


def identity_of(client: Client) -> ServerIdentity:
    """Who somebody is to the only server that he knows."""
    (server,) = client._store.communities.servers()
    return ServerIdentity.of(client._profile.identity, server.server_key)


def ask(client: Client, request: CommunityRequest[Any]) -> Any:
    """What that server answers somebody."""
    (server,) = client._store.communities.servers()
    return CommunityServers(client._profile, client._use_network).ask(server, request, Deadline(30))


def told(*rows: dict[str, Any]) -> Rewrite:
    """A server that tells this in place of what there is."""
    return Rewrite(lambda reply: replace(reply, status=200, body=json.dumps(rows).encode()))


def post_row(post_id: int, by: Client, words: str, **more: Any) -> dict[str, Any]:
    """A post as servers tell of it, which is indeed signed."""
    now_ms = by.network.clock.now_ms()
    me = identity_of(by)
    made = make_post(me, contents.serialize(Content(VisibleMessage(words), now_ms)))
    return {
        "id": post_id,
        "seqno": 1000 + post_id,
        "session_id": me.member_id,
        "posted": now_ms / 1000,
        **made.json(),
        **more,
    }
