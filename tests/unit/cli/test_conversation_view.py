"""A conversation with everything in it, as a terminal of 80 columns shows it."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

import pytest

from session_cli.cli.output import Painter, event_text, message_text
from session_cli.cli.text import cell_width
from session_cli.core.model import Attachment, Event, Message, Party, Quote, Reactions

ALICE = Party("05" + "a1" * 32, "Alice")
ME = Party("05" + "b0" * 32, "Bob", "self")
START_MS = 1_795_600_800_000
HOSTILE = "\u202eevil \x1b[2J\x07 text\r\noverwritten \u2066"


@pytest.fixture(autouse=True)
def in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.localtime", __import__("time").gmtime)
    monkeypatch.setattr("time.time", lambda: START_MS / 1000)


def entry(number: int, body: str = "", *, sender: Party = ALICE, status: str = "received", **more: Any) -> Message:
    direction = "incoming" if sender is ALICE else "outgoing"
    fields: dict[str, Any] = {"attachments": (), "quote": None, "expire_mode": "off", "expire_s": 0, **more}
    sent_ms = START_MS + 60_000 * number
    return Message(number, None, direction, ALICE, sender, sent_ms, body=body, request=False, status=status, **fields)


LONG = "Are we meeting at the café tomorrow? Bring the 資料 and the שלום-folder, please; it has the long name."
CONVERSATION = [
    entry(1, LONG),
    entry(
        2,
        "yes 👍🏽 👨‍👩‍👧‍👦",
        sender=ME,
        status="read",
        quote=Quote(ALICE, 1, 1, LONG),
        reactions=(Reactions("👍", (ALICE, ME)), Reactions("❤️", (ALICE,))),
    ),
    entry(3, "مرحبا بالعالم " + HOSTILE, quote=Quote(ME, 5)),
    entry(
        4,
        attachments=(
            Attachment(1, "Voice.m4a", "audio/mp4", 41_234, True, None, None, None, 12_300),
            Attachment(2, "photo\u202egpj.exe", "image/jpeg", 1_234_567, False, "/tmp/a folder/photo.jpg", 4032, 3024),
        ),
    ),
    entry(
        5,
        kind="expiration_update",
        content={"mode": "after_send", "seconds": 86_400},
        expire_mode="after_send",
        expire_s=86_400,
        expires_ms=START_MS + 86_400_000,
    ),
    entry(6, "gone soon", sender=ME, status="sent", expire_mode="after_read", expire_s=300),
    entry(7, kind="call", content={"call_id": "", "state": "missed"}),
    entry(8, kind="media_saved", content={"timestamp_ms": 1}),
    entry(9, deleted=True),
    entry(10, kind="unknown", content={"reason": "a message of a newer protocol version than this client speaks"}),
    entry(11, "see https://a.example", content={"preview": {"url": "https://a.example", "title": "An\nexample"}}),
    entry(12, content={"invitation": {"url": "https://b.example/room?public_key=00", "name": "Room\x1b[31m"}}),
    entry(13, "not yet", sender=ME, status="queued"),
]
VIEW = """\
2026-11-25 10:01:00  Alice (05a1a1a1a1…)  #1
    Are we meeting at the café tomorrow? Bring the 資料 and the שלום-folder,
    please; it has the long name.
2026-11-25 10:02:00  me (to Alice (05a1a1a1a1…)) [read]  #2
  > Alice: Are we meeting at the café tomorrow? Bring the 資料 and the ש…  #1
    yes 👍🏽 👨‍👩‍👧‍👦
  ~ 👍 Alice, me   ❤️ Alice
2026-11-25 10:03:00  Alice (05a1a1a1a1…)  #3
  > me: [a message that is not here]
    مرحبا بالعالم <U+202E>evil ␛[2J␇ text␍
    overwritten <U+2066>
2026-11-25 10:04:00  Alice (05a1a1a1a1…)  #4
  + Voice.m4a: voice message, 0:12, 41.2 kB
  + photo<U+202E>gpj.exe: image/jpeg, 4032×3024, 1.2 MB, saved as /tmp/a
    folder/photo.jpg
2026-11-25 10:05:00  Alice (05a1a1a1a1…)  #5
  * messages disappear 1 day after they are sent
  * disappears in 1 day
2026-11-25 10:06:00  me (to Alice (05a1a1a1a1…))  #6
    gone soon
  * disappears 5 minutes after it is read
2026-11-25 10:07:00  Alice (05a1a1a1a1…)  #7
  * missed call
2026-11-25 10:08:00  Alice (05a1a1a1a1…)  #8
  * saved a file
2026-11-25 10:09:00  Alice (05a1a1a1a1…)  #9
  * deleted
2026-11-25 10:10:00  Alice (05a1a1a1a1…)  #10
  * a message of a newer protocol version than this client speaks; kept for a
    later version
2026-11-25 10:11:00  Alice (05a1a1a1a1…)  #11
    see https://a.example
  + preview: An␊example, https://a.example
2026-11-25 10:12:00  Alice (05a1a1a1a1…)  #12
  + invitation to the community Room␛[31m: https://b.example/room?public_key=00
2026-11-25 10:13:00  me (to Alice (05a1a1a1a1…)) [waits to be sent]  #13
    not yet"""


def happened(type: str, target: Message | None, **content: Any) -> Event:
    return Event(1, type, target, "incoming", ALICE, ALICE, START_MS, content)


EVENTS = {
    "reacts 👍 to #2: yes 👍🏽 👨‍👩‍👧‍👦": happened("reaction", CONVERSATION[1], emoji="👍", removed=False),
    "takes back 👍 from #2: yes 👍🏽 👨‍👩‍👧‍👦": happened("reaction", CONVERSATION[1], emoji="👍", removed=True),
    "deleted #9": happened("unsend", CONVERSATION[8]),
    "has read #2: yes 👍🏽 👨‍👩‍👧‍👦": happened("receipt", CONVERSATION[1]),
    "is typing…": happened("typing", None, started=True),
    "accepted your message request": happened("contact_request", None, state="accepted"),
    "is called Eve␛[1m now, no longer Alice": happened(
        "profile", None, name="Eve\x1b[1m", previous_name="Alice", picture=True
    ),
    "has another picture": happened("profile", None, name="Alice", previous_name="Alice", picture=True),
}


def without_colours(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.mark.parametrize("colours", [False, True])
def test_everything_is_clear_at_80_columns(colours: bool) -> None:
    painter = Painter(enabled=colours, columns=80)
    shown = "\n".join(message_text(message, painter) for message in CONVERSATION)
    plain = without_colours(shown)
    assert plain == VIEW
    assert (shown != plain) is colours
    for line in shown.split("\n"):
        assert cell_width(without_colours(line)) <= 80
        assert line.count("\x1b[0m") * 2 == line.count("\x1b["), "no colour runs on into the next line"
    assert {char for char in plain if unicodedata.category(char) in ("Cc", "Cf")} <= {"\n", "\u200d"}


@pytest.mark.parametrize("line", EVENTS)
def test_what_happened_is_told_in_a_line(line: str) -> None:
    head = "2026-11-25 10:00:00  Alice (05a1a1a1a1…)"
    assert event_text(EVENTS[line], Painter(enabled=False)) == f"{head}\n  * {line}"
