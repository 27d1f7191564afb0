"""Posts and reactions of community rooms, and the sequence numbers by which clients ask for what is new.

A room counts every change of its posts: one made, edited or deleted, and each reaction that is added or removed. A
post remembers the numbers at which it was made, its data last changed, and anything last changed.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .community_files import CommunityFiles
from .community_people import Permissions
from .community_store import CommunityStore, Room, User

MAX_POSTS = 5
"""So many may be posted within a window by one person in a room."""
_WINDOW_SECONDS = 16


@dataclass(frozen=True, slots=True)
class Post:
    """A post as it is just now. Without data it was deleted."""

    id: int
    room: int
    user: int
    session_id: str
    posted: float
    edited: float | None
    data: bytes | None = field(repr=False)
    signature: bytes | None = field(repr=False)
    whisper: bool
    whisper_to: str | None
    whisper_mods: bool
    seqno: int
    seqno_data: int


@dataclass(frozen=True, slots=True)
class Draft:
    """What somebody wants to post, or put in the place of a post. Whispers are for one person, or for moderators."""

    data: bytes = field(repr=False)
    signature: bytes = field(repr=False)
    files: Sequence[int] = ()
    whisper_to: User | None = None
    whisper_mods: bool = False

    @property
    def is_whisper(self) -> bool:
        return self.whisper_to is not None or self.whisper_mods


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads, what he may do, and of how many people an answer names each reaction (0: of none)."""

    user: User | None
    permissions: Permissions
    reactors: int = 4

    @property
    def id(self) -> int:
        return 0 if self.user is None else self.user.id


_COLUMNS = (
    "p.id, p.room, p.user, author.session_id, p.posted, p.edited, p.data, p.signature, p.whisper, "
    "addressee.session_id, p.whisper_mods, p.seqno, p.seqno_data"
)
_JOINED = (
    "community_posts p JOIN community_users author ON p.user = author.id "
    "LEFT JOIN community_users addressee ON p.whisper_to = addressee.id"
)
_VISIBLE = "(NOT p.whisper OR p.whisper_to = :me OR (:mod AND (p.whisper_mods OR p.user = :me)))"


class CommunityPosts:
    """The posts of all rooms of one server."""

    def __init__(self, store: CommunityStore, files: CommunityFiles) -> None:
        self._store = store
        self._files = files

    # Reading.

    def recent(self, room: Room, reader: Reader, limit: int, before: int | None = None) -> list[dict[str, Any]]:
        """The latest posts, or the latest before a post; newest first, without those deleted."""
        condition = "p.data IS NOT NULL AND (:before IS NULL OR p.id < :before)"
        posts = self._select(room, reader, f"{condition} ORDER BY p.id DESC", limit, before=before)
        return [self.told(post, reader) for post in posts]

    def since(
        self, room: Room, reader: Reader, limit: int, seqno: int, *, with_reactions: bool
    ) -> list[dict[str, Any]]:
        """What changed after a sequence number, oldest change first.

        A post that was made and deleted since is not mentioned. One of which only the reactions changed is told with
        its reactions alone, or not at all.
        """
        changed = "p.seqno" if with_reactions else "p.seqno_data"
        condition = f"{changed} > :seqno AND (p.data IS NOT NULL OR p.seqno_creation <= :seqno) ORDER BY p.seqno"
        told = []
        for post in self._select(room, reader, condition, limit, seqno=seqno):
            if post.data is not None and post.seqno_data <= seqno:
                told.append({"id": post.id, "seqno": post.seqno, "reactions": self._reactions(post, reader)})
            else:
                told.append(self.told(post, reader))
        return told

    def find(self, room: Room, reader: Reader, post_id: int) -> Post | None:
        """A post of this room that the reader may see, unless it was deleted."""
        found = self._select(room, reader, "p.id = :id AND p.data IS NOT NULL", 1, id=post_id)
        return found[0] if found else None

    def find_regular(self, room: Room, post_id: int) -> Post | None:
        """A post of this room that is for everybody, unless it was deleted."""
        nobody = Reader(None, Permissions(True, True, False, False))
        return self.find(room, nobody, post_id)

    def _select(self, room: Room, reader: Reader, condition: str, limit: int, **values: object) -> list[Post]:
        sql = f"SELECT {_COLUMNS} FROM {_JOINED} WHERE p.room = :room AND {_VISIBLE} AND {condition} LIMIT :limit"  # noqa: S608
        bound = {"room": room.id, "me": reader.id, "mod": reader.permissions.moderator, "limit": limit} | values
        return [Post(*row) for row in self._store.database.execute(sql, bound).fetchall()]

    def told(self, post: Post, reader: Reader) -> dict[str, Any]:
        """A post as the server tells it."""
        told: dict[str, Any] = {
            "id": post.id,
            "session_id": post.session_id,
            "posted": post.posted,
            "seqno": post.seqno,
            "data": None if post.data is None else base64.b64encode(post.data).decode(),
        }
        if post.edited is not None:
            told["edited"] = post.edited
        if post.data is None or post.signature is None:
            return told | {"deleted": True}
        told["signature"] = base64.b64encode(post.signature).decode()
        if post.whisper:
            # As the real server's database has it: a number.
            told |= {"whisper": True, "whisper_mods": int(post.whisper_mods)}
            if post.whisper_to is not None:
                told["whisper_to"] = post.whisper_to
        return told | {"reactions": self._reactions(post, reader)}

    # Writing.

    def is_too_fast(self, room: Room, user: User) -> bool:
        """Whether somebody has posted as much as one may for now."""
        ((count,),) = self._store.execute(
            "SELECT count(*) FROM community_posts WHERE room = ? AND user = ? AND posted > ?",
            room.id,
            user.id,
            self._store.clock() - _WINDOW_SECONDS,
        ).fetchall()
        return int(count) >= MAX_POSTS

    def add(self, room: Room, user: User, draft: Draft) -> Post:
        """Post something."""
        seqno, now = self._store.next_seqno(room), self._store.clock()
        sql = "SELECT max(posted) FROM community_posts WHERE user = ? AND posted >= ?"
        ((latest,),) = self._store.execute(sql, user.id, now).fetchall()
        cursor = self._store.execute(
            "INSERT INTO community_posts (room, user, posted, data, signature, whisper, whisper_to, whisper_mods, "
            "seqno, seqno_creation, seqno_data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            room.id,
            user.id,
            # Clients know a post by its author and its time in milliseconds.
            now if latest is None else latest + 0.001,
            draft.data,
            draft.signature,
            draft.is_whisper,
            None if draft.whisper_to is None else draft.whisper_to.id,
            draft.whisper_mods,
            seqno,
            seqno,
            seqno,
        )
        post_id = int(cursor.lastrowid or 0)
        self._files.claim(room, user, post_id, draft.files, pinned=False)
        row = self._store.execute(f"SELECT {_COLUMNS} FROM {_JOINED} WHERE p.id = ?", post_id).fetchone()  # noqa: S608
        return Post(*row)

    def edit(self, room: Room, user: User, post: Post, draft: Draft) -> None:
        """Put something else in the place of a post."""
        self._change_data(room, post.id, draft.data, draft.signature)
        self._files.claim(room, user, post.id, draft.files, pinned=self._is_pinned(post.id))

    def delete(self, room: Room, post_id: int) -> None:
        """Delete a post with its reactions, its files and its pin."""
        self.remove_reactions(room, post_id)
        self._store.execute("DELETE FROM community_emoji WHERE post = ?", post_id)
        self._change_data(room, post_id, None, None)
        self._files.drop(post_id)
        self.unpin(room, post_id)

    def delete_all_of(self, room: Room, user: User) -> int:
        """Delete all posts and files of somebody in a room; returns how many posts there were."""
        rows = self._store.execute(
            "SELECT id FROM community_posts WHERE room = ? AND user = ? AND data IS NOT NULL ORDER BY id",
            room.id,
            user.id,
        ).fetchall()
        for (post_id,) in rows:
            self.delete(room, post_id)
        self._files.drop_of(room, user)
        return len(rows)

    def _change_data(self, room: Room, post_id: int, data: bytes | None, signature: bytes | None) -> None:
        seqno = self._store.next_seqno(room)
        self._store.execute(
            "UPDATE community_posts SET data = ?, signature = ?, edited = ?, seqno = ?, seqno_data = ? WHERE id = ?",
            data,
            signature,
            self._store.clock(),
            seqno,
            seqno,
            post_id,
        )

    # Reactions.

    def react(self, room: Room, user: User, post: Post, emoji: str) -> bool:
        """Add a reaction; False if it is there already."""
        self._store.execute("INSERT OR IGNORE INTO community_emoji (post, emoji) VALUES (?, ?)", post.id, emoji)
        cursor = self._store.execute(
            "INSERT OR IGNORE INTO community_reactions (emoji, user, at) "
            "SELECT id, ?, ? FROM community_emoji WHERE post = ? AND emoji = ?",
            user.id,
            self._store.clock(),
            post.id,
            emoji,
        )
        if cursor.rowcount:
            self._touch(room, post.id)
        return bool(cursor.rowcount)

    def remove_reactions(self, room: Room, post_id: int, emoji: str | None = None, user: User | None = None) -> int:
        """Remove reactions of a post: of everybody, or of one; with all emoji, or with one. Returns how many."""
        count = self._store.execute(
            "DELETE FROM community_reactions WHERE (?1 IS NULL OR user = ?1) AND emoji IN "
            "(SELECT id FROM community_emoji WHERE post = ?2 AND (?3 IS NULL OR emoji = ?3))",
            None if user is None else user.id,
            post_id,
            emoji,
        ).rowcount
        for _ in range(count):
            self._touch(room, post_id)
        return count

    def reactors(self, post: Post, emoji: str, limit: int) -> list[tuple[str, float]]:
        """Who reacted so, and when, oldest first; all of them unless `limit` is positive."""
        return self._store.execute(
            "SELECT session_id, at FROM community_reactions r JOIN community_emoji e ON r.emoji = e.id "
            "JOIN community_users u ON r.user = u.id WHERE post = ? AND e.emoji = ? ORDER BY r.id LIMIT ?",
            post.id,
            emoji,
            limit if limit > 0 else -1,
        ).fetchall()

    def seqno(self, post: Post) -> int:
        """A post's sequence number, after what was done to it."""
        ((seqno,),) = self._store.execute("SELECT seqno FROM community_posts WHERE id = ?", post.id).fetchall()
        return int(seqno)

    def _touch(self, room: Room, post_id: int) -> None:
        sql = "UPDATE community_posts SET seqno = ? WHERE id = ?"
        self._store.execute(sql, self._store.next_seqno(room), post_id)

    def _reactions(self, post: Post, reader: Reader) -> dict[str, dict[str, Any]]:
        rows = self._store.execute(
            "SELECT e.emoji, count(*), max(r.user = ?) FROM community_emoji e JOIN community_reactions r "
            "ON r.emoji = e.id WHERE e.post = ? GROUP BY e.id ORDER BY e.id",
            reader.id,
            post.id,
        ).fetchall()
        told: dict[str, dict[str, Any]] = {}
        for index, (emoji, count, is_mine) in enumerate(rows):
            told[emoji] = {"index": index, "count": count} | ({"you": True} if is_mine else {})
            if reader.reactors:
                told[emoji]["reactors"] = [one for one, _ in self.reactors(post, emoji, reader.reactors)]
        return told

    # Pins.

    def pin(self, room: Room, user: User, post: Post) -> None:
        """Pin a post, as the last one; also if it is pinned already."""
        sql = "INSERT OR REPLACE INTO community_pins VALUES (?, ?, ?, ?)"
        self._store.execute(sql, post.id, room.id, user.id, self._store.clock())
        self._store.count_updates(room)
        self._files.keep_for_ever(post.id)

    def unpin(self, room: Room, post_id: int | None = None) -> int:
        """Unpin a post, or all; returns how many were pinned."""
        sql = "DELETE FROM community_pins WHERE room = ?1 AND (?2 IS NULL OR post = ?2) RETURNING post"
        pinned = self._store.execute(sql, room.id, post_id).fetchall()
        for (post,) in pinned:
            self._files.keep_as_long_as_others(post)
        if pinned:
            self._store.count_updates(room, len(pinned))
        return len(pinned)

    def pins(self, room: Room) -> list[dict[str, Any]]:
        """The pinned posts, in the order in which they were pinned."""
        rows = self._store.execute(
            "SELECT post, at, session_id FROM community_pins p JOIN community_users u ON p.user = u.id "
            "WHERE room = ? ORDER BY at, post",
            room.id,
        ).fetchall()
        return [{"id": post, "pinned_at": at, "pinned_by": session_id} for post, at, session_id in rows]

    def _is_pinned(self, post_id: int) -> bool:
        return self._store.execute("SELECT 1 FROM community_pins WHERE post = ?", post_id).fetchone() is not None
