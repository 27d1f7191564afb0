"""`recv` and `send` where something is missing: streams, a home, a locale, a terminal, a desktop, room on the disk."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from session_cli.devnet.faults import Clock
from session_cli.devnet.network import Devnet
from session_cli.protocol.payload import AttachmentPointer
from tests.support.devnet import SESSION, Person
from tests.support.outcomes import bodies, check_json_refusal, check_message, check_refusal, objects, run_with
from tests.support.rough import Correspondence
from tests.support.sockets import watch
from tests.support.strangers import Stranger, upload

if sys.platform == "linux":
    from tests.support.bus import NOBODY_THERE, FakeBus, fake_bus

People = Callable[[str], Person]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the surroundings are a shell's")
needs_dbus = pytest.mark.skipif(sys.platform != "linux", reason="D-Bus is Linux's")


@pytest.fixture
def bob(person: People) -> Person:
    return person("Bob")


@pytest.fixture
def stranger(shared_net: Devnet) -> Stranger:
    return Stranger(shared_net)


def in_shell(person: Person, command: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run the program by a shell's command, in which "$@" stands for the program and its arguments."""
    return subprocess.run(
        ["sh", "-c", command, "sh", *SESSION, *arguments],
        env=person.environment, capture_output=True, timeout=60, check=False,
    )  # fmt: skip


def test_no_standard_output(bob: Person, stranger: Stranger) -> None:
    """What nobody gets is not taken."""
    stranger.say(bob.id, "one")
    for command, why in (('"$@" >&-', "closed"), ('"$@" >/dev/full', "No space left")):
        for options in ((), ("--json",)):
            done = in_shell(bob, command, "recv", *options)
            assert done.returncode == 74
            check_message(done.stderr.decode())
            assert b"standard output" in done.stderr
            assert why.encode() in done.stderr
    assert bodies(bob.receive()) == ["one"]


def test_no_standard_error_and_no_input(bob: Person, stranger: Stranger) -> None:
    stranger.say(bob.id, "one")
    done = in_shell(bob, '"$@" <&- 2>&-', "recv", "--json")
    assert (done.returncode, [json.loads(line)["body"] for line in done.stdout.splitlines()]) == (0, ["one"])
    assert in_shell(bob, '"$@" <&- 2>&- >&-', "recv", "--exec", "false").returncode == 0
    for arguments in (("send", "me"), ("send", "me", "-")):
        refused = in_shell(bob, '"$@" <&-', *arguments)
        assert refused.returncode == 65
        check_message(refused.stderr.decode())
    assert in_shell(bob, '"$@" <&-', "send", "me", "--lines").returncode == 0


def test_no_terminal(bob: Person, stranger: Stranger) -> None:
    stranger.say(bob.id, "one")
    assert b"one" in in_shell(bob, 'setsid --wait "$@"', "recv").stdout
    assert in_shell(bob, 'setsid --wait "$@" </dev/null', "send", "me", "two").returncode == 0


@pytest.mark.parametrize("locale", ["C", "POSIX", "nonsense", "ascii"])
def test_locales(locale: str, bob: Person, stranger: Stranger, tmp_path: Path) -> None:
    """Texts are UTF-8 whatever the locale says."""
    bob.extra = {"LANG": locale, "LC_ALL": locale}
    if locale == "ascii":
        bob.extra = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    stranger.say(bob.id, "grüße 😀", name="Zoë 😀")
    assert "😀" in run_with(bob, "recv", "--peek").text
    (message,) = bob.receive("--from", stranger.id)
    assert (message["body"], message["sender"]["name"]) == ("grüße 😀", "Zoë 😀")
    for arguments, stdin in (
        (("send", "--json", "me", "ü 😀".encode()), b""),
        (("send", "--json", "me", "--lines"), "ü 😀".encode()),
    ):
        (sent,) = objects(run_with(bob, *arguments, input=stdin))
        assert sent["body"] == "ü 😀"


@needs_dbus
def test_notifications_in_any_locale(bob: Person, stranger: Stranger, desk: FakeBus) -> None:
    stranger.say(bob.id, "grüße 😀", name="Zoë 😀")
    bob.extra = {**bob.extra, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    bob.run("recv", "--notify")
    assert desk.texts == [("Zoë 😀", "grüße 😀")]


def test_no_home(bob: Person, tmp_path: Path) -> None:
    """Neither HOME nor anything else: the system's word for the home counts, or it is said what is missing."""
    done = subprocess.run(["env", "-i", *SESSION, "recv"], capture_output=True, timeout=60, check=False)
    assert done.returncode in (73, 74, 78)
    check_message(done.stderr.decode())
    bare = ["env", "-i", f"SESSION_HOME={bob.home}", *SESSION, "recv"]
    assert subprocess.run(bare, capture_output=True, timeout=60, check=False).returncode == 0


# The desktop.


@pytest.fixture
def desk(bob: Person, tmp_path: Path) -> Iterator[FakeBus]:
    """Bob's desktop."""
    with fake_bus(tmp_path / "bus") as bus:
        bob.extra = {**bob.extra, "DBUS_SESSION_BUS_ADDRESS": bus.address}
        yield bus


@needs_dbus
def test_the_bus_where_it_usually_is(bob: Person, stranger: Stranger, tmp_path: Path) -> None:
    """As it is for cron and systemd services, which don't say where."""
    stranger.say(bob.id, "one")
    bob.extra = {"XDG_RUNTIME_DIR": str(tmp_path)}
    with fake_bus(tmp_path / "bus") as desk:
        bob.run("recv", "--notify")
        assert [text for _, text in desk.texts] == ["one"]


@needs_dbus
def test_no_library(bob: Person, stranger: Stranger, tmp_path: Path) -> None:
    stranger.say(bob.id, "one")
    without = (
        "import sys; sys.modules['jeepney'] = None; sys.argv[0] = 'session'\n"
        "from session_cli.__main__ import main; sys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", without, "recv", "--notify"],
        env=bob.environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (75, "")
    check_message(done.stderr)
    assert "jeepney" in done.stderr
    assert bodies(bob.receive()) == ["one"]


@needs_dbus
def test_no_desktop(bob: Person, stranger: Stranger, tmp_path: Path) -> None:
    """Who has nothing to show does not need one."""
    for address, words in (
        (f"unix:path={tmp_path}/none", "No such file"),
        ("tcp:host=localhost,port=1", "no Unix socket"),
        ("disabled:", "no Unix socket"),
    ):
        bob.extra = {"DBUS_SESSION_BUS_ADDRESS": address}
        assert bob.run("recv", "--notify").stderr == ""
        stranger.say(bob.id, "one")
        check_refusal(bob.try_run("recv", "--notify"), 75, words)
        assert bodies(bob.receive()) == ["one"]


@needs_dbus
def test_a_desktop_that_refuses(bob: Person, stranger: Stranger, desk: FakeBus) -> None:
    stranger.say(bob.id, "one")
    desk.refusal = lambda _: (NOBODY_THERE, "The name is not activatable")
    check_refusal(bob.try_run("recv", "--notify"), 75, "no program on it that shows notifications")
    desk.refusal = lambda _: ("org.example.Full", "The \x1b[2Jscreen is full.\nReally.")
    check_refusal(bob.try_run("recv", "--notify"), 75, "The ␛[2Jscreen is full.\n")
    desk.refusal = lambda _: ("org.example.Full", None)
    check_json_refusal(bob.try_run("recv", "--notify", "--json"), 75, "notification_failed")
    assert bodies(bob.receive()) == ["one"]


@needs_dbus
def test_a_desktop_that_hangs(bob: Person, stranger: Stranger, desk: FakeBus) -> None:
    stranger.say(bob.id, "one")
    desk.silent_from = "Notify"
    check_refusal(bob.try_run("recv", "--notify"), 75, "does not answer")
    assert bodies(bob.receive()) == ["one"]


@needs_dbus
def test_what_was_shown_is_not_shown_again(bob: Person, stranger: Stranger, desk: FakeBus) -> None:
    """Where the desktop goes away in between."""
    for body in ("one", "two", "three"):
        stranger.say(bob.id, body)
    desk.refusal = lambda notification: (NOBODY_THERE, None) if notification.body == "two" else None
    check_refusal(bob.try_run("recv", "--notify"), 75)
    desk.refusal = lambda _: None
    bob.run("recv", "--notify")
    assert [text for _, text in desk.texts] == ["one", "two", "three"]
    assert bob.receive() == []


@needs_dbus
@pytest.mark.parametrize("shown", ["all", "name", "nothing", None])
def test_how_much_is_shown(shown: str | None, bob: Person, stranger: Stranger, desk: FakeBus) -> None:
    body = "--urgency=critical <b>bold</b> & \0 \x1b[2J"
    stranger.say(bob.id, body, name="-n <i>Eve</i>")
    stranger.say(bob.id, "x" * 1000)
    bob.run("recv", "--notify", *(("--notify-show", shown) if shown else ()))
    first, second = desk.texts
    escaped = "--urgency=critical &lt;b&gt;bold&lt;/b&gt; &amp; ␀ ␛[2J"
    expected = {"name": ("-n <i>Eve</i>", "New message"), "nothing": ("New message", "")}
    assert first == expected.get(shown or "all", ("-n <i>Eve</i>", escaped))
    assert len(second[1]) < 400
    for number in range(6):
        stranger.say(bob.id, f"secret {number}")
    bob.run("recv", "--notify", *(("--notify-show", shown) if shown else ()))
    assert desk.texts[2:] == [("6 new messages", "" if shown == "nothing" else "-n &lt;i&gt;Eve&lt;/i&gt;")]
    assert bob.receive() == []


@needs_dbus
def test_no_other_program_is_given_the_text(bob: Person, stranger: Stranger, desk: FakeBus, tmp_path: Path) -> None:
    """What is on a command line, everybody on the machine can read."""
    stranger.say(bob.id, "secret plans")
    run = watch(bob, "recv", "--notify")
    assert run.done.code == 0
    assert desk.texts[0][1] == "secret plans"
    assert run.others == []
    assert str(tmp_path / "bus") in run.connections


# Files that come along.


def test_files_that_can_not_be_had(bob: Person, stranger: Stranger, shared_definition: Path, tmp_path: Path) -> None:
    """Whatever a message says of its file: it is shown, and those behind it as well."""
    good = upload(shared_definition, tmp_path / "cache", b"contents")
    bad = [
        replace(good, url=""),
        replace(good, url="http://[::1"),
        replace(good, url="file:///etc/passwd"),
        replace(good, url=good.url.partition("#")[0] + "#p=zz"),
        replace(good, key=b""),
        replace(good, key=b"k" * 31),
        replace(good, digest=None),
        replace(good, size=0),
        replace(good, size=4_294_967_295),
        AttachmentPointer(good.url.rpartition("/")[0] + "/99999999999", b"k" * 64, 5),
    ]
    bob.run("send", stranger.id, "you may send me files")
    for number, pointer in enumerate(bad):
        stranger.say(bob.id, f"{number}", files=[pointer])
    stranger.say(bob.id, "good", files=[good])
    folder = tmp_path / "saved"
    folder.mkdir()
    done = bob.try_run("recv", "--json", "--download", str(folder))
    assert done.code == 1
    shown = [found for found in objects(done) if found["type"] == "message"]
    assert bodies(shown) == [*map(str, range(len(bad))), "good"]
    assert len(done.stderr.splitlines()) == len(bad)
    assert all(line.startswith("session: A file of message") for line in done.stderr.splitlines())
    (saved,) = folder.iterdir()
    assert saved.read_bytes() == b"contents"
    assert objects(done)[-1]["attachments"][0]["saved"] == str(saved)


# Clocks.


@pytest.mark.parametrize("days", [3, -3])
def test_the_clock_jumps_between_runs(days: int, pair: Correspondence) -> None:
    """Everybody else's by days, which is what our own jumping the other way looks like; and back."""
    pair.send("before")
    pair.receive()
    jump = pair.net.chaos.inject(Clock(days * 86_400.0))
    for number in range(3):
        pair.try_send(f"during {number}")
        pair.try_receive()
    jump.remove()
    pair.settle()
