"""What the community server does beyond its recordings."""

from __future__ import annotations

import base64
import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from session_cli.devnet.community_options import LOBBY
from session_cli.devnet.network import CommunityOptions, CommunityRoom, Devnet, DevnetOptions, Moderator
from session_cli.errors import InvalidInput, NetworkUnreachable, UsageError
from session_cli.network.definition import load_definition
from session_cli.protocol.account import Identity
from session_cli.protocol.blinding import blind15, blind25
from session_cli.protocol.onion import EncType, V4Request

from .community_client import CommunityClient
from .helpers import MovableClock, PathClient

ROOM = "/room/lobby"
ADMIN, ALICE, BOB = Identity.generate(), Identity.generate(), Identity.generate()
OPTIONS = CommunityOptions(moderators=[Moderator(ADMIN.account_id, admin=True)])


def start(options: CommunityOptions, clock: MovableClock, data: Path | None = None) -> Devnet:
    return Devnet(DevnetOptions(nodes=1, swarms=1, community=options, clock=clock, data_dir=data))


@pytest.fixture
def server() -> Iterator[CommunityClient]:
    clock = MovableClock()
    with start(OPTIONS, clock) as net:
        yield CommunityClient(net, clock)


@pytest.fixture
def server_for_25() -> Iterator[CommunityClient]:
    clock = MovableClock()
    with start(CommunityOptions(moderators=OPTIONS.moderators, accepts_25=True), clock) as net:
        yield CommunityClient(net, clock)


def post(server: CommunityClient, who: Identity, data: bytes = b"words", *, auth: str = "15", **more: Any) -> Any:
    value = {"data": base64.b64encode(data).decode(), "signature": base64.b64encode(bytes(64)).decode()} | more
    answer = server.ask(who, "POST", f"{ROOM}/message", value, auth=auth)
    assert answer.status == 201, answer.body
    return answer.json


def room(server: CommunityClient, who: Identity | None = None) -> Any:
    return server.ask(who, "GET", ROOM).json


def id15(server: CommunityClient, who: Identity) -> str:
    return blind15(who, server.net.community_x25519).blinded_id


def id25(server: CommunityClient, who: Identity) -> str:
    return blind25(who, server.net.community_x25519).blinded_id


# Where it is.


def test_the_definition_names_it(server: CommunityClient, tmp_path: Path) -> None:
    server.net.write_definition(tmp_path / "network.toml")
    community = load_definition(str(tmp_path / "network.toml")).community
    assert community is not None
    assert community.rooms == ("lobby",)
    assert community.room_url("lobby") == server.net.room_url("lobby")
    assert community.room_url("lobby") == (
        f"{server.net.community_url}/lobby?public_key={server.net.community_x25519.hex()}"
    )


def test_a_network_without_one() -> None:
    with Devnet(DevnetOptions(nodes=1, swarms=1)) as net:
        assert "community" not in net.definition_toml()
        with pytest.raises(NetworkUnreachable, match="without a community server"):
            net.room_url("lobby")
        with pytest.raises(NetworkUnreachable, match="without a community server"):
            net.add_room(CommunityRoom("later"))
        with pytest.raises(NetworkUnreachable, match="without a community server"):
            _ = net.community_x25519


def test_rooms_that_are_added_later(server: CommunityClient) -> None:
    added = CommunityRoom("later", "Later", moderators=[Moderator(ALICE.account_id, admin=True)])
    assert server.net.add_room(added) == server.net.room_url("later")
    assert server.ask(ALICE, "GET", "/room/later").json["admin"] is True
    server.net.add_room(CommunityRoom("LATER", "Another"))
    assert [one["name"] for one in server.ask(None, "GET", "/rooms").json] == ["Later", "The Lobby"]
    assert '"later"' not in server.net.definition_toml()


@pytest.mark.parametrize("enc_type", [EncType.AES_GCM, EncType.XCHACHA20])
def test_over_a_path(enc_type: EncType) -> None:
    """Three nodes see a request, and the last hands it to the server; the log tells what it was."""
    with Devnet(DevnetOptions(nodes=3, swarms=1, community=OPTIONS)) as net:
        client = PathClient(net, net.nodes)
        batch = b'[{"method":"GET","path":"/capabilities"},{"method":"GET","path":"/room/nowhere"}]'
        answer = client.community(V4Request("POST", "/batch", {"Content-Type": "application/json"}, batch), enc_type)
        client.close()
        assert [part["code"] for part in json.loads(answer.body)] == [200, 404]
        (record,) = [record for record in net.request_log if record.kind == "community"]
        assert (record.method, record.parts, record.status) == (
            "POST /batch",
            ("GET /capabilities", "GET /room/<room>"),
            200,
        )


@pytest.mark.parametrize("token", ["", "a b", "a/b", "é", "x" * 65])
def test_tokens_that_are_none(token: str) -> None:
    with pytest.raises(UsageError, match="token"):
        CommunityRoom(token)


def test_options_that_make_no_sense() -> None:
    with pytest.raises(UsageError, match="two rooms 'a'"):
        CommunityOptions(rooms=[CommunityRoom("a"), CommunityRoom("A")])
    with pytest.raises(InvalidInput):
        Moderator("15" + "ab" * 32)


# A restart.


def test_everything_survives_a_restart(tmp_path: Path) -> None:
    clock = MovableClock()
    with start(OPTIONS, clock, tmp_path) as net:
        before, url = CommunityClient(net, clock), net.room_url("lobby")
        first = post(before, ALICE)
        headers = before.signed(BOB, "15", "GET", ROOM, b"")
        assert before.direct("GET", ROOM, headers, None).status == 200
        assert before.ask(ADMIN, "PUT", ROOM, {"name": "Renamed"}).status == 200
    more = CommunityOptions(rooms=[LOBBY, CommunityRoom("attic")], moderators=OPTIONS.moderators)
    with start(more, clock, tmp_path) as net:
        after = CommunityClient(net, clock)
        assert net.room_url("lobby") == url
        assert after.ask(None, "GET", f"{ROOM}/messages/recent").json == [first]
        rooms = after.ask(None, "GET", "/rooms").json
        assert [(one["token"], one["name"]) for one in rooms] == [("attic", "attic"), ("lobby", "Renamed")]
        assert after.direct("GET", ROOM, headers, None).status == 425, "nonces are remembered"
        assert post(after, ALICE)["id"] == first["id"] + 1


def test_a_network_of_before_there_were_communities(tmp_path: Path) -> None:
    clock = MovableClock()
    with Devnet(DevnetOptions(nodes=1, swarms=1, data_dir=tmp_path)):
        pass
    file = tmp_path / "network.json"
    values = json.loads(file.read_text())
    del values["community_port"], values["community_seed"]
    file.write_text(json.dumps(values))
    urls = []
    for _ in range(2):
        with start(OPTIONS, clock, tmp_path) as net:
            urls.append(net.room_url("lobby"))
    assert urls[0] == urls[1]


# Who is who.


def test_whoever_comes_first_is_admin() -> None:
    clock = MovableClock()
    with start(CommunityOptions(first_is_admin=True), clock) as net:
        server = CommunityClient(net, clock)
        refused = server.signed(BOB, "15", "GET", ROOM, b"", {"signed": ["nothing"]})
        assert server.direct("GET", ROOM, refused, None).status == 401
        assert room(server, ALICE)["global_admin"] is True
        assert "admin" not in room(server, BOB)
        assert room(server)["admins"] == [id15(server, ALICE)]


def test_a_bad_signature_makes_nobody(server: CommunityClient) -> None:
    """Nobody can take the place of an admin who was appointed by account id, or fill the server with users."""
    headers = server.signed(ADMIN, "15", "GET", ROOM, b"", {"signed": ["nothing"]})
    assert server.direct("GET", ROOM, headers, None).status == 401
    assert room(server)["admins"] == [ADMIN.account_id]
    sent = server.ask(ALICE, "POST", f"/inbox/{id15(server, ADMIN)}", {"message": "eA=="})
    assert sent.status == 404


def test_a_ban_by_account_id_meets_whoever_comes(server: CommunityClient) -> None:
    assert server.ask(ADMIN, "POST", f"/user/{BOB.account_id}/ban", {"global": True}).status == 200
    answer = server.ask(BOB, "GET", "/capabilities")
    assert (answer.status, answer.body) == (403, b"Banned")


@pytest.mark.parametrize(
    ("name", "value", "status", "words"),
    [
        ("X-SOGS-Pubkey", "15" + "00" * 32, 400, b"not a valid Ed25519 key"),
        ("X-SOGS-Pubkey", "zz", 400, b"66-hex"),
        ("X-SOGS-Pubkey", "07" + "00" * 32, 400, b"must be 00- or 15- prefixed"),
        ("X-SOGS-Nonce", "AAAA", 400, b"16 bytes"),
        ("X-SOGS-Signature", "AAAA", 400, b"64 bytes"),
        ("X-SOGS-Timestamp", "1.5", 400, b"not a valid timestamp"),
        ("X-SOGS-Timestamp", "-1", 400, b"not a valid timestamp"),
        ("X-SOGS-Timestamp", "9" * 40, 400, b"not a valid timestamp"),
        ("X-SOGS-Timestamp", "99999999999", 425, b"too far"),
        ("X-SOGS-Timestamp", "", 400, b"missing 1/4"),
    ],
)
def test_headers_that_are_none(server: CommunityClient, name: str, value: str, status: int, words: bytes) -> None:
    headers = server.signed(ALICE, "15", "GET", ROOM, b"") | {name: value}
    answer = server.direct("GET", ROOM, headers, None)
    assert answer.status == status
    assert words in answer.body


def test_a_key_in_base64(server: CommunityClient) -> None:
    headers = server.signed(ALICE, "15", "GET", ROOM, b"")
    headers["X-SOGS-Pubkey"] = base64.b64encode(bytes.fromhex(headers["X-SOGS-Pubkey"])).decode()
    assert server.direct("GET", ROOM, headers, None).status == 200


# Ids of the second kind.


def test_ids_of_the_second_kind(server_for_25: CommunityClient) -> None:
    server = server_for_25
    told = post(server, ALICE, auth="25")
    assert told["session_id"] == id25(server, ALICE)
    assert post(server, ALICE)["session_id"] == id15(server, ALICE), "another person, as far as anybody can tell"
    assert server.ask(ADMIN, "GET", ROOM, auth="25").json["global_admin"] is True
    assert room(server)["admins"] == [id25(server, ADMIN)]


def test_direct_messages_between_ids_of_the_second_kind(server_for_25: CommunityClient) -> None:
    server = server_for_25
    assert server.ask(BOB, "GET", "/inbox", auth="25").json == []
    sent = server.ask(ALICE, "POST", f"/inbox/{id25(server, BOB)}", {"message": "eA=="}, auth="25")
    assert sent.status == 201
    (got,) = server.ask(BOB, "GET", "/inbox/since/0", auth="25").json
    assert (got["sender"], got["recipient"], got["message"]) == (id25(server, ALICE), id25(server, BOB), "eA==")
    assert server.ask(BOB, "GET", "/inbox", auth="15").json == []
    server.clock.advance(16 * 24 * 3600)
    assert server.ask(BOB, "GET", "/inbox", auth="25").json == []
    assert server.ask(ALICE, "GET", "/outbox", auth="25").json == []


# Posts.


def test_no_id_is_given_twice(server: CommunityClient) -> None:
    first = post(server, ALICE)
    assert server.ask(ALICE, "DELETE", f"{ROOM}/message/{first['id']}").status == 200
    assert post(server, ALICE)["id"] > first["id"]
    ids = []
    for _ in range(2):
        room(server, BOB)
        ids.append(server.ask(ALICE, "POST", f"/inbox/{id15(server, BOB)}", {"message": "eA=="}).json["id"])
        assert server.ask(BOB, "DELETE", "/inbox").json == {"deleted": 1}
    assert ids[0] < ids[1]


def test_no_two_posts_of_one_author_at_one_time(server: CommunityClient) -> None:
    """Clients know a post by its author and its milliseconds."""
    server.clock._frozen_at = server.clock()
    posted = [post(server, ADMIN)["posted"] for _ in range(8)]
    assert len({int(moment * 1000) for moment in posted}) == 8


def test_reactions_of_a_post_stay_in_their_order(server: CommunityClient) -> None:
    told = post(server, ALICE)
    for who, emoji in ((ALICE, "a"), (BOB, "a"), (BOB, "b")):
        assert server.ask(who, "PUT", f"{ROOM}/reaction/{told['id']}/{emoji}", {}).json["added"]
    assert server.ask(ALICE, "DELETE", f"{ROOM}/reaction/{told['id']}/a").json["removed"]
    reactions = server.ask(None, "GET", f"{ROOM}/message/{told['id']}").json["reactions"]
    assert {emoji: one["index"] for emoji, one in reactions.items()} == {"a": 0, "b": 1}


def test_pinned_files_that_are_added_by_an_edit_stay(server: CommunityClient) -> None:
    told = post(server, ADMIN)
    assert server.ask(ADMIN, "POST", f"{ROOM}/pin/{told['id']}").status == 200
    headers = server.signed(ADMIN, "15", "POST", f"{ROOM}/file", b"late")
    file = server.direct("POST", f"{ROOM}/file", headers, b"late").json["id"]
    value = {"data": "eA==", "signature": base64.b64encode(bytes(64)).decode(), "files": [file]}
    assert server.ask(ADMIN, "PUT", f"{ROOM}/message/{told['id']}", value).status == 200
    server.clock.advance(400 * 24 * 3600)
    assert server.ask(None, "GET", f"{ROOM}/file/{file}").body == b"late"


def test_files_that_nobody_claims_are_gone_after_an_hour(server: CommunityClient) -> None:
    headers = server.signed(ALICE, "15", "POST", f"{ROOM}/file", b"x")
    file = server.direct("POST", f"{ROOM}/file", headers, b"x").json["id"]
    server.clock.advance(3601)
    assert server.ask(None, "GET", f"{ROOM}/file/{file}").status == 404
    assert post(server, ALICE, files=[file])["id"], "it is too late, but that is no reason to refuse the post"
    assert server.ask(None, "GET", f"{ROOM}/file/{file}").status == 404


def test_names_of_files(server: CommunityClient) -> None:
    for given_name, told in (
        ('attachment; filename="a/b.txt"', "attachment; filename*=UTF-8''a%EF%BF%BDb.txt"),
        (r'attachment; filename="say \"x\".txt"', "attachment; filename*=UTF-8''say%20%22x%22.txt"),
        ("inline; filename=x.txt", "attachment"),
        ("attachment; filename=", "attachment"),
    ):
        headers = server.signed(ALICE, "15", "POST", f"{ROOM}/file", b"x")
        headers["Content-Disposition"] = given_name
        file = server.direct("POST", f"{ROOM}/file", headers, b"x").json["id"]
        assert server.ask(None, "GET", f"{ROOM}/file/{file}").headers["content-disposition"] == told


def test_whispers_to_anybody(server: CommunityClient) -> None:
    """The addressee is any text; one named by account id finds it once he comes."""
    for addressee in ("nobody", "05zz", "\u2603", BOB.account_id):
        assert post(server, ADMIN, whisper_to=addressee)["whisper_to"] == addressee
    (found,) = server.ask(BOB, "GET", f"{ROOM}/messages/recent").json
    assert found["whisper_to"] == id15(server, BOB)


@pytest.mark.parametrize("image", [-1, 2**63, 10**30])
def test_images_beyond_all_numbers(server: CommunityClient, image: int) -> None:
    assert server.ask(ADMIN, "PUT", ROOM, {"image": image}).status in (400, 406)


@pytest.mark.parametrize("files", [5, "1", {}, [True], [1.5], [None], [-1], [2**63], ["x"], [[1]]])
def test_files_that_are_no_list_of_numbers(server: CommunityClient, files: Any) -> None:
    value = {"data": "eA==", "signature": base64.b64encode(bytes(64)).decode(), "files": files}
    assert server.ask(ALICE, "POST", f"{ROOM}/message", value).status == 400


# Moderation.


def test_what_is_scheduled_happens(server: CommunityClient) -> None:
    room(server, BOB)
    bob = id15(server, BOB)
    assert server.ask(ADMIN, "POST", f"{ROOM}/futurePermissions/{bob}", {"write": False, "in": 60}).status == 200
    post(server, BOB)
    server.clock.advance(80)
    value = {"data": "eA==", "signature": base64.b64encode(bytes(64)).decode()}
    assert server.ask(BOB, "POST", f"{ROOM}/message", value).status == 403
    assert server.ask(ADMIN, "GET", f"{ROOM}/futurePermissions").json == []
    assert server.ask(ADMIN, "POST", f"{ROOM}/permissions/{bob}", {"default_write": True}).json == {}
    post(server, BOB)


def test_permissions_tell_who_is_hidden(server: CommunityClient) -> None:
    room(server, BOB)
    bob, value = id15(server, BOB), {"rooms": ["lobby"], "moderator": True, "visible": False}
    assert server.ask(ADMIN, "POST", f"/user/{bob}/moderator", value).status == 200
    assert server.ask(ADMIN, "GET", f"{ROOM}/permissions/{bob}").json == {"moderator": True, "hidden": True}


def test_roles_for_ids_that_are_no_keys(server: CommunityClient) -> None:
    """They are kept as they are; nobody will ever come with one."""
    nobody = "05" + "ff" * 32
    answer = server.ask(ADMIN, "POST", f"/user/{nobody}/moderator", {"rooms": ["lobby"], "moderator": True})
    assert answer.status == 200
    assert nobody in room(server, BOB)["moderators"]


def test_paths_for_account_ids(server: CommunityClient) -> None:
    """Some lead nowhere where people go by blinded ids; others take both."""
    room(server, BOB)
    for method, path in (("DELETE", "all"), ("GET", "permissions"), ("GET", "futurePermissions")):
        assert server.ask(ADMIN, method, f"{ROOM}/{path}/{BOB.account_id}").status == 404
    assert server.ask(ADMIN, "POST", f"/user/{BOB.account_id}/ban", {"rooms": ["lobby"]}).status == 200
    assert server.ask(BOB, "GET", ROOM).status == 404


def test_deleting_everywhere_what_nobody_wrote(server: CommunityClient) -> None:
    assert server.ask(ADMIN, "DELETE", f"/rooms/all/{id15(server, BOB)}").status == 404


def test_a_timed_ban_of_the_whole_server_ends(server: CommunityClient) -> None:
    room(server, BOB)
    assert server.ask(ADMIN, "POST", f"/user/{id15(server, BOB)}/ban", {"global": True, "timeout": 60}).status == 200
    assert server.ask(BOB, "GET", ROOM).status == 403
    server.clock.advance(80)
    assert server.ask(BOB, "GET", ROOM).status == 200


def test_a_later_ban_outlives_an_earlier_timeout(server: CommunityClient) -> None:
    room(server, BOB)
    for value in ({"rooms": ["lobby"], "timeout": 60}, {"rooms": ["lobby"]}):
        assert server.ask(ADMIN, "POST", f"/user/{id15(server, BOB)}/ban", value).status == 200
    server.clock.advance(80)
    assert server.ask(BOB, "GET", f"{ROOM}/messages/recent").status == 403


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"rooms": []},
        {"rooms": "lobby"},
        {"rooms": [1]},
        {"rooms": ["*", "lobby"]},
        {"rooms": ["lobby"], "global": True},
        {"rooms": ["lobby"], "timeout": "long"},
        {"rooms": ["lobby"], "timeout": 10**400},
        {"rooms": ["lobby"], "timeout": float("nan")},
    ],
)
def test_bans_that_make_no_sense(server: CommunityClient, value: Any) -> None:
    assert server.ask(ADMIN, "POST", f"/user/{id15(server, BOB)}/ban", value).status == 400


@pytest.mark.parametrize("value", [{}, {"admin": True, "moderator": False}, {"admin": None, "moderator": None}])
def test_roles_that_make_no_sense(server: CommunityClient, value: Any) -> None:
    answer = server.ask(ADMIN, "POST", f"/user/{id15(server, BOB)}/moderator", {"rooms": ["lobby"]} | value)
    assert answer.status == 400


def test_rooms_that_are_not_there_are_not_the_callers(server: CommunityClient) -> None:
    bob = id15(server, BOB)
    assert server.ask(ADMIN, "POST", f"/user/{bob}/ban", {"rooms": ["nowhere"]}).status == 403
    assert server.ask(ALICE, "POST", f"/user/{bob}/ban", {"rooms": ["*"]}).status == 403
    assert server.ask(ADMIN, "POST", f"/user/{id15(server, ADMIN)}/ban", {"rooms": ["lobby"]}).status == 403


# Batches.


def batch(server: CommunityClient, who: Identity | None, *parts: Any, path: str = "/batch") -> Any:
    return server.ask(who, "POST", path, list(parts))


def test_batches_in_batches(server: CommunityClient) -> None:
    inner = {"method": "POST", "path": "/batch", "json": [{"method": "GET", "path": "/capabilities"}]}
    (part,) = batch(server, ALICE, inner).json
    assert part["body"][0]["body"]["capabilities"] == ["blind", "reactions", "sogs"]
    for _ in range(40):
        inner = {"method": "POST", "path": "/batch", "json": [inner]}
    assert batch(server, ALICE, inner).status == 200


def test_a_path_that_is_no_text(server: CommunityClient) -> None:
    parts = batch(server, ALICE, {"method": "GET", "path": "/room/%FF"}, {"method": "GET", "path": "/capabilities"})
    assert parts.json[0] == {"code": 500, "content-type": "text/plain", "body": ""}
    assert parts.json[1]["code"] == 200
    assert server.by_onion("GET", "/room/%FF", {}, None).status == 404


@pytest.mark.parametrize(
    "part",
    [
        None,
        {"method": "PATCH", "path": "/rooms"},
        {"method": "GET", "path": "rooms"},
        {"method": "GET", "path": "/rooms", "json": None},
        {"method": "POST", "path": "/inbox/x"},
        {"method": "POST", "path": "/inbox/x", "json": {}, "bytes": ""},
        {"method": "POST", "path": "/room/lobby/file", "bytes": 5},
        {"method": "POST", "path": "/room/lobby/file", "b64": "A"},
        {"method": "GET", "path": "/rooms", "headers": {"a": 5}},
        {"method": "GET", "path": "/rooms", "headers": []},
    ],
)
def test_one_bad_part_spoils_the_whole(server: CommunityClient, part: Any) -> None:
    value = {"data": "eA==", "signature": base64.b64encode(bytes(64)).decode()}
    good = {"method": "POST", "path": f"{ROOM}/message", "json": value}
    assert batch(server, ALICE, good, part).status == 400
    assert server.ask(None, "GET", f"{ROOM}/messages/recent").json == []


def test_other_methods(server: CommunityClient) -> None:
    answer = server.direct("DELETE", "/batch", {}, None)
    assert (answer.status, answer.headers["allow"]) == (405, "POST, OPTIONS")
    answer = server.direct("OPTIONS", f"{ROOM}/message/1", {}, None)
    assert (answer.status, answer.headers["allow"]) == (200, "GET, PUT, DELETE, OPTIONS, HEAD")
    answer = server.direct("HEAD", ROOM, {}, None)
    assert (answer.status, answer.body) == (200, b"")


# What is no request.

_PATHS = st.sampled_from(
    [
        "/batch",
        "/sequence",
        f"{ROOM}/message",
        f"{ROOM}/message/1",
        ROOM,
        f"{ROOM}/pin/1",
        f"{ROOM}/messages/since/{2**63}",
        f"{ROOM}/messages/before/{2**64}",
        f"{ROOM}/messages/recent?limit=-5&reactors={10**18}",
        f"{ROOM}/reaction/1/x",
        f"{ROOM}/permissions/15{'ab' * 32}",
        f"{ROOM}/futurePermissions/15{'ab' * 32}",
        f"/user/05{'ff' * 32}/ban",
        f"/user/15{'ab' * 32}/moderator",
        f"/user/25{'ab' * 32}/unban",
        f"/inbox/15{'ab' * 32}",
        "/capabilities?required=%FF,&x",
    ]
)
_NAMES = (
    "data signature files whisper_to whisper_mods name description image default_read read write in rooms global "
    "timeout moderator admin visible message method path json"
)
_KEYS = st.sampled_from(_NAMES.split())
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("AAAA"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=8,
)


_FIELDS = st.dictionaries(_KEYS, _VALUES, max_size=6)
POST = {"data": "eA==", "signature": base64.b64encode(bytes(64)).decode()}


@pytest.fixture(scope="module")
def fuzzed() -> Iterator[CommunityClient]:
    clock = MovableClock()
    with start(OPTIONS, clock) as net:
        server = CommunityClient(net, clock)
        post(server, ADMIN)
        yield server


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.sampled_from(["GET", "PUT", "POST", "DELETE"]), _PATHS, _FIELDS | _FIELDS.map(lambda more: POST | more) | _VALUES
)
def test_it_never_falls(fuzzed: CommunityClient, method: str, path: str, value: Any) -> None:
    """Whatever an admin sends, the answer is one of those that clients know, and none is a failure."""
    answer = fuzzed.ask(ADMIN, method, path, value)
    assert answer.status in (200, 201, 304, 400, 403, 404, 405, 406, 412, 429), answer.body


def test_bodies_that_are_no_json(server: CommunityClient) -> None:
    for body in (b"", b"{", b"\xff", b"[" * 100_000, b"null", b"[]", b'"x"'):
        headers = server.signed(ALICE, "15", "POST", f"{ROOM}/message", body) | {"Content-Type": "application/json"}
        assert server.direct("POST", f"{ROOM}/message", headers, body).status == 400
    for body in (b"", b"{", b"[" * 100_000, b"{}", b'"x"'):
        headers = server.signed(ALICE, "15", "POST", "/batch", body) | {"Content-Type": "application/json"}
        assert server.direct("POST", "/batch", headers, body).status == 400


def test_onions_that_are_none(server: CommunityClient) -> None:
    for body in (b"", b"\0\0\0\0", os.urandom(200), b"\xff\xff\xff\xff{}"):
        assert server.direct("POST", "/oxen/v4/lsrpc", {}, body).status == 400
    assert server.direct("GET", "/oxen/v4/lsrpc", {}, None).status == 404


def test_a_database_that_fails(server: CommunityClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the server's failure, half a post is none, and it goes on."""

    def full(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    value = {"data": "eA==", "signature": base64.b64encode(bytes(64)).decode()}
    with monkeypatch.context() as patched:
        patched.setattr("session_cli.devnet.community_files.CommunityFiles.claim", full)
        assert server.ask(ALICE, "POST", f"{ROOM}/message", value).status == 500
    assert room(server)["message_sequence"] == 0
    assert post(server, ALICE)["seqno"] == 1


def test_uploads_up_to_what_clients_allow(server: CommunityClient) -> None:
    largest = bytes(10_000_000)
    headers = server.signed(ALICE, "15", "POST", f"{ROOM}/file", largest)
    answer = server.by_onion("POST", f"{ROOM}/file", headers, largest)
    assert answer.status == 201
    assert server.by_onion("GET", f"{ROOM}/file/{answer.json['id']}", {}, None).body == largest
    assert server.direct("POST", f"{ROOM}/file", {}, bytes(20_000_000)).status == 413
