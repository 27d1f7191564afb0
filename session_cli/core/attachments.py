"""Files with messages: encrypting and uploading, downloading and checking."""

from __future__ import annotations

import io
import mimetypes
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from ..errors import AttachmentCorrupt, StoreUnwritable, UnreadableInput
from ..network.clock import Deadline
from ..protocol.attachment import AttachmentKey, encrypted_size, parse_download_url
from ..store.records import AttachmentRow
from .file_names import safe_file_name
from .profile import Profile
from .slices import rejoined
from .spool import CHUNK, FOLDER, check_plain_size, encrypt_to_spool, read_chunks, spool_file, spooled

if TYPE_CHECKING:
    from ..network.network import Network
    from .communities.files import Plain, RoomFiles

DEFAULT_TYPE = "application/octet-stream"
_SLACK = 256 * 1024
_LARGEST_IMAGE = 100_000_000


class ProgressReport(Protocol):
    """Told what is being done, how many bytes of it are done, and of how many (None: unknown)."""

    def __call__(self, step: str, done: int, total: int | None) -> None: ...


@dataclass(frozen=True, slots=True)
class OutgoingFile:
    """A file to be sent: where its bytes come from, and what the recipient is told about it.

    `duration_ms` is that of a voice message, if known.
    """

    source: BinaryIO
    label: str
    name: str | None
    content_type: str = DEFAULT_TYPE
    size: int | None = None
    voice: bool = False
    duration_ms: int | None = None


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
        self._network = network

    @property
    def _spool_folder(self) -> Path:
        return self._profile.folder / FOLDER

    @cached_property
    def _rooms(self) -> RoomFiles:
        from .communities.files import RoomFiles

        return RoomFiles(self._profile, self._network)

    def check_size(self, file: OutgoingFile, room: str | None = None) -> None:
        """Refuse a file that is known to be empty or too large, before anything is sent.

        Raises EmptyMessage, AttachmentTooLarge; NoPermission where we may send no files to this room.
        """
        if room is not None:
            self._rooms.check(room, file)
            return
        if file.size is not None:
            check_plain_size(file.size, file.label, self.limit)

    @property
    def limit(self) -> int:
        """The encrypted size of the largest file that the network takes."""
        return self._network().definition.file_server.max_file_size

    def cleaned(self, file: OutgoingFile) -> OutgoingFile:
        """The same image without what its file tells beside the picture.

        Raises InvalidInput for what is no JPEG, PNG or WebP, UnreadableInput, StoreUnwritable.
        """
        from .images import write_without_metadata

        with ExitStack() as opened:
            source = opened.enter_context(file.source)
            if file.size is None:
                source = opened.enter_context(spooled(source, file.label, self._spool_folder, _LARGEST_IMAGE))
            spool = spool_file(self._spool_folder)
            try:
                content_type = write_without_metadata(source, file.label, spool)
                size = spool.tell()
                spool.seek(0)
            except OSError as error:
                spool.close()
                raise StoreUnwritable(f"Can't write in {self._spool_folder}: {error.strerror}.") from None
            except BaseException:
                spool.close()
                raise
        return replace(file, source=spool, size=size, content_type=content_type)

    def upload(
        self,
        file: OutgoingFile,
        deadline: Deadline,
        progress: ProgressReport | None = None,
        *,
        room: str | None = None,
    ) -> AttachmentRow:
        """Encrypt and upload a file; memory use does not depend on its size. To a `room` it goes as it is.

        Raises UnreadableInput, EmptyMessage, AttachmentTooLarge, NetworkError, ServiceRefused, StoreUnwritable.
        """
        report = progress or _ignore
        source, shown_size = file.source, None
        if file.content_type.startswith("image/"):
            source, shown_size = _measured(file)
        if room is not None:
            return self._rooms.upload(room, replace(file, source=source), shown_size, deadline, report)
        spool = encrypt_to_spool(
            source, file.label, self._spool_folder, self.limit, lambda done: report("encrypting", done, file.size)
        )
        try:
            uploaded = self._network().files.upload(
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
            voice=file.voice,
            width=shown_size[0] if shown_size else None,
            height=shown_size[1] if shown_size else None,
            duration_ms=file.duration_ms,
        )

    def fetch(
        self, attachment: AttachmentRow, deadline: Deadline, progress: ProgressReport | None = None
    ) -> FetchedFile:
        """Download an attachment and check all of it. Nothing is decrypted to disk.

        Raises AttachmentCorrupt, FileGone, InvalidUrl, NetworkError, ServiceRefused, StoreUnwritable.
        """
        report = progress or _ignore
        if not attachment.key:
            downloaded, reading = self._rooms.fetch(attachment, deadline, report)
            found = FetchedFile(downloaded, reading, attachment.size or downloaded.tell())
            for _ in found.plaintext():
                pass  # raises if it is too short
            return found
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


def _measured(file: OutgoingFile) -> tuple[BinaryIO, tuple[int, int] | None]:
    """A file from its start, and the size of the image in it, if that shows. Raises UnreadableInput."""
    from .images import image_size

    try:
        if file.size is not None:
            size = image_size(file.source)
            file.source.seek(0)
            return file.source, size
        head = file.source.read(CHUNK)
    except OSError as error:
        raise UnreadableInput(f"Can't read {file.label}: {error.strerror}.") from None
    return rejoined(head, file.source), image_size(io.BytesIO(head))


def _ignore(step: str, done: int, total: int | None) -> None:
    """The progress report of a caller who doesn't want one."""


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """A downloaded attachment that proved genuine; `size` is its plaintext's."""

    _file: BinaryIO
    _key: AttachmentKey | Plain
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
