"""What `send` is given: whom, and what."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from session_cli.devnet.network import Devnet, DevnetOptions
from session_cli.protocol.account import Identity
from tests.support.devnet import SESSION, Person
from tests.support.outcomes import bodies, check_json_refusal, check_message, check_refusal, objects, run_with

People = Callable[[str], Person]
SOMEBODY = Identity.from_seed(bytes(16)).account_id


def storage_requests(net: Devnet) -> int:
    """How often anything was stored so far."""
    return sum(record.method == "store" or "store" in record.parts for record in net.request_log)


def uploads(net: Devnet) -> int:
    return sum(record.kind == "file" and record.method.startswith("POST") for record in net.request_log)


def on_the_curve_but_low() -> str:
    """A point of small order, to which nothing can be encrypted."""
    return "05" + "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"


NOBODY = {
    "a word": "nobody",
    "too short": SOMEBODY[:-1],
    "too long": SOMEBODY + "0",
    "no hex": SOMEBODY[:-1] + "g",
    "a group": "03" + SOMEBODY[2:],
    "a blinded id": "15" + SOMEBODY[2:],
    "another blinded id": "25" + SOMEBODY[2:],
    "an unknown prefix": "00" + SOMEBODY[2:],
    "a Lokinet name": "somebody.loki",
    "zero": "05" + "0" * 64,
    "one": "05" + "01" + "0" * 62,
    "a small order": on_the_curve_but_low(),
    "not reduced": "05" + "ff" * 32,
    "an unknown beginning": SOMEBODY[:20],
    "empty": "",
    "blank": "  ",
    "a bare prefix": "05",
    "spaces inside": SOMEBODY[:33] + " " + SOMEBODY[33:],
    "control characters": "\x1b[31mAlice\x1b[0m\n",
    "wide digits": SOMEBODY[:-1] + "\uff11",
    "an option by mistake": "me@example.org",
}


def test_nobody(person: People, shared_net: Devnet) -> None:
    alice, before = person("Alice"), storage_requests(shared_net)
    for what, text in NOBODY.items():
        refused = alice.try_run("send", "--json", text, "hi")
        assert refused.code == 65, what
        check_json_refusal(refused, 65, "invalid_account_id")
        assert "\x1b" not in refused.stderr
    check_refusal(alice.try_run("send", "nobody", "hi"), 65, "nobody")
    assert storage_requests(shared_net) == before


def test_an_id_may_be_written_large(person: People) -> None:
    alice, bob = person("Alice"), person("Bob")
    alice.run("send", bob.id.upper(), "hi")
    alice.run("send", f" {bob.id}\n", "hi")
    assert len(bob.receive()) == 2


def test_a_name_that_two_people_have(person: People, tmp_path: Path) -> None:
    alice = person("Alice")
    bobs = [Person(tmp_path / folder, alice.network).init("--name", "Bob") for folder in ("one", "two")]
    for bob in bobs:
        alice.run("send", bob.id, "hi")
        bob.run("send", alice.id, "hi")
    alice.receive()
    message = check_json_refusal(alice.try_run("send", "--json", "Bob", "hi"), 65, "ambiguous_name")["message"]
    for bob in bobs:
        assert bob.id[:12] in message
    assert "session contact rename" in message
    alice.run("contact", "rename", bobs[1].id, "Bob")
    alice.run("send", "Bob", "you")
    assert bodies(bobs[1].receive()) == ["hi", "you"]
    assert bodies(bobs[0].receive()) == ["hi"]


EMPTY = {
    "empty argument": (("send", "me", ""), b""),
    "blank argument": (("send", "me", " \t\n"), b""),
    "empty input": (("send", "me"), b""),
    "empty input asked for": (("send", "me", "-"), b""),
    "only line ends": (("send", "me", "-"), b"\n\r\n\n"),
    "only blanks": (("send", "me"), b"   \n"),
    "only invisible characters": (("send", "me", "\u200b\u2060\ufeff"), b""),
}


@pytest.mark.parametrize("what", EMPTY)
def test_nothing_to_send(what: str, person: People, shared_net: Devnet) -> None:
    arguments, stdin = EMPTY[what]
    alice, before = person("Alice"), storage_requests(shared_net)
    if what == "only invisible characters":
        assert alice.try_run(*arguments).code in (0, 65), "either is right, as long as it is no fault"
        return
    check_refusal(alice.try_run(*arguments, stdin=stdin), 65, "nothing to send")
    check_json_refusal(alice.try_run(*arguments, "--json", stdin=stdin), 65, "empty_message")
    assert storage_requests(shared_net) == before


@pytest.mark.parametrize("character", ["x", "🚀"])
def test_the_longest_message(character: str, person: People, shared_net: Devnet) -> None:
    alice, bob = person("Alice"), person("Bob")
    longest = character * 2000
    alice.run("send", bob.id, longest)
    alice.run("send", bob.id, "-", stdin=longest.encode() + b"\n")
    before = storage_requests(shared_net)
    for arguments, stdin in (((longest + "y",), b""), (("-",), longest.encode() + b"y")):
        refused = alice.try_run("send", bob.id, *arguments, stdin=stdin)
        check_refusal(refused, 65, "2,001", "2,000")
        assert character * 20 not in refused.stderr
    check_json_refusal(alice.try_run("send", "--json", bob.id, longest + "y"), 65, "message_too_long")
    assert storage_requests(shared_net) == before
    assert bodies(bob.receive()) == [longest, longest]


def test_an_endless_input_is_not_read_to_its_end(person: People) -> None:
    with Path("/dev/zero").open("rb") as endless:
        check_refusal(run_with(person("Alice"), "send", "me", "-", stdin=endless, timeout=20), 65, "attach")


@pytest.mark.parametrize("data", [b"\xff\xfe", b"caf\xe9", b"\xed\xa0\x80", "hi".encode("utf-16")])
def test_what_is_no_utf_8(data: bytes, person: People, shared_net: Devnet) -> None:
    alice, before = person("Alice"), storage_requests(shared_net)
    check_refusal(alice.try_run("send", "me", "-", stdin=data), 65, "UTF-8")
    if b"\0" not in data:
        check_refusal(run_with(alice, "send", "me", data), 65, "UTF-8")
        check_refusal(run_with(alice, "send", data, "hi"), 65)
        check_refusal(run_with(alice, "attach", "send", "me", "/etc/hostname", "--caption", data), 65)
    assert storage_requests(shared_net) == before


def test_an_input_that_can_not_be_read(person: People) -> None:
    alice = person("Alice")
    for command in (("send", "me", "-"), ("attach", "send", "me", "-")):
        with Path("/dev/null").open("wb") as write_only:
            check_refusal(run_with(alice, *command, stdin=write_only), 66, "standard input")
        closed = subprocess.run(
            ["sh", "-c", '"$@" <&-', "sh", *SESSION, *command], env=alice.environment, capture_output=True, check=False
        )
        assert closed.returncode in (65, 66)
        check_message(closed.stderr.decode())


TEXTS = {
    "emoji with joiners": "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽",
    "scripts with joiners": "می‌خواهم क्‍ष",
    "right to left": "שלום עולם",
    "line ends": "one\ntwo\n\n  three\ttab",
    "combining": "e\u0301 Z\u0351\u036b\u0343",
    "NUL": "before\0after",
    "outer planes": "\U00020000 \U0001f9d1\u200d\U0001f680",
    "no characters": "\ufdd0\uffff",
    "windows": "one\r\ntwo",
    "like an option": "--help",
    "like JSON": '{"v":1,"type":"message"}',
}


def test_texts_arrive_unchanged(person: People) -> None:
    alice, bob = person("Alice"), person("Bob")
    for text in TEXTS.values():
        alice.run("send", bob.id, "-", stdin=text.encode())
    as_arguments = [TEXTS["windows"], TEXTS["like an option"], TEXTS["outer planes"]]
    for text in as_arguments:
        alice.run("send", bob.id, "--", text)
    assert bodies(objects(bob.run("recv", "--json", "--peek"))) == [*TEXTS.values(), *as_arguments]
    shown = bob.run("recv").text
    for what in ("emoji with joiners", "scripts with joiners", "right to left", "combining"):
        assert TEXTS[what] in shown, "what scripts need is left as it is"


# --- files ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small_net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Devnet, Path]]:
    """A network whose file server takes only small files."""
    with Devnet(DevnetOptions(nodes=5, swarms=1, max_file_size=10_000)) as net:
        definition = tmp_path_factory.mktemp("small") / "network.toml"
        net.write_definition(definition)
        yield net, definition


def test_files_that_can_not_be_sent(person: People, shared_net: Devnet, tmp_path: Path) -> None:
    alice, before = person("Alice"), (uploads(shared_net), storage_requests(shared_net))
    empty = tmp_path / "empty"
    empty.touch()
    good = tmp_path / "good"
    good.write_text("good")
    for command in (("send", "me", "hi", "--attach"), ("attach", "send", "me")):
        check_refusal(alice.try_run(*command, str(tmp_path / "none")), 66, "none", "No such file")
        check_refusal(alice.try_run(*command, str(tmp_path)), 66, str(tmp_path), "folder")
        check_refusal(alice.try_run(*command, str(good) + "/below"), 66)
        check_refusal(alice.try_run(*command, str(tmp_path / ("n" * 300))), 66)
        check_refusal(alice.try_run(*command, ""), 66)
        refused = alice.try_run(*command, str(empty))
        check_refusal(refused, 65, "empty")
        refused = alice.try_run(*command, str(tmp_path / "with\x1b[31m\nname"))
        check_refusal(refused, 66)
        assert "\x1b" not in refused.stderr
    assert (uploads(shared_net), storage_requests(shared_net)) == before


def test_one_bad_file_of_several_sends_none(person: People, shared_net: Devnet, tmp_path: Path) -> None:
    alice, before = person("Alice"), (uploads(shared_net), storage_requests(shared_net))
    good, empty = tmp_path / "good", tmp_path / "empty"
    good.write_text("good")
    empty.touch()
    for bad, code in ((tmp_path / "none", 66), (empty, 65)):
        check_refusal(alice.try_run("attach", "send", "me", str(good), str(bad)), code)
        assert storage_requests(shared_net) == before[1]
    assert uploads(shared_net) == before[0], "what can be known beforehand is looked at before anything is uploaded"


def obey_permissions() -> None:
    """Between fork and exec: take from root the right to read everything."""
    if os.geteuid() == 0:
        drop_from_bounding_set, overriding, searching = 24, 1, 2
        library = ctypes.CDLL(None)
        for capability in (overriding, searching):
            library.prctl(drop_from_bounding_set, capability, 0, 0, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="how root is made to obey is Linux's own")
def test_a_file_without_permission(person: People, tmp_path: Path) -> None:
    alice = person("Alice")
    secret = tmp_path / "secret"
    secret.write_text("not for you")
    secret.chmod(0)
    refused = run_with(alice, "attach", "send", "me", str(secret), preexec_fn=obey_permissions)
    check_refusal(refused, 66, "secret", "Permission denied")
    refused = run_with(alice, "send", "me", "hi", "--attach", str(secret), preexec_fn=obey_permissions)
    check_refusal(refused, 66, "secret", "Permission denied")


@pytest.mark.skipif(sys.platform != "linux", reason="how root is made to obey is Linux's own")
def test_a_profile_without_permission(person: People, tmp_path: Path) -> None:
    alice = person("Alice")
    profile = alice.home / "data" / "profiles" / "default"
    for path, mode in ((profile, 0), (profile / "messages.db", 0), (profile, 0o500)):
        path.chmod(mode)
        refused = run_with(alice, "send", "me", "hi", preexec_fn=obey_permissions)
        assert refused.code in (74, 77), refused
        check_message(refused.stderr)
        path.chmod(0o700 if path.is_dir() else 0o600)
    alice.run("send", "me", "hi")


def test_the_lack_of_permission_in_the_profile(person: People, tmp_path: Path) -> None:
    alice = person("Alice")
    (alice.home / "data" / "profiles").rename(tmp_path / "profiles")
    (alice.home / "data" / "profiles").write_text("a file where a folder should be")
    refused = alice.try_run("whoami")
    assert refused.code in (74, 78)
    assert "bug" not in refused.stderr
    assert "Traceback" not in refused.stderr


def test_over_the_limit(small_net: tuple[Devnet, Path], tmp_path: Path) -> None:
    net, definition = small_net
    alice = Person(tmp_path / "alice", definition).init()
    large = tmp_path / "large"
    large.write_bytes(bytes(10_000))
    before = uploads(net), storage_requests(net)
    for command in (("attach", "send", "me", str(large)), ("send", "me", "hi", "--attach", str(large))):
        check_refusal(alice.try_run(*command), 65, "large", "bytes")
    check_json_refusal(alice.try_run("attach", "send", "--json", "me", str(large)), 65, "attachment_too_large")
    with Path("/dev/zero").open("rb") as endless:
        refused = run_with(alice, "attach", "send", "me", "-", stdin=endless, timeout=20)
    check_refusal(refused, 65, "standard input")
    assert (uploads(net), storage_requests(net)) == before
    limit = int("".join(filter(str.isdigit, refused.stderr.rpartition("up to")[2])))
    largest = tmp_path / "largest"
    largest.write_bytes(os.urandom(limit))
    alice.run("attach", "send", "me", str(largest))
    largest.write_bytes(os.urandom(limit + 1))
    check_refusal(alice.try_run("attach", "send", "me", str(largest)), 65)
    alice.run("attach", "save", "1", "-o", str(tmp_path / "back"))
    assert (tmp_path / "back").stat().st_size == limit


def test_more_files_than_a_message_holds(person: People, tmp_path: Path) -> None:
    alice, bob = person("Alice"), person("Bob")
    file = tmp_path / "file"
    file.write_text("x")
    done = alice.try_run("attach", "send", bob.id, *[str(file)] * 33)
    if done.code == 0:
        assert [len(message["attachments"]) for message in bob.receive()] == [33], "sent is sent readable"
    else:
        check_refusal(done, 65, "32")


def test_output_that_fails_after_sending(person: People) -> None:
    """The message is on its way; that its number could not be printed is an error, but not a traceback."""
    alice, bob = person("Alice"), person("Bob")
    with Path("/dev/full").open("wb") as full:
        check_refusal(run_with(alice, "send", bob.id, "hi", stdout=full), 74)
    assert bodies(bob.receive()) == ["hi"]
    alice.run("send", bob.id, "again")
    assert bodies(bob.receive()) == ["again"]


def test_received_is_what_could_be_printed(person: People) -> None:
    alice, bob = person("Alice"), person("Bob")
    alice.run("send", bob.id, "one")
    alice.run("send", bob.id, "two")
    for options in ((), ("--json",)):
        with Path("/dev/full").open("wb") as full:
            check_refusal(run_with(bob, "recv", *options, stdout=full), 74)
    assert bodies(bob.receive()) == ["one", "two"]
