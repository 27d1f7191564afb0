"""Looking into a person's store, past the program."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import apsw

from session_cli.core.profile import Profile, key_sources
from session_cli.protocol.account import Identity
from session_cli.store.database import migrate, open_database, transaction
from session_cli.store.events import ENTRIES
from session_cli.store.key import open_key
from session_cli.store.locations import locate
from session_cli.store.migrations import m0001_initial
from session_cli.store.store import DATABASE_NAME, Store
from tests.support.devnet import Person


def open_store(person: Person) -> apsw.Connection:
    """The person's database as it is, without the migrations that opening a profile brings."""
    sources = key_sources(person.environment, "default", None)
    folder = sources.locations.profile_dir("default")
    return open_database(folder / DATABASE_NAME, open_key(folder, secrets=sources), create=False)


def profile_in_memory(identity: Identity) -> Profile:
    """A profile whose store is on no disk, and which has no folder to work in."""
    connection = apsw.Connection(":memory:")
    connection.deserialize("main", _empty_database())
    connection.pragma("foreign_keys", True)
    nowhere = locate({"SESSION_HOME": "/nowhere"})
    return Profile("default", nowhere.profile_dir("default"), nowhere, identity, Store(connection))


@cache
def _empty_database() -> bytes:
    """A database with all tables and nothing in them: making them anew takes longer than most tests that need them."""
    connection = apsw.Connection(":memory:")
    migrate(connection)
    return connection.serialize("main")


def check_store(connection: apsw.Connection) -> None:
    """What holds for every store at every moment between two transactions."""

    def count(statement: str) -> Any:
        return connection.execute(statement).get

    assert count("PRAGMA quick_check") == "ok"
    assert list(connection.execute("PRAGMA foreign_key_check")) == []
    connection.execute("INSERT INTO message_search (message_search) VALUES ('integrity-check')")
    entries = f"(SELECT message_id FROM events WHERE type IN ({ENTRIES}) AND message_id IS NOT NULL)"  # noqa: S608
    assert count(f"SELECT count(*) - count(DISTINCT message_id) FROM {entries}") == 0, "no message comes twice"  # noqa: S608
    assert count(f"SELECT count(*) FROM {entries} WHERE message_id NOT IN (SELECT id FROM messages)") == 0  # noqa: S608
    assert count(f"SELECT count(*) FROM messages WHERE outgoing = 0 AND id NOT IN {entries}") == 0  # noqa: S608
    assert (
        count("SELECT count(*) FROM events WHERE message_id IS NULL AND seq NOT IN (SELECT seq FROM event_details)")
        == 0
    )
    assert (
        count("SELECT count(*) FROM messages WHERE status = 4 AND id NOT IN (SELECT message_id FROM deliveries)") == 0
    )
    assert count("SELECT count(*) FROM deliveries d JOIN messages m ON m.id = d.message_id WHERE m.status = 2") == 0
    assert count("SELECT count(*) FROM taken t JOIN readers r ON r.name = t.reader WHERE t.seq <= r.seq") == 0


LATER_S = 3_000_000_000
"""Nothing may disappear of what was written long ago."""
ALICE, BOB, CAROL = ("05" + digit * 64 for digit in "abc")


def fill_old_store(connection: apsw.Connection, me: str, *, messages: int = 30) -> None:
    """Contents for every table of version 1, from several people and in every state."""
    states = ("received", "sent", "failed", "pending")

    def rows() -> Iterator[tuple[Any, ...]]:
        for number in range(1, messages + 1):
            status = states[number % 4]
            incoming = status == "received"
            quoted = (ALICE, 1_700_000_000_000) if number % 5 == 0 else (None, None)
            mode = ("off", "after_send", "after_read")[number % 3]
            yield (
                2 * number, 1 + number % 3, "incoming" if incoming else "outgoing",
                (ALICE, BOB, CAROL)[number % 3] if incoming else me, 1_700_000_000_000 + number, 5,
                "" if number % 7 == 0 else f"Wörter, word{number} O'Neil 😀", *quoted, mode, LATER_S * (number % 3),
                number % 2, status, None if status == "failed" else f"hash{number:039}",
            )  # fmt: skip

    def many(statement: str, values: Iterable[tuple[Any, ...]]) -> None:
        connection.executemany(statement, values)

    people = ((ALICE, "Alice", 7, 1, 1), (BOB, None, 0, 0, 1))  # Carol is known from her messages alone
    many("INSERT INTO people VALUES (?, ?, ?, ?, ?)", people)
    talks = ((1, "contact", ALICE), (2, "contact", BOB), (3, "contact", CAROL))
    many("INSERT INTO conversations VALUES (?, ?, ?)", talks)
    many("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows())
    connection.execute(
        """
        INSERT INTO attachments (id, message_id, position, url, key, digest, size, content_type, name, saved)
        SELECT 3 * m.id + p.value, m.id, p.value, 'http://files/' || m.id, x'01', x'02', 9, 'text/plain', 'ä', '/x'
        FROM messages m, json_each('[0, 1]') p WHERE m.id % 6 = 0;
        INSERT INTO deliveries SELECT id, id, 'recipient', :them, 99, x'03', 'r' || id,
            CASE status WHEN 'sent' THEN 'stored' ELSE status END FROM messages WHERE direction = 'outgoing';
        INSERT INTO deliveries SELECT 1000000 + id, id, 'own', :me, 99, x'04', 'o' || id, 'pending'
            FROM messages WHERE status IN ('sent', 'pending');
        UPDATE deliveries SET data = NULL WHERE state <> 'pending';
        INSERT INTO events SELECT id + 5, 'message', id FROM messages WHERE direction = 'incoming';
        INSERT INTO seen_hashes SELECT hash, :me, 0, 9000000000000 FROM messages WHERE hash <> '' AND id % 10 <> 0;
        INSERT INTO seen_hashes VALUES ('of nothing', :me, 0, 9000000000000);
        INSERT INTO swarm_positions VALUES ('node', :me, 0, 'hash1', 9000000000000, 1);
        INSERT INTO skipped VALUES ('bad', 'bad_signature', 4);
        -- The last of each are gone; their numbers stay used.
        UPDATE sqlite_sequence SET seq = seq + 100;
        """,
        {"me": me, "them": ALICE},
    )
    middle = connection.execute("SELECT seq FROM events ORDER BY seq LIMIT 1 OFFSET (SELECT count(*) / 2 FROM events)")
    readers = [("default", middle.get), ("new", 0), ("far", 10 * messages + 50)]
    many("INSERT INTO readers VALUES (?, ?)", readers)


def make_old(person: Person, *, messages: int = 30) -> None:
    """Put a store of version 1, with contents, in the place of a person's store; the account stays the same."""
    sources = key_sources(person.environment, "default", None)
    folder = sources.locations.profile_dir("default")
    key = open_key(folder, secrets=sources)
    path = folder / DATABASE_NAME
    new = open_database(path, key, create=False)
    settings = list(new.execute("SELECT name, value FROM settings"))
    new.close()
    path.unlink()
    old = open_database(path, key, create=True)
    migrate(old, [m0001_initial])
    with transaction(old):
        old.executemany("INSERT INTO settings VALUES (?, ?)", settings)
        fill_old_store(old, person.id, messages=messages)
    old.close()


_SAME = (
    "SELECT id, kind, address FROM conversations",
    "SELECT id, conversation_id, sent_ms, body, request FROM messages",
    "SELECT id, message_id, position, url, key, digest, size, content_type, name, voice, width, height, caption, saved "
    "FROM attachments",
    "SELECT seq, message_id FROM events",
    "SELECT name, seq FROM readers",
    "SELECT hash, account, namespace, expires_ms FROM seen_hashes",
    "SELECT * FROM swarm_positions",
    "SELECT * FROM skipped",
    "SELECT * FROM settings",
    "SELECT name, seq FROM sqlite_sequence WHERE name IN ('messages', 'attachments', 'events')",
)
_OLD = (
    "SELECT id, direction, sender, status, quote_author, quote_ms, expire_mode, expire_s FROM messages",
    "SELECT address, name, profile_updated_s, approved, approved_me FROM people UNION SELECT sender, (SELECT name FROM "
    "people WHERE address = sender), (SELECT coalesce(max(profile_updated_s), 0) FROM people WHERE address = sender), "
    "(SELECT coalesce(max(approved), 0) FROM people WHERE address = sender), "
    "(SELECT coalesce(max(approved_me), 0) FROM people WHERE address = sender) FROM messages",
    "SELECT id, message_id, role, account, ttl_ms, data, hash FROM deliveries WHERE state = 'pending'",
    "SELECT id, hash FROM messages WHERE hash IN (SELECT hash FROM seen_hashes)",
)
_NEW = (
    "SELECT m.id, CASE outgoing WHEN 1 THEN 'outgoing' ELSE 'incoming' END, p.address, "
    "CASE status WHEN 0 THEN 'received' WHEN 1 THEN 'sent' WHEN 2 THEN 'failed' WHEN 3 THEN 'pending' END, "
    "q.author, q.sent_ms, "
    "CASE coalesce(x.mode, 0) WHEN 0 THEN 'off' WHEN 1 THEN 'after_send' WHEN 2 THEN 'after_read' END, "
    "coalesce(x.seconds, 0) FROM messages m JOIN people p ON p.id = m.sender_id "
    "LEFT JOIN quotes q ON q.message_id = m.id LEFT JOIN expirations x ON x.message_id = m.id",
    "SELECT address, name, profile_updated_s, approved, approved_me FROM people",
    "SELECT id, message_id, role, account, ttl_ms, data, hash FROM deliveries",
    "SELECT message_id, hash FROM seen_hashes WHERE message_id IS NOT NULL",
)


def contents_of(connection: apsw.Connection) -> list[list[tuple[Any, ...]]]:
    """What is in a store, in words that versions 1 and 2 have in common."""
    version = connection.pragma("user_version")
    return [sorted(connection.execute(query), key=repr) for query in (*_SAME, *(_OLD if version == 1 else _NEW))]
