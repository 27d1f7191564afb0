"""Where a profile's files live, and how private files and folders are made.

`SESSION_HOME` puts everything below one folder; without it each kind of file goes where the operating system keeps
that kind. Folders made here are 0700 and files 0600 whatever the umask is.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import StoreUnwritable, UsageError

APP_NAME = "session-shell"
FOLDER_MODE = 0o700
FILE_MODE = 0o600
OTHERS = 0o077
"""The permission bits of everybody but the owner."""

_PROFILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Locations:
    """The four folders that this program uses. They need not exist yet."""

    data: Path
    """The profiles: databases and their key headers."""
    config: Path
    """Settings, and key files (apart from the data that they open)."""
    cache: Path
    """What can be fetched again: the list of service nodes."""
    state: Path
    """Logs."""

    def profile_dir(self, name: str) -> Path:
        """The folder of the profile `name`. Raises UsageError if that is no profile name."""
        return self.data / "profiles" / check_profile_name(name)

    @property
    def key_files(self) -> Path:
        """The folder of the key files."""
        return self.config / "keys"


def locate(environ: Mapping[str, str]) -> Locations:
    """Find the folders: below `SESSION_HOME` if `environ` has it (empty counts as unset), else the system's places."""
    home = environ.get("SESSION_HOME")
    if home:
        root = Path(home).expanduser().absolute()
        return Locations(data=root / "data", config=root / "config", cache=root / "cache", state=root / "state")

    from platformdirs import PlatformDirs

    system = PlatformDirs(APP_NAME, appauthor=False)
    return Locations(
        data=system.user_data_path,
        config=system.user_config_path,
        cache=system.user_cache_path,
        state=system.user_state_path,
    )


def check_profile_name(name: str) -> str:
    """Return `name` if it can name a profile, and so a folder on every system; raise UsageError if it can't."""
    if not _PROFILE_NAME.fullmatch(name):
        raise UsageError(
            "A profile name has 1 to 64 characters, all of them letters, digits, dots, hyphens or underscores, "
            "and begins with a letter or digit."
        )
    return name


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

    On return it is on the disk, name and all. On any failure `path` is what it was. Raises StoreUnwritable.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(8).hex()}.new")
    try:
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
        sync_folder(path.parent)
    except OSError as error:
        raise _unwritable(path, error) from error


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
