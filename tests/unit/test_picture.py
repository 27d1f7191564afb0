"""Profile pictures: the formats on the network, and what is done to a picture before it goes there."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from session_cli.core.pictures import MAX_INPUT_BYTES, MAX_SIDE, make_picture, read_image
from session_cli.errors import AttachmentCorrupt, InvalidPicture
from session_cli.protocol.picture import open_picture, seal_picture
from tests.support.streams import encrypt_stream

KEY = bytes(range(32))
SEED = bytes.fromhex("0123456789abcdef" * 4)
STREAM_PERSONAL = b"Session_Prof_Pic"


def test_the_legacy_vector() -> None:
    sealed = seal_picture(b"hello", key=KEY, nonce=bytes(range(12)))
    assert sealed.file.hex() == "000102030405060708090a0b2f67ba77aa2797ff353b8a046d28236dcd9d057bbb"
    assert open_picture(sealed.file, sealed.key, stream=False) == b"hello"


def test_the_stream_vector() -> None:
    file, key = encrypt_stream(b"hello", SEED, STREAM_PERSONAL)
    assert key.hex() == "6d7bbb6373ff70b043b4e49dc9002f1f7095ad961be65c8dd549fe1d2bd2c40f"
    assert file[:25].hex() == "532eaab6a8b192d7a42b36d31143b8ee68cfed406b356c86a4"
    assert hashlib.sha256(file).hexdigest() == "4d682d47e331d0182bb5b7f20a55a75f6c62ae2d11b405259a0fbec94650116e"
    assert open_picture(file, key, stream=True) == b"hello"


def test_the_bytes_decide_where_the_url_is_wrong() -> None:
    file, key = encrypt_stream(b"hello", SEED, STREAM_PERSONAL)
    assert open_picture(file, key, stream=False) == b"hello"
    for first in (b"\0", b"S"):
        sealed = seal_picture(b"hello", nonce=first + bytes(11))
        assert open_picture(sealed.file, sealed.key, stream=True) == b"hello"
        assert open_picture(sealed.file, sealed.key, stream=False) == b"hello"


def test_every_picture_has_a_key_and_a_nonce_of_its_own() -> None:
    first, second = seal_picture(b"hello"), seal_picture(b"hello")
    assert first.key != second.key
    assert first.file[:12] != second.file[:12]


@given(st.binary(min_size=1, max_size=2000), st.data())
def test_nothing_that_was_changed_opens(picture: bytes, data: st.DataObject) -> None:
    sealed = seal_picture(picture)
    stream_file, stream_key = encrypt_stream(picture, SEED, STREAM_PERSONAL)
    for file, key in ((sealed.file, sealed.key), (stream_file, stream_key)):
        stream = data.draw(st.booleans())
        where = data.draw(st.integers(0, len(file) - 1))
        damaged = bytearray(file)
        damaged[where] ^= data.draw(st.integers(1, 255))
        for bad, bad_key in (
            (bytes(damaged), key),
            (file[:where], key),
            (file + b"\0", key),
            (file, bytes(32)),
            (file, key[:16]),
        ):
            with pytest.raises(AttachmentCorrupt):
                open_picture(bad, bad_key, stream=stream)
        assert open_picture(file, key, stream=stream) == picture


def test_an_empty_picture_is_none() -> None:
    sealed = seal_picture(b"")
    for file, key in ((sealed.file, sealed.key), encrypt_stream(b"", SEED, STREAM_PERSONAL)):
        with pytest.raises(AttachmentCorrupt, match="empty"):
            open_picture(file, key, stream=False)


# Making pictures.


def _file(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    encoded = io.BytesIO()
    image.save(encoded, kind, **options)
    return encoded.getvalue()


def _read(picture: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(picture))
    image.load()
    assert image.format == "WEBP"
    return image


RED = Image.new("RGB", (1000, 500), (255, 0, 0))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP"])
def test_every_format_becomes_a_small_webp(kind: str) -> None:
    image = _read(make_picture(_file(RED, kind), "it"))
    assert (image.size, image.mode) == ((600, 300), "RGB")
    red, green, blue = image.getpixel((300, 150))  # type: ignore[misc]
    assert red > 240
    assert max(green, blue) < 15


@pytest.mark.parametrize(
    ("size", "made"), [((1, 1), (1, 1)), ((600, 600), (600, 600)), ((599, 10), (599, 10)), ((10, 6000), (1, 600))]
)
def test_sizes(size: tuple[int, int], made: tuple[int, int]) -> None:
    assert _read(make_picture(_file(Image.new("RGB", size)), "it")).size == made


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
def test_every_kind_of_colours(mode: str) -> None:
    light: Any = {"1": 1, "LA": (200, 255), "RGBA": (200, 200, 200, 255), "I;16": 200 << 8}.get(mode, 200)
    image = Image.new("L", (40, 40), 200).convert("P") if mode == "P" else Image.new(mode, (40, 40), light)
    brightness = _read(make_picture(_file(image), "it")).convert("L").getpixel((20, 20))
    assert brightness == pytest.approx(255 if mode == "1" else 200, abs=4)


def test_what_is_transparent_stays_so_and_hides_nothing() -> None:
    hidden = Image.new("RGBA", (64, 64), (255, 0, 0, 0))
    image = _read(make_picture(_file(hidden), "it"))
    assert image.getpixel((10, 10)) == (0, 0, 0, 0)


def test_no_metadata_is_left() -> None:
    exif = Image.Exif()
    exif[0x010F] = "ACME CAMERA"
    exif[0x8825] = {1: "N", 2: (48.0, 8.0, 14.0)}
    original = _file(RED, "JPEG", exif=exif, comment=b"SECRET PLACE", icc_profile=b"PROFILE OF MINE" * 20)
    assert all(word in original for word in (b"ACME", b"SECRET", b"PROFILE"))
    text = PngInfo()
    text.add_text("Author", "SECRET ALICE")
    for data in (original, _file(RED, "PNG", pnginfo=text, exif=exif), _file(RED, "WEBP", exif=exif, xmp=b"SECRET")):
        picture = make_picture(data, "it")
        assert not any(word in picture for word in (b"ACME", b"SECRET", b"PROFILE", b"EXIF", b"ICCP", b"XMP"))
        assert not _read(picture).getexif()


def test_pictures_are_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    image = Image.new("RGB", (200, 100), "white")
    image.paste((255, 0, 0), (0, 0, 100, 100))
    turned = _read(make_picture(_file(image, "JPEG", exif=exif), "it"))
    assert turned.size == (100, 200)
    red, green, blue = turned.getpixel((50, 20))  # type: ignore[misc]
    assert (red > 200, green < 60, blue < 60) == (True, True, True)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame(kind: str) -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    image = _read(make_picture(_file(frames[0], kind, save_all=True, append_images=frames[1:]), "it"))
    assert getattr(image, "n_frames", 1) == 1
    assert image.getpixel((10, 10))[0] > 240  # type: ignore[index]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"no image", "can't be read"),
        (_file(RED)[:-200], "can't be read"),
        (_file(RED, "JPEG")[:300], "can't be read"),
        (_file(RED, "BMP"), "can't be read"),
        (b"GIF89a" + bytes(60), "can't be read"),
        (_file(Image.new("1", (9000, 9000))), "64 million"),
        (_file(Image.new("1", (30_000, 30_000))), "64 million"),
    ],
    ids=["text", "cut PNG", "cut JPEG", "BMP", "empty GIF", "large", "bomb"],
)
def test_files_that_are_refused(data: bytes, why: str) -> None:
    with pytest.raises(InvalidPicture, match=rf"^it .*{why}"):
        make_picture(data, "it")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP"])
@given(st.data())
def test_broken_images_are_refused_or_read(kind: str, data: st.DataObject) -> None:
    whole = bytearray(_file(Image.radial_gradient("L").resize((40, 40)), kind))
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        picture = make_picture(bytes(whole[: data.draw(st.integers(1, len(whole)))]), "it")
    except InvalidPicture:
        return
    assert max(_read(picture).size) <= MAX_SIDE


def test_how_much_is_read() -> None:
    with pytest.raises(InvalidPicture, match="10,000,000"):
        read_image(io.BytesIO(bytes(MAX_INPUT_BYTES + 1)), "it")
    assert len(read_image(io.BytesIO(bytes(MAX_INPUT_BYTES)), "it")) == MAX_INPUT_BYTES
    with pytest.raises(InvalidPicture, match="empty"):
        read_image(io.BytesIO(), "it")
