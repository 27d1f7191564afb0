"""Messages for a profile whose store is in memory, without a network between."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from session_cli.core.intake import Intake
from session_cli.core.model import Event, Message, Viewer
from session_cli.core.preferences import Preferences
from session_cli.core.profile import Profile
from session_cli.core.receiving import PollResult
from session_cli.errors import UnsupportedVersion
from session_cli.protocol import content as contents
from session_cli.protocol import session_v1
from session_cli.protocol.account import AccountId, Identity
from session_cli.protocol.payload import Content, Expiration, Payload, Unknown
from session_cli.protocol.storage_rpc import Namespace, StoredMessage, message_hash
from session_cli.store.events import EVERYTHING
from tests.support.stores import check_store, profile_in_memory

NOW_MS = 1_700_000_000_000
DAYS_14_MS = 14 * 86_400_000


@contextmanager
def older_version() -> Iterator[None]:
    """Within it, this program can open every message, and knows no kind of them."""
    parse = contents.parse

    def older_parse(serialized: bytes) -> Content:
        content = parse(serialized)
        unknown = Unknown("too new", getattr(content.payload, "sync_target", None))
        return Content(unknown, content.timestamp_ms, content.expiration)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contents, "parse", older_parse)
        yield


@contextmanager
def much_older_version() -> Iterator[None]:
    """Within it, this program can open no message."""

    def open_nothing(identity: Identity, data: bytes) -> session_v1.OpenedMessage:
        raise UnsupportedVersion("too new")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session_v1, "decode_message", open_nothing)
        yield


@dataclass(slots=True)
class Recipient:
    """Somebody who gets messages as if a swarm had given them, at a time of the test's choice."""

    identity: Identity
    preferences: Preferences = field(default_factory=Preferences)
    now_ms: int = NOW_MS
    profile: Profile = field(init=False)

    def __post_init__(self) -> None:
        self.profile = profile_in_memory(self.identity)
        self.profile.store.now_ms = lambda: self.now_ms

    def close(self) -> None:
        self.profile.store.close()

    def seal(
        self, sender: Identity, content: bytes | Payload, sent_ms: int, expiration: Expiration | None = None
    ) -> bytes:
        """What a sender would have the swarm store."""
        if not isinstance(content, bytes):
            content = contents.serialize(Content(content, sent_ms, expiration or Expiration()))
        return session_v1.encode_message(sender, self.identity.account_id, content, sent_ms)

    def stored(self, data: bytes, *, expiration_ms: int | None = None) -> StoredMessage:
        """The bytes as a swarm gives them."""
        name = message_hash(self.identity.account_id, Namespace.MESSAGES, data)
        return StoredMessage(name, self.now_ms, expiration_ms or self.now_ms + DAYS_14_MS, data)

    def take(self, data: bytes, *, expiration_ms: int | None = None) -> PollResult:
        """Take bytes in, as a poll would."""
        stored, intake = self.stored(data, expiration_ms=expiration_ms), Intake(self.profile, self.preferences)
        outcome = intake.open(stored)
        store = self.profile.store
        with store.transaction():
            if not store.swarm.mark_seen(self.identity.account_id, 0, stored.hash, stored.expiration_ms):
                return PollResult()
            return intake.take(stored, outcome, self.now_ms)

    def get(
        self, sender: Identity, content: bytes | Payload, sent_ms: int, expiration: Expiration | None = None
    ) -> PollResult:
        """Take in what a sender seals."""
        return self.take(self.seal(sender, content, sent_ms, expiration))

    @property
    def viewer(self) -> Viewer:
        return Viewer(self.identity.account_id, None, self.now_ms)

    def events(self) -> list[Event]:
        """All events there are."""
        return [self.viewer.event(row) for row in self.profile.store.events.unread("none", EVERYTHING, 10_000)]

    def log(self, conversation: AccountId) -> list[Message]:
        """What a conversation shows, oldest first."""
        rows = self.profile.store.messages.rows("WHERE c.address = ? ORDER BY m.sent_ms, m.id", (conversation,))
        return [self.viewer.message(row) for row in rows]

    def check(self) -> None:
        """The store is sound."""
        check_store(self.profile.store._connection)
