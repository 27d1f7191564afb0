"""The file server's shelf: bytes on disk under private names, facts in the database."""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .http_server import Bytes
from .options import FileServerOptions

_ID_BYTES = 33
_ID_SALT = b"SessionFileSvr\0\0"
_SWEEP_SECONDS = 10
_TEMPORARY = "upload-"


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What the server knows of a file. Times are in seconds since 1970."""

    id: str
    size: int
    uploaded: float
    expires: float


@dataclass(frozen=True, slots=True)
class Upload:
    """Bytes that are on disk, but not yet on the shelf."""

    id: str
    size: int
    temporary: Path


class FileStore:
    """Files by id. The facts are used from the network's thread only; bytes may be read and written in others."""

    def __init__(
        self, database: sqlite3.Connection, folder: Path, options: FileServerOptions, clock: Callable[[], float]
    ) -> None:
        self._database = database
        self._folder = folder
        self._options = options
        self._clock = clock
        self._next_sweep = 0.0
        for left_over in folder.glob(f"{_TEMPORARY}*"):
            # The network was killed in the middle of an upload.
            left_over.unlink()

    def path(self, file_id: str) -> Path:
        """Where the bytes of a file lie. Not under its id, which differs from others in case only."""
        return self._folder / hashlib.sha256(file_id.encode()).hexdigest()

    def write(self, body: Bytes) -> Upload:
        """Write bytes to disk; they are on the shelf only once `register` has been called. Any thread may do this."""
        if self._options.content_ids:
            digest = hashlib.blake2b(body, digest_size=_ID_BYTES, salt=_ID_SALT).digest()
            file_id = base64.urlsafe_b64encode(digest).decode()
        else:
            file_id = str(secrets.randbelow(2**53))
        temporary = self._folder / f"{_TEMPORARY}{secrets.token_hex(8)}"
        try:
            with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123
                file.write(body)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        return Upload(file_id, len(body), temporary)

    def register(self, upload: Upload, ttl: int) -> FileFacts:
        """Put an upload on the shelf: it counts from now, and never expires earlier than before."""
        file_id, size, now = upload.id, upload.size, self._clock()
        known = self.find(file_id)
        # After the sweep, which might else take the new bytes for those that have expired.
        upload.temporary.replace(self.path(file_id))
        expires = max(now + ttl, known.expires) if known else now + ttl
        self._database.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", (file_id, size, now, expires))
        return FileFacts(file_id, size, now, expires)

    def find(self, file_id: str) -> FileFacts | None:
        """The facts of a file, unless it is unknown or has expired."""
        self._sweep()
        row = self._database.execute(
            "SELECT id, size, uploaded, expires FROM files WHERE id = ? AND expires > ?", (file_id, self._clock())
        ).fetchone()
        return FileFacts(*row) if row and self.path(file_id).exists() else None

    def extend(self, facts: FileFacts, ttl: int) -> FileFacts:
        """Let a file live for `ttl` more seconds from now; never shorter than it would."""
        expires = max(facts.expires, self._clock() + ttl)
        self._database.execute("UPDATE files SET expires = ? WHERE id = ?", (expires, facts.id))
        return FileFacts(facts.id, facts.size, facts.uploaded, expires)

    def _sweep(self) -> None:
        now = self._clock()
        if now < self._next_sweep:
            return
        self._next_sweep = now + _SWEEP_SECONDS
        for (file_id,) in self._database.execute("SELECT id FROM files WHERE expires <= ?", (now,)).fetchall():
            self.path(file_id).unlink(missing_ok=True)
            self._database.execute("DELETE FROM files WHERE id = ?", (file_id,))
