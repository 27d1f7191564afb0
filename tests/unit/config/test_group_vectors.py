"""The configs of groups against the official library's results: signatures, several keys, members who can't sign.

What the keys of the data mean is not looked at: each push is given the data that the library's had.
"""

from __future__ import annotations

from typing import Any

import pytest
from nacl import bindings as sodium

from session_cli.protocol.config import dump as dumps
from session_cli.protocol.config import message as messages
from session_cli.protocol.config.kinds import ConfigKind
from session_cli.protocol.config.state import ConfigKeys, ConfigState
from tests.support.vectors import load

KINDS = {"info": ConfigKind.GROUP_INFO, "members": ConfigKind.GROUP_MEMBERS}


def _with_pushes() -> list[Any]:
    return [
        pytest.param(vector, id=vector["description"][:40])
        for vector in load("groups")
        if vector["kind"] == "script" and any(step["op"].startswith("push_") for step in vector["steps"])
    ]


class Group:
    """Plays the steps of one vector that concern its configs."""

    def __init__(self, vector: dict[str, Any]) -> None:
        seed = bytes.fromhex(vector["group_seed"])
        self.public, self.secret = sodium.crypto_sign_seed_keypair(seed)
        assert self.public.hex() == vector["group_ed25519_pk"]
        self.admins = {name for name, client in vector["clients"].items() if client["has_group_secret_key"]}
        self.encryption: dict[str, list[bytes]] = {}
        self.stored: dict[str, bytes] = {}
        self.plaintexts: dict[str, bytes] = {}
        self.states: dict[tuple[str, ConfigKind], ConfigState] = {}

    def keys(self, client: str) -> ConfigKeys:
        def sign(data: bytes) -> bytes:
            return bytes(sodium.crypto_sign(data, self.secret)[:64])

        encryption = tuple(self.encryption.get(client, ()))
        return ConfigKeys(encryption, verify_key=self.public, sign=sign if client in self.admins else None)

    def play(self, step: dict[str, Any]) -> None:
        action, _, name = step["op"].partition("_")
        if step["op"] == "load_admin_key" and step["ok"]:
            self.admins.add(step["client"])
        if step["op"] == "rekey":
            for kind in KINDS.values():
                state = self.states.get((step["client"], kind), ConfigState(kind))
                self.states[step["client"], kind] = state.renewed()
        if "keys" in step:
            self.encryption[step["client"]] = [bytes.fromhex(key) for key in step["keys"]]
        if step["op"] == "given":
            self.stored[step["as"]] = bytes.fromhex(step["message"])
        if name not in KINDS or action == "apply":
            return
        client, kind = step["client"], KINDS[name]
        state = self.states.get((client, kind), ConfigState(kind))
        match action:
            case "push":
                state = self.push(state, step)
            case "confirm":
                state = state.confirm_pushed(step["seqno"], [step["hash"]])
            case "merge":
                state = self.merge(state, step)
        assert dumps.load(kind, dumps.dump(state)) == state
        self.states[client, kind] = state

    def push(self, state: ConfigState, step: dict[str, Any]) -> ConfigState:
        assert self.encryption[step["client"]][0].hex() == step["encryption_key"]
        plaintext = bytes.fromhex(step["plaintext"])
        expected = messages.parse(plaintext, verify_key=self.public)
        pushed = state.with_data(expected.data).push(self.keys(step["client"]), 0)
        assert pushed.seqno == step["seqno"]
        assert sorted(pushed.obsolete) == step["obsolete_hashes"]
        assert isinstance(pushed.state.message, messages.ConfigMessage)
        assert messages.serialize(pushed.state.message) == plaintext
        assert [stored.hex() for stored in pushed.messages] == [step["message"]]
        (self.stored[step["as"]],) = pushed.messages
        self.plaintexts[step["as"]] = plaintext
        return pushed.state

    def merge(self, state: ConfigState, step: dict[str, Any]) -> ConfigState:
        found = [(name, self.stored[name]) for name in step["messages"]]
        merged = state.merge(found, self.keys(step["client"]), 0)
        assert sorted(merged.accepted) == step["accepted"]
        assert merged.state.seqno == step["seqno"]
        if isinstance(state.message, messages.Draft) and state.message.finish(self.keys(step["client"]).sign) in (
            messages.parse(self.plaintexts[name], verify_key=self.public) for name in step["messages"]
        ):
            # Another admin has pushed the very same: the library goes on waiting, here that is a confirmation.
            assert merged.state.current_hashes == set(step["messages"])
            return merged.state
        assert merged.state.needs_push is step["needs_push"]
        assert sorted(merged.state.current_hashes) == step["current_hashes"]
        return merged.state


@pytest.mark.parametrize("vector", _with_pushes())
def test_configs_of_a_group(vector: dict[str, Any]) -> None:
    group = Group(vector)
    for step in vector["steps"]:
        group.play(step)
