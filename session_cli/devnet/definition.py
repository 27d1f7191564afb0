"""The definition of a local network, as clients read it: the lines of its tables."""

from __future__ import annotations

import json
from collections.abc import Sequence


def network_table(network_id: str) -> list[str]:
    return ['name = "devnet"', f'id = "{network_id}"', "hops = 3", "ons = false", "subnet_diversity = false"]


def seed_table(url: str, certificate_sha256: str) -> list[str]:
    return ["", "[[seeds]]", f'url = "{url}"', f'certificate_sha256 = "{certificate_sha256}"']


def file_server_table(url: str, ed25519: bytes | None, x25519: bytes, max_file_size: int) -> list[str]:
    """`ed25519` None: there is no such key."""
    return [
        "",
        "[file_server]",
        f'url = "{url}"',
        *([] if ed25519 is None else [f'ed25519 = "{ed25519.hex()}"']),
        f'x25519 = "{x25519.hex()}"',
        f"max_file_size = {max_file_size}",
    ]


def community_table(url: str, x25519: bytes, rooms: Sequence[str]) -> list[str]:
    """`rooms` are tokens."""
    tokens = json.dumps(list(rooms))
    return ["", "[community]", f'url = "{url}"', f'x25519 = "{x25519.hex()}"', f"rooms = {tokens}"]
