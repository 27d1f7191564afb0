"""Files and folders: who can reach them, where they lie, what is left over, what is locked."""

from __future__ import annotations

import os
import shlex
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from ...file_lock import UNKNOWN_HOLDER, holder_of
from ...private_files import OTHERS
from ..profile import replaced_name
from ..scratch import LOCK_NAME as SCRATCH_LOCK
from .findings import Finding, Subject, info, ok, problem, warning

_STICKY = stat.S_ISVTX
_OTHERS_WRITE = 0o022
_LITTLE_ROOM = 50 * 1024**2
_NO_ROOM = 1024**2
_LEFTOVER_AGE_S = 3600
"""Younger ones may belong to a command that is at work."""
_LEFTOVER_MARKS = (".new", ".part", ".new-wal", ".new-shm", ".new-journal")
_MADE_UNDER_LOCK = (".scratch.tmp", ".replaced.tmp")
_NETWORK_FILE_SYSTEMS = frozenset(
    ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "fuse.sshfs", "fuse.rclone", "davfs")
)


def _own_files(subject: Subject) -> Iterator[Path]:
    """All that is ours and there, folders before what is in them."""
    places = subject.locations
    for folder in (places.data, places.config, places.cache, places.state):
        if folder.is_dir():
            yield folder
            yield from sorted(folder.rglob("*"))


# Permissions.


def check_permissions(subject: Subject) -> Iterator[Finding]:
    """Modes (folders 0700, files 0600) and owners of everything, and whether the key file is apart from the data."""
    if os.name != "posix":
        yield info("Not looked into: this system has other permissions than modes.")
        return
    count, found = 0, False
    for path in _own_files(subject):
        count += 1
        for finding in _permissions_of(path, is_config=path.parent == subject.locations.config):
            found = True
            yield finding
    for path in _unsafe_parents(subject):
        found = True
        yield problem(
            f"Everybody can rename or replace what lies in {path}, our folders included.", f"chmod o-w {_quoted(path)}"
        )
    if not found:
        yield ok(f"{count} files and folders, all of them for their owner alone." if count else "Nothing is there yet.")
    home = subject.environ.get("SESSION_HOME")
    if home and any(subject.locations.key_files.glob("*.key")):
        yield info(
            "SESSION_HOME keeps key files and data below one folder: whoever copies all of it can read the messages."
        )


def _permissions_of(path: Path, *, is_config: bool) -> Iterator[Finding]:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return  # a file of another command, gone since
    if stat.S_ISLNK(status.st_mode):
        return
    if status.st_uid != os.geteuid():
        yield warning(f"{path} belongs to user {status.st_uid}.", f"chown {os.geteuid()} {_quoted(path)}")
    if not status.st_mode & OTHERS:
        return
    private = "u=rwx" if stat.S_ISDIR(status.st_mode) else "u=rw"
    advice = f"chmod {private},go= {_quoted(path)}"
    if path.suffix == ".key" or path.name == "key.json":
        # The program itself refuses these.
        refused = status.st_mode & (OTHERS if path.suffix == ".key" else _OTHERS_WRITE)
        if refused:
            yield problem(f"{path} is open to others (mode {stat.S_IMODE(status.st_mode):04o}): not used.", advice)
            return
    if is_config and path.is_file() and not status.st_mode & _OTHERS_WRITE:
        return  # settings, written by hand, are no secret
    yield warning(f"{path} is open to others (mode {stat.S_IMODE(status.st_mode):04o}).", advice)


def _unsafe_parents(subject: Subject) -> list[Path]:
    """Folders above ours in which everybody may rename what isn't theirs."""
    found: dict[Path, None] = {}
    for folder in (subject.locations.data, subject.locations.config):
        for parent in folder.parents:
            try:
                mode = parent.stat().st_mode
            except OSError:
                continue
            if mode & stat.S_IWOTH and not mode & _STICKY:
                found[parent] = None
    return list(found)


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


# The disk.


def check_place(subject: Subject) -> Iterator[Finding]:
    """Whether the data lies where a database can live."""
    folder = _existing(subject.locations.data)
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        yield info(f"Data in {subject.locations.data}.")
        return
    kind = file_system_of(folder, mounts)
    if kind in _NETWORK_FILE_SYSTEMS:
        yield warning(
            f"{subject.locations.data} lies on a network file system ({kind}), where locks are not to be relied on.",
            "Keep it on a local disk: SESSION_HOME=FOLDER",
        )
    else:
        yield ok(f"Data in {subject.locations.data}" + (f" ({kind})." if kind else "."))


def file_system_of(folder: Path, mounts: str) -> str | None:
    """The kind of file system that holds a folder, by the lines of /proc/mounts; the last mount counts."""
    resolved, found, depth = folder.resolve(), None, -1
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = Path(fields[1].replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\"))
        if resolved.is_relative_to(point) and len(point.parts) >= depth:
            found, depth = fields[2], len(point.parts)
    return found


def check_disk(subject: Subject) -> Iterator[Finding]:
    """How much room is left."""
    folder = _existing(subject.locations.data)
    yield from check_room(shutil.disk_usage(folder).free, folder)


def check_room(free: int, folder: Path) -> Iterator[Finding]:
    """Bytes that are free, judged."""
    size = f"{free / 1024**3:.1f} GiB" if free >= 1024**3 else f"{free / 1024**2:.1f} MiB"
    advice = "Make room, or move the data: SESSION_HOME=FOLDER"
    if free < _NO_ROOM:
        yield problem(f"The disk is full: {size} left at {folder}.", advice)
    elif free < _LITTLE_ROOM:
        yield warning(f"The disk is nearly full: {size} left at {folder}.", advice)
    else:
        yield ok(f"{size} free.")


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return next((place for place in (folder, *folder.parents) if place.is_dir()), Path("/"))


# What killed runs have left, and what running ones hold.


def check_leftovers(subject: Subject) -> Iterator[Finding]:
    """Unfinished files, and key files that no profile uses."""
    old, young = [], 0
    for path in _own_files(subject):
        if path.name.startswith(".") and path.name.endswith(_MADE_UNDER_LOCK):
            # Moving a folder does not change its age, but who has made or moved one holds a lock.
            if holder_of(path.with_name(SCRATCH_LOCK)) is None:
                old.append(path)
            else:
                young += 1
        elif path.name.startswith(".") and path.name.endswith(_LEFTOVER_MARKS) and path.parent not in old:
            try:
                age_s = time.time() - path.lstat().st_mtime
            except FileNotFoundError:
                continue
            if age_s > _LEFTOVER_AGE_S:
                old.append(path)
            else:
                young += 1
    for path in old:
        yield warning(f"{path} was left by a command that was killed.", _way_to_settle(path))
    if young:
        yield info(f"{young} unfinished {'file' if young == 1 else 'files'}, perhaps of a command that is at work.")
    unused = _unused_key_files(subject)
    if unused:
        yield info(f"No profile here uses {', '.join(unused)} in {subject.locations.key_files}; that of a backup may.")
    if not (old or young or unused):
        yield ok("Nothing is left over.")


def _way_to_settle(path: Path) -> str:
    """What to do about a leftover: a profile that was moved aside may be the only one of its name."""
    name = replaced_name(path)
    if name is None or path.with_name(name).exists():
        return f"rm -r {_quoted(path)}"
    return f"It is all there is of the profile {name!r}: session whoami --profile {shlex.quote(name)} puts it back."


def _unused_key_files(subject: Subject) -> list[str]:
    """Names of key files that no profile's header names; empty where a header can't be read."""
    from ...errors import SessionError
    from ...store.key import describe_key
    from ..profile import profile_names

    there = {path.name for path in subject.locations.key_files.glob("*.key")}
    try:
        for name in profile_names(subject.environ):
            there.discard(describe_key(subject.locations.profile_dir(name)).key_file or "")
    except SessionError:
        return []
    return sorted(there)


def check_locks(subject: Subject) -> Iterator[Finding]:
    """Who is at work at this moment."""
    held = False
    for path in _own_files(subject):
        if path.suffix != ".lock":
            continue
        holder = holder_of(path)
        if holder is not None:
            held = True
            who = "Another process" if holder == UNKNOWN_HOLDER else f"Process {holder}"
            yield info(f"{who} holds {path.relative_to(_root_of(path, subject))}; others wait for it.")
    if not held:
        yield ok("No lock is held.")


def _root_of(path: Path, subject: Subject) -> Path:
    cache = subject.locations.cache
    return cache if path.is_relative_to(cache) else subject.locations.data / "profiles"
