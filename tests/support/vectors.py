"""The test vectors in `tests/vectors`: lists of objects with a `kind` and a `description`."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest

VECTORS = Path(__file__).resolve().parent.parent / "vectors"


@functools.cache
def load(name: str) -> list[dict[str, Any]]:
    """All vectors of the file `name` (without `.json`)."""
    vectors: list[dict[str, Any]] = json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))
    return vectors


def cases(name: str, *kinds: str) -> list[Any]:
    """The vectors of some kinds as pytest parameters, named by kind, number and description."""
    found = [vector for vector in load(name) if vector["kind"] in kinds]
    if not found:
        raise LookupError(f"{name}.json has no vectors of kind {', '.join(kinds)}.")
    return [
        pytest.param(vector, id=f"{vector['kind']}-{number}-{vector['description'][:40]}")
        for number, vector in enumerate(found)
    ]
