"""Groups at the storage servers: what a member may do, what a revoked one may not, and how long that is remembered.

A server knows nothing of groups: it sees an account with an Ed25519 key, tokens that this key has signed, and requests
that the key in a token has signed. The keys in these tests are any keys.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from session_cli.devnet.account_calls import DELETE, READ, WRITE
from session_cli.devnet.network import Devnet, DevnetOptions, NodeHandle
from session_cli.protocol import storage_rpc
from session_cli.protocol.account import Identity
from session_cli.protocol.storage_rpc import Request, message_hash

from .helpers import MovableClock
from .test_network import TTL_MS, swarm_of

MEMBER_FLAGS = READ | WRITE
POLLED = (-11, 11, 13, 14, 12)
KICKED = -11

Answer = tuple[int, Any]


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


class Group:
    """A group and the requests of its admin (`member` None) or of a member whose token has certain flags."""

    def __init__(self, net: Devnet, clock: Callable[[], float] = time.time) -> None:
        self.key = Identity.generate()
        self.account = "03" + self.key.ed25519_public.hex()
        self.net = net
        self.clock = clock

    @property
    def now(self) -> int:
        return int(self.clock() * 1000)

    @property
    def swarm(self) -> list[NodeHandle]:
        return swarm_of(self.net, self.account)

    def token(self, member: Identity, flags: int = MEMBER_FLAGS) -> bytes:
        return bytes([3, flags, 0, 0]) + member.ed25519_public

    def call(
        self,
        method: str,
        signed: str | bytes,
        params: dict[str, Any],
        member: Identity | None = None,
        flags: int = MEMBER_FLAGS,
    ) -> Request:
        message = signed if isinstance(signed, bytes) else signed.encode()
        proof = {"pubkey": self.account, "signature": _base64((member or self.key).sign(message))}
        if member is not None:
            token = self.token(member, flags)
            proof |= {"subaccount": _base64(token), "subaccount_sig": _base64(self.key.sign(token))}
        return Request(method, params | proof)

    def store(self, namespace: int, data: bytes, member: Identity | None = None) -> Request:
        params = {"namespace": namespace, "timestamp": self.now, "ttl": TTL_MS, "data": _base64(data)}
        return self.call("store", f"store{namespace}{params['timestamp']}", params, member)

    def retrieve(self, namespace: int, member: Identity | None = None) -> Request:
        now = self.now
        return self.call("retrieve", f"retrieve{namespace}{now}", {"namespace": namespace, "timestamp": now}, member)

    def expire(self, mode: str, expiry: int, hashes: list[str], member: Identity | None = None) -> Request:
        params = {"messages": hashes, "expiry": expiry} | ({mode: True} if mode else {})
        return self.call("expire", f"expire{mode}{expiry}{''.join(hashes)}", params, member)

    def delete(self, hashes: list[str], member: Identity | None = None) -> Request:
        return self.call("delete", "delete" + "".join(hashes), {"messages": hashes}, member)

    def revocation(self, method: str, *tokens: bytes, member: Identity | None = None) -> Request:
        now = self.now
        field = method.partition("_")[0]
        params = {field: [token.hex() for token in tokens], "timestamp": now}
        return self.call(method, f"{method}{now}".encode() + b"".join(tokens), params, member)

    def ask(self, request: Request, position: int = 0) -> Answer:
        """What a node of the swarm answers: status and body."""
        reply = self.swarm[position].answer(json.dumps(request.to_json()).encode())
        return reply.status, reply.body

    def ask_all(self, request: Request) -> set[int]:
        """The statuses that the nodes of the swarm answer with."""
        return {self.ask(request, position)[0] for position in range(len(self.swarm))}

    def revoke(self, *tokens: bytes, position: int = 0) -> None:
        status, body = self.ask(self.revocation("revoke_subaccount", *tokens), position)
        assert status == 200, body


@pytest.fixture(scope="module")
def net() -> Iterator[Devnet]:
    with Devnet(DevnetOptions(nodes=3, swarms=1)) as net:
        yield net


@pytest.fixture
def group(net: Devnet) -> Group:
    """A group that holds its keys already: a server remembers of an account without messages nothing at all."""
    group = Group(net)
    assert group.ask(group.store(12, b"keys"))[0] == 200
    return group


@pytest.fixture
def member() -> Identity:
    return Identity.generate()


def test_a_member_stores_and_reads_in_every_namespace_of_a_group(group: Group, member: Identity) -> None:
    for namespace in POLLED:
        data = b"in %d" % namespace
        status, body = group.ask(group.store(namespace, data, member), 0)
        assert status == 200
        assert body["hash"] == message_hash(group.account, namespace, data)
        assert len(body["swarm"]) == 3
        status, body = group.ask(group.retrieve(namespace, member), 1)
        assert status == 200
        assert _base64(data) in [message["data"] for message in body["messages"]]


def test_without_a_proof_nobody_reads_or_stores(group: Group, member: Identity) -> None:
    for namespace in POLLED:
        unsigned = storage_rpc.store(group.account, b"x", timestamp_ms=group.now, ttl_ms=TTL_MS, namespace=namespace)
        expected = f"store: signature required to store to namespace {namespace}"
        assert group.ask(unsigned) == (401, expected)
        other = Group(group.net)
        foreign = Request("retrieve", dict(other.retrieve(namespace, member).params) | {"pubkey": group.account})
        assert group.ask(foreign) == (401, "retrieve signature verification failed")


def test_what_a_member_may_not_do(group: Group, member: Identity) -> None:
    hash = message_hash(group.account, 12, b"keys")
    now = group.now
    refused = [
        group.delete([hash], member),
        group.call("delete_all", f"delete_all11{now}", {"namespace": 11, "timestamp": now}, member),
        group.call("delete_before", f"delete_before11{now}", {"namespace": 11, "before": now}, member),
        group.call("expire_all", f"expire_all11{now}", {"namespace": 11, "expiry": now}, member),
        group.revocation("revoke_subaccount", group.token(member), member=member),
        group.revocation("unrevoke_subaccount", group.token(member), member=member),
    ]
    assert {request.method: group.ask_all(request) for request in refused} == {
        request.method: {401} for request in refused
    }
    assert group.ask(group.expire("shorten", now + 60_000, [hash], member))[0] == 400
    status, body = group.ask(group.retrieve(12))
    assert (status, len(body["messages"])) == (200, 1)


def test_a_member_prolongs_and_never_shortens(group: Group, member: Identity) -> None:
    hash = message_hash(group.account, 12, b"keys")
    later, sooner = group.now + 2 * TTL_MS, group.now + 60_000
    for mode in ("", "extend"):
        status, body = group.ask(group.expire(mode, sooner, [hash], member))
        assert status == 200
        assert [result["updated"] for result in body["swarm"].values()] == [[], [], []]
    status, body = group.ask(group.expire("", later, [hash], member))
    assert [result["updated"] for result in body["swarm"].values()] == [[hash]] * 3
    now = group.now
    params = {"messages": [hash], "timestamp": now}
    expiries = group.call("get_expiries", f"get_expiries{now}{hash}", params, member)
    assert group.ask(expiries, 2) == (200, {"expiries": {hash: later}})


def test_the_key_of_a_group_may_do_all(group: Group) -> None:
    now = group.now
    for namespace in POLLED:
        assert group.ask(group.store(namespace, b"%d" % namespace))[0] == 200
    gone = message_hash(group.account, 13, b"13")
    status, body = group.ask(group.delete([gone]))
    assert [result["deleted"] for result in body["swarm"].values()] == [[gone]] * 3
    all_messages = group.call("delete_all", f"delete_all11{now}", {"namespace": 11, "timestamp": now})
    assert group.ask(all_messages)[0] == 200
    for namespace, left in ((11, 0), (12, 2), (13, 0), (14, 1), (-11, 1)):
        for position in range(3):
            status, body = group.ask(group.retrieve(namespace), position)
            assert (status, len(body["messages"])) == (200, left), namespace


def test_a_revoked_member_reads_why_and_nothing_else(group: Group, member: Identity) -> None:
    group.ask(group.store(KICKED, b"notice"))
    group.revoke(group.token(member))
    now = group.now
    hash = message_hash(group.account, 12, b"keys")
    refused = [
        group.store(11, b"again", member),
        group.store(KICKED, b"again", member),
        group.expire("extend", now + 2 * TTL_MS, [hash], member),
        group.call("get_expiries", f"get_expiries{now}{hash}", {"messages": [hash], "timestamp": now}, member),
        *(group.retrieve(namespace, member) for namespace in POLLED if namespace != KICKED),
    ]
    assert [group.ask_all(request) for request in refused] == [{401}] * len(refused)
    for position in range(3):
        poll = storage_rpc.batch([group.retrieve(namespace, member) for namespace in POLLED])
        status, body = group.ask(poll, position)
        assert status == 200
        assert [part["code"] for part in body["results"]] == [200, 401, 401, 401, 401]
        assert [message["data"] for message in body["results"][0]["body"]["messages"]] == [_base64(b"notice")]
    assert group.ask(group.store(11, b"others still write", Identity.generate()))[0] == 200
    assert group.ask(group.revocation("unrevoke_subaccount", group.token(member)), 1)[0] == 200
    assert group.ask_all(group.retrieve(11, member)) == {200}


def test_the_newest_fifty_are_revoked(group: Group) -> None:
    members = [Identity.generate() for _ in range(52)]
    group.revoke(*(group.token(one) for one in members[:50]))
    group.revoke(group.token(members[0]))
    group.revoke(group.token(members[50]), group.token(members[51]))
    let_in = [members.index(one) for one in members if group.ask(group.retrieve(11, one))[0] == 200]
    assert let_in == [1, 2], "the first was revoked anew"


def test_a_sequence_ends_where_something_is_refused(group: Group, member: Identity) -> None:
    later = group.store(14, b"members")
    refused = group.delete([message_hash(group.account, 12, b"keys")], member)
    push = storage_rpc.sequence([group.store(13, b"info"), refused, later])
    status, body = group.ask(push)
    assert status == 200
    assert [part["code"] for part in body["results"]] == [200, 401]
    assert group.ask(group.retrieve(13))[1]["messages"]
    assert not group.ask(group.retrieve(14))[1]["messages"]


def test_a_removal_in_one_sequence(group: Group, member: Identity) -> None:
    token = group.token(member)
    removal = storage_rpc.sequence(
        [
            group.store(KICKED, b"notice"),
            group.revocation("revoke_subaccount", token),
            group.store(11, b"delete what they wrote"),
            group.revocation("unrevoke_subaccount", group.token(Identity.generate())),
        ]
    )
    _, body = group.ask(removal)
    assert [part["code"] for part in body["results"]] == [200] * 4
    revoked, unrevoked = (body["results"][index]["body"]["swarm"] for index in (1, 3))
    assert [sorted(result) for result in revoked.values()] == [["signature"]] * 3
    assert [result["count"] for result in unrevoked.values()] == [0, 0, 0]
    assert group.ask_all(group.retrieve(11, member)) == {401}


def test_a_deleting_token_is_another_token(group: Group, member: Identity) -> None:
    """Who revokes one has not revoked the other."""
    hash = message_hash(group.account, 12, b"keys")
    group.revoke(group.token(member))
    deletion = group.call("delete", "delete" + hash, {"messages": [hash]}, member, MEMBER_FLAGS | DELETE)
    assert group.ask(deletion)[0] == 200


def test_what_was_revoked_is_forgotten_with_the_last_message(net: Devnet, member: Identity) -> None:
    """As by the real server, whose table of accounts knows only those with messages, and takes all else along."""
    group = Group(net)
    token = group.token(member)
    group.revoke(token)
    group.ask(group.store(11, b"first"))
    assert group.ask_all(group.retrieve(11, member)) == {200}
    group.revoke(token)
    group.ask(group.store(14, b"second"))
    group.ask(group.delete([message_hash(group.account, 11, b"first")]))
    assert group.ask_all(group.retrieve(11, member)) == {401}
    group.ask(group.delete([message_hash(group.account, 14, b"second")]))
    assert group.ask_all(group.retrieve(11, member)) == {200}


def test_it_is_forgotten_as_well_when_the_last_message_expires(member: Identity) -> None:
    clock = MovableClock()
    with Devnet(DevnetOptions(nodes=3, swarms=1, clock=clock)) as net:
        group = Group(net, clock)
        group.ask(group.store(11, b"first"))
        group.revoke(group.token(member))
        assert group.ask_all(group.retrieve(11, member)) == {401}
        clock.advance(TTL_MS / 1000 + 11)
        assert group.ask_all(group.retrieve(11, member)) == {200}


def test_a_node_that_was_away_hears_of_a_revocation(member: Identity) -> None:
    with Devnet(DevnetOptions(nodes=3, swarms=1, peer_timeout=0.01)) as net:
        group = Group(net)
        group.ask(group.store(11, b"before"))
        away = group.swarm[2]
        away.stop()
        _, body = group.ask(group.revocation("revoke_subaccount", group.token(member)))
        assert body["swarm"][away.ed25519.hex()] == {"failed": True, "timeout": True}
        away.start()
        assert group.ask(group.retrieve(11, member), 2)[0] == 401


def test_a_group_outlives_a_restart(tmp_path: Path, member: Identity) -> None:
    options = DevnetOptions(nodes=3, swarms=1, data_dir=tmp_path)
    with Devnet(options) as net:
        group = Group(net)
        for namespace in POLLED:
            group.ask(group.store(namespace, b"%d" % namespace))
        group.revoke(group.token(member))
    with Devnet(options) as group.net:
        for namespace in POLLED:
            for position in range(3):
                _, body = group.ask(group.retrieve(namespace), position)
                assert [message["data"] for message in body["messages"]] == [_base64(b"%d" % namespace)]
        assert group.ask_all(group.retrieve(12, member)) == {401}
        assert group.ask_all(group.retrieve(KICKED, member)) == {200}
