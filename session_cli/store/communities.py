"""The community servers that we know, and the rooms there that we have joined."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import apsw

from .queries import fetch_all, fetch_one

CLOSED, GONE = 1, 2
"""What `RoomRow.refused` can be, but for 0."""
POSTS, DIRECT = 10_000, 10_001
"""Under which numbers, beside those of the namespaces of swarms, posts and direct messages are remembered."""
FOR_EVER_MS = 2**53
"""Until when a post is remembered: a server may always tell of it again."""
_SERVER = "base_url, server_key, capabilities, inbox_id, outbox_id, failures, retry_ms, problem"
_ROOM = "address, base_url, token, joined_s, info_updates, seqno, oldest_id, info, unseen, refused"


@dataclass(frozen=True, slots=True)
class ServerRow:
    """A server; see the table. `capabilities` None: not known."""

    base_url: str
    server_key: bytes
    capabilities: frozenset[str] | None = None
    inbox_id: int | None = None
    outbox_id: int | None = None
    failures: int = 0
    retry_ms: int = 0
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class RoomRow:
    """A room that we have joined; see the table."""

    address: str
    base_url: str
    token: str
    joined_s: int = 0
    info_updates: int = 0
    seqno: int | None = None
    oldest_id: int | None = None
    info: dict[str, Any] = field(default_factory=dict)
    unseen: tuple[int, ...] = ()
    refused: int = 0


class Communities:
    """Reads and writes them. Writing happens inside the caller's transaction."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    # Servers.

    def server(self, base_url: str) -> ServerRow | None:
        """A server by its base URL."""
        row = fetch_one(self._connection, f"SELECT {_SERVER} FROM community_servers WHERE base_url = ?", (base_url,))  # noqa: S608 - a constant
        return _server(row) if row else None

    def servers(self) -> list[ServerRow]:
        """The servers on which we have joined a room, by base URL."""
        rows = fetch_all(
            self._connection,
            f"SELECT {_SERVER} FROM community_servers WHERE base_url IN (SELECT base_url FROM community_rooms) "  # noqa: S608 - a constant
            "ORDER BY base_url",
        )
        return [_server(row) for row in rows]

    def put_server(self, server: ServerRow) -> None:
        """Know of a server exactly this."""
        capabilities = None if server.capabilities is None else json.dumps(sorted(server.capabilities))
        self._connection.execute(
            f"""
            INSERT INTO community_servers ({_SERVER}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (base_url) DO UPDATE SET server_key = excluded.server_key, capabilities = excluded.capabilities,
                inbox_id = excluded.inbox_id, outbox_id = excluded.outbox_id, failures = excluded.failures,
                retry_ms = excluded.retry_ms, problem = excluded.problem
            """,  # noqa: S608 - a constant
            (
                server.base_url,
                server.server_key,
                capabilities,
                server.inbox_id,
                server.outbox_id,
                server.failures,
                server.retry_ms,
                server.problem,
            ),
        )

    def note_success(self, base_url: str) -> None:
        """Note that a server has answered."""
        self._connection.execute(
            "UPDATE community_servers SET failures = 0, retry_ms = 0, problem = NULL WHERE base_url = ?",
            (base_url,),
        )

    # Rooms.

    def any(self) -> bool:
        """Whether we have joined a room."""
        return fetch_one(self._connection, "SELECT 1 FROM community_rooms LIMIT 1") is not None

    def room(self, address: str) -> RoomRow | None:
        """A room by its address."""
        row = fetch_one(self._connection, f"SELECT {_ROOM} FROM community_rooms WHERE address = ?", (address,))  # noqa: S608 - a constant
        return _room(row) if row else None

    def rooms(self, base_url: str | None = None) -> list[RoomRow]:
        """The rooms, perhaps of one server alone, by address."""
        rows = fetch_all(
            self._connection,
            f"SELECT {_ROOM} FROM community_rooms WHERE ?1 IS NULL OR base_url = ?1 ORDER BY address",  # noqa: S608 - a constant
            (base_url,),
        )
        return [_room(row) for row in rows]

    def put_room(self, room: RoomRow) -> None:
        """Know of a room exactly this."""
        self._connection.execute(
            f"""
            INSERT INTO community_rooms ({_ROOM}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (address) DO UPDATE SET base_url = excluded.base_url, token = excluded.token,
                joined_s = excluded.joined_s, info_updates = excluded.info_updates, seqno = excluded.seqno,
                oldest_id = excluded.oldest_id, info = excluded.info,
                unseen = excluded.unseen, refused = excluded.refused
            """,  # noqa: S608 - a constant
            (
                room.address,
                room.base_url,
                room.token,
                room.joined_s,
                room.info_updates,
                room.seqno,
                room.oldest_id,
                json.dumps(room.info),
                json.dumps(room.unseen),
                room.refused,
            ),
        )

    def note_info(self, address: str, info: dict[str, Any]) -> None:
        """Know of a room that its server says this of it."""
        self._connection.execute("UPDATE community_rooms SET info = ? WHERE address = ?", (json.dumps(info), address))

    def note_own_post(self, address: str, post_id: int, message_id: int) -> None:
        """Remember a post of ours, which the next poll has to show, or it was deleted at once."""
        self.note_post(address, post_id, message_id)
        self._connection.execute(
            "UPDATE community_rooms SET unseen = json_insert(unseen, '$[#]', ?) WHERE address = ?", (post_id, address)
        )

    def delete_room(self, address: str) -> None:
        """Know a room no more, nor its server if there is nobody else whom we know from there."""
        self._connection.execute("DELETE FROM community_rooms WHERE address = ?", (address,))
        self._connection.execute(
            "DELETE FROM community_servers WHERE base_url NOT IN (SELECT base_url FROM community_rooms) "
            "AND base_url NOT IN (SELECT base_url FROM blinded_people)"
        )

    # Posts.

    def message_of(self, address: str, post_id: int) -> int | None:
        """The message of ours that a post is."""
        row = fetch_one(
            self._connection,
            "SELECT message_id FROM seen_hashes WHERE account = ? AND namespace = ? AND hash = ?",
            (address, POSTS, str(post_id)),
        )
        return row[0] if row else None

    def is_known(self, address: str, post_id: int) -> bool:
        """Whether a post was taken before, whatever became of it."""
        row = fetch_one(
            self._connection,
            "SELECT 1 FROM seen_hashes WHERE account = ? AND namespace = ? AND hash = ?",
            (address, POSTS, str(post_id)),
        )
        return row is not None

    def note_post(self, address: str, post_id: int, message_id: int | None) -> None:
        """Remember a post, and which message of ours it is, if it is one."""
        self._connection.execute(
            """
            INSERT INTO seen_hashes (account, namespace, hash, expires_ms, message_id) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (account, namespace, hash) DO UPDATE SET message_id = excluded.message_id
            """,
            (address, POSTS, str(post_id), FOR_EVER_MS, message_id),
        )

    # Direct messages.

    def is_taken(self, base_url: str, name: str) -> bool:
        """Whether a direct message was taken before, whatever became of it."""
        row = fetch_one(
            self._connection,
            "SELECT 1 FROM seen_hashes WHERE account = ? AND namespace = ? AND hash = ?",
            (base_url, DIRECT, name),
        )
        return row is not None

    def note_taken(self, base_url: str, name: str, expires_ms: int) -> None:
        """Remember a direct message for as long as its server keeps it."""
        self._connection.execute(
            "INSERT INTO seen_hashes (account, namespace, hash, expires_ms) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (base_url, DIRECT, name, expires_ms),
        )

    # People.

    def server_of(self, blinded: str) -> str | None:
        """The server on which a blinded id was met: where it was written to, or else where it has written first.

        Another server may say later that the same id has written there as well: it has only to repeat what it read.
        """
        row = fetch_one(self._connection, "SELECT base_url FROM blinded_people WHERE blinded = ?", (blinded,))
        row = row or fetch_one(
            self._connection,
            """
            SELECT r.base_url FROM messages m JOIN people p ON p.id = m.sender_id
            JOIN conversations c ON c.id = m.conversation_id JOIN community_rooms r ON r.address = c.address
            WHERE p.address = ? ORDER BY m.id LIMIT 1
            """,
            (blinded,),
        )
        return row[0] if row else None

    def senders(self, address: str) -> set[str]:
        """Those who have written in a room, as far as it is here."""
        rows = fetch_all(
            self._connection,
            """
            SELECT DISTINCT p.address FROM messages m JOIN people p ON p.id = m.sender_id
            WHERE m.conversation_id = (SELECT id FROM conversations WHERE address = ?)
            """,
            (address,),
        )
        return {row[0] for row in rows}

    def account_of(self, blinded: str) -> str | None:
        """The account that a blinded id belongs to, if that is known."""
        row = fetch_one(self._connection, "SELECT account FROM blinded_people WHERE blinded = ?", (blinded,))
        return row[0] if row else None

    def blocked(self) -> set[str]:
        """The blinded ids of those whose accounts are blocked, as far as these are known."""
        rows = fetch_all(
            self._connection,
            "SELECT b.blinded FROM blinded_people b JOIN people p ON p.address = b.account WHERE p.blocked",
        )
        return {row[0] for row in rows}

    def note_server(self, blinded: str, base_url: str) -> None:
        """Note on which server a blinded id is to be written to."""
        self._connection.execute(
            "INSERT INTO blinded_people (blinded, account, base_url) VALUES (?, NULL, ?) ON CONFLICT DO NOTHING",
            (blinded, base_url),
        )

    def note_account(self, blinded: str, account: str, base_url: str) -> None:
        """Note which account a blinded id of a server belongs to."""
        self._connection.execute(
            """
            INSERT INTO blinded_people (blinded, account, base_url) VALUES (?, ?, ?)
            ON CONFLICT (blinded) DO UPDATE SET account = excluded.account WHERE account IS NULL
            """,
            (blinded, account, base_url),
        )

    def strangers(self) -> list[tuple[str, ServerRow]]:
        """Those whom we have written to under a blinded id, and whose accounts we don't know; with their servers."""
        rows = fetch_all(
            self._connection,
            f"""
            SELECT b.blinded, {", ".join(f"s.{column}" for column in _SERVER.split(", "))}
            FROM blinded_people b JOIN community_servers s USING (base_url) WHERE b.account IS NULL
            """,  # noqa: S608 - a constant
        )
        return [(blinded, _server(tuple(server))) for blinded, *server in rows]

    def blinded_of(self, account: str, base_url: str) -> str | None:
        """The blinded id by which a server knows an account, if that is known."""
        row = fetch_one(
            self._connection,
            "SELECT blinded FROM blinded_people WHERE account = ? AND base_url = ?",
            (account, base_url),
        )
        return row[0] if row else None

    def is_hermit(self, blinded: str) -> bool:
        """Whether somebody wants no direct messages from people who know him from communities alone."""
        row = fetch_one(self._connection, "SELECT 1 FROM community_hermits WHERE blinded = ?", (blinded,))
        return row is not None

    def note_hermit(self, blinded: str, *, is_one: bool) -> None:
        """Note that."""
        statement = "INSERT INTO community_hermits VALUES (?) ON CONFLICT DO NOTHING"
        if not is_one:
            statement = "DELETE FROM community_hermits WHERE blinded = ?"
        self._connection.execute(statement, (blinded,))


def _server(row: tuple[Any, ...]) -> ServerRow:
    base_url, key, capabilities, *more = row
    known = None if capabilities is None else frozenset(json.loads(capabilities))
    return ServerRow(base_url, key, known, *more)


def _room(row: tuple[Any, ...]) -> RoomRow:
    address, base_url, token, joined_s, info_updates, seqno, oldest_id, info, unseen, refused = row
    known = json.loads(info) if info is not None else {}
    return RoomRow(
        address, base_url, token, joined_s, info_updates, seqno, oldest_id, known, tuple(json.loads(unseen)), refused
    )
