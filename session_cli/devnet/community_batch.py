"""Several requests in one: what a batch or sequence asks for, and how its answers are put together."""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
from collections.abc import Mapping
from typing import Any

from .community_calls import JSON, Call, bad_request
from .routes import Reply, Request

_BODY_KEYS = ("json", "b64", "bytes")
_BINARY = "application/octet-stream"


def parse_parts(call: Call) -> list[Request]:
    """The requests of a batch. Raises Refused, for all of them, if one breaks the rules."""
    parts = call.any_json()
    if not isinstance(parts, list):
        raise bad_request()
    return [_request(part) for part in parts]


def _request(part: Any) -> Request:
    if not isinstance(part, dict):
        raise bad_request()
    method, path, headers = part.get("method"), part.get("path"), part.get("headers", {})
    bodies = [key for key in _BODY_KEYS if key in part]
    if method not in ("GET", "DELETE", "POST", "PUT") or not isinstance(path, str) or not path.startswith("/"):
        raise bad_request()
    if len(bodies) != (1 if method in ("POST", "PUT") else 0):
        raise bad_request()
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        raise bad_request()
    named = {name.lower(): value for name, value in headers.items()}
    body = b""
    if bodies:
        named["content-type"] = JSON if bodies == ["json"] else _BINARY
        body = _body(bodies[0], part[bodies[0]])
    return Request(method, path, named, body)


def _body(kind: str, value: Any) -> bytes:
    if kind == "json":
        return json.dumps(value).encode()
    if not isinstance(value, str):
        raise bad_request()
    if kind == "bytes":
        return value.encode("utf-8", "surrogatepass")
    try:
        # As the real server reads it: what does not belong there is passed over.
        return base64.b64decode(value)
    except (binascii.Error, ValueError):
        raise bad_request() from None


def part_of_answer(reply: Reply) -> dict[str, Any]:
    """An answer as it stands among others: JSON is part of the whole, anything else is base64 in it."""
    headers: Mapping[str, str] = {name: value for name, value in reply.headers.items() if name != "content-length"}
    body: Any = base64.b64encode(reply.body).decode()
    if reply.headers.get("content-type") == JSON:
        # What a fault calls JSON may be none.
        with contextlib.suppress(ValueError):
            body = json.loads(reply.body)
    return {"code": reply.status, "headers": headers, "body": body}


UNREADABLE: Mapping[str, Any] = {"code": 500, "content-type": "text/plain", "body": ""}
"""The part for a request whose path is no text."""
