"""Lists of service nodes as seeds, nodes and members of swarms give them."""

from __future__ import annotations

import base64
import re
import struct
from typing import Any

from ..errors import InvalidInput, RpcError
from .account import x25519_from_ed25519
from .storage_rpc import ServiceNode, number, text
from .swarm import NO_SWARM


def parse_swarm(body: Any) -> list[ServiceNode]:
    """The nodes of a `get_swarm` or 421 answer; malformed entries are left out.

    Raises RpcError for a malformed whole.
    """
    listed = body.get("snodes") if isinstance(body, dict) else None
    if not isinstance(listed, list):
        raise RpcError("A swarm was asked for, and not given.")
    try:
        swarm_id: int | None = int(body["swarm"], 16)
    except (KeyError, TypeError, ValueError):
        swarm_id = None
    nodes = []
    for entry in listed:
        try:
            node = ServiceNode(
                bytes.fromhex(entry["pubkey_ed25519"]),
                bytes.fromhex(entry["pubkey_x25519"]),
                text(entry["ip"]),
                int(entry["port_https"] if "port_https" in entry else entry["port"]),
                swarm_id,
            )
        except (KeyError, TypeError, ValueError, OverflowError):
            continue
        if is_usable(node):
            nodes.append(node)
    return nodes


def parse_service_nodes(body: Any) -> list[ServiceNode]:
    """The nodes of a `get_service_nodes` result (from a seed, or by `oxend_request`); unusable ones are left out.

    Raises RpcError for a malformed whole.
    """
    listed = body.get("service_node_states") if isinstance(body, dict) else None
    if not isinstance(listed, list):
        raise RpcError("The list of service nodes was asked for, and not given.")
    nodes = []
    for entry in listed:
        try:
            swarm_id = entry.get("swarm_id")
            node = ServiceNode(
                bytes.fromhex(entry["pubkey_ed25519"]),
                bytes.fromhex(entry["pubkey_x25519"]),
                text(entry["public_ip"]),
                number(entry["storage_port"]),
                swarm_id if type(swarm_id) is int and swarm_id != NO_SWARM else None,
                tuple(number(part) for part in entry.get("storage_server_version") or ()),
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            continue
        if is_usable(node):
            nodes.append(node)
    return nodes


_IPV4 = re.compile(r"(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}")
_NODE_RECORD = struct.Struct(">32sQ4sHH3B")
"""Ed25519 key, swarm id, IPv4, HTTPS port, OMQ port, version of the storage server."""


def parse_active_nodes(body: Any) -> list[ServiceNode]:
    """The nodes of an `active_nodes_bin` answer, which inside of an onion is base64; unusable ones are left out.

    Its records hold no X25519 keys, which follow from the Ed25519 keys. Raises RpcError for a malformed whole.
    """
    try:
        data = base64.b64decode(text(body), validate=True)
    except (TypeError, ValueError):
        raise RpcError("The list of service nodes was asked for, and not given.") from None
    if len(data) % _NODE_RECORD.size:
        raise RpcError("The list of service nodes is cut in the middle of a node.")
    nodes = []
    for ed25519, swarm_id, address, port, _, *version in _NODE_RECORD.iter_unpack(data):
        try:
            x25519 = x25519_from_ed25519(ed25519)
        except InvalidInput:
            continue
        ip = ".".join(map(str, address))
        node = ServiceNode(ed25519, x25519, ip, port, None if swarm_id == NO_SWARM else swarm_id, tuple(version))
        if is_usable(node):
            nodes.append(node)
    return nodes


def is_usable(node: ServiceNode) -> bool:
    """Whether a listed node has keys of the right size and an address that can be reached."""
    return (
        len(node.ed25519) == 32
        and len(node.x25519) == 32
        and _IPV4.fullmatch(node.ip) is not None
        and node.ip not in ("0.0.0.0", "255.255.255.255")  # noqa: S104 - compared, not bound
        and 0 < node.port < 65536
    )
