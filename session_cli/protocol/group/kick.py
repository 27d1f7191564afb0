"""Notices to those who were removed from a group: the one thing of its swarm that they can still read.

A notice says up to which generation of the group's keys it counts. Who is invited again gets keys of a later one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ...errors import MalformedMessage
from ..account import AccountId, Identity, key_of
from . import multi_encrypt
from .identity import GroupIdentity, x25519_of_group

_DOMAIN = b"SessionGroupKickedMessage"
_KEY_BYTES = 32
_GENERATION = re.compile(rb"[0-9]{1,19}\Z")


def kick_notice(
    group: GroupIdentity, removed: Iterable[AccountId], generation: int, *, nonce: bytes | None = None
) -> bytes:
    """The notice to some members. `generation` is that of the group's keys before the one that follows the removal."""
    messages = [(key_of(account_id), key_of(account_id) + b"%d" % generation) for account_id in removed]
    return multi_encrypt.encrypt(group.x25519_secret, group.x25519_public, messages, _DOMAIN, nonce=nonce)


def kicked_generation(identity: Identity, group_id: AccountId, notice: bytes) -> int | None:
    """The generation of keys up to which a notice removes this account; None if the notice is to others.

    It counts for an account whose own latest keys are not of a later generation. Raises MalformedMessage, and
    InvalidInput for an id that is no group's.
    """
    plaintext = multi_encrypt.decrypt(
        identity.x25519_secret, identity.x25519_public, x25519_of_group(group_id), notice, _DOMAIN
    )
    if plaintext is None:
        return None
    account, generation = plaintext[:_KEY_BYTES], plaintext[_KEY_BYTES:]
    if account != identity.x25519_public or not _GENERATION.match(generation):
        raise MalformedMessage("A notice of removal is malformed.")
    return int(generation)
