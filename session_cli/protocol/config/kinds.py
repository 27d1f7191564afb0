"""The kinds of config there are, and where and how long their messages are kept."""

from __future__ import annotations

import enum
from dataclasses import dataclass

TTL_MS = 30 * 24 * 60 * 60 * 1000
"""How long a swarm keeps a config: the longest that it keeps anything. Pushing the same bytes again starts anew."""
LOCAL_NAMESPACE = 9999


@dataclass(frozen=True, slots=True)
class _Kind:
    namespace: int
    domain: bytes
    wrapped_as: int | None
    signed: bool = False


class ConfigKind(enum.Enum):
    """One config of an account or a group."""

    USER_PROFILE = _Kind(2, b"UserProfile", 1)
    CONTACTS = _Kind(3, b"Contacts", 2)
    CONVO_INFO_VOLATILE = _Kind(4, b"ConvoInfoVolatile", 3)
    USER_GROUPS = _Kind(5, b"UserGroups", 4)
    LOCAL = _Kind(LOCAL_NAMESPACE, b"Local", None)
    GROUP_INFO = _Kind(13, b"groups::Info", None, signed=True)
    GROUP_MEMBERS = _Kind(14, b"groups::Members", None, signed=True)

    @property
    def namespace(self) -> int:
        """The swarm's namespace. That of `LOCAL` is none of a swarm: it never leaves the device."""
        return self.value.namespace

    @property
    def domain(self) -> bytes:
        """What keeps the encryption of one kind apart from that of another."""
        return self.value.domain

    @property
    def wrapped_as(self) -> int | None:
        """The number of the kind in a wrapped message, or None if messages of this kind are not wrapped."""
        return self.value.wrapped_as

    @property
    def signed(self) -> bool:
        """Whether messages bear a group's signature."""
        return self.value.signed


ACCOUNT_KINDS = (
    ConfigKind.USER_PROFILE,
    ConfigKind.CONTACTS,
    ConfigKind.USER_GROUPS,
    ConfigKind.CONVO_INFO_VOLATILE,
)
"""What an account's devices share, in the order in which to take it in."""
