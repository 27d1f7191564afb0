"""What the endpoints of a community server are given, and in which words they refuse."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from .community_auth import Refused
from .community_people import CommunityPeople, Permissions
from .community_store import CommunityStore, Room, User
from .fields import from_base64, is_base64
from .http_server import Bytes
from .replies import parse_json
from .routes import HTML, TEXT, Reply, page

JSON = "application/json"
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}\Z")


@dataclass(frozen=True, slots=True)
class Call:
    """A request to one endpoint, by a user whom the server knows, or None. `values` are the parts of its path."""

    method: str
    values: tuple[str, ...]
    query: Mapping[str, str]
    headers: Mapping[str, str] = field(repr=False)
    body: Bytes = field(repr=False)
    user: User | None

    @property
    def caller(self) -> User:
        """Who asks. Raises Refused if he does not say."""
        if self.user is None:
            raise refused(401, "X-SOGS-* request authentication required", TEXT)
        return self.user

    def number(self, place: int) -> int:
        """A whole number in the path. Raises Refused beyond the database's numbers."""
        value = int(self.values[place])
        if value >= 2**63:
            raise not_found()
        return value

    def query_number(self, name: str, default: int) -> int:
        """A whole number in the query. Raises Refused if it is none."""
        text = self.query.get(name)
        if text is None:
            return default
        if not _WHOLE_NUMBER.match(text):
            raise bad_request()
        return int(text)

    def limit(self) -> int:
        """How many rows are wanted."""
        return min(max(self.query_number("limit", 100), 1), 256)

    def json(self) -> dict[str, Any]:
        """The body, which has to be a JSON object. Raises Refused."""
        value = self.any_json()
        if not isinstance(value, dict):
            raise bad_request()
        return value

    def any_json(self) -> Any:
        """The body, which has to be JSON and called so. Raises Refused."""
        if self.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
            raise bad_request()
        try:
            return parse_json(bytes(self.body))
        except ValueError:
            raise bad_request() from None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A method and a path with the function that answers. `name` is the path as faults and the log know it."""

    method: str
    name: str
    pattern: re.Pattern[str]
    answer: Callable[[Call], Reply]


_PARTS = {
    "<room>": r"([A-Za-z0-9_-]{1,64})",
    "<id>": r"([0-9]{1,19})",
    "<n>": r"([0-9]{1,19})",
    "<emoji>": r"(.+)",
    "<name>": r"(.+)",
    "<user>": r"((?:05|15|25)[0-9a-f]{64})",
    "<blinded>": r"([12]5[0-9a-f]{64})",
}


def someone(*, blinded: bool) -> str:
    """The part of a path that names an author. Where people go by blinded ids, one with an account id leads nowhere."""
    return "<blinded>" if blinded else "<user>"


def endpoint(method: str, name: str, answer: Callable[[Call], Reply]) -> Endpoint:
    """An endpoint from the path's name, such as `/room/<room>/message/<id>`."""
    pattern = re.escape(name)
    for part, expression in _PARTS.items():
        pattern = pattern.replace(re.escape(part), expression)
    return Endpoint(method, name.replace("<blinded>", "<user>"), re.compile(pattern, re.DOTALL), answer)


def json_reply(value: Any, status: int = 200) -> Reply:
    return Reply(status, {"content-type": JSON}, json.dumps(value).encode())


def refused(status: int, text: str, content_type: str = HTML) -> Refused:
    return Refused(Reply(status, {"content-type": content_type}, text.encode()))


def denied() -> Refused:
    return refused(403, "Permission denied")


def forbidden() -> Refused:
    return Refused(page(403))


def not_found() -> Refused:
    return Refused(page(404))


def no_such_post(post_id: int) -> Refused:
    return refused(404, f"No such post: {post_id}")


def bad_request() -> Refused:
    return Refused(page(400))


def query_of(target: str) -> dict[str, str]:
    """The query of a request's target; of several of one name the first counts."""
    pairs = parse_qsl(target.partition("?")[2], keep_blank_values=True)
    return dict(reversed(pairs))


def base64_of(values: Mapping[str, Any], name: str) -> bytes:
    """Bytes in base64, padded or not. Raises Refused."""
    text = values.get(name)
    if not isinstance(text, str) or not is_base64(text.rstrip("=")):
        raise bad_request()
    return from_base64(text.rstrip("="))


class Gate:
    """Finds the room of a call, and lets nobody pass who may not."""

    def __init__(self, store: CommunityStore, people: CommunityPeople) -> None:
        self._store = store
        self._people = people

    def room(self, call: Call) -> Room:
        """The room that the path names first. Raises Refused."""
        room = self._store.find_room(call.values[0])
        if room is None:
            raise not_found()
        return room

    def permissions(self, call: Call, room: Room) -> Permissions:
        return self._people.permissions(call.user, room)

    def readable(self, call: Call) -> tuple[Room, Permissions]:
        """The room, if the caller may read it. Raises Refused."""
        room = self.room(call)
        permissions = self.permissions(call, room)
        if not permissions.read:
            raise refused(403, "This endpoint requires room message 'read' permission", TEXT)
        return room, permissions

    def moderated(self, call: Call, *, as_admin: bool = False) -> Room:
        """The room, if the caller is a moderator or admin of it. Raises Refused."""
        room = self.room(call)
        permissions = self._people.permissions(call.caller, room)
        if not (permissions.admin if as_admin else permissions.moderator):
            needed = "admin" if as_admin else "moderator"
            raise refused(403, f"This endpoint requires {needed} room permissions", TEXT)
        return room

    def note_activity(self, call: Call, room: Room) -> None:
        """Count the caller among those who are active in a room."""
        if call.user is not None:
            sql = "INSERT OR REPLACE INTO community_activity VALUES (?, ?, ?)"
            self._store.execute(sql, room.id, call.user.id, self._store.clock())
