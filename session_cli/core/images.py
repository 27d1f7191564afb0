"""Images on their way: how large they are, and what their files tell beside the picture."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

from ..errors import InvalidInput

if TYPE_CHECKING:
    from PIL.Image import Image

_KNOWN = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
_CLEANED = ("JPEG", "PNG", "WEBP")
_ORIENTATION = 0x0112
_SIDEWAYS = (5, 6, 7, 8)
_HEAD = 64
"""In so many bytes a WebP image says whether it was saved without loss."""
_BROKEN = (
    OSError, EOFError, ValueError, SyntaxError, TypeError, LookupError, ArithmeticError, MemoryError, struct.error,
)  # fmt: skip
"""What reading a damaged image raises."""


def image_size(file: BinaryIO) -> tuple[int, int] | None:
    """Width and height in pixels, as the image is shown; None for what is no image, or a broken or enormous one.

    Reads no more than the beginning, and leaves the file wherever that is.
    """
    from PIL.Image import DecompressionBombError

    try:
        with _opened(file, _KNOWN) as image:
            width, height = image.size
            # Of a PNG without them, Pillow would read all of it to be sure.
            has_exif = image.format != "PNG" or "exif" in image.info
            sideways = has_exif and image.getexif().get(_ORIENTATION) in _SIDEWAYS
            return (height, width) if sideways else (width, height)
    except (*_BROKEN, DecompressionBombError, Warning):
        return None


def write_without_metadata(file: BinaryIO, label: str, target: BinaryIO) -> str:
    """Write a JPEG, PNG or WebP image anew, with nothing but the picture; returns its MIME type.

    `label` stands for the file in errors. Colours are turned into sRGB, and the picture the way up that its metadata
    say. Memory use depends on the number of pixels. Raises InvalidInput for what can't be cleaned so; OSError if
    `target` can't be written.
    """
    from PIL.Image import DecompressionBombError

    written = io.BytesIO()
    lossless = b"VP8L" in file.read(_HEAD)
    try:
        file.seek(0)
        with _opened(file, _CLEANED) as image:
            if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
                raise InvalidInput(f"{label} is animated; metadata can be taken out of single pictures only.")
            kind = "JPEG" if image.format == "MPO" else str(image.format)
            _bare(image).save(written, kind, **_options(kind, lossless=lossless))
    except (*_BROKEN, DecompressionBombError, Warning):
        raise InvalidInput(
            f"{label} can't be cleaned of metadata: it is no whole JPEG, PNG or WebP image of a reasonable size."
        ) from None
    target.write(written.getbuffer())
    return f"image/{kind.lower()}"


@contextmanager
def _opened(file: BinaryIO, formats: tuple[str, ...]) -> Iterator[Image]:
    """An image; that it has too many pixels is raised as a warning or an error."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(file, formats=formats) as image:
            yield image


def _options(kind: str, *, lossless: bool) -> dict[str, Any]:
    """How to save a picture so that nothing is lost, or nothing that can be seen."""
    match kind:
        case "JPEG":
            return {"quality": 95, "subsampling": "4:4:4", "optimize": True}
        case "WEBP":
            return {"lossless": lossless, "quality": 95}
    return {"optimize": True}


def _bare(image: Image) -> Image:
    """The picture without anything that came along with it, but for the colour that is to be seen through."""
    from PIL import ImageOps

    upright = ImageOps.exif_transpose(image)
    picture = _in_srgb(upright)
    transparency = picture.info.get("transparency")
    picture.info = {} if transparency is None else {"transparency": transparency}
    return picture


def _in_srgb(image: Image) -> Image:
    """The picture in the colours that every program assumes; profiles can tell which camera or screen made them."""
    from PIL import ImageCms

    profile = image.info.get("icc_profile")
    if not profile or image.mode not in ("RGB", "RGBA", "L", "CMYK"):
        return image.copy()
    mode = "RGB" if image.mode == "CMYK" else image.mode
    try:
        source, srgb = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, source, srgb, outputMode=mode)
    except (ImageCms.PyCMSError, OSError):
        # A profile that is broken, or of another kind of picture, changes nothing in other programs, either.
        return image.copy()
    return image.copy() if converted is None else converted
