"""What a person at a terminal sees of a long history: a pager, and everything where there is none that works."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.devnet import Person
from tests.support.histories import account_id, fill, message_from
from tests.support.terminal import at_terminal

if sys.platform == "win32":
    pytest.skip("pseudo-terminals are POSIX's", allow_module_level=True)

ALICE = account_id(1)
COUNT = 300


@pytest.fixture
def carol(tmp_path: Path) -> Person:
    made = Person(tmp_path / "carol", "mainnet", extra={"TERM": "xterm", "COLUMNS": "600"}).init()
    fill(made, [message_from(ALICE, number, f"message {number} {'x' * 500}") for number in range(1, COUNT + 1)])
    return made


def script(folder: Path, text: str) -> str:
    path = folder / "pager"
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return str(path)


def count_shown(text: str) -> int:
    return sum(f"message {number} x" in text for number in range(1, COUNT + 1))


def test_the_pager_gets_everything_with_colours(carol: Person, tmp_path: Path) -> None:
    pager = script(tmp_path, f"cat > {tmp_path}/paged; echo by the pager: $1")
    code, shown = at_terminal(carol, "log", "--limit", "0", SESSION_PAGER=f"{pager} 'one argument'", PAGER="false")
    assert (code, shown) == (0, "by the pager: one argument\r\n")
    paged = (tmp_path / "paged").read_text()
    assert count_shown(paged) == COUNT
    assert "\x1b[" in paged


def test_pager_is_used_if_there_is_no_session_pager(carol: Person, tmp_path: Path) -> None:
    pager = script(tmp_path, "cat > /dev/null; echo LESS=$LESS")
    assert at_terminal(carol, "log", PAGER=pager) == (0, "LESS=FRX\r\n")
    assert at_terminal(carol, "log", PAGER=pager, LESS="S") == (0, "LESS=S\r\n")
    assert at_terminal(carol, "search", "message", PAGER=pager)[1] == "LESS=FRX\r\n"


def test_the_pager_is_not_told_the_passphrase(carol: Person, tmp_path: Path) -> None:
    pager = script(tmp_path, "cat > /dev/null; env")
    names = [
        f"SESSION_{whose}PASSPHRASE{how}" for whose in ("", "NEW_", "BACKUP_") for how in ("", "_FILE", "_COMMAND")
    ]
    code, shown = at_terminal(carol, "log", PAGER=pager, **dict.fromkeys(names, "correct horse"))  # type: ignore[arg-type]
    assert code == 0
    assert f"SESSION_HOME={carol.home}" in shown
    assert "PASSPHRASE" not in shown
    assert "correct horse" not in shown


def test_no_pager_by_the_environment(carol: Person) -> None:
    code, shown = at_terminal(carol, "log", "--limit", "0", SESSION_PAGER="cat", PAGER="false")
    assert code == 0
    assert count_shown(shown) == COUNT


def test_no_pager_by_option_dumb_terminal_or_json(carol: Person, tmp_path: Path) -> None:
    pager = script(tmp_path, "echo paged")
    for arguments, terminal in (
        (("log", "--no-pager"), "xterm"),
        (("log", "--json"), "xterm"),
        (("log",), "dumb"),
        (("list",), "xterm"),
    ):
        code, shown = at_terminal(carol, *arguments, "--color", "never", PAGER=pager, TERM=terminal)
        assert code == 0
        assert "paged" not in shown
        assert "message 300" in shown


@pytest.mark.parametrize(
    "pager", ["/nowhere/pager", "false", "sh -c 'head -c 10 >/dev/null; exit 3'", "'unclosed", "."]
)
def test_a_broken_pager_loses_nothing(carol: Person, pager: str) -> None:
    code, shown = at_terminal(carol, "log", "--limit", "0", SESSION_PAGER=pager)
    assert code == 0
    assert count_shown(shown) == COUNT
    assert "session: The pager" in shown
    assert "Traceback" not in shown


def test_whoever_has_seen_enough_leaves(carol: Person) -> None:
    code, shown = at_terminal(carol, "log", "--limit", "0", SESSION_PAGER="head -n 3")
    assert code == 0
    assert count_shown(shown) == 1
    assert "session:" not in shown


def test_ctrl_c_is_the_pager_s(carol: Person, tmp_path: Path) -> None:
    """Who presses it in less only wants it to stop searching; the program must not die and leave it behind."""
    pager = script(tmp_path, "trap 'echo interrupted' INT; echo ready; sleep 3 & wait $!; cat > /dev/null; echo end")
    code, shown = at_terminal(carol, "log", "--limit", "0", SESSION_PAGER=pager, typed=b"\x03")
    assert code == 0
    assert shown.replace("^C", "").split() == ["ready", "interrupted", "end"]


def test_nothing_is_paged_where_nobody_watches(carol: Person, tmp_path: Path) -> None:
    pager = script(tmp_path, "echo paged")
    piped = Person(carol.home, carol.network, extra={"SESSION_PAGER": pager})
    assert count_shown(piped.run("log", "--limit", "0").text) == COUNT
