"""Who the network is: keys, addresses, swarms and certificates, drawn once or read back after a restart."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
import secrets
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import StoreDamaged, UsageError
from ..protocol.account import Identity
from ..protocol.swarm import NO_SWARM
from .certificates import Certificate
from .options import DevnetOptions, NodeSpec

_FILE_NAME = "network.json"
_OMQ_PORT = 22020


@dataclass(slots=True)
class NodeLayout:
    """One node: its Ed25519 seed (32 bytes) and where it is. Port 0 is not chosen yet."""

    seed: bytes = field(repr=False)
    ip: str
    port: int
    omq_port: int
    swarm_id: int
    legacy_public: bytes


@dataclass(slots=True)
class Layout:
    """All that has to be the same after a restart. Port 0 is not chosen yet."""

    nodes: list[NodeLayout]
    server_ip: str
    seed_port: int
    file_port: int
    file_seed: bytes = field(repr=False)
    community_port: int
    community_seed: bytes = field(repr=False)
    node_certificate: Certificate
    seed_certificate: Certificate

    @property
    def network_id(self) -> str:
        """`devnet-` and 16 hex digits that follow from the nodes' keys."""
        keys = sorted(Identity.from_seed(node.seed).ed25519_public for node in self.nodes)
        return "devnet-" + hashlib.blake2b(b"".join(keys), digest_size=8).hexdigest()

    def save(self, folder: Path) -> None:
        """Write it below `folder`, whole or not at all, readable by us alone."""
        value = {
            "nodes": [
                {
                    "seed": node.seed.hex(),
                    "ip": node.ip,
                    "port": node.port,
                    "omq_port": node.omq_port,
                    "swarm_id": f"{node.swarm_id:x}",
                    "legacy_public": node.legacy_public.hex(),
                }
                for node in self.nodes
            ],
            "server_ip": self.server_ip,
            "seed_port": self.seed_port,
            "file_port": self.file_port,
            "file_seed": self.file_seed.hex(),
            "community_port": self.community_port,
            "community_seed": self.community_seed.hex(),
            "node_certificate": [self.node_certificate.certificate_pem, self.node_certificate.key_pem],
            "seed_certificate": [self.seed_certificate.certificate_pem, self.seed_certificate.key_pem],
        }
        write_private(folder / _FILE_NAME, json.dumps(value, indent=1))

    @classmethod
    def load(cls, folder: Path) -> Layout | None:
        """Read it back; None if there is none. Raises StoreDamaged."""
        path = folder / _FILE_NAME
        try:
            value: dict[str, Any] = json.loads(path.read_text())
            nodes = [
                NodeLayout(
                    bytes.fromhex(node["seed"]),
                    str(node["ip"]),
                    int(node["port"]),
                    int(node["omq_port"]),
                    int(node["swarm_id"], 16),
                    bytes.fromhex(node["legacy_public"]),
                )
                for node in value["nodes"]
            ]
            return cls(
                nodes,
                str(value["server_ip"]),
                int(value["seed_port"]),
                int(value["file_port"]),
                bytes.fromhex(value["file_seed"]),
                # Networks of before there were communities.
                int(value.get("community_port", 0)),
                bytes.fromhex(value.get("community_seed") or os.urandom(32).hex()),
                Certificate(*value["node_certificate"]),
                Certificate(*value["seed_certificate"]),
            )
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise StoreDamaged(f"{path} is no description of a local network: {error}.") from None


def write_private(path: Path, text: str) -> None:
    """Write a file whole or not at all, readable by us alone."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:  # noqa: PTH123
            file.write(text)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def draw(options: DevnetOptions) -> Layout:
    """A new network as the options describe it. Raises UsageError if they make no sense."""
    specs: Sequence[NodeSpec] = options.node_specs or [NodeSpec(os.urandom(32)) for _ in range(options.nodes)]
    if not specs or not 1 <= options.swarms <= len(specs):
        raise UsageError("A local network needs at least one node, and no more swarms than nodes.")
    host = _checked_host(options.host)
    addresses = [host] * len(specs) if host else _loopback_addresses(len(specs))
    base = options.port_base or 0
    if base and not 0 < base <= 65535 - len(specs) - 2:
        raise UsageError(f"There is no room for {len(specs) + 3} ports from {base} on.")
    nodes = [
        NodeLayout(
            spec.seed,
            spec.ip or addresses[index],
            spec.port if spec.port is not None else base and base + index,
            spec.omq_port or _OMQ_PORT,
            _swarm_id(index, len(specs), options.swarms) if spec.swarm_id is None else spec.swarm_id,
            spec.legacy_public or Identity.from_seed(spec.seed).ed25519_public,
        )
        for index, spec in enumerate(specs)
    ]
    server_ip = host or "127.0.0.1"
    return Layout(
        nodes,
        server_ip,
        base and base + len(specs),
        base and base + len(specs) + 1,
        options.file_server.seed or os.urandom(32),
        base and base + len(specs) + 2,
        os.urandom(32),
        Certificate.generate(server_ip),
        Certificate.generate(server_ip),
    )


def moved(layout: Layout, options: DevnetOptions) -> Layout:
    """The layout with the addresses that the options insist on, if they do."""
    host = _checked_host(options.host)
    if host is None and not options.port_base:
        return layout
    fresh = draw(replace(options, swarms=1, node_specs=[NodeSpec(node.seed) for node in layout.nodes]))
    for node, new in zip(layout.nodes, fresh.nodes, strict=True):
        node.ip, node.port = new.ip, new.port or node.port
    layout.server_ip = fresh.server_ip
    layout.seed_port = fresh.seed_port or layout.seed_port
    layout.file_port = fresh.file_port or layout.file_port
    layout.community_port = fresh.community_port or layout.community_port
    return layout


def _checked_host(host: str | None) -> str | None:
    if host is None:
        return None
    try:
        address = ipaddress.IPv4Address(host)
    except ValueError:
        raise UsageError(f"{host} is no IPv4 address; the list of nodes holds nothing else.") from None
    if address.is_unspecified or address.is_multicast or str(address) == "255.255.255.255":
        raise UsageError(f"{host} can't stand in the list of nodes; give an address of this machine.")
    return str(address)


def _swarm_id(index: int, nodes: int, swarms: int) -> int:
    """Swarms evenly spread over the ring; nodes in blocks."""
    return (index * swarms // nodes * 2 + 1) * (NO_SWARM // (2 * swarms))


def _loopback_addresses(count: int) -> list[str]:
    """An own loopback address for each node, no two in one /24, or 127.0.0.1 where the system has just that."""
    second, third = 16 + secrets.randbelow(239), secrets.randbelow(256)
    addresses = [f"127.{second}.{(third + index) % 256}.{2 + secrets.randbelow(253)}" for index in range(count)]
    try:
        for address in addresses:
            with socket.socket() as probe:
                probe.bind((address, 0))
    except OSError:
        return ["127.0.0.1"] * count
    return addresses
