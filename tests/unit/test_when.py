"""Moments as people write them. Nothing here depends on the clock or the zone of the machine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_cli.core.when import parse_when
from session_cli.errors import UsageError

ZONE = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 25, 10, 30, 15, 250_000, ZONE)
"""A Wednesday, an hour ahead of UTC."""
DAY_MS = 86_400_000


def ms(*parts: int, zone: ZoneInfo | None = ZONE) -> int:
    return int(datetime(*parts, tzinfo=zone or UTC).timestamp() * 1000)  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-23", ms(2026, 11, 23)),
        ("20261123", ms(2026, 11, 23)),
        ("2026-11-23T10:02", ms(2026, 11, 23, 10, 2)),
        ("2026-11-23 10:02:11", ms(2026, 11, 23, 10, 2, 11)),
        ("2026-11-23T10:02:11.123Z", ms(2026, 11, 23, 10, 2, 11, zone=None) + 123),
        ("2026-11-23t10:02:11z", ms(2026, 11, 23, 10, 2, 11, zone=None)),
        ("2026-11-23T10:02:11+05:30", ms(2026, 11, 23, 4, 32, 11, zone=None)),
        ("2026-07-01T12:00", ms(2026, 7, 1, 10, zone=None)),
        ("now", ms(2026, 11, 25, 10, 30, 15) + 250),
        ("today", ms(2026, 11, 25)),
        ("Yesterday", ms(2026, 11, 24)),
        ("wednesday", ms(2026, 11, 25)),
        ("thursday", ms(2026, 11, 19)),
        ("mon", ms(2026, 11, 23)),
        ("monday 9:05", ms(2026, 11, 23, 9, 5)),
        ("yesterday 18:30:01", ms(2026, 11, 24, 18, 30, 1)),
        ("10:02", ms(2026, 11, 25, 10, 2)),
        ("90s", ms(2026, 11, 25, 10, 28, 45) + 250),
        ("10m", ms(2026, 11, 25, 10, 20, 15) + 250),
        ("2h", ms(2026, 11, 25, 8, 30, 15) + 250),
        ("3d", ms(2026, 11, 22, 10, 30, 15) + 250),
        ("1w", ms(2026, 11, 18, 10, 30, 15) + 250),
        ("1h30m", ms(2026, 11, 25, 9, 0, 15) + 250),
        ("2 hours ago", ms(2026, 11, 25, 8, 30, 15) + 250),
        ("  1  day  ago ", ms(2026, 11, 24, 10, 30, 15) + 250),
        ("1 week 2 days", ms(2026, 11, 16, 10, 30, 15) + 250),
        ("@1795428131", 1795428131000),
        ("@1795428131.5", 1795428131500),
        ("@0", 0),
    ],
)
def test_forms(text: str, expected: int) -> None:
    assert parse_when(text, now=NOW) == expected


@pytest.mark.parametrize("text", ["2026-11-23", "today", "yesterday", "monday", "2026-03-29", "2026-10-25"])
def test_the_end_of_a_day_is_its_last_millisecond(text: str) -> None:
    begin = datetime.fromtimestamp(parse_when(text, now=NOW) / 1000, ZONE)
    following = datetime.combine(begin.date() + timedelta(days=1), datetime.min.time(), ZONE)
    assert parse_when(text, now=NOW, end=True) == int(following.timestamp() * 1000) - 1


def test_days_on_which_clocks_change_are_as_long_as_they_are() -> None:
    for text, hours in (("2026-03-29", 23), ("2026-10-25", 25)):
        length = parse_when(text, now=NOW, end=True) - parse_when(text, now=NOW) + 1
        assert length == hours * 3_600_000


@pytest.mark.parametrize("text", ["2026-11-23T10:02", "10:02", "now", "2h", "@5", "monday 9:05"])
def test_a_moment_ends_where_it_begins(text: str) -> None:
    assert parse_when(text, now=NOW, end=True) == parse_when(text, now=NOW)


def test_without_a_zone_the_machine_s_is_meant() -> None:
    naive = datetime(2026, 11, 25, 10, 30)
    assert parse_when("2026-11-23T10:02", now=naive) == int(datetime(2026, 11, 23, 10, 2).timestamp() * 1000)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "tuesdey", "2026-13-01", "2026-11-31", "25:00", "10:60", "2 fortnights ago", "5", "h", "2h ago ago"),
        *(
            "@",
            "@-1",
            "1e3s",
            "monday monday",
            "yesterday tomorrow",
            "２h",
            "2026-11-23T10:02+99:00",
            "-2h",
            "2h3",
            "\0",
        ),
        *("0001-01-01", "999999999w", "10m2", "today 10", "2026-11-23T", "9999-12-31T23:59:59-12:00"),
    ],
)
def test_everything_else_is_refused_with_examples(text: str) -> None:
    with pytest.raises(UsageError, match="today"):
        parse_when(text, now=NOW)


@given(st.text(alphabet="0123456789-:TZ+@. adhmnoswytu") | st.text(max_size=30), st.booleans())
def test_any_text_gives_a_time_or_is_refused(text: str, end: bool) -> None:
    try:
        found = parse_when(text, now=NOW, end=end)
    except UsageError:
        return
    assert 0 <= found < 2**53


@given(st.datetimes(datetime(1971, 1, 1), datetime(9000, 1, 1), timezones=st.just(UTC)))
def test_what_this_program_prints_is_understood(moment: datetime) -> None:
    text = moment.isoformat(timespec="milliseconds")
    assert parse_when(text, now=NOW) == parse_when(text.replace("+00:00", "Z"), now=NOW)
    assert abs(parse_when(text, now=NOW) - moment.timestamp() * 1000) <= 1
