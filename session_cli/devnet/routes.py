"""What the routes of a web server take and give, whichever way a request came in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Protocol

from .http_server import Bytes

HTML = "text/html; charset=utf-8"
TEXT = "text/plain; charset=utf-8"
_PAGES = {
    400: ("Bad Request", "The browser (or proxy) sent a request that this server could not understand."),
    403: (
        "Forbidden",
        "You don't have the permission to access the requested resource. It is either read-protected or not readable "
        "by the server.",
    ),
    404: (
        "Not Found",
        "The requested URL was not found on the server. If you entered the URL manually please check your spelling "
        "and try again.",
    ),
    405: ("Method Not Allowed", "The method is not allowed for the requested URL."),
    406: (
        "Not Acceptable",
        "The resource identified by the request is only capable of generating response entities which have content "
        "characteristics not acceptable according to the accept headers sent in the request.",
    ),
    413: ("Request Entity Too Large", "The data value transmitted exceeds the capacity limit."),
    500: (
        "Internal Server Error",
        "The server encountered an internal error and was unable to complete your request. Either the server is "
        "overloaded or there is an error in the application.",
    ),
}


@dataclass(frozen=True, slots=True)
class Request:
    """A request, out of its envelope. `target` is path and query; header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str] = field(repr=False)
    body: Bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. With a `path` the body is the file there, of `size` bytes.

    `route` is what was asked for, in the words of faults and the log; `parts` are the requests inside of a batch.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(default=b"", repr=False)
    path: Path | None = None
    size: int = 0
    route: str = ""
    parts: tuple[str, ...] = ()

    @property
    def length(self) -> int:
        return self.size if self.path is not None else len(self.body)


class Crash(Exception):
    """A request over which the real server's code falls."""


def page(status: int, **headers: str) -> Reply:
    """The generic HTML page of a status."""
    title, text = _PAGES[status]
    html = (
        f"<!doctype html>\n<html lang=en>\n<title>{status} {title}</title>\n<h1>{title}</h1>\n<p>{escape(text)}</p>\n"
    )
    return Reply(status, {"content-type": HTML} | headers, html.encode())


class Routes(Protocol):
    """A server's own part: what it answers."""

    async def handle(self, request: Request) -> Reply:
        """Answer a request. Raises Crash where the real server falls over it."""

    def failed(self) -> Reply:
        """The answer when the disk or the database fails."""
