"""The recipes of the README, run as they stand, and those of the manual, as far as they can be."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer import _click as click
from typer.core import TyperGroup

from session_cli.cli.app import root_command
from session_cli.devnet.community_options import CommunityRoom
from tests.support.communities import running_server
from tests.support.devnet import SESSION, Done, Person
from tests.support.outcomes import bodies
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MANUAL = (ROOT / "man/man7/session-recipes.7").read_text(encoding="utf-8")
RECIPES = re.findall(r"```sh\n(.*?)```", README.partition("## Recipes")[2].partition("\n## ")[0], re.S)
SCHEDULE = re.compile(r"^(\S+ ){4}\S+  ", re.M)
TIMEOUT_S = 120
People = Callable[[str], Person]


class Desk:
    """Alice's folder, with Bob and Carol among those she knows, and programs of her own on her PATH."""

    def __init__(self, alice: Person, bob: Person, carol: Person, folder: Path) -> None:
        self.alice, self.bob, self.carol, self.folder = alice, bob, carol, folder
        programs = folder / "bin"
        programs.mkdir()
        path = f"{programs}:{Path(SESSION[0]).parent}:{alice.environment['PATH']}"
        self.environment = {**alice.environment, "PATH": path, "HOME": str(folder)}

    def program(self, name: str, text: str, *, here: bool = False) -> None:
        """Make a program: on the PATH, or `here`."""
        file = self.folder / ("." if here else "bin") / name
        file.write_text(text if text.startswith("#!") else f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)

    def start(self, recipe: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["/bin/sh", "-e", "-c", SCHEDULE.sub("", recipe)],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def run(self, recipe: str, *, code: int = 0) -> Done:
        """Run a recipe to its end."""
        with self.start(recipe) as process:
            output, errors = process.communicate(timeout=TIMEOUT_S)
        assert process.returncode == code, errors.decode()
        return Done(process.returncode, output, errors.decode())

    @contextmanager
    def running(self, recipe: str) -> Iterator[None]:
        """Let a recipe run that has no end."""
        process = self.start(recipe)
        try:
            yield
            assert process.poll() is None, process.communicate()
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.communicate(timeout=TIMEOUT_S)


@pytest.fixture
def desk(person: People, tmp_path: Path) -> Desk:
    alice, bob, carol = person("Alice"), person("Bob"), person("Carol")
    for other in (bob, carol):
        other.run("send", alice.id, "hello Alice")
    alice.receive()
    for other in (bob, carol):
        alice.run("send", other.id, "hello")
        other.receive()
    folder = tmp_path / "desk"
    folder.mkdir()
    return Desk(alice, bob, carol, folder)


def await_texts(person: Person, count: int) -> list[str]:
    """What somebody is sent, once that many messages have come."""
    shown: list[str] = []

    def come() -> bool:
        shown.extend(bodies(person.receive()))
        return len(shown) >= count

    wait_until(come, TIMEOUT_S)
    return shown


def report(desk: Desk, recipe: str) -> None:
    desk.program("backup", "echo no space left; exit 1")
    desk.run(recipe)
    assert "backup failed: no space left" in desk.alice.run("log", "me").text
    desk.program("backup", "exit 0")
    desk.run(recipe)
    assert len(desk.alice.run("log", "me", "--json").objects) == 1


def fetch(desk: Desk, recipe: str) -> None:
    for text in ("one", "two"):
        desk.bob.run("send", desk.alice.id, text)
        desk.run(recipe)
    lines = (desk.folder / "messages.jsonl").read_text().splitlines()
    assert [json.loads(line)["body"] for line in lines] == ["one", "two"]


def on_the_desktop(desk: Desk, recipe: str) -> None:
    from tests.support.bus import fake_bus

    desk.bob.run("send", desk.alice.id, "secret plans")
    with fake_bus(desk.folder / "bus") as bus:
        desk.environment["DBUS_SESSION_BUS_ADDRESS"] = bus.address
        assert desk.run(recipe).stdout == b""
    assert bus.texts == [("Bob", "New message")]


def tail(desk: Desk, recipe: str) -> None:
    log = desk.folder / "app.log"
    log.write_text("ERROR of yesterday\n")
    with desk.running(recipe):
        shown: list[str] = []

        def come() -> bool:
            # Until tail is at it, what is written is not seen.
            with log.open("a") as file:
                file.write("all is well\nERROR one\nERROR two\n")
            shown.extend(bodies(desk.bob.receive()))
            return bool(shown)

        wait_until(come, TIMEOUT_S)
    assert shown[0].startswith("ERROR one\nERROR two")


def answer(desk: Desk, recipe: str) -> None:
    desk.program("answer", RECIPES[RECIPES.index(recipe) + 1], here=True)
    with desk.running(recipe):
        desk.bob.run("send", desk.alice.id, "uptime")
        desk.bob.run("send", desk.alice.id, "$(reboot)")
        uptime, other = await_texts(desk.bob, 2)
    assert "load" in uptime
    assert other == "I know: uptime"


def nothing_more(desk: Desk, recipe: str) -> None:
    """It has been used by the recipe before it."""
    assert recipe.startswith("#!")


def readers(desk: Desk, recipe: str) -> None:
    desk.program("page-me", 'echo "$SESSION_BODY" >> paged')
    desk.bob.run("send", desk.alice.id, "from Bob")
    desk.carol.run("send", desk.alice.id, "from Carol")
    for _ in range(2):
        desk.run(recipe)
    archived = [json.loads(line)["body"] for line in (desk.folder / "archive.jsonl").read_text().splitlines()]
    assert archived == ["hello Alice", "hello Alice", "from Bob", "from Carol"]
    assert (desk.folder / "paged").read_text() == "hello Alice\nfrom Bob\n"


def several(desk: Desk, recipe: str) -> None:
    (desk.folder / "report.pdf").write_bytes(b"%PDF")
    (desk.folder / "inbox").mkdir()
    desk.bob.run("attach", "send", desk.alice.id, "-", "--name", "a.txt", stdin=b"data")
    desk.run(recipe)
    assert bodies(desk.bob.receive()) == ["deployed", "the figures for October"]
    assert bodies(desk.carol.receive()) == ["deployed"]
    (saved,) = (desk.folder / "inbox").iterdir()
    assert re.fullmatch(r"\d{8}T\d{6}-a\.txt", saved.name)


def talk(desk: Desk, recipe: str) -> None:
    desk.alice.receive()
    desk.bob.run("send", desk.alice.id, "where are you?")
    desk.run(recipe)
    reaction, answer, deleted, timer = (event for event in desk.bob.receive() if event["type"] != "unsend")
    assert (reaction["type"], reaction["emoji"], reaction["target"]["sender"]["id"]) == ("reaction", "👍", desk.bob.id)
    assert (answer["body"], answer["quote"]["excerpt"]) == ("on my way", "where are you?")
    assert (deleted["deleted"], deleted["body"]) == (True, "")
    assert (timer["type"], timer["mode"], timer["seconds"]) == ("expiration_update", "after_send", 86_400)


def speak(desk: Desk, recipe: str) -> None:
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg can't be found")
    desk.program("arecord", "exec ffmpeg -v error -f lavfi -i sine=d=2 -f wav -")
    (desk.folder / "photos").mkdir()
    (desk.folder / "photos" / "a.raw").write_bytes(os.urandom(11_000_000))
    desk.run(recipe)
    voice, photos = desk.bob.receive("--type", "message")
    assert voice["attachments"][0]["voice"] is True
    assert [file["name"] for file in photos["attachments"]][::2] == ["photos.tar.001", "photos.tar.parts.json"]


def requests(desk: Desk, recipe: str) -> None:
    stranger = Person(desk.folder / "stranger", desk.alice.network).init("--name", "Dave")
    stranger.run("send", desk.alice.id, "may I?")
    desk.alice.run("recv")
    shown = desk.run(recipe.replace("05d871fc", stranger.id[:10])).text
    assert "may I?" in shown
    (accepted,) = stranger.receive()
    assert (accepted["type"], accepted["state"]) == ("contact_request", "accepted")


def contacts(desk: Desk, recipe: str) -> None:
    (desk.folder / "people.csv").write_text(f"id,nickname\n{desk.carol.id},Caz\n")
    desk.run(re.sub(r"05\w{64}", desk.bob.id, recipe))
    cards = (desk.folder / "people.vcf").read_text().replace("\n ", "")  # long lines are folded
    assert "Caz" in cards
    assert desk.bob.id in cards
    elsewhere = desk.alice.second_device()
    elsewhere.run("sync")
    found = {person["id"]: person for person in elsewhere.run("contact", "list", "--json").objects}
    assert found[desk.carol.id]["nickname"] == "Caz"
    assert found[desk.bob.id]["muted_until"] is not None


def in_a_group(desk: Desk, recipe: str) -> None:
    *_, oneself, bob = desk.run(recipe).lines
    assert (oneself.split()[0], bob.split()[0]) == ("me", "Bob")
    shown = desk.bob.receive()
    assert "the database is back" in [event.get("body") for event in shown]
    assert shown[-1]["change"] == "removed"
    assert [event["change"] for event in desk.carol.receive() if event["type"] == "group_update"][-1] == "kicked"


def in_a_room(desk: Desk, recipe: str) -> None:
    folder = desk.folder / "rooms"
    folder.mkdir()
    with running_server(folder, (CommunityRoom("session", "Session"),)) as server:
        alice, bob = server.person("Alice", "session"), server.person("Bob", "session")
        alice.run("contact", "add", bob.id, "Bob")
        bob.run("send", "session", "hello everybody")
        shown = Desk(alice, bob, bob, folder).run(recipe)
        assert "hello everybody" in shown.lines
        assert any(line.startswith("Bob") and "banned until" in line for line in shown.lines)
        assert [event["type"] for event in bob.receive()] == ["community_update"]


def look_back(desk: Desk, recipe: str) -> None:
    for text in ("the disk full of dust", "disk full", "disk full, a test"):
        desk.bob.run("send", desk.alice.id, text)
    desk.run("session recv")
    output = desk.run(recipe).text
    assert "hello" in output
    assert output.endswith("the disk full of dust\ndisk full\n")
    assert "disk full of dust" in (desk.folder / "bob.html").read_text()


def copy(desk: Desk, recipe: str) -> None:
    (desk.folder / ".backup-passphrase").write_text("correct horse battery staple\n")
    assert desk.alice.id in desk.run(recipe).text
    assert (desk.folder / "session.backup").stat().st_mode & 0o777 == 0o600


def local_network(desk: Desk, recipe: str) -> None:
    bot = 'SESSION_HOME=home-$$ session init -q >/dev/null && echo "$SESSION_NETWORK"'
    desk.program("test-my-bot.sh", bot, here=True)
    first, second = desk.run(recipe).lines
    assert first != second


def proxied(desk: Desk, recipe: str) -> None:
    over_tor, setting = recipe.strip().splitlines()
    # Whether Tor runs here or not, it does not lead to the local network.
    assert desk.run(f"{over_tor} --timeout 10", code=75).stdout == b""
    desk.run(setting)
    assert desk.alice.run("config", "get", "proxy").text == "socks5h://192.0.2.1:1080\n"


def what_is_wrong(desk: Desk, recipe: str) -> None:
    assert re.search(r"^-?\d+$|^null$", desk.run(recipe).text, re.M)


TRIED = (
    report,
    fetch,
    on_the_desktop,
    tail,
    answer,
    nothing_more,
    readers,
    several,
    talk,
    speak,
    requests,
    contacts,
    in_a_group,
    in_a_room,
    look_back,
    copy,
    local_network,
    proxied,
    what_is_wrong,
)


def test_all_recipes_are_tried() -> None:
    assert len(TRIED) == len(RECIPES)


def need(text: str) -> None:
    """Skip a test where a program that the text calls is not there; only these two are not on every system."""
    missing = [name for name in ("jq", "uptime") if re.search(rf"\b{name}\b", text) and shutil.which(name) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} can't be found")


@pytest.mark.parametrize("number", range(len(TRIED)), ids=[tried.__name__ for tried in TRIED])
def test_recipe(number: int, desk: Desk) -> None:
    need("".join(RECIPES[number : number + 2]) if TRIED[number] is answer else RECIPES[number])
    TRIED[number](desk, RECIPES[number])


def test_the_tour(shared_definition: Path, tmp_path: Path) -> None:
    """The shell session of the README, in the shell that it says."""
    tour = README.partition("## A minute's tour")[2].partition("\n## ")[0]
    start, script = re.findall(r"```sh\n(.*?)```", tour, re.S)
    need(script)
    words = shlex.split(start, comments=True)
    done = subprocess.run(
        [*SESSION, *words[1:]],
        input=script,
        cwd=tmp_path,
        env={"PATH": f"{Path(SESSION[0]).parent}:{os.environ['PATH']}", "SESSION_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    assert "backup done" in done.stdout
    assert done.stdout.splitlines()[-2:] == ["etc.tar", "etc/hostname"]


def test_the_bot_of_the_manual_answers(desk: Desk) -> None:
    (script,) = (
        example for example in re.findall(r"^\.EX\n(.*?)^\.EE", MANUAL, re.S | re.M) if "from session_cli" in example
    )
    code = script.replace("\\-", "-").replace("\\e", "\\")
    need(code)
    assert len([line for line in code.splitlines() if line]) <= 15
    bot = desk.folder / "bot.py"
    bot.write_text(code)
    desk.alice.run("cursor", "reset", "bot", "--to-end")
    with desk.running(f"exec {Path(SESSION[0]).with_name('python')} {bot}"):
        desk.bob.run("send", desk.alice.id, "uptime")
        desk.bob.run("send", desk.alice.id, "what?")
        uptime, other = await_texts(desk.bob, 2)
    assert "load" in uptime
    assert other == "I know: uptime"


def commands_in(text: str) -> Iterator[list[str]]:
    """The calls of session in a text of examples, as words; without quotes where these hold a call themselves."""
    joined = text.replace("\\\n", " ")
    for line in joined.splitlines():
        for part in re.split(r"\||&&|;|\$\(", line):
            found = re.search(r"(?:^|\s|=)session ((?:-|[a-z]).*)", part)
            if found:
                text = re.sub(r"[<>].*", "", found[1])
                try:
                    yield shlex.split(text, comments=True)
                except ValueError:
                    yield re.sub(r"[)\"']", " ", text).split()


EXAMPLES = [
    example.replace("\\-", "-").replace("\\e", "\\")
    for example in re.findall(r"^\.EX\n(.*?)^\.EE", MANUAL, re.S | re.M)
]


@pytest.mark.parametrize(
    "words", [words for text in [*EXAMPLES, *RECIPES] for words in commands_in(text)], ids=" ".join
)
def test_every_option_in_the_recipes_exists(words: list[str]) -> None:
    root = root_command()
    command: click.Command = root
    known = {option for param in root.params for option in param.opts}
    for word in words:
        if word.startswith("-") and word != "-":
            assert word.partition("=")[0] in known, f"{command.name} has no {word}"
        elif isinstance(command, TyperGroup):
            found = command.get_command(click.Context(root), word)
            if found is not None:
                command = found
                known = {option for param in command.params for option in param.opts}
                if command.name == "exec":
                    return  # what follows is another program's


@pytest.mark.parametrize("text", EXAMPLES, ids=range(len(EXAMPLES)))
def test_every_shell_example_is_one(text: str) -> None:
    if "session_cli" in text:
        compile(text, "example", "exec")
    else:
        subprocess.run(["sh", "-n"], input=SCHEDULE.sub("", text), text=True, check=True)
