"""What is said in groups, and of them, in text and in JSON."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from session_cli.cli.group_output import group_facts, group_row, member_row, people_text
from session_cli.cli.hook import fields_of
from session_cli.cli.json_output import event_json, group_json, group_member_json, message_json
from session_cli.cli.notify import Notifier, Shown
from session_cli.cli.output import Painter, event_text, message_text
from session_cli.cli.text import cell_width
from session_cli.core.model import Event, Group, GroupMember, Message, Party
from session_cli.network import desktop
from tests.support.contract import check_object

ALICE = Party("05" + "a1" * 32, "Alice")
EVE = Party("05" + "e0" * 32, f"Alice ({ALICE.id[:10]}…)")
ME = Party("05" + "b0" * 32, "Bob", "self")
HIKERS = Party("03" + "c1" * 32, "Hikers", "group")
LONG_NAME = Party(
    "03" + "c2" * 32, "The walking and climbing association of all the valleys around the lake, 日本", "group"
)
START_MS = 1_795_600_800_000
PLAIN = Painter(enabled=False, columns=80)
GROUP = Group(
    id=HIKERS.id,
    name="Hikers",
    description="Up,\nand down\x1b[31m",
    state="member",
    members=3,
    created_ms=START_MS,
    joined_ms=START_MS + 1,
    timer_s=86_400,
    picture=False,
    inviter=ALICE,
    waiting=False,
    pinned=False,
    muted=False,
    muted_until_ms=None,
    hidden=False,
)


@pytest.fixture(autouse=True)
def in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.localtime", __import__("time").gmtime)
    monkeypatch.setattr("time.time", lambda: START_MS / 1000)


def entry(body: str = "", *, sender: Party = ALICE, place: Party = HIKERS, **more: Any) -> Message:
    direction = "outgoing" if sender is ME else "incoming"
    status = "sent" if sender is ME else "received"
    fields: dict[str, Any] = {"attachments": (), "quote": None, "expire_mode": "off", "expire_s": 0, **more}
    return Message(7, None, direction, place, sender, START_MS, body=body, request=False, status=status, **fields)


def notice(change: str, *, sender: Party = ALICE, **content: Any) -> Message:
    return entry(sender=sender, kind="group_update", content={"change": change, **content})


def people(*parties: Party) -> list[dict[str, Any]]:
    return [{"id": party.id, "name": party.name} for party in parties]


def came(message: Message) -> Event:
    return Event(
        1,
        message.kind,
        message,
        message.direction,
        message.conversation,
        message.sender,
        message.timestamp_ms,
        message.content,
    )


# What is written in one.


def test_the_group_stands_where_no_name_and_no_text_can() -> None:
    assert message_text(entry("hello"), PLAIN) == (
        f"2026-11-25 10:00:00  Alice ({ALICE.id[:10]}…)  #7\n  @ Hikers ({HIKERS.id[:10]}…)\n    hello"
    )
    faked = entry(f"hello\n  @ Hikers ({HIKERS.id[:10]}…)", sender=EVE, place=EVE)
    shown = message_text(faked, PLAIN)
    assert not any(line.startswith("  @") for line in shown.split("\n"))
    assert message_text(entry("hello"), PLAIN, with_place=False).split("\n")[1] == "    hello"
    assert message_text(entry("hi", sender=ME), PLAIN).startswith(
        f"2026-11-25 10:00:00  me (to Hikers ({HIKERS.id[:10]}…))  #7\n    hi"
    )


def test_long_names_stay_within_the_terminal() -> None:
    sender = replace(ALICE, name="Somebody with a very long name indeed, and a good many titles besides")
    lines = message_text(entry("hello", sender=sender, place=LONG_NAME), PLAIN).split("\n")
    assert all(cell_width(line) <= 80 for line in lines)
    assert sum(line.startswith("  @ The walking") for line in lines) == 1
    assert lines[-1] == "    hello"


def test_what_happened_to_a_message_names_the_group_too() -> None:
    event = Event(1, "reaction", entry("hello"), "incoming", HIKERS, ALICE, START_MS, {"emoji": "👍", "removed": False})
    assert event_text(event, PLAIN).split("\n")[1:] == [
        f"  @ Hikers ({HIKERS.id[:10]}…)",
        "  * reacts 👍 to #7: hello",
    ]


# What is said of one.

CHANGES: dict[str, Message] = {
    "invites you to the group Hik␊ers (session group accept or decline)": replace(
        notice("invited", name="Hik\ners"), request=True
    ),
    "invites you to the group Hikers (you are in it now)": notice("invited", name="Hikers"),
    f"added Alice ({ALICE.id[:10]}…)": notice("added", members=people(ALICE), history=False),
    f"added {ALICE.id[:10]}… and Bob ({ME.id[:10]}…), who can read what was written before": notice(
        "added", members=people(replace(ALICE, name=None), ME), history=True
    ),
    f"removed Alice ({ALICE.id[:10]}…)": notice("removed", members=people(ALICE), history=False),
    f"made Alice ({ALICE.id[:10]}…) an admin": notice("promoted", members=people(ALICE), history=False),
    f"made Alice ({ALICE.id[:10]}…) and Bob ({ME.id[:10]}…) admins": notice("promoted", members=people(ALICE, ME)),
    "gave the group the name Climbers": notice("renamed", name="Climbers"),
    "gave the group another name": notice("renamed", name=None),
    "changed the picture of the group": notice("picture"),
    "the group is about this: up and down": notice("description", text="up\nand down"),
    "the group has no description any more": notice("description", text=""),
    "left the group": notice("left", members=people(ALICE)),
    f"says that Bob ({ME.id[:10]}…) left the group": notice("left", members=people(ME)),
    "joined the group": notice("joined"),
    "an admin removed you from the group": notice("kicked", sender=HIKERS),
    "an admin ended the group for everyone": notice("destroyed", sender=HIKERS),
}


@pytest.mark.parametrize("line", CHANGES)
def test_a_change_is_told_in_a_line(line: str) -> None:
    shown = " ".join(message_text(CHANGES[line], PLAIN).split())
    assert shown.endswith(f"* {line}")
    assert shown.count(HIKERS.id[:10]) == 1, "the place is named once, whoever did it"
    found = message_json(CHANGES[line])
    check_object(found)
    assert found["change"] == CHANGES[line].content["change"]


def test_a_change_has_the_same_keys_whatever_it_is() -> None:
    keys = {frozenset(message_json(message)) for message in CHANGES.values()}
    assert len(keys) == 1
    added = message_json(notice("added", members=people(ALICE), history=True))
    assert (added["members"], added["history"], added["name"], added["text"]) == (people(ALICE), True, None, None)
    kicked = event_json(came(notice("kicked", sender=HIKERS)))
    assert (kicked["sender"], kicked["members"], kicked["history"]) == (None, [], False)


def test_of_many_only_some_are_named() -> None:
    many = [Party(f"05{number:064x}", f"N{number}") for number in range(1, 9)]
    shown = " ".join(message_text(notice("added", members=people(*many), history=False), PLAIN).split())
    assert shown.endswith(f"N4 ({many[3].id[:10]}…) and 4 others")
    assert "N5" not in shown
    five = " ".join(message_text(notice("added", members=people(*many[:5]), history=False), PLAIN).split())
    assert five.endswith(f"N4 ({many[3].id[:10]}…) and N5 ({many[4].id[:10]}…)")
    assert len(message_json(notice("added", members=people(*many), history=False))["members"]) == 8


def test_what_a_hook_learns_of_a_group() -> None:
    event = came(notice("kicked", sender=HIKERS))
    fields = fields_of(event, event_json(event))
    assert fields["SESSION_TYPE"] == "group_update"
    assert (fields["SESSION_CHANGE"], fields["SESSION_SENDER_ID"], fields["SESSION_SENDER_NAME"]) == ("kicked", "", "")
    assert (fields["SESSION_CONVERSATION_TYPE"], fields["SESSION_CONVERSATION_ID"]) == ("group", HIKERS.id)
    written = came(entry("hello"))
    fields = fields_of(written, event_json(written))
    assert (fields["SESSION_SENDER_ID"], fields["SESSION_BODY"], fields["SESSION_CHANGE"]) == (ALICE.id, "hello", "")


def test_notifications_say_where(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple[str, str]] = []
    monkeypatch.setattr(desktop, "check_support", lambda: None)
    monkeypatch.setattr(desktop, "show", lambda title, text, environ: shown.append((title, text)))
    events = [came(entry("hello")), came(notice("invited", name="Hikers")), came(notice("joined"))]
    for how in Shown:
        Notifier(how, {}, lambda place: False).show(events)
    assert shown == [
        ("Alice in Hikers", "hello"),
        ("Alice in Hikers", "Invitation to a group"),
        ("Alice in Hikers", "New message"),
        ("Alice in Hikers", "Invitation to a group"),
        ("New message", ""),
        ("Invitation to a group", ""),
    ]


# Groups, and who is in them.


def test_a_group_in_json() -> None:
    found = group_json(GROUP)
    check_object(found)
    assert (found["created"], found["joined_ms"]) == ("2026-11-25T10:00:00.000Z", START_MS + 1)
    bare = replace(
        GROUP, name=None, description=None, created_ms=None, joined_ms=None, inviter=None, state="destroyed", members=0
    )
    found = group_json(bare)
    check_object(found)
    assert (found["created"], found["created_ms"], found["inviter"]) == (None, None, None)


def test_a_group_in_a_line() -> None:
    start = f"Hikers            {HIKERS.id[:10]}…  "
    assert group_row(GROUP, PLAIN) == f"{start}member  3 members"
    assert (
        group_row(replace(GROUP, state="admin", members=1, hidden=True), PLAIN) == f"{start}admin   1 member  [hidden]"
    )
    assert group_row(replace(GROUP, members=0), PLAIN) == f"{start}member"
    invited = replace(GROUP, state="invited", members=0)
    assert group_row(invited, PLAIN) == f"{start}[you are invited by Alice ({ALICE.id[:10]}…)]"
    assert group_row(replace(invited, inviter=None), PLAIN) == f"{start}[you are invited]"
    assert group_row(replace(GROUP, state="kicked"), PLAIN) == f"{start}[you were removed]"
    assert group_row(replace(GROUP, state="destroyed"), PLAIN) == f"{start}[ended for everyone]"
    assert group_row(replace(GROUP, name="\x1b[31m"), PLAIN).startswith("␛[31m ")


def test_the_facts_of_a_group() -> None:
    facts = group_facts(GROUP)
    assert facts["description"] == "Up, and down␛[31m"
    assert facts["messages"] == "disappear 1 day after they are sent"
    assert facts["invited by"] == f"Alice ({ALICE.id[:10]}…)"
    assert (facts["members"], facts["created"], facts["muted"]) == ("3", "2026-11-25 10:00", "no")
    assert "waiting" not in facts
    own = group_facts(replace(GROUP, inviter=None, waiting=True, timer_s=0, members=0, muted=True))
    assert "invited by" not in own
    assert (own["messages"], own["members"], own["muted"]) == ("stay", "(unknown)", "yes")
    assert "recv" in own["waiting"]
    assert group_facts(replace(GROUP, muted=True, muted_until_ms=START_MS))["muted"] == "until 2026-11-25 10:00"


STATUSES = {
    "member": "member",
    "admin": "admin",
    "invite_sent": "invited",
    "invite_failed": "invitation failed (session group resend)",
    "invite_not_sent": "invitation not sent yet (session group resend)",
    "promotion_sent": "made an admin, not confirmed yet",
    "promotion_failed": "to be an admin, but sending that failed (session group resend)",
    "promotion_not_sent": "to be an admin, but that is not sent yet (session group resend)",
    "sending": "being sent",
    "removed": "being removed",
    "removed_with_messages": "being removed, with all messages",
    "unknown": "of a state that only a later version knows",
}


@pytest.mark.parametrize("status", STATUSES)
def test_how_far_a_member_has_come(status: str) -> None:
    member = GroupMember(ALICE, status, admin=False)
    line = member_row(member, PLAIN, may_resend=True)
    assert line == f"Alice             {ALICE.id[:10]}…  {STATUSES[status]}"
    assert len(line) <= 100
    check_object(group_member_json(GROUP, member))
    assert "resend" not in member_row(member, PLAIN), "only an admin can do that"


def test_people_in_a_sentence() -> None:
    assert people_text([ALICE, replace(EVE, name=None), ME]) == f"Alice ({ALICE.id[:10]}…), {EVE.id[:10]}… and you"
    assert people_text([ALICE]) == f"Alice ({ALICE.id[:10]}…)"


def test_who_a_member_is_and_what_became_of_one() -> None:
    assert member_row(GroupMember(ME, "admin", admin=True), PLAIN).startswith("me  ")
    removed = GroupMember(replace(ALICE, name=None), "removed_with_messages", admin=False)
    assert member_row(removed, PLAIN, done=True).endswith("removed, with all messages")
