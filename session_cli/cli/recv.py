"""`recv`: what is new, once."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UsageError
from .context import App
from .exit_codes import ExitCode
from .output import message_json, message_text
from .text import counted
from .typer_app import single_command

if TYPE_CHECKING:
    from ..core.receiving import PollResult


def recv(
    ctx: typer.Context,
    wait: Annotated[
        float,
        typer.Option("--wait", help="Wait up to so many seconds for the first message.", metavar="SECONDS", min=0),
    ] = 0.0,
    peek: Annotated[bool, typer.Option("--peek", help="Show without marking as received.")] = False,
    fail_empty: Annotated[bool, typer.Option("--fail-empty", help="Exit with 1 if nothing came.")] = False,
) -> int:
    """Receive what is new, oldest first.

    Every message is shown once: it counts as received when it has been written out. If that fails half way, the next
    recv begins with the message that was not shown.
    """
    app: App = ctx.obj
    if not math.isfinite(wait):
        raise UsageError("--wait takes a number of seconds.")
    painter = app.painter()
    shown = 0
    with app.open_client() as client:
        for event in client.receive(wait=wait, peek=peek, polled=lambda result: _remark(app, result)):
            if app.json:
                app.emit_json(message_json(event.message))
            else:
                app.emit(message_text(event.message, painter))
            shown += 1
    return ExitCode.NEGATIVE if fail_empty and not shown else ExitCode.OK


def _remark(app: App, result: PollResult) -> None:
    if result.skipped:
        verb = "was" if result.skipped == 1 else "were"
        app.note(f"session: {counted(result.skipped, 'message')} could not be read and {verb} skipped.")


commands = {"recv": single_command("recv", recv)}
