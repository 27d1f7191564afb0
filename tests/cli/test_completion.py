"""Completion: what the scripts are told, and what real shells make of it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from session_cli.core.client import Client
from session_cli.core.profile import key_sources, open_profile
from session_cli.protocol.account import Identity
from session_cli.store.records import NewMessage, PersonRow
from tests.support.devnet import Person
from tests.support.outcomes import files_below
from tests.support.shells import Shell

PEOPLE: tuple[str | None, ...] = (
    "Alice",
    "Bob Builder",
    "O'Brien",
    "Dollar $(touch pwned) `touch pwned`",
    'Quo"te\\',
    "Tab\there; touch pwned",
    "Émile é",
    "Same",
    "Same",
    "Col:on = x",
    "-dash",
    "star * ?",
    "bang!x",
    "0123456789",
    "me",
    None,
)
STRANGER = "Mallory"


def account(number: int) -> str:
    return Identity.from_seed(bytes([number]) * 16).account_id


def id_of(name: str) -> str:
    return account(PEOPLE.index(name) + 1)


@pytest.fixture(scope="module")
def alice(tmp_path_factory: pytest.TempPathFactory) -> Person:
    """Somebody who knows people with all kinds of names, and has had a few messages."""
    alice = Person(tmp_path_factory.mktemp("alice"), "mainnet").init()
    profile = open_profile(key_sources(alice.environment, "default", None))
    with profile.store.transaction():
        for number, name in enumerate(PEOPLE, 1):
            if name is not None:
                profile.store.people.set_name(account(number), name, 1)
            profile.store.people.approve(account(number), by_us=True)
        profile.store.people.set_name(account(99), STRANGER, 1)
        for number, body in enumerate(("first", "two\nlines\x1b[31m", "x" * 200), 1):
            profile.store.messages.add(
                NewMessage(account(1), "incoming", account(1), 1000 * number, body, status="received")
            )
    profile.store.close()
    return alice


def ask(person: Person, shell: str, *words: str, extra: Mapping[str, str] | None = None) -> list[str]:
    """The answer that a script gets."""
    asking = Person(person.home, person.network, extra={"_SESSION_COMPLETE": shell, **(extra or {})})
    done = asking.run("--", *words)
    assert done.stderr == ""
    return done.lines


def values(person: Person, *words: str, **options: Mapping[str, str]) -> list[str]:
    kind, *lines = ask(person, "zsh", *words, **options)
    assert kind == "words"
    return [line.partition("\t")[0] for line in lines]


# What the scripts are told.


def test_recipients(alice: Person) -> None:
    found = values(alice, "send", "")
    assert found[0] == "me"
    assert {"Alice", "Bob Builder", "O'Brien", 'Quo"te\\', "Émile é", "star * ?", "Col:on = x"} <= set(found)
    # What would not find its owner, or can't be typed, is offered by its id.
    for name in ("Tab\there; touch pwned", "-dash", "0123456789"):
        assert id_of(name)[:10] in found
        assert name not in found
    assert found.count("me") == 1
    assert "Same" not in found
    assert {account(8)[:10], account(9)[:10], account(16)[:10]} <= set(found)
    assert STRANGER not in found, "whom we never wrote to may have taken any name"
    assert account(99)[:10] in found
    assert alice.id[:10] not in found


def test_every_recipient_offered_is_one_that_send_understands(alice: Person) -> None:
    with Client.open("default", environ=alice.environment) as client:
        for value in [*values(alice, "send", ""), *values(alice, "send", "05")]:
            assert client.resolve(value)


def test_rooms_are_offered_by_short_name_or_else_by_address(tmp_path: Path) -> None:
    alice = Person(tmp_path / "alice", "mainnet").init()
    lobby, left, own = (f"https://open.example.org/{token}" for token in ("lobby", "left", "wanda"))
    red, blue = "https://open.example.org/room", "https://other.example.org/room"
    poster, known = "15" + account(1)[2:], "15" + account(2)[2:]
    profile = open_profile(key_sources(alice.environment, "default", None))
    with profile.store.transaction():
        for address, name in ((lobby, "Lobby"), (red, "Red"), (blue, "Blue"), (own, "W"), (known, "wanda")):
            profile.store.people.put(PersonRow(address, name, None, True, True))
        profile.store.people.put(PersonRow(left, "Left", None, False, False))
        profile.store.people.set_name(poster, "Poster", 1)
    profile.store.close()
    assert set(values(alice, "send", "")) == {"me", "lobby", "wanda", own, red, blue}
    assert values(alice, "log", "https://open.example.org/r") == [red]
    assert values(alice, "send", "15") == [known[:10]], "of all those who ever wrote in a room, whom we wrote to"
    assert set(values(alice, "community", "leave", "")) == {"lobby", "wanda", red, blue}
    assert set(values(alice, "community", "mods", "http")) == {blue, lobby, own, red}
    assert "lobby\tLobby" in ask(alice, "fish", "community", "show", "")


def test_ids_alone_where_an_id_is_begun(alice: Person) -> None:
    found = values(alice, "send", "05")
    assert set(found) == {account(number)[:10] for number in [*range(1, len(PEOPLE) + 1), 99]}
    whole = account(1)
    assert values(alice, "send", whole[:9]) == [whole[:10]]
    assert values(alice, "send", whole[:10]) == [whole]


def test_names_are_shown_beside_ids_and_ids_beside_names(alice: Person) -> None:
    lines = ask(alice, "fish", "send", "")
    assert f"Alice\t{account(1)[:10]}…" in lines
    assert f"{account(99)[:10]}\t{STRANGER}" in lines
    assert f"{id_of(PEOPLE[5] or '')[:10]}\tTab␉here; touch pwned" in lines
    assert "\t" not in "".join(ask(alice, "bash", "send", ""))


@pytest.mark.parametrize(
    "words",
    [
        ("send",),
        ("attach", "send"),
        ("attach", "list"),
        ("--json", "send", "-q"),
        ("recv", "--from"),
        ("send", "me", "--to"),
    ],
)
def test_wherever_somebody_is_named(words: tuple[str, ...], alice: Person) -> None:
    assert values(alice, *words, "Al") == ["Alice"]


def test_messages(alice: Person) -> None:
    kind, *lines = ask(alice, "zsh", "send", "me", "--quote", "")
    assert kind == "words"
    assert [line.split("\t")[0] for line in lines] == ["3", "2", "1"]
    assert lines[2] == "1\tAlice: first"
    assert lines[1] == "2\tAlice: two␊lines␛[31m"
    assert lines[0].endswith("x…")
    assert len(lines[0]) < 60
    assert values(alice, "attach", "save", "") == [], "none of them has a file"


def test_options_and_environment_are_heeded(alice: Person) -> None:
    for before, after in ((("--profile", "bob"), ()), ((), ("--profile", "bob")), (("--profile=bob",), ())):
        assert values(alice, *before, "send", *after, "") == ["me"]
    assert values(alice, "send", "", extra={"SESSION_PROFILE": "bob"}) == ["me"]
    assert values(alice, "send", "--profile", "default", "Al", extra={"SESSION_PROFILE": "bob"}) == ["Alice"]


def test_profiles_and_networks(alice: Person) -> None:
    assert values(alice, "--profile", "") == ["default"]
    assert values(alice, "send", "--profile=d") == ["--profile=default"]
    assert ask(alice, "bash", "send", "--profile", "=", "d") == ["words", "default"]
    assert values(alice, "--network", "") == ["mainnet", "testnet"]
    assert ask(alice, "zsh", "--network", "./my") == ["files"]


def test_commands_and_options(alice: Person) -> None:
    assert ask(alice, "zsh", "doc") == [
        "words",
        "doctor\tCheck this installation, and say what to do about what is wrong.",
    ]
    assert ask(alice, "fish", "attach", "sa") == [
        "words",
        "save\tDownload, check and decrypt the files of messages; print where they were saved.",
    ]
    assert ask(alice, "bash", "recv", "--fail") == ["words", "--fail-empty"]
    assert ask(alice, "bash", "--color", "a") == ["words", "auto", "always"]
    for line in ("send me --attach", "attach send me", "devnet exec --"):
        assert ask(alice, "bash", *line.split(), "") == ["files"]
    for line in ("send me", "--proxy", "--timeout"):
        assert ask(alice, "bash", *line.split(), "") == ["words"]


@pytest.mark.parametrize("words", [("nonsense", ""), ("--version", "--"), ("--help", "--pro"), ("send", "--nope", "")])
def test_a_line_that_makes_no_sense(words: tuple[str, ...], alice: Person) -> None:
    assert ask(alice, "zsh", *words)[:1] in ([], ["words"])


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("Bo", "Bob\\ Builder"),
        ("'Bo", "Bob Builder"),
        ("'O", "O'\\''Brien"),
        ("O\\'B", "O\\'Brien"),
        ('"Dol', "Dollar \\$(touch pwned) \\`touch pwned\\`"),
        ("Dol", "Dollar\\ \\$\\(touch\\ pwned\\)\\ \\`touch\\ pwned\\`"),
    ],
)
def test_quoted_as_bash_needs_it(typed: str, expected: str, alice: Person) -> None:
    assert ask(alice, "bash", "send", typed) == ["words", expected]


# What it must not do.


def test_nobody_is_asked_for_a_key(tmp_path: Path) -> None:
    marker = tmp_path / "was asked"
    command = f"sh -c 'test -e {tmp_path}/armed && touch \"{marker}\"; echo secret'"
    locked = Person(tmp_path / "locked", "mainnet").init("--key", "command", "--key-command", command)
    (tmp_path / "armed").touch()
    assert values(locked, "send", "") == ["me"]
    assert not marker.exists()
    secret = {"SESSION_PASSPHRASE": "secret"}
    closed = Person(tmp_path / "closed", "mainnet", extra=secret).init("--key", "passphrase")
    assert values(closed, "send", "", extra=secret) == ["me"]


def test_damage_and_bad_settings_are_passed_over(tmp_path: Path) -> None:
    bob = Person(tmp_path / "bob", "mainnet").init()
    (tmp_path / "bob/data/profiles/default/messages.db").write_bytes(b"no database" * 1000)
    assert values(bob, "send", "") == ["me"]
    assert values(bob, "send", "", extra={"SESSION_PROFILE": "../x"}) == ["me"]
    (tmp_path / "bob/config/config.toml").write_text("profile = ")
    assert values(bob, "send", "") == ["me"]


def test_nothing_is_written(alice: Person) -> None:
    def snapshot() -> list[tuple[Path, int, bytes]]:
        return sorted((path, path.stat().st_mtime_ns, path.read_bytes()) for path in files_below(alice.home))

    before = snapshot()
    assert "Alice" in values(alice, "send", "")
    assert snapshot() == before


def test_little_is_loaded(alice: Person) -> None:
    environment = {**alice.environment, "_SESSION_COMPLETE": "zsh"}
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "session_cli", "--", "send", ""],
        env=environment,
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert b"Alice" in done.stdout
    loaded = {line.rpartition(b"|")[2].strip().decode() for line in done.stderr.splitlines()}
    assert "session_cli.core.suggestions" in loaded
    tops = {name.partition(".")[0] for name in loaded}
    assert not tops & {"requests", "urllib3", "google", "keyring", "rich", "cryptography", "ssl"}
    assert not any(name.startswith("session_cli.network") for name in loaded)


# Real shells.

LINES = [
    ("doct", ["doctor"]),
    ("--network=ma", ["--network=mainnet"]),
    ("--profile d", ["--profile", "default"]),
    ("send Al", ["send", "Alice"]),
    ("send Bo", ["send", "Bob Builder"]),
    ("send Bob\\ B", ["send", "Bob Builder"]),
    ("send 'Bo", ["send", "Bob Builder"]),
    ('send "Bo', ["send", "Bob Builder"]),
    ("send O", ["send", "O'Brien"]),
    ("send 'O", ["send", "O'Brien"]),
    ("send Dol", ["send", PEOPLE[3]]),
    ('send "Dol', ["send", PEOPLE[3]]),
    ("send 'Dol", ["send", PEOPLE[3]]),
    ("send Quo", ["send", PEOPLE[4]]),
    ("send st", ["send", "star * ?"]),
    ("send ba", ["send", "bang!x"]),
    ("send Col", ["send", "Col:on = x"]),
    ("send É", ["send", "Émile é"]),
    ("--profile nobody send Al", ["--profile", "nobody", "send", "Al"]),
    ("send me --attach gree", ["send", "me", "--attach", "greeting.txt"]),
]


@pytest.mark.parametrize(("name", "autoload"), [("bash", False), ("zsh", False), ("zsh", True), ("fish", False)])
def test_in_a_real_shell(name: str, autoload: bool, alice: Person, tmp_path: Path) -> None:
    (tmp_path / "greeting.txt").touch()
    environment = {"PATH": os.environ["PATH"], "SESSION_HOME": str(alice.home)}
    with Shell(name, environment, tmp_path, autoload=autoload) as shell:
        assert {line: shell.complete(f"session {line}") for line, _ in LINES} == dict(LINES)
    assert not (tmp_path / "pwned").exists()
