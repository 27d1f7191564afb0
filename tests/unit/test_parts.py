"""Files in parts: what is sent, what is made of it, and manifests that lie."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_cli.core.attachments import Attachments, OutgoingFile
from session_cli.core.files import Files, ReceivedFile
from session_cli.core.manifest import (
    ENDING,
    MOST_BYTES,
    MOST_PARTS,
    Manifest,
    Part,
    hint,
    parse_manifest,
    part_name,
    whole_name,
)
from session_cli.core.parts import ALL_APPS_TAKE, Splitter, Uploaded
from session_cli.core.profile import Profile
from session_cli.errors import AttachmentCorrupt, AttachmentTooLarge, EmptyMessage, MessageTooLong, UnreadableInput
from session_cli.network.clock import Deadline
from session_cli.protocol.attachment import encrypted_size
from session_cli.protocol.content import MAX_ATTACHMENTS
from session_cli.store.records import AttachmentRow

PART = 20_000
"""Bytes in a part, as the limit below makes it; exactly what fits."""


def largest() -> int:
    """The largest file under the limit of these tests."""
    return max(size for size in range(PART, 2 * PART) if encrypted_size(size) <= encrypted_size(PART))


LARGEST = largest()
SHA256 = "ab" * 32


@dataclass
class Shelf:
    """Attachments that lie in memory, in place of a file server."""

    limit: int = encrypted_size(PART)
    files: dict[str, bytes] = field(default_factory=dict)

    def check_size(self, file: OutgoingFile) -> None:
        raise EmptyMessage(file.label)

    def upload(self, file: OutgoingFile, deadline: Deadline, progress: object = None) -> AttachmentRow:
        data = b"".join(iter(lambda: file.source.read(3333), b""))
        if not data:
            raise EmptyMessage(file.label)
        assert len(data) <= LARGEST
        url = str(len(self.files))
        self.files[url] = data
        return AttachmentRow(url, b"", b"", len(data), file.content_type, file.name, id=len(self.files))

    def fetch(self, row: AttachmentRow, deadline: Deadline, progress: object = None) -> Fetched:
        return Fetched(self.files[row.url])


@dataclass
class Fetched:
    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)

    def plaintext(self) -> Iterator[bytes]:
        yield self.data[:100]
        yield self.data[100:]

    def __enter__(self) -> Fetched:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def outgoing(data: bytes, *, name: str | None = "a.bin", known: bool = True) -> OutgoingFile:
    """A file to be sent, whose size is known, or not."""
    return OutgoingFile(io.BytesIO(data), "a.bin", name, "application/x-thing", len(data) if known else None)


def send(shelf: Shelf, *files: OutgoingFile, body: str = "") -> list[Uploaded]:
    splitter = Splitter(cast(Attachments, shelf))
    splitter.check(files, body)
    return splitter.upload(files, Deadline(None), None)


def received(shelf: Shelf, rows: Sequence[AttachmentRow]) -> Files:
    """The files of one message with these attachments; their ids are their places."""
    row = SimpleNamespace(attachments=tuple(rows))
    store = SimpleNamespace(messages=SimpleNamespace(get=lambda message_id: row, saving=list))
    profile = SimpleNamespace(folder=Path("/"), store=store)
    return Files(
        cast(Profile, profile),
        lambda: cast(Attachments, shelf),
        lambda: Deadline(None),
        cast("Callable[[str], Any]", lambda name: name),
        lambda message_id: None,
    )


def contents(files: Files, file: ReceivedFile) -> bytes:
    pieces: list[bytes] = []
    assert files.write(file, pieces.append) == sum(map(len, pieces))
    return b"".join(pieces)


SIZES = st.one_of(
    st.integers(1, 4 * LARGEST),
    st.builds(lambda parts, off: max(1, parts * LARGEST + off), st.integers(1, 31), st.integers(-2, 2)).filter(
        lambda size: size <= MOST_PARTS * LARGEST
    ),
)


@given(st.lists(st.tuples(SIZES, st.booleans()), min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_what_is_sent_in_parts_comes_out_whole(sizes: list[tuple[int, bool]], random: Any) -> None:
    """Any number of files of any sizes, as long as all fit into one message, in their order."""
    shelf = Shelf()
    blobs = [(random.randbytes(min(size, 5000)) * (size // 5000 + 1))[:size] for size, _ in sizes]
    files = [
        outgoing(data, name=f"{number}.bin", known=known)
        for number, (data, (_, known)) in enumerate(zip(blobs, sizes, strict=True))
    ]
    needed = [1 if size <= LARGEST else 1 + -(-size // LARGEST) for size, _ in sizes]
    if sum(needed) > MAX_ATTACHMENTS:
        with pytest.raises(AttachmentTooLarge):
            send(shelf, *files)
        return
    sent = send(shelf, *files)
    rows = [row for uploaded in sent for row in uploaded.attachments]
    assert [len(uploaded.attachments) for uploaded in sent] == needed
    assert [uploaded.hint is not None for uploaded in sent] == [count > 1 for count in needed]
    access = received(shelf, rows)
    whole = access.of(1)
    assert [file.name for file in whole] == [f"{number}.bin" for number in range(len(files))]
    assert [file.content_type for file in whole] == ["application/x-thing"] * len(files)
    assert [file.size for file in whole] == [size for size, _ in sizes]
    assert [contents(access, file) for file in whole] == blobs
    assert len(access.of(1, parts=True)) == len(rows)


def test_parts_can_be_joined_by_hand() -> None:
    """They are called so that a shell lists them in their order, and the message tells how."""
    shelf, data = Shelf(), bytes(range(256)) * 300
    (sent,) = send(shelf, outgoing(data))
    *parts, manifest = sent.attachments
    names = [str(row.name) for row in parts]
    assert names == sorted(names) == [f"a.bin.{number:03d}" for number in range(1, len(parts) + 1)]
    assert b"".join(shelf.files[row.url] for row in parts) == data
    assert {row.content_type for row in parts} == {"application/octet-stream"}
    assert (manifest.name, manifest.content_type) == ("a.bin.parts.json", "application/json")
    assert sent.hint == f"a.bin comes in {len(parts)} parts. To join them: cat a.bin.0* > a.bin"


def test_names_are_quoted_for_the_shell() -> None:
    assert hint("a b.bin", 2).endswith("cat 'a b.bin'.0* > 'a b.bin'")
    assert hint("$(x);.bin", 2).endswith("cat '$(x);.bin'.0* > '$(x);.bin'")


def test_what_has_no_name_gets_one() -> None:
    shelf = Shelf()
    (sent,) = send(shelf, outgoing(bytes(3 * PART), name=None))
    assert [row.name for row in sent.attachments][-1] == "file" + ENDING
    (sent,) = send(shelf, outgoing(bytes(3 * PART), name="é" * 300 + ".bin"))
    names = [str(row.name) for row in sent.attachments]
    assert len(names[-1].encode()) <= 200
    assert names[-1].endswith(".bin" + ENDING)
    assert names[0].endswith(".bin.001")


def test_files_of_the_same_name_are_kept_apart() -> None:
    """Also from a file that is called like a part."""
    shelf = Shelf()
    blobs = [bytes([number]) * (LARGEST + 1) for number in range(3)]
    files = [outgoing(blobs[0]), outgoing(blobs[1]), outgoing(b"x", name="b.bin.001"), outgoing(blobs[2], name="b.bin")]
    rows = [row for sent in send(shelf, *files) for row in sent.attachments]
    access = received(shelf, rows)
    found = access.of(1)
    assert [file.name for file in found] == ["a.bin", "a (2).bin", "b.bin.001", "b (2).bin"]
    assert [contents(access, file) for file in found] == [blobs[0], blobs[1], b"x", blobs[2]]


def test_too_large_is_known_before_anything_is_sent() -> None:
    shelf = Shelf()
    most = MOST_PARTS * LARGEST
    with pytest.raises(AttachmentTooLarge, match=f"holds 31 of {LARGEST:,} bytes"):
        send(shelf, outgoing(bytes(most + 1)))
    with pytest.raises(AttachmentTooLarge, match="32 attachments"):
        send(shelf, outgoing(bytes(most)), outgoing(b"x"))
    with pytest.raises(EmptyMessage):
        send(shelf, outgoing(bytes(most)), outgoing(b""))
    with pytest.raises(MessageTooLong):
        send(shelf, outgoing(bytes(most)), body="x" * 2000)
    with pytest.raises(MessageTooLong):
        send(shelf, outgoing(b"x", known=False), body="x" * 2000)
    assert shelf.files == {}
    send(shelf, outgoing(b"x"), body="x" * 2000)


def test_a_stream_that_does_not_end() -> None:
    shelf = Shelf()
    (sent,) = send(shelf, outgoing(bytes(MOST_PARTS * LARGEST), known=False))
    assert len(sent.attachments) == MAX_ATTACHMENTS
    with pytest.raises(AttachmentTooLarge, match="even in parts"):
        send(shelf, outgoing(bytes(MOST_PARTS * LARGEST + 1), known=False))
    with pytest.raises(AttachmentTooLarge, match="no room for its parts"):
        send(shelf, *(outgoing(b"x") for _ in range(31)), outgoing(bytes(2 * PART), known=False))
    with pytest.raises(EmptyMessage):
        send(shelf, outgoing(b"", known=False))


def test_a_stream_that_breaks() -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if size == 1:
                raise OSError(5, "Input/output error")
            return super().read(size)

    file = replace(outgoing(bytes(3 * PART), known=False), source=Broken(bytes(3 * PART)))
    with pytest.raises(UnreadableInput, match="Input/output error"):
        send(Shelf(), file)


def test_a_file_that_grows_or_shrinks_meanwhile() -> None:
    """What arrives is whole, of whichever length it had."""
    for size in (1, LARGEST, LARGEST + 1, 5 * PART):
        shelf = Shelf()
        (sent,) = send(shelf, replace(outgoing(bytes(size)), size=3 * PART))
        access = received(shelf, sent.attachments)
        (file,) = access.of(1)
        assert contents(access, file) == bytes(size)
        assert (file.name, file.content_type) == ("a.bin", "application/x-thing")


def test_every_app_takes_the_parts() -> None:
    """iOS takes what has ten million bytes once it is encrypted."""
    assert encrypted_size(ALL_APPS_TAKE) <= 10_000_000 < encrypted_size(ALL_APPS_TAKE + 1)


# Manifests.

MANIFEST: dict[str, Any] = {
    "session_parts": 1,
    "name": "a.bin",
    "size": 30,
    "sha256": SHA256,
    "content_type": "text/plain",
    "parts": [
        {"name": "a.bin.001", "size": 10, "sha256": SHA256},
        {"name": "a.bin.002", "size": 20, "sha256": SHA256},
    ],
}


@given(
    st.text().filter(lambda name: name.isprintable()),
    st.lists(st.tuples(st.integers(1, 2**40), st.binary(min_size=32, max_size=32)), min_size=1, max_size=31),
)
def test_a_manifest_comes_back_as_it_was(name: str, parts: list[tuple[int, bytes]]) -> None:
    made = tuple(Part(part_name(name, number), size, sha.hex()) for number, (size, sha) in enumerate(parts, 1))
    manifest = Manifest(name, sum(part.size for part in made), SHA256, "text/plain", made)
    assert parse_manifest(manifest.serialize()) == manifest


def test_the_longest_manifest_is_no_longer_than_is_read() -> None:
    name = whole_name("\x7f" * 1000)
    parts = tuple(Part(part_name(name, number), 2**40, SHA256) for number in range(1, MOST_PARTS + 1))
    assert len(Manifest(name, 31 * 2**40, SHA256, "x" * 200, parts).serialize()) <= MOST_BYTES


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"1",
        b"null",
        b'"session_parts"',
        b"{}",
        b'{"a": 1}',
        b"\xff\xfe",
        b"[" * 60_000,
        b"{" * 60_000,
    ],
    ids=lambda data: repr(data[:12]),
)
def test_other_files_are_no_manifests(data: bytes) -> None:
    assert parse_manifest(data) is None


LIES: dict[str, dict[str, Any]] = {
    "a later version": {"session_parts": 2},
    "no version": {"session_parts": None},
    "no parts": {"parts": []},
    "parts that are none": {"parts": {}},
    "parts that are numbers": {"parts": [1, 2]},
    "parts without anything": {"parts": [{}]},
    "too many parts": {"parts": [{"name": str(i), "size": 1, "sha256": SHA256} for i in range(32)], "size": 32},
    "another size": {"size": 31},
    "a negative size": {"size": -30},
    "no size": {"size": None},
    "a size of no number": {"size": "30"},
    "a size that is true": {"size": True},
    "an enormous size": {"size": 10**30},
    "half a hash": {"sha256": "ab" * 16},
    "no hash": {"sha256": None},
    "no name": {"name": None},
    "a name that is no text": {"name": "\ud800"},
    "no type": {"content_type": 1},
    "the same part twice": {"parts": [MANIFEST["parts"][0]] * 3},
    "a part of no size": {"parts": [{**MANIFEST["parts"][0], "size": 0}, {**MANIFEST["parts"][1], "size": 30}]},
}


@pytest.mark.parametrize("lie", LIES)
def test_manifests_that_contradict_themselves(lie: str) -> None:
    assert parse_manifest(json.dumps(MANIFEST).encode()) is not None
    with pytest.raises(AttachmentCorrupt):
        parse_manifest(json.dumps(MANIFEST | LIES[lie]).encode())


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x, max_size=3)), st.data()
)
def test_no_manifest_breaks_anything(value: Any, data: st.DataObject) -> None:
    values = dict(MANIFEST)
    values[data.draw(st.sampled_from(sorted(values)))] = value
    with contextlib.suppress(AttachmentCorrupt):
        parse_manifest(json.dumps(values).encode())


# What came.


@pytest.fixture
def message() -> tuple[Shelf, list[AttachmentRow]]:
    """A file in three parts and its manifest."""
    shelf = Shelf()
    (sent,) = send(shelf, outgoing(b"a" * LARGEST + b"b" * LARGEST + b"c"))
    assert len(sent.attachments) == 4
    return shelf, list(sent.attachments)


Message = tuple[Shelf, list[AttachmentRow]]


def refuse(shelf: Shelf, rows: Sequence[AttachmentRow], words: str) -> None:
    """It can't be joined, for a reason, and all of it can be had as it is."""
    access = received(shelf, rows)
    with pytest.raises(AttachmentCorrupt, match=words) as refused:
        for file in access.of(1):
            contents(access, file)
    assert "--parts" in refused.value.message
    as_they_are = access.of(1, parts=True)
    assert [contents(access, file) for file in as_they_are] == [shelf.files[row.url] for row in rows]


def test_in_any_order(message: Message) -> None:
    shelf, rows = message
    access = received(shelf, rows[::-1])
    (file,) = access.of(1)
    assert contents(access, file) == b"a" * LARGEST + b"b" * LARGEST + b"c"
    assert file.part_ids == (1, 2, 3)
    assert file.id == 4


def test_a_part_is_missing(message: Message) -> None:
    shelf, rows = message
    refuse(shelf, [rows[0], *rows[2:]], r"a\.bin\.002 is not in the message")


def test_a_part_is_there_twice(message: Message) -> None:
    shelf, rows = message
    refuse(shelf, [*rows, replace(rows[0], id=9)], r"a\.bin\.001 is there more than once")


def test_parts_are_exchanged(message: Message) -> None:
    shelf, rows = message
    refuse(shelf, [replace(rows[0], url=rows[1].url), *rows[1:]], r"a\.bin\.001 is not the part")


def test_a_part_is_of_another_size(message: Message) -> None:
    shelf, rows = message
    refuse(shelf, [replace(rows[0], size=1), *rows[1:]], "not of the size")
    shelf.files[rows[2].url] = b"cc"
    refuse(shelf, rows, r"a\.bin\.003 is not the part")


def test_the_whole_is_something_else(message: Message) -> None:
    shelf, rows = message
    values = json.loads(shelf.files[rows[3].url])
    shelf.files[rows[3].url] = json.dumps(values | {"sha256": SHA256}).encode()
    refuse(shelf, rows, "not those of a.bin")


def test_nothing_is_handed_out_before_all_of_it_is_genuine(message: Message) -> None:
    shelf, rows = message
    shelf.files[rows[2].url] = b"x"
    access = received(shelf, rows)
    (file,) = access.of(1)
    pieces: list[bytes] = []
    with pytest.raises(AttachmentCorrupt):
        access.write(file, pieces.append)
    assert pieces == []


def test_two_manifests_for_the_same_parts(message: Message) -> None:
    shelf, rows = message
    refuse(shelf, [*rows, replace(rows[3], id=9, name="b" + ENDING)], "overlap")


def test_a_manifest_that_names_itself(message: Message) -> None:
    shelf, rows = message
    values = json.loads(shelf.files[rows[3].url])
    values["parts"][0]["name"] = rows[3].name
    shelf.files[rows[3].url] = json.dumps(values).encode()
    refuse(shelf, rows, "is not in the message")


def test_a_manifest_that_lies(message: Message) -> None:
    shelf, rows = message
    shelf.files[rows[3].url] = json.dumps({"session_parts": 1}).encode()
    refuse(shelf, rows, "makes no sense")
    shelf.files[rows[3].url] = json.dumps({"session_parts": 7}).encode()
    refuse(shelf, rows, "newer")


@pytest.mark.parametrize(
    "change",
    [{"name": "a.json"}, {"name": None}, {"content_type": "text/plain"}, {"size": 10_000_000}],
    ids=str,
)
def test_what_is_not_called_a_manifest_is_none(message: Message, change: dict[str, Any]) -> None:
    """It is not even downloaded to find out."""
    shelf, rows = message
    changed = [*rows[:3], replace(rows[3], **change)]
    del shelf.files[rows[3].url]
    assert [file.attachments for file in received(shelf, changed).of(1)] == [(row,) for row in changed]


def test_a_manifest_larger_than_its_message_says(message: Message) -> None:
    shelf, rows = message
    shelf.files[rows[3].url] = shelf.files[rows[3].url] + b" " * MOST_BYTES
    assert len(received(shelf, rows).of(1)) == 4


def test_a_hostile_name_is_made_safe(message: Message) -> None:
    shelf, rows = message
    values = json.loads(shelf.files[rows[3].url])
    shelf.files[rows[3].url] = json.dumps(values | {"name": "../../etc/passwd\x1b"}).encode()
    (file,) = received(shelf, rows).of(1)
    assert file.safe_name() == "passwd"
