"""People in groups, and what they see of them."""

from __future__ import annotations

from typing import Any

from tests.support.devnet import Person


def make_group(admin: Person, name: str, *people: Person) -> str:
    """A group of these people, all of whom have joined, and know it; returns its id."""
    group_id = admin.run("group", "create", name, *(one.id for one in people)).text.strip()
    for one in people:
        join(one, group_id)
    for one in (admin, *people):
        one.receive()
    return group_id


def join(person: Person, group_id: str) -> None:
    """Fetch an invitation and accept it, unless that is done already, as with one of somebody well known."""
    person.receive()
    if group(person, group_id)["state"] == "invited":
        person.run("group", "accept", group_id)
        person.receive()


def group(person: Person, which: str) -> dict[str, Any]:
    """What `group show --json` shows."""
    (found,) = person.run("group", "show", which, "--json").objects
    return found


def group_names(person: Person) -> list[str]:
    """The names of the groups that `group list` knows."""
    return [found["name"] for found in person.run("group", "list", "--json").objects]


def statuses(person: Person, which: str) -> dict[str, str]:
    """Of each member, by id, what `group members` says."""
    return {found["id"]: found["status"] for found in person.run("group", "members", which, "--json").objects}


def changes(person: Person) -> list[dict[str, Any]]:
    """What is new of changes of groups; all else that is new is received, too."""
    return [found for found in person.receive() if found["type"] == "group_update"]


def only_change(person: Person, change: str) -> dict[str, Any]:
    """The one change of this kind that is new."""
    (found,) = [found for found in changes(person) if found["change"] == change]
    return found
