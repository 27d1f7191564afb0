"""The placeholders of the storage recordings, as their README describes them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from session_cli.protocol.account import Identity
from session_cli.protocol.storage_rpc import message_hash

from .helpers import load_recording


@dataclass(frozen=True)
class TestKey:
    """One of the recordings' accounts."""

    __test__ = False

    identity: Identity
    account: str


def load_keys() -> dict[str, TestKey]:
    """All accounts by name."""
    recorded = load_recording("storage_rpc", "keys")
    return {
        name: TestKey(Identity.from_seed(bytes.fromhex(entry["seed"])), entry["account"])
        for name, entry in recorded.items()
        if isinstance(entry, dict)
    }


@dataclass(frozen=True)
class Exchange:
    """An exchange that was played: its evaluated request and the answer's body."""

    request: Any
    response: Any


def pointer(value: Any, path: str) -> Any:
    """The value at a JSON pointer."""
    for part in filter(None, path.split("/")):
        value = value[int(part)] if isinstance(value, list) else value[part]
    return value


def recorded_data(label: str, size: int) -> bytes:
    """The bytes that a label stands for."""
    blocks = (hashlib.sha512(f"{label}:{number}".encode()).digest() for number in range(size // 64 + 1))
    return b"".join(blocks)[:size]


@dataclass
class Evaluator:
    """Fills templates in. `own` is one node's entry, for the parts of its signature."""

    keys: Mapping[str, TestKey]
    played: Mapping[str, Exchange]
    now_ms: int
    own: Mapping[str, Any] = field(default_factory=dict)

    def evaluate(self, template: Any) -> Any:
        """The template with every placeholder replaced."""
        if isinstance(template, list):
            return [self.evaluate(element) for element in template]
        if not isinstance(template, dict):
            return template
        if len(template) == 1:
            ((name, argument),) = template.items()
            if name.startswith("$"):
                return self._placeholder(name, argument)
        return {name: self.evaluate(value) for name, value in template.items()}

    def signed_bytes(self, parts: Any) -> bytes:
        """The concatenation of parts of a signature."""
        value = self.evaluate(parts)
        if isinstance(value, bytes):
            return value
        if isinstance(value, list):
            return b"".join(map(self.signed_bytes, value))
        return str(value).encode()

    def _token(self, account: str, member: str, flags: int, prefix: int | None = None) -> bytes:
        first = int(self.keys[account].account[:2], 16) if prefix is None else prefix
        return bytes([first, flags, 0, 0]) + self.keys[member].identity.ed25519_public

    def _placeholder(self, name: str, argument: Any) -> Any:
        match name:
            case "$now":
                return self.now_ms + argument
            case "$nowstr":
                return str(self.now_ms + argument)
            case "$now_s":
                return self.now_ms // 1000 + argument
            case "$acct":
                return self.keys[argument].account
            case "$ACCT":
                return self.keys[argument].account.upper()
            case "$ed":
                return self.keys[argument].identity.ed25519_public.hex()
            case "$sig" | "$sig86" | "$sighex":
                signature = self.keys[argument[0]].identity.sign(self.signed_bytes(argument[1]))
                text = base64.b64encode(signature).decode()
                return {"$sig": text, "$sig86": text.rstrip("="), "$sighex": signature.hex()}[name]
            case "$data":
                return base64.b64encode(recorded_data(*argument)).decode()
            case "$msghash":
                account, namespace, label, size = argument
                return message_hash(self.keys[account].account, namespace, recorded_data(label, size))
            case "$hash":
                return self.played[argument].response["hash"]
            case "$get":
                return pointer(self.played[argument[0]].response, argument[1])
            case "$reqget":
                return pointer(self.played[argument[0]].request, argument[1])
            case "$token":
                return base64.b64encode(self._token(*argument)).decode()
            case "$tokenhex":
                return self._token(*argument).hex()
            case "$tokenraw":
                return self._token(*argument)
            case "$toksig":
                return base64.b64encode(self.keys[argument[0]].identity.sign(self._token(*argument))).decode()
            case "$cat":
                return "".join(str(self.evaluate(part)) for part in argument)
            case "$rep":
                return argument[0] * argument[1]
            case "$self":
                return self.own[argument]
            case "$selfhashes":
                return sorted(digest for group in self.own[argument].values() for digest in group)
            case "$selfmap":
                return "".join(f"{key}{value}" for key, value in sorted(self.own[argument].items()))
        raise LookupError(f"unknown placeholder {name}")
