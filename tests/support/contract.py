"""The promise made for `--json`, held against every object that a test sees."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

import jsonschema

from session_cli.cli.schema import json_schema, schema_of, type_names


def json_object(line: bytes | str) -> dict[str, Any]:
    """A line of `--json`, which must be an object as the schema describes it."""
    found: dict[str, Any] = json.loads(line)
    check_object(found)
    return found


def check_object(found: dict[str, Any]) -> None:
    """The object is of a type that the schema lists, and has no key that it doesn't describe."""
    error = jsonschema.exceptions.best_match(_validator(found.get("type")).iter_errors(found))
    assert error is None, f"{error.message} at {error.json_path} of {found}"


def check_output(arguments: Sequence[str | bytes], output: bytes) -> None:
    """If the program was asked for JSON, and is what wrote the output: all its whole lines keep the promise."""
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if "--json" not in own or "exec" in own or ("save" in own and "-" in own):
        return
    for line in output.split(b"\n")[:-1]:
        json_object(line)


@cache
def _validator(name: Any) -> jsonschema.Draft202012Validator:
    whole = json_schema()
    assert name in type_names(whole), f"the schema lists no type {name!r}"
    return jsonschema.Draft202012Validator(_strict(schema_of(name, whole)))


def _strict(part: Any) -> Any:
    """The schema without the room that it leaves for later versions."""
    if isinstance(part, list):
        return [_strict(item) for item in part]
    if not isinstance(part, dict):
        return part
    closed = {"additionalProperties": False} if part.get("type") == "object" and "properties" in part else {}
    return {**closed, **{key: _strict(value) for key, value in part.items()}}
