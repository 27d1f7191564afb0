"""Moments as people and scripts write them, turned into milliseconds since 1970."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta

from ..errors import UsageError

FORMS = "2026-11-23, 2026-11-23T10:02Z, 10:02, today, yesterday, monday, 90m, '2 hours ago' or @1795428131"
"""Examples of what is understood."""

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_STEP = re.compile(
    r"(\d{1,9})\s*(s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?)(?![a-z])\s*", re.ASCII
)
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?", re.ASCII)
_UNIX = re.compile(r"@(\d{1,11})(?:\.(\d{1,9}))?", re.ASCII)
_LATEST_S = 253_402_300_799
"""The last second of the year 9999."""


def parse_when(text: str, *, now: datetime, end: bool = False) -> int:
    """The moment that `text` names, in ms since 1970.

    Understood are ISO 8601 dates and times; `10:02` (today); `today`, `yesterday` and the names of weekdays (the latest
    such day, which may be today), perhaps with a time behind; lengths of time before now, such as `90s`, `1h30m` or
    `2 hours ago`; `now`; and `@` with seconds since 1970. A day without a time means its first millisecond, or with
    `end` its last. What has no zone of its own is in that of `now`; if this has none, in this machine's.
    Raises UsageError for everything else.
    """
    wanted = " ".join(text.lower().split())
    try:
        found = _parse(wanted, now, end=end)
    except (ValueError, OverflowError, OSError):
        found = None
    if found is None or not 0 <= found <= _LATEST_S * 1000 + 999:
        raise UsageError(f"{text!r} is no time that is understood here; give one like {FORMS}.")
    return found


def _parse(text: str, now: datetime, *, end: bool) -> int | None:
    if text == "now":
        return _ms(now)
    if unix := _UNIX.fullmatch(text):
        return int(unix[1]) * 1000 + int((unix[2] or "0").ljust(3, "0")[:3])
    ago = parse_length(text.removesuffix(" ago"))
    if ago is not None:
        return _ms(now) - ago * 1000
    first, _, rest = text.partition(" ")
    day = _named_day(first, now.date())
    if day is None and _CLOCK.fullmatch(text):
        day, rest = now.date(), text
    if day is not None:
        return _ms(datetime.combine(day, _clock(rest), now.tzinfo)) if rest else _whole_day(day, now, end=end)
    try:
        return _whole_day(date.fromisoformat(text.upper()), now, end=end)
    except ValueError:
        moment = datetime.fromisoformat(text.upper())
    return _ms(moment if moment.tzinfo else moment.replace(tzinfo=now.tzinfo))


def _ms(moment: datetime) -> int:
    return int(moment.replace(microsecond=0).timestamp()) * 1000 + moment.microsecond // 1000


def parse_length(text: str) -> int | None:
    """The seconds of a length of time, which may be put together of several: `12h`, `1h30m`; None if it is none."""
    total, at = 0, 0
    while step := _STEP.match(text, at):
        total += int(step[1]) * _UNITS[step[2][0]]
        at = step.end()
    return total if at and at == len(text) else None


def _named_day(name: str, today: date) -> date | None:
    if name in ("today", "yesterday"):
        return today - timedelta(days=name == "yesterday")
    for number, weekday in enumerate(_WEEKDAYS):
        if name in (weekday, weekday[:3]):
            return today - timedelta(days=(today.weekday() - number) % 7)
    return None


def _clock(text: str) -> time:
    match = _CLOCK.fullmatch(text)
    if match is None:
        raise ValueError("no time of day")
    return time(int(match[1]), int(match[2]), int(match[3] or 0))


def _whole_day(day: date, now: datetime, *, end: bool) -> int:
    if end:
        return _ms(datetime.combine(day + timedelta(days=1), time(), now.tzinfo)) - 1
    return _ms(datetime.combine(day, time(), now.tzinfo))
