"""`send` to several people, in several parts, line by line, and into the outbox."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from session_cli.devnet.faults import Drop, InnerStatus
from session_cli.devnet.network import Devnet
from tests.support.devnet import Person
from tests.support.outcomes import bodies, check_refusal

People = Callable[[str], Person]


@pytest.fixture
def couple(private_net: Devnet, tmp_path: Path) -> tuple[Person, Person]:
    """Two people who have used a network that a test may break."""
    definition = tmp_path / "network.toml"
    private_net.write_definition(definition)
    alice, bob = (Person(tmp_path / name, definition).init("--name", name.title()) for name in ("alice", "bob"))
    alice.run("send", bob.id, "first")
    assert bodies(bob.receive()) == ["first"]
    return alice, bob


def others(who: Person, folder: Path) -> Iterator[Person]:
    """Ever more people on somebody's network."""
    for number in range(20):
        yield Person(folder / str(number), who.network).init()


def swarm(net: Devnet, who: Person) -> int:
    """The number of somebody's swarm."""
    return net.directory.swarm_of(who.id)[0]


@pytest.fixture
def crowd(couple: tuple[Person, Person], private_net: Devnet, tmp_path: Path) -> tuple[Person, Person, Person]:
    """Alice, Bob, and Carol, whose swarm is neither's."""
    alice, bob = couple
    taken = {swarm(private_net, alice), swarm(private_net, bob)}
    return alice, bob, next(carol for carol in others(alice, tmp_path) if swarm(private_net, carol) not in taken)


# Several recipients.


def test_several_recipients_get_a_message_each(person: People) -> None:
    alice, bob, carol = person("Alice"), person("Bob"), person("Carol")
    sent = alice.run("send", "--json", bob.id, "--to", carol.id, "--to", bob.id, "hello").objects
    assert [message["conversation"]["id"] for message in sent] == [bob.id, carol.id]
    assert {message["status"] for message in sent} == {"sent"}
    assert len({message["timestamp_ms"] for message in sent}) == 2
    assert bodies(bob.receive()) == bodies(carol.receive()) == ["hello"]


def test_a_file_is_uploaded_once_for_all(person: People, shared_net: Devnet, tmp_path: Path) -> None:
    alice, bob, carol = person("Alice"), person("Bob"), person("Carol")
    file = tmp_path / "a.txt"
    file.write_text("for both")
    alice.run("send", bob.id, "--to", carol.id, "--attach", str(file))
    for who in (bob, carol):
        (message,) = who.receive()
        assert who.run("attach", "save", str(message["id"]), "-o", "-").stdout == b"for both"


def test_nobody_gets_anything_if_one_is_unknown(person: People) -> None:
    alice, bob = person("Alice"), person("Bob")
    check_refusal(alice.try_run("send", bob.id, "--to", "Nobody", "hello"), 65, "Nobody")
    assert bob.receive() == []


def test_a_partial_success_is_1(crowd: tuple[Person, Person, Person], private_net: Devnet) -> None:
    alice, bob, carol = crowd
    private_net.chaos.kill(swarm=carol.id)
    done = alice.try_run("send", "--json", "--timeout", "20", carol.id, "--to", bob.id, "hello")
    assert done.code == 1
    error, message = done.objects
    assert (error["type"], error["code"], error["recipient"]) == ("error", 75, {"id": carol.id})
    assert (message["type"], message["conversation"]["id"]) == ("message", bob.id)
    # A dead swarm is part of others' ways; what is said of those is another matter.
    (line,) = (line for line in done.stderr.splitlines() if "Sent, but" not in line)
    assert line.startswith(f"session: Not sent to {carol.id}: ")
    private_net.chaos.clear()
    assert bodies(bob.receive()) == ["hello"]
    assert carol.receive() == []


def test_where_nobody_is_reached_the_code_says_why(couple: tuple[Person, Person], private_net: Devnet) -> None:
    alice, bob = couple
    private_net.chaos.kill()
    done = alice.try_run("send", "--timeout", "2", bob.id, "--to", "me", "hello")
    assert (done.code, done.stdout) == (75, b"")
    assert done.stderr.count("session: Not sent to") == 2


# Long texts.


def test_a_long_text_is_refused_or_split(person: People) -> None:
    alice, bob = person("Alice"), person("Bob")
    text = "\n\n".join(f"{number} " + "word " * 150 for number in range(8)).strip()
    check_refusal(alice.try_run("send", bob.id, text), 65, "2,000", "--split")
    assert bob.receive() == []
    ids = alice.run("send", "--split", bob.id, "-", stdin=text.encode()).lines
    parts = bodies(bob.receive())
    assert len(parts) == len(ids) > 3
    assert all(len(part) <= 2000 for part in parts)
    assert " ".join(" ".join(parts).split()) == " ".join(text.split())
    assert alice.run("send", "--split", bob.id, "short").lines == [str(int(ids[-1]) + 1)]


# Lines.


def test_lines_come_in_order(person: People) -> None:
    alice, bob = person("Alice"), person("Bob")
    texts = [f"line {number}" for number in range(25)]
    done = alice.run("send", bob.id, "--lines", stdin="\n".join(texts).encode())
    assert len(done.lines) == 25
    assert bodies(bob.receive()) == texts


def test_a_line_goes_out_as_it_comes(person: People) -> None:
    alice, bob = person("Alice"), person("Bob")
    with alice.start("send", bob.id, "--lines", stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        for text in ("one", "two"):
            process.stdin.write(text.encode() + b"\n")
            process.stdin.flush()
            assert process.stdout.readline().strip().isdigit()
            assert bodies(bob.receive()) == [text]
        process.stdin.close()
        assert process.wait(timeout=60) == 0


def test_bursts_are_merged(person: People) -> None:
    alice, bob = person("Alice"), person("Bob")
    with alice.start("send", bob.id, "--lines", "--batch-seconds", "1", stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(b"one\n\ntwo\nthree\n" + b"x" * 1995 + b"\nlast")
        process.stdin.close()
        assert process.wait(timeout=60) == 0
    assert bodies(bob.receive()) == ["one\ntwo\nthree", "x" * 1995 + "\nlast"]


def test_a_line_that_is_no_message_stops_nothing(person: People) -> None:
    alice, bob = person("Alice"), person("Bob")
    done = alice.try_run("send", bob.id, "--lines", stdin=b"one\n" + b"x" * 2001 + b"\n\xff is shown\r\n")
    assert done.code == 1
    assert done.stderr.count("\n") == 1 and "2,000" in done.stderr
    assert bodies(bob.receive()) == ["one", "\\xff is shown"]


def test_lines_end_where_the_network_does(couple: tuple[Person, Person], private_net: Devnet) -> None:
    alice, bob = couple
    private_net.chaos.kill()
    done = alice.try_run("send", bob.id, "--lines", "--timeout", "2", stdin=b"one\ntwo\n")
    assert (done.code, done.stdout) == (75, b"")
    assert "Ended at the line: one" in done.stderr
    done = alice.run("send", bob.id, "--lines", "--queue", "--timeout", "2", stdin=b"three\nfour\n")
    assert len(done.lines) == 2
    private_net.chaos.clear()
    alice.run("outbox", "flush")
    assert bodies(bob.receive()) == ["three", "four"]


@pytest.mark.parametrize(
    "arguments",
    [["me", "text", "--lines"], ["me", "--lines", "--attach", os.devnull], ["me", "text", "--batch-seconds", "1"]],
)
def test_what_makes_no_sense_with_lines(arguments: list[str], person: People) -> None:
    check_refusal(person("Alice").try_run("send", *arguments), 2, "--lines")


# The outbox.


def test_queued_messages_wait_and_go_out_with_the_next_command(
    couple: tuple[Person, Person], private_net: Devnet
) -> None:
    alice, bob = couple
    private_net.chaos.kill()
    (message,) = alice.run("send", "--json", "--queue", "--timeout", "2", bob.id, "one").objects
    assert message["status"] == "queued"
    assert alice.run("send", "-q", "--queue", "--timeout", "2", bob.id, "two").lines == [str(message["id"] + 1)]
    listed = alice.run("outbox", "list", "--json").objects
    assert [(item["body"], item["status"]) for item in listed] == [("one", "queued"), ("two", "queued")]
    check_refusal(alice.try_run("outbox", "flush", "--timeout", "2"), 75)
    private_net.chaos.clear()
    alice.run("send", bob.id, "three")
    assert alice.run("outbox", "list").text == ""
    assert bodies(bob.receive()) == ["one", "two", "three"]
    assert alice.receive() == [], "our own copies are no news"


def test_recv_sends_what_waits(couple: tuple[Person, Person], private_net: Devnet) -> None:
    alice, bob = couple
    private_net.chaos.kill()
    alice.run("send", "--queue", "--timeout", "2", bob.id, "one")
    private_net.chaos.clear()
    alice.run("recv")
    assert bodies(bob.receive()) == ["one"]


def test_queue_with_a_network_that_works_is_just_send(person: People) -> None:
    alice, bob = person("Alice"), person("Bob")
    (message,) = alice.run("send", "--json", "--queue", bob.id, "one").objects
    assert message["status"] == "sent"
    assert alice.run("outbox", "flush").stdout == b""
    assert bodies(bob.receive()) == ["one"]


def test_what_a_swarm_took_although_its_answer_was_lost_is_not_doubled(
    couple: tuple[Person, Person], private_net: Devnet
) -> None:
    """The same bytes are stored again, and the swarm knows them."""
    alice, bob = couple
    private_net.chaos.inject(Drop(after=True), methods=["store"])
    (message,) = alice.run("send", "--json", "--queue", "--timeout", "4", bob.id, "one").objects
    assert message["status"] == "queued"
    private_net.chaos.clear()
    for _ in range(2):
        alice.run("outbox", "flush")
    assert Counter(bodies(bob.receive())) == {"one": 1}


def test_dropped_messages_never_go_out(couple: tuple[Person, Person], private_net: Devnet) -> None:
    alice, bob = couple
    private_net.chaos.kill()
    ids = [
        alice.run("send", "--queue", "--timeout", "2", bob.id, text).text.strip() for text in ("one", "two", "three")
    ]
    assert alice.run("outbox", "drop", ids[0]).stderr == "1 message dropped.\n"
    check_refusal(alice.try_run("outbox", "drop", ids[0]), 65, "does not wait")
    check_refusal(alice.try_run("outbox", "drop"), 2, "--all")
    private_net.chaos.clear()
    (dropped,) = alice.run("outbox", "drop", "--json", ids[2]).objects
    assert (dropped["body"], dropped["status"]) == ("three", "failed")
    assert alice.run("outbox", "flush").lines == [ids[1]]
    assert bodies(bob.receive()) == ["two"]
    alice.run("outbox", "drop", "--all")


def test_files_are_not_queued(couple: tuple[Person, Person], private_net: Devnet, tmp_path: Path) -> None:
    alice, bob = couple
    private_net.chaos.kill()
    (tmp_path / "a.txt").write_text("data")
    done = alice.try_run("send", "--queue", "--timeout", "2", bob.id, "--attach", str(tmp_path / "a.txt"))
    assert done.code == 75
    assert alice.run("outbox", "list").stdout == b""


def test_what_is_refused_for_good_waits_no_longer_and_is_said(
    couple: tuple[Person, Person], private_net: Devnet
) -> None:
    alice, bob = couple
    private_net.chaos.kill()
    for text in ("one", "two"):
        alice.run("send", "-q", "--queue", "--timeout", "2", bob.id, text)
    private_net.chaos.clear()
    private_net.chaos.inject(InnerStatus(403), methods=["store"])
    done = alice.try_run("outbox", "flush", "--json", "--quiet")
    assert done.code == 1
    assert [(item["body"], item["status"]) for item in done.objects] == [("one", "failed"), ("two", "failed")]
    assert done.stderr.count("refused for good") == 2, "even where one wants to hear of errors only"
    private_net.chaos.clear()
    assert alice.run("outbox", "list").stdout == b""
    assert bob.receive() == []


def test_waiting_is_said_once(couple: tuple[Person, Person], private_net: Devnet) -> None:
    alice, bob = couple
    private_net.chaos.kill()
    done = alice.run("send", "--queue", "--timeout", "2", "--lines", bob.id, stdin=b"one\ntwo\nthree\n")
    assert len(done.lines) == 3
    assert done.stderr == "session: Not sent yet: it waits in the outbox until the next send or recv.\n"


# Who missed one gets none behind it.


def test_a_text_in_parts_goes_on_to_those_who_got_the_first(
    crowd: tuple[Person, Person, Person], private_net: Devnet
) -> None:
    alice, bob, carol = crowd
    private_net.chaos.inject(InnerStatus(403), methods=["store"], swarm=carol.id)
    text = "\n\n".join(letter * 1500 for letter in "abc")
    done = alice.try_run("send", "--json", "--split", bob.id, "--to", carol.id, "-", stdin=text.encode())
    assert done.code == 1
    first, error, *rest = done.objects
    assert (error["type"], error["recipient"], error["error"]) == ("error", {"id": carol.id}, "refused")
    assert "no part of it" in error["message"]
    assert [message["body"][0] for message in (first, *rest)] == ["a", "b", "c"]
    private_net.chaos.clear()
    assert [body[0] for body in bodies(bob.receive())] == ["a", "b", "c"]
    assert carol.receive() == []


def test_lines_go_on_to_those_who_got_all_before(crowd: tuple[Person, Person, Person], private_net: Devnet) -> None:
    alice, bob, carol = crowd
    private_net.chaos.inject(InnerStatus(403), methods=["store"], swarm=carol.id)
    done = alice.try_run("send", "--lines", bob.id, "--to", carol.id, stdin=b"one\ntwo\n")
    assert (done.code, done.stderr.count(f"Not sent to {carol.id}")) == (1, 1)
    private_net.chaos.clear()
    assert bodies(bob.receive()) == ["one", "two"]
    assert carol.receive() == []


def test_lines_end_where_nobody_is_left(crowd: tuple[Person, Person, Person], private_net: Devnet) -> None:
    alice, bob, carol = crowd
    private_net.chaos.inject(InnerStatus(403), methods=["store"])
    done = alice.try_run("send", "--lines", bob.id, "--to", carol.id, stdin=b"one\ntwo\n")
    assert (done.code, done.stdout) == (69, b"")
    assert "Ended at the line: one" in done.stderr
    assert "two" not in done.stderr
