"""Two people on a network that misbehaves, and the record of what they were told and shown."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from unittest.mock import patch

from session_cli.core import receiving
from session_cli.core.client import Client
from session_cli.devnet.faults import Fault
from session_cli.devnet.injections import Injection
from session_cli.devnet.network import Devnet, NodeHandle
from tests.support.devnet import Done, Person
from tests.support.events import message_of
from tests.support.outcomes import bodies, check_message, check_refusal, objects

SLACK_S = 3.0
"""By how much a command may miss its time-out: starting and ending a process takes a while on a busy machine."""
TIMEOUT_S = 20.0
MOST_TRIES = 30
MOST_POLLS = 10


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """What is done here must not take longer than so many seconds, and what a process needs beside."""
    begun = time.monotonic()
    yield
    took = time.monotonic() - begun
    assert took < seconds + SLACK_S, f"it took {took:.1f} s instead of {seconds:g} s"


@contextmanager
def opened(who: Person) -> Iterator[Client]:
    """A person's account in this process, where a poll costs no start of a program."""
    client = Client.open(network=str(who.network), environ=who.environment, timeout=TIMEOUT_S)
    try:
        yield client
    finally:
        client.close()


@dataclass(slots=True)
class Correspondence:
    """Alice writes to Bob. `sent` and `failed` are the texts that she was told to be so, `shown` what Bob saw.

    `said` is what stood on standard error, for those who look into a failed test.
    """

    net: Devnet
    alice: Person
    bob: Person
    sent: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def try_send(self, body: str, *, timeout: float = TIMEOUT_S, code: int = 75) -> Done:
        """Let Alice send a message. It ends in time: well, or (with this code) in one line that says why not."""
        with within(timeout):
            done = self.alice.try_run("send", "--timeout", f"{timeout:g}", self.bob.id, body)
        self.said.append(done.stderr)
        if done.code == 0:
            self.sent.append(body)
        else:
            check_refusal(Done(done.code, done.stdout, without_warning(done.stderr)), code)
            self.failed.append(body)
        return done

    def send(self, body: str, *, timeout: float = TIMEOUT_S) -> Done:
        """Let Alice send a message; it must succeed."""
        done = self.try_send(body, timeout=timeout)
        assert done.code == 0, done.stderr
        return done

    def send_in_vain(self, body: str, *mentioned: str, timeout: float = TIMEOUT_S, code: int = 75) -> Done:
        """Let Alice try to send a message; she must be told that it failed, in a line with these words."""
        done = self.try_send(body, timeout=timeout, code=code)
        assert done.code == code, f"{done.code} instead of {code}: {done.stderr}"
        for word in mentioned:
            assert word in done.stderr
        return done

    def send_until(self, struck: Injection, *, timeout: float = TIMEOUT_S) -> Done:
        """Send messages, all of them well, until a fault has struck that chance leads to. Returns the last."""
        for number in range(MOST_TRIES):
            done = self.send(f"{struck.fault.kind} {number}", timeout=timeout)
            if struck.hits:
                return done
        raise AssertionError(f"{struck} has never struck")

    def receive_until(self, struck: Injection, *, timeout: float = TIMEOUT_S) -> Done:
        """As `send_until`, when Bob receives."""
        for _ in range(MOST_TRIES):
            done = self.receive(timeout=timeout)
            if struck.hits:
                return done
        raise AssertionError(f"{struck} has never struck")

    def receive(self, *, timeout: float = TIMEOUT_S) -> Done:
        """Let Bob receive; it must succeed."""
        done = self.try_receive(timeout=timeout)
        assert done.code == 0, done.stderr
        return done

    def receive_until_shown(self) -> None:
        """Let Bob receive until he has seen all that was sent.

        He mostly asks the member that he asked before, and that one may be the one that lacks something. Every ten
        minutes he asks another one; here that time is over at once.
        """
        self.receive()
        if set(self.shown) >= set(self.sent):
            return
        with opened(self.bob) as bob, patch.object(receiving, "SECOND_OPINION_MS", -1):
            for _ in range(MOST_POLLS):
                self.shown += [message_of(event).body for event in bob.receive()]
                if set(self.shown) >= set(self.sent):
                    return
        raise AssertionError(f"{set(self.sent) - set(self.shown)} did not come; {self.said}")

    def try_receive(self, *, timeout: float = TIMEOUT_S, code: int = 75) -> Done:
        """Let Bob receive. It ends in time: well, or (with this code) in one line that says why not."""
        with within(timeout):
            done = self.bob.try_run("recv", "--json", "--timeout", f"{timeout:g}")
        if done.code == 0:
            self.shown += bodies(done.objects)
        else:
            assert done.code == code, done.stderr
            check_message(done.stderr)
            *messages, error = objects(done)
            assert (error["type"], error["code"]) == ("error", code)
            self.shown += bodies(messages)
        return done

    def settle(self, *, taken: tuple[str, ...] = ()) -> None:
        """Take all faults away: what was sent has been shown to Bob once, and nothing else has.

        Of what failed, `taken` may be there: the swarm has it, and its answer was lost.
        """
        self.net.chaos.clear()
        with opened(self.alice) as alice:
            self.sent.append(alice.send(self.bob.id, "after all").body)
            assert [message_of(event).body for event in alice.receive()] == [], "what we said ourselves is no news"
        self.receive_until_shown()
        with opened(self.bob) as bob:
            self.shown += [message_of(event).body for event in bob.receive()]
        counts = Counter(self.shown)
        assert {body: counts[body] for body in self.sent} == dict.fromkeys(self.sent, 1), self.said
        others = counts - Counter(self.sent)
        assert set(others) <= {*self.failed} & {*taken}, "what was reported as failed comes after all"
        assert set(others.values()) <= {1}

    # Who is where.

    @property
    def favourite(self) -> NodeHandle:
        """The member that Bob asked last, and will mostly ask again: he holds nothing against anybody."""
        # Once in a while others are asked besides, but not twice in a row.
        self.receive()
        self.receive()
        state_file(self.bob).write_text(json.dumps(state_of(self.bob) | {"strikes": {}}))
        return self.net.nodes[self.retrieved_from()[-1]]

    def let_ask_first(self, who: Person, node: NodeHandle) -> None:
        """Let a person hold something against all other members of Bob's swarm, so that this one is asked first."""
        others = {other.ed25519.hex() for other in self.members(self.bob)} - {node.ed25519.hex()}
        strikes = {other: [1, time.time()] for other in others}
        state_file(who).write_text(json.dumps(state_of(who) | {"strikes": strikes}))

    def retrieved_from(self, since: int = 0) -> list[int]:
        """The members that have answered polls since so many records of the log, in this order."""
        answered = [r for r in self.net.request_log[since:] if "retrieve" in r.parts and r.status == 200]
        return [record.node for record in answered if record.node is not None]

    @property
    def guards(self) -> list[NodeHandle]:
        """Alice's guards."""
        return guards_in(self.alice, self.net)

    def members(self, who: Person) -> list[NodeHandle]:
        """The swarm of a person."""
        return [self.net.nodes[member.index] for member in self.net.directory.swarm_of(who.id)[1]]


def without_warning(text: str) -> str:
    """Standard error of a failed send without what may stand before the error: that our own copy could not be had back.

    That takes another request, for which the trouble that failed the first may leave no way and no time.
    """
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("session: Not sent, but our own other devices"))


def label(fault: Fault) -> str:
    """A fault in the name of a test: its kind, and what is not as usual."""
    values = [(f.name, getattr(fault, f.name)) for f in fields(fault) if getattr(fault, f.name) != f.default]
    return "-".join([fault.kind, *(name if value is True else str(value) for name, value in values)])


def acquaint(net: Devnet, folder: Path) -> tuple[Person, Person]:
    """Two people who have met; in different swarms, so that what befalls one swarm leaves the other alone."""
    definition = folder / "network.toml"
    net.write_definition(definition)
    swarm_of = net.directory.swarm_of
    alice = bob = Person(folder / "alice", definition).init()
    number = 0
    while swarm_of(alice.id)[0] == swarm_of(bob.id)[0]:
        number += 1
        bob = Person(folder / f"bob{number}", definition).init()
    alice.run("send", bob.id, "first")
    assert bodies(bob.receive()) == ["first"]
    return alice, bob


def list_file(who: Person) -> Path:
    """Where the program keeps its list of nodes."""
    (path,) = [path for path in (who.home / "cache").glob("*.json") if not path.name.endswith(".state.json")]
    return path


def state_file(who: Person) -> Path:
    """Where the program keeps its guards and the rest of its experience."""
    (path,) = (who.home / "cache").glob("*.state.json")
    return path


def state_of(who: Person) -> dict[str, Any]:
    """What a person's program remembers of the network."""
    state: dict[str, Any] = json.loads(state_file(who).read_bytes())
    return state


def guards_in(who: Person, net: Devnet) -> list[NodeHandle]:
    """The guards of a person, in their order."""
    by_key = {node.ed25519.hex(): node for node in net.nodes}
    return [by_key[key] for key in state_of(who)["guards"]]


def known_nodes(who: Person) -> set[str]:
    """The identities (Ed25519 hex) in a person's list of nodes."""
    return {row[0] for row in json.loads(list_file(who).read_bytes())["nodes"]}


def age_list(who: Person, seconds: float = 3 * 3600) -> None:
    """Let the list of nodes be older, by three hours if nothing else is said: too old to go on with."""
    path = list_file(who)
    document = json.loads(path.read_bytes())
    document["fetched_s"] -= seconds
    path.write_text(json.dumps(document))
