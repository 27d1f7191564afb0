"""What is generated from the commands is what stands in the source tree, and the tree of exceptions is all mapped."""

from __future__ import annotations

import inspect
from pathlib import Path

import jsonschema
import pytest

from session_cli import errors
from session_cli.cli.exit_codes import ExitCode, exit_code_of
from session_cli.cli.manual import EXIT_CODES, generated_files
from session_cli.cli.schema import json_schema

HAND_WRITTEN = {"man/man7/session-recipes.7"}
TOP = Path(__file__).resolve().parent.parent.parent


def test_manual_completions_and_help_are_current() -> None:
    expected = generated_files()
    current = {name: (TOP / name).read_text(encoding="utf-8") for name in expected if (TOP / name).exists()}
    outdated = sorted(name for name in expected if current.get(name) != expected[name])
    assert not outdated, "run: python -m session_cli.cli.manual ."
    files = [path for folder in ("man", "completions") for path in (TOP / folder).rglob("*") if path.is_file()]
    present = {path.relative_to(TOP).as_posix() for path in files}
    assert present == set(expected) - {"session_cli/cli/help.txt"} | HAND_WRITTEN


def test_the_json_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())


def _all_errors() -> list[type[errors.SessionError]]:
    return [
        value
        for _, value in inspect.getmembers(errors, inspect.isclass)
        if issubclass(value, errors.SessionError) and value is not errors.SessionError
    ]


def test_every_error_has_an_exit_code_and_a_name_of_its_own() -> None:
    for kind in _all_errors():
        assert exit_code_of(kind.__new__(kind)) is not ExitCode.BUG, kind
    slugs = [kind.slug for kind in _all_errors()]
    assert len(slugs) == len(set(slugs))


def test_every_exit_code_is_documented() -> None:
    assert set(EXIT_CODES) == set(ExitCode)


@pytest.mark.parametrize("kind", _all_errors(), ids=lambda kind: kind.__name__)
def test_every_error_stands_in_the_drawing_of_the_tree(kind: type[errors.SessionError]) -> None:
    assert kind.__name__ in (errors.__doc__ or "")
    assert (kind.__doc__ or "").strip().endswith((".", "says so."))
