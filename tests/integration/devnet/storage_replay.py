"""Plays the storage recordings against a network."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import requests

from session_cli.devnet.network import Devnet, NodeHandle
from session_cli.errors import BadSignature
from session_cli.protocol.account import verify_signature
from session_cli.protocol.swarm import swarm_for

from .comparison import Comparison
from .helpers import MovableClock, load_recording, new_session
from .templates import Evaluator, Exchange, load_keys

_FOLLOWS_FROM_KEYS = re.compile(r".*/(hash|deleted(/.*)?|updated(/.*)?|address|swarm|pubkey_[a-z0-9]+)\Z")
_WAIT = re.compile(r"wait ([0-9]+) s")


class StorageReplay:
    """A run of recordings, in order, against one network whose nodes stand in the recorded order."""

    def __init__(self, net: Devnet, clock: MovableClock) -> None:
        self.net = net
        self.clock = clock
        self.keys = load_keys()
        self.played: dict[str, Exchange] = {}
        self.recorded_nodes = {node["node"]: node for node in load_recording("storage_rpc", "network")["nodes"]}
        self._swarm_ids = [node["swarm_id"] for node in self.recorded_nodes.values()]
        self._session = new_session()

    def close(self) -> None:
        self._session.close()

    def node(self, to: dict[str, Any]) -> NodeHandle:
        """The node that a recording speaks to. Swarms are those of the whole network, even while a node is out."""
        if "node" in to:
            return self.net.nodes[int(to["node"]) - 1]
        account = self.keys[to.get("swarm_of") or to["not_swarm_of"]].account
        swarm_id = swarm_for(account, self._swarm_ids)
        fitting = [
            handle
            for handle, own in zip(self.net.nodes, self._swarm_ids, strict=True)
            if (own == swarm_id) == ("swarm_of" in to)
        ]
        return fitting[int(to.get("member", 0))]

    def act(self, entry: dict[str, Any]) -> None:
        """Do what an `action` entry describes."""
        action = entry["action"]
        if wait := _WAIT.match(action):
            self.clock.advance(int(wait[1]))
            return
        node = self.node(entry["node"])
        if action == "stop the node":
            node.stop()
        elif action.startswith("start the node again"):
            node.start()
        elif action.startswith("stop the node, delete its database"):
            node.stop()
            node.wipe()
            node.start()
        elif "decommissioned" in action:
            node.join_swarm(None)
        elif "back in its swarm" in action:
            node.join_swarm(self._swarm_ids[node.index])
        else:
            raise LookupError(f"unknown action: {action}")

    def play(self, entry: dict[str, Any]) -> list[str]:
        """Send one request; the differences between its answer and the recorded one."""
        node, request = self.node(entry["to"]), entry["request"]
        evaluator = Evaluator(self.keys, self.played, int(self.clock() * 1000))
        body = evaluator.evaluate(entry["template"]) if "template" in entry else None
        response = self._session.request(
            request["method"],
            f"https://{node.ip}:{node.port}{request['path']}",
            data=_literal_body(request) if body is None else json.dumps(body).encode(),
            headers=request["headers"],
            timeout=30,
        )
        return self._differences(entry, node, response, evaluator, body)

    def _differences(
        self,
        entry: dict[str, Any],
        node: NodeHandle,
        response: requests.Response,
        evaluator: Evaluator,
        body: Any,
    ) -> list[str]:
        expected, differences = entry["response"], []
        if response.status_code != expected["status"] or response.reason != expected["reason"]:
            differences.append(f"status {expected['status']} recorded, {response.status_code} {response.reason} now")
        for name, value in expected["headers"].items():
            if response.headers.get(name) != value:
                differences.append(f"header {name}: {value} recorded, {response.headers.get(name)} now")
        is_json = response.headers["Content-Type"] == "application/json"
        actual = response.json() if is_json else response.text
        self.played[entry["name"]] = Exchange(body, actual)
        recorded_node = self.recorded_nodes[entry["recorded_node"]]["pubkey_ed25519"]
        comparison = Comparison(_varying(entry), recorded_node, node.ed25519.hex())
        comparison.compare(expected["body"], actual)
        differences += comparison.differences
        for signature in entry.get("node_signatures", []):
            differences += self._check_signatures(signature, actual, evaluator)
        return differences

    def _check_signatures(self, signature: dict[str, Any], actual: Any, evaluator: Evaluator) -> list[str]:
        problems, verified = [], 0
        for member, result in actual["swarm"].items():
            if result.get("failed"):
                continue
            evaluator.own = result
            message = evaluator.signed_bytes(signature["over"])
            try:
                verify_signature(bytes.fromhex(member), message, base64.b64decode(result["signature"]))
                verified += 1
            except BadSignature:
                problems.append(f"the signature of {member} does not verify")
        if verified != signature["count"]:
            problems.append(f"{signature['count']} node signatures recorded, {verified} verified now")
        return problems


def _varying(entry: dict[str, Any]) -> frozenset[str]:
    """What may differ from the recording. With the recorded keys, hashes and lists of nodes may not."""
    varies = entry.get("varies", [])
    if "limit" in json.dumps(entry.get("template", {})):
        # The nodes of a limited list are drawn at random.
        return frozenset(varies)
    return frozenset(pointer for pointer in varies if not _FOLLOWS_FROM_KEYS.match(pointer))


def _literal_body(request: dict[str, Any]) -> bytes | None:
    if "body_hex" in request:
        return bytes.fromhex(request["body_hex"])
    text = request.get("body_text")
    return None if text is None else str(text).encode()
