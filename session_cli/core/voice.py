"""Voice messages: what the apps play as one, how long it is, and making one from any recording."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from .. import signals
from ..errors import InvalidInput, ProgramMissing
from .attachments import OutgoingFile, open_file
from .spool import read_chunks, spool_file, spooled

MOST_S = 300
"""No app records for longer."""
MP3 = "audio/mp3"
MP4 = "audio/mp4"
"""As the apps call them: Desktop records one, the others the other, and all play both."""
_CONVERTER = "ffmpeg"
_LARGEST_SOURCE = 1_000_000_000
_MOST_READS = 200_000
_LONGEST_READ = 1 << 20
_HEAD = 4096


@dataclass(frozen=True, slots=True)
class Recording:
    """What a file is that can go as a voice message."""

    content_type: str
    duration_ms: int

    def file_name(self, now_s: float) -> str:
        """A name as the app that records this kind gives it. The time in it is UTC: it tells nobody where we are."""
        if self.content_type == MP3:
            return "session-audio-message"
        return time.strftime("Session-VoiceMessage_%Y-%m-%d-%H%M%S.mp4", time.gmtime(now_s))


def open_voice(path: Path | BinaryIO, folder: Path, *, convert: bool, environ: Mapping[str, str]) -> OutgoingFile:
    """A recording as a voice message, ready to be sent; `folder` is for temporary files.

    With `convert`, what is in another format is turned into AAC by ffmpeg, if that is there.
    Raises UnreadableInput, InvalidInput, ProgramMissing, StoreUnwritable, EmptyMessage, AttachmentTooLarge.
    """
    opened = open_file(path) if isinstance(path, Path) else OutgoingFile(path, "standard input", None)
    source, label = opened.source, opened.label
    with ExitStack() as unused:
        unused.callback(source.close)
        if opened.size is None:
            source = spooled(source, label, folder, _LARGEST_SOURCE)
            unused.callback(source.close)
        recording = recognise(source)
        if recording is None and convert:
            source = _converted(source, label, folder, environ)
            unused.callback(source.close)
            recording = recognise(source)
        if recording is None:
            raise InvalidInput(
                f"{label} is no MP3 and no AAC in MP4, which all apps play as a voice message; --convert makes it one."
            )
        if recording.duration_ms > MOST_S * 1000:
            raise InvalidInput(f"{label} is too long: a voice message lasts for {MOST_S // 60} minutes at the most.")
        if source is not opened.source:
            opened.source.close()
        unused.pop_all()
    size = source.seek(0, os.SEEK_END)
    source.seek(0)
    return OutgoingFile(
        source,
        label,
        recording.file_name(time.time()),
        recording.content_type,
        size,
        voice=True,
        duration_ms=recording.duration_ms,
    )


def recognise(file: BinaryIO) -> Recording | None:
    """What kind of voice message a file is, by its contents; None if it can't be one. Leaves the file at its start."""
    kind, duration_ms = _look_into(file)
    if duration_ms is None:
        return None
    if kind == "audio/mpeg" and _begins_as_mp3(file):
        return Recording(MP3, duration_ms)
    if kind.startswith('audio/mp4; codecs="mp4a.40.'):
        return Recording(MP4, duration_ms)
    return None


def duration_of(file: BinaryIO) -> int | None:
    """How long any recording is, in ms; None if that can't be known. Leaves the file at its start."""
    kind, duration_ms = _look_into(file)
    # What looks like MPEG audio and is none of it has no length that means anything.
    return duration_ms if kind != "audio/mpeg" or _begins_as_mp3(file) else None


def _look_into(file: BinaryIO) -> tuple[str, int | None]:
    """The MIME type with its codec ("" if unknown), and the length in ms (None if unknown)."""
    from tinytag import TinyTag, TinyTagException

    file.seek(0)
    try:
        found = TinyTag.get(file_obj=cast("BinaryIO", _Careful(file)), tags=False)
    except (TinyTagException, OSError, ValueError):
        return "", None
    finally:
        file.seek(0)
    seconds = found.duration or 0
    return found.mime_type or "", round(seconds * 1000) if 0.001 <= seconds < 1e6 else None


def _begins_as_mp3(file: BinaryIO) -> bool:
    """Whether behind a tag, if there is one, stands a frame of MPEG audio layer III. Leaves the file at its start."""
    head = file.read(10)
    tag = 0
    if head[:3] == b"ID3" and len(head) == 10:
        first, second, third, fourth = (byte & 0x7F for byte in head[6:])
        tag = 10 + (first << 21 | second << 14 | third << 7 | fourth)
    file.seek(tag)
    frame = file.read(_HEAD).lstrip(b"\0")
    file.seek(0)
    return len(frame) >= 2 and frame[0] == 0xFF and frame[1] & 0xE6 == 0xE2


class _Careful:
    """A file for a reader who believes what is in it: neither endless reading nor enormous pieces."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._reads = 0
        self.seek = file.seek
        self.tell = file.tell

    def read(self, size: int = -1) -> bytes:
        self._reads += 1
        if self._reads > _MOST_READS:
            raise ValueError("a recording takes too long to look into")
        return self._file.read(_LONGEST_READ if not 0 <= size <= _LONGEST_READ else size)


def _converted(source: BinaryIO, label: str, folder: Path, environ: Mapping[str, str]) -> BinaryIO:
    """The recording as AAC in MP4: mono, 44.1 kHz, 32 kbit/s, as Android records it, in a file without a name.

    ffmpeg is given open files, not their names, and nothing of our environment that may be secret.
    """
    if not Path("/dev/fd").is_dir():
        raise ProgramMissing("--convert does not work on this system, which lacks /dev/fd; convert the file before.")
    os.lseek(source.fileno(), 0, os.SEEK_SET)  # on some systems the program goes on where we have read to
    target = spool_file(folder)
    try:
        command = [
            *(_CONVERTER, "-nostdin", "-hide_banner", "-loglevel", "error"),
            *("-protocol_whitelist", "file", "-i", _path_of(source)),
            *("-map", "0:a:0", "-map_metadata", "-1", "-map_chapters", "-1", "-fflags", "+bitexact"),
            *("-t", str(MOST_S + 1), "-ac", "1", "-ar", "44100", "-c:a", "aac", "-b:a", "32k", "-flags:a", "+bitexact"),
            *("-f", "mp4", "-y", _path_of(target)),
        ]
        kept = {name: value for name, value in environ.items() if not name.startswith("SESSION_")}
        code, complaint = _run(command, (source.fileno(), target.fileno()), kept)
        if code:
            reason = f" It says: {complaint}" if complaint else ""
            raise InvalidInput(f"{_CONVERTER} can't make a voice message of {label}.{reason}")
    except BaseException:
        target.close()
        raise
    return target


def _run(command: list[str], descriptors: tuple[int, ...], environ: Mapping[str, str]) -> tuple[int, str]:
    """Run a program to its end; it ends with this process, too. Returns its exit code and the last of its words."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=descriptors,
            env=dict(environ),
        )
    except FileNotFoundError:
        raise ProgramMissing(f"--convert needs {command[0]}, which is not installed.") from None
    except OSError as error:
        raise ProgramMissing(f"Can't run {command[0]}: {error.strerror}.") from None
    with signals.undo_when_killed(process.kill), process:
        words = b""
        if process.stderr is not None:
            for chunk in read_chunks(process.stderr):  # type: ignore[arg-type]
                words = (words + chunk)[-_HEAD:]
    lines = words.decode(errors="replace").strip().splitlines()
    return process.returncode, lines[-1] if lines else ""


def _path_of(file: BinaryIO) -> str:
    """An open file as a path, for a program that has inherited it."""
    return f"file:/dev/fd/{file.fileno()}"
