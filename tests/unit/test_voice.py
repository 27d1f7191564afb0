"""What is recognised as a voice message, and how long it is."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
from pathlib import Path
from typing import BinaryIO, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_cli.core.voice import MP3, MP4, Recording, duration_of, open_voice, recognise
from session_cli.errors import EmptyMessage, InvalidInput, ProgramMissing, UnreadableInput
from tests.support.recordings import VOICE, mp3, pretend_converter, wav


@pytest.mark.parametrize(
    ("name", "kind"),
    [("android.mp4", MP4), ("tagged.mp3", MP3), ("bare.mp3", MP3)],
)
def test_what_the_apps_record(name: str, kind: str) -> None:
    with (VOICE / name).open("rb") as file:
        found = recognise(file)
        assert found is not None
        assert found.content_type == kind
        assert 950 <= found.duration_ms <= 1150
        assert file.tell() == 0


@pytest.mark.parametrize("name", ["opus.ogg", "adts.aac", "alac.m4a", "fragments.mp4", "layer2.mp2"])
def test_what_not_every_app_plays(name: str) -> None:
    with (VOICE / name).open("rb") as file:
        assert recognise(file) is None


def test_what_is_no_sound() -> None:
    for data in (b"", b"x", b"\xff", b"\xff\xfb", b"ID3", b"ID3\x04\0\0\x7f\x7f\x7f\x7f", wav(1), b"text " * 1000):
        assert recognise(io.BytesIO(data)) is None


def test_how_long_other_recordings_are() -> None:
    assert duration_of(io.BytesIO(wav(2.5))) == 2500
    with (VOICE / "opus.ogg").open("rb") as file:
        assert duration_of(file) == pytest.approx(1000, abs=30)
    with (VOICE / "adts.aac").open("rb") as file:
        assert duration_of(file) is None
    assert duration_of(io.BytesIO(b"text")) is None


@given(st.sampled_from(sorted(path.name for path in VOICE.iterdir())), st.data())
def test_damaged_recordings_break_nothing(name: str, data: st.DataObject) -> None:
    whole = bytearray((VOICE / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    recognise(io.BytesIO(damaged))
    duration_of(io.BytesIO(damaged))


def test_enormous_promises_take_no_memory() -> None:
    box = (2**63).to_bytes(8, "big")
    assert duration_of(io.BytesIO(b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + b"\0\0\0\x01moov" + box)) is None
    assert duration_of(io.BytesIO(b"\xff\xfb" + b"\xff\xe0\0\0" * 500_000)) is None


def test_names_are_those_of_the_apps() -> None:
    assert Recording(MP4, 1000).file_name(1_700_000_000) == "Session-VoiceMessage_2023-11-14-221320.mp4"
    assert Recording(MP3, 1000).file_name(1_700_000_000) == "session-audio-message"


def test_limits_of_length(tmp_path: Path) -> None:
    file = tmp_path / "long.mp3"
    file.write_bytes(mp3(299))
    with open_voice(file, tmp_path / "spool", convert=False, environ={}).source:
        pass
    file.write_bytes(mp3(301))
    with pytest.raises(InvalidInput, match="5 minutes"):
        open_voice(file, tmp_path / "spool", convert=False, environ={})


def test_a_stream_is_looked_into(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, mp3(2))
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        voice = open_voice(pipe, tmp_path / "spool", convert=False, environ={})
    with voice.source:
        assert (voice.voice, voice.size) == (True, len(mp3(2)))
        assert voice.duration_ms == pytest.approx(2000, abs=50)
        assert voice.source.read() == mp3(2)
    assert list((tmp_path / "spool").iterdir()) == []


def test_an_empty_stream(tmp_path: Path) -> None:
    with pytest.raises(EmptyMessage), Path(os.devnull).open("rb") as nothing:
        open_voice(nothing, tmp_path / "spool", convert=True, environ={})


def test_what_can_not_be_read(tmp_path: Path) -> None:
    with pytest.raises(UnreadableInput):
        open_voice(tmp_path / "none.mp3", tmp_path / "spool", convert=False, environ={})
    with pytest.raises(UnreadableInput):
        open_voice(tmp_path, tmp_path / "spool", convert=False, environ={})


def test_converting(tmp_path: Path) -> None:
    """The program is told neither the name of the file nor anything secret in the environment."""
    log = tmp_path / "arguments"
    path = str(pretend_converter(tmp_path / "bin", log))
    file = tmp_path / "a secret name.mp3"
    file.write_bytes(wav(1))
    environ = {"PATH": path, "SESSION_PASSPHRASE": "secret"}
    voice = open_voice(file, tmp_path / "spool", convert=True, environ=environ)
    with voice.source:
        assert voice.source.read() == (VOICE / "android.mp4").read_bytes()
    assert (voice.content_type, voice.duration_ms) == (MP4, 1000)
    assert "secret" not in log.read_text()
    assert list((tmp_path / "spool").iterdir()) == []


def test_converting_a_stream(tmp_path: Path) -> None:
    """The program can read it from its beginning, although it was looked into before."""
    path = str(pretend_converter(tmp_path / "bin", tmp_path / "arguments"))
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as cat:
        assert cat.stdin is not None
        assert cat.stdout is not None
        cat.stdin.write(wav(1))
        cat.stdin.close()
        voice = open_voice(cast("BinaryIO", cat.stdout), tmp_path / "spool", convert=True, environ={"PATH": path})
    with voice.source:
        assert voice.duration_ms == 1000


def test_what_needs_no_converting_is_left_as_it_is(tmp_path: Path) -> None:
    voice = open_voice(VOICE / "bare.mp3", tmp_path / "spool", convert=True, environ={})
    with voice.source:
        assert voice.source.read() == (VOICE / "bare.mp3").read_bytes()


def test_converting_fails(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("text")
    path = pretend_converter(tmp_path / "bin", tmp_path / "arguments")

    def convert(path: Path) -> None:
        open_voice(file, tmp_path / "spool", convert=True, environ={"PATH": str(path)})

    with pytest.raises(ProgramMissing, match="not installed"):
        convert(tmp_path / "none")
    with pytest.raises(InvalidInput, match="Invalid data found"):
        convert(path)
    (path / "ffmpeg").write_text("#!/bin/sh\nexit 0\n")
    with pytest.raises(InvalidInput, match="no MP3"):
        convert(path)
    (path / "ffmpeg").write_text("not a program")
    with pytest.raises(ProgramMissing, match="Exec format error"):
        convert(path)
    assert list((tmp_path / "spool").iterdir()) == []


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
@pytest.mark.parametrize("name", ["opus.ogg", "adts.aac", "alac.m4a", "fragments.mp4", "layer2.mp2"])
def test_converting_for_real(name: str, tmp_path: Path) -> None:
    voice = open_voice(VOICE / name, tmp_path / "spool", convert=True, environ=os.environ)
    with voice.source:
        assert voice.content_type == MP4
        assert voice.duration_ms == pytest.approx(1000, abs=150)
        assert b"Lav" not in voice.source.read(), "nothing says what made it"
    too_long = tmp_path / "long.wav"
    too_long.write_bytes(wav(302))
    with pytest.raises(InvalidInput, match="5 minutes"):
        open_voice(too_long, tmp_path / "spool", convert=True, environ=os.environ)
