"""What was written: by time, by conversation, by words. All of it is read from the store; nothing is changed.

Conversations and people are named as in `Client.send`. Times are ms since 1970, both ends included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..errors import InvalidInput
from ..protocol.account import AccountId
from ..store.history import Position, Range
from ..store.records import MessageRow
from ..store.store import Store
from .conversation_state import state_of
from .model import Conversation, Message, Party, Viewer

DEFAULT_LIMIT = 50


class History:
    """The messages and conversations of one account."""

    def __init__(
        self,
        store: Store,
        own_id: AccountId,
        message_of: Callable[[MessageRow], Message],
        resolve: Callable[[str], AccountId],
    ) -> None:
        self._store = store
        self._own_id = own_id
        self._message_of = message_of
        self._resolve = resolve

    def log(
        self,
        conversation: str | None = None,
        *,
        since_ms: int | None = None,
        until_ms: int | None = None,
        before: int | None = None,
        after: int | None = None,
        limit: int | None = DEFAULT_LIMIT,
    ) -> Iterator[Message]:
        """Messages by their times, oldest first: the last `limit` of those that are meant, or all, in constant memory.

        `before` and `after` are ids of messages; with `after`, the first `limit` after that message are meant. All
        arguments are checked at once, before the first message is asked for. Raises InvalidInput if there is no such
        message, and what `Client.resolve` raises.
        """
        wanted = Range(
            conversation=self._resolve(conversation) if conversation is not None else None,
            since_ms=since_ms,
            until_ms=until_ms,
            before=self._position(before),
            after=self._position(after),
        )
        return self._log(wanted, limit)

    def _log(self, wanted: Range, limit: int | None) -> Iterator[Message]:
        start = self._store.history.nth_last(wanted, limit) if limit and wanted.after is None else None
        for number, row in enumerate(self._store.history.stream(wanted, start=start)):
            if number == limit:
                return
            yield self._message_of(row)

    def _position(self, message_id: int | None) -> Position | None:
        if message_id is None:
            return None
        position = self._store.history.position(message_id)
        if position is None:
            raise InvalidInput(f"There is no message {message_id}.")
        return position

    def named(self, conversation: str, sender: str, timestamp_ms: int) -> Message | None:
        """The message that a quote in a conversation names, if we have it; both are named by their ids."""
        row = self._store.history.named(conversation, sender, timestamp_ms)
        return self._message_of(row) if row else None

    def search(
        self,
        query: str,
        *,
        conversation: str | None = None,
        sender: str | None = None,
        since_ms: int | None = None,
        until_ms: int | None = None,
        has_attachment: bool = False,
        limit: int | None = DEFAULT_LIMIT,
    ) -> list[Message]:
        """The messages that `query` fits, oldest first; of more than `limit`, those that came into the store last.

        For queries see `session_cli.store.search.parse_query`. Raises UsageError if nothing is looked for, and what
        `Client.resolve` raises.
        """
        wanted = Range(
            conversation=self._resolve(conversation) if conversation is not None else None,
            sender=self._resolve(sender) if sender is not None else None,
            since_ms=since_ms,
            until_ms=until_ms,
            has_attachment=has_attachment,
        )
        gone = self._store.messages.overdue()
        found = self._store.search.find(self._store.search.parse(query), wanted, limit, without=gone)
        return [self._message_of(row) for row in self._store.history.by_ids(found)]

    def spans(self, query: str, text: str) -> list[tuple[int, int]]:
        """The places in a text, in characters, that a query is about."""
        return self._store.search.parse(query).spans(text)

    def conversations(self, *, reader: str = "default", hidden: bool = False) -> list[Conversation]:
        """The conversations that are shown, or those that are `hidden`: first what is pinned, then the latest.

        `reader` is whose unread events are counted.
        """
        now_ms = self._store.now_ms()
        return [
            Conversation(
                party=self._party(row.address, row.name),
                last_message=self._message_of(row.last_message) if row.last_message else None,
                unread=row.unread,
                request=row.last_message is not None and not row.approved and row.address != self._own_id,
                state=state_of(row.settings, now_ms),
            )
            for row in self._store.history.conversations(reader, hidden=hidden)
        ]

    def place(self, conversation: str) -> Party:
        """A conversation, with the name to show. Raises what `Client.resolve` raises."""
        address = self._resolve(conversation)
        person = self._store.people.get(address)
        return self._party(address, person.shown_name if person else None)

    def _party(self, address: str, name: str | None) -> Party:
        return Viewer(self._own_id, self._store.settings.get("display_name"), self._store.now_ms()).party(address, name)
