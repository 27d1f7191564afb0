"""How this program uses Typer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer
from typer import _click as click
from typer.core import TyperCommand

Function = Callable[..., Any]


class PlainCommand(TyperCommand):
    """A command whose usage line shows required arguments bare, as manual pages do."""

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [piece.strip("{}") for piece in super().collect_usage_pieces(ctx)]


class PlainTyper(typer.Typer):
    """Typer in our style: plain help, our own errors, no options for completion."""

    def __init__(self, **options: Any) -> None:
        super().__init__(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, **options)

    def plain_command(self, name: str | None = None, **options: Any) -> Callable[[Function], Function]:
        """As `command`, in our style."""
        return self.command(name, cls=PlainCommand, **options)


def single_command(name: str, function: Function) -> typer.Typer:
    """An application of one command."""
    app = PlainTyper()
    app.plain_command(name)(function)
    return app
