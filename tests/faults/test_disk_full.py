"""A full disk: said clearly, nothing lost, and all is well again when there is room."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from session_cli.devnet.network import Devnet
from tests.support.devnet import Done, Person
from tests.support.outcomes import bodies, check_json_refusal, check_refusal, run_with, temporary_files
from tests.support.stores import make_old
from tests.support.strangers import Stranger

People = Callable[[str], Person]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a small disk is made of memory, as on Linux")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of two megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("mounting is not allowed here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path, leave: int = 0) -> Path:
    """Fill the disk but for so many bytes; returns the file to remove."""
    file = folder / "filler"
    with file.open("wb", buffering=0) as out:
        for size in (65536, 4096, 1):
            try:
                while out.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
    if leave:
        os.truncate(file, file.stat().st_size - leave)
    return file


def check_full(done: Done) -> None:
    """74, and a message from which a person learns that there is no room."""
    check_refusal(done, 74)
    assert re.search("full|No space", done.stderr), done.stderr


@pytest.fixture
def cramped(small_disk: Path, shared_definition: Path) -> Person:
    """Somebody whose home is on the small disk."""
    return Person(small_disk / "home", shared_definition).init("--name", "Cramped")


def test_making_an_account(small_disk: Path, shared_definition: Path) -> None:
    filler = fill(small_disk, leave=20_000)
    newcomer = Person(small_disk / "home", shared_definition)
    check_full(newcomer.try_run("init", "--quiet"))
    filler.unlink()
    newcomer.init()
    assert len(list((newcomer.home / "config" / "keys").iterdir())) == 1, "no key that opens nothing"
    assert temporary_files(newcomer.home) == []


@pytest.mark.parametrize("left", [0, 8_192, 40_960])
def test_receiving(left: int, cramped: Person, small_disk: Path, shared_net: Devnet) -> None:
    stranger = Stranger(shared_net)
    cramped.run("recv")
    sent = [f"{index} " + "x" * 1500 for index in range(40)]
    for text in sent:
        stranger.say(cramped.id, text)
    filler = fill(small_disk, leave=left)
    done = cramped.try_run("recv", "--json")
    shown = bodies(done.objects[:-1]) if done.code else bodies(done.objects)
    if left < 10_000:
        assert check_json_refusal(cramped.try_run("recv", "--json"), 74, "store_unwritable")["message"]
        check_full(cramped.try_run("recv"))
    filler.unlink()
    shown += bodies(cramped.receive())
    assert shown == sent
    assert temporary_files(cramped.home) == []


@pytest.mark.parametrize("left", [0, 8_192])
def test_sending(left: int, cramped: Person, small_disk: Path, person: People) -> None:
    bob = person("Bob")
    cramped.run("send", bob.id, "first")
    filler = fill(small_disk, leave=left)
    refused = cramped.try_run("send", bob.id, "second " + "x" * 1900)
    assert refused.code in (0, 74), refused.stderr
    if refused.code:
        check_full(refused)
    file = small_disk.parent / "file"
    file.write_bytes(os.urandom(100_000))
    check_full(cramped.try_run("attach", "send", bob.id, str(file)))
    filler.unlink()
    cramped.run("send", bob.id, "third")
    arrived = [body.partition(" ")[0] for body in bodies(bob.receive())]
    assert arrived == (["first", "third"] if refused.code else ["first", "second", "third"])
    assert temporary_files(cramped.home) == []


def test_looking_says_what_is_the_matter(cramped: Person, small_disk: Path) -> None:
    filler = fill(small_disk)
    for command in (("whoami", "--quiet"), ("phrase", "--yes")):
        done = cramped.try_run(*command)
        if done.code:
            check_full(done)
    filler.unlink()
    assert cramped.run("whoami", "--quiet").text.strip() == cramped.id


def test_saving_a_file(person: People, small_disk: Path) -> None:
    alice = person("Alice")
    alice.run("attach", "send", "me", "-", "--name", "a.bin", stdin=os.urandom(3_000_000))
    alice.run("attach", "send", "me", "-", "--name", "b.bin", stdin=b"small")
    for output in (small_disk, small_disk / "c.bin"):
        check_full(alice.try_run("attach", "save", "1", "-o", str(output)))
        assert list(small_disk.iterdir()) == []
    (small_disk / "c.bin").write_text("older")
    check_full(alice.try_run("attach", "save", "1", "--force", "-o", str(small_disk / "c.bin")))
    assert [path.name for path in small_disk.iterdir()] == ["c.bin"]
    assert (small_disk / "c.bin").read_text() == "older"
    alice.run("attach", "save", "2", "-o", str(small_disk))
    assert (small_disk / "b.bin").read_bytes() == b"small"


def test_downloading_into_a_full_home(cramped: Person, small_disk: Path, person: People, tmp_path: Path) -> None:
    alice = person("Alice")
    alice.run("attach", "send", cramped.id, "-", "--name", "a.bin", stdin=os.urandom(3_000_000))
    (message,) = cramped.receive()
    folder = tmp_path / "saved"
    folder.mkdir()
    check_full(cramped.try_run("attach", "save", str(message["id"]), "-o", str(folder)))
    assert list(folder.iterdir()) == []
    assert temporary_files(cramped.home) == []
    assert cramped.run("whoami", "--quiet").text.strip() == cramped.id


def test_downloading_while_receiving(person: People, small_disk: Path, shared_net: Devnet) -> None:
    """No room for the file, or for what is printed: the message stays unread, and comes whole when there is room."""
    alice, bob = person("Alice"), person("Bob")
    bob.run("send", alice.id, "you may send me files")
    alice.run("attach", "send", bob.id, "-", "--name", "a.bin", stdin=os.urandom(3_000_000))
    alice.run("attach", "send", bob.id, "-", "--name", "b.bin", "--caption", "b", stdin=b"small")
    bob.run("recv", "--type", "contact_request")
    check_full(bob.try_run("recv", "--download", str(small_disk)))
    assert list(small_disk.iterdir()) == []
    folder = small_disk.parent / "roomy"
    folder.mkdir()
    shown = small_disk / "log"
    filler = fill(small_disk)
    with shown.open("ab") as out:
        done = run_with(bob, "recv", "--json", "--download", str(folder), stdout=out)
    assert (done.code, shown.read_bytes()) == (74, b"")
    assert "standard output" in done.stderr
    filler.unlink()
    with shown.open("ab") as out:
        assert run_with(bob, "recv", "--json", "--download", str(folder), stdout=out).code == 0
    messages = [json.loads(line) for line in shown.read_text().splitlines()]
    assert [Path(message["attachments"][0]["saved"]).name for message in messages] == ["a.bin", "b.bin"]
    assert sorted(path.name for path in folder.iterdir()) == ["a.bin", "b.bin"], "each was saved once"


def test_receiving_with_a_hook(cramped: Person, small_disk: Path, shared_net: Devnet) -> None:
    """What it can't be noted for is handed over again."""
    stranger = Stranger(shared_net)
    cramped.run("recv")
    for number in range(20):
        stranger.say(cramped.id, f"{number} " + "x" * 1500)
    log = small_disk.parent / "log"
    cramped.extra = {"LOG": str(log)}
    log.touch()
    hook = ("--exec", 'echo "${SESSION_BODY%% *}" >> "$LOG"', "--exec-shell")
    filler = fill(small_disk, leave=30_000)
    done = cramped.try_run("recv", *hook)
    assert done.code in (0, 74), done.stderr
    if done.code:
        check_full(done)
    filler.unlink()
    cramped.run("recv", *hook)
    handled = log.read_text().split()
    assert list(dict.fromkeys(handled)) == [str(number) for number in range(20)]
    assert len(handled) <= 21, "the one in hand"


def test_backups_need_room(cramped: Person, small_disk: Path, tmp_path: Path) -> None:
    cramped.extra = {"SESSION_BACKUP_PASSPHRASE": "-".join(["some", "words"])}
    backup = tmp_path / "backup"
    cramped.run("backup", "create", str(backup))
    filler = fill(small_disk, leave=40_000)
    check_full(cramped.try_run("backup", "create", str(tmp_path / "second")))
    check_full(cramped.try_run("backup", "create", str(small_disk / "third")))
    check_full(cramped.try_run("backup", "verify", str(backup)))
    check_full(cramped.try_run("backup", "restore", "--profile", "other", str(backup)))
    check_full(cramped.try_run("backup", "restore", "--force", str(backup)))
    assert [path.name for path in (tmp_path.iterdir()) if path.is_file()] == ["backup"]
    assert sorted(path.name for path in small_disk.iterdir()) == ["filler", "home"]
    assert [path.name for path in (cramped.home / "config" / "keys").iterdir()] == ["default.key"]
    assert temporary_files(cramped.home) == []
    filler.unlink()
    assert cramped.run("whoami", "--quiet").text.strip() == cramped.id
    cramped.run("backup", "restore", "--force", str(backup))
    assert cramped.run("whoami", "--quiet").text.strip() == cramped.id


@pytest.mark.parametrize("left", [0, 20_000, 100_000])
def test_compacting_and_rekeying_need_room(left: int, cramped: Person, small_disk: Path) -> None:
    cramped.run("send", "me", "kept")
    filler = fill(small_disk, leave=left)
    for command in (("compact",), ("rekey", "--key", "keyfile")):
        done = cramped.try_run("store", *command)
        assert done.code in (0, 74), done.stderr
        if done.code:
            check_full(done)
    filler.unlink()
    assert temporary_files(cramped.home) == []
    assert len(list((cramped.home / "config" / "keys").iterdir())) == 1
    assert cramped.run("store", "check").text == "The store is sound.\n"
    cramped.run("store", "compact")
    cramped.run("store", "rekey", "--key", "keyfile")
    assert cramped.run("store", "check").text == "The store is sound.\n"


def test_looking_needs_no_writing(cramped: Person, small_disk: Path, tmp_path: Path) -> None:
    cramped.run("send", "me", "hello")
    looking: tuple[tuple[str, ...], ...] = (
        ("log",), ("list",), ("search", "hello"), ("whoami",), ("outbox", "list"), ("cursor", "list"), ("export",),
        ("store", "info"), ("attach", "list"),
    )  # fmt: skip
    expected = [cramped.run(*command, "--json").objects for command in looking]
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    try:
        assert [cramped.run(*command, "--json").objects for command in looking] == expected
        target = tmp_path / "all.html"
        cramped.run("export", "-o", str(target))
        assert b"hello" in target.read_bytes()
        check_refusal(cramped.try_run("cursor", "delete", "default"), 74, "ead-only file system")
        check_refusal(cramped.try_run("send", "me", "hi"), 74, "read-only")
        assert "ok" in {item["status"] for item in cramped.try_run("doctor", "--json", "--offline").objects}
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)


def test_an_old_store_can_not_be_looked_at_where_it_can_not_be_brought_up_to_date(
    cramped: Person, small_disk: Path
) -> None:
    make_old(cramped, messages=30)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    try:
        check_refusal(cramped.try_run("log"), 74, "read-only")
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert len(cramped.run("log", "--json").objects) > 0


def test_a_read_only_home(cramped: Person, small_disk: Path, tmp_path: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    try:
        cramped.extra = {"SESSION_BACKUP_PASSPHRASE": "-".join(["some", "words"])}
        for command in (
            ("recv",),
            ("send", "me", "hi"),
            ("backup", "create", str(tmp_path / "backup")),
            ("store", "compact"),
            ("store", "rekey", "--key", "keyfile"),
        ):
            check_refusal(cramped.try_run(*command), 74)
        assert not (tmp_path / "backup").exists()
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    cramped.run("send", "me", "hi")
