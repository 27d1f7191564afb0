"""Every kind of failure has its exit code, one line on stderr, and with --json one object on stdout."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from session_cli.devnet.network import Devnet
from session_cli.protocol.account import Identity
from tests.support.devnet import SESSION, Person
from tests.support.outcomes import check_json_refusal, check_refusal, objects, run_with
from tests.support.strangers import Stranger, upload

People = Callable[[str], Person]
NOBODY = Identity.generate().account_id


@pytest.fixture
def nowhere(tmp_path: Path) -> Person:
    """Somebody without an account, and with a network that is not there."""
    return Person(tmp_path / "nowhere", tmp_path / "no-network.toml")


def both(person: Person, code: int, slug: str, *arguments: str, stdin: bytes = b"") -> str:
    """Run a command that fails without and with --json; returns the message."""
    check_refusal(person.try_run(*arguments, stdin=stdin), code)
    message: str = check_json_refusal(person.try_run(*arguments, "--json", stdin=stdin), code, slug)["message"]
    return message


def test_0_done(person: People) -> None:
    alice = person("Alice")
    assert alice.run("whoami").stderr == ""
    assert alice.run("recv").text == ""


def test_1_nothing_came(person: People) -> None:
    done = person("Alice").try_run("recv", "--fail-empty", "--json")
    assert (done.code, done.stdout, done.stderr) == (1, b"", "")


@pytest.mark.parametrize(
    "arguments",
    [
        ("sedn", "me", "hi"),
        ("send",),
        ("send", "me", "hi", "there"),
        ("send", "me", "hi", "--no-such-option"),
        ("send", "me", "hi", "--quote", "first"),
        ("recv", "--wait"),
        ("recv", "--wait", "-1"),
        ("recv", "--wait", "soon"),
        ("recv", "--timeout", "0"),
        ("recv", "--timeout", "nan"),
        ("recv", "--color", "blue"),
        ("recv", "--proxy", "nonsense"),
        ("recv", "--proxy", "socks5h://127.0.0.1:1", "--tor"),
        ("attach", "send", "me"),
        ("attach", "save", "first"),
        ("attach", "save", "1", "--number", "0"),
        ("attach", "sned", "me"),
        ("init", "--words", "14", "--profile", "other"),
        ("init", "--words", "25", "--profile", "other"),
        ("init", "--key", "pocket", "--profile", "other"),
        ("init", "--key", "command", "--profile", "other"),
        ("init", "--key", "keyfile", "--key-command", "cat", "--profile", "other"),
        ("init", "--profile", "../escape"),
        ("devnet", "run", "--nodes", "3"),
        ("devnet", "exec"),
        ("phrase", "--yes", "--words", "24"),
        ("phrase",),
        ("devnet",),
        ("attach",),
        (),
    ],
    ids=" ".join,
)
def test_2_usage(arguments: tuple[str, ...], person: People) -> None:
    alice = person("Alice")
    both(alice, 2, "usage", *arguments)


def test_2_waiting_for_no_number_of_seconds(person: People) -> None:
    check_refusal(run_with(person("Alice"), "recv", "--wait", "nan", timeout=15), 2)


def test_65_bad_data(nowhere: Person, person: People) -> None:
    both(person("Alice"), 65, "invalid_account_id", "send", "05aa", "hi")
    both(nowhere, 65, "invalid_phrase", "restore", stdin=b"not a phrase\n")


def test_66_input_unreadable(nowhere: Person, person: People) -> None:
    assert "/no/such/file" in both(person("Alice"), 66, "unreadable_input", "attach", "send", "me", "/no/such/file")
    assert "/no/such/file" in both(nowhere, 66, "unreadable_input", "restore", "--phrase-file", "/no/such/file")


def test_69_refused_for_good(person: People, shared_net: Devnet, shared_definition: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    alice, stranger = person("Alice"), Stranger(shared_net)
    pointer = upload(shared_definition, tmp_path / "cache", b"data")
    gone = replace(pointer, url=pointer.url.rpartition("/")[0] + "/1234567890")
    stranger.say(alice.id, files=[gone])
    (message,) = alice.receive()
    assert "no longer" in both(alice, 69, "file_gone", "attach", "save", str(message["id"]), "-o", str(tmp_path))


def test_73_there_already(person: People) -> None:
    alice = person("Alice")
    both(alice, 73, "profile_exists", "init", "--quiet")
    both(alice, 73, "profile_exists", "restore", "--quiet", stdin=alice.run("phrase", "--yes").stdout)
    assert alice.run("whoami", "--quiet").text.strip() == alice.id


def test_73_says_nothing_of_a_key_that_was_not_made(person: People) -> None:
    check_refusal(person("Alice").try_run("init"), 73, "default")


def test_74_output_full(person: People) -> None:
    alice = person("Alice")
    with Path("/dev/full").open("wb") as full:
        done = run_with(alice, "whoami", stdout=full)
    check_refusal(done, 74, "No space left")


def test_75_network_down(tmp_path: Path, shared_definition: Path) -> None:
    import re

    definition = tmp_path / "dead.toml"
    text = re.sub(r'url = "https://127.0.0.1:\d+"', 'url = "https://127.0.0.1:1"', shared_definition.read_text())
    definition.write_text(text)
    alice = Person(tmp_path / "alice", definition).init()
    for command in (("send", "me", "hi"), ("recv",)):
        message = both(alice, 75, "network_unreachable", *command)
        assert "devnet" in message, "which network it is"


def test_77_wrong_passphrase(tmp_path: Path, shared_definition: Path) -> None:
    alice = Person(tmp_path / "alice", shared_definition, extra={"SESSION_PASSPHRASE": "right"})
    alice.init("--key", "passphrase")
    alice.extra = {"SESSION_PASSPHRASE": "wrong-one"}
    assert "wrong-one" not in both(alice, 77, "wrong_key", "whoami")
    alice.extra = {}
    assert "SESSION_PASSPHRASE" in both(alice, 77, "key_unavailable", "whoami")


@pytest.mark.parametrize(
    "command", [("whoami",), ("phrase", "--yes"), ("send", "me", "hi"), ("recv",), ("attach", "list")]
)
def test_78_no_account(command: tuple[str, ...], nowhere: Person) -> None:
    assert "session init" in both(nowhere, 78, "no_account", *command)
    assert not nowhere.home.exists(), "asking makes nothing"


def test_70_a_bug_shows_no_values(person: People) -> None:
    """It says where to look, and not what was there."""
    alice = person("Alice")
    script = (
        "from session_cli.core.client import Client; from session_cli.__main__ import main;"
        "Client.account_id = property(lambda self: 1 / 0); main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "whoami", "-vv", "--json"],
        env=alice.environment,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 70
    assert json.loads(done.stdout)["error"] == "bug"
    assert b"ZeroDivisionError" in done.stderr
    assert b"Traceback" not in done.stderr


def test_130_ctrl_c(person: People) -> None:
    assert _code_by(signal.SIGINT, person("Alice")) == 130


def test_143_sigterm(person: People) -> None:
    assert _code_by(signal.SIGTERM, person("Alice")) == 143


def _code_by(number: signal.Signals, alice: Person) -> int:
    """What a shell makes of a `session` that is ended by a signal while it waits."""
    with alice.start("-v", "recv", "--wait", "60", stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert process.stderr.readline()
        process.send_signal(number)
        process.stderr.read()
        return 128 - process.wait(timeout=60)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_signals_end_it_as_signals_do(number: signal.Signals, code: int, person: People) -> None:
    """The process dies of the signal itself; a shell makes 128 + number of that."""
    from tests.support.waiting import wait_until

    alice = person("Alice")
    process = alice.start("-v", "recv", "--wait", "60", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stderr is not None
    first = process.stderr.readline()
    process.send_signal(number)
    output, errors = process.communicate(timeout=20)
    assert first, "it had begun to work"
    assert process.returncode == -number
    assert output == b""
    assert b"Traceback" not in errors
    wait_until(lambda: alice.try_run("whoami").code == 0)
    script = f'"$@" -v recv --wait 60 2>fifo & pid=$!; head -c1 fifo >/dev/null; kill -{int(number)} $pid; wait $pid'
    if number == signal.SIGINT:
        return  # a shell without job control starts what runs in the background with SIGINT ignored
    os.mkfifo(alice.home / "fifo")
    done = subprocess.run(["sh", "-c", script, "sh", *SESSION], cwd=alice.home, env=_importable(alice), check=False)
    assert done.returncode == code


def _importable(person: Person) -> dict[str, str]:
    return {**person.environment, "PYTHONPATH": str(Path(__file__).parents[2])}


def test_an_ignored_interrupt_stays_ignored(person: People) -> None:
    """As after `nohup`, or in the background of a script: what the parent had ignored is none of our business."""
    alice = person("Alice")
    script = "trap '' INT HUP; exec \"$@\" -v recv --wait 1"
    process = subprocess.Popen(
        ["sh", "-c", script, "sh", *SESSION],
        env=_importable(alice),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    assert process.stderr.readline()
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 0


GLOBAL_OPTIONS = [
    ("--json",),
    ("--quiet",),
    ("--profile", "nobody"),
    ("--network", "/no/such/file"),
    ("--proxy", "nonsense"),
    ("--timeout", "0.001"),
    ("--color", "always"),
    ("--no-input",),
    ("--version",),
    ("--help",),
]


@pytest.mark.parametrize("option", GLOBAL_OPTIONS, ids=" ".join)
def test_options_mean_the_same_before_and_after_the_command(option: tuple[str, ...], person: People) -> None:
    alice = person("Alice")
    for command in (("recv",), ("whoami",)):
        before, after = alice.try_run(*option, *command), alice.try_run(*command, *option)
        if option == ("--help",):
            assert before.code == after.code == 0
        else:
            assert before == after


@pytest.mark.parametrize("option", [("--json",), ("--profile", "nobody")], ids=" ".join)
def test_options_may_stand_between_the_words_of_a_command(option: tuple[str, ...], person: People) -> None:
    alice = person("Alice")
    assert alice.try_run("attach", *option, "list") == alice.try_run("attach", "list", *option)


def test_verbose_is_no_secret_teller(person: People) -> None:
    alice, bob = person("Alice"), person("Bob")
    phrase = alice.run("phrase", "--yes").text.split()
    said = alice.run("-vv", "send", bob.id, "a very private text").stderr
    said += bob.run("-vv", "recv").stderr + bob.try_run("-vv", "attach", "save", "1").stderr
    said += alice.run("-v", "send", bob.id[:12], "another private text").stderr
    assert said.count("\n") > 5, "it said something"
    for secret in (alice.id, bob.id, alice.id[2:14], bob.id[2:14], "private", "Alice", "Bob", " ".join(phrase[:2])):
        assert secret not in said


@pytest.mark.parametrize("failing", [("send", "05aa", "hi"), ("attach", "save", "77")], ids=" ".join)
def test_twice_verbose_shows_places_and_no_values(failing: tuple[str, ...], person: People) -> None:
    done = person("Alice").try_run("-vv", *failing)
    assert done.code == 65
    assert ".py:" in done.stderr
    assert "Traceback" not in done.stderr


def test_quiet_says_nothing_but_errors(person: People, tmp_path: Path) -> None:
    alice = person("Alice")
    assert alice.run("send", "me", "hi", "--quiet").stderr == ""
    assert alice.run("recv", "--quiet").stderr == ""
    new = Person(tmp_path / "new", alice.network)
    made = new.run("init", "--quiet", "--phrase-file", str(tmp_path / "phrase"))
    assert (made.stderr, len(made.lines)) == ("", 1)
    check_refusal(alice.try_run("send", "--quiet", "nobody", "hi"), 65)


BARE: list[dict[str, str]] = [
    {},
    {"LC_ALL": "POSIX"},
    {"LC_ALL": "xx_YY.ISO-8859-1"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"HOME": "/nonexistent", "TERM": "dumb"},
]


@pytest.mark.parametrize("surroundings", BARE, ids=str)
def test_bare_surroundings_change_no_byte(surroundings: dict[str, str], person: People, tmp_path: Path) -> None:
    alice, text = person("Alice"), "Grüße 👩‍🚀 العربية 中文"
    bob = Person(tmp_path / "bob", alice.network, extra=surroundings)
    bob.init("--name", "Bób 🐻")
    bob.run("send", alice.id, text)
    bob.run("send", alice.id, "-", stdin=text.encode())
    alice.run("send", bob.id, text)
    first, second = alice.receive("--type", "message")
    assert first["body"] == second["body"] == text
    assert first["sender"]["name"] == "Bób 🐻"
    assert text.encode() in bob.run("recv", "--peek").stdout
    assert objects(bob.run("recv", "--json"))[-1]["body"] == text
    refused = bob.try_run("send", "Frédéric 👩‍🚀", "hi")
    assert refused.code == 65
    assert refused.stderr.count("\n") == 1
    assert refused.stderr.startswith("session: Nobody ")


def test_no_environment_at_all(tmp_path: Path) -> None:
    """Not even PATH or HOME: it still finds where to say that there is no account."""
    done = subprocess.run([*SESSION, "--version"], env={}, capture_output=True, cwd=Path.cwd(), check=False)
    assert done.returncode == 0
    done = subprocess.run(
        [*SESSION, "--profile", "surely-nobody", "whoami"], env={}, capture_output=True, cwd=Path.cwd(), check=False
    )
    assert done.returncode == 78
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("descriptor", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_closed_standard_streams(descriptor: str, person: People) -> None:
    alice = person("Alice")
    script = f'"$@" whoami {descriptor}'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *SESSION], env=_importable(alice), capture_output=True, check=False, timeout=30
    )
    assert b"Traceback" not in done.stderr
    assert done.returncode in ((0,) if "1>" not in descriptor else (0, 74))
    if "1>" not in descriptor:
        assert alice.id.encode() in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="a matter of terminals")
def test_nobody_is_asked_without_input(person: People) -> None:
    """On a terminal, with --no-input: no question, and the same refusal as without a terminal."""
    import pty

    alice = person("Alice")
    master, slave = pty.openpty()
    try:
        for command in (("phrase", "--no-input"), ("restore", "--no-input", "--profile", "new")):
            done = run_with(alice, *command, stdin=slave)
            check_refusal(done, 2)
    finally:
        os.close(master)
        os.close(slave)
