"""The file server: where encrypted attachments wait to be fetched."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import BinaryIO
from urllib.parse import urlsplit

from ..errors import FileGone, FileTooLargeForServer, InvalidUrl, NetworkUnreachable, ServiceRefused
from ..protocol.account import x25519_from_ed25519
from ..protocol.attachment import DownloadUrl
from ..protocol.onion import ServerDestination, V4Request, V4Response
from .clock import Deadline
from .definition import FileServer
from .transfers import Progress, Transfers


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """Where an upload lies, and until when (Unix seconds, None if the server didn't say)."""

    url: DownloadUrl
    expires_s: float | None


class FileServerClient:
    """Uploads and downloads of encrypted files, through onion requests."""

    def __init__(self, transfers: Transfers, server: FileServer) -> None:
        self._transfers = transfers
        self._server = server

    def upload(
        self, body: Callable[[], Iterable[bytes]], size: int, deadline: Deadline, progress: Progress
    ) -> UploadedFile:
        """Upload `size` bytes of ciphertext; `body` gives them in pieces, anew for each attempt.

        Raises FileTooLargeForServer, ServiceRefused, NetworkError.
        """
        meta: dict[str, object] = {
            "method": "POST",
            "endpoint": "/file",
            "headers": {"Content-Type": "application/octet-stream", "Content-Disposition": "attachment"},
        }
        response = self._transfers.upload(
            server=self._server.destination(),
            meta=lambda: meta,
            body=body,
            size=size,
            deadline=deadline,
            progress=progress,
        )
        if response.code == 413:
            raise FileTooLargeForServer(f"The file server refuses a file of {size} bytes.", status=413)
        _check(response)
        try:
            answer = json.loads(response.body)
            file_id = str(answer["id"])
            expires = answer.get("expires")
            expires_s = float(expires) if isinstance(expires, int | float) else None
            if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", file_id):
                raise ValueError
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            raise ServiceRefused("The file server took the file and did not say where it is.") from None
        place = urlsplit(self._server.url)
        url = DownloadUrl(place.scheme, place.hostname or "", place.port, file_id)
        return UploadedFile(url, expires_s)

    def download(self, url: DownloadUrl, sink: BinaryIO, size: int, deadline: Deadline, progress: Progress) -> None:
        """Write the encrypted file at `url` to `sink`. `size` is what to expect, for the time-out.

        Raises FileGone, InvalidUrl (another server, without its key), ServiceRefused, NetworkError.
        """
        request = V4Request("GET", f"/file/{url.file_id}", {})
        response = self._transfers.download(
            server=self._destination(url),
            request=lambda: request,
            sink=sink,
            size=size,
            deadline=deadline,
            progress=progress,
        )
        if response.code == 404:
            raise FileGone("The file is no longer on the file server; it keeps files for 14 days.", status=404)
        _check(response)

    def _destination(self, url: DownloadUrl) -> ServerDestination:
        default = self._server.destination()
        if url.server_ed25519 is None or url.server_ed25519 == self._server.ed25519:
            if url.host != default.host:
                raise InvalidUrl(f"The attachment lies at {url.host}, a server whose key its message doesn't give.")
            return default
        return ServerDestination(url.host, x25519_from_ed25519(url.server_ed25519), url.scheme, url.port)


def _check(response: V4Response) -> None:
    if response.code == 200:
        return
    if response.code == 429 or response.code >= 500:
        raise NetworkUnreachable(f"The file server is in trouble (status {response.code}).")
    raise ServiceRefused(f"The file server refuses (status {response.code}).", status=response.code)
