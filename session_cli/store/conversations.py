"""What is set for a conversation: how far it is read, whether it is hidden, how what we write there disappears."""

from __future__ import annotations

import apsw

from .messages import EXPIRE_MODES
from .queries import fetch_one


class Conversations:
    """Settings of conversations, by address. Writing happens inside the caller's transaction."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def expiration(self, address: str) -> tuple[str, int]:
        """How what we write there disappears: `off`, `after_send` or `after_read`, and after how many seconds."""
        row = fetch_one(
            self._connection, "SELECT expire_mode, expire_s FROM conversations WHERE address = ?", (address,)
        )
        return (EXPIRE_MODES[row[0]], row[1]) if row else ("off", 0)

    def set_expiration(self, address: str, mode: str, seconds: int) -> None:
        """Let what we write there disappear from now on, or (`off`, 0) stay."""
        self._ensure(address)
        self._connection.execute(
            "UPDATE conversations SET expire_mode = ?, expire_s = ? WHERE address = ?",
            (EXPIRE_MODES.index(mode), seconds, address),
        )

    def read_ms(self, address: str) -> int:
        """The time up to which messages there are read."""
        row = fetch_one(self._connection, "SELECT read_ms FROM conversations WHERE address = ?", (address,))
        return int(row[0]) if row else 0

    def mark_read(self, address: str, until_ms: int) -> None:
        """Note that messages up to a time are read. What was read stays so."""
        self._ensure(address)
        self._connection.execute(
            "UPDATE conversations SET read_ms = max(read_ms, ?) WHERE address = ?", (until_ms, address)
        )

    def hide(self, address: str) -> None:
        """Show a conversation no more until something new comes."""
        self._connection.execute("UPDATE conversations SET hidden = 1 WHERE address = ?", (address,))

    def _ensure(self, address: str) -> None:
        self._connection.execute(
            "INSERT INTO conversations (kind, address) VALUES ('contact', ?) ON CONFLICT (address) DO NOTHING",
            (address,),
        )
