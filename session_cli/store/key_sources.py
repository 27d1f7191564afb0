"""The four homes of a wrapping key: the system's keyring, a passphrase, a key file, a command's output.

`make_wrapping_key` puts one there, or asks for one, and returns with it what must be remembered to find it again
(`KeyInfo`, nothing in it secret); `find_wrapping_key` finds it; `forget_wrapping_key` removes what was left.
"""

from __future__ import annotations

import os
import re
import unicodedata
from binascii import Error as BinasciiError
from binascii import a2b_base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..errors import KeySourceFailed, StoreUnwritable, UsageError, WrongKey
from ..private_files import OTHERS, create_private_file, make_private_folder, sync_folder
from .locations import Locations

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

KEY_BYTES = 32
SALT_BYTES = 16
KEYRING_SERVICE = "session-shell"

_PASSPHRASE_LIMIT = 64 * 1024
_HEX_KEY = re.compile(rb"[0-9A-Fa-f]{64}")
_BASE64_KEY = re.compile(rb"[A-Za-z0-9+/_-]{43}=")


class KeyMethod(StrEnum):
    """Where the wrapping key comes from."""

    KEYRING = "keyring"
    PASSPHRASE = "passphrase"  # noqa: S105 - the name of a method
    KEYFILE = "keyfile"
    COMMAND = "command"


_OPERATIONS = range(1, 11)
_MEMORY_BYTES = range(8 * 1024, 1024**3 + 1)
"""Beyond these, a forged header, which is believed before it can be authenticated, would exhaust the machine."""


@dataclass(frozen=True, slots=True)
class Argon2Cost:
    """What a guess at a passphrase costs. The default is libsodium's "moderate": some 0.5 s and 256 MiB."""

    operations: int = 3
    memory_bytes: int = 256 * 1024 * 1024

    @property
    def reasonable(self) -> bool:
        """Whether a header with this cost may be believed."""
        return self.operations in _OPERATIONS and self.memory_bytes in _MEMORY_BYTES


class PassphrasePrompt(Protocol):
    """Asks a person for a passphrase; with `new`, for one being chosen, so twice. Raises what it likes."""

    def __call__(self, *, new: bool) -> str: ...


@dataclass(frozen=True, slots=True)
class KeySources:
    """Where secrets may be looked for on behalf of one profile."""

    locations: Locations
    profile: str
    environ: Mapping[str, str] = field(repr=False)
    """Looked through for passphrases, and given to commands as their environment."""
    prompt: PassphrasePrompt | None = field(default=None, repr=False)
    """None: nobody is there to be asked."""
    cost: Argon2Cost = Argon2Cost()
    """For passphrases being chosen. Those in use keep the cost that they were set with."""
    variable: str = "SESSION_PASSPHRASE"
    """The environment variable with a passphrase; with `_FILE` and `_COMMAND` behind it, those with a source of one."""
    subject: str = "profile"
    """What the passphrase opens, for errors."""
    command_timeout_s: float = 60.0


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """How the wrapping key is found; only what `method` needs is set."""

    method: KeyMethod
    keyring_backend: str | None = None
    """The class of the keyring, as `module.Class`."""
    keyring_entry: str | None = None
    """The user name of its entry; the service is `KEYRING_SERVICE`."""
    key_file: str | None = None
    """The name of the key file in `Locations.key_files`."""
    command: str | None = None
    """The command line."""
    salt: bytes | None = None
    """Set, with `cost`, if the key is derived from a passphrase; a command's output can be one."""
    cost: Argon2Cost | None = None


def make_wrapping_key(method: KeyMethod, *, secrets: KeySources, command: str | None) -> tuple[KeyInfo, bytes]:
    """Make, or ask for, a new wrapping key of 32 bytes. `command` is the command line for the method of that name.

    Raises UsageError on contradictory arguments or passphrase sources, KeySourceFailed, StoreUnwritable.
    """
    if method is KeyMethod.COMMAND and not command:
        raise UsageError("--key command needs a program that prints the key: --key-command CMD")
    if command and method is not KeyMethod.COMMAND:
        raise UsageError("--key-command goes with --key command only.")
    match method:
        case KeyMethod.KEYRING:
            return _new_keyring_entry(secrets)
        case KeyMethod.KEYFILE:
            return _new_key_file(secrets)
        case KeyMethod.PASSPHRASE:
            passphrase = _passphrase(secrets, new=True)
        case KeyMethod.COMMAND:
            passphrase = _run(command or "", secrets)
            raw_key = _as_raw_key(passphrase)
            if raw_key is not None:
                return KeyInfo(method, command=command), raw_key
    salt = os.urandom(SALT_BYTES)
    info = KeyInfo(method, command=command, salt=salt, cost=secrets.cost)
    return info, _derive(passphrase, salt, secrets.cost)


def find_wrapping_key(info: KeyInfo, *, secrets: KeySources) -> bytes:
    """Return the wrapping key of 32 bytes, or what is there in its stead.

    Raises UsageError on contradictory passphrase sources, KeySourceFailed, WrongKey.
    """
    if info.keyring_backend is not None and info.keyring_entry is not None:
        return _read_keyring_entry(info.keyring_backend, info.keyring_entry)
    if info.key_file is not None:
        return _read_key_file(secrets.locations.key_files / info.key_file)
    secret = _passphrase(secrets, new=False) if info.command is None else _run(info.command, secrets)
    if info.salt is not None and info.cost is not None:
        return _derive(secret, info.salt, info.cost)
    raw_key = _as_raw_key(secret)
    if raw_key is None:
        raise WrongKey("The command of this profile no longer prints a key of 32 bytes in hex or base64.")
    return raw_key


def forget_wrapping_key(info: KeyInfo, *, secrets: KeySources) -> None:
    """Remove a key file or keyring entry that nothing needs. If it can't be removed, that is logged, not raised."""
    try:
        if info.key_file is not None:
            (secrets.locations.key_files / info.key_file).unlink(missing_ok=True)
        elif info.keyring_backend is not None and info.keyring_entry is not None:
            _load_keyring(info.keyring_backend).delete_password(KEYRING_SERVICE, info.keyring_entry)
    except Exception as error:  # noqa: BLE001 - keyring back-ends raise what they like; the work itself is done
        import logging

        logging.getLogger(__name__).warning("an unused key stays in the %s: %s", info.method, type(error).__name__)


def keyring_is_usable() -> str | None:
    """Name the keyring back-end that has just taken, given back and removed a trial entry; None if there is none.

    This searches the installed back-ends and may make the system ask for the keyring's password.
    """
    from keyring.backends import chainer, fail, null
    from keyring.core import get_keyring, recommended

    try:
        found = get_keyring()
        # The chain's order can change with what is installed; the header names one link of it.
        links = list(found.backends) if isinstance(found, chainer.ChainerBackend) else [found]
    except Exception:  # noqa: BLE001 - back-ends are plug-ins, and raise what they like
        return None
    for backend in links:
        entry, secret = f"trial-{os.urandom(8).hex()}", os.urandom(KEY_BYTES).hex()
        try:
            if isinstance(backend, fail.Keyring | null.Keyring) or not recommended(backend):
                continue
            backend.set_password(KEYRING_SERVICE, entry, secret)
            kept = backend.get_password(KEYRING_SERVICE, entry)
            backend.delete_password(KEYRING_SERVICE, entry)
        except Exception:  # noqa: BLE001, S112 - the same; the next one may do
            continue
        if kept == secret:
            return f"{type(backend).__module__}.{type(backend).__qualname__}"
    return None


# --- passphrases --------------------------------------------------------------------------------------------------


def _passphrase(secrets: KeySources, *, new: bool) -> bytes:
    """Get the passphrase from the one source given in the environment, else from a person."""
    names = [secrets.variable + suffix for suffix in ("", "_FILE", "_COMMAND")]
    given = [name for name in names if secrets.environ.get(name)]
    if len(given) > 1:
        raise UsageError(f"Only one of {' and '.join(given)} can be given at a time.")
    if given == names[:1]:
        secret = os.fsencode(secrets.environ[given[0]])
    elif given == names[1:2]:
        secret = _first_line_of_file(Path(secrets.environ[given[0]]).expanduser(), given[0])
    elif given:
        secret = _run(secrets.environ[given[0]], secrets)
    elif secrets.prompt is not None:
        secret = secrets.prompt(new=new).encode("utf-8", "surrogateescape")
    else:
        situation = "A passphrase has to be chosen" if new else f"The {secrets.subject} has a passphrase"
        raise KeySourceFailed(f"{situation}, and nobody can be asked for it: set {names[0]}, {names[1]} or {names[2]}.")
    if not secret:
        raise KeySourceFailed("The passphrase is empty.")
    return secret


def _first_line_of_file(path: Path, variable: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.readline(_PASSPHRASE_LIMIT).rstrip(b"\r\n")
    except OSError as error:
        raise KeySourceFailed(f"Can't read {path}, which {variable} names: {error.strerror}.") from None


def _derive(passphrase: bytes, salt: bytes, cost: Argon2Cost) -> bytes:
    from nacl import bindings as sodium
    from nacl.exceptions import CryptoError

    try:
        return sodium.crypto_pwhash_alg(
            KEY_BYTES,
            _one_spelling(passphrase),
            salt,
            cost.operations,
            cost.memory_bytes,
            sodium.crypto_pwhash_ALG_ARGON2ID13,
        )
    except CryptoError:
        raise KeySourceFailed(
            f"Not enough memory for the passphrase: {cost.memory_bytes // 1024**2} MiB are needed."
        ) from None


def _one_spelling(secret: bytes) -> bytes:
    """An accented letter is typed as one character on one system and as two on another; take both for one."""
    try:
        return unicodedata.normalize("NFC", secret.decode("utf-8")).encode("utf-8")
    except UnicodeDecodeError:
        return secret


# --- commands -----------------------------------------------------------------------------------------------------


def _run(command: str, secrets: KeySources) -> bytes:
    """Run a command line, without a shell, and return the first line that it prints, which must not be empty.

    Its stderr and its terminal are ours, so that it can ask for what it needs; our stdin, perhaps a message, is not
    for it.
    """
    import shlex
    import subprocess

    try:
        arguments = shlex.split(command)
    except ValueError as error:
        raise KeySourceFailed(f"The command line for the key is malformed: {error}.") from None
    if not arguments:
        raise KeySourceFailed("The command line for the key is empty.")
    # The rest of the line may hold something that should not be repeated on a screen.
    name = arguments[0]
    try:
        done = subprocess.run(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env=dict(secrets.environ),
            timeout=secrets.command_timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise KeySourceFailed(
            f"The command for the key, {name!r}, did not finish within {secrets.command_timeout_s:g} s."
        ) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "malformed"
        raise KeySourceFailed(f"The command for the key, {name!r}, can't be run: {reason}.") from None
    if done.returncode:
        raise KeySourceFailed(f"The command for the key, {name!r}, failed with exit status {done.returncode}.")
    lines = done.stdout.strip().splitlines()
    if not lines:
        raise KeySourceFailed(f"The command for the key, {name!r}, printed nothing.")
    return lines[0].strip()


def _as_raw_key(output: bytes) -> bytes | None:
    """The 32 bytes that `output` spells in hex or (either alphabet's) base64; None if it is something else."""
    if _HEX_KEY.fullmatch(output):
        return bytes.fromhex(output.decode("ascii"))
    if _BASE64_KEY.fullmatch(output):
        try:
            return a2b_base64(output.replace(b"-", b"+").replace(b"_", b"/"), strict_mode=True)
        except BinasciiError:
            return None
    return None


# --- key files ----------------------------------------------------------------------------------------------------


def _new_key_file(secrets: KeySources) -> tuple[KeyInfo, bytes]:
    folder = secrets.locations.key_files
    make_private_folder(folder)
    wrapping_key = os.urandom(KEY_BYTES)
    name = f"{secrets.profile}.key"
    try:
        _write_new(folder / name, wrapping_key)
    except FileExistsError:
        # It opens another copy of this profile, or the header that is being replaced, or one made at this moment.
        name = f"{secrets.profile}-{os.urandom(8).hex()}.key"
        _write_new(folder / name, wrapping_key)
    return KeyInfo(KeyMethod.KEYFILE, key_file=name), wrapping_key


def _write_new(path: Path, content: bytes) -> None:
    """Write a private file that must not exist. Raises FileExistsError, StoreUnwritable."""
    try:
        with os.fdopen(create_private_file(path), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(path.parent)
    except FileExistsError:
        raise
    except OSError as error:
        path.unlink(missing_ok=True)
        raise StoreUnwritable(f"Can't write {path}: {error.strerror}.") from None


def _read_key_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            if os.name == "posix" and os.fstat(file.fileno()).st_mode & OTHERS:
                raise KeySourceFailed(
                    f"The key file {path} can be read by others, so it is not used. If nobody did: chmod 600 {path}"
                )
            content = file.read(KEY_BYTES + 1)
    except FileNotFoundError:
        raise KeySourceFailed(f"The key file {path} is missing; restore it from a backup.") from None
    except OSError as error:
        raise KeySourceFailed(f"Can't read the key file {path}: {error.strerror}.") from None
    if len(content) != KEY_BYTES:
        raise KeySourceFailed(f"{path} is no key file: it must hold {KEY_BYTES} bytes.")
    return content


# --- the system's keyring -----------------------------------------------------------------------------------------


def _new_keyring_entry(secrets: KeySources) -> tuple[KeyInfo, bytes]:
    name = keyring_is_usable()
    if name is None:
        raise KeySourceFailed(
            "No keyring of the system works here (none installed, locked, or no session of yours running); "
            "choose another home for the key: a key file, a passphrase or a command."
        )
    # Random, because profiles of the same name in different homes share one keyring.
    entry = f"{secrets.profile}-{os.urandom(8).hex()}"
    info = KeyInfo(KeyMethod.KEYRING, keyring_backend=name, keyring_entry=entry)
    wrapping_key = os.urandom(KEY_BYTES)
    try:
        _load_keyring(name).set_password(KEYRING_SERVICE, entry, wrapping_key.hex())
    except Exception as error:  # noqa: BLE001 - back-ends raise what they like
        raise KeySourceFailed(f"The keyring {name} did not take the key: {type(error).__name__}.") from None
    try:
        if _read_keyring_entry(name, entry) != wrapping_key:
            raise KeySourceFailed(f"The keyring {name} gave back another key than it was given.")
    except BaseException:
        forget_wrapping_key(info, secrets=secrets)
        raise
    return info, wrapping_key


def _read_keyring_entry(name: str, entry: str) -> bytes:
    backend = _load_keyring(name)
    try:
        password = backend.get_password(KEYRING_SERVICE, entry)
    except Exception as error:  # noqa: BLE001 - back-ends raise what they like
        raise KeySourceFailed(
            f"The keyring {name} did not give the key ({type(error).__name__}). Is it unlocked?"
        ) from None
    if password is None:
        raise KeySourceFailed(f"The keyring {name} has no entry {entry!r} of {KEYRING_SERVICE!r} for this profile.")
    raw_key = _as_raw_key(password.encode("utf-8", "surrogateescape"))
    if raw_key is None:
        raise KeySourceFailed(f"The entry {entry!r} of the keyring {name} is no key.")
    return raw_key


def _load_keyring(name: str) -> KeyringBackend:
    """Load the named back-end alone: a search among all that are installed takes long, and may find another one."""
    try:
        from keyring.backend import KeyringBackend
        from keyring.core import load_keyring

        backend = load_keyring(name)
    except Exception as error:  # noqa: BLE001 - back-ends raise what they like
        raise KeySourceFailed(f"The keyring {name} of this profile does not work here: {error}.") from None
    if not isinstance(backend, KeyringBackend):
        raise KeySourceFailed(f"{name} is no keyring.")
    return backend
