"""What the chain's daemon would tell: the list of service nodes, and registered names."""

from __future__ import annotations

import base64
import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .fields import is_base64, is_hex
from .listing import Listed
from .options import HARD_FORK, STORAGE_VERSION

_STAKE = 15_000_000_000_000
_FIRST_REGISTRATION = 1_500_000
_ROOT_FIELDS = ("height", "target_height", "hardfork", "snode_revision", "block_hash")


class DaemonError(Exception):
    """A call that the daemon refuses; the text is its own."""


class Ledger:
    """A chain that stands still, on which the network's nodes are registered."""

    def __init__(
        self,
        clock: Callable[[], float],
        height: int,
        block_hash: str,
        names: Mapping[str, Mapping[str, str]],
    ) -> None:
        self._clock = clock
        self._names = names
        self.height = height
        self.block_hash = block_hash

    def call(self, endpoint: str, params: object, nodes: Sequence[Listed]) -> dict[str, Any]:
        """Answer `get_service_nodes` (of these nodes) or `ons_resolve`, what clients may ask. Raises DaemonError."""
        values = params if isinstance(params, dict) else {}
        return self.service_nodes(values, nodes) if endpoint == "get_service_nodes" else self.resolve_name(values)

    def service_nodes(self, params: Mapping[str, Any], nodes: Sequence[Listed]) -> dict[str, Any]:
        """The list of nodes: all fields of all nodes, unless fewer are asked for."""
        requested = _requested_fields(params.get("fields"))
        facts = {
            "height": self.height,
            "target_height": 0,
            "hardfork": HARD_FORK[0],
            "snode_revision": HARD_FORK[1],
            "block_hash": self.block_hash,
        }
        result = {name: facts[name] for name in _ROOT_FIELDS if requested is None or name in requested}
        result["status"] = "OK"
        polled = params.get("poll_block_hash")
        if polled:
            result["unchanged"] = polled == self.block_hash
            if result["unchanged"]:
                return {name: value for name, value in result.items() if name != "block_hash"}
            result["block_hash"] = self.block_hash
        members = [m for m in nodes if m.swarm_id is not None or not params.get("active_only")]
        wanted = params.get("service_node_pubkeys")
        if isinstance(wanted, list) and wanted:
            members = [member for member in members if member.legacy_public.hex() in wanted]
        limit = params.get("limit")
        if type(limit) is int and limit != 0:
            count = min(limit, len(members)) if limit > 0 else len(members)
            members = random.sample(members, count)
        states = [self._state(member) for member in members]
        result["service_node_states"] = [
            state if requested is None else {name: value for name, value in state.items() if name in requested}
            for state in states
        ]
        return result

    def _state(self, member: Listed) -> dict[str, Any]:
        now = int(self._clock())
        owner = "L" + hashlib.sha256(b"operator" + member.legacy_public).hexdigest()
        registered = _FIRST_REGISTRATION + member.index + 1
        swarm_id = 2**64 - 1 if member.swarm_id is None else member.swarm_id
        return {
            "active": member.swarm_id is not None,
            "contributors": [{"address": owner, "amount": _STAKE, "locked_contributions": []}],
            "decommission_count": 0,
            "earned_downtime_blocks": 1440,
            "funded": True,
            "last_reward_block_height": self.height - member.index - 1,
            "last_reward_transaction_index": 2**32 - 1,
            "last_uptime_proof": now - 600,
            "lokinet_first_unreachable": 0,
            "lokinet_last_reachable": now - 30,
            "lokinet_reachable": True,
            "lokinet_version": [0, 9, 11],
            "operator_address": owner,
            "operator_fee": 1_000_000,
            "payable": True,
            "portions_for_operator": 2**64 - 4,
            "pubkey_ed25519": member.ed25519.hex(),
            "pubkey_x25519": member.x25519.hex(),
            "public_ip": member.ip,
            "quorumnet_port": 22025,
            "registration_height": registered,
            "registration_hf_version": HARD_FORK[0],
            "requested_unlock_height": 0,
            "service_node_pubkey": member.legacy_public.hex(),
            "service_node_version": [10, 4, 0],
            "staking_requirement": _STAKE,
            "state_height": registered,
            "storage_lmq_port": member.omq_port,
            "storage_port": member.port,
            "storage_server_first_unreachable": 0,
            "storage_server_last_reachable": now - 30,
            "storage_server_reachable": True,
            "storage_server_version": list(STORAGE_VERSION),
            "swarm": f"{swarm_id:x}",
            "swarm_id": swarm_id,
            "total_contributed": _STAKE,
        }

    def resolve_name(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The record of a name by its hash; empty if nobody registered it. Raises DaemonError."""
        for name in ("name_hash", "type"):
            if params.get(name) is None:
                raise DaemonError(
                    f"Unable to parse request: Failed to parse request parameters: Required key '{name}' not found"
                )
        text = params["name_hash"]
        if isinstance(text, str) and len(text) == 64 and is_hex(text):
            name_hash = text.lower()
        elif isinstance(text, str) and len(text) in (43, 44) and is_base64(text):
            name_hash = base64.b64decode(text + "=" * (-len(text) % 4)).hex()
        else:
            raise DaemonError("Unable to parse request: Failed to parse request parameters: Invalid key 'name_hash'")
        return dict(self._names.get(name_hash, {}))


def _requested_fields(fields: object) -> set[str] | None:
    """The names asked for, given as a list or as an object of booleans; None is all."""
    if isinstance(fields, dict):
        names = {name for name, wanted in fields.items() if wanted is True}
    elif isinstance(fields, list):
        names = {name for name in fields if isinstance(name, str)}
    else:
        return None
    return None if not names or "all" in names else names
