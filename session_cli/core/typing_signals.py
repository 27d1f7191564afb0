"""Telling people that we are typing."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from ..errors import NetworkError, ServiceRefused
from ..network.clock import Deadline
from ..protocol.account import AccountId, is_community, is_group
from ..protocol.payload import Typing
from ..store.records import PersonRow
from ..store.store import Store
from .intake import TYPING_MS
from .sending import Sender

LOG = logging.getLogger(__name__)
EVERY_S = 10.0
"""How often it is said again while somebody goes on typing: apps forget it after 15 seconds."""
_PATIENCE_S = 10.0
"""After so long it is no news any more."""


class TypingSignals:
    """Tells those of some people who may know that we are typing to them. `untold`: the others, and why not they."""

    def __init__(
        self, store: Store, own_id: AccountId, sender: Sender, recipients: Sequence[AccountId], timeout: float | None
    ) -> None:
        self._sender = sender
        self._timeout = timeout
        self._told: list[AccountId] = []
        self._began: set[AccountId] = set()
        self.untold: list[tuple[AccountId, str]] = []
        for recipient in dict.fromkeys(recipients):
            reason = _reason_not_to_tell(store.people.get(recipient), own=recipient == own_id)
            if reason is None:
                self._told.append(recipient)
            else:
                self.untold.append((recipient, reason))

    def typing(self) -> None:
        """Say that we are typing, or still are. What keeps it from being known is no matter."""
        for account in self._told:
            if self._signal(account, started=True):
                self._began.add(account)

    def stopped(self) -> None:
        """Say that nothing comes, to those who wait for something."""
        for account in sorted(self._began):
            self._signal(account, started=False)
        self._began.clear()

    def _signal(self, account: AccountId, *, started: bool) -> bool:
        deadline = Deadline(self._timeout).within(_PATIENCE_S)
        try:
            self._sender.signal(Typing(started), account, deadline, ttl_ms=TYPING_MS)
        except (NetworkError, ServiceRefused) as error:
            LOG.info("nobody knows that we are typing: %s", error.message)
            return False
        return True


def _reason_not_to_tell(person: PersonRow | None, *, own: bool) -> str | None:
    if own:
        return "these are notes to self"
    if person is not None and (is_group(person.address) or is_community(person.address)):
        return "in a group or room nobody is told"
    if person is not None and person.blocked:
        return "they are blocked"
    if person is None or not person.approved:
        return "you have not written to them yet"
    if not person.approved_me:
        return "they have not answered you yet"
    return None
