"""What a community server can be told before it starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .options import DAY


@dataclass(frozen=True, slots=True)
class Moderator:
    """Somebody with power, by account id; with `admin` all of it. Only who is `visible` is shown to everybody."""

    account_id: str
    admin: bool = False
    visible: bool = True


@dataclass(frozen=True, slots=True)
class CommunityRoom:
    """A room: its token of letters, digits, hyphens and underscores, and what may be done by whoever has no role."""

    token: str
    name: str = ""
    description: str | None = None
    moderators: Sequence[Moderator] = ()
    read: bool = True
    accessible: bool = True
    write: bool = True
    upload: bool = True


LOBBY = CommunityRoom("lobby", "The Lobby", "A room to try things out")
"""The room of a server that was told of no other."""


@dataclass(frozen=True, slots=True)
class CommunityOptions:
    """How the community server behaves.

    `moderators` have their power in all rooms. `blinded` refuses account ids, as nearly all servers do; `accepts_25`
    takes blinded ids of the second kind too, which released servers refuse. `x25519_secret` (32 bytes) is the key to
    which requests are sealed; otherwise it is drawn. `ttl` is how many seconds a file lives that belongs to a post.
    With a data folder, rooms that are given later are added, and none is removed or changed.
    """

    rooms: Sequence[CommunityRoom] = (LOBBY,)
    moderators: Sequence[Moderator] = ()
    blinded: bool = True
    accepts_25: bool = False
    x25519_secret: bytes | None = field(default=None, repr=False)
    ttl: int = 15 * DAY
    max_file_size: int = 10_000_000
