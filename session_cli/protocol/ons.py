"""Session names (ONS): a short name, registered on the blockchain, that stands for an account id.

Service nodes are asked for the hash of a name and answer with a value that only the name decrypts. Three nodes
should be asked, and agree, before an answer is believed: nothing here proves that a node told the truth.
"""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NewType

from nacl import bindings as sodium
from nacl.exceptions import CryptoError

from ..errors import DecryptionFailed, InvalidAccountId, InvalidInput, MalformedMessage
from .account import AccountId, parse_account_id

OnsName = NewType("OnsName", str)
"""A name in the form that is hashed: lower case ASCII. Made by `parse_name`."""

_NAME = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,62}[a-z0-9_])?")
_SEALED_BYTES = 33 + 16  # an account id with its prefix, and the authentication tag of either cipher
_NONCE_BYTES = 24
_ARGON2_PASSES = 3
_ARGON2_MEMORY = 268_435_456


@dataclass(frozen=True, slots=True)
class OnsRecord:
    """What the network holds for a name. The oldest records have no nonce."""

    encrypted_value: bytes
    nonce: bytes | None

    @classmethod
    def from_result(cls, result: Mapping[str, Any]) -> OnsRecord | None:
        """Read the `result` of an `ons_resolve` answer; None if the name is not registered.

        Raises MalformedMessage if it is neither.
        """
        value, nonce = result.get("encrypted_value"), result.get("nonce")
        if not value:
            return None
        try:
            return cls(bytes.fromhex(value), bytes.fromhex(nonce) if nonce else None)
        except (TypeError, ValueError):
            raise MalformedMessage("The answer for a Session name is not hexadecimal.") from None


def parse_name(text: str) -> OnsName:
    """Bring a name into the form that is registered: lower case, other letters than ASCII's in Punycode.

    A name has 1 to 64 characters of a-z, 0-9, _ and, except at its ends, -. Raises InvalidInput.
    """
    name = unicodedata.normalize("NFC", text.strip().lower())
    if not name.isascii():
        try:
            name.encode("utf-8")  # Punycode itself would encode half a surrogate pair
            name = "xn--" + name.encode("punycode").decode("ascii")
        except UnicodeError:
            raise InvalidInput("This is no Session name.") from None
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            "A Session name has 1 to 64 letters, digits, underscores and hyphens, with no hyphen at its ends."
        )
    return OnsName(name)


def name_hash(name: OnsName) -> bytes:
    """The hash (32 bytes) under which a name is registered."""
    return hashlib.blake2b(name.encode(), digest_size=32).digest()


def lookup_params(name: OnsName) -> dict[str, Any]:
    """The parameters of the `oxend_request` that asks a service node for a name."""
    encoded = base64.b64encode(name_hash(name)).decode("ascii")
    return {"endpoint": "ons_resolve", "params": {"type": 0, "name_hash": encoded}}


def decrypt(name: OnsName, record: OnsRecord) -> AccountId:
    """The account that a name stands for.

    A record without nonce takes Argon2id with 256 MiB of memory, about a second. Raises DecryptionFailed if the
    record is not that of this name, and MalformedMessage if it holds something else than an account id.
    """
    # Looked at first, so that no answer of a wrong size can make us spend the memory.
    if len(record.encrypted_value) != _SEALED_BYTES:
        raise MalformedMessage(f"The record of a Session name has {_SEALED_BYTES} bytes.")
    if record.nonce is not None and len(record.nonce) != _NONCE_BYTES:
        raise MalformedMessage(f"The nonce of a Session name has {_NONCE_BYTES} bytes.")
    try:
        if record.nonce is None:
            value = _decrypt_old(name, record.encrypted_value)
        else:
            key = hashlib.blake2b(name.encode(), digest_size=32, key=name_hash(name)).digest()
            value = sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(record.encrypted_value, None, record.nonce, key)
    except CryptoError:
        raise DecryptionFailed("The record of a Session name does not decrypt.") from None
    try:
        return parse_account_id(value.hex())
    except InvalidAccountId:
        raise MalformedMessage("A Session name stands for something that is no account id.") from None


def _decrypt_old(name: OnsName, encrypted_value: bytes) -> bytes:
    key = sodium.crypto_pwhash_alg(
        32,
        name.encode(),
        bytes(sodium.crypto_pwhash_SALTBYTES),
        _ARGON2_PASSES,
        _ARGON2_MEMORY,
        sodium.crypto_pwhash_ALG_ARGON2ID13,
    )
    return bytes(sodium.crypto_secretbox_open(encrypted_value, bytes(_NONCE_BYTES), key))
