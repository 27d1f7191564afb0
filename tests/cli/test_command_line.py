"""Help and version: what a shell asks before anything happens."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from session_cli import __version__
from session_cli.cli.app import COMMANDS
from tests.support.completion import complete
from tests.support.devnet import Person


@pytest.fixture
def nobody(tmp_path: Path) -> Person:
    """A home without an account, and no network."""
    return Person(tmp_path / "home", tmp_path / "no-network.toml")


def test_version(nobody: Person) -> None:
    assert nobody.run("--version").text == f"session {__version__}\n"
    assert nobody.run("--version", "--quiet").text == f"session {__version__}\n"


def test_prepared_help_is_the_help(nobody: Person) -> None:
    prepared, made = nobody.run("--help").text, nobody.run("--quiet", "--help").text
    assert prepared == made
    for name in COMMANDS:
        assert f"\n  {name} " in prepared


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, nobody: Person) -> None:
    text = nobody.run(name, "--help").text
    assert text.startswith(f"Usage: session {name}")
    assert "--json" in text
    assert not any(len(line) > 100 for line in text.splitlines())


def test_completion_of_settings_and_types() -> None:
    assert complete("session config get do") == ["download", "download_name"]
    assert complete("session config unset notify") == ["notify_show"]
    assert complete("session config set color a") == ["auto", "always"]
    assert complete("session config set quiet ") == ["true", "false"]
    assert complete("session config set timeout ") == []
    assert complete("session schema network_") == ["network_path", "network_status"]


FORBIDDEN = {
    "--version": {"typer", "nacl", "requests", "google", "keyring", "apsw", "dataclasses"},
    "--help": {"typer", "nacl", "requests", "google", "keyring", "apsw", "dataclasses"},
    "whoami": {
        "tomllib",
        "requests",
        "urllib3",
        "google",
        "keyring",
        "rich",
        "cryptography",
        "platformdirs",
        "mnemonic",
        "asyncio",
    },
    "send --help": {"requests", "nacl", "google", "keyring", "apsw", "rich", "cryptography", "asyncio"},
    "send me hi": {"keyring", "rich", "mnemonic", "asyncio", "platformdirs", "segno", "aiohttp"},
    "config list": {"requests", "nacl", "google", "keyring", "apsw", "rich", "cryptography", "asyncio", "tomlkit"},
    "config get timeout": {"tomllib", "tomlkit", "json"},
    "read me": {"requests", "google", "keyring", "rich", "cryptography", "asyncio"},
    "expire me": {"requests", "google", "keyring", "rich", "cryptography", "asyncio"},
    "schema": {"requests", "nacl", "google", "keyring", "apsw", "rich", "cryptography", "asyncio", "tomllib"},
    "recv": {"keyring", "rich", "mnemonic", "asyncio", "platformdirs", "segno", "aiohttp"},
    "init --key keyfile --profile second": {"requests", "google", "keyring", "rich", "cryptography", "asyncio"},
}


@pytest.mark.parametrize("command", FORBIDDEN)
def test_commands_load_only_what_they_need(command: str, shared_definition: Path, tmp_path: Path) -> None:
    alice = Person(tmp_path / "alice", shared_definition).init()
    script = (
        "import sys\n"
        "from session_cli.__main__ import main\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        "    print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *command.split()],
        env=alice.environment | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        check=True,
    )
    loaded = set(done.stderr.decode().splitlines()[-1].split())
    assert not loaded & FORBIDDEN[command]
