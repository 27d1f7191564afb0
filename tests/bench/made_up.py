"""Texts for stores to be measured with, made up as a natural language is: the same in each run.

The n-th most frequent word is n times as rare as the first, of 50,000; the lengths of messages vary from a word to many
times the mean.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import accumulate

COMMON, MIDDLE, RARE = 20, 500, 20_000
"""Ranks of words that are searched for."""
_VOCABULARY = 50_000


def words() -> list[str]:
    """Words, the most frequent first; frequent ones are shorter."""
    chance = random.Random(1)
    letters = "eeeeetttaaaooiinnsshhrrdlcumwfgypbvkéüñ"
    found: dict[str, None] = {}
    while len(found) < _VOCABULARY:
        length = 2 + min(len(found), 400) // 100 + chance.randrange(4)
        found.setdefault("".join(chance.choices(letters, k=length)))
    return list(found)


def texts(chance: random.Random, mean: int) -> Iterator[str]:
    """Texts of so many bytes in the mean, most of them shorter, a few much longer."""
    known = words()
    weights = list(accumulate(1 / rank for rank in range(1, _VOCABULARY + 1)))
    average = sum(len(word.encode()) / rank for rank, word in enumerate(known, 1)) / weights[-1] + 1
    while True:
        drawn = chance.choices(known, cum_weights=weights, k=100_000)
        at = 0
        while at < len(drawn) - 1:
            length = 1 + int(chance.expovariate(1 / max(mean / average - 0.5, 0.1)))
            if chunk := drawn[at : at + length]:
                yield " ".join(chunk) + chance.choice(("", "", ".", "!", "?"))
            at += length
