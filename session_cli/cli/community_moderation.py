"""What moderators and admins of a room can do: `community mods`, `pin`, `ban`, `delete`, `grant` and their like."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from . import completing
from .community_output import community_text, member_row, member_text
from .context import App
from .json_output import community_member_json, message_json
from .output import party_text
from .text import counted
from .times import length
from .typer_app import message_id

if TYPE_CHECKING:
    from ..core.client import Client
    from ..core.model import Community, CommunityMember, Message

Which = Annotated[
    str,
    typer.Argument(
        metavar="ROOM",
        help="A room that you have joined: its name, short name, address or URL.",
        show_default=False,
        autocompletion=completing.rooms,
    ),
]
Who = Annotated[
    str,
    typer.Argument(
        metavar="WHO",
        help="Somebody by the id that is seen in the room, or its first 8 digits at least; by an account id, or by a "
        "name that you gave.",
        show_default=False,
    ),
]
Target = Annotated[
    int,
    typer.Argument(
        metavar="MESSAGE",
        parser=message_id,
        help="The id of a message in a room.",
        show_default=False,
        autocompletion=completing.messages,
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]


def mods(ctx: typer.Context, room: Which) -> None:
    """List the moderators and admins of a room: name, the id that is seen there, and which they are.

    Those that are hidden are shown only to moderators and admins. Others, too, can run the server, and read all.
    """
    context: App = ctx.obj
    with context.open_client() as client:
        found = client.communities.get(context.text_argument(room))
        staff = client.communities.staff(found.id)
        for member in staff:
            _show(context, client, found, member)
        if not staff:
            context.note(f"{community_text(found)} shows no moderators.")


def pin(ctx: typer.Context, target: Target) -> None:
    """Pin a message in its room, for everybody, as an admin. Files of it are kept as long as it is pinned."""
    context: App = ctx.obj
    with context.open_client() as client:
        _say(context, client.communities.pin(target), "is pinned now, for everybody")


def unpin(ctx: typer.Context, target: Target) -> None:
    """Pin a message no more, as an admin."""
    context: App = ctx.obj
    with context.open_client() as client:
        _say(context, client.communities.pin(target, pinned=False), "is not pinned any more")


def ban(
    ctx: typer.Context,
    room: Which,
    who: Who,
    time: Annotated[
        str | None, typer.Option("--for", help="For so long: 8h, 1d, 1w … (default: until unban).", metavar="TIME")
    ] = None,
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete all that they wrote there, too, for everybody.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With --delete: don't ask.")] = False,
) -> None:
    """Ban somebody from a room, as a moderator: they can neither read it nor write there.

    Here and for unban, a name that somebody took does, too, if nobody else there has it. A moderator who is banned is
    none any more, and unban does not change that. Only an admin can ban a moderator.
    Nothing keeps somebody from coming back with another account.
    """
    context: App = ctx.obj
    seconds, member = length(context, time), context.text_argument(who)
    with context.open_client() as client:
        found = client.communities.get(context.text_argument(room))
        if delete and not yes:
            who_is_meant = member_text(client.communities.member(found.id, member))
            context.confirm(
                f"{who_is_meant} will be banned from {community_text(found)}{f' for {time}' if time else ''}, and all "
                "that they wrote there deleted for everybody, which can't be undone.",
                "ban",
            )
        _show(context, client, found, client.communities.ban(found.id, member, seconds=seconds, delete=delete))


def unban(ctx: typer.Context, room: Which, who: Who) -> None:
    """Let somebody who was banned into a room again, as a moderator."""
    _change(ctx.obj, room, lambda client, place: client.communities.unban(place, ctx.obj.text_argument(who)))


def delete(
    ctx: typer.Context,
    targets: Annotated[
        list[int],
        typer.Argument(
            metavar="MESSAGE...",
            parser=message_id,
            help="The ids of messages in rooms.",
            show_default=False,
            autocompletion=completing.messages,
        ),
    ],
    yes: Yes = False,
) -> None:
    """Delete messages in rooms for everybody: yours, or as a moderator anybody's.

    They are gone from the server, and from all apps when they next ask it; nobody can be made to forget what was read.
    Of messages of your own, session unsend does the same.
    """
    context: App = ctx.obj
    with context.open_client() as client:
        if not yes:
            first = client.message(targets[0])
            what = (
                f"Message {first.id} in {party_text(first.conversation)}, by {party_text(first.sender)}, is"
                if len(targets) == 1
                else f"{counted(len(targets), 'message')} are"
            )
            context.confirm(f"{what} deleted for everybody. This can't be undone.", "delete")
        deleted = client.communities.delete(targets)
        if context.json:
            for message in deleted:
                context.emit_json(message_json(message))
        context.note(f"{counted(len(deleted), 'message')} deleted, for everybody.")


def grant(
    ctx: typer.Context,
    room: Which,
    who: Who,
    admin: Annotated[bool, typer.Option("--admin", help="Make them an admin, who can do all that you can.")] = False,
    hidden: Annotated[bool, typer.Option("--hidden", help="Show it to moderators and admins only.")] = False,
) -> None:
    """Make somebody a moderator of a room, or an admin; as an admin.

    A moderator can delete what anybody wrote, and ban people. An admin can also pin messages, and make and unmake
    moderators and admins: you as well.
    """
    _change(
        ctx.obj,
        room,
        lambda client, place: client.communities.grant(place, ctx.obj.text_argument(who), admin=admin, hidden=hidden),
    )


def revoke(ctx: typer.Context, room: Which, who: Who) -> None:
    """Make somebody a moderator or admin no more, as an admin."""
    _change(ctx.obj, room, lambda client, place: client.communities.revoke(place, ctx.obj.text_argument(who)))


def _change(context: App, room: str, change: Callable[[Client, str], CommunityMember]) -> None:
    with context.open_client() as client:
        found = client.communities.get(context.text_argument(room))
        _show(context, client, found, change(client, found.id))


def _show(context: App, client: Client, community: Community, member: CommunityMember) -> None:
    if context.json:
        context.emit_json(community_member_json(community, member))
    else:
        context.emit(member_row(member, context.painter(), own_id=client.account_id))


def _say(context: App, message: Message, state: str) -> None:
    if context.json:
        context.emit_json(message_json(message))
    else:
        context.note(f"Message {message.id} in {party_text(message.conversation)} {state}.")
