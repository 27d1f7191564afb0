"""Every recorded exchange with the real storage server gets the same answer from the local network."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from session_cli.devnet.network import Devnet, DevnetOptions

from .helpers import MovableClock, load_recording, needs_loopback_addresses, recorded_specs
from .storage_replay import StorageReplay

pytestmark = needs_loopback_addresses

BUILDS_ON = {"retrieve": ["store"]}
"""Which recording needs another to have been played before; none of the others does."""

STAND_IN = ("/address", "/operator_address", "/public_ip")
"""What the recording's stand-in for the chain made up, besides what varies: the operators' wallets. Addresses are this
test's own."""


def differs(entry: dict[str, Any], differences: list[str]) -> list[str]:
    """The differences that count."""
    if entry["name"].startswith("swarm.oxend.service_nodes_all") or entry["name"] == "swarm.oxend.no_params":
        return [text for text in differences if not text.partition(":")[0].endswith(STAND_IN)]
    return differences


@pytest.mark.parametrize(
    "name",
    [
        "http",
        "swarm",
        "store",
        "retrieve",
        "delete",
        "expire",
        "batch",
        "subaccount",
        "replication",
        "purge",
        "recovery",
    ],
)
def test_same_answers(name: str) -> None:
    clock = MovableClock()
    options = DevnetOptions(node_specs=recorded_specs(), peer_timeout=0.05, clock=clock)
    found: dict[str, list[str]] = {}
    with Devnet(options) as net:
        replay = StorageReplay(net, clock)
        for part in (*BUILDS_ON.get(name, []), name):
            for entry in load_recording("storage_rpc", part):
                if "action" in entry:
                    replay.act(entry)
                elif differences := differs(entry, replay.play(entry)):
                    found[entry["name"]] = differences
        replay.close()
    assert found == {}


def test_a_difference_is_noticed() -> None:
    """The replay is no rubber stamp: another version in one answer is found."""
    clock = MovableClock()
    with Devnet(DevnetOptions(node_specs=recorded_specs(), clock=clock)) as net:
        replay = StorageReplay(net, clock)
        entry = dict(load_recording("storage_rpc", "http")[0])
        changed = dict(entry["response"]["body"], version=[2, 9, 0])
        entry["response"] = dict(entry["response"], body=changed)
        assert replay.play(entry) == ["/version/*: 9 recorded, 8 now"]
        replay.close()


@pytest.mark.parametrize("position", range(9))
def test_recorded_keys(position: int) -> None:
    """Keys given as seeds become the recorded keys, X25519 included."""
    recorded = load_recording("storage_rpc", "network")["nodes"][position]
    spec = dataclasses.replace(recorded_specs()[position], port=None)
    with Devnet(DevnetOptions(node_specs=[spec], swarms=1)) as net:
        (node,) = net.nodes
        assert node.ed25519.hex() == recorded["pubkey_ed25519"]
        assert node.x25519.hex() == recorded["pubkey_x25519"]
        assert node.swarm_id == recorded["swarm_id"]
