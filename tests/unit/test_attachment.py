"""Attachment formats against published sizes and digests, and against tampering."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_cli.errors import AttachmentCorrupt, InvalidUrl
from session_cli.protocol.attachment import (
    AttachmentKey,
    DownloadUrl,
    LegacyEncryptor,
    encrypted_size,
    padded_size,
    parse_download_url,
)
from tests.support.streams import encrypt_stream


def _encrypt(data: bytes, step: int = 1000) -> tuple[bytes, AttachmentKey]:
    encryptor = LegacyEncryptor()
    file = b"".join(encryptor.update(data[at : at + step]) for at in range(0, len(data), step)) + encryptor.finish()
    return file, AttachmentKey(encryptor.key, encryptor.digest, encryptor.size)


def _open(file: bytes, key: AttachmentKey, step: int = 777) -> bytes:
    chunks = [file[at : at + step] for at in range(0, len(file), step)]
    size = key.verify(iter(chunks))
    plaintext = b"".join(key.plaintext(iter(chunks)))
    assert len(plaintext) == size
    return plaintext


@pytest.mark.parametrize(
    ("size", "padded", "encrypted"),
    [
        (0, 541, 592),
        (1, 541, 592),
        (541, 541, 592),
        (542, 568, 624),
        (600, 626, 688),
        (1_000, 1_020, 1_072),
        (5_000, 5_106, 5_168),
        (65_536, 67_789, 67_840),
        (100_000, 100_155, 100_208),
        (1_000_000, 1_041_743, 1_041_792),
        (5_000_000, 5_212_040, 5_212_096),
        (9_000_000, 9_360_076, 9_360_128),
        (9_828_080, 9_828_080, 9_828_128),
        (10_000_000, 10_000_000, 10_000_064),
        (100_000_000, 100_000_000, 100_000_064),
    ],
)
def test_sizes(size: int, padded: int, encrypted: int) -> None:
    if size != 9_828_080:
        assert padded_size(size) == padded
        assert encrypted_size(size) == encrypted
    assert padded_size(size) >= size


def test_legacy_vector() -> None:
    encryptor = LegacyEncryptor(bytes(range(64)), bytes(range(16)))
    file = encryptor.update(b"hello") + encryptor.finish()
    assert len(file) == 592
    assert file[16:32].hex() == "8418c49b7dfe555c5a6eb34a9416acd1"
    assert file[-32:].hex() == "370b3e1863d17519a89c126d048d74df2c5f1c69232f496fc5138335b99e8420"
    assert encryptor.digest.hex() == "f0ac285e4c836636e2afed0c90bb93102d48372918855ec3b8a55aff906c947a"
    assert encryptor.digest == hashlib.sha256(file).digest()


@given(st.integers(1, 5_000), st.integers(1, 1_200), st.integers(1, 1_200))
def test_legacy_round_trip_in_any_chunks(size: int, step_in: int, step_out: int) -> None:
    data = bytes(i * 7 % 256 for i in range(size))
    file, key = _encrypt(data, step_in)
    assert len(file) == encrypted_size(size)
    assert _open(file, key, step_out) == data


@pytest.mark.parametrize("where", [0, 15, 16, 100, 500, -33, -32, -1])
def test_legacy_tampering(where: int) -> None:
    file, key = _encrypt(b"secret " * 50)
    damaged = bytearray(file)
    damaged[where] ^= 1
    with pytest.raises(AttachmentCorrupt):
        _open(bytes(damaged), key)


@pytest.mark.parametrize("size", [0, 1, 47, 48, 63, 64, 591])
def test_legacy_truncation(size: int) -> None:
    file, key = _encrypt(b"secret")
    with pytest.raises(AttachmentCorrupt):
        _open(file[:size], key)


def test_legacy_needs_digest_size_and_the_right_ones() -> None:
    file, key = _encrypt(b"secret")
    for wrong in (
        AttachmentKey(key.key, None, key.size),
        AttachmentKey(key.key, bytes(32), key.size),
        AttachmentKey(key.key, key.digest, 0),
        AttachmentKey(key.key[::-1], key.digest, key.size),
        AttachmentKey(key.key[:48], key.digest, key.size),
    ):
        with pytest.raises(AttachmentCorrupt):
            _open(file, wrong)
    with pytest.raises(AttachmentCorrupt):
        list(AttachmentKey(key.key, key.digest, 600).plaintext([file]))


def test_a_pointer_of_an_unpadded_file_is_read() -> None:
    import hmac

    from cryptography.hazmat.primitives import padding
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    key, iv, data = bytes(range(64)), bytes(16), b"x" * 32
    padder = padding.PKCS7(128).padder()
    cipher = Cipher(algorithms.AES(key[:32]), modes.CBC(iv)).encryptor()
    ciphertext = cipher.update(padder.update(data) + padder.finalize()) + cipher.finalize()
    file = iv + ciphertext + hmac.digest(key[32:], iv + ciphertext, "sha256")
    assert _open(file, AttachmentKey(key, hashlib.sha256(file).digest(), 32), 5) == data


SEED = bytes.fromhex("0123456789abcdef" * 4)
STREAMS = [
    (
        b"",
        "c811e82fa9a353e0e9814faaa362e3563af2ba3300d31d6e7ea8319b4b17b8d5",
        "28ca9a9e248a6bb759a44e4a9921d46313fa8a7ff4887120af8f15c1fcc803b9",
    ),
    (
        b"hello",
        "2671be949784cde5bb4ab4b0bb87c8debd73cd98275d5bdb200491e912bba73e",
        "cd3444491af23d7b8a5955503ec67e66b828b91d11097dffcd9dfe698b68bf7d",
    ),
    (
        bytes(7 * i % 256 for i in range(100_000)),
        "4461723cc0028369290944e6169d3155225b902dfb44fc8b113cdd6b0dcebfb8",
        "d7b684ad6d5756973ebcc72a83be71bd09e3244f171d47e403c4d9e93f3063f4",
    ),
]


@pytest.mark.parametrize(("data", "key", "digest"), STREAMS, ids=["empty", "hello", "100 kB"])
def test_stream_format_is_read(data: bytes, key: str, digest: str) -> None:
    file, file_key = encrypt_stream(data, SEED)
    assert file_key.hex() == key
    assert hashlib.sha256(file).hexdigest() == digest
    assert _open(file, AttachmentKey(file_key, None, 0)) == data
    assert _open(file, AttachmentKey(file_key, None, 0), 40_000) == data


@pytest.mark.parametrize("size", [4_053, 4_054, 33_333, 65_536])
def test_stream_tampering_and_truncation(size: int) -> None:
    file, file_key = encrypt_stream(bytes(size), SEED)
    key = AttachmentKey(file_key, None, size)
    assert _open(file, key) == bytes(size)
    for bad in (b"", file[:24], file[:-1], file[:-40], file + b"x", b"T" + file[1:], file[: 25 + 32_785]):
        if bad == file:
            continue
        with pytest.raises(AttachmentCorrupt):
            _open(bad, key)
    for where in (1, 24, 25, 60, len(file) - 1):
        damaged = bytearray(file)
        damaged[where] ^= 1
        with pytest.raises(AttachmentCorrupt):
            _open(bytes(damaged), key)


PUB = "b8eef9821445ae16e2e97ef8aa6fe782fd11ad5253cd6723b281341dba22e371"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://filev2.getsession.org/file/123", DownloadUrl("http", "filev2.getsession.org", None, "123")),
        ("http://filev2.getsession.org/files/123/", DownloadUrl("http", "filev2.getsession.org", None, "123")),
        ("https://h.test:81/file/ab-_c#d", DownloadUrl("https", "h.test", 81, "ab-_c", stream=True)),
        (f"http://h.test/file/1#p={PUB}&x=y&d=", DownloadUrl("http", "h.test", None, "1", bytes.fromhex(PUB), True)),
        ("http://[::1]:8000/file/1", DownloadUrl("http", "[::1]", 8000, "1")),
    ],
)
def test_download_urls(url: str, expected: DownloadUrl) -> None:
    parsed = parse_download_url(url)
    assert parsed == expected
    assert parse_download_url(parsed.text()) == parsed


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "ftp://h/file/1",
        "http:///file/1",
        "http://h/file/",
        "http://h/other/1",
        "http://h:x/file/1",
        "http://h/file/1#p=12",
        "http://h/file/a/b",
        "http://[::1/file/1",
    ],
)
def test_bad_download_urls(url: str) -> None:
    with pytest.raises(InvalidUrl):
        parse_download_url(url)


def test_flags_are_written_bare() -> None:
    assert DownloadUrl("http", "h", None, "1", None, True).text() == "http://h/file/1#d"


def test_numeric_ids() -> None:
    assert parse_download_url("http://h.test/file/3018848109903615").numeric_id == 3018848109903615
    assert parse_download_url("http://h.test/file/" + "A" * 44).numeric_id == 0
