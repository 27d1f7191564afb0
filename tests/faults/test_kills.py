"""kill -9 at moments spread over the whole of what each command does: nothing is lost, and what is printed is true."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from session_cli.devnet.network import Devnet
from tests.support.devnet import Person
from tests.support.forks import kill_fork, moments, run_fork
from tests.support.outcomes import bodies, left_for_good
from tests.support.stores import check_store, open_store
from tests.support.strangers import Stranger

People = Callable[[str], Person]
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no kill -9")

PROFILES = 2
"""At once."""
KILLS = 60
"""Of each command, shared by the profiles."""
MESSAGES = 5
"""New ones for each run."""


def text(number: int) -> str:
    """A body of which two fit into a piece of output."""
    return f"text {number} " + "x" * (1 + number * 37 % 1500)


def on_each(people: list[Person], work: Callable[[Person], None]) -> None:
    """Do the same with several profiles at once."""
    with ThreadPoolExecutor(len(people)) as pool:
        for done in [pool.submit(work, person) for person in people]:
            done.result()


@pytest.fixture
def readers(person: People) -> list[Person]:
    """People for whom messages come; all have received before."""
    made = [person(f"Bob{number}") for number in range(PROFILES)]
    for bob in made:
        bob.run("recv")
    return made


def check_afterwards(person: Person) -> None:
    connection = open_store(person)
    try:
        check_store(connection)
        assert connection.execute("SELECT count(*) FROM readers WHERE writing IS NOT NULL").get == 0
    finally:
        connection.close()
    # What was learnt about the network is written anew by every run, and a file on its way there is worth nothing.
    assert left_for_good(person.home) == []


def kill_receivers(
    net: Devnet, bob: Person, out: Path, *options: str, after: Callable[[], object] = lambda: None
) -> list[str]:
    """Kill `recv` again and again, each with something to receive; at last let it end. Returns what was sent."""
    stranger, sent = Stranger(net), list[str]()

    def more() -> None:
        texts = [text(len(sent) + number) for number in range(MESSAGES)]
        for body in texts:
            stranger.say(bob.id, body)
        sent.extend(texts)

    durations = []
    for _ in range(3):
        more()
        done = run_fork(bob.environment, "recv", "--json", *options, out=out)
        assert done.status == 0, out.with_name(f"{out.name}.err").read_text()
        durations.append(done.seconds)
        after()
    killed = 0
    for delay in moments(sorted(durations)[1], KILLS // PROFILES):
        more()
        status = kill_fork(bob.environment, delay, "recv", "--json", *options, out=out, number=signal.SIGKILL)
        assert status in (0, -signal.SIGKILL), out.with_name(f"{out.name}.err").read_text()
        killed += status != 0
        after()
    assert killed > KILLS // PROFILES // 4, "most of the kills came too late"
    assert run_fork(bob.environment, "recv", "--json", *options, out=out).status == 0
    after()
    check_afterwards(bob)
    return sent


def test_receiving_into_a_file(readers: list[Person], shared_net: Devnet, tmp_path: Path) -> None:
    """Every event is in it once, in order, and every line is whole."""

    def work(bob: Person) -> None:
        out = tmp_path / f"{bob.id}.json"
        sent = kill_receivers(shared_net, bob, out)
        lines = out.read_bytes().split(b"\n")
        assert lines.pop() == b""
        assert [json.loads(line)["body"] for line in lines] == sent

    on_each(readers, work)


class Collector:
    """The other end of a pipe, which takes all that is written there."""

    def __init__(self, pipe: Path) -> None:
        self._pipe = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
        self._data = b""
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._collect)

    def __enter__(self) -> Collector:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        os.close(self._pipe)

    def _collect(self) -> None:
        while not self._over.is_set():
            if select.select([self._pipe], [], [], 0.1)[0]:
                self._read()

    def _read(self) -> None:
        with self._lock, suppress(BlockingIOError):
            while True:
                self._data += os.read(self._pipe, 65_536)

    def take(self) -> bytes:
        """What has been written since the last time."""
        self._read()
        with self._lock:
            data, self._data = self._data, b""
        return data


def test_receiving_into_a_pipe(readers: list[Person], shared_net: Devnet, tmp_path: Path) -> None:
    """Nothing is lost. What was written, and not yet noted, comes again: at most the last piece, and seldom."""

    def work(bob: Person) -> None:
        pipe = tmp_path / bob.id
        os.mkfifo(pipe)
        runs: list[list[str]] = []
        with Collector(pipe) as collector:

            def collect() -> None:
                # Whoever reads lines ignores a last one that has no end.
                lines = collector.take().split(b"\n")[:-1]
                runs.append([json.loads(line)["body"] for line in lines])

            sent = kill_receivers(shared_net, bob, pipe, after=collect)
        shown: list[str] = []
        doubled = 0
        for run in runs:
            again = [body for body in run if body in shown]
            if again:
                doubled += 1
                assert shown[-len(again) :] == again == run[: len(again)], "the last piece"
                assert sum(map(len, again)) < 4096
            shown += run[len(again) :]
        assert shown == sent
        assert doubled <= KILLS // PROFILES // 10

    on_each(readers, work)


def test_receiving_with_a_hook(readers: list[Person], shared_net: Devnet, tmp_path: Path) -> None:
    """Nothing is lost. The event in hand when recv is killed is handled again."""

    def work(bob: Person) -> None:
        log = tmp_path / f"{bob.id}.json"
        bob.extra = {"LOG": str(log)}
        hook = ("--exec", 'cat >> "$LOG"', "--exec-shell")
        sent = kill_receivers(shared_net, bob, tmp_path / f"{bob.id}.out", *hook)
        handled = [json.loads(line)["body"] for line in log.read_bytes().splitlines()]
        assert list(dict.fromkeys(handled)) == sent
        assert len(handled) - len(sent) <= KILLS // PROFILES
        for body, count in Counter(handled).items():
            first = handled.index(body)
            assert handled[first : first + count + 1].count(body) == count, "the event in hand"

    on_each(readers, work)


DOWN = ("--proxy", "socks5h://127.0.0.1:1")
"""Nobody listens there."""


def printed(out: Path) -> list[dict[str, Any]]:
    """What commands have printed to a file, without a last line that has no end."""
    return [json.loads(line) for line in out.read_bytes().split(b"\n")[:-1]]


@pytest.mark.parametrize("lines", [0, 4], ids=["one by one", "by lines"])
def test_sending_with_an_outbox(lines: int, person: People, tmp_path: Path) -> None:
    """What was printed as sent or queued arrives exactly once; nothing arrives twice."""
    bob = person("Bob")
    alices = [person(f"Alice{number}") for number in range(PROFILES)]

    def work(alice: Person) -> None:
        out, stdin = tmp_path / f"{alice.id}.json", tmp_path / f"{alice.id}.in"
        marker = alice.id[-8:]

        def arguments(index: int, *options: str) -> list[str]:
            if not lines:
                return ["send", "--json", "--queue", *options, bob.id, f"{marker} {index}"]
            stdin.write_text("".join(f"{marker} {index}.{line}\n" for line in range(lines)))
            return ["send", "--json", "--queue", "--lines", *options, bob.id]

        def flush(index: int, *options: str) -> list[str]:
            return ["outbox", "flush", "--json"]

        stdin.touch()
        ways: list[tuple[Callable[..., list[str]], tuple[str, ...]]] = [(arguments, ()), (arguments, DOWN), (flush, ())]
        durations = []
        for number, (make, options) in enumerate(ways):
            done = run_fork(alice.environment, *make(1000 + number, *options), out=out, stdin=stdin)
            assert done.status == 0
            durations.append(done.seconds)
        turns = [
            (way, delay)
            for way, duration in zip(ways, durations, strict=True)
            for delay in moments(duration, KILLS // PROFILES // (6 if lines else 3))
        ]
        random.Random(0).shuffle(turns)
        for index, ((make, options), delay) in enumerate(turns):
            status = kill_fork(
                alice.environment, delay, *make(index, *options), number=signal.SIGKILL, out=out, stdin=stdin
            )
            assert status in (0, -signal.SIGKILL), out.with_name(f"{out.name}.err").read_text()
        assert run_fork(alice.environment, "outbox", "flush", "--json", out=out).status == 0
        assert alice.run("outbox", "list").text == ""
        check_afterwards(alice)

    on_each(alices, work)
    arrived = Counter(bodies(bob.receive()))
    assert set(arrived.values()) == {1}
    for alice in alices:
        shown = printed(tmp_path / f"{alice.id}.json")
        assert {message["status"] for message in shown} == {"sent", "queued"}
        assert {message["body"] for message in shown} <= set(arrived)
        # Our own copies: another device sees each once, too, and nothing that did not arrive.
        laptop = Person(tmp_path / f"laptop of {alice.id}", alice.network)
        laptop.run("restore", stdin=alice.run("phrase", "--yes").stdout)
        mine = {body: count for body, count in arrived.items() if body.startswith(alice.id[-8:])}
        assert Counter(bodies(laptop.receive())) == mine
