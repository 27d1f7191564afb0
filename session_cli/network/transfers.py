"""Files through onion paths: one attempt after the other, in constant memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import BinaryIO

from ..errors import PathFailed, SessionError
from ..protocol import onion as layers
from ..protocol import storage_rpc
from ..protocol.onion import ServerDestination, V4Request, V4Response
from ..protocol.onion_stream import StreamedReply, StreamedRequest
from .clock import Deadline
from .onion import OnionClient, guard_url, hops_of
from .pace import transfer_limit
from .parallel import Pause
from .path import Path
from .replies import check_guard
from .transport import Cancellation, Transport
from .trial import OnionAttempt
from .unnamed import with_name, without_name

SERVER_ATTEMPTS = 3
SHORT_ANSWER_BYTES = 1_000_000
Progress = Callable[[int], None]
"""Told the number of body bytes that have passed so far."""


class Transfers:
    """Uploads to servers and downloads from them."""

    def __init__(self, onion: OnionClient, transport: Transport) -> None:
        self._onion = onion
        self._transport = transport

    def upload(
        self,
        *,
        server: ServerDestination,
        meta: Callable[[], dict[str, object]],
        body: Callable[[], Iterable[bytes]],
        size: int,
        deadline: Deadline,
        progress: Progress,
    ) -> V4Response:
        """Send a large body to a server. `meta` and `body` are called once an attempt. Raises NetworkError."""
        limit, idle = transfer_limit(size), self._onion.pace.idle_limit(size)

        def run(path: Path, cancellation: Cancellation) -> V4Response:
            onion = StreamedRequest(hops_of(path), server, meta(), size)
            chunks = onion.chunks(_counted(body(), progress))
            with self._transport.exchange(
                entrance(path, server), chunks, size=onion.size, timeout=idle, cancellation=cancellation
            ) as (reply, parts):
                answer = bounded(parts, SHORT_ANSWER_BYTES)
            check_guard(reply.status, answer)
            return layers.decode_v4_response(onion.reply_key.open(answer))

        return self._serve("upload", server, run, deadline, limit)

    def download(
        self,
        *,
        server: ServerDestination,
        request: Callable[[], V4Request],
        sink: BinaryIO,
        size: int,
        deadline: Deadline,
        progress: Progress,
    ) -> V4Response:
        """Write a large answer's body to `sink`, emptied first. Not to be believed unless this returns with code 200.

        `request` is called once an attempt, `size` is only used to decide how long to wait. Raises NetworkError.
        """
        limit, idle = transfer_limit(size), self._onion.pace.idle_limit(size)

        def run(path: Path, cancellation: Cancellation) -> V4Response:
            sink.seek(0)
            sink.truncate()
            onion = layers.build_request(hops_of(path), server, layers.encode_v4_request(request()))
            with self._transport.exchange(
                entrance(path, server), onion.body, timeout=idle, cancellation=cancellation
            ) as (reply, parts):
                if reply.status != 200:
                    check_guard(reply.status, bounded(parts, SHORT_ANSWER_BYTES))
                opener = StreamedReply(onion.reply_key)
                written = 0
                for part in parts:
                    written += sink.write(opener.feed(part))
                    progress(written)
            return opener.finish()

        return self._serve("download", server, run, deadline, limit)

    def prove_path(self, deadline: Deadline) -> None:
        """Where the path is not known to work, let something small go ahead of what goes over it only once."""
        path = None if self._onion.direct else self._onion.paths.choose(())
        if path is not None and path.fresh:
            self._onion.call_anybody(storage_rpc.info(), lambda body, _: body, deadline)

    def _serve(
        self,
        what: str,
        server: ServerDestination,
        run: Callable[[Path, Cancellation], V4Response],
        deadline: Deadline,
        limit: float,
    ) -> V4Response:
        """Attempts at a server, one after the other: a large transfer is never made twice at a time."""
        one_at_a_time = threading.Lock()

        def run_alone(path: Path, cancellation: Cancellation) -> V4Response:
            # One that was given up on may still be about to read or write the file that both share.
            with one_at_a_time, without_name(server):
                return run(path, cancellation)

        def attempts() -> Iterator[OnionAttempt | Pause]:
            for _ in range(SERVER_ATTEMPTS):
                while (path := trial.path(())) is None:
                    yield Pause(self._onion.pace.least_patience / 10)
                attempt = partial(self._onion.timed, what, path, None, partial(run_alone, path))
                one = OnionAttempt(attempt, limit, limit, path=path)
                trial.begun(one)
                yield one

        self._onion.prepare(deadline)
        self.prove_path(deadline)
        trial = self._onion.trial(what, deadline, 0)

        def note(attempt: OnionAttempt, error: SessionError) -> None:
            trial.failed(attempt, error)

        with with_name(server, "server"):
            answer = self._onion.run(trial, attempts(), deadline, note, transfer=True)
        value: V4Response = answer.value
        return value


def entrance(path: Path, server: ServerDestination) -> str:
    """Where a request to a server goes in: at the guard, or without onion requests at the server itself."""
    if path.guard is not None:
        return guard_url(path.guard)
    port = "" if server.port is None else f":{server.port}"
    return f"{server.protocol}://{server.host}{port}{server.target}"


def _counted(chunks: Iterable[bytes], progress: Progress) -> Iterator[bytes]:
    done = 0
    for chunk in chunks:
        yield chunk
        done += len(chunk)
        progress(done)


def bounded(parts: Iterable[bytes], limit: int, error: SessionError | None = None) -> bytes:
    """An answer as a whole. Raises PathFailed, or `error`, for one that doesn't end: a guard could fill our memory."""
    answer = bytearray()
    for part in parts:
        answer += part
        if len(answer) > limit:
            raise error or PathFailed("A guard sent more than anybody asked for.")
    return bytes(answer)
