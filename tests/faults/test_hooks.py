"""Commands of `recv --exec` that hang, fail, flood, or are not there; texts that would like to be commands."""

from __future__ import annotations

import json
import os
import shlex
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from session_cli.cli.hook import VARIABLES
from session_cli.devnet.network import Devnet
from tests.support.devnet import SESSION, Person
from tests.support.memory import peak_kb
from tests.support.outcomes import bodies, check_json_refusal, check_message, check_refusal, run_with
from tests.support.strangers import Stranger
from tests.support.waiting import wait_until

People = Callable[[str], Person]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the commands are a shell's")


@pytest.fixture
def bob(person: People) -> Person:
    return person("Bob")


@pytest.fixture
def stranger(shared_net: Devnet) -> Stranger:
    return Stranger(shared_net)


def script(folder: Path, text: str, *, name: str = "hook", mode: int = 0o700) -> str:
    """A program for --exec; returns its path as a word of a command."""
    path = folder / name
    path.write_text(text)
    path.chmod(mode)
    return shlex.quote(str(path))


def alive(pid: int) -> bool:
    """Whether a process is there, and not only its remains."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


FAMILY = """#!/bin/sh
trap '' TERM
(trap '' TERM; echo child $(exec sh -c 'echo $PPID') >> "$LOG"; while :; do sleep 1; done) &
echo parent $$ >> "$LOG"
while :; do sleep 1; done
"""
"""A command that does not listen, with a child that does not either."""


def family(log: Path) -> list[int]:
    """The processes of a FAMILY; empty until all of it is there."""
    lines = log.read_text().splitlines() if log.exists() else []
    return [int(line.split()[1]) for line in lines] if len(lines) == 2 else []


def test_a_hook_that_hangs(bob: Person, stranger: Stranger, tmp_path: Path) -> None:
    stranger.say(bob.id, "one")
    bob.extra = {"LOG": str(tmp_path / "log")}
    done = bob.try_run("recv", "--exec", script(tmp_path, FAMILY), "--exec-timeout", "1")
    check_refusal(done, 1, "within 1 s", "stays unread")
    processes = family(tmp_path / "log")
    assert len(processes) == 2
    assert not any(map(alive, processes))
    assert bodies(bob.receive()) == ["one"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_whoever_ends_recv_ends_the_hook(
    number: signal.Signals, bob: Person, stranger: Stranger, tmp_path: Path
) -> None:
    stranger.say(bob.id, "one")
    bob.extra = {"LOG": str(tmp_path / "log")}
    process = bob.start("recv", "--exec", script(tmp_path, FAMILY), stderr=subprocess.PIPE)
    wait_until(lambda: bool(family(tmp_path / "log")))
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (-number, b"")
    assert not any(map(alive, family(tmp_path / "log")))
    assert bodies(bob.receive()) == ["one"]


def test_a_hook_that_listens_may_finish(bob: Person, stranger: Stranger, tmp_path: Path) -> None:
    """It and its children are asked first, and have time."""
    stranger.say(bob.id, "one")
    log = tmp_path / "log"
    bob.extra = {"LOG": str(log)}
    text = """#!/bin/sh
(trap 'sleep 0.3; echo cleared >> "$LOG"; exit' TERM; echo ready >> "$LOG"; while :; do sleep 0.05; done) &
wait
"""
    process = bob.start("recv", "--exec", script(tmp_path, text))
    wait_until(log.exists)
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=30)
    assert log.read_text().split() == ["ready", "cleared"]


def test_the_next_run_begins_with_what_failed(bob: Person, stranger: Stranger, tmp_path: Path) -> None:
    for body in ("one", "two", "three"):
        stranger.say(bob.id, body)
    log = tmp_path / "log"
    bob.extra = {"LOG": str(log)}
    hook = script(tmp_path, '#!/bin/sh\nprintf "%s\\n" "$SESSION_BODY" >> "$LOG"\n[ "$SESSION_BODY" != two ]\n')
    check_refusal(bob.try_run("recv", "--exec", hook), 1, "exit status was 1", "message 2", "stays unread")
    check_json_refusal(bob.try_run("recv", "--json", "--exec", hook), 1, "hook_failed")
    assert log.read_text().split() == ["one", "two", "two"]
    assert bodies(bob.receive()) == ["two", "three"]


@pytest.mark.parametrize("retries", [0, 1])
def test_what_fails_for_good_is_passed_over(retries: int, bob: Person, stranger: Stranger, tmp_path: Path) -> None:
    for body in ("one", "two", "three"):
        stranger.say(bob.id, body)
    log = tmp_path / "log"
    bob.extra = {"LOG": str(log)}
    hook = script(tmp_path, '#!/bin/sh\nprintf "%s\\n" "$SESSION_BODY" >> "$LOG"\n[ "$SESSION_BODY" != two ]\n')
    done = bob.try_run("recv", "--exec", hook, "--exec-retry", str(retries))
    assert done.code == 1
    check_message(done.stderr)
    assert "passed over" in done.stderr
    assert log.read_text().split() == ["one", "two", *["two"] * retries, "three"]
    assert bob.receive() == []


def test_a_hook_that_succeeds_at_last(bob: Person, stranger: Stranger, tmp_path: Path) -> None:
    stranger.say(bob.id, "one")
    bob.extra = {"LOG": str(tmp_path / "log")}
    hook = script(tmp_path, '#!/bin/sh\n[ -e "$LOG" ] || { touch "$LOG"; exit 7; }\n')
    done = bob.run("recv", "--exec", hook, "--exec-retry", "2")
    assert done.stderr == ""
    assert bob.receive() == []


def test_a_flood(bob: Person, stranger: Stranger, tmp_path: Path) -> None:
    """What the hook prints passes by us."""
    stranger.say(bob.id, "one")
    hook = "head -c 100000000 /dev/zero"
    assert peak_kb([*SESSION, "recv", "--exec", hook], bob.environment) < 150_000


@pytest.mark.parametrize(
    "command",
    [
        "true",
        "exec <&-; exit 0",
        "exec >&- 2>&-; read -r line",
        "head -c 1 > /dev/null",
        r"printf '\000\377\n\033[2J'",
        "sleep 30 > /dev/null 2>&1 & exit 0",
    ],
    ids=["does not read", "closes stdin", "closes stdout", "reads a byte", "prints rubbish", "leaves a child"],
)
def test_odd_but_no_failure(command: str, bob: Person, stranger: Stranger) -> None:
    for number in range(3):
        stranger.say(bob.id, f"{number} " + "x" * 1900)
    done = bob.run("recv", "--exec", command, "--exec-shell")
    assert done.stderr == ""
    assert bob.receive() == []


def test_programs_that_can_not_be_run(bob: Person, stranger: Stranger, tmp_path: Path) -> None:
    stranger.say(bob.id, "one")
    text = script(tmp_path, "#!/bin/sh\n", name="text", mode=0o600)
    check_refusal(bob.try_run("recv", "--exec", text), 2, "chmod +x")
    check_refusal(bob.try_run("recv", "--exec", "no-such-program --flag"), 2, "no-such-program")
    check_refusal(bob.try_run("recv", "--exec", "  "), 2, "--exec")
    check_refusal(bob.try_run("recv", "--exec", "it's"), 2, "--exec-shell")
    shell = bob.try_run("recv", "--exec", "no-such-program", "--exec-shell")
    assert shell.code == 1
    check_message(shell.stderr.splitlines(keepends=True)[-1])
    assert "127" in shell.stderr
    lost = script(tmp_path, "#!/no/such/interpreter\n", name="lost")
    check_refusal(bob.try_run("recv", "--exec", lost), 1, "can't be run", "stays unread")
    shapeless = script(tmp_path, "\x00\x01", name="shapeless")
    check_refusal(bob.try_run("recv", "--exec", shapeless), 1, "can't be run", "stays unread")
    killed = script(tmp_path, "#!/bin/sh\nkill -SEGV $$\n", name="killed")
    check_refusal(bob.try_run("recv", "--exec", killed), 1, "SIGSEGV", "stays unread")
    assert bodies(bob.receive()) == ["one"]


EVIL = [
    "$(touch {marker})",
    "`touch {marker}`; touch {marker} & touch {marker}\ntouch {marker}\n'\"'; touch {marker} #",
    "nul \0 in the middle",
    "-rf --help %s %n \\0 \\x41",
    "\u202etxt.exe \u2028 \x1b]0;title\x07 😀",
]


@pytest.mark.parametrize("locale", ["C.UTF-8", "POSIX", "ascii"])
def test_texts_are_only_texts(locale: str, bob: Person, stranger: Stranger, tmp_path: Path) -> None:
    marker, log = tmp_path / "marker", tmp_path / "log"
    evil = [text.format(marker=marker) for text in EVIL]
    bob.extra = {"LOG": str(log), "LC_ALL": locale, "SESSION_BODY": "not this"}
    if locale == "ascii":
        bob.extra = {**bob.extra, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    for text in evil:
        stranger.say(bob.id, text, name="$(touch {marker}) é")
    hook = script(tmp_path, '#!/bin/sh\ncat >> "$LOG"; env -0 > "$LOG.$SESSION_ID"\n')
    assert bob.run("recv", "-q", "--exec", f"{hook} '$(touch {marker})' ; touch {marker}").stderr == ""
    assert not marker.exists()
    events = [json.loads(line) for line in log.read_bytes().splitlines()]
    assert bodies(events) == evil
    for event in events:
        variables = dict(
            line.split("=", 1) for line in Path(f"{log}.{event['id']}").read_bytes().decode().split("\0")[:-1]
        )
        assert variables["SESSION_BODY"] == event["body"].replace("\0", "")
        assert variables["SESSION_TYPE"] == "message"
        assert variables["SESSION_HASH"] == event["hash"]
        assert variables["SESSION_DIRECTION"] == "incoming"
        assert variables["SESSION_CONVERSATION_TYPE"] == "contact"
        assert variables["SESSION_CONVERSATION_ID"] == variables["SESSION_SENDER_ID"] == stranger.id
        assert variables["SESSION_CONVERSATION_NAME"] == variables["SESSION_SENDER_NAME"] == event["sender"]["name"]
        assert variables["SESSION_TIMESTAMP"] == event["timestamp"]
        assert variables["SESSION_TIMESTAMP_MS"] == str(event["timestamp_ms"])
        assert variables["SESSION_REQUEST"] == "1"
        assert variables["SESSION_FILES"] == ""
        assert variables["SESSION_PROFILE"] == "default"
        # The proxy is the one that need not be there.
        assert {name for name in variables if name.startswith("SESSION_")} == {*VARIABLES, "SESSION_HOME"} - {
            "SESSION_PROXY"
        }
        assert variables["SESSION_HOME"] == str(bob.home)


def test_a_hook_that_answers(bob: Person, person: People) -> None:
    alice = person("Alice")
    for number in range(3):
        alice.run("send", bob.id, f"{number}")
    answer = f'{shlex.quote(SESSION[0])} send --quiet "$SESSION_SENDER_ID" "re: $SESSION_BODY"'
    assert bob.run("recv", "--exec", answer, "--exec-shell").stderr == ""
    assert bodies(alice.receive()) == [f"re: {number}" for number in range(3)]
    assert bob.receive() == []


def test_a_hook_that_receives(bob: Person, stranger: Stranger) -> None:
    """As the same reader it can't: the event is in our hands. As another one it sees everything."""
    for body in ("one", "two"):
        stranger.say(bob.id, body)
    program = shlex.quote(SESSION[0])
    nested = f"{program} recv --timeout 1 --json >&2; code=$?; {program} recv --cursor other --json; exit $code"
    done = bob.try_run("recv", "--exec", nested, "--exec-shell")
    assert done.code == 1
    inner, outer = done.stderr.splitlines()[-2:]
    assert "Waited 1 s" in inner
    assert "process " in inner
    assert "exit status was 75" in outer
    assert bodies(done.objects) == ["one", "two"]
    assert bodies(bob.receive()) == ["one", "two"]


def test_a_closed_output_is_not_the_hooks_next_file(bob: Person, stranger: Stranger, tmp_path: Path) -> None:
    """Or else what it prints would go into the first file that it opens."""
    stranger.say(bob.id, "one")
    log = tmp_path / "log"
    bob.extra = {"LOG": str(log)}
    hook = script(
        tmp_path, f"#!{sys.executable}\nimport os\nos.open(os.environ['LOG'], 65, 0o600)\nos.system('echo x')\n"
    )
    command = 'exec "$@" <&- >&-'
    done = subprocess.run(
        ["sh", "-c", command, "sh", *SESSION, "recv", "--exec", hook],
        env=bob.environment, stderr=subprocess.PIPE, check=True,
    )  # fmt: skip
    assert b"session" not in done.stderr
    assert log.read_text() == ""


def test_a_slow_hook_holds_up_its_own_reader_alone(bob: Person, stranger: Stranger, tmp_path: Path) -> None:
    stranger.say(bob.id, "one")
    stranger.say(bob.id, "two")
    log, go_on = tmp_path / "log", tmp_path / "go on"
    bob.extra = {"LOG": str(log), "GO_ON": str(go_on)}
    hook = script(tmp_path, '#!/bin/sh\ntouch "$LOG"\nwhile [ ! -e "$GO_ON" ]; do sleep 0.05; done\n')
    process = bob.start("recv", "--exec", hook)
    wait_until(log.exists)
    assert bodies(bob.receive("--cursor", "other")) == ["one", "two"]
    assert bodies(bob.receive("--peek")) == ["one", "two"]
    stranger.say(bob.id, "three")
    assert bodies(bob.receive("--cursor", "other")) == ["three"]
    done = bob.try_run("recv", "--timeout", "0.5")
    check_refusal(done, 75, "Waited 0.5 s to read as 'default'", f"process {process.pid}")
    check_json_refusal(bob.try_run("recv", "--json", "--timeout", "0.5"), 75, "store_locked")
    go_on.touch()
    assert process.wait(timeout=60) == 0
    assert bob.receive() == []


def test_the_hooks_files_are_as_they_were(bob: Person, stranger: Stranger, tmp_path: Path) -> None:
    """Our umask of none, and no descriptor of ours, for one the database's, reaches the hook."""
    stranger.say(bob.id, "one")
    log = tmp_path / "log"
    bob.extra = {"LOG": str(log)}
    hook = script(tmp_path, '#!/bin/sh\nls -l /proc/self/fd > "$LOG"\n')
    assert run_with(bob, "recv", "--exec", hook, umask=0o027).code == 0
    assert stat.S_IMODE(log.stat().st_mode) == 0o640
    assert str(bob.home) not in log.read_text()
    assert os.environ.get("HOME", "/nonexistent") + "/.local" not in log.read_text()


def test_what_is_printed_beside_has_been_handled(bob: Person, stranger: Stranger, tmp_path: Path) -> None:
    """However often the command fails before it succeeds, its event is printed once, and after that."""
    stranger.say(bob.id, "one")
    log = tmp_path / "log"
    for command, code in (("false", 1), ("false", 1), ("true", 0)):
        with log.open("ab") as out:
            assert run_with(bob, "recv", "--json", "--exec", command, "--print", stdout=out).code == code
    shown = [json.loads(line) for line in log.read_text().splitlines()]
    assert bodies([item for item in shown if item["type"] == "message"]) == ["one"]
    assert shown[-1]["type"] == "message"
