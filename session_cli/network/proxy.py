"""What a proxy's address must look like."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import urlsplit

from ..errors import UsageError

TOR_PROXY = "socks5h://127.0.0.1:9050"
"""Where Tor listens for other programs of this machine."""
_TOR_PORTS = (9050, 9150)


def check_proxy(url: str) -> str:
    """A proxy URL that resolves names on its own side. Raises UsageError."""
    try:
        parts = urlsplit(url)
        valid = bool(parts.hostname) and parts.port != 0
        # Behind an unescaped / a part of the password would pass for a path, and what is before it for the host.
        valid = valid and parts.path in ("", "/") and not (parts.query or parts.fragment)
    except ValueError:
        parts, valid = urlsplit(""), False
    if parts.scheme == "socks5":
        raise UsageError(
            "With socks5:// names would be looked up on this machine; use socks5h:// to leave that to the proxy."
        )
    if not valid or parts.scheme not in ("socks5h", "http", "https"):
        raise UsageError("A proxy is given as socks5h://HOST:PORT or http://HOST:PORT.")
    return url


def without_login(url: str) -> str:
    """A proxy URL to be shown: with three stars for user name and password, if it has any."""
    before, at, place = url.rpartition("@")
    scheme, mark, _ = before.partition("://")
    return f"{scheme}{mark}***@{place}" if at else url


def check_direct(proxy: str | None) -> None:
    """Raise UsageError where requests shall go without onion paths, but through Tor."""
    if proxy is not None:
        with suppress(ValueError):
            place = urlsplit(proxy)
            if place.port in _TOR_PORTS and place.hostname in ("127.0.0.1", "localhost", "::1"):
                raise UsageError("Without onion paths nodes see what Tor is there to hide; --direct excludes --tor.")
