"""Onion layers against requests and replies made by the official library, and against themselves."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_cli.errors import OnionError
from session_cli.protocol import onion
from session_cli.protocol.account import Identity
from session_cli.protocol.onion import (
    EncType,
    Hop,
    LayerKey,
    ServerDestination,
    SnodeDestination,
    V4Request,
    V4Response,
)
from tests.support.vectors import load

VECTORS = load("onion")
REQUESTS = [vector for vector in VECTORS if vector["kind"] == "request"]
PARSES = [vector for vector in VECTORS if vector["kind"] == "parse"]


def _hops(vector: dict[str, Any]) -> list[Hop]:
    return [Hop(bytes.fromhex(hop["ed25519_pk"]), bytes.fromhex(hop["x25519_pk"])) for hop in vector["hops"]]


def _destination(vector: dict[str, Any]) -> onion.Destination:
    given = vector["destination"]
    x25519 = bytes.fromhex(given["x25519_pk"])
    if given["type"] == "snode":
        return SnodeDestination(bytes.fromhex(given["ed25519_pk"]), x25519)
    return ServerDestination(given["host"], x25519, given["protocol"], given["port"], given["target"])


def _secrets(vector: dict[str, Any]) -> list[bytes]:
    nodes = [*vector["hops"], vector["destination"]]
    return [bytes.fromhex(node["x25519_sk"]) for node in nodes]


@pytest.mark.parametrize("vector", REQUESTS, ids=lambda v: f"{v['enc_type']}: {v['description']}")
def test_request_peels_to_what_the_official_library_wrapped(vector: dict[str, Any]) -> None:
    request = onion.build_request(
        _hops(vector),
        _destination(vector),
        bytes.fromhex(vector["payload"]),
        EncType.parse(vector["enc_type"]),
        ephemeral_secrets=[bytes.fromhex(layer["ephemeral_x25519_sk"]) for layer in vector["layers"]],
        nonces=[bytes.fromhex(layer["nonce"]) for layer in vector["layers"]],
        snode_control=b'{"headers":""}',  # as that library has it; Desktop says it in other words
    )
    for recorded in (request.body, bytes.fromhex(vector["request"])):
        data = recorded
        for node, secret, peeled in zip(
            [*vector["hops"], vector["destination"]], _secrets(vector), vector["peeled"], strict=True
        ):
            layer = onion.open_request(data, bytes.fromhex(node["x25519_pk"]), secret)
            data = layer.plaintext
            if "routing" in peeled:
                blob, control = onion.unframe(data)
                got, expected = json.loads(control), peeled["routing"]
                for optional in ("enc_type", "port", "protocol"):
                    # Left out where it is the default, by one side or the other.
                    if optional not in got or optional not in expected:
                        got.pop(optional, None)
                        expected = {key: value for key, value in expected.items() if key != optional}
                assert {k: v for k, v in got.items() if k != "headers"} == {
                    k: v for k, v in expected.items() if k != "headers"
                }
                if recorded is not request.body:
                    assert blob.hex() == peeled["inner_blob"]
        if isinstance(_destination(vector), SnodeDestination):
            data = bytes(onion.unframe(data)[0])
        assert data == bytes.fromhex(vector["payload"])


@pytest.mark.parametrize("vector", REQUESTS, ids=lambda v: f"{v['enc_type']}: {v['description']}")
def test_replies(vector: dict[str, Any]) -> None:
    key = LayerKey.for_sender(
        _destination(vector).x25519,
        EncType.parse(vector["enc_type"]),
        ephemeral_secret=bytes.fromhex(vector["final_x25519_sk"]),
    )
    for reply in vector["responses"]:
        ciphertext = bytes.fromhex(reply["ciphertext"])
        assert onion.decode_base64_reply(reply["ciphertext_base64"].encode()) == ciphertext
        if not reply["valid"]:
            with pytest.raises(OnionError):
                key.open(ciphertext)
            continue
        plaintext = bytes.fromhex(reply["plaintext"])
        assert key.open(ciphertext) == plaintext
        if "service node" in reply["description"]:
            opened = onion.open_snode_reply(key, reply["ciphertext_base64"].encode())
            assert opened.status == json.loads(plaintext)["status"]
        elif "v4 server" in reply["description"]:
            assert onion.encode_v4_response(onion.decode_v4_response(plaintext))


@pytest.mark.parametrize("vector", PARSES, ids=lambda v: v["description"])
def test_view_of_a_hop(vector: dict[str, Any]) -> None:
    request, public, secret = (bytes.fromhex(vector[name]) for name in ("request", "x25519_pk", "x25519_sk"))
    if not vector["valid"]:
        with pytest.raises(OnionError):
            onion.open_request(request, public, secret)
        return
    opened = onion.open_request(request, public, secret)
    assert opened.plaintext == bytes.fromhex(vector["payload"])
    assert opened.key.ephemeral_public == bytes.fromhex(vector["remote_x25519_pk"])


def test_published_layer_vectors() -> None:
    node_secret = b"\x22" * 32
    node_public = bytes.fromhex("0faa684ed28867b97f4a6a2dee5df8ce974e76b7018e3f22a1c4cf2678570f20")
    gcm = LayerKey.for_sender(node_public, EncType.AES_GCM, ephemeral_secret=b"\x11" * 32)
    xchacha = LayerKey.for_sender(node_public, EncType.XCHACHA20, ephemeral_secret=b"\x11" * 32)
    assert gcm.ephemeral_public.hex() == "7b4e909bbe7ffe44c465a220037d608ee35897d31ef972f07f74892cb0f73f13"
    assert gcm.key.hex() == "9bcfd0b1e840059ac75a1b15951acbd74e560959b2e06e9aced34eca371c201b"
    assert xchacha.key.hex() == "84be4548ede02c29cd6015220a5372796b0d9fe97c4b09e52bc16432f56d162d"
    assert (
        gcm.seal(b"hi", nonce=bytes(range(12))).hex() == "000102030405060708090a0b35a5d8e8e60d2e37f24e1df2c56f8069d324"
    )
    assert (
        xchacha.seal(b"hi", nonce=bytes(range(24))).hex()
        == "000102030405060708090a0b0c0d0e0f10111213141516175cc845df098f6f2918ad8822800037bc7a9f"
    )
    assert LayerKey.for_receiver(node_public, node_secret, gcm.ephemeral_public, EncType.AES_GCM).key == gcm.key


def test_without_hops_a_request_is_sealed_to_its_destination() -> None:
    identity = Identity.generate()
    request = onion.build_request([], SnodeDestination(identity.ed25519_public, identity.x25519_public), b"question")
    opened = onion.open_request(request.body, identity.x25519_public, identity.x25519_secret)
    payload, control = onion.unframe(opened.plaintext)
    assert bytes(payload) == b"question"
    assert json.loads(control) == {"body": None, "headers": {"Content-Type": "application/json"}}
    assert request.reply_key.open(opened.key.seal(b"answer")) == b"answer"


@given(st.binary(max_size=200))
def test_garbage_is_an_onion_error_or_parses(data: bytes) -> None:
    key = LayerKey.for_sender(b"\x09" + bytes(31), EncType.AES_GCM, ephemeral_secret=b"\x11" * 32)
    for parse in (
        lambda: onion.open_request(data, b"\x09" + bytes(31), b"\x22" * 32),
        lambda: onion.decode_v4_request(data),
        lambda: onion.decode_v4_response(data),
        lambda: onion.open_snode_reply(key, data),
        lambda: onion.unframe(data),
    ):
        with contextlib.suppress(OnionError):
            parse()


@given(st.text(max_size=20), st.none() | st.binary(max_size=300))
def test_v4_round_trip(path: str, body: bytes | None) -> None:
    request = V4Request("POST", "/" + path, {"Content-Type": "text/plain"}, body)
    assert onion.decode_v4_request(onion.encode_v4_request(request)) == request
    response = V4Response(200, {"x": path}, body or b"")
    assert onion.decode_v4_response(onion.encode_v4_response(response)) == response


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"l",
        b"le",
        b"d1:xe",
        b"l2:{}",
        b"l2:{}e ",
        b"l02:{}e",
        b"l2:{}2:abXe",
        b"l2:{}9:abe",
        b"l2:[]1:ae",
        b"l5:helloe",
    ],
)
def test_malformed_v4(data: bytes) -> None:
    with pytest.raises(OnionError):
        onion.decode_v4_response(data)
