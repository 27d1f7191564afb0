"""`profile`: the name and picture that others see, and theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import UsageError
from . import completing
from .context import App
from .files import AvatarOut, Force, check_picture_target, read_picture, write_picture
from .json_output import contact_json, iso_time, json_object
from .text import harmless
from .typer_app import PlainTyper

if TYPE_CHECKING:
    from ..core.model import Contact
    from ..core.profiles import OwnProfile

app = PlainTyper(help="Show and change names and pictures.", no_args_is_help=True)


@app.plain_command()
def show(
    ctx: typer.Context,
    who: Annotated[
        str,
        typer.Argument(
            metavar="[WHO]",
            help="An account id or at least its first 8 digits, a known name, or me, which is the default.",
            show_default=False,
            autocompletion=completing.recipients,
        ),
    ] = "me",
    avatar_out: AvatarOut = None,
    force: Force = False,
) -> None:
    """Show the profile of this account, or what is known of somebody else's.

    A picture is downloaded for --avatar-out only. It is decrypted, and written when it has proved genuine, byte for
    byte as its owner made it: WebP, JPEG, PNG or GIF, whatever the name of your file says.
    """
    context: App = ctx.obj
    check_picture_target(context, avatar_out)
    person = context.text_argument(who)
    with context.open_client(online=avatar_out is not None) as client:
        if avatar_out is not None:
            write_picture(context, client, person, avatar_out, force=force)
        if avatar_out == "-":
            return
        if client.resolve(person) == client.account_id:
            _show_own(context, client.profiles.own())
        else:
            _show_person(context, client.contacts.find(person))


@app.plain_command("set")
def set_(
    ctx: typer.Context,
    name: Annotated[
        str | None, typer.Option("--name", help="The name that others see, of at most 100 bytes.", metavar="NAME")
    ] = None,
    avatar: Annotated[
        str | None,
        typer.Option("--avatar", help="An image to become the picture; - is standard input.", metavar="FILE|-"),
    ] = None,
    no_avatar: Annotated[bool, typer.Option("--no-avatar", help="Have no picture any more.")] = False,
    community_requests: Annotated[
        bool | None,
        typer.Option(
            "--community-requests/--no-community-requests",
            help="Let people who know you from communities alone write to you, or not.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Change the name and the picture that others see, and who may write.

    The picture is made from a JPEG, PNG, GIF or WebP file of up to 10 MB: 600 pixels high and wide at most, the first
    frame of an animation, and without what the file says of place, time and camera. It is encrypted and uploaded; who
    gets a message of yours gets the key. The file server keeps it for 14 days.
    """
    context: App = ctx.obj
    if avatar is not None and no_avatar:
        raise UsageError("--avatar and --no-avatar exclude each other.")
    if name is None and avatar is None and not no_avatar and community_requests is None:
        raise UsageError("Give a --name, an --avatar, --no-avatar, or --[no-]community-requests.")
    picture = read_picture(avatar) if avatar is not None else None
    with context.open_client(online=picture is not None) as client:
        own = client.profiles.change(
            name=context.text_argument(name) if name is not None else None,
            picture=picture,
            remove_picture=no_avatar,
            community_requests=community_requests,
            progress=context.progress(),
        )
        if context.json:
            context.emit_json(_own_json(own))
        else:
            context.note("Others see it with your next message to them, your own devices with your next sync here.")


def _show_own(context: App, own: OwnProfile) -> None:
    if context.json:
        context.emit_json(_own_json(own))
        return
    changed = iso_time(own.changed_ms) if own.changed_ms is not None else "never"
    rows = {"id": own.id, "name": own.name, "picture": _yes_no(own.picture), "changed": changed}
    _show(context, rows | {"requests": "from everybody" if own.community_requests else "not from communities"})


def _own_json(own: OwnProfile) -> dict[str, Any]:
    return json_object(
        "own_profile",
        id=own.id,
        name=own.name,
        picture=own.picture,
        changed=iso_time(own.changed_ms) if own.changed_ms is not None else None,
        changed_ms=own.changed_ms,
        community_requests=own.community_requests,
    )


def _show_person(context: App, contact: Contact) -> None:
    if context.json:
        context.emit_json(contact_json(contact))
        return
    rows = {
        "id": contact.id,
        "name": contact.profile_name,
        "nickname": contact.nickname,
        "picture": _yes_no(contact.picture),
        "approved": _yes_no(contact.approved),
        "blocked": _yes_no(contact.blocked),
    }
    _show(context, rows)


def _show(context: App, rows: dict[str, str | None]) -> None:
    for label, value in rows.items():
        context.emit(f"{label:<8}  {harmless(value) if value is not None else '(none)'}")


def _yes_no(value: bool) -> str:
    return "yes" if value else "no"


commands = {"profile": app}
