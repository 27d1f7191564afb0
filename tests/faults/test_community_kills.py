"""Rooms of communities and kill -9 at any moment: what is written there stands there once, and is read once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.communities import Server, running_server
from tests.support.devnet import Person
from tests.support.forks import kill_fork, moments, run_fork
from tests.support.friends import log
from tests.support.outcomes import bodies
from tests.support.stores import check_store, open_store

KILLS = 24

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no kill -9")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with running_server(tmp_path) as server:
        yield server


def check(person: Person) -> None:
    connection = open_store(person)
    check_store(connection)
    connection.close()


def later(person: Person) -> None:
    """Let some minutes go by: what is on its way arrives, and servers that failed are worth another try."""
    connection = open_store(person)
    connection.execute("UPDATE deliveries SET tried_ms = 1 WHERE tried_ms > 0")
    connection.execute("UPDATE community_servers SET retry_ms = 0")
    connection.close()


def test_who_writes_and_is_killed_at_any_moment(server: Server, tmp_path: Path) -> None:
    """A kill between the post and its answer looks, from here, like one before the post."""
    alice, bob, out = server.person("Alice", "lobby"), server.person("Bob", "lobby"), tmp_path / "out"
    durations = [run_fork(alice.environment, "send", "lobby", f"whole {n}", "--queue", out=out).seconds for n in (1, 2)]
    killed = 0
    for number, delay in enumerate(moments(max(durations), KILLS)):
        later(alice)
        command = ("send", "lobby", f"message {number}", "--queue")
        killed += kill_fork(alice.environment, delay, *command, number=signal.SIGKILL, out=out) == -signal.SIGKILL
    assert killed > KILLS // 4, "most of the kills came too late"
    later(alice)
    alice.receive()
    check(alice)
    written = [(entry["body"], entry["status"]) for entry in log(alice, "lobby")]
    assert {status for _, status in written} == {"sent"}
    bob.receive()
    assert sorted(bodies(log(bob, "lobby"))) == sorted(body for body, _ in written)
    assert len(set(written)) == len(written) >= 2 + KILLS - killed


def test_who_reads_and_is_killed_at_any_moment(server: Server, tmp_path: Path) -> None:
    alice, bob, out = server.person("Alice", "lobby"), server.person("Bob", "lobby"), tmp_path / "out"
    command = ("recv", "--json", "--type", "message")
    seconds = run_fork(bob.environment, *command, out=out).seconds
    sent = []
    for number, delay in enumerate(moments(seconds, KILLS)):
        sent.append(f"message {number}")
        alice.run("send", "lobby", sent[-1])
        kill_fork(bob.environment, delay, *command, number=signal.SIGKILL, out=out)
    assert run_fork(bob.environment, *command, out=out).status == 0
    check(bob)
    assert bodies(log(bob, "lobby")) == sent
