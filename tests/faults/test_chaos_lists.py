"""Lists of nodes that are old, altered or withheld; and hops that try to talk us out of others."""

from __future__ import annotations

import shutil

import pytest

from session_cli.devnet.faults import (
    AlteredList,
    Blame,
    Delay,
    Drop,
    Empty,
    Endless,
    Fault,
    Garble,
    Nonsense,
    Page,
    StaleList,
    Status,
    Throttle,
    Truncate,
)
from tests.support.outcomes import bodies, check_refusal
from tests.support.rough import Correspondence, age_list, known_nodes, label, state_of

LIST_METHODS = ("active_nodes_bin", "oxend_request")


def forget_network(pair: Correspondence) -> None:
    """Let Alice be who has never been on the network."""
    shutil.rmtree(pair.alice.home / "cache")


def cached_lists(pair: Correspondence) -> list[str]:
    """The names of the lists that Alice has."""
    names = [path.name for path in (pair.alice.home / "cache").glob("*.json")]
    return [name for name in names if not name.endswith(".state.json")]


def asked_seed(pair: Correspondence, since: int) -> int:
    """How often the seed has been asked since so many records of the log."""
    return sum(record.kind == "seed" for record in pair.net.request_log[since:])


def everybody(pair: Correspondence) -> set[str]:
    """The identities of all nodes."""
    return {node.ed25519.hex() for node in pair.net.nodes}


# The seed.

NO_LISTS: list[Fault] = [
    Drop(),
    Drop(after=True),
    *(Status(code) for code in (404, 429, 503)),
    Truncate(),
    Truncate(consistent=True),
    Page(),
    Empty(),
    AlteredList(omit=tuple(range(10))),
]
NO_LISTS_IN_TIME: list[Fault] = [Drop("hang"), Throttle(100), Throttle(20, header=True), Endless(100), Delay(60)]


@pytest.mark.parametrize("fault", NO_LISTS + NO_LISTS_IN_TIME, ids=label)
def test_a_newcomer_is_given_no_list(fault: Fault, pair: Correspondence) -> None:
    forget_network(pair)
    struck = pair.net.chaos.inject(fault, seed=True)
    done = pair.send_in_vain("lost", timeout=1 if fault in NO_LISTS_IN_TIME else 10)
    assert "seed" in done.stderr.lower() or "--timeout" in done.stderr
    assert struck.hits
    assert cached_lists(pair) == [], "nothing was learnt from it"
    pair.settle()


def test_a_newcomer_is_given_a_garbled_list(pair: Correspondence) -> None:
    """A few other bytes may leave a list that is of use; if so, it is one that leads to the goal."""
    forget_network(pair)
    struck = pair.net.chaos.inject(Garble(), seed=True)
    pair.try_send("perhaps", timeout=10)
    assert struck.hits
    shutil.rmtree(pair.alice.home / "cache", ignore_errors=True)
    pair.settle()


@pytest.mark.parametrize(
    "fault",
    [AlteredList(add=6), AlteredList(move=(0, 4, 8)), AlteredList(rekey=(1, 5, 9)), AlteredList(omit=(2, 6, 10))],
    ids=label,
)
def test_a_newcomer_is_given_an_altered_list(fault: Fault, pair: Correspondence) -> None:
    """A quarter of it is wrong, and leads nowhere; what is right is enough."""
    forget_network(pair)
    struck = pair.net.chaos.inject(fault, seed=True)
    pair.send("by another way", timeout=30)
    assert struck.hits
    pair.settle()


def test_a_dead_seed_matters_to_newcomers_alone(pair: Correspondence) -> None:
    pair.net.chaos.kill(seed=True)
    assert pair.send("without it").stderr == ""
    age_list(pair.alice)
    assert pair.send("by nodes").stderr == ""
    forget_network(pair)
    pair.send_in_vain("lost", "seed")
    pair.settle()


# Refreshing.


def test_an_old_list_is_refreshed_by_nodes(pair: Correspondence) -> None:
    """Nobody but guards sees who asks: the seed is left alone."""
    age_list(pair.alice)
    logged = len(pair.net.request_log)
    assert pair.send("with a fresh list").stderr == ""
    records = pair.net.request_log[logged:]
    assert sum("active_nodes_bin" in record.parts for record in records) == 3
    assert asked_seed(pair, logged) == 0
    pair.settle()


@pytest.mark.parametrize(
    "fault",
    [
        AlteredList(add=12),
        AlteredList(move=tuple(range(12))),
        AlteredList(rekey=tuple(range(12))),
        AlteredList(omit=tuple(range(6))),
        Nonsense("body"),
        Nonsense("shape"),
        Nonsense("fewer_parts"),
    ],
    ids=label,
)
def test_the_majority_of_lists_wins(fault: Fault, pair: Correspondence) -> None:
    """One of the three that are asked lies: what two others say alike is taken over, and no more."""
    liar = next(node for node in pair.net.nodes if node not in pair.guards)
    struck = pair.net.chaos.inject(fault, nodes=[liar], methods=LIST_METHODS)
    for number in range(30):
        age_list(pair.alice)
        logged = len(pair.net.request_log)
        assert pair.send(f"message {number}").stderr == ""
        assert known_nodes(pair.alice) == everybody(pair)
        if struck.hits:
            break
    assert struck.hits
    assert asked_seed(pair, logged) == 0
    pair.settle()


@pytest.mark.parametrize(
    "fault",
    [AlteredList(add=12), AlteredList(omit=(0, 1, 2, 3, 4, 5, 6)), AlteredList(rekey=tuple(range(12)))],
    ids=label,
)
def test_a_list_that_is_mostly_lies_ends_nothing(fault: Fault, pair: Correspondence) -> None:
    """Every node tells the same lie. Messages still come; who asks the seed later is cured."""
    struck = pair.net.chaos.inject(fault, methods=LIST_METHODS)
    age_list(pair.alice)
    pair.try_send("perhaps", timeout=30)
    assert struck.hits
    struck.remove()
    pair.settle()


def test_a_stale_list(pair: Correspondence) -> None:
    """It still names a node that is gone, as lists do for a while: that node is passed over."""
    struck = pair.net.chaos.inject(StaleList(), seed=True, nodes=pair.net.nodes)
    gone = next(node for node in pair.members(pair.bob) if node not in pair.guards)
    gone.join_swarm(None)
    gone.stop()
    age_list(pair.alice)
    for number in range(4):
        pair.send(f"message {number}")
    assert struck.hits
    pair.settle()


# Blame.


@pytest.mark.parametrize("says", ["not_found", "unreachable", "not_ready"])
def test_a_guard_that_blames_everybody(says: str, pair: Correspondence) -> None:
    """Whom it names on the path may be avoided for a while; messages go over the other guard."""
    fault = {"not_found": Blame(), "unreachable": Blame(says="unreachable"), "not_ready": Blame(says="not_ready")}[says]
    # Of guards the one without strikes comes first; on a busy machine, one may have some.
    strikes = state_of(pair.alice)["strikes"]
    liar = min(pair.guards, key=lambda guard: guard.ed25519.hex() in strikes)
    struck = pair.net.chaos.inject(fault, nodes=[liar], roles={"guard"})
    assert pair.send_until(struck).stderr == ""
    for number in range(2):
        assert pair.send(f"message {number}").stderr == ""
    pair.settle()


@pytest.mark.parametrize("named", ["the other guard", "nobody"])
def test_a_guard_that_blames_who_was_not_on_the_path(named: str, pair: Correspondence) -> None:
    """Neither the other guard nor somebody who does not exist can be talked away."""
    liar, other = pair.guards
    blamed = "ab" * 32 if named == "nobody" else other.ed25519.hex()
    struck = pair.net.chaos.inject(Blame(blamed), nodes=[liar], roles={"guard"})
    assert pair.send_until(struck).stderr == ""
    assert blamed not in state_of(pair.alice)["strikes"]
    assert other in pair.guards
    pair.settle()


def test_both_guards_blame(pair: Correspondence) -> None:
    """However long they do, the network is not lost to us for good."""
    struck = pair.net.chaos.inject(Blame(), nodes=pair.guards, roles={"guard"})
    for number in range(4):
        pair.try_send(f"message {number}")
    assert struck.hits
    pair.settle()


def test_hops_that_blame(pair: Correspondence) -> None:
    """A third of the nodes names others in place of passing on."""
    liars = [node for node in pair.net.nodes if node not in pair.guards][::3]
    struck = pair.net.chaos.inject(Blame(), nodes=liars, roles={"middle"})
    pair.send_until(struck)
    pair.settle()


def test_a_newcomer_whose_network_is_altered_is_told_in_one_line(pair: Correspondence) -> None:
    """Only nodes that don't exist: no guard can be had."""
    forget_network(pair)
    pair.net.chaos.inject(AlteredList(add=8, omit=tuple(range(12))), seed=True)
    done = pair.send_in_vain("lost", "guard", timeout=15)
    check_refusal(done, 75, "devnet")
    pair.settle()
    assert "first" not in bodies(pair.bob.receive())
