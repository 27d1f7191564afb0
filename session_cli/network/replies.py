"""What guards and nodes say when they refuse, and what that means."""

from __future__ import annotations

import json
import re
from typing import Any

from ..errors import ClockOutOfSync, NodeFailed, PathFailed, RateLimited, ServiceRefused, SessionError
from ..protocol.onion import SnodeReply

_NAMED = re.compile(r"(?:Next node not found|Next node is currently unreachable|Snode not ready): ([0-9a-f]{64})")


class WrongSwarm(SessionError):
    """A node says that an account belongs to another swarm. `body` is its answer, which lists that swarm."""

    slug = "wrong_swarm"

    def __init__(self, body: Any) -> None:
        super().__init__("The node does not hold this account.")
        self.body = body


def check_guard(status: int, body: bytes) -> None:
    """Whatever is not 200 comes from the path itself, in clear. Raises PathFailed, naming the hop if it is known."""
    if status == 200:
        return
    named = _NAMED.fullmatch(body[:200].decode("utf-8", "replace").strip())
    if named:
        raise PathFailed("A hop of the path is gone.", node=named[1])
    if status == 429:
        raise GuardBusy("The guard asks to slow down.")
    raise PathFailed(f"The path failed with status {status}.")


class GuardBusy(RateLimited):
    """The guard, or a server behind the path, asks to slow down: another guard may not."""


def accept(reply: SnodeReply) -> Any:
    """The JSON of a node's answer. Raises what `raise_for_status` raises, OnionError."""
    if reply.status == 200:
        return reply.json()
    text = reply.body if isinstance(reply.body, str) else json.dumps(reply.body)
    return raise_for_status(reply.status, text)


def raise_for_status(status: int, body: Any) -> Any:
    """Turn a storage server's refusal, of a whole request or of a part of a batch, into its exception."""
    text = body.strip() if isinstance(body, str) else ""
    if status == 421:
        if isinstance(body, str):
            try:
                body = json.loads(body)
            except (ValueError, RecursionError):
                body = None
        raise WrongSwarm(body)
    if status == 406:
        raise ClockOutOfSync(
            "The network refuses our signature's time. Check this machine's clock: it must be right within a minute."
        )
    if status == 429:
        raise RateLimited("The storage server asks to slow down.")
    if status in (400, 401, 403, 404):
        raise ServiceRefused(f"The storage server refuses ({status}): {text[:200]}", status=status)
    raise NodeFailed(f"The storage server failed with status {status}.")
