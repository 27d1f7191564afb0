"""Plans of faults: TOML files (or the built-in profiles) that say what goes wrong where, and when.

random_seed = 7

[[fault]]
kind = "delay"
seconds = 0.2
nodes = "30%"
at = 10
for = 60
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ..errors import InvalidInput, UnreadableInput, UsageError
from .fault_kinds import FAULTS
from .faults import Fault, InvalidFault, written
from .injections import Aim
from .profiles import PROFILES

_WORDS = {float: "a number", int: "a whole number", str: "a text", bool: "true or false"}
_AIM_KEYS: dict[str, Any] = {
    "nodes": tuple[int, ...] | str,
    "swarm": int | str,
    "seed": bool,
    "file_server": bool,
    "community": bool,
    "roles": tuple[str, ...],
    "methods": tuple[str, ...],
    "probability": float,
}
_TIME_KEYS: dict[str, Any] = {"at": float, "for": float}


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """A fault that begins `at` seconds from the start, and lasts so many seconds (None: for ever).

    `name` is what errors call it.
    """

    name: str
    fault: Fault
    aim: Aim
    at: float = 0.0
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """All faults of a file. `random_seed` None: what is drawn differs each time."""

    faults: tuple[PlannedFault, ...]
    random_seed: int | None = None


def load_plan(name_or_path: str) -> Plan:
    """A built-in profile by name, else the TOML file at that path.

    What has a / in it, or ends in .toml, can only be a file. Raises UsageError if there is neither, UnreadableInput,
    InvalidInput.
    """
    if not name_or_path:
        raise UsageError(f"The name of the chaos is empty; give a file, or one of {', '.join(PROFILES)}.")
    if name_or_path in PROFILES:
        return parse_plan(PROFILES[name_or_path], name_or_path)
    path = Path(name_or_path)
    try:
        return parse_plan(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError as error:
        if "/" in name_or_path or name_or_path.endswith(".toml"):
            raise UnreadableInput(f"Can't read {path}: {error.strerror}.") from None
        raise UsageError(
            f"There is no chaos {name_or_path!r}: neither a file, nor one of {', '.join(PROFILES)}."
        ) from None
    except UnicodeDecodeError:
        raise InvalidInput(f"{path} is no UTF-8 text.") from None
    except OSError as error:
        raise UnreadableInput(f"Can't read {path}: {error.strerror}.") from None


def parse_plan(text: str, origin: str) -> Plan:
    """A plan from its TOML text; `origin` names it in errors. Raises InvalidInput."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"{origin} is no valid TOML: {error}.") from None
    except RecursionError:
        raise InvalidInput(f"{origin} is nested too deeply.") from None
    try:
        values = _read(table, {"random_seed": int, "fault": list})
    except InvalidFault as error:
        raise InvalidInput(f"{origin}: {error}") from None
    tables = values.get("fault", [])
    if not tables:
        raise InvalidInput(f"{origin} has no [[fault]].")
    faults = tuple(_planned(entry, f"{origin}, fault {number}") for number, entry in enumerate(tables, 1))
    return Plan(faults, values.get("random_seed"))


def _planned(table: object, name: str) -> PlannedFault:
    if not isinstance(table, dict):
        raise InvalidInput(f"{name}: must be a table, headed [[fault]].")
    kind = table.get("kind")
    if kind is None:
        raise InvalidInput(f"{name}: 'kind' is missing; it is one of {', '.join(FAULTS)}.")
    fault = FAULTS.get(kind) if isinstance(kind, str) else None
    if fault is None:
        given = written(kind) if isinstance(kind, str) else "no text"
        raise InvalidInput(f"{name}: 'kind' is {given}, but must be one of {', '.join(FAULTS)}.")
    name = f"{name} ({kind})"
    try:
        return _parsed(fault, {key: value for key, value in table.items() if key != "kind"}, name)
    except InvalidFault as error:
        raise InvalidInput(f"{name}: {error}") from None


def _parsed(kind: type[Fault], table: Mapping[str, Any], name: str) -> PlannedFault:
    own = parameters(kind)
    values = _read(table, own | _AIM_KEYS | _TIME_KEYS)
    for key in own:
        if key not in values and default_of(kind, key) is MISSING:
            raise InvalidFault(key, "is missing")
    fault = kind(**{key: values[key] for key in own if key in values})
    if values.get("nodes") == ():
        raise InvalidFault("nodes", "must not be empty")
    aimed = {key: values[key] for key in _AIM_KEYS if key in values}
    for key in ("roles", "methods"):
        if key in aimed:
            aimed[key] = frozenset(aimed[key])
    aim = Aim(**aimed)
    aim.check(fault)
    at, seconds = values.get("at", 0.0), values.get("for")
    if at < 0:
        raise InvalidFault("at", "must not be negative")
    if seconds is not None and seconds <= 0:
        raise InvalidFault("for", "must be positive")
    return PlannedFault(name, fault, aim, at, seconds)


def parameters(kind: type[Fault]) -> dict[str, Any]:
    """The keys that are a fault's own, and the type of each."""
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in _fields(kind)}


def default_of(kind: type[Fault], key: str) -> Any:
    """What a key is if it is not given; MISSING if it must be."""
    return next(field.default for field in _fields(kind) if field.name == key)


def _fields(kind: type[Fault]) -> list[Field[Any]]:
    return [field for field in fields(kind) if field.metadata.get("in_files", True)]


def _read(table: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a table, each of its key's type. Raises InvalidFault, also for keys that are not known."""
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            raise InvalidFault(key, f"is no key of it; its keys are {', '.join(known)}")
        values[key] = _typed(known[key], value)
        if values[key] is None:
            raise InvalidFault(key, f"must be {describe(known[key])}")
    return values


def _typed(hint: Any, value: Any) -> Any:
    """The value as this type; None, which TOML does not have, if it is none."""
    origin = get_origin(hint)
    if origin is Literal:
        return value if isinstance(value, str) and value in get_args(hint) else None
    if origin in (UnionType, Union):
        return next((typed for one in get_args(hint) if (typed := _typed(one, value)) is not None), None)
    if origin is tuple:
        items = [_typed(get_args(hint)[0], item) for item in value] if isinstance(value, list) else [None]
        return None if None in items else tuple(items)
    if hint is float:
        return float(value) if type(value) in (int, float) and math.isfinite(value) else None
    return value if type(value) is hint else None


def describe(hint: Any) -> str:
    """A type in words of the file."""
    origin = get_origin(hint)
    if origin is Literal:
        return "one of " + ", ".join(f'"{value}"' for value in get_args(hint))
    if origin in (UnionType, Union):
        return " or ".join(describe(one) for one in get_args(hint) if one is not NoneType)
    if origin is tuple:
        return "a list of " + {int: "whole numbers", str: "texts"}[get_args(hint)[0]]
    return "a list of tables, each headed [[fault]]" if hint is list else _WORDS[hint]
