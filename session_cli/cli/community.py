"""`community`: public rooms on community servers."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ..errors import InvalidInput
from . import community_moderation as moderation
from . import completing
from . import conversation_switches as switches
from .community_moderation import Which, Yes
from .community_output import community_facts, community_rows, community_text, offer_row, rights_text
from .context import App
from .json_output import community_json
from .typer_app import PlainTyper

app = PlainTyper(help="Read and write in public rooms of communities, and look after them.", no_args_is_help=True)

# To be in one.


@app.plain_command()
def join(
    ctx: typer.Context,
    room: Annotated[
        str,
        typer.Argument(
            metavar="URL|NAME",
            help="The URL of a room, with its server's key; or the short name of one on the network's own server.",
            show_default=False,
        ),
    ],
) -> None:
    """Join a room, fetch its latest messages, which recv then shows as new, and print its address.

    A URL looks like 'https://SERVER/ROOM?public_key=KEY' (with the quotes, for the shell). The key is all by which you
    know that you talk to this server, so take it from somebody you trust; session community rooms shows the URLs of a
    server's other rooms.

    Anybody can read what is written in a room: it is not end-to-end encrypted. The server does not see your address,
    and knows you, as all in the room do, by an id that is made for it, from which your account id can be computed: see
    COMMUNITIES in session(1). Your other devices join, too.
    """
    context: App = ctx.obj
    with context.open_client() as client:
        before = {known.id for known in client.communities.all()}
        joined = client.communities.join(context.text_argument(room))
    if context.json:
        context.emit_json(community_json(joined))
        return
    context.emit(joined.id)
    if joined.id in before:
        context.note(f"You were in {community_text(joined)} already, and may {rights_text(joined)}.")
        return
    context.note(
        f"You are in {community_text(joined)} now, and may {rights_text(joined)}. It is public: what is written there "
        "is not end-to-end encrypted."
    )


@app.plain_command()
def leave(ctx: typer.Context, room: Which, yes: Yes = False) -> None:
    """Leave a room, and forget it on all your devices, with every message in it. Nobody is told. Works offline.

    What you wrote there stays on the server: session unsend deletes it, before you leave. You can join again, and read
    what the server still has then. Files that were saved stay.
    """
    context: App = ctx.obj
    with context.open_client(online=False) as client:
        found = client.communities.get(context.text_argument(room))
        if not yes:
            context.confirm(
                f"You leave {community_text(found)}, and all its messages are deleted on all your devices. What you "
                "wrote there stays on its server.",
                "leave",
            )
        left = client.communities.leave(found.id)
    if context.json:
        context.emit_json(community_json(left))
    context.note(f"You have left {community_text(left)}.")


# Which there are.


@app.plain_command("list")
def list_(ctx: typer.Context) -> None:
    """List the rooms that you have joined: name, address, and what you are there. Works offline.

    Marks: [read only] where you may not write; [closed to you] where the server does not let you read, as you were
    banned, perhaps; [gone] where it has the room no more; [server failed] where nothing could be fetched the last time;
    [hidden] where list leaves the conversation out.
    """
    context: App = ctx.obj
    with context.open_client(online=False) as client:
        known = client.communities.all()
    if context.json:
        for community in known:
            context.emit_json(community_json(community))
        return
    for row in community_rows(known, context.painter()):
        context.emit(row)


@app.plain_command()
def rooms(
    ctx: typer.Context,
    server: Annotated[
        str | None,
        typer.Argument(
            metavar="[URL]",
            help="The URL of a server with its key, or of one of its rooms (default: the network's own server).",
            show_default=False,
            autocompletion=completing.rooms,
        ),
    ] = None,
) -> None:
    """List the rooms of a server: short name, name, how many read it lately, what it is about.

    What stands there, whoever runs the server says. With --json each has its url, to join it with.
    """
    context: App = ctx.obj
    with context.open_client() as client:
        found = client.communities.rooms(context.text_argument(server) if server is not None else "")
    painter = context.painter()
    for community in found:
        context.emit_json(community_json(community)) if context.json else context.emit(offer_row(community, painter))
    unknown = next((community for community in found if community.state == "open"), None)
    if unknown is not None and not context.json and sys.stdout.isatty():
        context.note(f"To join one:  session community join '{unknown.url}'")


@app.plain_command()
def show(
    ctx: typer.Context,
    room: Annotated[
        str,
        typer.Argument(
            metavar="ROOM|URL",
            help="A room that you have joined, by address or known name; or the URL of any.",
            show_default=False,
            autocompletion=completing.rooms,
        ),
    ],
) -> None:
    """Show all that is known of a room: with its URL, for others to join it.

    Of one that you have joined, what the latest recv learnt, offline. Of any other its server is asked, by the URL.
    """
    context: App = ctx.obj
    which = context.text_argument(room)
    with context.open_client() as client:
        try:
            found = client.communities.get(which)
        except InvalidInput:
            if "/" not in which:
                raise
            found = client.communities.look(which)
    if context.json:
        context.emit_json(community_json(found))
        return
    for label, value in community_facts(found).items():
        context.emit(f"{label:<11}  {value}")


# Who looks after it.

for change in (
    moderation.mods,
    moderation.pin,
    moderation.unpin,
    moderation.ban,
    moderation.unban,
    moderation.delete,
    moderation.grant,
    moderation.revoke,
):
    app.plain_command(change.__name__)(change)

# Not pin and unpin, which are for messages here: those of contact do it for rooms as well.
for command in (switches.mute, switches.unmute, switches.hide, switches.unhide):
    app.plain_command(command.__name__)(command)

commands = {"community": app}
