"""After a tour through the program: nothing that was said, and no secret, lies anywhere in clear."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest

from session_cli.devnet.network import Devnet
from session_cli.protocol import phrase as phrases
from session_cli.protocol.account import Identity
from tests.support.devnet import Person
from tests.support.outcomes import assert_absent, assert_private, run_with

TEXTS = [b"a text that nobody else may read", b"an answer for two pairs of eyes", b"a caption of the two"]
NAMES = ["Alice-Whose-Name-Is-Private", "Bob-Whose-Name-Is-Private"]
FILE_NAME = "private-file-name.txt"


def spelled(secret: bytes) -> list[bytes]:
    """Raw and in the ways in which bytes are usually written."""
    encoded = [secret, secret.hex().encode(), secret.hex().upper().encode()]
    for shift in range(3):
        # Wherever it begins in a longer text in base64; the ends, which depend on the neighbours, are cut off.
        text = base64.b64encode(bytes(shift) + secret)[4:-4]
        encoded += [text, text.replace(b"+", b"-").replace(b"/", b"_")]
    return encoded


def seed_secrets(phrase: str) -> list[bytes]:
    """The phrase, parts of it, and the keys that come of it."""
    words = phrase.split()
    identity = Identity.from_seed(phrases.decode(phrase).seed)
    found = [" ".join(words[start : start + 3]).encode() for start in range(len(words) - 2)]
    for key in (identity.short_seed, identity.seed[:32], identity.x25519_secret):
        found += spelled(key)
    return found


@pytest.mark.parametrize("method", ["keyfile", "passphrase"])
def test_a_tour_leaves_nothing_in_clear(
    method: str, shared_net: Devnet, shared_definition: Path, tmp_path: Path
) -> None:
    passphrase = "correct horse battery staple"
    extra = {"SESSION_PASSPHRASE": passphrase} if method == "passphrase" else {}
    contents = b"contents of a file that stays between two\n" * 200
    file = tmp_path / FILE_NAME
    file.write_bytes(contents)
    people = [Person(tmp_path / name, shared_definition, extra=extra) for name in ("one", "two", "three")]
    alice, bob, laptop = people

    def run(who: Person, *arguments: str, stdin: bytes = b"") -> str:
        done = run_with(who, *arguments, input=stdin, umask=0)
        assert done.code == 0, done.stderr
        return done.text

    for who, name in ((alice, NAMES[0]), (bob, NAMES[1])):
        who.id = run(who, "init", "--quiet", "--name", name, "--key", method).strip()
    run(alice, "send", bob.id, "-", stdin=TEXTS[0])
    run(bob, "recv")
    run(bob, "send", alice.id, TEXTS[1].decode())
    run(alice, "attach", "send", bob.id, str(file), "--caption", TEXTS[2].decode())
    run(alice, "-vv", "recv", "--json")
    run(bob, "recv")
    run(bob, "attach", "save", "3", "-o", str(tmp_path / "saved.txt"))
    assert (tmp_path / "saved.txt").read_bytes() == contents
    phrase = run(alice, "phrase", "--yes").strip()
    run(laptop, "restore", "--quiet", "--name", NAMES[0], "--key", method, stdin=phrase.encode())
    run(laptop, "recv")
    run(laptop, "attach", "save", "3", "-o", "-")

    secrets = [*TEXTS, *(name.encode() for name in NAMES), FILE_NAME.encode(), contents[:40], passphrase.encode()]
    secrets += seed_secrets(phrase) + seed_secrets(run(bob, "phrase", "--yes"))
    assert shared_net.options.data_dir is not None
    for folder in (alice.home, bob.home, laptop.home, shared_net.options.data_dir):
        assert_absent(folder, *secrets)
    for who in people:
        assert_private(who.home)
        if method == "passphrase":
            assert not list(who.home.glob("config/keys/*"))
        else:
            (key_file,) = who.home.glob("config/keys/*")
            key = key_file.read_bytes()
            for folder in (who.home / "data", who.home / "cache"):
                assert_absent(folder, *spelled(key))
    # Whom one talks to is nobody's business either; the network needs to know where things go, the disk does not.
    for who in people:
        assert_absent(who.home, alice.id.encode(), bob.id.encode(), bytes.fromhex(bob.id), bytes.fromhex(alice.id))


@pytest.mark.skipif(sys.platform != "linux", reason="other processes' arguments are read from /proc")
def test_the_command_line_shows_no_secret(shared_definition: Path, tmp_path: Path) -> None:
    """While it runs: neither a phrase nor a passphrase is in its arguments, nor in those of what it starts."""
    passphrase_file, seen = tmp_path / "passphrase", tmp_path / "seen"
    passphrase_file.write_text("correct horse\n")
    script = tmp_path / "ask"
    script.write_text(f"#!/bin/sh\ncat /proc/$PPID/cmdline /proc/$PPID/environ > '{seen}'; cat '{passphrase_file}'\n")
    script.chmod(0o700)
    phrase = phrases.encode_session(os.urandom(16))
    alice = Person(tmp_path / "alice", shared_definition, extra={"SESSION_PASSPHRASE_COMMAND": str(script)})
    process = alice.start(
        "restore", "--key", "passphrase", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    _, errors = process.communicate(phrase.encode(), timeout=60)
    assert process.returncode == 0, errors
    assert b"restore" in seen.read_bytes()
    assert_absent(seen.parent / "alice", b"correct horse", *seed_secrets(phrase))
    for secret in (b"correct horse", *seed_secrets(phrase)):
        assert secret not in seen.read_bytes()
        assert secret not in errors
