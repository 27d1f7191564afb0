"""`react`: an emoji on a message."""

from __future__ import annotations

from typing import Annotated

import typer

from ..errors import UsageError
from . import completing
from .context import App
from .json_output import event_json
from .typer_app import message_id, single_command


def react(
    ctx: typer.Context,
    target: Annotated[
        int,
        typer.Argument(
            metavar="MESSAGE",
            parser=message_id,
            help="The id of the message.",
            show_default=False,
            autocompletion=completing.messages,
        ),
    ],
    emoji: Annotated[str | None, typer.Argument(metavar="[EMOJI]", help="One emoji.", show_default=False)] = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="Take the emoji off again; without one, all that you put there.")
    ] = False,
) -> None:
    """Put an emoji on a message, or take it off.

    The other one, or all members of a group, and your own other devices see it; in a room of a community everybody. It
    can be done with people who have accepted you as you have them, in groups and rooms, and in notes to self; at most
    20 times in a minute, as in the other apps. An emoji that is there already is not sent again.
    """
    app: App = ctx.obj
    if emoji is None and not remove:
        raise UsageError("Which emoji? Or --remove, to take off what you put there.")
    chosen = app.text_argument(emoji) if emoji is not None else None
    with app.open_client() as client:
        done = client.react(target, chosen, remove=remove)
        if app.json:
            for reaction in done:
                app.emit_json(event_json(reaction))
        if not done:
            state = "no such reaction of yours" if remove else "that reaction of yours already"
            app.note(f"session: Message {target} has {state}.")


commands = {"react": single_command("react", react)}
