"""The steps from each version of the database's tables to the next.

The module `m0001_…` leads from an empty database to version 1, `m0002_…` from there to version 2, and so on. Each
has its number as `VERSION` and a function `apply(connection)`, which runs inside a transaction that it must not end.
A step that was released is never changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    import apsw

NAMES: tuple[str, ...] = (
    "m0001_initial",
    "m0002_history",
    "m0003_conversations",
    "m0004_configs",
    "m0005_groups",
    "m0006_config_bases",
    "m0007_communities",
)
"""The modules of this package in order. A list, not a search: opening an up-to-date store must not import them."""


class Migration(Protocol):
    """What each module here offers."""

    VERSION: int

    def apply(self, connection: apsw.Connection) -> None:
        """Lead the tables from version `VERSION - 1` to `VERSION`."""


def newest_version() -> int:
    """The version that this program reads and writes."""
    return len(NAMES)


def load(after: int) -> Iterator[Migration]:
    """The steps that lead on from version `after`, in order."""
    from importlib import import_module

    for name in NAMES[after:]:
        yield cast(Migration, import_module(f"{__name__}.{name}"))
