"""The file server answers as recorded: the present one with content ids, and that of 2024 with decimal ids."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import re
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from session_cli.devnet.network import Devnet, DevnetOptions, FileServerOptions
from session_cli.protocol.account import Identity
from session_cli.protocol.onion import (
    EncType,
    LayerKey,
    V4Request,
    compact_json,
    decode_v4_response,
    encode_v4_request,
    frame,
    guard_control,
)

from .helpers import MovableClock, load_recording

DAY = 24 * 3600
WEEK = 7 * DAY
LIMITS = {"fs24": 6_000_000, "fsnew": 10_300_000}
UPDATED = 1795396906.447409
RELEASES: dict[str, dict[str, Any]] = {
    "desktop": {
        "updated": UPDATED,
        "result": "1.17.17",
        "name": "Session 1.17.17",
        "notes": "Notes",
        "assets": [{"name": "session-desktop.deb", "url": "https://example.org/d.deb"}],
        "prerelease": {"result": "1.18.0", "updated": UPDATED, "name": "Session 1.18.0", "notes": "pre"},
    },
    "android": {"updated": UPDATED, "result": "1.33.4", "name": "1.33.4"},
}
TOKEN = {
    "maximum_supply": 240000000,
    "sent_per_node": 20000,
    "staking_reward_pool": 1000000,
    "history": [{"current_value": "0.123456", "circulating_supply": 80000000, "total_nodes": 1500, "updated": UPDATED}],
}
COMPARED_HEADERS = ("content-type", "content-disposition", "allow")
_DECIMAL_ID = re.compile(r"[0-9]{1,16}\Z")


@dataclass
class Answer:
    """An answer in the shape of the recordings: header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes = field(repr=False)


class FileReplay:
    """Plays one recorded scenario against a network."""

    def __init__(self, net: Devnet, clock: MovableClock, random_ids: bool) -> None:
        self.net = net
        self.clock = clock
        self.random_ids = random_ids
        self.ids: dict[str, str] = {}
        """Recorded id: the one that we were given instead."""

    def play(self, entry: dict[str, Any]) -> list[str]:
        """Send one request; the differences between its answer and the recorded one."""
        self.clock.advance(entry.get("sleep_before") or 0)
        request, expected = entry["request"], entry["response"]
        headers, path = self._signed(entry), self._with_our_ids(request["path"])
        body = _bytes(request["body"])
        if entry["via"] == "onion_v4":
            answer = self._by_onion(entry, path, headers, body)
        else:
            answer = self._direct(request["method"], path, headers, body)
        if "decrypted" in expected or "decrypted_from_base64" in expected:
            return self._compare_raw_onion(entry, answer)
        return self._compare(expected, answer)

    def _with_our_ids(self, path: str) -> str:
        for recorded, ours in self.ids.items():
            path = path.replace(recorded, ours)
        return path

    def _signed(self, entry: dict[str, Any]) -> dict[str, str]:
        headers: dict[str, str] = dict(entry["request"]["headers"])
        replay = entry.get("replay") or {}
        sign = replay.get("version_sign")
        if sign is None:
            return headers
        headers = {name: value for name, value in headers.items() if not name.startswith("X-FS-")}
        key = hashlib.blake2b(bytes.fromhex(sign["seed"]), key=b"VersionCheckKey_sig", digest_size=32).digest()
        identity = Identity.from_seed(key)
        timestamp = sign.get("timestamp", str(int(self.clock()) + sign.get("timestamp_offset", 0)))
        request = entry["request"]
        signature = identity.sign(f"{timestamp}{request['method']}{request['path']}".encode())
        headers["X-FS-Pubkey"] = "07" + identity.ed25519_public.hex()
        headers["X-FS-Timestamp"] = timestamp
        headers["X-FS-Signature"] = base64.b64encode(signature).decode()
        for name, change in replay.get("after_signing", {}).items():
            del headers[name]
            if change["op"] == "set":
                headers[name] = change["value"]
        return headers

    def _direct(self, method: str, path: str, headers: dict[str, str], body: bytes | None) -> Answer:
        connection = http.client.HTTPConnection(self.net.file_server_url.removeprefix("http://"), timeout=20)
        try:
            connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body or b"")))
            connection.endheaders(body)
            response = connection.getresponse()
            content = response.read()
            return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, content)
        finally:
            connection.close()

    def _by_onion(self, entry: dict[str, Any], path: str, headers: dict[str, str], body: bytes | None) -> Answer:
        enc_type = EncType.parse(entry["onion"]["enc_type"])
        key = LayerKey.for_sender(self.net.file_server_x25519, enc_type)
        plaintext = encode_v4_request(V4Request(entry["request"]["method"], path, headers, body))
        outer = self._direct("POST", "/oxen/v4/lsrpc", {}, frame(key.seal(plaintext), guard_control(key)))
        assert outer.status == entry["onion"]["outer_status"]
        inner = decode_v4_response(key.open(outer.body))
        return Answer(inner.code, dict(inner.headers), inner.body)

    def _compare_raw_onion(self, entry: dict[str, Any], answer: Answer) -> list[str]:
        """The request was sent as recorded, so that its recorded ephemeral key opens the answer."""
        secret = bytes.fromhex(entry["onion"]["ephemeral_secret_key"])
        enc_type = EncType.parse(entry["onion"]["enc_type"])
        key = LayerKey.for_sender(self.net.file_server_x25519, enc_type, ephemeral_secret=secret)
        expected = entry["response"]
        outer = dict(expected, body=None)
        if "decrypted_from_base64" in expected:
            opened = key.open(base64.b64decode(answer.body)).decode()
            wanted = expected["decrypted_from_base64"]["text"]
            problems = [] if opened == wanted else [f"{wanted} recorded, {opened} now"]
            return problems + self._compare(outer, answer)
        inner = decode_v4_response(key.open(answer.body))
        recorded = expected["decrypted"]
        inside = {"status": recorded["meta"]["code"], "headers": recorded["meta"]["headers"], "body": recorded["body"]}
        return self._compare(inside, Answer(inner.code, dict(inner.headers), inner.body)) + self._compare(outer, answer)

    def _compare(self, expected: dict[str, Any], answer: Answer) -> list[str]:
        problems = []
        if answer.status != expected["status"]:
            problems.append(f"status {expected['status']} recorded, {answer.status} now")
        recorded_headers = expected["headers"]
        for name in COMPARED_HEADERS:
            recorded, actual = recorded_headers.get(name), answer.headers.get(name)
            if _sorted_list(name, recorded) != _sorted_list(name, actual):
                problems.append(f"{name}: {recorded} recorded, {actual} now")
        if ("expires" in recorded_headers) != ("expires" in answer.headers):
            problems.append("the header expires is there in one only")
        elif "expires" in answer.headers:
            left = parsedate_to_datetime(answer.headers["expires"]).timestamp() - self.clock()
            if not 14 * DAY - 60 < left <= 14 * DAY:
                problems.append(f"expires in {left} s")
        if expected["body"] is not None:
            problems += self._compare_bodies(expected["body"], answer.body)
        return problems

    def _compare_bodies(self, recorded: dict[str, Any], actual: bytes) -> list[str]:
        if "json" not in recorded:
            wanted = _bytes(recorded)
            return [] if wanted == actual else [f"body {wanted!r:.80} recorded, {actual!r:.80} now"]
        problems: list[str] = []
        value = json.loads(actual)
        self._compare_json(recorded["json"], value, "", problems)
        if {"uploaded", "expires"} <= recorded["json"].keys():
            lives = [body["expires"] - body["uploaded"] for body in (recorded["json"], value)]
            if abs(lives[0] - lives[1]) > 30:
                problems.append(f"lives {lives[0]} s recorded, {lives[1]} s now")
        return problems

    def _compare_json(self, recorded: Any, actual: Any, at: str, problems: list[str]) -> None:
        if isinstance(recorded, dict) and isinstance(actual, dict) and recorded.keys() == actual.keys():
            for name in recorded:
                self._compare_json(recorded[name], actual[name], f"{at}/{name}", problems)
        elif isinstance(recorded, list) and isinstance(actual, list) and len(recorded) == len(actual):
            for number, (one, other) in enumerate(zip(recorded, actual, strict=True)):
                self._compare_json(one, other, f"{at}/{number}", problems)
        elif isinstance(recorded, float) and isinstance(actual, float):
            # Times.
            return
        elif self.random_ids and at in ("/id", "/result") and type(recorded) is type(actual) and _is_id(actual):
            self.ids[str(recorded)] = str(actual)
        elif type(recorded) is not type(actual) or recorded != actual:
            problems.append(f"{at}: {recorded} recorded, {actual} now")


def _is_id(value: object) -> bool:
    return bool(_DECIMAL_ID.match(str(value)))


def _sorted_list(name: str, value: str | None) -> object:
    return sorted(value.split(", ")) if name == "allow" and value is not None else value


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


def options_for(recording: dict[str, Any], clock: MovableClock) -> DevnetOptions:
    """A network whose file server is configured as that of the recording."""
    server = recording["server"]
    content_ids = server == "fsnew"
    file_server = FileServerOptions(
        content_ids=content_ids,
        ttl=14 * DAY if content_ids else 3 * WEEK,
        max_ttl=14 * DAY if content_ids else None,
        x25519_secret=bytes.fromhex(recording["server_x25519_sk"]),
        releases=RELEASES,
        token_info=None if content_ids else TOKEN,
    )
    return DevnetOptions(nodes=1, swarms=1, max_file_size=LIMITS[server], file_server=file_server, clock=clock)


@pytest.mark.parametrize("name", ["files_fsnew", "files_fs24", "odd_fs24"])
def test_same_answers(name: str) -> None:
    recording = load_recording("file_server", name)
    clock = MovableClock()
    found = {}
    with Devnet(options_for(recording, clock)) as net:
        assert net.file_server_x25519.hex() == recording["server_x25519_pk"]
        replay = FileReplay(net, clock, random_ids=recording["server"] == "fs24")
        for entry in recording["exchanges"]:
            if differences := replay.play(entry):
                found[entry["name"]] = differences
    assert found == {}


@pytest.fixture
def new_server() -> Any:
    clock = MovableClock()
    with Devnet(options_for(load_recording("file_server", "files_fsnew"), clock)) as net:
        yield FileReplay(net, clock, random_ids=False)


def test_lives_of_files(new_server: FileReplay) -> None:
    """The later server refuses a life that is no whole number up to its maximum; 0 is gone at once."""

    def upload(ttl: str) -> Answer:
        return new_server._direct("POST", "/file", {"X-FS-TTL": ttl}, b"content " + ttl.encode())

    for ttl in ("-1", "abc", "", "1.5", "1209601", "99999999"):
        answer = upload(ttl)
        assert (answer.status, json.loads(answer.body)) == (400, {"status_code": 400}), ttl
    assert upload("1209600").status == 200
    answer = upload("0")
    assert answer.status == 200
    gone = json.loads(answer.body)["id"]
    assert new_server._direct("GET", f"/file/{gone}", {}, None).status == 404
    assert new_server._direct("POST", f"/file/{gone}/extend", {}, None).status == 404
    assert new_server._direct("POST", "/file/123/extend", {}, None).status == 404
    assert new_server._direct("POST", f"/file/{gone}/extend", {"X-FS-TTL": "x"}, None).status == 400
    assert new_server._direct("GET", f"/file/{gone}/extend", {}, None).status == 405


def test_same_content_after_expiry(new_server: FileReplay) -> None:
    """An upload of what has just expired is a new file, and stays."""
    for _ in range(2):
        answer = new_server._direct("POST", "/file", {"X-FS-TTL": "5"}, b"comes back")
        path = f"/file/{json.loads(answer.body)['id']}"
        assert new_server._direct("GET", path, {}, None).body == b"comes back"
        new_server.clock.advance(20)
    assert new_server._direct("GET", path, {}, None).status == 404


def test_disk_that_fails(new_server: FileReplay, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk, and a file that can't be read, are the server's failures; it goes on."""
    uploaded = new_server._direct("POST", "/file", {}, b"goes missing")
    path = f"/file/{json.loads(uploaded.body)['id']}"

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("session_cli.devnet.file_store.FileStore.write", full)
        answer = new_server._direct("POST", "/file", {}, b"too much")
        assert (answer.status, json.loads(answer.body)) == (500, {"status_code": 500})
    with monkeypatch.context() as patched:
        patched.setattr("session_cli.devnet.web_server._fill", full)
        entry = {"request": {"method": "GET"}, "onion": {"enc_type": "aes-gcm", "outer_status": 200}}
        assert new_server._by_onion(entry, path, {}, None).status == 500
    assert new_server._direct("GET", path, {}, None).status == 200


def test_channels_and_tokens(new_server: FileReplay) -> None:
    path = "/session_version?platform=desktop&release_channel="
    assert new_server._direct("GET", path + "stable", {}, None).status == 200
    assert new_server._direct("GET", path + "x", {}, None).status == 502
    assert new_server._direct("GET", "/token_info", {}, None).status == 502


def test_crash_inside_of_an_onion(new_server: FileReplay) -> None:
    """Bad base64 is a 500 directly, and a refusal of the whole request inside of an onion."""
    body, headers = compact_json({"file": "!!!"}), {"Content-Type": "application/json"}
    assert new_server._direct("POST", "/files", headers, body).status == 500
    entry = {"request": {"method": "POST"}, "onion": {"enc_type": "aes-gcm", "outer_status": 200}}
    answer = new_server._by_onion(entry, "/files", headers, body)
    assert (answer.status, answer.body) == (400, b"Invalid v4 onion request")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


def test_other_methods(new_server: FileReplay) -> None:
    assert new_server._direct("OPTIONS", "/file", {}, None).headers["allow"] == "POST, OPTIONS"
    uploaded = new_server._direct("POST", "/file", {}, b"some bytes")
    path = f"/file/{json.loads(uploaded.body)['id']}"
    head = new_server._direct("HEAD", path, {}, None)
    assert (head.status, head.headers["content-length"], head.body) == (200, "10", b"")
    too_much = new_server._direct("POST", "/file", {}, bytes(LIMITS["fsnew"] * 2))
    assert too_much.status == 413
