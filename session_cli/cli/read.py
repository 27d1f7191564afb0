"""`read`: what came counts as read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import UsageError
from . import completing
from .context import App
from .json_output import conversation_state_json, json_object, place_json
from .typer_app import message_id, single_command

if TYPE_CHECKING:
    from ..core.reading import ReadMark


def read(
    ctx: typer.Context,
    to: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TO]...",
            help="Account ids or at least their first 8 digits, or known names.",
            show_default=False,
            autocompletion=completing.recipients,
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every conversation but message requests.")] = False,
    until: Annotated[
        int | None,
        typer.Option(
            "--until",
            help="The message with this id, and those before it in its conversation.",
            metavar="ID",
            parser=message_id,
            autocompletion=completing.messages,
        ),
    ] = None,
    unread: Annotated[
        bool, typer.Option("--unread", help="Mark conversations as unread instead, to come back to them.")
    ] = False,
) -> None:
    """Mark what came as read.

    The clocks of messages that disappear after they are read start, and your other devices learn of it. With the
    setting read_receipts, people who have accepted you, and whom you have accepted, are told which of their messages
    were read.

    Without the network it works as well; who is to be told is told by the next recv or send.

    With --unread a conversation is shown as unread in list, here and on your other devices, until it is marked as read.
    Nobody else is told, and what was read stays so.
    """
    app: App = ctx.obj
    if bool(to) + everything + (until is not None) != 1:
        raise UsageError("Which? Give names or ids of people, or --all, or --until with a message's id.")
    if unread and not to:
        raise UsageError("--unread needs names or ids of people.")
    people = [app.text_argument(name) for name in to or []]
    if unread:
        _mark_unread(app, people)
        return
    with app.open_client() as client:
        if until is not None:
            marks = [client.reads.read_until(until)]
        elif everything:
            marks = client.reads.read_all()
        else:
            marks = client.reads.read(people)
        if app.json:
            for mark in marks:
                app.emit_json(_mark_json(mark))


def _mark_unread(app: App, people: list[str]) -> None:
    with app.open_client(online=False) as client:
        for address in [client.resolve(person) for person in people]:
            place, state = client.conversations.mark_unread(address)
            if app.json:
                app.emit_json(conversation_state_json(place, state))


def _mark_json(mark: ReadMark) -> dict[str, Any]:
    return json_object("read_mark", conversation=place_json(mark.conversation), messages=mark.messages)


commands = {"read": single_command("read", read)}
