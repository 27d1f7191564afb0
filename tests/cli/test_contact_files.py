"""Contacts to files and back."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.devnet import Person
from tests.support.friends import events
from tests.support.histories import account_id, fill, message_to
from tests.support.outcomes import assert_private, check_json_refusal, check_refusal
from tests.support.terminal import at_terminal

People = Callable[[str], Person]
BOB, CAROL, DAVE = map(account_id, (1, 2, 3))
EVIL = '=HYPERLINK("x")\x1b[31m, Bob\n'


@pytest.fixture
def alice(tmp_path: Path) -> Person:
    """Somebody with three contacts: one with a name of each kind, one blocked, one who was only written to."""
    alice = Person(tmp_path / "alice", "mainnet").init()
    fill(alice, [message_to(BOB, alice.id, 1_000, "hi"), message_to(DAVE, alice.id, 2_000, "hi")], {BOB: EVIL})
    alice.run("contact", "rename", BOB, "Böb, the; \\ 1st")
    alice.run("contact", "block", CAROL)
    return alice


def listed(someone: Person) -> dict[str, dict[str, Any]]:
    return {each["id"]: each for each in someone.run("contact", "list", "--json").objects}


def imported(someone: Person, content: str, *arguments: str) -> tuple[int, ...]:
    """What `contact import` says: added, changed, unchanged, kept, skipped."""
    (done,) = someone.run("contact", "import", "-", "--json", *arguments, stdin=content.encode()).objects
    return tuple(done[key] for key in ("added", "changed", "unchanged", "kept", "skipped"))


@pytest.mark.parametrize("format", ["csv", "vcard"])
def test_there_and_back(alice: Person, tmp_path: Path, format: str) -> None:
    text = alice.run("contact", "export", "--format", format).text
    other = Person(tmp_path / "other", "mainnet").init()
    assert imported(other, text) == (3, 0, 0, 0, 0)
    keys = ("nickname", "approved", "blocked")
    for address, contact in listed(alice).items():
        assert {key: listed(other)[address][key] for key in keys} == {key: contact[key] for key in keys}
    assert imported(other, text) == (0, 0, 3, 0, 0)
    assert listed(other)[BOB]["profile_name"] == EVIL.strip()


def test_the_csv(alice: Person) -> None:
    rows = list(csv.reader(io.StringIO(alice.run("contact", "export").text, newline="")))
    assert rows[0] == ["id", "nickname", "name", "approved", "blocked"]
    assert rows[1:] == [
        [BOB, "Böb, the; \\ 1st", EVIL, "yes", "no"],
        *sorted([[CAROL, "", "", "no", "yes"], [DAVE, "", "", "yes", "no"]]),
    ]


def test_names_do_no_harm_on_a_terminal(alice: Person) -> None:
    code, output = at_terminal(alice, "contact", "export")
    assert code == 0
    assert "\x1b" not in output
    assert "=HYPERLINK" in output


def test_the_vcards(alice: Person, tmp_path: Path) -> None:
    target = tmp_path / "folder"
    target.mkdir(mode=0o700)
    (written,) = alice.run("contact", "export", "-o", str(target / "people.vcf"), "--json").objects
    assert (written["format"], written["contacts"]) == ("vcard", 3)
    assert_private(target)
    data = (target / "people.vcf").read_bytes()
    assert all(len(line) <= 75 for line in data.split(b"\r\n"))
    text = data.decode().replace("\r\n ", "")
    assert "NICKNAME:Böb\\, the\\; \\\\ 1st\r\n" in text
    assert f"IMPP:session:{BOB}\r\n" in text
    assert text.count("BEGIN:VCARD\r\nVERSION:4.0\r\n") == text.count("END:VCARD\r\n") == 3


def test_no_file_is_written_over(alice: Person, tmp_path: Path) -> None:
    target = tmp_path / "people.csv"
    target.write_text("mine")
    check_refusal(alice.try_run("contact", "export", "-o", str(target)), 73, "--force")
    assert target.read_text() == "mine"
    alice.run("contact", "export", "-o", str(target), "--force")
    assert target.read_text().startswith("id,nickname")
    check_refusal(alice.try_run("contact", "export", "-o", str(tmp_path)), 73, "folder")
    check_refusal(alice.try_run("contact", "export", "-o", str(tmp_path / "no" / "where")), 73)
    check_json_refusal(alice.try_run("contact", "export", "--json"), 2, "usage")


def test_what_is_here_stays_without_overwrite(alice: Person) -> None:
    text = f"blocked,nickname,id\nno,Carol,{CAROL}\n,Robert,{BOB.upper()}\nyes,,{alice.id}\n"
    assert imported(alice, text) == (0, 1, 1, 2, 1)
    found = listed(alice)
    assert (found[BOB]["nickname"], found[CAROL]["nickname"], found[CAROL]["blocked"]) == (
        "Böb, the; \\ 1st",
        "Carol",
        True,
    )
    assert imported(alice, text, "--overwrite") == (0, 2, 0, 0, 1)
    found = listed(alice)
    assert (found[BOB]["nickname"], found[CAROL]["blocked"]) == ("Robert", False)
    swapped = f"id,nickname\n{CAROL},Robert\n{BOB},Carol\n"
    done = alice.run("contact", "import", "-", stdin=swapped.encode())
    assert "--overwrite" in done.stderr
    assert imported(alice, swapped, "--overwrite") == (0, 2, 0, 0, 0)
    assert listed(alice)[BOB]["nickname"] == "Carol"
    assert imported(alice, f"id,approved,blocked,nickname\n{BOB},no,,\n", "--overwrite") == (0, 0, 1, 0, 0)
    assert listed(alice)[BOB]["approved"] is True


def test_one_wrong_line_and_nothing_is_changed(alice: Person, tmp_path: Path) -> None:
    before = listed(alice)
    file = tmp_path / "people.csv"
    file.write_text(
        "id,nickname,name,approved,blocked\n"
        f'{DAVE},"two\nlines",,,\n'
        f"{CAROL},Carol,,yes\n"
        "05ab,,,,\n"
        f"{BOB},me,,,maybe\n"
        f"{BOB},,,,\n"
    )
    error = check_json_refusal(alice.try_run("contact", "import", str(file), "--json"), 65, "invalid_input")
    message = error["message"]
    for place in ("line 2:", "line 4: 4 columns", "line 5:", "line 6: 'me'", "line 6: 'maybe'"):
        assert place in message
    assert listed(alice) == before
    taken = f"id,nickname\n{DAVE},Dave\n{CAROL},Dave\n"
    check_refusal(alice.try_run("contact", "import", "-", stdin=taken.encode()), 65, "line 3", "line 2")
    taken = f"id,nickname\n{DAVE},Dave\n{CAROL},Böb, the\n".replace("Böb, the", '"Böb, the; \\ 1st"')
    check_refusal(alice.try_run("contact", "import", "-", stdin=taken.encode()), 65, "line 3", BOB[:10])
    assert listed(alice) == before


def test_what_is_no_address_book(alice: Person, tmp_path: Path) -> None:
    for content, mentioned in (
        (b"", "line 1"),
        (b"\xff\xfeid", "no UTF-8"),
        (b"name,phone\n", "'phone'"),
        (b'id\n"' + BOB.encode(), "no CSV"),
        (b"BEGIN:VCARD\nVERSION:2.1\nIMPP:session:" + BOB.encode() + b"\nEND:VCARD\n", "version 2.1"),
        (b"BEGIN:VCARD\nVERSION:4.0\n", "no end"),
    ):
        check_refusal(alice.try_run("contact", "import", "-", stdin=content), 65, mentioned)
    check_refusal(alice.try_run("contact", "import", str(tmp_path / "none.csv")), 66)


def test_the_cards_of_others(alice: Person) -> None:
    cards = (
        '\ufeffBEGIN:VCARD\nVERSION:3.0\nN:Bar;Foo;;;\nFN:Foo Bar\nTEL;TYPE="a:b":1\n'
        f"item1.IMPP;X-SERVICE-TYPE=Session:session:{account_id(7)[:30]}\n {account_id(7)[30:]}\nEND:VCARD\n"
        "\nBEGIN:VCARD\nVERSION:4.0\nFN:No Session\nIMPP:xmpp:a@b\nEND:VCARD\n"
        f"begin:vcard\nversion:4.0\nfn:Zed\nnickname:Z\\,z,Zeddy\nx-session-id:{account_id(8)}\nend:vcard\n"
    )
    assert imported(alice, cards) == (2, 0, 0, 0, 1)
    found = listed(alice)
    assert (found[account_id(7)]["name"], found[account_id(7)]["approved"]) == ("Foo Bar", True)
    assert (found[account_id(8)]["nickname"], found[account_id(8)]["profile_name"]) == ("Z,z", "Zed")


def test_people_of_a_file_come_to_the_other_device(person: People) -> None:
    alice, bob = person("Alice"), person("Bob")
    laptop = alice.second_device()
    bob.run("send", alice.id, "may I?")
    alice.receive()
    assert imported(alice, f"id,nickname\n{bob.id},Bobby\n{CAROL},Carol\n") == (1, 1, 0, 0, 0)
    alice.run("sync")
    laptop.run("sync")
    assert {each["name"] for each in listed(laptop).values()} == {"Bobby", "Carol"}
    assert [each["state"] for each in events(bob, "contact_request")] == ["accepted"]
    many = "id,nickname\n" + "".join(f"{account_id(n)},person {n}\n" for n in range(100, 500))
    assert imported(alice, many)[0] == 400
    alice.run("sync")
    laptop.run("sync")
    assert len(listed(laptop)) == 402
