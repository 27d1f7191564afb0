"""People, groups and rooms on the command line."""

from __future__ import annotations

from typing import Annotated

import typer

from . import completing

To = Annotated[
    str,
    typer.Argument(
        metavar="TO",
        help="A person, group or room: an id or at least its first 8 digits, an address, or a known name; or me.",
        show_default=False,
        autocompletion=completing.recipients,
    ),
]
With = Annotated[
    str | None,
    typer.Argument(
        metavar="[TO]",
        help="Only the conversation with this person, or this group or room; me: notes to self.",
        show_default=False,
        autocompletion=completing.recipients,
    ),
]
More = Annotated[
    list[str] | None,
    typer.Option(
        "--to",
        help="Another recipient; may be repeated.",
        metavar="TO",
        autocompletion=completing.recipients,
    ),
]
