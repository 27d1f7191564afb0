"""`send`: one message to one recipient."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ..errors import EmptyMessage, UsageError
from . import completing
from .context import App
from .output import message_json
from .typer_app import single_command


def send(
    ctx: typer.Context,
    to: Annotated[
        str,
        typer.Argument(
            metavar="TO",
            help="An account id, a known name, or me.",
            show_default=False,
            autocompletion=completing.recipients,
        ),
    ],
    text: Annotated[
        str | None,
        typer.Argument(metavar="[TEXT|-]", help="The message; - or nothing with a pipe: standard input."),
    ] = None,
    attach: Annotated[
        list[Path] | None,
        typer.Option("--attach", "-a", help="Send this file along; may be repeated.", metavar="FILE", readable=False),
    ] = None,
    quote: Annotated[
        int | None,
        typer.Option(
            "--quote",
            help="Answer the message with this id.",
            metavar="ID",
            autocompletion=completing.messages,
        ),
    ] = None,
) -> None:
    """Send a message, and print its id.

    Success means that the recipient's swarm holds the message and has proved it; its owner fetches it from there
    within 14 days. A copy goes to your own other devices.
    """
    app: App = ctx.obj
    body = _body(app, text, has_files=bool(attach))
    with app.open_client() as client:
        message = client.send(
            app.text_argument(to), body, attachments=attach or [], quote=quote, progress=app.progress()
        )
        if app.json:
            app.emit_json(message_json(message))
        else:
            app.emit(str(message.id))


def _body(app: App, text: str | None, *, has_files: bool) -> str:
    """The text given, or standard input where that was asked for or is the only thing that can be meant."""
    if text is None and has_files:
        return ""
    if text is None and sys.stdin.isatty():
        raise UsageError("What shall be sent? Give the text, or - to type it, or pipe it in.")
    if text is None or text == "-":
        body = app.read_text()
        if not body.strip():
            raise EmptyMessage("There is nothing to send: standard input is empty.")
        return body
    return app.text_argument(text)


commands = {"send": single_command("send", send)}
