"""Swarms that forget, keep things to themselves, move, or come apart while they are asked."""

from __future__ import annotations

import subprocess

import pytest

from session_cli.devnet.faults import Delay, Fault, Forgets, InnerStatus, NoReplication
from session_cli.devnet.network import NodeHandle
from session_cli.protocol.payload import VisibleMessage
from tests.support.events import message_of
from tests.support.outcomes import bodies
from tests.support.rough import Correspondence, label, opened, state_of
from tests.support.strangers import Stranger
from tests.support.swarm import put_messages
from tests.support.waiting import wait_until


@pytest.mark.parametrize("fault", [Forgets(), NoReplication(), NoReplication("timeout")], ids=label)
def test_one_member(fault: Fault, pair: Correspondence) -> None:
    """What one member lacks another has; who asks again and again gets it once."""
    struck = pair.net.chaos.inject(fault, nodes=pair.members(pair.bob)[:1])
    pair.send_until(struck)
    pair.receive_until_shown()
    pair.settle()


@pytest.mark.parametrize("says", ["nothing", "timeout"])
def test_no_member_passes_anything_on(says: str, pair: Correspondence) -> None:
    """Then it is left with several, one after the other, and nobody needs to be warned."""
    fault = NoReplication() if says == "nothing" else NoReplication("timeout")
    struck = pair.net.chaos.inject(fault, swarm=pair.bob.id)
    for number in range(3):
        assert pair.send(f"message {number}").stderr == ""
    assert struck.hits >= 6
    pair.receive_until_shown()
    pair.settle()


def test_members_have_different_orders(pair: Correspondence) -> None:
    """Each was given the messages in another order, and some of them by hand; all come once."""
    stranger, members, logged = Stranger(pair.net), pair.members(pair.bob), len(pair.net.request_log)
    texts = [f"message {number}" for number in range(24)]
    sealed = [stranger.seal(pair.bob.id, VisibleMessage(text)) for text in texts]
    pair.net.chaos.inject(NoReplication(), swarm=pair.bob.id)
    for number, member in enumerate(members):
        for other in members:
            if other is not member:
                other.stop()
        start = 6 * number
        order = sealed[start:] + sealed[:start]
        put_messages(pair.net, pair.bob.id, order[::-1] if number % 2 else order)
        for other in members:
            other.start()
    with opened(pair.bob) as bob:
        # Mostly the same member is asked again.
        for _ in range(200):
            pair.shown += [message_of(event).body for event in bob.receive()]
            if len(set(pair.retrieved_from(logged))) > 1:
                break
        pair.shown += [message_of(event).body for event in bob.receive()]
    assert len(set(pair.retrieved_from(logged))) > 1
    assert sorted(pair.shown) == sorted(texts)


def test_members_lack_different_messages(pair: Correspondence) -> None:
    stranger, members = Stranger(pair.net), pair.members(pair.bob)
    texts = [f"message {number}" for number in range(4)]
    pair.net.chaos.inject(NoReplication(), swarm=pair.bob.id)
    for number, text in enumerate(texts):
        lacking = members[number % 4]
        stopped = [member for member in members if member is not lacking]
        for member in stopped:
            member.stop()
        put_messages(pair.net, pair.bob.id, [stranger.seal(pair.bob.id, VisibleMessage(text))])
        for member in stopped:
            member.start()
    pair.sent = texts.copy()
    pair.receive_until_shown()
    pair.settle()


def test_a_member_that_failed_once_is_asked_again(pair: Correspondence) -> None:
    """It may be the only one that holds a message, and trouble that is over must not hide that for days."""
    member = pair.favourite
    with pair.net.chaos.inject(InnerStatus(500), nodes=[member], methods={"retrieve"}) as struck:
        pair.receive_until(struck)
    assert member.ed25519.hex() in state_of(pair.bob)["strikes"]
    others = [other for other in pair.members(pair.bob) if other.index != member.index]
    pair.net.chaos.inject(NoReplication(), nodes=[member])
    with pair.net.chaos.kill(others):
        done = pair.send("held by one")
    assert "only 1 of the 4 members" in done.stderr
    pair.receive_until_shown()
    pair.settle()


# Polls of several pages.

COUNT = 240
BODY = "x" * 50_000
"""With so many of so much a poll takes several pages."""


def fill(pair: Correspondence) -> list[str]:
    """Put more into Bob's swarm than fits into one answer; returns how the texts begin."""
    stranger = Stranger(pair.net)
    put_messages(
        pair.net,
        pair.bob.id,
        [stranger.seal(pair.bob.id, VisibleMessage(f"{number} {BODY}")) for number in range(COUNT)],
    )
    return [str(number) for number in range(COUNT)]


@pytest.mark.parametrize("how", ["stops", "hangs"])
def test_a_member_goes_away_between_two_pages(how: str, pair: Correspondence, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one goes on, from where it stands; what came already is not shown again."""
    begin, logged = fill(pair), len(pair.net.request_log)
    with opened(pair.bob) as bob:
        receiver = bob._receiver
        take = receiver._take_page
        gone: list[NodeHandle] = []

        def take_and_leave(page, now_ms):  # type: ignore[no-untyped-def]
            result = take(page, now_ms)
            if not gone:
                gone.extend(node for node in pair.net.nodes if node.ed25519.hex() == page.node)
                if how == "stops":
                    gone[0].stop()
                else:
                    pair.net.chaos.inject(Delay(60), nodes=gone, roles={"destination"})
            return result

        monkeypatch.setattr(receiver, "_take_page", take_and_leave)
        shown = [message_of(event).body.partition(" ")[0] for event in bob.receive()]
    asked = pair.retrieved_from(logged)
    assert gone[0].index == asked[0]
    assert set(asked) > {gone[0].index}
    assert len(asked) > 2
    assert sorted(shown, key=int) == begin
    pair.settle()


def test_the_program_is_killed_between_two_pages(pair: Correspondence) -> None:
    """What was taken is shown by the next run, once, and the rest after it."""
    begin, logged = fill(pair), len(pair.net.request_log)
    pair.net.chaos.inject(Delay(0.2), swarm=pair.bob.id, roles={"destination"})
    with pair.bob.start("recv", "--json", stdout=subprocess.DEVNULL) as process:
        wait_until(lambda: len(pair.retrieved_from(logged)) >= 2)
        process.kill()
    pair.net.chaos.clear()
    shown = [body.partition(" ")[0] for body in bodies(pair.bob.receive())]
    assert sorted(shown, key=int) == begin


# Swarms that move.


def move_swarm(pair: Correspondence) -> None:
    """Let Bob's swarm change places with another one, that of nobody here."""
    old = pair.members(pair.bob)
    alices = pair.members(pair.alice)
    new = [node for node in pair.net.nodes if node not in old and node not in alices]
    old_id, new_id = old[0].swarm_id, new[0].swarm_id
    for there, here in zip(new, old, strict=True):
        there.join_swarm(old_id)
        here.join_swarm(new_id)
    assert pair.members(pair.bob) == sorted(new, key=lambda node: node.index)


def test_a_swarm_moves(pair: Correspondence) -> None:
    """The old members say where it is now; messages of before and after come once."""
    pair.send("before")
    move_swarm(pair)
    assert pair.send("after").stderr == ""
    assert pair.receive().stderr == ""
    pair.receive_until_shown()
    pair.settle()


def test_a_swarm_moves_while_it_is_read(pair: Correspondence) -> None:
    pair.send("before")
    pair.receive()
    pair.send("meanwhile")
    move_swarm(pair)
    pair.receive()
    pair.settle()


def test_a_swarm_is_dissolved(pair: Correspondence) -> None:
    """Its members join another one, and another one takes over its accounts."""
    pair.send("before")
    old = pair.members(pair.bob)
    other = next(node for node in pair.net.nodes if node not in old and node not in pair.members(pair.alice))
    for member in old:
        member.join_swarm(other.swarm_id)
    pair.send("after")
    pair.receive()
    pair.settle()


def test_members_leave_the_network(pair: Correspondence) -> None:
    """They are in no swarm any more, and say that they are not ready."""
    for member in pair.members(pair.bob)[:2]:
        member.join_swarm(None)
    pair.send("after")
    pair.receive()
    pair.settle()
