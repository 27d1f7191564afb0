"""What an installation puts where."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import session_cli
from session_cli.cli.shell_completion import SCRIPTS
from tests.support.devnet import Person

TOP = Path(__file__).resolve().parent.parent.parent
UNITS = sorted((TOP / "session_cli/examples/systemd").iterdir())
PLACES = {
    "bash": "share/bash-completion/completions/session",
    "zsh": "share/zsh/site-functions/_session",
    "fish": "share/fish/vendor_completions.d/session.fish",
}


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    with (TOP / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)


def shared(project: dict[str, Any]) -> dict[str, str]:
    """Path in the source tree → path below the prefix, of every file that is shipped as data."""
    mapping: dict[str, str] = project["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
    files = {}
    for source, target in mapping.items():
        place = TOP / source
        assert place.exists(), source
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            below = path.relative_to(place).as_posix()
            files[path.relative_to(TOP).as_posix()] = target if place.is_file() else f"{target}/{below}"
    return files


def test_every_manual_page_is_shipped(project: dict[str, Any]) -> None:
    pages = [path.relative_to(TOP).as_posix() for path in (TOP / "man").rglob("*") if path.is_file()]
    assert pages
    shipped = shared(project)
    for page in pages:
        assert shipped.get(page) == f"share/man/man{page[-1]}/{Path(page).name}"


def test_completions_and_examples_are_shipped(project: dict[str, Any]) -> None:
    shipped = shared(project)
    assert {shell: shipped[f"completions/session.{shell}"] for shell in SCRIPTS} == PLACES
    for unit in UNITS:
        assert shipped[f"session_cli/examples/systemd/{unit.name}"] == (
            f"share/doc/session-shell/examples/systemd/{unit.name}"
        )


def test_the_wheel(project: dict[str, Any], tmp_path: Path) -> None:
    if find_spec("hatchling") is None:
        pytest.skip("hatchling, which builds the wheel, is not installed; it would have to come from the internet")
    source = tmp_path / "source"
    shutil.copytree(TOP, source, ignore=shutil.ignore_patterns(".git", ".*_cache", "__pycache__"))
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    data = f"session_shell-{session_cli.__version__}.data/data/"
    assert {name.removeprefix(data) for name in names if name.startswith(data)} == set(shared(project).values())
    inside = {
        "session_cli/py.typed",
        "session_cli/json_schema.json",
        "session_cli/cli/help.txt",
        "session_cli/__init__.py",
    }
    assert inside <= names
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"session_cli", data.partition("/")[0], f"session_shell-{session_cli.__version__}.dist-info"}
    assert not any("/examples/" in name or "tests" in name for name in names if name.startswith("session_cli/"))


def test_the_version_is_one(project: dict[str, Any]) -> None:
    assert project["project"]["version"] == session_cli.__version__


# The units.


def test_there_are_units() -> None:
    names = [unit.name for unit in UNITS]
    assert names == ["session-recv-poll.service", "session-recv-poll.timer", "session-recv.service"]


def read(unit: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(unit.read_text())
    return parser


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_units_by_systemd_itself(unit: Path, tmp_path: Path) -> None:
    analyse = shutil.which("systemd-analyze")
    if analyse is None:
        pytest.skip("systemd-analyze is not installed")
    program = tmp_path / "home/.local/bin/session"
    program.parent.mkdir(parents=True)
    program.touch(0o755)
    (tmp_path / "run").mkdir(0o700)
    done = subprocess.run(
        [analyse, "--user", "--man=no", "verify", str(unit)],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home"), "XDG_RUNTIME_DIR": str(tmp_path / "run")},
        capture_output=True,
        text=True,
        check=False,
    )
    if "Failed to initialize manager" in done.stderr:
        pytest.skip("systemd-analyze does not work here")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("unit", [unit for unit in UNITS if unit.suffix == ".service"], ids=lambda unit: unit.name)
def test_services_hold_what_they_say(unit: Path, tmp_path: Path) -> None:
    service = read(unit)["Service"]
    program, command, *options = service["ExecStart"].split()
    assert (program, command) == ("%h/.local/bin/session", "recv")
    assert {"--json", "--quiet", "--no-input"} <= set(options), "nobody is there to be asked"
    done = Person(tmp_path, "mainnet").try_run(command, *options)
    assert done.code == 78, "the options are right; there is just no account"
    assert service["NoNewPrivileges"] == "yes"
    assert service["UMask"] == "0077"


def test_every_page_that_units_name_is_there() -> None:
    pages = {path.name for path in (TOP / "man").rglob("*") if path.is_file()}
    for unit in UNITS:
        for named in read(unit)["Unit"]["Documentation"].split():
            name, _, section = named.removeprefix("man:").partition("(")
            assert f"{name}.{section.rstrip(')')}" in pages
