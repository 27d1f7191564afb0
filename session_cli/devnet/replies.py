"""Answers of a service node, before they are written as HTTP or sealed into an onion."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import Any

from multidict import CIMultiDict

from .http_server import Bytes

Body = dict[str, Any] | str | bytes


def to_json(value: Any) -> bytes:
    """JSON as the storage server writes it: keys sorted, no white space."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def parse_json(text: bytes) -> Any:
    """JSON as the servers read it: no NaN, no half of a surrogate pair, no nesting without end. Raises ValueError."""
    try:
        value = json.loads(text, parse_constant=_refuse)
        if b"\\u" in text:
            # Raises for a lone surrogate, which could not be sent back either.
            to_json(value)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return value


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


@dataclass(frozen=True, slots=True)
class Reply:
    """A status, and a body that is JSON, text, or bytes."""

    status: int
    body: Body = field(repr=False)

    @property
    def content_type(self) -> str:
        if isinstance(self.body, dict):
            return "application/json"
        return "text/plain" if isinstance(self.body, str) else "application/octet-stream"

    @property
    def embedded(self) -> dict[str, Any] | str:
        """The body where it has to live inside of JSON: bytes become base64."""
        return base64.b64encode(self.body).decode() if isinstance(self.body, bytes) else self.body

    def to_bytes(self) -> bytes:
        if isinstance(self.body, dict):
            return to_json(self.body)
        return self.body.encode() if isinstance(self.body, str) else self.body


@dataclass(frozen=True, slots=True)
class OnionReply:
    """What goes back along the path. `headers` and `reason` are a server's own, seen only by the node that asked it.

    `calls` names what the destination answered: the RPC method and the calls inside of it.
    """

    status: int
    body: Bytes = field(repr=False)
    headers: CIMultiDict[str] | None = None
    reason: str | None = None
    calls: tuple[str, ...] = ()
