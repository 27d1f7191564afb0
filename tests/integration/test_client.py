"""The client library on a local network: what it promises to scripts, and the requests it makes for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from session_cli import Client
from session_cli.core.sending import Sender
from session_cli.core.spool import NewFile
from session_cli.devnet.network import Devnet
from session_cli.errors import (
    AmbiguousName,
    CannotCreate,
    EmptyMessage,
    InvalidAccountId,
    InvalidInput,
    MessageTooLong,
    NetworkError,
    NotConfigured,
    ProfileExists,
    WrongNetwork,
)
from session_cli.protocol import content as contents
from session_cli.protocol import payload as payloads
from session_cli.protocol import session_v1
from session_cli.protocol.account import AccountId, Identity
from session_cli.protocol.payload import Content, VisibleMessage
from session_cli.protocol.swarm import swarm_for
from tests.support.events import message_of
from tests.support.swarm import put_messages
from tests.support.waiting import wait_until

Maker = Callable[[str], Client]
HOUR_MS = 3_600_000


@pytest.fixture
def make(shared_definition: Path, tmp_path: Path) -> Iterator[Maker]:
    """Makes clients with accounts on the shared network."""
    made: list[Client] = []

    def make(name: str, definition: Path = shared_definition) -> Client:
        environ = {"SESSION_HOME": str(tmp_path / name)}
        client = Client.create(name=name, network=str(definition), environ=environ, timeout=60)
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()


def _bodies(client: Client, **options: object) -> list[str]:
    return [message_of(event).body for event in client.receive(**options)]  # type: ignore[arg-type]


# Profiles.


def test_profiles_are_made_once_and_opened_often(tmp_path: Path, shared_definition: Path) -> None:
    environ = {"SESSION_HOME": str(tmp_path)}
    with pytest.raises(NotConfigured):
        Client.open(environ=environ)
    with Client.create(network=str(shared_definition), environ=environ) as made:
        account_id = made.account_id
    with pytest.raises(ProfileExists):
        Client.create(network=str(shared_definition), environ=environ)
    with Client.open(environ=environ) as opened:
        assert opened.account_id == account_id
        assert opened.network.definition.name == "devnet", "the network it was made for is remembered"
    with Client.open(environ=environ, network="testnet") as other, pytest.raises(WrongNetwork):
        other.poll()
    assert [path.name for path in (tmp_path / "data" / "profiles").iterdir()] == ["default"]


# Sending.


def test_a_send_is_one_request_to_each_swarm_and_a_receive_is_one(make: Maker, shared_net: Devnet) -> None:
    alice, bob = make("alice"), make("bob")
    for one, other in ((alice, bob), (bob, alice)):
        one.send(other.account_id, "who is new is told to our other devices, too")
        other.poll()
    alice.poll(), bob.poll()
    list(bob.receive())
    before = len(shared_net.request_log)
    alice.send(bob.account_id, "hello")
    sent = [record for record in shared_net.request_log[before:] if record.kind in ("storage", "seed", "file")]
    assert [record.method for record in sent] == ["store", "store"]
    swarms = {shared_net.nodes[record.node or 0].swarm_id for record in sent}
    ids = [node.swarm_id for node in shared_net.nodes if node.swarm_id is not None]
    assert swarms == {swarm_for(bob.account_id, ids), swarm_for(alice.account_id, ids)}
    before = len(shared_net.request_log)
    assert _bodies(bob) == ["hello"]
    received = [record for record in shared_net.request_log[before:] if record.kind == "storage"]
    assert [(record.method, record.parts) for record in received] == [("batch", ("retrieve",) * 5)]


def test_sent_times_are_never_the_same(make: Maker) -> None:
    alice, bob = make("alice"), make("bob")
    times = [alice.send(bob.account_id, str(number)).timestamp_ms for number in range(5)]
    assert len(set(times)) == 5
    assert _bodies(bob) == ["0", "1", "2", "3", "4"]


def test_limits(make: Maker) -> None:
    alice = make("alice")
    with pytest.raises(EmptyMessage):
        alice.send("me", " \n")
    with pytest.raises(MessageTooLong, match=r"2,001 .* 2,000"):
        alice.send("me", "x" * 2001)
    assert alice.send("me", "🜂" * 2000).status == "sent"
    with pytest.raises(InvalidInput, match="no message 99"):
        alice.send("me", "x", quote=99)


def test_addressing(make: Maker) -> None:
    alice, bob = make("alice"), make("Bob")
    bob.send(alice.account_id, "hi")
    alice.poll()
    with pytest.raises(InvalidAccountId):
        alice.resolve("Bob")  # anybody could call himself that
    alice.send(bob.account_id, "hi Bob")
    assert alice.resolve("me") == alice.account_id
    assert alice.resolve(bob.account_id.upper()) == bob.account_id
    assert alice.resolve("Bob") == bob.account_id
    assert alice.resolve(bob.account_id[:8]) == bob.account_id
    for nobody in ("bob", "05" + "ab" * 32, bob.account_id[:7], "deadbeef", "", "05"):
        with pytest.raises(InvalidAccountId):
            alice.resolve(nobody)


def test_ambiguous_names_list_who_could_be_meant(make: Maker, shared_net: Devnet) -> None:
    alice = make("alice")
    for seed in (b"\x11" * 16, b"\x12" * 16):
        sam = Identity.from_seed(seed)
        _put(shared_net, alice, sam, VisibleMessage("x", profile=payloads.Profile("Sam")))
        alice.send(sam.account_id, "Which Sam are you?")
    alice.poll()
    with pytest.raises(AmbiguousName) as caught:
        alice.resolve("Sam")
    for seed in (b"\x11" * 16, b"\x12" * 16):
        assert Identity.from_seed(seed).account_id[:12] in caught.value.message


def test_a_message_that_did_not_arrive_is_failed_and_its_copy_taken_back(
    make: Maker, private_net: Devnet, tmp_path: Path
) -> None:
    definition = tmp_path / "private.toml"
    private_net.write_definition(definition)
    alice, laptop = _two_devices(make, definition)
    recipient = _account_in_another_swarm(private_net, alice.account_id)
    swarm_id = swarm_for(recipient, _swarm_ids(private_net))
    gone = [node for node in private_net.nodes if node.swarm_id == swarm_id]
    for node in gone:
        node.stop()
    with pytest.raises(NetworkError):
        alice.send(recipient, "into the void")
    assert alice.message(1).status == "failed"
    assert _bodies(laptop) == []


def test_a_copy_for_our_other_devices_is_made_up_for(make: Maker, private_net: Devnet, tmp_path: Path) -> None:
    definition = tmp_path / "private.toml"
    private_net.write_definition(definition)
    alice, laptop = _two_devices(make, definition)
    recipient = _account_in_another_swarm(private_net, alice.account_id)
    own_swarm = swarm_for(alice.account_id, _swarm_ids(private_net))
    gone = [node for node in private_net.nodes if node.swarm_id == own_swarm]
    for node in gone:
        node.stop()
    assert alice.send(recipient, "hello").status == "sent"
    for node in gone:
        node.start()
    alice.poll()
    assert _bodies(laptop) == ["hello"]


def _two_devices(make: Callable[..., Client], definition: Path) -> tuple[Client, Client]:
    alice = make("alice", definition)
    environ = {"SESSION_HOME": str(alice.folder.parent / "laptop")}
    laptop = Client.create(network=str(definition), environ=environ, identity=Identity.from_seed(alice.seed()))
    alice.poll(), laptop.poll()
    return alice, laptop


def _swarm_ids(net: Devnet) -> list[int]:
    return [node.swarm_id for node in net.nodes if node.swarm_id is not None]


def _account_in_another_swarm(net: Devnet, account_id: AccountId) -> AccountId:
    own = swarm_for(account_id, _swarm_ids(net))
    while True:
        other = Identity.generate().account_id
        if swarm_for(other, _swarm_ids(net)) != own:
            return other


# Receiving.


def _put(net: Devnet, to: Client, sender: Identity, payload: VisibleMessage, *, sent_ms: int | None = None) -> None:
    when = sent_ms or time.time_ns() // 1_000_000
    serialized = contents.serialize(Content(payload, when))
    put_messages(net, to.account_id, [session_v1.encode_message(sender, to.account_id, serialized, when)])


def test_readers_are_independent_and_get_everything_once(make: Maker) -> None:
    alice = make("alice")
    make("bob").send(alice.account_id, "one")
    make("carol").send(alice.account_id, "two")
    assert sorted(_bodies(alice)) == ["one", "two"]
    assert sorted(_bodies(alice, reader="log")) == ["one", "two"]
    assert _bodies(alice) == _bodies(alice, reader="log") == []


def test_an_event_whose_reader_died_is_shown_again(make: Maker) -> None:
    alice, bob = make("alice"), make("bob")
    for body in ("one", "two"):
        bob.send(alice.account_id, body)
    events = alice.receive()
    assert message_of(next(events)).body == "one"
    events.close()  # as if the process had died while it was handling the first
    events = alice.receive()
    assert [message_of(next(events)).body, message_of(next(events)).body] == ["one", "two"]
    events.close()
    assert _bodies(alice) == ["two"]


def test_a_backlog_of_several_pages(make: Maker, shared_net: Devnet) -> None:
    alice, sender = make("alice"), Identity.generate()
    body = "x" * 1900
    stored = []
    for number in range(60):
        payload = VisibleMessage(body, attachments=tuple(_pointer(i) for i in range(32)))
        serialized = contents.serialize(Content(payload, 1_700_000_000_000 + number))
        stored.append(session_v1.encode_message(sender, alice.account_id, serialized, 1_700_000_000_000 + number))
    put_messages(shared_net, alice.account_id, stored * 1)
    assert sum(map(len, stored)) > 0
    result = alice.poll()
    assert (result.new, result.skipped) == (60, 0)
    times = [message_of(event).timestamp_ms for event in alice.receive()]
    assert times == sorted(times)
    assert len(times) == 60


def _pointer(number: int) -> payloads.AttachmentPointer:
    return payloads.AttachmentPointer(f"http://files.test/file/{number}", bytes(64), 1, bytes(32), file_name="n" * 600)


def test_the_same_message_under_another_hash_is_taken_once(make: Maker, shared_net: Devnet) -> None:
    alice, sender = make("alice"), Identity.generate()
    for _ in range(2):  # sealed anew: other bytes, another hash, the same message
        _put(shared_net, alice, sender, VisibleMessage("once"), sent_ms=1_700_000_000_000)
    assert _bodies(alice) == ["once"]


def test_names_are_taken_from_messages_but_never_go_back(make: Maker, shared_net: Devnet) -> None:
    alice, sender = make("alice"), Identity.generate()
    for name, updated in (("New", 200), ("Old", 100)):
        _put(shared_net, alice, sender, VisibleMessage(name, profile=payloads.Profile(name, updated_s=updated)))
        time.sleep(0.002)
    assert {message_of(event).sender.name for event in alice.receive()} == {"New"}


# Files.


def test_saving_into_a_folder_numbers_names_and_never_overwrites(make: Maker, tmp_path: Path) -> None:
    alice = make("alice")
    source = tmp_path / "a.txt"
    source.write_bytes(b"content")
    sent = alice.send("me", attachments=[source])
    target = tmp_path / "target"
    target.mkdir()
    names = [alice.save_attachment(sent.id, 0, target).name for _ in range(3)]
    assert names == ["a.txt", "a (2).txt", "a (3).txt"]
    assert {path.read_bytes() for path in target.iterdir()} == {b"content"}
    with pytest.raises(CannotCreate, match="exists already"):
        alice.save_attachment(sent.id, 0, target / "a.txt")
    (target / "a.txt").write_bytes(b"older")
    assert alice.save_attachment(sent.id, 0, target / "a.txt", overwrite=True).read_bytes() == b"content"
    assert alice.message(sent.id).attachments[0].saved == str(target / "a.txt")
    assert sorted(path.name for path in target.iterdir()) == ["a (2).txt", "a (3).txt", "a.txt"]
    assert (target / "a.txt").stat().st_mode & 0o077 == 0
    with pytest.raises(InvalidInput, match="no attachment 2"):
        alice.save_attachment(sent.id, 1, target)
    assert [message.id for message in alice.messages_with_attachments("me")] == [sent.id]


def test_several_files_in_one_message(make: Maker, tmp_path: Path) -> None:
    alice, bob = make("alice"), make("bob")
    paths = []
    for number in range(3):
        paths.append(tmp_path / f"{number}.bin")
        paths[-1].write_bytes(bytes([number]) * 1000 * (number + 1))
    steps = set()
    alice.send(bob.account_id, "three", attachments=paths, progress=lambda step, done, total: steps.add(step))
    (event,) = bob.receive()
    assert [attachment.size for attachment in message_of(event).attachments] == [1000, 2000, 3000]
    for number in range(3):
        parts: list[bytes] = []
        assert bob.fetch_attachment(message_of(event).id, number, parts.append) == 1000 * (number + 1)
        assert b"".join(parts) == paths[number].read_bytes()
    assert steps == {"encrypting", "uploading"}


# Clocks, and the long run.


def test_a_message_from_a_clock_that_is_ahead_is_dated_anew(make: Maker) -> None:
    """Swarms refuse what is dated in the future; what goes out then has the right time, and so has what follows."""
    alice, bob = make("alice"), make("bob")
    alice.network.clock._local_ms = lambda: time.time_ns() // 1_000_000 + HOUR_MS
    first, second = alice.send(bob.account_id, "first"), alice.send(bob.account_id, "second")
    now = time.time_ns() // 1_000_000
    assert first.status == second.status == "sent"
    assert now - 60_000 < first.timestamp_ms < second.timestamp_ms < now + 10_000
    assert [alice.message(sent.id).timestamp_ms for sent in (first, second)] == [
        first.timestamp_ms,
        second.timestamp_ms,
    ]
    received = [message_of(event) for event in bob.receive()]
    assert [(message.body, message.timestamp_ms) for message in received] == [
        ("first", first.timestamp_ms),
        ("second", second.timestamp_ms),
    ]
    assert not alice._store.has_deliveries()


def test_a_message_from_a_clock_that_is_behind_goes_out(make: Maker, shared_net: Devnet) -> None:
    """Nobody refuses it; the next one is dated better, when several nodes have told the time."""
    alice = make("alice")
    ids = [node.swarm_id for node in shared_net.nodes if node.swarm_id is not None]
    others = (make(f"bob{number}") for number in range(50))
    # One swarm alone has too few members.
    bob = next(one for one in others if swarm_for(one.account_id, ids) != swarm_for(alice.account_id, ids))
    alice.network.clock._local_ms = lambda: time.time_ns() // 1_000_000 - HOUR_MS
    for number in range(16):
        alice.send(bob.account_id, str(number))
    last = alice.send(bob.account_id, "last")
    assert abs(last.timestamp_ms - time.time_ns() // 1_000_000) < 60_000


def test_a_client_that_runs_for_long_keeps_no_connection_and_no_thread(make: Maker) -> None:
    alice = make("alice")

    def kept() -> tuple[int, int]:
        descriptors = Path("/proc/self/fd")
        return len(list(descriptors.iterdir())) if descriptors.exists() else 0, threading.active_count()

    for number in range(20):
        alice.send("me", f"warm {number}")
    before = kept()
    for number in range(100):
        alice.send("me", f"message {number}")
    wait_until(lambda: kept() <= before)


def test_the_hash_is_known_whoever_meets_our_copy_first(
    make: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A poll of another process can find it in the swarm before the process that sent it has noted so."""
    alice, bob = make("alice"), make("bob")
    conclude = Sender._conclude

    def conclude_late(*arguments: Any) -> Any:
        with Client.open(environ={"SESSION_HOME": str(tmp_path / "alice")}) as other:
            assert list(other.receive()) == []
        return conclude(*arguments)

    monkeypatch.setattr(Sender, "_conclude", conclude_late)
    sent = alice.send(bob.account_id, "hello")
    assert sent.status == "sent"
    assert sent.hash is not None


@pytest.mark.parametrize("has_its_name", [False, True])
def test_a_kill_while_a_file_gets_its_name(
    make: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_its_name: bool
) -> None:
    """Whether it was saved, the file itself tells."""

    class Killed(BaseException):
        pass

    alice, bob = make("alice"), make("bob")
    bob.send(alice.account_id, "send it")
    (tmp_path / "a.txt").write_bytes(b"data")
    alice.send(bob.account_id, attachments=[tmp_path / "a.txt"])
    bob.poll()
    (message_id,) = bob.files.unsaved()
    (file,) = bob.files.of(message_id)
    folder = tmp_path / "inbox"
    folder.mkdir()
    commit = NewFile.commit

    def die(new: NewFile) -> None:
        if has_its_name:
            commit(new)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(NewFile, "commit", die)
        with pytest.raises(Killed):
            bob.files.save(file, folder)
    assert bob.files.unsaved() == ([] if has_its_name else [message_id])
    assert [path.read_bytes() for path in folder.iterdir()] == [b"data"] * has_its_name
