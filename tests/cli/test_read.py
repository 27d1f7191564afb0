"""`read` and `recv --mark-read`: what was read, and who learns of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from session_cli.devnet.network import Devnet
from tests.support.devnet import Person
from tests.support.fading import AFTER_READ, put_fading
from tests.support.outcomes import check_json_refusal, check_refusal
from tests.support.stores import open_store
from tests.support.strangers import Stranger

People = Callable[[str], Person]
TELLING = {"SESSION_READ_RECEIPTS": "true"}


@pytest.fixture
def friends(person: People) -> tuple[Person, Person]:
    """Alice and Bob, who have accepted each other and tell each other what they read; nothing is unread."""
    alice, bob = person("Alice"), person("Bob")
    alice.run("send", bob.id, "hi")
    bob.receive()
    bob.run("send", alice.id, "hello")
    alice.receive()
    alice.run("read", "--all")
    alice.extra = bob.extra = TELLING
    return alice, bob


def marked(someone: Person, *arguments: str) -> list[tuple[str, int]]:
    """What `read --json` shows: whose messages, and how many were not read before."""
    marks = someone.run("read", "--json", *arguments).objects
    assert all(mark["type"] == "read_mark" for mark in marks)
    return [(mark["conversation"]["id"], mark["messages"]) for mark in marks]


def receipts(someone: Person) -> list[int]:
    """The ids of those messages of ours of which `recv` shows now that they were read."""
    return [event["target"]["id"] for event in someone.receive() if event["type"] == "receipt"]


def read_states(someone: Person) -> dict[str, bool]:
    return {m["body"]: m["read"] for m in someone.run("log", "--json").objects if "body" in m}


def test_what_is_read_is_told_once(friends: tuple[Person, Person]) -> None:
    alice, bob = friends
    first, second = (int(alice.run("send", "Bob", text).text) for text in ("one", "two"))
    bob.receive()
    assert read_states(bob)["one"] is False, "recv alone is no reading"
    done = bob.run("read", "Alice")
    assert (done.text, done.stderr) == ("", "")
    assert read_states(bob)["two"] is True
    assert receipts(alice) == [first, second]
    assert [m["status"] for m in alice.run("log", "--json").objects][-2:] == ["read", "read"]
    assert marked(bob, "Alice") == [(alice.id, 0)]
    third = int(alice.run("send", "Bob", "three").text)
    bob.receive()
    assert marked(bob, "Alice") == [(alice.id, 1)]
    assert receipts(alice) == [third]


def test_nothing_is_told_by_default(friends: tuple[Person, Person]) -> None:
    alice, bob = friends
    bob.extra = {}
    alice.run("send", "Bob", "one")
    bob.receive()
    assert marked(bob, "Alice") == [(alice.id, 1)]
    bob.extra = TELLING
    assert marked(bob, "Alice") == [(alice.id, 0)], "nor later"
    assert receipts(alice) == []


def test_people_who_only_ask_are_told_nothing(person: People) -> None:
    alice, bob = person("Alice"), person("Bob")
    alice.extra = bob.extra = TELLING
    alice.run("send", bob.id, "may I?")
    bob.receive()
    assert marked(bob, "--all") == [], "requests are left out"
    assert marked(bob, alice.id) == [(alice.id, 1)]
    assert receipts(alice) == []


def test_all_and_until(friends: tuple[Person, Person], person: People) -> None:
    alice, bob = friends
    carol = person("Carol")
    carol.run("send", bob.id, "and I?")
    sent = [int(alice.run("send", "Bob", text).text) for text in ("one", "two", "three")]
    ids = {m["body"]: m["id"] for m in bob.receive()}
    assert marked(bob, "--until", str(ids["two"])) == [(alice.id, 2)]
    assert receipts(alice) == sent[:2]
    assert marked(bob, "--all") == [(alice.id, 1)]
    assert receipts(alice) == sent[2:]
    assert read_states(bob)["and I?"] is False


def test_writing_is_reading(friends: tuple[Person, Person]) -> None:
    alice, bob = friends
    first = int(alice.run("send", "Bob", "one").text)
    bob.receive()
    bob.run("send", "Alice", "answer")
    assert read_states(bob)["one"] is True
    assert receipts(alice) == [first]


@pytest.mark.parametrize("how", ["option", "setting", "hook"])
def test_what_recv_has_shown_is_read(friends: tuple[Person, Person], how: str) -> None:
    alice, bob = friends
    sent = [int(alice.run("send", "Bob", text).text) for text in ("one", "two", "three")]
    bob.receive("--peek")
    if how == "setting":
        bob.extra = {**TELLING, "SESSION_MARK_READ": "yes"}
        bob.receive("--peek")
    options = {"option": ["--mark-read"], "setting": [], "hook": ["--mark-read", "--exec", "true"]}[how]
    assert read_states(bob)["one"] is False, "looking is no reading"
    bob.run("recv", "--max", "2", *options)
    states = read_states(bob)
    assert (states["one"], states["two"], states["three"]) == (True, True, False)
    assert sorted(receipts(alice)) == sent[:2]


@pytest.mark.parametrize("left_out", ["since", "type", "cursor"])
def test_what_recv_has_not_shown_is_not_read(friends: tuple[Person, Person], shared_net: Devnet, left_out: str) -> None:
    alice, bob = friends
    bob.run("expire", "Alice", "5m", "--after", "read")
    alice.receive()
    alice.run("read", "--all")
    bob.run("send", "Alice", "unseen")
    if left_out == "cursor":
        # What another reader was shown, and did not mark, was not shown to this one.
        alice.run("recv", "--cursor", "bot")
    else:
        alice.run("recv", "--type", "reaction")
    time.sleep(1.1)
    now = f"@{int(time.time())}"
    second = int(bob.run("send", "Alice", "seen").text)
    bob.receive()
    options = {"since": ["--since", now], "type": ["--since", now, "--type", "message"], "cursor": ["--since", now]}
    shown = alice.run("recv", "--mark-read", "--json", *options[left_out]).objects
    assert [event["body"] for event in shown] == ["seen"]
    assert read_states(alice)["unseen"] is False
    assert expiries(alice)["unseen"] is None
    assert expiries(alice)["seen"] is not None, "its clock runs"
    assert receipts(bob) == [second]
    assert [event["body"] for event in alice.run("recv", "--mark-read", "--json").objects] == ["unseen"]
    assert read_states(alice) | {"unseen": True, "seen": True} == read_states(alice)


def test_writing_is_no_reading_of_what_nobody_has_seen(friends: tuple[Person, Person]) -> None:
    alice, bob = friends
    bob.run("expire", "Alice", "5m", "--after", "read")
    alice.receive()
    bob.run("send", "Alice", "unseen")
    alice.run("recv", "--type", "reaction", "--cursor", "bot")
    alice.run("send", "Bob", "all is well")
    assert read_states(alice)["unseen"] is False
    assert expiries(alice)["unseen"] is None
    assert receipts(bob) == []
    alice.receive()
    alice.run("send", "Bob", "I see")
    assert read_states(alice)["unseen"] is True
    assert expiries(alice)["unseen"] is not None


def test_without_the_network_others_are_told_later(friends: tuple[Person, Person]) -> None:
    alice, bob = friends
    first = int(alice.run("send", "Bob", "one").text)
    bob.receive()
    bob.extra = {**TELLING, "SESSION_PROXY": "socks5h://127.0.0.1:9"}
    assert marked(bob, "Alice", "--timeout", "5") == [(alice.id, 1)]
    bob.extra = TELLING
    assert receipts(alice) == []
    bob.receive()
    assert receipts(alice) == [first]


@pytest.mark.parametrize("changed", ["blocked", "setting"])
def test_receipts_that_were_put_down_are_not_sent_when_that_is_wanted_no_more(
    friends: tuple[Person, Person], changed: str
) -> None:
    alice, bob = friends
    alice.run("send", "Bob", "one")
    bob.receive()
    bob.extra = {**TELLING, "SESSION_PROXY": "socks5h://127.0.0.1:9"}
    assert marked(bob, "Alice", "--timeout", "5") == [(alice.id, 1)]
    bob.extra = TELLING
    if changed == "blocked":
        bob.run("contact", "block", "Alice")
    else:
        bob.extra = {}
        bob.run("whoami")
        bob.extra = TELLING
    bob.receive()
    assert receipts(alice) == []


def test_the_wrong_question(person: People) -> None:
    alice = person("Alice")
    for arguments in ([], ["me", "--all"], ["--all", "--until", "1"]):
        check_refusal(alice.try_run("read", *arguments), 2, "Which?")
    check_refusal(alice.try_run("read", "--until", "7"), 65, "There is no message 7")
    check_refusal(alice.try_run("recv", "--peek", "--mark-read"), 2, "--peek only looks")
    check_json_refusal(alice.try_run("read", "--json", "nobody"), 65, "invalid_account_id")
    assert marked(alice, "me") == [(alice.id, 0)]


def expiries(someone: Person) -> dict[str, Any]:
    return {m["body"]: m["expires"]["at"] for m in someone.run("log", "--json").objects if "body" in m and m["expires"]}


def test_reading_starts_the_clock_on_all_devices(person: People, shared_net: Devnet) -> None:
    bob, stranger = person("Bob"), Stranger(shared_net)
    early, late = bob.second_device("early"), bob.second_device("late")
    for text, seconds in (("short", 600), ("long", 1_209_600)):
        put_fading(shared_net, stranger, bob.id, text, AFTER_READ, seconds)
    assert [m["expires"]["at"] for m in bob.receive()] == [None, None]
    early.receive()
    assert not any(read_states(early).values()), "a time as long as the swarm's own is no sign that it was read"
    bob.run("read", stranger.id)
    assert all(expiries(bob).values())
    late.receive()
    assert read_states(late) == {"short": True, "long": False}
    assert expiries(late)["short"] == expiries(bob)["short"]
    store = open_store(early)
    store.execute("DELETE FROM settings WHERE name = 'expiries_asked_ms'")  # it is asked now and then only
    store.close()
    early.receive()
    assert expiries(bob)["short"] <= expiries(early)["short"], "who had it before learns of it, too"
    assert read_states(early)["short"] is True
