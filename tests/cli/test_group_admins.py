"""What admins of groups can do, what others can not, and how a group ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PIL import Image

from session_cli.devnet.faults import InnerStatus
from session_cli.devnet.network import Devnet
from tests.support.devnet import Person
from tests.support.friends import befriend, log
from tests.support.groups import group, group_names, join, only_change, statuses
from tests.support.histories import account_id
from tests.support.outcomes import bodies, check_json_refusal, check_refusal
from tests.support.terminal import at_terminal

People = Callable[[str], Person]
NOBODY = "03" + "ab" * 32
STRANGER = account_id(9)


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
    shown = tmp_path / "shown"
    bob.run("group", "show", "Climbers", "--avatar-out", str(shown))
    assert Image.open(shown).size == (40, 30)
    assert bob.run("group", "show", "Climbers", "--avatar-out", "-").stdout == shown.read_bytes()
    check_refusal(bob.try_run("group", "show", "Climbers", "--avatar-out", str(shown)), 73, "shown")
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
        ("invite", "Hikers", STRANGER),
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


def test_a_person_is_asked_before_what_can_not_be_undone(three: tuple[Person, Person, Person], hikers: str) -> None:
    alice, bob, _ = three
    whole = {
        "promote": f"Bob ({bob.id[:10]}…) becomes an admin of Hikers ({hikers[:10]}…) for good",
        "remove": f"Bob ({bob.id[:10]}…) is removed from Hikers ({hikers[:10]}…).",
        "leave": f"You leave Hikers ({hikers[:10]}…), and all its messages are deleted",
        "delete": f"Hikers ({hikers[:10]}…) ends for all of its 3 members",
    }
    for verb, question in whole.items():
        people = ("Bob",) if verb in ("promote", "remove") else ()
        code, shown = at_terminal(alice, "group", verb, "Hikers", *people, typed=b"no\n", NO_COLOR="1")
        assert code == 2
        assert question in " ".join(shown.split())
        assert shown.endswith("Nothing was done.\r\n")
    assert set(statuses(alice, "Hikers").values()) == {"admin", "member"}
    code, shown = at_terminal(alice, "group", "remove", "Hikers", "Bob", "--delete-messages", typed=b"yes\n")
    assert code == 0
    assert "All that they wrote there is deleted for everyone." in " ".join(shown.split())
    assert bob.id not in statuses(alice, "Hikers")


def test_calls_that_make_no_sense(three: tuple[Person, Person, Person], hikers: str, tmp_path: Path) -> None:
    alice, bob, _ = three
    check_json_refusal(alice.try_run("group", "show", "Nobody's", "--json"), 65, "invalid_account_id")
    check_json_refusal(alice.try_run("group", "show", NOBODY, "--json"), 65, "invalid_account_id")
    check_refusal(alice.try_run("group", "show", bob.id), 65)
    check_refusal(alice.try_run("group", "create", ""), 65, "name")
    check_refusal(alice.try_run("group", "create", "x" * 101), 65, "100")
    check_refusal(alice.try_run("group", "create", "Us", "Zoe"), 65, "Zoe")
    check_refusal(alice.try_run("group", "describe", "Hikers", "x" * 601), 65, "600")
    check_refusal(alice.try_run("group", "remove", "Hikers", STRANGER, "--yes"), 65, "group members")
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
    check_refusal(alice.try_run("send", "Twins", "which?"), 65, "Use the beginning of the id.")
    for group_id in ids:
        assert group_id[:16] in error["message"]
        assert group(alice, group_id[:12])["id"] == group_id


def test_without_the_network_there_is_no_group(person: People) -> None:
    alice = person("Alice")
    alice.extra = {"SESSION_PROXY": "socks5h://127.0.0.1:9"}
    check_json_refusal(alice.try_run("group", "create", "Us", "--json", "--timeout", "3"), 75, "proxy_unreachable")
    assert group_names(alice) == []


# What fails half way.


def test_an_invitation_that_fails_can_be_sent_again(private_net: Devnet, tmp_path: Path) -> None:
    definition = tmp_path / "network.toml"
    private_net.write_definition(definition)
    alice, bob = (Person(tmp_path / name.lower(), definition).init("--name", name) for name in ("Alice", "Bob"))
    befriend(alice, bob)
    private_net.chaos.inject(InnerStatus(500), swarm=bob.id, methods={"store"})
    # One in three groups would have the same swarm, and not come into being.
    done = next(made for _ in range(30) if (made := alice.try_run("group", "create", "Choir", "Bob")).code != 75)
    (group_id,) = done.lines
    assert done.code == 1
    assert "status 500" in done.stderr
    again = f"To try again: session group resend {group_id}\n"
    assert done.stderr.endswith(f"session: Not invited yet: Bob ({bob.id[:10]}…). {again}")
    failed = f"Bob               {bob.id[:10]}…  invitation failed (session group resend)\n"
    assert alice.run("group", "members", "Choir").text.endswith(failed)
    done = alice.try_run("group", "resend", "Choir")
    assert (done.code, done.text) == (1, failed)
    private_net.chaos.clear()
    assert alice.run("group", "resend", "Choir").text == f"Bob               {bob.id[:10]}…  invited\n"
    join(bob, group_id)
    assert group(bob, "Choir")["state"] == "member"
