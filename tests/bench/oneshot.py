"""A whole `send` and `recv` on a local network, against loading the libraries that any such program needs."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from session_cli.devnet.network import Devnet, DevnetOptions
from tests.support.devnet import Person

from .measuring import SESSION, best, ratio


def measure() -> Iterator[str]:
    """Costs of `send` and `recv` with warm caches, and the requests they make."""
    with tempfile.TemporaryDirectory() as folder, Devnet(DevnetOptions()) as net:
        definition = Path(folder) / "network.toml"
        net.write_definition(definition)
        alice, bob = (Person(Path(folder) / name, definition).init() for name in ("alice", "bob"))
        alice.run("send", bob.id, "warm the caches")
        bob.run("recv")
        base = best([sys.executable, "-c", "import requests, nacl.bindings"], alice.environment)
        yield f"python -c 'import requests, nacl.bindings': {base.cpu * 1000:.0f} ms of CPU, {base.wall * 1000:.0f} ms"
        for person, arguments in ((alice, ["send", bob.id, "hello"]), (bob, ["recv"])):
            before = len(net.request_log)
            cost = best([SESSION, *arguments], person.environment)
            runs = [record.method for record in net.request_log[before:] if record.kind == "storage"]
            yield ratio(f"session {arguments[0]}, CPU", cost.cpu, base.cpu, "2")
            yield ratio(f"session {arguments[0]}, wall", cost.wall, base.wall, "2")
            yield f"storage requests of nine runs: {sorted((m, runs.count(m)) for m in set(runs))}"
