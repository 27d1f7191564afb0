"""HTTPS, and nothing above it: to seeds with their certificates pinned, to guards without.

A service node's certificate is self-signed and announced nowhere; what keeps a guard honest are the onion layers,
whose keys come from the pinned seeds. With a proxy every connection and every look-up of a name goes through it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from ssl import CERT_NONE, SSLContext
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.util.ssl_ import create_urllib3_context

from ..errors import NetworkUnreachable, RequestTimeout, UsageError

CONNECT_TIMEOUT_S = 10.0
_CHUNK = 256 * 1024
_MAX_REPLY = 32 * 1024 * 1024
_HEADERS = {"User-Agent": "WhatsApp", "Accept-Language": "en-us"}
"""What Session Desktop sends, so that our requests look like everybody's."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer, read to its end. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class _SizedStream:
    """Bytes of known total length for a request's body: read once, never held as a whole."""

    def __init__(self, chunks: Iterable[bytes], size: int) -> None:
        self._chunks = chunks
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._chunks)


class _UnverifiedAdapter(HTTPAdapter):
    """Asks no certificate authority: accepts any certificate, or only the one with a given SHA-256 fingerprint.

    It brings its own TLS context: the library would fill one with the system's authorities for each connection, at
    the price of a third of a short command's time.
    """

    def __init__(self, context: SSLContext, fingerprint: str | None = None) -> None:
        self._options: dict[str, Any] = {
            "ssl_context": context,
            "assert_fingerprint": fingerprint,
            "cert_reqs": "CERT_NONE",
        }
        super().__init__()

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **kwargs: Any) -> None:
        super().init_poolmanager(connections, maxsize, block, **kwargs, **self._options)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        return super().proxy_manager_for(proxy, **kwargs, **self._options)


def check_proxy(url: str) -> str:
    """A proxy URL that resolves names on its own side. Raises UsageError."""
    try:
        parts = urlsplit(url)
        valid = bool(parts.hostname) and parts.port != 0
    except ValueError:
        parts, valid = urlsplit(""), False
    if parts.scheme == "socks5":
        raise UsageError(
            "With socks5:// names would be looked up on this machine; use socks5h:// to leave that to the proxy."
        )
    if not valid or parts.scheme not in ("socks5h", "http", "https"):
        raise UsageError("A proxy is given as socks5h://HOST:PORT or http://HOST:PORT.")
    return url


class Transport:
    """Sends requests over HTTP(S). Safe to use from several threads; each keeps its own connections."""

    def __init__(self, proxy: str | None = None) -> None:
        # Guards can't be verified (see above), and saying so at each request would tell the user nothing.
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        self._proxies = {"http": check_proxy(proxy), "https": check_proxy(proxy)} if proxy else {}
        self._local = threading.local()
        self._lock = threading.Lock()
        self._context = create_urllib3_context(cert_reqs=CERT_NONE)
        self._sessions: list[requests.Session] = []

    def close(self) -> None:
        """Close all connections of all threads."""
        with self._lock:
            for session in self._sessions:
                session.close()
            self._sessions.clear()

    def post(
        self,
        url: str,
        body: bytes,
        *,
        timeout: float,
        headers: Mapping[str, str] | None = None,
        pin: str | None = None,
        verify: bool = False,
    ) -> Reply:
        """POST and read the whole answer (at most 32 MiB). Raises NetworkUnreachable, RequestTimeout.

        `pin`: the SHA-256 fingerprint (hex) that the server's certificate must have. `verify`: whether the system's
        authorities must vouch for it, where there is no pin.
        """
        with self.exchange(url, body, timeout=timeout, headers=headers, pin=pin, verify=verify) as (reply, chunks):
            parts, total = [], 0
            for chunk in chunks:
                parts.append(chunk)
                total += len(chunk)
                if total > _MAX_REPLY:
                    raise NetworkUnreachable(f"{_place(url)} sent more than anybody asked for.")
        return Reply(reply.status, reply.headers, b"".join(parts))

    @contextmanager
    def exchange(
        self,
        url: str,
        body: bytes | Iterable[bytes],
        *,
        timeout: float,
        size: int | None = None,
        headers: Mapping[str, str] | None = None,
        pin: str | None = None,
        verify: bool = False,
    ) -> Iterator[tuple[Reply, Iterator[bytes]]]:
        """POST a body, perhaps in pieces (then with its total `size`), and read the answer in pieces.

        Yields the answer without its body, and the chunks of the body. Errors as in `post`.
        """
        data: Any = body if isinstance(body, bytes) else _SizedStream(body, size or 0)
        with _network_errors(url):
            response = self._session(url, pin, verify=verify).post(
                url,
                data=data,
                headers=dict(headers or {}),
                timeout=(min(CONNECT_TIMEOUT_S, timeout), timeout),
                verify=verify,
                allow_redirects=False,
                stream=True,
            )
        try:
            reply = Reply(response.status_code, {k.lower(): v for k, v in response.headers.items()}, b"")
            yield reply, _read(response, url)
        finally:
            response.close()

    def _session(self, url: str, pin: str | None, *, verify: bool) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = requests.Session()
            session.trust_env = False  # neither ~/.netrc nor HTTP_PROXY: --proxy alone decides
            session.headers.clear()
            session.headers.update(_HEADERS)
            session.proxies.update(self._proxies)
            session.mount("https://", _UnverifiedAdapter(self._context))
            self._local.session = session
            with self._lock:
                self._sessions.append(session)
        if pin is not None or verify:
            place = urlsplit(url)
            prefix = f"{place.scheme}://{place.netloc}/"
            if prefix not in session.adapters:
                session.mount(prefix, _UnverifiedAdapter(self._context, pin) if pin else HTTPAdapter())
        return session


def _read(response: requests.Response, url: str) -> Iterator[bytes]:
    with _network_errors(url):
        yield from response.iter_content(_CHUNK)


@contextmanager
def _network_errors(url: str) -> Iterator[None]:
    """Turns the HTTP library's errors into ours. Their texts name addresses only, never what was sent."""
    try:
        yield
    except requests.exceptions.Timeout:
        raise RequestTimeout(f"{_place(url)} did not answer in time.") from None
    except requests.exceptions.ProxyError:
        raise NetworkUnreachable(f"The proxy can't be reached, or can't reach {_place(url)}.") from None
    except requests.exceptions.SSLError as error:
        known = "ertificate" in str(error) or "ingerprint" in str(error)
        reason = "shows a certificate that can't be trusted" if known else "fails at TLS"
        raise NetworkUnreachable(f"{_place(url)} {reason}.") from None
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
        if any(type(inner).__name__ == "ProxyConnectionError" for inner in _chain(error)):
            raise NetworkUnreachable("The proxy can't be reached; is it running?") from None
        raise NetworkUnreachable(f"{_place(url)} can't be reached ({_reason(error)}).") from None


def _place(url: str) -> str:
    return urlsplit(url).netloc


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and all that it was raised from or wraps, outermost first."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        wrapped = getattr(seen, "reason", None) or (seen.args[0] if seen.args else None)
        seen = wrapped if isinstance(wrapped, BaseException) else seen.__cause__ or seen.__context__


def _reason(error: BaseException) -> str:
    """The system's word for what went wrong, without the wrappers' object addresses."""
    words = [inner.strerror for inner in _chain(error) if isinstance(inner, OSError) and inner.strerror]
    return words[-1].lower() if words else type(error).__name__
