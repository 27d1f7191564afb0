"""How this program uses Typer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer import _click as click
from typer._click.shell_completion import CompletionItem
from typer.core import TyperCommand, TyperGroup

Function = Callable[..., Any]
_LARGEST = 2**63 - 1
"""The largest number that the store can look for."""


def message_id(text: str) -> int:
    """An id from the command line, for `parser=` of arguments and options."""
    return _number(text, 1, "no message's id")


def limit(text: str | int) -> int:
    """How many, with 0 for all; for `parser=`."""
    return _number(text, 0, "no number")


def _number(text: str | int, least: int, wrong: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = -1
    if not least <= number <= _LARGEST:
        raise click.exceptions.BadParameter(f"{text!r} is {wrong}.")
    return number


class Seconds(click.types.FloatRange):
    """So many seconds: at least `least` (or, with `above`, more than that), and not for ever. NaN is none, either.

    The help does not show the range: only the mistaken want to know it, and they are told.
    """

    name = "seconds"

    def __init__(self, least: float, most: float, *, above: bool = False) -> None:
        super().__init__(least, most, min_open=above)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if self.min is None or self.max is None:
            raise TypeError("a range of seconds has two ends")
        if (self.min < number or (number == self.min and not self.min_open)) and number <= self.max:
            return number
        bounds = f"more than {self.min:g}" if self.min_open else f"at least {self.min:g}"
        self.fail(f"{value!r} is no number of seconds; give {bounds} and at most {self.max:.0f}.", param, ctx)

    def _describe_range(self) -> str:
        return ""


class PlainCommand(TyperCommand):
    """A command whose usage line shows required arguments bare, as manual pages do.

    Of the options that all commands take, its help has the names alone: `session --help` describes them.
    """

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        arguments: list[tuple[str, str]] = []
        options: list[tuple[str, str]] = []
        shared: list[str] = []
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is None:
                continue
            if parameter.param_type_name == "argument":
                arguments.append(record)
            elif parameter.expose_value or parameter.name == "help":
                options.append(record)
            else:
                shared.append(max(parameter.opts, key=len))
        for title, rows in (("Arguments", arguments), ("Options", options)):
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)
        if shared:
            formatter.write_paragraph()
            formatter.write_text(f"Every command also takes {', '.join(shared)}; see session --help.")

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [piece.strip("{}") for piece in super().collect_usage_pieces(ctx)]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        with _blaming(ctx):
            return super().parse_args(ctx, args)


class PlainGroup(TyperGroup):
    """A group whose help shows the first sentence of each command in full."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        with _blaming(ctx):
            return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        named = [
            CompletionItem(name, help=summary(command))
            for name, command in self.commands.items()
            if name.startswith(incomplete)
        ]
        return [*named, *click.core.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary(command)) for name, command in self.commands.items()])


@contextmanager
def _blaming(ctx: click.Context) -> Iterator[None]:
    """Have every error in the arguments know its command; the parser itself does not tell of an option's."""
    try:
        yield
    except click.exceptions.UsageError as error:
        error.ctx = error.ctx or ctx
        raise


def summary(command: click.Command) -> str:
    """The first sentence of a command's help."""
    paragraph = " ".join((command.help or "").strip().partition("\n\n")[0].split())
    sentence, stop, _ = paragraph.partition(". ")
    return sentence + stop.strip()


class PlainTyper(typer.Typer):
    """Typer in our style: plain help, our own errors, no options for completion."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            cls=PlainGroup, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, **options
        )

    def plain_command(self, name: str | None = None, **options: Any) -> Callable[[Function], Function]:
        """As `command`, in our style."""
        return self.command(name, cls=PlainCommand, **options)


def single_command(name: str, function: Function) -> typer.Typer:
    """An application of one command."""
    app = PlainTyper()
    app.plain_command(name)(function)
    return app
