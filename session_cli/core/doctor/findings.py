"""What an examination is about, and what it finds."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ...store.key import KeySources, PassphrasePrompt
from ...store.locations import Locations, locate
from ..profile import key_sources

if TYPE_CHECKING:
    from ...network.network import Network
    from ...store.store import Store


class Status(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    INFO = "info"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of what was found, and for warnings and problems another of what to do."""

    status: Status
    message: str
    advice: str | None = None
    check: str = ""


def ok(message: str) -> Finding:
    """All is as it should be."""
    return Finding(Status.OK, message)


def info(message: str) -> Finding:
    """Worth knowing, and nothing to be done about."""
    return Finding(Status.INFO, message)


def warning(message: str, advice: str) -> Finding:
    """It works, but not as well or as safely as it should."""
    return Finding(Status.WARNING, message, advice)


def problem(message: str, advice: str) -> Finding:
    """Something does not work."""
    return Finding(Status.PROBLEM, message, advice)


@dataclass
class Subject:
    """What is examined: a profile, its files, its way into the network. Options are those of `Client.open`.

    `variables` are the names of all environment variables that mean something to this program, and
    `configuration_problems` says what is wrong with the configuration file and with these. Where `unknown_settings`
    names settings that decide on the way into the network, it is not known, and nobody is asked. What one check finds
    out and others need is kept here: the store's key, the open store, whether the proxy is there.
    """

    profile: str
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    network_reference: str | None = None
    proxy: str | None = field(default=None, repr=False)
    direct: bool = False
    timeout: float | None = None
    prompt: PassphrasePrompt | None = field(default=None, repr=False)
    variables: tuple[str, ...] = ()
    configuration_problems: tuple[str, ...] = ()
    unknown_settings: tuple[str, ...] = ()
    key: bytes | None = field(default=None, repr=False)
    store: Store | None = field(default=None, repr=False)
    network: Network | None = None
    proxy_is_down: bool = False

    @cached_property
    def locations(self) -> Locations:
        """Where everything lies."""
        return locate(self.environ)

    @property
    def folder(self) -> Path:
        """The profile's own folder. Raises UsageError if its name can't be one."""
        return self.locations.profile_dir(self.profile)

    def sources(self, prompt: PassphrasePrompt | None) -> KeySources:
        """Where the store's key may be looked for."""
        return key_sources(self.environ, self.profile, prompt)

    def close(self) -> None:
        """Close what checks have opened."""
        if self.store is not None:
            self.store.close()
        if self.network is not None:
            self.network.close()


Check = Callable[[Subject], Iterable[Finding]]
