"""Files with messages: encrypting and uploading, downloading and checking."""

from __future__ import annotations

import mimetypes
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from ..errors import AttachmentCorrupt, CannotCreate, UnreadableInput
from ..network.clock import Deadline
from ..protocol.attachment import AttachmentKey, encrypted_size, parse_download_url
from ..store.records import AttachmentRow
from .file_names import numbered, safe_file_name
from .profile import Profile
from .spool import NewFile, check_plain_size, check_target, encrypt_to_spool, read_chunks, spool_file

if TYPE_CHECKING:
    from ..network.network import Network

DEFAULT_TYPE = "application/octet-stream"
_SLACK = 256 * 1024


class ProgressReport(Protocol):
    """Told what is being done, how many bytes of it are done, and of how many (None: unknown)."""

    def __call__(self, step: str, done: int, total: int | None) -> None: ...


@dataclass(frozen=True, slots=True)
class OutgoingFile:
    """A file to be sent: where its bytes come from, and what the recipient is told about it."""

    source: BinaryIO
    label: str
    name: str | None
    content_type: str = DEFAULT_TYPE
    size: int | None = None


def open_file(path: Path, *, name: str | None = None, content_type: str | None = None) -> OutgoingFile:
    """Open a file to send it. The recipient sees its last name only. Raises UnreadableInput.

    Named pipes and devices are read as they come, like standard input.
    """
    try:
        if path.is_dir():
            example = f"tar c {path} | session attach send TO - --name {path.name}.tar"
            raise UnreadableInput(f"{path} is a folder; pack it on the way, for example: {example}")
        source = path.open("rb")
        size = path.stat().st_size if path.is_file() else None
    except OSError as error:
        raise UnreadableInput(f"Can't read {path}: {error.strerror}.") from None
    shown = name or path.name
    return OutgoingFile(source, str(path), shown, content_type or guess_type(shown), size)


def guess_type(name: str | None) -> str:
    """The MIME type that a file's name suggests."""
    return (mimetypes.guess_type(name)[0] if name else None) or DEFAULT_TYPE


class Attachments:
    """Moves the files of one profile."""

    def __init__(self, profile: Profile, network: Callable[[], Network]) -> None:
        self._profile = profile
        self._store = profile.store
        self._network = network

    @property
    def _spool_folder(self) -> Path:
        return self._profile.folder / "spool"

    def check_size(self, file: OutgoingFile) -> None:
        """Refuse a file that is known to be empty or too large, before anything is sent.

        Raises EmptyMessage, AttachmentTooLarge.
        """
        if file.size is not None:
            check_plain_size(file.size, file.label, self._network().definition.file_server.max_file_size)

    def upload(
        self, file: OutgoingFile, deadline: Deadline, progress: ProgressReport | None = None, *, voice: bool = False
    ) -> AttachmentRow:
        """Encrypt and upload a file; memory use does not depend on its size.

        Raises UnreadableInput, EmptyMessage, AttachmentTooLarge, NetworkError, ServiceRefused, StoreUnwritable.
        """
        report = progress or _ignore
        network = self._network()
        limit = network.definition.file_server.max_file_size
        spool = encrypt_to_spool(
            file.source, file.label, self._spool_folder, limit, lambda done: report("encrypting", done, file.size)
        )
        try:
            uploaded = network.files.upload(
                spool.chunks,
                spool.encrypted_size,
                deadline,
                lambda done: report("uploading", done, spool.encrypted_size),
            )
        finally:
            spool.close()
        return AttachmentRow(
            url=uploaded.url.text(),
            key=spool.key,
            digest=spool.digest,
            size=spool.plain_size,
            content_type=file.content_type,
            name=safe_file_name(file.name, file.content_type, "file") if file.name else None,
            voice=voice,
        )

    def fetch(
        self, attachment: AttachmentRow, deadline: Deadline, progress: ProgressReport | None = None
    ) -> FetchedFile:
        """Download an attachment and check all of it. Nothing is decrypted to disk.

        Raises AttachmentCorrupt, FileGone, InvalidUrl, NetworkError, ServiceRefused, StoreUnwritable.
        """
        report = progress or _ignore
        url = parse_download_url(attachment.url)
        expected = encrypted_size(attachment.size)
        # No format adds more than that; whoever sends more wants to fill this disk.
        most = expected + attachment.size // 8 + _SLACK

        def progress_within_reason(done: int) -> None:
            if done > most:
                raise AttachmentCorrupt("The downloaded file is much larger than its message says.")
            report("downloading", done, expected)

        sink = spool_file(self._spool_folder)
        try:
            self._network().files.download(url, sink, expected, deadline, progress_within_reason)
            key = AttachmentKey(attachment.key, attachment.digest, attachment.size)
            sink.seek(0)
            size = key.verify(read_chunks(sink))
        except BaseException:
            sink.close()
            raise
        return FetchedFile(sink, key, size)

    def save(
        self,
        attachment: AttachmentRow,
        target: Path,
        deadline: Deadline,
        *,
        overwrite: bool,
        prefix: str,
        progress: ProgressReport | None,
    ) -> Path:
        """As `Client.save_attachment`."""
        into_folder = check_target(target, overwrite=overwrite)
        name = prefix + safe_file_name(attachment.name, attachment.content_type, f"attachment-{attachment.id}")
        with self.fetch(attachment, deadline, progress) as fetched:
            place = target / name if into_folder else target
            number = 2
            while True:
                new = NewFile(place, overwrite=overwrite and not into_folder)
                try:
                    with new as output:
                        for part in fetched.plaintext():
                            output.write(part)
                        new.commit()
                    break
                except FileExistsError:
                    if not into_folder:
                        raise CannotCreate(f"{place} exists already; it is left as it is.") from None
                    place = target / numbered(name, number)
                    number += 1
        with self._store.transaction():
            self._store.messages.set_saved(attachment.id or 0, str(place.absolute()))
        return place


def _ignore(step: str, done: int, total: int | None) -> None:
    """The progress report of a caller who doesn't want one."""


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """A downloaded attachment that proved genuine; `size` is its plaintext's."""

    _file: BinaryIO
    _key: AttachmentKey
    size: int

    def plaintext(self) -> Iterator[bytes]:
        """The file's contents in pieces."""
        self._file.seek(0)
        written = 0
        for part in self._key.plaintext(read_chunks(self._file)):
            written += len(part)
            yield part
        if written != self.size:
            raise AttachmentCorrupt("The downloaded file changed while it was being read.")

    def close(self) -> None:
        """Forget the download."""
        self._file.close()

    def __enter__(self) -> FetchedFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
