"""Files that are too large for one attachment, from one person to another and to their other devices."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from session_cli.core.spool import largest_plaintext
from session_cli.devnet.network import Devnet, DevnetOptions
from tests.support.devnet import SESSION, Person
from tests.support.memory import peak_kb
from tests.support.outcomes import check_json_refusal, check_refusal, temporary_files
from tests.support.strangers import Stranger, upload

LIMIT = 200_000
MOST = largest_plaintext(LIMIT)
"""Bytes of the largest file that goes whole."""
DATA = os.urandom(2 * MOST + 12_345)


@pytest.fixture(scope="module")
def small_net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    """A network whose file server takes small files only."""
    with Devnet(DevnetOptions(max_file_size=LIMIT, data_dir=tmp_path_factory.mktemp("network"))) as net:
        yield net


@pytest.fixture(scope="module")
def definition(small_net: Devnet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("definition") / "network.toml"
    small_net.write_definition(path)
    return path


@pytest.fixture
def couple(definition: Path, tmp_path: Path) -> tuple[Person, Person]:
    """Alice and Bob, who have written to each other."""
    alice, bob = (Person(tmp_path / name, definition).init("--name", name.title()) for name in ("alice", "bob"))
    bob.run("send", alice.id, "hello")
    alice.receive()
    return alice, bob


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where files are to be saved."""
    path = tmp_path / "saved"
    path.mkdir()
    return path


def new(who: Person) -> list[dict[str, Any]]:
    """The messages that came."""
    return who.receive("--type", "message")


def names(message: dict[str, Any]) -> list[str]:
    return [file["name"] for file in message["attachments"]]


def on_the_shelf(net: Devnet) -> set[Path]:
    """The files that the file server keeps."""
    assert net.options.data_dir is not None
    return set((net.options.data_dir / "files").iterdir())


def test_there_and_back(couple: tuple[Person, Person], folder: Path, tmp_path: Path) -> None:
    """Bob, and Alice's other device, get the one file that her first device sent."""
    alice, bob = couple
    laptop = alice.second_device()
    (tmp_path / "a b.tar").write_bytes(DATA)
    alice.run("attach", "send", bob.id, str(tmp_path / "a b.tar"), "--split", "--caption", "here you are")
    (message,) = new(bob)
    assert names(message) == ["a b.tar.001", "a b.tar.002", "a b.tar.003", "a b.tar.parts.json"]
    assert [file["size"] for file in message["attachments"][:3]] == [MOST, MOST, 12_345]
    assert message["body"] == ("here you are\n\na b.tar comes in 3 parts. To join them: cat 'a b.tar'.0* > 'a b.tar'")
    save = ("attach", "save", str(message["id"]), "-o")
    assert bob.run(*save, "-").stdout == DATA
    (saved,) = bob.run(*save, str(folder), "--json").objects
    ids = [file["id"] for file in message["attachments"]]
    assert (saved["parts"], saved["attachment_id"]) == (ids[:3], ids[3])
    assert Path(saved["path"]) == folder / "a b.tar"
    assert (folder / "a b.tar").read_bytes() == DATA
    assert (folder / "a b.tar").stat().st_mode & 0o777 == 0o600
    bob.run(*save, str(folder / "other.tar"))
    assert (folder / "other.tar").read_bytes() == DATA
    check_refusal(bob.try_run(*save, str(folder / "other.tar")), 73, "--force")
    bob.run(*save, str(folder / "other.tar"), "--force")
    (listed,) = bob.run("attach", "list", "--json").objects
    assert {file["saved"] for file in listed["attachments"]} == {str(folder / "other.tar")}
    *_, copy = new(laptop)
    assert laptop.run("attach", "save", str(copy["id"]), "-o", "-").stdout == DATA
    assert [temporary_files(who.home) for who in (alice, bob, laptop)] == [[], [], []]


def test_the_parts_as_they_are(couple: tuple[Person, Person], folder: Path) -> None:
    """As the message says, a shell is enough to join them."""
    alice, bob = couple
    alice.run("attach", "send", bob.id, "-", "--name", "a.bin", "--split", stdin=DATA)
    (message,) = new(bob)
    save = ("attach", "save", str(message["id"]))
    assert len(bob.run(*save, "--parts", "-o", str(folder)).lines) == 4
    assert sorted(path.name for path in folder.iterdir()) == names(message)
    command = message["body"].partition("To join them: ")[2]
    subprocess.run(["sh", "-c", command], cwd=folder, check=True)
    assert (folder / "a.bin").read_bytes() == DATA
    assert bob.run(*save, "--number", "3", "-o", "-").stdout == DATA[2 * MOST :]
    manifest = json.loads(bob.run(*save, "-n", "4", "-o", "-").stdout)
    assert (manifest["session_parts"], manifest["name"], manifest["size"]) == (1, "a.bin", len(DATA))
    check_refusal(bob.try_run(*save, "--parts", "-o", "-"), 2, "4 files")


def test_what_is_small_enough_goes_whole(couple: tuple[Person, Person], tmp_path: Path) -> None:
    alice, bob = couple
    (tmp_path / "a.txt").write_bytes(DATA[:MOST])
    alice.run("attach", "send", bob.id, str(tmp_path / "a.txt"), "--split", "--caption", "small")
    alice.run("attach", "send", bob.id, "-", "--name", "b.txt", "--split", stdin=DATA[:MOST])
    first, second = new(bob)
    assert (names(first), first["body"]) == (["a.txt"], "small")
    assert (names(second), second["body"]) == (["b.txt"], "")
    assert second["attachments"][0]["content_type"] == "text/plain"


def test_several_files_some_of_them_in_parts(couple: tuple[Person, Person], folder: Path, tmp_path: Path) -> None:
    alice, bob = couple
    for name, size in (("a.txt", 5), ("b.bin", MOST + 1), ("c.txt", 7), ("d.bin", len(DATA))):
        (tmp_path / name).write_bytes(DATA[:size])
    alice.run(
        "attach", "send", bob.id, *(str(tmp_path / name) for name in ("a.txt", "b.bin", "c.txt", "d.bin")), "--split"
    )
    (message,) = new(bob)
    assert len(message["attachments"]) == 9
    assert message["body"].count("To join them") == 2
    saved = bob.run("attach", "save", str(message["id"]), "-o", str(folder)).lines
    assert [Path(path).name for path in saved] == ["a.txt", "b.bin", "c.txt", "d.bin"]
    for path in map(Path, saved):
        assert path.read_bytes() == (tmp_path / path.name).read_bytes()
    check_refusal(bob.try_run("attach", "save", str(message["id"]), "-o", str(folder / "one")), 2, "4 files")


def test_too_large_is_said_before_anything_is_sent(
    couple: tuple[Person, Person], small_net: Devnet, tmp_path: Path
) -> None:
    alice, bob = couple
    before = on_the_shelf(small_net)
    with (tmp_path / "huge.bin").open("wb") as file:
        file.truncate(31 * MOST + 1)
    send = ("attach", "send", bob.id, str(tmp_path / "huge.bin"))
    check_refusal(alice.try_run(*send), 65, "huge.bin", "--split")
    check_refusal(alice.try_run(*send, "--split"), 65, "huge.bin", "31")
    check_json_refusal(alice.try_run(*send, "--split", "--json"), 65, "attachment_too_large")
    with (tmp_path / "huge.bin").open("wb") as file:
        file.truncate(31 * MOST)
    check_refusal(alice.try_run(*send, "/etc/hostname", "--split"), 65, "32 attachments")
    check_json_refusal(alice.try_run(*send, "--split", "--caption", "x" * 1990, "--json"), 65, "message_too_long")
    assert on_the_shelf(small_net) == before
    assert temporary_files(alice.home) == []
    assert new(bob) == []


def test_received_files_are_joined_on_the_way(couple: tuple[Person, Person], tmp_path: Path) -> None:
    alice, bob = couple
    alice.run("attach", "send", bob.id, "-", "--name", "a.bin", "--split", stdin=DATA)
    bob.run("attach", "send", alice.id, "-", "--name", "a.bin", "--split", stdin=DATA)
    messages = alice.receive("--download", str(tmp_path / "new"), "--type", "message")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.bin"]
    assert (tmp_path / "new" / "a.bin").read_bytes() == DATA
    (message,) = messages
    assert {file["saved"] for file in message["attachments"]} == {str(tmp_path / "new" / "a.bin")}


@pytest.mark.parametrize("number", range(4))
def test_a_part_that_is_gone(number: int, couple: tuple[Person, Person], small_net: Devnet, folder: Path) -> None:
    """Nothing is saved then; what is still there can be had as it is."""
    alice, bob = couple
    before = on_the_shelf(small_net)
    alice.run("attach", "send", bob.id, "-", "--name", "a.bin", "--split", stdin=DATA)
    shelf = sorted(on_the_shelf(small_net) - before, key=lambda path: path.stat().st_mtime_ns)
    shelf[number].unlink()
    messages = bob.try_run("recv", "--json", "--type", "message", "--download", str(folder))
    assert messages.code == 1
    assert list(folder.iterdir()) == []
    message, error = sorted(messages.objects, key=lambda found: str(found["type"]), reverse=True)
    assert error["error"] == "file_gone"
    assert error["message"].endswith(f"session attach save {message['id']}")
    save = ("attach", "save", str(message["id"]))
    check_refusal(bob.try_run(*save, "-o", str(folder)), 69)
    check_refusal(bob.try_run(*save, "-o", "-"), 69)
    assert list(folder.iterdir()) == []
    done = bob.try_run(*save, "--all", "--parts", "-o", str(folder))
    assert done.code == 1
    assert len(done.lines) == 3
    assert sorted(path.name for path in folder.iterdir()) == names(message)[:number] + names(message)[number + 1 :]
    assert temporary_files(bob.home) == []


def test_manifests_that_lie(
    couple: tuple[Person, Person], small_net: Devnet, definition: Path, folder: Path, tmp_path: Path
) -> None:
    """They are refused, and what they speak of can be had as it is; or they are files like others."""
    _, bob = couple
    stranger = Stranger(small_net)
    part = replace(upload(definition, tmp_path / "cache", b"part"), file_name="../a.bin.001")
    sha256 = "f34f6a0a5b7fcc4b7b1b6a1ec0c0a1ef8d6c6e2df0e5a7f0f9d1a8e1c8e9d7b0"
    honest: dict[str, Any] = {
        "session_parts": 1,
        "name": "../../x",
        "size": 4,
        "sha256": sha256,
        "content_type": "text/plain",
        "parts": [{"name": "../a.bin.001", "size": 4, "sha256": sha256}],
    }

    def say(manifest: bytes) -> str:
        pointer = upload(definition, tmp_path / "cache", manifest)
        listed = replace(pointer, file_name="x.parts.json", content_type="application/json")
        stranger.say(bob.id, files=[part, listed])
        (message,) = new(bob)
        return str(message["id"])

    for lie in ({}, {"session_parts": 9}, {"size": 5}, {"parts": [{"name": "b", "size": 4, "sha256": sha256}]}):
        message_id = say(json.dumps(honest | lie).encode())
        check_refusal(bob.try_run("attach", "save", message_id, "-o", str(folder)), 65, "--parts")
        check_json_refusal(
            bob.try_run("attach", "save", message_id, "-o", str(folder / "x"), "--json"), 65, "attachment_corrupt"
        )
        assert list(folder.iterdir()) == []
    assert len(bob.run("attach", "save", message_id, "--parts", "-o", str(folder)).lines) == 2
    for other in (b"{}", b"[" * 60_000, os.urandom(70_000)):
        assert len(bob.run("attach", "save", say(other), "-o", str(folder)).lines) == 2
    assert {path.parent for path in folder.iterdir()} == {folder}


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(shared_definition: Path, tmp_path: Path) -> None:
    """Neither that of who sends parts nor that of who joins them."""
    alice = Person(tmp_path / "alice", shared_definition).init()
    peaks = []
    for number, size in enumerate((1_000, 60_000_000), start=1):
        path = tmp_path / f"{number}.bin"
        with path.open("wb") as file:
            file.truncate(size)
        send = peak_kb([*SESSION, "attach", "send", "me", path, "--split"], alice.environment)
        target = tmp_path / f"{number}.out"
        save = peak_kb([*SESSION, "attach", "save", str(number), "-o", target], alice.environment)
        assert target.stat().st_size == size
        peaks.append((send, save))
    (send_small, save_small), (send_large, save_large) = peaks
    assert send_large - send_small < 30_000
    assert save_large - save_small < 30_000
