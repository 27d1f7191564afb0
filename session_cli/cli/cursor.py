"""`cursor`: the readers of `recv`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UsageError
from .context import App
from .json_output import iso_time, json_object
from .text import counted
from .times import Since, moment
from .typer_app import PlainTyper

if TYPE_CHECKING:
    from ..core.model import Cursor

app = PlainTyper(help="List, reset and delete the readers of recv.", no_args_is_help=True)
Name = Annotated[
    str, typer.Argument(metavar="NAME", help="The reader's name; default is the usual one.", show_default=False)
]


@app.plain_command("list")
def list_(ctx: typer.Context) -> None:
    """List the readers that there are, and how much each has before it."""
    context: App = ctx.obj
    with context.open_client(online=False) as client:
        cursors = client.inbox.cursors()
    width = max((len(cursor.name) for cursor in cursors), default=0)
    for cursor in cursors:
        _show(context, cursor, width)


@app.plain_command()
def reset(
    ctx: typer.Context,
    name: Name,
    to_end: Annotated[bool, typer.Option("--to-end", help="Behind everything that came so far.")] = False,
    since: Since = None,
) -> None:
    """Let a reader begin anew: with the oldest event, with those since a time, or with what comes from now on.

    A reader that does not exist is made. One that is never reset begins with the oldest event when it first reads.
    """
    context: App = ctx.obj
    since_ms = moment(context, since)
    if to_end and since_ms is not None:
        raise UsageError("--to-end and --since exclude each other.")
    with context.open_client(online=False) as client:
        _show(context, client.inbox.reset(name, to_end=to_end, since_ms=since_ms))


@app.plain_command()
def delete(ctx: typer.Context, name: Name) -> None:
    """Forget a reader; should it read again, it begins with the oldest event."""
    context: App = ctx.obj
    with context.open_client(online=False) as client:
        deleted = client.inbox.delete(name)
        if context.json:
            _show(context, deleted)
        context.note(f"The cursor {name!r} is forgotten.")


def _show(context: App, cursor: Cursor, width: int = 0) -> None:
    if context.json:
        context.emit_json(
            json_object(
                "cursor",
                name=cursor.name,
                unread=cursor.unread,
                since=iso_time(cursor.made_ms),
                since_ms=cursor.made_ms,
            )
        )
    else:
        context.emit(f"{cursor.name:<{width}}  {counted(cursor.unread, 'unread event')}")


commands = {"cursor": app}
