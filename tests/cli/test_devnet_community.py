"""`session devnet ... --community`: the server is there, and both the definition and the output say where."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from session_cli.network.definition import MAINNET, load_definition, parse_definition
from tests.support.contract import check_object
from tests.support.devnet import Person
from tests.support.outcomes import check_refusal

SMALL = ("--nodes", "4", "--swarms", "1")
ACCOUNT = "0588672ccb97f40bb57238989226cf429b575ba355443f47bc76c5ab144a96c65b"
TELL = (
    "import json, os, tomllib, urllib.request\n"
    "community = tomllib.load(open(os.environ['SESSION_NETWORK'], 'rb'))['community']\n"
    "rooms = json.load(urllib.request.urlopen(community['url'] + '/rooms', timeout=10))\n"
    "print(json.dumps([community['rooms'], rooms]))\n"
)


@pytest.fixture
def nobody(tmp_path: Path) -> Person:
    return Person(tmp_path / "home", "mainnet")


def rooms_of(nobody: Person, *options: str) -> Any:
    done = nobody.run("devnet", "exec", *SMALL, *options, "--", sys.executable, "-c", TELL)
    return json.loads(done.text)


def run_until_told(nobody: Person, *options: str) -> tuple[str, str, Path]:
    """What `devnet run` says first, on both streams, and a copy of the definition."""
    with nobody.start("devnet", "run", *SMALL, *options, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        first = process.stdout.readline().decode()
        path = Path(json.loads(first)["definition"] if first.startswith("{") else first.strip())
        copy = nobody.home.parent / "copy.toml"
        copy.write_bytes(path.read_bytes())
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    return first, errors.decode(), copy


def test_a_room_to_begin_with(nobody: Person) -> None:
    tokens, (room,) = rooms_of(nobody, "--community")
    assert tokens == ["lobby"]
    assert (room["token"], room["name"], room["read"], room["write"]) == ("lobby", "The Lobby", True, True)


def test_rooms_and_their_admin(nobody: Person) -> None:
    options = ("--community-room", "books=Books = life", "--community-room", "chess", "--community-admin", ACCOUNT)
    tokens, rooms = rooms_of(nobody, *options)
    assert tokens == ["books", "chess"]
    assert [room["name"] for room in rooms] == ["Books = life", "chess"]
    assert [room["admins"] for room in rooms] == [[ACCOUNT], [ACCOUNT]]


def test_whoever_comes_first(nobody: Person) -> None:
    _, (room,) = rooms_of(nobody, "--community-admin", "first")
    assert room["admins"] == [], "nobody has come yet who says who he is"


def test_run_tells_of_the_rooms(nobody: Person) -> None:
    _, errors, copy = run_until_told(nobody, "--community")
    community = load_definition(str(copy)).community
    assert community is not None
    assert f"Room lobby:  {community.room_url('lobby')}\n" in errors


def test_run_in_json(nobody: Person) -> None:
    first, _, copy = run_until_told(nobody, "--json", "--community-room", "Books")
    told = json.loads(first)
    check_object(told)
    community = load_definition(str(copy)).community
    assert community is not None
    assert told["rooms"] == [{"token": "Books", "url": community.room_url("Books")}]


def test_without_it_there_is_none(nobody: Person) -> None:
    first, errors, copy = run_until_told(nobody, "--json")
    check_object(json.loads(first))
    assert json.loads(first)["rooms"] == []
    assert "Room" not in errors
    assert load_definition(str(copy)).community is None


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--community-room", "a b"), 2, "'a b' can't be a room"),
        (("--community-room", "=Name"), 2, "'' can't be a room"),
        (("--community-room", "a", "--community-room", "A=x"), 2, "two rooms 'a'"),
        (("--community-admin", "me"), 65, "account id"),
        (("--community-admin", "15" + "ab" * 32), 65, "account id"),
    ],
)
def test_refusals(nobody: Person, options: tuple[str, ...], code: int, words: str) -> None:
    check_refusal(nobody.try_run("devnet", "run", *options), code, words)
    check_refusal(nobody.try_run("devnet", "exec", *options, "--", "true"), code, words)


def test_chaos_for_a_server_that_is_not_there(nobody: Person, tmp_path: Path) -> None:
    file = tmp_path / "f.toml"
    file.write_text('[[fault]]\nkind = "forged_posts"\nhow = "flood"\ncommunity = true\n')
    run = ("devnet", "exec", *SMALL, "--chaos", str(file))
    refused = nobody.try_run(*run, "--", "true")
    check_refusal(refused, 65, "fault 1 (forged_posts)", "'community' names a server that this network was started")
    done = nobody.run(*run, "--community", "-v", "--", "true")
    assert 'fault begins: forged_posts, how = "flood", at the community\n' in done.stderr


def test_what_a_definition_says_of_communities() -> None:
    table: dict[str, Any] = {
        "id": "x",
        "name": "x",
        "seeds": [{"url": "https://127.0.0.1:1"}],
        "file_server": {"url": "http://127.0.0.1:1", "ed25519": "ab" * 32, "x25519": "ab" * 32},
    }
    assert parse_definition(table, "x").community is None
    with_one = table | {"community": {"url": "http://127.0.0.1:2/", "x25519": "CD" * 32}}
    community = parse_definition(with_one, "x").community
    assert community is not None
    assert (community.url, community.x25519, community.rooms) == ("http://127.0.0.1:2", bytes.fromhex("cd" * 32), ())
    official = MAINNET.community
    assert official is not None
    assert official.room_url("session") == (
        "https://open.getsession.org/session?public_key="
        "a03c383cf63c3c4efe67acc52112a6dd734b3a946b9545f488aaa93da7991238"
    )
