"""Voice messages, from one person to another and to their other devices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from session_cli.devnet.network import Devnet
from tests.support.devnet import Person
from tests.support.outcomes import check_json_refusal, check_refusal, temporary_files
from tests.support.recordings import VOICE, mp3, pretend_converter, wav
from tests.support.strangers import Stranger, upload

People = Callable[[str], Person]


def voice_of(message: dict[str, Any]) -> dict[str, Any]:
    """The recording of a voice message, which has nothing else."""
    assert message["body"] == ""
    (file,) = message["attachments"]
    assert file["voice"] is True
    found: dict[str, Any] = file
    return found


@pytest.mark.parametrize(
    ("name", "content_type", "shown"),
    [("android.mp4", "audio/mp4", "Session-VoiceMessage_"), ("bare.mp3", "audio/mp3", "session-audio-message")],
)
def test_a_voice_message_goes_as_an_app_sends_it(
    name: str, content_type: str, shown: str, person: People, tmp_path: Path
) -> None:
    """Under the name and type of an app, whatever the file is called; all devices see how long it is, once they may."""
    alice, bob = person("Alice"), person("Bob")
    laptop = alice.second_device()
    file = tmp_path / "Recording of a secret meeting.bin"
    file.write_bytes((VOICE / name).read_bytes())
    (sent,) = alice.run("send", bob.id, "--voice", str(file), "--json").objects
    assert voice_of(sent)["duration"] == pytest.approx(1, abs=0.1)
    (message,) = bob.receive()
    found = voice_of(message)
    assert found["content_type"] == content_type
    assert found["name"].startswith(shown)
    assert found["size"] == file.stat().st_size
    assert found["duration"] is None, "only the file tells"
    for who in (bob, laptop):
        (message,) = [message] if who is bob else who.receive()
        place = tmp_path / who.home.name / "saved"
        who.run("attach", "save", str(message["id"]), "-o", str(place))
        assert place.read_bytes() == file.read_bytes()
        (listed,) = who.run("attach", "list", "--json").objects
        assert voice_of(listed)["duration"] == voice_of(sent)["duration"]
        assert "voice message, 0:01, " in who.run("attach", "list").text


def test_from_a_pipe_and_as_an_answer(person: People) -> None:
    alice, bob = person("Alice"), person("Bob")
    alice.run("send", bob.id, "call me?")
    (question,) = bob.receive()
    bob.run("send", alice.id, "--quote", str(question["id"]), "--voice", "-", stdin=mp3(2))
    (message,) = alice.receive("--type", "message")
    assert message["quote"]["excerpt"] == "call me?"
    assert voice_of(message)["size"] == len(mp3(2))
    assert alice.run("attach", "save", str(message["id"]), "-o", "-").stdout == mp3(2)


def test_to_several_people(person: People) -> None:
    alice, bob, carol = person("Alice"), person("Bob"), person("Carol")
    alice.run("send", bob.id, "--to", carol.id, "--voice", str(VOICE / "bare.mp3"))
    for who in (bob, carol):
        (message,) = who.receive()
        voice_of(message)


def test_converting(person: People, tmp_path: Path) -> None:
    alice, bob = person("Alice"), person("Bob")
    file = tmp_path / "a.wav"
    file.write_bytes(wav(1))
    path = pretend_converter(tmp_path / "bin", tmp_path / "arguments")
    able = replace(alice, extra={"PATH": str(path), "SESSION_PASSPHRASE": ""})
    check_refusal(able.try_run("send", bob.id, "--voice", str(file)), 65, "a.wav", "--convert")
    able.run("send", bob.id, "--voice", str(file), "--convert")
    able.run("send", bob.id, "--voice", "-", "--convert", stdin=wav(1))
    assert temporary_files(alice.home) == []
    messages = bob.receive()
    assert [voice_of(message)["content_type"] for message in messages] == ["audio/mp4"] * 2
    saved = bob.run("attach", "save", str(messages[0]["id"]), "-o", "-").stdout
    assert saved == (VOICE / "android.mp4").read_bytes()


def test_converting_without_the_program(person: People, tmp_path: Path) -> None:
    alice = person("Alice")
    file = tmp_path / "a.wav"
    file.write_bytes(wav(1))
    unable = replace(alice, extra={"PATH": str(tmp_path)})
    done = unable.try_run("send", "me", "--voice", str(file), "--convert", "--json")
    check_json_refusal(done, 69, "program_missing")
    assert "ffmpeg" in done.stderr
    path = pretend_converter(tmp_path / "bin", tmp_path / "arguments")
    file.write_bytes(b"text")
    able = replace(alice, extra={"PATH": str(path)})
    refused = able.try_run("send", "me", "--voice", str(file), "--convert")
    check_refusal(refused, 65, "Invalid data found")
    assert "\x1b" not in refused.stderr
    assert temporary_files(alice.home) == []
    assert alice.run("log", "--json").objects == []


def test_what_is_no_voice_message(person: People, tmp_path: Path) -> None:
    """Whatever it is called. Nothing is sent, and nothing is left in the history."""
    alice, bob = person("Alice"), person("Bob")
    send = ("send", bob.id, "--voice")
    for name in ("opus.ogg", "adts.aac", "alac.m4a"):
        (tmp_path / "a.mp3").write_bytes((VOICE / name).read_bytes())
        check_refusal(alice.try_run(*send, str(tmp_path / "a.mp3")), 65, "a.mp3", "--convert")
    (tmp_path / "a.mp3").write_bytes(mp3(301))
    check_refusal(alice.try_run(*send, str(tmp_path / "a.mp3")), 65, "5 minutes")
    (tmp_path / "a.mp3").write_bytes(b"")
    assert alice.try_run(*send, str(tmp_path / "a.mp3")).code == 65
    check_refusal(alice.try_run(*send, str(tmp_path / "none.mp3")), 66, "none.mp3")
    check_refusal(alice.try_run(*send, str(tmp_path)), 66)
    assert alice.run("log", "--json").objects == []


def test_a_voice_message_goes_alone(person: People, tmp_path: Path) -> None:
    alice, file = person("Alice"), str(VOICE / "bare.mp3")
    for more in (("text",), ("--attach", file), ("--split",), ("-",), ("--lines",)):
        check_refusal(alice.try_run("send", "me", "--voice", file, *more), 2, "--voice")
    check_refusal(alice.try_run("send", "me", "text", "--convert"), 2, "--voice")


def test_voice_messages_of_older_apps(
    person: People, shared_net: Devnet, shared_definition: Path, tmp_path: Path
) -> None:
    """In any format; how long they are is known where the format tells, and a lie about it breaks nothing."""
    alice, stranger = person("Alice"), Stranger(shared_net)
    files = [
        ("audio/ogg", (VOICE / "opus.ogg").read_bytes(), 1.0),
        ("audio/aac", (VOICE / "adts.aac").read_bytes(), None),
        ("audio/wav", wav(2), 2.0),
        ("audio/mp3", b"\xff\xfb" + b"\xff\xe0" * 50_000, None),
        ("image/png", b"not even sound", None),
    ]
    for content_type, data, _ in files:
        pointer = upload(shared_definition, tmp_path / "cache", data)
        stranger.say(alice.id, files=[replace(pointer, content_type=content_type, voice=True, file_name=None)])
    messages = alice.receive()
    for message, (_, data, duration) in zip(messages, files, strict=True):
        assert voice_of(message)["name"] is None
        place = tmp_path / str(message["id"])
        alice.run("attach", "save", str(message["id"]), "-o", str(place))
        assert place.read_bytes() == data
        found = next(one for one in alice.run("attach", "list", "--json").objects if one["id"] == message["id"])
        expected = None if duration is None else pytest.approx(duration, abs=0.05)
        assert voice_of(found)["duration"] == expected
