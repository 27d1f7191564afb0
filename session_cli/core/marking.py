"""What is done to messages by those who may: reactions, receipts, deletion.

In a conversation of two, a message is named by its author and its time. What is said about one that is not here is kept
until it comes.
"""

from __future__ import annotations

from ..protocol.account import AccountId, is_group
from ..protocol.payload import Reaction, ReadReceipt, Unsend
from ..store.marks import MOST_EARLY, Early, Target
from ..store.records import MessageRow
from ..store.store import Store
from .places import place_in_swarm


class Marking:
    """Marks the messages of one account. To be called inside a transaction."""

    def __init__(self, store: Store, own_id: AccountId) -> None:
        self._store = store
        self._own_id = own_id

    def react(self, conversation: AccountId, sender: AccountId, reaction: Reaction, sent_ms: int) -> bool:
        """Put an emoji on a message of the conversation, or take it off; whether anything changed."""
        if reaction.author not in (self._own_id, conversation) and not is_group(conversation):
            return False
        target = Target(conversation, reaction.author, reaction.timestamp_ms)
        row = self._store.marks.find(target)
        early = Early("reaction", sender, sent_ms, reaction.emoji, reaction.remove)
        if row is None:
            self._keep(target, early)
            return False
        return self._react(row, early)

    def _react(self, row: MessageRow, said: Early) -> bool:
        if row.deleted or row.kind not in ("message", "unknown"):
            return False
        marks = self._store.marks
        if said.sender != self._own_id and not marks.has_room(row.id, said.sender, said.about):
            return False
        if not marks.react(row.id, said.sender, said.about, said.sent_ms, removed=said.removed):
            return False
        self._note("reaction", row, said, {"emoji": said.about, "removed": said.removed})
        return True

    def unsend(self, sender: AccountId, request: Unsend, sent_ms: int) -> bool:
        """Delete a message because its author, or another device of ours, asks for it; whether one was deleted.

        We may delete what we like, on our own devices. Nobody else may delete what he did not write.
        """
        early = Early("unsend", sender, sent_ms)
        if sender == self._own_id:
            found = self._store.marks.find_anywhere(request.author, request.timestamp_ms)
            if not found:
                self._keep(Target("", request.author, request.timestamp_ms), early)
            # Of several it can't be known which one is meant.
            return len(found) == 1 and self.bury(found[0], early)
        if request.author != sender:
            return False
        target = Target(sender, sender, request.timestamp_ms)
        row = self._store.marks.find(target)
        if row is None:
            self._keep(target, early)
            return False
        return self.bury(row, early)

    def unsend_in_group(self, group_id: AccountId, sender: AccountId, request: Unsend, sent_ms: int) -> bool:
        """Delete a message of a group because its author asks for it; whether one was deleted."""
        if request.author != sender:
            return False
        row = self._store.marks.find(Target(group_id, sender, request.timestamp_ms))
        return row is not None and self.bury(row, Early("unsend", sender, sent_ms))

    def bury(self, row: MessageRow, said: Early) -> bool:
        """Delete a message because others did, and note that as an event; False if that was done before."""
        if not self.delete(row, said.sent_ms):
            return False
        if row.conversation != self._own_id:
            self._note("unsend", row, said, {})
        return True

    def delete(self, row: MessageRow, sent_ms: int) -> bool:
        """Delete a message for good, here and in our swarm, as was said at a time; False if that was done before.

        Its place stays, but for a note to self, of which nobody else has seen anything; another copy of it, should one
        come, is deleted as well.
        """
        if row.deleted or row.kind not in ("message", "unknown"):
            return False
        self._store.chores.add_deletions([row.id])
        if row.conversation == self._own_id:
            self._store.messages.delete([row.id])
            target = Target(row.conversation, row.sender, row.sent_ms)
            self._keep(target, Early("unsend", self._own_id, sent_ms))
        else:
            self._store.messages.bury(row.id, sent_ms)
        return True

    def name_copy(self, conversation: AccountId, author: AccountId, sent_ms: int, hash: str) -> None:
        """Note that the swarm holds another copy of a message, to be deleted with it, or at once."""
        row = self._store.marks.find(Target(conversation, author, sent_ms))
        if row is None:
            return
        self._store.swarm.name_message(*place_in_swarm(conversation, self._own_id), hash, row.id)
        if row.direction == "outgoing" and row.status != "queued":
            # The process that sent it may have died over it.
            self._store.timers.start(row.id, self._store.now_ms())
        if row.deleted:
            self._store.chores.add_deletions([row.id])

    def note_read(self, reader: AccountId, receipt: ReadReceipt, sent_ms: int) -> int:
        """Note which of our messages somebody has read; how many of them that was not known of."""
        count, room, early = 0, True, Early("receipt", reader, sent_ms)
        here = self._store.marks.sent_at(reader, self._own_id, receipt.timestamps_ms)
        for timestamp_ms in receipt.timestamps_ms:
            row = self._store.messages.get(here[timestamp_ms]) if timestamp_ms in here else None
            if row is not None:
                count += self._note_read(row, early)
            elif room:
                room = self._keep(Target(reader, self._own_id, timestamp_ms), early)
        return count

    def _note_read(self, row: MessageRow, said: Early) -> bool:
        if not self._store.marks.note_read(row.id, said.sent_ms):
            return False
        self._note("receipt", row, said, {})
        return True

    def note_call(self, said: Early) -> None:
        """Keep what became of a call (`about`: its id) that is not here."""
        self._store.marks.add_early_call(said, None if said.sender == self._own_id else MOST_EARLY)

    def _keep(self, target: Target, said: Early) -> bool:
        """Keep what was said about a message that is not here; False if its sender, who is not us, says too much."""
        return self._store.marks.add_early(target, said, None if said.sender == self._own_id else MOST_EARLY)

    def apply_early(self, message_id: int, conversation: AccountId, author: AccountId, sent_ms: int) -> None:
        """Do to a message that is here now what was said about it before."""
        for said in self._store.marks.take_early(Target(conversation, author, sent_ms)):
            row = self._store.messages.get(message_id)
            if row is None:
                return
            match said.kind:
                case "reaction":
                    self._react(row, said)
                case "unsend":
                    if said.sender in (author, self._own_id):
                        self.bury(row, said)
                case "receipt":
                    self._note_read(row, said)

    def _note(self, type: str, row: MessageRow, said: Early, content: dict[str, object]) -> None:
        """Append the event that something was done to a message."""
        self._store.events.add_detail(
            type,
            message_id=row.id,
            conversation=row.conversation,
            sender=said.sender,
            sent_ms=said.sent_ms,
            content=content,
        )
