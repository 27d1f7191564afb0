"""`expire`: how what one writes to somebody disappears."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import UsageError
from .context import App
from .json_output import json_object, place_json
from .output import party_text
from .people import To
from .text import human_time
from .typer_app import single_command

if TYPE_CHECKING:
    from ..core.disappearing import Rule

OFF = "off"


class After(StrEnum):
    """What starts the clock."""

    SEND = "send"
    READ = "read"
    OFF = "off"


_AFTER = {"after_send": "after it is sent", "after_read": "after it is read"}


def expire(
    ctx: typer.Context,
    to: To,
    time: Annotated[
        str | None,
        typer.Argument(
            metavar="[TIME|off]", help="12h, 1d, 1w or 2w; after reading also 5m or 1h.", show_default=False
        ),
    ] = None,
    after: Annotated[
        After | None,
        typer.Option("--after", help="What starts the clock: send (the default) or read; off.", metavar="WHAT"),
    ] = None,
) -> None:
    """Let what you write to somebody disappear after a time; without TIME, show what is set.

    It goes here, on their devices and in the swarm. A notice tells them; for what they write themselves they have a
    setting of their own. What was written before stays as it is. Notes to self disappear after they are sent only.
    Files that were saved stay.

    Both of you must have accepted the other, by writing or answering. In a group all messages follow one rule, which
    its admins set: session group expire
    """
    app: App = ctx.obj
    wanted = _wanted(app, time, after)
    person = app.text_argument(to)
    with app.open_client(online=wanted is not None) as client:
        rule = client.disappearing.rule(person) if wanted is None else client.disappearing.set(person, *wanted)
    if app.json:
        app.emit_json(_rule_json(rule))
    elif wanted is None:
        app.emit(_rule_text(rule))
    else:
        app.note(_rule_text(rule))


def _wanted(app: App, time: str | None, after: After | None) -> tuple[str, int] | None:
    """Mode and seconds, or None where nothing is to be changed."""
    text = app.text_argument(time) if time is not None else None
    if text == OFF or after is After.OFF:
        if (text or OFF) != OFF or (after or After.OFF) is not After.OFF:
            raise UsageError("off goes with no time, and with nothing that starts a clock.")
        return OFF, 0
    if text is None:
        if after is not None:
            raise UsageError(f"After how long? Give a time: session expire TO 1d --after {after}")
        return None
    from ..core.disappearing import parse_time

    return f"after_{after or After.SEND}", parse_time(text)


def _rule_text(rule: Rule) -> str:
    what = "Notes to self" if rule.conversation.type == "self" else f"What you write to {party_text(rule.conversation)}"
    plural = rule.conversation.type == "self"
    if not rule.seconds:
        return f"{what} {'stay' if plural else 'stays'}."
    start = _AFTER[rule.mode].replace("it is", "they are") if plural else _AFTER[rule.mode]
    return f"{what} {'disappear' if plural else 'disappears'} {human_time(rule.seconds)} {start}."


def _rule_json(rule: Rule) -> dict[str, Any]:
    return json_object("expiration", conversation=place_json(rule.conversation), mode=rule.mode, seconds=rule.seconds)


commands = {"expire": single_command("expire", expire)}
