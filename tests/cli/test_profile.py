"""`profile`: names and pictures, ours and those of others."""

from __future__ import annotations

import io
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from session_cli.devnet.network import Devnet
from session_cli.protocol.payload import Profile, VisibleMessage
from session_cli.protocol.picture import MAX_FILE_BYTES, seal_picture
from tests.support.devnet import Person
from tests.support.outcomes import check_json_refusal, check_refusal
from tests.support.strangers import Stranger, upload_as_it_is
from tests.support.streams import encrypt_stream
from tests.support.terminal import at_terminal

People = Callable[[str], Person]
NOBODY = "05d2ad010eeb72d72e561d9de7bd7b6989af77dcabffa03a5111a6c859ae5c3a72"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A photograph, as far as this program can tell."""
    path = tmp_path / "photo.jpg"
    Image.radial_gradient("L").resize((1200, 800)).convert("RGB").save(path)
    return path


def own(person: Person) -> dict[str, Any]:
    (shown,) = person.run("profile", "show", "--json").objects
    return shown


def files_moved(net: Devnet, since: int) -> list[str]:
    """What the file server was asked for."""
    return [str(record.method) for record in net.request_log[since:] if record.kind == "file"]


# --- our own ------------------------------------------------------------------------------------------------------


def test_a_name_is_changed_without_a_network(tmp_path: Path) -> None:
    alice = Person(tmp_path / "alice", "mainnet").init("--name", "Alice")
    before = own(alice)
    assert (before["id"], before["name"], before["picture"], before["changed"]) == (alice.id, "Alice", False, None)
    changed = [alice.run("profile", "set", "--json", "--name", name).objects[0] for name in ("Ally", " Alice L. ")]
    assert [each["name"] for each in changed] == ["Ally", "Alice L."]
    assert 0 < changed[0]["changed_ms"] < changed[1]["changed_ms"], "a second change in the same second is later, too"
    assert own(alice) == changed[1]
    assert alice.run("profile", "set", "--json", "--name", "Alice L.").objects == [changed[1]]
    assert alice.run("whoami", "--json").objects[0]["name"] == "Alice L."
    assert alice.run("profile", "show", "me").lines[:3] == [
        f"id        {alice.id}",
        "name      Alice L.",
        "picture   no",
    ]


def test_what_bob_gets_is_what_alice_uploaded(person: People, image: Path, tmp_path: Path) -> None:
    alice, bob = person("Alice"), person("Bob")
    bob.run("send", alice.id, "hi")
    alice.run("send", bob.id, "hello")
    bob.receive()
    changed = alice.run("profile", "set", "--name", "Alicia", "--avatar", str(image), "--json").objects
    assert changed == [own(alice)]
    assert (changed[0]["name"], changed[0]["picture"]) == ("Alicia", True)
    alice.run("send", bob.id, "look at me")
    event, message = bob.receive()
    assert (event["type"], event["name"], event["previous_name"], event["picture"]) == (
        "profile", "Alicia", "Alice", True,
    )  # fmt: skip
    assert (event["sender"]["id"], event["conversation"]["id"]) == (alice.id, alice.id)
    assert (message["body"], message["sender"]["name"]) == ("look at me", "Alicia")
    (contact,) = bob.run("profile", "show", "Alicia", "--json").objects
    assert (contact["type"], contact["profile_name"], contact["picture"], contact["approved"]) == (
        "contact", "Alicia", True, True,
    )  # fmt: skip
    out = tmp_path / "alice.webp"
    bob.run("profile", "show", alice.id, "--avatar-out", str(out))
    uploaded = alice.run("profile", "show", "--avatar-out", "-").stdout
    assert out.read_bytes() == uploaded
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert bob.run("profile", "show", alice.id, "--avatar-out", "-").stdout == uploaded
    picture = Image.open(io.BytesIO(uploaded))
    assert (picture.format, picture.size) == ("WEBP", (600, 400))

    alice.run("profile", "set", "--no-avatar")
    alice.run("send", bob.id, "no more")
    event, message = bob.receive()
    assert (event["type"], event["name"], event["previous_name"], event["picture"]) == (
        "profile", "Alicia", "Alicia", False,
    )  # fmt: skip
    check_json_refusal(
        bob.try_run("profile", "show", alice.id, "--avatar-out", str(tmp_path / "none"), "--json"), 65, "invalid_input"
    )
    check_refusal(alice.try_run("profile", "show", "--avatar-out", str(tmp_path / "own")), 65, "no picture")


def test_an_image_from_a_pipe(person: People, image: Path) -> None:
    alice = person("Alice")
    alice.run("profile", "set", "--avatar", "-", stdin=image.read_bytes())
    assert own(alice)["picture"]
    assert alice.run("profile", "show", "--avatar-out", "-").stdout.startswith(b"RIFF")


def test_every_picture_has_a_key_of_its_own(person: People, image: Path, shared_net: Devnet) -> None:
    alice, bob = person("Alice"), person("Bob")
    since = len(shared_net.request_log)
    for text in ("one", "two"):
        alice.run("profile", "set", "--avatar", str(image))
        alice.run("send", bob.id, text)
    assert len(files_moved(shared_net, since)) == 2
    bob.receive()
    assert bob.run("profile", "show", alice.id, "--avatar-out", "-").stdout.startswith(b"RIFF")


def test_another_device_learns_our_profile(person: People, image: Path, tmp_path: Path) -> None:
    alice, bob = person("Alice"), person("Bob")
    phone = alice.second_device("phone")
    alice.run("profile", "set", "--name", "Alicia", "--avatar", str(image))
    alice.run("send", bob.id, "hi")
    alice.run("send", "me", "note")
    assert [event["type"] for event in phone.receive()] == ["message", "message"]
    shown = own(phone)
    assert (shown["name"], shown["picture"], shown["changed"]) == ("Alicia", True, own(alice)["changed"])
    assert phone.run("contact", "list", "--json").objects[0]["id"] == bob.id


def test_changes_that_are_refused_change_nothing(person: People, image: Path, tmp_path: Path) -> None:
    alice = person("Alice")
    before = own(alice)
    text = tmp_path / "text.jpg"
    text.write_text("no image")
    large = tmp_path / "large.png"
    Image.new("1", (20_000, 20_000)).save(large)
    for arguments, code, slug in (
        ((), 2, "usage"),
        (("--avatar", str(image), "--no-avatar"), 2, "usage"),
        (("--name", " "), 65, "invalid_input"),
        (("--name", "é" * 51), 65, "invalid_input"),
        (("--name", "a\x1b[31m"), 65, "invalid_input"),
        (("--name", "", "--avatar", str(image)), 65, "invalid_input"),
        (("--name", "Ally", "--avatar", str(text)), 65, "invalid_picture"),
        (("--avatar", str(large)), 65, "invalid_picture"),
        (("--avatar", "-"), 65, "invalid_picture"),
        (("--avatar", str(tmp_path)), 66, "unreadable_input"),
        (("--avatar", str(tmp_path / "nothing")), 66, "unreadable_input"),
    ):
        check_json_refusal(alice.try_run("profile", "set", "--json", *arguments), code, slug)
    assert own(alice) == before


def test_a_picture_that_can_not_be_uploaded_changes_nothing(private_net: Devnet, tmp_path: Path, image: Path) -> None:
    definition = tmp_path / "network.toml"
    private_net.write_definition(definition)
    alice = Person(tmp_path / "alice", definition).init("--name", "Alice")
    private_net.stop()
    refused = alice.try_run("profile", "set", "--name", "Ally", "--avatar", str(image), "--timeout", "3")
    check_refusal(refused, 75)
    assert (own(alice)["name"], own(alice)["picture"]) == ("Alice", False)


# --- those of others ----------------------------------------------------------------------------------------------


@pytest.fixture
def carol(shared_net: Devnet) -> Stranger:
    return Stranger(shared_net)


@pytest.fixture
def shown_by(carol: Stranger, shared_definition: Path, tmp_path: Path) -> Callable[[Person, bytes, bytes, str], None]:
    """Has Carol write to somebody, with a picture: the file on the server, its key, and an end for its URL."""

    def show(to: Person, file: bytes, key: bytes, fragment: str = "") -> None:
        url = upload_as_it_is(shared_definition, tmp_path / "carol", file) + fragment
        message = VisibleMessage("hi", profile=Profile("Carol", url, key, 1_700_000_000))
        carol.store(to.id, carol.seal(to.id, message))

    return show


PNG = b"\x89PNG\r\n\x1a\n any bytes will do"


@pytest.mark.parametrize("fragment", ["#d", "#d=", ""])
def test_pictures_of_the_newer_format(
    fragment: str, person: People, carol: Stranger, shown_by: Callable[..., None]
) -> None:
    bob = person("Bob")
    shown_by(bob, *encrypt_stream(PNG, bytes(range(32)), b"Session_Prof_Pic"), fragment)
    bob.receive()
    assert bob.run("profile", "show", carol.id, "--avatar-out", "-").stdout == PNG


def test_nothing_is_downloaded_unasked(
    person: People, carol: Stranger, shown_by: Callable[..., None], shared_net: Devnet, tmp_path: Path
) -> None:
    bob = person("Bob")
    sealed = seal_picture(PNG)
    shown_by(bob, sealed.file, sealed.key)
    since = len(shared_net.request_log)
    bob.receive("--download", str(tmp_path))
    (shown,) = bob.run("profile", "show", carol.id, "--json").objects
    assert (shown["picture"], shown["approved"]) == (True, False)
    assert files_moved(shared_net, since) == []
    assert bob.run("profile", "show", carol.id, "--avatar-out", "-").stdout == PNG
    assert len(files_moved(shared_net, since)) == 1


@pytest.mark.parametrize("what", ["damaged", "cut", "empty", "of another key", "endless"])
def test_pictures_that_are_not_genuine(
    what: str, person: People, carol: Stranger, shown_by: Callable[..., None], tmp_path: Path
) -> None:
    bob = person("Bob")
    sealed = seal_picture(PNG)
    damaged = bytearray(sealed.file)
    damaged[20] ^= 1
    file, key = {
        "damaged": (bytes(damaged), sealed.key),
        "cut": (sealed.file[:27], sealed.key),
        "empty": (seal_picture(b"", key=sealed.key).file, sealed.key),
        "of another key": (sealed.file, bytes(32)),
        "endless": (bytes(MAX_FILE_BYTES + 1), sealed.key),
    }[what]
    shown_by(bob, file, key)
    bob.receive()
    out = tmp_path / "out"
    refused = bob.try_run("profile", "show", carol.id, "--json", "--avatar-out", str(out))
    check_json_refusal(refused, 65, "attachment_corrupt")
    assert not out.exists()
    check_refusal(bob.try_run("profile", "show", carol.id, "--avatar-out", "-"), 65)


@pytest.mark.parametrize(
    ("url", "code", "slug"),
    [
        ("{server}/file/404404404", 69, "file_gone"),
        ("http://elsewhere.test/file/1", 65, "invalid_url"),
        ("ftp://x\x1b[31m", 65, "invalid_url"),
    ],
)
def test_pictures_that_are_nowhere(
    url: str, code: int, slug: str, person: People, carol: Stranger, shared_net: Devnet, tmp_path: Path
) -> None:
    from session_cli.network.definition import load_definition

    bob = person("Bob")
    server = load_definition(str(bob.network)).file_server.url
    profile = Profile("Carol", url.format(server=server), bytes(32), 1)
    carol.store(bob.id, carol.seal(bob.id, VisibleMessage("hi", profile=profile)))
    bob.receive()
    out = tmp_path / "out"
    refused = bob.try_run("profile", "show", carol.id, "--json", "--avatar-out", str(out))
    check_json_refusal(refused, code, slug)
    assert not out.exists()


def test_where_a_picture_may_not_go(person: People, image: Path, tmp_path: Path) -> None:
    alice = person("Alice")
    alice.run("profile", "set", "--avatar", str(image))
    taken = tmp_path / "taken"
    taken.write_text("mine")
    show = ("profile", "show", "--avatar-out")
    check_refusal(alice.try_run(*show, str(taken)), 73, "--force")
    assert taken.read_text() == "mine"
    check_refusal(alice.try_run(*show, str(tmp_path)), 73, "folder")
    check_refusal(alice.try_run(*show, str(tmp_path / "no" / "where")), 73, "folder")
    check_json_refusal(alice.try_run(*show, "-", "--json"), 2, "usage")
    code, shown = at_terminal(alice, *show, "-")
    assert (code, "RIFF" in shown, "terminal" in shown) == (2, False, True)
    alice.run(*show, str(taken), "--force")
    assert taken.read_bytes().startswith(b"RIFF")


def test_people_of_whom_nothing_is_known(person: People) -> None:
    alice = person("Alice")
    (shown,) = alice.run("profile", "show", NOBODY, "--json").objects
    assert (shown["id"], shown["name"], shown["picture"], shown["approved"]) == (NOBODY, None, False, False)
    check_refusal(alice.try_run("profile", "show", NOBODY, "--avatar-out", "-"), 65, "picture")
    check_refusal(alice.try_run("profile", "show", "Nemo"), 65, "Nemo")


def test_names_do_no_harm(person: People, carol: Stranger) -> None:
    bob = person("Bob")
    carol.say(bob.id, "hi", name="\x1b[31mred\n\u202e")
    bob.receive()
    assert bob.run("profile", "show", carol.id).lines[1] == "name      ␛[31mred␊<U+202E>"
