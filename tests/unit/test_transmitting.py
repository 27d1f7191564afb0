"""What is no message of its own: what it does here and what others are told is the same, whatever happens between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from session_cli.core import delivering, sending
from session_cli.core.chores import SwarmChores
from session_cli.core.contacts import Contacts
from session_cli.core.delivering import Carrier
from session_cli.core.effects import deletion, reaction
from session_cli.core.message_requests import MessageRequests
from session_cli.core.profile import Profile, choose_network, create_profile, key_sources, open_profile
from session_cli.core.sending import COPIES_AT_ONCE, Sender
from session_cli.core.unsending import Unsending
from session_cli.errors import NetworkError, NetworkUnreachable, ServiceRefused, SessionError
from session_cli.network.clock import Deadline
from session_cli.network.network import Network
from session_cli.protocol.account import AccountId, Identity
from session_cli.protocol.payload import Expiration, ExpirationMode, Reaction, ReadReceipt, Unsend
from session_cli.protocol.storage_rpc import MAX_TTL_MS, MessageHash, StoreResult, message_hash
from session_cli.store.key import KeyMethod
from session_cli.store.records import NewMessage

NOW = 1_800_000_000_000
BOB, EVE = (Identity.from_seed(bytes([digit]) * 16).account_id for digit in (2, 3))


class Killed(BaseException):
    """In the place of a signal that nobody survives."""


class FakeSwarm:
    """Takes what it is given, and notes for whom; `before` is called first, and may raise."""

    def __init__(self) -> None:
        self.held: dict[str, AccountId] = {}
        self.times: dict[str, int] = {}
        self.deleted: list[str] = []
        self.before: Callable[[AccountId], object] = lambda _: None

    def store(self, account: AccountId, data: bytes, ttl_ms: int, *_: Any, **__: Any) -> StoreResult:
        self.before(account)
        hash = message_hash(account, 0, data)
        self.held[hash], self.times[account] = account, ttl_ms
        return StoreResult(frozenset({"node"}), {}, 1, hash, NOW + ttl_ms)

    def delete(self, identity: Identity, hashes: list[MessageHash], deadline: Deadline) -> None:
        self.deleted += hashes

    def got(self, account: str) -> int:
        return list(self.held.values()).count(AccountId(account))


class Device:
    """A process at work on a profile."""

    def __init__(self, profile: Profile, swarm: FakeSwarm) -> None:
        network = SimpleNamespace(swarm=swarm, prepare=lambda deadline: None, clock=SimpleNamespace(now_ms=lambda: NOW))
        profile.store.now_ms = lambda: NOW
        self.profile = profile
        self.store = profile.store
        self.own_id = profile.identity.account_id
        self.sender = Sender(profile, lambda: cast(Network, network))

    def requests(self) -> MessageRequests:
        contacts = Contacts(self.profile)
        return MessageRequests(self.profile, lambda: self.sender, contacts, lambda _: cast(Any, None), 60)

    def add(self, number: int, sender: AccountId, conversation: AccountId = BOB) -> int:
        outgoing = sender == self.own_id
        with self.store.transaction():
            message_id = self.store.messages.add(
                NewMessage(
                    conversation,
                    "outgoing" if outgoing else "incoming",
                    sender,
                    NOW + number,
                    "x",
                    "sent" if outgoing else "received",
                )
            )
        assert message_id is not None
        return message_id

    def state(self) -> tuple[list[str], list[int], bool]:
        """Our reactions to the first message, which messages are deleted, and whether Eve is accepted."""
        rows = self.store.messages.rows("ORDER BY m.id", ())
        eve = self.store.people.get(EVE)
        emoji = [each.emoji for each in rows[0].reactions]
        return emoji, [row.id for row in rows if row.deleted], eve is not None and eve.approved

    def resend(self) -> None:
        self.sender.resend_left(Deadline(60))


@pytest.fixture
def swarm() -> FakeSwarm:
    return FakeSwarm()


@pytest.fixture
def device(tmp_path: Path, swarm: FakeSwarm) -> Iterator[Device]:
    sources = key_sources({"SESSION_HOME": str(tmp_path)}, "default", None)
    identity = Identity.from_seed(b"\1" * 16)
    profile = create_profile(sources, identity, choose_network("mainnet"), method=KeyMethod.KEYFILE)
    made = Device(profile, swarm)
    assert made.add(1, BOB) == 1
    assert made.add(2, made.own_id) == 2
    assert made.add(3, EVE, EVE) == 3
    with made.store.transaction():
        made.store.people.approve(EVE, by_us=False)
    yield made
    made.store.close()


@pytest.fixture
def another(tmp_path: Path, device: Device, swarm: FakeSwarm) -> Iterator[Device]:
    """Another process at the same profile."""
    profile = open_profile(key_sources({"SESSION_HOME": str(tmp_path)}, "default", None))
    with closing(profile.store):
        yield Device(profile, swarm)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Lets so much time go by that what a process has begun is free."""
    real = delivering.now_ms
    return lambda: monkeypatch.setattr(sending, "now_ms", lambda: real() + sending._HELD_MS + 1)


def react(device: Device) -> None:
    accounts = [BOB, device.own_id]
    device.sender.transmit(
        Reaction(BOB, NOW + 1, "👍", remove=False), accounts, Deadline(60), effect=reaction(1, "👍", removed=False)
    )


def unsend(device: Device) -> None:
    device.sender.transmit(Unsend(device.own_id, NOW + 2), [BOB, device.own_id], Deadline(60), effect=deletion(2))


def accept(device: Device) -> None:
    device.sender.accept_request(EVE, Deadline(60))


NOTHING: Any = ([], [], False)
DEEDS = pytest.mark.parametrize(
    ("deed", "done", "told"),
    [(react, (["👍"], [], False), BOB), (unsend, ([], [2], False), BOB), (accept, ([], [], True), EVE)],
)


def die(_: AccountId) -> None:
    raise Killed


@DEEDS
def test_what_is_told_is_done(
    deed: Callable[[Device], None], done: Any, told: AccountId, device: Device, swarm: FakeSwarm
) -> None:
    deed(device)
    assert (device.state(), swarm.got(told)) == (done, 1)
    assert not device.store.has_deliveries()


@DEEDS
@pytest.mark.parametrize("arrived", [False, True])
def test_what_a_process_died_over_is_told_and_done_by_the_next(
    deed: Callable[[Device], None],
    done: Any,
    told: AccountId,
    arrived: bool,
    device: Device,
    another: Device,
    swarm: FakeSwarm,
    later: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also if it died before it could say so; and if the bytes had arrived, they are the same."""
    deliver = Carrier.deliver

    def deliver_and_die(*arguments: Any, **options: Any) -> Any:
        if arrived:
            deliver(*arguments, **options)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Carrier, "deliver", deliver_and_die)
        patch.setattr(Carrier, "attempt", deliver_and_die)
        with pytest.raises(Killed):
            deed(device)
    held = dict(swarm.held)
    another.resend()
    assert (another.state(), swarm.held) == (NOTHING, held), "it could still be at it"
    later()
    another.resend()
    assert (another.state(), swarm.got(told)) == (done, 1)
    assert swarm.got(another.own_id) == (0 if told == EVE else 1)
    assert not another.store.has_deliveries()


@DEEDS
def test_what_is_interrupted_waits_for_nobody(
    deed: Callable[[Device], None], done: Any, told: AccountId, device: Device, another: Device, swarm: FakeSwarm
) -> None:
    swarm.before = die
    with pytest.raises(Killed):
        deed(device)
    assert device.state() == NOTHING
    swarm.before = lambda _: None
    another.resend()
    assert (device.state(), swarm.got(told)) == (done, 1)


@DEEDS
@pytest.mark.parametrize("problem", [NetworkUnreachable("down"), ServiceRefused("no")])
def test_of_what_fails_nothing_is_left(
    deed: Callable[[Device], None],
    done: Any,
    told: AccountId,
    problem: SessionError,
    device: Device,
    swarm: FakeSwarm,
) -> None:
    def fail(account: AccountId) -> None:
        if account == told:
            raise problem

    swarm.before = fail
    with pytest.raises(type(problem)):
        deed(device)
    assert device.state() == NOTHING != done
    assert not device.store.has_deliveries()
    assert swarm.deleted == [hash for hash, account in swarm.held.items() if account == device.own_id]


def test_what_the_first_is_at_is_left_to_it(device: Device, another: Device, swarm: FakeSwarm) -> None:
    """Another process must not tell what the first one then takes back."""

    def fail_beside_another(account: AccountId) -> None:
        if account == BOB:
            swarm.before = lambda _: None
            another.resend()
            raise NetworkUnreachable("down")

    swarm.before = fail_beside_another
    with pytest.raises(NetworkError):
        react(device)
    assert (device.state(), swarm.got(BOB)) == (NOTHING, 0)


@DEEDS
def test_what_is_refused_later_leaves_nothing_either(
    deed: Callable[[Device], None], done: Any, told: AccountId, device: Device, swarm: FakeSwarm
) -> None:
    swarm.before = die
    with pytest.raises(Killed):
        deed(device)
    copies = [row.hash for row in device.store.deliveries._rows("WHERE d.follows IS NOT NULL", ())]

    def refuse(account: AccountId) -> None:
        raise ServiceRefused("no")

    swarm.before = refuse
    device.resend()
    assert device.state() == NOTHING != done
    assert not device.store.has_deliveries()
    assert device.store.chores.deletions() == copies, "they may have arrived"


@pytest.mark.parametrize("how", ["decline", "block"])
def test_who_is_declined_is_not_told_that_he_was_accepted(how: str, device: Device, swarm: FakeSwarm) -> None:
    swarm.before = die
    with pytest.raises(Killed):
        accept(device)
    getattr(device.requests(), how)(EVE)
    swarm.before = lambda _: None
    device.resend()
    assert (device.state(), swarm.got(EVE)) == (NOTHING, 0)


def test_who_is_blocked_is_told_nothing_more(device: Device, swarm: FakeSwarm) -> None:
    swarm.before = die
    with pytest.raises(Killed):
        unsend(device)
    with device.store.transaction():
        device.sender.leave(ReadReceipt((NOW + 1,)), BOB)
        device.sender.leave(ReadReceipt((NOW + 3,)), EVE)
    Contacts(device.profile).set_blocked(BOB, blocked=True)
    swarm.before = lambda _: None
    device.resend()
    assert (device.state(), list(swarm.held.values())) == (NOTHING, [EVE])
    assert len(device.store.chores.deletions()) == 1


def test_one_swarm_that_is_down_holds_nobody_up(device: Device, swarm: FakeSwarm) -> None:
    with device.store.transaction():
        for number in range(2 * COPIES_AT_ONCE):
            device.sender.leave(ReadReceipt((number,)), EVE)
        device.sender.leave(ReadReceipt((NOW,)), BOB)

    def fail(account: AccountId) -> None:
        if account == EVE:
            raise NetworkUnreachable("down")

    swarm.before = fail
    for _ in range(3):
        device.resend()
    assert swarm.got(BOB) == 1
    swarm.before = lambda _: None
    device.resend()
    assert swarm.got(EVE) == 2 * COPIES_AT_ONCE


def test_with_a_message_goes_only_the_news_that_its_request_is_accepted(device: Device, swarm: FakeSwarm) -> None:
    swarm.before = die
    with suppress(Killed):
        device.sender.send(EVE, "hello", Deadline(60), queue=True, hold=True)
    with device.store.transaction():
        for number in range(30):
            device.sender.leave(ReadReceipt((number,)), EVE)
    swarm.before = lambda _: None
    (sent,) = device.sender.flush(Deadline(60)).done
    assert (sent.status, swarm.got(EVE)) == ("sent", 2)


def test_our_copy_of_a_reaction_stays_no_longer_than_the_message(device: Device, swarm: FakeSwarm) -> None:
    device.sender.transmit(
        Reaction(BOB, NOW + 1, "👍", remove=False),
        [BOB, device.own_id],
        Deadline(60),
        expiration=Expiration(ExpirationMode.AFTER_READ, 3_600),
    )
    assert swarm.times == {BOB: MAX_TTL_MS, device.own_id: 3_600_000}


def test_a_poll_takes_our_own_copy_for_nothing_new(device: Device, swarm: FakeSwarm) -> None:
    swarm.before = die
    with pytest.raises(Killed):
        react(device)
    (copy,) = device.store.deliveries._rows("WHERE d.role = 'own'", ())
    assert device.store.swarm.unseen(device.own_id, 0, [copy.hash]) == set()


# Deleting what others hardly have.


@pytest.mark.parametrize("own_devices", [False, True])
def test_what_could_not_be_sent_is_deleted_without_a_network(
    own_devices: bool, device: Device, swarm: FakeSwarm
) -> None:
    with device.store.transaction():
        device.store.messages.set_status(2, "failed")

    def fail(_: AccountId) -> None:
        raise NetworkUnreachable("down")

    swarm.before = fail
    chores = cast(SwarmChores, SimpleNamespace(run=lambda deadline: None))
    row = device.store.messages.get(2)
    assert row is not None
    (done,) = Unsending(device.profile, device.sender, chores, 60).unsend([row], own_devices=own_devices)
    assert (done.type, device.state()) == ("unsend", ([], [2], False))
    swarm.before = lambda _: None
    device.resend()
    assert (swarm.got(BOB), swarm.got(device.own_id)) == (0 if own_devices else 1, 1), (
        "should they have it all the same"
    )
