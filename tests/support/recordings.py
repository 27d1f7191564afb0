"""Sound, and programs that pretend to work on it."""

from __future__ import annotations

import io
import sys
import wave
from pathlib import Path

VOICE = Path(__file__).parent.parent / "vectors" / "voice"
"""A second of a tone in many formats."""
_MP3_FRAME = bytes.fromhex("fffb10c4") + bytes(100)
_FRAMES_A_SECOND = 44_100 / 1152


def mp3(seconds: float) -> bytes:
    """Silence as MP3, 32 kbit/s, without a header that says how long it is."""
    return _MP3_FRAME * round(seconds * _FRAMES_A_SECOND)


def wav(seconds: float) -> bytes:
    """Silence as WAV."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(1)
        sound.setframerate(8000)
        sound.writeframes(b"\x80" * round(seconds * 8000))
    return file.getvalue()


_CONVERTER = """#!{python}
import os, sys
assert not any(name.startswith("SESSION_") for name in os.environ), os.environ
source = sys.argv[sys.argv.index("-i") + 1]
with open(source.removeprefix("file:"), "rb") as file:
    data = file.read()
if not data.startswith(b"RIFF"):
    sys.exit("\\x1b[31mInvalid data found when processing input")
with open(sys.argv[-1].removeprefix("file:"), "wb") as file:
    file.write(open({result!r}, "rb").read())
open({log!r}, "w").write("\\n".join(sys.argv))
"""


def pretend_converter(folder: Path, log: Path) -> Path:
    """A program of the name ffmpeg in a folder, for PATH: it takes WAV, and writes its arguments to `log`."""
    folder.mkdir()
    program = folder / "ffmpeg"
    program.write_text(_CONVERTER.format(python=sys.executable, result=str(VOICE / "android.mp4"), log=str(log)))
    program.chmod(0o755)
    return folder
