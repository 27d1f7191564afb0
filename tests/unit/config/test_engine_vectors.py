"""The message format and the merge rules against the official library's results, without the meaning of any key."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from nacl import bindings as sodium

from session_cli.errors import ProtocolError
from session_cli.protocol.config import message as messages
from session_cli.protocol.config.message import ConfigMessage, Draft
from session_cli.protocol.config.tree import EMPTY, Scalar, Tree, Value
from session_cli.protocol.signed_dict import Signer
from tests.support.vectors import cases

MOST_ORDERS = 24


def value_of(given: Any) -> Value:
    """A value as the vectors write it."""
    if isinstance(given, int):
        return given
    if "hex" in given:
        return bytes.fromhex(given["hex"])
    if "set" in given:
        return frozenset(map(scalar_of, given["set"]))
    tree = EMPTY
    for key, value in given["dict"].items():
        tree = tree.with_value([key.encode()], value_of(value))
    return tree


def scalar_of(given: Any) -> Scalar:
    value = value_of(given)
    assert isinstance(value, int | bytes)
    return value


def changed(tree: Tree, changes: Iterable[dict[str, Any]]) -> Tree:
    """A tree after changes as the vectors write them."""
    for change in changes:
        path = [key.encode() for key in change["path"]]
        for length in range(1, len(path)):  # what is no dict on the way becomes one, whatever is to be done in it
            *way, last = path[:length]
            if not isinstance(tree.branch(*way).get(last), Tree):
                tree = tree.with_value([*way, last], None)
        match change["op"]:
            case "set":
                tree = tree.with_value(path, value_of(change["value"]))
            case "erase":
                tree = tree.with_value(path, None)
            case "add" | "remove":
                present = tree.branch(*path[:-1]).get(path[-1])
                scalars = present if isinstance(present, frozenset) else frozenset()
                scalar = {scalar_of(change["value"])}
                tree = tree.with_value(path, scalars | scalar if change["op"] == "add" else scalars - scalar)
    return tree


class Engine:
    """Plays the steps of one vector."""

    def __init__(self, vector: dict[str, Any]) -> None:
        self.lag: int = vector["lag"]
        self.sign: Signer | None = None
        self.verify_key: bytes | None = None
        self.known: dict[str, bytes] = {}
        if "signing_seed" in vector:
            public, secret = sodium.crypto_sign_seed_keypair(bytes.fromhex(vector["signing_seed"]))
            assert public.hex() == vector["signing_pk"]
            self.sign = lambda data: sodium.crypto_sign(data, secret)[:64]
            self.verify_key = public

    def parse(self, name: str) -> ConfigMessage:
        return messages.parse(self.known[name], lag=self.lag, verify_key=self.verify_key)

    def play(self, step: dict[str, Any]) -> None:
        match step["op"]:
            case "given":
                self.known[step["as"]] = bytes.fromhex(step["message"])
            case "create":
                data = changed(EMPTY, step["changes"])
                self.check(step, Draft(step["start_seqno"], data, (), EMPTY).finish(self.sign))
            case "increment":
                draft = messages.draft_after(self.parse(step["from"]), EMPTY, lag=self.lag)
                self.check(step, replace(draft, data=changed(draft.origin, step["changes"])).finish(self.sign))
            case "merge":
                orders = itertools.islice(itertools.permutations(step["messages"]), MOST_ORDERS)
                for order in orders:
                    self.merge(step, list(order))
            case other:
                raise LookupError(other)

    def merge(self, step: dict[str, Any], names: list[str]) -> None:
        parsed, usable, refused = [], [], set()
        for name in names:
            try:
                parsed.append(self.parse(name))
                usable.append(name)
            except ProtocolError:
                refused.add(name)
        assert refused == set(step["refused"])
        assert bool(parsed) is not step["nothing_usable"]
        if not parsed:
            return
        result = messages.resolve(parsed, lag=self.lag, may_merge=step.get("can_sign", True))
        if step["merged"]:
            assert result.draft
            self.check(step, result.draft.finish(self.sign))
        else:
            assert result.taken is not None
            if names == step["messages"]:  # of two equal messages the first is taken
                assert usable[result.taken] == step["taken"]
            self.check(step, parsed[result.taken])

    def check(self, step: dict[str, Any], message: ConfigMessage) -> None:
        serialized = messages.serialize(message)
        assert serialized.hex() == step["message"]
        assert message.hash.hex() == step["hash"]
        assert message.seqno == step["seqno"]
        self.known[step["as"]] = serialized


@pytest.mark.parametrize("vector", cases("configs", "engine"))
def test_engine(vector: dict[str, Any]) -> None:
    engine = Engine(vector)
    for step in vector["steps"]:
        engine.play(step)


def test_hash_of_the_initial_message() -> None:
    assert messages.serialize(messages.INITIAL) == b"d1:#i0e1:&de1:<le1:=dee"
    assert messages.INITIAL.hash.hex() == "ea173b57beca8af18c3519a7bbf69c3e7a05d1c049fa9558341d8ebb48b0c965"
