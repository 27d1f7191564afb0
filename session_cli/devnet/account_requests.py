"""The storage server's calls on accounts, parsed: parameters become typed values, or a ParseError."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ..protocol.storage_rpc import MAX_MESSAGE_BYTES
from .fields import Fields, ParseError, at_most_one, from_base64, is_base64, is_hex, required
from .namespaces import Namespaces, is_readable_by_anyone

MAX_REVOKED = 50
TOKEN_BYTES = 36
_SIGNATURE_SIZES = (86, 88)


@dataclass(frozen=True, slots=True)
class Subaccount:
    """A token of an account (36 bytes) and the owner's signature over it (64 bytes)."""

    token: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Authentication:
    """How a call proves its right. `ed25519` (32 bytes) only comes with 05 accounts."""

    signature: bytes
    ed25519: bytes | None = None
    subaccount: Subaccount | None = None


@dataclass(frozen=True, slots=True)
class AccountRequest:
    """Any call on one account (66 lower-case hex digits). `method` is its name in the RPC."""

    method: ClassVar[str]
    account: str


@dataclass(frozen=True, slots=True)
class Store(AccountRequest):
    method = "store"

    data: bytes = field(repr=False)
    timestamp: int
    expiry: int
    namespace: int
    auth: Authentication | None
    signature_timestamp: int


@dataclass(frozen=True, slots=True)
class Retrieve(AccountRequest):
    method = "retrieve"

    namespace: int
    last_hash: str | None
    max_count: int | None
    max_size: int | None
    auth: Authentication | None
    timestamp: int


@dataclass(frozen=True, slots=True)
class Delete(AccountRequest):
    method = "delete"

    auth: Authentication
    hashes: list[str]
    required: bool


@dataclass(frozen=True, slots=True)
class DeleteAll(AccountRequest):
    method = "delete_all"

    auth: Authentication
    namespaces: Namespaces
    timestamp: int


@dataclass(frozen=True, slots=True)
class DeleteBefore(AccountRequest):
    method = "delete_before"

    auth: Authentication
    namespaces: Namespaces
    before: int


@dataclass(frozen=True, slots=True)
class ExpireAll(AccountRequest):
    method = "expire_all"

    auth: Authentication
    namespaces: Namespaces
    expiry: int


@dataclass(frozen=True, slots=True)
class Expire(AccountRequest):
    method = "expire"

    auth: Authentication
    hashes: list[str]
    expiries: list[int]
    extend: bool
    shorten: bool


@dataclass(frozen=True, slots=True)
class GetExpiries(AccountRequest):
    method = "get_expiries"

    auth: Authentication
    hashes: list[str]
    timestamp: int


@dataclass(frozen=True, slots=True)
class Revoke(AccountRequest):
    method = "revoke_subaccount"

    auth: Authentication
    tokens: list[bytes]
    timestamp: int


@dataclass(frozen=True, slots=True)
class Unrevoke(AccountRequest):
    method = "unrevoke_subaccount"

    auth: Authentication
    tokens: list[bytes]
    timestamp: int


def _account(text: str | None, size_format: str = "{} hex digits ({} bytes)") -> str:
    text = required("pubkey", text)
    if len(text) != 66 or not is_hex(text):
        raise ParseError(f"Pubkey must be {size_format.format(66, 33)} long")
    return text.lower()


def _either_pubkey(fields: Fields) -> str | None:
    old, new = fields.text("pubKey"), fields.text("pubkey")
    at_most_one("pubkey", new, "pubKey", old)
    return old if new is None else new


def _signature(text: str, what: str) -> bytes:
    if len(text) not in _SIGNATURE_SIZES or not is_base64(text) or (len(text) == 88) != text.endswith("=="):
        raise ParseError(f"{what}: expected base64 encoded Ed25519 signature")
    return from_base64(text)


def _authenticated(fields: Fields, pubkey: str | None, *, subaccounts: bool = True) -> tuple[str, Authentication]:
    """The account and its proof: in the order in which the server complains."""
    ed25519_text, signature_text = fields.text("pubkey_ed25519"), fields.text("signature")
    account = _account(pubkey)
    signature_text = required("signature", signature_text)
    ed25519 = None
    if ed25519_text is not None:
        if not account.startswith("05"):
            raise ParseError("pubkey_ed25519 is only permitted for 05[...] pubkeys")
        if len(ed25519_text) != 64:
            raise ParseError("Invalid pubkey_ed25519: expected 64 hex char or 32 byte pubkey")
        if not is_hex(ed25519_text):
            raise ParseError("invalid pubkey_ed25519: value is not hex")
        ed25519 = bytes.fromhex(ed25519_text)
    signature = _signature(signature_text, "invalid signature")
    subaccount = _subaccount(fields) if subaccounts else None
    return account, Authentication(signature, ed25519, subaccount)


def _token(text: str, complaint: str) -> bytes:
    if len(text) == TOKEN_BYTES * 4 // 3 and is_base64(text):
        return from_base64(text)
    if len(text) == TOKEN_BYTES * 2 and is_hex(text):
        return bytes.fromhex(text)
    raise ParseError(complaint)


def _subaccount(fields: Fields) -> Subaccount | None:
    token_text, signature_text = fields.text("subaccount"), fields.text("subaccount_sig")
    if not token_text:
        return None
    if signature_text is None:
        raise ParseError("invalid subaccount: subaccount_sig is required when using subaccount")
    token = _token(token_text, "invalid subaccount: expected base64 or hex-encoded subaccount token")
    return Subaccount(token, _signature(signature_text, "invalid subaccount signature"))


def _is_message_hash(text: str) -> bool:
    return len(text) == 43 and is_base64(text)


def _hashes(listed: list[str] | None, *, check: bool = True) -> list[str]:
    hashes = required("messages", listed)
    if not hashes:
        raise ParseError("messages does not contain any message hashes")
    for text in hashes if check else ():
        if not _is_message_hash(text):
            raise ParseError(f"invalid message hash: {text}")
    return hashes


def parse_store(params: Mapping[str, Any]) -> Store:
    fields = Fields(params)
    data, expiry, namespace = fields.text("data"), fields.timestamp("expiry"), fields.namespace("namespace")
    signature_timestamp = fields.timestamp("sig_timestamp")
    timestamp = fields.decimal("timestamp", unsigned=False)
    ttl = fields.decimal("ttl", unsigned=True)
    timestamp = required("timestamp", timestamp)
    at_most_one("expiry", expiry, "ttl", ttl)
    if expiry is None:
        if ttl is None:
            raise ParseError("Required field 'expiry' or 'ttl' missing")
        expiry = timestamp + ttl
    pubkey = _either_pubkey(fields)
    auth = None
    if fields.text("signature") is not None:
        account, auth = _authenticated(fields, pubkey)
    else:
        account = _account(pubkey)
    data = required("data", data)
    if not is_base64(data):
        raise ParseError("Invalid 'data' value: not base64 encoded")
    if len(data) > MAX_MESSAGE_BYTES // 3 * 4:
        raise ParseError(f"Message body exceeds maximum allowed length of {MAX_MESSAGE_BYTES} bytes")
    return Store(
        account,
        from_base64(data),
        timestamp,
        expiry,
        namespace or 0,
        auth,
        timestamp if signature_timestamp is None else signature_timestamp,
    )


def parse_retrieve(params: Mapping[str, Any]) -> Retrieve:
    fields = Fields(params)
    old_last, last_hash = fields.text("lastHash"), fields.text("last_hash")
    max_count, max_size = fields.integer("max_count"), fields.integer("max_size")
    namespace = fields.namespace("namespace")
    timestamp = fields.timestamp("timestamp")
    pubkey = _either_pubkey(fields)
    named = ("pubkey_ed25519", "signature")
    private = namespace is not None and not is_readable_by_anyone(namespace)
    auth = None
    if private or timestamp is not None or any(fields.text(name) is not None for name in named):
        account, auth = _authenticated(fields, pubkey)
        timestamp = required("timestamp", timestamp)
    else:
        account = _account(pubkey)
    at_most_one("last_hash", last_hash, "lastHash", old_last)
    last_hash = last_hash or old_last or None
    if last_hash is not None:
        if len(last_hash) != 43:
            raise ParseError("Invalid last_hash: expected base64 (43 chars)")
        if not is_base64(last_hash):
            raise ParseError("Invalid last_hash: not base64")
    return Retrieve(account, namespace or 0, last_hash, max_count or None, max_size or None, auth, timestamp or 0)


def parse_delete(params: Mapping[str, Any]) -> Delete:
    fields = Fields(params)
    hashes, needed = fields.texts("messages"), fields.boolean("required")
    account, auth = _authenticated(fields, fields.text("pubkey"))
    return Delete(account, auth, _hashes(hashes), needed)


def parse_delete_all(params: Mapping[str, Any]) -> DeleteAll:
    fields = Fields(params)
    namespaces, timestamp = fields.namespaces("namespace"), fields.timestamp("timestamp")
    account, auth = _authenticated(fields, fields.text("pubkey"))
    return DeleteAll(account, auth, namespaces, required("timestamp", timestamp))


def parse_delete_before(params: Mapping[str, Any]) -> DeleteBefore:
    fields = Fields(params)
    before, namespaces = fields.timestamp("before"), fields.namespaces("namespace")
    account, auth = _authenticated(fields, fields.text("pubkey"))
    return DeleteBefore(account, auth, namespaces, required("before", before))


def parse_expire_all(params: Mapping[str, Any]) -> ExpireAll:
    fields = Fields(params)
    expiry, namespaces = fields.timestamp("expiry"), fields.namespaces("namespace")
    account, auth = _authenticated(fields, fields.text("pubkey"))
    return ExpireAll(account, auth, namespaces, required("expiry", expiry))


def parse_expire(params: Mapping[str, Any]) -> Expire:
    fields = Fields(params)
    expiries, extend = fields.timestamps("expiry"), fields.boolean("extend")
    hashes, shorten = fields.texts("messages"), fields.boolean("shorten")
    account, auth = _authenticated(fields, fields.text("pubkey"))
    expiries = required("expiry", expiries)
    if not expiries:
        raise ParseError("'expiry' does not contain any expiration timestamps")
    if shorten and extend:
        raise ParseError("cannot specify both 'shorten' and 'extend'")
    hashes = _hashes(hashes, check=False)
    if len(expiries) > 1 and len(expiries) != len(hashes):
        raise ParseError("'expiry' must be a single expiry, or the same length as 'messages'")
    return Expire(account, auth, _hashes(hashes), expiries, extend, shorten)


def parse_get_expiries(params: Mapping[str, Any]) -> GetExpiries:
    fields = Fields(params)
    hashes, timestamp = fields.texts("messages"), fields.timestamp("timestamp")
    account, auth = _authenticated(fields, fields.text("pubkey"))
    timestamp = required("timestamp", timestamp)
    return GetExpiries(account, auth, _hashes(hashes, check=False), timestamp)


def _tokens(listed: list[str] | None, name: str) -> list[bytes]:
    complaint = f"invalid {name}: expected base64 or hex-encoded subaccount tag"
    return [_token(text, complaint) for text in required(name, listed)]


def parse_revoke(params: Mapping[str, Any]) -> Revoke:
    fields = Fields(params)
    listed, timestamp = fields.texts("revoke"), fields.timestamp("timestamp")
    account, auth = _authenticated(fields, fields.text("pubkey"), subaccounts=False)
    if listed is not None and len(listed) > MAX_REVOKED:
        raise ParseError(f"invalid revoke: cannot revoke more than {MAX_REVOKED} subaccounts at once")
    tokens = _tokens(listed, "revoke")
    return Revoke(account, auth, tokens, required("timestamp", timestamp))


def parse_unrevoke(params: Mapping[str, Any]) -> Unrevoke:
    fields = Fields(params)
    timestamp, listed = fields.timestamp("timestamp"), fields.texts("unrevoke")
    account, auth = _authenticated(fields, fields.text("pubkey"), subaccounts=False)
    timestamp = required("timestamp", timestamp)
    return Unrevoke(account, auth, _tokens(listed, "unrevoke"), timestamp)


def parse_get_swarm(params: Mapping[str, Any]) -> str:
    """The account asked for."""
    return _account(_either_pubkey(Fields(params)), "{} hex digits/{} bytes")
