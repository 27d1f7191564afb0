"""`sync`, and what `restore` finds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from session_cli.devnet.network import Devnet
from tests.support.devnet import Person
from tests.support.friends import befriend
from tests.support.histories import account_id
from tests.support.outcomes import check_json_refusal, check_refusal

People = Callable[[str], Person]
BOB, CAROL = account_id(1), account_id(2)
OFFLINE = {"SESSION_PROXY": "socks5h://127.0.0.1:9"}


def restored(person: Person, name: str, *arguments: str, **extra: str) -> tuple[Person, dict[str, object], str]:
    """Another device of somebody, what `restore --json` says, and what it says to people."""
    other = Person(person.home.with_name(name), person.network, person.id, extra)
    done = other.run("restore", "--json", *arguments, stdin=person.run("phrase", "--yes").stdout)
    (account,) = done.objects
    return other, account, done.stderr


def test_what_was_done_is_said(person: People) -> None:
    alice = person("Alice")
    laptop = alice.second_device()
    in_turn = (alice, laptop, alice, laptop)
    for device in in_turn:
        device.run("sync")
    assert alice.run("sync").stderr == "Nothing was new, here or there.\n"
    alice.run("contact", "add", BOB, "Bob")
    (summary,) = alice.run("sync", "--json").objects
    assert summary == {
        "v": 1,
        "type": "sync",
        "name": "Alice",
        "contacts": 1,
        "groups": 0,
        "communities": 0,
        "merged": 0,
        "pushed": ["contacts"],
        "waiting": [],
    }
    laptop.run("profile", "set", "--name", "Alicia")
    done = laptop.run("sync")
    assert (done.text, done.stderr) == (
        "",
        "1 change of your other devices taken over. Your other devices are told of: your profile.\n",
    )
    assert alice.run("sync", "--quiet").stderr == ""
    assert alice.run("whoami", "--json").objects[0]["name"] == "Alicia"


def test_without_the_network_all_stays_for_later(person: People) -> None:
    alice = person("Alice")
    laptop = alice.second_device()
    alice.run("contact", "add", BOB)
    alice.extra = OFFLINE
    check_refusal(alice.try_run("sync", "--timeout", "3"), 75)
    check_json_refusal(alice.try_run("sync", "--json", "--timeout", "3"), 75, "proxy_unreachable")
    alice.extra = {}
    laptop.run("sync")
    assert laptop.run("contact", "list").text == ""
    alice.run("sync")
    laptop.run("sync")
    assert BOB[:10] in laptop.run("contact", "list").text


def test_restore_says_what_it_found(person: People) -> None:
    alice, bob = person("Alice"), person("Bob")
    befriend(alice, bob)
    alice.run("contact", "add", CAROL)
    alice.run("sync")
    laptop, account, said = restored(alice, "laptop")
    assert (account["name"], account["found"]) == (
        "Alice",
        {"contacts": 2, "groups": 0, "communities": 0, "messages": 2},
    )
    line = "Found: the name 'Alice', 2 contacts, 0 groups, 0 communities and 2 messages; see what is new with"
    assert said.startswith(line)
    assert "found" not in laptop.run("whoami", "--json").objects[0]


def test_the_name_given_to_restore_is_for_accounts_without_one(person: People, tmp_path: Path) -> None:
    alice = person("Alice")
    alice.run("sync")
    for number in range(6):  # whichever of two first messages had the larger hash would win
        device, account, _ = restored(alice, f"device{number}", "--name", f"Server {number}")
        assert account["name"] == "Alice"
        device.run("sync")
    alice.run("sync")
    assert alice.run("whoami", "--json").objects[0]["name"] == "Alice"
    nameless = Person(tmp_path / "nameless", alice.network).init()
    device, account, _ = restored(nameless, "named", "--name", "Nemo")
    assert account["name"] == "Nemo"
    nameless.run("sync")
    assert nameless.run("whoami", "--json").objects[0]["name"] == "Nemo"


def test_a_restore_that_can_not_ask_writes_over_nothing(person: People) -> None:
    alice = person("Alice")
    alice.run("contact", "add", BOB, "Bob")
    alice.run("sync")
    laptop, account, said = restored(alice, "laptop", "--name", "Laptop", "--timeout", "3", **OFFLINE)
    assert account["found"] is None
    assert said.startswith("The account is restored; fetching what it holds has to wait")
    laptop.run("contact", "add", CAROL, "Carol")
    laptop.extra = {}
    (summary,) = laptop.run("sync", "--json").objects
    assert (summary["name"], summary["merged"]) == ("Alice", 2)
    alice.run("sync")
    for device in (alice, laptop):
        assert device.run("whoami", "--json").objects[0]["name"] == "Alice"
        assert [each["name"] for each in device.run("contact", "list", "--json").objects] == ["Bob", "Carol"]


def test_a_name_chosen_after_such_a_restore_is_the_newest(person: People) -> None:
    alice = person("Alice")
    alice.run("sync")
    laptop, _, _ = restored(alice, "laptop", "--timeout", "3", **OFFLINE)
    laptop.run("profile", "set", "--name", "Alicia")
    laptop.extra = {}
    laptop.run("sync")
    alice.run("sync")
    assert alice.run("whoami", "--json").objects[0]["name"] == "Alicia"


def test_the_swarm_is_asked_before_anything_is_pushed(private_net: Devnet, tmp_path: Path) -> None:
    definition = tmp_path / "network.toml"
    private_net.write_definition(definition)
    alice = Person(tmp_path / "alice", definition).init("--name", "Alice")
    alice.run("sync")
    for node in private_net.nodes:
        node.stop()
    laptop, account, _ = restored(alice, "laptop", "--name", "Laptop", "--timeout", "3")
    assert account["found"] is None
    for node in private_net.nodes:
        node.start()
    bob = Person(tmp_path / "bob", definition).init()
    laptop.run("send", bob.id, "a command that is online, and tells others of the new contact")
    assert laptop.run("whoami", "--json").objects[0]["name"] == "Alice"
    alice.run("sync")
    assert alice.run("whoami", "--json").objects[0]["name"] == "Alice"
