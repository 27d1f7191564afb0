"""Somebody on the network who does not use this program, and need not keep to the rules."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from session_cli.devnet.network import Devnet
from session_cli.network.clock import Deadline
from session_cli.network.definition import load_definition
from session_cli.network.network import Network
from session_cli.protocol import content as contents
from session_cli.protocol import session_v1, storage_rpc
from session_cli.protocol.account import AccountId, Identity, key_of, parse_account_id
from session_cli.protocol.attachment import LegacyEncryptor
from session_cli.protocol.padding import pad
from session_cli.protocol.payload import AttachmentPointer, Content, Payload, Profile, VisibleMessage
from tests.support.streams import encrypt_stream

DAY_MS = 24 * 3600 * 1000


def now_ms() -> int:
    """The time as messages carry it."""
    return time.time_ns() // 1_000_000


class Stranger:
    """An account that writes whatever bytes it likes into other people's swarms; perhaps somebody's in another app."""

    def __init__(self, net: Devnet, identity: Identity | None = None) -> None:
        self._net = net
        self._last_ms = 0
        self.identity = identity or Identity.generate()

    @property
    def id(self) -> AccountId:
        return self.identity.account_id

    def next_ms(self) -> int:
        """A time of sending that this stranger has not used."""
        self._last_ms = max(now_ms(), self._last_ms + 1)
        return self._last_ms

    def seal(
        self,
        to: str,
        message: Payload | bytes,
        *,
        sent_ms: int | None = None,
        signed_ms: int | None = None,
        padded: bytes | None = None,
    ) -> bytes:
        """A message as it would lie in the swarm of `to`; bytes are taken as its serialised content."""
        sent = self.next_ms() if sent_ms is None else sent_ms
        recipient = parse_account_id(to)
        if not isinstance(message, bytes):
            message = contents.serialize(Content(message, sent if signed_ms is None else signed_ms))
        box = session_v1.seal(self.identity, key_of(recipient), pad(message) if padded is None else padded)
        return session_v1.wrap(box, sent)

    def store(self, to: str, *stored: bytes) -> None:
        """Put bytes into the swarm of `to`, in this order."""
        _, members = self._net.directory.swarm_of(to)
        for data in stored:
            request = storage_rpc.store(to, data, timestamp_ms=now_ms(), ttl_ms=DAY_MS)
            body = json.dumps({"method": request.method, "params": request.params}).encode()
            reply = self._net.nodes[members[0].index].answer(body)
            assert reply.status == 200, reply.body

    def tell(self, to: str, payload: Payload, *, sent_ms: int | None = None) -> int:
        """Send a payload of any kind; returns its time."""
        sent = self.next_ms() if sent_ms is None else sent_ms
        self.store(to, self.seal(to, payload, sent_ms=sent))
        return sent

    def say(self, to: str, body: str = "", *, name: str | None = None, files: Iterable[AttachmentPointer] = ()) -> int:
        """Send a well-formed message; returns its time."""
        sent = self.next_ms()
        message = VisibleMessage(body, tuple(files), profile=Profile(name) if name else None)
        self.store(to, self.seal(to, message, sent_ms=sent))
        return sent


def upload(
    definition: Path, folder: Path, data: bytes, change: Callable[[bytes], bytes] = lambda encrypted: encrypted
) -> AttachmentPointer:
    """Put a file on the file server, and return a truthful pointer to it; `change` what lies there, if it is to lie."""
    encryptor = LegacyEncryptor()
    url = upload_as_it_is(definition, folder, change(encryptor.update(data) + encryptor.finish()))
    return AttachmentPointer(url, encryptor.key, len(data), encryptor.digest, file_name="file.bin")


def upload_stream(definition: Path, folder: Path, data: bytes) -> AttachmentPointer:
    """The same in the stream format, as newer apps do: with a key of 32 bytes, no digest, and a mark in the address."""
    encrypted, key = encrypt_stream(data, bytes(32))
    url = upload_as_it_is(definition, folder, encrypted) + "#d"
    return AttachmentPointer(url, key, len(data), file_name="file.bin")


def upload_as_it_is(definition: Path, folder: Path, file: bytes) -> str:
    """Put bytes on the file server; returns their URL."""
    network = Network(load_definition(str(definition)), folder)
    try:
        uploaded = network.files.upload(lambda: [file], len(file), Deadline(30), lambda done: None)
    finally:
        network.close()
    return uploaded.url.text()
