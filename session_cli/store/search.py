"""Full-text search.

The index knows which words are in which message, not where. It proposes messages, the last stored first; what it can't
tell (neighbouring words, parts of words, text in scripts that put no spaces between words) is decided on their text,
which is cut into words by the very tokenizer that made the index.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

import apsw

from ..errors import UsageError
from .database import translate_errors
from .history import Range, condition
from .queries import fetch_one

Span = tuple[int, int]
"""Where something begins and ends in a text, in characters."""
Token = tuple[int, int, str]
"""Where a word begins and ends in a text's UTF-8, in bytes, and how it stands in the index."""
Tokenizer = Callable[[str], list[Token]]

_MOST_TOKENS = 64
"""Words of a query that the index is asked for at the most; the text is asked for all of them."""
_PIECE = re.compile(r'(-?)(?:"([^"]*)(?:"|\Z)(\*?)|(\S+))')
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u19e0-\u19ff\u1a20-\u1aaf\ua9e0-\ua9ff\uaa60-\uaadf"  # Thai and others
    "\u0f00-\u0fff\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3040-\u30ff\u31f0-\u31ff"  # Tibetan, radicals, kana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U0001aff0-\U0001b16f\U00020000-\U0003ffff]"  # Chinese
)
_ACCENTS = re.compile("[\u0300-\u036f]")


@dataclass(frozen=True, slots=True)
class Term:
    """One thing to look for. With `words`: these, one behind the other, the last perhaps only begun (`prefix`).
    Without: `part`, wherever it stands."""

    words: tuple[str, ...]
    part: str = ""
    prefix: bool = False
    excluded: bool = False

    def is_in(self, tokens: list[str], text: str) -> bool:
        """Whether it is in a text, of which the words are given, too, if this is about words."""
        if self.words:
            return next(self.places(tokens), None) is not None
        if text.isascii():
            # Most texts are short of what makes folding slow, and all of them have to be looked at.
            return self.part.isascii() and self.part in (fold(text) if " " in self.part else text.lower())
        return self.part in fold(text)

    def places(self, tokens: list[str]) -> Iterator[int]:
        """The numbers of the tokens at which the words begin."""
        count = len(self.words)
        for start in range(len(tokens) - count + 1):
            found = tokens[start : start + count]
            if self.prefix:
                if found[:-1] == list(self.words[:-1]) and found[-1].startswith(self.words[-1]):
                    yield start
            elif found == list(self.words):
                yield start


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for: a message has to contain every term but the excluded ones, and none of these."""

    terms: tuple[Term, ...]
    tokenize: Tokenizer = field(repr=False)

    @property
    def index_query(self) -> str | None:
        """What the index is asked; None if it is of no use, because no whole word is looked for."""
        wanted = [
            f'"{word}"*' if term.prefix and number == len(term.words) else f'"{word}"'
            for term in self.terms
            for number, word in enumerate(term.words, 1)
            if not term.excluded
        ]
        unwanted = [f'"{term.words[0]}"' for term in self.terms if term.excluded and _is_one_word(term)]
        if not wanted:
            return None
        asked = " AND ".join(dict.fromkeys(wanted[:_MOST_TOKENS]))
        return f"({asked}) NOT ({' OR '.join(unwanted[:_MOST_TOKENS])})" if unwanted else asked

    def matches(self, text: str) -> bool:
        """Whether a text is what is looked for."""
        tokens = [word for _, _, word in self.tokenize(text)] if any(term.words for term in self.terms) else []
        return all(term.is_in(tokens, text) != term.excluded for term in self.terms)

    def spans(self, text: str) -> list[Span]:
        """The places in a text that make it what is looked for, in order, not touching each other."""
        tokens = self.tokenize(text)
        words = [word for _, _, word in tokens]
        data = text.encode(errors="surrogatepass")
        found: list[Span] = []
        for term in self.terms:
            if term.excluded:
                continue
            if not term.words:
                found += [match.span() for match in re.finditer(re.escape(term.part), text, re.IGNORECASE)]
            for start in term.places(words):
                for first, last, _ in tokens[start : start + len(term.words)]:
                    begin = len(data[:first].decode(errors="surrogatepass"))
                    found.append((begin, begin + len(data[first:last].decode(errors="surrogatepass"))))
        return _merged(found)


def _is_one_word(term: Term) -> bool:
    return len(term.words) == 1 and not term.prefix


def _merged(spans: list[Span]) -> list[Span]:
    merged: list[Span] = []
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged


def fold(text: str) -> str:
    """A text without differences of case, accents, width and spacing."""
    if text.isascii():
        return " ".join(text.lower().split())
    plain = _ACCENTS.sub("", unicodedata.normalize("NFKD", text))
    return " ".join(unicodedata.normalize("NFC", plain).casefold().split())


def parse_query(text: str, tokenize: Tokenizer) -> Query:
    """Understand a query.

    It is made of words, "several words in quotes", `begin*` for the beginnings of words, `*part*` for any part of one,
    and any of these with `-` in front for what must not be there. Text in scripts without spaces, and text without any
    letter or digit, is looked for wherever it stands. Raises UsageError if there is nothing to look for.
    """
    terms = []
    for minus, quoted, star, bare in _PIECE.findall(text):
        term = _term(bare or quoted + star, tokenize, excluded=bool(minus))
        if term is not None:
            terms.append(term)
    if all(term.excluded for term in terms):
        raise UsageError("Nothing is looked for; give at least one word that has to be there.")
    return Query(tuple(terms), tokenize)


def _term(text: str, tokenize: Tokenizer, *, excluded: bool) -> Term | None:
    bare = text.strip("*")
    words = tuple(word for _, _, word in tokenize(bare))
    if words and not text.startswith("*") and not _UNSPACED.search(bare):
        return Term(words, prefix=text.endswith("*"), excluded=excluded)
    part = fold(bare or text)
    return Term((), part, excluded=excluded) if part else None


class Search:
    """Finds messages by what is in them."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        cut = connection.fts5_tokenizer("unicode61", ["remove_diacritics", "2"])

        def tokenize(text: str) -> list[Token]:
            data = text.encode(errors="replace")
            cuts: Any = cut(data, apsw.FTS5_TOKENIZE_DOCUMENT, None)
            return [(begin, end, word) for begin, end, word, *_ in cuts]

        self._tokenize = tokenize

    def parse(self, text: str) -> Query:
        """As `parse_query`, with the tokenizer of the index."""
        return parse_query(text, self._tokenize)

    def find(
        self, query: Query, wanted: Range, limit: int | None, *, without: Collection[int] = frozenset()
    ) -> list[int]:
        """The ids of the messages of a range that a query fits, the last stored first, at most `limit`.

        Those of `without` are none of them. Raises StoreError.
        """
        found: list[int] = []
        with translate_errors(self._connection.filename):
            for message_id, body in self._candidates(query, wanted):
                if message_id not in without and query.matches(body):
                    found.append(message_id)
                    if len(found) == limit:
                        break
        return found

    def _candidates(self, query: Query, wanted: Range) -> Iterator[tuple[int, str]]:
        where, parameters = condition(wanted)
        asked = query.index_query
        if asked is None:
            # In the order of the ids, whatever else there is an index for: sorting would take all texts into memory.
            source, id_column = "messages m NOT INDEXED", "m.id"
        else:
            source, id_column = "message_search s CROSS JOIN messages m ON m.id = s.rowid", "s.rowid"
        bounds: tuple[Any, ...] = ()
        narrowed = Range(conversation=wanted.conversation, since_ms=wanted.since_ms, until_ms=wanted.until_ms)
        if narrowed != Range():
            # Of all conditions, the word index can only be told the first and the last id. That pays for those which
            # an index answers; this one does for times alone, too, if it is asked for each conversation.
            narrow, values = condition(narrowed)
            ends = (
                f"SELECT min(m.id), max(m.id) FROM messages m {narrow} "  # noqa: S608 - put together of constants
                "AND m.conversation_id IN (SELECT id FROM conversations)"
            )
            bounds = fetch_one(self._connection, ends, values) or (None, None)
            where += f" AND {id_column} BETWEEN ? AND ?"
        if asked is not None:
            where += " AND s.message_search MATCH ?"
            bounds += (asked,)
        statement = f"SELECT m.id, m.body FROM {source} {where} ORDER BY {id_column} DESC"  # noqa: S608 - constants
        rows: Any = self._connection.execute(statement, (*parameters, *bounds))
        return iter(rows)
