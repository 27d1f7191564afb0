"""Groups on a local network: what each member and device sees of a group's life, and what the swarm lets them do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from session_cli.core.client import Client
from session_cli.devnet.faults import Drop, InnerStatus
from session_cli.devnet.network import Devnet
from session_cli.errors import InvalidAccountId, InvalidInput, NetworkError, NotAdmin, ServiceRefused, SessionError
from session_cli.network.clock import Deadline
from session_cli.network.swarm_steps import OwnStore
from session_cli.protocol import content as contents
from session_cli.protocol import session_v1
from session_cli.protocol.account import AccountId, Identity
from session_cli.protocol.group import messages, updates
from session_cli.protocol.group.identity import MAX_MEMBERS, parse_group_id
from session_cli.protocol.group.keys import GroupKeys, StoredKeys
from session_cli.protocol.group.subaccount import GroupMember
from session_cli.protocol.payload import GroupInvite, VisibleMessage
from session_cli.protocol.storage_rpc import Namespace
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
from tests.support.histories import account_id

# The life of a group.


def test_from_its_making_to_its_end(friends: Three) -> None:
    alice, bob, carol = friends
    group = alice.groups.create("Friends", [bob.account_id, carol.account_id], description="of old")
    assert (group.state, group.members, group.waiting) == ("admin", 3, False)
    assert statuses(alice, group.id) == {"Alice": "admin", "Bob": "invite_sent", "Carol": "invite_sent"}
    assert happened(bob) == ["invited", "added"]
    assert happened(carol)[:2] == ["invited", "added"]
    assert happened(alice) == ["joined", "joined"]
    assert statuses(alice, group.id) == {"Alice": "admin", "Bob": "member", "Carol": "member"}
    found = bob.groups.get("Friends")
    assert (found.name, found.description, found.state) == ("Friends", "of old", "member")
    assert found.inviter is not None
    assert found.inviter.id == alice.account_id
    happened(bob), happened(carol)

    alice.send("Friends", "welcome")
    bob.send("Friends", "thanks")
    assert happened(carol) == ["welcome", "thanks"]
    assert happened(alice) == ["thanks"]
    assert happened(bob) == ["welcome"]

    alice.groups.rename("Friends", "Chums")
    alice.groups.describe("Chums", "")
    alice.groups.expire("Chums", 86_400)
    assert happened(bob) == ["renamed", "expiration_update"]
    assert (bob.groups.get("Chums").timer_s, bob.groups.get("Chums").description) == (86_400, None)
    fading = bob.send("Chums", "not for ever")
    assert (fading.expire_mode, fading.expire_s) == ("after_send", 86_400)
    happened(carol)

    alice.groups.promote("Chums", [bob.account_id])
    assert happened(bob) == ["promoted"]
    assert bob.groups.get("Chums").state == "admin"
    assert happened(alice) == ["not for ever"]
    assert statuses(alice, group.id) == {"Alice": "admin", "Bob": "admin", "Carol": "member"}
    in_step(group.id, alice, bob)

    bob.groups.remove("Chums", [carol.account_id])
    assert carol.groups.get("Chums").state == "member"
    assert happened(carol)[-1] == "kicked"
    gone = carol.groups.get(group.id)
    assert (gone.state, gone.members) == ("kicked", 0)
    assert happened(alice) == ["removed"]
    assert statuses(alice, group.id) == {"Alice": "admin", "Bob": "admin"}
    in_step(group.id, alice, bob)

    alice.groups.leave("Chums")
    assert alice.groups.all() == []
    assert happened(bob) == ["left"]
    bob.poll()
    assert statuses(bob, group.id) == {"Bob": "admin"}
    with pytest.raises(InvalidInput, match="only admin"):
        bob.groups.leave("Chums")
    bob.groups.delete("Chums")
    assert bob.groups.all() == []


def test_an_end_for_everyone(friends: Three) -> None:
    alice, bob, carol = friends
    group_id = make_group(alice, bob, carol)
    bob.send(group_id, "still here")
    alice.groups.delete(group_id)
    assert happened(bob) == ["destroyed"]
    assert bob.groups.get(group_id).state == "destroyed"
    with pytest.raises(InvalidInput, match="group delete"):
        bob.send(group_id, "anybody?")
    bob.groups.delete(group_id)
    assert bob.groups.all() == []
    with pytest.raises(InvalidAccountId):
        bob.groups.get(group_id)


def test_an_invitation_of_a_stranger_waits(make: Maker) -> None:
    alice, bob, carol = make("Alice"), make("Bob"), make("Carol")
    group = alice.groups.create("Strangers", [bob.account_id, carol.account_id])
    assert happened(bob) == ["invited"]
    assert bob.groups.get("Strangers").state == "invited"
    with pytest.raises(InvalidInput, match="group accept"):
        bob.send(group.id, "who are you?")
    alice.send(group.id, "come in")
    bob.poll()
    assert happened(bob) == [], "who has not joined asks for nothing"
    bob.groups.accept("Strangers")
    assert happened(bob) == ["added", "come in"]
    assert carol.poll()
    assert carol.groups.decline("Strangers").state == "invited"
    assert carol.groups.all() == []
    assert happened(alice) == ["joined"]
    assert statuses(alice, group.id) == {"Alice": "admin", "Bob": "member", None: "invite_sent"}


def test_who_is_removed_reads_nothing_more_and_stores_nothing(friends: Three) -> None:
    """What the removed member holds, used by a client that does not play by the rules."""
    alice, bob, carol = friends
    group_id = make_group(alice, bob, carol)
    held = state_of(carol, group_id)
    account = held.account(carol._profile.identity)
    alice.groups.remove(group_id, [carol.account_id], delete_messages=True)
    alice.send(group_id, "now among us")
    with pytest.raises((ServiceRefused, NetworkError)):
        carol.network.upkeep.perform(account, [OwnStore(11, b"let me in", 60_000)], Deadline(20))
    page = carol.network.swarm.retrieve(account, {11: {}, 12: {}, -11: {}}, Deadline(20))
    assert set(page.refused) == {11, 12}
    assert page.messages(Namespace.REVOKED_GROUP_MESSAGES)
    key = state_of(alice, group_id).keys.encryption_keys[0]
    assert key not in held.keys.encryption_keys
    assert happened(carol) == ["kicked"]
    assert happened(bob) == ["removed", "now among us"]


def test_history_is_for_those_who_are_given_it(friends: Three, make: Maker) -> None:
    alice, bob, carol = friends
    dave = make("Dave")
    befriend(alice, dave)
    happened(dave)
    group_id = make_group(alice, bob)
    alice.send(group_id, "of before")
    alice.groups.invite(group_id, [carol.account_id])
    alice.groups.invite(group_id, [dave.account_id], history=True)
    alice.send(group_id, "for all")
    assert "of before" not in happened(carol)
    seen = happened(dave)
    assert [text for text in seen if text in ("of before", "for all")] == ["of before", "for all"]
    assert "for all" in [message.body for message in carol.history.log(group_id)]


def test_who_was_removed_can_come_back(friends: Three) -> None:
    """The notice of then does not count any more."""
    alice, bob, carol = friends
    group_id = make_group(alice, bob, carol)
    alice.groups.remove(group_id, [carol.account_id])
    assert happened(carol)[-1] == "kicked"
    alice.groups.invite(group_id, [carol.account_id])
    alice.send(group_id, "welcome back")
    assert happened(carol)[-1] == "welcome back"
    carol.send(group_id, "thanks")
    assert happened(bob)[-1] == "thanks"
    assert happened(carol) == []


# What is said in it.


def test_reactions_answers_and_deletions(friends: Three) -> None:
    alice, bob, carol = friends
    group_id = make_group(alice, bob, carol)
    alice.send(group_id, "dinner?")
    happened(bob), happened(carol)
    (asked,) = bob.history.log(group_id, limit=1)
    bob.react(asked.id, "👍")
    bob.send(group_id, "yes", quote=asked.id)
    (event, answer) = (event for event in alice.receive())
    assert (event.type, event.content["emoji"]) == ("reaction", "👍")
    assert answer.message is not None
    assert answer.message.quote is not None
    assert answer.message.quote.body == "dinner?"
    happened(carol)
    (seen,) = (message for message in carol.history.log(group_id) if message.body == "dinner?")
    assert [(each.emoji, [one.id for one in each.senders]) for each in seen.reactions] == [("👍", [bob.account_id])]

    spam = carol.send(group_id, "buy this")
    for other in (alice, bob):
        happened(other)
    (here,) = (message for message in bob.history.log(group_id) if message.body == "buy this")
    with pytest.raises(NotAdmin):
        list(bob.unsend([here.id]))
    (there,) = (message for message in alice.history.log(group_id) if message.body == "buy this")
    list(alice.unsend([there.id]))
    assert happened(bob) == ["unsend"]
    assert happened(carol) == ["unsend"]
    assert carol.message(spam.id).deleted
    own = carol.send(group_id, "sorry")
    happened(bob)
    list(carol.unsend([own.id]))
    assert happened(bob) == ["unsend"]
    assert happened(alice) == ["", "unsend"]
    alice.poll()
    dave_sees = alice.network.swarm.retrieve(
        state_of(alice, group_id).account(alice._profile.identity), {11: {}}, Deadline(20)
    )
    hashes = {one.hash for one in dave_sees.messages(Namespace.GROUP_MESSAGES)}
    assert there.hash not in hashes, "an admin has the swarm delete what was deleted"
    assert own.hash not in hashes


def test_a_member_can_not_pretend_to_be_an_admin(friends: Three) -> None:
    alice, bob, carol = friends
    group_id = make_group(alice, bob, carol)
    for deed in (
        lambda: bob.groups.rename(group_id, "Mine"),
        lambda: bob.groups.remove(group_id, [carol.account_id]),
        lambda: bob.groups.promote(group_id, [bob.account_id]),
        lambda: bob.groups.delete(group_id),
        lambda: bob.groups.invite(group_id, [account_id(9)]),
    ):
        with pytest.raises((NotAdmin, InvalidInput)):
            deed()
    assert happened(alice) == []


# Several devices.


def test_another_device_follows(friends: Three, make: Maker) -> None:
    alice, bob, carol = friends
    group_id = make_group(alice, bob, carol)
    alice.send(group_id, "one")
    alice.sync()
    bob.sync()
    phone, tablet = make("phone", of=bob), make("tablet", of=alice)
    seen = happened(phone)
    assert "one" in seen
    assert phone.groups.get("Friends").state == "member"
    assert "one" in happened(tablet)
    assert tablet.groups.get("Friends").state == "admin"
    phone.send(group_id, "from the phone")
    assert "from the phone" in happened(alice)
    found = [event for event in bob.receive() if event.message and event.message.body == "from the phone"]
    assert [event.direction for event in found] == ["outgoing"]
    tablet.groups.rename(group_id, "Renamed")
    assert alice.poll()
    assert alice.groups.get(group_id).name == "Renamed"
    bob.groups.leave(group_id)
    bob.sync()
    happened(phone)
    assert phone.groups.all() == []
    alice.groups.remove(group_id, [carol.account_id])
    happened(tablet)
    assert statuses(tablet, group_id) == {"Alice": "admin"}


# Admins who act at once, and swarms that fail.


def test_two_admins_at_once(friends: Three, make: Maker) -> None:
    """Each changes the members and the key without knowing of the other."""
    alice, bob, carol = friends
    dave, erin = make("Dave"), make("Erin")
    group_id = make_group(alice, bob, carol)
    alice.groups.promote(group_id, [bob.account_id])
    happened(bob), happened(alice)

    for client in (alice, bob):
        client.groups._fetch = lambda *_: None  # type: ignore[method-assign]
    alice.groups.invite(group_id, [dave.account_id])
    bob.groups.invite(group_id, [erin.account_id])
    for _ in range(3):
        for client in (alice, bob):
            client.poll()
    in_step(group_id, alice, bob)
    members = {member.party.id for member in alice.groups.members(group_id)}
    assert {dave.account_id, erin.account_id} <= members
    carol.poll()
    alice.send(group_id, "can all read this?")
    assert happened(carol)[-1] == "can all read this?"
    for newcomer in (dave, erin):
        newcomer.poll()
        newcomer.groups.accept(group_id)
        assert "can all read this?" in happened(newcomer)


@pytest.mark.parametrize("deed", ["invite", "remove", "rename", "promote"])
@pytest.mark.parametrize("fault", [InnerStatus(500), Drop(after=True)], ids=["refused", "unanswered"])
def test_what_fails_half_way_is_made_up_for(
    friends: Three, shared_net: Devnet, deed: str, fault: Any, make: Maker
) -> None:
    """The group's swarm does not take it, or takes it and does not say so: a later poll sees to it."""
    alice, bob, carol = friends
    dave = make("Dave")
    group_id = make_group(alice, bob, carol)
    deeds: dict[str, Callable[[], object]] = {
        "invite": lambda: alice.groups.invite(group_id, [dave.account_id], history=True),
        "remove": lambda: alice.groups.remove(group_id, [carol.account_id]),
        "rename": lambda: alice.groups.rename(group_id, "Other"),
        "promote": lambda: alice.groups.promote(group_id, [bob.account_id]),
    }
    with stuck(shared_net, group_id, alice, fault), pytest.raises(SessionError):
        deeds[deed]()
    assert alice.groups.get(group_id).waiting
    for client in (alice, bob, alice):
        client.poll()
    assert not alice.groups.get(group_id).waiting
    match deed:
        case "invite":
            assert "invited" in happened(dave)
            dave.groups.accept(group_id)
            assert dave.groups.get(group_id).state == "member"
        case "remove":
            assert happened(carol)[-1] == "kicked"
        case "rename":
            happened(bob)
            assert bob.groups.get(group_id).name == "Other"
        case "promote":
            happened(bob)
            assert bob.groups.get(group_id).state == "admin"
    alice.send(group_id, "all is well")
    assert happened(bob)[-1] == "all is well"


def test_where_a_group_can_not_be_made_there_is_none(friends: Three, private_net: Devnet, tmp_path: Path) -> None:
    path = tmp_path / "private.toml"
    private_net.write_definition(path)
    with Client.create(
        name="Zoe", network=str(path), environ={"SESSION_HOME": str(tmp_path / "zoe")}, timeout=3
    ) as zoe:
        zoe.poll()
        private_net.chaos.inject(InnerStatus(500), methods={"sequence"})
        with pytest.raises(SessionError):
            zoe.groups.create("Nobody", [])
        assert zoe.groups.all() == []
        private_net.chaos.clear()
        assert zoe.groups.create("Somebody", []).state == "admin"


# Limits and mistakes.


def test_a_group_has_up_to_a_hundred(make: Maker) -> None:
    alice = make("Alice")
    people = [account_id(number) for number in range(1, MAX_MEMBERS + 1)]
    with pytest.raises(InvalidInput, match="up to 100"):
        alice.groups.create("Everybody", people)
    group = alice.groups.create("Nearly everybody", people[1:])
    assert group.members == MAX_MEMBERS
    assert {member.status for member in alice.groups.members(group.id)} == {"admin", "invite_sent"}
    with pytest.raises(InvalidInput, match="up to 100"):
        alice.groups.invite(group.id, [people[0]])
    alice.groups.remove(group.id, people[1:60])
    assert alice.groups.get(group.id).members == MAX_MEMBERS - 59


def read_as(identity: Identity, alice: Client) -> list[str]:
    """What somebody with nothing but an account reads of the group that he is invited to."""
    swarm = alice.network.swarm
    page = swarm.retrieve(identity, {0: {}}, Deadline(20))
    opened = [session_v1.decode_message(identity, one.data) for one in page.messages()]
    (invite,) = (contents.parse(message.content).payload for message in opened)
    assert isinstance(invite, GroupInvite)
    updates.verify_invite(invite, identity.account_id, opened[0].timestamp_ms)
    member = GroupMember.from_auth_data(identity, parse_group_id(invite.group_id), invite.auth_data)
    page = swarm.retrieve(member, {11: {}, 12: {}}, Deadline(20))
    stored = [StoredKeys(one.hash, one.timestamp_ms, one.data) for one in page.messages(Namespace.GROUP_KEYS)]
    keys = GroupKeys(member.group_id).load_all(stored, identity).keys.encryption_keys
    read = (messages.decode_message(member.group_id, keys, one.data) for one in page.messages(Namespace.GROUP_MESSAGES))
    payloads = [contents.parse(one.content).payload for one in read]
    return [payload.body for payload in payloads if isinstance(payload, VisibleMessage)]


def test_a_hundred_members_read_what_is_written(make: Maker, shared_net: Devnet) -> None:
    """Whatever their number, a message is one request; making the group takes few, and one for each who is invited."""
    alice = make("Alice")
    alice.poll()
    others = [Identity.generate() for _ in range(1, MAX_MEMBERS)]
    before = len(shared_net.request_log)
    group = alice.groups.create("Everybody", [other.account_id for other in others])
    asked = [record for record in shared_net.request_log[before:] if record.kind == "storage"]
    assert len([record for record in asked if record.method == "store"]) == len(others) + 1, "and one notice"
    assert len(asked) - len(others) <= 8
    before = len(shared_net.request_log)
    alice.send(group.id, "good morning")
    asked = [record for record in shared_net.request_log[before:] if record.kind == "storage"]
    assert [record.method for record in asked] == ["store"]
    for other in others:
        assert read_as(other, alice) == ["good morning"]


def test_mistakes_are_told(friends: Three) -> None:
    alice, bob, carol = friends
    group_id = make_group(alice, bob)
    for deed, words in (
        (lambda: alice.groups.invite(group_id, [bob.account_id]), "already"),
        (lambda: alice.groups.invite(group_id, ["me"]), "yourself"),
        (lambda: alice.groups.remove(group_id, [carol.account_id]), "not in this group"),
        (lambda: alice.groups.remove(group_id, ["me"]), "yourself"),
        (lambda: alice.groups.promote(group_id, [carol.account_id]), "not in this group"),
        (lambda: alice.groups.resend(group_id, [bob.account_id]), "nothing to answer"),
        (lambda: alice.groups.accept(group_id), "does not wait"),
        (lambda: alice.groups.decline(group_id), "does not wait"),
        (lambda: alice.groups.rename(group_id, "x" * 101), "100"),
        (lambda: alice.groups.describe(group_id, "x" * 601), "600"),
    ):
        with pytest.raises(InvalidInput, match=words):
            deed()
    with pytest.raises(InvalidAccountId):
        alice.groups.get("Nobody's")
    assert AccountId(group_id) == alice.groups.resolve(group_id[:12])
    assert happened(bob) == []
