"""`group invite`, `resend`, `remove` and `promote`: who is in a group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from . import completing
from .context import App
from .exit_codes import ExitCode
from .group_output import UNDONE, group_text, member_row, people_text
from .json_output import group_member_json

if TYPE_CHECKING:
    from ..core.client import Client
    from ..core.model import Group, GroupMember, Party

Which = Annotated[
    str,
    typer.Argument(
        metavar="GROUP",
        help="The name of the group, or its id, or the first 8 digits of that at least.",
        show_default=False,
        autocompletion=completing.groups,
    ),
]
WHO = "Account ids or the beginnings of known ones, or known names."
People = Annotated[
    list[str],
    typer.Argument(metavar="WHO...", help=WHO, show_default=False, autocompletion=completing.recipients),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]


def invite(
    ctx: typer.Context,
    group: Which,
    people: People,
    history: Annotated[
        bool, typer.Option("--history", help="Let them read what the swarm still has from before, up to 14 days.")
    ] = False,
) -> int:
    """Invite people to a group, as an admin, and print what became of each. Its members are told.

    They can read what is written from now on, once they accept; with --history, what was written before, too. If some
    could not be invited, the exit code is 1, and session group resend invites them again.
    """
    context: App = ctx.obj
    with context.open_client() as client:
        found, wanted = client.groups.get(context.text_argument(group)), texts(context, people)
        done = client.groups.invite(found.id, wanted, history=history, progress=context.progress(of_bytes=False))
        return _outcome(context, found, done)


def resend(
    ctx: typer.Context,
    group: Which,
    people: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[WHO]...",
            help="Members to be; if none is named, all whom it has not reached.",
            show_default=False,
            autocompletion=completing.recipients,
        ),
    ] = None,
) -> int:
    """Send invitations and promotions again that failed, and print what became of each.

    Whoever is named gets theirs again anyway: an invitation that was declined, or that nobody took up for 14 days, is
    gone for them.
    """
    context: App = ctx.obj
    with context.open_client() as client:
        found, wanted = client.groups.get(context.text_argument(group)), texts(context, people or ())
        done = client.groups.resend(found.id, wanted, progress=context.progress(of_bytes=False))
        if not done:
            context.note("There is nothing to be sent again.")
        return _outcome(context, found, done)


def remove(
    ctx: typer.Context,
    group: Which,
    people: People,
    delete_messages: Annotated[
        bool, typer.Option("--delete-messages", help="Delete all that they wrote there, for everyone.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Remove members from a group, as an admin. Everybody is told.

    They can read nothing that is written from then on: the group gets another key, and its swarm answers them no more.
    What they have already read, nobody can take from them. Admins can't be removed.
    """
    context: App = ctx.obj
    with context.open_client() as client:
        found = client.groups.get(context.text_argument(group))
        meant = _meant(context, client, people)
        if not yes:
            also = " All that they wrote there is deleted for everyone." if delete_messages else ""
            verb = "is" if len(meant) == 1 else "are"
            context.confirm(f"{people_text(meant)} {verb} removed from {group_text(found)}.{also}", "remove")
        ids = [person.id for person in meant]
        removed = client.groups.remove(found.id, ids, delete_messages=delete_messages)
        status = "removed_with_messages" if delete_messages else "removed"
        show_members(context, found, [replace(member, status=status) for member in removed], done=True)


def promote(ctx: typer.Context, group: Which, people: People, yes: Yes = False) -> int:
    """Make admins of members, for good, and print what became of each. Members are told.

    An admin can do all that you can: invite and remove, rename, end the group. Nobody can take that back, nor remove an
    admin: admins are those who know the group's secret, which they are sent. If that failed for some, the exit code is
    1, and session group resend sends it again.
    """
    context: App = ctx.obj
    with context.open_client() as client:
        found = client.groups.get(context.text_argument(group))
        meant = _meant(context, client, people)
        if not yes:
            verb = "becomes an admin" if len(meant) == 1 else "become admins"
            context.confirm(
                f"{people_text(meant)} {verb} of {group_text(found)} for good: with all that an admin can do, the end "
                "of the group included. This can't be undone.",
                "promote",
            )
        ids = [person.id for person in meant]
        done = client.groups.promote(found.id, ids, progress=context.progress(of_bytes=False))
        return _outcome(context, found, done)


def texts(context: App, people: Sequence[str]) -> list[str]:
    return [context.text_argument(person) for person in people]


def _meant(context: App, client: Client, people: Sequence[str]) -> list[Party]:
    """Those who are named, each once. Raises what `Client.resolve` raises."""
    return list({place.id: place for place in map(client.history.place, texts(context, people))}.values())


def show_members(context: App, group: Group, found: Sequence[GroupMember], *, done: bool = False) -> None:
    painter = context.painter()
    for member in found:
        if context.json:
            context.emit_json(group_member_json(group, member))
        else:
            context.emit(member_row(member, painter, done=done, may_resend=group.admin))


def _outcome(context: App, group: Group, found: Sequence[GroupMember]) -> int:
    """Print what became of people; returns the exit code."""
    show_members(context, group, found)
    return ExitCode.NEGATIVE if any(member.status in UNDONE for member in found) else ExitCode.OK
