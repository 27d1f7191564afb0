"""From an image file to a profile picture: made small, and nothing left in it but what is to be seen.

An image can tell where and with what it was taken. It is taken apart to bare pixels, and put together anew.
"""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, BinaryIO

from ..errors import InvalidPicture, UnreadableInput

if TYPE_CHECKING:
    from PIL import Image

MAX_INPUT_BYTES = 10_000_000
MAX_PIXELS = 64_000_000
"""Of the image as it is given: more than cameras of today have, and what a small machine can hold."""
MAX_SIDE = 600
"""Pixels of a picture, as in the official apps."""
FORMATS = ("JPEG", "PNG", "GIF", "WEBP")
_QUALITY = 85


def read_image(source: BinaryIO, label: str) -> bytes:
    """All of an image file, which `label` stands for in errors. Raises InvalidPicture, UnreadableInput."""
    try:
        data = source.read(MAX_INPUT_BYTES + 1)
    except OSError as error:
        raise UnreadableInput(f"Can't read {label}: {error.strerror}.") from None
    if not data:
        raise InvalidPicture(f"{label} is empty.")
    if len(data) > MAX_INPUT_BYTES:
        raise InvalidPicture(f"{label} is too large: a picture's file may have up to {MAX_INPUT_BYTES:,} bytes.")
    return data


def make_picture(data: bytes, label: str) -> bytes:
    """A profile picture (WebP) of an image file's bytes: upright, at most 600 pixels high and wide, without metadata.

    Of an animation it is the first frame. Raises InvalidPicture for what is no image of a known format, is broken, or
    has too many pixels.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            # What is too large by its own words is refused below, before it is decoded.
            warnings.simplefilter("ignore")
            image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
            if image.width * image.height > MAX_PIXELS:
                raise _too_large(label)
            pixels = _pixels(image)
    except InvalidPicture:
        raise
    except Image.DecompressionBombError:
        raise _too_large(label) from None
    except Exception:  # noqa: BLE001 - broken files make the decoders raise almost anything
        raise InvalidPicture(
            f"{label} can't be read as an image; give a JPEG, PNG, GIF or WebP file that is whole."
        ) from None
    encoded = io.BytesIO()
    pixels.save(encoded, "WEBP", quality=_QUALITY)
    return encoded.getvalue()


def _too_large(label: str) -> InvalidPicture:
    return InvalidPicture(f"{label} has more than {MAX_PIXELS // 1_000_000} million pixels; make it smaller first.")


def _pixels(image: Image.Image) -> Image.Image:
    """What is to be seen of an image, in the right size and the right way up, and nothing else."""
    from PIL import Image, ImageOps

    if image.mode.startswith("I;16"):
        # Otherwise all that is brighter than a 256th of white would become white.
        image = image.point(lambda value: value * (1 / 256)).convert("L")
    if image.mode in ("1", "P"):
        # Between the colours of a palette there are none to shrink to.
        image = _in_colours(image)
    image.thumbnail((MAX_SIDE, MAX_SIDE))
    image = _in_colours(ImageOps.exif_transpose(image))
    if image.mode == "RGBA":
        # Where it is quite transparent, there may be a picture all the same.
        seen = image.getchannel("A").point(lambda alpha: 255 * (alpha > 0))
        image = Image.composite(image, Image.new("RGBA", image.size), seen)
    return Image.frombytes(image.mode, image.size, image.tobytes())


def _in_colours(image: Image.Image) -> Image.Image:
    return image.convert("RGBA" if image.has_transparency_data else "RGB")
