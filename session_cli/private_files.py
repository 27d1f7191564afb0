"""Private folders and files: 0700 and 0600 whatever the umask is, and replaced in one step or not at all."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from . import signals
from .errors import StoreUnwritable

FOLDER_MODE = 0o700
FILE_MODE = 0o600
OTHERS = 0o077
"""The permission bits of everybody but the owner."""


def make_private_folder(path: Path) -> None:
    """Make the folder `path` and the parents that it lacks, all of them 0700.

    Of a folder that is there already, others lose their access to `path` itself; its parents are left alone.
    Raises StoreUnwritable.
    """
    try:
        for parent in reversed(path.parents):
            if not parent.is_dir():
                _make_folder(parent)
        if not _make_folder(path):
            mode = path.stat().st_mode
            if mode & OTHERS:
                # Not ours to change, if it belongs to somebody else; the files in it are 0600 all the same.
                with contextlib.suppress(PermissionError):
                    path.chmod(mode & 0o7700)
    except OSError as error:
        raise _unwritable(path, error) from error


def _make_folder(path: Path) -> bool:
    """Make one folder; False if it is there already."""
    try:
        path.mkdir(FOLDER_MODE)
    except FileExistsError:
        if not path.is_dir():
            raise
        return False
    # The umask can have taken bits even from the owner.
    path.chmod(FOLDER_MODE)
    return True


def write_private_file(path: Path, content: bytes) -> None:
    """Put `content` at `path`, mode 0600, in one step: whoever looks sees all of the old content or all of the new.

    On return it is on the disk, name and all. Raises StoreUnwritable: then `path` is what it was, unless the content
    has taken its place already and only the disk has not confirmed that, so that a power cut may take it back.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(8).hex()}.new")
    try:
        # A signal would end the process on the spot, and leave the unfinished file behind.
        with signals.deferred():
            descriptor = create_private_file(temporary)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(content)
                    file.flush()
                    _flush_to_disk(file.fileno())
                temporary.replace(path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        sync_folder(path.parent)
    except OSError as error:
        raise StoreUnwritable(f"{path} was replaced, but the disk does not confirm it: {error.strerror}.") from error


def create_private_file(path: Path) -> int:
    """Create the file `path`, which must not exist, with mode 0600, and return a descriptor to read and write it.

    Raises OSError, FileExistsError among them.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags, FILE_MODE)
    try:
        # The umask can have taken bits even from the owner.
        path.chmod(FILE_MODE)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def sync_folder(path: Path) -> None:
    """Bring a folder's entries, new and renamed ones, to the disk. Raises OSError."""
    if os.name == "nt":
        return  # Windows has no such operation, and needs none
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_to_disk(descriptor: int) -> None:
    if sys.platform == "darwin":
        import fcntl

        # There, fsync leaves the data in the drive's own cache. Not every file system knows the stronger form.
        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    os.fsync(descriptor)


def _unwritable(path: Path, error: OSError) -> StoreUnwritable:
    return StoreUnwritable(f"Can't write {path}: {error.strerror or type(error).__name__}.")
