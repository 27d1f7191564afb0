"""The search against one that looks at every text, with a tokenizer of its own; and queries of all kinds."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_cli.errors import UsageError
from session_cli.store.database import migrate
from session_cli.store.history import Range
from session_cli.store.records import AttachmentRow, NewMessage
from session_cli.store.store import Store

ALICE, BOB = "05" + "a" * 64, "05" + "b" * 64
FILE = AttachmentRow("http://x/file/1", b"k" * 64, None, 1, "image/png", "a.png")


class _Undone(Exception):
    """Ends a transaction that shall leave nothing."""


@pytest.fixture(scope="module")
def store() -> Store:
    connection = apsw.Connection(":memory:")
    migrate(connection)
    return Store(connection)


@contextmanager
def holding(store: Store, *bodies: str) -> Iterator[list[int]]:
    """The store with these texts, the n-th at time n, from Alice and Bob in turn; gives their ids."""
    with suppress(_Undone), store.transaction():
        yield [add(store, body, number) for number, body in enumerate(bodies, 1)]
        raise _Undone


def add(store: Store, body: str, sent_ms: int, *files: AttachmentRow) -> int:
    sender = ALICE if sent_ms % 2 else BOB
    message = NewMessage(sender, "incoming", sender, sent_ms, body, "received", attachments=files)
    message_id = store.messages.add(message)
    assert message_id is not None
    return message_id


def found(store: Store, query: str, wanted: Range = Range(), limit: int | None = None) -> list[int]:  # noqa: B008
    return store.search.find(store.search.parse(query), wanted, limit)


def hits(store: Store, query: str, *bodies: str) -> list[str]:
    """Which of some texts a query finds."""
    with holding(store, *bodies) as ids:
        by_id = dict(zip(ids, bodies, strict=True))
        return [by_id[message_id] for message_id in reversed(found(store, query))]


# Against a search that looks at everything.


def plain(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text)
    bare = "".join(char for char in decomposed if not 0x300 <= ord(char) <= 0x36F)
    return " ".join(unicodedata.normalize("NFC", bare).casefold().split())


def words_of(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", plain(text))


def fits(term: tuple[str, str, bool], body: str) -> bool:
    form, text, excluded = term
    wanted, words = words_of(text), words_of(body)
    if form == "part" or not wanted or re.search("[日本ก]", text):
        present = plain(text) in plain(body)
    else:
        runs = [words[start : start + len(wanted)] for start in range(len(words) - len(wanted) + 1)]
        if form == "prefix":
            present = any(run[:-1] == wanted[:-1] and run[-1].startswith(wanted[-1]) for run in runs)
        else:
            present = wanted in runs
    return present != excluded


def written(term: tuple[str, str, bool]) -> str:
    form, text, excluded = term
    star = "*" if form == "prefix" else ""
    shown = f"*{text}*" if form == "part" else f'"{text}"{star}' if " " in text else text + star
    return ("-" if excluded else "") + shown


ALPHABET = "abáBÄ日本ก._🎉"
BODIES = st.lists(st.text(ALPHABET + "  \n", max_size=14), max_size=12)
PIECES = st.text(ALPHABET.replace("_", ""), min_size=1, max_size=3)
TERMS = st.tuples(st.sampled_from(["word", "prefix"]), st.lists(PIECES, min_size=1, max_size=3).map(" ".join)) | (
    st.tuples(st.just("part"), PIECES)
)
QUERIES = st.tuples(
    st.lists(TERMS, min_size=1, max_size=2).map(lambda terms: [(*term, False) for term in terms]),
    st.lists(TERMS, max_size=1).map(lambda terms: [(*term, True) for term in terms]),
).map(lambda both: both[0] + both[1])


@given(BODIES, QUERIES, st.sampled_from([None, 1, 2, 5]))
def test_as_if_every_text_were_looked_at(
    store: Store, bodies: list[str], terms: list[tuple[str, str, bool]], limit: int | None
) -> None:
    query = " ".join(map(written, terms))
    with holding(store, *bodies) as ids:
        expected = [
            message_id
            for message_id, body in zip(ids, bodies, strict=True)
            if all(fits(term, body) for term in terms)
        ]  # fmt: skip
        assert found(store, query, limit=limit) == expected[::-1][:limit]


@given(st.text(max_size=40) | st.text(alphabet="ab\"*-()^:+{}\\'\0 ANDORNTE", max_size=40))
def test_any_query_is_answered_or_refused(store: Store, query: str) -> None:
    with holding(store, "a", "b and c", 'the "quoted" one', "") as ids:
        try:
            assert set(found(store, query)) <= set(ids)
        except UsageError as error:
            assert "looked for" in str(error)


@given(st.text(max_size=40), st.text(max_size=10))
def test_any_text_is_found_by_its_own_words(store: Store, text: str, more: str) -> None:
    with holding(store, "other", text + more):
        for begin, end, _ in store.search._tokenize(text):
            word = text.encode()[begin:end].decode()
            assert '"' not in word
            query = store.search.parse(f'"{word}"')
            assert query.matches(text)


# By example.


def test_words_stand_in_any_order(store: Store) -> None:
    bodies = ("The quick brown fox", "brown and quick", "quick", "QUICKLY BROWN")
    assert hits(store, "quick brown", *bodies) == list(bodies[:2])
    assert hits(store, "Brown quick*", *bodies) == [bodies[0], bodies[1], bodies[3]]
    assert hits(store, '"quick brown"', *bodies) == [bodies[0]]
    assert hits(store, "quick -fox", *bodies) == [bodies[1], bodies[2]]
    assert hits(store, 'quick -"brown fox"', *bodies) == [bodies[1], bodies[2]]
    assert hits(store, "*row*", *bodies) == [bodies[0], bodies[1], bodies[3]]


def test_case_accents_and_punctuation_make_no_difference(store: Store) -> None:
    bodies = ("Café au lait", "the CAFE", "cafe\u0301!", "caf")
    assert hits(store, "café", *bodies) == list(bodies[:3])
    assert hits(store, "user@example.org", "write to user@example.org.", "user of example.org") == [
        "write to user@example.org."
    ]
    assert hits(store, "it's", "It’s me", "it was s") == ["It’s me"]
    assert hits(store, "ΣΟΦΌΣ", "ο σοφός") == ["ο σοφός"]


def test_operators_of_other_searches_are_words(store: Store) -> None:
    bodies = ("this or that", "near and not far", "NEAR")
    assert hits(store, "OR", *bodies) == [bodies[0]]
    assert hits(store, "NOT AND near", *bodies) == [bodies[1]]
    assert hits(store, "body:near", *bodies) == []


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("天気", "今日はとても良い天気ですね"),
        ("東京 天気", "東京の天気"),
        ("ｶﾅ", "カナで書く"),
        ("你好", "大家你好世界"),
        ("ที่นี่", "ฉันอยู่ที่นี่แล้ว"),
        ("🎉", "well done 🎉🎊"),
        ("안녕", "안녕 하세요"),
        ("C++", "I like C++ a lot"),
        ("...", "well... yes"),
        ("*ß*", "Straße"),
        ("*STRASSE", "Hauptstraße"),
    ],
)
def test_scripts_without_spaces_and_signs(store: Store, query: str, body: str) -> None:
    assert hits(store, query, body, "something else entirely") == [body]


@pytest.mark.parametrize("query", ["", "  ", "-word", '""', '-"a b"', "--", '"', "-*a*"])
def test_nothing_to_look_for(store: Store, query: str) -> None:
    with pytest.raises(UsageError, match="at least one word"):
        store.search.parse(query)


def test_long_queries(store: Store) -> None:
    many = " ".join(f"w{number}" for number in range(5_000))
    assert hits(store, many, many, "w1") == [many]
    assert hits(store, "x" * 50_000, "x" * 50_000, "x") == ["x" * 50_000]


def test_ranges(store: Store) -> None:
    with holding(store, "a 1", "a 2", "a 3", "b 4", "a 5") as ids:
        with_file = add(store, "a 6", 6, FILE)
        assert found(store, "a", Range(conversation=ALICE)) == [ids[4], ids[2], ids[0]]
        assert found(store, "a", Range(sender=BOB)) == [with_file, ids[1]]
        assert found(store, "a", Range(since_ms=2, until_ms=5)) == [ids[4], ids[2], ids[1]]
        assert found(store, "*a*", Range(since_ms=2, until_ms=5)) == [ids[4], ids[2], ids[1]]
        assert found(store, "a", Range(has_attachment=True)) == [with_file]
        assert found(store, "a", Range(conversation="05" + "c" * 64)) == []
        assert found(store, "a", limit=2) == [with_file, ids[4]]


def test_what_is_deleted_or_changed_is_found_no_more(store: Store) -> None:
    with holding(store, "secret plan", "", "kept") as ids:
        connection = store._connection
        connection.execute("DELETE FROM messages WHERE id = ?", (ids[0],))
        connection.execute("UPDATE messages SET body = 'now a text' WHERE id = ?", (ids[1],))
        connection.execute("UPDATE messages SET body = '' WHERE id = ?", (ids[2],))
        assert found(store, "secret") == found(store, "kept") == []
        assert found(store, "text") == [ids[1]]


def test_an_empty_text_that_becomes_one(store: Store) -> None:
    """The index holds nothing of an empty text, and says it is damaged when it is to forget what it does not hold."""
    with holding(store, "") as ids:
        store._connection.execute("UPDATE messages SET body = 'late words' WHERE id = ?", (ids[0],))
        assert found(store, "late") == ids
        store._connection.execute("INSERT INTO message_search (message_search) VALUES ('integrity-check')")


def test_hits_are_marked_where_they_stand(store: Store) -> None:
    def marked(query: str, text: str) -> list[str]:
        return [text[begin:end] for begin, end in store.search.parse(query).spans(text)]

    assert marked("quick fox*", "🦊 The QUICK foxes, quickly") == ["QUICK", "foxes"]
    assert marked('"brown fox" -red', "a brown  fox; a brown dog; red") == ["brown", "fox"]
    assert marked("天気", "良い天気です、天気") == ["天気", "天気"]
    assert marked("*ow*", "brown cow OWL") == ["ow", "ow", "OW"]
    assert marked("café", "CAFE\u0301 x") == ["CAFE\u0301"]
    assert marked("a ab*", "abc a") == ["abc", "a"]


@given(st.text(max_size=30), st.text(max_size=8))
def test_marks_lie_within_the_text(store: Store, text: str, query: str) -> None:
    with suppress(UsageError):
        last = 0
        for begin, end in store.search.parse(query).spans(text):
            assert last <= begin < end <= len(text)
            last = end
