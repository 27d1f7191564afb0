"""Files with messages: several of them, images, and saving what came."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from session_cli.devnet.network import Devnet
from session_cli.protocol.payload import CommunityInvitation, LinkPreview, Profile, VisibleMessage
from tests.support.devnet import Person
from tests.support.outcomes import check_json_refusal, check_refusal, temporary_files
from tests.support.strangers import Stranger, upload

People = Callable[[str], Person]


def image(kind: str, size: tuple[int, int], *, secret: str | None = None) -> bytes:
    """An image file, which may tell something in its metadata."""
    exif = Image.Exif()
    if secret is not None:
        exif[0x010F] = secret
    file = io.BytesIO()
    Image.new("RGB", size, "green").save(file, kind, exif=exif)
    return file.getvalue()


def acquainted(person: People) -> tuple[Person, Person]:
    """Alice and Bob, who have written to each other."""
    alice, bob = person("Alice"), person("Bob")
    bob.run("send", alice.id, "hello")
    alice.run("send", bob.id, "hello")
    for who in (alice, bob):
        who.receive()
    return alice, bob


def new(who: Person, *arguments: str) -> list[dict[str, Any]]:
    """The messages that came."""
    return who.receive("--type", "message", *arguments)


FACTS = ("name", "content_type", "size", "voice", "width", "height", "duration")


def facts(message: dict[str, Any]) -> list[tuple[Any, ...]]:
    """What is said of each file of a message."""
    return [tuple(file[name] for name in FACTS) for file in message["attachments"]]


def test_several_files_with_a_text(person: People, tmp_path: Path) -> None:
    """By either command; both ends, and Alice's other device, see the same files in the same order."""
    alice, bob = acquainted(person)
    laptop = alice.second_device()
    laptop.receive()
    files = {
        "z.txt": b"text",
        "a.png": image("PNG", (40, 30)),
        "m.jpg": image("JPEG", (10, 20)),
        "noending": b"\0\1\2",
        "a.tar.gz": b"gzip",
        "broken.png": b"\x89PNG\r\n\x1a\nnothing",
        "text.jpg": b"no image",
        "image.txt": image("PNG", (5, 5)),
    }
    paths = []
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        paths.append(str(tmp_path / name))
    options = [option for path in paths for option in ("--attach", path)]
    expected = [
        ("z.txt", "text/plain", 4, False, None, None, None),
        ("a.png", "image/png", len(files["a.png"]), False, 40, 30, None),
        ("m.jpg", "image/jpeg", len(files["m.jpg"]), False, 10, 20, None),
        ("noending", "application/octet-stream", 3, False, None, None, None),
        ("a.tar.gz", "application/x-tar", 4, False, None, None, None),
        ("broken.png", "image/png", 15, False, None, None, None),
        ("text.jpg", "image/jpeg", 8, False, None, None, None),
        ("image.txt", "text/plain", len(files["image.txt"]), False, None, None, None),
    ]
    for command in (("send", bob.id, "a text", *options), ("attach", "send", bob.id, *paths, "--caption", "a text")):
        (sent,) = alice.run(*command, "--json").objects
        (came,), (copy,) = new(bob), new(laptop)
        for message in (sent, came, copy):
            assert message["body"] == "a text"
            assert facts(message) == expected
        saved = bob.run("attach", "save", str(came["id"]), "-o", str(bob.home)).lines
        assert [Path(path).read_bytes() for path in saved] == list(files.values())
        fetched = laptop.run("attach", "save", str(copy["id"]), "-n", "2", "-o", "-").stdout
        assert fetched == files["a.png"], "an image goes as it is, to the last byte"


def test_thirty_two_files_are_the_most(person: People, tmp_path: Path) -> None:
    alice, bob = acquainted(person)
    (tmp_path / "a.txt").write_bytes(b"x")
    paths = [str(tmp_path / "a.txt")] * 33
    check_refusal(alice.try_run("attach", "send", bob.id, *paths), 65, "32")
    check_refusal(alice.try_run("attach", "send", bob.id, *paths, "--split"), 65, "32")
    alice.run("attach", "send", bob.id, *paths[:32])
    (message,) = new(bob)
    assert len(message["attachments"]) == 32


def test_an_image_from_a_pipe(person: People) -> None:
    alice, bob = acquainted(person)
    data = image("PNG", (640, 480))
    alice.run("attach", "send", bob.id, "-", "--name", "shot.png", stdin=data)
    alice.run("attach", "send", bob.id, "-", "--type", "image/png", stdin=data + b"x" * 600_000)
    alice.run("attach", "send", bob.id, "-", "--type", "image/png", stdin=b"no image")
    first, second, third = new(bob)
    assert [(file["width"], file["height"]) for file in first["attachments"] + second["attachments"]] == [
        (640, 480)
    ] * 2
    assert third["attachments"][0]["width"] is None
    assert bob.run("attach", "save", str(first["id"]), "-o", "-").stdout == data
    assert bob.run("attach", "save", str(second["id"]), "-o", "-").stdout == data + b"x" * 600_000


def test_metadata_goes_along_unless_it_is_taken_out(person: People, tmp_path: Path) -> None:
    alice, bob = acquainted(person)
    secret = "where I live"
    paths = []
    for kind in ("jpeg", "png", "webp"):
        (tmp_path / f"a.{kind}").write_bytes(image(kind, (8, 6), secret=secret))
        paths.append(str(tmp_path / f"a.{kind}"))
    alice.run("attach", "send", bob.id, *paths)
    alice.run("attach", "send", bob.id, *paths, "--strip-metadata")
    alice.run("send", bob.id, "look", "--attach", paths[0], "--strip-metadata")
    stdin = Path(paths[0]).read_bytes()
    alice.run("attach", "send", bob.id, "-", "--name", "p.jpg", "--strip-metadata", stdin=stdin)
    for message, told in zip(new(bob), (True, False, False, False), strict=True):
        for path in bob.run("attach", "save", str(message["id"]), "-o", str(bob.home)).lines:
            data = Path(path).read_bytes()
            assert (secret.encode() in data) is told
            with Image.open(io.BytesIO(data)) as picture:
                assert picture.size == (8, 6)
        assert {(file["width"], file["height"]) for file in message["attachments"]} == {(8, 6)}
    assert temporary_files(alice.home) == []


def test_what_can_not_be_cleaned_is_not_sent(person: People, tmp_path: Path) -> None:
    """Nor is anything else of the same message."""
    alice, bob = acquainted(person)
    (tmp_path / "a.jpg").write_bytes(image("JPEG", (8, 6)))
    (tmp_path / "b.jpg").write_bytes(b"no image")
    (tmp_path / "c.gif").write_bytes(image("GIF", (8, 6)))
    for name in ("b.jpg", "c.gif"):
        files = (str(tmp_path / "a.jpg"), str(tmp_path / name))
        check_refusal(alice.try_run("attach", "send", bob.id, *files, "--strip-metadata"), 65, name)
    check_refusal(alice.try_run("send", bob.id, "text", "--strip-metadata"), 2, "--attach")
    assert new(bob) == []
    assert temporary_files(alice.home) == []


def test_files_to_several_people(person: People, tmp_path: Path) -> None:
    """They are uploaded once, and nobody learns of the others."""
    alice, bob = acquainted(person)
    carol = person("Carol")
    ids = alice.run("attach", "send", bob.id, "-", "--to", carol.id, "--to", "me", stdin=b"file").lines
    assert len(ids) == 3
    for who in (bob, carol):
        (message,) = new(who)
        assert who.run("attach", "save", str(message["id"]), "-o", "-").stdout == b"file"
        assert len(who.run("attach", "list", "--json").objects) == 1
    check_refusal(alice.try_run("attach", "send", bob.id, "/etc/hostname", "--to", "nobody I know"), 65)


# Saving what came.


def test_saving_all_that_came(person: People, tmp_path: Path) -> None:
    """Once each: not what we sent, nor what strangers want us to have."""
    alice, bob = acquainted(person)
    stranger = person("Stranger")
    alice.run("attach", "send", bob.id, "-", "--name", "a.txt", stdin=b"a")
    alice.run("attach", "send", bob.id, "/etc/hostname", "/etc/passwd")
    stranger.run("attach", "send", bob.id, "-", "--name", "s.txt", stdin=b"s")
    bob.run("attach", "send", alice.id, "-", "--name", "own.txt", stdin=b"own")
    first, second, foreign = sorted(new(bob), key=lambda message: message["id"])
    folder = tmp_path / "saved"
    folder.mkdir()
    save = ("attach", "save", "--all", "-o", str(folder))
    bob.run("attach", "save", str(second["id"]), "-n", "2", "-o", str(tmp_path / "before"))
    saved = bob.run(*save, "--json").objects
    assert [Path(one["path"]).name for one in saved] == ["a.txt", "hostname"]
    assert [one["message_id"] for one in saved] == [first["id"], second["id"]]
    again = bob.run(*save)
    assert (again.lines, again.stderr) == ([], "session: There is no file that was not saved yet.\n")
    assert len(list(folder.iterdir())) == 2
    assert len(bob.run("attach", "save", str(second["id"]), "--all", "-o", str(folder)).lines) == 2
    assert len(bob.run("attach", "save", str(first["id"]), str(second["id"]), "-o", str(folder)).lines) == 3
    bob.run("send", stranger.id, "so what")
    assert [Path(path).name for path in bob.run(*save).lines] == ["s.txt"]
    assert foreign["request"] is True


def test_saving_all_of_one_person_or_of_late(person: People, tmp_path: Path) -> None:
    alice, bob = acquainted(person)
    carol = person("Carol")
    bob.run("send", carol.id, "hello")
    for who, name in ((alice, "a.txt"), (carol, "c.txt")):
        who.run("attach", "send", bob.id, "-", "--name", name, stdin=b"x")
    new(bob)
    save = ("attach", "save", "--all", "-o", str(tmp_path))
    assert bob.run(*save, "--from", carol.id, "--since", "1h").lines == [str(tmp_path / "c.txt")]
    assert bob.run(*save, "--from", carol.id).lines == []
    assert bob.run(*save, "--from", "Alice").lines == [str(tmp_path / "a.txt")]
    check_refusal(bob.try_run(*save, "--from", "nobody"), 65)


def test_one_that_can_not_be_had_does_not_stop_the_others(
    person: People, shared_net: Devnet, shared_definition: Path, tmp_path: Path
) -> None:
    bob, stranger = person("Bob"), Stranger(shared_net)
    pointer = upload(shared_definition, tmp_path / "cache", b"data")
    bad = replace(pointer, digest=b"x" * 32)
    bob.run("send", stranger.id, "hello")
    stranger.say(bob.id, files=[bad, replace(pointer, file_name="good.txt")])
    stranger.say(bob.id, files=[replace(pointer, url=pointer.url + "9")])
    stranger.say(bob.id, files=[replace(pointer, file_name="last.txt")])
    ids = [message["id"] for message in new(bob)]
    folder = tmp_path / "saved"
    folder.mkdir()
    done = bob.try_run("attach", "save", "--all", "-o", str(folder), "--json")
    assert done.code == 1
    kinds = [(found["type"], found["message_id"]) for found in done.objects]
    assert kinds == [
        ("error", ids[0]), ("saved_attachment", ids[0]), ("error", ids[1]), ("saved_attachment", ids[2]),
    ]  # fmt: skip
    assert sorted(path.name for path in folder.iterdir()) == ["good.txt", "last.txt"]
    assert done.stderr.count("could not be saved") == 2
    check_json_refusal(
        bob.try_run("attach", "save", str(ids[0]), "-o", str(folder), "--json"), 65, "attachment_corrupt"
    )
    assert bob.try_run("attach", "save", str(ids[0]), str(ids[2]), "-o", str(folder)).code == 1
    assert bob.try_run("attach", "save", str(ids[0]), "999", "-o", str(folder)).code == 1
    assert temporary_files(bob.home) == []


def test_what_makes_no_sense(person: People, tmp_path: Path) -> None:
    alice = person("Alice")
    alice.run("attach", "send", "me", "-", stdin=b"x")
    for wrong in (
        (),
        ("--from", "me", "1"),
        ("--since", "1h", "1"),
        ("--from", "me"),
        ("--all", "--number", "1"),
        ("1", "2", "--number", "1"),
        ("--all", "-o", "-"),
        ("1", "2", "-o", "-"),
        ("--all", "-o", str(tmp_path / "none")),
    ):
        check_refusal(alice.try_run("attach", "save", *wrong), 2)
    check_refusal(alice.try_run("attach", "save", "x"), 2)
    check_refusal(alice.try_run("attach", "save", "7"), 65, "no message 7")


# What official apps send beside.


def test_a_link_preview(person: People, shared_net: Devnet, shared_definition: Path, tmp_path: Path) -> None:
    """What its sender says of a link is shown, if the link is in the text; its image is not fetched."""
    bob, stranger = person("Bob"), Stranger(shared_net)
    picture = replace(upload(shared_definition, tmp_path / "cache", b"picture"), content_type="image/jpeg")
    url = "https://example.org/a"
    whole, bare = LinkPreview(url, "A \x1b[31mtitle", picture), LinkPreview(url)
    expected = {"url": url, "title": "A \x1b[31mtitle"}
    cases = [
        (f"look: {url} !", whole, expected),
        (f"look: {url}", LinkPreview(url, None, picture), {"url": url, "title": None}),
        ("look: https://example.org", whole, None),
        (url, bare, None),
        ("no link", LinkPreview("", "title"), None),
    ]
    for body, preview, _ in cases:
        said = VisibleMessage(body, preview=preview, profile=Profile("Stranger"))
        stranger.store(bob.id, stranger.seal(bob.id, said))
    folder = tmp_path / "saved"
    bob.run("send", stranger.id, "hello")
    messages = new(bob, "--download", str(folder))
    for message, (body, _, shown) in zip(messages, cases, strict=True):
        assert (message["body"], message["preview"], message["attachments"]) == (body, shown, [])
    assert list(folder.iterdir()) == []
    assert bob.run("attach", "list").lines == []
    text = bob.run("log", "--color", "never").text
    assert "title" in text
    assert "\x1b" not in text


def test_a_community_invitation(person: People, shared_net: Devnet) -> None:
    bob, stranger = person("Bob"), Stranger(shared_net)
    url = "https://open.example.org/room?public_key=" + "ab" * 32
    for name in ("Cats", "\x1b[31m\u202eCats"):
        invited = VisibleMessage(invitation=CommunityInvitation(url, name), profile=Profile("Stranger"))
        stranger.store(bob.id, stranger.seal(bob.id, invited))
    first, second = new(bob)
    assert (first["body"], first["invitation"]) == ("", {"url": url, "name": "Cats"})
    assert second["invitation"]["name"] == "\x1b[31m\u202eCats"
    text = bob.run("log", "--color", "never").text
    assert text.count(url) == 2
    assert "\x1b" not in text
    assert "\u202e" not in text
