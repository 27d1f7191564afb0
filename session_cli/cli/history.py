"""`log`, `list` and `search`: what was written. They ask nobody, and wait for nobody, but for `log --fetch`."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UsageError
from . import completing
from .context import App
from .exit_codes import ExitCode
from .json_output import conversation_json, message_json
from .notices import notice_text
from .output import UNSENT, Painter, attachment_text, message_text
from .pager import show
from .people import With
from .text import cell_width, counted, fitted, harmless, room_token, short_id
from .times import Since, Until, moment
from .typer_app import limit as parse_limit
from .typer_app import message_id, single_command

if TYPE_CHECKING:
    from ..core.model import Conversation, Message

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)

_PARTS = {
    "": "",
    "Invitations": " (session group accept or decline)",
    "Message requests": " (session request accept, decline or block)",
}
"""The parts of the list, in their order, and what to do about what is in them."""
NAME_COLUMNS = 16
ID_COLUMNS = 11
LEAST_COLUMNS = 60
DEFAULT_COLUMNS = 80

NoPager = Annotated[bool, typer.Option("--no-pager", help="Print everything at once on a terminal, too.")]


def person(app: App, text: str | None) -> str | None:
    """A person or conversation from the command line."""
    return app.text_argument(text) if text is not None else None


def day_heading(milliseconds: int) -> str:
    """The day of a time, in this machine's zone: Monday, 23 November 2026."""
    day = time.localtime(milliseconds / 1000)
    return f"{_DAYS[day.tm_wday]}, {day.tm_mday} {_MONTHS[day.tm_mon - 1]} {day.tm_year}"


def day_line(message: Message, last: Message | None, painter: Painter) -> str:
    """The line in front of a day's first message; nothing where the `last` message is of the same day."""
    day = day_heading(message.timestamp_ms)
    if last is not None and day == day_heading(last.timestamp_ms):
        return ""
    return painter.bold(f"── {day} ──") + "\n"


def _with_days(messages: Iterable[Message], painter: Painter, *, with_place: bool) -> Iterator[str]:
    last = None
    for message in messages:
        yield day_line(message, last, painter) + message_text(message, painter, with_place=with_place)
        last = message


def log(
    ctx: typer.Context,
    to: With = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", help="The last N messages; 0 for all.", metavar="N", parser=parse_limit)
    ] = 50,
    since: Since = None,
    until: Until = None,
    before: Annotated[
        int | None,
        typer.Option("--before", help="Messages before the one with this id.", metavar="ID", parser=message_id),
    ] = None,
    after: Annotated[
        int | None,
        typer.Option(
            "--after", help="The first N messages after the one with this id.", metavar="ID", parser=message_id
        ),
    ] = None,
    fetch: Annotated[
        int | None,
        typer.Option(
            "--fetch", help="Of a room: first fetch N messages older than those here, if there are.", metavar="N", min=1
        ),
    ] = None,
    no_pager: NoPager = False,
) -> None:
    """Show what was written, oldest first.

    Nothing is fetched but with --fetch, and nothing counts as received by it. On a terminal the pager shows it:
    $SESSION_PAGER, else $PAGER, else less; none if that is empty or cat. Messages stand in the order of their senders'
    clocks.
    """
    app: App = ctx.obj
    painter = app.painter()
    start, stop, conversation = moment(app, since), moment(app, until, end=True), person(app, to)
    if fetch is not None and conversation is None:
        raise UsageError("--fetch asks the server of one room; name the room: session log ROOM --fetch N")
    with app.open_client(online=fetch is not None) as client:
        if fetch is not None and conversation is not None:
            came = client.communities.fetch_older(conversation, fetch)
            app.note(f"session: {counted(came, 'older message')} came." if came else "session: There is nothing older.")

        def messages() -> Iterator[Message]:
            return client.history.log(
                conversation, since_ms=start, until_ms=stop, before=before, after=after, limit=limit or None
            )

        if app.json:
            for message in messages():
                app.emit_json(message_json(message))
        else:
            show(app, lambda: _with_days(messages(), painter, with_place=conversation is None), pager=not no_pager)


def search(
    ctx: typer.Context,
    query: Annotated[
        list[str],
        typer.Argument(metavar="QUERY...", help="What has to be in a message; see above.", show_default=False),
    ],
    conversation: Annotated[
        str | None,
        typer.Option(
            "--in",
            help="Only the conversation with this person, or this group or room.",
            metavar="TO",
            autocompletion=completing.recipients,
        ),
    ] = None,
    sender: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Only what this person wrote; me: what you wrote.",
            metavar="TO",
            autocompletion=completing.recipients,
        ),
    ] = None,
    since: Since = None,
    until: Until = None,
    has: Annotated[
        str | None, typer.Option("--has", help="Only messages with an attachment.", metavar="attachment")
    ] = None,
    limit: Annotated[
        int,
        typer.Option("--limit", "-n", help="The last N messages found; 0 for all.", metavar="N", parser=parse_limit),
    ] = 50,
    no_pager: NoPager = False,
) -> int:
    """Search in what was written; show the messages found, oldest first. Exit with 1 if there are none.

    All words have to be there, in any order. "Words in quotes" have to stand together (quote them for the shell, too),
    begin* finds what begins so, *part* any part of a word, and -word leaves out messages with that word (put -- before
    a query that begins so). Case, accents and punctuation make no difference. Chinese, Japanese, Thai and the like are
    found wherever they stand in a text, and so are emoji. Of more than --limit, those are shown that came last.
    """
    app: App = ctx.obj
    painter = app.painter()
    if has not in (None, "attachment"):
        raise UsageError("--has takes the word attachment.")
    start, stop = moment(app, since), moment(app, until, end=True)
    text = " ".join(map(app.text_argument, query))
    with app.open_client(online=False) as client:
        found = client.history.search(
            text,
            conversation=person(app, conversation),
            sender=person(app, sender),
            since_ms=start,
            until_ms=stop,
            has_attachment=has is not None,
            limit=limit or None,
        )
        if app.json:
            for message in found:
                app.emit_json(message_json(message))
        elif found:
            show(
                app,
                lambda: (message_text(message, painter, client.history.spans(text, message.body)) for message in found),
                pager=not no_pager,
            )
    return ExitCode.OK if found else ExitCode.NEGATIVE


def list_(
    ctx: typer.Context,
    hidden: Annotated[bool, typer.Option("--hidden", help="List those that are hidden, and no others.")] = False,
) -> None:
    """List conversations: those that are pinned, then the one with the latest message first.

    A number in front tells how many events recv has not shown yet, a * that you have marked it with read --unread.
    Groups and rooms of communities have a mark, and so have pinned and muted conversations; see session contact, group
    and community. Those that are hidden are left out until something new comes. Groups that invite you, and then
    message requests, come after all others (with --json, where they belong by time); session request list tells more of
    these.
    """
    app: App = ctx.obj
    painter = app.painter()
    columns = max(LEAST_COLUMNS, shutil.get_terminal_size((DEFAULT_COLUMNS, 24)).columns)
    with app.open_client(online=False) as client:
        conversations = client.history.conversations(hidden=hidden)
        if app.json:
            for conversation in conversations:
                app.emit_json(conversation_json(conversation))
            return
        part = ""
        for conversation in sorted(conversations, key=lambda each: list(_PARTS).index(_part(each))):
            if part != _part(conversation):
                part = _part(conversation)
                if sys.stdout.isatty():
                    app.emit(painter.bold(part) + painter.dim(_PARTS[part]))
            app.emit(_row(conversation, columns, painter))


def _part(conversation: Conversation) -> str:
    """The part of the list in which a conversation stands."""
    if not conversation.request:
        return ""
    return "Invitations" if conversation.party.type == "group" else "Message requests"


def _row(conversation: Conversation, columns: int, painter: Painter) -> str:
    """A line: unread events, name, id (of a room, its short name), time of the last message, marks, its beginning."""
    party, last = conversation.party, conversation.last_message
    unread = str(conversation.unread) if conversation.unread else "*" if conversation.state.marked_unread else ""
    name = "Note to self" if party.type == "self" else harmless(party.name or "")
    is_group = party.type == "group"
    place = fitted(harmless(room_token(party.id)), ID_COLUMNS) if party.type == "community" else short_id(party.id)
    marks = {
        "group": is_group and not conversation.request,
        "community": party.type == "community",
        "pinned": conversation.state.pinned,
        "muted": conversation.state.muted,
        "invitation" if is_group else "request": conversation.request,
    }
    mark = "".join(f"[{name}] " for name, holds in marks.items() if holds)
    front = f"{unread:>4}  {fitted(name, NAME_COLUMNS)}  {place}  {_short_time(last)}  "
    excerpt = fitted(_excerpt(last), columns - cell_width(front) - len(mark)).rstrip() if last else ""
    return (
        f"{painter.bold(f'{unread:>4}')}  {painter.name(fitted(name, NAME_COLUMNS))}  {painter.dim(place)}"
        f"  {painter.dim(_short_time(last))}  {painter.warning(mark) if mark else ''}{excerpt}"
    ).rstrip()


def _short_time(message: Message | None) -> str:
    """The time of a message of today, else its day, in ten columns."""
    if message is None:
        return " " * 10
    then, now = time.localtime(message.timestamp_ms / 1000), time.localtime()
    today = then[:3] == now[:3]
    return time.strftime("%H:%M     " if today else "%Y-%m-%d", then)


def _excerpt(message: Message) -> str:
    """A message on one line."""
    who = "me: " if message.direction == "outgoing" else ""
    if message.conversation.is_shared and not who:
        who = harmless(message.sender.name or short_id(message.sender.id)) + ": "
    state = f"[{UNSENT[message.status]}] " if message.status in UNSENT else ""
    notice = notice_text(message)
    if notice is not None:
        return f"{who}[{harmless(notice)}]"
    if message.body.strip() or not message.attachments:
        return who + state + harmless(" ".join(message.text.split()))
    return who + state + attachment_text(message.attachments[0])


commands = {
    "log": single_command("log", log),
    "list": single_command("list", list_),
    "search": single_command("search", search),
}
