"""Reactions of our own: an emoji put on a message, or taken off it."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import InvalidInput, RateLimited
from ..network.clock import Deadline
from ..protocol.account import AccountId
from ..protocol.payload import Reaction
from ..store.records import EventDetail, EventRow, MessageRow
from ..store.store import Store
from .effects import reaction
from .places import audience
from .sealing import expiration_of
from .sending import Sender

MOST_REACTIONS = 20
"""In the time below. Other apps refuse more, too; who takes part in a quarrel of emoji gets no faster by it."""
WINDOW_MS = 60_000
_RECENT = "recent_reactions_ms"


def one_emoji(text: str) -> str:
    """The emoji that a text is, in the form in which apps send it. Raises InvalidInput if it is not exactly one.

    Many an emoji can be written without the mark that makes a picture of it; to apps that would be another one.
    """
    import emoji

    if not emoji.is_emoji(text):
        raise InvalidInput(f"{text!r} is not one emoji; a reaction is, such as 👍.")
    return emoji.emojize(emoji.demojize(text))


def own_emoji(row: MessageRow, own_id: str) -> list[str]:
    """What we have put on a message."""
    return [reaction.emoji for reaction in row.reactions if reaction.sender == own_id]


def to_take_back(row: MessageRow, own_id: str, emoji: str | None) -> list[str]:
    """What of ours is meant by an emoji, or (None) by all. Raises InvalidInput for what is no emoji."""
    ours = own_emoji(row, own_id)
    if emoji is None:
        return ours
    # What another device has put there may be written in another way than ours would be.
    wanted = emoji if emoji in ours else one_emoji(emoji)
    return [wanted] if wanted in ours else []


def check_target(row: MessageRow) -> None:
    """Raise InvalidInput for what nobody could react to, wherever it stands."""
    if row.deleted:
        raise InvalidInput(f"Message {row.id} is deleted; there is nothing left to react to.")
    if row.kind != "message":
        raise InvalidInput(f"{row.id} is a notice, and no message that one could react to.")


class Reacting:
    """Reacts to messages of one account. What it returns is what was done, in the form of events that are in no log."""

    def __init__(self, store: Store, own_id: AccountId, sender: Sender, timeout: float | None) -> None:
        self._store = store
        self._own_id = own_id
        self._sender = sender
        self._timeout = timeout

    def react(self, row: MessageRow, emoji: str) -> list[EventRow]:
        """Put an emoji on a message; nothing is done if it is there already.

        Raises InvalidInput for what is no emoji, or a message that can't be reacted to; RateLimited; NetworkError,
        ServiceRefused.
        """
        wanted = one_emoji(emoji)
        self._check(row)
        return [] if wanted in own_emoji(row, self._own_id) else self._send(row, [wanted], remove=False)

    def take_back(self, row: MessageRow, emoji: str | None) -> list[EventRow]:
        """Take an emoji of ours off a message, or (None) all of them; nothing is done if there is none.

        Raises what `react` raises.
        """
        ours = to_take_back(row, self._own_id, emoji)
        self._check(row)
        return self._send(row, ours, remove=True)

    def _check(self, row: MessageRow) -> None:
        """Raise InvalidInput unless a reaction to this message makes sense to those who would see it."""
        check_target(row)
        if row.direction == "outgoing" and row.status not in ("sent", "read"):
            raise InvalidInput(f"Message {row.id} has not been sent; nobody could see a reaction to it.")
        if row.conversation == self._own_id:
            return
        person = self._store.people.get(row.conversation)
        who = row.conversation[:10]
        if person is not None and person.blocked:
            raise InvalidInput(f"{who}… is blocked. To write to them again: session contact unblock {who}")
        if person is None or not person.approved:
            raise InvalidInput(
                f"Message {row.id} is a message request; answer it, or accept it first: session request accept {who}"
            )
        if not person.approved_me:
            raise InvalidInput(f"{who}… has not answered your message request yet; until then nobody sees reactions.")

    def _send(self, row: MessageRow, emoji: Sequence[str], *, remove: bool) -> list[EventRow]:
        self._check_pace(len(emoji))
        accounts = audience(row.conversation, self._own_id)
        expiration = expiration_of(*self._store.conversations.expiration(row.conversation))
        done: list[EventRow] = []
        for each in emoji:
            sent_ms = self._sender.transmit(
                Reaction(row.sender, row.sent_ms, each, remove),
                accounts,
                Deadline(self._timeout),
                expiration=expiration,
                effect=reaction(row.id, each, removed=remove),
            )
            with self._store.quick_transaction():
                self._note_pace(sent_ms)
            done.append(self._event(row, each, sent_ms, remove=remove))
        return done

    def _event(self, row: MessageRow, emoji: str, sent_ms: int, *, remove: bool) -> EventRow:
        content = {"emoji": emoji, "removed": remove}
        detail = EventDetail(row.conversation, row.conversation_name, self._own_id, None, sent_ms, content)
        return EventRow(0, "reaction", row, detail)

    def _recent(self, now_ms: int) -> list[int]:
        """The times of our latest reactions from this device."""
        times = map(int, (self._store.settings.get(_RECENT) or "").split())
        return [sent_ms for sent_ms in times if abs(now_ms - sent_ms) < WINDOW_MS]

    def _check_pace(self, more: int) -> None:
        now_ms = self._store.now_ms()
        recent = self._recent(now_ms)
        if more and len(recent) + more > MOST_REACTIONS:
            free = min(len(recent), len(recent) + more - MOST_REACTIONS)
            wait_s = max(1, -(-(recent[free - 1] + WINDOW_MS - now_ms) // 1000)) if free else WINDOW_MS // 1000
            raise RateLimited(f"There can be {MOST_REACTIONS} reactions in a minute; try again in {wait_s} seconds.")

    def _note_pace(self, sent_ms: int) -> None:
        times = [*self._recent(sent_ms), sent_ms][-MOST_REACTIONS:]
        self._store.settings.set(_RECENT, " ".join(map(str, times)))
