"""`expire`: how what one writes disappears, for everybody who sees it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from session_cli.protocol.account import Identity
from tests.support.devnet import Person
from tests.support.outcomes import check_json_refusal, check_refusal
from tests.support.stores import open_store

People = Callable[[str], Person]


@pytest.fixture
def friends(person: People) -> tuple[Person, Person]:
    """Alice and Bob, who have accepted each other."""
    alice, bob = person("Alice"), person("Bob")
    alice.run("send", bob.id, "hi")
    bob.receive()
    bob.run("send", alice.id, "hello")
    alice.receive()
    return alice, bob


def rule(someone: Person, to: str) -> tuple[str, int]:
    (shown,) = someone.run("expire", to, "--json").objects
    assert shown["type"] == "expiration"
    return shown["mode"], shown["seconds"]


def only(objects: list[dict[str, Any]], type: str) -> dict[str, Any]:
    (found,) = [found for found in objects if found["type"] == type]
    return found


def test_a_rule_is_set_told_and_followed(friends: tuple[Person, Person]) -> None:
    alice, bob = friends
    laptop = alice.second_device()
    laptop.receive()
    assert rule(alice, "Bob") == ("off", 0)
    (done,) = alice.run("expire", "Bob", "1d", "--json").objects
    assert done == {
        "v": 1,
        "type": "expiration",
        "conversation": {"type": "contact", "id": bob.id, "name": "Bob"},
        "mode": "after_send",
        "seconds": 86_400,
    }
    notice = only(bob.receive(), "expiration_update")
    assert (notice["mode"], notice["seconds"], notice["direction"]) == ("after_send", 86_400, "incoming")
    assert notice["expires"]["at"], "the notice itself disappears by the new rule"
    assert rule(bob, "Alice") == ("off", 0), "each side has a rule of its own"
    own = only(laptop.receive(), "expiration_update")
    assert (own["direction"], own["conversation"]["id"]) == ("outgoing", bob.id)
    assert rule(laptop, bob.id) == ("after_send", 86_400), "our other devices follow"
    laptop.run("send", bob.id, "from the laptop")
    (message,) = bob.receive()
    assert (message["expires"]["mode"], message["expires"]["seconds"]) == ("after_send", 86_400)
    bob.run("send", "Alice", "stays")
    assert [m["expires"] for m in alice.receive() if m["direction"] == "incoming"] == [None]
    entries = [m["type"] for m in alice.run("log", "--json").objects]
    assert entries == ["message", "message", "expiration_update", "message", "message"]


@pytest.mark.parametrize("arguments", [("off",), ("--after", "off"), ("off", "--after", "off")])
def test_it_is_switched_off(friends: tuple[Person, Person], arguments: tuple[str, ...]) -> None:
    alice, bob = friends
    alice.run("expire", "Bob", "5m", "--after", "read")
    assert rule(alice, "Bob") == ("after_read", 300)
    alice.run("expire", "Bob", *arguments)
    assert rule(alice, "Bob") == ("off", 0)
    assert [(m["mode"], m["seconds"]) for m in bob.receive()] == [("after_read", 300), ("off", 0)]
    alice.run("send", "Bob", "stays")
    assert bob.receive()[0]["expires"] is None


def test_what_is_set_already_is_not_announced_again(friends: tuple[Person, Person]) -> None:
    alice, bob = friends
    alice.run("expire", "Bob", "off")
    alice.run("expire", "Bob", "1w")
    alice.run("expire", "Bob", "7d")
    assert [m["seconds"] for m in bob.receive()] == [604_800]


def test_people_are_told_in_words(friends: tuple[Person, Person]) -> None:
    alice, bob = friends
    name = f"Bob ({bob.id[:10]}…)"
    assert alice.run("expire", "Bob").text == f"What you write to {name} stays.\n"
    done = alice.run("expire", "Bob", "12h", "--after", "read")
    assert (done.text, done.stderr) == ("", f"What you write to {name} disappears 12 hours after it is read.\n")
    assert alice.run("expire", "Bob", "--quiet", "1d").stderr == ""
    assert alice.run("expire", "me").text == "Notes to self stay.\n"
    assert alice.run("expire", "me", "2w").stderr == "Notes to self disappear 14 days after they are sent.\n"


def test_notes_to_self_disappear_after_sending_only(person: People) -> None:
    alice = person("Alice")
    laptop = alice.second_device()
    check_refusal(alice.try_run("expire", "me", "1d", "--after", "read"), 2, "Notes to self")
    alice.run("expire", "me", "1d")
    alice.run("send", "me", "milk")
    note = only(laptop.receive(), "message")
    assert (note["expires"]["mode"], note["expires"]["seconds"]) == ("after_send", 86_400)
    assert rule(laptop, "me") == ("after_send", 86_400)


@pytest.mark.parametrize(
    ("arguments", "mentioned"),
    [
        (("10s",), "12h, 1d, 1w or 2w after they are sent"),
        (("1h",), "12h, 1d, 1w or 2w after they are sent"),
        (("2d", "--after", "read"), "5m, 1h, 12h, 1d, 1w or 2w after they are read"),
        (("soon",), "'soon' is no length of time"),
        (("off", "--after", "read"), "off goes with no time"),
        (("1d", "--after", "off"), "off goes with no time"),
        (("--after", "read"), "session expire TO 1d --after read"),
        (("1d", "--after", "never"), "never"),
    ],
)
def test_other_times_are_refused(person: People, arguments: tuple[str, ...], mentioned: str) -> None:
    alice, stranger = person("Alice"), Identity.generate().account_id
    check_refusal(alice.try_run("expire", stranger, *arguments), 2, mentioned)


def test_requests_and_blocked_people_are_refused(person: People) -> None:
    alice, bob = person("Alice"), person("Bob")
    check_refusal(alice.try_run("expire", bob.id, "1d"), 65, "You have not talked to them yet")
    alice.run("send", bob.id, "hi")
    check_refusal(alice.try_run("expire", bob.id, "1d"), 65, "have not accepted your message request")
    bob.receive()
    check_refusal(bob.try_run("expire", alice.id, "off"), 65, "have sent you a message request")
    bob.run("send", alice.id, "hello")
    store = open_store(bob)
    store.execute("UPDATE people SET blocked = 1 WHERE address = ?", (alice.id,))
    store.close()
    check_json_refusal(bob.try_run("expire", alice.id, "1d", "--json"), 65, "invalid_input")
    assert rule(bob, alice.id) == ("off", 0)
    assert "expiration_update" not in [event["type"] for event in alice.receive()], "nobody was told of a rule"


def test_without_the_network_all_is_as_before(friends: tuple[Person, Person]) -> None:
    alice, _ = friends
    nowhere = Person(alice.home, alice.network, alice.id, {"SESSION_PROXY": "socks5h://127.0.0.1:9"})
    assert nowhere.try_run("expire", "Bob", "1d", "--timeout", "5").code == 75
    assert rule(alice, "Bob") == ("off", 0)
    assert [m["type"] for m in alice.run("log", "--json").objects] == ["message", "message"]


def test_what_is_queued_disappears_too(friends: tuple[Person, Person]) -> None:
    alice, bob = friends
    alice.run("expire", "Bob", "12h")
    nowhere = Person(alice.home, alice.network, alice.id, {"SESSION_PROXY": "socks5h://127.0.0.1:9"})
    (queued,) = nowhere.run("send", "Bob", "later", "--queue", "--json", "--timeout", "5").objects
    assert (queued["status"], queued["expires"]["at"]) == ("queued", None), "its clock does not run before it is sent"
    (sent,) = alice.run("outbox", "flush", "--json").objects
    assert sent["expires"]["at"]
    assert only(bob.receive(), "message")["expires"]["seconds"] == 43_200


def test_saved_files_stay_when_their_message_goes(friends: tuple[Person, Person], tmp_path: Path) -> None:
    alice, bob = friends
    alice.run("expire", "Bob", "12h")
    alice.run("attach", "send", "Bob", "-", "--name", "a.txt", stdin=b"data")
    message = only(bob.receive(), "message")
    bob.run("attach", "save", str(message["id"]), "-o", str(tmp_path / "a.txt"))
    store = open_store(bob)
    store.execute("UPDATE expirations SET ends_ms = 1 WHERE message_id = ?", (message["id"],))
    store.close()
    assert all(m["id"] != message["id"] for m in bob.run("log", "--json").objects)
    assert bob.run("attach", "list", "--json").objects == []
    assert bob.try_run("attach", "save", str(message["id"]), "-o", str(tmp_path / "b.txt")).code == 65
    assert (tmp_path / "a.txt").read_bytes() == b"data"
