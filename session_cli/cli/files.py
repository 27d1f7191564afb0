"""What commands that move files have in common."""

from __future__ import annotations

from typing import Annotated

import typer

from ..errors import AttachmentCorrupt, InvalidInput, NetworkError, ServiceRefused

NOT_TO_BE_HAD = (NetworkError, ServiceRefused, AttachmentCorrupt, InvalidInput)
"""What keeps one file from being saved, and says nothing of others."""

StripMetadata = Annotated[
    bool,
    typer.Option("--strip-metadata", help="Save JPEG, PNG and WebP images anew first, with nothing but the picture."),
]
