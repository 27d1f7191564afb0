"""A file of 100 MB there and back, against copying it unencrypted through the same file server."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import requests

from session_cli.network.definition import load_definition
from tests.support.devnet import Person

from .measuring import SESSION, Cost, network, ratio, run

SIZE = 100_000_000
SMALL = 1_000
CHUNK = 1 << 20


def measure() -> Iterator[str]:
    """Wall time and memory of `attach send` and `attach save`."""
    # The network runs in a process of its own: a child's peak memory begins with that of the process that started it.
    with tempfile.TemporaryDirectory() as name, network() as definition:
        folder = Path(name)
        alice, bob = (Person(folder / who, definition).init() for who in ("alice", "bob"))
        for size in (SMALL, SIZE):
            with (folder / str(size)).open("wb") as file:
                for _ in range(-(-size // CHUNK)):
                    file.write(os.urandom(min(CHUNK, size)))
                file.truncate(size)
        copy = _copy(load_definition(str(definition)).file_server.url, folder)
        small_up, small_down = _transfer(alice, bob, folder, SMALL)
        up, down = _transfer(alice, bob, folder, SIZE)
        yield f"unencrypted copy: {copy:.2f} s; up {up.wall:.2f} s, down {down.wall:.2f} s"
        yield ratio("100 MB up and down, wall", up.wall + down.wall, copy, "4")
        yield f"memory beyond that for 1 kB: up {(up.peak - small_up.peak) / 1e6:.1f} MB (aim: 64)"
        yield f"memory beyond that for 1 kB: down {(down.peak - small_down.peak) / 1e6:.1f} MB (aim: 64)"


def _transfer(alice: Person, bob: Person, folder: Path, size: int) -> tuple[Cost, Cost]:
    up = run([SESSION, "attach", "send", bob.id, str(folder / str(size))], alice.environment)
    (message,) = bob.receive()
    target = folder / f"{size}.out"
    down = run([SESSION, "attach", "save", str(message["id"]), "-o", str(target)], bob.environment)
    if target.stat().st_size != size:
        raise RuntimeError("the file came back with another size")
    return up, down


def _copy(url: str, folder: Path) -> float:
    started = time.perf_counter()
    with requests.Session() as session, (folder / str(SIZE)).open("rb") as file:
        session.trust_env = False
        file_id = session.post(f"{url}/file", data=file, timeout=60).json()["id"]
        reply = session.get(f"{url}/file/{file_id}", stream=True, timeout=60)
        with reply, (folder / "copy").open("wb") as out:
            for chunk in reply.iter_content(CHUNK):
                out.write(chunk)
    return time.perf_counter() - started
