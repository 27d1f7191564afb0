"""The groups that we are in, were in, or are asked to join."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import apsw

from .configs import ConfigRow
from .queries import fetch_all, fetch_one

KICKED, DESTROYED = 1, 2
"""What `GroupRow.removed` can be, but for 0."""
_COLUMNS = "address, seed, auth_data, invited, inviter, removed, joined_s, keys, polled, extended_ms, due, undecided"


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A group; see the table."""

    address: str
    seed: bytes | None = field(default=None, repr=False)
    auth_data: bytes | None = field(default=None, repr=False)
    invited: bool = False
    inviter: str | None = None
    removed: int = 0
    joined_s: int = 0
    keys: bytes | None = field(default=None, repr=False)
    polled: bool = False
    extended_ms: int = 0
    due: bool = False
    undecided: bool = False

    @property
    def is_active(self) -> bool:
        """Whether its swarm is to be asked what is new."""
        return not (self.invited or self.removed) and (self.seed is not None or self.auth_data is not None)


@dataclass(frozen=True, slots=True)
class Errand:
    """Something that this device has taken upon itself; see the table."""

    kind: str
    member: str
    at_ms: int = 0


class Groups:
    """Reads and writes them. Writing happens inside the caller's transaction."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def get(self, address: str) -> GroupRow | None:
        """A group by its id."""
        found = self._find("WHERE address = ?", (address,))
        return found[0] if found else None

    def all(self) -> list[GroupRow]:
        """All of them, by id."""
        return self._find("ORDER BY address", ())

    def active(self) -> list[GroupRow]:
        """Those whose swarms are to be asked what is new, by id."""
        return [group for group in self.all() if group.is_active]

    def any(self) -> bool:
        """Whether there is a group."""
        return fetch_one(self._connection, "SELECT 1 FROM groups LIMIT 1") is not None

    def put(self, group: GroupRow) -> None:
        """Know of a group exactly this."""
        self._connection.execute(
            f"""
            INSERT INTO groups ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (address) DO UPDATE SET seed = excluded.seed, auth_data = excluded.auth_data,
                invited = excluded.invited, inviter = excluded.inviter, removed = excluded.removed,
                joined_s = excluded.joined_s, keys = excluded.keys, polled = excluded.polled,
                extended_ms = excluded.extended_ms, due = excluded.due,
                undecided = excluded.undecided
            """,  # noqa: S608 - a constant
            (
                group.address,
                group.seed,
                group.auth_data,
                group.invited,
                group.inviter,
                group.removed,
                group.joined_s,
                group.keys,
                group.polled,
                group.extended_ms,
                group.due,
                group.undecided,
            ),
        )

    def delete(self, address: str) -> None:
        """Know nothing of a group any more."""
        self._connection.execute("DELETE FROM groups WHERE address = ?", (address,))

    def _find(self, condition: str, parameters: tuple[Any, ...]) -> list[GroupRow]:
        rows = fetch_all(self._connection, f"SELECT {_COLUMNS} FROM groups {condition}", parameters)  # noqa: S608 - put together of constants
        return [_group(row) for row in rows]

    # What a group is made of.

    def config(self, address: str, namespace: int) -> ConfigRow | None:
        """A config of a group by its namespace."""
        row = fetch_one(
            self._connection,
            "SELECT dump, base FROM group_configs WHERE address = ? AND namespace = ?",
            (address, namespace),
        )
        return ConfigRow(*row) if row else None

    def put_config(self, address: str, namespace: int, row: ConfigRow, *, dirty: bool) -> None:
        """Keep a config of a group, which is still to be pushed if it is `dirty`."""
        self._connection.execute(
            """
            INSERT INTO group_configs (address, namespace, dump, base, dirty) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (address, namespace) DO UPDATE
                SET dump = excluded.dump, base = excluded.base, dirty = excluded.dirty
            """,
            (address, namespace, row.dump, row.base, dirty),
        )

    def forget_configs(self, address: str) -> None:
        """Know no more what a group is made of."""
        self._connection.execute("DELETE FROM group_configs WHERE address = ?", (address,))

    # What is still to be done.

    def errands(self, address: str, *kinds: str) -> list[Errand]:
        """What this device has still to do for a group, perhaps of some kinds only."""
        rows = fetch_all(
            self._connection,
            "SELECT kind, member, at FROM group_errands WHERE address = ? ORDER BY kind, member",
            (address,),
        )
        return [Errand(*row) for row in rows if not kinds or row[0] in kinds]

    def due(self) -> list[str]:
        """The groups (by id) for which this device has still to do something."""
        rows = fetch_all(
            self._connection,
            "SELECT address FROM groups WHERE due UNION SELECT DISTINCT address FROM group_errands ORDER BY address",
        )
        return [row[0] for row in rows]

    def add_errand(self, address: str, kind: str, member: str, at_ms: int = 0) -> None:
        """Take something upon ourselves, unless we have already; the later time counts."""
        self._connection.execute(
            """
            INSERT INTO group_errands (address, kind, member, at) VALUES (?, ?, ?, ?)
            ON CONFLICT (address, kind, member) DO UPDATE SET at = max(at, excluded.at)
            """,
            (address, kind, member, at_ms),
        )

    def forget_errands(self, address: str) -> None:
        """Have nothing to do for a group any more."""
        self._connection.execute("DELETE FROM group_errands WHERE address = ?", (address,))

    def finish_errands(self, address: str, kind: str, members: Iterable[str]) -> None:
        """Note that something is done, or will never be."""
        self._connection.executemany(
            "DELETE FROM group_errands WHERE address = ? AND kind = ? AND member = ?",
            [(address, kind, member) for member in members],
        )


def _group(row: tuple[Any, ...]) -> GroupRow:
    address, seed, auth_data, invited, inviter, removed, joined_s, keys, polled, extended_ms, due, undecided = row
    return GroupRow(
        address,
        seed,
        auth_data,
        bool(invited),
        inviter,
        removed,
        joined_s,
        keys,
        bool(polled),
        extended_ms,
        bool(due),
        bool(undecided),
    )
