from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from keyring.backend import KeyringBackend
from keyring.backends import chainer, fail, null

from session_cli import private_files
from session_cli.errors import (
    KeySourceFailed,
    NotConfigured,
    ProfileExists,
    StoreDamaged,
    StoreError,
    StoreTooNew,
    StoreUnwritable,
    UsageError,
    WrongKey,
)
from session_cli.store import key as key_module
from session_cli.store import key_sources
from session_cli.store.key import (
    HEADER_NAME,
    Argon2Cost,
    KeyInfo,
    KeyMethod,
    KeySources,
    create_key,
    describe_key,
    keyring_is_usable,
    open_key,
    rewrap_key,
)
from session_cli.store.locations import Locations

from .conftest import CHEAP, SourcesMaker
from .keyrings import MemoryKeyring, UnsafeKeyring

MEMORY_KEYRING = "tests.unit.store.keyrings.MemoryKeyring"
HEX = "0123456789abcdef" * 4
BASE64 = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHvs="

SECRET = "-".join(["correct", "horse"])  # in one piece it would stand in tracebacks as part of this source
NONSENSE: tuple[Any, ...] = (None, "", "00", 0, -1, 1.5, True, [], {}, HEX * 100, {"salt": 1})

posix = pytest.mark.skipif(os.name != "posix", reason="file modes and signals are POSIX's")


@pytest.fixture
def memory_keyring(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[tuple[str, str], str]]:
    monkeypatch.setattr("keyring.core._keyring_backend", MemoryKeyring())
    MemoryKeyring.entries.clear()
    yield MemoryKeyring.entries
    MemoryKeyring.entries.clear()
    MemoryKeyring.locked = MemoryKeyring.lossy = False


def printing(text: str) -> str:
    """A command line that prints `text`."""
    return f"{sys.executable} -c \"print('{text}')\""


def header_of(profile_dir: Path) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads((profile_dir / HEADER_NAME).read_bytes())
    return fields


def write_header(profile_dir: Path, fields: dict[str, Any], *, mend: bool) -> None:
    """Replace the header; with `mend`, give it the check sum that fits, as an attacker would."""
    if mend:
        fields = {name: value for name, value in fields.items() if name != "check"}
        fields["check"] = key_module._check_sum(fields)
    (profile_dir / HEADER_NAME).write_text(json.dumps(fields))


class TestEachMethod:
    @pytest.mark.parametrize("method", KeyMethod)
    def test_round_trip(
        self, method: KeyMethod, profile_dir: Path, sources: SourcesMaker, memory_keyring: object
    ) -> None:
        given = sources(SESSION_PASSPHRASE="correct horse")
        command = printing(HEX) if method is KeyMethod.COMMAND else None
        made = create_key(profile_dir, method, secrets=given, command=command)
        assert len(made) == 32
        assert open_key(profile_dir, secrets=given) == made
        assert describe_key(profile_dir).method is method
        assert made.hex() not in (profile_dir / HEADER_NAME).read_text()

    @pytest.mark.parametrize("method", KeyMethod)
    def test_an_existing_profile_is_left_as_it_is(
        self, method: KeyMethod, profile_dir: Path, sources: SourcesMaker, memory_keyring: object
    ) -> None:
        create_key(profile_dir, KeyMethod.KEYFILE, secrets=sources())
        before = (profile_dir / HEADER_NAME).read_bytes()
        with pytest.raises(ProfileExists):
            create_key(profile_dir, method, secrets=sources(SESSION_PASSPHRASE="x"), command=printing(HEX))
        assert (profile_dir / HEADER_NAME).read_bytes() == before

    def test_keys_are_new_each_time(self, locations: Locations, sources: SourcesMaker) -> None:
        made = {create_key(locations.profile_dir(f"p{n}"), KeyMethod.KEYFILE, secrets=sources()) for n in range(5)}
        assert len(made) == 5

    @posix
    def test_files_are_private_under_any_umask(
        self, profile_dir: Path, locations: Locations, sources: SourcesMaker, any_umask: int
    ) -> None:
        create_key(profile_dir, KeyMethod.KEYFILE, secrets=sources())
        root = locations.data.parent
        for path in [root, *root.rglob("*")]:
            assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path

    def test_no_profile(self, profile_dir: Path, sources: SourcesMaker) -> None:
        calls: list[Callable[[], object]] = [
            lambda: open_key(profile_dir, secrets=sources()),
            lambda: describe_key(profile_dir),
            lambda: rewrap_key(profile_dir, KeyMethod.KEYFILE, secrets=sources()),
        ]
        for call in calls:
            with pytest.raises(NotConfigured):
                call()
        assert not profile_dir.exists()

    @posix
    def test_a_read_only_folder(self, unprivileged: Path, sources: SourcesMaker) -> None:
        unprivileged.chmod(0o500)
        with pytest.raises(StoreUnwritable):
            create_key(unprivileged / "profile", KeyMethod.PASSPHRASE, secrets=sources(SESSION_PASSPHRASE="x"))

    def test_a_command_line_belongs_to_its_method(self, profile_dir: Path, sources: SourcesMaker) -> None:
        for method, command in [(KeyMethod.COMMAND, None), (KeyMethod.COMMAND, ""), (KeyMethod.KEYFILE, "echo")]:
            with pytest.raises(UsageError):
                create_key(profile_dir, method, secrets=sources(), command=command)
            assert not (profile_dir / HEADER_NAME).exists()


class TestPassphrase:
    @pytest.fixture
    def opened_by(self, profile_dir: Path, sources: SourcesMaker) -> bytes:
        return create_key(profile_dir, KeyMethod.PASSPHRASE, secrets=sources(SESSION_PASSPHRASE="correct horse"))

    def test_each_source(self, profile_dir: Path, sources: SourcesMaker, opened_by: bytes, tmp_path: Path) -> None:
        file = tmp_path / "passphrase"
        file.write_bytes(b"correct horse\r\nsecond line\n")
        for given in (
            sources(SESSION_PASSPHRASE="correct horse"),
            sources(SESSION_PASSPHRASE_FILE=str(file)),
            sources(SESSION_PASSPHRASE_COMMAND=printing("correct horse")),
            sources(prompt=lambda *, new: "correct horse"),
            sources(SESSION_PASSPHRASE="", SESSION_PASSPHRASE_FILE=str(file), prompt=None),
            sources(variable="MY_WORD", MY_WORD="correct horse", SESSION_PASSPHRASE="another"),
        ):
            assert open_key(profile_dir, secrets=given) == opened_by

    def test_the_prompt_knows_whether_the_passphrase_is_new(self, profile_dir: Path, sources: SourcesMaker) -> None:
        asked = []

        def prompt(*, new: bool) -> str:
            asked.append(new)
            return "correct horse"

        create_key(profile_dir, KeyMethod.PASSPHRASE, secrets=sources(prompt=prompt))
        open_key(profile_dir, secrets=sources(prompt=prompt))
        assert asked == [True, False]

    @pytest.mark.parametrize("wrong", ["Correct horse", "correct horse ", "c", "correct horse\0"])
    def test_a_wrong_one(self, wrong: str, profile_dir: Path, sources: SourcesMaker, opened_by: bytes) -> None:
        with pytest.raises(WrongKey, match="passphrase"):
            open_key(profile_dir, secrets=sources(prompt=lambda *, new: wrong))

    @pytest.mark.parametrize(
        "given",
        [
            {"SESSION_PASSPHRASE": "correct horse", "SESSION_PASSPHRASE_FILE": "/x"},
            {"SESSION_PASSPHRASE": "correct horse", "SESSION_PASSPHRASE_COMMAND": "x"},
            {"SESSION_PASSPHRASE_FILE": "/x", "SESSION_PASSPHRASE_COMMAND": "x"},
        ],
    )
    def test_two_sources(
        self, given: dict[str, str], profile_dir: Path, sources: SourcesMaker, opened_by: bytes
    ) -> None:
        with pytest.raises(UsageError) as caught:
            open_key(profile_dir, secrets=sources(**given))
        assert all(name in caught.value.message for name in given)
        assert "correct horse" not in caught.value.message

    def test_no_source(self, profile_dir: Path, sources: SourcesMaker, opened_by: bytes) -> None:
        with pytest.raises(KeySourceFailed) as caught:
            open_key(profile_dir, secrets=sources())
        for name in ("SESSION_PASSPHRASE,", "SESSION_PASSPHRASE_FILE", "SESSION_PASSPHRASE_COMMAND"):
            assert name in caught.value.message

    def test_an_empty_one(self, profile_dir: Path, sources: SourcesMaker, tmp_path: Path) -> None:
        file = tmp_path / "passphrase"
        file.write_bytes(b"\nsecond line")
        for given in (sources(prompt=lambda *, new: ""), sources(SESSION_PASSPHRASE_FILE=str(file))):
            with pytest.raises(KeySourceFailed, match="empty"):
                create_key(profile_dir, KeyMethod.PASSPHRASE, secrets=given)

    def test_a_missing_file(self, profile_dir: Path, sources: SourcesMaker, opened_by: bytes, tmp_path: Path) -> None:
        with pytest.raises(KeySourceFailed, match="SESSION_PASSPHRASE_FILE"):
            open_key(profile_dir, secrets=sources(SESSION_PASSPHRASE_FILE=str(tmp_path / "none")))

    def test_an_accent_has_one_spelling(self, profile_dir: Path, sources: SourcesMaker, tmp_path: Path) -> None:
        made = create_key(profile_dir, KeyMethod.PASSPHRASE, secrets=sources(SESSION_PASSPHRASE="caf\u00e9"))
        assert open_key(profile_dir, secrets=sources(SESSION_PASSPHRASE="cafe\u0301")) == made
        with pytest.raises(WrongKey):
            open_key(profile_dir, secrets=sources(SESSION_PASSPHRASE="cafe"))

    def test_any_bytes_will_do(self, profile_dir: Path, sources: SourcesMaker, tmp_path: Path) -> None:
        file = tmp_path / "passphrase"
        file.write_bytes(b"\xff\x00\xfe")
        given = sources(SESSION_PASSPHRASE_FILE=str(file))
        assert create_key(profile_dir, KeyMethod.PASSPHRASE, secrets=given) == open_key(profile_dir, secrets=given)

    def test_its_cost_is_kept(self, profile_dir: Path, sources: SourcesMaker, locations: Locations) -> None:
        dearer = Argon2Cost(2, 16 * 1024)
        given = KeySources(locations, "default", {"SESSION_PASSPHRASE": "x"}, cost=dearer)
        made = create_key(profile_dir, KeyMethod.PASSPHRASE, secrets=given)
        assert describe_key(profile_dir).cost == dearer
        assert open_key(profile_dir, secrets=sources(SESSION_PASSPHRASE="x")) == made

    def test_the_default_cost_is_libsodiums_moderate(self) -> None:
        from nacl import bindings as sodium

        assert Argon2Cost() == Argon2Cost(
            sodium.crypto_pwhash_argon2id_OPSLIMIT_MODERATE, sodium.crypto_pwhash_argon2id_MEMLIMIT_MODERATE
        )

    @posix
    def test_too_little_memory(self, profile_dir: Path, sources: SourcesMaker, monkeypatch: pytest.MonkeyPatch) -> None:
        from nacl import bindings as sodium
        from nacl.exceptions import RuntimeError as SodiumError

        def fail(*_arguments: object) -> bytes:
            raise SodiumError

        monkeypatch.setattr(sodium, "crypto_pwhash_alg", fail)
        with pytest.raises(KeySourceFailed, match="memory"):
            create_key(profile_dir, KeyMethod.PASSPHRASE, secrets=sources(SESSION_PASSPHRASE="x"))


class TestKeyFile:
    @pytest.fixture
    def key_file(self, profile_dir: Path, sources: SourcesMaker, locations: Locations) -> Path:
        create_key(profile_dir, KeyMethod.KEYFILE, secrets=sources())
        assert describe_key(profile_dir) == KeyInfo(KeyMethod.KEYFILE, key_file="default.key")
        return locations.key_files / "default.key"

    def test_it_is_apart_from_the_data(self, key_file: Path, locations: Locations) -> None:
        assert len(key_file.read_bytes()) == 32
        assert locations.data not in key_file.parents

    def test_missing(self, key_file: Path, profile_dir: Path, sources: SourcesMaker) -> None:
        key_file.unlink()
        with pytest.raises(KeySourceFailed, match="missing"):
            open_key(profile_dir, secrets=sources())

    @posix
    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
    def test_readable_by_others(self, mode: int, key_file: Path, profile_dir: Path, sources: SourcesMaker) -> None:
        key_file.chmod(mode)
        with pytest.raises(KeySourceFailed, match="chmod 600"):
            open_key(profile_dir, secrets=sources())

    @pytest.mark.parametrize("content", [b"", bytes(31), bytes(33)])
    def test_of_a_wrong_size(self, content: bytes, key_file: Path, profile_dir: Path, sources: SourcesMaker) -> None:
        key_file.write_bytes(content)
        with pytest.raises(KeySourceFailed, match="32 bytes"):
            open_key(profile_dir, secrets=sources())

    def test_of_another_profile(self, key_file: Path, profile_dir: Path, sources: SourcesMaker) -> None:
        key_file.write_bytes(bytes(32))
        with pytest.raises(WrongKey, match="key file"):
            open_key(profile_dir, secrets=sources())

    def test_a_folder(self, key_file: Path, profile_dir: Path, sources: SourcesMaker) -> None:
        key_file.unlink()
        key_file.mkdir(0o700)
        with pytest.raises(KeySourceFailed, match="Can't read"):
            open_key(profile_dir, secrets=sources())

    def test_one_that_is_there_is_never_overwritten(
        self, profile_dir: Path, sources: SourcesMaker, locations: Locations
    ) -> None:
        locations.key_files.mkdir(parents=True)
        other = locations.key_files / "default.key"
        other.write_bytes(b"of a profile on another disk")
        made = create_key(profile_dir, KeyMethod.KEYFILE, secrets=sources())
        assert other.read_bytes() == b"of a profile on another disk"
        assert open_key(profile_dir, secrets=sources()) == made


class TestCommand:
    @pytest.mark.parametrize("output", [HEX, HEX.upper(), BASE64, BASE64.replace("+", "-").replace("/", "_")])
    def test_a_raw_key_is_taken_as_it_is(self, output: str, profile_dir: Path, sources: SourcesMaker) -> None:
        made = create_key(profile_dir, KeyMethod.COMMAND, secrets=sources(), command=printing(output))
        assert open_key(profile_dir, secrets=sources()) == made
        assert describe_key(profile_dir) == KeyInfo(KeyMethod.COMMAND, command=printing(output))

    @pytest.mark.parametrize("output", ["tr0ub4dor", HEX[:-1], HEX + "0", "=" * 44, BASE64[:-2] + "=="])
    def test_anything_else_is_a_passphrase(self, output: str, profile_dir: Path, sources: SourcesMaker) -> None:
        made = create_key(profile_dir, KeyMethod.COMMAND, secrets=sources(), command=printing(output))
        assert open_key(profile_dir, secrets=sources()) == made
        assert describe_key(profile_dir).cost == CHEAP

    def test_base64_and_hex_of_the_same_key(self, profile_dir: Path, sources: SourcesMaker) -> None:
        from base64 import b64encode

        made = create_key(profile_dir, KeyMethod.COMMAND, secrets=sources(KEY=HEX), command="printenv KEY")
        in_base64 = b64encode(bytes.fromhex(HEX)).decode()
        assert open_key(profile_dir, secrets=sources(KEY=in_base64)) == made

    def test_the_first_line_counts(self, profile_dir: Path, sources: SourcesMaker) -> None:
        made = create_key(
            profile_dir, KeyMethod.COMMAND, secrets=sources(SECRET=" word \nnote 1"), command="printenv SECRET"
        )
        assert open_key(profile_dir, secrets=sources(SECRET="word\nnote 2")) == made

    def test_another_key(self, profile_dir: Path, sources: SourcesMaker) -> None:
        create_key(profile_dir, KeyMethod.COMMAND, secrets=sources(KEY=HEX), command="printenv KEY")
        with pytest.raises(WrongKey, match="command"):
            open_key(profile_dir, secrets=sources(KEY=HEX[::-1]))
        with pytest.raises(WrongKey, match="no longer"):
            open_key(profile_dir, secrets=sources(KEY="word"))

    def test_no_shell_is_involved(self, profile_dir: Path, sources: SourcesMaker, tmp_path: Path) -> None:
        command = f"echo $(touch {tmp_path}/x) ; touch {tmp_path}/y | touch {tmp_path}/z"
        create_key(profile_dir, KeyMethod.COMMAND, secrets=sources(), command=command)
        assert not {"x", "y", "z"} & {entry.name for entry in tmp_path.iterdir()}

    @pytest.mark.parametrize(
        ("command", "text"),
        [
            ("false", "exit status 1"),
            ("true", "printed nothing"),
            ("printf '  \\n \\n'", "printed nothing"),
            ("/nonexistent/program classified", "No such file"),
            ("/etc classified", "can't be run"),
            ('echo "classified', "malformed"),
            ("  ", "empty"),
            (f"{sys.executable} -c 'import os, signal; print(\"classified\"); os.abort()'", "exit status -"),
        ],
    )
    def test_failures(self, command: str, text: str, profile_dir: Path, sources: SourcesMaker) -> None:
        for method, given, line in (
            (KeyMethod.COMMAND, sources(), command),
            (KeyMethod.PASSPHRASE, sources(SESSION_PASSPHRASE_COMMAND=command), None),
        ):
            with pytest.raises(KeySourceFailed, match=text) as caught:
                create_key(profile_dir, method, secrets=given, command=line)
            assert "classified" not in "".join(traceback.format_exception(caught.value))
        assert not (profile_dir / HEADER_NAME).exists()

    def test_a_hanging_one(self, profile_dir: Path, sources: SourcesMaker) -> None:
        begin = time.monotonic()
        with pytest.raises(KeySourceFailed, match=r"did not finish within 0\.2 s"):
            create_key(profile_dir, KeyMethod.COMMAND, secrets=sources(command_timeout_s=0.2), command="sleep 60")
        assert time.monotonic() - begin < 10

    def test_our_stdin_is_not_its(self, profile_dir: Path, sources: SourcesMaker) -> None:
        with pytest.raises(KeySourceFailed, match="printed nothing"):
            create_key(profile_dir, KeyMethod.COMMAND, secrets=sources(), command="cat")

    def test_its_stderr_is_ours(
        self, profile_dir: Path, sources: SourcesMaker, capfd: pytest.CaptureFixture[str]
    ) -> None:
        command = f"{sys.executable} -c 'import sys; print(\"Touch your token.\", file=sys.stderr); print(1)'"
        create_key(profile_dir, KeyMethod.COMMAND, secrets=sources(), command=command)
        assert capfd.readouterr() == ("", "Touch your token.\n")

    @posix
    def test_ctrl_c_ends_the_waiting(self, profile_dir: Path, sources: SourcesMaker) -> None:
        begin = time.monotonic()
        before = signal.signal(signal.SIGALRM, signal.default_int_handler)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            with pytest.raises(KeyboardInterrupt):
                create_key(profile_dir, KeyMethod.COMMAND, secrets=sources(), command="sleep 60")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert time.monotonic() - begin < 10


class TestKeyring:
    def test_what_the_header_names(
        self, profile_dir: Path, sources: SourcesMaker, memory_keyring: dict[tuple[str, str], str]
    ) -> None:
        create_key(profile_dir, KeyMethod.KEYRING, secrets=sources())
        ((service, entry),) = memory_keyring
        info = describe_key(profile_dir)
        assert (info.keyring_backend, info.keyring_entry) == (MEMORY_KEYRING, entry)
        assert service == "session-shell"
        assert entry.startswith("default-")

    def test_the_trial(self, memory_keyring: dict[tuple[str, str], str]) -> None:
        assert keyring_is_usable() == MEMORY_KEYRING
        assert not memory_keyring

    def test_it_is_not_searched_for(
        self, profile_dir: Path, sources: SourcesMaker, memory_keyring: object, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = create_key(profile_dir, KeyMethod.KEYRING, secrets=sources())

        def search(*_arguments: object) -> None:
            raise AssertionError

        monkeypatch.setattr("keyring.core.init_backend", search)
        monkeypatch.setattr("keyring.core._keyring_backend", None)
        assert open_key(profile_dir, secrets=sources()) == made

    @pytest.mark.parametrize("backend", [fail.Keyring, null.Keyring, UnsafeKeyring])
    def test_unfit_ones(
        self,
        *,
        backend: type[KeyringBackend],
        profile_dir: Path,
        sources: SourcesMaker,
        memory_keyring: object,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("keyring.core._keyring_backend", backend())
        assert keyring_is_usable() is None
        with pytest.raises(KeySourceFailed, match="No keyring"):
            create_key(profile_dir, KeyMethod.KEYRING, secrets=sources())

    def test_one_link_of_a_chain_is_taken(self, memory_keyring: object, monkeypatch: pytest.MonkeyPatch) -> None:
        kinds: list[type[KeyringBackend]] = [fail.Keyring, UnsafeKeyring, MemoryKeyring]
        monkeypatch.setattr(chainer.ChainerBackend, "backends", [kind() for kind in kinds])
        chain: type[KeyringBackend] = chainer.ChainerBackend
        monkeypatch.setattr("keyring.core._keyring_backend", chain())
        assert keyring_is_usable() == MEMORY_KEYRING

    @pytest.mark.parametrize("trouble", ["locked", "lossy"])
    def test_one_that_fails_its_trial(self, trouble: str, memory_keyring: object) -> None:
        setattr(MemoryKeyring, trouble, True)
        assert keyring_is_usable() is None

    def test_a_search_that_fails(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def search() -> None:
            raise RuntimeError("no session bus")

        monkeypatch.setattr("keyring.core.get_keyring", search)
        assert keyring_is_usable() is None

    @pytest.mark.parametrize(("trouble", "text"), [("locked", "did not take"), ("lossy", "is no key")])
    def test_one_that_fails_after_its_trial(
        self,
        *,
        trouble: str,
        text: str,
        profile_dir: Path,
        sources: SourcesMaker,
        memory_keyring: dict[tuple[str, str], str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(key_sources, "keyring_is_usable", lambda: MEMORY_KEYRING)
        setattr(MemoryKeyring, trouble, True)
        with pytest.raises(KeySourceFailed, match=text):
            create_key(profile_dir, KeyMethod.KEYRING, secrets=sources())
        assert not memory_keyring
        assert not (profile_dir / HEADER_NAME).exists()

    def test_one_that_gives_another_key_back(
        self,
        *,
        profile_dir: Path,
        sources: SourcesMaker,
        memory_keyring: dict[tuple[str, str], str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(key_sources, "keyring_is_usable", lambda: MEMORY_KEYRING)
        monkeypatch.setattr(MemoryKeyring, "get_password", lambda *_arguments: HEX)
        with pytest.raises(KeySourceFailed, match="another key"):
            create_key(profile_dir, KeyMethod.KEYRING, secrets=sources())
        assert not memory_keyring

    def test_opening_when_locked_gone_or_changed(
        self, profile_dir: Path, sources: SourcesMaker, memory_keyring: dict[tuple[str, str], str]
    ) -> None:
        create_key(profile_dir, KeyMethod.KEYRING, secrets=sources())
        ((service, entry),) = memory_keyring
        MemoryKeyring.locked = True
        with pytest.raises(KeySourceFailed, match="unlocked"):
            open_key(profile_dir, secrets=sources())
        MemoryKeyring.locked = False
        memory_keyring[service, entry] = HEX
        with pytest.raises(WrongKey, match="keyring"):
            open_key(profile_dir, secrets=sources())
        memory_keyring[service, entry] = "not a key"
        with pytest.raises(KeySourceFailed, match="is no key"):
            open_key(profile_dir, secrets=sources())
        memory_keyring.clear()
        with pytest.raises(KeySourceFailed, match="no entry"):
            open_key(profile_dir, secrets=sources())

    @pytest.mark.parametrize(
        "name", ["tests.unit.store.keyrings.NoKeyring", "tests.unit.store.keyrings.None_", "no_such_module.X", "X"]
    )
    def test_a_header_that_names_something_else(
        self, name: str, profile_dir: Path, sources: SourcesMaker, memory_keyring: object
    ) -> None:
        create_key(profile_dir, KeyMethod.KEYRING, secrets=sources())
        write_header(profile_dir, header_of(profile_dir) | {"keyring_backend": name}, mend=True)
        with pytest.raises(KeySourceFailed):
            open_key(profile_dir, secrets=sources())


class TestRewrapping:
    WAYS: tuple[tuple[KeyMethod, str | None], ...] = (
        (KeyMethod.KEYRING, None),
        (KeyMethod.PASSPHRASE, None),
        (KeyMethod.KEYFILE, None),
        (KeyMethod.COMMAND, printing(HEX)),
        (KeyMethod.COMMAND, printing("word")),
    )

    @pytest.mark.parametrize("old", WAYS, ids=str)
    @pytest.mark.parametrize("new", WAYS, ids=str)
    def test_from_each_to_each(
        self,
        *,
        old: tuple[KeyMethod, str | None],
        new: tuple[KeyMethod, str | None],
        profile_dir: Path,
        locations: Locations,
        sources: SourcesMaker,
        memory_keyring: dict[tuple[str, str], str],
    ) -> None:
        given = sources(SESSION_PASSPHRASE="x")
        made = create_key(profile_dir, old[0], secrets=given, command=old[1])
        before = (profile_dir / HEADER_NAME).read_bytes()
        rewrap_key(profile_dir, new[0], secrets=given, command=new[1])
        assert describe_key(profile_dir).method is new[0]
        assert open_key(profile_dir, secrets=given) == made
        # What opened the old header is gone; what opens the new one is all there is.
        assert len(memory_keyring) == (new[0] is KeyMethod.KEYRING)
        files = list(locations.key_files.iterdir()) if locations.key_files.is_dir() else []
        assert len(files) == (new[0] is KeyMethod.KEYFILE)
        assert (profile_dir / HEADER_NAME).read_bytes() != before

    def test_a_new_passphrase(self, profile_dir: Path, sources: SourcesMaker) -> None:
        old = sources(SESSION_PASSPHRASE="old", SESSION_NEW_PASSPHRASE="new")
        new = sources(variable="SESSION_NEW_PASSPHRASE", SESSION_PASSPHRASE="old", SESSION_NEW_PASSPHRASE="new")
        made = create_key(profile_dir, KeyMethod.PASSPHRASE, secrets=old)
        rewrap_key(profile_dir, KeyMethod.PASSPHRASE, secrets=old, new_secrets=new)
        assert open_key(profile_dir, secrets=new) == made
        with pytest.raises(WrongKey):
            open_key(profile_dir, secrets=old)

    def test_without_the_old_secret_nothing_changes(self, profile_dir: Path, sources: SourcesMaker) -> None:
        made = create_key(profile_dir, KeyMethod.PASSPHRASE, secrets=sources(SESSION_PASSPHRASE="x"))
        with pytest.raises(WrongKey):
            rewrap_key(profile_dir, KeyMethod.KEYFILE, secrets=sources(SESSION_PASSPHRASE="y"))
        assert open_key(profile_dir, secrets=sources(SESSION_PASSPHRASE="x")) == made

    @pytest.mark.parametrize("new", WAYS[:4], ids=str)
    def test_a_failure_leaves_the_old_way_and_no_trace_of_the_new_one(
        self,
        *,
        new: tuple[KeyMethod, str | None],
        profile_dir: Path,
        locations: Locations,
        sources: SourcesMaker,
        memory_keyring: dict[tuple[str, str], str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        given = sources(SESSION_PASSPHRASE="x")
        made = create_key(profile_dir, KeyMethod.KEYFILE, secrets=given)

        def fail(_path: Path, _content: bytes) -> None:
            raise StoreUnwritable("disk full")

        with monkeypatch.context() as patch, pytest.raises(StoreUnwritable):
            patch.setattr(key_module, "write_private_file", fail)
            rewrap_key(profile_dir, new[0], secrets=given, command=new[1])
        assert open_key(profile_dir, secrets=given) == made
        assert [entry.name for entry in locations.key_files.iterdir()] == ["default.key"]
        assert not memory_keyring

    @pytest.mark.parametrize("new", WAYS[:4], ids=str)
    def test_a_new_header_keeps_its_key_when_the_disk_does_not_confirm_it(
        self,
        *,
        new: tuple[KeyMethod, str | None],
        profile_dir: Path,
        sources: SourcesMaker,
        memory_keyring: object,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        given = sources(SESSION_PASSPHRASE="x")
        made = create_key(profile_dir, KeyMethod.KEYFILE, secrets=given)
        before = (profile_dir / HEADER_NAME).read_bytes()

        def fail(_path: Path) -> None:
            raise OSError(errno.EIO, "Input/output error")

        with monkeypatch.context() as patch, pytest.raises(StoreUnwritable, match="does not confirm"):
            patch.setattr(private_files, "sync_folder", fail)
            rewrap_key(profile_dir, new[0], secrets=given, command=new[1])
        assert (profile_dir / HEADER_NAME).read_bytes() != before
        assert open_key(profile_dir, secrets=given) == made
        # A power cut may bring the old header back.
        (profile_dir / HEADER_NAME).write_bytes(before)
        assert open_key(profile_dir, secrets=given) == made

    @pytest.mark.parametrize("old", [KeyMethod.KEYRING, KeyMethod.KEYFILE])
    def test_a_key_that_a_copy_of_the_profile_needs_stays(
        self, old: KeyMethod, profile_dir: Path, sources: SourcesMaker, memory_keyring: object
    ) -> None:
        given = sources(SESSION_PASSPHRASE="x")
        made = create_key(profile_dir, old, secrets=given)
        copy = profile_dir.with_name("copy")
        shutil.copytree(profile_dir, copy)
        rewrap_key(profile_dir, KeyMethod.PASSPHRASE, secrets=given)
        assert open_key(copy, secrets=given) == made
        rewrap_key(copy, KeyMethod.PASSPHRASE, secrets=given)
        assert open_key(copy, secrets=given) == made

    def test_an_old_key_that_can_not_be_removed_is_no_failure(
        self,
        profile_dir: Path,
        sources: SourcesMaker,
        memory_keyring: dict[tuple[str, str], str],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        made = create_key(profile_dir, KeyMethod.KEYRING, secrets=sources())

        def prompt(*, new: bool) -> str:
            # While this is asked, somebody removes the entry by hand.
            memory_keyring.clear()
            return "x"

        rewrap_key(profile_dir, KeyMethod.PASSPHRASE, secrets=sources(prompt=prompt))
        assert open_key(profile_dir, secrets=sources(SESSION_PASSPHRASE="x")) == made
        assert "unused key" in caplog.text


class TestHeader:
    @pytest.fixture(params=TestRewrapping.WAYS, ids=str)
    def profile(
        self, request: pytest.FixtureRequest, profile_dir: Path, sources: SourcesMaker, memory_keyring: object
    ) -> Path:
        method, command = request.param
        create_key(profile_dir, method, secrets=sources(SESSION_PASSPHRASE="x"), command=command)
        return profile_dir

    def check(self, profile: Path, sources: SourcesMaker, *expected: type[StoreError]) -> None:
        with pytest.raises(expected) as caught:
            open_key(profile, secrets=sources(SESSION_PASSPHRASE="x"))
        assert "\n" not in caught.value.message

    def test_any_changed_value_is_damage(self, profile: Path, sources: SourcesMaker) -> None:
        original = header_of(profile)
        for name in original:
            for value in NONSENSE:
                write_header(profile, original | {name: value}, mend=False)
                self.check(profile, sources, StoreDamaged)
            write_header(profile, {other: original[other] for other in original if other != name}, mend=False)
            self.check(profile, sources, StoreDamaged)

    def test_a_forged_check_sum_does_not_help(
        self, profile: Path, sources: SourcesMaker, memory_keyring: object
    ) -> None:
        original = header_of(profile)
        changes: list[tuple[str, Any]] = [(name, value) for name in original for value in NONSENSE if name != "check"]
        changes += [("nonce", HEX[:48]), ("wrapped", HEX[:96]), ("extra", 1), ("argon2id", {})]
        if "argon2id" in original:
            good = original["argon2id"]
            for field, values in {
                "salt": (HEX[:32], HEX[:30], 7),
                "operations": (2, 0, 11, 1.0, True, "1"),
                "memory_bytes": (16384, 0, 1024**3 + 1, 8192.0),
                "extra": (1,),
            }.items():
                changes += [("argon2id", good | {field: value}) for value in values]
        changes += [("command", printing("other"))] if "command" in original else []
        changes += [("keyring_entry", "other")] if "keyring_entry" in original else []
        changes += (
            [("key_file", name) for name in ("other.key", "../x.key", "/x.key")] if "key_file" in original else []
        )
        changes += [("method", str(method)) for method in KeyMethod if str(method) != original["method"]]
        for name, value in changes:
            write_header(profile, original | {name: value}, mend=True)
            self.check(profile, sources, StoreDamaged, WrongKey, KeySourceFailed)
        write_header(profile, original, mend=True)
        assert open_key(profile, secrets=sources(SESSION_PASSPHRASE="x"))

    def test_every_field_is_authenticated(
        self, profile: Path, sources: SourcesMaker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Even a change that leads to the very same wrapping key is refused."""
        original = header_of(profile)
        right = key_sources.find_wrapping_key(describe_key(profile), secrets=sources(SESSION_PASSPHRASE="x"))
        monkeypatch.setattr(key_module, "find_wrapping_key", lambda _info, *, secrets: right)
        assert open_key(profile, secrets=sources())
        changed: list[dict[str, Any]] = []
        for name, value in {
            "keyring_backend": "x.Y",
            "keyring_entry": "x",
            "key_file": "x.key",
            "command": "x",
        }.items():
            changed += [{name: value}] if name in original else []
        if "argon2id" in original:
            good = original["argon2id"]
            changed += [{"argon2id": good | change} for change in ({"salt": HEX[:32]}, {"operations": 9})]
            changed += [{"argon2id": good | {"memory_bytes": 9000}}]
        changed += [{"nonce": HEX[:48]}, {"wrapped": HEX[:32] + original["wrapped"][32:]}]
        for change in changed:
            write_header(profile, original | change, mend=True)
            self.check(profile, sources, WrongKey)

    def test_every_flipped_bit_is_noticed(
        self, profile: Path, sources: SourcesMaker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # White space can change unnoticed, and a letter's case in a number's hex: neither means anything.
        original = (profile / HEADER_NAME).read_bytes()
        info = describe_key(profile)
        noticed = 0
        for position in range(0, len(original) * 8, 7):
            content = bytearray(original)
            content[position // 8] ^= 1 << position % 8
            (profile / HEADER_NAME).write_bytes(content)
            try:
                assert describe_key(profile) == info
            except (StoreDamaged, StoreTooNew):
                noticed += 1
        assert noticed > len(original)

    @pytest.mark.parametrize("content", [b"", b"{", b"[]", b"1", b'"x"', b"null", b"\xff\xfe", b"[" * 60000, b"{}"])
    def test_something_else(self, content: bytes, profile_dir: Path, sources: SourcesMaker) -> None:
        profile_dir.mkdir(parents=True)
        (profile_dir / HEADER_NAME).write_bytes(content)
        (profile_dir / HEADER_NAME).chmod(0o600)
        self.check(profile_dir, sources, StoreDamaged)

    def test_one_of_a_later_release(self, profile: Path, sources: SourcesMaker) -> None:
        write_header(profile, {"format": 2, "new": "things"}, mend=False)
        self.check(profile, sources, StoreTooNew)

    @posix
    def test_one_that_others_can_change_is_not_obeyed(self, profile: Path, sources: SourcesMaker) -> None:
        (profile / HEADER_NAME).chmod(0o620)
        self.check(profile, sources, KeySourceFailed)

    @posix
    def test_one_that_can_not_be_read(self, unprivileged: Path, sources: SourcesMaker) -> None:
        (unprivileged / HEADER_NAME).touch(0o200)
        self.check(unprivileged, sources, KeySourceFailed)


class TestSecrecy:
    def test_sources_do_not_show_what_they_hold(self, sources: SourcesMaker) -> None:
        assert SECRET not in repr(sources(SESSION_PASSPHRASE=SECRET, prompt=lambda *, new: SECRET))

    @pytest.mark.parametrize("method", [KeyMethod.PASSPHRASE, KeyMethod.COMMAND])
    def test_errors_do_not_either(
        self, method: KeyMethod, profile_dir: Path, sources: SourcesMaker, locations: Locations
    ) -> None:
        made = create_key(
            profile_dir, method, secrets=sources(SESSION_PASSPHRASE="a", WORD="a"), command=printenv(method)
        )
        with pytest.raises(WrongKey) as caught:
            open_key(profile_dir, secrets=sources(SESSION_PASSPHRASE=SECRET, WORD=SECRET))
        text = "".join(traceback.format_exception(caught.value))
        assert SECRET not in text
        assert made.hex() not in text
        for file in locations.data.parent.rglob("*"):
            assert file.is_dir() or SECRET.encode() not in file.read_bytes()

    def test_heavy_libraries_are_loaded_only_when_used(self) -> None:
        script = (
            "import sys; import session_cli.store.key, session_cli.store.database;"
            "print(*{'keyring', 'platformdirs', 'nacl', 'subprocess', 'shlex', 'json', 'hashlib'} & set(sys.modules))"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        assert done.stdout.split() == []


def printenv(method: KeyMethod) -> str | None:
    return "printenv WORD" if method is KeyMethod.COMMAND else None
