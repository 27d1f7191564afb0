"""Backups: everything of one profile in one encrypted file, and back."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from .. import signals
from ..errors import (
    BackupDamaged,
    CannotCreate,
    ProfileExists,
    SessionError,
    StoreDamaged,
    StoreTooNew,
    StoreUnwritable,
    WrongNetwork,
)
from ..private_files import create_private_file, sync_folder
from ..protocol.account import Identity
from ..store import migrations
from ..store.backup_format import BackupReader, BackupWriter, Description
from ..store.database import KEY_BYTES
from ..store.key import KeyInfo, KeyMethod, KeySources, create_key, describe_key, forget_unshared_key
from ..store.sharing import claim_store
from ..store.store import DATABASE_NAME, Store
from .profile import Profile, name_for_replaced, put_back_replaced, settle_profile
from .scratch import remove_folder, scratch_folder
from .spool import NewFile, check_target, read_chunks

if TYPE_CHECKING:
    from .attachments import ProgressReport
    from .profile import NetworkChoice

PASSPHRASE_VARIABLE = "SESSION_BACKUP_PASSPHRASE"  # noqa: S105 - the name of a variable
_PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class BackupInfo:
    """What a backup holds."""

    account_id: str
    profile: str
    """The name of the profile that it was made of."""
    network: str
    """The id of the network that the account belongs to."""
    created_ms: int
    messages: int
    size: int
    """Bytes of the database in it."""


def backup_sources(sources: KeySources) -> KeySources:
    """Where the passphrase of a backup is looked for: not where the store's is."""
    return replace(sources, variable=PASSPHRASE_VARIABLE, subject="backup")


def default_name(profile: str, now_s: float) -> str:
    """A name for a backup made at this time (seconds since 1970), told in local time."""
    return f"session-{profile}-{time.strftime('%Y-%m-%d-%H%M%S', time.localtime(now_s))}.backup"


def write_backup(
    profile: Profile, write: Callable[[bytes], object], secrets: KeySources, progress: ProgressReport | None = None
) -> BackupInfo:
    """Hand a backup of a profile to `write`, piece by piece; memory use does not grow with its size.

    It holds the database as it is at one moment, whatever other processes write. That is copied first, encrypted, into
    the profile's folder. Raises KeySourceFailed, UsageError, StoreError's other subclasses, and what `write` raises.
    """
    report = progress or _nobody
    writer = BackupWriter(write, secrets)
    with scratch_folder(profile.folder) as scratch:
        copy, key = scratch / DATABASE_NAME, os.urandom(KEY_BYTES)
        facts = profile.store.upkeep.snapshot(copy, key, lambda done, total: report("copying", done, total))
        description = Description(
            account_id=profile.identity.account_id,
            profile=profile.name,
            network=str(profile.store.settings.get("network_id")),
            created_ms=int(time.time() * 1000),
            messages=facts.messages,
            schema=facts.version,
            database_bytes=copy.stat().st_size,
            database_key=key,
        )
        writer.describe(description)
        done = 0
        with copy.open("rb") as file:
            for chunk in read_chunks(file):
                writer.write(chunk)
                done += len(chunk)
                report("writing", done, description.database_bytes)
        writer.finish()
    return _info(description)


def save_backup(
    profile: Profile,
    target: Path,
    secrets: KeySources,
    *,
    overwrite: bool = False,
    progress: ProgressReport | None = None,
) -> BackupInfo:
    """Write a backup to a file, which appears whole or not at all.

    Raises CannotCreate if there is such a file, unless `overwrite` is set, and what `write_backup` raises.
    """
    if check_target(target, overwrite=overwrite):
        raise CannotCreate(f"{target} is a folder; name a file in it.")
    try:
        new = NewFile(target, overwrite=overwrite)
        with new as output:
            info = write_backup(profile, output.write, secrets, progress)
            new.commit()
        sync_folder(target.parent)
    except FileExistsError:
        raise CannotCreate(f"{target} exists already; it is left as it is. Use --force to replace it.") from None
    except OSError as error:
        raise StoreUnwritable(f"Can't write the backup {target}: {error.strerror}.") from None
    return info


def verify_backup(
    source: BinaryIO, sources: KeySources, secrets: KeySources, progress: ProgressReport | None = None
) -> BackupInfo:
    """Read all of a backup, authenticate it, and check the database in it; profiles are left alone.

    The encrypted database is laid into a temporary folder for that. Raises BackupDamaged, StoreTooNew, WrongKey,
    KeySourceFailed, UsageError, UnreadableInput, StoreUnwritable, StoreLocked.
    """
    reader = BackupReader(source, secrets)
    with scratch_folder(sources.locations.cache) as scratch:
        store, _ = _unpack(reader, scratch, progress or _nobody)
        store.close()
    return _info(reader.description)


def restore_backup(
    source: BinaryIO,
    sources: KeySources,
    secrets: KeySources,
    *,
    method: KeyMethod,
    command: str | None = None,
    network: NetworkChoice | None = None,
    overwrite: bool = False,
    progress: ProgressReport | None = None,
) -> Profile:
    """Make the profile that `sources` are for out of a backup, whose passphrase comes from `secrets`; offline.

    The database gets a new key, wrapped by `method` as for a new account. With `network` the profile finds its network
    there from now on; it must be the same one. Nothing is where it will be before all of the backup has proved
    genuine. With `overwrite` a profile that is there is replaced in one step, and then removed with its key.

    Raises ProfileExists, WrongNetwork, StoreLocked (somebody has the old profile open), and what `verify_backup`
    raises.
    """
    folder = sources.locations.profile_dir(sources.profile)
    settle_profile(folder)
    _check_free(folder, overwrite=overwrite)
    reader = BackupReader(source, secrets)
    if network is not None and network.definition.id != reader.description.network:
        raise WrongNetwork(
            f"The backup belongs to the network {reader.description.network!r}, not to {network.definition.id!r}."
        )

    def discard(leftover: Path) -> None:
        _discard(leftover, sources)

    with scratch_folder(folder.parent, discard=discard) as scratch:
        for left in put_back_replaced(folder.parent):
            discard(left)
        with signals.deferred():
            key = create_key(scratch, method, secrets=sources, command=command)
        store, identity = _unpack(reader, scratch, progress or _nobody)
        if network is not None:
            with store.transaction():
                store.settings.set("network_reference", network.reference)
        store.upkeep.change_key(key)
        store.close()
        _put_in_place(scratch, folder, overwrite=overwrite, discard=discard)
    return Profile(sources.profile, folder, sources.locations, identity, Store.open(folder, key))


def _unpack(reader: BackupReader, folder: Path, report: ProgressReport) -> tuple[Store, Identity]:
    """Lay a backup's database into `folder`, and open it once all of it has proved genuine and sound."""
    description = reader.description
    if description.schema > migrations.newest_version():
        raise StoreTooNew(
            f"The backup holds a store of version {description.schema}, which a later release wrote; "
            f"this one knows versions up to {migrations.newest_version()}. Upgrade session-shell."
        )
    path = folder / DATABASE_NAME
    done = 0
    try:
        with os.fdopen(create_private_file(path), "wb") as file:
            for chunk in reader.database():
                file.write(chunk)
                done += len(chunk)
                report("reading", done, description.database_bytes)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise StoreUnwritable(f"Can't write in {folder.parent}: {error.strerror}.") from None
    try:
        store = Store.open(folder, description.database_key)
    except StoreDamaged as error:
        raise _unsound() from error
    try:
        seed = store.settings.get("seed")
        if store.upkeep.quick_check() or type(seed) is not bytes:
            raise _unsound()
        identity = Identity.from_seed(seed)
        if identity.account_id != description.account_id:
            raise _unsound()
    except BaseException as error:
        store.close()
        if isinstance(error, StoreDamaged):
            raise _unsound() from error
        raise
    return store, identity


def _unsound() -> BackupDamaged:
    return BackupDamaged("The backup is genuine, but the database in it was damaged when it was made.")


def _check_free(folder: Path, *, overwrite: bool) -> None:
    if folder.exists() and not overwrite:
        raise ProfileExists(
            f"There is a profile {folder.name!r} already; it is left as it is. "
            "Choose another --profile, or replace it with --force."
        )


def _put_in_place(made: Path, folder: Path, *, overwrite: bool, discard: Callable[[Path], None]) -> None:
    """Give a finished profile its place. Whoever is killed in between leaves what `settle_profile` puts back."""
    _check_free(folder, overwrite=overwrite)
    aside = folder.with_name(name_for_replaced(folder.name))
    with signals.deferred(), ExitStack() as claimed:
        try:
            sync_folder(made)
            if folder.exists():
                claimed.enter_context(claim_store(folder, _PATIENCE_S, purpose="to replace the profile"))
                if os.name == "nt":
                    # There no folder is renamed in which a file is open: our own is in the way, and so are others'.
                    claimed.close()
                folder.rename(aside)
            try:
                made.rename(folder)
            except OSError:
                if aside.exists():
                    aside.rename(folder)
                _check_free(folder, overwrite=overwrite)
                raise
            sync_folder(folder.parent)
        except OSError as error:
            raise StoreUnwritable(f"Can't make {folder}: {error.strerror}.") from None
        if aside.exists():
            discard(aside)


def _discard(profile: Path, sources: KeySources) -> None:
    """Remove what was, or should have become, a profile, and the key that opened it alone."""
    try:
        info: KeyInfo | None = describe_key(profile)
    except SessionError:
        info = None
    remove_folder(profile)
    if info is not None:
        forget_unshared_key(info, profile.parent, secrets=sources)


def _info(description: Description) -> BackupInfo:
    return BackupInfo(
        description.account_id,
        description.profile,
        description.network,
        description.created_ms,
        description.messages,
        description.database_bytes,
    )


def _nobody(step: str, done: int, total: int | None) -> None:
    """The report to nobody."""
