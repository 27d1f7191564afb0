"""What our devices tell each other, and what they don't let each other lose; with a swarm made for the test."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from session_cli.errors import NodeFailed, RpcError
from session_cli.network.clock import Deadline
from session_cli.protocol.account import AccountId, Identity
from session_cli.protocol.config import sealing
from session_cli.protocol.config.contacts import Contact, Contacts
from session_cli.protocol.config.convo_info_volatile import ConversationKind, ConvoInfoVolatile, ReadState
from session_cli.protocol.config.fields import Picture
from session_cli.protocol.config.kinds import ACCOUNT_KINDS, ConfigKind
from session_cli.protocol.config.state import Phase
from session_cli.protocol.config.tree import EMPTY, Value
from session_cli.protocol.config.user_groups import Community, Group, UserGroups
from session_cli.protocol.config.user_profile import UserProfile
from session_cli.protocol.payload import Expiration, ExpirationMode, TimerUpdate, VisibleMessage
from session_cli.store import configs as configs_module
from tests.support.devices import (
    BEGUN_MS,
    Device,
    Phone,
    Swarm,
    approve,
    name,
    nickname,
    rename_contact,
    say,
    settle,
    write_to,
)
from tests.support.histories import account_id

BOB, CAROL, DAVE = (AccountId(account_id(number)) for number in (1, 2, 3))
CONTACTS, PROFILE, READS, GROUPS = (
    ConfigKind.CONTACTS,
    ConfigKind.USER_PROFILE,
    ConfigKind.CONVO_INFO_VOLATILE,
    ConfigKind.USER_GROUPS,
)
DAY_MS = 86_400_000


# Who is new to the account.


def test_a_name_given_at_restoring_does_not_win(swarm: Swarm, phone: Phone, server: Device) -> None:
    phone.write(PROFILE, UserProfile().with_name("Alice", 1_700_000_000).data)  # seqno 1, like ours would be
    with server.store.transaction():
        server.store.settings.set("display_name", "server")
    server.sync()
    assert server.store.settings.get("display_name") == "Alice"
    assert server.store.settings.get("profile_updated_s") == 1_700_000_000
    assert swarm.pushes == 0


def test_a_name_chosen_since_does(phone: Phone, server: Device) -> None:
    phone.write(PROFILE, UserProfile().with_name("Alice", 1_700_000_000).data)
    with server.store.transaction():
        server.store.settings.set("display_name", "Alicia")
        server.store.settings.set("profile_updated_s", 1_700_000_001)
    server.sync()
    phone.pull()
    assert UserProfile(phone.data(PROFILE)).name == server.store.settings.get("display_name") == "Alicia"


def test_a_name_given_at_restoring_is_told_where_there_is_none(phone: Phone, server: Device) -> None:
    with server.store.transaction():
        server.store.settings.set("display_name", "Alice")
    server.sync()
    phone.pull()
    assert UserProfile(phone.data(PROFILE)).name == "Alice"
    assert UserProfile(phone.data(PROFILE)).updated == 1, "so any other is newer"


@pytest.mark.parametrize("pushed", [1, 9], ids=["near", "far ahead"])
def test_what_was_known_before_there_were_configs_stays(phone: Phone, server: Device, pushed: int) -> None:
    """A profile of an earlier version meets the account's configs for the first time."""
    approve(server, BOB, CAROL)
    name(server, BOB, "Bobby")
    write_to(server, CAROL)
    rename_contact(phone, BOB, "")
    for number in range(pushed):
        rename_contact(phone, DAVE, f"D{number}")
    server.sync()
    phone.pull()
    contacts = {contact.account_id: contact for contact in Contacts(phone.data(CONTACTS))}
    assert {who: (contact.nickname, contact.approved) for who, contact in contacts.items()} == {
        BOB: ("Bobby", True),
        CAROL: ("", True),
        DAVE: (f"D{pushed - 1}", False),
    }
    assert len(server.store.messages.rows("", ())) == 1, "nothing is deleted"
    assert nickname(server, DAVE) == f"D{pushed - 1}"


def test_nothing_is_pushed_before_all_configs_were_seen(swarm: Swarm, phone: Phone, server: Device) -> None:
    rename_contact(phone, BOB, "Bobby")
    swarm.refuses[CONTACTS.namespace] = RpcError("not now")
    approve(server, CAROL)
    server.sync()
    assert swarm.pushes == 0
    swarm.refuses.clear()
    server.sync()
    assert swarm.pushes == 1
    assert nickname(server, BOB) == "Bobby"


def test_configs_come_before_messages_however_many_pages(swarm: Swarm, phone: Phone, server: Device) -> None:
    """A person who was blocked in the last of many pages, and has written since."""
    bob = Identity.from_seed(b"\x01" * 16)
    swarm.page_size = 1
    say(swarm, bob, VisibleMessage("spam"), BEGUN_MS)
    for number in range(3):
        data = Contacts(phone.data(CONTACTS)).with_contact(Contact(bob.account_id, nickname=f"{number}", blocked=True))
        phone.states[CONTACTS] = phone.states[CONTACTS].with_data(data.data)
        push = phone.states[CONTACTS].push(phone.keys, swarm.now_ms)
        names = [swarm.put(CONTACTS.namespace, one) for one in push.messages]
        phone.states[CONTACTS] = push.state.confirm_pushed(push.seqno, names)
    server.poll()
    assert nickname(server, bob.account_id) == "2"
    assert server.store.messages.rows("", ()) == []


# Not to lose anything.


@pytest.mark.parametrize("ahead", [1, 4, 5, 12])
def test_what_was_changed_offline_is_not_overtaken(swarm: Swarm, phone: Phone, laptop: Device, ahead: int) -> None:
    """Configs forget what is five messages behind; a push that failed is told all the same, and no message goes."""
    rename_contact(phone, BOB, "Bobby")
    laptop.sync()
    approve(laptop, CAROL)
    write_to(laptop, CAROL)
    swarm.problem = NodeFailed("down")
    with pytest.raises(NodeFailed):
        laptop.push()
    swarm.problem = None
    name(laptop, BOB, "Robert")
    for number in range(ahead):
        rename_contact(phone, DAVE, f"D{number}")
    laptop.sync()
    phone.pull()
    contacts = Contacts(phone.data(CONTACTS))
    carol, dave, bob = contacts.get(CAROL), contacts.get(DAVE), contacts.get(BOB)
    assert carol
    assert carol.approved
    assert dave
    assert dave.nickname == f"D{ahead - 1}"
    assert bob
    assert bob.nickname == "Robert"
    assert len(laptop.store.messages.rows("", ())) == 1
    assert laptop.state(CONTACTS).phase is Phase.CLEAN


@pytest.mark.parametrize("ahead", [1, 4, 5, 12])
def test_a_push_under_way_is_not_overtaken(swarm: Swarm, phone: Phone, laptop: Device, ahead: int) -> None:
    approve(laptop, BOB)
    write_to(laptop, BOB)
    replace_before = swarm.replace

    def lost(*_: Any) -> None:
        raise NodeFailed("it never got there")

    laptop.configs._network = lambda: replace_network(swarm, lost)
    with pytest.raises(NodeFailed):
        laptop.push()
    assert laptop.state(CONTACTS).phase is Phase.WAITING
    laptop.configs._network = lambda: replace_network(swarm, replace_before)
    for number in range(ahead):
        rename_contact(phone, DAVE, f"D{number}")
    laptop.sync()
    phone.pull()
    bob = Contacts(phone.data(CONTACTS)).get(BOB)
    assert bob
    assert bob.approved
    assert len(laptop.store.messages.rows("", ())) == 1


def replace_network(swarm: Swarm, replace_: Any) -> Any:
    network: Any = swarm.network
    network.upkeep = type("Upkeep", (), {"replace": staticmethod(replace_)})()
    return network


def test_a_lost_reply_does_not_make_the_older_change_win(swarm: Swarm, laptop: Device) -> None:
    approve(laptop, BOB)
    laptop.sync()
    swarm.loses_reply = True
    for number in range(30):
        name(laptop, BOB, f"B{number}")
        with pytest.raises(NodeFailed):
            laptop.sync()
        assert nickname(laptop, BOB) == f"B{number}", "the poll brought the push of before"
    swarm.loses_reply = False
    laptop.sync()
    assert nickname(laptop, BOB) == "B29"
    assert laptop.state(CONTACTS).phase is Phase.CLEAN
    assert laptop.state(CONTACTS).current_hashes == set(swarm.kept[CONTACTS.namespace])


def test_obsolete_messages_go_after_success_alone(swarm: Swarm, phone: Phone, laptop: Device) -> None:
    approve(laptop, BOB)
    laptop.sync()
    (first,) = laptop.state(CONTACTS).current_hashes
    name(laptop, BOB, "Bobby")
    swarm.problem = NodeFailed("down")
    with pytest.raises(NodeFailed):
        laptop.push()
    swarm.problem = None
    assert swarm.deleted == []
    laptop.push()
    assert swarm.deleted == [first]
    assert laptop.state(CONTACTS).obsolete_hashes == frozenset()


def test_a_profile_seen_later_is_not_given_up(swarm: Swarm, phone: Phone, laptop: Device) -> None:
    """The name in a message is newer than the one that another device has seen: all get the newer one."""
    approve(laptop, BOB)
    with laptop.store.transaction():
        laptop.store.people.set_name(BOB, "Robert", 2_000)
    phone.write(CONTACTS, Contacts().with_contact(Contact(BOB, name="Bob", profile_updated=1_000)).data)
    laptop.sync()
    laptop.sync()
    phone.pull()
    bob = Contacts(phone.data(CONTACTS)).get(BOB)
    assert bob
    assert (bob.name, bob.profile_updated) == ("Robert", 2_000)
    with laptop.store.transaction():
        laptop.store.people.set_name(BOB, "Rob", 1_500)
    known = replace(bob, name="R", profile_updated=3_000)
    phone.write(CONTACTS, Contacts(phone.data(CONTACTS)).with_contact(known).data)
    laptop.sync()
    person = laptop.store.people.get(BOB)
    assert person
    assert (person.name, person.profile_updated_s) == ("R", 3_000)


def test_what_one_has_read_stays_read(phone: Phone, laptop: Device, swarm: Swarm) -> None:
    with laptop.store.transaction():
        laptop.store.conversations.mark_read(BOB, BEGUN_MS)
    laptop.sync()
    phone.pull()
    old = ReadState(BEGUN_MS - 1_000, unread=True)
    data = phone.data(READS).with_value([b"1"], None)
    phone.write(READS, ConvoInfoVolatile(data).with_read(ConversationKind.ONE_TO_ONE, BOB, old, swarm.now_ms).data)
    laptop.sync()
    assert laptop.store.conversations.read_ms(BOB) == BEGUN_MS
    assert laptop.store.configs.conversation(BOB).unread
    laptop.sync()
    phone.pull()
    found = ConvoInfoVolatile(phone.data(READS)).get(ConversationKind.ONE_TO_ONE, BOB)
    assert found == ReadState(BEGUN_MS, unread=True)


def test_a_read_state_far_in_the_future_counts_up_to_now(phone: Phone, laptop: Device, swarm: Swarm) -> None:
    state = ReadState(BEGUN_MS + 400 * DAY_MS)
    phone.write(READS, ConvoInfoVolatile().with_read(ConversationKind.ONE_TO_ONE, BOB, state, swarm.now_ms).data)
    laptop.sync()
    assert laptop.store.conversations.read_ms(BOB) < BEGUN_MS + DAY_MS
    assert swarm.pushes == 0


def test_old_read_states_are_told_no_more(phone: Phone, laptop: Device, swarm: Swarm) -> None:
    with laptop.store.transaction():
        laptop.store.conversations.mark_read(BOB, BEGUN_MS)
    laptop.sync()
    swarm.now_ms += 46 * DAY_MS
    with laptop.store.transaction():
        laptop.store.conversations.mark_read(CAROL, swarm.now_ms)
    laptop.sync()
    phone.pull()
    reads = ConvoInfoVolatile(phone.data(READS))
    assert [address for address, _ in reads.items(ConversationKind.ONE_TO_ONE)] == [CAROL]
    assert laptop.store.conversations.read_ms(BOB) == BEGUN_MS, "here it is still known"


def test_reading_elsewhere_starts_the_clock(phone: Phone, laptop: Device, swarm: Swarm) -> None:
    bob = Identity.from_seed(b"\x01" * 16)
    approve(laptop, bob.account_id)
    expiration = Expiration(ExpirationMode.AFTER_READ, 3_600)
    say(swarm, bob, VisibleMessage("psst"), BEGUN_MS, expiration=expiration)
    say(swarm, bob, VisibleMessage("later"), BEGUN_MS + 5_000, expiration=expiration)
    laptop.sync()
    assert not laptop.store.timers.due(BEGUN_MS + 30 * DAY_MS)
    swarm.now_ms += 1_000
    state = ReadState(BEGUN_MS)
    reads = ConvoInfoVolatile().with_read(ConversationKind.ONE_TO_ONE, bob.account_id, state, swarm.now_ms)
    phone.write(READS, reads.data)
    swarm.now_ms += DAY_MS
    laptop.sync()
    ends_ms = BEGUN_MS + 1_000 + 3_600_000
    assert not laptop.store.timers.due(ends_ms - 1), "since the other device said so"
    assert len(laptop.store.timers.due(ends_ms)) == 1
    assert laptop.store.timers.any_waiting(), "the later one is not read"


# What came before, and must not come back.


def test_deleted_and_hidden_conversations_stay_away(phone: Phone, server: Device, swarm: Swarm) -> None:
    """On a restored device: what was said before another device deleted or hid a conversation, by either side."""
    people = [Identity.from_seed(bytes([number]) * 16) for number in (1, 2, 3)]
    bob, carol, dave = people
    for one in people:
        say(swarm, one, VisibleMessage("old"), BEGUN_MS)
        copy = VisibleMessage("old, ours", sync_target=one.account_id)
        say(swarm, swarm.identity, copy, BEGUN_MS + 1)
    swarm.now_ms += 600_000
    contacts = Contacts().with_contact(Contact(carol.account_id, "Carol", approved=True, priority=-1))
    phone.write(CONTACTS, contacts.with_contact(Contact(dave.account_id, "Dave", approved=True)).data)
    server.sync()
    found = {row.conversation for row in server.store.messages.rows("", ())}
    assert found == {carol.account_id, dave.account_id}
    assert server.store.configs.conversation(carol.account_id).hidden
    phone.pull()
    assert Contacts(phone.data(CONTACTS)).get(bob.account_id) is None
    swarm.now_ms += 600_000
    say(swarm, bob, VisibleMessage("it's me again"), swarm.now_ms)
    say(swarm, carol, VisibleMessage("from an outbox"), BEGUN_MS + 2)  # stored just now
    server.sync()
    found = {row.conversation for row in server.store.messages.rows("", ())}
    assert found == {one.account_id for one in people}
    assert not server.store.configs.conversation(carol.account_id).hidden


def test_a_timer_of_before_does_not_come_back(phone: Phone, server: Device, swarm: Swarm) -> None:
    bob = Identity.from_seed(b"\x01" * 16).account_id
    day = Expiration(ExpirationMode.AFTER_SEND, 86_400)
    say(swarm, swarm.identity, TimerUpdate(sync_target=bob), BEGUN_MS, expiration=day)
    swarm.now_ms += 600_000
    phone.write(CONTACTS, Contacts().with_contact(Contact(bob, "Bob", approved=True)).data)
    server.sync()
    assert server.store.conversations.expiration(bob) == ("off", 0)
    say(swarm, swarm.identity, TimerUpdate(sync_target=bob), swarm.now_ms, expiration=day)
    server.sync()
    phone.pull()
    contact = Contacts(phone.data(CONTACTS)).get(bob)
    assert contact
    assert contact.expiration == day


def test_a_member_can_not_date_configs_into_the_future(phone: Phone, laptop: Device, swarm: Swarm) -> None:
    bob = Identity.from_seed(b"\x01" * 16)
    phone.states[CONTACTS] = phone.states[CONTACTS].with_data(Contacts().with_contact(Contact(CAROL)).data)
    (data,) = phone.states[CONTACTS].push(phone.keys, swarm.now_ms).messages
    swarm.put(CONTACTS.namespace, data, stored_ms=BEGUN_MS + 1_000 * DAY_MS)
    laptop.sync()
    swarm.now_ms += 600_000
    say(swarm, bob, VisibleMessage("hello"), swarm.now_ms)
    laptop.sync()
    assert len(laptop.store.messages.rows("", ())) == 1


# What is none of ours.


def test_what_we_do_not_understand_stays(phone: Phone, laptop: Device, swarm: Swarm) -> None:
    """Unknown keys and types at every level, groups, communities, Pro: all but what we change is the same bytes."""
    odd: dict[bytes, Value | None] = {b"\x01": 7, b"zz": frozenset({1, b"x"})}
    contact = replace(Contact(BOB, "Bob", approved=True), priority=-7, pro_features=frozenset({1}))
    data = Contacts().with_contact(contact).data
    entry = data.branch(b"c", bytes.fromhex(BOB)).with_values({**odd, b"@": 77, b"E": 2**40, b"e": 1, b"N": 5})
    data = data.with_value((b"c", bytes.fromhex(BOB)), entry).with_value([b"?"], EMPTY.with_values(odd))
    data = data.with_value((b"c", b"short key"), 5)
    phone.write(CONTACTS, data)
    pro: dict[bytes, Value | None] = {
        b"s": b"de",
        b"f": frozenset({0}),
        b"E": 5,
        b"G": 6,
        b"A": 1,
        b"R": 7,
        b"I": 8,
        b"?": 9,
    }
    profile = UserProfile().with_name("Alice", 1_000).with_reuploaded_picture(Picture("http://x/1", b"k" * 32), 2_000)
    phone.write(PROFILE, profile.data.with_values({**pro, b"+": -3}))
    groups = UserGroups().with_group(Group(group_id=AccountId("03" + "5" * 64), auth_data=b"a" * 100))
    groups = groups.with_community(Community(base_url="http://x.example", room="Room", server_key=b"k" * 32))
    phone.write(GROUPS, groups.data.with_value([b"C"], EMPTY.with_values(odd)))
    phone.write(READS, EMPTY.with_value((b"1", bytes.fromhex(BOB)), EMPTY.with_values({**odd, b"r": BEGUN_MS})))
    before = {kind: phone.data(kind) for kind in ACCOUNT_KINDS}
    laptop.sync()
    assert swarm.pushes == 0
    name(laptop, BOB, "Bobby")
    with laptop.store.transaction():
        laptop.store.conversations.mark_read(BOB, BEGUN_MS + 5)
        laptop.store.settings.set("display_name", "Alicia")
        laptop.store.settings.set("profile_updated_s", 3_000)
    laptop.sync()
    phone.pull()
    wanted = {
        CONTACTS: before[CONTACTS].with_value((b"c", bytes.fromhex(BOB), b"N"), b"Bobby"),
        PROFILE: before[PROFILE].with_values({b"n": b"Alicia", b"T": 3_000}),
        GROUPS: before[GROUPS],
        READS: before[READS].with_value((b"1", bytes.fromhex(BOB), b"r"), BEGUN_MS + 5),
    }
    for kind in ACCOUNT_KINDS:
        assert phone.data(kind).encode() == wanted[kind].encode(), kind


def test_the_same_nickname_twice_is_nobodys_loss(phone: Phone, laptop: Device) -> None:
    """Other apps let two people have one nickname. Here it leads to one of them; nobody else loses it."""
    contacts = Contacts().with_contact(Contact(BOB, nickname="Mum")).with_contact(Contact(CAROL, nickname="Mum"))
    phone.write(CONTACTS, contacts.data)
    laptop.sync()
    first, second = sorted([BOB, CAROL])
    assert (nickname(laptop, first), nickname(laptop, second)) == ("Mum", None)
    approve(laptop, BOB, CAROL)
    laptop.sync()
    phone.pull()
    assert {contact.nickname for contact in Contacts(phone.data(CONTACTS))} == {"Mum"}
    name(laptop, first, "Mother")
    laptop.sync()
    assert nickname(laptop, second) == "Mum"
    phone.pull()
    assert [contact.nickname for contact in Contacts(phone.data(CONTACTS))] == ["Mother", "Mum"]


def test_what_only_a_later_version_reads_waits_for_it(
    phone: Phone, laptop: Device, swarm: Swarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename_contact(phone, BOB, "Bobby")
    with monkeypatch.context() as older:
        older.setattr(sealing, "decompress", lambda data: b"d1:!i1ee")
        laptop.sync()
        approve(laptop, CAROL)
        laptop.sync()
    assert nickname(laptop, BOB) is None
    assert swarm.deleted == []
    laptop.sync()
    assert nickname(laptop, BOB) is None, "nobody asks for it again"
    monkeypatch.setattr(configs_module, "READER", configs_module.READER + 1)
    laptop.sync()
    assert nickname(laptop, BOB) == "Bobby"
    settle([laptop])
    phone.pull()
    assert {contact.account_id for contact in Contacts(phone.data(CONTACTS))} == {BOB, CAROL}


def test_lies_of_a_member_do_no_harm(phone: Phone, laptop: Device, swarm: Swarm) -> None:
    stranger = Phone(Swarm(Identity.from_seed(b"\x33" * 16)))
    rename_contact(stranger, BOB, "not ours")
    foreign = [one.data for one in stranger._swarm.kept[CONTACTS.namespace].values()]
    rename_contact(phone, BOB, "old")
    old = [one.data for one in swarm.kept[CONTACTS.namespace].values()]
    for number in range(8):
        rename_contact(phone, BOB, f"new{number}")
    laptop.sync()
    name(laptop, CAROL, "Carol")
    for data in (*foreign, *old, b"garbage", b"", bytes(100)):
        for kind in ACCOUNT_KINDS:
            swarm.put(kind.namespace, data)
    laptop.sync()
    laptop.sync()
    phone.pull()
    assert {contact.nickname for contact in Contacts(phone.data(CONTACTS))} == {"new7", "Carol"}
    assert (nickname(laptop, BOB), nickname(laptop, CAROL)) == ("new7", "Carol")
    assert laptop.state(CONTACTS).phase is Phase.CLEAN


# Keeping.


def test_large_configs_go_in_parts(phone: Phone, laptop: Device, server: Device, swarm: Swarm) -> None:
    people = [account_id(number) for number in range(1_500)]
    with laptop.store.transaction():
        for person in people:
            laptop.store.people.approve(person, by_us=True)
            laptop.store.people.set_nickname(person, f"nickname {person[-40:]}")
    laptop.sync()
    assert len(laptop.state(CONTACTS).current_hashes) > 1
    swarm.page_size = 1
    server.sync()
    phone.pull()
    assert server.contents() == laptop.contents()
    assert len(list(Contacts(phone.data(CONTACTS)))) == len(people)
    with laptop.store.transaction():
        for person in people:
            laptop.store.people.set_nickname(person, None)
    laptop.sync()
    assert set(swarm.kept[CONTACTS.namespace]) == laptop.state(CONTACTS).current_hashes, "all old parts are deleted"


def test_a_config_too_large_holds_up_nothing_else(
    phone: Phone, laptop: Device, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sealing, "MAX_PAYLOAD_BYTES", 400)
    for number in range(20):
        name(laptop, account_id(number), f"{number}")
    with laptop.store.transaction():
        laptop.store.settings.set("display_name", "Alice")
    laptop.sync()
    phone.pull()
    assert UserProfile(phone.data(PROFILE)).name == "Alice"
    assert "too large" in caplog.text


def test_configs_are_kept_alive_and_stored_again(phone: Phone, laptop: Device, swarm: Swarm) -> None:
    approve(laptop, BOB)
    laptop.sync()
    assert laptop.store.configs.must_be_extended(swarm.now_ms)
    laptop.configs.keep_alive(Deadline(10))
    assert not laptop.store.configs.must_be_extended(swarm.now_ms)
    pushes = swarm.pushes
    kept, swarm.kept = swarm.kept, {}
    swarm.now_ms += 40 * DAY_MS
    laptop.sync()
    assert swarm.pushes == pushes
    laptop.configs.keep_alive(Deadline(10))
    assert swarm.kept[CONTACTS.namespace].keys() == kept[CONTACTS.namespace].keys()


def test_failures_are_followed_by_rest(laptop: Device, swarm: Swarm) -> None:
    approve(laptop, BOB)
    tries = 0

    def prepare(_: Any) -> None:
        nonlocal tries
        tries += 1
        raise NodeFailed("down")

    network: Any = swarm.network
    network.prepare = prepare
    laptop.configs._network = lambda: network
    for _ in range(5):
        laptop.configs.push_in_passing(Deadline(10))
    assert tries == 1
    assert laptop.store.configs.is_due()


def test_what_has_not_changed_is_not_decrypted(
    phone: Phone, laptop: Device, swarm: Swarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename_contact(phone, BOB, "Bobby")
    approve(laptop, CAROL)
    laptop.sync()
    calls: list[bytes] = []
    decrypt = sealing.decrypt

    def counted(stored: bytes, key: bytes, domain: bytes) -> bytes:
        calls.append(domain)
        return decrypt(stored, key, domain)

    monkeypatch.setattr(sealing, "decrypt", counted)
    for _ in range(5):
        laptop.sync()
    assert calls == [], "not even what we have pushed ourselves"


def test_two_processes_push_at_once(swarm: Swarm, laptop: Device) -> None:
    """While one waits for its answer, the other changes something, and pushes."""
    approve(laptop, BOB)
    replace_ = swarm.replace
    inside = False

    def slow(*given: Any) -> None:
        nonlocal inside
        replace_(*given)
        if not inside:
            inside = True
            name(laptop, BOB, "Bobby")
            laptop.push()

    laptop.configs._network = lambda: replace_network(swarm, slow)
    laptop.push()
    assert laptop.state(CONTACTS).phase is Phase.CLEAN
    settle([laptop])
    assert nickname(laptop, BOB) == "Bobby"
    assert laptop.state(CONTACTS).current_hashes <= set(swarm.kept[CONTACTS.namespace])


def test_whether_people_from_communities_may_write_is_known_everywhere(
    laptop: Device, server: Device, phone: Phone
) -> None:
    for allowed in (False, True):
        with laptop.store.transaction():
            laptop.store.settings.set("community_requests", int(allowed))
        laptop.sync()
        phone.pull()
        assert UserProfile(phone.data(ConfigKind.USER_PROFILE)).blinded_requests is allowed
        server.sync()
        assert server.store.settings.get("community_requests") == int(allowed)
    phone.write(
        ConfigKind.USER_PROFILE,
        UserProfile(phone.data(ConfigKind.USER_PROFILE)).with_blinded_requests(False, laptop.swarm.now_ms // 1000).data,
    )
    laptop.sync()
    assert laptop.store.settings.get("community_requests") == 0
