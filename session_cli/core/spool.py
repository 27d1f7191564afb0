"""Encrypted files on their way: ciphertext in a nameless temporary file, plaintext only ever at its goal."""

from __future__ import annotations

import errno
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from .. import signals
from ..errors import (
    AttachmentTooLarge,
    CannotCreate,
    EmptyMessage,
    StoreError,
    StoreUnwritable,
    UnreadableInput,
)
from ..private_files import FILE_MODE, make_private_folder
from ..protocol.attachment import LegacyEncryptor, encrypted_size

CHUNK = 256 * 1024
FOLDER = "spool"
"""Within a profile's."""


@dataclass(slots=True)
class Spool:
    """A file encrypted with a key of its own, in a file that vanishes with this process."""

    file: BinaryIO = field(repr=False)
    key: bytes = field(repr=False)
    digest: bytes = field(repr=False)
    plain_size: int
    encrypted_size: int

    def chunks(self) -> Iterator[bytes]:
        """The ciphertext from its start."""
        self.file.seek(0)
        yield from read_chunks(self.file)

    def close(self) -> None:
        self.file.close()


def spool_file(folder: Path) -> BinaryIO:
    """A temporary file in a private folder; it has no name and is gone when closed, even by kill -9."""
    make_private_folder(folder)
    try:
        return tempfile.TemporaryFile(dir=folder)
    except OSError as error:
        raise StoreUnwritable(f"Can't write in {folder}: {error.strerror}.") from None


def read_chunks(source: BinaryIO) -> Iterator[bytes]:
    """The rest of a file in pieces."""
    while chunk := source.read(CHUNK):
        yield chunk


def spooled(source: BinaryIO, name: str, folder: Path, most: int) -> BinaryIO:
    """All of a stream in a temporary file, at its start: for who has to look at it before it is sent.

    `name` stands for the stream in errors. Raises AttachmentTooLarge for more than `most` bytes, EmptyMessage,
    UnreadableInput, StoreUnwritable.
    """
    spool = spool_file(folder)
    try:
        size = 0
        for chunk in _reading(source, name):
            size += len(chunk)
            if size > most:
                raise AttachmentTooLarge(f"{name} is too large: more than {most:,} bytes are not looked at.")
            _write(spool, chunk, folder)
        if not size:
            raise _empty(name)
        spool.seek(0)
    except BaseException:
        spool.close()
        raise
    return spool


def largest_plaintext(limit: int) -> int:
    """The size of the largest file whose encrypted form has at most `limit` bytes."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if encrypted_size(middle) <= limit else (low, middle - 1)
    return low


def encrypt_to_spool(source: BinaryIO, name: str, folder: Path, limit: int, progress: Callable[[int], None]) -> Spool:
    """Encrypt all of `source` into a spool. `name` stands for the file in errors, `limit` is for encrypted bytes.

    Raises AttachmentTooLarge as soon as too much has come, EmptyMessage if nothing did, UnreadableInput.
    """
    encryptor = LegacyEncryptor()
    most = largest_plaintext(limit)
    spool = spool_file(folder)
    try:
        for chunk in _reading(source, name):
            if encryptor.size + len(chunk) > most:
                raise _too_large(name, most)
            _write(spool, encryptor.update(chunk), folder)
            progress(encryptor.size)
        if not encryptor.size:
            raise _empty(name)
        _write(spool, encryptor.finish(), folder)
    except BaseException:
        spool.close()
        raise
    return Spool(spool, encryptor.key, encryptor.digest, encryptor.size, encrypted_size(encryptor.size))


def check_plain_size(size: int, name: str, limit: int) -> None:
    """Raise EmptyMessage or AttachmentTooLarge for a file of this size; `limit` is for encrypted bytes."""
    if not size:
        raise _empty(name)
    if encrypted_size(size) > limit:
        raise _too_large(name, largest_plaintext(limit))


def _too_large(name: str, most: int) -> AttachmentTooLarge:
    return AttachmentTooLarge(
        f"{name} is too large: the network's file server takes files of up to {most:,} bytes. "
        "To send it in parts: session attach send --split"
    )


def _empty(name: str) -> EmptyMessage:
    return EmptyMessage(f"{name} is empty; Session has no way to send an empty file.")


def _reading(source: BinaryIO, name: str) -> Iterator[bytes]:
    try:
        yield from read_chunks(source)
    except OSError as error:
        raise UnreadableInput(f"Can't read {name}: {error.strerror}.") from None


def _write(file: BinaryIO, data: bytes, folder: Path) -> None:
    try:
        file.write(data)
        file.flush()
    except OSError as error:
        raise StoreUnwritable(f"Can't write in {folder}: {error.strerror}.") from None


def check_target(target: Path, *, overwrite: bool) -> bool:
    """Whether `target` is a folder to save into; else it names a file that can be made there, as far as that shows.

    Raises CannotCreate.
    """
    try:
        if target.is_dir():
            return True
        if target.exists() and not overwrite:
            raise CannotCreate(f"{target} exists already; it is left as it is. Use --force to replace it.")
        if not target.parent.is_dir():
            raise CannotCreate(f"There is no folder {target.parent}.")
    except OSError as error:
        raise CannotCreate(f"Can't make {target}: {error.strerror}.") from None
    return False


class NewFile:
    """A file that appears under its name all at once, when it is complete, and never replaces another.

    Use as a context manager; without `commit` nothing is left behind. With `overwrite` an existing file is replaced.
    Raises CannotCreate, StoreUnwritable (disk full), and FileExistsError from `commit`.
    """

    def __init__(self, target: Path, *, overwrite: bool = False) -> None:
        self._target = target
        self._overwrite = overwrite
        self._temporary: Path | None = None
        self._file: BinaryIO | None = None
        self._registered = ExitStack()

    def __enter__(self) -> BinaryIO:
        try:
            self._file = os.fdopen(self._open(), "wb")
            if hasattr(os, "fchmod"):
                # The umask can have taken bits even from the owner.
                os.fchmod(self._file.fileno(), FILE_MODE)
        except OSError as error:
            self._registered.close()
            raise self._refusal(error) from None
        return self._file

    def _refusal(self, error: OSError) -> StoreError:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            return StoreUnwritable(f"Can't write {self._target}: {error.strerror}.")
        return CannotCreate(f"Can't make {self._target}: {error.strerror}.")

    def _open(self) -> int:
        folder = self._target.parent
        if hasattr(os, "O_TMPFILE"):
            try:
                return os.open(folder, os.O_WRONLY | os.O_TMPFILE, 0o600)
            except OSError:
                pass  # not every file system has nameless files
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        return os.open(self._name_temporary(), flags, 0o600)

    def _name_temporary(self) -> Path:
        self._temporary = self._target.parent / f".{secrets.token_hex(8)}.part"
        self._registered.enter_context(signals.undo_when_killed(self._remove_temporary))
        return self._temporary

    def _remove_temporary(self) -> None:
        if self._temporary is not None:
            self._temporary.unlink(missing_ok=True)

    def commit(self) -> None:
        """Put the file under its name. Raises FileExistsError if there is one, unless it may be overwritten."""
        file = self._file
        if file is None:
            raise ValueError("the file is not open")
        file.flush()
        os.fsync(file.fileno())
        try:
            self._give_name(file)
        except FileExistsError:
            raise
        except OSError as error:
            raise self._refusal(error) from None

    def _give_name(self, file: BinaryIO) -> None:
        if self._temporary is None and not self._overwrite:
            _link_nameless(file, self._target)
            return
        temporary = self._temporary
        if temporary is None:
            # Only a file that has a name can take another's place.
            temporary = self._name_temporary()
            _link_nameless(file, temporary)
        if self._overwrite:
            temporary.replace(self._target)
        else:
            os.link(temporary, self._target)

    def __exit__(self, *_: object) -> None:
        try:
            if self._file is not None:
                self._file.close()  # writes what is held back, which a full disk refuses
        finally:
            self._remove_temporary()
            self._registered.close()


def save_new_file(target: Path, content: bytes, *, overwrite: bool) -> None:
    """Put content into a new file, which appears when it is whole. Raises CannotCreate, StoreUnwritable."""
    if check_target(target, overwrite=overwrite):
        raise CannotCreate(f"{target} is a folder; name a file.")
    new = NewFile(target, overwrite=overwrite)
    try:
        with new as output:
            output.write(content)
            new.commit()
    except FileExistsError:
        raise CannotCreate(f"{target} exists already; it is left as it is.") from None
    except OSError as error:
        raise StoreUnwritable(f"Can't write {target}: {error.strerror}.") from None


def _link_nameless(file: BinaryIO, name: Path) -> None:
    """Give a nameless file its name. Raises OSError, FileExistsError among them."""
    # With a folder's descriptor Python calls linkat, which alone can do that.
    folder = os.open(name.parent, os.O_RDONLY)
    try:
        os.link(f"/proc/self/fd/{file.fileno()}", name.name, dst_dir_fd=folder, follow_symlinks=True)
    finally:
        os.close(folder)
