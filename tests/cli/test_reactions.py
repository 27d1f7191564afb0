"""Emoji on messages, from the command line to the other one's eyes and one's own other devices."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from session_cli.devnet.network import Devnet
from session_cli.protocol.payload import Reaction
from tests.support.devnet import Person
from tests.support.friends import befriend, entry, events, other_app
from tests.support.outcomes import check_json_refusal, check_refusal
from tests.support.strangers import Stranger

People = Callable[[str], Person]


def test_a_reaction_is_seen_by_both_and_on_all_devices(person: People) -> None:
    alice, bob = person("Alice"), person("Bob")
    befriend(alice, bob)
    laptop = alice.second_device()
    laptop.receive()
    (done,) = alice.run("react", "2", "👍", "--json").objects
    assert (done["emoji"], done["removed"], done["target"]["id"]) == ("👍", False, 2)
    assert done["sender"] == {"id": alice.id, "name": "Alice"}
    assert done["conversation"]["id"] == bob.id
    given = [{"emoji": "👍", "senders": [{"id": alice.id, "name": "Alice"}]}]
    assert entry(alice, 2)["reactions"] == given
    assert alice.receive() == [], "what was done here is no news here"
    for device, message_id in ((bob, 2), (laptop, 2)):
        (event,) = device.receive()
        assert (event["type"], event["emoji"], event["removed"]) == ("reaction", "👍", False)
        assert event["sender"]["id"] == alice.id
        assert event["target"] == {**done["target"], "id": message_id, "sender": event["target"]["sender"]}
        assert event["timestamp_ms"] == done["timestamp_ms"]
        (reaction,) = entry(device, message_id)["reactions"]
        assert (reaction["emoji"], [who["id"] for who in reaction["senders"]]) == ("👍", [alice.id])
    assert alice.run("react", "2", "--remove").stdout == b""
    assert [event["removed"] for event in bob.receive()] == [True]
    assert [event["removed"] for event in laptop.receive()] == [True]
    assert [entry(each, 2)["reactions"] for each in (alice, bob, laptop)] == [[], [], []]


def test_several_emoji_of_several_people(person: People) -> None:
    alice, bob = person("Alice"), person("Bob")
    befriend(alice, bob)
    for emoji in ("👍", "❤", "🇩🇪"):
        assert alice.run("react", "1", emoji).stdout == b""
    bob.receive()
    bob.run("react", "1", "👍")
    alice.receive()
    found = entry(alice, 1)["reactions"]
    assert [(each["emoji"], [who["name"] for who in each["senders"]]) for each in found] == [
        ("👍", ["Alice", "Bob"]),
        ("❤️", ["Alice"]),
        ("🇩🇪", ["Alice"]),
    ]
    done = alice.run("react", "1", "--remove", "❤", "--json").objects
    assert [each["emoji"] for each in done] == ["❤️"]
    removed = alice.run("react", "1", "--remove", "--json").objects
    assert [(each["emoji"], each["removed"]) for each in removed] == [("👍", True), ("🇩🇪", True)]
    bob.receive()
    assert entry(bob, 1)["reactions"] == [{"emoji": "👍", "senders": [{"id": bob.id, "name": "Bob"}]}]


def test_what_is_there_already_is_not_sent_again(person: People) -> None:
    alice, bob = person("Alice"), person("Bob")
    befriend(alice, bob)
    alice.run("react", "2", "👍")
    again = alice.run("react", "2", "👍", "--json")
    assert (again.stdout, again.stderr) == (b"", "session: Message 2 has that reaction of yours already.\n")
    none = alice.run("react", "2", "--remove", "😮")
    assert none.stderr == "session: Message 2 has no such reaction of yours.\n"
    assert len(events(bob, "reaction")) == 1


def test_what_can_not_be_reacted_to(person: People, shared_net: Devnet) -> None:
    alice, bob, mallory = person("Alice"), person("Bob"), Stranger(shared_net)
    befriend(alice, bob)
    check_json_refusal(alice.try_run("react", "2", "hello", "--json"), 65, "invalid_input")
    check_refusal(alice.try_run("react", "99", "👍"), 65, "99")
    check_refusal(alice.try_run("react", "2"), 2, "--remove")
    mallory.say(alice.id, "buy this")
    (request,) = alice.receive()
    check_refusal(alice.try_run("react", str(request["id"]), "👍"), 65, "session request accept")
    carol = person("Carol")
    wrote = alice.run("send", carol.id, "are you there?").text.strip()
    check_refusal(alice.try_run("react", wrote, "👍"), 65, "not answered")
    alice.run("unsend", "1")
    check_refusal(alice.try_run("react", "1", "👍"), 65, "deleted")
    alice.run("contact", "block", bob.id)
    check_refusal(alice.try_run("react", "2", "👍"), 65, "unblock")
    assert events(bob, "reaction") == []


def test_twenty_in_a_minute(person: People) -> None:
    alice, bob = person("Alice"), person("Bob")
    befriend(alice, bob)
    many = [
        "😀",
        "😁",
        "😂",
        "🤣",
        "😃",
        "😄",
        "😅",
        "😆",
        "😉",
        "😊",
        "😋",
        "😎",
        "😍",
        "😘",
        "🥰",
        "😗",
        "😙",
        "😚",
        "🙂",
    ]
    for emoji in many:
        alice.run("react", "2", emoji)
    check_json_refusal(alice.try_run("react", "2", "--remove", "--json"), 75, "rate_limited")
    alice.run("react", "2", "--remove", "🙂")
    error = check_json_refusal(alice.try_run("react", "2", "👍", "--json"), 75, "rate_limited")
    assert "seconds" in error["message"]
    assert len(entry(alice, 2)["reactions"]) == len(many) - 1


def test_nothing_is_left_of_a_reaction_that_was_not_sent(person: People, private_net: Devnet, tmp_path: Path) -> None:
    definition = tmp_path / "network.toml"
    private_net.write_definition(definition)
    alice, bob = (Person(tmp_path / name, definition).init("--name", name) for name in ("Alice", "Bob"))
    befriend(alice, bob)
    for node in private_net.nodes:
        node.stop()
    check_json_refusal(alice.try_run("react", "2", "👍", "--json", "--timeout", "5"), 75, "network_unreachable")
    assert entry(alice, 2)["reactions"] == []


def test_reactions_of_others_count_only_where_they_belong(person: People, shared_net: Devnet) -> None:
    alice, bob = person("Alice"), person("Bob")
    befriend(alice, bob)
    app, mallory = other_app(shared_net, bob), Stranger(shared_net)
    one, two = entry(alice, 1), entry(alice, 2)
    # A stranger reacts to what he has never seen, and in another's conversation.
    for author, at in ((alice.id, one["timestamp_ms"]), (bob.id, two["timestamp_ms"])):
        mallory.tell(alice.id, Reaction(author, at, "😈", remove=False, sync_target=bob.id))
    app.tell(alice.id, Reaction(alice.id, one["timestamp_ms"], "🥰", remove=False))
    app.tell(alice.id, Reaction(alice.id, one["timestamp_ms"], "🥰", remove=False))
    (event,) = alice.receive()
    assert (event["emoji"], event["sender"]["id"]) == ("🥰", bob.id)
    assert [each["emoji"] for each in entry(alice, 1)["reactions"]] == ["🥰"]
    assert entry(alice, 2)["reactions"] == []


@pytest.mark.parametrize("first", ["react", "remove"])
def test_the_later_of_two_counts_in_whatever_order_they_come(person: People, shared_net: Devnet, first: str) -> None:
    alice, bob = person("Alice"), person("Bob")
    befriend(alice, bob)
    app = other_app(shared_net, bob)
    when = entry(alice, 1)["timestamp_ms"]
    put_ms, taken_ms = app.next_ms(), app.next_ms()
    deeds = [
        (put_ms, Reaction(alice.id, when, "😮", remove=False)),
        (taken_ms, Reaction(alice.id, when, "😮", remove=True)),
    ]
    for sent_ms, deed in deeds if first == "react" else reversed(deeds):
        app.tell(alice.id, deed, sent_ms=sent_ms)
    alice.receive()
    assert entry(alice, 1)["reactions"] == []
