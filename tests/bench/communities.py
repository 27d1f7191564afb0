"""What a page of a community costs, against the bare verification of its signatures."""

from __future__ import annotations

import json
import os
import timeit
from collections.abc import Iterator

from nacl import bindings as sodium

from session_cli.protocol import content as contents
from session_cli.protocol.account import Identity, key_of
from session_cli.protocol.community import posts
from session_cli.protocol.community.auth import ServerIdentity
from session_cli.protocol.community.values import parse_json
from session_cli.protocol.payload import Content, VisibleMessage

from .measuring import ratio

PEOPLE = 30
POSTED_S = 1_700_000_000


def measure() -> Iterator[str]:
    """Read, verify and understand a page of the largest size, from many people."""
    server_key = os.urandom(32)
    people = [ServerIdentity.of(Identity.generate(), server_key) for _ in range(PEOPLE)]
    rows = []
    for number in range(posts.MOST_POSTS):
        author = people[number % PEOPLE]
        content = Content(VisibleMessage(f"message number {number} " * 4), POSTED_S * 1000)
        made = posts.make_post(author, contents.serialize(content))
        row = {"id": number, "seqno": number, "session_id": author.member_id, "posted": POSTED_S, "reactions": {}}
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

    ours, least = (min(timeit.repeat(work, number=5, repeat=5)) / 5 for work in (read, bare))
    yield f"page of {len(signed)} posts: {ours * 1000:.1f} ms"
    yield ratio("page to its signatures verified by libsodium alone", ours, least, "3")
