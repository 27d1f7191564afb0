"""Files in rooms. Their server has them as they are, unencrypted, and so has everybody who may read there."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import AttachmentCorrupt, AttachmentTooLarge, EmptyMessage, FileGone, NoPermission, UnreadableInput
from ...network.clock import Deadline
from ...protocol.community.endpoints import MAX_FILE_BYTES
from ...protocol.community.urls import CommunityServer, file_url
from ...store.communities import RoomRow, ServerRow
from ...store.records import AttachmentRow
from ..file_names import safe_file_name
from ..profile import Profile
from .servers import CommunityServers, explained, why_not_written

if TYPE_CHECKING:
    from ...network.network import Network
    from ..attachments import OutgoingFile, ProgressReport

_CHUNK = 1 << 16
_FILE = re.compile(r"(https?://[^/]+)/room/([^/]+)/file/([0-9]{1,15})")
"""As `urls.file_url` writes it."""


@dataclass(frozen=True, slots=True)
class Plain:
    """What reads a file that is not encrypted; the first `size` bytes are it (0: all), zeros may follow."""

    size: int

    def plaintext(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The file. Raises AttachmentCorrupt if it is shorter than that."""
        left = self.size
        for chunk in chunks:
            if not self.size:
                yield chunk
            elif left:
                yield chunk[:left]
                left -= min(left, len(chunk))
        if left:
            raise AttachmentCorrupt("The downloaded file is shorter than its message says.")


class RoomFiles:
    """Moves the files of one profile to and from rooms."""

    def __init__(self, profile: Profile, network: Callable[[], Network]) -> None:
        self._store = profile.store
        self._network = network
        self._servers = CommunityServers(profile, network)

    def check(self, address: str, file: OutgoingFile) -> None:
        """Refuse what can't be sent, before anything is. Raises NoPermission, EmptyMessage, AttachmentTooLarge."""
        room, _ = self._place(address)
        if not room.info.get("upload", True):
            raise NoPermission("You may send no files in this community.")
        if file.size is not None:
            _check_size(file.size, file.label)

    def upload(
        self, address: str, file: OutgoingFile, size: tuple[int, int] | None, deadline: Deadline, report: ProgressReport
    ) -> AttachmentRow:
        """Upload a file, which has this width and height if it is an image. At most 10 MB of it are in memory.

        Raises UnreadableInput, EmptyMessage, AttachmentTooLarge, NoPermission, NetworkError, ServiceRefused.
        """
        room, server = self._place(address)
        try:
            data = file.source.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise UnreadableInput(f"Can't read {file.label}: {error.strerror}.") from None
        _check_size(len(data), file.label)
        place = CommunityServer(server.base_url, server.server_key)
        name = safe_file_name(file.name, file.content_type, "file") if file.name else None
        with explained(why_not_written(room)):
            file_id = self._network().communities.upload(
                place,
                room.token,
                self._servers.identity(server),
                lambda: (data[at : at + _CHUNK] for at in range(0, len(data), _CHUNK)),
                len(data),
                deadline,
                lambda done: report("uploading", done, len(data)),
                name=name,
            )
        return AttachmentRow(
            url=file_url(place, room.token, file_id),
            key=b"",
            digest=None,
            size=len(data),
            content_type=file.content_type,
            name=name,
            voice=file.voice,
            width=size[0] if size else None,
            height=size[1] if size else None,
            duration_ms=file.duration_ms,
        )

    def fetch(self, attachment: AttachmentRow, deadline: Deadline, report: ProgressReport) -> tuple[io.BytesIO, Plain]:
        """Download a file of a room. Raises AttachmentCorrupt, FileGone, NetworkError, ServiceRefused."""
        where = _FILE.fullmatch(attachment.url)
        if where is None:
            raise AttachmentCorrupt("The attachment has no key, and lies in no community.")
        room = self._store.communities.room(f"{where[1]}/{where[2].lower()}")
        server = self._store.communities.server(room.base_url) if room is not None else None
        if room is None or server is None:
            raise FileGone("The file is of a community that you are not in any more.")
        sink = io.BytesIO()
        self._network().communities.download(
            CommunityServer(server.base_url, server.server_key),
            room.token,
            self._servers.identity(server),
            int(where[3]),
            sink,
            attachment.size,
            deadline,
            lambda done: report("downloading", done, attachment.size or None),
        )
        return sink, Plain(attachment.size)

    def _place(self, address: str) -> tuple[RoomRow, ServerRow]:
        room = self._store.communities.room(address)
        server = self._store.communities.server(room.base_url) if room is not None else None
        if room is None or server is None:
            raise NoPermission("You are not in this community any more.")
        return room, server


def _check_size(size: int, label: str) -> None:
    if not size:
        raise EmptyMessage(f"{label} is empty; Session has no way to send an empty file.")
    if size > MAX_FILE_BYTES:
        raise AttachmentTooLarge(f"{label} is too large: communities take files of up to {MAX_FILE_BYTES:,} bytes.")
