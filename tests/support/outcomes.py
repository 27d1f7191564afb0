"""What tests expect of a run of the program, and of what it leaves on the disk."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.contract import check_output, json_object
from tests.support.devnet import SESSION, TIMEOUT_S, Done, Person


def run_with(person: Person, *arguments: str | bytes, **options: Any) -> Done:
    """Run the program with options of `subprocess.run` (umask, cwd, stdout, env ...)."""
    settings: dict[str, Any] = {
        "stdin": subprocess.DEVNULL,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "env": person.environment,
        "timeout": TIMEOUT_S,
    }
    if "input" in options:
        del settings["stdin"]
    done = subprocess.run([*SESSION, *arguments], check=False, **settings | options)
    check_output(arguments, done.stdout or b"")
    return Done(done.returncode, done.stdout or b"", (done.stderr or b"").decode())


def check_refusal(done: Done, code: int, *mentioned: str) -> None:
    """It ended with this code, an empty stdout and one line on stderr that mentions these words."""
    assert done.code == code, f"{done.code} instead of {code}: {done.stderr}"
    assert done.stdout == b""
    check_message(done.stderr)
    for word in mentioned:
        assert word in done.stderr


def check_message(text: str) -> None:
    """One line for a person, by this program, and no trace of its insides."""
    assert text.endswith("\n")
    assert text.count("\n") == 1, text
    assert text.startswith("session: ")
    assert len(text) > len("session: \n")
    assert "Traceback" not in text
    assert "This is a bug" not in text


def check_json_refusal(done: Done, code: int, slug: str) -> dict[str, Any]:
    """With --json: the same, and one error object on stdout. Returns the object."""
    assert done.code == code, done.stderr
    (error,) = objects(done)
    assert set(error) == {"v", "type", "code", "error", "message"}
    assert (error["type"], error["code"], error["error"]) == ("error", code, slug)
    check_message(done.stderr)
    assert done.stderr == f"session: {error['message']}\n"
    return error


def objects(done: Done) -> list[dict[str, Any]]:
    """Standard output of a run with --json: whole lines of valid UTF-8, each an object as the schema describes it."""
    if not done.stdout:
        return []
    assert done.stdout.endswith(b"\n")
    return [json_object(line.decode("utf-8")) for line in done.stdout[:-1].split(b"\n")]


def bodies(messages: list[dict[str, Any]]) -> list[str]:
    """The texts of the messages among what was shown."""
    return [message["body"] for message in messages if message["type"] == "message"]


def files_below(folder: Path) -> Iterator[Path]:
    """All files below a folder, hidden ones too."""
    for parent, _, names in os.walk(folder):
        for name in names:
            yield Path(parent) / name


def assert_private(folder: Path) -> None:
    """Nobody but the owner has access to anything in the folder, nor to the folder itself."""
    for path in [folder, *folder.rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), f"{path} has mode {mode:o}"


def temporary_files(folder: Path) -> list[Path]:
    """What looks like a file on its way: the names that this program gives to unfinished files."""
    marks = (".new", ".part", ".tmp", "-journal")
    return [path for path in files_below(folder) if path.name.endswith(marks) or "spool" in path.parent.parts]


def left_for_good(home: Path) -> list[Path]:
    """The same, but for what lies in the cache of a killed process until it is next written."""
    return [path for path in temporary_files(home) if path.parent != home / "cache"]


def assert_absent(folder: Path, *secrets: bytes) -> None:
    """None of the secrets is in any file below the folder, nor in a file's name."""
    for path in files_below(folder):
        content = os.fsencode(path) + b"\n" + path.read_bytes()
        for secret in secrets:
            assert secret not in content, f"{secret!r} is in {path}"
