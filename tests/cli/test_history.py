"""`log`, `list` and `search` as their users call them: no network is there, and none is needed."""

from __future__ import annotations

import os
import time
from datetime import datetime, timedelta
from pathlib import Path

import jsonschema
import pytest

from session_cli.cli.schema import json_schema
from tests.support.devnet import SESSION, Done, Person
from tests.support.histories import (
    account_id,
    answering,
    file_row,
    fill,
    message_from,
    message_to,
    open_store,
    with_files,
)
from tests.support.memory import peak_kb
from tests.support.outcomes import bodies, check_json_refusal, check_refusal, objects

ALICE, BOB, EVE = map(account_id, (1, 2, 3))
DAY_MS = 86_400_000
YESTERDAY = int(datetime.combine(datetime.now().date() - timedelta(days=1), datetime.min.time()).timestamp() * 1000)


@pytest.fixture
def carol(tmp_path: Path) -> Person:
    """Somebody with an account and no network."""
    return Person(tmp_path / "carol", "mainnet").init("--name", "Carol")


@pytest.fixture
def talkative(carol: Person) -> Person:
    """Carol, who talked with Alice and Bob, and was written to by Eve, whom she does not know."""
    fill(
        carol,
        [
            message_from(ALICE, YESTERDAY + 1_000, "Are you coming to the concert?"),
            message_to(ALICE, carol.id, YESTERDAY + 2_000, "Yes, with an umbrella"),
            message_from(BOB, YESTERDAY + 3_000, "The report is done"),
            with_files(message_from(BOB, YESTERDAY + 4_000, ""), file_row("report.pdf", "application/pdf", 1234)),
            message_to(BOB, carol.id, YESTERDAY + DAY_MS + 1, "Thanks for the report", status="failed"),
            message_from(EVE, YESTERDAY + DAY_MS + 2, "win a prize", request=True),
        ],
        {ALICE: "Alice", BOB: "Bob", EVE: "Bob"},
    )
    return carol


def checked(done: Done) -> list[dict[str, object]]:
    """The objects printed, all of them as the schema promises."""
    found = objects(done)
    for item in found:
        jsonschema.validate(item, json_schema())
    return found


def test_log_shows_everything_oldest_first(talkative: Person) -> None:
    messages = checked(talkative.run("log", "--json"))
    assert [message["id"] for message in messages] == [1, 2, 3, 4, 5, 6]
    text = talkative.run("log").text
    assert text.index("concert") < text.index("umbrella") < text.index("prize")
    assert [line.startswith("── ") for line in text.splitlines()].count(True) == 2, "a line for each day"
    assert "me (to Bob (" in text
    assert "[not sent]  #5\n" in text
    assert "[message request]  #6\n" in text


@pytest.mark.parametrize(
    ("arguments", "ids"),
    [
        ((ALICE,), [1, 2]),
        (("Alice",), [1, 2]),
        (("Bob",), [3, 4, 5]),
        ((EVE[:10],), [6]),
        (("me",), []),
        (("--limit", "2"), [5, 6]),
        (("--limit", "0"), [1, 2, 3, 4, 5, 6]),
        (("-n", "1", "Alice"), [2]),
        (("--since", "today"), [5, 6]),
        (("--until", "yesterday"), [1, 2, 3, 4]),
        (("--since", "yesterday", "--until", "yesterday", "Bob"), [3, 4]),
        (("--since", f"@{YESTERDAY // 1000 + 3}", "--until", f"@{YESTERDAY // 1000 + 4}"), [3, 4]),
        (("--since", "2000-01-01", "--limit", "3"), [4, 5, 6]),
        (("--until", "2000-01-01"), []),
        (("--before", "3"), [1, 2]),
        (("--after", "3"), [4, 5, 6]),
        (("--after", "1", "--limit", "2"), [2, 3]),
        (("--before", "6", "--limit", "2"), [4, 5]),
        (("--after", "2", "--before", "5"), [3, 4]),
    ],
)
def test_log_of_a_part(talkative: Person, arguments: tuple[str, ...], ids: list[int]) -> None:
    assert [message["id"] for message in checked(talkative.run("log", "--json", *arguments))] == ids


def test_messages_of_one_moment_are_paged_through_one_by_one(carol: Person) -> None:
    """In several conversations, two of them sent by oneself: from two devices."""
    same = [message_to(BOB, carol.id, YESTERDAY, "1"), message_from(ALICE, YESTERDAY, "2")]
    same += [message_to(ALICE, carol.id, YESTERDAY, "3"), message_from(EVE, YESTERDAY, "4")]
    fill(carol, [*same, message_from(BOB, YESTERDAY + 1, "5"), message_from(ALICE, YESTERDAY - 1, "0")])
    in_order = ["0", "1", "2", "3", "4", "5"]
    assert [message["body"] for message in checked(carol.run("log", "--json"))] == in_order
    for option, expected in (("--after", in_order[1:]), ("--before", in_order[-2::-1])):
        found, place = [], {"--after": "6", "--before": "5"}[option]
        while page := checked(carol.run("log", "--json", "--limit", "1", option, place)):
            (message,) = page
            found.append(message["body"])
            place = str(message["id"])
        assert found == expected


@pytest.mark.parametrize(
    ("arguments", "code", "mentioned"),
    [
        (("log", "--since", "tuesdey"), 2, "today"),
        (("log", "--until", "2026-02-30"), 2, "2026-02-30"),
        (("log", "--before", "77"), 65, "77"),
        (("log", "--after", "77"), 65, "77"),
        (("log", "Nobody"), 65, "Nobody"),
        (("log", "--limit", "-1"), 2, "--limit"),
        (("search", ""), 2, "at least one word"),
        (("search", "--", "-a"), 2, "at least one word"),
        (("search", "a", "--has", "wings"), 2, "attachment"),
        (("search", "a", "--in", "Nobody"), 65, "Nobody"),
        (("search", "a", "--from", "0512"), 65, "0512"),
        (("search", "a", "--since", "soon"), 2, "soon"),
        (("search",), 2, "QUERY"),
    ],
)
def test_refusals(talkative: Person, arguments: tuple[str, ...], code: int, mentioned: str) -> None:
    check_refusal(talkative.try_run(*arguments), code, mentioned)


def test_refusals_in_json(talkative: Person) -> None:
    check_json_refusal(talkative.try_run("log", "--json", "--since", "soon"), 2, "usage")
    check_json_refusal(talkative.try_run("search", "--json", "--", "-a"), 2, "usage")


def test_nobody_is_asked_and_nothing_changes(talkative: Person) -> None:
    """Another process is in the middle of writing meanwhile, and nobody waits for it."""
    profile = open_store(talkative)
    try:
        with profile.store.transaction():
            profile.store.settings.set("display_name", "half done")
            for name in ("receive", "reader-default", "outbox"):
                (profile.folder / f"{name}.lock").write_text("")
            for arguments in (("log",), ("list",), ("search", "report"), ("export",)):
                assert talkative.run(*arguments).text
    finally:
        profile.store.close()
    assert not list(talkative.home.rglob("cache/*")), "no list of nodes was fetched"


@pytest.mark.parametrize(
    ("arguments", "ids"),
    [
        (("report",), [3, 5]),
        (("REPORT", "thanks"), [5]),
        (('"the report"',), [3, 5]),
        (("repor*",), [3, 5]),
        (("*brell*",), [2]),
        (("report -thanks",), [3]),
        (("report", "--in", "Bob"), [3, 5]),
        (("report", "--in", "Alice"), []),
        (("report", "--from", "me"), [5]),
        (("report", "--from", "Bob"), [3]),
        (("report", "--since", "today"), [5]),
        (("report", "--until", "yesterday"), [3]),
        (("the", "--limit", "1"), [5]),
        (("the", "--limit", "0"), [1, 3, 5]),
        (("report", "--has", "attachment"), []),
        (("unknown",), []),
    ],
)
def test_search(talkative: Person, arguments: tuple[str, ...], ids: list[int]) -> None:
    done = talkative.try_run("search", "--json", *arguments)
    assert [message["id"] for message in checked(done)] == ids
    assert done.code == (0 if ids else 1)
    assert done.stderr == ""


def test_search_for_messages_with_files(carol: Person) -> None:
    fill(
        carol,
        [
            with_files(message_from(ALICE, 1_000, "see this"), file_row("a.png", "image/png")),
            message_from(ALICE, 2_000, "see that"),
        ],
    )
    assert bodies(carol.run("search", "see", "--has", "attachment", "--json").objects) == ["see this"]


def test_hits_are_coloured_and_nothing_else_can_be(carol: Person) -> None:
    fill(carol, [message_from(ALICE, 1_000, "a \x1b[2J cat\x1b\nand cats")])
    shown = carol.run("search", "cat*", "--color", "always").text
    assert shown.count("\x1b[1;31m") == 2
    assert "    a ␛[2J \x1b[1;31mcat\x1b[0m␛\n    and \x1b[1;31mcats\x1b[0m\n" in shown
    assert "\x1b" not in carol.run("search", "cat*").text


def test_list(talkative: Person) -> None:
    first, second, third = checked(talkative.run("list", "--json"))
    assert first["conversation"] == {"type": "contact", "id": EVE, "name": "Bob"}
    assert (first["request"], first["unread"]) == (True, 1)
    assert second["conversation"] == {"type": "contact", "id": BOB, "name": "Bob"}
    assert (second["request"], second["unread"]) == (False, 2)
    assert isinstance(second["last_message"], dict)
    assert second["last_message"]["body"] == "Thanks for the report"
    assert third["conversation"] == {"type": "contact", "id": ALICE, "name": "Alice"}
    lines = talkative.run("list").lines
    assert [line[:4].strip() for line in lines] == ["2", "1", "1"]
    assert lines[0].endswith("me: [not sent] Thanks for the …")
    assert "[request] win a prize" in lines[2]


def test_list_of_nothing(carol: Person) -> None:
    for arguments in (("list",), ("log",), ("list", "--json")):
        done = carol.run(*arguments)
        assert (done.text, done.stderr) == ("", "")


def test_rows_are_aligned_whatever_stands_in_them(carol: Person) -> None:
    from session_cli.cli.text import cell_width

    names = {
        account_id(10): "plain",
        account_id(11): "日本語の名前はとても長いです",
        account_id(12): "👩‍👩‍👧 family ❤️",
        account_id(13): "e\u0301\u0301\u0301 accents",
        account_id(14): "\x1b[31mred\n\tand\u202e more",
        account_id(15): "محمد",
    }
    text = "line one\nline two \x1b[2J 良い天気 " * 5
    fill(carol, [message_from(address, 1_000 + number, text) for number, address in enumerate(names)], names)
    lines = carol.run("list").lines
    assert len(lines) == len(names)
    for line in lines:
        assert cell_width(line) <= 80, line
        assert "\x1b" not in line
        begin = line.index("1970-01-01")
        assert cell_width(line[:begin]) == 37, line
        assert cell_width(line.partition("  [request]")[0]) == 47
    broad = Person(carol.home, carol.network, extra={"COLUMNS": "200"}).run("list").lines
    assert max(map(cell_width, broad)) > 150


def test_a_quote_and_a_day_in_another_zone(carol: Person) -> None:
    question = message_from(ALICE, 1_795_444_200_000, "late?")
    fill(carol, [question, answering(message_to(ALICE, carol.id, 1_795_449_600_000, "very"), question)])
    tokyo = Person(carol.home, carol.network, extra={"TZ": "Asia/Tokyo"})
    assert tokyo.run("log").lines == [
        "── Monday, 23 November 2026 ──",
        f"2026-11-23 23:30:00  {ALICE[:10]}…  #1",
        "    late?",
        "── Tuesday, 24 November 2026 ──",
        f"2026-11-24 01:00:00  me (to {ALICE[:10]}…)  #2",
        f"  > {ALICE[:10]}…: late?  #1",
        "    very",
    ]
    assert bodies(tokyo.run("log", "--json", "--since", "2026-11-24").objects) == ["very"]


def test_a_reader_that_leaves_early(carol: Person) -> None:
    import subprocess

    fill(carol, [message_from(ALICE, number, "x" * 500) for number in range(1, 400)])
    with carol.start("log", "--limit", "0", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == -13


@pytest.mark.skipif(not hasattr(os, "wait4"), reason="peak memory of a child is told by wait4 only")
def test_memory_does_not_grow_with_the_history(tmp_path: Path) -> None:
    def peak(count: int, *arguments: str) -> int:
        person = Person(tmp_path / str(count), "mainnet")
        if not person.home.exists():
            person.init()
            fill(person, (message_from(ALICE, number, "word " * 400) for number in range(1, count)))
        return peak_kb([*SESSION, *arguments], person.environment)

    for arguments in (("log", "--limit", "0"), ("export", "--format", "html"), ("search", "*ord*")):
        few, many = peak(600, *arguments), peak(12_000, *arguments)
        assert many < few + 8_000, f"{arguments}: 23 MB more text took {many - few} kB more memory"


def test_times_relative_to_now(carol: Person) -> None:
    now = time.time_ns() // 1_000_000
    fill(carol, [message_from(ALICE, now - 3 * 3_600_000, "old"), message_from(ALICE, now - 60_000, "new")])
    assert bodies(carol.run("log", "--json", "--since", "2 hours ago").objects) == ["new"]
    assert bodies(carol.run("log", "--json", "--until", "2h").objects) == ["old"]
