"""The recorded exchanges with a community server, and how each is asked and understood by this client."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

import pytest

from session_cli.errors import InvalidInput
from session_cli.protocol.account import Identity
from session_cli.protocol.blinding import BlindedId
from session_cli.protocol.community import endpoints, moderation
from session_cli.protocol.community.posts import SignedPost
from session_cli.protocol.community.requests import CommunityRequest, batch, in_sequence
from session_cli.protocol.community.values import MemberId
from session_cli.protocol.onion import V4Response

FOLDER = Path(__file__).resolve().parents[2] / "vectors" / "community"
SCENARIOS = sorted(path.stem for path in FOLDER.glob("*.json"))


@dataclass(frozen=True, slots=True)
class Exchange:
    """One exchange, and the server key of its file."""

    scenario: str
    server_key: bytes
    server_secret: bytes
    accounts: dict[str, Any]
    fields: dict[str, Any]

    @property
    def method(self) -> str:
        method: str = self.fields["request"]["method"]
        return method

    @property
    def path(self) -> str:
        path: str = self.fields["request"]["path"]
        return path

    @property
    def headers(self) -> dict[str, str]:
        headers: dict[str, str] = self.fields["request"]["headers"]
        return headers

    @property
    def status(self) -> int:
        status: int = self.fields["response"]["status"]
        return status

    @property
    def is_as_it_should_be(self) -> bool:
        return "tampered" not in self.fields and "replay" not in self.fields

    @property
    def body(self) -> bytes:
        return _bytes(self.fields["request"]["body"])

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else None

    @property
    def answer(self) -> Any:
        """The JSON of the response, None if it has none."""
        return (self.fields["response"]["body"] or {}).get("json")

    @property
    def response(self) -> V4Response:
        """The response as it comes through an onion."""
        found = self.fields["response"]
        headers = {name: str(content) for name, content in found["headers"].items()}
        body = json.dumps(self.answer).encode() if self.answer is not None else _bytes(found["body"])
        return V4Response(found["status"], headers, body)

    def identity(self, name: str) -> Identity:
        return Identity.from_seed(bytes.fromhex(self.accounts[name]["seed"]))


def _bytes(body: dict[str, Any] | None) -> bytes:
    match body:
        case None:
            return b""
        case {"text": str() as text}:
            return text.encode()
        case {"base64": str() as text}:
            return base64.b64decode(text)
        case {"hex": str() as text}:
            return bytes.fromhex(text)
        case {"repeat": str() as text, "length": int() as length}:
            return bytes.fromhex(text) * length
        case _:
            raise LookupError(f"A body of a kind that nobody described: {sorted(body)}")


def exchanges(*scenarios: str) -> list[Any]:
    """The exchanges of some scenarios (of all, if none is named) as pytest parameters."""
    return [
        pytest.param(exchange, id=f"{exchange.scenario}-{number}-{exchange.fields['name'][:40]}")
        for scenario in scenarios or SCENARIOS
        for number, exchange in enumerate(load(scenario))
    ]


def load(scenario: str) -> Iterator[Exchange]:
    found = json.loads((FOLDER / f"{scenario}.json").read_text(encoding="utf-8"))
    keys = bytes.fromhex(found["server_x25519_pk"]), bytes.fromhex(found["server_x25519_sk"])
    for fields in found["exchanges"]:
        yield Exchange(scenario, *keys, found["accounts"], fields)


# How this client would have asked.

_ROUTES: list[tuple[str, str, Callable[..., CommunityRequest[Any]]]] = [
    ("GET", r"/capabilities", lambda _, **__: endpoints.capabilities()),
    ("GET", r"/rooms", lambda _, **__: endpoints.list_rooms()),
    ("GET", r"/room/(\w+)", lambda _, room, **__: endpoints.room_info(room)),
    ("PUT", r"/room/(\w+)", lambda json, room, **__: _set_room(room, json)),
    ("GET", r"/room/(\w+)/pollInfo/(\d+)", lambda _, room, n, **__: endpoints.poll_info(room, int(n))),
    ("GET", r"/room/(\w+)/messages/recent", lambda _, room, limit, **__: endpoints.recent(room, limit=limit)),
    (
        "GET",
        r"/room/(\w+)/messages/before/(\d+)",
        lambda _, room, n, limit, **__: endpoints.before(room, int(n), limit=limit),
    ),
    (
        "GET",
        r"/room/(\w+)/messages/since/(\d+)",
        lambda _, room, n, limit, **__: endpoints.since(room, int(n), limit=limit),
    ),
    ("GET", r"/room/(\w+)/message/(\d+)", lambda _, room, n, **__: endpoints.message(room, int(n))),
    ("POST", r"/room/(\w+)/message", lambda json, room, **__: _post(room, json)),
    ("PUT", r"/room/(\w+)/message/(\d+)", lambda json, room, n, **__: _edit(room, int(n), json)),
    ("DELETE", r"/room/(\w+)/message/(\d+)", lambda _, room, n, **__: endpoints.delete(room, int(n))),
    ("DELETE", r"/room/(\w+)/all/(\w+)", lambda _, room, who, **__: endpoints.delete_all(room, MemberId(who))),
    ("DELETE", r"/rooms/all/(\w+)", lambda _, who, **__: moderation.delete_everywhere(MemberId(who))),
    ("PUT", r"/room/(\w+)/reaction/(\d+)/(.+)", lambda _, room, n, e, **__: endpoints.react(room, int(n), e)),
    ("DELETE", r"/room/(\w+)/reaction/(\d+)/(.+)", lambda _, room, n, e, **__: endpoints.unreact(room, int(n), e)),
    ("DELETE", r"/room/(\w+)/reactions/(\d+)", lambda _, room, n, **__: endpoints.remove_reactions(room, int(n))),
    (
        "DELETE",
        r"/room/(\w+)/reactions/(\d+)/(.+)",
        lambda _, room, n, e, **__: endpoints.remove_reactions(room, int(n), e),
    ),
    (
        "GET",
        r"/room/(\w+)/reactors/(\d+)/(.+)",
        lambda _, room, n, e, limit, **__: endpoints.reactors(room, int(n), e, limit=limit),
    ),
    ("POST", r"/room/(\w+)/pin/(\d+)", lambda _, room, n, **__: endpoints.pin(room, int(n))),
    ("POST", r"/room/(\w+)/unpin/(\d+)", lambda _, room, n, **__: endpoints.unpin(room, int(n))),
    ("POST", r"/room/(\w+)/unpin/all", lambda _, room, **__: endpoints.unpin(room)),
    ("POST", r"/room/(\w+)/file", lambda _, room, **__: endpoints.upload(room)),
    ("GET", r"/room/(\w+)/permissions", lambda _, room, **__: moderation.all_rights(room)),
    (
        "GET",
        r"/room/(\w+)/permissions/(\w+)",
        lambda _, room, who, **__: moderation.rights_of(room, MemberId(who)),
    ),
    ("POST", r"/room/(\w+)/permissions/(\w+)", lambda json, room, who, **__: _set_rights(room, who, json)),
    ("GET", r"/room/(\w+)/futurePermissions", lambda _, room, **__: moderation.coming_rights(room)),
    (
        "GET",
        r"/room/(\w+)/futurePermissions/(\w+)",
        lambda _, room, who, **__: moderation.coming_rights(room, MemberId(who)),
    ),
    (
        "POST",
        r"/room/(\w+)/futurePermissions/(\w+)",
        lambda json, room, who, **__: moderation.set_coming_rights(
            room, MemberId(who), {name: value for name, value in json.items() if name != "in"}, seconds=json["in"]
        ),
    ),
    ("POST", r"/user/(\w+)/ban", lambda json, who, **__: _ban(who, json)),
    ("POST", r"/user/(\w+)/unban", lambda json, who, **__: moderation.unban(MemberId(who), _rooms(json))),
    ("POST", r"/user/(\w+)/moderator", lambda json, who, **__: _set_moderator(who, json)),
    ("GET", r"/inbox", lambda _, limit, **__: endpoints.inbox(limit=limit)),
    ("GET", r"/inbox/since/(\d+)", lambda _, n, limit, **__: endpoints.inbox(int(n), limit=limit)),
    ("GET", r"/outbox", lambda _, limit, **__: endpoints.outbox(limit=limit)),
    ("GET", r"/outbox/since/(\d+)", lambda _, n, limit, **__: endpoints.outbox(int(n), limit=limit)),
    (
        "POST",
        r"/inbox/(\w+)",
        lambda json, who, **__: endpoints.send_direct(BlindedId(who), base64.b64decode(json["message"])),
    ),
    ("DELETE", r"/inbox", lambda _, **__: endpoints.clear_inbox()),
    ("POST", r"/batch", lambda json, **__: batch([_part(part) for part in json])),
    ("POST", r"/sequence", lambda json, **__: in_sequence([_part(part) for part in json])),
]


def request_for(method: str, path: str, json: Any) -> CommunityRequest[Any]:
    """What this client would ask in place of a recorded request. Raises LookupError if it never would."""
    place, _, query = path.partition("?")
    place = unquote(place)
    limits = parse_qs(query).get("limit", ["100"])
    if not re.fullmatch(r"-?\d+", limits[0]):
        raise LookupError("This client asks for numbers of messages.")
    for wanted, pattern, make in _ROUTES:
        match = re.fullmatch(pattern, place)
        if wanted == method and match:
            return make(json, **_named(pattern, match), limit=int(limits[0]))
    raise LookupError(f"This client never asks for {method} {path}.")


def _part(part: dict[str, Any]) -> CommunityRequest[Any]:
    """A request in a batch, also if this client never makes it; then its answer is taken as it is."""
    try:
        return request_for(part["method"], part["path"], part.get("json"))
    except (LookupError, InvalidInput):
        return CommunityRequest(part["method"], part["path"], lambda value: value)


def _named(pattern: str, match: re.Match[str]) -> dict[str, str]:
    """The parts of a path by what they are."""
    kinds = {r"(\w+)": "who", r"(\d+)": "n", r"(.+)": "e"}
    parts = re.findall(r"\([^)]*\)", pattern)
    names = [kinds[part] for part in parts]
    if pattern.startswith(r"/room/(\w+)"):
        names[0] = "room"
    return dict(zip(names, match.groups(), strict=True))


def _rooms(json: Any) -> list[str] | None:
    return None if json.get("global") else json["rooms"]


def _ban(who: str, json: Any) -> CommunityRequest[Any]:
    return moderation.ban(MemberId(who), _rooms(json), seconds=json.get("timeout"))


def _set_moderator(who: str, json: Any) -> CommunityRequest[Any]:
    given = {name: json[name] for name in ("moderator", "admin", "visible") if name in json}
    return moderation.set_moderator(MemberId(who), _rooms(json), **given)


def _set_rights(room: str, who: str, json: Any) -> CommunityRequest[Any]:
    rights = {name.removeprefix("default_"): None if name.startswith("default_") else on for name, on in json.items()}
    return moderation.set_rights(room, MemberId(who), rights)


def _set_room(room: str, json: Any) -> CommunityRequest[Any]:
    names = {"name": "name", "description": "description", "image": "image_id"}
    given = {names[name]: value for name, value in json.items() if name in names}
    if "description" in given:
        given["description"] = given["description"] or ""
    defaults = {name.removeprefix("default_"): on for name, on in json.items() if name.startswith("default_")}
    return endpoints.set_room(room, **given, defaults=defaults)


def _signed(json: Any) -> SignedPost:
    return SignedPost(base64.b64decode(json["data"]), base64.b64decode(json["signature"]))


def _post(room: str, json: Any) -> CommunityRequest[Any]:
    given = {name: json[name] for name in ("files", "whisper_to", "whisper_mods") if json.get(name)}
    return endpoints.post(room, _signed(json), **given)


def _edit(room: str, message_id: int, json: Any) -> CommunityRequest[Any]:
    return endpoints.edit(room, message_id, _signed(json), files=json.get("files", ()))
