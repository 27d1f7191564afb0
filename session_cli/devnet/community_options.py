"""What a community server can be told before it starts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..errors import UsageError
from ..protocol.account import parse_account_id
from .options import DAY

_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


@dataclass(frozen=True, slots=True)
class Moderator:
    """Somebody with power, by account id; with `admin` all of it. Only who is `visible` is shown to everybody.

    Raises InvalidInput if this is no account id.
    """

    account_id: str
    admin: bool = False
    visible: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "account_id", parse_account_id(self.account_id))


@dataclass(frozen=True, slots=True)
class CommunityRoom:
    """A room: its token, its name (the token if empty), and what may be done by whoever has no role.

    A token has 1 to 64 letters, digits, hyphens and underscores; capitals make no other room. Raises UsageError.
    """

    token: str
    name: str = ""
    description: str | None = None
    moderators: Sequence[Moderator] = ()
    read: bool = True
    accessible: bool = True
    write: bool = True
    upload: bool = True

    def __post_init__(self) -> None:
        if not _TOKEN.match(self.token):
            raise UsageError(f"{self.token!r} can't be a room: its token needs 1 to 64 letters, digits, '-' and '_'.")


LOBBY = CommunityRoom("lobby", "The Lobby", "A room to try things out")
"""The room of a server that was told of no other."""


@dataclass(frozen=True, slots=True)
class CommunityOptions:
    """How the community server behaves.

    `moderators` have their power in all rooms; with `first_is_admin` whoever comes first has, too, unless there is an
    admin of all rooms already. `blinded` refuses account ids, as nearly all servers do; `accepts_25`
    takes blinded ids of the second kind too, which released servers refuse. `x25519_secret` (32 bytes) is the key to
    which requests are sealed; otherwise it is drawn. `ttl` is how many seconds a file lives that belongs to a post.
    With a data folder, rooms that are given later are added, and none is removed or changed. Raises UsageError if two
    rooms have one token.
    """

    rooms: Sequence[CommunityRoom] = (LOBBY,)
    moderators: Sequence[Moderator] = ()
    first_is_admin: bool = False
    blinded: bool = True
    accepts_25: bool = False
    x25519_secret: bytes | None = field(default=None, repr=False)
    ttl: int = 15 * DAY
    max_file_size: int = 10_000_000

    def __post_init__(self) -> None:
        tokens = [room.token.lower() for room in self.rooms]
        for token in sorted(set(tokens)):
            if tokens.count(token) > 1:
                raise UsageError(f"There are two rooms {token!r}; capitals make no difference.")
