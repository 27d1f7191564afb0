"""What people show of themselves: our own profile, which goes along with what we send, and those of others.

A picture is fetched when somebody asks for it, and at no other time.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import AttachmentCorrupt, CannotCreate, InvalidInput, ServiceRefused
from ..network.clock import Deadline
from ..protocol.account import AccountId
from ..protocol.attachment import parse_download_url
from ..protocol.content import MAX_PICTURE_URL_BYTES
from ..protocol.picture import MAX_FILE_BYTES, open_picture, seal_picture
from .addressing import resolve
from .expiry import note_network_time
from .names import check_display_name
from .profile import Profile
from .spool import check_target, save_new_file

if TYPE_CHECKING:
    from ..network.network import Network
    from .attachments import ProgressReport

_NEVER_CHANGED_S = 1
"""When a name was chosen that came with the account: before all others."""


@dataclass(frozen=True, slots=True)
class OwnProfile:
    """What we show of ourselves: name, whether there is a picture, and when either was last changed here (ms).

    `community_requests`: whether people who know us from communities alone may write to us.
    """

    id: AccountId
    name: str | None
    picture: bool
    changed_ms: int | None
    community_requests: bool = True


class Profiles:
    """The profiles of one account and of the people it knows, who are named as in `Client.send`."""

    def __init__(self, profile: Profile, network: Callable[[], Network], timeout: float | None) -> None:
        self._profile = profile
        self._store = profile.store
        self._network = network
        self._timeout = timeout

    def own(self) -> OwnProfile:
        """Our own."""
        get = self._store.settings.get
        updated_s = get("profile_updated_s")
        return OwnProfile(
            self._profile.identity.account_id,
            get("display_name"),
            get("picture_url") is not None,
            1000 * updated_s if updated_s and updated_s > _NEVER_CHANGED_S else None,
            get("community_requests") != 0,
        )

    def change(
        self,
        *,
        name: str | None = None,
        picture: bytes | None = None,
        remove_picture: bool = False,
        community_requests: bool | None = None,
        progress: ProgressReport | None = None,
    ) -> OwnProfile:
        """Change our name, our picture (see `pictures.make_picture`) or take it away, and whether people who know us
        from communities alone may write to us: all of it or nothing.

        The picture is uploaded first, under a new key; the rest works offline. Others see it with the next message that
        they get. Raises InvalidInput for a name that no client would show; NetworkError, ServiceRefused.
        """
        changes: dict[str, str | bytes | None] = {}
        if name is not None:
            changes["display_name"] = check_display_name(name)
        if remove_picture:
            changes |= {"picture_url": None, "picture_key": None}
        if picture is not None:
            changes["picture_url"], changes["picture_key"] = self.upload(picture, progress)
        settings = self._store.settings
        with self._store.transaction():
            changes = {key: value for key, value in changes.items() if settings.get(key) != value}
            for key, value in changes.items():
                if value is None:
                    settings.remove(key)
                else:
                    settings.set(key, value)
            if changes:
                # Later than what went out before, or nobody would believe it.
                before_s = settings.get("profile_updated_s") or 0
                settings.set("profile_updated_s", max(self._store.now_ms() // 1000, before_s + 1))
            if community_requests is not None:
                settings.set("community_requests", int(community_requests))
        return self.own()

    def upload(self, picture: bytes, progress: ProgressReport | None) -> tuple[str, bytes]:
        """Put a picture (see `pictures.make_picture`) on the file server; its URL and its key.

        Raises NetworkError, ServiceRefused.
        """
        network = self._network()
        sealed = seal_picture(picture)
        size = len(sealed.file)
        uploaded = network.files.upload(
            lambda: [sealed.file],
            size,
            Deadline(self._timeout),
            lambda done: progress("uploading", done, size) if progress else None,
        )
        note_network_time(self._store, network.clock.now_ms())
        url = uploaded.url.text()
        if len(url.encode()) > MAX_PICTURE_URL_BYTES:
            raise ServiceRefused(
                f"The file server gave the picture an address of more than {MAX_PICTURE_URL_BYTES} bytes, which other "
                "clients would not take."
            )
        return url, sealed.key

    def fetch_picture(self, who: str, *, progress: ProgressReport | None = None) -> bytes:
        """Download a person's picture, or our own, and decrypt it: an image file in the format of its owner's choice.

        Raises InvalidInput if there is none, AttachmentCorrupt, FileGone, InvalidUrl, NetworkError, ServiceRefused, and
        what `Client.resolve` raises.
        """
        text, key = self._picture_of(resolve(self._profile, who))
        url = parse_download_url(text)
        sink = io.BytesIO()

        def within_reason(done: int) -> None:
            if done > MAX_FILE_BYTES:
                raise AttachmentCorrupt("The downloaded file is larger than any picture.")
            if progress is not None:
                progress("downloading", done, None)

        self._network().files.download(url, sink, MAX_FILE_BYTES, Deadline(self._timeout), within_reason)
        picture = open_picture(sink.getvalue(), key, stream=url.stream)
        if progress is not None:
            progress("downloading", len(picture), len(picture))
        return picture

    def save_picture(
        self, who: str, target: Path, *, overwrite: bool = False, progress: ProgressReport | None = None
    ) -> None:
        """As `fetch_picture`, into a new file, which appears when it is whole. Raises CannotCreate, too."""
        if check_target(target, overwrite=overwrite):
            raise CannotCreate(f"{target} is a folder; name a file.")
        save_new_file(target, self.fetch_picture(who, progress=progress), overwrite=overwrite)

    def _picture_of(self, address: AccountId) -> tuple[str, bytes]:
        if address == self._profile.identity.account_id:
            url, key = (self._store.settings.get(name) for name in ("picture_url", "picture_key"))
            nobody = "You have no picture"
        else:
            person = self._store.people.get(address)
            url, key = (person.picture_url, person.picture_key) if person else (None, None)
            nobody = "No picture of theirs is known"
        if url is None or key is None:
            raise InvalidInput(f"{nobody}.")
        return url, key
