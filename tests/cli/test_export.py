"""`export`: whole or not at all, private, and the same messages in every form."""

from __future__ import annotations

import json
import re
import signal
import stat
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from session_cli.cli.schema import json_schema
from session_cli.devnet.network import Devnet
from session_cli.file_lock import held_folder
from tests.support.devnet import Person
from tests.support.histories import account_id, file_row, fill, message_from, message_to, open_store, with_files
from tests.support.outcomes import assert_absent, assert_private, check_refusal, temporary_files
from tests.support.strangers import Stranger
from tests.support.waiting import wait_until

ALICE, BOB = map(account_id, (1, 2))
PICTURE = b"\x89PNG not really"
People = Callable[[str], Person]


@pytest.fixture
def carol(tmp_path: Path) -> Person:
    """Carol, who talked with Alice and Bob, and saved one of the two files that she was sent."""
    made = Person(tmp_path / "carol", "mainnet").init("--name", "Carol")
    files = (file_row("a/b <1>.png", "image/png", len(PICTURE)), file_row("notes.pdf", "application/pdf", 9))
    messages = [
        with_files(message_from(ALICE, 1_000_000, "look"), *files),
        message_to(ALICE, made.id, 2_000_000, "nice <b>one</b>"),
        message_from(BOB, 3_000_000, "hello"),
    ]
    fill(made, messages, {ALICE: "Alice", BOB: "Bob"})
    saved = made.home / "saved.png"
    saved.write_bytes(PICTURE)
    profile = open_store(made)
    with profile.store.transaction():
        row = profile.store.messages.get(1)
        assert row is not None
        profile.store.messages.set_saved(row.attachments[0].id or 0, str(saved))
    profile.store.close()
    return made


def test_json_lines_are_what_log_prints(carol: Person, tmp_path: Path) -> None:
    expected = carol.run("log", "--limit", "0", "--json").stdout
    assert carol.run("export").stdout == expected
    assert carol.run("export", "--format", "jsonl", "-o", "-").stdout == expected
    target = tmp_path / "all.jsonl"
    done = carol.run("export", "-o", str(target))
    assert done.stdout == b""
    assert done.stderr == f"session: 3 messages written to {target}, not encrypted.\n"
    assert target.read_bytes() == expected
    for line in expected.splitlines():
        jsonschema.validate(json.loads(line), json_schema())
    (written,) = carol.run("export", "--json", "--format", "text", "-o", str(tmp_path / "all.txt")).objects
    facts = {"path": str(tmp_path / "all.txt"), "format": "text", "messages": 3, "missing": 0}
    assert written == {"v": 1, "type": "export", **facts}


def test_text_is_what_log_shows(carol: Person, tmp_path: Path) -> None:
    target = tmp_path / "alice.txt"
    carol.run("export", "Alice", "-o", str(target))
    assert target.read_text() == carol.run("log", "Alice").text
    assert carol.run("export", "--format", "text", "--color", "always").text == carol.run("log").text


def test_the_page_has_everything(carol: Person, tmp_path: Path) -> None:
    target = tmp_path / "all.html"
    carol.run("export", "-o", str(target))
    page = target.read_text()
    for text in ("look", "nice &lt;b&gt;one&lt;/b&gt;", "hello", "Alice", "Bob", carol.id, "3 messages", "notes.pdf"):
        assert text in page
    assert '<img src="all_files/1-1-b%20_1_.png"' in page
    assert (tmp_path / "all_files" / "1-1-b _1_.png").read_bytes() == PICTURE
    assert page.count('<section class="chapter"') == 2
    only = carol.run("export", BOB, "--format", "html").text
    assert "hello" in only
    assert "look" not in only
    assert "<nav>" not in only


def test_a_part_of_the_time(carol: Person) -> None:
    for form in ("jsonl", "text", "html"):
        shown = carol.run("export", "--format", form, "--since", "@1500", "--until", "@2000").text
        assert "nice" in shown
        assert "look" not in shown
        assert "hello" not in shown


def test_nobody_else_can_read_it(carol: Person, tmp_path: Path) -> None:
    folder = tmp_path / "private"
    folder.mkdir(mode=0o700)
    carol.run("export", "-o", str(folder / "all.html"))
    assert_private(folder)


def test_nothing_is_overwritten(carol: Person, tmp_path: Path) -> None:
    target = tmp_path / "all.html"
    target.write_text("mine")
    check_refusal(carol.try_run("export", "-o", str(target)), 73, "--force")
    assert target.read_text() == "mine"
    (tmp_path / "all_files").mkdir()
    (tmp_path / "all_files" / "other").write_text("mine, too")
    target.unlink()
    check_refusal(carol.try_run("export", "-o", str(target)), 73, "all_files")
    assert not target.exists()
    target.write_text("mine")
    target.chmod(0o644)
    carol.run("export", "-o", str(target), "--force")
    assert "look" in target.read_text()
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert (tmp_path / "all_files" / "other").read_text() == "mine, too"
    assert len(list((tmp_path / "all_files").iterdir())) == 2
    assert temporary_files(tmp_path) == []


def test_a_folder_that_is_somebody_else_s_is_not_followed(carol: Person, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "all_files").symlink_to(tmp_path / "elsewhere")
    check_refusal(carol.try_run("export", "-o", str(tmp_path / "all.html"), "--force"), 73, "all_files")
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code", "mentioned"),
    [
        (("--attachments",), 2, "--output"),
        (("--format", "pdf"), 2, "pdf"),
        (("--since", "soon"), 2, "soon"),
        (("Nobody",), 65, "Nobody"),
        (("-o", "{home}"), 73, "is a folder"),
        (("-o", "{home}/nowhere/x.html"), 73, "no folder"),
    ],
)
def test_refusals(carol: Person, arguments: tuple[str, ...], code: int, mentioned: str) -> None:
    filled = [argument.replace("{home}", str(carol.home)) for argument in arguments]
    check_refusal(carol.try_run("export", *filled), code, mentioned)


def test_a_saved_file_that_changed_is_not_taken_for_it(carol: Person, tmp_path: Path) -> None:
    (carol.home / "saved.png").write_bytes(b"something else")
    carol.run("export", "-o", str(tmp_path / "all.html"))
    assert not (tmp_path / "all_files").exists()
    assert "b &lt;1&gt;.png" in (tmp_path / "all.html").read_text()


def test_a_kill_leaves_nothing(carol: Person, tmp_path: Path) -> None:
    fill(carol, (message_from(ALICE, number, "x" * 2_000) for number in range(4_000_000, 4_010_000)))
    process = carol.start("export", "-o", str(tmp_path / "all.html"), "--quiet")
    wait_until(lambda: any(tmp_path.glob(".all_files.*")))
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == -signal.SIGTERM
    assert [path.name for path in tmp_path.iterdir()] == ["carol"]


def test_attachments_are_downloaded(person: People, tmp_path: Path) -> None:
    alice, bob = person("Alice"), person("Bob")
    (tmp_path / "photo.jpg").write_bytes(b"the photo")
    alice.run("send", bob.id, "see", "--attach", str(tmp_path / "photo.jpg"))
    bob.receive()
    for form in ("html", "jsonl", "text"):
        folder = tmp_path / form
        folder.mkdir()
        bob.run("export", "--format", form, "-o", str(folder / "out"), "--attachments")
        assert (folder / "out_files" / "1-1-photo.jpg").read_bytes() == b"the photo"
        assert "out_files/1-1-photo.jpg" in (folder / "out").read_text()
        assert temporary_files(folder) == []
    assert_absent(bob.home, b"the photo")


def test_a_file_that_can_t_be_had_is_noted(person: People, shared_net: Devnet, tmp_path: Path) -> None:
    from session_cli.protocol.payload import AttachmentPointer

    bob, stranger = person("Bob"), Stranger(shared_net)
    gone = f"{shared_net.file_server_url}/file/999999"
    stranger.say(bob.id, "see", files=[AttachmentPointer(gone, b"k" * 64, 5, b"d" * 32, file_name="gone.png")])
    bob.receive()
    target = tmp_path / "out.html"
    done = bob.try_run("export", "-o", str(target), "--attachments")
    assert done.code == 1
    assert re.search(r"1 attachment could not be had", done.stderr)
    assert re.search(r"gone\.png.* — ", target.read_text())
    assert not (tmp_path / "out_files").exists()


def test_without_a_network_the_rest_is_exported(carol: Person, tmp_path: Path) -> None:
    target = tmp_path / "out.html"
    done = carol.try_run(
        "export", "-o", str(target), "--attachments", "--proxy", "http://127.0.0.1:9", "--timeout", "5"
    )
    assert done.code == 1, done.stderr
    assert "look" in target.read_text()


def test_what_a_killed_export_left_goes_with_the_next_to_the_same_target(carol: Person, tmp_path: Path) -> None:
    left, other, alive, alike = (
        tmp_path / f".{name}.{digits}.new"
        for name, digits in (
            ("all_files", "ab" * 8),
            ("some_files", "ab" * 8),
            ("all_files", "cd" * 8),
            ("all_files", "x"),
        )
    )
    for folder in (left, other, alive, alike):
        folder.mkdir(0o700)
        (folder / "1-1-secret.png").write_bytes(PICTURE)
    with held_folder(alive):
        carol.run("export", "-o", str(tmp_path / "all.html"))
    assert [folder.exists() for folder in (left, other, alive, alike)] == [False, True, True, True]
    assert len(list((tmp_path / "all_files").iterdir())) == 1
