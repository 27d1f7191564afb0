"""Notifications on the desktop, over D-Bus: a command line would show their text to everybody on the machine."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from ..errors import NotificationFailed

if TYPE_CHECKING:
    from socket import socket

    from jeepney import Message, Parser

ADDRESS_VARIABLE = "DBUS_SESSION_BUS_ADDRESS"
_APP_NAME = "session"
_PLACE, _NAME = "/org/freedesktop/Notifications", "org.freedesktop.Notifications"
_NOBODY_THERE = "org.freedesktop.DBus.Error.ServiceUnknown"
_AS_LONG_AS_THE_DESKTOP_LIKES = -1
_TIMEOUT_S = 10.0


def check_support() -> None:
    """Raise NotificationFailed where nothing could be shown on any desktop."""
    if os.name == "posix" and find_spec("jeepney") is not None:
        return
    if sys.platform == "linux":
        raise NotificationFailed("Desktop notifications need the Python package jeepney: pip install jeepney")
    raise NotificationFailed(
        "Desktop notifications go over D-Bus, which is Linux's. recv --exec can run a program that shows them here."
    )


def show(title: str, body: str, environ: Mapping[str, str]) -> None:
    """Show a notification; returns when the desktop has taken it. Raises NotificationFailed.

    `body` may be read as markup, so that `<`, `>` and `&` have to be escaped in it; `title` never is.
    """
    hints: dict[str, tuple[str, object]] = {}
    replaces, icon, actions = 0, "", list[str]()
    body_of_call = (_APP_NAME, replaces, icon, title, body, actions, hints, _AS_LONG_AS_THE_DESKTOP_LIKES)
    _call("Notify", "susssasa{sv}i", body_of_call, environ)


def server_name(environ: Mapping[str, str]) -> str:
    """The program that shows notifications. Raises NotificationFailed."""
    name, _vendor, version, _specification = _call("GetServerInformation", None, (), environ)
    return f"{name} {version}"


def _call(method: str, signature: str | None, body: tuple[object, ...], environ: Mapping[str, str]) -> tuple[Any, ...]:
    """Call whoever shows notifications; returns the answer's values."""
    check_support()
    from jeepney import DBusAddress, DBusErrorResponse, new_method_call

    call = new_method_call(DBusAddress(_PLACE, _NAME, _NAME), method, signature, body)
    address = _find_bus(environ)
    try:
        return _exchange(address, call)
    except TimeoutError:
        raise NotificationFailed("The desktop does not answer; nothing can be shown.") from None
    except DBusErrorResponse as error:
        if error.name == _NOBODY_THERE:
            raise NotificationFailed("There is no desktop, or no program on it that shows notifications.") from None
        reason = str(error.data[0] if error.data else error.name).strip().partition("\n")[0].rstrip(".")
        raise NotificationFailed(f"Nothing can be shown on the desktop: {reason or error.name}.") from None
    except OSError as error:
        raise NotificationFailed(
            f"The desktop can't be reached: {error.strerror or error} ({address.replace(chr(0), '@')})."
        ) from None
    except ValueError:
        raise NotificationFailed(
            f"The D-Bus session bus at {address.replace(chr(0), '@')} does not let us in, or is none."
        ) from None


def _exchange(address: str, call: Message) -> tuple[Any, ...]:
    """Make a call on a bus. Raises OSError, ValueError, DBusErrorResponse."""
    from jeepney import Parser, message_bus
    from jeepney.io.blocking import prep_socket
    from jeepney.wrappers import unwrap_msg

    # Not by the library's own connection, which waits for the bus's first answer for ever.
    until = time.monotonic() + _TIMEOUT_S
    values: tuple[Any, ...] = ()
    with closing(prep_socket(address, timeout=_TIMEOUT_S)) as channel:
        parser = Parser()
        for serial, message in enumerate((message_bus.Hello(), call), start=1):
            channel.settimeout(_left(until))
            channel.sendall(message.serialise(serial))
            values = unwrap_msg(_answer(channel, parser, serial, until))
    return values


def _answer(channel: socket, parser: Parser, serial: int, until: float) -> Message:
    """The answer to a message; signals that come in between are passed over."""
    from jeepney import HeaderFields

    while True:
        message = parser.get_next_message()
        if message is None:
            channel.settimeout(_left(until))
            data = channel.recv(4096)
            if not data:
                raise ConnectionResetError("it ended the connection")
            parser.add_data(data)
        elif message.header.fields.get(HeaderFields.reply_serial) == serial:
            return message


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _find_bus(environ: Mapping[str, str]) -> str:
    """The session bus's socket: a path, or behind a NUL an abstract name. Raises NotificationFailed."""
    named = environ.get(ADDRESS_VARIABLE)
    if named:
        from jeepney.bus import get_connectable_addresses

        try:
            return str(next(get_connectable_addresses(named)))
        except (ValueError, RuntimeError, StopIteration):
            raise NotificationFailed(f"{ADDRESS_VARIABLE} in the environment names no Unix socket.") from None
    # cron and systemd services don't have the variable, and the desktop is there all the same.
    places = list(_usual_places(environ))
    found = next((place for place in places if os.access(place, os.W_OK)), None)
    if found is None:
        raise NotificationFailed(f"There is no desktop: no {ADDRESS_VARIABLE}, and no {' or '.join(places)}.")
    return found


def _usual_places(environ: Mapping[str, str]) -> Iterator[str]:
    own = f"/run/user/{os.getuid()}"
    for folder in dict.fromkeys((environ.get("XDG_RUNTIME_DIR") or own, own)):
        yield f"{folder}/bus"
