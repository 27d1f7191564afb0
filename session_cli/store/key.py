"""The database's key, and the header that keeps it.

The database is encrypted with 32 random bytes. These are wrapped (XChaCha20-Poly1305) with a second key, the wrapping
key, and the header file `key.json` beside the database holds the result together with all that is needed to find the
wrapping key again (see `session_cli.store.key_sources`). To change the method, or the passphrase, only the wrapping is
done anew.

All fields of the header are authenticated by the wrapping. A check sum, which is no protection, tells a header that
the disk has damaged from a wrong passphrase.
"""

from __future__ import annotations

import os
import re
from binascii import crc32
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import KeySourceFailed, NotConfigured, ProfileExists, SessionError, StoreDamaged, StoreTooNew, WrongKey
from ..file_lock import FileLock
from ..private_files import make_private_folder, write_private_file
from .key_sources import (
    KEY_BYTES,
    SALT_BYTES,
    Argon2Cost,
    KeyInfo,
    KeyMethod,
    KeySources,
    PassphrasePrompt,
    find_wrapping_key,
    forget_wrapping_key,
    keyring_is_usable,
    make_wrapping_key,
)

__all__ = [
    "HEADER_NAME",
    "Argon2Cost",
    "KeyInfo",
    "KeyMethod",
    "KeySources",
    "PassphrasePrompt",
    "create_key",
    "describe_key",
    "forget_unshared_key",
    "forget_wrapping_key",
    "keyring_is_usable",
    "open_key",
    "rewrap_key",
]

HEADER_NAME = "key.json"
HEADER_FORMAT = 1

_NONCE_BYTES = 24
_TAG_BYTES = 16
_HEADER_LIMIT = 64 * 1024
_LOCK_TIMEOUT_S = 60.0
_OTHERS_WRITE = 0o022
_CONTEXT = b"session-shell key header\n"
_KEY_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.key")


def create_key(profile_dir: Path, method: KeyMethod, *, secrets: KeySources, command: str | None = None) -> bytes:
    """Make a new database key of 32 bytes, write its header into `profile_dir` (made if missing), return the key.

    `command` is the command line for the method of that name, and for no other.

    Raises ProfileExists if there is a header already, KeySourceFailed if the method doesn't work here or no
    passphrase is to be had, UsageError on contradictory arguments or passphrase sources, StoreUnwritable, StoreLocked.
    """
    make_private_folder(profile_dir)
    with _lock(profile_dir):
        if (profile_dir / HEADER_NAME).exists():
            raise ProfileExists(f"There is a profile in {profile_dir} already; it is left as it is.")
        key = os.urandom(KEY_BYTES)
        _wrap(profile_dir, key, method, secrets, command)
    return key


def open_key(profile_dir: Path, *, secrets: KeySources) -> bytes:
    """Return the database key of 32 bytes.

    Raises NotConfigured if there is no header, StoreTooNew if its format is a later one, StoreDamaged if it is not
    what was written, KeySourceFailed if the wrapping key can't be had, WrongKey if it does not fit, UsageError on
    contradictory passphrase sources.
    """
    header = _read(profile_dir)
    return _unwrap(header, find_wrapping_key(header.info, secrets=secrets))


def rewrap_key(
    profile_dir: Path,
    method: KeyMethod,
    *,
    secrets: KeySources,
    new_secrets: KeySources | None = None,
    command: str | None = None,
) -> None:
    """Wrap the database key anew: by another method, or with another secret of the same method.

    The key is opened with `secrets` and wrapped with `new_secrets` (default: the same; a passphrase that replaces a
    passphrase needs sources of its own). The old header works until the new one has taken its place, which happens in
    one step; then the old key file or keyring entry is removed, unless another profile beside this one needs it, and
    copies of the old header are worth nothing any more. Under an old passphrase, or what an old command prints, they
    still give the database key, which stays as it is. Raises what `open_key` and `create_key` raise, but ProfileExists.
    """
    if not profile_dir.is_dir():
        raise _no_profile(profile_dir)
    with _lock(profile_dir):
        for unfinished in profile_dir.glob(f".{HEADER_NAME}.*.new"):
            unfinished.unlink(missing_ok=True)  # of a process that was killed
        old = _read(profile_dir)
        key = _unwrap(old, find_wrapping_key(old.info, secrets=secrets))
        _wrap(profile_dir, key, method, new_secrets or secrets, command)
        forget_unshared_key(old.info, profile_dir.parent, secrets=secrets)


def describe_key(profile_dir: Path) -> KeyInfo:
    """What the header says, not proven by any key. Raises NotConfigured, StoreTooNew, StoreDamaged, KeySourceFailed."""
    return _read(profile_dir).info


def forget_unshared_key(info: KeyInfo, profiles: Path, *, secrets: KeySources) -> None:
    """Remove a key file or keyring entry, unless a profile in the folder `profiles`, a copy made by hand, needs it."""
    if info.key_file is None and info.keyring_entry is None:
        return
    if not any(_may_need(info, entry) for entry in profiles.iterdir() if entry.is_dir()):
        forget_wrapping_key(info, secrets=secrets)


def _may_need(info: KeyInfo, profile_dir: Path) -> bool:
    try:
        other = describe_key(profile_dir)
    except NotConfigured:
        return False
    except SessionError:
        return True  # it can't be told
    return (info.key_file, info.keyring_entry) == (other.key_file, other.keyring_entry)


@dataclass(frozen=True, slots=True)
class _Header:
    """A well-formed header, not proven to be ours."""

    path: Path
    info: KeyInfo
    nonce: bytes
    wrapped: bytes


def _wrap(profile_dir: Path, key: bytes, method: KeyMethod, secrets: KeySources, command: str | None) -> None:
    """Wrap `key` with a new wrapping key, and put the header in place."""
    import json

    from nacl import bindings as sodium

    info, wrapping_key = make_wrapping_key(method, secrets=secrets, command=command)
    try:
        nonce = os.urandom(_NONCE_BYTES)
        wrapped = sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(key, _authenticated(info), nonce, wrapping_key)
        fields = _encode(info) | {"nonce": nonce.hex(), "wrapped": wrapped.hex()}
        fields["check"] = _check_sum(fields)
        write_private_file(profile_dir / HEADER_NAME, json.dumps(fields, indent=1).encode("ascii") + b"\n")
    except BaseException:
        # It can have failed after the new header had taken its place.
        if not _may_need(info, profile_dir):
            forget_wrapping_key(info, secrets=secrets)
        raise


def _unwrap(header: _Header, wrapping_key: bytes) -> bytes:
    from nacl import bindings as sodium
    from nacl.exceptions import CryptoError

    try:
        return sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(
            header.wrapped, _authenticated(header.info), header.nonce, wrapping_key
        )
    except CryptoError:
        wrong = {
            KeyMethod.KEYRING: "The key in the system's keyring",
            KeyMethod.PASSPHRASE: "The passphrase",
            KeyMethod.KEYFILE: "The key file",
            KeyMethod.COMMAND: "What the command printed",
        }[header.info.method]
        raise WrongKey(f"{wrong} does not open this profile ({header.path}).") from None


def _read(profile_dir: Path) -> _Header:
    import json

    path = profile_dir / HEADER_NAME
    try:
        with path.open("rb") as file:
            # A command line in the header is run before anything can be proven.
            if os.name == "posix" and os.fstat(file.fileno()).st_mode & _OTHERS_WRITE:
                raise KeySourceFailed(f"{path} can be changed by others. If nobody did: chmod 600 {path}")
            content = file.read(_HEADER_LIMIT)
    except FileNotFoundError:
        raise _no_profile(profile_dir) from None
    except OSError as error:
        raise KeySourceFailed(f"Can't read {path}: {error.strerror}.") from error
    try:
        fields = json.loads(content)
        version = fields["format"]
        if type(version) is int and version > HEADER_FORMAT:
            raise StoreTooNew(f"{path} has format {version}, which a later release wrote. Upgrade session-shell.")
        if fields.pop("check") != _check_sum(fields):
            raise ValueError
        nonce, wrapped = bytes.fromhex(fields.pop("nonce")), bytes.fromhex(fields.pop("wrapped"))
        info = _decode(fields)
        # Exactly the fields that this method has, in the one way they are written.
        if _canonical(_encode(info)) != _canonical(fields):
            raise ValueError
        if len(nonce) != _NONCE_BYTES or len(wrapped) != KEY_BYTES + _TAG_BYTES:
            raise ValueError
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise StoreDamaged(f"The key header {path} is damaged; restore it from a backup.") from None
    return _Header(path, info, nonce, wrapped)


def _encode(info: KeyInfo) -> dict[str, Any]:
    fields: dict[str, Any] = {"format": HEADER_FORMAT, "method": str(info.method)}
    for name in ("keyring_backend", "keyring_entry", "key_file", "command"):
        value = getattr(info, name)
        if value is not None:
            fields[name] = value
    if info.salt is not None and info.cost is not None:
        fields["argon2id"] = {
            "salt": info.salt.hex(),
            "operations": info.cost.operations,
            "memory_bytes": info.cost.memory_bytes,
        }
    return fields


def _decode(fields: dict[str, Any]) -> KeyInfo:
    """Raises ValueError, LookupError or TypeError."""
    method = KeyMethod(fields["method"])
    match method:
        case KeyMethod.KEYRING:
            return KeyInfo(
                method, keyring_backend=_text(fields["keyring_backend"]), keyring_entry=_text(fields["keyring_entry"])
            )
        case KeyMethod.KEYFILE:
            # In our own folder of key files: a header must not lead elsewhere.
            if not _KEY_FILE_NAME.fullmatch(fields["key_file"]):
                raise ValueError
            return KeyInfo(method, key_file=fields["key_file"])
        case KeyMethod.PASSPHRASE:
            salt, cost = _argon2id(fields["argon2id"])
            return KeyInfo(method, salt=salt, cost=cost)
        case KeyMethod.COMMAND:
            command = _text(fields["command"])
            if "argon2id" not in fields:
                return KeyInfo(method, command=command)
            salt, cost = _argon2id(fields["argon2id"])
            return KeyInfo(method, command=command, salt=salt, cost=cost)


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError
    return value


def _argon2id(fields: dict[str, Any]) -> tuple[bytes, Argon2Cost]:
    salt = bytes.fromhex(fields["salt"])
    cost = Argon2Cost(fields["operations"], fields["memory_bytes"])
    if type(cost.operations) is not int or type(cost.memory_bytes) is not int:
        raise TypeError
    if len(salt) != SALT_BYTES or not cost.reasonable:
        raise ValueError
    return salt, cost


def _authenticated(info: KeyInfo) -> bytes:
    return _CONTEXT + _canonical(_encode(info))


def _check_sum(fields: Mapping[str, Any]) -> str:
    return f"{crc32(_canonical(fields)):08x}"


def _canonical(fields: Mapping[str, Any]) -> bytes:
    import json

    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode("ascii")


def _lock(profile_dir: Path) -> FileLock:
    return FileLock(profile_dir / "key.lock", _LOCK_TIMEOUT_S, purpose="to change the profile's key")


def _no_profile(profile_dir: Path) -> NotConfigured:
    return NotConfigured(f"There is no profile in {profile_dir}.")
