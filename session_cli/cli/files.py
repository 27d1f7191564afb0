"""What commands that take or save files have in common."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import AttachmentCorrupt, InvalidInput, NetworkError, ServiceRefused, UnreadableInput, UsageError

if TYPE_CHECKING:
    from ..core.client import Client
    from .context import App

NOT_TO_BE_HAD = (NetworkError, ServiceRefused, AttachmentCorrupt, InvalidInput)
"""What keeps one file from being saved, and says nothing of others."""

StripMetadata = Annotated[
    bool,
    typer.Option("--strip-metadata", help="Save JPEG, PNG and WebP images anew first, with nothing but the picture."),
]
AvatarOut = Annotated[
    str | None,
    typer.Option("--avatar-out", help="Fetch the picture into this file; - is standard output.", metavar="FILE|-"),
]
Force = Annotated[bool, typer.Option("--force", "-f", help="Replace an existing file.")]


def read_picture(file: str) -> bytes:
    """The picture of a profile or group, made from a file or (-) standard input.

    Raises UsageError, UnreadableInput, InvalidPicture.
    """
    from ..core.pictures import make_picture, read_image

    if file == "-":
        if sys.stdin.isatty():
            raise UsageError("Standard input is the terminal; pipe an image in, or name a file.")
        label = "standard input"
        return make_picture(read_image(sys.stdin.buffer, label), label)
    path = Path(file)
    try:
        with path.open("rb") as source:
            return make_picture(read_image(source, file), file)
    except OSError as error:
        raise UnreadableInput(f"Can't read {path}: {error.strerror}.") from None


def check_picture_target(context: App, target: str | None) -> None:
    """Raise UsageError if a picture can't go where it is wanted."""
    if target == "-":
        if context.json:
            raise UsageError("With --json standard output is for objects; name a file for the picture.")
        if sys.stdout.isatty():
            raise UsageError("Standard output is the terminal; redirect it, or name a file with --avatar-out.")


def write_picture(context: App, client: Client, who: str, target: str, *, force: bool) -> None:
    """Fetch the picture of a person or group into a file, or (-) to standard output."""
    if target == "-":
        sys.stdout.buffer.write(client.profiles.fetch_picture(who, progress=context.progress()))
        sys.stdout.buffer.flush()
    else:
        client.profiles.save_picture(who, Path(target), overwrite=force, progress=context.progress())
        context.note(f"The picture is in {target}.")
