"""What one device says against what another one does: nothing is lost that nobody wanted to lose."""

from __future__ import annotations

from dataclasses import replace

import pytest

from session_cli.core.addressing import resolve
from session_cli.core.contacts import Contacts as People
from session_cli.core.sealing import Sealer
from session_cli.errors import InvalidInput, NodeFailed, RpcError
from session_cli.network.clock import Deadline
from session_cli.network.swarm import Page, Poll
from session_cli.protocol.account import AccountId, Identity
from session_cli.protocol.config.contacts import Contact, Contacts
from session_cli.protocol.config.kinds import ConfigKind
from session_cli.protocol.config.user_profile import UserProfile
from session_cli.protocol.payload import Expiration, ExpirationMode, ReadReceipt, VisibleMessage
from session_cli.store.records import NewMessage
from tests.support.devices import NODE, Device, Phone, Swarm, approve, name, nickname, rename_contact, say, write_to
from tests.support.histories import account_id

BOB, CAROL = (AccountId(account_id(number)) for number in (1, 2))
CONTACTS, PROFILE = ConfigKind.CONTACTS, ConfigKind.USER_PROFILE
HOUR_MS = 3_600_000
OTHER_NODE = "cd" * 32


def know(phone: Phone, *people: AccountId) -> None:
    """Have the phone know people who have written, and were answered."""
    contacts = Contacts(phone.data(CONTACTS))
    for person in people:
        contacts = contacts.with_contact(Contact(person, "x", approved=True, approved_me=True, created=1))
    phone.write(CONTACTS, contacts.data)


def delete(phone: Phone, person: AccountId) -> None:
    phone.write(CONTACTS, Contacts(phone.data(CONTACTS)).without_contact(person).data)


def on_phone(phone: Phone, person: AccountId) -> Contact | None:
    phone.pull()
    return Contacts(phone.data(CONTACTS)).get(person)


def count(device: Device) -> int:
    return len(device.store.messages.rows("", ()))


# Pushes of which the answer was lost.


def test_what_came_back_from_the_swarm_is_done_with(swarm: Swarm, phone: Phone, laptop: Device) -> None:
    """It is not put onto what others have come to since."""
    know(phone, BOB)
    laptop.sync()
    approve(laptop, CAROL)
    swarm.loses_reply = True
    with pytest.raises(NodeFailed):
        laptop.push()
    swarm.loses_reply = False
    laptop.poll()
    row = laptop.store.configs.get(CONTACTS.namespace)
    assert row
    assert row.base is None
    assert on_phone(phone, CAROL)
    delete(phone, CAROL)
    for number in range(6):
        rename_contact(phone, BOB, f"b{number}")
    laptop.sync()
    assert on_phone(phone, CAROL) is None
    known = laptop.store.people.get(CAROL)
    assert known
    assert not known.is_contact


def test_pushes_that_never_arrived_do_not_outrun_what_others_say(
    swarm: Swarm, laptop: Device, server: Device, phone: Phone
) -> None:
    """A message is forgotten by whoever is five ahead; nobody may be that with messages that only he knows."""
    know(phone, BOB)
    for device in (laptop, server):
        device.sync()
    swarm.takes_nothing = True
    for number in range(8):
        name(laptop, BOB, f"b{number}")
        with pytest.raises(NodeFailed):
            laptop.push()
    swarm.takes_nothing = False
    approve(server, CAROL)
    server.sync()
    for device in (laptop, server, laptop):
        device.sync()
    for device in (laptop, server):
        assert nickname(device, BOB) == "b7"
        known = device.store.people.get(CAROL)
        assert known
        assert known.approved


# Members that lie, or are behind.


class _TwoMembers(Swarm):
    """A second member, which has everything, while the first one has no configs."""

    def members(self, account_id: str) -> list[str]:
        return [NODE, OTHER_NODE]

    def poll_one(self, poll: Poll, deadline: Deadline) -> Page:
        if poll.prefer == OTHER_NODE:
            return replace(Swarm.poll_one(self, poll, deadline), node=OTHER_NODE)
        kept, self.kept = self.kept, {0: self.kept.get(0, {})}
        try:
            return Swarm.poll_one(self, poll, deadline)
        finally:
            self.kept = kept


def test_one_member_is_not_believed_that_there_is_nothing() -> None:
    swarm = _TwoMembers(Identity.from_seed(b"\x09" * 16))
    phone, server = Phone(swarm), Device(swarm)
    approve(server, BOB)
    write_to(server, BOB, "precious")
    know(phone, CAROL)
    for number in range(8):
        rename_contact(phone, CAROL, f"c{number}")
    server.sync()
    assert count(server) == 1
    assert on_phone(phone, BOB)
    assert nickname(server, CAROL) == "c7"
    server.close()


def test_where_a_second_member_does_not_answer_nothing_is_pushed_yet() -> None:
    class Silent(_TwoMembers):
        def poll_one(self, poll: Poll, deadline: Deadline) -> Page:
            if poll.prefer == OTHER_NODE:
                raise NodeFailed("silent")
            return super().poll_one(poll, deadline)

    swarm = Silent(Identity.from_seed(b"\x09" * 16))
    server = Device(swarm)
    approve(server, BOB)
    server.sync()
    assert swarm.pushes == 0
    assert server.configs.summary().waiting == ("contacts",)
    server.close()


def test_a_refused_config_holds_up_pushes_and_sync_says_so(swarm: Swarm, server: Device) -> None:
    approve(server, BOB)
    swarm.refuses = {5: RpcError("no")}
    server.sync()
    assert (swarm.pushes, server.configs.summary().waiting) == (0, ("contacts",))
    swarm.refuses = {}
    server.sync()
    assert (swarm.pushes, server.configs.summary().waiting) == (1, ())


def test_a_later_member_makes_up_for_a_time_that_was_made_up(swarm: Swarm, phone: Phone, server: Device) -> None:
    """Who says that configs are newer than they are keeps no stranger's message from us."""
    know(phone, BOB)
    genuine = dict(swarm.kept[CONTACTS.namespace])
    swarm.now_ms += 5 * 24 * HOUR_MS
    stranger = Identity.from_seed(b"\x31" * 16)
    say(swarm, stranger, VisibleMessage("please help"), swarm.now_ms - HOUR_MS, stored_ms=swarm.now_ms - HOUR_MS)
    swarm.kept[CONTACTS.namespace] = {
        hash: replace(stored, timestamp_ms=swarm.now_ms) for hash, stored in genuine.items()
    }
    server.sync()
    assert count(server) == 0
    swarm.kept[CONTACTS.namespace] = genuine
    with server.store.transaction():
        server.store.swarm.forget_positions(swarm.identity.account_id, [0, *(kind.namespace for kind in (CONTACTS,))])
    server.sync()
    assert count(server) == 1


# Deletions.


def test_what_was_said_after_a_deletion_elsewhere_stays(swarm: Swarm, phone: Phone, laptop: Device) -> None:
    bob = Identity.from_seed(b"\x41" * 16)
    know(phone, bob.account_id)
    say(swarm, bob, VisibleMessage("before"), swarm.now_ms)
    laptop.sync()
    swarm.now_ms += 1_000
    delete(phone, bob.account_id)
    late = swarm.kept.pop(CONTACTS.namespace)
    swarm.now_ms += HOUR_MS
    say(swarm, bob, VisibleMessage("after"), swarm.now_ms)
    swarm.now_ms += 1
    write_to(laptop, bob.account_id, "our answer")
    laptop.poll()
    assert count(laptop) == 3
    swarm.kept[CONTACTS.namespace] = late
    laptop.sync()
    assert [row.body for row in laptop.store.messages.rows("ORDER BY m.sent_ms", ())] == ["after", "our answer"]
    known = on_phone(phone, bob.account_id)
    assert known
    assert (known.approved, known.approved_me) == (True, True), "for we have written to him since"


def test_messages_that_waited_for_somebody_deleted_elsewhere_are_given_up(
    swarm: Swarm, phone: Phone, laptop: Device, caplog: pytest.LogCaptureFixture
) -> None:
    know(phone, BOB)
    laptop.sync()
    with laptop.store.transaction():
        own_id = swarm.identity.account_id
        laptop.store.messages.add(NewMessage(BOB, "outgoing", own_id, swarm.now_ms, "waiting", "queued"))
    swarm.now_ms += 1
    delete(phone, BOB)
    laptop.poll()
    assert count(laptop) == 0
    assert "1 messages" in caplog.text


def test_who_is_added_again_before_the_first_poll_stays(swarm: Swarm, phone: Phone, server: Device) -> None:
    approve(server, BOB)
    write_to(server, BOB, "old")
    know(phone, CAROL)
    people = People(server.profile)
    people.delete(BOB)
    people.add(BOB, "Bobby")
    swarm.now_ms += 1
    write_to(server, BOB, "new")
    server.sync()
    assert count(server) == 1
    known = on_phone(phone, BOB)
    assert known
    assert (known.nickname, known.approved) == ("Bobby", True)


@pytest.mark.parametrize("page_size", [1, 100])
def test_who_is_known_here_alone_is_not_deleted_by_old_configs(page_size: int) -> None:
    """Whether what others had and deleted comes in one page or in two."""
    swarm = Swarm(Identity.from_seed(b"\x09" * 16), page_size=page_size)
    phone, server = Phone(swarm), Device(swarm)
    approve(server, BOB)
    write_to(server, BOB)
    know(phone, BOB)
    first = dict(swarm.kept[CONTACTS.namespace])
    delete(phone, BOB)
    swarm.kept[CONTACTS.namespace] = first | swarm.kept[CONTACTS.namespace]
    server.sync()
    assert count(server) == 1
    assert on_phone(phone, BOB)
    server.close()


def test_what_was_not_fetched_before_a_deletion_does_not_come_back(swarm: Swarm, phone: Phone, laptop: Device) -> None:
    bob = Identity.from_seed(b"\x41" * 16)
    know(phone, bob.account_id)
    laptop.sync()
    swarm.now_ms += HOUR_MS
    say(swarm, bob, VisibleMessage("before"), swarm.now_ms)
    swarm.now_ms += 1_000
    People(laptop.profile).delete(bob.account_id)
    swarm.now_ms += 1_000
    laptop.sync()
    assert (count(laptop), on_phone(phone, bob.account_id)) == (0, None)


@pytest.mark.parametrize("restored", [False, True])
def test_copies_of_ours_bring_nobody_back(swarm: Swarm, laptop: Device, restored: bool) -> None:
    """Somebody who was written to and deleted at once, on a device that has seen nothing of it yet."""
    bob = Identity.from_seed(b"\x41" * 16)
    laptop.sync()
    other = Device(swarm, is_new=not restored)
    if not restored:
        other.sync()
    approve(laptop, bob.account_id)
    name(laptop, bob.account_id, "Bobby")
    laptop.sync()
    say(swarm, swarm.identity, VisibleMessage("goodbye", sync_target=bob.account_id), swarm.now_ms)
    swarm.now_ms += 2_000
    laptop.poll()
    People(laptop.profile).delete(bob.account_id)
    laptop.sync()
    swarm.now_ms += 150_000
    other.sync()
    laptop.sync()
    for device in (laptop, other):
        known = device.store.people.get(bob.account_id)
        assert not (known and known.is_contact)
        assert count(device) == 0
    other.close()


# Hidden conversations.


def test_what_is_older_does_not_show_a_hidden_conversation_again(swarm: Swarm, phone: Phone, laptop: Device) -> None:
    """Nor is it lost."""
    bob = Identity.from_seed(b"\x41" * 16)
    know(phone, bob.account_id)
    laptop.sync()
    swarm.now_ms += 1_000
    say(swarm, bob, VisibleMessage("read on the phone"), swarm.now_ms)
    swarm.now_ms += 1_000
    contact = on_phone(phone, bob.account_id)
    assert contact
    phone.write(CONTACTS, Contacts(phone.data(CONTACTS)).with_contact(replace(contact, priority=-1)).data)
    laptop.sync()
    assert count(laptop) == 1
    assert laptop.store.configs.conversation(bob.account_id).hidden
    swarm.now_ms += 1_000
    say(swarm, bob, VisibleMessage("news"), swarm.now_ms)
    laptop.sync()
    assert not laptop.store.configs.conversation(bob.account_id).hidden
    after = on_phone(phone, bob.account_id)
    assert after
    assert after.priority == 0


# What was set before there were configs.


def test_settings_of_before_stay(swarm: Swarm, phone: Phone, server: Device) -> None:
    own_id = swarm.identity.account_id
    approve(server, BOB)
    with server.store.transaction():
        for address in (BOB, own_id):
            server.store.conversations.set_expiration(address, "after_send", 3_600, swarm.now_ms)
        server.store.people.approve(CAROL, by_us=False)
        received = NewMessage(CAROL, "incoming", CAROL, swarm.now_ms, "hi", "received", request=True)
        server.store.messages.add(received)
        server.store.conversations.hide(CAROL)
    know(phone, BOB)
    contacts = Contacts(phone.data(CONTACTS)).with_contact(Contact(CAROL, "x", approved_me=True))
    phone.write(CONTACTS, contacts.data)
    phone.write(PROFILE, UserProfile().with_name("A", 5).data)
    server.sync()
    for address in (BOB, own_id):
        assert server.store.conversations.expiration(address) == ("after_send", 3_600)
    assert server.store.configs.conversation(CAROL).hidden
    known = on_phone(phone, BOB)
    assert known
    assert known.expiration == Expiration(ExpirationMode.AFTER_SEND, 3_600)
    assert UserProfile(phone.data(PROFILE)).note_to_self_expiry == 3_600


# Names.


@pytest.mark.parametrize("others_first", [False, True])
def test_a_name_does_not_come_to_mean_somebody_else(
    swarm: Swarm, phone: Phone, laptop: Device, others_first: bool, caplog: pytest.LogCaptureFixture
) -> None:
    mine, theirs = sorted([BOB, CAROL], reverse=others_first)
    know(phone, BOB, CAROL)
    laptop.sync()
    name(laptop, mine, "boss")
    laptop.sync()
    phone.pull()
    rename_contact(phone, theirs, "boss")
    laptop.sync()
    assert resolve(laptop.profile, "boss") == mine
    assert "boss" in caplog.text
    known = on_phone(phone, theirs)
    assert known
    assert known.nickname == "boss", "what the phone calls people is for the phone to say"
    rename_contact(phone, mine, "chief")
    laptop.sync()
    assert resolve(laptop.profile, "boss") == theirs


@pytest.mark.parametrize("number", range(6))
def test_the_time_of_our_profile_never_falls(swarm: Swarm, phone: Phone, laptop: Device, number: int) -> None:
    """Or nobody who knows the later one would believe what comes after."""
    phone.write(PROFILE, UserProfile().with_name("A", 1_000).data)
    laptop.sync()
    with laptop.store.transaction():
        laptop.store.settings.set("display_name", "Laptop")
        laptop.store.settings.set("profile_updated_s", 2_000)
    phone.write(PROFILE, UserProfile(phone.data(PROFILE)).with_name(f"Phone {number}", 1_500).data)
    laptop.sync()
    phone.pull()
    profile = UserProfile(phone.data(PROFILE))
    assert profile.updated >= 2_000
    assert profile.updated == laptop.store.settings.get("profile_updated_s")
    assert profile.name == laptop.store.settings.get("display_name")


def test_times_that_can_not_be_harm_nothing(swarm: Swarm, phone: Phone, laptop: Device) -> None:
    phone.write(PROFILE, UserProfile().with_name("A", 2**63 - 1).data)
    laptop.sync()
    assert laptop.store.settings.get("profile_updated_s") <= swarm.now_ms // 1000 + 600


def test_a_name_that_can_not_be_told_holds_up_nothing(swarm: Swarm, phone: Phone, laptop: Device) -> None:
    with laptop.store.transaction():
        laptop.store.settings.set("display_name", "é" * 60)
    with pytest.raises(InvalidInput):
        UserProfile().with_name("é" * 60, 1)
    approve(laptop, BOB)
    laptop.sync()
    assert on_phone(phone, BOB)


# Blocks.


def test_who_is_blocked_elsewhere_is_told_nothing_more(swarm: Swarm, phone: Phone, laptop: Device) -> None:
    know(phone, BOB)
    laptop.sync()
    with laptop.store.transaction():
        receipt = Sealer(laptop.profile).seal(ReadReceipt((1,)), BOB, swarm.now_ms)
        laptop.store.deliveries.add(None, receipt, receipt=True)
    contacts = Contacts(phone.data(CONTACTS))
    contact = contacts.get(BOB)
    assert contact
    phone.write(CONTACTS, contacts.with_contact(replace(contact, blocked=True)).data)
    laptop.poll()
    assert not laptop.store.has_deliveries()


def test_unmuting_keeps_what_is_wanted_beside(swarm: Swarm, phone: Phone, laptop: Device) -> None:
    settings = replace(laptop.store.configs.conversation(BOB), notify=1)
    assert settings.muted(5).notify == 1
    assert settings.muted(None).muted(0).notify == 0
