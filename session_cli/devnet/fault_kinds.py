"""Every kind of fault that a file can name."""

from __future__ import annotations

from .community_faults import ForgedPosts, Oversized, Redirect, WrongKey
from .faults import (
    AlteredList,
    Blame,
    Clock,
    ContentType,
    Dead,
    Delay,
    Drop,
    Empty,
    Endless,
    Fault,
    Forgets,
    Garble,
    InnerStatus,
    LyingSignatures,
    Nonsense,
    NoReplication,
    Page,
    StaleList,
    Status,
    Throttle,
    Truncate,
    WrongSwarm,
)

FAULTS: dict[str, type[Fault]] = {
    fault.kind: fault
    for fault in (
        Delay, Drop, Throttle, Garble, Truncate, ContentType, Page, Empty, Endless, Status,
        InnerStatus, Nonsense, WrongSwarm, LyingSignatures,
        Dead, Clock, Forgets, NoReplication, Blame,
        StaleList, AlteredList,
        Redirect, Oversized, WrongKey, ForgedPosts,
    )
}  # fmt: skip
"""By name."""
