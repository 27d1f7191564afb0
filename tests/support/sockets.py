"""Which addresses a process connects to, which names it looks up: recorded from inside, or read from the system."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from session_cli.devnet.network import Devnet
from tests.support.devnet import TIMEOUT_S, Done, Person

Address = tuple[str, int]
_RECORDER = Path(__file__).with_name("recorder.py")


@dataclass(frozen=True, slots=True)
class SocketEvent:
    """One use of a socket, or of the resolver.

    `event` is Python's name of it ("socket.connect"); `address` what it went to: host and port, the path of a local
    socket, or the host that was asked for. `foreign`: it would have told somebody outside of this machine something.
    """

    event: str
    address: Address | str | None
    foreign: bool = False


@dataclass(frozen=True, slots=True)
class Watched:
    """How a run of the program ended, and what it did with sockets meanwhile, in order."""

    done: Done
    events: tuple[SocketEvent, ...]

    @property
    def connections(self) -> list[Address | str | None]:
        """Where it connected to, or tried to."""
        return [event.address for event in self.events if event.event == "socket.connect"]

    @property
    def names(self) -> list[str]:
        """The hosts that it asked the resolver for; not addresses in the place of names, which ask nobody."""
        return [_host(event.address) for event in self.events if _is_look_up(event) and event.foreign]

    @property
    def others(self) -> list[SocketEvent]:
        """Anything else: datagrams, bound sockets, other processes.

        Without what urllib3 does when it is loaded, to see whether there is IPv6: bind a socket that it then closes.
        """
        return [
            event
            for event in self.events
            if event.event != "socket.connect"
            and not _is_look_up(event)
            and (event.event, event.address) != ("socket.bind", ("::1", 0))
        ]


def _is_look_up(event: SocketEvent) -> bool:
    return event.event.startswith("socket.get")


def _host(address: Address | str | None) -> str:
    return address[0] if isinstance(address, tuple) else str(address)


def watch(person: Person, *arguments: str, stdin: bytes = b"") -> Watched:
    """Run the program as `Person.try_run` does, and watch it."""
    return _watch(["session", *arguments], person.environment, stdin)


def watch_code(source: str, environment: Mapping[str, str]) -> Watched:
    """Run a piece of Python, and watch it."""
    return _watch(["code", source], environment, b"")


def _watch(arguments: list[str], environment: Mapping[str, str], stdin: bytes) -> Watched:
    with tempfile.TemporaryFile() as log:
        run = subprocess.run(
            [sys.executable, str(_RECORDER), str(log.fileno()), *arguments],
            input=stdin,
            capture_output=True,
            env=environment,
            pass_fds=[log.fileno()],
            timeout=TIMEOUT_S,
            check=False,
        )
        log.seek(0)
        events = tuple(_event(json.loads(line)) for line in log)
    return Watched(Done(run.returncode, run.stdout, run.stderr.decode()), events)


def _event(record: dict[str, Any]) -> SocketEvent:
    address = record["address"]
    place = (address[0], address[1]) if isinstance(address, list) else address
    return SocketEvent(record["event"], place, record["foreign"])


def seed_of(net: Devnet) -> Address:
    """Where the seed of a local network listens."""
    host, _, port = net.seed_url.removeprefix("https://").rpartition(":")
    return host, int(port)


def guards_of(person: Person, net: Devnet) -> set[Address]:
    """Where the guards are that a person's program has chosen, by whatever it keeps in its cache."""
    keys: set[str] = set()
    for file in (person.home / "cache").rglob("*.json"):
        document = json.loads(file.read_text())
        keys.update(document.get("guards", ()) if isinstance(document, dict) else ())
    places = {node.ed25519.hex(): (node.ip, node.port) for node in net.nodes}
    return {places[key] for key in keys}


# What the system knows of a process.


def peers(pid: int) -> set[str]:
    """The IP addresses, its own and others', of all TCP and UDP sockets of a process. Linux only."""
    links = [link.readlink().name for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()]
    inodes = {name.removeprefix("socket:[").removesuffix("]") for name in links if name.startswith("socket:[")}
    found: set[str] = set()
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[9] in inodes:
                found.update(_readable(field.partition(":")[0]) for field in fields[1:3])
    return found


def _readable(words: str) -> str:
    """An address from the system's tables: hexadecimal 32-bit words in the machine's own order."""
    packed = b"".join(struct.pack("=I", int(words[at : at + 8], 16)) for at in range(0, len(words), 8))
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)
