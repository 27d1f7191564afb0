"""The account: its profile, the key of its store, the store, and what is still to be delivered."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from ...errors import (
    KeySourceFailed,
    NotConfigured,
    SessionError,
    StoreDamaged,
    StoreLocked,
    StoreTooNew,
    StoreUnwritable,
    UsageError,
    WrongKey,
)
from ...store.key import KeyInfo, KeyMethod, describe_key, open_key
from ...store.migrations import newest_version
from ...store.store import DATABASE_NAME, Store
from ..profile import profile_names
from .findings import Finding, Subject, info, ok, problem, warning

if TYPE_CHECKING:
    from ...store.key import KeySources

PATIENCE_S = 15.0
"""For a command that prints a key: it may have to ask somebody."""
_MAKE_ONE = "Make an account with `session init`, or bring one back with `session restore`."
_PASSPHRASE_VARIABLES = ("SESSION_PASSPHRASE", "SESSION_PASSPHRASE_FILE", "SESSION_PASSPHRASE_COMMAND")


def check_profile(subject: Subject) -> Iterator[Finding]:
    """Whether the profile is there, and which others are."""
    try:
        folder = subject.folder
    except UsageError as error:
        yield problem(error.message, "Choose another --profile or SESSION_PROFILE.")
        return
    others = [name for name in profile_names(subject.environ) if name != subject.profile]
    listed = f" Others: {', '.join(others)}." if others else ""
    if (folder / DATABASE_NAME).exists():
        yield ok(f"The profile {subject.profile!r} is there.{listed}")
    elif folder.is_dir():
        yield problem(
            f"The profile {subject.profile!r} has no {DATABASE_NAME}.{listed}", f"Restore {folder} from a backup."
        )
    else:
        choose = "Choose one with --profile NAME. " if others else ""
        yield problem(f"There is no profile {subject.profile!r}.{listed}", choose + _MAKE_ONE)


# The key.


def check_key(subject: Subject) -> Iterator[Finding]:
    """Whether the store's key can be had now, and without anybody at a terminal."""
    try:
        described = describe_key(subject.folder)
    except NotConfigured:
        there = (subject.folder / DATABASE_NAME).exists()
        yield problem("key.json is missing.", "Restore it from a backup.") if there else info("There is none yet.")
        return
    except SessionError as error:
        yield problem(error.message, _advice_for_key(error))
        return
    alone = replace(subject.sources(None), command_timeout_s=PATIENCE_S)
    try:
        subject.key = open_key(subject.folder, secrets=alone)
    except SessionError as error:
        if subject.prompt is None or not _asks_person(error, described, subject.environ):
            yield problem(error.message, _advice_for_key(error))
            return
    else:
        yield from _without_terminal(subject, described, alone)
        return
    yield warning(
        "The passphrase has to be typed: cron jobs and services can't open this profile.",
        "If they shall: SESSION_PASSPHRASE_FILE, or another method for the key.",
    )
    try:
        subject.key = open_key(subject.folder, secrets=subject.sources(subject.prompt))
    except SessionError as error:
        yield problem(error.message, _advice_for_key(error))
    else:
        yield ok("The passphrase is right.")


def _asks_person(error: SessionError, described: KeyInfo, environ: Mapping[str, str]) -> bool:
    return (
        isinstance(error, KeySourceFailed)
        and described.method is KeyMethod.PASSPHRASE
        and not any(environ.get(name) for name in _PASSPHRASE_VARIABLES)
    )


def _without_terminal(subject: Subject, described: KeyInfo, secrets: KeySources) -> Iterator[Finding]:
    """A key that was had without a person: whether a cron job would have got it, too."""
    match described.method:
        case KeyMethod.KEYFILE:
            yield ok("The key file opens the store, for cron jobs and services, too.")
        case KeyMethod.KEYRING:
            yield ok(f"The keyring {described.keyring_backend} gives the key.")
            yield info("Cron jobs and services get it only while you are logged in and the keyring is unlocked.")
        case KeyMethod.PASSPHRASE:
            variable = next(name for name in _PASSPHRASE_VARIABLES if subject.environ.get(name))
            yield ok(f"The passphrase comes from {variable}; cron jobs and services need that variable, too.")
        case KeyMethod.COMMAND:
            yield ok("The command gives the key.")
            try:
                open_key(subject.folder, secrets=replace(secrets, environ=bare_environment(subject.environ)))
            except SessionError as error:
                yield warning(
                    f"In the bare environment of a cron job it fails: {error.message}",
                    "Have the command need neither a desktop nor variables that cron does not set, PATH included.",
                )


def bare_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What cron gives a job of the same user, and what session itself is told."""
    kept = {name: environ[name] for name in ("HOME", "LOGNAME", "USER", "SYSTEMROOT") if name in environ}
    own = {name: value for name, value in environ.items() if name.startswith("SESSION_")}
    path = {"PATH": "/usr/bin:/bin"} if os.name == "posix" else {"PATH": environ.get("PATH", "")}
    return {**kept, **own, **path, "SHELL": "/bin/sh"}


def _advice_for_key(error: SessionError) -> str:
    match error:
        case WrongKey():
            return "Restore the key, or the data, from a backup of the same profile: they don't belong together."
        case StoreDamaged():
            return "Restore key.json from a backup; without it the store stays closed."
        case StoreTooNew():
            return "Upgrade session-shell: pip install -U session-shell"
        case UsageError():
            return "Unset all of them but one."
        case _:
            return "Make the source of the key work again; the message says what fails."


# The store.


def check_store(subject: Subject) -> Iterator[Finding]:
    """Whether the store opens, what version its tables have, and whether SQLite finds damage."""
    if subject.key is None:
        yield info("Not looked into, for want of a key.")
        return
    try:
        store = Store.open_read_only(subject.folder, subject.key)
        subject.store = store
        damage = store.quick_check()
    except StoreDamaged as error:
        yield problem(error.message, "Restore the profile's folder from a backup; keep the damaged one until then.")
        return
    except StoreLocked as error:
        yield warning(error.message, "Look again when it has finished.")
        return
    except NotConfigured:
        yield info("There is none.")
        return
    except StoreUnwritable as error:
        yield warning(
            error.message, "Any other command, such as session whoami, puts in order what a killed one has left."
        )
        return
    if damage:
        yield problem(
            f"{DATABASE_NAME} is damaged: {damage[0]}" + (f", and {len(damage) - 1} more" if damage[1:] else ""),
            "Restore the profile's folder from a backup; keep the damaged one until then.",
        )
        return
    yield from check_version(store.version, newest_version())
    size = (subject.folder / DATABASE_NAME).stat().st_size
    yield ok(f"The store opens and is whole: {size / 1024**2:.1f} MiB, belongs to {_network_of(store)}.")


def check_version(version: int, newest: int) -> Iterator[Finding]:
    """The version of the tables against what this program knows."""
    if version > newest:
        yield problem(
            f"The store is of version {version}, and this release knows versions up to {newest}.",
            "Upgrade session-shell: pip install -U session-shell",
        )
    elif version < newest:
        yield info(f"The store is of version {version}; the next command brings it to version {newest}.")


def _network_of(store: Store) -> str:
    return f"the network {store.settings.get('network_id')}"


def check_deliveries(subject: Subject) -> Iterator[Finding]:
    """What has not reached its swarm yet."""
    if subject.store is None:
        yield info("Not looked into: the store is closed.")
        return
    queued, unfinished, own = subject.store.deliveries.count_left()
    if queued:
        yield info(f"{queued} messages wait in the outbox; the next send or recv sends them.")
    if unfinished:
        yield warning(
            f"{unfinished} messages have not reached their recipients, and nothing tries again.",
            "If no send is at work: look at them in the log, and send them again.",
        )
    if own:
        yield info(f"{own} copies for your own devices wait; the next send or recv stores them.")
    if not (queued or unfinished or own):
        yield ok("Nothing waits to be delivered.")


def check_communities(subject: Subject) -> Iterator[Finding]:
    """Servers of communities from which nothing came the last time."""
    store = subject.store
    if store is None or store.version < newest_version():
        yield info("Not looked into.")
        return
    servers = store.communities.servers()
    failing = [server for server in servers if server.problem is not None]
    for server in failing:
        yield warning(
            f"Nothing comes from the community server {server.base_url}, asked in vain {server.failures} times in a "
            f"row: {server.problem}",
            "It is asked again, less and less often. If it is gone for good: session community leave",
        )
    if not failing:
        yield ok("Their servers answered the last time." if servers else "None was joined.")
