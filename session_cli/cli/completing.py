"""What can be completed: functions for `autocompletion=` of arguments and options.

    to: Annotated[str, typer.Argument(metavar="TO", autocompletion=completing.recipients)]

Each returns pairs of a value and a help text, which zsh and fish show. An option or argument whose metavar names a FILE
or DIR needs none: the shell completes names of files there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from ..errors import SessionError
from .text import harmless

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..core.suggestions import Suggestion
    from .context import App

Pairs = list[tuple[str, str]]
_HELP_WIDTH = 50


def recipients(ctx: typer.Context, args: list[str], incomplete: str) -> Pairs:
    """Whom `TO` can name: me, names, beginnings of known ids, rooms."""
    from ..core.suggestions import suggest_recipients

    app = ctx.find_root().obj
    return _pairs(suggest_recipients(incomplete, _profile(app), app.environ))


def groups(ctx: typer.Context, args: list[str], incomplete: str) -> Pairs:
    """Which group `GROUP` can name: names, and beginnings of ids."""
    from ..core.suggestions import suggest_groups

    app = ctx.find_root().obj
    return _pairs(suggest_groups(incomplete, _profile(app), app.environ))


def rooms(ctx: typer.Context, args: list[str], incomplete: str) -> Pairs:
    """Which room of a community `ROOM` can name: names, and addresses."""
    from ..core.suggestions import suggest_rooms

    app = ctx.find_root().obj
    return _pairs(suggest_rooms(incomplete, _profile(app), app.environ))


def messages(ctx: typer.Context, args: list[str], incomplete: str) -> Pairs:
    """The ids of the latest messages."""
    from ..core.suggestions import suggest_messages

    app = ctx.find_root().obj
    return _pairs(suggest_messages(app.profile_name, app.environ))


def messages_with_files(ctx: typer.Context, args: list[str], incomplete: str) -> Pairs:
    """The ids of the latest messages that have attachments."""
    from ..core.suggestions import suggest_messages

    app = ctx.find_root().obj
    return _pairs(suggest_messages(app.profile_name, app.environ, with_attachments=True))


def profiles(ctx: typer.Context, args: list[str], incomplete: str) -> Pairs:
    """The profiles there are."""
    from ..core.profile import profile_names

    return [(name, "") for name in profile_names(ctx.find_root().obj.environ)]


def networks(ctx: typer.Context, args: list[str], incomplete: str) -> Pairs:
    """The networks that are built in."""
    return [("mainnet", "the network of all apps"), ("testnet", "for tests, with other accounts")]


def _profile(app: App) -> str:
    """The profile asked for; where the settings make no sense, one that can't be."""
    try:
        return app.profile_name
    except SessionError:
        return ""


def _pairs(suggestions: Iterable[Suggestion]) -> Pairs:
    return [(suggestion.value, _cut(harmless(suggestion.help))) for suggestion in suggestions]


def _cut(text: str) -> str:
    return text if len(text) <= _HELP_WIDTH else text[: _HELP_WIDTH - 1] + "…"
