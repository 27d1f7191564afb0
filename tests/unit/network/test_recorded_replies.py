"""Every recorded reply of a real storage server is understood: as an answer, or as the refusal that it is."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from session_cli.errors import (
    ClockOutOfSync,
    NodeFailed,
    OnionError,
    PathFailed,
    RateLimited,
    RpcError,
    ServiceRefused,
    SessionError,
)
from session_cli.network.replies import WrongSwarm, check_guard, raise_for_status
from session_cli.protocol import node_lists, onion, storage_rpc, storage_upkeep
from session_cli.protocol.onion import EncType, LayerKey
from session_cli.protocol.storage_rpc import MessageHash

FOLDER = Path(__file__).resolve().parents[2] / "vectors" / "storage_rpc"
FILES = sorted(path.stem for path in FOLDER.glob("*.json") if path.stem not in ("keys", "network"))
CUT = "characters in all, sha256"
"""What stands at the end of a value that was too long to be recorded whole."""

REFUSALS: dict[int, type[SessionError]] = {
    400: ServiceRefused,
    401: ServiceRefused,
    403: ServiceRefused,
    404: ServiceRefused,
    406: ClockOutOfSync,
    410: NodeFailed,
    413: NodeFailed,
    421: WrongSwarm,
    429: RateLimited,
    500: NodeFailed,
    503: NodeFailed,
}


def _exchanges(*files: str) -> list[Any]:
    found = []
    for name in files:
        entries = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
        found += [pytest.param(entry, id=entry["name"]) for entry in entries if "request" in entry]
    return found


def _token(text: str) -> bytes:
    """A subaccount's token, as base64 or hex."""
    return bytes.fromhex(text) if len(text) == 72 else base64.b64decode(text)


def _understand(method: str | None, params: dict[str, Any], body: Any) -> None:
    """Read the answer to a call as the client would, and check what can be checked of it."""
    match method:
        case "store":
            result = storage_rpc.parse_store(body, MessageHash(body["hash"]))
            assert result.confirmed | set(result.failed) == set(body["swarm"])
            assert set(result.failed) == {name for name, one in body["swarm"].items() if one.get("failed")}
            assert result.swarm_size == len(body["swarm"])
            assert result.expiration_ms
        case "retrieve":
            account = params.get("pubkey") or params["pubKey"]
            read = storage_rpc.parse_retrieve(body, account, int(params.get("namespace", 0)))
            cut = sum(CUT in message["data"] for message in body["messages"])
            assert len(read.messages) == len(body["messages"]) - cut
            assert read.malformed == cut
            assert read.more is body["more"]
        case "expire" if params.get("shorten") and isinstance(params["expiry"], int):
            members = frozenset(body["swarm"])
            hashes, until_ms = params["messages"], params["expiry"]
            shortened = storage_upkeep.parse_expire(body, params["pubkey"], hashes, until_ms, members)
            assert set(shortened.kept) == members
            for member, result in body["swarm"].items():
                updated = dict.fromkeys(result["updated"], result["expiry"])
                assert shortened.kept[member] == updated | result["unchanged"]
        case "expire" if params.get("extend") and isinstance(params["expiry"], int):
            members = frozenset(body["swarm"])
            hashes, until_ms = params["messages"], params["expiry"]
            assert set(storage_upkeep.parse_expire(body, params["pubkey"], hashes, until_ms, members).kept) == members
        case "delete":
            members = frozenset(body["swarm"])
            assert storage_rpc.parse_delete(body, params["pubkey"], params["messages"], members) == members
        case "delete_all" if params.get("namespace") != "all":
            members = frozenset(body["swarm"])
            assert storage_upkeep.parse_delete_all(body, params["pubkey"], params["timestamp"], members) == members
        case "revoke_subaccount" | "unrevoke_subaccount":
            members, listed = frozenset(body["swarm"]), params[method.partition("_")[0]]
            tokens = [_token(text) for text in ([listed] if isinstance(listed, str) else listed)]
            changed = storage_upkeep.parse_access(body, params["pubkey"], tokens, params["timestamp"], members)
            assert changed == members
        case "get_expiries":
            assert storage_upkeep.parse_expiries(body, params["messages"]) == body["expiries"]
        case "get_swarm" | "get_snodes_for_pubkey":
            assert len(node_lists.parse_swarm(body)) == len(body["snodes"])
        case "oxend_request" if params["endpoint"] == "get_service_nodes":
            _understand("get_service_nodes", {}, body)
        case "get_service_nodes" | "get_n_service_nodes":
            states = body["result"].get("service_node_states")
            if states is None:
                with pytest.raises(RpcError):
                    node_lists.parse_service_nodes(body["result"])
                return
            whole = {"pubkey_ed25519", "pubkey_x25519", "public_ip", "storage_port"}
            usable = [state for state in states if whole <= set(state)]
            assert len(node_lists.parse_service_nodes(body["result"])) == len(usable)
        case "batch" | "sequence":
            parts = storage_rpc.parse_batch(body, len(body["results"]))
            for request, part in zip(params["requests"], parts, strict=False):
                if part.code == 200:
                    _understand(request["method"], request["params"], part.body)
                else:
                    _understand_refusal(part.code, part.body)
        case "ifelse" if body.get("result", {}).get("code") == 200:
            branch = params["then" if body["condition"] else "else"]
            _understand(branch["method"], branch["params"], body["result"]["body"])
    if isinstance(body, dict) and "t" in body:
        assert storage_rpc.network_time(body) == body["t"]


def _understand_refusal(status: int, body: Any) -> None:
    with pytest.raises(REFUSALS[status]) as caught:
        raise_for_status(status, body)
    if status == 421:
        assert isinstance(caught.value, WrongSwarm)
        assert node_lists.parse_swarm(caught.value.body)


@pytest.mark.parametrize("entry", _exchanges(*(name for name in FILES if name != "onion")))
def test_direct_replies(entry: dict[str, Any]) -> None:
    request, response = entry["request"].get("body"), entry["response"]
    if response["status"] != 200:
        _understand_refusal(response["status"], response["body"])
    elif isinstance(request, dict) and isinstance(response["body"], dict):
        _understand(request.get("method"), request.get("params") or {}, response["body"])
    else:
        # What a ping, a look at the server's version or nonsense gets, which the client never asks for, or an `info`.
        assert response["body"] == "" or {"version", "error"} & set(response["body"])


@pytest.mark.parametrize("entry", _exchanges("onion"))
def test_onion_replies(entry: dict[str, Any]) -> None:
    response = entry["response"]
    body = bytes.fromhex(response["body_hex"]) if "body_hex" in response else str(response.get("body")).encode()
    if response["status"] != 200:
        expected = RateLimited if response["status"] == 429 else PathFailed
        with pytest.raises(expected) as caught:
            check_guard(response["status"], body)
        named = response["body"].removeprefix("Next node not found: ")
        if named != response["body"]:
            assert isinstance(caught.value, PathFailed)
            assert caught.value.node == named
        return
    check_guard(200, body)
    if not entry.get("response_decrypted") or entry.get("response_encoding") == "raw":
        return  # a server's own words, or bytes that the client does not ask for
    last = entry["layers"][-1]
    if last["enc_type"] not in (None, "aes-gcm", "gcm", "xchacha20", "xchacha20-poly1305"):
        return  # the obsolete cipher
    key = LayerKey(
        EncType.parse(last["enc_type"]), bytes.fromhex(last["ephemeral_pubkey"]), bytes.fromhex(last["shared_key"])
    )
    try:
        reply = onion.open_snode_reply(key, body)
    except OnionError:
        # It is sealed by a hop before the destination, which has only its own key for it.
        assert any(word in entry["name"] for word in ("layer", "target", "protocol"))
        return
    if reply.status == 200:
        inner = json.loads(entry["response_decrypted"])["body"]
        assert reply.json() == (json.loads(inner) if isinstance(inner, str) else inner)
    else:
        text = reply.body if isinstance(reply.body, str) else json.dumps(reply.body)
        _understand_refusal(reply.status, text)
