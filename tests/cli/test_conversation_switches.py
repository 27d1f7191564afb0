"""Pinned, muted, hidden and marked conversations, on both devices of an account."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.devnet import Person
from tests.support.friends import befriend, log
from tests.support.histories import account_id
from tests.support.outcomes import bodies, check_json_refusal, check_refusal

People = Callable[[str], Person]
STRANGER = account_id(9)


def conversations(someone: Person) -> list[dict[str, Any]]:
    return someone.run("list", "--json").objects


def names(someone: Person) -> list[str]:
    """Whom the conversations in the list are with, in its order."""
    return [each["conversation"]["name"] for each in conversations(someone)]


def state(someone: Person, *command: str) -> dict[str, Any]:
    """What a command says of a conversation after it."""
    (found,) = someone.run(*command, "--json").objects
    assert found["type"] == "conversation_state"
    return found


@pytest.fixture
def alice(person: People) -> Person:
    """Somebody who has talked with Bob first, and then with Carol."""
    alice = person("Alice")
    for name in ("Bob", "Carol"):
        befriend(alice, person(name))
    return alice


def test_pinned_conversations_come_first_everywhere(alice: Person) -> None:
    assert names(alice) == ["Carol", "Bob"]
    assert alice.run("contact", "pin", "Bob").stderr.endswith("comes first now.\n")
    assert names(alice) == ["Bob", "Carol"]
    assert [each["pinned"] for each in conversations(alice)] == [True, False]
    assert "[pinned] hello to you" in alice.run("list").lines[0]
    alice.run("sync")
    laptop = alice.second_device()
    assert laptop.run("contact", "show", "Bob", "--json").objects[0]["pinned"] is True
    assert names(laptop) == ["Bob", "Carol"]
    assert state(laptop, "contact", "unpin", "Bob")["pinned"] is False
    laptop.run("sync")
    alice.run("sync")
    assert names(alice) == ["Carol", "Bob"]


def test_a_pinned_conversation_is_listed_before_anything_is_written(alice: Person) -> None:
    alice.run("contact", "add", STRANGER, "Zoe")
    assert "Zoe" not in names(alice)
    alice.run("contact", "pin", "Zoe")
    first = conversations(alice)[0]
    assert (first["conversation"]["name"], first["last_message"], first["request"]) == ("Zoe", None, False)


def test_hidden_until_something_new_comes(alice: Person, person: People) -> None:
    laptop = alice.second_device()
    alice.run("contact", "pin", "Bob")
    found = state(alice, "contact", "hide", "Bob")
    assert (found["hidden"], found["pinned"]) == (True, False)
    assert names(alice) == ["Carol"]
    assert bodies(log(alice, "Bob")) == ["hello", "hello to you"], "nothing is lost"
    alice.run("sync")
    laptop.run("sync")
    assert names(laptop) == ["Carol"]
    alice.run("send", "Bob", "are you there?")
    alice.run("sync")
    laptop.run("sync")
    assert names(alice) == names(laptop) == ["Bob", "Carol"]
    laptop.run("contact", "hide", "Bob")
    laptop.run("contact", "pin", "Bob")
    assert names(laptop) == ["Bob", "Carol"]


def test_hidden_conversations_can_be_found_and_shown(alice: Person) -> None:
    alice.run("contact", "mute", "Bob", "--for", "8h")
    assert alice.run("contact", "hide", "Bob").stderr.endswith("is not shown until something new comes.\n")
    (found,) = alice.run("list", "--hidden", "--json").objects
    assert (found["conversation"]["name"], found["hidden"]) == ("Bob", True)
    assert "[hidden]" in alice.run("contact", "list").text
    assert state(alice, "contact", "unhide", "Bob")["hidden"] is False
    assert alice.run("list", "--hidden").text == ""
    assert names(alice) == ["Carol", "Bob"]


def test_notes_to_self_can_be_pinned_and_hidden(alice: Person) -> None:
    alice.run("send", "me", "milk")
    alice.run("send", "Carol", "hi")
    found = state(alice, "contact", "pin", "me")
    assert (found["conversation"]["type"], found["pinned"]) == ("self", True)
    assert names(alice) == ["Alice", "Carol", "Bob"]
    alice.run("sync")
    laptop = alice.second_device()
    assert names(laptop)[0] == "Alice"
    assert laptop.run("contact", "hide", "me").stderr.startswith("Note to self is not shown")
    laptop.run("sync")
    alice.run("sync")
    assert names(alice) == ["Carol", "Bob"]
    check_refusal(alice.try_run("contact", "mute", "me"), 65, "nobody is notified")


def test_muted_for_good_or_for_a_time(alice: Person) -> None:
    found = state(alice, "contact", "mute", "Bob")
    assert (found["muted"], found["muted_until"]) == (True, None)
    assert "[muted]" in alice.run("list").lines[1]
    alice.run("sync")
    laptop = alice.second_device()
    assert {each["conversation"]["name"]: each["muted"] for each in conversations(laptop)} == {
        "Bob": True,
        "Carol": False,
    }
    found = state(laptop, "contact", "mute", "Bob", "--for", "8h")
    assert found["muted"] is True
    assert found["muted_until"].endswith("Z")
    laptop.run("sync")
    alice.run("sync")
    contact = alice.run("contact", "show", "Bob", "--json").objects[0]
    assert contact["muted_until"] == found["muted_until"]
    assert "until 20" in alice.run("contact", "show", "Bob").text
    found = state(alice, "contact", "unmute", "Bob")
    assert (found["muted"], found["muted_until"]) == (False, None)
    for wrong in ("soon", "0h", "-1h", ""):
        check_refusal(alice.try_run("contact", "mute", "Bob", "--for", wrong), 2, "no length of time")
    check_refusal(alice.try_run("contact", "mute", "Bob", "--for", "99999d"), 65, "ten years")


def test_marked_as_unread_until_it_is_read(alice: Person) -> None:
    laptop = alice.second_device()
    assert state(alice, "read", "Bob", "--unread")["marked_unread"] is True
    marks = {each["conversation"]["name"]: each["marked_unread"] for each in conversations(alice)}
    assert marks == {"Bob": True, "Carol": False}
    alice.receive()
    assert [line.split()[0] for line in alice.run("list").lines][1] == "*"
    alice.run("sync")
    laptop.run("sync")
    assert [each["marked_unread"] for each in conversations(laptop)] == [False, True]
    laptop.run("read", "Bob")
    laptop.run("sync")
    alice.run("sync")
    assert [each["marked_unread"] for each in conversations(alice)] == [False, False]
    check_refusal(alice.try_run("read", "--unread"), 2, "Which?")
    check_refusal(alice.try_run("read", "--all", "--unread"), 2, "--unread needs names")


def test_of_whom_nothing_is_known(alice: Person) -> None:
    for command in ("pin", "unpin", "mute", "unmute", "hide"):
        check_json_refusal(alice.try_run("contact", command, STRANGER, "--json"), 65, "invalid_input")
        check_refusal(alice.try_run("contact", command, "nobody"), 65, "nobody")
    check_refusal(alice.try_run("read", STRANGER, "--unread"), 65, "session contact add")
    assert names(alice) == ["Carol", "Bob"]


@pytest.mark.skipif(sys.platform != "linux", reason="the bus of the test is Linux's")
def test_no_notification_of_muted_conversations(alice: Person, person: People, tmp_path: Path) -> None:
    from tests.support.bus import fake_bus

    dave = person("Dave")
    befriend(alice, dave)
    alice.receive()
    alice.run("contact", "mute", "Dave")
    with fake_bus(tmp_path / "bus") as bus:
        alice.extra = {"DBUS_SESSION_BUS_ADDRESS": bus.address}
        dave.run("send", alice.id, "psst")
        alice.run("recv", "--notify")
        assert bus.texts == []
        assert alice.receive() == [], "it counts as received"
        alice.run("contact", "unmute", "Dave")
        dave.run("send", alice.id, "hello")
        alice.run("recv", "--notify")
        assert bus.texts == [("Dave", "hello")]
