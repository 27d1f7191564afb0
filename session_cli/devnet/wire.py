"""Faults on the way: what becomes of requests and answers between a client and a server, and between nodes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace

from aiohttp import web
from multidict import CIMultiDict

from .faults import (
    ContentType,
    Delay,
    Drop,
    Empty,
    Endless,
    Garble,
    Page,
    Status,
    Throttle,
    Truncate,
    WireFault,
)
from .http_server import Answer, Bytes, respond
from .injections import Injection, Injections, Place
from .replies import OnionReply
from .request_log import Role

_TEXT = "text/plain"
_UNANSWERED = Answer(0, CIMultiDict())
_UNANSWERED_HOP = OnionReply(0, b"")
"""What a fault starts from that strikes before there is an answer. It gives another one, or none."""
_TICKS = 20
"""How often a second something dribbles."""
_SERVER_TEXTS = {
    429: "Too Many Requests\n",
    500: "Invalid response from snode",
    502: "Bad Gateway\n",
    503: "Server busy, try again later",
    504: "Request time out",
}


class Intercepted(Exception):
    """A fault on the way that is aimed at a method met it. Whoever writes the answer makes the fault happen."""

    def __init__(self, injection: Injection) -> None:
        super().__init__(injection.fault.kind)
        self.injection = injection


def strikes_before_the_call(injection: Injection) -> bool:
    """Whether the fault keeps a request from being carried out."""
    fault = injection.fault
    return isinstance(fault, Drop | Status) and not fault.after


def _strikes_unread(injection: Injection) -> bool:
    # One that is aimed at methods waits until the destination has read the request.
    return strikes_before_the_call(injection) and injection.aim.methods is None


def _strikes_the_answer(injection: Injection) -> bool:
    return not strikes_before_the_call(injection)


class Wire:
    """What lies between one part of the network and whoever asks it."""

    def __init__(self, injections: Injections, place: Place) -> None:
        self._injections = injections
        self._place = place

    # Towards clients: HTTP.

    async def serve(
        self,
        request: web.BaseRequest,
        handle: Callable[[web.BaseRequest], Awaitable[Answer]],
        role: Role | None = None,
    ) -> web.StreamResponse:
        """Have a request answered, and write the answer, with whatever befalls them."""
        try:
            if not self._injections.live:
                return await respond(request, await handle(request))
            for _, injection in self._injections.striking(WireFault, self._place, role, when=_strikes_unread):
                return await self._send(request, _UNANSWERED, [injection])
            answer = await handle(request)
        except Intercepted as intercepted:
            return await self._send(request, _UNANSWERED, [intercepted.injection])
        struck = self._injections.striking(WireFault, self._place, role, answer.calls, when=_strikes_the_answer)
        return await self._send(request, answer, [injection for _, injection in struck])

    async def _send(self, request: web.BaseRequest, answer: Answer, struck: list[Injection]) -> web.StreamResponse:
        """Write an answer after these faults, one after the other."""
        transmission = Transmission()
        for injection in struck:
            fault = injection.fault
            match fault:
                case Delay():
                    await _until_removed(injection, _delay(fault, injection))
                case Drop():
                    if fault.how == "hang":
                        await injection.removed.wait()
                    return _hung_up(request)
                case Throttle() | Endless() | Truncate(consistent=False):
                    transmission.add(fault)
                case Garble():
                    answer = _with_body(answer, _garbled(_body(answer), fault, injection.random))
                case Truncate():
                    answer = _with_body(answer, _cut(_body(answer), fault))
                case ContentType():
                    headers = answer.headers.copy()
                    headers["Content-Type"] = fault.value
                    answer = replace(answer, headers=headers)
                case Page():
                    headers = CIMultiDict({"Content-Type": "text/html; charset=utf-8"})
                    answer = Answer(fault.code, headers, fault.html.encode())
                case Empty():
                    answer = _with_body(answer, b"")
                case Status():
                    answer = Answer(fault.code, CIMultiDict({"Content-Type": _TEXT}), _status_text(fault))
        if transmission.is_plain:
            return await respond(request, answer)
        return await transmission.write(request, answer)

    # Between nodes: whole messages.

    async def at_hop(self, role: Role, is_guard: bool, work: Callable[[], Awaitable[OnionReply]]) -> OnionReply:
        """Have a node do its part of an onion request, and send its answer back, with whatever befalls them.

        A guard's answers go over HTTP, and suffer there; here it suffers only from what is aimed at the other role
        that it may have.
        """
        if not self._injections.live:
            return await work()

        def concerns_hop(injection: Injection) -> bool:
            roles = injection.aim.roles
            # Types are HTTP's own.
            is_here = not is_guard or (roles is not None and "guard" not in roles)
            return is_here and not isinstance(injection.fault, ContentType)

        def before(injection: Injection) -> bool:
            return concerns_hop(injection) and _strikes_unread(injection)

        def after(injection: Injection) -> bool:
            return concerns_hop(injection) and _strikes_the_answer(injection)

        try:
            for _, injection in self._injections.striking(WireFault, self._place, role, when=before):
                return await _at_hop(_UNANSWERED_HOP, injection)
            reply = await work()
        except Intercepted as intercepted:
            if is_guard:
                raise
            return await _at_hop(_UNANSWERED_HOP, intercepted.injection)
        for _, injection in self._injections.striking(WireFault, self._place, role, reply.calls, when=after):
            reply = await _at_hop(reply, injection)
        return reply


async def _at_hop(reply: OnionReply, injection: Injection) -> OnionReply:
    fault = injection.fault
    match fault:
        case Delay():
            await _until_removed(injection, _delay(fault, injection))
        case Throttle():
            await _until_removed(injection, len(reply.body) / fault.bytes_per_second)
        case Drop() | Endless():
            await injection.removed.wait()
            return OnionReply(504, b"Request time out")
        case Garble():
            return replace(reply, body=_garbled(reply.body, fault, injection.random))
        case Truncate():
            return replace(reply, body=_cut(reply.body, fault))
        case Page():
            return replace(reply, status=fault.code, body=fault.html.encode())
        case Empty():
            return replace(reply, body=b"")
        case Status():
            return replace(reply, status=fault.code, body=_status_text(fault))
    return reply


class Transmission:
    """How the bytes of one answer leave, when not all at once and whole."""

    def __init__(self) -> None:
        self._throttle: Throttle | None = None
        self._endless: Endless | None = None
        self._keep: float | None = None

    def add(self, fault: Throttle | Endless | Truncate) -> None:
        """Let this happen, too; of several of one kind the last counts."""
        match fault:
            case Throttle():
                self._throttle = fault
            case Endless():
                self._endless = fault
            case Truncate():
                self._keep = fault.keep

    @property
    def is_plain(self) -> bool:
        """Whether nothing is wrong."""
        return self._throttle is None and self._endless is None and self._keep is None

    async def write(self, request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
        """Write the answer so, and close the connection. Ends early if the client hangs up."""
        body = _body(answer)
        if self._throttle is not None and self._throttle.header:
            return await _dribble_all(request, answer, body, self._throttle.bytes_per_second)
        response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=answer.headers)
        response.force_close()
        if self._endless is None:
            response.content_length = len(body)
        sent = bytes(body) if self._keep is None else bytes(body[: int(len(body) * self._keep)])
        try:
            await response.prepare(request)
            if self._throttle is None:
                await response.write(sent)
            else:
                await _dribble(response, sent, self._throttle.bytes_per_second)
            while self._endless is not None:
                await response.write(b" " * max(1, int(self._endless.bytes_per_second / _TICKS)))
                await asyncio.sleep(1 / _TICKS)
            await response.write_eof()
        except ConnectionError:
            return response
        if self._keep is not None and request.transport is not None:
            request.transport.close()
        return response


async def _dribble(response: web.StreamResponse, data: bytes, bytes_per_second: float) -> None:
    size = max(1, int(bytes_per_second / _TICKS))
    for start in range(0, len(data), size):
        await response.write(data[start : start + size])
        await asyncio.sleep(size / bytes_per_second)


async def _dribble_all(
    request: web.BaseRequest, answer: Answer, body: Bytes, bytes_per_second: float
) -> web.StreamResponse:
    """Header and body, past the library, which writes a header all at once."""
    reason = answer.reason or web.Response(status=answer.status).reason
    lines = [f"HTTP/1.1 {answer.status} {reason}", *(f"{name}: {value}" for name, value in answer.headers.items())]
    lines += [f"Content-Length: {len(body)}", "Connection: close", "", ""]
    data = "\r\n".join(lines).encode() + bytes(body)
    size = max(1, int(bytes_per_second / _TICKS))
    for start in range(0, len(data), size):
        if request.transport is None or request.transport.is_closing():
            break
        request.transport.write(data[start : start + size])
        await asyncio.sleep(size / bytes_per_second)
    else:
        if request.transport is not None:
            request.transport.close()
    return _unsent()


def _hung_up(request: web.BaseRequest) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return _unsent()


def _unsent() -> web.StreamResponse:
    """What the library wants returned, though it has no connection left to write it to."""
    response = web.Response()
    response.force_close()
    return response


async def _until_removed(injection: Injection, seconds: float) -> None:
    """Wait so long, or until the fault is taken away."""
    try:
        async with asyncio.timeout(seconds):
            await injection.removed.wait()
    except TimeoutError:
        return


def _delay(fault: Delay, injection: Injection) -> float:
    return fault.seconds + injection.random.uniform(0, fault.jitter)


def _body(answer: Answer) -> Bytes:
    return answer.body if answer.file is None else answer.file.read_bytes()


def _with_body(answer: Answer, body: bytes) -> Answer:
    return replace(answer, body=body, file=None)


def _garbled(body: Bytes, fault: Garble, rng: random.Random) -> bytes:
    garbled = bytearray(body)
    for at in rng.sample(range(len(garbled)), min(fault.count, len(garbled))):
        garbled[at] ^= rng.randrange(1, 256)
    return bytes(garbled)


def _cut(body: Bytes, fault: Truncate) -> bytes:
    return bytes(body[: int(len(body) * fault.keep)])


def _status_text(fault: Status) -> bytes:
    text = _SERVER_TEXTS.get(fault.code, "") if fault.body is None else fault.body
    return text.encode()
