"""Reading outside of transactions, with the store's errors."""

from __future__ import annotations

from typing import Any

import apsw

from .database import translate_errors


def fetch_all(connection: apsw.Connection, statement: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """All rows of a query. Raises StoreDamaged, StoreLocked, StoreUnwritable."""
    with translate_errors(connection.filename):
        return list(connection.execute(statement, parameters))


def fetch_one(connection: apsw.Connection, statement: str, parameters: tuple[Any, ...] = ()) -> tuple[Any, ...] | None:
    """The first row of a query, or None. Raises as `fetch_all` does."""
    rows = fetch_all(connection, statement, parameters)
    return rows[0] if rows else None
