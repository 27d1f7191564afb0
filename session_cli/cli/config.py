"""`config`: the settings, shown and changed."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ..errors import InvalidConfig, SessionError, UsageError
from .config_file import PROFILES, Keys, change
from .context import App
from .json_output import json_object
from .settings import PROFILE, SETTINGS, BadValue, Found, Setting, plain, setting_named, shown
from .text import harmless
from .typer_app import PlainTyper

app = PlainTyper(help="Show and change settings.", no_args_is_help=True)


def _complete_name(incomplete: str) -> list[tuple[str, str]]:
    return [(setting.name, setting.meaning) for setting in SETTINGS.values() if setting.name.startswith(incomplete)]


def _complete_value(ctx: typer.Context, incomplete: str) -> list[str]:
    setting = SETTINGS.get(ctx.params.get("name") or "")
    return [choice for choice in setting.kind.choices if choice.startswith(incomplete)] if setting else []


NameArgument = Annotated[
    str,
    typer.Argument(metavar="NAME", help="The setting's name.", show_default=False, autocompletion=_complete_name),
]


@app.plain_command()
def get(ctx: typer.Context, name: NameArgument) -> None:
    """Print a setting's value, wherever it comes from; an empty line if it has none.

    That is the value which commands would use for the profile chosen: an option counts before the environment, that
    before the profile's own value in the file, that before the one for all profiles, and that before the default.
    """
    context: App = ctx.obj
    setting = setting_named(name)
    found = context.find(setting)
    if context.json:
        context.emit_json(json_object("setting", name=name, value=plain(found.value), origin=found.origin))
    else:
        context.emit(shown(found.value))


@app.plain_command("set")
def set_(
    ctx: typer.Context,
    name: NameArgument,
    value: Annotated[
        str,
        typer.Argument(
            metavar="VALUE|-",
            help="Its value; - reads it from standard input.",
            show_default=False,
            autocompletion=_complete_value,
        ),
    ],
) -> None:
    """Set a setting in the file: for all profiles, or with --profile NAME for that profile alone.

    Comments and layout of the file stay as they are. A relative path is stored as the absolute one that it means here.
    """
    context: App = ctx.obj
    setting = setting_named(name)
    keys = _keys(context, setting.name)
    if len(keys) > 1 and not setting.for_profiles:
        raise UsageError(f"{setting.name} can't be set for a profile; leave out --profile.")
    text = context.read_text() if value == "-" else context.text_argument(value)
    try:
        stored = setting.kind.store(text)
    except BadValue as problem:
        raise UsageError(f"{setting.name}: {problem}") from None
    change(context.config_path, keys, stored)
    file = context.load_config(check=False)
    found = context.find(setting)
    if context.json:
        context.emit_json(_json(setting, found))
    elif plain(found.value) != plain(setting.kind.read(stored, file.path.parent)):
        counts = shown(setting.kind.public(found.value))
        context.note(f"session: Set, but {counts} counts here: it comes from {found.origin}.")


@app.plain_command()
def unset(ctx: typer.Context, name: NameArgument) -> None:
    """Take a setting out of the file: the value for all profiles, or with --profile NAME that profile's own.

    Takes out also what is no setting, so that a file with a wrong name in it can be repaired.
    """
    context: App = ctx.obj
    keys = _keys(context, name)
    removed = change(context.config_path, keys, None) if name != PROFILES else False
    if not removed:
        setting_named(name)
    context.load_config(check=False)
    if not removed:
        context.note(f"session: {name} was not set in {context.config_path}.")
    if context.json and name in SETTINGS:
        context.emit_json(_json(SETTINGS[name], context.find(SETTINGS[name])))


@app.plain_command("list")
def list_(
    ctx: typer.Context,
    origin: Annotated[bool, typer.Option("--origin", help="Show where each value comes from.")] = False,
) -> None:
    """List all settings with the values that commands would use for the profile chosen.

    With --origin a third column tells where a value comes from: an option, a variable of the environment, a line of
    the file, or the default. What is wrong in the file is left out, and reported at the end. Three stars stand for the
    user name and password of a proxy, which config get proxy alone shows.
    """
    context: App = ctx.obj
    file = context.load_config(check=False)
    problems = []
    for setting in SETTINGS.values():
        try:
            found = context.find(setting)
        except SessionError as problem:
            if not isinstance(problem, InvalidConfig):
                problems.append(problem)
            continue
        if context.json:
            context.emit_json(_json(setting, found))
        else:
            context.emit(_line(setting, found, origin=origin))
    file.check()
    if problems:
        raise problems[0]


@app.plain_command()
def path(ctx: typer.Context) -> None:
    """Print where the file of settings is, or would be if there were one."""
    context: App = ctx.obj
    place = context.config_path
    if context.json:
        context.emit_json(json_object("config_file", path=str(place), exists=place.exists()))
    else:
        context.emit(harmless(str(place)))


def _keys(context: App, name: str) -> Keys:
    """Where the command line wants a setting: for the profile that it names, or for all."""
    profile = context.options.get(PROFILE.name)
    return (name,) if profile is None else (PROFILES, profile, name)


def _json(setting: Setting[Any], found: Found[Any]) -> dict[str, Any]:
    """A setting as all commands but `get` show it."""
    value = plain(setting.kind.public(found.value))
    return json_object("setting", name=setting.name, value=value, origin=found.origin)


def _line(setting: Setting[Any], found: Found[Any], *, origin: bool) -> str:
    width = max(map(len, SETTINGS))
    value = harmless(shown(setting.kind.public(found.value))) or "-"
    return (
        f"{setting.name:<{width}}  {value:<24}  {harmless(found.origin)}"
        if origin
        else f"{setting.name:<{width}}  {value}"
    )


commands = {"config": app}
