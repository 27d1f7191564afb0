"""Profiles on this machine: making, opening, and what they remember of themselves."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .. import signals
from ..errors import NotConfigured, ProfileExists, SessionError, StoreUnwritable, WrongNetwork
from ..private_files import make_private_folder, sync_folder
from ..protocol.account import Identity
from ..store.key import (
    KeyMethod,
    KeySources,
    PassphrasePrompt,
    create_key,
    describe_key,
    forget_wrapping_key,
    keyring_is_usable,
    open_key,
)
from ..store.locations import Locations, locate
from ..store.sharing import share_store
from ..store.store import DATABASE_NAME, Store
from .names import check_display_name

if TYPE_CHECKING:
    from ..file_lock import SharedLock
    from ..network.definition import NetworkDefinition

DEFAULT_PROFILE = "default"
_REPLACED = re.compile(r"\.(.+)\.[0-9a-f]{8}\.replaced\.tmp")


@dataclass(frozen=True, slots=True)
class NetworkChoice:
    """A network as it was asked for: a built-in name or the absolute path of a definition."""

    reference: str
    definition: NetworkDefinition


def choose_network(reference: str) -> NetworkChoice:
    """A network by built-in name or path of a definition file. Raises InvalidNetworkDefinition."""
    from ..network.definition import load_definition

    definition = load_definition(reference)
    is_file = definition.name != reference or Path(reference).exists()
    return NetworkChoice(str(Path(reference).absolute()) if is_file else reference, definition)


@dataclass(frozen=True, slots=True)
class Profile:
    """An open profile: where it lies, its keys, its store."""

    name: str
    folder: Path
    locations: Locations
    identity: Identity
    store: Store

    @property
    def network_reference(self) -> str:
        """The network this profile was made for: a built-in name, or a path."""
        return str(self.store.settings.get("network_reference"))

    def check_network(self, definition: NetworkDefinition) -> None:
        """Raise WrongNetwork unless the profile was made for this network: an account must not leak into another."""
        own = self.store.settings.get("network_id")
        if own != definition.id:
            raise WrongNetwork(
                f"The profile {self.name!r} belongs to the network {own!r}, not to {definition.id!r}; "
                "use another --profile for that one."
            )


def key_sources(environ: Mapping[str, str], profile: str, prompt: PassphrasePrompt | None) -> KeySources:
    """Where this process may look for the secrets of a profile."""
    return KeySources(locations=locate(environ), profile=profile, environ=environ, prompt=prompt)


def default_key_method(*, interactive: bool) -> KeyMethod:
    """The system's keyring where a person sits and the keyring has proved itself; a key file everywhere else."""
    return KeyMethod.KEYRING if interactive and keyring_is_usable() else KeyMethod.KEYFILE


def create_profile(
    sources: KeySources,
    identity: Identity,
    network: NetworkChoice,
    *,
    method: KeyMethod,
    command: str | None = None,
    display_name: str | None = None,
) -> Profile:
    """Make a profile for an account; offline, and either whole or not at all.

    Raises ProfileExists, KeySourceFailed, StoreUnwritable, UsageError; InvalidInput for a name that can't be.
    """
    name = check_display_name(display_name) if display_name is not None else None
    folder = sources.locations.profile_dir(sources.profile)
    settle_profile(folder)
    _check_absent(sources.profile, folder)
    make_private_folder(folder.parent)
    with signals.deferred():
        key = _build(folder, sources, identity, network, method=method, command=command, display_name=name)
    return Profile(sources.profile, folder, sources.locations, identity, Store.open(folder, key))


def _build(
    folder: Path,
    sources: KeySources,
    identity: Identity,
    network: NetworkChoice,
    *,
    method: KeyMethod,
    command: str | None,
    display_name: str | None,
) -> bytes:
    """Make the profile's folder with all that is in it; returns the store's key."""
    # Made under another name: a profile that is there is whole, whenever the process may have been killed.
    building = folder.with_name(f".{sources.profile}.{os.urandom(4).hex()}.new")
    try:
        key = create_key(building, method, secrets=sources, command=command)

        def fill(store: Store) -> None:
            store.settings.set("seed", identity.seed)
            store.settings.set("network_id", network.definition.id)
            store.settings.set("network_reference", network.reference)
            if display_name is not None:
                store.settings.set("display_name", display_name)

        Store.create(building, key, fill).close()
        try:
            building.rename(folder)
        except OSError as error:
            _check_absent(sources.profile, folder)
            raise StoreUnwritable(f"Can't make {folder}: {error.strerror}.") from None
    except BaseException:
        with suppress(SessionError):  # there may be no key yet
            forget_wrapping_key(describe_key(building), secrets=sources)
        shutil.rmtree(building, ignore_errors=True)
        raise
    sync_folder(folder.parent)
    return key


def _check_absent(name: str, folder: Path) -> None:
    if folder.exists():
        raise ProfileExists(f"There is a profile {name!r} already; it is left as it is. Choose another --profile.")


def open_profile(sources: KeySources, *, looking: bool = False) -> Profile:
    """Open a profile; with `looking`, even if nothing can be written there, and then only to be read.

    Raises NotConfigured, WrongKey, KeySourceFailed, StoreError's other subclasses.
    """
    folder, lock = enter_profile(sources)
    try:
        key = open_key(folder, secrets=sources)
        try:
            store = Store.open(folder, key, lock=lock)
        except StoreUnwritable:
            if not looking or os.access(folder, os.W_OK):
                raise
            store = Store.open_unwritable(folder, key)
    except BaseException:
        lock.release()
        raise
    identity = Identity.from_seed(store.settings.get("seed"))
    return Profile(sources.profile, folder, sources.locations, identity, store)


def enter_profile(sources: KeySources) -> tuple[Path, SharedLock]:
    """The folder of a profile that is there, and the lock, entered, that keeps others from replacing it.

    Raises NotConfigured, StoreLocked.
    """
    while True:
        folder = find_profile(sources)
        lock = share_store(folder)
        if lock is not None:
            return folder, lock


def find_profile(sources: KeySources) -> Path:
    """The folder of a profile that is there. Raises NotConfigured."""
    folder = sources.locations.profile_dir(sources.profile)
    if not (folder / DATABASE_NAME).exists():
        settle_profile(folder)
    if not (folder / DATABASE_NAME).exists():
        raise NotConfigured(
            f"There is no profile {sources.profile!r}; make an account with `session init`, "
            "or bring one back with `session restore`."
        )
    return folder


def settle_profile(folder: Path) -> None:
    """Put back a profile which a backup was about to replace when the process was killed.

    Between the two renames that this takes there is no profile of that name. Raises StoreLocked, StoreUnwritable.
    """
    if folder.exists() or folder.name not in (name for _, name in replaced_profiles(folder.parent)):
        return
    from .scratch import scratch_lock

    with scratch_lock(folder.parent):
        put_back_replaced(folder.parent)


def put_back_replaced(profiles: Path) -> list[Path]:
    """Put back every profile that was moved aside and has no successor; returns those that have one.

    To be called by the holder of the folder's scratch lock. Raises StoreUnwritable.
    """
    succeeded = []
    for aside, name in replaced_profiles(profiles):
        folder = profiles / name
        if folder.exists():
            succeeded.append(aside)
            continue
        try:
            aside.rename(folder)
            sync_folder(profiles)
        except OSError as error:
            raise StoreUnwritable(f"Can't put the profile back to {folder}: {error.strerror}.") from None
    return succeeded


def replaced_profiles(profiles: Path) -> list[tuple[Path, str]]:
    """The profiles moved aside, and their names."""
    if not profiles.is_dir():
        return []
    found = ((entry, replaced_name(entry)) for entry in profiles.iterdir())
    return [(entry, name) for entry, name in found if name is not None]


def replaced_name(folder: Path) -> str | None:
    """The name of the profile that a folder was, if that was moved aside for its successor."""
    match = _REPLACED.fullmatch(folder.name)
    return match[1] if match else None


def name_for_replaced(name: str) -> str:
    """A new name for the folder of the profile `name`, under which it waits for its successor."""
    return f".{name}.{os.urandom(4).hex()}.replaced.tmp"


def profile_names(environ: Mapping[str, str] = os.environ) -> list[str]:
    """The names of the profiles there are."""
    folder = locate(environ).data / "profiles"
    if not folder.is_dir():
        return []
    found = (entry.name for entry in folder.iterdir() if (entry / DATABASE_NAME).exists())
    return sorted(name for name in found if not name.startswith("."))
