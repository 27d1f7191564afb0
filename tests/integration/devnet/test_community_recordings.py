"""The community server answers as recorded, but where it does better than the recorded one."""

from __future__ import annotations

import base64
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from session_cli.devnet.network import CommunityOptions, CommunityRoom, Devnet, DevnetOptions, Moderator
from session_cli.protocol.account import Identity
from session_cli.protocol.onion import EncType

from .community_client import Answer, CommunityClient
from .helpers import VECTORS, MovableClock, load_recording
from .templates import pointer

SCENARIOS = sorted(path.stem for path in (VECTORS / "community").glob("*.json"))

_MALFORMED = "the recorded server falls over it; ours calls it malformed"
BETTER: dict[str, dict[str, str]] = {
    "direct_messages_odd": {"message not base64": _MALFORMED, "message a number": _MALFORMED},
    "files": {"empty upload": "the recorded server gives the id of a file that is gone to another; ours never does"},
    "messages": {"edit of a deleted message": "the recorded server falls over it; ours says that there is none"},
    "moderation": {"permissions of alice cleared": "the recorded server falls over it; ours says that there are none"},
    "rooms_and_poll": {
        "room as gadmin": "the recorded server has read the room before it knows who asks, and tells an info_updates "
        "that the caller's own arrival has changed; ours tells the new one"
    },
}
"""By scenario and exchange, why the answer differs."""


def staff() -> dict[str, str]:
    """The account ids of those who have a role on the recorded servers."""
    found: dict[str, str] = {}
    for name in SCENARIOS:
        for who, account in load_recording("community", name)["accounts"].items():
            found[who] = Identity.from_seed(bytes.fromhex(account["seed"])).account_id
    return found


def options_for(recording: dict[str, Any], clock: MovableClock) -> DevnetOptions:
    """A network whose community server is in the state in which the recorded one began."""
    ids = staff()
    admin, mod, gadmin = Moderator(ids["admin"], admin=True), Moderator(ids["mod"]), ids["gadmin"]
    community = CommunityOptions(
        rooms=(
            CommunityRoom("lobby", "The Lobby", "First test room", (admin, mod)),
            CommunityRoom("Workshop", "Workshop", None, (admin,)),
            CommunityRoom("vault", "Vault", None, read=False, accessible=False),
        ),
        moderators=(Moderator(gadmin, admin=True, visible=False),),
        blinded=recording["server"] == "blind",
        x25519_secret=bytes.fromhex(recording["server_x25519_sk"]),
    )
    return DevnetOptions(nodes=1, swarms=1, community=community, clock=clock)


class CommunityReplay:
    """Plays one recorded scenario against a network."""

    def __init__(self, net: Devnet, clock: MovableClock, recording: dict[str, Any]) -> None:
        self.clock = clock
        self.client = CommunityClient(net, clock)
        self.captured: dict[str, Any] = {}
        self.accounts = {
            name: Identity.from_seed(bytes.fromhex(account["seed"])) for name, account in recording["accounts"].items()
        }

    def play(self, entry: dict[str, Any]) -> list[str]:
        """Send one request; the differences between its answer and the recorded one."""
        self.clock.advance(entry.get("sleep_before") or 0)
        # So that things happen one after the other, as they did.
        self.clock.advance(0.01)
        request, expected = entry["request"], entry["response"]
        method, path = request["method"], self._filled(entry.get("path_template", request["path"]))
        body = self._filled(entry["body_template"]).encode() if "body_template" in entry else _bytes(request["body"])
        headers = {name: value for name, value in request["headers"].items() if not name.startswith("X-SOGS-")}
        if entry["as"] is not None:
            who = self.accounts[entry["as"]]
            headers |= self.client.signed(who, entry["auth"], method, path, body or b"", entry.get("replay") or {})
        if entry["via"] == "onion_v4":
            answer = self.client.by_onion(method, path, headers, body, EncType.parse(entry["onion"]["enc_type"]))
        else:
            answer = self.client.direct(method, path, headers, body)
        problems = self._compare(expected, answer)
        for name, place in (entry.get("captures") or {}).items():
            self.captured[name] = pointer(answer.json, place)
        return problems

    def _filled(self, template: str) -> str:
        for name, value in self.captured.items():
            template = template.replace(f'"${{{name}:int}}"', str(value)).replace(f"${{{name}}}", str(value))
        return template

    def _compare(self, expected: dict[str, Any], answer: Answer) -> list[str]:
        if answer.status != expected["status"]:
            return [f"status {expected['status']} recorded, {answer.status} now"]
        problems: list[str] = []
        _compare_headers(expected["headers"], answer.headers, problems)
        recorded = expected["body"]
        if recorded is None:
            problems += [] if answer.body == b"" else [f"no body recorded, {answer.body!r:.80} now"]
        elif "json" in recorded:
            _compare_json(recorded["json"], answer.json, "", problems)
        elif not _is_page(_bytes(recorded) or b"") and _bytes(recorded) != answer.body:
            problems.append(f"body {_bytes(recorded)!r:.80} recorded, {answer.body!r:.80} now")
        return problems


def _compare_headers(recorded: dict[str, str], actual: dict[str, str], problems: list[str]) -> None:
    for name in ("content-type", "content-disposition", "allow"):
        values = [
            headers.get(name, "").partition(";" if name == "content-type" else "\0")[0]
            for headers in (recorded, actual)
        ]
        if sorted(values[0].split(", ")) != sorted(values[1].split(", ")):
            problems.append(f"{name}: {values[0]} recorded, {values[1]} now")
    lives = [_life(headers) for headers in (recorded, actual)]
    # Both moments are cut to seconds.
    if (lives[0] is None) != (lives[1] is None) or abs((lives[0] or 0) - (lives[1] or 0)) > 1:
        problems.append(f"lives {lives[0]} s recorded, {lives[1]} s now")


def _life(headers: dict[str, str]) -> float | None:
    if "expires" not in headers:
        return None
    moments = [parsedate_to_datetime(headers[name]) for name in ("date", "expires")]
    return (moments[1] - moments[0]).total_seconds()


def _compare_json(recorded: Any, actual: Any, at: str, problems: list[str]) -> None:
    if isinstance(recorded, dict) and isinstance(actual, dict) and recorded.keys() == actual.keys():
        for name in recorded:
            if name == "headers":
                _compare_headers(recorded[name], actual[name], problems)
            else:
                _compare_json(recorded[name], actual[name], f"{at}/{name}", problems)
    elif isinstance(recorded, list) and isinstance(actual, list) and len(recorded) == len(actual):
        for number, (one, other) in enumerate(zip(recorded, actual, strict=True)):
            _compare_json(one, other, f"{at}/{number}", problems)
    elif isinstance(recorded, float) and isinstance(actual, int | float):
        # Times.
        return
    elif isinstance(recorded, str) and isinstance(actual, str) and recorded.startswith("PCFkb2N0eX"):
        # A page in base64.
        return
    elif type(recorded) is not type(actual) or recorded != actual:
        problems.append(f"{at}: {str(recorded)[:80]} recorded, {str(actual)[:80]} now")


def _is_page(body: bytes) -> bool:
    return body.startswith(b"<!doctype html>")


def _bytes(body: dict[str, Any] | None) -> bytes | None:
    if body is None:
        return None
    if "text" in body:
        return str(body["text"]).encode()
    if "base64" in body:
        return base64.b64decode(body["base64"])
    if "hex" in body:
        return bytes.fromhex(body["hex"])
    return bytes.fromhex(body["repeat"]) * int(body["length"])


@pytest.mark.parametrize("name", SCENARIOS)
def test_same_answers(name: str) -> None:
    recording = load_recording("community", name)
    clock = MovableClock()
    found = {}
    with Devnet(options_for(recording, clock)) as net:
        assert net.community_x25519.hex() == recording["server_x25519_pk"]
        replay = CommunityReplay(net, clock, recording)
        for entry in recording["exchanges"]:
            if differences := replay.play(entry):
                found[entry["name"]] = differences
    assert found.keys() == BETTER.get(name, {}).keys(), found
