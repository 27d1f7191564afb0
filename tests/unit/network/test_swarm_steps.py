"""What is read from the answers to several things that a swarm was told to do."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from session_cli.errors import NetworkError, NodeFailed, RpcError, ServiceRefused, SessionError
from session_cli.network.clock import Deadline
from session_cli.network.swarm import SwarmClient
from session_cli.network.swarm_steps import Delete, DeleteAll, OwnStore, Revoke, Step, Unrevoke
from session_cli.network.swarm_upkeep import SwarmUpkeep
from session_cli.protocol.account import Identity
from session_cli.protocol.group.identity import GroupIdentity
from session_cli.protocol.storage_rpc import (
    MAX_BATCH,
    MessageHash,
    Namespace,
    Proof,
    Request,
    ServiceNode,
    StoreResult,
    message_hash,
)

NODES = [Identity.from_seed(bytes([number]) * 32) for number in range(1, 5)]
NAMES = [node.ed25519_public.hex() for node in NODES]
ALL = frozenset(NAMES)
GROUP = GroupIdentity.from_seed(b"\x07" * 32)
TOKENS = [bytes([3, 3, 0, 0]) + bytes([number]) * 32 for number in (1, 2)]
HASH = MessageHash("a" * 43)
NOW = 1_800_000_000_000
STORE = OwnStore(Namespace.GROUP_MESSAGES, b"text", 60_000)


def swarm(signed: str | bytes, result: dict[str, Any], nodes: Sequence[Identity] = NODES) -> dict[str, Any]:
    """The answer of a swarm of which these members sign what is to be signed."""
    message = signed if isinstance(signed, bytes) else signed.encode()
    return {
        "swarm": {
            node.ed25519_public.hex(): result | {"signature": base64.b64encode(node.sign(message)).decode()}
            for node in nodes
        }
    }


def stored(*nodes: Identity) -> dict[str, Any]:
    hash = message_hash(GROUP.account_id, STORE.namespace, STORE.data)
    return swarm(hash, {"hash": hash}, nodes or NODES)


def deleted(at_ms: int) -> dict[str, Any]:
    return swarm(f"{GROUP.account_id}{at_ms}{HASH}", {"deleted": [HASH]})


def revoked(at_ms: int, *nodes: Identity) -> dict[str, Any]:
    return swarm(f"{GROUP.account_id}{at_ms}".encode() + b"".join(TOKENS), {}, nodes or NODES)


@pytest.mark.parametrize(
    ("step", "answer"), [(Revoke(TOKENS), revoked), (Unrevoke(TOKENS), revoked), (DeleteAll(11), deleted)]
)
def test_members_sign_the_time_of_the_request_that_they_got(
    step: Step, answer: Callable[[int], dict[str, Any]]
) -> None:
    """An earlier one may be answered after a later one was sent."""
    for told_ms in (NOW, NOW + 1):
        proof = step.read(answer(told_ms), GROUP.account_id, (NOW, NOW + 1), ALL)
        assert proof == Proof(ALL, {}, 4)
    for asked_ms in ((NOW + 1,), ()):
        with pytest.raises(RpcError):
            step.read(answer(NOW), GROUP.account_id, asked_ms, ALL)


def test_who_proves_nothing_has_failed() -> None:
    signed = f"{GROUP.account_id}{HASH}{HASH}"
    body = swarm(signed, {"deleted": [HASH]}, NODES[:2])
    body["swarm"] |= {NAMES[2]: {"failed": True, "timeout": True}}
    proof = Delete([HASH]).read(body, GROUP.account_id, (), ALL)
    assert proof == Proof(frozenset(NAMES[:2]), {NAMES[2]: "no proof"}, 4)
    assert proof.is_safe
    assert proof.silent_about(ALL)
    with pytest.raises(RpcError):
        Delete([HASH]).read(swarm(signed, {"deleted": []}), GROUP.account_id, (), ALL)
    with pytest.raises(RpcError):
        Delete([HASH]).read(body, GROUP.account_id, (), frozenset(NAMES[3:]))


class _Members:
    """The members of a swarm that answer one after the other what was prepared; whatever is asked takes a moment."""

    dated_ms: int | None = None
    names = ALL

    def __init__(self, answers: Sequence[dict[str, Any] | SessionError]) -> None:
        self.answers = list(answers)
        self.asked: list[Request] = []
        self.passed_over: list[frozenset[str]] = []
        self.struck: list[frozenset[str]] = []

    def ask(self, what: str, request_for: Any, parse: Any, deadline: Deadline, *, lane: int = 0) -> Any:
        node = ServiceNode(bytes(32), bytes(32), "10.0.0.1", 1)
        problem: SessionError = NetworkError("nobody is left")
        while self.answers:
            self.asked.append(request_for(node))
            answer = self.answers.pop(0)
            try:
                if isinstance(answer, SessionError):
                    raise answer
                return parse(answer, node)
            except SessionError as error:
                problem = error
        raise problem

    def pass_over(self, confirmed: frozenset[str]) -> bool:
        self.passed_over.append(confirmed)
        return bool(self.answers)

    def strike_the_silent(self, names: frozenset[str]) -> None:
        self.struck.append(names)


class _Swarm(SwarmClient):
    def __init__(self, members: _Members) -> None:
        onion = SimpleNamespace(
            pool=None, pace=SimpleNamespace(request=10.0), clock=SimpleNamespace(now_ms=lambda: NOW)
        )
        super().__init__(cast(Any, onion), lambda deadline: None)
        self._asked = members

    def _members(self, account_id: str, deadline: Deadline) -> Any:
        return self._asked


def perform(
    steps: Sequence[Step], *answers: Sequence[tuple[int, Any]] | SessionError, needed: int | None = None
) -> tuple[list[Any], _Members]:
    """What comes of steps, and the members that were asked; an answer is a code and a body for each step done."""
    members = _Members(
        [
            one if isinstance(one, SessionError) else {"results": [{"code": code, "body": body} for code, body in one]}
            for one in answers
        ]
    )
    return SwarmUpkeep(_Swarm(members)).perform(GROUP, steps, Deadline(5), needed=needed), members


def test_each_step_has_its_result() -> None:
    results, members = perform([STORE, Revoke(TOKENS)], [(200, stored()), (200, revoked(NOW))])
    assert [type(result) for result in results] == [StoreResult, Proof]
    (request,) = members.asked
    assert request.method == "sequence"
    assert [part["method"] for part in request.params["requests"]] == ["store", "revoke_subaccount"]


def test_another_member_is_asked_when_a_step_fails() -> None:
    results, members = perform(
        [STORE, Revoke(TOKENS)],
        [(200, stored()), (500, "request failed")],
        [(200, stored()), (200, swarm("nonsense", {}))],
        [(200, stored()), (200, revoked(NOW))],
    )
    assert len(members.asked) == 3
    assert results[1] == Proof(ALL, {}, 4)


@pytest.mark.parametrize(
    ("last", "error"),
    [
        ((401, "no"), ServiceRefused),
        ((500, "no"), NodeFailed),
        ((200, {"swarm": {}}), RpcError),
        ((204, ""), NodeFailed),
    ],
)
def test_a_step_that_nobody_does(last: tuple[int, Any], error: type[SessionError]) -> None:
    steps: list[Step] = [STORE, Delete([HASH])]
    with pytest.raises(error):
        perform(steps, [(200, stored()), last])
    (first, second), members = perform(steps, [(200, stored()), last], needed=1)
    assert isinstance(first, StoreResult)
    assert isinstance(second, error)
    assert len(members.asked) == 1


def test_what_comes_after_a_failure_was_not_done() -> None:
    steps: list[Step] = [STORE, Delete([HASH]), Revoke(TOKENS)]
    results, _ = perform(steps, [(200, stored()), (401, "no")], needed=1)
    assert [type(result) for result in results] == [StoreResult, ServiceRefused, RpcError]


def test_where_few_have_proved_a_step_others_are_told_as_well() -> None:
    """The step that the fewest have proved counts, and of the two answers the one that has more to say."""
    steps: list[Step] = [STORE, Revoke(TOKENS), Delete([HASH])]
    few = [(200, stored()), (200, revoked(NOW, NODES[0])), (500, "no")]
    others = [
        (200, stored()),
        (200, revoked(NOW, *NODES[1:])),
        (200, swarm(f"{GROUP.account_id}{HASH}", {"deleted": []})),
    ]
    results, members = perform(steps, few, others, needed=2)
    assert members.passed_over == [frozenset(NAMES[:1])]
    assert [one.confirmed for one in results] == [ALL, ALL, ALL]


def test_where_no_other_member_answers_what_is_proved_stands() -> None:
    results, members = perform([Revoke(TOKENS)], [(200, revoked(NOW, NODES[0]))], NodeFailed("down"))
    assert results[0].confirmed == frozenset(NAMES[:1])
    assert not results[0].is_safe
    assert members.struck == [ALL - set(NAMES[:1])]


def test_too_many_steps() -> None:
    with pytest.raises(ValueError, match="1 to 20"):
        perform([STORE] * (MAX_BATCH + 1), [])
    with pytest.raises(ValueError, match="1 to 20"):
        perform([], [])
