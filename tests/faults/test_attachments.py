"""Files that somebody damaged, took away or lied about: refused, with nothing left behind."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from session_cli.devnet.network import Devnet
from session_cli.protocol import content as contents
from session_cli.protocol.payload import AttachmentPointer, Content, VisibleMessage
from session_cli.protocol.proto import session_pb2
from tests.support.devnet import SESSION, Person
from tests.support.outcomes import check_json_refusal, check_refusal, files_below, objects, run_with, temporary_files
from tests.support.strangers import Stranger, upload, upload_stream

People = Callable[[str], Person]
DATA = b"the contents of a file\n" * 3000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where files are to be saved."""
    path = tmp_path / "saved"
    path.mkdir()
    return path


def on_the_shelf(net: Devnet) -> set[Path]:
    """The files that the file server keeps."""
    assert net.options.data_dir is not None
    return set((net.options.data_dir / "files").iterdir())


def nothing_left(person: Person, folder: Path) -> None:
    assert list(folder.iterdir()) == []
    assert temporary_files(person.home) == []


def cut(data: bytes) -> bytes:
    return data[:-1000]


def cut_to_a_whole_block(data: bytes) -> bytes:
    return data[:-1024]


def nothing(data: bytes) -> bytes:
    return b""


def middle_bit(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def last_bit(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def longer(data: bytes) -> bytes:
    return data + bytes(16)


def another_file(data: bytes) -> bytes:
    return os.urandom(len(data))


def enormous(data: bytes) -> bytes:
    return data + bytes(20_000_000)


@pytest.mark.parametrize(
    "damage",
    [
        cut,
        cut_to_a_whole_block,
        nothing,
        middle_bit,
        last_bit,
        another_file,
    ],
)
def test_damage_on_the_file_server(
    damage: Callable[[bytes], bytes], person: People, shared_net: Devnet, folder: Path
) -> None:
    alice, bob = person("Alice"), person("Bob")
    before = on_the_shelf(shared_net)
    alice.run("attach", "send", bob.id, "-", "--name", "a.txt", stdin=DATA)
    (shelf,) = on_the_shelf(shared_net) - before
    genuine = shelf.read_bytes()
    (message,) = bob.receive()
    save = ("attach", "save", str(message["id"]), "-o")
    shelf.write_bytes(damage(genuine))
    check_refusal(bob.try_run(*save, str(folder)), 65)
    check_refusal(bob.try_run(*save, str(folder / "b.txt")), 65)
    check_refusal(bob.try_run(*save, "-"), 65)
    check_json_refusal(bob.try_run(*save, str(folder), "--json"), 65, "attachment_corrupt")
    nothing_left(bob, folder)
    (folder / "b.txt").write_text("older")
    check_refusal(bob.try_run(*save, str(folder / "b.txt"), "--force"), 65)
    assert (folder / "b.txt").read_text() == "older"
    shelf.write_bytes(genuine)
    bob.run(*save, str(folder))
    assert (folder / "a.txt").read_bytes() == DATA


@pytest.mark.parametrize("change", [longer, enormous])
def test_more_on_the_file_server_than_there_should_be(
    change: Callable[[bytes], bytes],
    person: People,
    shared_net: Devnet,
    shared_definition: Path,
    tmp_path: Path,
    folder: Path,
) -> None:
    bob, stranger = person("Bob"), Stranger(shared_net)
    stranger.say(bob.id, files=[upload(shared_definition, tmp_path / "cache", DATA, change)])
    (message,) = bob.receive()
    check_refusal(bob.try_run("attach", "save", str(message["id"]), "-o", str(folder)), 65)
    nothing_left(bob, folder)


def test_gone_from_the_file_server(person: People, shared_net: Devnet, folder: Path) -> None:
    alice, before = person("Alice"), on_the_shelf(shared_net)
    alice.run("attach", "send", "me", "-", stdin=b"soon gone")
    (shelf,) = on_the_shelf(shared_net) - before
    shelf.unlink()
    check_refusal(alice.try_run("attach", "save", "1", "-o", str(folder)), 69, "14 days")
    nothing_left(alice, folder)


LIES: dict[str, dict[str, Any]] = {
    "another digest": {"digest": b"x" * 32},
    "a short digest": {"digest": b"x"},
    "no digest": {"digest": None},
    "another key": {"key": b"k" * 64},
    "no key": {"key": b""},
    "a short key": {"key": b"k" * 5},
    "a key of the other kind": {"key": b"k" * 32},
    "no size": {"size": 0},
    "a larger size": {"size": 10_000_000},
    "the largest size": {"size": 2**32 - 1},
    "no address": {"url": ""},
    "no address at all": {"url": "\x00\x1b[31m"},
    "a file here": {"url": "file:///etc/hostname"},
    "another host": {"url": "http://example.org/file/1"},
    "a malformed port": {"url": "http://127.0.0.1:99999/file/1"},
    "a folder": {"url": "http://127.0.0.1/file/"},
    "a malformed server key": {"url": "http://127.0.0.1/file/1#p=zz"},
    "a server key that is no point": {"url": "http://127.0.0.1/file/1#p=" + "ff" * 32},
    "line ends in the address": {"url": "http://127.0.0.1/file/1 HTTP/1.1\r\nX: y"},
}


def test_lies_about_a_file(
    person: People, shared_net: Devnet, shared_definition: Path, tmp_path: Path, folder: Path
) -> None:
    """Each is refused with a reason; the one file of the same message that is no lie can be had."""
    bob, stranger = person("Bob"), Stranger(shared_net)
    pointer = upload(shared_definition, tmp_path / "cache", DATA)
    stranger.say(bob.id, "look", files=[*(replace(pointer, **lie) for lie in LIES.values()), pointer])
    (message,) = bob.receive()
    save = ("attach", "save", str(message["id"]), "-o", str(folder), "--number")
    for number, lie in enumerate(LIES, start=1):
        refused = bob.try_run(*save, str(number))
        elsewhere = any(word in lie for word in ("address", "host", "server key"))
        assert refused.code in ((65, 69) if elsewhere else (65,)), f"{lie}: {refused}"
        check_refusal(refused, refused.code)
        assert "\x1b" not in refused.stderr
        nothing_left(bob, folder)
    bob.run(*save, str(len(LIES) + 1))
    assert (folder / "file.bin").read_bytes() == DATA


HOSTILE_NAMES = [
    "../x",
    "../../../../tmp/session-escape",
    "/etc/session-escape",
    "~/session-escape",
    "..",
    ".",
    "...",
    "",
    " ",
    "/",
    "a/b/c",
    "a\\b\\c",
    "C:\\x.txt",
    "..\\..\\x",
    "x\0y.txt",
    "\0",
    "n" * 255 + ".txt",
    "é" * 300,
    "x." + "e" * 400,
    "CON",
    "nul.txt",
    "COM1",
    ".bashrc",
    "-rf",
    "--help",
    "line\nend.txt",
    "\x1b[31mred\x1b[0m.txt",
    "invoice\u202egpj.exe",
    "zero\u200bwidth\ufeff",
    "trailing. . ",
    "taken.txt",
    "TAKEN.txt",
]


def test_hostile_names_stay_in_the_folder(
    person: People, shared_net: Devnet, shared_definition: Path, tmp_path: Path, folder: Path
) -> None:
    bob, stranger = person("Bob"), Stranger(shared_net)
    pointer = upload(shared_definition, tmp_path / "cache", DATA)
    stranger.say(bob.id, files=[replace(pointer, file_name=name) for name in HOSTILE_NAMES])
    (message,) = bob.receive()
    (folder / "taken.txt").write_text("mine")
    (folder / "sub").mkdir()
    outside = set(tmp_path.iterdir())
    saved = run_with(bob, "attach", "save", str(message["id"]), "-o", str(folder), "--json", cwd=folder / "sub")
    assert saved.code == 0, saved.stderr
    paths = [Path(item["path"]) for item in objects(saved)]
    assert len(set(paths)) == len(HOSTILE_NAMES)
    assert set(files_below(folder)) == {*paths, folder / "taken.txt"}
    assert set(tmp_path.iterdir()) == outside
    assert (folder / "taken.txt").read_text() == "mine"
    for path in paths:
        assert path.parent == folder
        assert path.read_bytes() == DATA
        assert path.name.isprintable()
        assert len(os.fsencode(path.name)) <= 255
        assert not path.name.startswith((".", "-", "~"))
        assert not path.name.endswith((".", " "))
        assert path.stat().st_mode & 0o111 == 0, "nothing that comes can be run at once"
    again = bob.run("attach", "save", str(message["id"]), "-o", str(folder))
    assert len(again.lines) == len(HOSTILE_NAMES)
    assert len(set(files_below(folder))) == 2 * len(HOSTILE_NAMES) + 1


def test_shapes_in_which_apps_send_files(
    person: People, shared_net: Devnet, shared_definition: Path, tmp_path: Path, folder: Path
) -> None:
    """Without a name or a type, in either format, and with what nobody reads any more."""
    bob, stranger = person("Bob"), Stranger(shared_net)
    legacy = upload(shared_definition, tmp_path / "cache", DATA)
    stream = upload_stream(shared_definition, tmp_path / "cache", DATA)
    message = VisibleMessage(attachments=(legacy, replace(legacy, file_name=None), stream, replace(stream, size=0)))
    content = session_pb2.Content.FromString(contents.serialize(Content(message, sent_ms := stranger.next_ms())))
    for pointer in content.dataMessage.attachments:
        pointer.ClearField("contentType")
        pointer.thumbnail = b"obsolete"
    content.dataMessage.attachments[3].digest = b""
    stranger.store(bob.id, stranger.seal(bob.id, content.SerializeToString(), sent_ms=sent_ms))
    (came,) = bob.receive()
    assert [file["name"] for file in came["attachments"]] == ["file.bin", None, "file.bin", "file.bin"]
    assert {file["content_type"] for file in came["attachments"]} == {"application/octet-stream"}
    saved = bob.run("attach", "save", str(came["id"]), "-o", str(folder)).lines
    assert len(saved) == 4
    assert Path(saved[1]).name == f"attachment-{came['attachments'][1]['id']}.bin"
    assert {Path(path).read_bytes() for path in saved} == {DATA}


def test_more_files_than_a_message_holds(
    person: People, shared_net: Devnet, shared_definition: Path, tmp_path: Path
) -> None:
    """The message is skipped, and holds up nothing."""
    bob, stranger = person("Bob"), Stranger(shared_net)
    pointer = upload(shared_definition, tmp_path / "cache", DATA)
    stranger.say(bob.id, "33", files=[pointer] * 33)
    stranger.say(bob.id, "32", files=[pointer] * 32)
    done = bob.run("recv", "--json")
    assert [(message["body"], len(message["attachments"])) for message in objects(done)] == [("32", 32)]
    assert "1 message could not be read" in done.stderr


def test_a_link_in_the_folder_is_not_followed(person: People, folder: Path, tmp_path: Path) -> None:
    alice = person("Alice")
    alice.run("attach", "send", "me", "-", "--name", "a.txt", stdin=DATA)
    (folder / "a.txt").symlink_to(tmp_path / "elsewhere")
    alice.run("attach", "save", "1", "-o", str(folder))
    assert not (tmp_path / "elsewhere").exists()
    assert (folder / "a (2).txt").read_bytes() == DATA
    check_refusal(alice.try_run("attach", "save", "1", "-o", str(folder / "a.txt")), 73)
    assert not (tmp_path / "elsewhere").exists()


def test_where_it_can_not_be_saved(person: People, folder: Path) -> None:
    alice = person("Alice")
    alice.run("attach", "send", "me", "-", "--name", "a.txt", stdin=DATA)
    save = ("attach", "save", "1", "-o")
    check_refusal(alice.try_run(*save, str(folder / "none" / "a.txt")), 73, "none")
    check_refusal(alice.try_run(*save, str(folder / "none") + "/"), 73, "none")
    check_refusal(alice.try_run(*save, "/proc/a.txt"), 73)
    check_refusal(alice.try_run(*save, str(folder / ("n" * 300))), 73)
    (folder / "a.txt").write_text("older")
    check_refusal(alice.try_run(*save, str(folder / "a.txt")), 73, "a.txt", "--force")
    assert (folder / "a.txt").read_text() == "older"
    check_refusal(alice.try_run(*save, str(folder / "a.txt") + "/"), 73)
    alice.run(*save, str(folder / "a.txt"), "--force")
    assert (folder / "a.txt").read_bytes() == DATA
    assert [path.name for path in folder.iterdir()] == ["a.txt"]
    check_refusal(alice.try_run("attach", "save", "1", "--number", "2", "-o", str(folder)), 65)
    check_refusal(alice.try_run("attach", "save", "2", "-o", str(folder)), 65)


def test_into_a_full_device(person: People) -> None:
    alice = person("Alice")
    alice.run("attach", "send", "me", "-", stdin=DATA)
    with Path("/dev/full").open("wb") as full:
        check_refusal(run_with(alice, "attach", "save", "1", "-o", "-", stdout=full), 74)


def test_into_a_closed_pipe(person: People) -> None:
    """It ends by SIGPIPE like any other program, without a word."""
    alice = person("Alice")
    alice.run("attach", "send", "me", "-", stdin=os.urandom(3_000_000))
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [*SESSION, "attach", "save", "1", "-o", "-"], env=alice.environment, stdout=writing, stderr=subprocess.PIPE
    )
    os.close(writing)
    assert os.read(reading, 1000)
    os.close(reading)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == -13
    assert errors == b""
    assert temporary_files(alice.home) == []


def test_a_file_that_grows_while_it_is_sent(person: People, tmp_path: Path) -> None:
    """What arrives is whole, of whichever length it had."""
    alice = person("Alice")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    process = alice.start("attach", "send", "me", str(fifo), stdout=subprocess.PIPE)
    with fifo.open("wb") as pipe:
        for _ in range(50):
            pipe.write(os.urandom(10_000))
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert len(alice.run("attach", "save", "1", "-o", "-").stdout) == 500_000


def test_pointer_defaults_are_truthful(shared_definition: Path, tmp_path: Path) -> None:
    """The lies above are told against this one."""
    pointer = upload(shared_definition, tmp_path / "cache", DATA)
    assert pointer.size == len(DATA)
    assert isinstance(pointer, AttachmentPointer)
