"""The life of a group, from its making to its end, and what its members see of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.support.devnet import Person
from tests.support.friends import befriend, events, log
from tests.support.groups import changes, group, group_names, join, make_group, only_change, statuses
from tests.support.outcomes import bodies, check_json_refusal, check_refusal

People = Callable[[str], Person]
NOBODY = "03" + "ab" * 32


@pytest.fixture
def three(person: People) -> tuple[Person, Person, Person]:
    """Alice, who knows Bob and Carol, who don't know each other."""
    alice, bob, carol = (person(name) for name in ("Alice", "Bob", "Carol"))
    befriend(alice, bob)
    befriend(alice, carol)
    return alice, bob, carol


@pytest.fixture
def hikers(three: tuple[Person, Person, Person]) -> str:
    """The id of a group of the three, whose admin is Alice."""
    return make_group(three[0], "Hikers", *three[1:])


# Made, and joined.


def test_a_group_of_one(person: People) -> None:
    alice = person("Alice")
    done = alice.run("group", "create", "Plans of mine", "--description", "nobody else's")
    (group_id,) = done.lines
    assert (group_id[:2], len(group_id), done.stderr) == ("03", 66, "")
    found = group(alice, "Plans of mine")
    assert found == group(alice, group_id) == group(alice, group_id[:8])
    expected = {"name": "Plans of mine", "description": "nobody else's", "state": "admin", "members": 1, "timer": 0}
    assert expected.items() <= found.items()
    assert (found["id"], found["picture"], found["waiting"], found["inviter"]) == (group_id, False, False, None)
    (row,) = alice.run("group", "list").lines
    assert row == f"Plans of mine     {group_id[:10]}…  admin   1 member"
    (member,) = alice.run("group", "members", group_id, "--json").objects
    assert (member["id"], member["name"], member["status"], member["admin"]) == (alice.id, "Alice", "admin", True)
    assert member["conversation"] == {"type": "group", "id": group_id, "name": "Plans of mine"}
    assert alice.run("group", "members", group_id).text == f"me                {alice.id[:10]}…  admin\n"


def test_all_members_hear_each_other(three: tuple[Person, Person, Person], hikers: str) -> None:
    alice, bob, carol = three
    for sender in three:
        sender.run("send", "Hikers", f"this is {sender.home.name}")
    for reader in three:
        came = [each for each in reader.receive() if each["type"] == "message"]
        others = {one.id for one in three} - {reader.id}
        assert {each["sender"]["id"] for each in came} == others
        assert {each["body"] for each in came} == {f"this is {one.home.name}" for one in three if one.id in others}
        assert {(each["conversation"]["type"], each["conversation"]["id"]) for each in came} == {("group", hikers)}
        assert not any(each["request"] for each in came)
        assert set(bodies(log(reader, "Hikers"))) == {f"this is {one.home.name}" for one in three}
    assert statuses(bob, "Hikers") == {alice.id: "admin", bob.id: "member", carol.id: "member"}
    names = {each["sender"]["id"]: each["sender"]["name"] for each in log(bob, "Hikers") if each["type"] == "message"}
    assert names[carol.id] == "Carol", "whom Bob knows from the group alone"
    assert group_names(carol) == ["Hikers"]
    assert bob.run("contact", "list").text.count("\n") == 1, "to be in a group with somebody approves nobody"


def test_what_is_read_says_in_which_group_it_was_written(three: tuple[Person, Person, Person], hikers: str) -> None:
    alice, bob, _ = three
    alice.run("send", "Hikers", "hello all")
    alice.run("send", "Bob", "hello Bob")
    lines = bob.run("recv").lines
    head = f"Alice ({alice.id[:10]}…)"
    assert [line.partition("  ")[2].partition("  ")[0] for line in lines if head in line] == [head, head]
    at = lines.index("    hello all")
    assert lines[at - 1] == f"  @ Hikers ({hikers[:10]}…)"
    assert head in lines[lines.index("    hello Bob") - 1]
    assert "  @ Hikers" not in bob.run("log", "Hikers").text, "all of it is in this group"
    assert f"  @ Hikers ({hikers[:10]}…)" in bob.run("log").lines
    listed = bob.run("list").lines
    assert any(
        line.split()[:2] == ["Hikers", hikers[:10] + "…"] and "[group] Alice: hello all" in line for line in listed
    )


def test_an_invitation_by_a_stranger_waits_for_an_answer(person: People) -> None:
    alice, bob = person("Alice"), person("Bob")
    group_id = alice.run("group", "create", "Choir", bob.id).text.strip()
    assert statuses(alice, group_id)[bob.id] == "invite_sent"
    invited = only_change(bob, "invited")
    assert (invited["conversation"]["id"], invited["name"], invited["sender"]["id"]) == (group_id, "Choir", alice.id)
    assert invited["direction"] == "incoming"
    found = group(bob, group_id)
    assert (found["name"], found["state"], found["inviter"]["id"]) == ("Choir", "invited", alice.id)
    assert f"[you are invited by Alice ({alice.id[:10]}…)]" in bob.run("group", "list").text
    assert bob.try_run("send", "Choir", "may I?").code != 0
    alice.run("send", "Choir", "welcome")
    assert bodies(bob.receive()) == [], "nothing is fetched before that is wanted"
    (joined,) = bob.run("group", "accept", "Choir", "--json").objects
    assert (joined["id"], joined["state"]) == (group_id, "member")
    assert bodies(bob.receive()) == ["welcome"]
    assert only_change(alice, "joined")["sender"]["id"] == bob.id
    assert statuses(alice, group_id)[bob.id] == "member"
    bob.run("send", "Choir", "thank you")
    assert bodies(alice.receive()) == ["thank you"]


def test_to_decline_tells_nobody(person: People) -> None:
    alice, bob = person("Alice"), person("Bob")
    group_id = alice.run("group", "create", "Choir", bob.id).text.strip()
    bob.receive()
    done = bob.run("group", "decline", "Choir")
    assert done.stderr == f"Choir ({group_id[:10]}…) is forgotten; nobody is told.\n"
    assert group_names(bob) == []
    assert bob.receive() == []
    assert changes(alice) == []
    assert statuses(alice, group_id)[bob.id] == "invite_sent"
    check_refusal(bob.try_run("group", "accept", "Choir"), 65, "Choir")
    alice.run("group", "resend", group_id, bob.id)
    join(bob, group_id)
    assert group(bob, group_id)["state"] == "member"


def test_somebody_well_known_need_not_ask(three: tuple[Person, Person, Person]) -> None:
    alice, bob, _ = three
    group_id = alice.run("group", "create", "Book club", "Bob").text.strip()
    assert only_change(bob, "invited")["conversation"]["id"] == group_id
    assert group(bob, group_id)["state"] == "member"
    alice.receive()
    assert statuses(alice, group_id)[bob.id] == "member"


# What is read by whom.


def test_newcomers_read_what_comes_and_with_history_what_was(
    three: tuple[Person, Person, Person], person: People
) -> None:
    alice, bob, carol = three
    dave = person("Dave")
    befriend(alice, dave)
    group_id = make_group(alice, "Hikers", bob)
    alice.run("send", "Hikers", "before")
    bob.run("send", "Hikers", "before, too")
    assert alice.run("group", "invite", "Hikers", "Carol").text == f"Carol             {carol.id[:10]}…  invited\n"
    (done,) = alice.run("group", "invite", "Hikers", "Dave", "--history", "--json").objects
    assert (done["id"], done["status"], done["admin"]) == (dave.id, "invite_sent", False)
    added = [each for each in changes(bob) if each["change"] == "added"]
    assert [([member["id"] for member in each["members"]], each["history"]) for each in added] == [
        ([carol.id], False),
        ([dave.id], True),
    ]
    for one in (carol, dave):
        join(one, group_id)
    alice.run("send", "Hikers", "after")
    for one in (carol, dave):
        one.receive()
    assert bodies(log(carol, "Hikers")) == ["after"]
    assert bodies(log(dave, "Hikers")) == ["before", "before, too", "after"]
    bob.receive()
    assert bodies(log(bob, "Hikers"))[-1] == "after"


def test_who_is_removed_reads_nothing_more(three: tuple[Person, Person, Person], hikers: str) -> None:
    alice, bob, carol = three
    alice.run("send", "Hikers", "while you are here")
    bob.receive()
    done = alice.run("group", "remove", "Hikers", "Bob", "--yes")
    assert done.text == f"Bob               {bob.id[:10]}…  removed\n"
    assert bob.id not in statuses(alice, hikers)
    alice.run("send", "Hikers", "without you")
    assert "without you" not in bodies(bob.receive())
    found = group(bob, hikers)
    assert (found["state"], found["name"]) == ("kicked", "Hikers")
    assert bodies(log(bob, hikers)) == [], "this program forgets what was said there"
    assert "[you were removed]" in bob.run("group", "list").text
    assert bob.try_run("send", hikers, "hello?").code != 0
    came = carol.receive()
    assert bodies(came)[-1] == "without you"
    removed = next(each for each in came if each["type"] == "group_update" and each["change"] == "removed")
    assert [(each["id"], each["name"]) for each in removed["members"]] == [(bob.id, "Bob")]
    assert statuses(carol, hikers) == {alice.id: "admin", carol.id: "member"}
    bob.run("group", "delete", hikers, "--yes")
    assert group_names(bob) == []


def test_who_was_removed_can_come_back(three: tuple[Person, Person, Person], hikers: str) -> None:
    alice, bob, _ = three
    alice.run("group", "remove", "Hikers", "Bob", "--yes")
    bob.receive()
    alice.run("send", "Hikers", "between")
    alice.run("group", "invite", "Hikers", "Bob")
    join(bob, hikers)
    assert group(bob, hikers)["state"] == "member"
    alice.run("send", "Hikers", "back again")
    bob.receive()
    assert bodies(log(bob, hikers)) == ["back again"]
    bob.run("send", "Hikers", "hello again")
    assert bodies(alice.receive()) == ["hello again"]


def test_with_a_member_can_go_what_they_wrote(three: tuple[Person, Person, Person], hikers: str) -> None:
    alice, bob, carol = three
    bob.run("send", "Hikers", "something bad")
    alice.run("send", "Hikers", "something good")
    alice.receive()
    carol.receive()
    (done,) = alice.run("group", "remove", "Hikers", "Bob", "--delete-messages", "--yes", "--json").objects
    assert (done["id"], done["status"]) == (bob.id, "removed_with_messages")
    carol.receive()
    for reader in (alice, carol):
        assert [body for body in bodies(log(reader, "Hikers")) if body] == ["something good"]


# What it is like.


def test_what_the_admin_changes_all_members_see(
    three: tuple[Person, Person, Person], hikers: str, tmp_path: Path
) -> None:
    alice, bob, _ = three
    picture = tmp_path / "summit.png"
    Image.new("RGB", (40, 30), "green").save(picture)
    assert alice.run("group", "rename", "Hikers", "Climbers").stderr.startswith(
        f"The group is Climbers ({hikers[:10]}…)"
    )
    assert alice.run("group", "describe", "Climbers", "-", stdin="Higher,\n日本!\n".encode()).text == ""
    (found,) = alice.run("group", "avatar", "Climbers", str(picture), "--json").objects
    assert found["picture"] is True
    alice.run("group", "expire", "Climbers", "1d")
    came = bob.receive()
    happened = [each["change"] for each in came if each["type"] == "group_update"]
    assert {"renamed", "picture"} <= set(happened)
    assert next(each["name"] for each in came if each.get("change") == "renamed") == "Climbers"
    (timer,) = [each for each in came if each["type"] == "expiration_update"]
    assert (timer["mode"], timer["seconds"], timer["conversation"]["id"]) == ("after_send", 86_400, hikers)
    for one in (alice, bob):
        found = group(one, hikers)
        assert (found["name"], found["description"], found["timer"]) == ("Climbers", "Higher,\n日本!", 86_400)
        assert found["picture"] is True
    assert bob.run("group", "expire", "Climbers").text == (
        f"In Climbers ({hikers[:10]}…), messages disappear 1 day after they are sent.\n"
    )
    bob.run("send", "Climbers", "gone tomorrow")
    (message,) = [each for each in alice.receive() if each["type"] == "message"]
    assert (message["expires"]["mode"], message["expires"]["seconds"]) == ("after_send", 86_400)
    alice.run("group", "expire", "Climbers", "off")
    alice.run("group", "describe", "Climbers", "")
    alice.run("group", "avatar", "Climbers", "--remove")
    bob.receive()
    found = group(bob, hikers)
    assert (found["description"], found["timer"], found["picture"]) == (None, 0, False)
    assert bob.run("group", "expire", hikers).text.endswith("messages stay.\n")


def test_only_an_admin_can_change_it(three: tuple[Person, Person, Person], hikers: str, tmp_path: Path) -> None:
    _, bob, carol = three
    picture = tmp_path / "summit.png"
    Image.new("RGB", (40, 30), "green").save(picture)
    for command in (
        ("rename", "Hikers", "Mine"),
        ("describe", "Hikers", "mine"),
        ("avatar", "Hikers", str(picture)),
        ("expire", "Hikers", "1d"),
        ("invite", "Hikers", bob.id),
        ("remove", "Hikers", carol.id, "--yes"),
        ("promote", "Hikers", carol.id, "--yes"),
        ("resend", "Hikers"),
        ("delete", "Hikers", "--yes"),
    ):
        check_refusal(bob.try_run("group", *command), 77, "admin")
    check_json_refusal(bob.try_run("group", "rename", "Hikers", "Mine", "--json"), 77, "not_admin")
    carol.receive()
    assert group(carol, hikers)["name"] == "Hikers"


# More than one admin, and the end.


def test_an_admin_made_by_an_admin_can_do_it_all(
    three: tuple[Person, Person, Person], hikers: str, person: People
) -> None:
    alice, bob, carol = three
    dave = person("Dave")
    done = alice.run("group", "promote", "Hikers", "Bob", "--yes")
    assert done.text == f"Bob               {bob.id[:10]}…  made an admin, not confirmed yet\n"
    promoted = only_change(carol, "promoted")
    assert [each["id"] for each in promoted["members"]] == [bob.id]
    bob.receive()
    assert group(bob, hikers)["state"] == "admin"
    bob.run("group", "rename", hikers, "Bob's hikers")
    bob.run("group", "invite", hikers, dave.id)
    join(dave, hikers)
    bob.run("send", hikers, "hello Dave")
    for one in (alice, carol, dave):
        one.receive()
        assert group(one, hikers)["name"] == "Bob's hikers"
        assert bodies(log(one, hikers))[-1] == "hello Dave"
    assert statuses(alice, hikers)[bob.id] == "admin"
    check_refusal(alice.try_run("group", "remove", hikers, bob.id, "--yes"), 65, "admin")
    alice.run("group", "leave", hikers, "--yes")
    assert group_names(alice) == []
    for _ in range(2):  # the admin who is left carries it out
        bob.receive()
        carol.receive()
    assert alice.id not in statuses(carol, hikers)
    carol.run("send", hikers, "it goes on")
    assert "it goes on" in bodies(dave.receive())
    assert alice.receive() == []


def test_a_member_leaves(three: tuple[Person, Person, Person], hikers: str) -> None:
    alice, bob, carol = three
    bob.run("send", "Hikers", "farewell")
    done = bob.run("group", "leave", "Hikers", "--yes")
    assert done.stderr == f"You have left Hikers ({hikers[:10]}…).\n"
    assert group_names(bob) == []
    assert "Hikers" not in bob.run("list").text
    left = only_change(alice, "left")
    assert left["sender"]["id"] == bob.id
    assert bob.id not in statuses(alice, hikers)
    alice.run("send", "Hikers", "one less")
    assert bodies(bob.receive()) == []
    assert bodies(carol.receive())[-2:] == ["farewell", "one less"]
    assert bob.id not in statuses(carol, hikers)


def test_the_only_admin_can_not_leave_but_end_it(three: tuple[Person, Person, Person], hikers: str) -> None:
    alice, bob, carol = three
    bob.run("send", "Hikers", "hello")
    check_refusal(alice.try_run("group", "leave", "Hikers", "--yes"), 65, "admin")
    done = alice.run("group", "delete", "Hikers", "--yes")
    assert done.stderr == f"Hikers ({hikers[:10]}…) has ended for everyone.\n"
    assert group_names(alice) == []
    for one in (bob, carol):
        one.receive()
        assert group(one, hikers)["state"] == "destroyed"
        assert bodies(log(one, hikers)) == []
        assert one.try_run("send", hikers, "still here?").code != 0
        assert "[ended for everyone]" in one.run("group", "list").text
        one.run("group", "delete", hikers, "--yes")
        assert group_names(one) == []


# As with people.


def test_all_that_can_be_done_with_messages(three: tuple[Person, Person, Person], hikers: str, tmp_path: Path) -> None:
    alice, bob, carol = three
    note = tmp_path / "route.txt"
    note.write_text("up, then down")
    alice.run("send", "Hikers", "Sunday?")
    (question,) = [each for each in bob.receive() if each["type"] == "message"]
    bob.run("react", str(question["id"]), "👍")
    bob.run("send", "Hikers", "yes", "--quote", str(question["id"]), "--attach", str(note))
    oops = bob.run("send", "Hikers", "wrong group").text.strip()
    bob.run("unsend", oops)
    (reaction,) = events(alice, "reaction")
    assert (reaction["emoji"], reaction["sender"]["id"], reaction["conversation"]["id"]) == ("👍", bob.id, hikers)
    came = [each for each in carol.receive() if each["type"] == "message"]
    answer = next(each for each in came if each["body"] == "yes")
    assert (answer["quote"]["sender"]["id"], answer["quote"]["excerpt"]) == (alice.id, "Sunday?")
    saved = tmp_path / "saved.txt"
    carol.run("attach", "save", str(answer["id"]), "-o", str(saved))
    assert saved.read_text() == "up, then down"
    assert "wrong group" not in carol.run("log", "Hikers").text
    assert "wrong group" not in alice.run("log", "Hikers").text
    assert [each["body"] for each in carol.run("search", "--json", "--in", "Hikers", "sunday").objects] == ["Sunday?"]
    exported = carol.run("export", "Hikers", "--format", "text").text
    assert "Sunday?" in exported


def test_pinned_muted_and_hidden(three: tuple[Person, Person, Person], hikers: str) -> None:
    _, bob, _ = three
    bob.run("group", "pin", "Hikers")
    bob.run("group", "mute", "Hikers")
    found = group(bob, hikers)
    assert (found["pinned"], found["muted"], found["muted_until"]) == (True, True, None)
    assert bob.run("list").lines[0].split()[0] == "Hikers"
    (state,) = bob.run("group", "hide", "Hikers", "--json").objects
    assert (state["type"], state["conversation"]["type"], state["hidden"]) == ("conversation_state", "group", True)
    assert "[hidden]" in bob.run("group", "list").text
    assert "Hikers" not in bob.run("list").text


def test_completion_offers_groups(three: tuple[Person, Person, Person], hikers: str) -> None:
    bob = three[1]
    asking = Person(bob.home, bob.network, extra={"_SESSION_COMPLETE": "fish"})
    for words in (("send",), ("log",), ("group", "show"), ("group", "invite")):
        assert f"Hikers\t{hikers[:10]}…" in asking.run("--", *words, "Hi").lines
    assert f"Hikers\t{hikers[:10]}…" in asking.run("--", "group", "members", "").lines
    assert f"{hikers[:10]}\tHikers" in asking.run("--", "group", "members", "03").lines
    assert not any("Alice" in line for line in asking.run("--", "group", "members", "").lines)
    assert any("Alice" in line for line in asking.run("--", "group", "invite", "Hikers", "").lines)


# Another device of the same person.


def test_another_device_is_in_the_same_groups(three: tuple[Person, Person, Person], hikers: str) -> None:
    alice, bob, _ = three
    alice.run("send", "Hikers", "before the laptop")
    laptop = bob.second_device()
    laptop.receive()
    assert group(laptop, "Hikers")["state"] == "member"
    assert "before the laptop" in bodies(log(laptop, "Hikers"))
    laptop.run("send", "Hikers", "from the laptop")
    assert "from the laptop" in bodies(alice.receive())
    (own,) = [each for each in bob.receive() if each["type"] == "message" and each["body"] == "from the laptop"]
    assert (own["direction"], own["sender"]["id"], own["conversation"]["id"]) == ("outgoing", bob.id, hikers)
    laptop.run("group", "leave", "Hikers", "--yes")
    laptop.run("sync")
    bob.run("sync")
    assert group_names(bob) == []


def test_an_answer_counts_on_all_devices(person: People) -> None:
    alice, bob = person("Alice"), person("Bob")
    laptop = bob.second_device()
    choir = alice.run("group", "create", "Choir", bob.id).text.strip()
    chess = alice.run("group", "create", "Chess", bob.id).text.strip()
    bob.receive()
    bob.run("group", "accept", choir)
    bob.run("group", "decline", chess)
    bob.run("sync")
    laptop.receive()
    assert group_names(laptop) == ["Choir"]
    assert group(laptop, choir)["state"] == "member"
    alice.run("send", "Choir", "welcome")
    assert "welcome" in bodies(laptop.receive())


def test_an_admin_is_one_on_all_devices(three: tuple[Person, Person, Person], hikers: str) -> None:
    alice, bob, _ = three
    laptop = alice.second_device()
    laptop.receive()
    assert group(laptop, "Hikers")["state"] == "admin"
    laptop.run("group", "rename", "Hikers", "Climbers")
    for one in (alice, bob):
        one.receive()
        assert group(one, hikers)["name"] == "Climbers"


# What can't be.


def test_nothing_is_ended_by_mistake(three: tuple[Person, Person, Person], hikers: str) -> None:
    alice = three[0]
    for command in (
        ("remove", "Hikers", "Bob"),
        ("promote", "Hikers", "Bob"),
        ("leave", "Hikers"),
        ("delete", "Hikers"),
    ):
        check_refusal(alice.try_run("group", *command), 2, "--yes", command[0])
    assert group(alice, hikers)["members"] == 3


def test_calls_that_make_no_sense(three: tuple[Person, Person, Person], hikers: str, tmp_path: Path) -> None:
    alice, bob, _ = three
    stranger = "05" + "ab" * 32
    check_json_refusal(alice.try_run("group", "show", "Nobody's", "--json"), 65, "invalid_account_id")
    check_json_refusal(alice.try_run("group", "show", NOBODY, "--json"), 65, "invalid_account_id")
    check_refusal(alice.try_run("group", "show", bob.id), 65)
    check_refusal(alice.try_run("group", "create", ""), 65, "name")
    check_refusal(alice.try_run("group", "create", "x" * 101), 65, "100")
    check_refusal(alice.try_run("group", "create", "Us", "Zoe"), 65, "Zoe")
    check_refusal(alice.try_run("group", "describe", "Hikers", "x" * 601), 65, "600")
    check_refusal(alice.try_run("group", "remove", "Hikers", stranger, "--yes"), 2, "group members")
    check_refusal(alice.try_run("group", "avatar", "Hikers"), 2, "--remove")
    check_refusal(alice.try_run("group", "avatar", "Hikers", "x.png", "--remove"), 2, "--remove")
    check_refusal(alice.try_run("group", "avatar", "Hikers", str(tmp_path / "none.png")), 66, "none.png")
    check_refusal(alice.try_run("group", "expire", "Hikers", "soon"), 2, "soon")
    check_refusal(alice.try_run("group", "accept", "Hikers"), 65)
    check_refusal(alice.try_run("group", "decline", "Hikers"), 65)
    assert group_names(alice) == ["Hikers"]
    done = alice.run("group", "resend", "Hikers")
    assert (done.text, done.stderr) == ("", "There is nothing to be sent again.\n")


def test_groups_of_the_same_name(person: People) -> None:
    alice = person("Alice")
    ids = {alice.run("group", "create", "Twins").text.strip() for _ in range(2)}
    error = check_json_refusal(alice.try_run("group", "show", "Twins", "--json"), 65, "ambiguous_name")
    for group_id in ids:
        assert group_id[:16] in error["message"]
        assert group(alice, group_id[:12])["id"] == group_id


def test_without_the_network_there_is_no_group(person: People) -> None:
    alice = person("Alice")
    alice.extra = {"SESSION_PROXY": "socks5h://127.0.0.1:9"}
    check_json_refusal(alice.try_run("group", "create", "Us", "--json", "--timeout", "3"), 75, "proxy_unreachable")
    assert group_names(alice) == []
