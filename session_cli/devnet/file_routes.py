"""The file server's routes, whichever way a request came in."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl, unquote

from ..errors import BadSignature
from ..protocol.account import verify_signature
from .fields import from_base64, is_base64, is_hex
from .file_store import FileFacts, FileStore
from .http_server import Bytes, Workers
from .options import DAY, FileServerOptions
from .routes import HTML, TEXT, Crash, Reply, Request, page

_JSON = "application/json"
_FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")
_PLATFORMS = ("desktop", "android", "ios")
_CHANNELS = ("stable", "prerelease", "alpha")
_WHOLE_NUMBER = re.compile(r"[0-9]{1,18}\Z")
_CONTENT_ID_CHARACTERS = 44


def _json(value: Mapping[str, Any], status: int = 200) -> Reply:
    return Reply(status, {"content-type": _JSON}, json.dumps(value).encode())


def _status(code: int) -> Reply:
    return _json({"status_code": code}, code)


_Route = Callable[[Request, str], Awaitable[Reply]]


class FileRoutes:
    """Uploads, downloads, and what else the server tells."""

    def __init__(
        self,
        store: FileStore,
        workers: Workers,
        options: FileServerOptions,
        max_file_size: int,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._workers = workers
        self._options = options
        self._max_file_size = max_file_size
        self._clock = clock
        self._routes: list[tuple[str, re.Pattern[str], dict[str, _Route]]] = [
            ("/file", re.compile(r"/file"), {"POST": self._upload}),
            ("/file/<id>", re.compile(r"/file/([^/]+)"), {"GET": self._download}),
            ("/file/<id>/info", re.compile(r"/file/([^/]+)/info"), {"GET": self._info}),
            ("/files", re.compile(r"/files"), {"POST": self._legacy_upload}),
            ("/files/<id>", re.compile(r"/files/([^/]+)"), {"GET": self._legacy_download}),
            ("/session_version", re.compile(r"/session_version"), {"GET": self._version}),
            ("/token_info", re.compile(r"/token_info"), {"GET": self._token_info}),
        ]
        if options.content_ids:
            self._routes.append(("/file/<id>/extend", re.compile(r"/file/([^/]+)/extend"), {"POST": self._extend}))

    async def handle(self, request: Request) -> Reply:
        """Answer a request. Raises Crash where the real server falls over it."""
        refusal = self._check_signature(request)
        if refusal is not None:
            return refusal
        path = unquote(request.target.partition("?")[0])
        for name, pattern, methods in self._routes:
            match = pattern.fullmatch(path)
            if match is None:
                continue
            method = "GET" if request.method == "HEAD" else request.method
            allowed = [*methods, "OPTIONS"] + (["HEAD"] if "GET" in methods else [])
            if request.method == "OPTIONS":
                return Reply(200, {"content-type": HTML, "allow": ", ".join(allowed)}, route=name)
            if method not in methods:
                return page(405, allow=", ".join(allowed))
            reply = await methods[method](request, match[1] if match.lastindex else "")
            return Reply(reply.status, reply.headers, reply.body, reply.path, reply.size, name)
        return page(404)

    def failed(self) -> Reply:
        """The answer when the disk or the database fails."""
        return _status(500)

    def _check_signature(self, request: Request) -> Reply | None:
        """The refusal of a request whose X-FS headers are there, but not right."""
        values = [request.headers.get(f"x-fs-{name}") for name in ("pubkey", "timestamp", "signature")]
        if not any(values):
            return None
        key, timestamp, signature = values
        if not key or not timestamp or not signature:
            return _unauthentic(400, "one or more X-FS-* auth headers is missing")
        if len(key) != 66 or not is_hex(key):
            return _unauthentic(400, "X-FS-Pubkey is not a valid 66-hex digit id")
        if not key.startswith("07"):
            return _unauthentic(400, "X-FS-Pubkey must be 07- prefixed")
        if not is_base64(signature) or len(signature) not in (86, 88):
            return _unauthentic(400, "X-FS-Signature is not base64[88]")
        if not _WHOLE_NUMBER.match(timestamp):
            return _unauthentic(400, "X-FS-Timestamp is not a valid timestamp")
        if abs(int(timestamp) - self._clock()) > DAY:
            return _unauthentic(425, "X-FS-Timestamp is too far from current time")
        signed = f"{timestamp}{request.method}{request.target}".encode()
        if request.body:
            signed += hashlib.blake2b(request.body, digest_size=64).digest()
        try:
            verify_signature(bytes.fromhex(key[2:]), signed, from_base64(signature))
        except BadSignature:
            return _unauthentic(401, "X-FS-Signature verification failed")
        return None

    def _ttl(self, request: Request) -> int | None:
        """The life asked for; None if that is no number the server takes."""
        text = request.headers.get("x-fs-ttl")
        if text is None or self._options.max_ttl is None or not self._options.content_ids:
            return self._options.ttl
        if not _WHOLE_NUMBER.match(text) or int(text) > self._options.max_ttl:
            return None
        return int(text)

    async def _keep(self, body: Bytes, ttl: int) -> FileFacts | None:
        """Store a file; None if it is empty or too large."""
        size = len(body)
        if not 0 < size <= self._max_file_size:
            return None
        upload = await self._workers.run(size, lambda: self._store.write(body))
        return self._store.register(upload, ttl)

    async def _upload(self, request: Request, _id: str) -> Reply:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() in _FORM_TYPES:
            # The real server's framework takes a form apart, which leaves no body.
            return _status(413)
        ttl = self._ttl(request)
        if ttl is None:
            return _status(400)
        facts = await self._keep(request.body, ttl)
        if facts is None:
            return _status(413)
        return _json({"id": facts.id} | ({"expires": facts.expires} if self._options.content_ids else {}))

    async def _download(self, _request: Request, file_id: str) -> Reply:
        facts = self._store.find(file_id)
        if facts is None:
            return _status(404)
        headers = {"content-type": "application/octet-stream"}
        if self._options.content_ids:
            headers["expires"] = formatdate(facts.expires, usegmt=True)
        return Reply(200, headers, path=self._store.path(file_id), size=facts.size)

    async def _info(self, _request: Request, file_id: str) -> Reply:
        facts = self._store.find(file_id)
        return _status(404) if facts is None else _told(facts)

    async def _extend(self, request: Request, file_id: str) -> Reply:
        ttl = self._ttl(request)
        if ttl is None:
            return _status(400)
        facts = self._store.find(file_id) if len(file_id) == _CONTENT_ID_CHARACTERS else None
        return _status(404) if facts is None else _told(self._store.extend(facts, ttl))

    async def _legacy_upload(self, request: Request, _id: str) -> Reply:
        if "json" not in request.headers.get("content-type", ""):
            return page(400)
        try:
            values = json.loads(bytes(request.body))
        except (ValueError, RecursionError):
            return page(400)
        text = values.get("file") if isinstance(values, dict) else None
        if text is None:
            return _status(400)
        if not isinstance(text, str) or not is_base64(text.rstrip("=")):
            raise Crash
        facts = await self._keep(from_base64(text.rstrip("=")), self._options.ttl)
        if facts is None:
            return _status(413)
        return _json({"result": facts.id if self._options.content_ids else int(facts.id), "status_code": 200})

    async def _legacy_download(self, _request: Request, file_id: str) -> Reply:
        facts = self._store.find(file_id)
        if facts is None:
            return _status(404)
        content = await self._workers.run(facts.size, self._store.path(file_id).read_bytes)
        return _json({"status_code": 200, "result": base64.b64encode(content).decode()})

    async def _version(self, request: Request, _id: str) -> Reply:
        query = dict(parse_qsl(request.target.partition("?")[2]))
        platform, channel = query.get("platform"), query.get("release_channel", "stable")
        if platform not in _PLATFORMS:
            return _status(404)
        release = self._options.releases.get(platform)
        if release is None or (self._options.content_ids and channel not in _CHANNELS):
            return _status(502)
        return _json({"status_code": 200} | dict(release))

    async def _token_info(self, _request: Request, _id: str) -> Reply:
        if self._options.token_info is None:
            return _status(502)
        return _json({"status_code": 200, "info": dict(self._options.token_info)})


def _told(facts: FileFacts) -> Reply:
    return _json({"size": facts.size, "uploaded": facts.uploaded, "expires": facts.expires})


def _unauthentic(status: int, reason: str) -> Reply:
    return Reply(status, {"content-type": TEXT}, f"Invalid authentication: {reason}".encode())
