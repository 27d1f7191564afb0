"""What others say without words: that they have read, that they call, that they saved a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from session_cli.devnet.network import Devnet
from session_cli.protocol.payload import Call, CallKind, MediaSaved, ReadReceipt, VisibleMessage
from tests.support.devnet import Person
from tests.support.friends import befriend, entry, events, log, other_app
from tests.support.strangers import Stranger, now_ms

People = Callable[[str], Person]
CALL_ID = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"


def asking_for_receipts(someone: Person) -> Person:
    """The same person, who takes note of what others have read."""
    return replace(someone, extra={"SESSION_READ_RECEIPTS": "true"})


def test_a_receipt_makes_our_message_read(person: People, shared_net: Devnet) -> None:
    alice, bob = asking_for_receipts(person("Alice")), person("Bob")
    befriend(alice, bob)
    app = other_app(shared_net, bob)
    times = (entry(alice, 1)["timestamp_ms"], entry(alice, 2)["timestamp_ms"])
    app.tell(alice.id, ReadReceipt(times))
    app.tell(alice.id, ReadReceipt(times))
    (event,) = alice.receive()
    assert (event["type"], event["target"]["id"], event["sender"]["name"]) == ("receipt", 1, "Bob")
    assert [(each["status"], each["read"]) for each in log(alice)] == [("read", True), ("received", False)]
    assert "[read]" in alice.run("log").text


def test_receipts_count_only_where_they_may(person: People, shared_net: Devnet) -> None:
    alice, bob, mallory = person("Alice"), person("Bob"), Stranger(shared_net)
    befriend(alice, bob)
    times = (entry(alice, 1)["timestamp_ms"],)
    other_app(shared_net, bob).tell(alice.id, ReadReceipt(times))
    assert alice.receive() == [], "nobody asked for it"
    alice = asking_for_receipts(alice)
    mallory.tell(alice.id, ReadReceipt(times))
    assert alice.receive() == []
    assert entry(alice, 1)["status"] == "sent"


def test_a_receipt_may_come_before_the_message(person: People, shared_net: Devnet) -> None:
    alice, bob = person("Alice"), person("Bob")
    befriend(alice, bob)
    laptop = asking_for_receipts(alice.second_device())
    laptop.receive()
    app = other_app(shared_net, alice)
    sent_ms = app.next_ms()
    other_app(shared_net, bob).tell(alice.id, ReadReceipt((sent_ms,)))
    assert laptop.receive() == []
    app.tell(alice.id, VisibleMessage("from the phone", sync_target=bob.id), sent_ms=sent_ms)
    assert [each["type"] for each in laptop.receive()] == ["message", "receipt"]
    assert log(laptop)[-1]["status"] == "read"


def test_a_call_is_told_once_and_never_answered(person: People, shared_net: Devnet) -> None:
    alice, bob = person("Alice"), person("Bob")
    befriend(alice, bob)
    app, mallory = other_app(shared_net, bob), Stranger(shared_net)
    before = len(shared_net.request_log)
    app.tell(alice.id, Call(CallKind.PRE_OFFER, CALL_ID))
    app.tell(alice.id, Call(CallKind.OFFER, CALL_ID.upper(), ("v=0",)))
    app.tell(alice.id, Call(CallKind.ICE_CANDIDATES, CALL_ID))
    mallory.tell(alice.id, Call(CallKind.PRE_OFFER, CALL_ID))
    mallory.tell(alice.id, Call(CallKind.END_CALL, CALL_ID))
    app.tell(alice.id, Call(CallKind.PRE_OFFER, "not an id"))
    (event,) = alice.receive()
    assert (event["type"], event["state"], event["call_id"]) == ("call", "ringing", CALL_ID)
    assert [each["type"] for each in log(alice)] == ["message", "message", "call"]
    app.tell(alice.id, Call(CallKind.END_CALL, CALL_ID))
    assert alice.receive() == []
    assert log(alice)[-1]["state"] == "missed"
    assert "missed call" in alice.run("log").text
    assert not [each for each in shared_net.request_log[before:] if each.method == "store" and bob.id in repr(each)]
    assert events(bob, "call") == []


def test_a_call_that_nobody_took_is_missed_after_a_minute(person: People, shared_net: Devnet) -> None:
    alice, bob = person("Alice"), person("Bob")
    befriend(alice, bob)
    other_app(shared_net, bob).tell(alice.id, Call(CallKind.OFFER, CALL_ID), sent_ms=now_ms() - 61_000)
    assert [each["state"] for each in alice.receive()] == ["missed"]


def test_another_device_takes_or_declines_a_call(person: People, shared_net: Devnet) -> None:
    alice, bob = person("Alice"), person("Bob")
    befriend(alice, bob)
    app, phone = other_app(shared_net, bob), other_app(shared_net, alice)
    for number, (kind, state) in enumerate(((CallKind.ANSWER, "answered"), (CallKind.END_CALL, "declined"))):
        call_id = f"{number}{CALL_ID[1:]}"
        app.tell(alice.id, Call(CallKind.PRE_OFFER, call_id))
        alice.receive()
        phone.tell(alice.id, Call(kind, call_id))
        assert alice.receive() == []
        assert log(alice)[-1]["state"] == state
        assert f"{state} on another device" in alice.run("log").text


def test_who_saves_a_file_says_so_only_if_asked(person: People, shared_net: Devnet, tmp_path: Path) -> None:
    alice, bob = person("Alice"), person("Bob")
    befriend(alice, bob)
    note = tmp_path / "note.txt"
    note.write_text("words")
    bob.run("send", alice.id, "--attach", str(note))
    (message,) = alice.receive()
    number = str(message["id"])
    alice.run("attach", "save", number, "-o", str(tmp_path / "first"))
    assert bob.receive() == []
    telling = replace(alice, extra={"SESSION_SAVED_NOTICES": "true"})
    telling.run("attach", "save", number, "-o", str(tmp_path / "second"))
    assert telling.run("attach", "save", number, "-o", "-").text == "words"
    first, second = bob.receive()
    for notice in (first, second):
        assert (notice["type"], notice["sender"]["id"]) == ("media_saved", alice.id)
        assert notice["target"] == {"timestamp_ms": message["timestamp_ms"]}
    assert "* saved a file" in bob.run("log").text
    assert telling.receive() == [], "it is not for our own devices"


def test_nobody_else_is_told_what_was_saved(person: People, shared_net: Devnet, tmp_path: Path) -> None:
    alice, bob = replace(person("Alice"), extra={"SESSION_SAVED_NOTICES": "true"}), person("Bob")
    note = tmp_path / "note.txt"
    note.write_text("words")
    bob.run("send", alice.id, "--attach", str(note))
    alice.receive()
    alice.run("send", "me", "--attach", str(note))
    for number in ("1", "2"):
        alice.run("attach", "save", number, "-o", str(tmp_path / number))
    assert bob.receive() == []
    Stranger(shared_net).tell(bob.id, MediaSaved(1))
    assert bob.receive() == []
