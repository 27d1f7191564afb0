"""Groups whose members, swarm or moments are against us: nobody gets more than an admin gave, and nobody is stopped."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from session_cli.core.client import Client
from session_cli.core.groups.state import GroupStore
from session_cli.devnet.faults import InnerStatus
from session_cli.devnet.network import Devnet
from session_cli.errors import InvalidAccountId, InvalidInput, NetworkError, RpcError, SessionError
from session_cli.network.clock import Deadline
from session_cli.network.swarm import Page, Poll
from session_cli.network.swarm_steps import Delete, OwnStore, Revoke
from session_cli.protocol import content as contents
from session_cli.protocol.account import AccountId, parse_account_id
from session_cli.protocol.config.fields import Picture
from session_cli.protocol.config.group_members import Member
from session_cli.protocol.group import messages, subaccount
from session_cli.protocol.group.multi_encrypt import seal, unseal
from session_cli.protocol.payload import Content, GroupInfoChange, GroupMemberLeft, Reaction
from session_cli.protocol.storage_rpc import Namespace
from session_cli.store.migrations import m0005_groups
from tests.support.group_clients import (
    Maker,
    Three,
    befriend,
    happened,
    in_step,
    make_group,
    state_of,
    statuses,
    stuck,
)

DAY_MS = 86_400_000


@pytest.fixture
def admins(friends: Three) -> tuple[str, Three]:
    """A group of the three in which Alice and Bob are admins."""
    alice, bob, carol = friends
    group_id = make_group(alice, bob, carol)
    alice.groups.promote(group_id, [bob.account_id])
    for client in (bob, alice, carol):
        happened(client)
    return group_id, friends


def put(client: Client, group_id: str, namespace: int, data: bytes) -> None:
    """Store something in a group's swarm, as whatever the client is there."""
    account = state_of(client, group_id).account(client._profile.identity)
    client.network.upkeep.perform(account, [OwnStore(namespace, data, DAY_MS)], Deadline(20))


def stored_in(client: Client, group_id: str, namespace: int = 11) -> list[bytes]:
    account = state_of(client, group_id).account(client._profile.identity)
    page = client.network.swarm.retrieve(account, {namespace: {}}, Deadline(20))
    return [one.data for one in page.messages(Namespace(namespace))]


@contextmanager
def dying(client: Client, method: str) -> Iterator[None]:
    """The process of a client ends where it would next use a method of its keeper."""
    keeper = client.groups.keeper
    genuine = getattr(keeper, method)

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    setattr(keeper, method, die)
    try:
        yield
    finally:
        setattr(keeper, method, genuine)


@contextmanager
def lacking(client: Client, namespace: int) -> Iterator[None]:
    """Whoever is asked for a namespace says that it failed."""
    swarm = client.network.swarm
    genuine = swarm.poll_one

    def poll_one(poll: Poll, deadline: Deadline, *, lane: int = 0) -> Page:
        page = genuine(poll, deadline, lane=lane)
        parts = {**page.parts, namespace: RpcError("that failed")} if namespace in page.parts else page.parts
        return Page(page.node, parts, page.kept)

    swarm.poll_one = poll_one  # type: ignore[method-assign]
    try:
        yield
    finally:
        swarm.poll_one = genuine  # type: ignore[method-assign]


# Who was removed gets nothing any more.


def test_a_promotion_that_was_broken_off_is_dropped_when_another_admin_removes(admins: tuple[str, Three]) -> None:
    group_id, (alice, bob, carol) = admins
    with dying(alice, "_offer"), pytest.raises(KeyboardInterrupt):
        alice.groups.promote(group_id, [carol.account_id])
    happened(bob)
    with bob._store.transaction():
        state = state_of(bob, group_id)
        member = state.member(carol.account_id)
        assert member
        GroupStore(bob._store, bob.account_id).save(state.with_member(member.removed()))
    bob.poll()
    for client in (alice, bob, alice):
        client.poll()
    carol.poll()
    row = carol._store.groups.get(group_id)
    assert row
    assert (row.seed, row.removed) == (None, 1)
    assert carol.account_id not in {member.account_id for member in state_of(alice, group_id).members}
    in_step(group_id, alice, bob)


def test_an_invitation_that_was_broken_off_lets_nobody_in_again(admins: tuple[str, Three], make: Maker) -> None:
    group_id, (alice, bob, _) = admins
    dave = make("Dave")
    alice.groups.invite(group_id, [dave.account_id])
    dave.poll()
    held = state_of(dave, group_id).account(dave._profile.identity)
    with alice._store.transaction():
        for errand in ("admit", "invite"):
            alice._store.groups.add_errand(group_id, errand, dave.account_id)
    happened(bob)
    bob.groups.remove(group_id, [dave.account_id])
    alice.groups.rename(group_id, "Without Dave")
    for client in (alice, bob):
        client.poll()
    page = dave.network.swarm.retrieve(held, {11: {}, -11: {}}, Deadline(20))
    assert set(page.refused) == {11}
    assert [group.state for group in dave.groups.all()] == ["invited"], "and no new invitation came"


def test_what_waited_is_not_sent_under_the_old_key(friends: Three) -> None:
    alice, bob, carol = friends
    group_id = make_group(alice, bob, carol)
    bob.send(group_id, "look")
    happened(alice)
    (seen,) = alice.history.log(group_id, limit=1)
    swarm, genuine = alice.network.swarm, alice.network.swarm.store

    def die(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    swarm.store = die  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        alice.react(seen.id, "👍")
    swarm.store = genuine  # type: ignore[method-assign]
    held = state_of(carol, group_id).keys.encryption_keys
    alice.groups.remove(group_id, [carol.account_id])
    alice.poll()
    for data in stored_in(alice, group_id):
        try:
            opened = messages.decode_message(AccountId(group_id), held, data)
        except SessionError:
            continue
        assert not isinstance(contents.parse(opened.content).payload, Reaction)


# What members and swarms make up.


@pytest.mark.parametrize("namespace", [-11, 11, 12, 13, 14])
def test_rubbish_stops_nobody(friends: Three, namespace: int) -> None:
    alice, bob, carol = friends
    group_id = make_group(alice, bob, carol)
    for data in (b"rubbish", b"", os.urandom(300), b"d1:#24:" + b"x" * 24 + b"1:el2:ab" + b"ee"):
        put(carol, group_id, namespace, data or b"\0")
    alice.send(group_id, "still here")
    assert happened(bob) == ["still here"]
    alice.groups.rename(group_id, "Unmoved")
    alice.groups.remove(group_id, [carol.account_id])
    assert happened(bob) == ["renamed", "removed"]


def test_an_id_that_nobody_can_have_stops_no_admin(admins: tuple[str, Three]) -> None:
    group_id, (alice, bob, _) = admins
    while True:
        nobody = "05" + os.urandom(32).hex()
        try:
            parse_account_id(nobody)
        except InvalidAccountId:
            break
    with alice._store.transaction():
        state = state_of(alice, group_id)
        changed = state.with_member(Member(AccountId(nobody), "x").removed())
        GroupStore(alice._store, alice.account_id).save(changed)
    alice.groups.keeper.push(group_id, Deadline(30))
    for client in (bob, alice, bob):
        client.poll()
    assert nobody not in state_of(bob, group_id).members.ids
    in_step(group_id, alice, bob)


def test_no_member_can_say_what_admins_say(friends: Three) -> None:
    """The signature of an admin, taken from what was said, is good for nothing else."""
    alice, bob, carol = friends
    group_id = make_group(alice, bob, carol)
    alice.groups.rename(group_id, "Two")
    keys = state_of(bob, group_id).keys.encryption_keys
    for data in stored_in(bob, group_id):
        opened = messages.decode_message(AccountId(group_id), keys, data)
        content = contents.parse(opened.content)
        if isinstance(content.payload, GroupInfoChange):
            forged = contents.serialize(Content(replace(content.payload, name="Bob's"), opened.timestamp_ms))
            identity = bob._profile.identity
            put(
                bob,
                group_id,
                11,
                messages.encode_message(identity, AccountId(group_id), keys[0], forged, opened.timestamp_ms),
            )
    assert happened(carol) == ["renamed"]
    assert not any("Bob's" in str(dict(entry.content)) for entry in carol.history.log(group_id))


def test_who_came_back_is_not_removed_for_having_left_once(friends: Three, make: Maker) -> None:
    """Neither by another device of an admin, which reads all of it, nor by somebody who says it once more for her."""
    alice, bob, carol = friends
    group_id = make_group(alice, bob, carol)
    carol.groups.leave(group_id)
    keys = state_of(bob, group_id).keys.encryption_keys
    (left,) = [
        data
        for data in stored_in(bob, group_id)
        if isinstance(
            contents.parse(messages.decode_message(AccountId(group_id), keys, data).content).payload, GroupMemberLeft
        )
    ]
    plain = unseal(keys[0], left[:24], left[24:])
    assert plain
    for _ in range(2):
        alice.poll()
    assert "Carol" not in statuses(alice, group_id)
    alice.groups.invite(group_id, [carol.account_id])
    carol.poll()
    carol.send(group_id, "I am back")
    happened(alice), happened(bob)
    nonce = os.urandom(24)
    put(bob, group_id, 11, nonce + seal(state_of(bob, group_id).keys.encryption_keys[0], nonce, plain))
    alice.sync()
    tablet = make("tablet", of=alice)
    for client in (tablet, alice, tablet, carol):
        client.poll()
    assert statuses(alice, group_id)["Carol"] == statuses(tablet, group_id)["Carol"] == "member"
    assert carol.groups.get(group_id).state == "member"


def test_blocked_people_are_not_heard_in_groups(friends: Three) -> None:
    alice, bob, carol = friends
    group_id = make_group(alice, bob, carol)
    alice.send(group_id, "hello")
    happened(bob)
    alice.contacts.set_blocked(bob.account_id, blocked=True)
    (seen,) = bob.history.log(group_id, limit=1)
    bob.react(seen.id, "👍")
    bob.send(group_id, "bad words")
    carol.send(group_id, "good words")
    assert happened(alice) == ["good words"]


# Answers that lack something.


def test_nobody_leaves_because_keys_could_not_be_fetched(friends: Three, make: Maker) -> None:
    """The notice that once removed her still lies there."""
    alice, bob, carol = friends
    group_id = make_group(alice, bob, carol)
    alice.groups.remove(group_id, [carol.account_id])
    happened(carol)
    alice.groups.invite(group_id, [carol.account_id])
    happened(carol)
    alice.send(group_id, "history")
    carol.sync()
    phone = make("phone", of=carol)
    with lacking(phone, 12):
        for _ in range(2):
            phone.poll()
    assert phone.groups.get(group_id).state == "member"
    phone.sync()
    assert "history" in [entry.body for entry in phone.history.log(group_id)]
    carol.poll()
    assert carol.groups.get(group_id).state == "member"


@pytest.mark.parametrize("namespace", [12, 13, 14])
def test_nobody_changes_a_group_that_is_not_known(friends: Three, make: Maker, namespace: int) -> None:
    alice, bob, carol = friends
    group_id = make_group(alice, bob, carol)
    alice.sync()
    tablet, dave = make("tablet", of=alice), make("Dave")
    with lacking(tablet, namespace):
        tablet.poll()
        with pytest.raises(NetworkError):
            tablet.groups.invite(group_id, [dave.account_id])
    alice.send(group_id, "all here?")
    assert happened(bob) == ["all here?"]
    tablet.groups.invite(group_id, [dave.account_id])
    assert len(tablet.groups.members(group_id)) == 4
    assert happened(carol)[-1] == "added"


# Ends, and what is broken off.


def test_an_end_that_fails_half_way_comes(friends: Three, shared_net: Devnet) -> None:
    alice, bob, carol = friends
    group_id = make_group(alice, bob, carol)
    with stuck(shared_net, group_id, alice, InnerStatus(500)), pytest.raises(SessionError):
        alice.groups.delete(group_id)
    bob.send(group_id, "what is up?")
    alice.poll()
    assert alice.groups.all() == []
    bob.poll()
    assert bob.groups.get(group_id).state == "destroyed"


def test_a_notice_is_sent_with_what_it_tells(friends: Three, shared_net: Devnet) -> None:
    alice, bob, carol = friends
    group_id = make_group(alice, bob, carol)
    with stuck(shared_net, group_id, alice, InnerStatus(500)):
        with pytest.raises(SessionError):
            alice.groups.remove(group_id, [carol.account_id])
        with pytest.raises(SessionError):
            alice.groups.rename(group_id, "Two")
    for _ in range(2):
        alice.poll()
    assert "removed" in happened(bob)
    assert happened(carol)[-1] == "kicked"


def test_what_cannot_be_told_keeps_nobody_in(make: Maker) -> None:
    """A swarm that has forgotten the group, or lets us in no more."""
    alice, bob = make("Alice"), make("Bob")
    group = alice.groups.create("Forgotten", [bob.account_id])
    bob.poll()
    admin = state_of(alice, group.id).admin
    assert admin
    page = alice.network.swarm.retrieve(admin, {12: {}, 13: {}, 14: {}}, Deadline(20))
    hashes = [one.hash for space in (12, 13, 14) for one in page.messages(Namespace(space))]
    alice.network.upkeep.perform(admin, [Delete(hashes)], Deadline(20))
    bob.groups.accept(group.id)
    bob.groups.leave(group.id)
    assert bob.groups.all() == []

    befriend(alice, bob)
    group_id = make_group(alice, bob)
    admin = state_of(alice, group_id).admin
    assert admin
    token = subaccount.token(admin, bob.account_id)
    alice.network.upkeep.perform(admin, [Revoke([token])], Deadline(20))
    with bob._store.transaction():
        bob._store.groups.add_errand(group_id, "respond", bob.account_id)
    bob._timeout = 15.0
    bob.groups.leave(group_id)
    assert bob.groups.all() == []


def test_who_has_left_is_not_brought_back_by_the_old_invitation(friends: Three, make: Maker) -> None:
    alice, bob, _ = friends
    group = alice.groups.create("Once", [bob.account_id])
    own = bob._profile.identity
    page = bob.network.swarm.retrieve(own, {0: {}}, Deadline(20))
    (invitation,) = [one.data for one in page.messages()][-1:]
    bob.poll()
    bob.groups.leave(group.id)
    bob.sync()
    bob.network.swarm.store(bob.account_id, invitation, DAY_MS, Deadline(20))
    phone = make("phone", of=bob)
    for client in (phone, bob):
        client.poll()
        assert client.groups.all() == []


def test_resending_brings_the_history(friends: Three, make: Maker) -> None:
    alice, bob, _ = friends
    dave = make("Dave")
    group_id = make_group(alice, bob)
    alice.send(group_id, "of before")
    with dying(alice, "_push"), pytest.raises(KeyboardInterrupt):
        alice.groups.invite(group_id, [dave.account_id], history=True)
    alice.groups.resend(group_id, [dave.account_id])
    assert not alice.groups.get(group_id).waiting
    dave.poll()
    dave.groups.accept(group_id)
    assert "of before" in happened(dave)


def test_a_deletion_that_can_not_be_told_is_refused(friends: Three) -> None:
    alice, bob, _ = friends
    group_id = make_group(alice, bob)
    sent = bob.send(group_id, "regret")
    bob._store._connection.execute("DELETE FROM seen_hashes WHERE message_id = ?", (sent.id,))
    with pytest.raises(InvalidInput, match="too old"):
        list(bob.unsend([sent.id]))
    assert bob.message(sent.id).body == "regret"


# What is kept.


def test_names_and_pictures(make: Maker) -> None:
    """Of who joins as they say themselves; of the group as its config says, whatever an offer says."""
    alice, bob = make("Alice"), make("Bob")
    group = alice.groups.create("Strangers", [bob.account_id])
    bob.poll()
    bob.groups.accept(group.id)
    for _ in range(2):
        alice.poll()
    member = state_of(alice, group.id).member(bob.account_id)
    assert member
    assert member.name == "Bob"
    picture = Picture("http://files.example/file/1", b"k" * 32)
    with alice._store.transaction():
        state = state_of(alice, group.id)
        GroupStore(alice._store, alice.account_id).save(state.with_info(state.info.with_picture(picture)))
    alice.groups.promote(group.id, [bob.account_id])
    for _ in range(2):
        bob.poll()
    person = bob._store.people.get(group.id)
    assert person
    assert (person.name, person.picture_url) == ("Strangers", picture.url)


def test_groups_of_before_there_were_groups(friends: Three, make: Maker) -> None:
    """A store of an earlier version that holds the config alone."""
    alice, bob, carol = friends
    group_id = make_group(alice, bob, carol)
    alice.sync()
    tablet = make("tablet", of=alice)
    tablet.poll()
    connection = tablet._store._connection
    for table in ("group_errands", "group_configs", "groups"):
        connection.execute(f"DROP TABLE {table}")
    connection.execute("DELETE FROM swarm_positions WHERE account LIKE '03%'")
    connection.execute("DELETE FROM seen_hashes WHERE account LIKE '03%'")
    m0005_groups.apply(connection)
    tablet.poll()
    assert [group.id for group in tablet.groups.all()] == [group_id]
    assert len(tablet.groups.members(group_id)) == 3


def test_keys_are_changed_without_reading_all_again(friends: Three, make: Maker) -> None:
    alice, bob, _ = friends
    dave = make("Dave")
    group_id = make_group(alice, bob)
    for number in range(5):
        alice.send(group_id, f"message {number}")
    bob.poll()
    swarm, genuine = bob.network.swarm, bob.network.swarm.poll_one
    counts: list[int] = []

    def poll_one(poll: Poll, deadline: Deadline, *, lane: int = 0) -> Page:
        # Another member of the swarm, which a busy machine might ask, would rightly tell all.
        page = genuine(replace(poll, stay=True, alone=True), deadline, lane=lane)
        if poll.account.account_id == group_id and not poll.alone:
            counts.append(page.size)
        return page

    swarm.poll_one = poll_one  # type: ignore[method-assign]
    alice.groups.invite(group_id, [dave.account_id])
    bob.poll()
    assert sum(counts) <= 6, "keys, configs and the notice"


def test_what_can_not_be_said_any_more_keeps_nothing_else_waiting(friends: Three, shared_net: Devnet) -> None:
    alice, bob, _ = friends
    group_id = make_group(alice, bob)
    bob._timeout = 6.0
    with shared_net.chaos.inject(InnerStatus(503), methods={"store"}):
        to_group = bob.send(group_id, "nobody will read this", queue=True)
        to_alice = bob.send(alice.account_id, "but this", queue=True)
    assert (to_group.status, to_alice.status) == ("queued", "queued")
    bob._timeout = 60.0
    with bob._store.transaction():
        row = bob._store.groups.get(group_id)
        assert row
        bob._store.groups.put(replace(row, keys=None))
    flushed = {message.id: message.status for message in bob.outbox.flush().gone}
    assert flushed == {to_group.id: "failed", to_alice.id: "sent"}
