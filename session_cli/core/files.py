"""The files of messages: which there are, and bringing them to where somebody wants them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from ..errors import AttachmentCorrupt, CannotCreate, InvalidInput, StoreError
from ..store.records import AttachmentRow, MessageRow
from .file_names import numbered, safe_file_name
from .manifest import CONTENT_TYPE, ENDING, MOST_BYTES, Manifest, Part, parse_manifest
from .spool import FOLDER as SPOOL
from .spool import NewFile, check_target

if TYPE_CHECKING:
    from ..network.clock import Deadline
    from ..protocol.account import AccountId
    from .attachments import Attachments, FetchedFile, OutgoingFile, ProgressReport
    from .profile import Profile

_AS_THEY_ARE = "--parts saves them as they are."


@dataclass(frozen=True, slots=True)
class ReceivedFile:
    """A file of a message: an attachment, or several that are the parts of one, with the `manifest` among them."""

    message_id: int
    attachments: tuple[AttachmentRow, ...]
    manifest: Manifest | None = None

    @property
    def name(self) -> str | None:
        """What its sender called it: don't use it as a path."""
        return self.manifest.name if self.manifest else self.attachments[0].name

    @property
    def content_type(self) -> str:
        return self.manifest.content_type if self.manifest else self.attachments[0].content_type

    @property
    def size(self) -> int:
        """Bytes, as the sender says."""
        return self.manifest.size if self.manifest else self.attachments[0].size

    @property
    def id(self) -> int:
        """The attachment's id; of a file in parts, that of its manifest."""
        return self.attachments[-1].id or 0

    @property
    def part_ids(self) -> tuple[int, ...]:
        """The ids of the parts, in their order; none for a file that came whole."""
        return tuple(row.id or 0 for row in self.attachments[:-1]) if self.manifest else ()

    @property
    def saved(self) -> str | None:
        """Where it was last saved, all of it."""
        places = {row.saved for row in self.attachments}
        return places.pop() if len(places) == 1 else None

    def safe_name(self) -> str:
        """A name for it on this machine."""
        return safe_file_name(self.name, self.content_type, f"attachment-{self.id}")


class _Fetched(Protocol):
    """A file that was downloaded."""

    def plaintext(self) -> Iterator[bytes]: ...


class Files:
    """The files of one profile's messages.

    `deadline` is called for each operation, `resolve` finds people by name, and `saved` is told of which message a file
    was handed out.
    """

    def __init__(
        self,
        profile: Profile,
        attachments: Callable[[], Attachments],
        deadline: Callable[[], Deadline],
        resolve: Callable[[str], AccountId],
        saved: Callable[[int], None],
    ) -> None:
        self._folder = profile.folder
        self._store = profile.store
        self._attachments = attachments
        self._deadline = deadline
        self._resolve = resolve
        self._saved = saved

    def voice_message(
        self, source: Path | BinaryIO, *, convert: bool = False, environ: Mapping[str, str] = os.environ
    ) -> OutgoingFile:
        """A recording, to be sent as the only one of `attachments`, and with no text: then it is a voice message.

        It has to be MP3 or AAC in MP4, and of five minutes at the most; with `convert`, ffmpeg makes it so. Raises
        UnreadableInput, InvalidInput, ProgramMissing, EmptyMessage, StoreUnwritable.
        """
        from .voice import open_voice

        return open_voice(source, self._folder / SPOOL, convert=convert, environ=environ)

    def attachment(self, message_id: int, index: int) -> ReceivedFile:
        """One attachment of a message, as it is; `index` counts from 0. Raises InvalidInput if there is none."""
        rows = self._row(message_id).attachments
        if not rows:
            raise InvalidInput(f"Message {message_id} has no attachments.")
        if not 0 <= index < len(rows):
            raise InvalidInput(f"Message {message_id} has no attachment {index + 1}; it has {len(rows)}.")
        return ReceivedFile(message_id, (rows[index],))

    def of(self, message_id: int, *, parts: bool = False) -> list[ReceivedFile]:
        """The files of a message, in their order. One that came in parts counts as one, unless `parts` is set.

        What belongs together says a small file of its own, which is downloaded. Raises AttachmentCorrupt if that lies,
        InvalidInput, FileGone, NetworkError, ServiceRefused.
        """
        self._settle()
        rows = self._row(message_id).attachments
        joined = [] if parts else [ReceivedFile(message_id, *found) for found in self._joined(rows)]
        taken = [row.id for file in joined for row in file.attachments]
        if len(set(taken)) < len(taken):
            raise AttachmentCorrupt(f"Files were sent in parts that overlap. {_AS_THEY_ARE}")
        files = [*joined, *(ReceivedFile(message_id, (row,)) for row in rows if row.id not in taken)]
        return sorted(files, key=lambda file: min(map(rows.index, file.attachments)))

    def unsaved(self, *, sender: str | None = None, since_ms: int | None = None) -> list[int]:
        """The messages that came with files that were never saved, oldest first; message requests don't count.

        Perhaps only those of one person (named as in `send`), or sent since a time.
        """
        address = self._resolve(sender) if sender is not None else None
        self._settle()
        return [
            message.id
            for message in self._store.messages.with_attachments()
            if message.direction == "incoming"
            and not message.request
            and address in (None, message.sender)
            and message.sent_ms >= (since_ms or 0)
            and any(row.saved is None for row in message.attachments)
        ]

    def _row(self, message_id: int) -> MessageRow:
        row = self._store.messages.get(message_id)
        if row is None:
            raise InvalidInput(f"There is no message {message_id}.")
        return row

    def _joined(self, rows: Sequence[AttachmentRow]) -> Iterator[tuple[tuple[AttachmentRow, ...], Manifest]]:
        for row in rows:
            if not _may_be_manifest(row):
                continue
            try:
                with self._attachments().fetch(row, self._deadline()) as fetched:
                    manifest = parse_manifest(b"".join(fetched.plaintext())) if fetched.size <= MOST_BYTES else None
                if manifest is not None:
                    others = [other for other in rows if other is not row]
                    yield (*(_find(part, others) for part in manifest.parts), row), manifest
            except AttachmentCorrupt as error:
                raise AttachmentCorrupt(f"{error.message} {_AS_THEY_ARE}") from None

    def write(
        self, file: ReceivedFile, write: Callable[[bytes], object], *, progress: ProgressReport | None = None
    ) -> int:
        """Hand a file to a function in pieces, once all of it has proved genuine. Returns its size."""
        with ExitStack() as opened:
            fetched = self._fetch(file, opened, progress)
            if file.manifest is not None:
                for _ in fetched.plaintext():
                    pass
            size = 0
            for chunk in fetched.plaintext():
                write(chunk)
                size += len(chunk)
        self._saved(file.message_id)
        return size

    def save(
        self,
        file: ReceivedFile,
        target: Path,
        *,
        overwrite: bool = False,
        prefix: str = "",
        progress: ProgressReport | None = None,
    ) -> Path:
        """As `Client.save_attachment`; parts are joined, and nothing is saved unless all of them fit."""
        into_folder = check_target(target, overwrite=overwrite)
        name = prefix + file.safe_name()
        with ExitStack() as opened:
            fetched = self._fetch(file, opened, progress)
            place = target / name if into_folder else target
            number = 2
            while True:
                new = NewFile(place, overwrite=overwrite and not into_folder)
                try:
                    with new as output:
                        for chunk in fetched.plaintext():
                            output.write(chunk)
                        # Noted before, for whoever looks after a kill in between; see `_settle`. What takes the
                        # place of another file can't be told from it then.
                        if not overwrite:
                            self._note(file, self._store.messages.set_saving, place)
                        new.commit()
                    self._note(file, self._store.messages.set_saved, place)
                    break
                except FileExistsError:
                    if not into_folder:
                        raise CannotCreate(f"{place} exists already; it is left as it is.") from None
                    place = target / numbered(name, number)
                    number += 1
        self._note_duration(file, place)
        self._saved(file.message_id)
        return place

    def _note(self, file: ReceivedFile, note: Callable[[int, str], None], place: Path) -> None:
        with self._store.transaction():
            for row in file.attachments:
                note(row.id or 0, str(place.absolute()))

    def _settle(self) -> None:
        """Find out what became of the files that a killed process was about to save."""
        found = self._store.messages.saving()
        if found:
            with self._store.transaction():
                for attachment_id, path in found:
                    self._store.messages.set_saved(attachment_id, path if Path(path).exists() else None)

    def _note_duration(self, file: ReceivedFile, place: Path) -> None:
        """Keep how long a voice message is: only its file tells. Where it can't be kept, it is saved all the same."""
        row = file.attachments[0]
        if not row.voice or row.duration_ms is not None:
            return
        from .voice import duration_of

        with suppress(OSError, StoreError), place.open("rb") as saved:
            duration_ms = duration_of(saved)
            if duration_ms is not None:
                with self._store.transaction():
                    self._store.messages.set_duration(row.id or 0, duration_ms)

    def _fetch(self, file: ReceivedFile, opened: ExitStack, progress: ProgressReport | None) -> _Fetched:
        """Download a file; what was downloaded is forgotten when `opened` is closed."""
        deadline = self._deadline()
        rows = file.attachments[:-1] if file.manifest else file.attachments
        fetched = [opened.enter_context(self._attachments().fetch(row, deadline, progress)) for row in rows]
        return _Joined(file.manifest, fetched) if file.manifest else fetched[0]


@dataclass(frozen=True, slots=True)
class _Joined:
    """The parts of a file, downloaded."""

    manifest: Manifest
    fetched: Sequence[FetchedFile]

    def plaintext(self) -> Iterator[bytes]:
        """The whole file in pieces. Raises AttachmentCorrupt, at its end at the latest, if it isn't what it should."""
        whole = hashlib.sha256()
        for part, fetched in zip(self.manifest.parts, self.fetched, strict=True):
            own = hashlib.sha256()
            for chunk in fetched.plaintext():
                whole.update(chunk)
                own.update(chunk)
                yield chunk
            if (fetched.size, own.hexdigest()) != (part.size, part.sha256):
                raise AttachmentCorrupt(
                    f"A file was sent in parts, but {part.name} is not the part that belongs to it. {_AS_THEY_ARE}"
                )
        if whole.hexdigest() != self.manifest.sha256:
            raise AttachmentCorrupt(
                f"A file was sent in parts that are not those of {self.manifest.name}. {_AS_THEY_ARE}"
            )


def _may_be_manifest(row: AttachmentRow) -> bool:
    kind = row.content_type.partition(";")[0].strip().lower()
    return (row.name or "").endswith(ENDING) and kind == CONTENT_TYPE and row.size <= MOST_BYTES


def _find(part: Part, rows: Sequence[AttachmentRow]) -> AttachmentRow:
    """The attachment that a manifest calls a part. Raises AttachmentCorrupt."""
    found = [row for row in rows if row.name == part.name]
    if len(found) != 1:
        trouble = "is not in the message" if not found else "is there more than once"
        raise AttachmentCorrupt(f"A file was sent in parts, but {part.name} {trouble}.")
    if found[0].size != part.size:
        raise AttachmentCorrupt(f"A file was sent in parts, but {part.name} is not of the size that it should have.")
    return found[0]
