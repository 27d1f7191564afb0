"""Requests and replies in pieces are the same bytes as in one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl import bindings as sodium

from session_cli.errors import OnionError
from session_cli.protocol import onion
from session_cli.protocol.onion import EncType, Hop, LayerKey, ServerDestination, V4Response
from session_cli.protocol.onion_stream import StreamedReply, StreamedRequest

PAIRS = [(sodium.crypto_scalarmult_base(bytes([i]) * 32), bytes([i]) * 32) for i in range(1, 5)]
HOPS = [Hop(bytes(32), public) for public, _ in PAIRS[:3]]
SERVER = ServerDestination("files.test", PAIRS[3][0], "http", 80)
META: dict[str, object] = {"method": "POST", "endpoint": "/file", "headers": {}}


@given(st.binary(max_size=3_000), st.integers(1, 999))
def test_a_streamed_request_peels_like_any_other(body: bytes, step: int) -> None:
    request = StreamedRequest(HOPS, SERVER, META, len(body))
    data = b"".join(request.chunks(body[at : at + step] for at in range(0, len(body), step)))
    assert len(data) == request.size
    for public, secret in PAIRS:
        opened = onion.open_request(data, public, secret)
        data = opened.plaintext
    assert opened.key.key == request.reply_key.key
    assert onion.decode_v4_request(data) == onion.V4Request("POST", "/file", {}, body)


def test_a_body_of_another_size_is_noticed() -> None:
    with pytest.raises(ValueError, match="bytes"):
        list(StreamedRequest(HOPS, SERVER, META, 5).chunks([b"four"]))


KEY = LayerKey.for_sender(PAIRS[3][0], EncType.AES_GCM, ephemeral_secret=b"\x05" * 32)


def _feed(data: bytes, step: int) -> tuple[V4Response, bytes]:
    reply = StreamedReply(KEY)
    body = b"".join(reply.feed(data[at : at + step]) for at in range(0, len(data), step))
    return reply.finish(), body


@given(st.binary(max_size=2_000), st.integers(1, 700))
def test_a_streamed_reply_is_the_whole_reply(body: bytes, step: int) -> None:
    sealed = KEY.seal(onion.encode_v4_response(V4Response(200, {"a": "b"}, body)))
    response, got = _feed(sealed, step)
    assert (response.code, response.headers, got) == (200, {"a": "b"}, body)


@given(st.integers(0, 200), st.integers(1, 50))
def test_truncated_and_changed_replies_are_refused(where: int, step: int) -> None:
    sealed = KEY.seal(onion.encode_v4_response(V4Response(200, {}, bytes(100))))
    with pytest.raises(OnionError):
        _feed(sealed[: where % len(sealed)], step)
    damaged = bytearray(sealed)
    damaged[where % len(sealed)] ^= 1
    with pytest.raises(OnionError):
        _feed(bytes(damaged), step)


@pytest.mark.parametrize(
    "plaintext",
    [b"", b"x", b"l", b"l2:{}", b"l2:{}e", b'l12:{"code":200}1:abe', b"lx:", b"l99999999999999999999", b"d"],
)
def test_malformed_replies_are_refused(plaintext: bytes) -> None:
    for step in (1, 1000):
        with pytest.raises(OnionError):
            _feed(KEY.seal(plaintext), step)
    with pytest.raises(ValueError, match="AES-GCM"):
        StreamedReply(LayerKey.for_sender(PAIRS[3][0], EncType.XCHACHA20))
