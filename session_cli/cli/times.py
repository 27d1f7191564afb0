"""Times on the command line."""

from __future__ import annotations

from typing import Annotated

import typer

from ..errors import UsageError
from .context import App

Since = Annotated[
    str | None,
    typer.Option(
        "--since",
        help="Not before this time: 2026-11-23, 2026-11-23T10:02, 10:02, today, monday, 90m, '2 hours ago', @UNIXTIME.",
        metavar="WHEN",
    ),
]
Until = Annotated[
    str | None,
    typer.Option("--until", help="Not after this time; of a day alone, its end counts.", metavar="WHEN"),
]


def moment(app: App, text: str | None, *, end: bool = False) -> int | None:
    """A time from the command line, in ms since 1970. Raises UsageError."""
    if text is None:
        return None
    from datetime import datetime

    from ..core.when import parse_when

    return parse_when(app.text_argument(text), now=datetime.now(), end=end)


def length(app: App, text: str | None) -> int | None:
    """A length of time from the command line, in seconds. Raises UsageError."""
    if text is None:
        return None
    from ..core.when import parse_length

    given = app.text_argument(text)
    seconds = parse_length(given)
    if not seconds:
        raise UsageError(f"{given!r} is no length of time; give one such as 8h, 1d or 2w.")
    return seconds
