"""Taking in a backlog of 2,000 messages, against the bare cryptography of the same messages."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from nacl import bindings as sodium

from session_cli.core.client import Client
from session_cli.devnet.network import Devnet, DevnetOptions
from session_cli.protocol import content as contents
from session_cli.protocol import session_v1
from session_cli.protocol.account import Identity
from session_cli.protocol.payload import Content, VisibleMessage
from tests.support.swarm import put_messages

from .measuring import ratio

MESSAGES = 2_000


def measure() -> Iterator[str]:
    """Poll, decrypt, parse and store 2,000 messages of ordinary length."""
    with TemporaryDirectory() as folder, Devnet(DevnetOptions()) as net:
        definition = Path(folder) / "network.toml"
        net.write_definition(definition)
        environment = {"SESSION_HOME": folder}
        with Client.create(network=str(definition), environ=environment) as client:
            client.poll()
            recipient, sender = Identity.from_seed(client.seed()), Identity.generate()
            now = int(time.time() * 1000)
            stored = [
                session_v1.encode_message(
                    sender,
                    recipient.account_id,
                    contents.serialize(Content(VisibleMessage(f"message number {number} " * 4), now + number)),
                    now + number,
                )
                for number in range(MESSAGES)
            ]
            put_messages(net, recipient.account_id, stored)
            base = _bare(recipient, stored)
            started = time.perf_counter()
            result = client.poll()
            taken = time.perf_counter() - started
            if result.new != MESSAGES:
                raise RuntimeError(f"{result.new} of {MESSAGES} messages came")
    yield f"bare libsodium: {base * 1000:.0f} ms for {MESSAGES} messages"
    yield ratio("poll, decrypt, parse, store", taken, base, "5")


def _bare(recipient: Identity, stored: list[bytes]) -> float:
    """Seconds to open, verify and convert the sender's key of each message, and nothing else."""
    boxes = [session_v1.unwrap(data).content for data in stored]
    started = time.perf_counter()
    for box in boxes:
        inner = sodium.crypto_box_seal_open(box, recipient.x25519_public, recipient.x25519_secret)
        signed, sender = inner[:-64] + recipient.x25519_public, inner[-96:-64]
        sodium.crypto_sign_open(inner[-64:] + signed, sender)
        sodium.crypto_sign_ed25519_pk_to_curve25519(sender)
    return time.perf_counter() - started
