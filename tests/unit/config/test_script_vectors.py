"""Histories of an account's devices against the official library's results: every byte that is pushed, every merge."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from session_cli.protocol.account import Identity
from session_cli.protocol.config import message as messages
from session_cli.protocol.config import sealing, wrapping
from session_cli.protocol.config.convo_info_volatile import ConvoInfoVolatile
from session_cli.protocol.config.dump import dump, load
from session_cli.protocol.config.kinds import ACCOUNT_KINDS, ConfigKind
from session_cli.protocol.config.state import ConfigKeys, ConfigState, Merged
from tests.support.vectors import cases

from .devices import CHANGES, STATES

NOW_MS = 1_795_396_054_496
MOST_ORDERS = 24


def plain(state: ConfigState, keys: ConfigKeys) -> bytes:
    """The bytes of the message that holds a state's data, or will."""
    message = state.message
    return messages.serialize(message.finish(keys.sign) if isinstance(message, messages.Draft) else message)


class Script:
    """Plays the steps of one vector. Devices are dumped and loaded between the steps."""

    def __init__(self, vector: dict[str, Any]) -> None:
        self.kind = next(kind for kind in ACCOUNT_KINDS if kind.domain.decode() == vector["type"])
        assert self.kind.namespace == vector["namespace"]
        assert self.kind.domain.decode() == vector["encryption_domain"]
        self.identity = Identity.from_seed(bytes.fromhex(vector["seed"]))
        self.keys = ConfigKeys.of_account(self.identity)
        self.now_ms: int = vector.get("generated_at_ms", NOW_MS)
        self.stored: dict[str, bytes] = {}
        self.devices: dict[str, ConfigState] = {}
        self.pushed: dict[str, bytes] = {}

    def play(self, step: dict[str, Any]) -> None:
        steps: dict[str, Callable[[ConfigState, dict[str, Any]], ConfigState]] = {
            "apply": self.apply,
            "push": self.push,
            "confirm": self.confirm,
            "merge": self.merge,
            "state": self.check_state,
        }
        if step["op"] == "given":
            self.stored[step["as"]] = bytes.fromhex(step["message"])
            return
        device = self.devices.get(step["device"], ConfigState(self.kind))
        if receipt := self.receipt(device, step):
            step = {**step, "current_hashes": receipt, "needs_push": False}
        changed = steps[step["op"]](device, step)
        loaded = load(self.kind, dump(changed))
        assert loaded == changed
        self.devices[step["device"]] = loaded
        if "needs_push" in step:
            assert loaded.needs_push is step["needs_push"]
        if "seqno" in step and step["op"] != "confirm":
            assert loaded.seqno == step["seqno"]

    def receipt(self, device: ConfigState, step: dict[str, Any]) -> list[str]:
        """The merged message that is, byte for byte, what the device has pushed and not confirmed yet.

        The library of the vectors goes on waiting then, and means to delete what is the same message to the swarm. Here
        what comes back counts as confirmed.
        """
        if step["op"] != "merge" or not device.needs_push:
            return []
        return [name for name in step["messages"] if self.stored[name] == self.pushed.get(step["device"])][:1]

    def apply(self, device: ConfigState, step: dict[str, Any]) -> ConfigState:
        data = device.data
        for change in step["changes"]:
            data = CHANGES[self.kind](data, change, self.now_ms)
        return device.with_data(data)

    def push(self, device: ConfigState, step: dict[str, Any]) -> ConfigState:
        if self.kind is ConfigKind.CONVO_INFO_VOLATILE:
            device = device.with_data(ConvoInfoVolatile(device.data).without_stale(self.now_ms).data)
        pushed = device.push(self.keys, self.now_ms)
        assert pushed.seqno == step["seqno"]
        assert sorted(pushed.obsolete) == step["obsolete_hashes"]
        assert plain(pushed.state, self.keys).hex() == step["plaintext"]
        (stored,) = pushed.messages
        encrypted = wrapping.unwrap(self.identity, self.kind, stored)
        padded = sealing.decrypt(encrypted, self.identity.seed, self.kind.domain)
        assert len(padded) == step["padded_size"]
        assert sealing.unpad(padded).startswith(b"z") is step["compressed"]
        assert encrypted.hex() == step["inner"]
        assert stored.hex() == step["message"]
        self.stored[step["as"]] = self.pushed[step["device"]] = stored
        return pushed.state

    def confirm(self, device: ConfigState, step: dict[str, Any]) -> ConfigState:
        return device.confirm_pushed(step["seqno"], [step["hash"]])

    def merge(self, device: ConfigState, step: dict[str, Any]) -> ConfigState:
        names = step["messages"]
        merged = self._merged(device, names)
        assert sorted(merged.accepted) == step["accepted"]
        assert not merged.state.current_hashes & merged.state.obsolete_hashes
        assert sorted(merged.state.current_hashes) == step["current_hashes"]
        assert plain(merged.state, self.keys).hex() == step["plaintext"]
        if "state" in step:
            assert STATES[self.kind](merged.state.data) == step["state"]
        for order in itertools.islice(itertools.permutations(names), MOST_ORDERS):
            other = self._merged(device, [*order, order[0]]).state
            assert (other.message, other.phase) == (merged.state.message, merged.state.phase)
        return merged.state

    def _merged(self, device: ConfigState, names: list[str]) -> Merged:
        return device.merge([(name, self.stored[name]) for name in names], self.keys, self.now_ms)

    def check_state(self, device: ConfigState, step: dict[str, Any]) -> ConfigState:
        assert STATES[self.kind](device.data) == step["state"]
        return device


@pytest.mark.parametrize("vector", cases("configs", "script"))
def test_script(vector: dict[str, Any]) -> None:
    script = Script(vector)
    for step in vector["steps"]:
        script.play(step)
