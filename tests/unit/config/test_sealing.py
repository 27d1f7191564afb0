"""What lies between a config in plain and what a swarm stores, against published values, and against hostile bytes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from session_cli.errors import DecryptionFailed, InvalidInput, MalformedMessage, ProtocolError
from session_cli.protocol.account import Identity
from session_cli.protocol.config import sealing, wrapping
from session_cli.protocol.config.kinds import ACCOUNT_KINDS, ConfigKind
from tests.support.memory import peak_kb

KEY = bytes.fromhex("abcdef0123456789" * 4)
ALICE = Identity.from_seed(bytes.fromhex("0123456789abcdef0123456789abcdef"))
BOB = Identity.from_seed(bytes.fromhex("00112233445566778899aabbccddeeff"))


def test_encryption() -> None:
    encrypted = sealing.encrypt(b"some message 1", KEY, b"test-suite1")
    assert encrypted.hex() == (
        "f14f242a26638f3305707d1035e734577f943cd7d28af58e32637e0966dcaf2f4860cb4d0f8ba7e09d29e31f5e4a18f65847287a54a0"
    )
    assert sealing.decrypt(encrypted, KEY, b"test-suite1") == b"some message 1"
    other = sealing.encrypt(b"some message 1", KEY, b"test-suite2")
    assert other[-24:].hex() == "277e639d36ba46470dfff509a68cb73d9a96386c51739bdd"


def test_compression() -> None:
    assert sealing.compress(b"\xaa" * 81).hex() == "7a28b52ffd205145000010aaaa01008c022c"
    assert sealing.compress(b"d1:#i0ee") == b"d1:#i0ee"


@pytest.mark.parametrize(
    ("size", "overhead", "padded"),
    [
        (1, 0, 256),
        (247, 10, 502),
        (3839, 96, 4000),
        (4865, 0, 5120),
        (5121, 0, 6144),
        (20481, 0, 22528),
        (40961, 0, 46080),
        (71681, 0, 76800),
        (216, 40, 216),
        (217, 40, 472),
    ],
)
def test_padded_sizes(size: int, overhead: int, padded: int) -> None:
    assert sealing.padded_size(size, overhead) == padded


@given(st.binary(max_size=600).map(lambda data: b"d" + data))
def test_round_trip(plaintext: bytes) -> None:
    payload = sealing.pad(sealing.compress(plaintext))
    assert (len(payload) + sealing.OVERHEAD) % 256 == 0
    encrypted = sealing.encrypt(payload, KEY, b"domain")
    opened = sealing.unpad(sealing.decrypt(encrypted, KEY, b"domain"))
    assert sealing.decompress(opened) == plaintext


@given(st.binary(max_size=200), st.sampled_from(ACCOUNT_KINDS))
def test_garbage_does_not_open(data: bytes, kind: ConfigKind) -> None:
    assert wrapping.unwrap(ALICE, kind, data) == data
    with pytest.raises(DecryptionFailed):
        sealing.decrypt(data, KEY, kind.domain)


@given(st.binary(max_size=200))
def test_garbage_decompresses_or_is_malformed(data: bytes) -> None:
    frame = zstandard.ZstdCompressor().compress(data)
    for hostile in (data, frame + data, frame[: len(data)], frame[:4] + data):
        try:
            assert len(sealing.decompress(b"z" + hostile)) <= sealing.MAX_PAYLOAD_BYTES
        except ProtocolError as error:
            assert isinstance(error, MalformedMessage)


def test_several_frames_are_one_config() -> None:
    frame = zstandard.ZstdCompressor().compress
    assert sealing.decompress(b"z" + frame(b"d1:#") + frame(b"i0ee")) == b"d1:#i0ee"


_REFUSE = """
import sys
from session_cli.errors import MalformedMessage
from session_cli.protocol.config import sealing
for name in sys.argv[1:]:
    try:
        sealing.decompress(open(name, "rb").read())
    except MalformedMessage:
        continue
    sys.exit("not refused")
"""


def test_bombs_are_refused_in_little_memory(tmp_path: Path) -> None:
    compressor = zstandard.ZstdCompressor(level=1).compressobj()
    bomb = b"z" + b"".join([compressor.compress(bytes(10_000_000)) for _ in range(50)]) + compressor.flush()
    (tmp_path / "bomb").write_bytes(bomb)
    (tmp_path / "window").write_bytes(b"z" + bytes.fromhex("28b52ffd00a0010000"))  # claims to look back a gigabyte
    (tmp_path / "size").write_bytes(b"z" + bytes.fromhex("28b52ffde0ffffffffffffff00010000"))  # claims to be endless
    (tmp_path / "small").write_bytes(b"z1234")
    measure = [sys.executable, "-c", _REFUSE]
    bare = peak_kb([*measure, tmp_path / "small"])
    assert peak_kb([*measure, *(tmp_path / name for name in ("bomb", "window", "size"))]) < bare + 40_000


@pytest.mark.parametrize("kind", ACCOUNT_KINDS, ids=lambda kind: kind.name)
def test_wrapping(kind: ConfigKind) -> None:
    wrapped = wrapping.wrap(ALICE, kind, 7, b"sealed")
    assert wrapped == wrapping.wrap(ALICE, kind, 7, b"sealed")
    assert wrapping.unwrap(ALICE, kind, wrapped) == b"sealed"
    twice = wrapping.wrap(ALICE, kind, 7, wrapped)
    assert wrapping.unwrap(ALICE, kind, twice) == b"sealed"
    assert wrapping.unwrap(BOB, kind, wrapped) == wrapped
    other = next(found for found in ACCOUNT_KINDS if found is not kind)
    assert wrapping.unwrap(ALICE, other, wrapped) == wrapped


def test_what_is_sealed_by_another_is_not_unwrapped() -> None:
    from session_cli.protocol import session_v1

    envelope = session_v1.unwrap(wrapping.wrap(BOB, ConfigKind.CONTACTS, 1, b"sealed"))
    content = session_v1.open_box(BOB, envelope.content).plaintext
    forged = session_v1.wrap(session_v1.seal(BOB, ALICE.x25519_public, content), 1)
    assert wrapping.unwrap(ALICE, ConfigKind.CONTACTS, forged) == forged


def test_kinds_of_groups_are_not_wrapped() -> None:
    with pytest.raises(InvalidInput):
        wrapping.wrap(ALICE, ConfigKind.GROUP_INFO, 1, b"")
