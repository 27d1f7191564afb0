"""`contact`: the people one knows, by names of one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import UsageError
from . import completing
from .context import App
from .json_output import json_object
from .output import Painter
from .text import fitted, harmless, short_id
from .typer_app import PlainTyper

if TYPE_CHECKING:
    from ..core.model import Contact

NAME_COLUMNS = 16
OWN_NAME_COLUMNS = 24

app = PlainTyper(help="List people, give them names of your own, and block them.", no_args_is_help=True)


Who = Annotated[
    str,
    typer.Argument(
        metavar="WHO",
        help="An account id, which may be a stranger's, or a known name.",
        show_default=False,
        autocompletion=completing.recipients,
    ),
]


@app.plain_command("list")
def list_(ctx: typer.Context) -> None:
    """List the people you have written to, given a name or blocked: name, id, and the name they give themselves.

    Marks: [blocked]; [has not written], [request] for those you have not written to, [no messages yet] for neither.
    """
    context: App = ctx.obj
    painter = context.painter()
    with context.open_client(online=False) as client:
        for contact in client.contacts.all():
            if context.json:
                context.emit_json(contact_json(contact))
            else:
                context.emit(_row(contact, painter))


@app.plain_command()
def rename(
    ctx: typer.Context,
    who: Who,
    nickname: Annotated[
        str | None, typer.Argument(metavar="[NICKNAME]", help="The name you give, which nobody else may have.")
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take the name away that you gave.")] = False,
) -> None:
    """Give somebody a name of your own. Only you see it, and on this device only.

    It is shown instead of the name they give themselves, and comes first wherever somebody is named: whoever else
    takes that name, before or after, is not meant by it.
    """
    context: App = ctx.obj
    if remove == (nickname is not None):
        raise UsageError("Give a name, or --remove." if nickname is None else "A name and --remove exclude each other.")
    person = context.text_argument(who)
    name = context.text_argument(nickname) if nickname is not None else None
    with context.open_client(online=False) as client:
        contact = client.contacts.rename(person, name)
        if context.json:
            context.emit_json(contact_json(contact))
        elif contact.name:
            context.note(f"{short_id(contact.id)} is shown as {contact.name!r} now.")
        else:
            context.note(f"{short_id(contact.id)} has no name now.")


@app.plain_command()
def block(ctx: typer.Context, who: Who) -> None:
    """Drop whatever somebody sends from now on. Nobody is told.

    What they wrote before stays in the log. Messages that are dropped do not come back with unblock.
    """
    _set_blocked(ctx.obj, who, blocked=True)


@app.plain_command()
def unblock(ctx: typer.Context, who: Who) -> None:
    """Take again what somebody sends."""
    _set_blocked(ctx.obj, who, blocked=False)


def _set_blocked(context: App, who: str, *, blocked: bool) -> None:
    with context.open_client(online=False) as client:
        contact = client.contacts.set_blocked(context.text_argument(who), blocked=blocked)
        if context.json:
            context.emit_json(contact_json(contact))
        else:
            context.note(f"{contact_text(contact)} is {'blocked now' if blocked else 'not blocked'}.")


def contact_text(contact: Contact) -> str:
    """A person in a sentence: the name and the beginning of the id."""
    return f"{contact.name} ({short_id(contact.id)})" if contact.name else short_id(contact.id)


def contact_json(contact: Contact) -> dict[str, Any]:
    """A person as `--json` shows it; see session-json(5)."""
    return json_object(
        "contact",
        id=contact.id,
        name=contact.name,
        nickname=contact.nickname,
        profile_name=contact.profile_name,
        approved=contact.approved,
        approved_me=contact.approved_me,
        blocked=contact.blocked,
        picture=contact.picture,
    )


def _row(contact: Contact, painter: Painter) -> str:
    """A line: name, id, how far we know each other, the name of the person's own."""
    name = fitted(harmless(contact.name or ""), NAME_COLUMNS)
    line = f"{painter.name(name)}  {painter.dim(short_id(contact.id))}"
    if contact.blocked:
        line += "  " + painter.warning("[blocked]")
    elif not contact.approved:
        line += "  " + painter.warning("[request]" if contact.approved_me else "[no messages yet]")
    elif not contact.approved_me:
        line += "  " + painter.warning("[has not written]")
    if contact.profile_name and contact.profile_name != contact.name:
        line += f"  own name: {fitted(harmless(contact.profile_name), OWN_NAME_COLUMNS).rstrip()}"
    return line


commands = {"contact": app}
