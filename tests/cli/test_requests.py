"""Message requests: what strangers write, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from session_cli.devnet.network import Devnet
from session_cli.protocol.payload import Call, CallKind, Reaction, RequestAccepted, Unsend
from tests.support.devnet import Person
from tests.support.friends import befriend, entry, events, log, other_app
from tests.support.outcomes import bodies, check_json_refusal, check_refusal
from tests.support.strangers import Stranger, upload
from tests.support.terminal import at_terminal

People = Callable[[str], Person]
CALL_ID = "11111111-2222-4333-8444-555555555555"


def test_requests_are_listed_with_how_they_begin(person: People, shared_net: Devnet) -> None:
    alice, bob = person("Alice"), person("Bob")
    assert alice.run("request", "list").text == ""
    befriend(alice, bob)
    mallory, trudy = Stranger(shared_net), Stranger(shared_net)
    mallory.say(alice.id, "one\n\ntwo\x1b[31m\nthree\nfour", name="Mallory")
    last_ms = mallory.say(alice.id, "and more", name="Mallory")
    trudy.say(alice.id, "hi")
    alice.receive()
    first, second = alice.run("request", "list", "--json").objects
    assert (first["sender"], first["messages"]) == ({"id": mallory.id, "name": "Mallory"}, 2)
    assert (first["first_message"]["body"][:3], first["last_timestamp_ms"]) == ("one", last_ms)
    assert (second["sender"], second["messages"]) == ({"id": trudy.id, "name": None}, 1)
    lines = alice.run("request", "list").lines
    assert lines[0].startswith(f"Mallory ({mallory.id[:10]}…)  2 messages since ")
    assert lines[1:5] == ["    one", "    two␛[31m", "    three", "    …"]
    assert lines[5].startswith(f"{trudy.id[:10]}…  1 message since ")


def test_accepting_tells_the_other_one_once(person: People) -> None:
    alice, bob = person("Alice"), person("Bob")
    alice.run("send", bob.id, "can we talk?")
    bob.receive()
    (contact,) = bob.run("request", "accept", alice.id[:10], "--json").objects
    assert (contact["type"], contact["id"], contact["approved"]) == ("contact", alice.id, True)
    (event,) = alice.receive()
    assert (event["type"], event["state"], event["sender"]) == (
        "contact_request",
        "accepted",
        {"id": bob.id, "name": "Bob"},
    )
    assert bob.run("request", "list").text == ""
    assert not entry(bob, 1)["request"]
    check_refusal(bob.try_run("request", "accept", alice.id), 65, "no stranger")
    bob.run("send", "Alice", "yes")
    assert [each["type"] for each in alice.receive()] == ["message"]


def test_answering_accepts(person: People) -> None:
    alice, bob = person("Alice"), person("Bob")
    alice.run("send", bob.id, "can we talk?")
    bob.receive()
    bob.run("send", alice.id, "yes")
    bob.run("send", alice.id, "of course")
    first, second, third = alice.receive()
    assert (first["type"], first["state"]) == ("contact_request", "accepted")
    assert bodies([second, third]) == ["yes", "of course"]
    assert first["timestamp_ms"] < second["timestamp_ms"] < third["timestamp_ms"]


def test_a_message_says_as_much_as_an_acceptance(person: People, shared_net: Devnet) -> None:
    alice, bob = person("Alice"), person("Bob")
    alice.run("send", bob.id, "can we talk?")
    app = other_app(shared_net, bob)
    accepted_ms = app.next_ms()
    app.say(alice.id, "yes")
    app.tell(alice.id, RequestAccepted(), sent_ms=accepted_ms)
    assert [each["type"] for each in alice.receive()] == ["contact_request", "message"]
    Stranger(shared_net).tell(alice.id, RequestAccepted())
    assert alice.receive() == []
    assert len(alice.run("contact", "list", "--json").objects) == 1


def test_an_answer_that_waits_accepts_when_it_goes(private_net: Devnet, tmp_path: Path) -> None:
    definition = tmp_path / "network.toml"
    private_net.write_definition(definition)
    alice, bob, carol = (Person(tmp_path / name, definition).init("--name", name) for name in ("Alice", "Bob", "Carol"))
    for asking in (alice, carol):
        asking.run("send", bob.id, "can we talk?")
    bob.receive()
    for node in private_net.nodes:
        node.stop()
    check_refusal(bob.try_run("request", "accept", alice.id, "--timeout", "3"), 75)
    assert len(bob.run("request", "list", "--json").objects) == 2, "nothing was said, and nothing is settled"
    bob.run("send", alice.id, "kept", "--queue", "--timeout", "3")
    check_refusal(bob.try_run("send", carol.id, "lost", "--timeout", "3"), 75)
    for node in private_net.nodes:
        node.start()
    bob.run("outbox", "flush")
    bob.run("send", alice.id, "more")
    found = alice.receive()
    assert [each["type"] for each in found] == ["contact_request", "message", "message"]
    assert found[0]["timestamp_ms"] < found[1]["timestamp_ms"]
    assert carol.receive() == [], "an answer that was given up accepts nothing"
    bob.run("send", carol.id, "again")
    assert [each["type"] for each in carol.receive()] == ["contact_request", "message"]


def test_declining_hides_until_something_new_comes(person: People, shared_net: Devnet) -> None:
    alice, mallory = person("Alice"), Stranger(shared_net)
    sealed = mallory.seal(alice.id, b"\x0a\x07\x0a\x05hello")
    mallory.store(alice.id, sealed)
    alice.receive()
    assert (
        alice.run("request", "decline", mallory.id[:10]).stderr
        == f"{mallory.id[:10]}… is not shown until they write again.\n"
    )
    assert alice.run("request", "list").text == alice.run("list").text == ""
    assert bodies(log(alice)) == ["hello"]
    mallory.say(alice.id, "hello again")
    alice.receive()
    assert [each["messages"] for each in alice.run("request", "list", "--json").objects] == [2]
    assert [each["request"] for each in alice.run("list", "--json").objects] == [True]
    alice.run("request", "decline", mallory.id)
    alice.run("request", "accept", mallory.id)
    assert [each["request"] for each in alice.run("list", "--json").objects] == [False]


def test_blocked_people_are_not_heard(person: People, shared_net: Devnet) -> None:
    alice, bob, mallory = person("Alice"), person("Bob"), Stranger(shared_net)
    befriend(alice, bob)
    mallory.say(alice.id, "buy this")
    alice.receive()
    (contact,) = alice.run("request", "block", mallory.id, "--json").objects
    assert (contact["blocked"], contact["approved"]) == (True, False)
    alice.run("contact", "block", "Bob")
    app, when = other_app(shared_net, bob), entry(alice, 1)["timestamp_ms"]
    mallory.say(alice.id, "and this")
    app.say(alice.id, "hey")
    app.tell(alice.id, Reaction(alice.id, when, "😈", remove=False))
    app.tell(alice.id, Unsend(bob.id, entry(alice, 2)["timestamp_ms"]))
    app.tell(alice.id, Call(CallKind.PRE_OFFER, CALL_ID))
    assert alice.receive() == []
    assert bodies(log(alice)) == ["hello", "hello to you", "buy this"]
    assert alice.run("request", "list").text == ""
    check_refusal(alice.try_run("send", "Bob", "hello"), 65, "session contact unblock")
    check_refusal(alice.try_run("request", "accept", mallory.id), 65, "session contact unblock")
    assert "[blocked]" in alice.run("contact", "list").text
    assert [each["blocked"] for each in alice.run("contact", "list", "--json").objects] == [True, True]
    assert alice.run("contact", "unblock", "Bob").stderr == f"Bob ({bob.id[:10]}…) is not blocked any more.\n"
    app.say(alice.id, "can you hear me?")
    assert bodies(alice.receive()) == ["can you hear me?"]
    alice.run("send", "Bob", "now I can")
    assert bodies(events(bob, "message")) == ["now I can"]
    alice.run("contact", "unblock", mallory.id)
    assert "buy this" in alice.run("request", "list").text, "it is a request again"


def test_calls_that_make_no_sense(person: People) -> None:
    alice, bob = person("Alice"), person("Bob")
    for what in ("accept", "decline", "block"):
        check_json_refusal(alice.try_run("request", what, bob.id, "--json"), 65, "invalid_input")
        check_refusal(alice.try_run("request", what, "me"), 65, "me")
        check_refusal(alice.try_run("request", what), 2, "WHO")
    check_refusal(alice.try_run("contact", "block", "me"), 65, "me")


def test_nothing_is_fetched_for_strangers(
    person: People, shared_net: Devnet, shared_definition: Path, tmp_path: Path
) -> None:
    alice, mallory = person("Alice"), Stranger(shared_net)
    mallory.say(alice.id, "look", files=[upload(shared_definition, tmp_path / "mallory", b"bait")])
    folder = tmp_path / "files"
    (message,) = alice.receive("--download", str(folder))
    assert (message["request"], message["attachments"][0]["saved"]) == (True, None)
    assert list(folder.iterdir()) == []


def test_requests_stand_apart_in_the_list(person: People, shared_net: Devnet) -> None:
    alice, bob, mallory = person("Alice"), person("Bob"), Stranger(shared_net)
    befriend(alice, bob)
    mallory.say(alice.id, "me first")
    alice.receive()
    assert [each["request"] for each in alice.run("list", "--json").objects] == [True, False]
    assert mallory.id[:10] in alice.run("list").lines[1]
    code, output = at_terminal(alice, "list", "--color", "never")
    assert code == 0
    shown = output.splitlines()
    heading = next(number for number, line in enumerate(shown) if line.startswith("Message requests"))
    assert bob.id[:10] in shown[heading - 1]
    assert mallory.id[:10] in shown[heading + 1]
