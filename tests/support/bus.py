"""A session bus with a desktop behind it, which remembers what it was to show. Linux only, as the library for it is."""

from __future__ import annotations

import binascii
import os
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from jeepney import HeaderFields, Message, Parser, new_error, new_method_return, new_signal
from jeepney.bus_messages import message_bus

NOBODY_THERE = "org.freedesktop.DBus.Error.ServiceUnknown"
Refusal = tuple[str, str | None]
"""The name of a D-Bus error, and what it says, if anything."""


@dataclass(frozen=True, slots=True)
class Notification:
    """What was to be shown, as it was sent."""

    program: str
    title: str
    body: str


@dataclass(slots=True)
class FakeBus:
    """How the bus behaves, which may change at any time, and what it was asked to show."""

    address: str
    shown: list[Notification] = field(default_factory=list)
    silent_from: Literal["greeting", "Hello", "Notify"] | None = None
    """From here on it takes what it is sent, and says nothing."""
    leaves_at: Literal["greeting", "Hello", "Notify"] | None = None
    """Here it ends the connection."""
    greeting: bytes = b"OK 0123456789abcdef0123456789abcdef\r\n"
    refusal: Callable[[Notification], Refusal | None] = lambda _notification: None
    """Whether the desktop refuses to show something, and how."""

    @property
    def texts(self) -> list[tuple[str, str]]:
        """Title and text of what was shown."""
        assert {one.program for one in self.shown} <= {"session"}
        return [(one.title, one.body) for one in self.shown]


@contextmanager
def fake_bus(path: Path) -> Iterator[FakeBus]:
    """Let a bus listen on a socket at `path`."""
    bus = FakeBus(f"unix:path={path}")
    ended = threading.Event()

    class Server(socketserver.ThreadingUnixStreamServer):
        daemon_threads = True

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            _Conversation(self, bus, ended).hold()

    with Server(str(path), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield bus
        finally:
            ended.set()
            server.shutdown()
            thread.join()


class _Leaves(Exception):
    """The bus ends the connection."""


class _Conversation:
    """What a bus says to one client."""

    def __init__(self, handler: socketserver.StreamRequestHandler, bus: FakeBus, ended: threading.Event) -> None:
        self._handler = handler
        self._bus = bus
        self._ended = ended
        self._serial = 0

    def hold(self) -> None:
        try:
            self._greet()
            parser = Parser()
            while data := self._handler.request.recv(4096):
                parser.add_data(data)
                while (message := parser.get_next_message()) is not None:
                    self._answer(message)
        except (_Leaves, ConnectionError):
            pass

    def _greet(self) -> None:
        """The part before the messages: the client says by which user it is run."""
        uid = binascii.hexlify(str(os.geteuid()).encode())
        # Byte by byte, since messages may follow at once: a file object would read ahead.
        self._expect(b"\0AUTH EXTERNAL " + uid + b"\r\n")
        self._come_to("greeting")
        self._handler.request.sendall(self._bus.greeting)
        self._expect(b"BEGIN\r\n")

    def _expect(self, wanted: bytes) -> None:
        for number in range(len(wanted)):
            if self._handler.request.recv(1) != wanted[number : number + 1]:
                raise _Leaves

    def _come_to(self, step: str) -> None:
        if self._bus.leaves_at == step:
            raise _Leaves
        if self._bus.silent_from == step:
            self._ended.wait()
            raise _Leaves

    def _answer(self, message: Message) -> None:
        method = message.header.fields[HeaderFields.member]
        self._come_to(method)
        match method:
            case "Hello":
                self._send(new_method_return(message, "s", (":1.1",)))
                # As a bus does: a client has to pass over it.
                self._send(new_signal(message_bus, "NameAcquired", "s", (":1.1",)))
            case "GetServerInformation":
                self._send(new_method_return(message, "ssss", ("Desk", "example.org", "1.0", "1.2")))
            case "Notify":
                self._send(self._show(message))

    def _show(self, message: Message) -> Message:
        fields = message.header.fields
        assert fields[HeaderFields.destination] == fields[HeaderFields.interface] == "org.freedesktop.Notifications"
        assert fields[HeaderFields.path] == "/org/freedesktop/Notifications"
        program, _replaces, _icon, title, body, _actions, _hints, _milliseconds = message.body
        notification = Notification(program, title, body)
        refusal = self._bus.refusal(notification)
        if refusal is not None:
            name, reason = refusal
            return new_error(message, name, *(("s", (reason,)) if reason is not None else ()))
        self._bus.shown.append(notification)
        return new_method_return(message, "u", (len(self._bus.shown),))

    def _send(self, message: Message) -> None:
        self._serial += 1
        self._handler.request.sendall(message.serialise(self._serial))
