"""`/storage_rpc/v1`: from a request's bytes to an answer, at one node."""

from __future__ import annotations

import asyncio
import ipaddress
import sqlite3
import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ..protocol.storage_rpc import MAX_BATCH
from ..protocol.swarm import NO_SWARM
from . import account_requests as parsing
from .account_calls import InternalFailure, Refused
from .account_requests import AccountRequest, Delete, GetExpiries, Retrieve, Store
from .conduct import Conduct
from .directory import Directory, Member, swarm_body
from .faults import WrongSwarm
from .fields import Fields, ParseError, required
from .http_server import Bytes
from .ledger import DaemonError, Ledger
from .listing import Listed
from .options import HARD_FORK, STORAGE_VERSION
from .replies import Reply, parse_json

R = TypeVar("R", bound=AccountRequest)

_OXEND_ENDPOINTS = ("get_service_nodes", "ons_resolve")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A call whose parameters are good. `parts` names the calls inside of it; such a call can't be a part itself."""

    method: str
    run: Callable[[], Awaitable[Reply]]
    parts: tuple[str, ...] = ()
    is_meta: bool = False


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer, and what the request log may know of the request."""

    reply: Reply
    method: str
    parts: tuple[str, ...] = ()

    @property
    def calls(self) -> tuple[str, ...]:
        """The method and its parts."""
        return (self.method, *self.parts)


class StorageRpc:
    """The methods of one node."""

    def __init__(self, member: Member, directory: Directory, ledger: Ledger, conduct: Conduct) -> None:
        self._member = member
        self._directory = directory
        self._ledger = ledger
        self._conduct = conduct
        self._methods: dict[str, Callable[[str, Mapping[str, Any]], Prepared]] = {
            "active_nodes_bin": self._prepare_active_nodes,
            "batch": self._prepare_batch,
            "get_expiries": self._account_method(parsing.parse_get_expiries, self._get_expiries),
            "get_snodes_for_pubkey": self._prepare_get_swarm,
            "get_swarm": self._prepare_get_swarm,
            "ifelse": self._prepare_ifelse,
            "info": self._prepare_info,
            "oxend_request": self._prepare_oxend,
            "retrieve": self._account_method(parsing.parse_retrieve, self._retrieve),
            "sequence": self._prepare_batch,
        }
        recursive: dict[str, Callable[[Mapping[str, Any]], AccountRequest]] = {
            "delete": parsing.parse_delete,
            "delete_all": parsing.parse_delete_all,
            "delete_before": parsing.parse_delete_before,
            "expire": parsing.parse_expire,
            "expire_all": parsing.parse_expire_all,
            "revoke_subaccount": parsing.parse_revoke,
            "store": parsing.parse_store,
            "unrevoke_subaccount": parsing.parse_unrevoke,
        }
        for name, parse in recursive.items():
            self._methods[name] = self._account_method(parse, self._by_swarm)

    async def answer(self, body: Bytes) -> Answered:
        """Answer a request: the JSON object of method and params."""
        try:
            request = parse_json(bytes(body))
        except ValueError:
            return Answered(Reply(400, "invalid json"), "")
        method = request.get("method") if isinstance(request, dict) else None
        if not isinstance(method, str):
            return Answered(Reply(400, "invalid json: no `method` field"), "")
        params = request.get("params")
        if not isinstance(params, dict):
            return Answered(Reply(400, "invalid json: no `params` field"), "")
        prepare = self._methods.get(method)
        if prepare is None:
            return Answered(Reply(400, f"no method {method}"), "")
        try:
            prepared = prepare(method, params)
        except ParseError as error:
            return Answered(Reply(400, f"invalid request: {error}"), method)
        return Answered(await self._run(prepared, outermost=True), method, prepared.parts)

    async def _run(self, prepared: Prepared, *, outermost: bool = False) -> Reply:
        try:
            if self._conduct.faulty:
                return await self._conduct.at_call(prepared.method, prepared.parts, prepared.run, outermost=outermost)
            return await prepared.run()
        except Refused as refusal:
            return refusal.reply
        except (InternalFailure, sqlite3.Error):
            return Reply(500, "request failed")

    def _stamped(self, body: dict[str, Any]) -> dict[str, Any]:
        """The body with the node's time and the hard fork."""
        return body | {"t": self._member.calls.now_ms(), "hf": list(HARD_FORK)}

    # Calls on accounts.

    def _account_method(
        self, parse: Callable[[Mapping[str, Any]], R], run: Callable[[R], Awaitable[Reply]]
    ) -> Callable[[str, Mapping[str, Any]], Prepared]:
        """A method that only the swarm of the account answers."""

        async def guarded(request: R) -> Reply:
            lie = self._conduct.wrong_swarm(request.method) if self._conduct.faulty else None
            if lie is not None:
                return self._misdirected(request.account, lie)
            swarm_id, _ = self._directory.swarm_of(request.account)
            if swarm_id != self._member.swarm_id:
                return Reply(421, self._stamped(self._directory.swarm_body(request.account)))
            return await run(request)

        def prepare(method: str, params: Mapping[str, Any]) -> Prepared:
            request = parse(params)
            return Prepared(method, lambda: guarded(request))

        return prepare

    def _misdirected(self, account: str, lie: WrongSwarm) -> Reply:
        """421, whoever the account belongs to."""
        swarm_id, real = self._directory.swarm_of(account)
        others = [m for m in self._directory if m.swarm_id not in (None, swarm_id)]
        if lie.members:
            shown = [self._directory.members[index] for index in lie.members]
        elif lie.shows == "rubbish":
            return Reply(421, "Misdirected Request\n")
        else:
            other = [m for m in others if m.swarm_id == others[0].swarm_id]
            shown = {"real": real, "other": other, "nobody": []}[lie.shows]
        shown_id = shown[0].swarm_id if shown else None
        return Reply(421, self._stamped(swarm_body(NO_SWARM if shown_id is None else shown_id, shown)))

    async def _retrieve(self, request: Retrieve) -> Reply:
        return Reply(200, self._stamped(self._member.calls.retrieve(request)))

    async def _get_expiries(self, request: GetExpiries) -> Reply:
        return Reply(200, self._member.calls.get_expiries(request))

    async def _by_swarm(self, request: AccountRequest) -> Reply:
        """Do it here, have all other members do it, and tell what each said."""
        failure: InternalFailure | None = None
        own: dict[str, Any] = {}
        try:
            own = self._member.calls.perform(request)
        except InternalFailure as error:
            # The real server has passed the call on by the time it stumbles.
            failure = error
        told = await self._ask_peers(request, own)
        if failure is not None:
            raise failure
        body = self._stamped({})
        if isinstance(request, Store):
            body["hash"] = own["hash"]
            own = own | {"t": body["t"]}
        body["swarm"] = swarm = {self._member.ed25519.hex(): own} | told
        if isinstance(request, Delete) and request.required and not any(r.get("deleted") for r in swarm.values()):
            return Reply(404, body)
        return Reply(200, body)

    async def _ask_peers(self, request: AccountRequest, own: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """What the other members of the swarm say to a call, by identity."""
        peers = {m.ed25519.hex(): m for m in self._directory.swarm_of(request.account)[1] if m is not self._member}
        if self._conduct.faulty:
            instead = self._conduct.instead_of_peers(request.method, list(peers), own)
            if instead is not None:
                return instead
        results = await asyncio.gather(*(self._directory.forward(peer, request) for peer in peers.values()))
        return dict(zip(peers, results, strict=True))

    # Calls on the network.

    def _prepare_info(self, method: str, _params: Mapping[str, Any]) -> Prepared:
        async def run() -> Reply:
            body = self._stamped({"version": list(STORAGE_VERSION)})
            return Reply(200, body | {"timestamp": body["t"]})

        return Prepared(method, run)

    def _prepare_get_swarm(self, method: str, params: Mapping[str, Any]) -> Prepared:
        account = parsing.parse_get_swarm(params)

        async def run() -> Reply:
            return Reply(200, self._stamped(self._directory.swarm_body(account)))

        return Prepared(method, run)

    def _listed(self, method: str) -> Sequence[Listed]:
        members = self._directory.members
        return self._conduct.listed(method, members) if self._conduct.faulty else members

    def _prepare_active_nodes(self, method: str, _params: Mapping[str, Any]) -> Prepared:
        async def run() -> Reply:
            return Reply(200, b"".join(map(_node_record, self._listed(method))))

        return Prepared(method, run)

    def _prepare_oxend(self, method: str, params: Mapping[str, Any]) -> Prepared:
        endpoint = required("endpoint", Fields(params).text("endpoint"))
        if endpoint not in _OXEND_ENDPOINTS:
            raise ParseError(f"Invalid oxend endpoint '{endpoint}'")

        async def run() -> Reply:
            nodes = self._listed(method) if endpoint == "get_service_nodes" else ()
            try:
                result = self._ledger.call(endpoint, params.get("params"), nodes)
            except DaemonError as error:
                return Reply(400, str(error))
            return Reply(200, self._stamped({"result": result}))

        return Prepared(method, run)

    # Calls made of calls.

    def _prepare_batch(self, method: str, params: Mapping[str, Any]) -> Prepared:
        listed = params.get("requests")
        if not isinstance(listed, list) or not listed:
            raise ParseError('Invalid batch request: no valid "requests" field')
        if len(listed) > MAX_BATCH:
            raise ParseError("Invalid batch request: subrequest limit exceeded")
        parts = [self._prepare_part(part) for part in listed]

        async def run() -> Reply:
            if method == "batch":
                replies = await asyncio.gather(*map(self._run, parts))
            else:
                replies = await self._run_sequence(parts)
            return Reply(200, {"results": [_result(reply) for reply in replies]})

        return Prepared(method, run, tuple(part.method for part in parts), is_meta=True)

    async def _run_sequence(self, parts: list[Prepared]) -> list[Reply]:
        replies: list[Reply] = []
        for part in parts:
            replies.append(await self._run(part))
            if not 200 <= replies[-1].status <= 299:
                break
        return replies

    def _prepare_part(self, part: object) -> Prepared:
        if not isinstance(part, dict):
            raise ParseError("Invalid batch request: requests must be objects")
        method, params = part.get("method"), part.get("params")
        if not isinstance(method, str) or not isinstance(params, dict):
            raise ParseError("Invalid batch request: subrequests must have method/params keys")
        prepare = self._methods.get(method)
        if prepare is None:
            raise ParseError(f'Invalid batch subrequest: invalid method "{method}"')
        prepared = prepare(method, params)
        if prepared.is_meta:
            raise ParseError("Invalid batch subrequest: subrequests may not contain meta-requests")
        return prepared

    def _prepare_ifelse(self, method: str, params: Mapping[str, Any]) -> Prepared:
        conditions = params.get("if")
        if not isinstance(conditions, dict):
            raise ParseError('Invalid ifelse request: no valid "if" field')
        condition = self._condition(Fields(conditions))
        branches = {True: self._prepare_branch(params, "then"), False: self._prepare_branch(params, "else")}
        if not any(branches.values()):
            raise ParseError('Invalid ifelse request: at least one of "then"/"else" required')
        chosen = branches[condition]

        async def run() -> Reply:
            body: dict[str, Any] = {
                "condition": condition,
                "height": self._ledger.height,
                "hf": list(HARD_FORK),
                "v": list(STORAGE_VERSION),
            }
            if chosen is not None:
                body["result"] = _result(await self._run(chosen))
            return Reply(200, body)

        parts = () if chosen is None else (chosen.method, *chosen.parts)
        return Prepared(method, run, parts, is_meta=True)

    def _condition(self, fields: Fields) -> bool:
        facts = {"height": (self._ledger.height,), "hf": HARD_FORK, "v": STORAGE_VERSION}
        outcomes = []
        for name, actual in facts.items():
            for suffix in ("at_least", "before"):
                key = f"{name}_{suffix}"
                one = fields.integer(key) if name == "height" else None
                listed = ([] if one is None else [one]) if name == "height" else fields.integers(key)
                if listed:
                    bound = tuple((listed + [0] * len(actual))[: len(actual)])
                    outcomes.append(actual >= bound if suffix == "at_least" else actual < bound)
        if not outcomes:
            raise ParseError('Invalid ifelse request: must specify at least one "if" condition')
        return all(outcomes)

    def _prepare_branch(self, params: Mapping[str, Any], key: str) -> Prepared | None:
        if key not in params:
            return None
        branch = params[key]
        if not isinstance(branch, dict):
            raise ParseError(f"Invalid ifelse request: {key} must be an object")
        method, inner = branch.get("method"), branch.get("params")
        if not isinstance(method, str) or not isinstance(inner, dict):
            raise ParseError(f"Invalid ifelse request: {key} must have method/params keys")
        prepare = self._methods.get(method)
        if prepare is None:
            raise ParseError(f'Invalid ifelse request method "{key}"')
        return prepare(method, inner)


def _result(reply: Reply) -> dict[str, Any]:
    return {"body": reply.embedded, "code": reply.status}


def _node_record(member: Listed) -> bytes:
    """51 bytes: Ed25519 key, swarm id, IPv4, HTTPS port, OMQ port, version."""
    swarm_id = NO_SWARM if member.swarm_id is None else member.swarm_id
    address = ipaddress.IPv4Address(member.ip).packed
    return struct.pack(">32sQ4sHH3B", member.ed25519, swarm_id, address, member.port, member.omq_port, *STORAGE_VERSION)
