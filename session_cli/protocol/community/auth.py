"""How an account proves to a community server who it is there.

Four headers go with each request: the key, a nonce (which the server takes once, even for a request that fails), the
time, and a signature over

    server key ‖ nonce ‖ time ‖ METHOD ‖ path, percent-decoded [‖ ? ‖ query, as it is] [‖ BLAKE2b-64 of the body]

On a server with the capability `blind` the key is the account's blinded one, so that nobody there sees the account.
"""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes

from ...errors import InvalidInput
from .. import xed25519
from ..account import Identity, IdPrefix
from ..blinding import BlindedKeys, blind15, blinded25_id
from .values import MemberId, each, mapping, sequence, text

NONCE_BYTES = 16
BLIND, REACTIONS = "blind", "reactions"
_MOST_CAPABILITIES, _LONGEST_CAPABILITY = 200, 64


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a server says it can do, by the names that the protocol gives it."""

    names: frozenset[str]

    @property
    def blind(self) -> bool:
        """Whether the server knows people by blinded ids alone."""
        return BLIND in self.names

    @property
    def reactions(self) -> bool:
        return REACTIONS in self.names


def parse_capabilities(value: Any) -> Capabilities:
    """Raises MalformedMessage."""
    names = sequence(mapping(value).get("capabilities"))
    return Capabilities(frozenset(each(names, lambda name: text(name, _LONGEST_CAPABILITY), _MOST_CAPABILITIES)))


@dataclass(frozen=True, slots=True)
class ServerIdentity:
    """An account as one community server knows it. Made by `of`.

    `own_ids` are all that mean us on this server, whichever way of blinding it has, or had.
    """

    server_key: bytes
    identity: Identity = field(repr=False)
    blinded: BlindedKeys | None
    own_ids: frozenset[MemberId] = field(repr=False)

    @classmethod
    def of(cls, identity: Identity, server_key: bytes, *, blinded: bool = True) -> ServerIdentity:
        """Raises InvalidInput for a server's key that has not 32 bytes."""
        fifteen, account_id = blind15(identity, server_key), identity.account_id
        own_ids = (account_id, fifteen.blinded_id, blinded25_id(account_id, server_key))
        return cls(server_key, identity, fifteen if blinded else None, frozenset(map(MemberId, own_ids)))

    @property
    def member_id(self) -> MemberId:
        """The id under which others see what we write."""
        return MemberId(self.blinded.blinded_id if self.blinded else self.identity.account_id)

    @property
    def header_key(self) -> str:
        """The key as the request header has it."""
        return self.member_id if self.blinded else IdPrefix.UNBLINDED + self.identity.ed25519_public.hex()

    def sign_request(self, signed: bytes) -> bytes:
        """The signature (64 bytes) of a request, over its `signed_bytes`."""
        return self.blinded.sign(signed) if self.blinded else self.identity.sign(signed)

    def sign_post(self, padded: bytes) -> bytes:
        """The signature (64 bytes) of a post, over its padded bytes; without blinding it is by the X25519 key."""
        return self.blinded.sign(padded) if self.blinded else xed25519.sign(self.identity.x25519_secret, padded)

    def headers(
        self, method: str, path: str, body_hash: bytes | None, timestamp_s: int, *, nonce: bytes | None = None
    ) -> dict[str, str]:
        """The headers that prove a request to be ours. `timestamp_s` is the network's time.

        The nonce (16 bytes) is random unless a test gives it; each attempt at a request needs headers of its own.
        """
        nonce = os.urandom(NONCE_BYTES) if nonce is None else nonce
        signature = self.sign_request(signed_bytes(self.server_key, nonce, timestamp_s, method, path, body_hash))
        return {
            "X-SOGS-Pubkey": self.header_key,
            "X-SOGS-Nonce": base64.b64encode(nonce).decode(),
            "X-SOGS-Timestamp": str(timestamp_s),
            "X-SOGS-Signature": base64.b64encode(signature).decode(),
        }


def body_hash(body: bytes | None) -> bytes | None:
    """What is signed of a body (64 bytes); None, which is nothing, without one and for an empty one."""
    return hashlib.blake2b(body, digest_size=64).digest() if body else None


def signed_bytes(
    server_key: bytes, nonce: bytes, timestamp_s: int, method: str, path: str, body_hash: bytes | None
) -> bytes:
    """What a request's signature covers. `path` is as requested, with its query. Raises InvalidInput."""
    if len(nonce) != NONCE_BYTES:
        raise InvalidInput(f"The nonce of a request has {NONCE_BYTES} bytes.")
    place, _, query = path.partition("?")
    covered = server_key + nonce + str(timestamp_s).encode() + method.encode() + unquote_to_bytes(place)
    if query:
        covered += b"?" + query.encode()
    return covered + (body_hash or b"")
