"""Putting bytes into swarms without the client, as any other program on the network could."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

import requests
import urllib3

from session_cli.devnet.network import Devnet
from session_cli.protocol import storage_rpc
from session_cli.protocol.account import Identity
from session_cli.protocol.swarm import swarm_for

DAY_MS = 24 * 3600 * 1000


def put_messages(net: Devnet, account_id: str, stored: Sequence[bytes], *, ttl_ms: int = DAY_MS) -> list[str]:
    """Store each of the byte strings in an account's inbox, in this order; returns their hashes."""
    urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    swarm_id = swarm_for(account_id, {node.swarm_id for node in net.nodes if node.swarm_id is not None})
    member = next(node for node in net.nodes if node.swarm_id == swarm_id and node.running)
    hashes: list[str] = []
    with requests.Session() as session:
        session.verify = False
        session.trust_env = False
        for start in range(0, len(stored), storage_rpc.MAX_BATCH):
            now = int(time.time() * 1000)
            calls = [
                storage_rpc.store(account_id, data, timestamp_ms=now, ttl_ms=ttl_ms)
                for data in stored[start : start + storage_rpc.MAX_BATCH]
            ]
            while True:
                reply = session.post(
                    f"https://{member.ip}:{member.port}/storage_rpc/v1",
                    json={"method": "sequence", "params": storage_rpc.batch(calls).params},
                    timeout=30,
                )
                if reply.status_code != 429:
                    break
                time.sleep(0.05)
            reply.raise_for_status()
            for part in reply.json()["results"]:
                assert part["code"] == 200, part
                hashes.append(part["body"]["hash"])
    return hashes


def hashes_of(net: Devnet, identity: Identity) -> set[str]:
    """What any member of an account's swarm holds in its inbox, by hash."""
    _, members = net.directory.swarm_of(identity.account_id)
    found: set[str] = set()
    for member in members:
        request = storage_rpc.retrieve(identity, timestamp_ms=int(time.time() * 1000), namespace=0)
        body = json.dumps({"method": request.method, "params": request.params}).encode()
        reply = net.nodes[member.index].answer(body)
        assert isinstance(reply.body, dict), reply.body
        found |= {message["hash"] for message in reply.body["messages"]}
    return found
