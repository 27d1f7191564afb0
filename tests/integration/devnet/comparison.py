"""Compares an answer with the recorded one: equal, but for what the recording says varies."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

_NODE_KEY = re.compile(r"[0-9a-f]{64}\Z")
_CUT = re.compile(r"<\.\.\. [0-9]+ characters in all, sha256 ([0-9a-f]{64})>\Z")
_HASH_CHARACTERS = 43


@dataclass
class Comparison:
    """`recorded_node` and `node` are the keys (hex) of the nodes that answered, then and now."""

    varies: frozenset[str]
    recorded_node: str
    node: str
    differences: list[str] = field(default_factory=list)

    def compare(self, recorded: Any, actual: Any, at: str = "") -> None:
        """Collect the differences between two bodies."""
        if at in self.varies:
            self._expect(type(recorded) is type(actual), at, recorded, actual)
        elif isinstance(recorded, dict) and isinstance(actual, dict):
            self._compare_objects(recorded, actual, at)
        elif isinstance(recorded, list) and isinstance(actual, list):
            self._expect(len(recorded) == len(actual), at, f"{len(recorded)} elements", f"{len(actual)} elements")
            for one, other in zip(recorded, actual, strict=False):
                self.compare(one, other, f"{at}/*")
        elif isinstance(recorded, str) and isinstance(actual, str) and (cut := _CUT.search(recorded)):
            self._expect(hashlib.sha256(actual.encode()).hexdigest() == cut[1], at, "the hash", "another")
        else:
            self._expect(type(recorded) is type(actual) and recorded == actual, at, recorded, actual)

    def _compare_objects(self, recorded: dict[str, Any], actual: dict[str, Any], at: str) -> None:
        if _all_match(recorded, _NODE_KEY.match) and _all_match(actual, _NODE_KEY.match):
            self._expect(len(recorded) == len(actual), at, f"{len(recorded)} members", f"{len(actual)} members")
            if self.recorded_node in recorded and self.node in actual:
                self.compare(recorded[self.recorded_node], actual[self.node], f"{at}/*")
            others = [value for key, value in sorted(recorded.items()) if key != self.recorded_node]
            actual_others = [value for key, value in sorted(actual.items()) if key != self.node]
            for one, other in zip(others, actual_others, strict=False):
                self.compare(one, other, f"{at}/*")
        elif f"{at}/<hash>" in self.varies and _all_match(actual, lambda key: len(key) == _HASH_CHARACTERS):
            self._expect(len(recorded) == len(actual), at, f"{len(recorded)} hashes", f"{len(actual)} hashes")
        else:
            self._expect(set(recorded) == set(actual), at, sorted(recorded), sorted(actual))
            for key in recorded.keys() & actual.keys():
                self.compare(recorded[key], actual[key], f"{at}/{key}")

    def _expect(self, equal: bool, at: str, recorded: object, actual: object) -> None:
        if not equal:
            self.differences.append(f"{at or '/'}: {str(recorded)[:80]} recorded, {str(actual)[:80]} now")


def _all_match(keys: Iterable[str], matches: Any) -> bool:
    found = list(keys)
    return bool(found) and all(map(matches, found))
