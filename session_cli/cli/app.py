"""The command line: finds the command, hands it the global options, and turns errors into messages and exit codes.

Commands are loaded when they are called; the list of commands is known without them.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any, NoReturn

import typer
from typer import _click as click
from typer._click.core import ParameterSource
from typer._click.shell_completion import CompletionItem
from typer._types import TyperChoice
from typer.core import TyperGroup, TyperOption

from .. import __version__, signals
from ..errors import SessionError, StoreUnwritable, UsageError
from . import completing
from .context import App
from .exit_codes import ExitCode, exit_code_of
from .settings import (
    COLOR,
    DIRECT,
    MAX_SECONDS,
    NETWORK,
    PROFILE,
    PROXY,
    QUIET,
    SETTINGS,
    TIMEOUT,
    BadValue,
    Setting,
)
from .text import harmless
from .typer_app import Seconds

COMMANDS: dict[str, tuple[str, str]] = {
    # name: (module, what it does)
    "init": ("account", "Make an account. Works offline; prints the account id."),
    "restore": ("account", "Bring an account back from its recovery phrase."),
    "whoami": ("account", "Show the account of this profile."),
    "phrase": ("account", "Show the recovery phrase."),
    "send": ("send", "Send a message."),
    "recv": ("recv", "Receive what is new."),
    "react": ("react", "Put an emoji on a message, or take it off."),
    "unsend": ("unsend", "Delete messages for everyone, or on your own devices."),
    "cursor": ("cursor", "List, reset and delete the readers of recv."),
    "read": ("read", "Mark messages as read."),
    "expire": ("expire", "Let messages disappear."),
    "outbox": ("outbox", "List, send and drop what waits to be sent."),
    "profile": ("profile", "Show and change names and pictures."),
    "contact": (
        "contact",
        "List people, name, approve, block and delete them; pin, mute and hide conversations.",
    ),
    "request": ("request", "List, accept, decline and block message requests."),
    "group": ("group", "Make closed groups of up to 100 people, join them, and look after them."),
    "community": ("community", "Read and write in public rooms of communities, and look after them."),
    "log": ("history", "Show what was written."),
    "list": ("history", "List conversations."),
    "search": ("history", "Search in what was written."),
    "export": ("export", "Write the history to a file: JSON lines, a page or a text."),
    "attach": ("attach", "Send, list and save files."),
    "sync": ("sync", "Bring this device in step with your others."),
    "network": ("network", "Show the way into the network."),
    "backup": ("backup", "Make, check and restore backups of everything."),
    "store": ("store", "Look after the store of messages and its key."),
    "config": ("config", "Show and change settings."),
    "schema": ("schema", "Print the JSON Schema of what --json prints."),
    "doctor": ("doctor", "Check this installation, and say what to do about what is wrong."),
    "devnet": ("devnet", "Run a small Session network on this machine."),
    "demo": ("demo", "Watch two accounts talk over a local network."),
}

_EPILOG = "Exit codes follow sysexits.h; 75 means: try again later. Manual: man session"


class _Commands(TyperGroup):
    """Loads a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f".{COMMANDS[cmd_name][0]}", __package__)
        made: typer.Typer = module.commands[cmd_name]
        return with_global_options(typer.main.get_command(made), cmd_name)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        # The summaries are here; the library would load every command for them.
        named = [CompletionItem(name, help=text) for name, (_, text) in COMMANDS.items() if name.startswith(incomplete)]
        return [*named, *click.core.Command.shell_complete(self, ctx, incomplete)]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            from difflib import get_close_matches

            similar = get_close_matches(args[0], COMMANDS)
            hint = f" Did you mean {' or '.join(similar)}?" if similar else ""
            raise click.exceptions.UsageError(f"There is no command {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


def _global_options() -> list[TyperOption]:
    def store(ctx: click.Context, param: click.Parameter, value: Any) -> None:
        if param.name and ctx.get_parameter_source(param.name) is ParameterSource.COMMANDLINE:
            app = ctx.find_root().obj
            if param.name in SETTINGS:
                app.options[param.name] = _option_value(SETTINGS[param.name], value)
            else:
                setattr(app, param.name, app.verbose + value if param.name == "verbose" else value)

    def option(*names: str, help: str, **more: Any) -> TyperOption:
        return TyperOption(
            param_decls=list(names), help=help, callback=store, expose_value=False, show_default=False, **more
        )

    return [
        option("--profile", help=PROFILE.help, metavar="NAME", autocompletion=completing.profiles),
        option("--network", help=NETWORK.help, metavar="NETWORK", autocompletion=completing.networks),
        option("--proxy", help=PROXY.help, metavar="URL"),
        option("--tor", help="Send everything through Tor on this machine.", is_flag=True),
        option("--direct", help=DIRECT.help, is_flag=True),
        option("--json", help="Print one JSON object a line.", is_flag=True),
        option("--quiet", "-q", help=QUIET.help, is_flag=True),
        option("--verbose", "-v", help="Say on stderr what is going on; twice for more.", count=True, type=int),
        option("--no-input", help="Never ask anything.", is_flag=True),
        option(
            "--color",
            help=COLOR.help,
            type=TyperChoice(list(COLOR.kind.choices)),
            metavar="WHEN",
        ),
        option(
            "--timeout",
            help=TIMEOUT.help,
            type=Seconds(0, MAX_SECONDS, above=True),
            metavar="SECONDS",
        ),
        TyperOption(
            param_decls=["--version"],
            help="Show the version.",
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_show_version,
        ),
    ]


def _option_value(setting: Setting[Any], value: Any) -> Any:
    """The value of a setting given as an option: an empty one, of an unset variable perhaps, must not count as none."""
    if not isinstance(value, str):
        return value
    try:
        return setting.kind.parse(value)
    except BadValue as problem:
        raise UsageError(f"{setting.option}: {problem}") from None


def with_global_options(command: click.Command, name: str) -> click.Command:
    """Let a command, and all below it, take the global options too, so that they may stand anywhere."""
    command.name = name
    command.params += _global_options()
    if isinstance(command, TyperGroup):
        for sub_name, sub_command in command.commands.items():
            with_global_options(sub_command, sub_name)
    return command


def _show_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        sys.stdout.write(f"session {__version__}\n")
        ctx.exit()


def root_command() -> TyperGroup:
    """The whole command line as one object."""
    return _Commands(
        name="session",
        help="The Session messenger for the shell.",
        epilog=_EPILOG,
        params=[*_global_options()],
        no_args_is_help=True,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 100},
    )


def run(arguments: Sequence[str]) -> NoReturn:
    """Run a command line and end the process with its exit code."""
    app = App()
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
    try:
        signals.install()
        code = _run(arguments, app)
        _finish_output(code)
    except BrokenPipeError:
        _die_by("SIGPIPE", ExitCode.IO)
    except KeyboardInterrupt:
        _die_by("SIGINT", ExitCode.INTERRUPTED)
    except signals.Terminated as signalled:
        _die_by(signal.Signals(signalled.args[0]).name, ExitCode.TERMINATED)
    sys.exit(code)


def _finish_output(code: int) -> None:
    """Write out what Python still holds back. What can't be written is said once, and never left to the interpreter."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _drop_output()
        if code == ExitCode.OK:
            sys.stderr.write(f"session: Can't write to standard output: {error.strerror}.\n")
            sys.exit(ExitCode.IO)


def _drop_output() -> None:
    """Let nobody, the interpreter at its end included, try to write again what can't be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _die_by(signal_name: str, fallback: ExitCode) -> NoReturn:
    """End by the signal itself, as other programs do, so that the shell knows why."""
    number = getattr(signal, signal_name, None)
    _drop_output()
    if number is not None and os.name == "posix":
        signals.end_by(number)
    sys.exit(fallback)


def _run(arguments: Sequence[str], app: App) -> int:
    command = root_command()
    if os.environ.get("_SESSION_COMPLETE"):
        return _complete(os.environ["_SESSION_COMPLETE"], command, arguments, app)
    wants_json = "--json" in arguments  # in case the command line itself is wrong

    def report(slug: str, code: ExitCode, message: str) -> int:
        if app.json or wants_json:
            with suppress(OSError):  # standard output may be what failed; stderr says it all the same
                app.emit_json({"v": 1, "type": "error", "code": int(code), "error": slug, "message": message})
        app.say(f"{_error_mark(app)} {harmless(message)}")
        return int(code)

    try:
        return _invoke(command, arguments, app)
    except SessionError as error:
        _show_trace(app)
        return report(error.slug, exit_code_of(error), error.message)
    except click.exceptions.ClickException as error:
        return report("usage", ExitCode.USAGE, _usage_message(error))
    except BrokenPipeError:
        raise
    except OSError as error:
        _show_trace(app)
        unwritable = StoreUnwritable(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}")
        return report(unwritable.slug, ExitCode.IO, unwritable.message)
    except Exception as error:  # noqa: BLE001 - the last resort: a bug must not show a trace that could hold secrets
        _show_trace(app)
        hint = "" if app.verbose > 1 else " Run it again with -vv to see where."
        return report("bug", ExitCode.BUG, f"This is a bug in session ({type(error).__name__}).{hint}")


def _error_mark(app: App) -> str:
    """What begins a line about an error; the error may be that of the settings which say how to write one."""
    try:
        return app.painter(sys.stderr).error("session:")
    except SessionError:
        return "session:"


def _complete(shell: str, command: TyperGroup, arguments: Sequence[str], app: App) -> int:
    """Tell a shell's script how the command line could go on. What does not work out leads to silence."""
    from .shell_completion import answer

    with suppress(Exception):
        sys.stdout.write(answer(shell, command, arguments, app))
    return ExitCode.OK


def _invoke(command: TyperGroup, arguments: Sequence[str], app: App) -> int:
    try:
        with command.make_context("session", list(arguments), obj=app) as ctx:
            result = command.invoke(ctx)
    except typer.Exit as exit:
        return int(exit.exit_code)
    except typer.Abort:
        raise KeyboardInterrupt from None
    return int(result or 0)


def _usage_message(error: click.exceptions.ClickException) -> str:
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "session"
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return f"Which command? See {path} --help"
    message = re.sub(r"is not a valid (float|int)\w*( range)?\.", "is not a number.", error.format_message())
    message = " ".join(message.split())
    if "unexpected extra argument" in message:
        message = f"{message.rstrip('.')}; a text of several words needs quotes"
    return f"{message if message.endswith(('.', '?')) else message + '.'} See {path} --help"


def _show_trace(app: App) -> None:
    """Where an error came from, for those who ask twice: places in the code, never values."""
    if app.verbose > 1:
        import traceback

        for frame in traceback.extract_tb(sys.exc_info()[2]):
            app.say(f"  {frame.filename}:{frame.lineno} in {frame.name}")
