"""Groups and kill -9 at any moment: what was decided comes to its end, and nobody is left half way."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.devnet import Person
from tests.support.forks import kill_fork, moments, run_fork
from tests.support.friends import befriend
from tests.support.groups import group as found_group
from tests.support.groups import statuses
from tests.support.histories import account_id
from tests.support.outcomes import bodies
from tests.support.stores import check_store, open_store

People = Callable[[str], Person]
KILLS = 24

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no kill -9")


def test_an_admin_who_is_killed_at_any_moment(person: People, tmp_path: Path) -> None:
    """Somebody is invited, or removed, with each run; a run without a kill brings all of it to the group."""
    alice, bob, out = person("Alice"), person("Bob"), tmp_path / "out"
    befriend(alice, bob)
    group = alice.run("group", "create", "Friends", bob.id, "--quiet").text.strip()
    bob.receive()
    alice.receive()
    durations = [
        run_fork(alice.environment, "group", "invite", group, account_id(1), out=out).seconds,
        run_fork(alice.environment, "group", "remove", group, account_id(1), "--yes", out=out).seconds,
    ]
    wanted: set[str] = set()
    killed = 0
    for number, delay in enumerate(moments(max(durations), KILLS)):
        who = account_id(10 + number // 2)
        command = ("remove", group, who, "--yes") if number % 2 else ("invite", group, who)
        status = kill_fork(alice.environment, delay, "group", *command, number=signal.SIGKILL, out=out)
        killed += status == -signal.SIGKILL
        if number % 2 == 0 and who in statuses(alice, group):
            wanted.add(who)
        elif number % 2 and statuses(alice, group).get(who, "removed") == "removed":
            wanted.discard(who)
    assert killed > KILLS // 4, "most of the kills came too late"
    for _ in range(3):
        alice.receive()
    assert set(statuses(alice, group)) == {alice.id, bob.id} | wanted
    assert set(statuses(alice, group).values()) <= {"admin", "member", "invite_sent"}
    assert found_group(alice, group)["waiting"] is False
    connection = open_store(alice)
    check_store(connection)
    assert connection.execute("SELECT count(*) FROM group_errands").get == 0
    connection.close()
    alice.run("send", group, "we are complete")
    assert bodies(bob.receive())[-1] == "we are complete"
    assert set(statuses(bob, group)) == set(statuses(alice, group))


def test_a_member_who_is_killed_at_any_moment(person: People, tmp_path: Path) -> None:
    """What is in the group is shown once, whatever becomes of the runs that fetch it."""
    alice, bob, out = person("Alice"), person("Bob"), tmp_path / "out"
    befriend(alice, bob)
    group = alice.run("group", "create", "Friends", bob.id, "--quiet").text.strip()
    seconds = run_fork(bob.environment, "recv", "--json", "--type", "message", out=out).seconds
    out.unlink()
    sent = []
    for number, delay in enumerate(moments(seconds, KILLS)):
        sent.append(f"message {number}")
        alice.run("send", group, sent[-1])
        kill_fork(bob.environment, delay, "recv", "--json", "--type", "message", number=signal.SIGKILL, out=out)
    run_fork(bob.environment, "recv", "--json", "--type", "message", out=out)
    connection = open_store(bob)
    check_store(connection)
    connection.close()
    assert bodies(bob.run("log", group, "--limit", "1000", "--json").objects) == sent
