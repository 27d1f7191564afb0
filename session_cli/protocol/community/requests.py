"""Requests to community servers as values, each of which knows how to read its answer; and several of them in one.

`endpoints` has one function for each thing that can be asked. What a refusal means is decided here: by its status, and
by its text only where two meanings share one.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ...errors import (
    Banned,
    BlindingRequired,
    ClockOutOfSync,
    MalformedMessage,
    NoPermission,
    NotFound,
    RateLimited,
    ServerFailed,
    ServiceRefused,
    SessionError,
)
from ..onion import V4Response, compact_json
from .values import mapping, number, parse_json, sequence

T = TypeVar("T")

JSON_TYPE = "application/json"
_BLINDING_REQUIRED = "Invalid authentication: this server requires the use of blinded ids"
_FILTERED = "filtration rejected"
_NOTHING_NEW = 304
_READ_OF_A_REFUSAL = 200


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: its status, and its JSON (`value`; `is_json` tells null from nothing) or other bytes (`raw`)."""

    status: int
    value: Any = None
    raw: bytes = b""
    is_json: bool = False

    @classmethod
    def of(cls, response: V4Response) -> Reply:
        """The answer to a whole request. Raises MalformedMessage for JSON that is none."""
        headers = {name.lower(): content for name, content in response.headers.items()}
        if _is_json(headers):
            return cls(response.code, parse_json(response.body), is_json=True)
        return cls(response.code, raw=response.body)

    @classmethod
    def of_part(cls, part: Any) -> Reply:
        """One answer among those to a batch. Raises MalformedMessage."""
        fields = mapping(part)
        status, body, headers = number(fields.get("code")), fields.get("body"), fields.get("headers")
        lower = {name.lower(): str(content) for name, content in headers.items()} if isinstance(headers, dict) else {}
        if _is_json(lower):
            return cls(status, body, is_json=True)
        # Only a refusal is not JSON here, and of that a look at its beginning is enough.
        start = body[: _READ_OF_A_REFUSAL // 3 * 4] if isinstance(body, str) else ""
        try:
            return cls(status, raw=base64.b64decode(start))
        except ValueError:
            return cls(status)

    @property
    def words(self) -> str:
        """What a refusal says, as far as it is worth looking at."""
        return self.raw[:_READ_OF_A_REFUSAL].decode("utf-8", "replace").strip()


def _is_json(headers: Mapping[str, str]) -> bool:
    return headers.get("content-type", "").partition(";")[0].strip().lower() == JSON_TYPE


@dataclass(frozen=True, slots=True)
class CommunityRequest(Generic[T]):
    """A request: `path` with its query, all ASCII, and `json` for a body (None: no body).

    `read` makes the result of the answer's JSON. `missing` says what is not there when the answer is 404. Of a request
    that is not `repeatable`, a second one would do a second thing.
    """

    method: str
    path: str
    read: Callable[[Any], T]
    json: Any = None
    missing: str = "The community server does not have what was asked for."
    repeatable: bool = True
    nothing: T | None = None
    """The result where the server may say that there is nothing new."""

    @property
    def body(self) -> bytes | None:
        """The exact bytes of the body, over which the signature goes."""
        return None if self.json is None else compact_json(self.json)

    @property
    def headers(self) -> dict[str, str]:
        """The headers, without those that say who asks."""
        return {} if self.json is None else {"Content-Type": JSON_TYPE}

    @property
    def only_reads(self) -> bool:
        """Whether it changes nothing on the server, however often it is made."""
        if self.path in ("/batch", "/sequence"):
            return all(part["method"] == "GET" for part in self.json)
        return self.method == "GET"

    def result_of(self, response: V4Response) -> T:
        """The result that an answer to this request alone holds. Raises as `result` does."""
        try:
            reply = Reply.of(response)
        except MalformedMessage as error:
            raise ServerFailed(error.message) from None
        return self.result(reply)

    def result(self, reply: Reply) -> T:
        """The result that an answer holds.

        Raises what `raise_for_status` raises, and ServerFailed for an answer that makes no sense.
        """
        if reply.status == _NOTHING_NEW and self.nothing is not None:
            return self.nothing
        raise_for_status(reply, self.missing)
        if not reply.is_json:
            raise ServerFailed("The community server answers in another format than it should.")
        try:
            return self.read(reply.value)
        except MalformedMessage as error:
            raise ServerFailed(error.message) from None
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            # Every value is checked; should a check be missing, one answer is lost and not the command.
            raise ServerFailed(f"The community server's answer makes no sense ({type(error).__name__}).") from None


def raise_for_status(reply: Reply, missing: str) -> None:
    """Turn a refusal into its exception.

    Raises BlindingRequired, Banned, NoPermission (403, and 401: it does not take us for who we say), NotFound (404),
    ClockOutOfSync (425), RateLimited (429), ServerFailed (5xx), ServiceRefused (anything else that is not 2xx).
    """
    status, words = reply.status, reply.words
    match status:
        case _ if 200 <= status < 300:
            return
        case 400 if words == _BLINDING_REQUIRED:
            raise BlindingRequired("The community server knows people by blinded ids alone.", status=status)
        case 401:
            raise NoPermission("The community server does not accept our answer to who we are.", status=status)
        case 403 if words == "Banned":
            raise Banned("You are banned from this community server.", status=status)
        case 403:
            raise NoPermission("The community server does not let you do that.", status=status)
        case 404:
            raise NotFound(missing, status=status)
        case 425:
            raise ClockOutOfSync(
                "The community server refuses our signature's time. Check this machine's clock and date."
            )
        case 429 if words.startswith(_FILTERED):
            raise ServiceRefused("The community server's filter does not let this message through.", status=status)
        case 429:
            raise RateLimited("The community server takes no more than a few messages at a time: wait some seconds.")
        case _ if status >= 500:
            raise ServerFailed(f"The community server is in trouble (status {status}).")
        case _:
            raise ServiceRefused(f"The community server refuses (status {status}).", status=status)


def batch(requests: Sequence[CommunityRequest[Any]]) -> CommunityRequest[list[Any]]:
    """Several requests in one, all of which are carried out.

    In the result stands for each what it gives, or the SessionError that it raises.
    """

    def read(value: Any) -> list[Any]:
        parts = sequence(value)
        if len(parts) != len(requests):
            raise MalformedMessage("A community server answered another number of requests than it was asked.")
        return [_outcome(request, part) for request, part in zip(requests, parts, strict=True)]

    return _together("/batch", requests, read)


def in_sequence(requests: Sequence[CommunityRequest[Any]]) -> CommunityRequest[list[Any]]:
    """Several requests in one, up to the first that is refused: the result, as for `batch`, may be shorter."""

    def read(value: Any) -> list[Any]:
        return [_outcome(request, part) for request, part in zip(requests, sequence(value), strict=False)]

    return _together("/sequence", requests, read)


def _together(
    path: str, requests: Sequence[CommunityRequest[Any]], read: Callable[[Any], list[Any]]
) -> CommunityRequest[list[Any]]:
    repeatable = all(request.repeatable for request in requests)
    return CommunityRequest("POST", path, read, [_part(request) for request in requests], repeatable=repeatable)


def _part(request: CommunityRequest[Any]) -> dict[str, Any]:
    part = {"method": request.method, "path": request.path}
    return part if request.json is None else part | {"json": request.json}


def _outcome(request: CommunityRequest[Any], part: Any) -> Any:
    try:
        return request.result(Reply.of_part(part))
    except MalformedMessage as error:
        return ServerFailed(error.message)
    except SessionError as error:
        return error
