"""`outbox`: what waits to be sent."""

from __future__ import annotations

from typing import Annotated

import typer

from ..errors import UsageError
from .context import App
from .exit_codes import ExitCode
from .json_output import message_json
from .output import message_text
from .text import counted
from .typer_app import PlainTyper, message_id

app = PlainTyper(help="List, send and drop what waits to be sent.", no_args_is_help=True)


@app.plain_command("list")
def list_(ctx: typer.Context) -> None:
    """List the messages that wait, oldest first."""
    context: App = ctx.obj
    painter = context.painter()
    with context.open_client(online=False) as client:
        for message in client.outbox.waiting():
            context.emit_json(message_json(message)) if context.json else context.emit(message_text(message, painter))


@app.plain_command()
def flush(ctx: typer.Context) -> int:
    """Send what waits, oldest first, and print the ids of what was sent.

    The same sealed bytes are stored in the swarm as before, so that nothing arrives twice. Every send and recv does
    this, too. If the network can't be reached, it ends with 75, and the rest goes on waiting; so it does where the
    server of a community can't, but then only what is for that goes on waiting. What is refused for good waits no
    longer; then it ends with 1.
    """
    context: App = ctx.obj
    with context.open_client() as client:
        flushed = client.outbox.flush()
        for message in flushed.gone:
            if context.json:
                context.emit_json(message_json(message))
            elif message.status == "sent":
                context.emit(str(message.id))
    if flushed.problem is not None:
        raise flushed.problem
    return ExitCode.OK if all(message.status == "sent" for message in flushed.gone) else ExitCode.NEGATIVE


@app.plain_command()
def drop(
    ctx: typer.Context,
    message_ids: Annotated[
        list[int] | None,
        typer.Argument(metavar="[MESSAGE]...", help="Their ids.", show_default=False, parser=message_id),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that wait.")] = False,
) -> None:
    """Let messages that wait never be sent; they stay in the history as failed."""
    context: App = ctx.obj
    if bool(message_ids) == everything:
        raise UsageError("Which? Give the ids of messages, or --all.")
    with context.open_client() as client:
        chosen = message_ids or [message.id for message in client.outbox.waiting()]
        for message_id in chosen:
            message = client.outbox.drop(message_id)
            if context.json:
                context.emit_json(message_json(message))
        context.note(f"{counted(len(chosen), 'message')} dropped.")


commands = {"outbox": app}
