"""Programs of others that tests run: taken from PATH, or from unpacked packages named by SESSION_TEST_TOOLS."""

from __future__ import annotations

import os
import random
import shutil
import socket
from pathlib import Path

import pytest

_ROOT = os.environ.get("SESSION_TEST_TOOLS")
_PORTS = range(10_000, 32_000)


def find_tool(name: str) -> str:
    """The path of a program; skips the test where there is none."""
    unpacked = [str(Path(_ROOT, "usr", folder)) for folder in ("bin", "sbin", "../bin")] if _ROOT else []
    found = shutil.which(name) or shutil.which(name, path=os.pathsep.join(unpacked))
    if found is None:
        pytest.skip(f"{name} is neither installed nor among the packages that SESSION_TEST_TOOLS names")
    return found


def tool_environment() -> dict[str, str]:
    """A bare environment in which unpacked programs find the libraries unpacked beside them."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    if _ROOT:
        libraries = {str(path.parent) for path in Path(_ROOT).rglob("*.so.*")}
        known = kept.get("LD_LIBRARY_PATH")
        folders = [*sorted(libraries), *([known] if known else [])]
        if folders:
            kept["LD_LIBRARY_PATH"] = os.pathsep.join(folders)
    return kept


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 at which nobody listens, all different, for programs that can't choose one themselves.

    They lie below those that systems give out by themselves, so that nobody gets one before the program is up.
    """
    found: list[int] = []
    for port in random.sample(_PORTS, 100 + count):
        if len(found) == count:
            break
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        found.append(port)
    assert len(found) == count, "this machine has no ports left"
    return found
