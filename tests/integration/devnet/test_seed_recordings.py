"""The seed node answers as the chain's daemon would."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import requests

from session_cli.devnet.network import Devnet, DevnetOptions

from .comparison import Comparison
from .helpers import MovableClock, load_recording, needs_loopback_addresses, new_session, recorded_specs

pytestmark = needs_loopback_addresses

ENTRIES = {entry["name"]: entry for entry in load_recording("storage_rpc", "seed_node")}
_REGISTERED = ENTRIES["seed.ons_registered"]
OPTIONS = DevnetOptions(
    node_specs=recorded_specs(),
    clock=MovableClock(),
    block_hash=ENTRIES["seed.poll_unchanged"]["request"]["body"]["params"]["poll_block_hash"],
    ons={_REGISTERED["request"]["body"]["params"]["name_hash"]: _REGISTERED["response"]["body"]["result"]},
)

_STATES = ("/result/service_node_states/*", "/service_node_states/*")
DRAWN = ("pubkey_ed25519", "pubkey_x25519", "public_ip", "swarm", "swarm_id")
"""A list with a limit is drawn at random."""
MADE_UP = (
    "contributors/*/address",
    "operator_address",
    "last_reward_block_height",
    "last_uptime_proof",
    "lokinet_last_reachable",
    "registration_height",
    "service_node_pubkey",
    "state_height",
    "storage_server_last_reachable",
)
"""Facts of a node that a stand-in chain makes up, or that follow from the time of day."""


@pytest.fixture(scope="module")
def net() -> Iterator[Devnet]:
    with Devnet(OPTIONS) as running:
        yield running


def send(net: Devnet, path: str, body: bytes) -> requests.Response:
    with new_session() as session:
        return session.post(net.seed_url + path, data=body, timeout=10)


@pytest.mark.parametrize("name", ENTRIES)
def test_same_answers(net: Devnet, name: str) -> None:
    request, expected = ENTRIES[name]["request"], ENTRIES[name]["response"]
    body = request["body_text"].encode() if "body_text" in request else json.dumps(request["body"]).encode()
    response = send(net, request["path"], body)
    assert response.status_code == expected["status"]
    assert response.headers["Content-Type"] == expected["headers"]["content-type"]
    limited = b"limit" in body
    fields = ("public_ip", *MADE_UP, *(DRAWN if limited else ()))
    comparison = Comparison(frozenset(f"{states}/{field}" for states in _STATES for field in fields), "", "")
    comparison.compare(expected["body"], response.json())
    assert comparison.differences == []


def test_more_ways_to_ask(net: Devnet) -> None:
    """What the recordings leave out: another block, all of a shuffled list, chosen nodes, unknown paths."""

    def ask(**params: object) -> dict[str, object]:
        body = json.dumps({"method": "get_service_nodes", "params": params}).encode()
        result: dict[str, object] = send(net, "/json_rpc", body).json()["result"]
        return result

    changed = ask(poll_block_hash="00" * 32, fields=["public_ip"])
    assert changed["unchanged"] is False
    assert changed["block_hash"] == OPTIONS.block_hash
    everything = ask(limit=-1, fields=["pubkey_ed25519"])["service_node_states"]
    assert isinstance(everything, list)
    assert {state["pubkey_ed25519"] for state in everything} == {node.ed25519.hex() for node in net.nodes}
    legacy = load_recording("storage_rpc", "network")["nodes"][4]["pubkey_legacy"]
    chosen = ask(service_node_pubkeys=[legacy], fields=["pubkey_ed25519"])["service_node_states"]
    assert chosen == [{"pubkey_ed25519": net.nodes[4].ed25519.hex()}]
    assert send(net, "/nothing", b"").status_code == 404
    assert send(net, "/get_service_nodes", b"").json()["height"] == 1_900_000
    assert send(net, "/ons_resolve", b"{").json()["status"] == "Failed"
