"""The swarm of a group on local networks: what admins, members and those who were removed get done there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from session_cli.devnet.faults import InnerStatus, NoReplication
from session_cli.devnet.network import Devnet
from session_cli.errors import NodeFailed, RpcError, ServiceRefused, SessionError
from session_cli.network.clock import Deadline
from session_cli.network.network import Network
from session_cli.network.swarm import Page, Poll
from session_cli.network.swarm_steps import Delete, DeleteAll, Extend, OwnStore, Revoke, Step, Unrevoke
from session_cli.protocol.account import Identity
from session_cli.protocol.group.identity import GroupIdentity
from session_cli.protocol.group.subaccount import GroupMember, auth_data
from session_cli.protocol.storage_rpc import (
    GROUP_NAMESPACES,
    MessageHash,
    Namespace,
    Proof,
    StoreResult,
    SwarmAccount,
    message_hash,
)
from session_cli.protocol.storage_upkeep import ExpireResult
from tests.support.network import DAY_MS, INBOX, ME, network_of, pages_of
from tests.support.swarm import put_messages

HOUR_MS = 3_600_000
MESSAGES, KEYS, INFO = Namespace.GROUP_MESSAGES, Namespace.GROUP_KEYS, Namespace.GROUP_INFO
MEMBERS, KICKED = Namespace.GROUP_MEMBERS, Namespace.REVOKED_GROUP_MESSAGES
EVERYTHING: dict[int, dict[str, str]] = {namespace: {} for namespace in GROUP_NAMESPACES}
"""What to ask for who has never asked."""


@dataclass(frozen=True)
class Group:
    """A group with one member, and a client of the network that it is on."""

    network: Network
    admin: GroupIdentity
    member: GroupMember

    def perform(self, *steps: Step, who: SwarmAccount | None = None, **options: Any) -> list[Any]:
        return self.network.upkeep.perform(who or self.admin, steps, Deadline(20), **options)

    def page(self, who: SwarmAccount | None = None) -> Page:
        return self.network.swarm.retrieve(who or self.admin, EVERYTHING, Deadline(20))

    def data(self, who: SwarmAccount | None = None) -> dict[int, list[bytes]]:
        """What there is, by namespace."""
        page = self.page(who)
        found = {int(n): [message.data for message in page.messages(n)] for n in GROUP_NAMESPACES}
        return {namespace: data for namespace, data in found.items() if data}

    def hash(self, namespace: int, data: bytes) -> MessageHash:
        return message_hash(self.admin.account_id, namespace, data)


def put(namespace: int, data: bytes) -> OwnStore:
    return OwnStore(namespace, data, DAY_MS)


def make_group(network: Network) -> Group:
    admin, member = GroupIdentity.generate(), Identity.generate()
    token = auth_data(admin, member.account_id)
    group = Group(network, admin, GroupMember.from_auth_data(member, admin.account_id, token))
    group.perform(put(KEYS, b"keys"))
    return group


@pytest.fixture
def group(shared_net: Devnet, tmp_path: Path) -> Iterator[Group]:
    with network_of(shared_net, tmp_path) as network:
        yield make_group(network)


@pytest.fixture
def private_group(private_net: Devnet, tmp_path: Path) -> Iterator[Group]:
    with network_of(private_net, tmp_path) as network:
        yield make_group(network)


# Several things at once.


def test_all_that_an_admin_changes_is_one_request_with_a_result_for_each(group: Group, shared_net: Devnet) -> None:
    group.perform(put(INFO, b"old"), put(MESSAGES, b"chatter"))
    before, obsolete = len(shared_net.request_log), group.hash(INFO, b"old")
    steps: list[Step] = [
        put(KEYS, b"new keys"),
        put(INFO, b"info"),
        put(MEMBERS, b"members"),
        Delete([obsolete]),
        Revoke([group.member.token]),
        Unrevoke([group.member.token]),
        DeleteAll(MESSAGES),
        Extend([group.hash(INFO, b"info")], group.network.clock.now_ms() + 2 * DAY_MS),
    ]
    results = group.perform(*steps)
    (record,) = [record for record in shared_net.request_log[before:] if record.kind == "storage"]
    assert (record.method, record.parts[:3]) == ("sequence", ("store",) * 3)
    stored, extended = results[:3], results[-1]
    for step, result in zip(steps, stored, strict=False):
        assert isinstance(step, OwnStore)
        assert isinstance(result, StoreResult)
        assert result.hash == group.hash(step.namespace, step.data)
    for proof in results[:-1]:
        assert isinstance(proof, Proof)
        assert len(proof.confirmed) == proof.swarm_size == 4
        assert proof.is_safe
    assert isinstance(extended, ExpireResult)
    assert group.data() == {KEYS: [b"keys", b"new keys"], INFO: [b"info"], MEMBERS: [b"members"]}


def test_a_member_stores_and_prolongs(group: Group) -> None:
    until = group.network.clock.now_ms() + 2 * DAY_MS
    hash = group.hash(MESSAGES, b"hello")
    stored, extended = group.perform(put(MESSAGES, b"hello"), Extend([hash], until), who=group.member)
    assert (len(stored.confirmed), extended.dropped_ms(hash)) == (4, until)
    assert group.data(group.member) == {KEYS: [b"keys"], MESSAGES: [b"hello"]}
    upkeep = group.network.upkeep
    assert upkeep.get_expiries(group.member, [hash], Deadline(20)) == {hash: until}
    assert upkeep.extend(group.member, [hash], until + HOUR_MS, Deadline(20)).dropped_ms(hash) == until + HOUR_MS
    with pytest.raises(ServiceRefused) as caught:
        upkeep.expire(group.member, [(until, [hash])], Deadline(20))
    assert caught.value.status == 400
    (shortened,) = upkeep.expire(group.admin, [(until, [hash])], Deadline(20))
    assert isinstance(shortened, ExpireResult)
    assert shortened.dropped_ms(hash) == until


def test_a_single_message_is_stored_as_safely_as_one_to_a_person(group: Group) -> None:
    for who in (group.admin, group.member):
        data = b"by %s" % type(who).__name__.encode()
        result = group.network.swarm.store(who, data, DAY_MS, Deadline(20), namespace=MESSAGES)
        assert (result.hash, len(result.confirmed)) == (group.hash(MESSAGES, data), 4)
    assert group.data()[MESSAGES] == [b"by GroupIdentity", b"by GroupMember"]


def test_what_a_member_may_not_do_ends_the_sequence(group: Group) -> None:
    steps: list[Step] = [put(MESSAGES, b"done"), Delete([group.hash(KEYS, b"keys")]), put(MESSAGES, b"never")]
    with pytest.raises(ServiceRefused) as caught:
        group.perform(*steps, who=group.member)
    assert caught.value.status == 401
    assert group.data() == {KEYS: [b"keys"], MESSAGES: [b"done"]}
    stored, refused, never = group.perform(*steps, who=group.member, needed=1)
    assert isinstance(stored, StoreResult)
    assert isinstance(refused, ServiceRefused)
    assert isinstance(never, RpcError)
    for forbidden in (DeleteAll(KEYS), Revoke([group.member.token]), Unrevoke([group.member.token])):
        with pytest.raises(ServiceRefused):
            group.perform(forbidden, who=group.member)


def test_what_is_not_needed_may_fail(private_group: Group, private_net: Devnet) -> None:
    group = private_group
    group.perform(put(INFO, b"old"))
    with private_net.chaos.inject(InnerStatus(500), methods={"delete"}) as fault:
        group.network.upkeep.replace(group.admin, [put(INFO, b"new")], [group.hash(INFO, b"old")], Deadline(20))
        assert fault.hits
        with pytest.raises(NodeFailed):
            group.perform(put(INFO, b"newer"), Delete([group.hash(INFO, b"old")]))
    assert group.data()[INFO] == [b"old", b"new", b"newer"]


def test_many_stores_are_several_requests_and_the_last_one_deletes(group: Group, shared_net: Devnet) -> None:
    stores = [put(KEYS, b"%d" % number) for number in range(25)]
    before = len(shared_net.request_log)
    group.network.upkeep.replace(group.admin, stores, [group.hash(KEYS, b"keys")], Deadline(20))
    asked = [record.parts for record in shared_net.request_log[before:] if record.kind == "storage"]
    assert asked == [("store",) * 19, (*("store",) * 6, "delete")]
    assert group.data() == {KEYS: [b"%d" % number for number in range(25)]}


def test_members_that_do_not_tell_each_other_are_all_told(private_group: Group, private_net: Devnet) -> None:
    """Else somebody who was removed would go on reading at those that have not heard of it."""
    group = private_group
    private_net.chaos.inject(NoReplication("nothing"))
    stored, revoked = group.perform(put(KICKED, b"notice"), Revoke([group.member.token]))
    everybody = set(group.network.swarm.members(group.admin.account_id))
    assert stored.confirmed == revoked.confirmed == everybody
    assert set(group.page(group.member).refused) == set(GROUP_NAMESPACES) - {KICKED}


def test_a_clock_that_is_wrong_is_put_right_between_two_tries(private_group: Group) -> None:
    group = private_group
    group.network.clock._local_ms = lambda: time.time_ns() // 1_000_000 + HOUR_MS
    emptied, revoked = group.perform(DeleteAll(MESSAGES), Revoke([group.member.token]))
    assert len(emptied.confirmed) == len(revoked.confirmed) == 4


# Polls.


def test_a_removed_member_sees_why_and_that_the_rest_is_refused(group: Group, shared_net: Devnet) -> None:
    group.perform(put(KICKED, b"notice"), Revoke([group.member.token]), put(MESSAGES, b"they are gone"))
    before = len(shared_net.request_log)
    page = group.page(group.member)
    assert [message.data for message in page.messages(KICKED)] == [b"notice"]
    assert {namespace: refusal.status for namespace, refusal in page.refused.items()} == {
        MESSAGES: 401,
        INFO: 401,
        MEMBERS: 401,
        KEYS: 401,
    }
    with pytest.raises(ServiceRefused):
        page.messages(MESSAGES)
    asked = [record.node for record in shared_net.request_log[before:] if record.kind == "storage"]
    assert len(asked) == len(set(asked)) == 2, "no member alone shuts anybody out"
    with pytest.raises(ServiceRefused):
        group.network.swarm.store(group.member, b"once more", DAY_MS, Deadline(20), namespace=MESSAGES)
    group.perform(Unrevoke([group.member.token]))
    assert not group.page(group.member).refused
    group.network.swarm.store(group.member, b"here again", DAY_MS, Deadline(20), namespace=MESSAGES)


def test_who_was_never_let_in_gets_nothing(group: Group) -> None:
    other = make_group(group.network)
    impostor = GroupMember(
        group.admin.account_id,
        other.member.token,
        other.member.token_signature,
        other.member._scalar,
        other.member._nonce_secret,
    )
    with pytest.raises(ServiceRefused) as caught:
        group.page(impostor)
    assert caught.value.status == 401


def test_one_member_that_shuts_us_out_is_passed_over(private_group: Group, private_net: Devnet) -> None:
    """It missed that we were let in again, or claims so."""
    group = private_group
    stubborn = private_net.directory.swarm_of(group.admin.account_id)[1][0]
    name = stubborn.ed25519.hex()

    async def revoke_there() -> None:
        stubborn.storage.revoke(group.admin.account_id, [group.member.token])

    private_net.call(revoke_there())
    poll = Poll(group.member, EVERYTHING, name, stay=True)
    page = group.network.swarm.poll_one(poll, Deadline(20))
    assert page.node != name
    assert not page.refused
    alone = group.network.swarm.poll_one(Poll(group.member, EVERYTHING, name, stay=True, alone=True), Deadline(20))
    assert alone.node == name
    assert len(alone.refused) == 4


def test_a_poll_also_has_messages_kept_for_longer(group: Group, shared_net: Devnet) -> None:
    swarm, hash = group.network.swarm, group.hash(KEYS, b"keys")
    until = group.network.clock.now_ms() + 3 * DAY_MS
    before = len(shared_net.request_log)
    for who in (group.admin, group.member):
        page = swarm.poll_one(Poll(who, EVERYTHING, keep=Extend([hash], until)), Deadline(20))
        assert isinstance(page.kept, ExpireResult)
        assert page.kept.dropped_ms(hash) == until
        assert _data(page, KEYS) == [b"keys"]
    asked = [record for record in shared_net.request_log[before:] if record.kind == "storage"]
    assert [record.parts for record in asked] == [(*("retrieve",) * 5, "expire")] * 2
    assert swarm.poll_one(Poll(group.admin, EVERYTHING, keep=Extend([], until)), Deadline(20)).kept is None
    group.perform(Revoke([group.member.token]))
    page = swarm.poll_one(Poll(group.member, EVERYTHING, keep=Extend([hash], until)), Deadline(20))
    assert isinstance(page.kept, ServiceRefused)


def test_groups_and_people_are_polled_at_once_and_fail_alone(shared_net: Devnet, tmp_path: Path) -> None:
    with network_of(shared_net, tmp_path) as network:
        groups = [make_group(network) for _ in range(6)]
        for number, group in enumerate(groups):
            group.perform(put(MESSAGES, b"%d" % number))
        groups[2].perform(Revoke([groups[2].member.token]))
        put_messages(shared_net, ME.account_id, [b"for me"])
        stranger = GroupIdentity.generate()
        polls = [
            Poll(ME, INBOX),
            *(Poll(group.member, EVERYTHING) for group in groups),
            *(Poll(group.admin, EVERYTHING) for group in groups),
            Poll(stranger, EVERYTHING),
        ]
        mine, *pages = pages_of(network, polls)
        assert _data(mine, 0)[-1:] == [b"for me"]
        assert isinstance(pages[2], Page)
        assert set(pages[2].refused) == set(GROUP_NAMESPACES) - {KICKED}
        for number in (0, 1, 3, 4, 5):
            assert _data(pages[number], MESSAGES) == [b"%d" % number]
        for number in range(6):
            assert _data(pages[6 + number], MESSAGES) == [b"%d" % number]
        assert _data(pages[-1], MESSAGES) == []


def _data(page: Page | SessionError, namespace: int) -> list[bytes]:
    assert isinstance(page, Page)
    return [message.data for message in page.messages(namespace)]
