"""`schema`: the contract of `--json`, as a JSON Schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import UsageError
from .context import App
from .json_output import json_object
from .typer_app import single_command

_REFERENCE = "#/$defs/"


def json_schema() -> dict[str, Any]:
    """The whole contract: `oneOf` lists the types of objects, `$defs` describes them and what they share."""
    path = Path(__file__).parent.with_name("json_schema.json")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def type_names(schema: dict[str, Any]) -> list[str]:
    """The types of objects, in the order of the schema."""
    return [reference["$ref"].removeprefix(_REFERENCE) for reference in schema["oneOf"]]


def schema_of(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of one type, with the definitions that it needs and no others."""
    needed: dict[str, Any] = {}

    def need(part: Any) -> None:
        if isinstance(part, list):
            for item in part:
                need(item)
        elif isinstance(part, dict):
            reference = part.get("$ref")
            if isinstance(reference, str):
                definition = reference.removeprefix(_REFERENCE)
                if definition not in needed:
                    needed[definition] = schema["$defs"][definition]
                    need(needed[definition])
            for item in part.values():
                need(item)

    need(schema["$defs"][name])
    definitions = {"$defs": needed} if needed else {}
    return {"$schema": schema["$schema"], "title": name, **schema["$defs"][name], **definitions}


def _complete(incomplete: str) -> list[str]:
    return [name for name in type_names(json_schema()) if name.startswith(incomplete)]


def schema(
    ctx: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[TYPE]", help="Only this type of objects.", show_default=False, autocompletion=_complete
        ),
    ] = None,
    names: Annotated[bool, typer.Option("--list", help="List the types of objects instead.")] = False,
) -> None:
    """Print the JSON Schema of what --json prints, whole or that of one type of objects.

    Within version 1 no key is renamed or removed, and new keys and types may be added. The same in words is in
    session-json(5).
    """
    context: App = ctx.obj
    if names and name is not None:
        raise UsageError("--list lists all types; leave out the name.")
    whole = json_schema()
    if name is not None:
        _show(context, name, schema_of(_checked(name, whole), whole))
    elif names:
        for known in type_names(whole):
            if context.json:
                _show(context, known, schema_of(known, whole))
            else:
                context.emit(f"{known:<20}  {whole['$defs'][known]['description']}")
    else:
        _show(context, None, whole)


def _show(context: App, name: str | None, part: dict[str, Any]) -> None:
    if context.json:
        context.emit_json(json_object("schema", name=name, schema=part))
    else:
        context.emit(json.dumps(part, indent=2, ensure_ascii=False))


def _checked(name: str, whole: dict[str, Any]) -> str:
    known = type_names(whole)
    if name in known:
        return name
    from difflib import get_close_matches

    similar = get_close_matches(name, known)
    hint = f" Did you mean {' or '.join(similar)}?" if similar else ""
    raise UsageError(f"There is no type {name!r}.{hint} See session schema --list")


commands = {"schema": single_command("schema", schema)}
