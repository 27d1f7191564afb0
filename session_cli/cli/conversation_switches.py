"""`pin`, `mute`, `hide` and their opposites, of `contact`, `group` and `community`: how conversations are treated."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from . import completing
from .context import App
from .json_output import conversation_state_json
from .output import party_text
from .times import length

if TYPE_CHECKING:
    from ..core.conversations import ConversationSwitches
    from ..core.model import ConversationState, Party

Place = Annotated[
    str,
    typer.Argument(
        metavar="WHO",
        help="A person, group or room, by id, address or known name; or me: notes to self.",
        show_default=False,
        autocompletion=completing.recipients,
    ),
]
Person = Annotated[
    str,
    typer.Argument(
        metavar="WHO",
        help="A person, group or room, by id, address or known name.",
        show_default=False,
        autocompletion=completing.recipients,
    ),
]


def pin(ctx: typer.Context, who: Place) -> None:
    """Let a conversation come first in list, on all your devices once the next command was online."""
    _switch(ctx.obj, lambda switches, name: switches.pin(name), who, "comes first now")


def unpin(ctx: typer.Context, who: Place) -> None:
    """Let a conversation take its place by time again."""
    _switch(ctx.obj, lambda switches, name: switches.pin(name, pinned=False), who, "is not pinned any more")


def mute(
    ctx: typer.Context,
    who: Person,
    time_: Annotated[
        str | None,
        typer.Option("--for", help="For so long: 8h, 1d, 1w … (default: until unmute).", metavar="TIME"),
    ] = None,
) -> None:
    """Have no notifications of a conversation, on all your devices once the next command was online.

    Nothing else changes, and nobody is told.
    """
    app: App = ctx.obj
    seconds = length(app, time_)
    _switch(app, lambda switches, name: switches.mute(name, seconds), who, "is muted{until}")


def unmute(ctx: typer.Context, who: Person) -> None:
    """Have notifications of a conversation again."""
    _switch(ctx.obj, lambda switches, name: switches.unmute(name), who, "is not muted any more")


def hide(ctx: typer.Context, who: Place) -> None:
    """Leave a conversation out of list until something new comes, on all your devices once the next command was online.

    Nothing in it is lost. A hidden conversation is not pinned. Write to it, pin it, or use unhide, and it is shown
    again; list --hidden shows which there are.
    """
    _switch(ctx.obj, lambda switches, name: switches.hide(name), who, "is not shown until something new comes")


def unhide(ctx: typer.Context, who: Place) -> None:
    """Show a hidden conversation in list again."""
    _switch(ctx.obj, lambda switches, name: switches.unhide(name), who, "is shown again")


def _switch(
    app: App,
    change: Callable[[ConversationSwitches, str], tuple[Party, ConversationState]],
    who: str,
    outcome: str,
) -> None:
    with app.open_client(online=False) as client:
        place, state = change(client.conversations, app.text_argument(who))
        if app.json:
            app.emit_json(conversation_state_json(place, state))
            return
        name = "Note to self" if place.type == "self" else party_text(place)
        until = ""
        if state.muted_until_ms is not None:
            until = time.strftime(" until %Y-%m-%d %H:%M", time.localtime(state.muted_until_ms / 1000))
        app.note(f"{name} {outcome.format(until=until)}.")
