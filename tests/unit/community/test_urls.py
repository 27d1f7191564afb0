"""Addresses of community servers, rooms and files, in all forms that apps and people write."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_cli.errors import InvalidUrl
from session_cli.protocol.community.urls import (
    OFFICIAL,
    CommunityServer,
    CommunityUrl,
    canonical_server,
    file_id_of,
    file_url,
    parse_server_url,
    parse_url,
)
from session_cli.protocol.payload import AttachmentPointer

KEY = bytes.fromhex("c3b3c6f32f0ab5a57f853cc4f30f5da7fda5624b0c77b3fb0829de562ada081d")
ROOM = CommunityUrl(CommunityServer("https://example.org", KEY), "lobby")


def base32z(data: bytes) -> str:
    alphabet = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", "ybndrfg8ejkmcpqxot1uwisza345h769")
    return base64.b32encode(data).decode().rstrip("=").translate(alphabet)


@pytest.mark.parametrize(
    "text",
    [
        f"https://example.org/lobby?public_key={KEY.hex()}",
        f"HTTPS://Example.ORG:443/LOBBY?public_key={KEY.hex().upper()}",
        f"  https://example.org/r/lobby?public_key={KEY.hex()}\n",
        f"https://example.org/lobby?public_key={base64.b64encode(KEY).decode()}",
        f"https://example.org/lobby?public_key={base64.b64encode(KEY).decode().rstrip('=')}",
        f"https://example.org/r/Lobby?public_key={base32z(KEY)}",
    ],
)
def test_all_forms_lead_to_one(text: str) -> None:
    assert parse_url(text) == ROOM
    assert parse_url(text).text() == f"https://example.org/lobby?public_key={KEY.hex()}"


@pytest.mark.parametrize(
    ("address", "base_url", "room"),
    [
        ("example.org/lobby", "http://example.org", "lobby"),
        ("http://example.org:80/lobby", "http://example.org", "lobby"),
        ("http://example.org:8080/a-b_c", "http://example.org:8080", "a-b_c"),
        ("https://127.0.0.1:4443/r/r", "https://127.0.0.1:4443", "r"),
        ("https://example.org/r", "https://example.org", "r"),
        ("https://example.org/" + "x" * 64, "https://example.org", "x" * 64),
    ],
)
def test_addresses(address: str, base_url: str, room: str) -> None:
    assert parse_url(f"{address}?public_key={KEY.hex()}") == CommunityUrl(CommunityServer(base_url, KEY), room)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "?public_key=",
        "https://example.org/lobby",
        f"https://example.org?public_key={KEY.hex()}",
        f"https://example.org/?public_key={KEY.hex()}",
        f"https:///lobby?public_key={KEY.hex()}",
        f"https://example.org/a/lobby?public_key={KEY.hex()}",
        f"https://example.org/r/a/lobby?public_key={KEY.hex()}",
        f"https://localhost/lobby?public_key={KEY.hex()}",
        f"https://[::1]/lobby?public_key={KEY.hex()}",
        f"ftp://example.org/lobby?public_key={KEY.hex()}",
        f"https://example.org:99999/lobby?public_key={KEY.hex()}",
        f"https://user@example.org/lobby?public_key={KEY.hex()}",
        f"https://exämple.org/lobby?public_key={KEY.hex()}",
        f"https://example.org/löbby?public_key={KEY.hex()}",
        f"https://example.org/{'x' * 65}?public_key={KEY.hex()}",
        f"https://example.org/lobby?public_key={KEY.hex()}&x=1",
        f"https://example.org/lobby?public_key={KEY.hex()[:-2]}",
        f"https://example.org/lobby?public_key={'g' * 64}",
        f"https://example.org/lobby?public_key={'!' * 44}",
        f"https://example.org/lobby?public_key={'0' * 52}",
    ],
)
def test_what_is_no_address_of_a_room_is_refused(text: str) -> None:
    with pytest.raises(InvalidUrl):
        parse_url(text)


@given(st.text())
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        found = parse_url(text)
    except InvalidUrl:
        return
    assert parse_url(found.text()) == found


@given(
    st.sampled_from(["http", "https"]),
    st.from_regex(r"[a-z0-9-]{1,20}\.[a-z0-9-]{2,20}", fullmatch=True),
    st.none() | st.integers(1, 65535),
    st.from_regex(r"[-_A-Za-z0-9]{1,64}", fullmatch=True),
    st.binary(min_size=32, max_size=32),
)
def test_the_canonical_form_is_stable(scheme: str, host: str, port: int | None, room: str, key: bytes) -> None:
    place = host if port is None else f"{host}:{port}"
    found = parse_url(f"{scheme}://{place}/{room}?public_key={key.hex()}")
    assert found.room == room.lower()
    assert parse_url(found.text()) == found
    assert canonical_server(found.server) == found.server


# The official server.


@pytest.mark.parametrize(
    "place",
    ["https://open.getsession.org", "http://open.getsession.org", "http://116.203.70.33", "https://116.203.70.33"],
)
def test_former_addresses_of_the_official_server(place: str) -> None:
    assert parse_url(f"{place}/session?public_key={OFFICIAL.key.hex()}").server == OFFICIAL
    assert parse_server_url(place) == OFFICIAL
    assert canonical_server(CommunityServer(place, OFFICIAL.key)) == OFFICIAL


def test_another_key_for_the_official_server_is_an_attack() -> None:
    with pytest.raises(InvalidUrl, match="cheating"):
        parse_url(f"http://116.203.70.33/session?public_key={KEY.hex()}")


@pytest.mark.parametrize("rest", ["", "/", "/lobby", "/r/lobby"])
def test_servers(rest: str) -> None:
    assert parse_server_url(f"https://example.org{rest}?public_key={KEY.hex()}") == ROOM.server
    with pytest.raises(InvalidUrl, match="public_key"):
        parse_server_url(f"https://example.org{rest}")


def test_the_end_of_an_onion_path() -> None:
    destination = CommunityServer("http://example.org:8080", KEY).destination()
    assert (destination.host, destination.protocol, destination.port) == ("example.org", "http", 8080)
    assert destination.x25519 == KEY
    assert ROOM.server.destination().port is None


# Files.


def pointer(url: str, server_id: int = 0) -> AttachmentPointer:
    return AttachmentPointer(url, b"", 10, server_id=server_id)


def test_files() -> None:
    url = file_url(ROOM.server, "lobby", 42)
    assert url == "https://example.org/room/lobby/file/42"
    assert file_id_of(pointer(url)) == 42
    assert file_id_of(pointer("https://example.org/file/7", 8)) == 7
    assert file_id_of(pointer("", 8)) == 8


@pytest.mark.parametrize("url", ["", "https://[", "https://example.org/file/", f"https://example.org/file/{2**63}"])
def test_no_file(url: str) -> None:
    with pytest.raises(InvalidUrl):
        file_id_of(pointer(url))
