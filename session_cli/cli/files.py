"""What commands that take or save files have in common."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ..errors import AttachmentCorrupt, InvalidInput, NetworkError, ServiceRefused, UnreadableInput, UsageError

NOT_TO_BE_HAD = (NetworkError, ServiceRefused, AttachmentCorrupt, InvalidInput)
"""What keeps one file from being saved, and says nothing of others."""

StripMetadata = Annotated[
    bool,
    typer.Option("--strip-metadata", help="Save JPEG, PNG and WebP images anew first, with nothing but the picture."),
]


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
