"""The format of backups: what goes in comes out, and nothing else does."""

from __future__ import annotations

import io
import os
import random
import struct
from binascii import crc32
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as run_settings
from hypothesis import strategies as st
from nacl import bindings as sodium

from session_cli.errors import BackupDamaged, KeySourceFailed, StoreTooNew, UnreadableInput, UsageError, WrongKey
from session_cli.store.backup_format import (
    CHUNK_BYTES,
    HEADER_BYTES,
    MAGIC,
    OVERHEAD_BYTES,
    BackupReader,
    BackupWriter,
    Description,
)
from session_cli.store.key import KeySources
from session_cli.store.locations import locate

from .conftest import CHEAP, SourcesMaker

DESCRIPTION = Description(
    account_id="05" + "ab" * 32,
    profile="default",
    network="mainnet",
    created_ms=1_795_623_859_692,
    messages=7,
    schema=1,
    database_bytes=0,
    database_key=bytes(range(32)),
)
STEP = CHUNK_BYTES + OVERHEAD_BYTES
PASSPHRASE = "tomato"


def secrets(passphrase: str = PASSPHRASE) -> KeySources:
    places = locate({"SESSION_HOME": os.devnull})
    return KeySources(places, "default", {"B": passphrase}, cost=CHEAP, variable="B", subject="backup")


def made(database: bytes, *, pieces: int = 100_000, says: int | None = None) -> bytes:
    parts: list[bytes] = []
    writer = BackupWriter(parts.append, secrets())
    writer.describe(replace(DESCRIPTION, database_bytes=len(database) if says is None else says))
    for at in range(0, len(database), pieces):
        writer.write(database[at : at + pieces])
    writer.finish()
    return b"".join(parts)


def read(backup: bytes, passphrase: str = PASSPHRASE) -> tuple[Description, bytes]:
    reader = BackupReader(io.BytesIO(backup), secrets(passphrase))
    return reader.description, b"".join(reader.database())


def with_check_sum(header: bytes) -> bytes:
    return header[:-4] + struct.pack("<I", crc32(header[:-4]))


@pytest.fixture(scope="module")
def backup() -> bytes:
    """Three chunks and a bit."""
    return made(random.Random(1).randbytes(3 * CHUNK_BYTES))


@pytest.mark.parametrize(
    "size", [0, 1, CHUNK_BYTES - 1000, CHUNK_BYTES - 10, CHUNK_BYTES, CHUNK_BYTES + 1, 5 * CHUNK_BYTES + 77]
)
def test_round_trip(size: int) -> None:
    database = os.urandom(size)
    description, found = read(made(database))
    assert found == database
    assert description == replace(DESCRIPTION, database_bytes=size)


@given(
    st.binary(max_size=200),
    st.integers(0, 3 * CHUNK_BYTES),
    st.integers(1, CHUNK_BYTES * 2),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.integers(1, 5000),
)
@run_settings(max_examples=40)
def test_whatever_the_pieces(begin: bytes, zeros: int, pieces: int, profile: str, portion: int) -> None:
    """In whatever pieces it is written, and in whatever pieces a pipe gives it."""
    database = begin + bytes(zeros)
    parts: list[bytes] = []
    writer = BackupWriter(parts.append, secrets())
    description = replace(DESCRIPTION, database_bytes=len(database), profile=profile)
    writer.describe(description)
    for at in range(0, len(database), pieces):
        writer.write(database[at : at + pieces])
    writer.finish()

    class Pipe(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(size or 0, max(portion, 300 if size and size > 300 else 1)))

    reader = BackupReader(Pipe(b"".join(parts)), secrets())
    assert reader.description == description
    assert b"".join(reader.database()) == database


def test_every_chunk_is_full_but_the_last(backup: bytes) -> None:
    assert len(backup) - HEADER_BYTES - 3 * STEP in range(OVERHEAD_BYTES + 1, 1000)
    exact = made(bytes(CHUNK_BYTES))
    space = CHUNK_BYTES - (len(exact) - HEADER_BYTES - OVERHEAD_BYTES - STEP)
    fitting = made(bytes(space))
    assert len(fitting) == HEADER_BYTES + STEP, "no empty chunk at the end"
    assert len(read(fitting)[1]) == space


def test_two_backups_of_the_same_have_nothing_in_common() -> None:
    first, second = made(bytes(1000)), made(bytes(1000))
    assert first[:32] == second[:32]
    assert first[32:72] != second[32:72]
    assert first[HEADER_BYTES:] != second[HEADER_BYTES:]


def test_the_header_is_as_documented() -> None:
    header = made(b"")[:HEADER_BYTES]
    assert header[:16] == MAGIC == b"session-backup\r\n"
    assert struct.unpack("<IIQ", header[16:32]) == (1, CHEAP.operations, CHEAP.memory_bytes)
    assert struct.unpack("<I", header[89:]) == (crc32(header[:89]),)


def test_read_by_the_documentation_alone() -> None:
    """With libsodium and this page, somebody else can open a backup."""
    backup = made(b"database")
    key = sodium.crypto_pwhash_alg(
        32,
        PASSPHRASE.encode(),
        backup[32:48],
        CHEAP.operations,
        CHEAP.memory_bytes,
        sodium.crypto_pwhash_ALG_ARGON2ID13,
    )
    state = sodium.crypto_secretstream_xchacha20poly1305_state()
    sodium.crypto_secretstream_xchacha20poly1305_init_pull(state, backup[48:72], key)
    assert sodium.crypto_secretstream_xchacha20poly1305_pull(state, backup[72:89], backup[:72]) == (b"", 0)
    plain, tag = sodium.crypto_secretstream_xchacha20poly1305_pull(state, backup[93:], None)
    assert tag == sodium.crypto_secretstream_xchacha20poly1305_TAG_FINAL
    (length,) = struct.unpack("<I", plain[:4])
    assert b'"database_key":"000102' in plain[4 : 4 + length]
    assert plain[4 + length :] == b"database"


# --- passphrases --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", ["Tomato", "tomato ", "tomat", "x" * 10_000])
def test_a_wrong_passphrase(wrong: str, backup: bytes) -> None:
    with pytest.raises(WrongKey, match="passphrase does not open this backup"):
        read(backup, wrong)


def test_one_spelling_of_accents() -> None:
    parts: list[bytes] = []
    writer = BackupWriter(parts.append, secrets("caf\u00e9"))
    writer.describe(DESCRIPTION)
    writer.finish()
    assert read(b"".join(parts), "cafe\u0301")[0] == DESCRIPTION


def test_where_the_passphrase_comes_from(sources: SourcesMaker, tmp_path: Path) -> None:
    def write(made_of: KeySources) -> None:
        BackupWriter(lambda part: None, made_of)

    named = replace(sources(variable="B"), subject="backup")
    with pytest.raises(KeySourceFailed, match="set B, B_FILE or B_COMMAND"):
        write(named)
    with pytest.raises(KeySourceFailed, match="is empty"):
        write(replace(named, prompt=lambda *, new: ""))
    with pytest.raises(UsageError, match="Only one of B and B_FILE"):
        write(sources(variable="B", B="a", B_FILE="b"))
    file = tmp_path / "passphrase"
    file.write_text("\n")
    with pytest.raises(KeySourceFailed, match="is empty"):
        write(sources(variable="B", B_FILE=str(file)))
    asked: list[bool] = []

    def prompt(*, new: bool) -> str:
        asked.append(new)
        return PASSPHRASE

    parts: list[bytes] = []
    writer = BackupWriter(parts.append, replace(named, prompt=prompt))
    writer.describe(DESCRIPTION)
    writer.finish()
    BackupReader(io.BytesIO(b"".join(parts)), replace(named, prompt=prompt))
    assert asked == [True, False], "a new one is asked for twice by the prompt, one in use once"


def test_the_secrets_stay_out_of_descriptions() -> None:
    assert DESCRIPTION.database_key.hex() not in repr(DESCRIPTION)
    assert repr(DESCRIPTION.database_key) not in repr(DESCRIPTION)


# --- damage -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("position", range(HEADER_BYTES))
def test_every_byte_of_the_header_counts(position: int) -> None:
    backup = bytearray(made(b"database"))
    backup[position] ^= 0x40
    with pytest.raises((BackupDamaged, StoreTooNew)):
        read(bytes(backup))


@pytest.mark.parametrize("position", [16, 20, 24, 30, 32, 47, 48, 71, 72, 88])
@pytest.mark.parametrize("bit", [0, 7])
def test_a_forged_header_is_refused(position: int, bit: int) -> None:
    """A forger can make the check sum right, but not the rest."""
    backup = bytearray(made(b"database"))
    backup[position] ^= 1 << bit
    with pytest.raises((BackupDamaged, StoreTooNew, WrongKey)):
        read(with_check_sum(bytes(backup[:HEADER_BYTES])) + bytes(backup[HEADER_BYTES:]))


@pytest.mark.parametrize(
    ("operations", "memory"),
    [(0, 8192), (11, 8192), (2**32 - 1, 8192), (1, 0), (1, 8191), (1, 1024**3 + 1), (1, 2**64 - 1)],
)
def test_a_forged_cost_is_refused_before_it_is_paid(
    operations: int, memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = made(b"database")
    header = with_check_sum(backup[:20] + struct.pack("<IQ", operations, memory) + backup[32:HEADER_BYTES])
    monkeypatch.setattr(sodium, "crypto_pwhash_alg", lambda *_: pytest.fail("it was paid"))
    with pytest.raises(BackupDamaged, match="forged"):
        read(header + backup[HEADER_BYTES:])


@pytest.mark.parametrize("version", [2, 3, 2**32 - 1])
@pytest.mark.parametrize("length", [20, 40, 10_000])
def test_a_later_format(version: int, length: int) -> None:
    """Whatever comes behind the version: that is for the later release to say."""
    backup = MAGIC + struct.pack("<I", version) + os.urandom(length - 20)
    with pytest.raises(StoreTooNew, match=f"format {version}.*Upgrade"):
        read(backup)


def test_version_zero_never_was() -> None:
    backup = made(b"database")
    header = with_check_sum(backup[:16] + bytes(4) + backup[20:HEADER_BYTES])
    with pytest.raises(BackupDamaged):
        read(header + backup[HEADER_BYTES:])


@pytest.mark.parametrize("file", [b"", b"\0", b"SQLite format 3\0" * 100, b"session-backup\n\n" * 10, os.urandom(500)])
def test_something_else(file: bytes) -> None:
    with pytest.raises(BackupDamaged, match="no backup"):
        read(file)


@pytest.mark.parametrize("length", [1, 15, 16, 19, 20, 50, HEADER_BYTES - 1])
def test_a_header_cut_short(length: int, backup: bytes) -> None:
    with pytest.raises(BackupDamaged, match="cut short"):
        read(backup[:length])


_EDGES = [HEADER_BYTES + chunks * STEP for chunks in range(4)]


@pytest.mark.parametrize(
    "length",
    [*(edge - 1 for edge in _EDGES[1:]), *(edge + more for edge in _EDGES for more in (0, 1, 16, OVERHEAD_BYTES, 100))],
)
def test_cut_at_every_chunks_edge(length: int, backup: bytes) -> None:
    assert length < len(backup)
    with pytest.raises(BackupDamaged, match="cut short"):
        read(backup[:length])


@pytest.mark.parametrize("chunk", range(4))
@pytest.mark.parametrize("where", [0, 1, 17, 1000, -17, -1])
def test_a_flipped_bit_in_every_chunk(chunk: int, where: int, backup: bytes) -> None:
    begin = HEADER_BYTES + chunk * STEP
    size = min(STEP, len(backup) - begin)
    damaged = bytearray(backup)
    damaged[begin + where % size] ^= 1
    with pytest.raises(BackupDamaged, match=f"damaged.*between the bytes {begin} and {begin + size}"):
        read(bytes(damaged))


def _chunks(backup: bytes) -> list[bytes]:
    return [backup[at : at + STEP] for at in range(HEADER_BYTES, len(backup), STEP)]


_Shuffle = Callable[[list[bytes]], list[bytes]]


@pytest.mark.parametrize(
    "shuffle",
    [
        lambda c: [c[1], c[0], c[2], c[3]],
        lambda c: [c[0], c[2], c[1], c[3]],
        lambda c: [c[0], c[0], c[1], c[2], c[3]],
        lambda c: [c[0], c[1], c[1], c[3]],
        lambda c: [c[0], c[2], c[3]],
        lambda c: [c[1], c[2], c[3]],
        lambda c: [c[3]],
        lambda c: [c[0], c[1], c[2]],
    ],
    ids=["first two swapped", "swapped", "first twice", "one instead of another", "left out", "first left out",
         "only the last", "last left out"],
)  # fmt: skip
def test_chunks_in_another_order(shuffle: _Shuffle, backup: bytes) -> None:
    with pytest.raises(BackupDamaged):
        read(backup[:HEADER_BYTES] + b"".join(shuffle(_chunks(backup))))


def test_chunks_of_another_backup_of_the_same_passphrase(backup: bytes) -> None:
    other = made(random.Random(1).randbytes(3 * CHUNK_BYTES))
    mine, theirs = _chunks(backup), _chunks(other)
    for index in range(4):
        mixed = [*mine[:index], theirs[index], *mine[index + 1 :]]
        with pytest.raises(BackupDamaged):
            read(backup[:HEADER_BYTES] + b"".join(mixed))


@pytest.mark.parametrize("tail", [b"\0", b"x" * 17, b"x" * STEP])
def test_something_behind_the_end(tail: bytes, backup: bytes) -> None:
    with pytest.raises(BackupDamaged):
        read(backup + tail)


def test_something_behind_a_full_last_chunk() -> None:
    exact = made(bytes(CHUNK_BYTES))
    space = CHUNK_BYTES - (len(exact) - HEADER_BYTES - OVERHEAD_BYTES - STEP)
    backup = made(bytes(space))
    with pytest.raises(BackupDamaged, match=f"behind its end: it should have {len(backup)} bytes"):
        read(backup + b"\0")


def test_the_first_chunk_without_its_header(backup: bytes) -> None:
    with pytest.raises(BackupDamaged):
        read(made(b"")[:HEADER_BYTES] + backup[HEADER_BYTES:])


# --- whole, but senseless: made by somebody who knows the passphrase ----------------------------------------------


@pytest.mark.parametrize("says", [0, 99, 101, 10**15])
def test_another_size_than_it_says(says: int) -> None:
    with pytest.raises(BackupDamaged, match="as much as it says"):
        read(made(bytes(100), says=says))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0\0\0",
        b"\2\0\0\0{}",
        b"\5\0\0\0{}",
        b"\xff\xff\xff\xff{}",
        b"\4\0\0\0null",
        b"\2\0\0\0[]",
        b"\3\0\0\0\xff\xff\xff",
        b"\x00\x40\0\0" + b"[" * 0x4000,
    ],
)
def test_a_senseless_description(content: bytes) -> None:
    parts: list[bytes] = []
    writer = BackupWriter(parts.append, secrets())
    writer.describe(DESCRIPTION)
    writer._held.clear()
    writer.write(content)
    writer.finish()
    with pytest.raises(BackupDamaged, match="makes no sense"):
        read(b"".join(parts))


@pytest.mark.parametrize(
    "fields",
    [{"messages": "7"}, {"messages": -1}, {"messages": True}, {"profile": 7}, {"database_key": b"short"}],
)
def test_a_description_of_wrong_types(fields: dict[str, object]) -> None:
    parts: list[bytes] = []
    writer = BackupWriter(parts.append, secrets())
    writer.describe(replace(DESCRIPTION, **fields))  # type: ignore[arg-type]
    writer.finish()
    with pytest.raises(BackupDamaged, match="makes no sense"):
        read(b"".join(parts))


def test_a_source_that_fails() -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(UnreadableInput, match="Input/output error"):
        BackupReader(Broken(), secrets())
