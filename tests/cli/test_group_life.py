"""The whole life of a group of five, as each of them is told of it; and groups on a network that is not well."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from session_cli.devnet.faults import Drop
from session_cli.devnet.network import Devnet
from tests.support.devnet import Person
from tests.support.friends import befriend, log
from tests.support.groups import group, join, make_group, statuses
from tests.support.outcomes import bodies

People = Callable[[str], Person]


def told(person: Person) -> list[str]:
    """What is new for somebody in groups: texts, and what kind of change there was."""
    found = []
    for each in person.receive():
        if each["type"] == "group_update":
            found.append(each["change"])
        elif each["type"] == "message" and each["conversation"]["type"] == "group":
            found.append(each["body"])
        elif each["type"] in ("reaction", "unsend", "expiration_update"):
            found.append(each["type"])
    return found


def all_are_told(people: Iterable[Person], *news: str) -> None:
    for one in people:
        assert told(one) == list(news), one.home.name


def test_the_whole_life_of_a_group(person: People) -> None:
    names = ("Alice", "Bob", "Carol", "Dave", "Erin")
    alice, bob, carol, dave, erin = (person(name) for name in names)
    for one in (bob, carol, dave, erin):
        befriend(alice, one)
    # Made, by one of them with two others.
    group_id = alice.run("group", "create", "Five", bob.id, carol.id).text.strip()
    for one in (bob, carol):
        join(one, group_id)
    alice.receive()
    bob.receive()
    assert statuses(alice, "Five") == {alice.id: "admin", bob.id: "member", carol.id: "member"}
    alice.run("send", "Five", "we are three")
    all_are_told((bob, carol), "we are three")
    # Another device of a member has it all.
    phone = bob.second_device("phone")
    phone.receive()
    assert (group(phone, group_id)["state"], group(phone, group_id)["name"]) == ("member", "Five")
    # Two more, one of whom is to know what was said.
    alice.run("group", "invite", "Five", "Dave")
    alice.run("group", "invite", "Five", "Erin", "--history")
    for one in (bob, carol):
        assert told(one) == ["added", "added"]
    for one in (dave, erin):
        join(one, group_id)
    assert bodies(log(dave, group_id)) == []
    assert bodies(log(erin, group_id)) == ["we are three"]
    everybody = (alice, bob, carol, dave, erin)
    for one in (*everybody, phone):
        one.receive()
    dave.run("send", "Five", "we are five")
    all_are_told((alice, bob, carol, erin, phone), "we are five")
    # Named, timed, and run by two.
    alice.run("group", "rename", "Five", "Hand")
    all_are_told((bob, carol, dave, erin, phone), "renamed")
    alice.run("group", "promote", "Hand", "Bob", "--yes")
    assert all("promoted" in told(one) for one in (bob, carol, dave, erin))
    assert group(bob, "Hand")["state"] == "admin"
    bob.run("group", "expire", "Hand", "1d")
    for one in (alice, carol, dave, erin):
        assert "expiration_update" in told(one)
        assert group(one, "Hand")["timer"] == 86_400
    # Said, answered, and taken back; an admin takes back what another said.
    carol.run("send", "Hand", "something bad")
    alice.receive()
    entry = next(each for each in log(alice, "Hand") if each["type"] == "message" and each["body"] == "something bad")
    alice.run("react", str(entry["id"]), "👎")
    for one in (bob, carol, dave, erin):
        assert "reaction" in told(one)
    alice.run("unsend", str(entry["id"]))
    for one in (bob, carol, dave, erin):
        assert told(one) == ["unsend"]
        assert "something bad" not in bodies(log(one, "Hand"))
    # One is removed by the new admin, and hears and says nothing any more.
    bob.run("group", "remove", "Hand", carol.id, "--yes")
    assert "removed" in told(alice)
    alice.run("send", "Hand", "we are four")
    for one in (bob, dave, erin):
        assert told(one)[-1] == "we are four"
        assert carol.id not in statuses(one, "Hand")
    assert "we are four" not in told(carol)
    assert group(carol, group_id)["state"] == "kicked"
    assert carol.try_run("send", group_id, "let me in").code != 0
    phone.receive()
    assert group(phone, group_id)["state"] == "admin"
    # One leaves, and then all of it ends.
    dave.run("group", "leave", "Hand", "--yes")
    for one in (alice, bob, erin):
        assert "left" in told(one)
    alice.receive()
    erin.receive()
    assert statuses(erin, "Hand").keys() == {alice.id, bob.id, erin.id}
    alice.run("group", "delete", "Hand", "--yes")
    for one in (bob, erin, phone):
        one.receive()
        assert group(one, group_id)["state"] == "destroyed"


@pytest.mark.parametrize("deed", ["invite", "remove", "rename"])
def test_a_bad_network_loses_nothing(deed: str, private_net: Devnet, tmp_path: Path) -> None:
    """What is not done at once is said to be so, and is done when the network is better."""
    definition = tmp_path / "network.toml"
    private_net.write_definition(definition)
    alice, bob, carol = (
        Person(tmp_path / name.lower(), definition).init("--name", name) for name in ("Alice", "Bob", "Carol")
    )
    befriend(alice, bob)
    befriend(alice, carol)
    people = (bob,) if deed == "invite" else (bob, carol)
    group_id = make_group(alice, "Hikers", *people)
    alice.run("send", "Hikers", "before")
    # A third of what is asked in swarms is lost, half of it when it is done already.
    for fault in (Drop(), Drop(after=True)):
        private_net.chaos.inject(fault, roles={"destination"}, probability=0.17)
    arguments = {
        "invite": ("invite", "Hikers", carol.id),
        "remove": ("remove", "Hikers", carol.id, "--yes"),
        "rename": ("rename", "Hikers", "Climbers"),
    }[deed]
    for _ in range(4):
        done = alice.try_run("--timeout", "20", "group", *arguments)
        if done.code == 0:
            break
    alice.try_run("--timeout", "20", "send", group_id, "meanwhile", "--queue")
    private_net.chaos.clear()
    for one in (alice, bob, carol, alice):
        one.receive()
    match deed:
        case "invite":
            join(carol, group_id)
            alice.receive()
            assert statuses(alice, group_id)[carol.id] == "member"
        case "remove":
            assert carol.id not in statuses(bob, group_id)
            assert group(carol, group_id)["state"] == "kicked"
        case "rename":
            assert group(bob, group_id)["name"] == group(carol, group_id)["name"] == "Climbers"
    assert not group(alice, group_id)["waiting"]
    alice.run("send", group_id, "after")
    bob.receive()
    assert bodies(log(bob, group_id)) == ["before", "meanwhile", "after"]
