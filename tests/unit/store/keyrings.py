"""Keyrings for the tests. They hold their entries in this process, so each test clears them."""

from __future__ import annotations

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked, PasswordDeleteError


class MemoryKeyring(KeyringBackend):
    priority = 5
    entries: dict[tuple[str, str], str] = {}  # noqa: RUF012 - one for all instances, as a system's keyring is
    locked = False
    lossy = False

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def get_password(self, service: str, username: str) -> str | None:
        if MemoryKeyring.locked:
            raise KeyringLocked
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        if MemoryKeyring.locked:
            raise KeyringLocked
        self.entries[service, username] = password[:-1] if MemoryKeyring.lossy else password

    def delete_password(self, service: str, username: str) -> None:
        if self.entries.pop((service, username), None) is None:
            raise PasswordDeleteError


class UnsafeKeyring(MemoryKeyring):
    """One of those that `keyring` itself does not recommend."""

    priority = 0.5  # type: ignore[assignment]


class NoKeyring:
    """Something else that a header could name."""

    priority = 5
