"""Disappearing messages on a local network, with clocks that the test sets: how long swarms keep them, when they go,
and what is left of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from session_cli import Client
from session_cli.core.delivering import Carrier
from session_cli.core.expiry import purge
from session_cli.core.preferences import Preferences
from session_cli.core.profile import key_sources
from session_cli.core.sending import Sender
from session_cli.devnet.network import Devnet
from session_cli.errors import InvalidInput, NodeFailed
from session_cli.network.clock import Deadline
from session_cli.protocol.payload import Call, CallKind, MediaSaved, Reaction, TimerUpdate, Unsend
from session_cli.protocol.storage_rpc import MessageHash, StoredMessage
from session_cli.store.database import open_database
from session_cli.store.key import open_key
from session_cli.store.store import DATABASE_NAME
from tests.support.fading import AFTER_READ, AFTER_SEND, put_fading
from tests.support.strangers import Stranger, now_ms

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
LONGEST_MS = 14 * DAY_MS
CALL = "01234567-89ab-4def-8123-456789abcdef"


class Home:
    """Where one device keeps its profile; opens it as often as need be."""

    def __init__(self, folder: Path, definition: Path) -> None:
        self.environ = {"SESSION_HOME": str(folder)}
        self._definition = str(definition)
        self._open: list[Client] = []

    def make(self, name: str, seed_of: Client | None = None) -> Client:
        identity = seed_of._profile.identity if seed_of else None
        return self._keep(
            Client.create(name=name, identity=identity, network=self._definition, environ=self.environ, timeout=60)
        )

    def again(self, **preferences: bool) -> Client:
        """The next run of the program."""
        self.close()
        return self._keep(Client.open(environ=self.environ, timeout=60, preferences=Preferences(**preferences)))

    def close(self) -> None:
        while self._open:
            self._open.pop().close()

    def _keep(self, client: Client) -> Client:
        self._open.append(client)
        return client


Homes = Callable[[str], Home]


@pytest.fixture
def home(shared_definition: Path, tmp_path: Path) -> Iterator[Homes]:
    made: list[Home] = []

    def make(name: str) -> Home:
        made.append(Home(tmp_path / name, shared_definition))
        return made[-1]

    yield make
    for one in made:
        one.close()


def befriend(alice: Client, bob: Client) -> None:
    alice.send(bob.account_id, "hi")
    bob.poll()
    bob.send(alice.account_id, "hello")
    alice.poll()


def held(client: Client) -> dict[str, StoredMessage]:
    """What the swarm of an account holds, by hash."""
    page = client.network.swarm.retrieve(client._profile.identity, {0: {}}, Deadline(20))
    return {message.hash: message for message in page.messages()}


def new_lives(client: Client, before: dict[str, StoredMessage]) -> list[int]:
    """How long (ms) the swarm keeps what was not there before, from when it was stored on."""
    return [m.expiration_ms - m.timestamp_ms for hash, m in held(client).items() if hash not in before]


def bodies(client: Client) -> list[str]:
    return [message.body for message in client.history.log(limit=None)]


def set_clock(client: Client, milliseconds: int) -> None:
    """What time it is for this device, as far as disappearing messages are concerned."""
    client._store.now_ms = lambda: milliseconds


@pytest.mark.parametrize(
    ("mode", "seconds", "theirs_ms", "ours_ms"),
    [
        ("after_send", 43_200, 12 * HOUR_MS, 12 * HOUR_MS),
        ("after_send", 1_209_600, LONGEST_MS, LONGEST_MS),
        ("after_read", 300, LONGEST_MS, 300_000),
        ("after_read", 604_800, LONGEST_MS, 7 * DAY_MS),
    ],
)
def test_swarms_keep_what_disappears_no_longer_than_they_have_to(
    home: Homes, mode: str, seconds: int, theirs_ms: int, ours_ms: int
) -> None:
    alice, bob = home("alice").make("Alice"), home("bob").make("Bob")
    befriend(alice, bob)
    ours, theirs = held(alice), held(bob)
    alice.disappearing.set("Bob", mode, seconds)
    alice.send("Bob", "gone soon")
    assert new_lives(bob, theirs) == [theirs_ms, theirs_ms]
    assert new_lives(alice, ours) == [ours_ms, ours_ms]
    theirs = held(bob)
    alice.disappearing.set("Bob", "off", 0)
    alice.send("Bob", "stays")
    assert new_lives(bob, theirs) == [LONGEST_MS, LONGEST_MS]


def test_receipts_live_long_and_do_not_disappear(home: Homes) -> None:
    place = home("alice")
    alice, bob = place.make("Alice"), home("bob").make("Bob")
    befriend(alice, bob)
    bob.send("Alice", "read me")
    alice = place.again(read_receipts=True)
    alice.disappearing.set("Bob", "after_send", 43_200)
    alice.poll()
    theirs, ours = held(bob), held(alice)
    alice.reads.read(["Bob"])
    assert new_lives(bob, theirs) == [LONGEST_MS]
    assert new_lives(alice, ours) == [], "our other devices are not told so"


@pytest.mark.parametrize("mode", ["after_send", "after_read"])
def test_our_messages_go_when_their_time_has_come(home: Homes, mode: str) -> None:
    alice, bob = home("alice").make("Alice"), home("bob").make("Bob")
    befriend(alice, bob)
    alice.disappearing.set("Bob", mode, 43_200)
    before = now_ms()
    sent = alice.send("Bob", "gone soon")
    ends = sent.expires_ms
    assert ends is not None
    assert before + 12 * HOUR_MS <= ends <= now_ms() + 12 * HOUR_MS
    for offset, there in ((-1, True), (0, False), (1, False)):
        set_clock(alice, ends + offset)
        assert ("gone soon" in bodies(alice)) is there, "shown, though it is not deleted yet"
    set_clock(alice, ends - 1)
    assert purge(alice._store) == 1, "the notice, whose clock began before"
    set_clock(alice, ends)
    assert purge(alice._store) == 1
    assert bodies(alice) == ["hi", "hello"]


@pytest.mark.parametrize("dropped", [True, False])
def test_what_never_arrives_goes_as_well(home: Homes, monkeypatch: pytest.MonkeyPatch, dropped: bool) -> None:
    alice, bob = home("alice").make("Alice"), home("bob").make("Bob")
    befriend(alice, bob)
    alice.disappearing.set("Bob", "after_send", 43_200)

    def fail(*_: Any, **__: Any) -> Any:
        raise NodeFailed("down")

    monkeypatch.setattr(type(alice.network.swarm), "store", fail)
    if dropped:
        waiting = alice.send("Bob", "secret", queue=True)
        assert waiting.expires_ms is None, "as long as it may still be sent"
        alice.outbox.drop(waiting.id)
    else:
        with pytest.raises(NodeFailed):
            alice.send("Bob", "secret")
    (failed,) = (message for message in alice.history.log() if message.status == "failed")
    assert failed.expires_ms is not None
    set_clock(alice, failed.expires_ms)
    assert purge(alice._store) == 2, "the notice, too"
    assert bodies(alice) == ["hi", "hello"]


def test_what_came_goes_with_its_event(home: Homes, shared_net: Devnet) -> None:
    bob, stranger = home("bob").make("Bob"), Stranger(shared_net)
    sent, _ = put_fading(shared_net, stranger, bob.account_id, "gone soon", AFTER_SEND, 60)
    stranger.say(bob.account_id, "stays")
    put_fading(shared_net, stranger, bob.account_id, Reaction(stranger.id, sent, "😀", False), AFTER_SEND, 60)
    bob.poll()
    ends = next(m.expires_ms for m in bob.history.log() if m.body == "gone soon")
    assert ends is not None
    assert sent + 60_000 <= ends <= now_ms() + 60_000
    seen = [event.message.body for event in bob.receive(reader="first", peek=True) if event.message]
    assert seen == ["gone soon", "stays", "gone soon"]
    set_clock(bob, ends)
    assert [event.message.body for event in bob.receive(reader="peeking", peek=True) if event.message] == ["stays"]
    assert [event.message.body for event in bob.receive() if event.message] == ["stays"]
    assert bob._store.events.count_unread("other") == 1
    assert bob._store.messages.latest(9)[0].reactions == ()


def test_what_cannot_be_deleted_is_not_shown(home: Homes, shared_net: Devnet) -> None:
    """As on a file system that can't be written: the store still has what has gone."""
    bob, stranger = home("bob").make("Bob"), Stranger(shared_net)
    stranger.say(bob.account_id, "word stays")
    for number in range(3):
        put_fading(shared_net, stranger, bob.account_id, f"word {number}", AFTER_SEND, 60)
    bob.poll()
    set_clock(bob, now_ms() + 61_000)
    assert [m.body for m in bob.history.log(limit=1)] == ["word stays"]
    assert [m.body for m in bob.history.search("word", limit=1)] == ["word stays"]
    (talk,) = bob.history.conversations()
    assert talk.last_message is not None
    assert (talk.last_message.body, talk.unread) == ("word stays", 1)
    with pytest.raises(InvalidInput):
        bob.message(2)
    assert len(bob._store.messages.overdue()) == 3


def test_notices_calls_and_saved_files_go_as_well(home: Homes, shared_net: Devnet) -> None:
    bob, stranger = home("bob").make("Bob"), Stranger(shared_net)
    stranger.say(bob.account_id, "hi")
    bob.poll()
    bob.send(stranger.id, "hello")
    put_fading(shared_net, stranger, bob.account_id, TimerUpdate(), AFTER_SEND, 600)
    put_fading(shared_net, stranger, bob.account_id, MediaSaved(1), AFTER_READ, 600)
    put_fading(shared_net, stranger, bob.account_id, Call(CallKind.PRE_OFFER, CALL), AFTER_READ, 600)
    bob.poll()
    found = {m.kind: m.expires_ms for m in bob.history.log() if m.kind != "message"}
    assert found["expiration_update"] is not None
    assert (found["media_saved"], found["call"]) == (None, None)
    (mark,) = bob.reads.read([stranger.id])
    assert mark.messages == 1, "notices are no messages"
    assert all(m.expires_ms for m in bob.history.log() if m.kind != "message")
    set_clock(bob, now_ms() + 600_001)
    assert purge(bob._store) == 3
    assert bodies(bob) == ["hi", "hello"]


def test_reading_starts_the_clock_once(home: Homes, shared_net: Devnet) -> None:
    bob, stranger = home("bob").make("Bob"), Stranger(shared_net)
    _, hash = put_fading(shared_net, stranger, bob.account_id, "burn", AFTER_READ, 3_600)
    bob.poll()
    (message,) = bob.history.log()
    assert (message.expires_ms, message.read) == (None, False)
    set_clock(bob, now_ms() + 30 * DAY_MS)
    assert purge(bob._store) == 0, "as long as nobody reads it"
    read_at = now_ms()
    set_clock(bob, read_at)
    assert bob.reads.read([stranger.id])[0].messages == 1
    assert bob.message(message.id).expires_ms == read_at + HOUR_MS
    assert held(bob)[hash].expiration_ms == read_at + HOUR_MS, "on all members"
    set_clock(bob, read_at + 1_000)
    assert bob.reads.read([stranger.id])[0].messages == 0
    assert bob.message(message.id).expires_ms == read_at + HOUR_MS


def test_a_peer_has_no_say_in_how_long_or_in_what_we_wrote(home: Homes, shared_net: Devnet) -> None:
    bob, stranger = home("bob").make("Bob"), Stranger(shared_net)
    stranger.say(bob.account_id, "hi")
    bob.poll()
    ours = bob.send(stranger.id, "ours")
    ahead = now_ms() + 100 * DAY_MS
    put_fading(shared_net, stranger, bob.account_id, "from the future", AFTER_SEND, 600, sent_ms=ahead)
    put_fading(shared_net, stranger, bob.account_id, "read me", AFTER_READ, 600, sent_ms=ahead + 1)
    put_fading(shared_net, stranger, bob.account_id, TimerUpdate(sync_target=bob.account_id), AFTER_SEND, 60)
    put_fading(shared_net, stranger, bob.account_id, Unsend(bob.account_id, ours.timestamp_ms), AFTER_SEND, 60)
    bob.poll()
    found = {m.body: m for m in bob.history.log() if m.kind == "message"}
    assert (found["from the future"].expires_ms or ahead) <= now_ms() + 600_000
    assert bob.disappearing.rule(stranger.id).mode == "off"
    assert bob.disappearing.rule("me").mode == "off"
    assert (found["ours"].expires_ms, found["ours"].deleted) == (None, False)
    bob.reads.read([stranger.id])
    assert (bob.message(found["read me"].id).expires_ms or ahead) <= now_ms() + 600_000
    stranger.say(bob.account_id, "later")
    bob.poll()
    assert [m.read for m in bob.history.log() if m.body == "later"] == [False], "not read before it came"


def test_a_message_of_long_ago_has_the_time_that_is_left(home: Homes, shared_net: Devnet) -> None:
    bob, stranger = home("bob").make("Bob"), Stranger(shared_net)
    sent = now_ms() - 10 * DAY_MS
    put_fading(shared_net, stranger, bob.account_id, "queued for days", AFTER_SEND, 3_600, sent_ms=sent)
    bob.poll()
    (message,) = bob.history.log()
    assert message.expires_ms is not None
    assert abs(message.expires_ms - now_ms() - HOUR_MS) < 60_000, "from when the swarm has had it"


# A kill at any moment.


class Killed(BaseException):
    """What stands for kill -9: nothing catches it."""


def test_receipts_survive_a_kill(home: Homes, monkeypatch: pytest.MonkeyPatch) -> None:
    place, hers = home("bob"), home("alice")
    alice, bob = hers.make("Alice"), place.make("Bob")
    befriend(alice, bob)
    sent = alice.send("Bob", "read me")
    bob = place.again(read_receipts=True)
    bob.poll()

    def die(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Sender, "resend_left", die)
        bob.reads.read(["Alice"])
    bob = place.again(read_receipts=True)
    assert bob.reads.read(["Alice"])[0].messages == 0
    bob.poll()
    alice = hers.again(read_receipts=True)
    alice.poll()
    assert alice.message(sent.id).status == "read"


@pytest.mark.parametrize("stored", [True, False])
def test_a_rule_and_what_was_told_of_it_survive_a_kill(
    home: Homes, monkeypatch: pytest.MonkeyPatch, stored: bool
) -> None:
    place = home("alice")
    alice, bob = place.make("Alice"), home("bob").make("Bob")
    befriend(alice, bob)

    def die(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        where, what = (Sender, "_conclude") if stored else (Carrier, "deliver")
        patch.setattr(where, what, die)
        alice.disappearing.set("Bob", "after_send", 43_200)
    alice = place.again()
    alice.poll()
    bob.poll()
    told = [m.kind for m in bob.history.log()][2:]
    assert told == (["expiration_update"] if stored else [])
    assert alice.disappearing.rule("Bob").mode == ("after_send" if stored else "off")


def test_a_rule_that_nobody_could_be_told_of_is_none(home: Homes, monkeypatch: pytest.MonkeyPatch) -> None:
    alice, bob = home("alice").make("Alice"), home("bob").make("Bob")
    befriend(alice, bob)

    def fail(*_: Any, **__: Any) -> Any:
        raise NodeFailed("down")

    monkeypatch.setattr(type(alice.network.swarm), "store", fail)
    with pytest.raises(NodeFailed):
        alice.disappearing.set("Bob", "after_send", 43_200)
    assert alice.disappearing.rule("Bob").mode == "off"
    assert [m.kind for m in alice.history.log()] == ["message", "message"]


def test_nothing_of_a_text_is_left_in_the_file(home: Homes, shared_net: Devnet) -> None:
    place = home("bob")
    bob, stranger = place.make("Bob"), Stranger(shared_net)
    for number in range(30):
        stranger.say(bob.account_id, f"padding{number} " + "words " * 50)
    put_fading(shared_net, stranger, bob.account_id, "Unforgettable secretword", AFTER_SEND, 60)
    bob.poll()
    assert _whole_content(bob, place.environ).count(b"Unforgettable") == 1
    assert b"secretword" in _whole_content(bob, place.environ)
    set_clock(bob, now_ms() + 60_001)
    purge(bob._store)
    content = _whole_content(bob, place.environ)
    assert b"Unforgettable" not in content
    assert b"secretword" not in content.lower()
    assert b"unforgettable" not in content, "nor in the index of words"
    assert b"padding7" in content


def _whole_content(client: Client, environ: dict[str, str]) -> bytes:
    """All pages of the database, decrypted, those that are free among them."""
    folder = client._profile.folder
    key = open_key(folder, secrets=key_sources(environ, "default", None))
    connection = open_database(folder / DATABASE_NAME, key, create=False)
    try:
        return connection.serialize("main")
    finally:
        connection.close()


# Our swarm.


def test_the_swarm_is_told_and_asked(home: Homes, shared_net: Devnet) -> None:
    bob, stranger = home("bob").make("Bob"), Stranger(shared_net)
    hashes = [
        MessageHash(put_fading(shared_net, stranger, bob.account_id, text, AFTER_READ, 600)[1]) for text in ("a", "b")
    ]
    identity, upkeep = bob._profile.identity, bob.network.upkeep
    soon, later, unknown = now_ms() + HOUR_MS, now_ms() + 2 * HOUR_MS, MessageHash("x" * 43)
    first, second = upkeep.expire(identity, [(later, hashes), (soon, [hashes[0], unknown])], Deadline(20))
    for result in (first, second):
        assert not isinstance(result, Exception)
        assert len(result.kept) == result.swarm_size == 4
    assert not isinstance(first, Exception)
    assert not isinstance(second, Exception)
    assert [first.dropped_ms(hash) for hash in hashes] == [later, later]
    assert [second.dropped_ms(hash) for hash in (hashes[0], unknown)] == [soon, 0]
    (longer,) = upkeep.expire(identity, [(now_ms() + 30 * DAY_MS, hashes)], Deadline(20))
    assert not isinstance(longer, Exception)
    assert [longer.dropped_ms(hash) for hash in hashes] == [soon, later], "it never lengthens"
    assert upkeep.get_expiries(identity, [*hashes, unknown], Deadline(20)) == {hashes[0]: soon, hashes[1]: later}
