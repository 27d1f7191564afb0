"""Community servers, through onion requests; without them only where the user has asked for it.

A server is the end of a path, and sees neither our address nor, where it knows people by blinded ids, our account. What
it may be asked twice is asked over another path when one fails or is silent. A message is not: nothing would keep it
from standing there twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO, Generic, TypeVar, cast
from urllib.parse import urlsplit

from ..errors import (
    AnswerTooLarge,
    AttachmentTooLarge,
    FileGone,
    FileTooLargeForServer,
    NetworkUnreachable,
    NotFound,
    PathFailed,
    RequestTimeout,
    ServerFailed,
    SessionError,
    Unconfirmed,
)
from ..protocol import onion as layers
from ..protocol.community import endpoints
from ..protocol.community.auth import ServerIdentity, body_hash
from ..protocol.community.requests import CommunityRequest, Reply, raise_for_status
from ..protocol.community.urls import CommunityServer
from ..protocol.onion import V4Request, V4Response
from .clock import Deadline
from .onion import OnionClient, hops_of
from .parallel import Pause, run_parallel
from .path import Path
from .replies import GuardBusy, check_guard
from .transfers import Progress, Transfers, bounded, entrance
from .transport import Cancellation, Transport
from .trial import OnionAttempt
from .unnamed import SOME_SERVER, with_name, without_name

T = TypeVar("T")

ATTEMPTS = 3
MOST_SERVERS_AT_ONCE = 8
MAX_ANSWER_BYTES = 8 * 1024 * 1024
"""Of an answer that is no file: a poll of very many rooms."""
LARGEST_ANSWER_BYTES = 32 * 1024 * 1024
"""The same where nothing less can be asked for. No path carries as much to a server, so no post is as large."""
MAX_FILE_BYTES = 16 * 1024 * 1024
"""Of a download: more than any server is known to take."""
_WHAT = "community"
"""What failures are noted under: not which one."""
_NOT_REACHED = (b"Failed to connect", b"Could not resolve", b"Couldn't resolve", b"Connection timed out", b"SSL ")
"""How the last hop begins to say that it could not even talk to the server."""
_BAD_REQUEST = 400
_NO_FILE = "The file is no longer on the community server; most of them keep files for 15 days."


@dataclass(frozen=True, slots=True)
class Question(Generic[T]):
    """A request, the server that is to answer, who asks (None: nobody whom the server would know), and how many bytes
    the answer may have."""

    server: CommunityServer
    request: CommunityRequest[T]
    asker: ServerIdentity | None
    most_bytes: int = MAX_ANSWER_BYTES


class _NeverThere(PathFailed):
    """The path works, and the server at its end can't be reached."""


class CommunityClient:
    """Asks community servers. Safe for several threads."""

    def __init__(self, onion: OnionClient, transport: Transport) -> None:
        self._onion = onion
        self._transport = transport
        self._transfers = Transfers(onion, transport)

    def ask(self, question: Question[T], deadline: Deadline, *, lane: int = 0) -> T:
        """What the answer of a server holds.

        Raises what `requests.raise_for_status` raises, ServerFailed for an answer that makes no sense, AnswerTooLarge
        where it pays to ask for less, NetworkError if there was none. Where the request is not to be
        made twice, and may have been carried out all the same, that is Unconfirmed.
        """
        return question.request.result_of(self._exchange(question, deadline, lane))

    def ask_all(self, questions: Sequence[Question[T]], deadline: Deadline) -> list[T | SessionError]:
        """The same for several servers at a time: in the place of each the result, or the error."""
        calls = [partial(self.ask, question, deadline, lane=lane) for lane, question in enumerate(questions)]
        return run_parallel(calls, at_once=MOST_SERVERS_AT_ONCE)

    def upload(
        self,
        server: CommunityServer,
        room: str,
        asker: ServerIdentity,
        body: Callable[[], Iterable[bytes]],
        size: int,
        deadline: Deadline,
        progress: Progress,
        *,
        name: str | None = None,
    ) -> int:
        """Upload a file of `size` bytes to a room; `body` gives it in pieces, anew each time. Returns its number.

        The server keeps it for an hour, and longer only if a message of ours names it by then. Raises
        AttachmentTooLarge, FileTooLargeForServer, and as `ask`.
        """
        if size > endpoints.MAX_FILE_BYTES:
            raise AttachmentTooLarge(
                f"The file has {size:,} bytes; in a community they have up to {endpoints.MAX_FILE_BYTES:,}."
            )
        request, digest = endpoints.upload(room), _hash_of(body()) if size else None

        def meta() -> dict[str, object]:
            signed = self._authentication(asker, request.method, request.path, digest)
            headers = endpoints.upload_headers(name) | signed
            return {"method": request.method, "endpoint": request.path, "headers": headers}

        response = self._transfers.upload(
            server=server.destination(), meta=meta, body=body, size=size, deadline=deadline, progress=progress
        )
        if response.code == 413:
            raise FileTooLargeForServer(f"The community server refuses a file of {size:,} bytes.", status=413)
        return request.result_of(response)

    def download(
        self,
        server: CommunityServer,
        room: str,
        asker: ServerIdentity | None,
        file_id: int,
        sink: BinaryIO,
        size: int,
        deadline: Deadline,
        progress: Progress,
    ) -> None:
        """Write a room's file to `sink`. `size` is what to expect, for the time-out; all that comes is written.

        Raises FileGone, and as `ask`.
        """
        path = endpoints.download_path(room, file_id)

        def request() -> V4Request:
            return V4Request("GET", path, self._authentication(asker, "GET", path, None))

        def watched(written: int) -> None:
            if written > MAX_FILE_BYTES:
                raise ServerFailed("The community server sends more than any file there can have.")
            progress(written)

        response = self._transfers.download(
            server=server.destination(), request=request, sink=sink, size=size, deadline=deadline, progress=watched
        )
        try:
            raise_for_status(Reply(response.code), _NO_FILE)
        except NotFound as error:
            raise FileGone(error.message, status=error.status) from None

    def _authentication(
        self, asker: ServerIdentity | None, method: str, path: str, digest: bytes | None
    ) -> dict[str, str]:
        """Headers with a nonce of their own: a server takes none twice, not even from an attempt that failed."""
        if asker is None:
            return {}
        return asker.headers(method, path, digest, self._onion.clock.now_ms() // 1000)

    def _exchange(self, question: Question[Any], deadline: Deadline, lane: int) -> V4Response:
        """The answer of a server, whatever it says, after as many attempts as the request allows."""
        request, begun = question.request, list[OnionAttempt]()
        pace, destination = self._onion.pace, question.server.destination()
        # A server does more for an answer than a node, and who waits behind it is not in the way.
        limit = 2 * pace.request
        patience = pace.request if request.only_reads else limit

        def attempts() -> Iterator[OnionAttempt | Pause]:
            for _ in range(ATTEMPTS):
                while (path := trial.path(())) is None:
                    yield Pause(pace.least_patience / 10)
                run = partial(self._onion.timed, _WHAT, path, None, partial(self._once, question, path, limit))
                attempt = OnionAttempt(run, limit, patience, path=path)
                trial.begun(attempt)
                begun.append(attempt)
                yield attempt

        def failed(attempt: OnionAttempt, error: SessionError) -> None:
            too_large = isinstance(error, AnswerTooLarge) and question.most_bytes < LARGEST_ANSWER_BYTES
            if too_large and request.repeatable:
                raise error
            trial.failed(attempt, error)
            if not request.repeatable and _may_have_arrived(attempt, error):
                raise _unconfirmed(question.server)

        self._onion.prepare(deadline)
        if not request.repeatable:
            self._transfers.prove_path(deadline)
        trial = self._onion.trial(_WHAT, deadline, lane)
        with with_name(destination, "community server"):
            try:
                return cast(V4Response, self._onion.run(trial, attempts(), deadline, failed).value)
            except RequestTimeout:
                if not request.repeatable and any(attempt.cancellation.reached for attempt in begun):
                    raise _unconfirmed(question.server) from None
                raise
            except _NeverThere as error:
                raise NetworkUnreachable(error.message) from None

    def _once(self, question: Question[Any], path: Path, limit: float, cancellation: Cancellation) -> V4Response:
        request, destination = question.request, question.server.destination()
        body = request.body
        signed = self._authentication(question.asker, request.method, request.path, body_hash(body))
        payload = layers.encode_v4_request(V4Request(request.method, request.path, request.headers | signed, body))
        onion = layers.build_request(hops_of(path), destination, payload)
        with without_name(destination):
            with self._transport.exchange(
                entrance(path, destination), onion.body, timeout=limit, cancellation=cancellation
            ) as (reply, parts):
                answer = bounded(
                    parts, question.most_bytes, AnswerTooLarge(f"{SOME_SERVER} answers with more than can be taken.")
                )
            if reply.status == 502 and answer.startswith(_NOT_REACHED):
                raise _NeverThere(f"{SOME_SERVER} can't be reached.")
            if reply.status == _BAD_REQUEST:
                raise PathFailed(f"{SOME_SERVER} can't read what it is asked: perhaps it has another key.")
            check_guard(reply.status, answer)
            return layers.decode_v4_response(onion.reply_key.open(answer))


def _may_have_arrived(attempt: OnionAttempt, error: SessionError) -> bool:
    """Whether the server may have got a request to which there was no answer."""
    if isinstance(error, _NeverThere | GuardBusy) or (isinstance(error, PathFailed) and error.node is not None):
        return False
    return attempt.cancellation.reached


def _unconfirmed(server: CommunityServer) -> Unconfirmed:
    return Unconfirmed(
        f"The community server {urlsplit(server.base_url).netloc} did not answer, and may have got the message or not. "
        "Look before you send it again."
    )


def _hash_of(chunks: Iterable[bytes]) -> bytes:
    """What is signed of a body that is not held in memory."""
    digest = hashlib.blake2b(digest_size=64)
    for chunk in chunks:
        digest.update(chunk)
    return digest.digest()
