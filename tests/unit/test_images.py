"""How large images are, and what is left of them without metadata."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin

from session_cli.core.images import image_size, write_without_metadata
from session_cli.errors import InvalidInput

SECRET = b"SecretPlace"
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
CLEANED = ("JPEG", "PNG", "WEBP")


def image(kind: str, *, mode: str = "RGB", size: tuple[int, int] = (40, 30), **options: Any) -> bytes:
    """An image file, red on its left half and blue on its right."""
    picture = Image.new("RGB", size, "red")
    picture.paste("blue", (size[0] // 2, 0, *size))
    file = io.BytesIO()
    picture.convert(mode).save(file, kind, **options)
    return file.getvalue()


def telltale(kind: str, *, orientation: int = 1) -> bytes:
    """An image that says where it was taken, in all places that its format has."""
    exif = Image.Exif()
    exif[0x010F] = SECRET.decode()
    exif[0x0112] = orientation
    options: dict[str, Any] = {"exif": exif, "xmp": b"<x:xmpmeta>" + SECRET + b"</x:xmpmeta>"}
    if kind == "JPEG":
        options["comment"] = SECRET
    if kind == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_text("Comment", SECRET.decode())
        text.add_itxt("XML:com.adobe.xmp", SECRET.decode())
        options = {"exif": exif, "pnginfo": text}
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return image(kind, icc_profile=profile, **options)


def cleaned(data: bytes) -> tuple[str, bytes]:
    """The MIME type and the file without metadata."""
    target = io.BytesIO()
    kind = write_without_metadata(io.BytesIO(data), "a.jpg", target)
    return kind, target.getvalue()


@pytest.mark.parametrize("kind", FORMATS)
def test_sizes(kind: str) -> None:
    assert image_size(io.BytesIO(image(kind))) == (40, 30)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_on_its_side_counts_as_it_is_shown(orientation: int) -> None:
    expected = (40, 30) if orientation < 5 else (30, 40)
    assert image_size(io.BytesIO(telltale("JPEG", orientation=orientation))) == expected


def test_the_beginning_is_enough() -> None:
    for kind in ("JPEG", "PNG", "GIF", "BMP"):
        data = image(kind, size=(400, 300))
        assert image_size(io.BytesIO(data[:700])) == (400, 300), kind


def enormous_png() -> bytes:
    """A file of a few bytes that would be of gigabytes when decoded."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


@pytest.mark.parametrize("data", [b"", b"text", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"%PDF-1.7", enormous_png()])
def test_what_is_no_image(data: bytes) -> None:
    assert image_size(io.BytesIO(data)) is None
    with pytest.raises(InvalidInput, match=r"a\.jpg can't be cleaned"):
        cleaned(data)


@given(st.sampled_from(FORMATS), st.data())
def test_damaged_images_break_nothing(kind: str, data: st.DataObject) -> None:
    whole = bytearray(image(kind))
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    image_size(io.BytesIO(damaged))
    with contextlib.suppress(InvalidInput):
        cleaned(damaged)


@pytest.mark.parametrize("kind", CLEANED)
def test_nothing_but_the_picture_is_left(kind: str) -> None:
    before = telltale(kind)
    assert SECRET in before or kind == "PNG"
    content_type, after = cleaned(before)
    assert content_type == f"image/{kind.lower()}"
    assert SECRET not in after
    assert b"ICC" not in after
    with Image.open(io.BytesIO(after)) as picture:
        assert picture.format == kind
        assert not picture.getexif()
        assert not {"comment", "xmp", "icc_profile", "exif", "XML:com.adobe.xmp", "Comment"} & set(picture.info)
        red, blue = picture.convert("RGB").getpixel((5, 15)), picture.convert("RGB").getpixel((35, 15))
    assert isinstance(red, tuple)
    assert isinstance(blue, tuple)
    assert min(red[0], blue[2]) > 200
    assert max(red[2], blue[0]) < 60


@pytest.mark.parametrize("kind", CLEANED)
def test_the_picture_stays_the_way_up_that_it_was_shown(kind: str) -> None:
    _, after = cleaned(telltale(kind, orientation=6))
    assert image_size(io.BytesIO(after)) == (30, 40)


def test_other_colours_look_the_same() -> None:
    """Whatever profile or mode a picture has."""
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert cleaned(image("JPEG", icc_profile=lab))[0] == "image/jpeg", "one that does not fit is ignored"
    assert cleaned(image("JPEG", icc_profile=b"nonsense"))[0] == "image/jpeg"
    assert cleaned(image("JPEG", mode="CMYK"))[0] == "image/jpeg"
    assert cleaned(image("JPEG", mode="L"))[0] == "image/jpeg"


def test_transparency_and_palettes_stay() -> None:
    picture = Image.new("P", (4, 4), 1)
    picture.putpalette([0, 0, 0, 255, 0, 0])
    file = io.BytesIO()
    picture.save(file, "PNG", transparency=1)
    _, after = cleaned(file.getvalue())
    with Image.open(io.BytesIO(after)) as again:
        assert again.convert("RGBA").getpixel((0, 0)) == (255, 0, 0, 0)
    _, after = cleaned(image("WEBP", mode="RGBA", lossless=True))
    with Image.open(io.BytesIO(after)) as again:
        assert again.convert("RGB").getpixel((0, 0)) == (255, 0, 0)


def test_what_is_animated_is_refused() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    for kind in ("PNG", "WEBP"):
        file = io.BytesIO()
        frames[0].save(file, kind, save_all=True, append_images=frames[1:])
        with pytest.raises(InvalidInput, match="animated"):
            cleaned(file.getvalue())
    with pytest.raises(InvalidInput, match="no whole"):
        cleaned(image("GIF"))
