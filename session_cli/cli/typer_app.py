"""How this program uses Typer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer


def new_app(**options: Any) -> typer.Typer:
    """A Typer application in our style: plain help, our own errors, no options for completion."""
    return typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, **options)


def single_command(name: str, function: Callable[..., Any]) -> typer.Typer:
    """An application of one command."""
    app = new_app()
    app.command(name)(function)
    return app
