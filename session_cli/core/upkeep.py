"""Upkeep of a profile's store: what it is, whether it is sound, its key, its size."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from .. import signals
from ..errors import KeySourceFailed, NotConfigured, StoreDamaged, StoreLocked
from ..private_files import OTHERS
from ..store.database import open_database
from ..store.key import HEADER_NAME, KeyInfo, KeyMethod, KeySources, describe_key, open_key, rewrap_key
from ..store.sharing import claim_store, share_store
from ..store.store import DATABASE_NAME, Store
from ..store.upkeep import CIPHER, Facts
from .profile import Profile, enter_profile, find_profile
from .scratch import scratch_folder

if TYPE_CHECKING:
    from .attachments import ProgressReport

NEW_PASSPHRASE_VARIABLE = "SESSION_NEW_PASSPHRASE"  # noqa: S105 - the name of a variable
_PATIENCE_S = 3.0


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """What is known of a store. Sizes are bytes; `size` is that of the database's files together."""

    path: Path
    size: int
    cipher: str
    key: KeyInfo
    facts: Facts


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with a store."""

    part: str
    """`key`, `files`, `database` (the file's structure) or `contents`."""
    message: str


def store_info(profile: Profile) -> StoreInfo:
    """Facts about an open profile's store."""
    facts = profile.store.upkeep.facts()
    path = profile.folder / DATABASE_NAME
    return StoreInfo(path, database_size(profile.folder), CIPHER, describe_key(profile.folder), facts)


def database_size(folder: Path) -> int:
    """Bytes of the database in a profile's folder, with its write-ahead log."""
    paths = (folder / DATABASE_NAME, folder / f"{DATABASE_NAME}-wal")
    return sum(path.stat().st_size for path in paths if path.exists())


def rekey_store(sources: KeySources, method: KeyMethod, *, command: str | None = None) -> tuple[KeyInfo, KeyInfo]:
    """Keep the store's key by another method, or under another secret; returns how it was and is kept.

    A new passphrase comes from other variables than the old one. Until the new way works the old one does. Raises
    what `rewrap_key` raises.
    """
    folder, lock = enter_profile(sources)
    try:
        before = describe_key(folder)
        new_sources = replace(sources, variable=NEW_PASSPHRASE_VARIABLE)
        with signals.deferred():
            rewrap_key(folder, method, secrets=sources, new_secrets=new_sources, command=command)
        return before, describe_key(folder)
    finally:
        lock.release()


def compact_store(sources: KeySources, progress: ProgressReport | None = None) -> tuple[int, int]:
    """Make a store's file as small as its contents; returns its bytes before and after.

    Raises StoreLocked if other processes have it open, StoreUnwritable (there must be room for a copy), and what
    `open_profile` raises.
    """
    folder = find_profile(sources)
    found = folder.stat()
    key = open_key(folder, secrets=sources)
    before = database_size(folder)

    def report(done: int, total: int) -> None:
        if progress is not None:
            progress("compacting", done, total)

    claim = claim_store(folder, _PATIENCE_S, purpose="to compact the store")
    with scratch_folder(folder) as scratch, claim:
        if not os.path.samestat(folder.stat(), found):
            raise StoreLocked("The profile was replaced meanwhile; try again.")
        store = Store(open_database(folder / DATABASE_NAME, key, create=False, busy_timeout_s=_PATIENCE_S))
        try:
            store.upkeep.compact(key, scratch, report)
        finally:
            store.close()
    return before, database_size(folder)


def check_store(sources: KeySources) -> Iterator[Finding]:
    """Look for damage in a store, from the outside in; what can't be read any more ends the search.

    Raises NotConfigured if there is no profile, WrongKey, KeySourceFailed, UsageError (without the key nothing can be
    said about the database), StoreTooNew, StoreLocked, StoreUnwritable.
    """
    folder = sources.locations.profile_dir(sources.profile)
    if not (folder / HEADER_NAME).exists():
        find_profile(sources)
    lock = share_store(folder)
    try:
        yield from _check(folder, sources)
    finally:
        if lock is not None:
            lock.release()


def _check(folder: Path, sources: KeySources) -> Iterator[Finding]:
    yield from _check_files(folder)
    try:
        describe_key(folder)
    except NotConfigured:
        yield Finding("key", f"{folder / HEADER_NAME} is missing; without it nothing opens the database.")
        return
    except (StoreDamaged, KeySourceFailed) as error:
        yield Finding("key", error.message)
        return
    key = open_key(folder, secrets=sources)
    try:
        store = Store(open_database(folder / DATABASE_NAME, key, create=False))
    except (NotConfigured, StoreDamaged) as error:
        yield Finding("database", error.message)
        return
    with closing(store):
        try:
            yield from _check_database(store)
        except StoreDamaged as error:
            yield Finding("database", error.message)


def _check_database(store: Store) -> Iterator[Finding]:
    """Raises StoreDamaged, StoreTooNew."""
    problems = store.upkeep.full_check()
    yield from (Finding("database", problem) for problem in problems)
    if not problems:
        yield from (Finding("contents", problem) for problem in store.upkeep.check_contents())


def _check_files(folder: Path) -> Iterator[Finding]:
    if os.name != "posix":
        return  # the permissions of other systems say something else
    for path in (folder, folder / HEADER_NAME, folder / DATABASE_NAME):
        try:
            mode = path.stat().st_mode
        except FileNotFoundError:
            continue
        if mode & OTHERS:
            right = "700" if stat.S_ISDIR(mode) else "600"
            yield Finding("files", f"Others have access to {path}; take it from them: chmod {right} {path}")
