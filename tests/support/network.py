"""The client's network floor on a local network, without a profile around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from session_cli.devnet.network import Devnet
from session_cli.errors import SessionError
from session_cli.network.clock import Deadline
from session_cli.network.definition import FallbackNode, load_definition
from session_cli.network.network import Network
from session_cli.network.swarm import Page, Poll
from session_cli.protocol.account import Identity

ME = Identity.from_seed(b"\x01" * 16)
DAY_MS = 24 * 3600 * 1000
INBOX: dict[int, dict[str, str]] = {0: {}}
"""What to ask for who has never asked."""


def network_of(net: Devnet, folder: Path, *, direct: bool = False, **changes: Any) -> Network:
    """A client of a local network; the same `folder` keeps what the client before has learnt.

    `changes` are made to its definition.
    """
    path = folder / "network.toml"
    net.write_definition(path)
    return Network(replace(load_definition(str(path)), **changes), folder / "cache", direct=direct)


def pages_of(network: Network, polls: Sequence[Poll], seconds: float = 60.0) -> list[Page | SessionError]:
    """What comes of several polls, in their order."""
    pages = {id(poll): page for poll, page in network.swarm.poll(polls, Deadline(seconds))}
    return [pages[id(poll)] for poll in polls]


def fallback_nodes(net: Devnet) -> tuple[FallbackNode, ...]:
    """All nodes as a definition could name them."""
    return tuple(FallbackNode(node.ed25519, node.ip, node.port) for node in net.nodes)
