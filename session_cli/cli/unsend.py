"""`unsend`: delete messages for everyone, or on one's own devices."""

from __future__ import annotations

from typing import Annotated

import typer

from . import completing
from .context import App
from .json_output import event_json
from .typer_app import message_id, single_command


def unsend(
    ctx: typer.Context,
    targets: Annotated[
        list[int],
        typer.Argument(
            metavar="MESSAGE...",
            parser=message_id,
            help="The ids of the messages.",
            show_default=False,
            autocompletion=completing.messages,
        ),
    ],
    own_devices: Annotated[
        bool,
        typer.Option("--own-devices", help="Only on all devices of your own; others keep it. For any message."),
    ] = False,
) -> None:
    """Delete messages of yours for everyone: here, on your other devices, and where they went to.

    Text, files and reactions go, and the copy in your swarm; in the log a mark stays in the message's place. Of notes
    to self nothing stays. What still waits in the outbox is never sent. Files that were saved stay where they are.

    It is a request, which other apps obey as soon as they get it; but nobody can be made to forget what was read, or to
    give back what was copied. This program obeys such a request only from the author of the message, from another
    device of your own, or, in a group, from an admin: nobody else can delete anything here.

    In a room of a community it is no request: the server deletes the message, and all apps show it no more when they
    next ask. Moderators of the room can do so with anybody's message.
    """
    app: App = ctx.obj
    with app.open_client() as client:
        for done in client.unsend(targets, own_devices=own_devices):
            if app.json:
                app.emit_json(event_json(done))


commands = {"unsend": single_command("unsend", unsend)}
