"""Notes to self: messages like others, on one's own devices alone."""

from __future__ import annotations

from collections.abc import Callable

from session_cli.devnet.network import Devnet
from session_cli.protocol.payload import VisibleMessage
from session_cli.protocol.storage_rpc import message_hash
from tests.support.devnet import Person
from tests.support.friends import entry, events, log, other_app
from tests.support.outcomes import bodies
from tests.support.swarm import hashes_of

People = Callable[[str], Person]


def test_what_is_done_to_notes_is_done_on_all_devices(person: People, shared_net: Devnet) -> None:
    alice = person("Alice")
    laptop = alice.second_device()
    alice.run("send", "me", "milk")
    alice.run("send", "me", "two bottles", "--quote", "1")
    alice.run("react", "1", "🥛")
    first, second, reaction = laptop.receive()
    assert bodies([first, second]) == ["milk", "two bottles"]
    assert (second["quote"]["id"], second["quote"]["excerpt"]) == (first["id"], "milk")
    assert (reaction["type"], reaction["emoji"], reaction["conversation"]["type"]) == ("reaction", "🥛", "self")
    assert alice.receive() == []
    for device in (alice, laptop):
        assert [each["emoji"] for each in entry(device, 1)["reactions"]] == ["🥛"]
    laptop.run("react", "1", "--remove")
    assert [each["removed"] for each in events(alice, "reaction")] == [True]
    identity = other_app(shared_net, alice).identity
    held = {each["hash"] for each in log(alice)}
    assert held <= hashes_of(shared_net, identity)
    assert [each["type"] for each in laptop.run("unsend", "1", "--json").objects] == ["unsend"]
    assert alice.receive() == []
    for device in (alice, laptop):
        assert bodies(log(device)) == ["two bottles"], "a note leaves no mark"
        assert log(device)[0]["quote"]["id"] is None
    alice.run("unsend", "2", "--own-devices")
    laptop.receive()
    assert log(laptop) == log(alice) == []
    assert not held & hashes_of(shared_net, identity)


def test_a_deleted_note_does_not_come_back(person: People, shared_net: Devnet) -> None:
    alice = person("Alice")
    app = other_app(shared_net, alice)
    note, sent_ms = VisibleMessage("milk", sync_target=alice.id), app.next_ms()
    # The second under another hash, as a repeated attempt to store it leaves behind.
    first, second = (app.seal(alice.id, note, sent_ms=sent_ms) for _ in range(2))
    app.store(alice.id, first)
    alice.receive()
    alice.run("unsend", "1")
    app.store(alice.id, second)
    assert alice.receive() == []
    assert log(alice) == []
    alice.run("unsend", alice.run("send", "me", "bread").text.strip())
    held = hashes_of(shared_net, app.identity)
    assert not held & {message_hash(alice.id, 0, first), message_hash(alice.id, 0, second)}
