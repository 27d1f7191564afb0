"""`contact`: the people one knows, by names of one's own, and how conversations with them are treated."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UsageError
from . import completing, contact_files
from . import conversation_switches as switches
from .context import App
from .json_output import contact_json, json_object
from .output import Painter
from .text import counted, fitted, harmless, short_id
from .typer_app import PlainTyper

if TYPE_CHECKING:
    from ..core.model import Contact

NAME_COLUMNS = 16
OWN_NAME_COLUMNS = 24

app = PlainTyper(
    help="List people, name, approve, block and delete them; pin, mute and hide conversations.", no_args_is_help=True
)


Who = Annotated[
    str,
    typer.Argument(
        metavar="WHO",
        help="An account id or the beginning of a known one, which may be a stranger's, or a known name.",
        show_default=False,
        autocompletion=completing.recipients,
    ),
]
Nickname = Annotated[
    str | None, typer.Argument(metavar="[NICKNAME]", help="The name you give, which nobody else may have.")
]


@app.plain_command("list")
def list_(ctx: typer.Context) -> None:
    """List the people you have approved, given a name or blocked: name, id, and the name they give themselves.

    To write to somebody, and to answer, approves them; so does contact add. The list is the same on all your devices
    once they have fetched what the others changed: that is what recv and sync do.

    Marks: [blocked]; [has not written], [request] for those you have not written to, [no messages yet] for neither;
    [hidden] where list leaves the conversation out.
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
def show(ctx: typer.Context, who: Who) -> None:
    """Show all that is known of somebody. Of this account: session profile show"""
    context: App = ctx.obj
    with context.open_client(online=False) as client:
        contact = client.contacts.get(client.contacts.resolve(context.text_argument(who)))
    if context.json:
        context.emit_json(contact_json(contact))
        return
    for label, value in _facts(contact).items():
        context.emit(f"{label:<12}  {value}")


@app.plain_command()
def add(ctx: typer.Context, who: Who, nickname: Nickname = None) -> None:
    """Approve somebody without writing, and give a name, if you like. Works offline.

    What they write is no message request then, on none of your devices. They learn nothing of it, unless they have
    written to you already: then the next recv, send or sync tells them that you accept.
    """
    context: App = ctx.obj
    person = context.text_argument(who)
    name = context.text_argument(nickname) if nickname is not None else None
    with context.open_client(online=False) as client:
        _say(context, client.contacts.add(person, name), "is a contact now")


@app.plain_command()
def rename(
    ctx: typer.Context,
    who: Who,
    nickname: Nickname = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take the name away that you gave.")] = False,
) -> None:
    """Give somebody a name of your own. Only you see it, on all your devices.

    It works offline; your other devices hear of it with the next command that is online, or session sync. It is shown
    instead of the name they give themselves, and comes first wherever somebody is named: whoever else takes that name,
    before or after, is not meant by it.
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
def approve(ctx: typer.Context, who: Who) -> None:
    """Approve somebody, and tell them at once if they have written to you, as request accept does.

    That needs the network. contact add does the same offline: they are told with the next command that is online.
    """
    context: App = ctx.obj
    with context.open_client() as client:
        _say(context, client.requests.approve(context.text_argument(who)), "is approved now")


@app.plain_command()
def block(ctx: typer.Context, who: Who) -> None:
    """Drop whatever somebody sends from now on. They are not told.

    It works offline; your other devices drop it, too, once they hear of it: with the next command that is online, or
    session sync. What they wrote before stays in the log. Messages that are dropped do not come back with unblock.
    """
    _set_blocked(ctx.obj, who, blocked=True)


@app.plain_command()
def unblock(ctx: typer.Context, who: Who) -> None:
    """Take again what somebody sends."""
    _set_blocked(ctx.obj, who, blocked=False)


@app.plain_command()
def delete(
    ctx: typer.Context, who: Who, yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False
) -> None:
    """Forget somebody on all your devices: names, approval, a block, and every message of the conversation.

    It works offline; your other devices follow when they hear of it, with the next command that is online, or session
    sync. They are told nothing, keep what they have, and can write to you again: that is a message request then. What
    waits to be sent to them is given up. Files that were saved stay. It can't be undone; contact hide keeps everything.
    """
    context: App = ctx.obj
    with context.open_client(online=False) as client:
        contact = client.contacts.get(client.contacts.resolve(context.text_argument(who)))
        if not yes:
            context.confirm(
                f"{contact_text(contact)} and all messages of the conversation are deleted, on all your devices. "
                "This can't be undone.",
                "delete",
            )
        deleted = client.contacts.delete(contact.id)
        if context.json:
            fields = {"id": contact.id, "name": contact.name, "messages": deleted.messages}
            context.emit_json(json_object("contact_deleted", **fields))
        else:
            context.note(f"{contact_text(contact)} is deleted, with {counted(deleted.messages, 'message')}.")


for command in (switches.pin, switches.unpin, switches.mute, switches.unmute, switches.hide, switches.unhide):
    app.plain_command(command.__name__)(command)
app.plain_command("export")(contact_files.export)
app.plain_command("import")(contact_files.import_)


def _set_blocked(context: App, who: str, *, blocked: bool) -> None:
    with context.open_client(online=False) as client:
        contact = client.contacts.set_blocked(context.text_argument(who), blocked=blocked)
        _say(context, contact, "is blocked now" if blocked else "is not blocked any more")


def _say(context: App, contact: Contact, state: str) -> None:
    if context.json:
        context.emit_json(contact_json(contact))
    else:
        context.note(f"{contact_text(contact)} {state}.")


def contact_text(contact: Contact) -> str:
    """A person in a sentence: the name and the beginning of the id."""
    return f"{contact.name} ({short_id(contact.id)})" if contact.name else short_id(contact.id)


def _facts(contact: Contact) -> dict[str, str]:
    """What is known, for people: label and value."""
    if contact.muted_until_ms is not None:
        muted = f"until {time.strftime('%Y-%m-%d %H:%M', time.localtime(contact.muted_until_ms / 1000))}"
    else:
        muted = _yes_no(contact.muted)
    return {
        "id": contact.id,
        "nickname": harmless(contact.nickname) if contact.nickname else "(none)",
        "own name": harmless(contact.profile_name) if contact.profile_name else "(none)",
        "picture": _yes_no(contact.picture),
        "approved": _yes_no(contact.approved),
        "approves me": _yes_no(contact.approved_me),
        "request": _yes_no(contact.request),
        "blocked": _yes_no(contact.blocked),
        "pinned": _yes_no(contact.pinned),
        "muted": muted,
        "hidden": _yes_no(contact.hidden),
    }


def _yes_no(value: bool) -> str:
    return "yes" if value else "no"


def _row(contact: Contact, painter: Painter) -> str:
    """A line: name, id, how far we know each other, the name of the person's own."""
    name = fitted(harmless(contact.name or "(no name)"), NAME_COLUMNS)
    line = f"{painter.name(name)}  {painter.dim(short_id(contact.id))}"
    if contact.blocked:
        line += "  " + painter.warning("[blocked]")
    elif not contact.approved:
        line += "  " + painter.warning("[request]" if contact.approved_me else "[no messages yet]")
    elif not contact.approved_me:
        line += "  " + painter.warning("[has not written]")
    if contact.hidden and not contact.blocked:
        line += "  " + painter.dim("[hidden]")
    if contact.profile_name and contact.profile_name != contact.name:
        line += f"  own name: {fitted(harmless(contact.profile_name), OWN_NAME_COLUMNS).rstrip()}"
    return line


commands = {"contact": app}
