"""Configs in a rough network: kills at any moment, members that are gone or refuse. No change is lost."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from session_cli.devnet.faults import Drop, Fault, InnerStatus
from session_cli.devnet.network import Devnet
from session_cli.protocol.config.contacts import Contacts
from session_cli.protocol.config.kinds import ConfigKind
from tests.support.devnet import Person
from tests.support.forks import kill_fork, moments, run_fork
from tests.support.histories import account_id, open_store
from tests.support.other_app import phone_of
from tests.support.rough import Correspondence, label
from tests.support.stores import check_store
from tests.support.stores import open_store as open_connection

People = Callable[[str], Person]
KILLS = 40


def rename(person: Person, number: int, nickname: str) -> None:
    """As `contact rename` does, without the start of a process."""
    profile = open_store(person)
    try:
        with profile.store.transaction():
            profile.store.people.set_nickname(account_id(number), nickname)
    finally:
        profile.store.close()


def nicknames(person: Person) -> dict[str, str]:
    return {one["id"]: one["nickname"] for one in person.run("contact", "list", "--json").objects if one["nickname"]}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no kill -9")
def test_kills_while_configs_come_and_go(person: People, shared_net: Devnet, tmp_path: Path) -> None:
    """Each run has something to push and something to take; whatever becomes of it, no name is lost on any device."""
    alice, out = person("Alice"), tmp_path / "out"
    assert run_fork(alice.environment, "recv", out=out).status == 0
    laptop = alice.second_device()
    laptop.receive()
    phone = phone_of(shared_net, alice)
    phone.pull()
    durations = []
    for number in range(3):
        rename(alice, number + 1, f"A{number}")
        durations.append(run_fork(alice.environment, "recv", out=out).seconds)
    wanted = {account_id(number + 1): f"A{number}" for number in range(3)}
    killed = 0
    for number, delay in enumerate(moments(sorted(durations)[1], KILLS)):
        rename(alice, 100 + number, f"a{number}")
        rename(laptop, 200 + number, f"l{number}")
        wanted |= {account_id(100 + number): f"a{number}", account_id(200 + number): f"l{number}"}
        device = alice if number % 2 else laptop
        status = kill_fork(device.environment, delay, "recv", number=signal.SIGKILL, out=out)
        assert status in (0, -signal.SIGKILL), out.with_name("out.err").read_text()
        killed += status != 0
    assert killed > KILLS // 4, "most of the kills came too late"
    for device in (alice, laptop, alice, laptop):
        assert run_fork(device.environment, "recv", out=out).status == 0
    for device in (alice, laptop):
        assert nicknames(device) == wanted
        connection = open_connection(device)
        try:
            check_store(connection)
            assert connection.execute("SELECT count(*) FROM config_changes").get == 0
            assert connection.execute("SELECT count(*) FROM configs WHERE dirty").get == 0
        finally:
            connection.close()
    phone.pull()
    assert {one.account_id: one.nickname for one in Contacts(phone.data(ConfigKind.CONTACTS))} == wanted


@pytest.mark.parametrize("fault", [InnerStatus(500), InnerStatus(403), Drop(after=True)], ids=label)
def test_pushes_that_fail_go_out_later(fault: Fault, pair: Correspondence) -> None:
    """Refused by all, or stored without an answer: the next run makes up for it, and receiving goes on."""
    alice = pair.alice
    alice.receive()
    laptop = alice.second_device()
    laptop.receive()
    struck = pair.net.chaos.inject(fault, swarm=alice.id, methods={"sequence"})
    rename(alice, 1, "one")
    assert alice.try_run("recv").code == 0
    assert struck.hits
    rename(alice, 1, "two")
    assert alice.try_run("recv").code == 0
    pair.net.chaos.clear()
    for device in (alice, laptop):
        device.receive()
        assert nicknames(device)[account_id(1)] == "two"


def test_half_a_swarm(pair: Correspondence) -> None:
    """What those that are there have taken, the others are given when they are back."""
    alice = pair.alice
    alice.receive()
    laptop = alice.second_device()
    laptop.receive()
    gone = pair.members(alice)[::2]
    for member in gone:
        member.stop()
    rename(alice, 1, "one")
    alice.receive()
    laptop.receive()
    assert nicknames(laptop)[account_id(1)] == "one"
    for member in gone:
        member.start()
    rename(laptop, 1, "two")
    laptop.receive()
    alice.receive()
    assert nicknames(alice)[account_id(1)] == "two"
