"""Names of one's own for people."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from session_cli.cli.text import cell_width
from tests.support.devnet import Person
from tests.support.histories import account_id, fill, message_from, message_to
from tests.support.outcomes import bodies, check_json_refusal, check_refusal

People = Callable[[str], Person]
BOB, MALLORY, STRANGER, NEVER_MET = map(account_id, (1, 2, 3, 4))


@pytest.fixture
def alice(tmp_path: Path) -> Person:
    """Somebody who talks with Bob, has written to Mallory, and was written to by a stranger."""
    alice = Person(tmp_path / "alice", "mainnet").init()
    messages = [
        message_from(BOB, 1_000, "hi"),
        message_to(BOB, alice.id, 2_000, "hello"),
        message_to(MALLORY, alice.id, 3_000, "who are you?"),
        message_from(STRANGER, 4_000, "win a prize", request=True),
    ]
    fill(alice, messages, {BOB: "Bob", MALLORY: "Bob", STRANGER: "Bob"})
    return alice


def test_an_impostor_of_the_same_name_gets_nothing(person: People, tmp_path: Path) -> None:
    alice, bob = person("Alice"), person("Bob")
    impostor = Person(tmp_path / "impostor", alice.network).init("--name", "Bob")
    alice.run("contact", "rename", bob.id, "Bob")  # never met
    alice.run("send", "Bob", "one")
    alice.run("send", impostor.id, "who are you?")
    impostor.run("send", alice.id, "I am Bob")
    alice.receive()
    alice.run("send", "Bob", "two")
    alice.run("attach", "send", "Bob", "-", stdin=b"three")
    assert bodies(bob.receive("--type", "message")) == ["one", "two", ""]
    bob.run("contact", "rename", alice.id, "Boss")
    alice.run("send", "Bob", "four")
    assert [message["sender"] for message in bob.receive("--from", "Boss")] == [{"id": alice.id, "name": "Boss"}]
    assert bodies(impostor.receive("--type", "message")) == ["who are you?"]


def test_the_name_given_is_shown_everywhere(alice: Person) -> None:
    renamed = alice.run("contact", "rename", "--json", BOB, "Robert").objects
    assert renamed == [
        {
            "v": 1,
            "type": "contact",
            "id": BOB,
            "name": "Robert",
            "nickname": "Robert",
            "profile_name": "Bob",
            "approved": True,
            "approved_me": False,
            "blocked": False,
            "request": False,
            "picture": False,
            "pinned": False,
            "muted": False,
            "muted_until": None,
            "hidden": False,
        }
    ]
    for command in (("log", "Robert"), ("search", "hi"), ("export",)):
        (message,) = [m for m in alice.run(*command, "--json").objects if m.get("body") == "hi"]
        assert (message["sender"]["name"], message["conversation"]["name"]) == ("Robert", "Robert"), command
    listed = {each["conversation"]["id"]: each["conversation"]["name"] for each in alice.run("list", "--json").objects}
    assert listed == {BOB: "Robert", MALLORY: "Bob", STRANGER: "Bob"}
    assert f"Robert ({BOB[:10]}…)" in alice.run("log", "Robert").text


def test_a_name_is_taken_away(alice: Person) -> None:
    alice.run("contact", "rename", BOB, "Robert")
    done = alice.run("contact", "rename", "Robert", "--remove")
    assert (done.text, done.stderr) == ("", f"{BOB[:10]}… is shown as 'Bob' now.\n")
    check_refusal(alice.try_run("log", "Robert"), 65, "Robert")
    alice.run("contact", "rename", NEVER_MET, "Carol")
    assert alice.run("contact", "rename", "Carol", "--remove").stderr == f"{NEVER_MET[:10]}… has no name now.\n"
    assert NEVER_MET not in alice.run("contact", "list", "--json").text
    assert alice.run("contact", "rename", "--quiet", BOB, "Robert").stderr == ""


def test_the_list(alice: Person) -> None:
    alice.run("contact", "rename", NEVER_MET, "日本語の名前")
    alice.run("contact", "rename", STRANGER, "Spam")
    alice.run("contact", "rename", BOB, "Robert")
    found = alice.run("contact", "list", "--json").objects
    assert [(each["id"], each["name"], each["nickname"], each["profile_name"], each["approved"]) for each in found] == [
        (MALLORY, "Bob", None, "Bob", True),
        (BOB, "Robert", "Robert", "Bob", True),
        (STRANGER, "Spam", "Spam", "Bob", False),
        (NEVER_MET, "日本語の名前", "日本語の名前", None, False),
    ]
    lines = alice.run("contact", "list").lines
    assert lines[1:] == [
        f"Robert            {BOB[:10]}…  [has not written]  own name: Bob",
        f"Spam              {STRANGER[:10]}…  [no messages yet]  own name: Bob",
        f"日本語の名前      {NEVER_MET[:10]}…  [no messages yet]",
    ]
    assert {cell_width(line.partition("05")[0]) for line in lines} == {18}


def test_names_of_strangers_do_no_harm_in_the_list(tmp_path: Path) -> None:
    carol = Person(tmp_path / "carol", "mainnet").init()
    assert carol.run("contact", "list").text == ""
    fill(carol, [message_to(BOB, carol.id, 1_000, "hi")], {BOB: "\x1b[31mred\n\u202e"})
    carol.run("contact", "rename", BOB, "Bob")
    assert carol.run("contact", "list").text.endswith("own name: ␛[31mred␊<U+202E>\n")


def test_people_of_the_same_name(alice: Person) -> None:
    error = check_json_refusal(alice.try_run("log", "--json", "Bob"), 65, "ambiguous_name")
    for part in (BOB[:16], MALLORY[:16], "session contact rename"):
        assert part in error["message"]
    alice.run("contact", "rename", BOB[:12], "Bob")
    assert bodies(alice.run("log", "--json", "Bob").objects) == ["hi", "hello"]
    check_refusal(alice.try_run("contact", "rename", MALLORY, "Bob"), 65, BOB[:16])


@pytest.mark.parametrize("name", ["", " ", "me", "05abcdef", "a\x1b[31m", "a\u202eb", "a" * 101])
def test_names_that_are_refused(name: str, alice: Person) -> None:
    check_json_refusal(alice.try_run("contact", "rename", "--json", BOB, name), 65, "invalid_input")
    assert {each["nickname"] for each in alice.run("contact", "list", "--json").objects} == {None}


def test_calls_that_make_no_sense(alice: Person) -> None:
    check_refusal(alice.try_run("contact", "rename", BOB), 2, "--remove")
    check_refusal(alice.try_run("contact", "rename", BOB, "Bob", "--remove"), 2, "--remove")
    check_refusal(alice.try_run("contact", "rename", "me", "Bob"), 65, "me")
    check_json_refusal(alice.try_run("contact", "rename", "--json", "05aa", "Bob"), 65, "invalid_account_id")


def test_completion_offers_names_of_our_own(alice: Person) -> None:
    def offered(*words: str) -> list[str]:
        asking = Person(alice.home, alice.network, extra={"_SESSION_COMPLETE": "fish"})
        return sorted(asking.run("--", *words).lines[1:])

    ids = sorted(f"{address[:10]}\tBob" for address in (BOB, MALLORY, STRANGER))
    assert offered("send", "") == [*ids, "me\tnote to self"]
    alice.run("contact", "rename", BOB, "Bob")
    alice.run("contact", "rename", NEVER_MET, "Carol")
    for command in (("send",), ("contact", "rename")):
        assert offered(*command, "B") == [f"Bob\t{BOB[:10]}…"]
        assert offered(*command, "C") == [f"Carol\t{NEVER_MET[:10]}…"]
    assert f"{MALLORY[:10]}\tBob" in offered("send", "")
    alice.run("contact", "rename", MALLORY, "Mallory")
    # Bob is still the one whom we call so, whoever else does.
    assert [line for line in offered("send", "") if line.startswith(("Bob", "Mal"))] == [
        f"Bob\t{BOB[:10]}…",
        f"Mallory\t{MALLORY[:10]}…",
    ]
