"""HTTPS, and nothing above it: to seeds with their certificates pinned, to guards without.

A service node's certificate is self-signed and announced nowhere; what keeps a guard honest are the onion layers,
whose keys come from the pinned seeds. With a proxy every connection and every look-up of a name goes through it.
"""

from __future__ import annotations

import functools
import socket
import threading
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from ssl import CERT_NONE, SSLContext
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.util.ssl_ import create_urllib3_context

from ..errors import NetworkUnreachable, ProxyUnreachable, RequestTimeout
from .proxy import check_proxy

CONNECT_TIMEOUT_S = 10.0
PROXIED_CONNECT_TIMEOUT_S = 30.0
"""Over Tor a connection is several others."""
_CHUNK = 256 * 1024
_MAX_REPLY = 32 * 1024 * 1024
_KEPT_CONNECTIONS = 32
_HEADERS = {"User-Agent": "WhatsApp", "Accept-Language": "en-us", "Accept": "*/*", "Accept-Encoding": "gzip,deflate"}
"""What Session Desktop sends, in its order, so that our requests read like everybody's. (Its TLS is Chromium's, ours
Python's: a guard that looks closely can tell.)"""


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer, read to its end. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class Cancellation:
    """Ends an exchange from another thread, whether it is shaking hands, writing or reading.

    The HTTP library's time-outs count from one byte to the next, so that a peer which dribbles could hold us for ever.
    (Connecting has a limit of its own that counts.)
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: _Interruptible | None = None
        self._cancelled = False
        self.reached = False
        """Whether the other side was there, and may have got something: connected, with TLS if there is to be any."""

    def cancel(self) -> None:
        """End the exchange that is under way, if there is one, and every later one at its start."""
        with self._lock:
            self._cancelled = True
            if self._connection is not None:
                self._connection.interrupt(self)

    @property
    def cancelled(self) -> bool:
        """Whether it was ended from outside."""
        return self._cancelled

    def attach(self, connection: _Interruptible) -> None:
        """Note the connection that the exchange now uses."""
        with self._lock:
            self._connection = connection
            if self._cancelled:
                connection.interrupt(self)

    def detach(self) -> None:
        """The exchange is over, and its connection may serve another."""
        with self._lock:
            self._connection = None


_current = threading.local()


class _Interruptible:
    """Mixed into the HTTP library's connections: a second handle on the socket, which any thread can shut down."""

    _handle: socket.socket | None = None
    _user: Cancellation | None = None

    def _new_conn(self) -> socket.socket:
        made: socket.socket = super()._new_conn()  # type: ignore[misc]  # the class it is mixed into has it
        # The socket itself changes hands when TLS is put around it; its twin stays usable.
        self._handle = socket.fromfd(made.fileno(), made.family, made.type)
        self._attach()
        return made

    def putrequest(self, *arguments: Any, **options: Any) -> None:
        cancellation = self._attach()
        connection: Any = self
        if connection.sock is None:
            # Without TLS it would connect only now, and nobody would know whether it had.
            connection.connect()
        if cancellation is not None:
            cancellation.reached = True
        super().putrequest(*arguments, **options)  # type: ignore[misc]  # the class it is mixed into has it

    def close(self) -> None:
        handle, self._handle = self._handle, None
        super().close()  # type: ignore[misc]  # the class it is mixed into has it
        if handle is not None:
            handle.close()

    def interrupt(self, user: Cancellation) -> None:
        """Make the exchange that waits for this connection fail at once, unless it is another's by now."""
        handle = self._handle
        if handle is not None and self._user is user:
            with suppress(OSError):
                handle.shutdown(socket.SHUT_RDWR)

    def _attach(self) -> Cancellation | None:
        cancellation: Cancellation | None = getattr(_current, "cancellation", None)
        self._user = cancellation
        if cancellation is not None:
            cancellation.attach(self)
        return cancellation


@functools.cache
def _interruptible(kind: type) -> type:
    return kind if issubclass(kind, _Interruptible) else type(kind.__name__, (_Interruptible, kind), {})


class _Adapter(HTTPAdapter):
    """The HTTP library's adapter, with connections that can be interrupted."""

    def __init__(self) -> None:
        super().__init__(pool_maxsize=_KEPT_CONNECTIONS)

    def get_connection_with_tls_context(self, *arguments: Any, **options: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*arguments, **options)
        pool.ConnectionCls = _interruptible(pool.ConnectionCls)
        return pool


class _UnverifiedAdapter(_Adapter):
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


class _Session(requests.Session):
    """Follows nobody: the library would read a redirect's address and body even where it is not to follow it."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        return None


class Transport:
    """Sends requests over HTTP(S). Safe to use from several threads, which share its connections."""

    def __init__(self, proxy: str | None = None) -> None:
        # Guards can't be verified (see above), and saying so at each request would tell the user nothing.
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        self.proxied = proxy is not None
        self._proxy_place = urlsplit(proxy).netloc.rpartition("@")[2] if proxy else None
        self._proxies = {"http": check_proxy(proxy), "https": check_proxy(proxy)} if proxy else {}
        self._lock = threading.Lock()
        self._context = create_urllib3_context(cert_reqs=CERT_NONE)
        self._sessions: dict[tuple[str | None, bool], requests.Session] = {}

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            for session in self._sessions.values():
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
        cancellation: Cancellation | None = None,
    ) -> Reply:
        """POST and read the whole answer (at most 32 MiB). Raises NetworkUnreachable, RequestTimeout.

        `timeout` limits connecting, and every wait for further bytes; see Cancellation for the whole. `pin`: the
        SHA-256 fingerprint (hex) that the server's certificate must have. `verify`: whether the system's authorities
        must vouch for it, where there is no pin.
        """
        with self.exchange(
            url, body, timeout=timeout, headers=headers, pin=pin, verify=verify, cancellation=cancellation
        ) as (reply, chunks):
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
        cancellation: Cancellation | None = None,
    ) -> Iterator[tuple[Reply, Iterator[bytes]]]:
        """POST a body, perhaps in pieces (then with its total `size`), and read the answer in pieces.

        Yields the answer without its body, and the chunks of the body. Errors as in `post`.
        """
        data: Any = body if isinstance(body, bytes) else _SizedStream(body, size or 0)
        connecting = min(PROXIED_CONNECT_TIMEOUT_S if self.proxied else CONNECT_TIMEOUT_S, timeout)
        _current.cancellation = cancellation
        try:
            with _network_errors(url, self._proxy_place):
                response = self._session(pin, verify=verify).post(
                    url,
                    data=data,
                    headers=dict(headers or {}),
                    timeout=(connecting, timeout),
                    verify=verify,
                    allow_redirects=False,
                    stream=True,
                )
            try:
                reply = Reply(response.status_code, {k.lower(): v for k, v in response.headers.items()}, b"")
                yield reply, _read(response, url, self._proxy_place)
            finally:
                if cancellation is not None:
                    cancellation.detach()
                response.close()
        finally:
            _current.cancellation = None

    def _session(self, pin: str | None, *, verify: bool) -> requests.Session:
        """One for each way of trusting servers."""
        with self._lock:
            session = self._sessions.get((pin, verify))
            if session is None:
                session = self._sessions[pin, verify] = _Session()
                session.trust_env = False  # neither ~/.netrc nor HTTP_PROXY: --proxy alone decides
                session.headers.clear()
                session.headers.update(_HEADERS)
                session.proxies.update(self._proxies)
                # Nobody may mark us with a cookie.
                session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
                verified = verify and pin is None
                session.mount("https://", _Adapter() if verified else _UnverifiedAdapter(self._context, pin))
                session.mount("http://", _Adapter())
        return session


class _SizedStream:
    """Bytes of known total length for a request's body: read once, never held as a whole."""

    def __init__(self, chunks: Iterable[bytes], size: int) -> None:
        self._chunks = chunks
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._chunks)


def _read(response: requests.Response, url: str, proxy: str | None) -> Iterator[bytes]:
    with _network_errors(url, proxy):
        raw = response.raw.stream(_CHUNK, decode_content=False)
        yield from _unpacked(raw, response.headers.get("Content-Encoding", "identity"), url)


def _unpacked(chunks: Iterable[bytes], encoding: str, url: str) -> Iterator[bytes]:
    """Undo gzip or deflate, in pieces of limited size however much a little input may grow."""
    if encoding == "identity":
        yield from chunks
        return
    if encoding not in ("gzip", "deflate"):
        raise NetworkUnreachable(f"{_place(url)} answers in an encoding that nobody asked for.")
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        for chunk in chunks:
            rest = chunk
            while rest:
                yield unpacker.decompress(rest, _CHUNK)
                rest = unpacker.unconsumed_tail
    except zlib.error:
        raise NetworkUnreachable(f"{_place(url)} sends something that can't be unpacked.") from None
    if not unpacker.eof:
        raise NetworkUnreachable(f"{_place(url)} broke off in the middle of its answer.")


@contextmanager
def _network_errors(url: str, proxy: str | None) -> Iterator[None]:
    """Turns the HTTP library's errors into ours. Their texts name addresses only, never what was sent.

    With a proxy (its host and port) between, nobody can tell whose fault it is, and the proxy is named.
    """
    through = f" through the proxy {proxy}" if proxy else ""
    silent = f"The proxy {proxy} can't be reached; is it running?"
    try:
        yield
    except requests.exceptions.Timeout:
        raise RequestTimeout(f"{_place(url)} did not answer in time{through}.") from None
    except requests.exceptions.ProxyError as error:
        if any(isinstance(inner, urllib3.exceptions.NewConnectionError) for inner in _chain(error)):
            raise ProxyUnreachable(silent) from None
        raise NetworkUnreachable(f"The proxy {proxy} can't reach {_place(url)}.") from None
    except requests.exceptions.SSLError as error:
        known = "ertificate" in str(error) or "ingerprint" in str(error)
        reason = "shows a certificate that can't be trusted" if known else "fails at TLS"
        raise NetworkUnreachable(f"{_place(url)} {reason}{through}.") from None
    except urllib3.exceptions.ReadTimeoutError:
        raise RequestTimeout(f"{_place(url)} stopped in the middle of its answer{through}.") from None
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        if any(type(inner).__name__ == "ProxyConnectionError" for inner in _chain(error)):
            raise ProxyUnreachable(silent) from None
        raise NetworkUnreachable(f"{_place(url)} can't be reached{through} ({_reason(error)}).") from None


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
    """The system's or the library's word for what went wrong, without the wrappers' object addresses."""
    chain = list(_chain(error))
    words = [inner.strerror for inner in chain if isinstance(inner, OSError) and inner.strerror]
    if words:
        return words[-1].lower()
    said = [str(inner) for inner in chain if type(inner).__module__ in ("socks", "http.client", "ssl")]
    return said[-1].rstrip(".") if said and said[-1] else "the connection broke"
