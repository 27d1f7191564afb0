"""Calls on accounts as one node carries them out: checks in the server's order and words, signed results."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ..errors import BadSignature, InvalidInput
from ..protocol.account import Identity, key_of, verify_signature, x25519_from_ed25519
from ..protocol.storage_rpc import MAX_TTL_MS, MIN_TTL_MS, SIGNATURE_WINDOW_MS, message_hash
from .account_requests import (
    AccountRequest,
    Authentication,
    Delete,
    DeleteAll,
    DeleteBefore,
    Expire,
    ExpireAll,
    GetExpiries,
    Retrieve,
    Revoke,
    Store,
    Unrevoke,
)
from .conduct import Conduct
from .namespaces import (
    ALL_NAMESPACES,
    Namespaces,
    is_public_inbox,
    is_public_outbox,
    is_readable_by_anyone,
    is_unrevocable,
    signed_text,
)
from .replies import Reply
from .swarm_storage import NodeStorage, StoredMessage

READ, WRITE, DELETE, ANY_PREFIX = 1, 2, 4, 8
"""What a subaccount token allows, in its second byte."""

LONG_TTL_MS = 30 * 24 * 3600 * 1000
"""Longest life outside of public inboxes, and as far ahead as `expire` reaches."""
_STORE_TOLERANCE_MS = 10_000
_FORWARD_TOLERANCE_MS = 10_000


class Refused(Exception):
    """A call that this node refuses."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.reply = Reply(status, text)


class InternalFailure(Exception):
    """A call on which the real server stumbles over itself."""


@dataclass(frozen=True, slots=True)
class AccountCalls:
    """One node's own part in calls on accounts."""

    identity: Identity
    storage: NodeStorage
    clock: Callable[[], float]
    conduct: Conduct

    def now_ms(self) -> int:
        """The time of day by the node's clock."""
        now = int(self.clock() * 1000)
        return now + self.conduct.clock_offset_ms() if self.conduct.faulty else now

    def perform(self, request: AccountRequest, *, forwarded: bool = False) -> dict[str, Any]:
        """Check and carry out a call that every member of a swarm makes; its signed result.

        `forwarded` says that a peer passed it on, and may have waited a little. Raises Refused or InternalFailure.
        """
        tolerance = SIGNATURE_WINDOW_MS + (_FORWARD_TOLERANCE_MS if forwarded else 0)
        match request:
            case Store():
                return self._store(request)
            case Delete():
                return self._delete(request)
            case DeleteAll():
                return self._delete_all(request, tolerance)
            case DeleteBefore():
                return self._delete_before(request)
            case ExpireAll():
                return self._expire_all(request, tolerance)
            case Expire():
                return self._expire(request)
            case Revoke() | Unrevoke():
                return self._revocation(request)
        raise InternalFailure(f"{type(request).__name__} is not made by a swarm")

    def _signed(self, result: dict[str, Any], parts: Iterable[str | int | bytes]) -> dict[str, Any]:
        message = b"".join(part if isinstance(part, bytes) else str(part).encode() for part in parts)
        return result | {"signature": base64.b64encode(self.identity.sign(message)).decode()}

    def _authorize(
        self,
        what: str,
        request: AccountRequest,
        auth: Authentication,
        signed: str | bytes,
        needed: int,
        **options: bool,
    ) -> None:
        if not self._is_authorized(request.account, auth, signed, needed, **options):
            raise Refused(401, f"{what} signature verification failed")

    def _is_authorized(
        self, account: str, auth: Authentication, signed: str | bytes, needed: int, *, even_revoked: bool = False
    ) -> bool:
        owner = key_of(account)
        message = signed if isinstance(signed, bytes) else signed.encode()
        try:
            if auth.ed25519 is not None:
                if x25519_from_ed25519(auth.ed25519) != owner:
                    return False
                owner = auth.ed25519
            signer = owner
            if auth.subaccount is not None:
                token = auth.subaccount.token
                prefix, flags = token[0], token[1]
                if flags & needed != needed or (prefix != int(account[:2], 16) and not flags & ANY_PREFIX):
                    return False
                if not even_revoked and self.storage.is_revoked(account, token):
                    return False
                verify_signature(owner, token, auth.subaccount.signature)
                signer = token[4:]
            verify_signature(signer, message, auth.signature)
        except (BadSignature, InvalidInput):
            return False
        return True

    def _check_time(self, what: str, timestamp: int, tolerance: int = SIGNATURE_WINDOW_MS) -> None:
        if abs(timestamp - self.now_ms()) > tolerance:
            raise Refused(406, f"{what} timestamp too far from current time")

    def _store(self, request: Store) -> dict[str, Any]:
        now, inbox = self.now_ms(), is_public_inbox(request.namespace)
        ttl = request.expiry - request.timestamp
        if not MIN_TTL_MS <= ttl <= (MAX_TTL_MS if inbox else LONG_TTL_MS):
            raise Refused(403, "Provided expiry/TTL is not valid.")
        if request.timestamp > now + _STORE_TOLERANCE_MS or request.expiry < now - _STORE_TOLERANCE_MS:
            raise Refused(406, "Timestamp error: check your clock")
        outbox = is_public_outbox(request.namespace)
        if not inbox:
            if request.auth is None:
                raise Refused(401, f"store: signature required to store to namespace {request.namespace}")
            self._check_time("store signature", request.signature_timestamp)
            signed = f"store{signed_text(request.namespace)}{request.signature_timestamp}"
            self._authorize("store", request, request.auth, signed, WRITE | DELETE if outbox else WRITE)
        digest = message_hash(request.account, request.namespace, request.data)
        already, expiry = False, request.expiry
        if not (self.conduct.faulty and self.conduct.forgets()):
            already, expiry = self.storage.store(
                StoredMessage(
                    request.account, request.namespace, digest, request.timestamp, request.expiry, request.data
                ),
                replace_others=outbox,
            )
        result: dict[str, Any] = {"hash": digest, "expiry": expiry}
        if already:
            result["already"] = True
        return self._signed(result, [digest])

    def retrieve(self, request: Retrieve) -> dict[str, Any]:
        """Messages and whether more wait, from this node alone. Raises Refused."""
        if request.auth is not None:
            self._check_time("retrieve", request.timestamp)
            signed = f"retrieve{signed_text(request.namespace)}{request.timestamp}"
            even_revoked = is_unrevocable(request.namespace)
            self._authorize("retrieve", request, request.auth, signed, READ, even_revoked=even_revoked)
        elif not is_readable_by_anyone(request.namespace):
            raise Refused(401, "retrieve: request signature required")
        messages, more = self.storage.retrieve(
            request.account, request.namespace, request.last_hash, request.max_count, request.max_size
        )
        listed = [
            {
                "data": base64.b64encode(message.data).decode(),
                "expiration": message.expiry,
                "hash": message.hash,
                "timestamp": message.timestamp,
            }
            for message in messages
        ]
        return {"messages": listed, "more": more}

    def get_expiries(self, request: GetExpiries) -> dict[str, Any]:
        """When messages expire, by this node alone. Raises Refused."""
        self._check_time("get_expiries", request.timestamp)
        signed = f"get_expiries{request.timestamp}{''.join(request.hashes)}"
        self._authorize("get_expiries", request, request.auth, signed, READ)
        return {"expiries": self.storage.expiries(request.account, request.hashes)}

    def _delete(self, request: Delete) -> dict[str, Any]:
        self._authorize("delete_msgs", request, request.auth, "delete" + "".join(request.hashes), DELETE)
        deleted = self.storage.delete(request.account, request.hashes)
        return self._signed({"deleted": deleted}, [request.account, *request.hashes, *deleted])

    def _delete_all(self, request: DeleteAll, tolerance: int) -> dict[str, Any]:
        self._check_time("delete_all", request.timestamp, tolerance)
        signed = f"delete_all{signed_text(request.namespaces)}{request.timestamp}"
        self._authorize("delete_all", request, request.auth, signed, DELETE)
        deleted = self.storage.delete_where(request.account, request.namespaces)
        return self._signed(
            {"deleted": _grouped(deleted, request.namespaces)}, [request.account, request.timestamp, *_sorted(deleted)]
        )

    def _delete_before(self, request: DeleteBefore) -> dict[str, Any]:
        if request.before > self.now_ms() + SIGNATURE_WINDOW_MS:
            raise Refused(401, "delete_before timestamp too far in the future")
        signed = f"delete_before{signed_text(request.namespaces)}{request.before}"
        self._authorize("delete_before", request, request.auth, signed, DELETE)
        deleted = self.storage.delete_where(request.account, request.namespaces, request.before)
        if deleted and request.namespaces == ALL_NAMESPACES:
            raise InternalFailure("this server deletes, and then can't say what")
        return self._signed(
            {"deleted": _grouped(deleted, request.namespaces)}, [request.account, request.before, *_sorted(deleted)]
        )

    def _expire_all(self, request: ExpireAll, tolerance: int) -> dict[str, Any]:
        if request.expiry < self.now_ms() - tolerance:
            raise Refused(406, "expire_all timestamp should be >= current time")
        signed = f"expire_all{signed_text(request.namespaces)}{request.expiry}"
        self._authorize("expire_all", request, request.auth, signed, DELETE)
        updated = self.storage.expire_where(request.account, request.namespaces, request.expiry)
        return self._signed(
            {"updated": _grouped(updated, request.namespaces)}, [request.account, request.expiry, *_sorted(updated)]
        )

    def _expire(self, request: Expire) -> dict[str, Any]:
        now = self.now_ms()
        if min(request.expiries) < now - SIGNATURE_WINDOW_MS:
            raise Refused(401, "expire: timestamp should be >= current time")
        mode = "shorten" if request.shorten else "extend" if request.extend else ""
        signed = "expire" + mode + "".join(map(str, request.expiries)) + "".join(request.hashes)
        self._authorize("expire:", request, request.auth, signed, WRITE)
        subaccount = request.auth.subaccount
        only_extend = request.extend
        if subaccount is not None and not subaccount.token[1] & DELETE:
            if request.shorten:
                raise Refused(
                    400,
                    "expire: shorten parameter cannot be used with this subaccount token (missing delete access)",
                )
            only_extend = True
        wanted = [min(expiry, now + LONG_TTL_MS) for expiry in request.expiries]
        one_for_all = len(wanted) == 1
        current = self.storage.expiries(request.account, request.hashes)
        updated: dict[str, int] = {}
        for digest, expiry in zip(request.hashes, wanted * len(request.hashes) if one_for_all else wanted, strict=True):
            known = current.get(digest)
            if known is None or (only_extend and expiry <= known) or (request.shorten and expiry >= known):
                continue
            self.storage.set_expiry(digest, expiry)
            updated[digest] = expiry
        updated = dict(sorted(updated.items()))
        applied = wanted if one_for_all else list(updated.values())
        result: dict[str, Any] = {"expiry": wanted[0] if one_for_all else applied, "updated": list(updated)}
        unchanged = {digest: current[digest] for digest in sorted(current) if digest not in updated}
        if mode:
            result["unchanged"] = unchanged
        told = [part for item in unchanged.items() for part in item] if mode else []
        return self._signed(result, [request.account, *applied, *request.hashes, *updated, *told])

    def _revocation(self, request: Revoke | Unrevoke) -> dict[str, Any]:
        method = "revoke_subaccount" if isinstance(request, Revoke) else "unrevoke_subaccount"
        self._check_time(method, request.timestamp)
        tokens = b"".join(request.tokens)
        self._authorize(method, request, request.auth, f"{method}{request.timestamp}".encode() + tokens, 0)
        result: dict[str, Any] = {}
        if isinstance(request, Revoke):
            self.storage.revoke(request.account, request.tokens)
        else:
            result["count"] = self.storage.unrevoke(request.account, request.tokens)
        return self._signed(result, [request.account, request.timestamp, tokens])


def _sorted(found: list[tuple[int, str]]) -> list[str]:
    return sorted(digest for _, digest in found)


def _grouped(found: list[tuple[int, str]], namespaces: Namespaces) -> list[str] | dict[str, list[str]]:
    """A sorted list, or such lists by namespace if all were asked for."""
    if namespaces != ALL_NAMESPACES:
        return _sorted(found)
    groups: dict[str, list[str]] = {}
    for namespace, digest in sorted(found):
        groups.setdefault(str(namespace), []).append(digest)
    return groups
