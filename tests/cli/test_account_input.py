"""Making, restoring and opening accounts, with what people mistype, lose and break."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from session_cli.protocol import phrase as phrases
from session_cli.protocol.account import Identity
from tests.support.devnet import Person
from tests.support.outcomes import assert_private, check_json_refusal, check_refusal, files_below, objects, run_with

People = Callable[[str], Person]
SEED = bytes.fromhex("0123456789abcdef0123456789abcdef")
LONG_SEED = bytes(range(32))
WORDS = phrases.encode_session(SEED).split()
PHRASE = " ".join(WORDS)
ID = Identity.from_seed(SEED).account_id
LONG_ID = Identity.from_seed(LONG_SEED).account_id


@pytest.fixture
def newcomer(shared_definition: Path, tmp_path: Path) -> Person:
    """Somebody who has no account yet."""
    return Person(tmp_path / "home", shared_definition)


def contents_of(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in files_below(folder)}


# --- init ----------------------------------------------------------------------------------------------------------


def test_the_phrase_goes_to_stderr_alone(newcomer: Person) -> None:
    made = newcomer.run("init")
    account_id = made.text.strip()
    assert made.text == account_id + "\n"
    phrase = newcomer.run("phrase", "--yes").text.strip()
    assert phrase in " ".join(made.stderr.split()), "whole words, whatever the width of the terminal"
    assert Identity.from_seed(phrases.decode(phrase).seed).account_id == account_id


@pytest.mark.parametrize("count", [12, 13, 24])
def test_the_phrase_goes_to_a_new_private_file(count: int, newcomer: Person, tmp_path: Path) -> None:
    file = tmp_path / "phrase.txt"
    made = run_with(newcomer, "init", "--words", str(count), "--phrase-file", str(file), "--json", umask=0)
    (account,) = objects(made)
    phrase = file.read_text()
    assert len(phrase.split()) == count
    assert phrase.strip() not in made.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    restored = Person(tmp_path / "other", newcomer.network).run("restore", "--phrase-file", str(file))
    assert restored.text.strip() == account["id"]


@pytest.mark.parametrize("there", ["a file", "a folder", "a dangling link"])
def test_a_phrase_file_that_is_there_is_left_alone(there: str, newcomer: Person, tmp_path: Path) -> None:
    file = tmp_path / "phrase.txt"
    if there == "a file":
        file.write_text("precious")
    elif there == "a folder":
        file.mkdir()
    else:
        file.symlink_to(tmp_path / "elsewhere")
    refused = newcomer.try_run("init", "--quiet", "--phrase-file", str(file))
    check_refusal(refused, 73, "phrase.txt")
    assert not newcomer.home.exists(), "no account without its phrase in the right place"
    assert not (tmp_path / "elsewhere").exists()
    if there == "a file":
        assert file.read_text() == "precious"


def test_a_phrase_file_in_no_folder(newcomer: Person, tmp_path: Path) -> None:
    refused = newcomer.try_run("init", "--quiet", "--phrase-file", str(tmp_path / "none" / "phrase"))
    check_refusal(refused, 73, "none")
    assert not newcomer.home.exists()


def test_a_second_init_harms_nothing(person: People) -> None:
    alice = person("Alice")
    before = contents_of(alice.home)
    for command in (("init", "--name", "Mallory"), ("init", "--key", "passphrase"), ("init", "--words", "24")):
        assert alice.try_run(*command).code == 73
    assert contents_of(alice.home) == before
    assert alice.run("whoami", "--quiet").text.strip() == alice.id


def test_many_inits_at_once_make_one_account(newcomer: Person) -> None:
    import subprocess

    started = [newcomer.start("init", "--quiet", stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)]
    ended = [(process.communicate(timeout=60)[0], process.returncode) for process in started]
    assert sorted(code for _, code in ended) == [0, 73, 73, 73]
    (account_id,) = [output for output, code in ended if code == 0]
    assert newcomer.run("whoami", "--quiet").stdout == account_id
    assert len(list((newcomer.home / "config" / "keys").iterdir())) == 1, "no key that opens nothing"


@pytest.mark.parametrize("mask", [0o000, 0o077, 0o022, 0o777])
def test_everything_is_private_under_any_umask(mask: int, newcomer: Person) -> None:
    assert run_with(newcomer, "init", "--quiet", umask=mask).code == 0
    assert run_with(newcomer, "send", "me", "hi", umask=mask).code == 0
    assert run_with(newcomer, "recv", umask=mask).code == 0
    assert_private(newcomer.home)


def test_hostile_and_odd_names(newcomer: Person) -> None:
    for name in ("", "  ", "\u200d", "a\x1b[31mb", "a\nb", "a\u202eb", "é" * 51):
        check_refusal(newcomer.try_run("init", "--quiet", "--name", name), 65, "name")
        assert not newcomer.home.exists(), name
    newcomer.run("init", "--quiet", "--name", f" {'é' * 50}\n")
    (account,) = objects(newcomer.run("whoami", "--json"))
    assert account["name"] == "é" * 50


def test_a_name_that_is_no_text(newcomer: Person) -> None:
    refused = run_with(newcomer, "init", "--quiet", "--name", b"\xff\xfe")
    check_refusal(refused, 65)
    assert not newcomer.home.exists()


# --- restore -------------------------------------------------------------------------------------------------------

GOOD = {
    "13 words": (PHRASE, ID),
    "12 words": (phrases.encode_bip39(SEED), ID),
    "24 words": (phrases.encode_bip39(LONG_SEED), LONG_ID),
    "25 words": (phrases.encode_session(LONG_SEED), LONG_ID),
    "upper case": (PHRASE.upper(), ID),
    "odd spacing": ("\n\t " + "  \r\n\t".join(WORDS) + "   \n\n", ID),
    "no line end": (PHRASE, ID),
}


@pytest.mark.parametrize("form", GOOD)
def test_restoring(form: str, newcomer: Person) -> None:
    text, account_id = GOOD[form]
    restored = newcomer.run("restore", "--expect", account_id, stdin=text.encode())
    assert restored.text == account_id + "\n"


def test_restoring_from_the_seed(newcomer: Person) -> None:
    assert newcomer.run("restore", "--seed-hex", stdin=SEED.hex().encode() + b"\n").text == ID + "\n"


def changed(position: int, word: str) -> str:
    return " ".join([*WORDS[: position - 1], word, *WORDS[position:]])


BAD = {
    "nothing": "",
    "blank": " \n\n",
    "12 words of 13": " ".join(WORDS[:12]),
    "11 words": " ".join(WORDS[:11]),
    "14 words": PHRASE + " " + WORDS[0],
    "wrong checksum": " ".join([*WORDS[:12], next(word for word in WORDS if word != WORDS[12])]),
    "two words exchanged": " ".join([WORDS[1], WORDS[0], *WORDS[2:]]),
    "an account id": ID,
    "an account id and more": ID + " " + PHRASE,
    "control characters": PHRASE.replace(" ", "\x1b[31m ", 1),
    "far too long": PHRASE * 1000,
}


@pytest.mark.parametrize("what", BAD)
def test_no_phrase(what: str, newcomer: Person) -> None:
    refused = newcomer.try_run("restore", "--quiet", stdin=BAD[what].encode())
    check_refusal(refused, 65)
    assert "\x1b" not in refused.stderr
    assert sum(word in refused.stderr.split() for word in set(WORDS)) <= 1, "it does not quote the phrase"
    assert not newcomer.home.exists(), "nothing was made"


def test_a_typo_is_named(newcomer: Person) -> None:
    typo = WORDS[4][0] + "q" + WORDS[4][2:]  # the first three letters decide
    refused = newcomer.try_run("restore", "--quiet", stdin=changed(5, typo).encode())
    check_refusal(refused, 65, typo, "5", WORDS[4])
    for word in set(WORDS) - {WORDS[4]}:
        assert word not in refused.stderr


def test_an_account_id_is_recognised(newcomer: Person) -> None:
    check_refusal(newcomer.try_run("restore", "--quiet", stdin=ID.encode()), 65, "account id")


def test_a_phrase_that_is_no_text(newcomer: Person) -> None:
    check_refusal(newcomer.try_run("restore", "--quiet", stdin=b"\xff\xfe" + PHRASE.encode("utf-16-le")), 65)
    assert not newcomer.home.exists()


def test_another_account_than_expected(newcomer: Person) -> None:
    for expected in (LONG_ID, ID[:-1], "nonsense", ""):
        refused = newcomer.try_run("restore", "--quiet", "--expect", expected, stdin=PHRASE.encode())
        check_refusal(refused, 65)
        assert not newcomer.home.exists()
    newcomer.run("restore", "--expect", f" {ID.upper()} ", stdin=PHRASE.encode())


@pytest.mark.parametrize("text", ["", "0123", "g" * 32, SEED.hex() * 3, PHRASE])
def test_no_seed(text: str, newcomer: Person) -> None:
    refused = newcomer.try_run("restore", "--quiet", "--seed-hex", stdin=text.encode())
    check_refusal(refused, 65)
    assert not newcomer.home.exists()
    if text:
        assert text not in refused.stderr


@pytest.mark.parametrize("what", ["missing", "folder", "endless"])
def test_no_phrase_file(what: str, newcomer: Person, tmp_path: Path) -> None:
    path = {"missing": tmp_path / "none", "folder": tmp_path, "endless": Path("/dev/zero")}[what]
    refused = newcomer.try_run("restore", "--quiet", "--phrase-file", str(path))
    check_refusal(refused, 65 if what == "endless" else 66)
    assert not newcomer.home.exists()


def test_restoring_without_a_network_works(newcomer: Person, tmp_path: Path) -> None:
    """The account is there; its messages come later."""
    dead = tmp_path / "dead.toml"
    text = Path(newcomer.network).read_text()
    import re

    dead.write_text(re.sub(r'url = "https://127.0.0.1:\d+"', 'url = "https://127.0.0.1:1"', text))
    newcomer.network = dead
    restored = newcomer.run("restore", stdin=PHRASE.encode())
    assert restored.text == ID + "\n"
    assert "has to wait" in restored.stderr


# --- keys ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["variable", "file", "command"])
def test_a_passphrase_from_its_sources(source: str, newcomer: Person, tmp_path: Path) -> None:
    file = tmp_path / "passphrase"
    file.write_text("correct horse\nsecond line\n")
    newcomer.extra = {
        "variable": {"SESSION_PASSPHRASE": "correct horse"},
        "file": {"SESSION_PASSPHRASE_FILE": str(file)},
        "command": {"SESSION_PASSPHRASE_COMMAND": f"cat '{file}'"},
    }[source]
    newcomer.init("--key", "passphrase")
    newcomer.extra = {"SESSION_PASSPHRASE": "correct horse"}
    assert newcomer.run("whoami", "--quiet").text.strip() == newcomer.id
    assert not list(newcomer.home.glob("config/keys/*"))


def test_two_passphrases_at_once(newcomer: Person, tmp_path: Path) -> None:
    newcomer.extra = {"SESSION_PASSPHRASE": "one", "SESSION_PASSPHRASE_FILE": str(tmp_path / "file")}
    refused = newcomer.try_run("init", "--quiet", "--key", "passphrase")
    check_refusal(refused, 2, "SESSION_PASSPHRASE", "SESSION_PASSPHRASE_FILE")
    assert list(files_below(newcomer.home)) == []


BROKEN_SOURCES = {
    "none": {},
    "missing file": {"SESSION_PASSPHRASE_FILE": "/no/such/file"},
    "folder": {"SESSION_PASSPHRASE_FILE": "/"},
    "empty file": {"SESSION_PASSPHRASE_FILE": "/dev/null"},
    "failing command": {"SESSION_PASSPHRASE_COMMAND": "false --with hush"},
    "silent command": {"SESSION_PASSPHRASE_COMMAND": "true --with hush"},
    "missing command": {"SESSION_PASSPHRASE_COMMAND": "/no/such/program hush"},
    "malformed command": {"SESSION_PASSPHRASE_COMMAND": "'hush"},
}


@pytest.mark.parametrize("source", BROKEN_SOURCES)
def test_a_passphrase_that_does_not_come(source: str, newcomer: Person) -> None:
    newcomer.extra = BROKEN_SOURCES[source]
    refused = newcomer.try_run("init", "--quiet", "--key", "passphrase")
    check_refusal(refused, 77)
    assert "hush" not in refused.stderr
    assert list(files_below(newcomer.home)) == [], "nothing half made stays"


def test_a_key_from_a_command(newcomer: Person, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("00112233445566778899aabbccddeeff" * 2 + "\n")
    newcomer.init("--key-command", f"cat {key}")
    assert newcomer.run("whoami", "--quiet").text.strip() == newcomer.id
    key.write_text("ff112233445566778899aabbccddeeff" * 2 + "\n")
    check_refusal(newcomer.try_run("whoami"), 77)
    key.unlink()
    refused = newcomer.try_run("whoami")
    assert refused.code == 77
    assert refused.stderr.splitlines()[-1].startswith("session: "), "after what the command itself had to say"


def test_the_key_file_is_gone(person: People) -> None:
    alice = person("Alice")
    (key_file,) = (alice.home / "config" / "keys").iterdir()
    content = key_file.read_bytes()
    key_file.unlink()
    check_refusal(alice.try_run("whoami"), 77, str(key_file))
    key_file.write_bytes(bytes(32))
    key_file.chmod(0o600)
    check_refusal(alice.try_run("whoami"), 77)
    key_file.write_bytes(b"short")
    check_refusal(alice.try_run("whoami"), 77)
    key_file.write_bytes(content)
    key_file.chmod(0o644)
    check_refusal(alice.try_run("whoami"), 77, "chmod 600")
    key_file.chmod(0o600)
    assert alice.run("whoami", "--quiet").text.strip() == alice.id


@pytest.mark.parametrize("how", ["emptied", "overwritten", "cut", "another profile's", "a folder"])
def test_a_damaged_database(how: str, person: People) -> None:
    alice = person("Alice")
    alice.run("send", "me", "hi")
    database = alice.home / "data" / "profiles" / "default" / "messages.db"
    content = database.read_bytes()
    if how == "emptied":
        database.write_bytes(b"")
    elif how == "overwritten":
        database.write_bytes(b"garbage" * 1000)
    elif how == "cut":
        database.write_bytes(content[:5000])
    elif how == "a folder":
        database.unlink()
        database.mkdir()
    else:
        alice.run("init", "--quiet", "--profile", "second")
        database.write_bytes((alice.home / "data/profiles/second/messages.db").read_bytes())
    before = database.read_bytes() if database.is_file() else b""
    for command in (("whoami",), ("recv",), ("send", "me", "hi")):
        refused = alice.try_run(*command)
        check_refusal(refused, 74 if how == "a folder" else 65)
    if how != "a folder":
        assert database.read_bytes() == before, "nothing was overwritten"


def test_a_damaged_key_header(person: People) -> None:
    alice = person("Alice")
    header = alice.home / "data" / "profiles" / "default" / "key.json"
    content = header.read_bytes()
    for damaged in (b"", b"{}", b"[1]", b"null", b"\xff", content[:-20], content.replace(b"keyfile", b"keyring")):
        header.write_bytes(damaged)
        check_refusal(alice.try_run("whoami"), 65, "key.json")
    header.write_bytes(content)
    assert alice.run("whoami", "--quiet").text.strip() == alice.id


@pytest.mark.parametrize("content", [b"network = 5\n", b"\xff", b"= nonsense", b"[network]\nx = 1\n"])
def test_a_broken_configuration_file(content: bytes, person: People) -> None:
    alice = person("Alice")
    (alice.home / "config" / "config.toml").write_bytes(content)
    bare = Person(alice.home, "")
    check_refusal(bare.try_run("recv"), 78, "config.toml:1: ")


# --- whoami and the network ----------------------------------------------------------------------------------------


def test_whoami_in_its_forms(person: People) -> None:
    alice = person("Alice")
    assert alice.run("whoami", "--quiet").text == alice.id + "\n"
    (account,) = objects(alice.run("whoami", "--json"))
    assert (account["type"], account["id"], account["name"]) == ("account", alice.id, "Alice")
    assert account["store"]["key"] == "keyfile"
    text = alice.run("whoami").text
    assert alice.id in text
    assert "Alice" in text


def test_no_network_definition(newcomer: Person, tmp_path: Path) -> None:
    newcomer.network = tmp_path / "none.toml"
    check_refusal(newcomer.try_run("init", "--quiet"), 78, "none.toml")
    check_json_refusal(newcomer.try_run("init", "--quiet", "--json"), 78, "invalid_network_definition")
    assert not newcomer.home.exists()


DEFINITION = """
id = "x"
name = "x"
[[seeds]]
url = "https://127.0.0.1:1"
[file_server]
url = "http://127.0.0.1:1"
ed25519 = "{0}"
x25519 = "{0}"
""".format("ab" * 32)

BROKEN_DEFINITIONS = {
    "empty": "",
    "no TOML": "= = =",
    "no seeds": DEFINITION.replace("[[seeds]]", "[[sods]]"),
    "seeds of another kind": DEFINITION.replace("[[seeds]]", "[seeds]"),
    "a bad URL": DEFINITION.replace("https://127.0.0.1:1", "127.0.0.1"),
    "a bad port": DEFINITION.replace("https://127.0.0.1:1", "https://127.0.0.1:99999"),
    "a bad key": DEFINITION.replace("ab" * 32, "zz" * 32),
    "a bad pin": DEFINITION.replace("[file_server]", 'certificate_sha256 = "12"\n[file_server]'),
    "no id": DEFINITION.replace('id = "x"\n', "id = 7\n"),
    "a path for an id": DEFINITION.replace('id = "x"', 'id = "../../escape"'),
    "no hops": DEFINITION.replace('id = "x"', 'id = "x"\nhops = 0'),
    "a negative limit": DEFINITION + "max_file_size = -5\n",
    "a community that is no table": 'community = "x"\n' + DEFINITION,
    "a community without key": DEFINITION + '[community]\nurl = "http://127.0.0.1:1"\n',
    "a community without URL": DEFINITION + f'[community]\nx25519 = "{"ab" * 32}"\n',
    "a room that is none": DEFINITION
    + f'[community]\nurl = "http://127.0.0.1:1"\nx25519 = "{"ab" * 32}"\nrooms = ["a/b"]\n',
}


@pytest.mark.parametrize("what", BROKEN_DEFINITIONS)
def test_a_malformed_network_definition(what: str, tmp_path: Path) -> None:
    path, newcomer = tmp_path / "broken.toml", Person(tmp_path / "home", "")
    path.write_text(BROKEN_DEFINITIONS[what])
    newcomer.network = path
    check_refusal(newcomer.try_run("init", "--quiet"), 78, "broken.toml")
    assert not newcomer.home.exists()


def test_a_network_definition_that_is_no_text(newcomer: Person, tmp_path: Path) -> None:
    for path in (tmp_path, Path("/dev/null"), tmp_path / "binary"):
        if path.name == "binary":
            path.write_bytes(b"\xff\xfe\x00")
        newcomer.network = path
        check_refusal(newcomer.try_run("init", "--quiet"), 78, str(path))


def test_another_network_than_the_profiles(person: People, tmp_path: Path) -> None:
    alice = person("Alice")
    other = tmp_path / "other.toml"
    other.write_text(DEFINITION)
    alice.network = other
    for command in (("send", "me", "hi"), ("recv",), ("attach", "send", "me", "/etc/hostname")):
        check_refusal(alice.try_run(*command), 78, "default", "'x'")
    check_refusal(alice.try_run("recv", "--network", "testnet"), 78, "testnet")


def test_the_definition_went_away(shared_definition: Path, tmp_path: Path) -> None:
    """Its owner is told which one, and that a local network may have been stopped."""
    copy = tmp_path / "copy.toml"
    copy.write_bytes(shared_definition.read_bytes())
    alice = Person(tmp_path / "alice", copy).init()
    copy.unlink()
    check_refusal(Person(alice.home, "").try_run("recv"), 78, "copy.toml", "stopped")
    assert alice.run("whoami", "--quiet").text.strip() == alice.id
