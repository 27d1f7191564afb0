"""`group`: closed groups of up to 100 people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UsageError
from . import completing, group_members
from . import conversation_switches as switches
from .context import App
from .exit_codes import ExitCode
from .files import AvatarOut, Force, check_picture_target, read_picture, write_picture
from .group_members import WHO, Which, Yes, show_members, texts
from .group_output import UNDONE, group_facts, group_row, group_text, people_text
from .json_output import group_json
from .notices import timer_text
from .text import counted
from .typer_app import PlainTyper

if TYPE_CHECKING:
    from ..core.model import Group

OFF = "off"

app = PlainTyper(help="Make closed groups of up to 100 people, join them, and look after them.", no_args_is_help=True)

# Which there are.


@app.plain_command("list")
def list_(ctx: typer.Context) -> None:
    """List the groups of this account: name, id, and what you are in them. Works offline.

    Those are listed, too, that invite you, and those that you were removed from or that were ended, until you delete
    them: session group accept, decline, delete
    """
    context: App = ctx.obj
    painter = context.painter()
    with context.open_client(online=False) as client:
        for group in client.groups.all():
            context.emit_json(group_json(group)) if context.json else context.emit(group_row(group, painter))


@app.plain_command()
def show(ctx: typer.Context, group: Which, avatar_out: AvatarOut = None, force: Force = False) -> None:
    """Show all that is known of a group. Works offline.

    Its picture is downloaded for --avatar-out only.
    """
    context: App = ctx.obj
    check_picture_target(context, avatar_out)
    with context.open_client(online=avatar_out is not None) as client:
        found = client.groups.get(context.text_argument(group))
        if avatar_out is not None:
            write_picture(context, client, found.id, avatar_out, force=force)
        if avatar_out == "-":
            return
    if context.json:
        context.emit_json(group_json(found))
        return
    for label, value in group_facts(found).items():
        context.emit(f"{label:<11}  {value}")


@app.plain_command()
def members(ctx: typer.Context, group: Which) -> None:
    """List the members of a group, admins first: name, id, and how far they have come. Works offline.

    Names are those that members give themselves, unless you gave one; only the id says who it is. Who is invited is no
    member before they accept.
    """
    context: App = ctx.obj
    with context.open_client(online=False) as client:
        found = client.groups.get(context.text_argument(group))
        known = client.groups.members(found.id)
        show_members(context, found, known)
        if not known:
            context.note(f"Who is in {group_text(found)} is known to its members alone.")


# To be in one.


@app.plain_command()
def create(
    ctx: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="What it is called, in at most 100 bytes.", show_default=False)
    ],
    people: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MEMBER]...",
            help=f"Whom to invite. {WHO}",
            show_default=False,
            autocompletion=completing.recipients,
        ),
    ] = None,
    description: Annotated[
        str, typer.Option("--description", help="What it is about, in at most 600 bytes.", metavar="TEXT")
    ] = "",
) -> int:
    """Make a group with yourself as its admin, invite people, and print the group's id.

    They are members when they accept. If some could not be invited, the exit code is 1, and session group resend
    invites them again.
    """
    context: App = ctx.obj
    wanted = texts(context, people or ())
    with context.open_client() as client:
        made = client.groups.create(
            context.text_argument(name),
            wanted,
            description=context.text_argument(description),
            progress=context.progress(of_bytes=False),
        )
        undone = [member.party for member in client.groups.members(made.id) if member.status in UNDONE]
        context.emit_json(group_json(made)) if context.json else context.emit(made.id)
    if undone:
        again = f"To try again: session group resend {made.id}"
        context.say(f"session: Not invited yet: {people_text(undone)}. {again}")
    return ExitCode.NEGATIVE if undone else ExitCode.OK


@app.plain_command()
def accept(ctx: typer.Context, group: Which) -> None:
    """Join a group that invites you. Its members see that.

    From then on recv receives what is written there, and what the swarm still has from before, if the invitation was
    made with --history.
    """
    context: App = ctx.obj
    with context.open_client() as client:
        _say(context, client.groups.accept(context.text_argument(group)), "You are in {group} now.")


@app.plain_command()
def decline(ctx: typer.Context, group: Which) -> None:
    """Decline to join a group, and forget it. Nobody is told. Works offline.

    Its members see that you are invited, until an admin removes you, and an admin can invite you again.
    """
    context: App = ctx.obj
    with context.open_client(online=False) as client:
        _say(context, client.groups.decline(context.text_argument(group)), "{group} is forgotten; nobody is told.")


@app.plain_command()
def leave(ctx: typer.Context, group: Which, yes: Yes = False) -> None:
    """Leave a group, and forget it on all your devices, with every message in it. Its members are told.

    You can come back only if an admin invites you. Who is the only admin can't leave: promote somebody first, or end
    the group with session group delete. Files that were saved stay.
    """
    context: App = ctx.obj
    with context.open_client() as client:
        found = client.groups.get(context.text_argument(group))
        if not yes:
            context.confirm(
                f"You leave {group_text(found)}, and all its messages are deleted on all your devices. "
                "Only an admin can let you in again.",
                "leave",
            )
        _say(context, client.groups.leave(found.id), "You have left {group}.")


@app.plain_command()
def delete(ctx: typer.Context, group: Which, yes: Yes = False) -> None:
    """End a group for everyone, as an admin, or forget one that you are not in any more.

    As an admin: it ends on the devices of all members, with every message in it, and can't be brought back. Where you
    were removed, or another admin has ended it: it is forgotten on all your devices. To leave a group to the others:
    session group leave. Files that were saved stay.
    """
    context: App = ctx.obj
    with context.open_client() as client:
        found = client.groups.get(context.text_argument(group))
        if not yes:
            what = (
                f"{group_text(found)} ends for all of its {counted(found.members, 'member')}, and all its messages are "
                "deleted on their devices and yours."
                if found.admin
                else f"{group_text(found)} is forgotten on all your devices, with all its messages."
            )
            context.confirm(f"{what} This can't be undone.", "delete")
        ended = client.groups.delete(found.id)
        _say(context, ended, "{group} has ended for everyone." if found.admin else "{group} is forgotten.")


# Who is in it.

for change in (group_members.invite, group_members.resend, group_members.remove, group_members.promote):
    app.plain_command(change.__name__)(change)


# What it is like.


@app.plain_command()
def rename(
    ctx: typer.Context,
    group: Which,
    name: Annotated[str, typer.Argument(metavar="NAME", help="At most 100 bytes.", show_default=False)],
) -> None:
    """Give a group another name, as an admin, for all of its members."""
    context: App = ctx.obj
    with context.open_client() as client:
        changed = client.groups.rename(context.text_argument(group), context.text_argument(name))
        _say(context, changed, "The group is {group} now, for all of its members.")


@app.plain_command()
def describe(
    ctx: typer.Context,
    group: Which,
    text: Annotated[
        str,
        typer.Argument(
            metavar="TEXT|-",
            help="At most 600 bytes; an empty one takes it away; - is standard input.",
            show_default=False,
        ),
    ],
) -> None:
    """Say what a group is about, as an admin, to all of its members."""
    context: App = ctx.obj
    description = context.read_text() if text == "-" else context.text_argument(text)
    with context.open_client() as client:
        changed = client.groups.describe(context.text_argument(group), description)
        state = "says what it is about now" if changed.description else "has no description now"
        _say(context, changed, f"{{group}} {state}.")


@app.plain_command()
def avatar(
    ctx: typer.Context,
    group: Which,
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="[FILE|-]", help="An image to become the picture; - is standard input.", show_default=False
        ),
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take the picture away.")] = False,
) -> None:
    """Give a group a picture, as an admin, or take it away.

    It is made from your file as profile set --avatar does it: small, and without what the file says of place, time and
    camera. It is encrypted and uploaded; members get the key.
    """
    context: App = ctx.obj
    if remove == (file is not None):
        raise UsageError(
            "Name an image, or give --remove." if file is None else "A file and --remove exclude each other."
        )
    picture = read_picture(file) if file is not None else None
    with context.open_client() as client:
        changed = client.groups.set_picture(context.text_argument(group), picture, progress=context.progress())
        _say(context, changed, f"{{group}} has {'a new picture' if changed.picture else 'no picture'} now.")


@app.plain_command()
def expire(
    ctx: typer.Context,
    group: Which,
    time: Annotated[
        str | None, typer.Argument(metavar="[TIME|off]", help="12h, 1d, 1w or 2w.", show_default=False)
    ] = None,
) -> None:
    """Let what is written in a group disappear a time after it was sent; without TIME, show what is set.

    Only an admin can change it, for all of its members. What was written before stays as it is. Files that were saved
    stay.
    """
    context: App = ctx.obj
    name = context.text_argument(group)
    if time is None:
        with context.open_client(online=False) as client:
            found = client.groups.get(name)
        context.emit_json(group_json(found)) if context.json else context.emit(_timer(found))
        return
    wanted = context.text_argument(time)
    from ..core.disappearing import parse_time

    seconds = 0 if wanted == OFF else parse_time(wanted)
    with context.open_client() as client:
        changed = client.groups.expire(name, seconds)
        _say(context, changed, _timer(changed))


for command in (switches.pin, switches.unpin, switches.mute, switches.unmute, switches.hide, switches.unhide):
    app.plain_command(command.__name__)(command)


def _timer(group: Group) -> str:
    rule = timer_text("after_send", group.timer_s) if group.timer_s else "messages stay"
    return f"In {group_text(group)}, {rule}."


def _say(context: App, group: Group, sentence: str) -> None:
    """Tell what a group is like after a change. In the sentence `{group}` stands for it."""
    if context.json:
        context.emit_json(group_json(group))
    else:
        context.note(sentence.replace("{group}", group_text(group)))
    if group.waiting:
        context.note("session: Not all of it has been brought to the group; the next recv goes on with it.")


commands = {"group": app}
