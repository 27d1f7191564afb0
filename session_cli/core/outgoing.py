"""One message to several people, with its files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InvalidInput, NetworkError, ServiceRefused
from ..network.clock import Deadline
from ..protocol.account import AccountId, is_blinded, is_community
from ..protocol.content import MAX_ATTACHMENTS
from ..store.records import AttachmentRow, MessageRow
from .bodies import check_body
from .outbox import IN_PASSING_S, Outbox
from .reading import ReadState
from .recipients import check_recipient
from .sending import Sender

if TYPE_CHECKING:
    from ..store.store import Store
    from .attachments import Attachments, OutgoingFile, ProgressReport


class Outgoing:
    """What one client sends; `timeout` as `Client` has it. `attachments` is called for messages with files only."""

    def __init__(
        self,
        store: Store,
        sender: Sender,
        outbox: Outbox,
        reads: ReadState,
        attachments: Callable[[], Attachments],
        timeout: float | None,
    ) -> None:
        self._store = store
        self._sender = sender
        self._outbox = outbox
        self._reads = reads
        self._attachments = attachments
        self._timeout = timeout

    def send(
        self,
        recipients: Sequence[AccountId],
        body: str,
        *,
        files: Sequence[Path | OutgoingFile],
        quoted: MessageRow | None,
        queue: bool,
        split: bool,
        strip_metadata: bool,
        progress: ProgressReport | None,
    ) -> Iterator[MessageRow | NetworkError | ServiceRefused]:
        """As `Client.send_to_all`, for people who have been looked up. Raises what `check_recipient` raises."""
        check_body(body)
        for recipient in recipients:
            check_recipient(self._store, recipient, quoted)
        room = next(filter(is_community, recipients), None) if files else None
        if room is not None and (len(recipients) > 1 or split):
            raise InvalidInput("Files go to a community alone, and as wholes: it has a place of its own for them.")
        opened = self._open(files, strip_metadata=strip_metadata)
        _check_voice(opened, body)
        deadline = Deadline(self._timeout)
        uploaded: list[AttachmentRow] = []
        if split and opened:
            from .parts import Splitter, with_hints

            splitter = Splitter(self._attachments())
            splitter.check(opened, body)
            done = splitter.upload(opened, deadline, progress)
            uploaded = [row for file in done for row in file.attachments]
            body = with_hints(body, [file.hint for file in done if file.hint])
        else:
            for file in opened:
                self._attachments().check_size(file, room)
            for file in opened:
                with file.source:
                    uploaded.append(self._attachments().upload(file, deadline, progress, room=room))
        # What is to be queued must not overtake what another process is sending from there.
        waits = self._outbox.flush_in_passing(deadline, patience_s=IN_PASSING_S if queue else 0)
        queued = False
        for recipient in recipients:
            hold = queue and (queued or waits(recipient))
            try:
                sent = self._sender.send(
                    recipient, body, deadline, attachments=tuple(uploaded), quoted=quoted, queue=queue, hold=hold
                )
            except (NetworkError, ServiceRefused) as error:
                yield error
            else:
                # Where the network took nothing just now, it takes no more from the next.
                queued = queued or (sent.status == "queued" and not (is_community(recipient) or is_blinded(recipient)))
                # Who answers has read what he was given. What no reader has had, nobody has seen.
                self._reads.note_answered(recipient)
                yield sent
            deadline = Deadline(self._timeout)
        if not (queue and (queued or waits(""))):
            self._reads.tell(deadline)

    def _open(self, files: Sequence[Path | OutgoingFile], *, strip_metadata: bool) -> list[OutgoingFile]:
        if not files:
            return []
        from .attachments import OutgoingFile, open_file

        if len(files) > MAX_ATTACHMENTS:
            raise InvalidInput(f"A message holds up to {MAX_ATTACHMENTS} files, not {len(files)}.")
        opened = [file if isinstance(file, OutgoingFile) else open_file(file) for file in files]
        return [self._attachments().cleaned(file) for file in opened] if strip_metadata else opened


def _check_voice(files: Sequence[OutgoingFile], body: str) -> None:
    """A voice message is nothing else, or the apps don't take it for one. Raises InvalidInput."""
    if any(file.voice for file in files) and (len(files) > 1 or body):
        raise InvalidInput("A voice message goes alone: without a text, and without other files.")
