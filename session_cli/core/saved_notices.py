"""Telling people that a file of theirs was saved here, for those who want to."""

from __future__ import annotations

import logging

from ..errors import NetworkError, ServiceRefused
from ..network.clock import Deadline
from ..protocol.account import AccountId, is_community, is_group
from ..protocol.payload import Expiration, ExpirationMode, MediaSaved
from ..store.records import MessageRow
from ..store.store import Store
from .sealing import expiration_of
from .sending import Sender

LOG = logging.getLogger(__name__)


def tell_saved(store: Store, sender: Sender, row: MessageRow, deadline: Deadline) -> None:
    """Tell the sender of a message that a file of it was saved; not ourselves, strangers, or those who are blocked.

    The file is saved all the same if that fails, which is only logged.
    """
    person = store.people.get(row.conversation)
    if row.direction == "outgoing" or person is None or not person.approved or person.blocked:
        return
    if is_group(row.conversation) or is_community(row.conversation):
        return
    expiration = expiration_of(*store.conversations.expiration(row.conversation))
    if expiration.mode is ExpirationMode.AFTER_SEND:
        # A notice disappears after it was read, as in the other apps: who is told of it shall see it.
        expiration = Expiration(ExpirationMode.AFTER_READ, expiration.seconds)
    try:
        sender.transmit(MediaSaved(row.sent_ms), [AccountId(row.conversation)], deadline, expiration=expiration)
    except (NetworkError, ServiceRefused) as error:
        LOG.warning("Saved, but its sender could not be told so: %s", error.message)
