"""A swarm takes messages from anybody: what comes in bad faith is skipped, and what lies around it still comes."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from session_cli.devnet.network import Devnet
from session_cli.protocol import content as contents
from session_cli.protocol import session_v1
from session_cli.protocol.account import Identity, key_of, parse_account_id
from session_cli.protocol.padding import pad
from session_cli.protocol.payload import Content, Profile, Quote, VisibleMessage
from session_cli.protocol.proto import session_pb2
from tests.support.devnet import Person
from tests.support.outcomes import bodies, check_refusal, objects
from tests.support.strangers import Stranger

People = Callable[[str], Person]
Attack = Callable[[Stranger, str], bytes]
HELLO = VisibleMessage("hello")


def tampered(stranger: Stranger, to: str) -> bytes:
    data = bytearray(stranger.seal(to, HELLO))
    data[len(data) // 2] ^= 1
    return bytes(data)


def truncated(stranger: Stranger, to: str) -> bytes:
    return stranger.seal(to, HELLO)[:-30]


def truncated_inside(stranger: Stranger, to: str) -> bytes:
    envelope = session_v1.unwrap(stranger.seal(to, HELLO))
    return session_v1.wrap(envelope.content[:-30], envelope.timestamp_ms)


def too_short_a_box(stranger: Stranger, to: str) -> bytes:
    return session_v1.wrap(b"short", stranger.next_ms())


def without_content(stranger: Stranger, to: str) -> bytes:
    return session_v1.wrap(b"", stranger.next_ms())


def wrongly_padded(stranger: Stranger, to: str) -> bytes:
    padding = b"\x80" + b"\1" * 100
    return stranger.seal(to, b"", padded=contents.serialize(Content(HELLO, stranger.next_ms())) + padding)


def only_padding(stranger: Stranger, to: str) -> bytes:
    return stranger.seal(to, b"", padded=bytes(160))


def foreign(stranger: Stranger, to: str) -> bytes:
    return stranger.seal(Identity.generate().account_id, HELLO)


def passed_on(stranger: Stranger, to: str) -> bytes:
    """What somebody signed for the stranger, sealed anew for the victim."""
    author, sent_ms = Identity.generate(), stranger.next_ms()
    content = contents.serialize(Content(HELLO, sent_ms))
    box = session_v1.open_box(stranger.identity, session_v1.seal(author, stranger.identity.x25519_public, pad(content)))
    signature = author.sign(box.plaintext + box.sender_ed25519 + stranger.identity.x25519_public)
    from nacl import bindings as sodium

    inner = box.plaintext + box.sender_ed25519 + signature
    return session_v1.wrap(sodium.crypto_box_seal(inner, key_of(parse_account_id(to))), sent_ms)


def somebody_elses_name(stranger: Stranger, to: str) -> bytes:
    """Signed by the stranger, with another's key beside the signature."""
    from nacl import bindings as sodium

    sent_ms, recipient, claimed = stranger.next_ms(), key_of(parse_account_id(to)), Identity.generate().ed25519_public
    plaintext = pad(contents.serialize(Content(HELLO, sent_ms)))
    inner = plaintext + claimed + stranger.identity.sign(plaintext + claimed + recipient)
    return session_v1.wrap(sodium.crypto_box_seal(inner, recipient), sent_ms)


def with_another_signed_time(stranger: Stranger, to: str) -> bytes:
    sent_ms = stranger.next_ms()
    return stranger.seal(to, HELLO, sent_ms=sent_ms, signed_ms=sent_ms - 1)


def garbage(stranger: Stranger, to: str) -> bytes:
    return os.urandom(500)


def one_byte(stranger: Stranger, to: str) -> bytes:
    return b"\xff"


def garbage_well_sealed(stranger: Stranger, to: str) -> bytes:
    return stranger.seal(to, b"\xff" * 200)


def broken_text(stranger: Stranger, to: str) -> bytes:
    """A body that is no UTF-8."""
    content = session_pb2.Content(sigTimestamp=stranger.next_ms())
    data_message = b"\x0a\x04" + b"\x0a\x02\xff\xfe"
    return stranger.seal(to, data_message + content.SerializeToString(), sent_ms=content.sigTimestamp)


def many_files(stranger: Stranger, to: str) -> bytes:
    content = session_pb2.Content(sigTimestamp=stranger.next_ms())
    for _ in range(500):
        content.dataMessage.attachments.add(id=0, url="http://127.0.0.1/file/1", key=b"k" * 64)
    return stranger.seal(to, content.SerializeToString(), sent_ms=content.sigTimestamp)


def far_too_late(stranger: Stranger, to: str) -> bytes:
    """A time that no 64-bit integer with a sign holds."""
    return stranger.seal(to, HELLO, sent_ms=2**64 - 1)


def just_too_late(stranger: Stranger, to: str) -> bytes:
    return stranger.seal(to, HELLO, sent_ms=2**63)


UNREADABLE: list[Attack] = [
    tampered,
    truncated,
    truncated_inside,
    too_short_a_box,
    without_content,
    wrongly_padded,
    foreign,
    passed_on,
    somebody_elses_name,
    with_another_signed_time,
    garbage,
    one_byte,
    garbage_well_sealed,
    broken_text,
    many_files,
    far_too_late,
    just_too_late,
]


@pytest.mark.parametrize("attack", UNREADABLE, ids=lambda attack: attack.__name__)
def test_it_is_skipped_and_counted(attack: Attack, person: People, shared_net: Devnet) -> None:
    bob, stranger = person("Bob"), Stranger(shared_net)
    stranger.say(bob.id, "before")
    stranger.store(bob.id, attack(stranger, bob.id))
    stranger.say(bob.id, "after")
    received = bob.try_run("recv", "--json")
    assert received.code == 0, received.stderr
    assert bodies(objects(received)) == ["before", "after"]
    assert received.stderr.count("\n") == 1
    assert received.stderr.startswith("session: 1 message")
    again = bob.run("recv")
    assert (again.text, again.stderr) == ("", ""), "what was skipped is not looked at again"


def test_one_is_not_many(person: People, shared_net: Devnet) -> None:
    bob, stranger = person("Bob"), Stranger(shared_net)
    stranger.store(bob.id, garbage(stranger, bob.id))
    assert bob.run("recv").stderr.startswith("session: 1 message could not be read")


def test_many_bad_ones_do_not_hide_the_good(person: People, shared_net: Devnet) -> None:
    bob, stranger = person("Bob"), Stranger(shared_net)
    for attack in UNREADABLE:
        if attack not in (far_too_late, just_too_late):
            stranger.store(bob.id, attack(stranger, bob.id))
            stranger.say(bob.id, attack.__name__)
    received = bob.run("recv")
    expected = [attack.__name__ for attack in UNREADABLE if attack not in (far_too_late, just_too_late)]
    assert [line.strip() for line in received.lines if line.startswith("    ")] == expected
    assert f"{len(expected)} messages" in received.stderr
    assert bob.run("recv", "--quiet").stderr == ""


def with_late_profile(stranger: Stranger, to: str) -> bytes:
    return stranger.seal(to, VisibleMessage("middle", profile=Profile("Eve", updated_s=2**64 - 1)))


def with_late_quote(stranger: Stranger, to: str) -> bytes:
    return stranger.seal(to, VisibleMessage("middle", quote=Quote(to, 2**64 - 1)))


def with_a_time_before_all(stranger: Stranger, to: str) -> bytes:
    return stranger.seal(to, VisibleMessage("middle"), sent_ms=0, signed_ms=0)


def with_a_time_after_the_year_9999(stranger: Stranger, to: str) -> bytes:
    return stranger.seal(to, VisibleMessage("middle"), sent_ms=253_402_300_800_000)


def only_zeros(stranger: Stranger, to: str) -> bytes:
    return only_padding(stranger, to)


def empty(stranger: Stranger, to: str) -> bytes:
    return stranger.seal(to, VisibleMessage(" \n"))


@pytest.mark.parametrize(
    "attack",
    [
        with_late_profile,
        with_late_quote,
        with_a_time_before_all,
        with_a_time_after_the_year_9999,
        only_zeros,
        empty,
    ],
    ids=lambda attack: attack.__name__,
)
def test_odd_values_stop_nothing(attack: Attack, person: People, shared_net: Devnet) -> None:
    """Shown or skipped, both may be right; the others come in any case, and what is shown has a time that parses."""
    from datetime import datetime

    bob, stranger = person("Bob"), Stranger(shared_net)
    stranger.say(bob.id, "before")
    stranger.store(bob.id, attack(stranger, bob.id))
    stranger.say(bob.id, "after")
    received = bob.try_run("recv", "--json")
    assert received.code == 0, received.stderr
    shown = objects(received)
    assert [body for body in bodies(shown) if body != "middle"] == ["before", "after"]
    for message in shown:
        assert datetime.fromisoformat(message["timestamp"]).tzinfo is not None


def test_a_replay_is_shown_once(person: People, shared_net: Devnet) -> None:
    bob, stranger = person("Bob"), Stranger(shared_net)
    sent_ms = stranger.next_ms()
    data = stranger.seal(bob.id, VisibleMessage("once"), sent_ms=sent_ms)
    stranger.store(bob.id, data, data)
    assert bodies(bob.receive()) == ["once"]
    stranger.store(bob.id, data)
    assert bob.receive() == []
    # The same message in other bytes: sealed boxes never come out the same twice.
    stranger.store(bob.id, stranger.seal(bob.id, VisibleMessage("once"), sent_ms=sent_ms))
    stranger.store(bob.id, stranger.seal(bob.id, VisibleMessage("another text"), sent_ms=sent_ms))
    stranger.say(bob.id, "later")
    assert bodies(bob.receive()) == ["later"]


def test_a_stranger_can_not_write_into_another_conversation(person: People, shared_net: Devnet) -> None:
    alice, bob, stranger = person("Alice"), person("Bob"), Stranger(shared_net)
    alice.run("send", bob.id, "it's me")
    forged = [VisibleMessage("forged", sync_target=target) for target in (alice.id, bob.id, "garbage")]
    stranger.store(bob.id, *(stranger.seal(bob.id, message) for message in forged))
    real, *others = bob.receive()
    assert real["sender"]["id"] == real["conversation"]["id"] == alice.id
    assert len(others) == 3
    for message in others:
        assert message["direction"] == "incoming"
        assert message["sender"]["id"] == message["conversation"]["id"] == stranger.id
        assert message["conversation"]["type"] == "contact"


def test_a_stranger_is_not_taken_for_a_known_person(person: People, shared_net: Devnet) -> None:
    alice, bob, stranger = person("Alice"), person("Bob"), Stranger(shared_net)
    bob.run("send", alice.id, "hi")
    alice.run("send", bob.id, "hi")
    stranger.say(bob.id, "hi", name="Alice")
    bob.receive()
    sent = bob.try_run("send", "--json", "Alice", "a secret")
    if sent.code == 0:
        assert objects(sent)[0]["conversation"]["id"] == alice.id
    else:
        check_refusal(bob.try_run("send", "Alice", "a secret"), 2, alice.id[:12], stranger.id[:12])


@pytest.mark.parametrize("name", ["me", "05aabbccdd"])
def test_a_name_with_another_meaning_is_not_followed(name: str, person: People, shared_net: Devnet) -> None:
    """Neither our own word for ourselves nor the beginning of an id can be taken over by calling oneself so."""
    bob, stranger = person("Bob"), Stranger(shared_net)
    stranger.say(bob.id, "hi", name=name)
    bob.receive()
    sent = bob.try_run("send", "--json", name, "a secret")
    if sent.code == 0:
        assert objects(sent)[0]["conversation"]["id"] != stranger.id


def test_a_name_as_long_as_an_id_is_no_id(person: People, shared_net: Devnet) -> None:
    alice, bob, stranger = person("Alice"), person("Bob"), Stranger(shared_net)
    stranger.say(bob.id, "hi", name=alice.id)
    bob.receive()
    sent = objects(bob.run("send", "--json", alice.id, "for Alice"))
    assert sent[0]["conversation"]["id"] == alice.id
