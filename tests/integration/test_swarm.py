"""Swarms on local networks: which member is asked, what is believed, and what goes wrong."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from session_cli.devnet.faults import (
    Blame,
    Clock,
    Dead,
    InnerStatus,
    LyingSignatures,
    NoReplication,
    Status,
    WrongSwarm,
)
from session_cli.devnet.network import Devnet, NodeHandle
from session_cli.errors import ClockOutOfSync, NetworkError, NetworkUnreachable, RateLimited, ServiceRefused
from session_cli.network.clock import Deadline
from session_cli.network.network import Network
from session_cli.network.replies import WrongSwarm as WrongSwarmError
from session_cli.network.swarm import Poll
from session_cli.protocol import storage_rpc
from session_cli.protocol.account import Identity
from tests.support.network import DAY_MS, INBOX, ME, network_of, pages_of
from tests.support.swarm import put_messages

HOUR_MS = 3_600_000


def members_of(net: Devnet, account: str) -> list[NodeHandle]:
    """The members of an account's swarm."""
    return [net.nodes[member.index] for member in net.directory.swarm_of(account)[1]]


def strangers_to(net: Devnet, account: str) -> list[NodeHandle]:
    """All other nodes."""
    inside = {node.index for node in members_of(net, account)}
    return [node for node in net.nodes if node.index not in inside]


def test_store_and_retrieve(shared_net: Devnet, tmp_path: Path) -> None:
    identity = Identity.generate()
    with network_of(shared_net, tmp_path) as network:
        stored = network.swarm.store(identity.account_id, b"one", DAY_MS, Deadline(20))
        assert len(stored.confirmed) == stored.swarm_size == 4
        assert stored.is_safe
        assert not stored.failed
        assert stored.hash == storage_rpc.message_hash(identity.account_id, 0, b"one")
        page = network.swarm.retrieve(identity, INBOX, Deadline(20))
        assert [message.data for message in page.messages()] == [b"one"]
        assert not page.more
        again = network.swarm.poll_one(Poll(identity, {0: {page.node: stored.hash}}, page.node, True), Deadline(20))
        assert again.node == page.node
        assert again.messages() == ()
        network.swarm.delete(identity, [stored.hash], Deadline(20))
        assert network.swarm.retrieve(identity, INBOX, Deadline(20)).messages() == ()


def test_several_namespaces_are_one_request_in_the_shares_of_the_apps(shared_net: Devnet, tmp_path: Path) -> None:
    identity = Identity.generate()
    with network_of(shared_net, tmp_path) as network:
        network.swarm.store(identity.account_id, b"text", DAY_MS, Deadline(20))
        before = len(shared_net.request_log)
        page = network.swarm.retrieve(identity, {n: {} for n in storage_rpc.OWN_NAMESPACES}, Deadline(20))
        assert [message.data for message in page.messages()] == [b"text"]
        assert all(page.messages(namespace) == () for namespace in storage_rpc.OWN_NAMESPACES[1:])
        (record,) = [r for r in shared_net.request_log[before:] if r.kind == "storage"]
        assert record.parts == ("retrieve",) * 5


def test_many_swarms_are_polled_at_once_and_fail_alone(private_net: Devnet, tmp_path: Path) -> None:
    people = [Identity.generate() for _ in range(30)]
    for number, person in enumerate(people):
        put_messages(private_net, person.account_id, [b"for %d" % number])
    lost = {node.index for node in members_of(private_net, ME.account_id)}
    private_net.chaos.inject(InnerStatus(500), nodes=sorted(lost), methods={"retrieve"})
    with network_of(private_net, tmp_path) as network:
        pages = pages_of(network, [Poll(person, INBOX) for person in people])
    for number, (person, page) in enumerate(zip(people, pages, strict=True)):
        if {node.index for node in members_of(private_net, person.account_id)} == lost:
            assert isinstance(page, NetworkError)
        else:
            assert not isinstance(page, Exception)
            assert [message.data for message in page.messages()] == [b"for %d" % number]
    assert threading.active_count() < 40


# Where an account is.


def test_a_list_that_is_out_of_date_is_put_right_by_the_swarm(shared_net: Devnet, tmp_path: Path) -> None:
    with network_of(shared_net, tmp_path) as network:
        network.prepare(Deadline(10))
        right = {node.ed25519 for node in network.pool.swarm(ME.account_id)}
        _exchange_swarms(network)
        wrong = network.pool.swarm(ME.account_id)
        assert not right & {node.ed25519 for node in wrong}
        with pytest.raises(WrongSwarmError):
            network.onion.call(wrong[0], storage_rpc.retrieve(ME, timestamp_ms=network.clock.now_ms()), Deadline(10))
        page = network.swarm.retrieve(ME, INBOX, Deadline(20))
        assert bytes.fromhex(page.node) in right
        assert network.pool.state.stale
        _exchange_swarms(network, stale=True)
        result = network.swarm.store(ME.account_id, b"found", DAY_MS, Deadline(20))
        assert len(result.confirmed) == 4, "those to whom the swarm has moved count"


def _exchange_swarms(network: Network, *, stale: bool = False) -> None:
    """Let our list confuse two swarms, one of them ours."""
    own = next(node.swarm_id for node in network.pool.swarm(ME.account_id))
    other = next(node.swarm_id for node in network.pool.nodes.values() if node.swarm_id != own)
    exchange = {own: other, other: own}
    network.pool.replace(
        [replace(node, swarm_id=exchange.get(node.swarm_id, node.swarm_id)) for node in network.pool.nodes.values()]
    )
    assert network.pool.state.stale is False or stale


def test_one_member_alone_can_not_send_us_elsewhere(private_net: Devnet, tmp_path: Path) -> None:
    """It names nodes of its own, which would take our messages gladly."""
    liar, *honest = members_of(private_net, ME.account_id)
    friends = tuple(node.index for node in strangers_to(private_net, ME.account_id)[:2])
    with (
        network_of(private_net, tmp_path) as network,
        private_net.chaos.inject(WrongSwarm("real", members=friends), nodes=[liar]) as fault,
    ):
        for number in range(40):
            network.swarm.store(ME.account_id, b"%d" % number, DAY_MS, Deadline(20))
            if fault.hits >= 3:
                break
        assert fault.hits >= 3
        stored = {message.data for message in network.swarm.retrieve(ME, INBOX, Deadline(20)).messages()}
        assert stored == {b"%d" % done for done in range(number + 1)}
        assert len(honest) == 3


def test_a_swarm_that_is_asked_of_an_empty_list(shared_net: Devnet, tmp_path: Path) -> None:
    with network_of(shared_net, tmp_path) as network:
        network.prepare(Deadline(10))
        network.pool.replace([replace(node, swarm_id=None) for node in network.pool.nodes.values()])
        with pytest.raises(NetworkUnreachable, match="names no swarm"):
            network.swarm.retrieve(ME, INBOX, Deadline(10))


# What members say of a request.


def test_what_one_node_is_asked_it_answers_for_itself(shared_net: Devnet, tmp_path: Path) -> None:
    with network_of(shared_net, tmp_path) as network:
        network.prepare(Deadline(10))
        node = network.pool.swarm(ME.account_id)[0]
        with pytest.raises(ServiceRefused) as caught:
            network.onion.call(node, storage_rpc.store(ME.account_id, b"x", timestamp_ms=1, ttl_ms=1), Deadline(10))
        assert caught.value.status == 403


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_refusal_counts_when_a_second_member_agrees(status: int, private_net: Devnet, tmp_path: Path) -> None:
    members = members_of(private_net, ME.account_id)
    with network_of(private_net, tmp_path) as network:
        network.prepare(Deadline(10))
        with private_net.chaos.inject(InnerStatus(status), nodes=members[:1], methods={"store"}):
            for number in range(8):
                network.swarm.store(ME.account_id, b"%d" % number, DAY_MS, Deadline(20))
        with (
            private_net.chaos.inject(InnerStatus(status), nodes=members, methods={"store"}) as fault,
            pytest.raises(ServiceRefused) as caught,
        ):
            network.swarm.store(ME.account_id, b"no", DAY_MS, Deadline(20))
        assert caught.value.status == status
        assert fault.hits == 2


def test_members_that_ask_to_slow_down_are_left_alone(private_net: Devnet, tmp_path: Path) -> None:
    members = members_of(private_net, ME.account_id)
    with network_of(private_net, tmp_path) as network:
        with private_net.chaos.inject(InnerStatus(429), nodes=members[:3]):
            network.swarm.retrieve(ME, INBOX, Deadline(20))
        with private_net.chaos.inject(InnerStatus(429), nodes=members), pytest.raises(RateLimited):
            network.swarm.retrieve(ME, INBOX, Deadline(20))


# How many hold what was stored.


def test_a_member_that_keeps_silent_about_its_peers_is_no_swarm(private_net: Devnet, tmp_path: Path) -> None:
    """Another one is asked as well, since one alone could have lost or hidden it."""
    members = members_of(private_net, ME.account_id)
    with network_of(private_net, tmp_path) as network:
        network.prepare(Deadline(10))
        liars = members[:2]
        with private_net.chaos.inject(LyingSignatures("alone"), nodes=liars) as fault:
            for number in range(12):
                result = network.swarm.store(ME.account_id, b"%d" % number, DAY_MS, Deadline(20))
                assert result.is_safe
        assert fault.hits


def test_too_few_confirmations_are_told(private_net: Devnet, tmp_path: Path) -> None:
    members = members_of(private_net, ME.account_id)
    with network_of(private_net, tmp_path) as network:
        network.prepare(Deadline(10))
        private_net.chaos.inject(NoReplication(), nodes=members)
        private_net.chaos.inject(InnerStatus(503), nodes=members[1:], methods={"store"})
        result = network.swarm.store(ME.account_id, b"lonely", DAY_MS, Deadline(20))
    assert len(result.confirmed) == 1
    assert result.swarm_size == 4
    assert not result.is_safe


def test_no_confirmation_is_an_error(private_net: Devnet, tmp_path: Path) -> None:
    with network_of(private_net, tmp_path) as network:
        private_net.chaos.inject(LyingSignatures("wrong"), nodes=members_of(private_net, ME.account_id))
        with pytest.raises(NetworkError, match="proved"):
            network.swarm.store(ME.account_id, b"x", DAY_MS, Deadline(20))


def test_nodes_outside_of_the_swarm_confirm_nothing(private_net: Devnet, tmp_path: Path) -> None:
    with network_of(private_net, tmp_path) as network:
        private_net.chaos.inject(LyingSignatures("invented"), nodes=members_of(private_net, ME.account_id))
        result = network.swarm.store(ME.account_id, b"x", DAY_MS, Deadline(20))
    inside = {node.ed25519.hex() for node in members_of(private_net, ME.account_id)}
    assert result.confirmed <= inside


# Time.


@pytest.mark.parametrize("wrong_ms", [-HOUR_MS, HOUR_MS])
def test_a_clock_that_is_wrong_is_put_right(wrong_ms: int, private_net: Devnet, tmp_path: Path) -> None:
    def wrong_clock() -> int:
        return time.time_ns() // 1_000_000 + wrong_ms

    with network_of(private_net, tmp_path) as network:
        network.clock._local_ms = wrong_clock
        assert network.swarm.retrieve(ME, INBOX, Deadline(20)).messages() == ()
        assert abs(network.clock.offset_ms + wrong_ms) < 10_000
    with network_of(private_net, tmp_path) as network:
        assert abs(network.clock.offset_ms + wrong_ms) < 10_000, "the next run begins with what this one learnt"
        assert network.swarm.retrieve(ME, INBOX, Deadline(20)).messages() == ()
        assert network.clock.offset_ms == 0, "and notices that the clock is right by now"


def test_the_clock_is_learnt_in_passing(private_net: Devnet, tmp_path: Path) -> None:
    """A clock half a minute wrong is refused by nobody, and dates our messages wrong."""
    with network_of(private_net, tmp_path) as network:
        network.clock._local_ms = lambda: time.time_ns() // 1_000_000 - 30_000
        for _ in range(30):
            # Of many swarms: one alone, with our guards among its members, may be too few to be believed.
            network.swarm.retrieve(Identity.generate(), INBOX, Deadline(20))
            if network.clock.offset_ms:
                break
        assert abs(network.clock.offset_ms - 30_000) < 3_000
        assert len({*network.clock.samples}) >= 3


def test_a_message_dated_in_the_future_has_to_be_made_anew(private_net: Devnet, tmp_path: Path) -> None:
    with network_of(private_net, tmp_path) as network:
        network.clock._local_ms = lambda: time.time_ns() // 1_000_000 + HOUR_MS
        dated = network.clock.now_ms()
        with pytest.raises(ClockOutOfSync, match="ahead"):
            network.swarm.store(ME.account_id, b"late", DAY_MS, Deadline(20), dated_ms=dated)
        assert network.swarm.store(
            ME.account_id, b"late", DAY_MS, Deadline(20), dated_ms=network.clock.now_ms()
        ).is_safe


def test_one_wrong_clock_in_the_network_is_no_reason_to_change_ours(private_net: Devnet, tmp_path: Path) -> None:
    members = members_of(private_net, ME.account_id)
    with network_of(private_net, tmp_path) as network:
        private_net.chaos.inject(Clock(HOUR_MS / 1000), nodes=members[:1])
        for _ in range(12):
            network.swarm.retrieve(ME, INBOX, Deadline(20))
            assert network.clock.offset_ms == 0


# Trust.


def spare_member(net: Devnet, network: Network) -> NodeHandle | None:
    """A member of our swarm that is no hop of our two paths; None if all are."""
    for lane in range(2):
        network.onion.call_anybody(storage_rpc.info(), lambda body, _: body, Deadline(20), lane=lane)
    assert len(network.onion.paths.standing()) == 2
    relaying = {key for path in network.onion.paths.standing() for key in path.keys}
    return next((node for node in members_of(net, ME.account_id) if node.ed25519 not in relaying), None)


def test_a_member_that_failed_is_asked_last(private_net: Devnet, tmp_path: Path) -> None:
    """One that also is a hop of ours would be forgiven for doing that well."""
    for number in range(50):
        folder = tmp_path / str(number)
        folder.mkdir()
        with network_of(private_net, folder) as network:
            failing = spare_member(private_net, network)
            if failing is None:
                continue
            with private_net.chaos.inject(InnerStatus(500), nodes=[failing]) as fault:
                for _ in range(40):
                    network.swarm.retrieve(ME, INBOX, Deadline(20))
                assert fault.hits == 1
            assert network.pool.strikes(failing.ed25519) == 1
            break
    assert failing
    with network_of(private_net, folder) as network:
        assert network.pool.strikes(failing.ed25519) == 1, "the next run knows it"


def test_a_dead_member_costs_the_wait_once(private_net: Devnet, tmp_path: Path) -> None:
    members = members_of(private_net, ME.account_id)
    with network_of(private_net, tmp_path) as network:
        network.swarm.retrieve(ME, INBOX, Deadline(20))
        guards = {guard.ed25519 for guard in network.onion.paths.guards()}
        dead = next(node for node in members if node.ed25519 not in guards)
        fault = private_net.chaos.inject(Dead("refuse"), nodes=[dead])
        while not fault.hits:
            network.swarm.retrieve(ME, INBOX, Deadline(20))
        assert network.pool.strikes(dead.ed25519)
        missed = fault.hits
        for _ in range(10):
            network.swarm.retrieve(ME, INBOX, Deadline(20))
        assert fault.hits == missed, "nobody waits for it again"


def test_a_swarm_of_nodes_that_we_do_not_know_yet(private_net: Devnet, tmp_path: Path) -> None:
    """All members were replaced since our list was made: those we know name strangers, and the list is fetched anew."""
    right = {node.ed25519 for node in members_of(private_net, ME.account_id)}
    with network_of(private_net, tmp_path) as network:
        network.prepare(Deadline(10))
        own = next(node.swarm_id for node in network.pool.swarm(ME.account_id))
        rest = [node for key, node in network.pool.nodes.items() if key not in right]
        other = rest[0].swarm_id
        network.pool.replace(
            [replace(node, swarm_id=own if node.swarm_id == other else node.swarm_id) for node in rest]
        )
        page = network.swarm.retrieve(ME, INBOX, Deadline(20))
        assert bytes.fromhex(page.node) in right
        assert len(network.pool.nodes) == 12


# What the way does to trust.


def test_directly_a_dead_member_is_passed_over(private_net: Devnet, tmp_path: Path) -> None:
    private_net.chaos.kill(members_of(private_net, ME.account_id)[:2])
    with network_of(private_net, tmp_path, direct=True) as network:
        for number in range(10):
            network.swarm.store(ME.account_id, b"%d" % number, DAY_MS, Deadline(20))


def test_a_guard_can_not_speak_for_a_member(private_net: Devnet, tmp_path: Path) -> None:
    """It answers what we ask the guard itself with a 421, and lets nothing else pass."""
    with network_of(private_net, tmp_path) as network:
        network.prepare(Deadline(10))
        guards = [
            node for node in private_net.nodes if node.ed25519 in {g.ed25519 for g in network.onion.paths.guards()}
        ]
        strangers = [node.index for node in strangers_to(private_net, ME.account_id)[:3]]
        named = [private_net.directory.members[index].contact() for index in strangers]
        elsewhere = InnerStatus(421, json.dumps({"snodes": named, "swarm": "1"}))
        private_net.chaos.inject(elsewhere, nodes=guards, methods={"info"})
        private_net.chaos.inject(Status(504, "Request time out"), nodes=guards, roles={"guard"})
        right = {node.ed25519 for node in members_of(private_net, ME.account_id)}
        page = network.swarm.retrieve(ME, INBOX, Deadline(30))
        assert bytes.fromhex(page.node) in right


def test_hops_that_swallow_do_not_cost_their_guard_its_place(private_net: Devnet, tmp_path: Path) -> None:
    """They answer for themselves, and pass nothing on."""
    with network_of(private_net, tmp_path) as network:
        network.prepare(Deadline(10))
        guards = network.onion.paths.guards()
        keys = {guard.ed25519 for guard in guards}
        members = members_of(private_net, ME.account_id)
        others = [n for n in private_net.nodes if n.ed25519 not in keys and n not in members]
        private_net.chaos.inject(Status(504, "Request time out"), nodes=others[:3], roles={"middle"})
        for _ in range(15):
            network.swarm.retrieve(ME, INBOX, Deadline(30))
        assert network.onion.paths.guards() == guards
        assert set(network.pool.state.shown) == keys, "and nobody else has seen our address"


def test_all_requests_share_the_guards_that_stand_in(private_net: Devnet, tmp_path: Path) -> None:
    with network_of(private_net, tmp_path) as network:
        network.swarm.retrieve(ME, INBOX, Deadline(20))
        guards = {guard.ed25519 for guard in network.onion.paths.guards()}
        private_net.chaos.kill([node for node in private_net.nodes if node.ed25519 in guards])
        pages = pages_of(network, [Poll(Identity.generate(), INBOX) for _ in range(16)])
        assert not [page for page in pages if isinstance(page, Exception)]
        assert len(network.pool.state.shown) <= 5


@pytest.mark.parametrize("says", ["nothing", "timeout"])
def test_members_that_do_not_tell_each_other_are_all_told(
    says: Literal["nothing", "timeout"], private_net: Devnet, tmp_path: Path
) -> None:
    members = members_of(private_net, ME.account_id)
    private_net.chaos.inject(NoReplication(says), nodes=members)
    with network_of(private_net, tmp_path) as network:
        result = network.swarm.store(ME.account_id, b"to all", DAY_MS, Deadline(30))
    assert result.confirmed == {node.ed25519.hex() for node in members}


def test_the_word_of_one_hop_against_another_is_one_strike(private_net: Devnet, tmp_path: Path) -> None:
    with network_of(private_net, tmp_path) as network:
        network.swarm.retrieve(ME, INBOX, Deadline(20))
        path = network.onion.paths.standing()[0]
        slandered = path.hops[2]
        liar = next(node for node in private_net.nodes if node.ed25519 == path.hops[1].ed25519)
        with private_net.chaos.inject(Blame(slandered.ed25519.hex()), nodes=[liar]) as fault:
            while not fault.hits:
                network.swarm.retrieve(ME, INBOX, Deadline(20))
        # None at all, if it served well for the attempt that was answered.
        assert network.pool.strikes(slandered.ed25519) <= 1
        assert len(network.pool.nodes) == 12


def test_an_answer_of_the_member_is_no_fault_of_the_path(private_net: Devnet, tmp_path: Path) -> None:
    with network_of(private_net, tmp_path) as network:
        network.swarm.retrieve(ME, INBOX, Deadline(20))
        network.clock._local_ms = lambda: time.time_ns() // 1_000_000 + HOUR_MS
        network.swarm.retrieve(ME, INBOX, Deadline(20))
        assert network.clock.offset_ms
        assert not network.pool.state.strikes
