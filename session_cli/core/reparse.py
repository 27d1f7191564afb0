"""Reading anew what an earlier version could not understand.

It goes the way of a message that has just come, but with the time at which it did. Each one is taken in one transaction
with the end of what stood for it, so that it is either in the history or still kept.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from ..errors import ProtocolError
from ..protocol.payload import Unknown
from ..protocol.storage_rpc import MessageHash, Namespace, StoredMessage
from ..store.unknowns import UnknownRow
from .intake import Intake, Outcome
from .preferences import Preferences
from .profile import Profile

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reparsed:
    """How many messages were kept for a later version, and how many of them are understood now."""

    kept: int
    understood: int


def reparse(profile: Profile, preferences: Preferences) -> Reparsed:
    """Take in all that is kept and understood now; the rest stays. Raises StoreError."""
    intake = Intake(profile, preferences)
    hashes = profile.store.unknowns.hashes()
    return Reparsed(len(hashes), sum(_take(profile, intake, hash) for hash in hashes))


def _take(profile: Profile, intake: Intake, hash: str) -> bool:
    store = profile.store
    row = store.unknowns.get(hash)
    if row is None:
        return False  # another process was faster
    stored = StoredMessage(MessageHash(hash), row.timestamp_ms, row.expiration_ms, row.data)
    if row.namespace == Namespace.GROUP_MESSAGES:
        return _take_in_group(profile, row, stored)
    outcome = intake.open(stored)
    if not _is_understood(outcome):
        return False
    try:
        with store.transaction():
            return _put_in_place(profile, intake, row, stored, outcome)
    except (ArithmeticError, TypeError, ValueError) as error:
        LOG.warning("A message could not be stored (%s); it is kept as it was.", type(error).__name__)
        return False


def _take_in_group(profile: Profile, row: UnknownRow, stored: StoredMessage) -> bool:
    from .groups.intake import GroupIntake
    from .groups.state import GroupStore

    store = profile.store
    notice = store.messages.get(row.message_id) if row.message_id is not None else None
    groups = GroupStore(store, profile.identity.account_id)
    intake = GroupIntake(profile)
    with store.transaction():
        state = groups.load(notice.conversation) if notice is not None else None
        if state is None:
            return False
        opened = intake.open(state, stored)
        if not _is_understood(opened) or not store.unknowns.take_out(row):
            return False
        changed, _ = intake.take(state, stored, opened, row.fetched_ms, notice_id=row.message_id)
        if changed is not state:
            groups.save(changed)
        if row.message_id is not None:
            store.unknowns.drop_notice(row.message_id)
        return True


def _put_in_place(profile: Profile, intake: Intake, row: UnknownRow, stored: StoredMessage, outcome: Outcome) -> bool:
    unknowns = profile.store.unknowns
    if not unknowns.take_out(row):
        return False
    intake.take(stored, outcome, row.fetched_ms, notice_id=row.message_id)
    if row.message_id is not None:
        unknowns.drop_notice(row.message_id)
    return True


def _is_understood(outcome: Outcome) -> bool:
    if isinstance(outcome, ProtocolError):
        return False
    _, content = outcome
    return not isinstance(content.payload, Unknown)
