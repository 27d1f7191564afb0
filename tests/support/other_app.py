"""Somebody's other app on a local network, which shares configs with ours."""

from __future__ import annotations

import base64
import json
from types import SimpleNamespace
from typing import Any, cast

from session_cli.devnet.network import Devnet
from session_cli.protocol import storage_rpc
from session_cli.protocol.account import Identity
from session_cli.protocol.config.kinds import ACCOUNT_KINDS, TTL_MS
from session_cli.protocol.storage_rpc import Namespace, Request, message_hash
from tests.support.devices import Phone, Swarm
from tests.support.devnet import Person
from tests.support.histories import open_store
from tests.support.strangers import now_ms


class _OwnSwarm:
    """The swarm of an account as `Phone` knows it, on a local network."""

    def __init__(self, net: Devnet, identity: Identity) -> None:
        self._net = net
        self.identity = identity

    @property
    def now_ms(self) -> int:
        return now_ms()

    @property
    def kept(self) -> dict[int, dict[str, Any]]:
        """What all members hold, in the order of one of them."""
        found: dict[int, dict[str, Any]] = {}
        for kind in ACCOUNT_KINDS:
            body = self._ask(storage_rpc.retrieve(self.identity, timestamp_ms=now_ms(), namespace=kind.namespace))
            found[kind.namespace] = {
                one["hash"]: SimpleNamespace(hash=one["hash"], data=base64.b64decode(one["data"] + "=="))
                for one in body["messages"]
            }
        return found

    def put(self, namespace: int, data: bytes) -> str:
        own = Namespace(namespace)
        self._ask(storage_rpc.store_own(self.identity, own, data, timestamp_ms=now_ms(), ttl_ms=TTL_MS))
        return message_hash(self.identity.account_id, own, data)

    def _ask(self, request: Request) -> Any:
        _, members = self._net.directory.swarm_of(self.identity.account_id)
        body = json.dumps({"method": request.method, "params": request.params}).encode()
        member = next(member for member in members if self._net.nodes[member.index].running)
        reply = self._net.nodes[member.index].answer(body)
        assert reply.status == 200, reply.body
        return reply.body


def phone_of(net: Devnet, person: Person) -> Phone:
    """A phone with the account of somebody, which has seen nothing yet."""
    profile = open_store(person)
    try:
        return Phone(cast(Swarm, _OwnSwarm(net, profile.identity)))
    finally:
        profile.store.close()
