"""What our swarm is told of messages, and what is believed of its answers; with a swarm made for the test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from session_cli.core import chores as chores_module
from session_cli.core.chores import SwarmChores
from session_cli.core.profile import Profile, choose_network, create_profile, key_sources
from session_cli.errors import NodeFailed, RpcError, ServiceRefused, SessionError
from session_cli.network.clock import Deadline
from session_cli.network.network import Network
from session_cli.protocol.account import Identity
from session_cli.protocol.storage_upkeep import ExpireResult
from session_cli.store.key import KeyMethod
from session_cli.store.records import NewMessage
from tests.support.histories import account_id

NOW = 1_800_000_000_000
DAY_MS = 86_400_000
BOB = account_id(7)


class FakeSwarm:
    """Four members, who keep what `kept` says (by hash), and note what they are told."""

    def __init__(self) -> None:
        self.kept: dict[str, int] = {}
        self.hints: dict[str, int] | None = None
        self.proved = 4
        self.problem: SessionError | None = None
        self.refused_times: dict[int, SessionError] = {}
        self.deleted: list[list[str]] = []
        self.shortened: list[list[tuple[int, list[str]]]] = []
        self.asked: list[list[str]] = []

    def _check(self) -> None:
        if self.problem is not None:
            raise self.problem

    def delete(self, identity: Identity, hashes: list[str], deadline: Deadline) -> None:
        self._check()
        self.deleted.append(hashes)

    def expire(
        self, identity: Identity, shortenings: Sequence[tuple[int, list[str]]], deadline: Deadline
    ) -> list[ExpireResult | SessionError]:
        self._check()
        self.shortened.append([(expires_ms, hashes) for expires_ms, hashes in shortenings])
        return [
            self.refused_times.get(expires_ms) or self._expire(expires_ms, hashes) for expires_ms, hashes in shortenings
        ]

    def _expire(self, expires_ms: int, hashes: Sequence[str]) -> ExpireResult:
        for hash in hashes:
            if hash in self.kept:
                self.kept[hash] = min(self.kept[hash], expires_ms)
        kept = {hash: self.kept[hash] for hash in hashes if hash in self.kept}
        return ExpireResult({f"node{number}": kept for number in range(self.proved)}, 4)

    def get_expiries(self, identity: Identity, hashes: list[str], deadline: Deadline) -> Mapping[str, int]:
        self._check()
        self.asked.append(hashes)
        known = self.kept if self.hints is None else self.hints
        return {hash: known[hash] for hash in hashes if hash in known}


@pytest.fixture
def profile(tmp_path: Path) -> Iterator[Profile]:
    sources = key_sources({"SESSION_HOME": str(tmp_path)}, "default", None)
    made = create_profile(sources, Identity.generate(), choose_network("mainnet"), method=KeyMethod.KEYFILE)
    made.store.now_ms = lambda: NOW
    yield made
    made.store.close()


@pytest.fixture
def swarm() -> FakeSwarm:
    return FakeSwarm()


def chores_of(profile: Profile, swarm: FakeSwarm) -> SwarmChores:
    network = SimpleNamespace(
        swarm=swarm, upkeep=swarm, prepare=lambda deadline: None, clock=SimpleNamespace(now_ms=lambda: NOW)
    )
    return SwarmChores(profile, lambda: cast(Network, network))


def add(profile: Profile, number: int, *, seconds: int = 600, kept_ms: int = NOW + 14 * DAY_MS) -> int:
    """An after-read message that came, with the hash `h<number>`."""
    store = profile.store
    with store.transaction():
        message_id = store.messages.add(
            NewMessage(
                BOB, "incoming", BOB, NOW - 1_000 + number, "x", "received", expire_mode="after_read", expire_s=seconds
            )
        )
        assert message_id is not None
        store.swarm.mark_seen(profile.identity.account_id, 0, f"h{number}", kept_ms, message_id=message_id)
    return message_id


def shorten(profile: Profile, message_id: int, expires_ms: int) -> None:
    with profile.store.transaction():
        profile.store.timers.start(message_id, expires_ms - 600_000)
        profile.store.chores.add_shortening(message_id, expires_ms)


def ends(profile: Profile, message_id: int) -> Any:
    found = profile.store.messages.get(message_id)
    return found.expires_ms if found else "gone"


def test_messages_are_shortened_in_groups_of_one_time_twenty_at_once(profile: Profile, swarm: FakeSwarm) -> None:
    for number in range(50):
        message_id = add(profile, number)
        shorten(profile, message_id, NOW + 1_000 * (1 + number // 2))
        swarm.kept[f"h{number}"] = NOW + DAY_MS
    chores_of(profile, swarm).run(Deadline(None))
    assert [len(batch) for batch in swarm.shortened] == [20, 5]
    assert swarm.shortened[0][0] == (NOW + 1_000, ["h0", "h1"])
    assert not profile.store.chores.any()
    chores_of(profile, swarm).run(Deadline(None))
    assert len(swarm.shortened) == 2, "nothing to tell, nobody asked"


def test_what_was_not_told_in_time_is_deleted(profile: Profile, swarm: FakeSwarm) -> None:
    for number, offset in enumerate((-1, 0, 1)):
        shorten(profile, add(profile, number), NOW + offset)
    doomed = add(profile, 9)
    with profile.store.transaction():
        profile.store.chores.add_deletions([doomed])
    chores_of(profile, swarm).run(Deadline(None))
    assert swarm.deleted == [["h9"], ["h0"], ["h1"]]
    assert swarm.shortened == [[(NOW + 1, ["h2"])]]


def test_failures_wait_and_what_is_refused_is_done(profile: Profile, swarm: FakeSwarm) -> None:
    first, second, third = (add(profile, number) for number in range(3))
    for number, message_id in enumerate((first, second)):
        shorten(profile, message_id, NOW + 1_000 + number)
        swarm.kept[f"h{number}"] = NOW + DAY_MS
    with profile.store.transaction():
        profile.store.chores.add_deletions([third])
    swarm.problem = NodeFailed("down")
    chores = chores_of(profile, swarm)
    chores.run(Deadline(None))
    swarm.problem = None
    chores.run(Deadline(None))
    assert (swarm.deleted, swarm.shortened) == ([], []), "not at once again after a failure"
    swarm.refused_times[NOW + 1_000] = ServiceRefused("no")
    swarm.refused_times[NOW + 1_001] = RpcError("nonsense")
    chores_of(profile, swarm).run(Deadline(None))
    assert profile.store.chores.shortenings() == {NOW + 1_001: ["h1"]}
    assert profile.store.chores.deletions() == []
    swarm.problem = ServiceRefused("nothing")
    with profile.store.transaction():
        profile.store.chores.add_deletions([third])
    chores_of(profile, swarm).run(Deadline(None))
    assert not profile.store.chores.any()


def test_what_is_new_while_the_swarm_is_told_stays(profile: Profile, swarm: FakeSwarm) -> None:
    message_id = add(profile, 0)
    shorten(profile, message_id, NOW + 1_000)
    answer = swarm._expire

    def meanwhile(expires_ms: int, hashes: Sequence[str]) -> ExpireResult:
        with profile.store.transaction():
            profile.store.chores.add_deletions([message_id])
        return answer(expires_ms, hashes)

    swarm._expire = meanwhile  # type: ignore[method-assign]
    chores_of(profile, swarm).run(Deadline(None))
    assert profile.store.chores.deletions() == ["h0"]


def test_what_the_swarm_drops_before_anyway_is_no_chore(profile: Profile, swarm: FakeSwarm) -> None:
    for kept_ms, wanted in ((NOW + 999, False), (NOW + 1_000, False), (NOW + 1_001, True)):
        message_id = add(profile, kept_ms - NOW, kept_ms=kept_ms)
        shorten(profile, message_id, NOW + 1_000)
        assert profile.store.chores.any() is wanted


def test_a_message_ends_with_the_device_that_read_it_first(profile: Profile, swarm: FakeSwarm) -> None:
    first, second, third = (add(profile, number) for number in range(3))
    for message_id in (first, second, third):
        shorten(profile, message_id, NOW + 600_000)
    swarm.kept = {"h0": NOW + DAY_MS, "h1": NOW + 1_000}
    chores_of(profile, swarm).run(Deadline(None))
    assert [ends(profile, found) for found in (first, second, third)] == [NOW + 600_000, NOW + 1_000, "gone"]


def test_a_member_alone_makes_nothing_disappear(profile: Profile, swarm: FakeSwarm) -> None:
    message_id = add(profile, 0)
    shorten(profile, message_id, NOW + 600_000)
    swarm.proved = 1
    chores_of(profile, swarm).run(Deadline(None))
    assert ends(profile, message_id) == NOW + 600_000
    assert not profile.store.chores.any()


# What other devices have read.


def learn(profile: Profile, swarm: FakeSwarm) -> None:
    chores_of(profile, swarm).learn(Deadline(None))


def test_what_another_device_read_is_learnt(profile: Profile, swarm: FakeSwarm) -> None:
    read, unread, gone = (add(profile, number) for number in range(3))
    swarm.kept = {"h0": NOW + 500_000, "h1": NOW + 14 * DAY_MS}
    learn(profile, swarm)
    assert [ends(profile, found) for found in (read, unread, gone)] == [NOW + 500_000, None, None]
    assert swarm.kept["h1"] == NOW + 14 * DAY_MS, "asking changes nothing"
    assert profile.store.conversations.read_ms(BOB) == NOW - 1_000
    learn(profile, swarm)
    assert len(swarm.asked) == 1, "now and then only"
    profile.store.now_ms = lambda: NOW + chores_module.LEARN_EVERY_MS
    learn(profile, swarm)
    assert len(swarm.asked) == 2


def test_nobody_is_asked_where_nothing_waits_for_its_reader(profile: Profile, swarm: FakeSwarm) -> None:
    shorten(profile, add(profile, 0), NOW + 600_000)
    add(profile, 1, kept_ms=NOW)
    learn(profile, swarm)
    assert swarm.asked == []


@pytest.mark.parametrize("proved", [4, 1])
def test_a_member_that_lies_about_times_makes_nothing_disappear(
    profile: Profile, swarm: FakeSwarm, proved: int
) -> None:
    message_id = add(profile, 0)
    swarm.kept = {"h0": NOW + 14 * DAY_MS if proved == 4 else NOW + 1}
    swarm.hints, swarm.proved = {"h0": NOW + 1}, proved
    learn(profile, swarm)
    assert ends(profile, message_id) is None
    assert profile.store.conversations.read_ms(BOB) == 0


def test_a_time_as_long_as_the_swarms_own_is_no_sign_of_a_reader(profile: Profile, swarm: FakeSwarm) -> None:
    message_id = add(profile, 0, seconds=1_209_600, kept_ms=NOW + DAY_MS)
    swarm.kept = {"h0": NOW + DAY_MS}
    learn(profile, swarm)
    assert ends(profile, message_id) is None
    assert swarm.shortened == []
