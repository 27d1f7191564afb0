"""People who talk with each other, and what they see."""

from __future__ import annotations

from typing import Any

from session_cli.devnet.network import Devnet
from tests.support.devnet import Person
from tests.support.histories import open_store
from tests.support.strangers import Stranger


def befriend(one: Person, other: Person) -> None:
    """Have two people write to each other, and read it: message 1 is the first one's, message 2 the answer."""
    one.run("send", other.id, "hello")
    other.receive()
    other.run("send", one.id, "hello to you")
    one.receive()


def other_app(net: Devnet, person: Person) -> Stranger:
    """The account of somebody in another app, which can say what our commands don't."""
    profile = open_store(person)
    try:
        return Stranger(net, profile.identity)
    finally:
        profile.store.close()


def log(person: Person, *arguments: str) -> list[dict[str, Any]]:
    """What `log --json` shows."""
    return person.run("log", "--json", *arguments).objects


def entry(person: Person, message_id: int) -> dict[str, Any]:
    """A message as `log --json` shows it."""
    (found,) = [each for each in log(person, "--limit", "0") if each["id"] == message_id]
    return found


def events(person: Person, type: str) -> list[dict[str, Any]]:
    """What is new of one type; all else that is new is received, too."""
    return [each for each in person.receive() if each["type"] == type]
