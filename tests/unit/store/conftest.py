"""A home of its own for each test, and cheap passphrases."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from session_cli.store.key import Argon2Cost, KeySources, PassphrasePrompt
from session_cli.store.locations import Locations, locate

NOBODY = 65534
CHEAP = Argon2Cost(operations=1, memory_bytes=8 * 1024)


@pytest.fixture
def locations(tmp_path: Path) -> Locations:
    return locate({"SESSION_HOME": str(tmp_path / "home")})


@pytest.fixture
def profile_dir(locations: Locations) -> Path:
    return locations.profile_dir("default")


SourcesMaker = Callable[..., KeySources]


@pytest.fixture
def sources(locations: Locations) -> SourcesMaker:
    """Makes KeySources of the profile `default`, with the given environment variables."""

    def make(
        *,
        prompt: PassphrasePrompt | None = None,
        variable: str = "SESSION_PASSPHRASE",
        command_timeout_s: float = 10,
        **environ: str,
    ) -> KeySources:
        return KeySources(
            locations,
            "default",
            {"PATH": os.environ.get("PATH", os.defpath)} | environ,
            prompt=prompt,
            cost=CHEAP,
            variable=variable,
            command_timeout_s=command_timeout_s,
        )

    return make


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o777], ids=lambda mask: f"umask {mask:03o}")
def any_umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.fixture
def unprivileged(tmp_path: Path) -> Iterator[Path]:
    """A folder in which the test has no more rights than its file modes say, even if it runs as root."""
    if sys.platform == "win32":
        pytest.skip("file modes are POSIX's")
    # Not in tmp_path, whose parents are open to their owner alone; it is asked for so that pytest makes it before.
    folder = Path(tempfile.mkdtemp(prefix="session-test-"))
    root = os.geteuid() == 0
    if root:
        os.chown(folder, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    try:
        yield folder
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o700)
        shutil.rmtree(folder)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = shutil.which("mount")
    if (
        mount is None
        or subprocess.run(
            [mount, "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("mounting a small file system takes Linux and its root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)
