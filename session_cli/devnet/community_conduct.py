"""How a community server behaves: faults in what it answers, sealed or not."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random
from typing import Any, TypeVar

from ..protocol.account import Identity
from ..protocol.blinding import blind15
from .community_calls import JSON
from .community_faults import ForgedPosts, Oversized, Redirect, Rewrite, WrongKey
from .faults import CallFault, InnerStatus, Nonsense
from .injections import Injection, Injections
from .routes import HTML, Reply

F = TypeVar("F", bound=CallFault)
_RUBBISH = b"\x7fELF is no answer"
_FLOOD_POSTS = 5000
_TEXTS = {401: "Invalid authentication: X-SOGS-Signature verification failed", 403: "Banned", 429: "Rate limited"}


class CommunityConduct:
    """Ask it only while `faulty`. `server_key` (32 bytes) is for blinding the authors that it invents."""

    def __init__(self, injections: Injections, server_key: bytes) -> None:
        self._injections = injections
        self._server_key = server_key

    @property
    def faulty(self) -> bool:
        """Whether any fault is at work in the network."""
        return bool(self._injections.live)

    def cannot_read(self) -> bool:
        """Whether the server has not the key to which requests are sealed."""
        return any(True for _ in self._striking(WrongKey, (), lambda injection: injection.fault == WrongKey()))

    def sealed_nonsense(self, calls: tuple[str, ...]) -> bytes | None:
        """What is sealed instead of an answer; None if that is."""
        for _ in self._striking(Nonsense, calls, lambda injection: injection.fault == Nonsense("sealed")):
            return _RUBBISH
        return None

    def sealed_for_nobody(self, calls: tuple[str, ...], size: int) -> bytes | None:
        """What is sent instead of a sealed answer of so many bytes; None if that is."""
        for _, injection in self._striking(WrongKey, calls, lambda found: found.fault == WrongKey("answer")):
            # Sealed with another key, it looks like what is drawn.
            return injection.random.randbytes(size)
        return None

    def instead_of(self, name: str, *, outermost: bool) -> Reply | None:
        """What is answered without anything being carried out; None if it is carried out."""

        def is_meant(injection: Injection) -> bool:
            is_refusal = isinstance(injection.fault, Redirect) or not _comes_after(injection)
            return is_refusal and _is_meant(injection, outermost=outermost)

        kinds: tuple[type[Redirect | InnerStatus], ...] = (Redirect, InnerStatus)
        for fault, _ in self._striking(kinds, (name,), is_meant):
            return _refusal(fault)
        return None

    def spoilt(self, name: str, reply: Reply, *, outermost: bool) -> Reply:
        """What becomes of an answer."""

        def is_meant(injection: Injection) -> bool:
            match injection.fault:
                case InnerStatus():
                    return _comes_after(injection) and _is_meant(injection, outermost=outermost)
                case Nonsense(what="sealed"):
                    return False
                case ForgedPosts(methods=methods):
                    # Posts are what this is about, wherever they stand.
                    return name in methods and reply.status == 200
            return _is_meant(injection, outermost=outermost)

        kinds = (InnerStatus, Nonsense, Oversized, ForgedPosts, Rewrite)
        for fault, injection in self._striking(kinds, (name,), is_meant):
            match fault:
                case InnerStatus():
                    reply = _refusal(fault)
                case Nonsense():
                    reply = _nonsense(reply, fault)
                case Oversized():
                    reply = Reply(200, {"content-type": JSON}, b'"' + b"x" * (fault.size - 2) + b'"')
                case ForgedPosts():
                    reply = _forged(reply, fault, self._author(injection.random))
                case Rewrite():
                    reply = fault.change(reply)
        return reply

    def _striking(
        self,
        kinds: type[F] | tuple[type[F], ...],
        calls: tuple[str, ...],
        when: Callable[[Injection], bool],
    ) -> Iterator[tuple[F, Injection]]:
        return self._injections.striking(kinds, "community", None, calls, when=when)

    def _author(self, random: Random) -> str:
        return blind15(Identity.from_seed(random.randbytes(32)), self._server_key).blinded_id


def _comes_after(injection: Injection) -> bool:
    return isinstance(injection.fault, InnerStatus) and injection.fault.after


def _is_meant(injection: Injection, *, outermost: bool) -> bool:
    return outermost or injection.aim.methods is not None


def _refusal(fault: Redirect | InnerStatus) -> Reply:
    if isinstance(fault, Redirect):
        return Reply(fault.code, {"content-type": HTML, "location": fault.location})
    text = _TEXTS.get(fault.code, "") if fault.body is None else fault.body
    return Reply(fault.code, {"content-type": HTML}, text.encode())


def _nonsense(reply: Reply, fault: Nonsense) -> Reply:
    body = _json(reply)
    match fault.what:
        case "shape":
            return replace(reply, headers={"content-type": JSON}, body=b'{"unexpected": [null, {}, -1]}')
        case "fewer_parts" | "more_parts" if isinstance(body, list):
            other = body[:-1] if fault.what == "fewer_parts" else [*body, *body[-1:]]
            return replace(reply, body=json.dumps(other).encode())
        case "body":
            return replace(reply, headers={"content-type": JSON}, body=_RUBBISH)
    return reply


def _forged(reply: Reply, fault: ForgedPosts, author: str) -> Reply:
    body = _json(reply)
    if isinstance(body, dict):
        return replace(reply, body=json.dumps(_forged_post(body, fault, author)).encode())
    if not isinstance(body, list):
        return reply
    posts = [_forged_post(post, fault, author) for post in body]
    if fault.how == "twice":
        posts += posts
    if fault.how == "flood" and posts:
        first = posts[0]
        posts = [first | {"id": first["id"] + more, "seqno": first["seqno"] + more} for more in range(_FLOOD_POSTS)]
    return replace(reply, body=json.dumps(posts).encode())


def _forged_post(post: dict[str, Any], fault: ForgedPosts, author: str) -> dict[str, Any]:
    match fault.how:
        case "signature" if "signature" in post:
            signature = bytearray(base64.b64decode(post["signature"]))
            signature[0] ^= 1
            return post | {"signature": base64.b64encode(signature).decode()}
        case "author" if "session_id" in post:
            return post | {"session_id": author}
        case "numbers":
            return post | {"id": 2**80, "seqno": 2**80} | ({"posted": 1e300} if "posted" in post else {})
        case "backwards":
            return post | {"seqno": 0}
    return post


def _json(reply: Reply) -> Any:
    return json.loads(reply.body) if reply.headers.get("content-type") == JSON else None
