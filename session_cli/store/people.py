"""Who is known, by address: names, pictures, and how far they and we have accepted each other."""

from __future__ import annotations

from typing import Any

import apsw

from .queries import fetch_all, fetch_one
from .records import PersonRow

_COLUMNS = "address, name, nickname, approved, approved_me, blocked, picture_url, picture_key, profile_updated_s"


def person_id(connection: apsw.Connection, address: str) -> int:
    """The number of a person, who is noted if new. To be called inside a transaction."""
    found = connection.execute("SELECT id FROM people WHERE address = ?", (address,)).get
    if found is None:
        found = connection.execute("INSERT INTO people (address) VALUES (?) RETURNING id", (address,)).get
    return int(found)


class People:
    """Who is known, by address, and how far they and we have accepted each other."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def set_name(self, address: str, name: str | None, updated_s: int) -> bool:
        """Take over the name that a person gave with a message, unless a later one is known; whether it was taken.

        To be called for whoever sends a profile, with the name known before if there is none in it: name and picture
        are one, under the time of the profile (seconds; 0: unknown).
        """
        self._connection.execute(
            """
            INSERT INTO people (address, name, profile_updated_s) VALUES (?, ?, ?)
            ON CONFLICT (address) DO UPDATE SET name = excluded.name, profile_updated_s = excluded.profile_updated_s
            WHERE excluded.profile_updated_s > profile_updated_s OR profile_updated_s = 0
            """,
            (address, name, updated_s),
        )
        return self._connection.changes() == 1

    def approve(self, address: str, *, by_us: bool) -> None:
        """Remember that we wrote to a person, or that the person wrote to us."""
        column = "approved" if by_us else "approved_me"
        self._connection.execute(
            f"INSERT INTO people (address, {column}) VALUES (?, 1) ON CONFLICT (address) DO UPDATE SET {column} = 1",  # noqa: S608 - one of two constants
            (address,),
        )

    def set_picture(self, address: str, url: str | None, key: bytes | None) -> None:
        """Note where a known person's picture lies and its key of 32 bytes, or that there is none."""
        self._connection.execute(
            "UPDATE people SET picture_url = ?, picture_key = ? WHERE address = ?", (url, key, address)
        )

    def set_blocked(self, address: str, *, blocked: bool) -> None:
        """Want nothing more from a person, or want it again."""
        self._connection.execute(
            "INSERT INTO people (address, blocked) VALUES (?1, ?2) ON CONFLICT (address) DO UPDATE SET blocked = ?2",
            (address, blocked),
        )

    def get(self, address: str) -> PersonRow | None:
        """A person by the whole address, if anything is known but that."""
        row = fetch_one(self._connection, f"SELECT {_COLUMNS} FROM people WHERE address = ?", (address,))  # noqa: S608 - a constant
        return _person(row) if row else None

    def put(self, person: PersonRow) -> None:
        """Know of a person exactly this."""
        person_id(self._connection, person.address)
        # Whoever has the nickname gives it up.
        self._connection.execute(
            "UPDATE people SET nickname = NULL WHERE nickname = ? AND address <> ?", (person.nickname, person.address)
        )
        self._connection.execute(
            """
            UPDATE people SET name = ?, nickname = ?, approved = ?, approved_me = ?, blocked = ?, picture_url = ?,
                   picture_key = ?, profile_updated_s = ? WHERE address = ?
            """,
            (
                person.name,
                person.nickname,
                person.approved,
                person.approved_me,
                person.blocked,
                person.picture_url,
                person.picture_key,
                person.profile_updated_s,
                person.address,
            ),
        )

    def forget(self, address: str) -> None:
        """Know nothing of a person any more but the address."""
        if self.get(address) is not None:
            self.put(PersonRow(address, None, None, False, False))

    def set_nickname(self, address: str, nickname: str | None) -> None:
        """Give a person a name of our own, which nobody else may have, or take it away."""
        self._connection.execute(
            """
            INSERT INTO people (address, nickname) VALUES (?, ?)
            ON CONFLICT (address) DO UPDATE SET nickname = excluded.nickname
            """,
            (address, nickname),
        )

    def by_nickname(self, nickname: str) -> str | None:
        """The address of the person whom we call so."""
        row = fetch_one(self._connection, "SELECT address FROM people WHERE nickname = ?", (nickname,))
        return row[0] if row else None

    def known(self) -> list[PersonRow]:
        """Everybody who is known or has a conversation, by the name to be shown, then by address."""
        return self._find("true", ())

    def called(self, name: str) -> list[PersonRow]:
        """People who call themselves so, whether we wrote to them or not."""
        return self._find("name = ?", (name,))

    def beginning(self, digits: str) -> list[PersonRow]:
        """People whose addresses begin with these digits, in lower case."""
        return self._find("substr(address, 1, length(?1)) = ?1", (digits,))

    def _find(self, condition: str, parameters: tuple[Any, ...]) -> list[PersonRow]:
        rows = fetch_all(
            self._connection,
            f"""
            SELECT {_COLUMNS} FROM (
                SELECT {_COLUMNS} FROM people
                UNION ALL
                SELECT address, NULL, NULL, 0, 0, 0, NULL, NULL, 0 FROM conversations
                WHERE address NOT IN (SELECT address FROM people)
            )
            WHERE {condition} ORDER BY coalesce(nickname, name) IS NULL, coalesce(nickname, name), address
            """,  # noqa: S608 - one of three constants
            parameters,
        )
        return [_person(row) for row in rows]


def _person(row: tuple[Any, ...]) -> PersonRow:
    address, name, nickname, approved, approved_me, blocked, *rest = row
    return PersonRow(address, name, nickname, bool(approved), bool(approved_me), bool(blocked), *rest)
