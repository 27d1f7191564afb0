"""Texts and names from strangers, shown to people: nothing of them can play with the terminal or pass for us."""

from __future__ import annotations

import re
from collections.abc import Callable

from session_cli.cli.text import cell_width
from session_cli.devnet.network import Devnet
from session_cli.protocol.payload import AttachmentPointer, Quote, VisibleMessage
from tests.support.devnet import Person
from tests.support.outcomes import objects
from tests.support.strangers import Stranger
from tests.support.terminal import at_terminal

People = Callable[[str], Person]
HOSTILE = {
    "colours": "\x1b[31;1mred\x1b[0m",
    "cursor": "\x1b[2J\x1b[Hgone",
    "title": "\x1b]0;owned\x07",
    "clipboard": "\x1b]52;c;ZXZpbA==\x07",
    "link": "\x1b]8;;http://evil/\x1b\\text\x1b]8;;\x1b\\",
    "eight-bit": "\x9b31mred\x9d0;owned\x9c",
    "overwrite": "evil\rgood\x08\x08",
    "bell and more": "\x07\x0b\x0c\x0e\x0f\x00\x7f",
    "override": "\u202egpj.exe\u202c",
    "isolates": "\u2066\u2067\u2068\u2069\u061c\u200e\u200f",
    "separators": "one\u2028two\u2029three\x85four",
    "tags": "\U000e0041\U000e0042\U000e007f",
    "surrogate halves": "\ud800".encode("utf-8", "surrogatepass").decode("utf-8", "replace"),
    "private use": "\ue000\U000f0000",
    "invisible": "\ufeff\u2060\u180e\u00ad",
}
DANGEROUS = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e0fff]"
)


def test_a_terminal_is_left_in_peace(person: People, shared_net: Devnet) -> None:
    bob = person("Bob")
    for text in HOSTILE.values():
        stranger = Stranger(shared_net)
        pointer = AttachmentPointer(
            "http://127.0.0.1/file/1", b"k" * 64, 5, b"d" * 32, content_type="image/" + text, file_name=text + ".jpg"
        )
        stranger.say(bob.id, "body " + text, name="name " + text, files=[pointer])
    messages = objects(bob.run("recv", "--json", "--peek"))
    assert [message["body"] for message in messages] == ["body " + text for text in HOSTILE.values()]
    assert [message["sender"]["name"] for message in messages] == ["name " + text for text in HOSTILE.values()]
    shown = [
        bob.run("recv", "--peek", "--color", "never"),
        bob.run("attach", "list", "--color", "never"),
        *(bob.try_run("attach", "save", str(message["id"]), "-o", str(bob.home)) for message in messages[:5]),
        *(bob.try_run("send", "name " + text.replace("\0", ""), "hi") for text in list(HOSTILE.values())[:8]),
    ]
    for done in shown:
        assert not DANGEROUS.search(done.text), done.text
        assert not DANGEROUS.search(done.stderr), done.stderr


def test_names_in_errors_are_harmless_too(person: People, shared_net: Devnet) -> None:
    bob, name = person("Bob"), "Eve\x1b[31m\n\u202eevE"
    for stranger in (Stranger(shared_net), Stranger(shared_net)):
        stranger.say(bob.id, "hi", name=name)
        bob.run("send", stranger.id, "hi")
    bob.receive()
    refused = bob.try_run("send", name, "hi")
    assert refused.code == 65
    assert refused.stderr.count("\n") == 1
    assert not DANGEROUS.search(refused.stderr), refused.stderr


def test_json_is_one_line_whatever_comes(person: People, shared_net: Devnet) -> None:
    """Line ends of every kind, and nothing that a terminal would obey, for those who look at JSON with their eyes."""
    bob, stranger = person("Bob"), Stranger(shared_net)
    for text in HOSTILE.values():
        stranger.say(bob.id, text + "\r\n\v\f\x1c\x1d\x1e\x85\u2028\u2029.", name=text)
    done = bob.run("recv", "--json")
    assert len(objects(done)) == len(HOSTILE)
    assert len(done.text.splitlines()) == len(HOSTILE), "readers that split at other line ends see the same lines"
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", done.text), "control characters are escaped"


def test_no_body_passes_for_another_message(person: People, shared_net: Devnet) -> None:
    bob, stranger = person("Bob"), Stranger(shared_net)
    forged = "2026-11-24 10:00:00  Alice (05aabbccdd…)  #7\n    send me your phrase"
    for separator in ("\n", "\r", "\r\n", "\v", "\f", "\x85", "\u2028", "\u2029", "\x1c", "\n\n"):
        stranger.say(bob.id, "hi" + separator + forged, name="Eve" + separator + forged)
    stranger.store(
        bob.id,
        stranger.seal(bob.id, VisibleMessage("hi", quote=Quote("\n" + forged, 1))),
    )
    stranger.say(
        bob.id,
        files=[
            AttachmentPointer("http://x/file/1", b"k" * 64, 1, content_type="a\n" + forged, file_name="b\n" + forged)
        ],
    )
    done = bob.run("recv", "--color", "never")
    headers = [line for line in done.text.split("\n") if line and not line.startswith("  ")]
    assert len(headers) == 12
    # What is no text of the sender's has a mark where no text can begin.
    marked = [line[:4] for line in done.text.split("\n") if line.startswith("  ") and not line.startswith("    ")]
    assert sorted(marked) == ["  + "]
    for line in headers:
        assert f"({stranger.id[:10]}…)" in line or line.count(stranger.id[:10]) == 1
    assert len(done.text.splitlines()) == len(done.text.split("\n")) - 1


def test_no_text_reaches_the_edge_where_messages_begin(person: People, shared_net: Devnet) -> None:
    """A terminal goes on at its edge with what does not fit, and so could a forged message."""
    bob, stranger = person("Bob"), Stranger(shared_net)
    forged = "2026-11-24 10:00:00  Alice (05aabbccdd…)  #7"
    stranger.say(bob.id, "hi" + " " * 74 + forged + "\n" + "x" * 80 + forged + "\n\ttab\t" + "日本語" * 30)
    stranger.say(bob.id, "hi", name=("Eve" + " " * 53 + "2026-11-24 10:00:00  Alice (05aabbc")[:100])
    stranger.say(bob.id, files=[AttachmentPointer("http://x/1", b"k" * 64, 1, file_name="b" + " " * 75 + forged)])
    code, shown = at_terminal(bob, "recv", "--color", "never", COLUMNS="80")
    assert code == 0
    lines = shown.replace("\r", "").split("\n")
    assert all(cell_width(line) <= 80 for line in lines)
    assert [line[:4] for line in lines if line and not line.startswith("    ")] == ["2026"] * 3 + ["  + "]
    assert len([line for line in lines if stranger.id[:10] in line]) == 3
