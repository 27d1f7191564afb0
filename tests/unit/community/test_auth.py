"""Who we are on a community server, and how requests prove it."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_cli.errors import InvalidInput, MalformedMessage
from session_cli.protocol.account import Identity, verify_signature
from session_cli.protocol.blinding import blind25
from session_cli.protocol.community import endpoints
from session_cli.protocol.community.auth import (
    Capabilities,
    ServerIdentity,
    body_hash,
    parse_capabilities,
    signed_bytes,
)

SERVER = bytes.fromhex("c3b3c6f32f0ab5a57f853cc4f30f5da7fda5624b0c77b3fb0829de562ada081d")
A = Identity.from_seed(bytes.fromhex("c010d89eccbaf5d1c6d19df766c6eedf965d4a28a56f87c9fc819edb59896dd9"))
NONCE = bytes.fromhex("09d0799f2295990182c3ab3406fbfc5b")
TIME_S = 1642472103


def test_published_headers_with_a_blinded_key() -> None:
    who = ServerIdentity.of(A, SERVER)
    headers = who.headers("GET", "/room/the-best-room/messages/recent?limit=25", None, TIME_S, nonce=NONCE)
    assert headers == {
        "X-SOGS-Pubkey": "1598932d4bccbe595a8789d7eb1629cefc483a0eaddc7e20e8fe5c771efafd9af5",
        "X-SOGS-Nonce": "CdB5nyKVmQGCw6s0Bvv8Ww==",
        "X-SOGS-Timestamp": "1642472103",
        "X-SOGS-Signature": "kXxMbg6+492jeI+D61s9636ixYctn/qnhknhUhQTt54UR3eP9vslcc3iESdBCyikpqYyyfEOp0z+hjuvXGWyCQ==",
    }


def test_published_headers_without_blinding() -> None:
    who = ServerIdentity.of(A, SERVER, blinded=False)
    headers = who.headers("GET", "/room/the-best-room/messages/recent?limit=25", None, TIME_S, nonce=NONCE)
    assert headers["X-SOGS-Pubkey"] == "00bac6e71efd7dfa4a83c98ed24f254ab2c267f9ccdb172a5280a0444ad24e89cc"
    assert headers["X-SOGS-Signature"] == (
        "xxLpXHbomAJMB9AtGMyqvBsXrdd2040y+Ol/IKzElWfKJa3EYZRv1GLO6CTLhrDFUwVQe8PPltyGs54Kd7O5Cg=="
    )
    assert who.member_id == str(A.account_id)


@pytest.mark.parametrize(
    ("method", "path", "body", "signature"),
    [
        (
            "POST",
            "/batch",
            b'[{"method":"GET","path":"/capabilities"}]',
            "xncb//TjejQkE0tV1OJcsNZxzpfv9imkvWl0dTsEmAAKWI0B7UpFUdb6eVEjS2tJJWoTt33YKZE97nN0eaFMCQ==",
        ),
        (
            "PUT",
            endpoints.react("main", 7, "👍").path,
            None,
            "qXHkfM62+NM/sc7eXFxLeCOnFOPmUBGO32Q3yHSBeLsd+rE2qPChnjJ2KkDyVfBsHDaVKLlOP21Oqd2DyGE8DA==",
        ),
    ],
)
def test_published_signatures_of_the_server_cover_the_same_bytes(
    method: str, path: str, body: bytes | None, signature: str
) -> None:
    """Those draw another number for the signature, which only the signer can tell."""
    signed = signed_bytes(SERVER, NONCE, TIME_S, method, path, body_hash(body))
    blinded = ServerIdentity.of(A, SERVER).blinded
    assert blinded is not None
    verify_signature(blinded.public, signed, base64.b64decode(signature))


def test_nonces_are_never_the_same() -> None:
    who = ServerIdentity.of(A, SERVER)
    nonces = {who.headers("GET", "/inbox", None, TIME_S)["X-SOGS-Nonce"] for _ in range(10)}
    assert len(nonces) == 10


@pytest.mark.parametrize("size", [0, 15, 17])
def test_nonces_of_other_sizes_are_refused(size: int) -> None:
    with pytest.raises(InvalidInput):
        signed_bytes(SERVER, bytes(size), TIME_S, "GET", "/", None)


def test_an_empty_body_or_query_is_none() -> None:
    assert body_hash(None) is body_hash(b"") is None
    bare = signed_bytes(SERVER, NONCE, TIME_S, "GET", "/inbox", None)
    assert signed_bytes(SERVER, NONCE, TIME_S, "GET", "/inbox?", None) == bare


def test_paths_are_signed_decoded_and_queries_as_they_are() -> None:
    signed = signed_bytes(SERVER, NONCE, TIME_S, "PUT", "/a%2Fb/%F0%9F%91%8D?c=%2F", None)
    assert signed.endswith("PUT/a/b/👍?c=%2F".encode())
    assert signed == signed_bytes(SERVER, NONCE, TIME_S, "PUT", "/a/b/👍?c=%2F", None)


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=32, max_size=32), st.booleans())
def test_headers_verify_under_their_own_key(seed: bytes, server: bytes, blinded: bool) -> None:
    who = ServerIdentity.of(Identity.from_seed(seed), server, blinded=blinded)
    headers = who.headers("POST", "/batch", body_hash(b"[]"), TIME_S)
    nonce, signature = (base64.b64decode(headers[f"X-SOGS-{name}"]) for name in ("Nonce", "Signature"))
    signed = signed_bytes(server, nonce, TIME_S, "POST", "/batch", body_hash(b"[]"))
    verify_signature(bytes.fromhex(headers["X-SOGS-Pubkey"])[1:], signed, signature)


def test_all_ids_of_ours() -> None:
    blinded, plain = ServerIdentity.of(A, SERVER), ServerIdentity.of(A, SERVER, blinded=False)
    assert blinded.own_ids == plain.own_ids
    assert {blinded.member_id, A.account_id, blind25(A, SERVER).blinded_id} == blinded.own_ids


def test_secrets_stay_out_of_repr() -> None:
    shown = repr(ServerIdentity.of(A, SERVER))
    assert A.seed.hex() not in shown
    assert repr(A.seed)[2:-1] not in shown
    assert A.account_id not in shown


# Capabilities.


def test_capabilities() -> None:
    found = parse_capabilities({"capabilities": ["blind", "reactions", 7, None, "sogs"]})
    assert found == Capabilities(frozenset({"blind", "reactions", "sogs"}))
    assert found.blind
    assert found.reactions


@pytest.mark.parametrize("value", [None, [], {}, {"capabilities": None}, {"capabilities": "blind"}])
def test_no_capabilities(value: object) -> None:
    with pytest.raises(MalformedMessage):
        parse_capabilities(value)
