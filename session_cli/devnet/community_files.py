"""Files of community rooms: uploads that wait for a post, those that belong to one, and images of rooms."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from email.utils import formatdate
from urllib.parse import quote, unquote

from .community_store import CommunityStore, Room, User
from .http_server import Bytes

_UNCLAIMED_SECONDS = 3600
_EXTENDED_NAME = re.compile(r"filename\*\s*=\s*(?:UTF-8|utf-8)'[^']*'([^;\s]+)")
_PLAIN_NAME = re.compile(r'filename\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s"]+))')


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file with what a download tells of it. Times are in seconds; one that does not expire has None."""

    content: bytes
    name: str | None
    uploaded: float
    expires: float | None

    def headers(self) -> dict[str, str]:
        disposition = "attachment" if self.name is None else f"attachment; filename*=UTF-8''{quote(self.name, safe='')}"
        headers = {"date": formatdate(self.uploaded, usegmt=True), "content-disposition": disposition}
        if self.expires is not None:
            headers["expires"] = formatdate(self.expires, usegmt=True)
        return headers | {"content-type": "application/octet-stream"}


class CommunityFiles:
    """`ttl` is how many seconds a file lives that belongs to a post; 0 is for ever."""

    def __init__(self, store: CommunityStore, ttl: int) -> None:
        self._store = store
        self._ttl = ttl

    def add(self, room: Room, user: User, content: Bytes, disposition: str) -> int:
        """Keep an upload, for an hour unless a post claims it; returns its id."""
        now = self._store.clock()
        cursor = self._store.execute(
            "INSERT INTO community_files (room, user, content, name, uploaded, expires) VALUES (?, ?, ?, ?, ?, ?)",
            room.id,
            user.id,
            bytes(content),
            _name_in(disposition),
            now,
            now + _UNCLAIMED_SECONDS,
        )
        return int(cursor.lastrowid or 0)

    def find(self, room: Room, file_id: int) -> StoredFile | None:
        """A file of this room, unless it has expired."""
        row = self._store.execute(
            "SELECT content, name, uploaded, expires FROM community_files "
            "WHERE id = ? AND room = ? AND (expires IS NULL OR expires > ?)",
            file_id,
            room.id,
            self._store.clock(),
        ).fetchone()
        return None if row is None else StoredFile(*row)

    def claim(self, room: Room, user: User, post: int, file_ids: Iterable[int], *, pinned: bool) -> None:
        """Let those files belong to a post that its author uploaded for it; others are passed over."""
        now = self._store.clock()
        for file_id in file_ids:
            self._store.execute(
                "UPDATE community_files SET post = ?, expires = CASE WHEN ? THEN NULL ELSE uploaded + ? END "
                "WHERE id = ? AND room = ? AND user = ? AND post IS NULL AND expires > ?",
                post,
                pinned or not self._ttl,
                self._ttl,
                file_id,
                room.id,
                user.id,
                now,
            )

    def keep_for_ever(self, post: int) -> None:
        self._store.execute("UPDATE community_files SET expires = NULL WHERE post = ?", post)

    def keep_as_long_as_others(self, post: int) -> None:
        """Undo `keep_for_ever`."""
        if self._ttl:
            self._store.execute("UPDATE community_files SET expires = uploaded + ? WHERE post = ?", self._ttl, post)

    def drop(self, post: int) -> None:
        """A post is gone, and its files with it."""
        self._store.execute("DELETE FROM community_files WHERE post = ?", post)

    def drop_of(self, room: Room, user: User) -> None:
        """All of somebody's files in a room are gone, but for its image."""
        sql = "DELETE FROM community_files WHERE room = ? AND user = ? AND id IS NOT ?"
        self._store.execute(sql, room.id, user.id, room.image)

    def make_image(self, room: Room, file_id: int) -> bool:
        """Make a file the room's image, instead of the one before; False if the room has no such file."""
        if self.find(room, file_id) is None:
            return False
        self._store.execute("UPDATE community_files SET expires = NULL WHERE id = ?", file_id)
        if room.image not in (None, file_id):
            self._store.execute("DELETE FROM community_files WHERE id = ?", room.image)
        return True

    def sweep(self) -> None:
        """Remove what has expired."""
        self._store.execute("DELETE FROM community_files WHERE expires <= ?", self._store.clock())


def _name_in(disposition: str) -> str | None:
    """The file's name, without what no name may have; None if the header has none."""
    if not disposition.strip().lower().startswith("attachment"):
        return None
    extended, plain = _EXTENDED_NAME.search(disposition), _PLAIN_NAME.search(disposition)
    if extended:
        name = unquote(extended[1])
    elif plain:
        name = re.sub(r"\\(.)", r"\1", plain[1]) if plain[1] is not None else plain[2]
    else:
        return None
    return re.sub(r"[\0/]", "\ufffd", name) or None
