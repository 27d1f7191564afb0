"""History and search in a store of a million messages, against one of a thousand; and what one takes on the disk."""

from __future__ import annotations

import os
import random
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from session_cli.core.profile import key_sources, open_profile
from session_cli.store.records import NewMessage
from session_cli.store.store import Store
from tests.support.histories import account_id

from .made_up import COMMON, MIDDLE, RARE, texts, words
from .measuring import SESSION, Cost, best, ratio

MANY, FEW = 1_000_000, 1_000
MEANS = (60, 200, 500)
"""Bytes of text in a message."""
SIZED = 200_000
"""Messages in the stores of which only the size is measured."""
_CORRESPONDENTS = 50
_BATCH = 50_000
_START_MS = 1_600_000_000_000


def measure() -> Iterator[str]:
    """`log`, `list` and `search` as processes; sizes of stores after a checkpoint."""
    with tempfile.TemporaryDirectory() as folder:
        homes = {count: Path(folder) / str(count) for count in (FEW, MANY)}
        for count, home in homes.items():
            size, text = _make(home, count, 200)
            yield f"{count:,} messages of {text / count:.0f} bytes: {size / count:.0f} bytes each on the disk"
        vocabulary = words()
        for arguments in (
            ["log"],
            ["log", _address(7)],
            ["list"],
            ["search", vocabulary[COMMON]],
            ["search", vocabulary[MIDDLE]],
            ["search", vocabulary[COMMON], vocabulary[MIDDLE]],
            ["search", f'"{vocabulary[0]} {vocabulary[COMMON]}"'],
            ["search", vocabulary[RARE]],
        ):
            few, many = (cost_of(homes[count], arguments) for count in (FEW, MANY))
            times = f"{few.wall * 1000:.0f} → {many.wall * 1000:.0f} ms"
            yield ratio(f"{' '.join(arguments)[:22]}, CPU ({times})", many.cpu, few.cpu, "2")
    for mean in MEANS:
        with tempfile.TemporaryDirectory() as folder:
            size, text = _make(Path(folder) / "home", SIZED, mean)
        yield ratio(f"store to text, {SIZED:,} of {text / SIZED:.0f} bytes", size, text, "1.6 at 200")


def cost_of(home: Path, arguments: Sequence[str]) -> Cost:
    """What a command costs, which may find nothing."""
    command = ["/bin/sh", "-c", '"$0" "$@" || test $? = 1', SESSION, *arguments, "--json"]
    return best(command, environment_of(home), 7)


def environment_of(home: Path) -> dict[str, str]:
    return dict(os.environ, SESSION_HOME=str(home), SESSION_NETWORK="mainnet")


def _make(home: Path, count: int, mean: int) -> tuple[int, int]:
    """Make a profile with so many messages; returns the bytes of its store and those of their texts."""
    environment = environment_of(home)
    subprocess.run([SESSION, "init", "--quiet", "--key", "keyfile"], env=environment, check=True, capture_output=True)
    profile = open_profile(key_sources(environment, "default", None))
    try:
        text = _fill(profile.store, str(profile.identity.account_id), count, mean)
    finally:
        profile.store.close()  # works the log into the file
    return sum(path.stat().st_size for path in profile.folder.glob("messages.db*")), text


def _fill(store: Store, own_id: str, count: int, mean: int) -> int:
    chance = random.Random(count + mean)
    bodies = texts(chance, mean)
    total, sent_ms = 0, _START_MS
    for start in range(0, count, _BATCH):
        with store.quick_transaction():
            for _ in range(start, min(start + _BATCH, count)):
                sent_ms += chance.randrange(1, 200_000)
                person = _address(min(int(chance.expovariate(0.1)), _CORRESPONDENTS - 1))
                body = next(bodies)
                total += len(body.encode())
                outgoing = chance.random() < 0.45
                message_id = store.messages.add(
                    NewMessage(
                        person,
                        "outgoing" if outgoing else "incoming",
                        own_id if outgoing else person,
                        sent_ms,
                        body,
                        "sent" if outgoing else "received",
                    )
                )
                if not outgoing and message_id is not None:
                    store.events.add("message", message_id)
    with store.transaction():
        store.readers.place("default", store.readers.last_seq())
    return total


@cache
def _address(number: int) -> str:
    return account_id(number)
