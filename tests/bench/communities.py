"""What a page of a community costs, against the bare verification of its signatures; and 100,000 posts in the store."""

from __future__ import annotations

import json
import os
import random
import subprocess
import tempfile
import time
import timeit
from collections.abc import Iterator
from pathlib import Path

from nacl import bindings as sodium

from session_cli.core.communities.intake import CommunityIntake
from session_cli.core.profile import key_sources, open_profile
from session_cli.protocol import content as contents
from session_cli.protocol.account import Identity, key_of
from session_cli.protocol.community import posts
from session_cli.protocol.community.auth import ServerIdentity
from session_cli.protocol.community.values import parse_json
from session_cli.protocol.payload import Content, VisibleMessage
from session_cli.store.communities import RoomRow, ServerRow
from session_cli.store.records import NewMessage
from session_cli.store.store import Store
from tests.support.stores import profile_in_memory

from .history import cost_of, environment_of
from .made_up import COMMON, MIDDLE, texts, words
from .measuring import SESSION, ratio

PEOPLE = 30
POSTED_S = 1_700_000_000
MANY, FEW, AUTHORS = 100_000, 1_000, 300
SERVER, TOKEN = "http://rooms.example:80", "lobby"
ADDRESS = f"{SERVER}/{TOKEN}"


def measure() -> Iterator[str]:
    """Read, verify and understand a page of the largest size, from many people."""
    server_key = os.urandom(32)
    people = [ServerIdentity.of(Identity.generate(), server_key) for _ in range(PEOPLE)]
    rows = []
    for number in range(posts.MOST_POSTS):
        author = people[number % PEOPLE]
        content = Content(VisibleMessage(f"message number {number} " * 4), POSTED_S * 1000)
        made = posts.make_post(author, contents.serialize(content))
        row = {
            "id": number,
            "seqno": number,
            "session_id": author.member_id,
            "posted": POSTED_S + number,
            "reactions": {},
        }
        rows.append(row | made.json())
    answer = json.dumps(rows).encode()
    signed = [
        (entry.signature + entry.data, key_of(entry.author))
        for entry in posts.parse_page(rows, posts.MOST_POSTS).entries
        if isinstance(entry, posts.Post)
    ]

    def read() -> None:
        for entry in posts.parse_page(parse_json(answer), posts.MOST_POSTS).entries:
            if isinstance(entry, posts.Post):
                posts.open_post(entry)

    def bare() -> None:
        for message, key in signed:
            sodium.crypto_sign_open(message, key)

    def filed() -> float:
        """Seconds for taking the page into a store, without the time it takes to make that."""
        profile = profile_in_memory(Identity.generate())
        intake, me = CommunityIntake(profile), ServerIdentity.of(profile.identity, server_key)
        try:
            with profile.store.transaction():
                _join(profile.store)
            started = time.perf_counter()
            page = posts.parse_page(parse_json(answer), posts.MOST_POSTS)
            with profile.store.transaction():
                taken = intake.take_page(ADDRESS, me, page, POSTED_S * 1000)
            assert taken.new == len(signed)
            return time.perf_counter() - started
        finally:
            profile.store.close()

    ours, least = (min(timeit.repeat(work, number=5, repeat=5)) / 5 for work in (read, bare))
    stored = min(filed() for _ in range(5))
    yield f"page of {len(signed)} posts: {ours * 1000:.1f} ms, filed in a store {stored * 1000:.1f} ms"
    yield ratio("page to its signatures verified by libsodium alone", ours, least, "3")
    yield ratio("the same, and filed in the store", stored, least, "3")
    yield from _history()


def _history() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        homes = {count: Path(folder) / str(count) for count in (FEW, MANY)}
        for count, home in homes.items():
            _fill(home, count)
        vocabulary = words()
        for arguments in (
            ["log", TOKEN],
            ["search", vocabulary[COMMON]],
            ["search", "--in", TOKEN, vocabulary[MIDDLE]],
        ):
            few, many = (cost_of(homes[count], arguments) for count in (FEW, MANY))
            times = f"{few.wall * 1000:.0f} → {many.wall * 1000:.0f} ms"
            yield ratio(f"{' '.join(arguments)[:22]}, CPU ({times})", many.cpu, few.cpu, "2")


def _join(store: Store) -> None:
    store.communities.put_server(ServerRow(SERVER, bytes(32)))
    store.communities.put_room(RoomRow(ADDRESS, SERVER, TOKEN, seqno=1))


def _fill(home: Path, count: int) -> None:
    """Make a profile with so many posts in one room, by many people."""
    environment = environment_of(home)
    subprocess.run([SESSION, "init", "--quiet", "--key", "keyfile"], env=environment, check=True, capture_output=True)
    profile = open_profile(key_sources(environment, "default", None))
    store, chance = profile.store, random.Random(count)
    bodies, authors = texts(chance, 200), ["15" + chance.randbytes(32).hex() for _ in range(AUTHORS)]
    try:
        with store.transaction():
            _join(store)
            for number in range(1, count + 1):
                author = chance.choice(authors)
                body, posted_ms = next(bodies), 1000 * (POSTED_S + number)
                message_id = store.messages.add(NewMessage(ADDRESS, "incoming", author, posted_ms, body, "received"))
                store.communities.note_post(ADDRESS, number, message_id)
                if message_id is not None:
                    store.events.add("message", message_id)
            store.readers.place("default", store.readers.last_seq())
    finally:
        store.close()
