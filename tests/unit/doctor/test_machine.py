"""Versions, locale, environment, configuration, notifications."""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from session_cli.core.doctor import machine

from .conftest import SubjectMaker
from .found import statuses, text

VARIABLES = ("SESSION_PROFILE", "SESSION_PASSPHRASE", "SESSION_PROXY", "NO_COLOR")


def test_versions_of_this_installation(subject: SubjectMaker) -> None:
    findings = list(machine.check_versions(subject()))
    assert statuses(findings) == ["ok"]
    for name in ("session 0", "Python 3.", "SQLite 3.", "Ciphers", "PyNaCl", "OpenSSL 3"):
        assert name in findings[0].message


def test_the_requirements_are_those_of_the_package() -> None:
    with (Path(__file__).parents[3] / "pyproject.toml").open("rb") as file:
        wanted = tomllib.load(file)["project"]["dependencies"]
    own = [one for one in metadata.requires(machine.DISTRIBUTION) or [] if "extra ==" not in one]
    assert len(own) == len(wanted)


@pytest.mark.parametrize(
    ("requirement", "version", "expected"),
    [
        ("typer<0.29,>=0.27", "0.28.1", []),
        ("typer<0.29,>=0.27", "0.29.0", ["warning"]),
        ("typer<0.29,>=0.27", "0.29", ["warning"]),
        ("typer<0.29,>=0.27", "0.26.9", ["warning"]),
        ("requests[socks]>=2.31", "2.31.0", []),
        ("requests[socks]>=2.31", "2.4", ["warning"]),
        ("apsw-sqlite3mc>=3.50", "3.50.0.0", []),
        ("protobuf<8,>=6.31", "8.0.0rc1", ["warning"]),
        ("aiohttp>=3.9; extra == 'devnet'", None, []),
        ("keyring>=25", None, ["problem"]),
    ],
)
def test_requirements(
    requirement: str, version: str | None, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def installed(name: str) -> str:
        if version is None:
            raise metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(metadata, "version", installed)
    assert statuses(machine.check_requirements([requirement])) == expected


@pytest.mark.parametrize(
    ("terminal", "file_names", "expected"),
    [
        ("UTF-8", "utf-8", "ok"),
        ("utf8", "utf-8", "ok"),
        ("ISO-8859-1", "utf-8", "warning"),
        ("UTF-8", "ascii", "warning"),
    ],
)
def test_encodings(terminal: str, file_names: str, expected: str) -> None:
    assert statuses(machine.check_encodings(terminal, file_names)) == [expected]


def test_an_empty_environment(subject: SubjectMaker) -> None:
    assert statuses(machine.check_environment(subject(variables=VARIABLES))) == ["ok"]


def test_variables_are_named_without_their_values(subject: SubjectMaker) -> None:
    examined = subject(variables=VARIABLES, SESSION_PASSPHRASE="geheim", SESSION_PROFILE="bob", NO_COLOR="")
    findings = list(machine.check_environment(examined))
    assert statuses(findings) == ["info", "warning"]
    assert findings[0].message == "Set: SESSION_PROFILE, SESSION_PASSPHRASE."
    assert "SESSION_PASSPHRASE_FILE" in (findings[1].advice or "")
    assert "geheim" not in text(findings)
    assert "bob" not in text(findings)


def test_misspelt_variables(subject: SubjectMaker) -> None:
    findings = list(machine.check_environment(subject(variables=VARIABLES, SESSION_PROFIL="x", SESSION_MANAGER="y")))
    assert statuses(findings) == ["ok", "warning"]
    assert "SESSION_PROFIL is set" in findings[1].message
    assert findings[1].advice == "Did you mean SESSION_PROFILE?"


def test_proxy_variables_of_others(subject: SubjectMaker) -> None:
    findings = list(machine.check_environment(subject(HTTPS_PROXY="http://x:1")))
    assert statuses(findings) == ["ok", "warning"]
    assert "HTTPS_PROXY" in findings[1].message
    proxied = subject(HTTPS_PROXY="http://x:1", proxy="socks5h://localhost:1")
    assert statuses(machine.check_environment(proxied)) == ["ok"]


def test_the_configuration_file(home: Path, subject: SubjectMaker) -> None:
    (finding,) = machine.check_configuration(subject())
    assert statuses([finding]) == ["ok"]
    assert "There is no" in finding.message
    (home / "config").mkdir(parents=True)
    (home / "config/config.toml").touch()
    (finding,) = machine.check_configuration(subject())
    assert statuses([finding]) == ["ok"]
    assert "is fine" in finding.message
    findings = list(machine.check_configuration(subject(configuration_problems=("one", "another"))))
    assert statuses(findings) == ["problem", "problem"]


def test_notifications(tmp_path: Path, subject: SubjectMaker) -> None:
    bare = {"PATH": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path / "run")}
    findings = list(machine.check_notifications(subject(**bare)))
    assert statuses(findings) == ["info"]
    assert "not installed" in findings[0].message
    (tmp_path / "notify-send").touch(0o755)
    findings = list(machine.check_notifications(subject(**bare)))
    assert statuses(findings) == ["info"]
    assert "D-Bus" in findings[0].message
    (tmp_path / "run").mkdir()
    (tmp_path / "run/bus").touch()
    assert statuses(machine.check_notifications(subject(**bare))) == ["ok"]
