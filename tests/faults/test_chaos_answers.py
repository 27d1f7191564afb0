"""Answers of members that are refusals, nonsense or lies."""

from __future__ import annotations

import pytest

from session_cli.devnet.faults import Fault, InnerStatus, LyingSignatures, Nonsense, WrongSwarm
from tests.support.rough import Correspondence, label

TROUBLE: list[Fault] = [InnerStatus(code) for code in (429, 500, 503)]
REFUSALS: list[Fault] = [InnerStatus(code) for code in (401, 404)]
DISAGREEMENT: list[Fault] = [InnerStatus(406), InnerStatus(421)]
NO_ANSWERS: list[Fault] = [Nonsense("sealed"), Nonsense("body"), Nonsense("shape")]
NO_BATCHES: list[Fault] = [Nonsense("fewer_parts"), Nonsense("more_parts")]
ELSEWHERE: list[Fault] = [WrongSwarm("real"), WrongSwarm("other"), WrongSwarm("nobody"), WrongSwarm("rubbish")]
LIES: list[Fault] = [LyingSignatures("wrong"), LyingSignatures("alone"), LyingSignatures("invented")]
AFTERWARDS: list[Fault] = [InnerStatus(500, after=True), InnerStatus(401, after=True)]
TEMPORARY = TROUBLE + DISAGREEMENT + NO_ANSWERS + ELSEWHERE


@pytest.mark.parametrize("fault", TEMPORARY + REFUSALS + AFTERWARDS, ids=label)
def test_a_store_at_one_member(fault: Fault, pair: Correspondence) -> None:
    """One member alone talks nobody out of anything: another one is asked."""
    member = pair.members(pair.bob)[0]
    pair.let_ask_first(pair.alice, member)
    struck = pair.net.chaos.inject(fault, nodes=[member], methods={"store"})
    assert pair.send("at another").stderr == ""
    assert struck.hits
    pair.settle()


@pytest.mark.parametrize("fault", LIES, ids=label)
def test_lies_of_one_member(fault: Fault, pair: Correspondence) -> None:
    struck = pair.net.chaos.inject(fault, nodes=pair.members(pair.bob)[:1], methods={"store"})
    assert pair.send_until(struck).stderr == ""
    pair.settle()


@pytest.mark.parametrize("fault", TEMPORARY + REFUSALS + NO_BATCHES, ids=label)
def test_a_retrieve_at_one_member(fault: Fault, pair: Correspondence) -> None:
    member = pair.members(pair.bob)[0]
    pair.let_ask_first(pair.bob, member)
    struck = pair.net.chaos.inject(fault, nodes=[member], methods={"retrieve"})
    pair.send("hidden")
    done = pair.receive()
    assert (pair.shown, done.stderr) == (["hidden"], "")
    assert struck.hits
    pair.settle()


@pytest.mark.parametrize("fault", TEMPORARY + NO_BATCHES, ids=label)
def test_all_members(fault: Fault, pair: Correspondence) -> None:
    pair.net.chaos.inject(fault, swarm=pair.bob.id)
    if fault not in NO_BATCHES:
        pair.send_in_vain("lost")
    assert pair.try_receive().code == 75
    assert all(injection.hits for injection in pair.net.chaos.active)
    pair.settle(taken=("lost",) if fault in NO_ANSWERS else ())


@pytest.mark.parametrize("fault", REFUSALS, ids=label)
def test_all_members_refuse(fault: Fault, pair: Correspondence) -> None:
    """Where several say so it is believed, and trying again would not help."""
    struck = pair.net.chaos.inject(fault, swarm=pair.bob.id)
    pair.send_in_vain("lost", "refuses", code=69)
    assert pair.try_receive(code=69).code == 69
    assert struck.hits
    pair.settle()


@pytest.mark.parametrize("fault", AFTERWARDS, ids=label)
def test_all_members_refuse_what_they_have_done(fault: Fault, pair: Correspondence) -> None:
    struck = pair.net.chaos.inject(fault, swarm=pair.bob.id, methods={"store"})
    pair.send_in_vain("lost", code=75 if fault == InnerStatus(500, after=True) else 69)
    assert struck.hits
    pair.settle(taken=("lost",))


def test_no_signature_is_right(pair: Correspondence) -> None:
    """What nobody has proved has not been sent, whatever they say."""
    struck = pair.net.chaos.inject(LyingSignatures("wrong"), swarm=pair.bob.id)
    pair.send_in_vain("lost", "proved")
    assert struck.hits
    pair.settle(taken=("lost",))


@pytest.mark.parametrize("how", ["alone", "invented"])
def test_only_one_speaks_the_truth(how: str, pair: Correspondence) -> None:
    """One member vouches for itself, and the others for nothing: that is said."""
    first, *others = pair.members(pair.bob)
    truthful = LyingSignatures("alone") if how == "alone" else LyingSignatures("invented")
    pair.net.chaos.inject(truthful, nodes=[first])
    pair.net.chaos.inject(LyingSignatures("wrong"), nodes=others)
    done = pair.send("held by one")
    assert "only 1 of the 4 members of the recipient's swarm confirm" in done.stderr
    assert done.stderr.count("\n") == 1
    pair.settle()


@pytest.mark.parametrize("how", ["alone", "invented"])
def test_everybody_speaks_for_itself(how: str, pair: Correspondence) -> None:
    """A second member is asked, and two are half of the swarm."""
    fault = LyingSignatures("alone") if how == "alone" else LyingSignatures("invented")
    struck = pair.net.chaos.inject(fault, swarm=pair.bob.id)
    assert pair.send("held by two").stderr == ""
    assert struck.hits >= 2
    pair.settle()


@pytest.mark.parametrize("shows", [True, False])
def test_two_members_lead_astray(shows: bool, pair: Correspondence) -> None:
    """Two say that the account has moved to where it is not: that is told as trouble, or got over, and soon past."""
    strangers = tuple(node.index for node in pair.members(pair.alice))
    fault = WrongSwarm(members=strangers) if shows else WrongSwarm("nobody")
    pair.net.chaos.inject(fault, nodes=pair.members(pair.bob)[:2])
    for number in range(4):
        pair.try_send(f"perhaps {number}")
    pair.settle()
