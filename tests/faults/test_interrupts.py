"""Ctrl-C, a closed pipe, a kill at any moment: nothing is lost, nothing comes twice, nothing lies about."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from session_cli import Client
from session_cli.devnet.network import Devnet
from tests.support.contract import json_object
from tests.support.devnet import SESSION, Person
from tests.support.events import message_of
from tests.support.outcomes import assert_absent, bodies, left_for_good, objects
from tests.support.strangers import Stranger

People = Callable[[str], Person]
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGKILL]
MOMENTS = 6


def interrupted(person: Person, number: signal.Signals, delay: float, *arguments: str, **options: Any) -> bytes:
    """Run a command, signal it after `delay` seconds, and return what it had printed."""
    settings: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = person.start(*arguments, **settings | options)
    try:
        process.wait(delay)
    except subprocess.TimeoutExpired:
        process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    if b"KeyboardInterrupt" in errors and b"session_cli" not in errors:
        assert not output, errors.decode()
        return b""  # Python itself was still starting
    assert b"Traceback" not in errors, errors.decode()
    assert process.returncode in (0, -number), errors
    return bytes(output)


def moments(duration: float) -> list[float]:
    """Moments spread over a run that takes so long when nobody disturbs it."""
    return [duration * (number + 0.5) / MOMENTS for number in range(MOMENTS)]


def duration_of(person: Person, *arguments: str) -> float:
    """How long a run takes that is started as those are which will be interrupted, the interpreter included."""
    begun = time.monotonic()
    process = person.start(*arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    assert process.wait(60) == 0
    return time.monotonic() - begun


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_sending(number: signal.Signals, person: People, tmp_path: Path) -> None:
    alice, bob = person("Alice"), person("Bob")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    alice.extra = {"TMPDIR": str(scratch)}
    confirmed = ["undisturbed"]
    for index, delay in enumerate(moments(duration_of(alice, "send", bob.id, "undisturbed"))):
        text = f"secret text {index}"
        if interrupted(alice, number, delay, "send", bob.id, text):
            confirmed.append(text)
    alice.run("send", bob.id, "last")
    arrived = Counter(bodies(bob.receive()))
    assert max(arrived.values()) == 1
    assert {*confirmed, "last"} <= set(arrived)
    assert list(scratch.iterdir()) == []
    assert left_for_good(alice.home) == []
    assert_absent(alice.home, b"secret text")


@pytest.mark.parametrize("number", [*SIGNALS, signal.SIGPIPE], ids=lambda number: number.name)
def test_receiving(number: signal.Signals, person: People, shared_net: Devnet, tmp_path: Path) -> None:
    bob, stranger = person("Bob"), Stranger(shared_net)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    bob.extra = {"TMPDIR": str(scratch)}
    sent = []
    for index in range(30):
        stranger.say(bob.id, f"before {index}")
    duration = duration_of(bob, "recv", "--peek")
    shown: Counter[str] = Counter()
    for index, delay in enumerate(moments(duration)):
        for part in range(3):
            stranger.say(bob.id, f"secret text {index}.{part}")
            sent.append(f"secret text {index}.{part}")
        output = interrupted(bob, number, delay, "recv", "--json")
        # Whoever reads lines ignores a last one that has no end.
        shown.update(json_object(line)["body"] for line in output.split(b"\n")[:-1])
    shown.update(bodies(bob.receive()))
    assert set(shown) == {*sent, *(f"before {index}" for index in range(30))}
    assert bob.receive() == []
    second = Person(tmp_path / "laptop", bob.network)
    second.run("restore", stdin=bob.run("phrase", "--yes").stdout)
    assert Counter(bodies(second.receive())) == Counter(dict.fromkeys(shown, 1)), "the swarm's view"
    assert list(scratch.iterdir()) == []
    assert left_for_good(bob.home) == []
    assert_absent(bob.home, b"secret text", b"before ")


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_sending_a_file(number: signal.Signals, person: People, tmp_path: Path) -> None:
    alice, bob = person("Alice"), person("Bob")
    file, scratch = tmp_path / "file", tmp_path / "scratch"
    marker = os.urandom(32)
    file.write_bytes(marker + b"secret contents of a file " * 100_000)
    scratch.mkdir()
    alice.extra = {"TMPDIR": str(scratch)}
    undisturbed = duration_of(alice, "attach", "send", bob.id, str(file), "--caption", "undisturbed")
    for index, delay in enumerate(moments(undisturbed)):
        interrupted(alice, number, delay, "attach", "send", bob.id, str(file), "--caption", str(index))
    alice.run("attach", "send", bob.id, str(file), "--caption", "last")
    messages = bob.receive()
    assert max(Counter(bodies(messages)).values()) == 1
    assert {"undisturbed", "last"} <= set(bodies(messages))
    assert all(len(message["attachments"]) == 1 for message in messages)
    assert list(scratch.iterdir()) == []
    assert left_for_good(alice.home) == []
    assert_absent(alice.home, marker, b"secret contents")


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_saving_a_file(number: signal.Signals, person: People, tmp_path: Path) -> None:
    alice = person("Alice")
    data = os.urandom(32) + b"secret contents of a file " * 100_000
    folder, scratch = tmp_path / "saved", tmp_path / "scratch"
    folder.mkdir()
    scratch.mkdir()
    alice.extra = {"TMPDIR": str(scratch)}
    alice.run("attach", "send", "me", "-", "--name", "a.bin", stdin=data)
    undisturbed = duration_of(alice, "attach", "save", "1", "-o", str(folder))
    for delay in moments(undisturbed):
        interrupted(alice, number, delay, "attach", "save", "1", "-o", str(folder))
        interrupted(alice, number, delay, "attach", "save", "1", "-o", str(folder / "a.bin"), "--force")
    alice.run("attach", "save", "1", "-o", str(folder))
    if number == signal.SIGKILL:
        alice.run("attach", "save", "1", "-o", str(folder / "a.bin"), "--force")
    for path in folder.iterdir():
        assert path.read_bytes() == data, f"{path.name} is not whole"
    assert list(scratch.iterdir()) == []
    assert left_for_good(alice.home) == []
    assert_absent(alice.home, data[:32], b"secret contents")


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_making_an_account(number: signal.Signals, shared_definition: Path, tmp_path: Path) -> None:
    """Afterwards there is a whole account or none; never half of one that nobody can open or make anew."""
    duration = duration_of(Person(tmp_path / "first", shared_definition), "init", "--quiet")
    for index, delay in enumerate(moments(duration)):
        home = Person(tmp_path / str(index), shared_definition)
        interrupted(home, number, delay, "init", "--quiet")
        if home.try_run("whoami").code == 78:
            home.run("init", "--quiet")
        home.run("phrase", "--yes")
        keys = list((home.home / "config" / "keys").iterdir())
        assert len(keys) == 1 or number == signal.SIGKILL, "no key that opens nothing"


def test_head_loses_nothing(person: People, shared_net: Devnet) -> None:
    bob, stranger = person("Bob"), Stranger(shared_net)
    sent = [f"text {index}" for index in range(6)]
    for text in sent:
        stranger.say(bob.id, text)
    shown = []
    for _ in sent:
        done = subprocess.run(
            ["sh", "-c", '"$@" recv --json | head -n 1', "sh", *SESSION],
            env=bob.environment,
            capture_output=True,
            check=True,
            timeout=60,
        )
        assert done.stderr == b""
        shown += [json_object(line)["body"] for line in done.stdout.splitlines()]
    # What is in the pipe when its reader leaves counts as shown: no writer can know better. The store has it still.
    assert shown[0] == sent[0]
    assert [text for text in sent if text in shown] == list(dict.fromkeys(shown)), "in order"
    with Client.open(environ=bob.environment) as client:
        assert [message_of(event).body for event in client.receive(reader="audit")] == sent


def test_a_reader_that_leaves_is_a_broken_pipe(person: People, shared_net: Devnet) -> None:
    bob, stranger = person("Bob"), Stranger(shared_net)
    stranger.say(bob.id, "one")
    reading, writing = os.pipe()
    os.close(reading)
    try:
        process = bob.start("recv", stdout=writing, stderr=subprocess.PIPE)
    finally:
        os.close(writing)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (-signal.SIGPIPE, b"")
    assert bodies(bob.receive()) == ["one"]


@pytest.mark.parametrize("readers", [2, 5])
def test_readers_at_once_share_the_messages(readers: int, person: People, shared_net: Devnet) -> None:
    bob, stranger = person("Bob"), Stranger(shared_net)
    sent = [f"text {index}" for index in range(40)]
    for text in sent[:20]:
        stranger.say(bob.id, text)
    started = [bob.start("recv", "--json", stdout=subprocess.PIPE) for _ in range(readers)]
    for text in sent[20:]:
        stranger.say(bob.id, text)
    shown: list[str] = []
    for process in started:
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        shown += [json_object(line)["body"] for line in output.splitlines()]
    shown += bodies(bob.receive())
    assert Counter(shown) == Counter(sent)


def test_many_senders_at_once(person: People) -> None:
    alice, bob = person("Alice"), person("Bob")
    texts = [f"text {index}" for index in range(8)]
    started = [alice.start("send", "--json", bob.id, text, stdout=subprocess.PIPE) for text in texts]
    times = []
    for process in started:
        output, _ = process.communicate(timeout=90)
        assert process.returncode == 0
        times.append(json_object(output)["timestamp_ms"])
    assert len(set(times)) == len(texts)
    assert Counter(bodies(bob.receive())) == Counter(texts)
    assert alice.receive() == []


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals")
def test_waiting_ends_at_once(person: People) -> None:
    """However long it was to wait."""
    bob = person("Bob")
    process = bob.start("-v", "recv", "--wait", "600", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stderr is not None
    process.stderr.readline()
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert time.monotonic() - begun < 5
    assert objects(bob.run("recv", "--json")) == []
