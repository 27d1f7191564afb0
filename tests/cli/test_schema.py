"""The contract of `--json`: what the schema promises, how it is printed, and that the tests hold the program to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from session_cli.cli.schema import json_schema, schema_of, type_names
from tests.support.contract import check_object, check_output
from tests.support.devnet import Person
from tests.support.outcomes import check_json_refusal, check_refusal

SCHEMA = json_schema()
TYPES = type_names(SCHEMA)
SETTING = {"v": 1, "type": "setting", "name": "timeout", "value": 20, "origin": "default"}


@pytest.fixture
def nobody(tmp_path: Path) -> Person:
    return Person(tmp_path / "home", "mainnet")


def test_the_schema_lists_every_type_once() -> None:
    described = [
        name for name, part in SCHEMA["$defs"].items() if "const" in part.get("properties", {}).get("type", {})
    ]
    assert sorted(TYPES) == sorted(described)


@pytest.mark.parametrize("name", TYPES)
def test_every_type_has_its_version_and_name(name: str) -> None:
    part = SCHEMA["$defs"][name]
    assert part["properties"]["v"] == {"const": 1}
    assert part["properties"]["type"] == {"const": name}
    assert {"v", "type"} <= set(part["required"]) <= set(part["properties"])
    assert part["description"].endswith(".")


def test_the_whole_schema_is_printed_as_it_is(nobody: Person) -> None:
    assert json.loads(nobody.run("schema").text) == SCHEMA
    (shown,) = nobody.run("schema", "--json").objects
    assert (shown["name"], shown["schema"]) == (None, SCHEMA)


def test_names_are_listed(nobody: Person) -> None:
    assert [line.split()[0] for line in nobody.run("schema", "--list").lines] == TYPES
    assert [shown["name"] for shown in nobody.run("schema", "--list", "--json").objects] == TYPES


def test_the_schema_of_one_type_needs_no_other_document(nobody: Person) -> None:
    part = json.loads(nobody.run("schema", "setting").text)
    assert "$defs" not in part
    jsonschema.Draft202012Validator(part).validate(SETTING)
    for name in TYPES:
        alone = schema_of(name, SCHEMA)
        jsonschema.Draft202012Validator.check_schema(alone)
        assert _references(alone) == {f"#/$defs/{needed}" for needed in alone.get("$defs", {})}


def _references(part: Any) -> set[str]:
    inner = part if isinstance(part, list) else part.values() if isinstance(part, dict) else []
    own = {part["$ref"]} if isinstance(part, dict) and "$ref" in part else set()
    return own.union(*map(_references, inner))


def test_other_names_are_refused(nobody: Person) -> None:
    check_refusal(nobody.try_run("schema", "mesage"), 2, "There is no type 'mesage'. Did you mean message?", "--list")
    check_refusal(nobody.try_run("schema", "node"), 2)
    check_refusal(nobody.try_run("schema", "message", "--list"), 2)
    check_json_refusal(nobody.try_run("schema", "--json", "mesage"), 2, "usage")


@pytest.mark.parametrize(
    "broken",
    [
        {**SETTING, "type": "seting"},
        {**SETTING, "v": 2},
        {**SETTING, "value": []},
        {**SETTING, "note": "undescribed"},
        {key: value for key, value in SETTING.items() if key != "origin"},
        {key: value for key, value in SETTING.items() if key != "type"},
    ],
    ids=["unknown type", "version", "wrong value", "undescribed key", "lacking key", "no type"],
)
def test_the_tests_see_what_breaks_the_promise(broken: dict[str, Any]) -> None:
    check_object(SETTING)
    with pytest.raises(AssertionError):
        check_object(broken)
    with pytest.raises(AssertionError):
        check_output(["config", "get", "--json", "timeout"], json.dumps(broken).encode() + b"\n")
    # What another program writes, or the middle of a line, is not ours to judge.
    check_output(["devnet", "exec", "--json", "--", "cat"], json.dumps(broken).encode() + b"\n")
    check_output(["config", "get", "--json", "timeout"], b'{"v":1,')
