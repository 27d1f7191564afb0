"""How a group is made and joined, who reads what in it, and on which devices."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.support.devnet import Person
from tests.support.friends import befriend, events, log
from tests.support.groups import changes, group, group_names, join, make_group, only_change, statuses
from tests.support.outcomes import bodies, check_refusal
from tests.support.terminal import at_terminal

People = Callable[[str], Person]
NOBODY = "03" + "ab" * 32


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
    assert bodies(bob.receive("--cursor", "other", "--from", "Hikers")) == ["hello all"]
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
    (invited,) = bob.receive("--peek")
    assert "[invitation]" in bob.run("recv", "--peek").text
    assert only_change(bob, "invited") == invited
    assert invited["request"] is True
    assert bob.run("request", "list").text == "", "no message request"
    assert (invited["conversation"]["id"], invited["name"], invited["sender"]["id"]) == (group_id, "Choir", alice.id)
    assert invited["direction"] == "incoming"
    found = group(bob, group_id)
    assert (found["name"], found["state"], found["inviter"]["id"]) == ("Choir", "invited", alice.id)
    assert f"[you are invited by Alice ({alice.id[:10]}…)]" in bob.run("group", "list").text
    assert bob.try_run("send", "Choir", "may I?").code != 0
    done = bob.run("group", "members", "Choir")
    assert (done.text, done.stderr) == ("", f"Who is in Choir ({group_id[:10]}…) is known to its members alone.\n")
    alice.run("send", "Choir", "welcome")
    assert bodies(bob.receive()) == [], "nothing is fetched before that is wanted"
    (joined,) = bob.run("group", "accept", "Choir", "--json").objects
    assert (joined["id"], joined["state"]) == (group_id, "member")
    assert bodies(bob.receive()) == ["welcome"]
    assert only_change(alice, "joined")["sender"]["id"] == bob.id
    assert statuses(alice, group_id)[bob.id] == "member"
    bob.run("send", "Choir", "thank you")
    assert bodies(alice.receive()) == ["thank you"]


def test_invitations_stand_apart_in_the_list(three: tuple[Person, Person, Person], person: People) -> None:
    alice, bob, carol = three
    make_group(alice, "Hikers", carol)
    bob.run("group", "create", "Choir", carol.id)
    bob.run("send", carol.id, "do you sing?")
    carol.receive()
    code, shown = at_terminal(carol, "list", NO_COLOR="1")
    assert code == 0
    starts = [line.split("  ")[0] if line[0] != " " else line[6:22].strip() for line in shown.splitlines()]
    assert starts[2:] == [
        "Invitations (session group accept or decline)",
        "Choir",
        "Message requests (session request accept, decline or block)",
        "Bob",
    ]
    assert set(starts[:2]) == {"Hikers", "Alice"}
    assert "[group] " in shown
    assert "[invitation] Bob: [invites you" in shown
    states = {each["conversation"]["name"]: each["request"] for each in carol.run("list", "--json").objects}
    assert states == {"Hikers": False, "Alice": False, "Choir": True, "Bob": True}


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
    invited = only_change(bob, "invited")
    assert (invited["conversation"]["id"], invited["request"]) == (group_id, False)
    assert "(you are in it now)" in bob.run("log", "Book club").text
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
