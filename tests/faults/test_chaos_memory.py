"""What is remembered of the network between runs: files that are damaged, and guards that stay or go."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from session_cli.devnet.faults import Death
from tests.support.outcomes import assert_private
from tests.support.rough import Correspondence, known_nodes, list_file, state_file, state_of

DAMAGES = [
    b"",
    b"\xff\xfe",
    b"[]",
    b"[" * 100_000,
    b'{"format":2}',
    b'{"format":3,"nodes":[],"fetched_s":0}',
    b'{"format":2,"nodes":[[1]],"fetched_s":1e999}',
    b'{"format":2,"paths":[[[""],0,null]],"strikes":{},"clock_offset_ms":0,"clock_samples":{},"troubles":[],'
    b'"stale":false,"refresh_failed_s":0}',
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage[:40].decode("latin-1").replace("\0", "0"))
@pytest.mark.parametrize("which", ["list", "state"])
def test_a_damaged_file_is_made_anew(which: str, damage: bytes, pair: Correspondence) -> None:
    """Without noise: nobody could do anything about it, and nothing is lost."""
    path = list_file(pair.alice) if which == "list" else state_file(pair.alice)
    path.write_bytes(damage)
    assert pair.send("all the same").stderr == ""
    assert known_nodes(pair.alice) == {node.ed25519.hex() for node in pair.net.nodes}
    assert len(pair.guards) == 2
    assert_private(pair.alice.home / "cache")
    pair.settle()


@pytest.mark.parametrize("which", ["list", "state"])
def test_a_file_that_was_cut_off(which: str, pair: Correspondence) -> None:
    path = list_file(pair.alice) if which == "list" else state_file(pair.alice)
    whole = path.read_bytes()
    for share in (2, 5, 9):
        path.write_bytes(whole[: len(whole) * share // 10])
        assert pair.send(f"{share} tenths").stderr == ""
    assert len(pair.guards) == 2
    pair.settle()


FOREIGN: dict[str, dict[str, object]] = {
    "an offset of centuries": {"clock_offset_ms": 10**14},
    "an offset beyond all clocks": {"clock_offset_ms": -(10**30)},
    "odd samples": {"clock_samples": {"a": "b"}},
    "guards that don't exist": {"paths": [[["ab" * 32, "cd" * 32, "ef" * 32], 0.0, None]]},
    "paths that are too short": {"paths": [[["ab" * 32], 1e999, -5]]},
    "strikes for nobody": {"strikes": {"ab" * 32: [-5, 1e30]}},
    "a refresh in the future": {"refresh_failed_s": 1e12, "stale": True},
    "odd troubles": {"troubles": [["when", 1, 2, 3]]},
    "a list in place of a table": {"strikes": []},
}


@pytest.mark.parametrize("what", FOREIGN)
def test_a_state_with_strange_values(what: str, pair: Correspondence) -> None:
    """Well formed, and of no sense: the program finds its way, if not at once, and never breaks."""
    path = state_file(pair.alice)
    path.write_text(json.dumps(state_of(pair.alice) | FOREIGN[what]))
    for number in range(3):
        pair.try_send(f"perhaps {number}")
    assert pair.sent, pair.failed
    pair.settle()
    assert len(pair.guards) == 2


@pytest.mark.parametrize("value", [["x"], [None] * 6, ["ab" * 32, "cd" * 32, "nowhere", 70_000, None, []]], ids=repr)
def test_a_list_with_strange_nodes(value: list[object], pair: Correspondence) -> None:
    path = list_file(pair.alice)
    document = json.loads(path.read_bytes())
    document["nodes"].append(value)
    path.write_text(json.dumps(document))
    assert pair.send("all the same").stderr == ""
    pair.settle()


def test_the_state_of_another_network(pair: Correspondence) -> None:
    """Guards of a network that is not this one: they are not in the list, and others are found."""
    path = state_file(pair.alice)
    foreign = path.read_text()
    for node in pair.net.nodes:
        foreign = foreign.replace(node.ed25519.hex(), node.ed25519[::-1].hex())
    path.write_text(foreign)
    assert pair.send("all the same").stderr == ""
    assert len(pair.guards) == 2
    pair.settle()


# Guards.


def test_two_that_start_at_the_same_time_have_the_same_guards(pair: Correspondence) -> None:
    """Who is new finds guards once, however many processes begin with it."""
    for attempt in range(2):
        shutil.rmtree(pair.alice.home / "cache")
        bodies = [f"message {attempt}.{number}" for number in range(3)]
        started = [
            pair.alice.start("send", pair.bob.id, body, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            for body in bodies
        ]
        for process, body in zip(started, bodies, strict=True):
            _, complaints = process.communicate()
            assert (process.returncode, complaints) == (0, b"")
            pair.sent.append(body)
        guards = pair.guards
        assert len(guards) == len({node.index for node in guards}) == 2
        pair.send(f"message {attempt}")
        assert pair.guards == guards
    pair.settle()


def test_guards_are_kept(pair: Correspondence) -> None:
    """Over twenty runs; and one that is dead for a single run is no reason to let go of it."""
    guards = pair.guards
    for number in range(20):
        pair.send(f"message {number}")
    assert pair.guards == guards
    pair.net.chaos.kill(guards[:1])
    pair.send("over the other one")
    pair.net.chaos.revive()
    assert pair.guards == guards
    pair.settle()
    assert pair.guards == guards


@pytest.mark.parametrize("how", ["refuse", "silent"])
def test_a_guard_that_stays_dead_is_replaced(how: Death, pair: Correspondence) -> None:
    """After a few runs in which it failed, and the other one stays: with one alone all would go over that."""
    dead, other = pair.guards
    pair.net.chaos.kill([dead], how=how)
    for number in range(8):
        assert pair.send(f"message {number}").stderr == ""
    guards = pair.guards
    assert dead not in guards
    assert other in guards
    assert len(guards) == 2
    pair.settle()
    assert pair.guards == guards
