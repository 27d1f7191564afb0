"""Sending a file that is too large for one attachment as several, with a manifest."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..errors import AttachmentTooLarge, UnreadableInput
from ..network.clock import Deadline
from ..protocol.content import MAX_ATTACHMENTS
from ..store.records import AttachmentRow
from .attachments import DEFAULT_TYPE, Attachments, OutgoingFile, ProgressReport
from .file_names import numbered, safe_file_name
from .manifest import CONTENT_TYPE, ENDING, MOST_PARTS, Manifest, Part, hint, part_name, whole_name
from .sending import check_body
from .slices import Slicer
from .spool import largest_plaintext

ALL_APPS_TAKE = 9_828_080
"""Bytes: iOS counts what a file becomes when it is encrypted, and takes no more than ten million of that."""


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What became of one file: its attachments; and if it went in parts, what the message has to say about that."""

    attachments: tuple[AttachmentRow, ...]
    hint: str | None = None


class Splitter:
    """Uploads the files of one message, those that are too large in parts."""

    def __init__(self, attachments: Attachments) -> None:
        self._attachments = attachments
        self._part = min(ALL_APPS_TAKE, largest_plaintext(attachments.limit))

    def check(self, files: Sequence[OutgoingFile], body: str) -> None:
        """Refuse what can't fit into one message, as far as sizes are known, before anything is sent.

        Raises AttachmentTooLarge, EmptyMessage, MessageTooLong.
        """
        for file in files:
            if file.size == 0:
                self._attachments.check_size(file)
            if (file.size or 0) > self._part * MOST_PARTS:
                raise self._too_large(file, MOST_PARTS)
        if sum(map(self._least, files)) > MAX_ATTACHMENTS:
            raise AttachmentTooLarge(
                f"The files would take more than the {MAX_ATTACHMENTS} attachments of a message; send them one by one."
            )
        # Of what comes through a pipe nobody knows yet in how many parts it goes.
        hints = [
            hint(name, MOST_PARTS)
            for file, name in zip(files, _names(files), strict=True)
            if file.size is None or self._least(file) > 1
        ]
        check_body(with_hints(body, hints))

    def upload(
        self, files: Sequence[OutgoingFile], deadline: Deadline, progress: ProgressReport | None
    ) -> list[Uploaded]:
        """Encrypt and upload files that were checked; memory use does not depend on their sizes.

        Raises AttachmentTooLarge for a pipe that does not end in time, and what `Attachments.upload` raises.
        """
        done: list[Uploaded] = []
        room = MAX_ATTACHMENTS - sum(map(self._least, files))
        for file, name in zip(files, _names(files), strict=True):
            least = self._least(file)
            with file.source:
                uploaded = self._upload(file, name, least + room, deadline, progress)
            room -= len(uploaded.attachments) - least
            done.append(uploaded)
        return done

    def _least(self, file: OutgoingFile) -> int:
        """How many attachments a file takes at least, the manifest counted."""
        parts = -(-(file.size or 1) // self._part)
        return parts if parts == 1 else parts + 1

    def _upload(
        self, file: OutgoingFile, name: str, room: int, deadline: Deadline, progress: ProgressReport | None
    ) -> Uploaded:
        if file.size is not None and file.size <= self._part:
            return Uploaded((self._attachments.upload(file, deadline, progress),))
        slicer = Slicer(file.source, self._part)
        rows: list[AttachmentRow] = []
        hashes: list[str] = []
        while True:
            # Only the first can be all there is, and so be what it is called.
            kind = DEFAULT_TYPE if rows or file.size is not None else file.content_type
            part = replace(file, source=slicer.next(), content_type=kind, size=None)
            try:
                rows.append(self._attachments.upload(part, deadline, progress))
                hashes.append(slicer.part_sha256.hexdigest())
                more = slicer.has_more()
            except OSError as error:
                raise UnreadableInput(f"Can't read {file.label}: {error.strerror}.") from None
            if not more:
                break
            if len(rows) + 2 > room:
                raise self._too_large(file, room - 1)
        if len(rows) == 1:
            return Uploaded((replace(rows[0], content_type=file.content_type),))
        return self._with_manifest(file, name, rows, hashes, slicer.sha256.hexdigest(), deadline)

    def _with_manifest(
        self,
        file: OutgoingFile,
        name: str,
        rows: Sequence[AttachmentRow],
        hashes: Sequence[str],
        sha256: str,
        deadline: Deadline,
    ) -> Uploaded:
        parts = [
            replace(row, name=part_name(name, number), content_type=DEFAULT_TYPE, width=None, height=None)
            for number, row in enumerate(rows, start=1)
        ]
        manifest = Manifest(
            name,
            sum(row.size for row in rows),
            sha256,
            file.content_type,
            tuple(Part(str(row.name), row.size, found) for row, found in zip(parts, hashes, strict=True)),
        )
        data = manifest.serialize()
        last = OutgoingFile(io.BytesIO(data), "the list of parts", name + ENDING, CONTENT_TYPE, len(data))
        row = self._attachments.upload(last, deadline)
        return Uploaded((*parts, row), hint(name, len(parts)))

    def _too_large(self, file: OutgoingFile, parts: int) -> AttachmentTooLarge:
        if parts < 2:
            return AttachmentTooLarge(f"{file.label} is too large, and the message has no room for its parts.")
        return AttachmentTooLarge(
            f"{file.label} is too large, even in parts: one message holds {parts} of {self._part:,} bytes."
        )


def with_hints(body: str, hints: Sequence[str]) -> str:
    """A text, and below it how files are joined."""
    return "\n\n".join(filter(None, [body, "\n".join(hints)]))


def _names(files: Sequence[OutgoingFile]) -> list[str]:
    """What files are called if they go in parts: each so that no part of it can be taken for something else."""
    taken = {file.name for file in files}
    names: list[str] = []
    for file in files:
        first = name = whole_name(safe_file_name(file.name, file.content_type, "file"))
        number = 2
        while name in names or not taken.isdisjoint(_all_names(name)):
            name = numbered(first, number)
            number += 1
        names.append(name)
    return names


def _all_names(name: str) -> list[str]:
    """All that attachments of a file in parts can be called."""
    return [name + ENDING, *(part_name(name, number) for number in range(1, MOST_PARTS + 1))]
