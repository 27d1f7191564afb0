"""`request`: what people wrote to whom one never did."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import completing
from .contact import contact_text
from .context import App
from .json_output import contact_json, iso_time, json_object, message_json, party_json
from .notices import excerpt, notice_text
from .output import Painter, attachment_text, party_text
from .text import counted, harmless
from .typer_app import PlainTyper

if TYPE_CHECKING:
    from ..core.model import Contact, Message, MessageRequest

MOST_LINES = 3
"""Of the first message, so many are shown."""
_INDENT = "    "

app = PlainTyper(help="List, accept, decline and block message requests.", no_args_is_help=True)

Who = Annotated[
    str,
    typer.Argument(
        metavar="WHO",
        help="The beginning of their id (8 digits at least), or a name you gave.",
        show_default=False,
        autocompletion=completing.recipients,
    ),
]


@app.plain_command("list")
def list_(ctx: typer.Context) -> None:
    """List message requests, the oldest first: from whom, how many messages, how the first one begins.

    A request is what somebody wrote to whom you never wrote. Anybody can take any name; only the id says who it is.
    """
    context: App = ctx.obj
    painter = context.painter()
    with context.open_client(online=False) as client:
        for request in client.requests.all():
            if context.json:
                context.emit_json(_request_json(request))
            else:
                context.emit(_request_text(request, painter))


@app.plain_command()
def accept(ctx: typer.Context, who: Who) -> None:
    """Accept a message request: tell who made it that you want to talk. To answer it with send does the same."""
    context: App = ctx.obj
    with context.open_client() as client:
        _say(context, client.requests.accept(context.text_argument(who)), "knows now that you want to talk")


@app.plain_command()
def decline(ctx: typer.Context, who: Who) -> None:
    """Decline a message request: hide it, until that person writes again. Nobody is told.

    What was written stays in the log.
    """
    context: App = ctx.obj
    with context.open_client(online=False) as client:
        _say(context, client.requests.decline(context.text_argument(who)), "is not shown until they write again")


@app.plain_command()
def block(ctx: typer.Context, who: Who) -> None:
    """Decline a message request, and drop whatever that person sends from now on. Nobody is told.

    To take it back: session contact unblock WHO
    """
    context: App = ctx.obj
    with context.open_client(online=False) as client:
        _say(context, client.requests.block(context.text_argument(who)), "is blocked now")


def _say(context: App, contact: Contact, state: str) -> None:
    if context.json:
        context.emit_json(contact_json(contact))
    else:
        context.note(f"{contact_text(contact)} {state}.")


def _request_json(request: MessageRequest) -> dict[str, Any]:
    return json_object(
        "request",
        sender=party_json(request.sender),
        messages=request.messages,
        first_message=message_json(request.first_message),
        last_timestamp=iso_time(request.last_ms),
        last_timestamp_ms=request.last_ms,
    )


def _request_text(request: MessageRequest, painter: Painter) -> str:
    since = time.strftime("%Y-%m-%d %H:%M", time.localtime(request.first_message.timestamp_ms / 1000))
    head = f"{painter.name(party_text(request.sender))}  {counted(request.messages, 'message')} since {since}"
    return "\n".join([head, *(_INDENT + painter.dim(line) for line in _first_lines(request.first_message))])


def _first_lines(message: Message) -> Iterator[str]:
    notice = notice_text(message)
    if notice is not None:
        yield f"[{harmless(notice)}]"
        return
    lines = [line for line in message.body.splitlines() if line.strip()]
    for line in lines[:MOST_LINES]:
        yield harmless(excerpt(line))
    if len(lines) > MOST_LINES:
        yield "…"
    for attachment in message.attachments:
        yield attachment_text(attachment)


commands = {"request": app}
