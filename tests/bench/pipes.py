"""What a cron job and a pipe pay: `recv` with nothing new, and `send --lines`."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support.devnet import Person

from .measuring import SESSION, best, network, ratio

LINES = 200


def measure() -> Iterator[str]:
    """CPU of an idle `recv` against `whoami`; lines a second through one `send --lines`."""
    with tempfile.TemporaryDirectory() as folder, network() as definition:
        alice, bob = (Person(Path(folder) / name, definition).init() for name in ("alice", "bob"))
        bob.run("recv")
        base = best([SESSION, "whoami"], bob.environment)
        yield f"session whoami: {base.cpu * 1000:.0f} ms of CPU, {base.wall * 1000:.0f} ms"
        yield ratio("session recv, nothing new, CPU", best([SESSION, "recv"], bob.environment).cpu, base.cpu, "2.5")

        texts = [f"line {number}" for number in range(LINES)]
        started = time.perf_counter()
        subprocess.run(
            [SESSION, "send", "--lines", bob.id],
            input="\n".join(texts).encode(),
            env=alice.environment,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        took = time.perf_counter() - started
        shown = [event["body"] for event in bob.run("recv", "--json").objects]
        order = "in order" if shown == texts else "OUT OF ORDER"
        yield f"send --lines: {LINES / took:.0f} messages a second (aim: 20), {order}"
