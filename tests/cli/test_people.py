"""People, as all devices of an account have them: add, show, approve, block and delete."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from session_cli.devnet.network import Devnet
from tests.support.devnet import Person
from tests.support.friends import befriend, events, log
from tests.support.histories import account_id
from tests.support.outcomes import bodies, check_json_refusal, check_refusal
from tests.support.strangers import Stranger
from tests.support.terminal import at_terminal

People = Callable[[str], Person]
BOB, CAROL = account_id(1), account_id(2)
OFFLINE = {"SESSION_PROXY": "socks5h://127.0.0.1:9"}


def shown(someone: Person, who: str) -> dict[str, Any]:
    """What `contact show --json` says."""
    (contact,) = someone.run("contact", "show", who, "--json").objects
    return contact


def listed(someone: Person) -> dict[str, dict[str, Any]]:
    """What `contact list --json` says, by id."""
    return {each["id"]: each for each in someone.run("contact", "list", "--json").objects}


def in_step(*devices: Person) -> None:
    """Let each device tell the others what it changed, and hear of what they did."""
    for device in (*devices, *devices):
        device.run("sync")


def test_whoever_is_added_is_no_stranger_on_any_device(person: People, shared_net: Devnet) -> None:
    alice, bob = person("Alice"), Stranger(shared_net)
    laptop = alice.second_device()
    done = alice.run("contact", "add", bob.id, "Bobby")
    assert done.stderr == f"Bobby ({bob.id[:10]}…) is a contact now.\n"
    in_step(alice, laptop)
    bob.say(alice.id, "hi", name="Bob")
    for device in (alice, laptop):
        (message,) = device.receive("--type", "message")
        assert (message["request"], message["sender"]["name"]) == (False, "Bobby")
        assert device.run("request", "list").text == ""
    assert listed(alice) == listed(laptop)
    contact = shown(laptop, "Bobby")
    assert {key for key, value in contact.items() if value is True} == {"approved", "approved_me"}
    assert (contact["nickname"], contact["profile_name"]) == ("Bobby", "Bob")


def test_adding_somebody_who_has_written_accepts_with_the_next_command(person: People) -> None:
    alice, bob = person("Alice"), person("Bob")
    bob.run("send", alice.id, "may I?")
    alice.receive()
    assert shown(alice, bob.id)["request"] is True
    alice.extra = OFFLINE
    alice.run("contact", "add", bob.id)
    assert bob.receive() == []
    alice.extra = {}
    alice.run("sync")
    assert [each["state"] for each in events(bob, "contact_request")] == ["accepted"]
    assert alice.run("contact", "add", bob.id, "Bobby", "--json").objects[0]["nickname"] == "Bobby"
    alice.run("sync")
    assert bob.receive() == [], "it is told once"


def test_approving(person: People, shared_net: Devnet) -> None:
    alice, bob, carol = person("Alice"), person("Bob"), Stranger(shared_net)
    alice.extra = OFFLINE
    (contact,) = alice.run("contact", "approve", carol.id, "--json").objects
    assert (contact["approved"], contact["approved_me"]) == (True, False), "a stranger needs no network"
    alice.extra = {}
    bob.run("send", alice.id, "may I?")
    alice.receive()
    alice.extra = OFFLINE
    check_refusal(alice.try_run("contact", "approve", bob.id, "--timeout", "3"), 75)
    assert shown(alice, bob.id)["approved"] is False
    alice.extra = {}
    assert alice.run("contact", "approve", bob.id).stderr.endswith(" is approved now.\n")
    assert [each["state"] for each in events(bob, "contact_request")] == ["accepted"]
    alice.run("contact", "approve", bob.id)
    alice.run("contact", "block", bob.id)
    for command in ("approve", "add"):
        check_refusal(alice.try_run("contact", command, bob.id), 65, "session contact unblock")


def test_names_and_blocks_come_to_the_other_device(person: People) -> None:
    alice, bob = person("Alice"), person("Bob")
    befriend(alice, bob)
    alice.extra = OFFLINE
    alice.run("contact", "rename", "Bob", "Robert")
    alice.extra = {}
    alice.run("send", "Robert", "hello again")
    laptop = alice.second_device()
    laptop.run("log", "Robert")
    laptop.run("contact", "block", "Robert")
    laptop.run("contact", "rename", "Robert", "Spam")
    in_step(laptop, alice)
    contact = shown(alice, "Spam")
    assert (contact["blocked"], contact["nickname"]) == (True, "Spam")
    bob.run("send", alice.id, "can you hear me?")
    assert alice.receive("--type", "message") == []
    alice.run("contact", "unblock", "Spam")
    alice.run("contact", "rename", "Spam", "--remove")
    in_step(alice, laptop)
    contact = shown(laptop, "Bob")
    assert (contact["blocked"], contact["nickname"]) == (False, None)


def test_deleting_forgets_everywhere_and_tells_nobody(person: People) -> None:
    alice, bob = person("Alice"), person("Bob")
    befriend(alice, bob)
    alice.run("contact", "rename", "Bob", "Bobby")
    bob.run("send", alice.id, "not seen yet")
    laptop = alice.second_device()
    alice.run("recv", "--peek")
    alice.run("profile", "set", "--name", "Alicia")
    bob.receive()
    alice.extra = OFFLINE
    alice.run("send", "Bobby", "waits", "--queue", "--timeout", "3")
    (deleted,) = alice.run("contact", "delete", "Bobby", "--yes", "--json").objects
    assert (deleted["id"], deleted["name"], deleted["messages"]) == (bob.id, "Bobby", 4)
    alice.extra = {}
    assert "not seen yet" in bodies(log(laptop))
    alice.run("sync")
    laptop.run("sync")
    for device in (alice, laptop):
        assert device.receive() == log(device) == device.run("list", "--json").objects == []
        assert listed(device) == {}
        assert device.run("outbox", "list").text == ""
        check_refusal(device.try_run("send", "Bobby", "hi"), 65, "Bobby")
    assert bob.receive() == [], "nobody is told"
    bob.run("send", alice.id, "hello?")
    for device in (alice, laptop):
        assert [each["body"] for each in device.receive() if each["request"]] == ["hello?"]


def test_deleting_is_confirmed(person: People) -> None:
    alice = person("Alice")
    alice.run("contact", "add", BOB, "Bob")
    check_refusal(alice.try_run("contact", "delete", "Bob"), 2, "--yes")
    code, output = at_terminal(alice, "contact", "delete", "Bob", typed=b"no\n")
    assert code == 2
    assert "Nothing was done" in output
    assert BOB in listed(alice)
    code, output = at_terminal(alice, "contact", "delete", "Bob", typed=b"yes\n")
    assert code == 0, output
    assert f"Bob ({BOB[:10]}…) is deleted, with 0 messages." in output
    assert listed(alice) == {}
    check_json_refusal(alice.try_run("contact", "delete", BOB, "--yes", "--json"), 65, "invalid_input")
    alice.run("contact", "add", BOB, "Bobby")
    alice.run("sync")
    assert listed(alice.second_device())[BOB]["nickname"] == "Bobby", "whoever is added again is there again"


def test_all_that_is_known_is_shown(person: People) -> None:
    alice = person("Alice")
    alice.run("contact", "add", BOB, "Bob")
    rows = dict(line.split("  ", 1) for line in alice.run("contact", "show", "Bob").lines)
    assert {label: value.strip() for label, value in rows.items() if value.strip() not in ("no", "(none)")} == {
        "id": BOB,
        "nickname": "Bob",
        "approved": "yes",
    }
    assert not any(value is True for value in shown(alice, CAROL).values()), "of strangers there is nothing to say"


def test_who_is_no_contact(person: People) -> None:
    alice = person("Alice")
    alice.run("contact", "add", BOB, "Bob")
    for command in ("show", "add", "approve", "block", "unblock", "delete"):
        check_refusal(alice.try_run("contact", command, "nobody"), 65, "nobody")
        check_refusal(alice.try_run("contact", command, "me"), 65, "That is this account")
        check_refusal(alice.try_run("contact", command, alice.id), 65, "That is this account")
    check_refusal(alice.try_run("contact", "add", CAROL, "Bob"), 65, BOB[:16])
    assert listed(alice).keys() == {BOB}, "whose name is taken is not added without it"
    check_json_refusal(alice.try_run("contact", "add", CAROL, "me", "--json"), 65, "invalid_input")
    check_json_refusal(alice.try_run("contact", "add", CAROL, "ü" * 51, "--json"), 65, "invalid_input")


def test_of_several_of_one_name_none_is_meant(person: People) -> None:
    alice = person("Alice")
    alice.run("contact", "import", "-", stdin=f"id,name\n{BOB},Sam\n{CAROL},Sam\n".encode())
    for command in ("show", "approve", "delete", "pin"):
        error = check_json_refusal(alice.try_run("contact", command, "Sam", "--json"), 65, "ambiguous_name")
        assert BOB[:16] in error["message"]
        assert CAROL[:16] in error["message"]
