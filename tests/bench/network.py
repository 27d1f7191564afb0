"""What a network in trouble costs: dead nodes, many swarms, a client that runs for long.

Swarm members wait for dead peers before they answer a `store`: 5 s on the real network, here PEER_TIMEOUT_S, so that
the numbers tell about the client. Dead nodes refuse connections, and whoever passes a request on to one hears nothing.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from session_cli.devnet.network import Devnet, DevnetOptions
from session_cli.network.clock import Deadline
from session_cli.network.definition import load_definition
from session_cli.network.network import Network
from session_cli.network.swarm import Poll
from session_cli.network.swarm_steps import Extend, OwnStore
from session_cli.protocol.account import Identity
from session_cli.protocol.group.identity import GroupIdentity
from session_cli.protocol.group.subaccount import GroupMember, auth_data
from session_cli.protocol.storage_rpc import GROUP_NAMESPACES, message_hash
from tests.support.devnet import Person
from tests.support.network import DAY_MS

from .measuring import network, ratio

PEER_TIMEOUT_S = 0.1
RUNS = 200
HEALTHY_RUNS = 30
SWARMS = 50
GROUPS = 100
HOP_DELAY_S = 0.03
SENDS = 1_000

_LONG_RUN = """
import json, os, sys, threading
from pathlib import Path
from session_cli import Client
client = Client.create(network=sys.argv[1], environ={"SESSION_HOME": sys.argv[2]}, timeout=30)
def facts():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return [len(os.listdir("/proc/self/fd")), threading.active_count(), pages * os.sysconf("SC_PAGE_SIZE")]
def send(count):
    for number in range(count):
        client.send("me", f"message {number}")
send(100)
before = facts()
send(int(sys.argv[3]))
print(json.dumps([before, facts()]))
"""


def measure() -> Iterator[str]:
    """Dead nodes, dead guards, many swarms, many sends."""
    yield from _dead_nodes()
    yield from _dead_guards()
    yield from _many_swarms()
    yield from _many_sends()


def slow_network(folder: Path) -> tuple[str, ...]:
    """The options of a local network in which each hop takes as long as on the real one; a file of them is put here."""
    chaos = folder / "chaos.toml"
    chaos.write_text(f'[[fault]]\nkind = "delay"\nseconds = {HOP_DELAY_S}\n')
    return "--chaos", str(chaos)


def _dead_nodes() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as name, Devnet(DevnetOptions(peer_timeout=PEER_TIMEOUT_S)) as net:
        definition = Path(name) / "network.toml"
        net.write_definition(definition)
        alice, bob = (Person(Path(name) / who, definition).init() for who in ("alice", "bob"))
        alice.run("send", bob.id, "warm the caches")
        bob.run("recv")
        healthy = [_round(alice, bob) for _ in range(HEALTHY_RUNS)]
        net.chaos.kill("30%")
        rounds = [_round(alice, bob) for _ in range(RUNS)]
        delivered = len(bob.run("recv", "--json").lines) if rounds else 0
    for index, what in enumerate(("send", "recv")):
        walls = _in_time(rounds, index)
        yield f"{what} with 30 % dead: {len(walls)} of {RUNS} succeeded within 30 s, the slowest in {max(walls):.1f} s"
        learnt = statistics.median(_in_time(rounds[RUNS // 2 :], index))
        base = statistics.median(_in_time(healthy, index))
        yield ratio(f"{what}, median of the last {RUNS // 2} to healthy", learnt, base, "2")
    yield f"left to fetch at the end: {delivered}"


def _in_time(rounds: list[tuple[float | None, float | None]], index: int) -> list[float]:
    return [wall for one in rounds for wall in (one[index],) if wall is not None]


def _round(alice: Person, bob: Person) -> tuple[float | None, float | None]:
    """Seconds that a `send` and a `recv` took; None for one that failed."""
    return _timed(alice, "send", "--timeout", "30", bob.id, "hello"), _timed(bob, "recv", "--timeout", "30")


def _timed(person: Person, *arguments: str) -> float | None:
    started = time.perf_counter()
    done = person.try_run(*arguments)
    return time.perf_counter() - started if done.code == 0 else None


def _dead_guards() -> Iterator[str]:
    for how in ("refuse", "silent"):
        with tempfile.TemporaryDirectory() as name, Devnet(DevnetOptions()) as net:
            definition = Path(name) / "network.toml"
            net.write_definition(definition)
            alice = Person(Path(name) / "alice", definition).init()
            alice.run("send", "me", "warm the caches")
            net.chaos.kill(how=how)
            started = time.perf_counter()
            code = alice.try_run("send", "--timeout", "5", "me", "hello").code
            yield f"all nodes dead ({how}): exit code {code} after {time.perf_counter() - started:.1f} s (--timeout 5)"


def _many_swarms() -> Iterator[str]:
    with (
        tempfile.TemporaryDirectory() as name,
        network(*slow_network(Path(name))) as definition,
        Network(load_definition(str(definition)), Path(name) / "cache") as client,
    ):
        people = [Poll(Identity.generate(), {0: {}}) for _ in range(SWARMS)]
        one, many = _compare_polls(client, people)
        yield f"poll of one swarm, {HOP_DELAY_S * 1000:.0f} ms a hop: {one * 1000:.0f} ms"
        yield ratio(f"poll of {SWARMS} swarms to that of one", many, one, "6")
        one, many = _compare_polls(client, _polls_of_groups(client))
        yield ratio(f"poll of {GROUPS} groups to that of one", many, one, "8")


def _polls_of_groups(client: Network) -> list[Poll]:
    """Groups of a usual size in which five messages wait, as one member of theirs polls them."""
    me, polls = Identity.generate(), []
    stores = [OwnStore(space, bytes([space]) * size, DAY_MS) for space, size in ((12, 2_462), (13, 256), (14, 2_048))]
    chat = [OwnStore(11, bytes([number]) * 512, DAY_MS) for number in range(5)]
    until_ms = time.time_ns() // 1_000_000 + 2 * DAY_MS
    for _ in range(GROUPS):
        group = GroupIdentity.generate()
        client.upkeep.perform(group, [*stores, *chat], Deadline(60))
        member = GroupMember.from_auth_data(me, group.account_id, auth_data(group, me.account_id))
        hashes = [message_hash(group.account_id, one.namespace, one.data) for one in stores]
        polls.append(Poll(member, {space: {} for space in GROUP_NAMESPACES}, keep=Extend(hashes, until_ms)))
    return polls


def _compare_polls(client: Network, polls: list[Poll]) -> tuple[float, float]:
    """Seconds that a poll of one swarm takes, and one of all."""
    _poll(client, polls)  # opens the connections
    return min(_poll(client, polls[:1]) for _ in range(5)), min(_poll(client, polls) for _ in range(3))


def _poll(client: Network, polls: list[Poll]) -> float:
    started = time.perf_counter()
    if any(isinstance(page, Exception) for _, page in client.swarm.poll(polls, Deadline(60))):
        raise RuntimeError("a poll failed")
    return time.perf_counter() - started


def _many_sends() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as name, Devnet(DevnetOptions()) as net:
        definition = Path(name) / "network.toml"
        net.write_definition(definition)
        script = [sys.executable, "-c", _LONG_RUN, str(definition), str(Path(name) / "home"), str(SENDS)]
        done = subprocess.run(script, stdout=subprocess.PIPE, check=True)
    before, after = json.loads(done.stdout)
    descriptors, threads = after[0] - before[0], after[1] - before[1]
    yield f"{SENDS} sends by one Client: {descriptors:+d} descriptors, {threads:+d} threads (aim: 0)"
    yield f"{SENDS} sends by one Client: {(after[2] - before[2]) / 1e6:+.1f} MB of memory (aim: at most 5)"
