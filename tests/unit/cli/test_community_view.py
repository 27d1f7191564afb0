"""What is said in rooms of communities, and of them, in text and in JSON."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from session_cli.cli.community_output import (
    community_facts,
    community_rows,
    community_text,
    member_row,
    offer_row,
    rights_text,
)
from session_cli.cli.exit_codes import ExitCode, exit_code_of
from session_cli.cli.history import _row
from session_cli.cli.hook import fields_of
from session_cli.cli.json_output import (
    community_json,
    community_member_json,
    conversation_json,
    event_json,
    message_json,
)
from session_cli.cli.notify import Notifier, Shown
from session_cli.cli.output import Painter, event_text, message_text
from session_cli.cli.page import Chapter
from session_cli.cli.text import cell_width, room_token, short_id
from session_cli.core.model import (
    Community,
    CommunityMember,
    Conversation,
    ConversationState,
    Event,
    Message,
    Party,
)
from session_cli.errors import Banned, NoPermission
from session_cli.network import desktop
from tests.support.contract import check_object

ADDRESS = "https://open.example.org/lobby"
SHORT = "open.example.org/lobby"
LOBBY = Party(ADDRESS, "The Lobby", "community")
ALICE = Party("15" + "a1" * 32, "Alice")
EVE = Party("15" + "e0" * 32, f"The Lobby ({SHORT})")
ME = Party("05" + "b0" * 32, "Bob", "self")
START_MS = 1_795_600_800_000
PLAIN = Painter(enabled=False, columns=80)
ROOM = Community(
    id=ADDRESS,
    url=f"{ADDRESS}?public_key={'ab' * 32}",
    name="The Lobby",
    description="Talk,\nand listen\x1b[31m",
    state="joined",
    write=True,
    upload=True,
    role=None,
    active_users=12,
    created_ms=START_MS,
    pinned=(3, 5),
)
MEMBER = CommunityMember(ALICE.id, "Alice", None, None)


@pytest.fixture(autouse=True)
def in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.localtime", __import__("time").gmtime)
    monkeypatch.setattr("time.time", lambda: START_MS / 1000)


def entry(body: str = "", *, sender: Party = ALICE, place: Party = LOBBY, **more: Any) -> Message:
    direction = "outgoing" if sender is ME else "incoming"
    status = "sent" if sender is ME else "received"
    fields: dict[str, Any] = {"attachments": (), "quote": None, "expire_mode": "off", "expire_s": 0, **more}
    return Message(7, None, direction, place, sender, START_MS, body=body, request=False, status=status, **fields)


def notice(change: str, **content: Any) -> Message:
    return entry(sender=LOBBY, kind="community_update", content={"change": change, **content})


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


def test_the_room_stands_where_no_name_and_no_text_can() -> None:
    assert message_text(entry("hello"), PLAIN) == (
        f"2026-11-25 10:00:00  Alice ({ALICE.id[:10]}…)  #7\n  @ The Lobby ({SHORT})\n    hello"
    )
    faked = entry(f"hello\n  @ The Lobby ({SHORT})", sender=EVE, place=EVE)
    assert not any(line.startswith("  @") for line in message_text(faked, PLAIN).split("\n"))
    assert message_text(entry("hello"), PLAIN, with_place=False).split("\n")[1] == "    hello"
    assert message_text(entry("hi", sender=ME), PLAIN) == (
        f"2026-11-25 10:00:00  me (to The Lobby ({SHORT}))  #7\n    hi"
    )


def test_long_addresses_stay_within_the_terminal() -> None:
    place = Party(f"https://{'sub.' * 40}example.org/{'r' * 64}", "日本 " * 30, "community")
    lines = message_text(entry("hello", place=place), PLAIN).split("\n")
    assert all(cell_width(line) <= 80 for line in lines)
    assert lines[-1] == "    hello"


def test_what_happened_to_a_post_names_the_room_too() -> None:
    event = Event(1, "unsend", entry("hello"), "incoming", LOBBY, ALICE, START_MS, {})
    assert event_text(event, PLAIN).split("\n")[1:] == [f"  @ The Lobby ({SHORT})", "  * deleted #7: hello"]
    check_object(event_json(event))


def test_a_post_in_json() -> None:
    found = message_json(entry("hello"))
    check_object(found)
    assert found["conversation"] == {"type": "community", "id": ADDRESS, "name": "The Lobby"}
    assert found["sender"] == {"id": ALICE.id, "name": "Alice"}
    check_object(message_json(entry("hello", place=ALICE)))
    with pytest.raises(AssertionError):
        check_object(message_json(entry("hello", place=replace(LOBBY, id="https://open.example.org"))))


def test_a_room_in_the_list_of_conversations() -> None:
    state = ConversationState(pinned=False, muted=True, muted_until_ms=None, hidden=False, marked_unread=False)
    conversation = Conversation(LOBBY, entry("hello"), 3, False, state)
    check_object(conversation_json(conversation))
    row = _row(conversation, 100, PLAIN)
    assert row.startswith("   3  The Lobby         lobby        ")
    assert row.endswith("  [community] [muted] Alice: hello")
    long = replace(conversation, party=replace(LOBBY, id="https://open.example.org/a-room-with-a-long-name"))
    assert _row(long, 100, PLAIN).index("[community]") == row.index("[community]")


def test_a_page_tells_people_of_one_name_apart() -> None:
    chapter = Chapter(LOBBY, heading=True, lookup=lambda *_: None, is_included=lambda _: True)
    assert f"<code>{ADDRESS}</code>" in chapter.begin()
    assert f"<bdi>Alice</bdi> <code>{ALICE.id[:10]}…</code>" in chapter.message(entry("hello"), [])


# What is said of one.

CHANGES: dict[str, Message] = {
    "is called The␊Hall now": notice("renamed", name="The\nHall"),
    "can't be read any more: its server does not let you": notice("closed"),
    "can be read again": notice("opened"),
    "is not on its server any more": notice("gone"),
    "you may read there now, and not write": notice("rights", write=False, upload=True),
    "you may read, write and send files there now": notice("rights", write=True, upload=True),
    "you may read and write there now, but send no files": notice("rights", write=True, upload=False),
}


@pytest.mark.parametrize("line", CHANGES)
def test_a_change_is_told_in_a_line(line: str) -> None:
    shown = message_text(CHANGES[line], PLAIN).split("\n")
    assert shown == [f"2026-11-25 10:00:00  The Lobby ({SHORT})  #7", f"  * {line}"]
    for found in (message_json(CHANGES[line]), event_json(came(CHANGES[line]))):
        check_object(found)
        assert (found["change"], found["sender"]) == (CHANGES[line].content["change"], None)


def test_a_change_has_the_same_keys_whatever_it_is() -> None:
    assert len({frozenset(message_json(message)) for message in CHANGES.values()}) == 1
    rights = message_json(CHANGES["you may read there now, and not write"])
    assert (rights["name"], rights["write"], rights["upload"]) == (None, False, True)
    renamed = message_json(CHANGES["is called The␊Hall now"])
    assert (renamed["name"], renamed["write"], renamed["upload"]) == ("The\nHall", None, None)


def test_what_a_hook_learns_of_a_room() -> None:
    event = came(CHANGES["can be read again"])
    fields = fields_of(event, event_json(event))
    assert (fields["SESSION_TYPE"], fields["SESSION_CHANGE"]) == ("community_update", "opened")
    assert (fields["SESSION_SENDER_ID"], fields["SESSION_SENDER_NAME"]) == ("", "")
    assert (fields["SESSION_CONVERSATION_TYPE"], fields["SESSION_CONVERSATION_ID"]) == ("community", ADDRESS)
    event = came(entry("hello"))
    fields = fields_of(event, event_json(event))
    assert (fields["SESSION_SENDER_ID"], fields["SESSION_BODY"]) == (ALICE.id, "hello")


def test_notifications_say_where(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple[str, str]] = []
    monkeypatch.setattr(desktop, "check_support", lambda: None)
    monkeypatch.setattr(desktop, "show", lambda title, text, environ: shown.append((title, text)))
    events = [came(entry("hello")), came(CHANGES["can be read again"])]
    for how in Shown:
        Notifier(how, {}, lambda place: False).show(events)
    assert shown == [
        ("Alice in The Lobby", "hello"),
        ("Alice in The Lobby", "New message"),
        ("New message", ""),
    ]
    shown.clear()
    Notifier(Shown.ALL, {}, lambda place: place == ADDRESS).show(events)
    assert shown == [], "a muted room"


# Rooms.


def test_short_forms_of_addresses() -> None:
    assert (short_id(ADDRESS), room_token(ADDRESS)) == (SHORT, "lobby")
    assert short_id(ALICE.id) == ALICE.id[:10] + "…"
    assert community_text(ROOM) == f"The Lobby ({SHORT})"
    assert community_text(replace(ROOM, name=None)) == SHORT


BARE = replace(ROOM, name=None, description=None, created_ms=None, pinned=(), state="gone", write=False, role="admin")


def test_a_room_in_json() -> None:
    for room in (ROOM, BARE, replace(ROOM, muted=True, muted_until_ms=START_MS)):
        check_object(community_json(room))
    found = community_json(ROOM)
    assert (found["id"], found["url"]) == (ADDRESS, ROOM.url)
    assert (found["created"], found["pinned_messages"], found["role"]) == ("2026-11-25T10:00:00.000Z", [3, 5], None)


def test_rooms_in_lines() -> None:
    other = replace(ROOM, id="http://127.0.0.1:4000/a", name="\x1b[31mRed", role="moderator", hidden=True)
    rooms = [ROOM, other, replace(ROOM, write=False), replace(BARE, name="Old"), replace(ROOM, state="closed")]
    assert community_rows(rooms, PLAIN) == [
        f"The Lobby         {ADDRESS}",
        "␛[31mRed          http://127.0.0.1:4000/a         moderator  [hidden]",
        f"The Lobby         {ADDRESS}  [read only]",
        f"Old               {ADDRESS}  admin  [gone]",
        f"The Lobby         {ADDRESS}  [closed to you]",
    ]
    assert community_rows([], PLAIN) == []


def test_rooms_to_choose_from() -> None:
    start = "lobby                 The Lobby             12 active  "
    assert offer_row(replace(ROOM, state="open"), PLAIN) == f"{start}Talk, and listen␛[31m"
    assert offer_row(ROOM, PLAIN) == f"{start}[joined] Talk, and listen␛[31m"
    assert offer_row(replace(ROOM, state="closed", description=None), PLAIN) == f"{start}[closed to you]"
    long = offer_row(replace(ROOM, state="open", description="word " * 1000), PLAIN)
    assert long.endswith("…")
    assert len(long) < 130


def test_what_may_be_done() -> None:
    assert rights_text(ROOM) == "read, write and send files"
    assert rights_text(replace(ROOM, upload=False)) == "read and write, but send no files"
    assert rights_text(replace(ROOM, write=False)) == "read"
    assert rights_text(replace(ROOM, state="closed")) == rights_text(replace(ROOM, state="gone")) == "do nothing"


def test_the_facts_of_a_room() -> None:
    facts = community_facts(ROOM)
    assert (facts["address"], facts["URL"]) == (ADDRESS, ROOM.url)
    assert facts["description"] == "Talk, and listen␛[31m"
    assert (facts["state"], facts["you are"]) == ("you are in it", "no moderator")
    assert (facts["active"], facts["created"]) == ("12 users lately", "2026-11-25 10:00")
    assert (facts["pinned"], facts["muted"], facts["hidden"]) == ("2 messages", "no", "no")
    bare = community_facts(BARE)
    assert (bare["name"], bare["description"], bare["created"]) == ("(none)", "(none)", "(unknown)")
    assert (bare["you may"], bare["you are"], bare["pinned"]) == ("do nothing", "admin", "no message")
    muted = replace(ROOM, muted=True, muted_until_ms=START_MS)
    assert community_facts(muted)["muted"] == "until 2026-11-25 10:00"
    assert "muted" not in community_facts(replace(ROOM, state="open")), "there is no conversation yet"
    for state in ("joined", "open", "closed", "gone"):
        assert community_facts(replace(ROOM, state=state))["state"]


# Who is in one.

STANDINGS = {
    "no moderator": MEMBER,
    "not banned": replace(MEMBER, banned=False),
    "moderator": replace(MEMBER, role="moderator"),
    "admin, hidden": replace(MEMBER, role="admin", hidden=True),
    "banned": replace(MEMBER, banned=True),
    "banned until 2026-11-25 10:00": replace(MEMBER, banned=True, banned_until_ms=START_MS),
}


@pytest.mark.parametrize("standing", STANDINGS)
def test_what_somebody_is(standing: str) -> None:
    member = STANDINGS[standing]
    assert member_row(member, PLAIN, own_id=ME.id) == f"Alice             {ALICE.id[:10]}…  {standing}"
    found = community_member_json(ROOM, member)
    check_object(found)
    assert (found["id"], found["account"], found["role"]) == (ALICE.id, None, member.role)
    assert found["conversation"] == {"type": "community", "id": ADDRESS, "name": "The Lobby"}


def test_whose_account_is_known() -> None:
    account = "05" + "a1" * 32
    known = replace(MEMBER, account=account, name=None, role="admin")
    check_object(community_member_json(ROOM, known))
    row = member_row(known, PLAIN, own_id=ME.id)
    assert row == f"(no name)         {ALICE.id[:10]}…  admin  account {account[:10]}…"
    assert member_row(known, PLAIN, own_id=account) == f"me                {ALICE.id[:10]}…  admin"
    unblinded = replace(known, id=account)
    assert member_row(unblinded, PLAIN, own_id=ME.id).endswith("admin"), "one id, named once"


def test_what_a_server_forbids_has_a_code_of_its_own() -> None:
    for error in (Banned("banned"), NoPermission("no moderator")):
        assert exit_code_of(error) is ExitCode.NO_PERMISSION
