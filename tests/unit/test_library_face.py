"""What `import session_cli` offers."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import session_cli
from session_cli import Client, errors

TOP = Path(__file__).resolve().parent.parent.parent


def test_what_is_promised_is_there() -> None:
    for name in session_cli.__all__:
        assert getattr(session_cli, name) is not None
        assert name in dir(session_cli)
    with pytest.raises(AttributeError, match="Nothing"):
        session_cli.Nothing  # noqa: B018 # type: ignore[attr-defined]


def test_importing_it_loads_nothing() -> None:
    code = "import sys, session_cli; print(*{'typing', 'nacl', 'apsw', 'requests'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=TOP, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")


def test_the_example_calls_what_there_is() -> None:
    example = textwrap.dedent(
        "\n".join(line for line in (session_cli.__doc__ or "").splitlines() if line.startswith("    "))
    )
    tree = ast.parse(example)
    called = {
        (node.func.attr, tuple(keyword.arg for keyword in node.keywords))
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert {name for name, _ in called} == {"open", "send", "receive"}
    for name, keywords in called:
        assert set(keywords) <= set(inspect.signature(getattr(Client, name)).parameters)
    imported = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert [(node.module, alias.name) for node in imported for alias in node.names] == [
        ("pathlib", "Path"),
        (session_cli.__name__, "Client"),
        (errors.__name__, errors.NetworkError.__name__),
    ]


def test_everything_public_is_documented() -> None:
    for name, member in inspect.getmembers(Client):
        if not name.startswith("_"):
            assert inspect.getdoc(member), name
