"""What groups cost: a new key for all members, and asking for what is new in many of them."""

from __future__ import annotations

import os
import tempfile
import timeit
from collections.abc import Iterator
from pathlib import Path

from nacl import bindings as sodium

from session_cli.core.client import Client
from session_cli.protocol.account import Identity
from session_cli.protocol.group.identity import MAX_MEMBERS, GroupIdentity
from session_cli.protocol.group.keys import GroupKeys
from tests.support.devnet import Person

from .measuring import SESSION, best, network, ratio
from .network import HOP_DELAY_S, slow_network

GROUPS = 100


def measure() -> Iterator[str]:
    """A rekey, and a poll of many groups."""
    yield from _rekey()
    yield from _many_groups()


def _rekey() -> Iterator[str]:
    """Against the operations of libsodium that it can't do without: one exchange and one sealed key for each member."""
    group = GroupIdentity.generate()
    members = [Identity.generate() for _ in range(MAX_MEMBERS)]
    keys, ids = GroupKeys(group.group_id), [member.account_id for member in members]
    key, nonce = os.urandom(32), os.urandom(24)

    def bare() -> None:
        for member in members:
            shared = sodium.crypto_scalarmult(group.x25519_secret, member.x25519_public)
            sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(key, None, nonce, shared)
        sodium.crypto_sign(key, group.ed25519_secret)

    ours = min(timeit.repeat(lambda: keys.rekey(group, ids), number=10, repeat=5)) / 10
    least = min(timeit.repeat(bare, number=10, repeat=5)) / 10
    yield f"new key for {MAX_MEMBERS} members: {ours * 1000:.1f} ms"
    yield ratio("new key to its operations of libsodium alone", ours, least, "10")


def _many_groups() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as name, network(*slow_network(Path(name))) as definition:
        costs = []
        for count in (1, GROUPS):
            someone = Person(Path(name) / f"home{count}", definition).init()
            someone.run("recv")
            with Client.open(environ=dict(someone.environment), timeout=60) as client:
                for number in range(count):
                    client.groups.create(f"group {number}", [])
            someone.run("recv")
            costs.append(best([SESSION, "recv"], someone.environment, 5))
        one, many = costs
        yield f"recv with one group, {HOP_DELAY_S * 1000:.0f} ms a hop: {one.wall * 1000:.0f} ms"
        yield ratio(f"recv with {GROUPS} groups to that with one", many.wall, one.wall, "8")
