"""What the swarm has of a config of which something is still to be pushed: its sequence number is kept besides."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from ...protocol import bencode

if TYPE_CHECKING:
    import apsw
    from apsw import SQLiteValue

VERSION = 6

_MESSAGE, _SEQNO = b"$", b"#"


def apply(connection: apsw.Connection) -> None:
    """Put the number before the data, as `protocol.config.dump` has it from now on."""
    connection.create_scalar_function("numbered", _numbered, 2)
    for table in ("configs", "group_configs"):
        connection.execute(f"UPDATE {table} SET base = numbered(dump, base) WHERE base IS NOT NULL")  # noqa: S608
    connection.create_scalar_function("numbered", None, 2)


def _numbered(*values: SQLiteValue) -> bytes:
    # Nobody has kept the number; unless a push has failed, ours is the next one.
    dump, base = cast("tuple[bytes, bytes]", values)
    message = cast("dict[bytes, bytes]", bencode.decode(dump))[_MESSAGE]
    ours = cast("dict[bytes, int]", bencode.decode(message))[_SEQNO]
    return b"i%de" % (ours - 1) + base
