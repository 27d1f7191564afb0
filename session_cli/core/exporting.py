"""An export: a file, and the files of its messages in a folder beside it. All appear when all are complete."""

from __future__ import annotations

import mimetypes
import os
import re
import secrets
import shutil
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import BinaryIO

from .. import signals
from ..errors import (
    CannotCreate,
    NetworkUnreachable,
    RequestTimeout,
    SessionError,
    StoreError,
    StoreUnwritable,
)
from ..file_lock import held_folder, holder_of
from ..private_files import create_private_file, make_private_folder
from .file_names import safe_file_name
from .model import Attachment, Message
from .spool import NewFile, check_target, read_chunks

_STAGING_END = re.compile(r"[0-9a-f]{16}\.new")

Fetch = Callable[[int, int, Callable[[bytes], object]], int]
"""Downloads a message's n-th attachment (from 0) and hands it on in pieces: `Client.fetch_attachment`."""


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """An attachment in an export. `path`, relative to the export, is None where its file does not go along; `problem`
    says why it can't, where it should."""

    attachment: Attachment
    path: PurePath | None = None
    problem: str | None = None


class Export:
    """A file to be written, with the files of messages in a folder beside it (`alice.html`, `alice_files`).

    Use as a context manager; without `commit` nothing is left behind. Files that were saved before are copied; the
    others are left out, or downloaded, if `fetch` is given. With `overwrite` the file may replace another, and files
    in the folder others of the same name; no other file is touched. All are 0600, the folder 0700.
    Raises CannotCreate and StoreUnwritable.
    """

    def __init__(self, target: Path, *, overwrite: bool = False, fetch: Fetch | None = None) -> None:
        self._target = target
        self._folder = target.with_name(target.stem + "_files")
        self._staging = target.with_name(f".{target.stem}_files.{secrets.token_hex(8)}.new")
        self._overwrite = overwrite
        self._fetch = fetch
        self._new = NewFile(target, overwrite=overwrite)
        self._stack = ExitStack()
        self.output: BinaryIO
        self.missing = 0
        """How many files that should go along could not be had."""

    def __enter__(self) -> Export:
        if check_target(self._target, overwrite=self._overwrite):
            raise CannotCreate(f"{self._target} is a folder; name a file.")
        self._stack.enter_context(signals.undo_when_killed(self._remove_staging))
        self._stack.callback(self._remove_staging)
        self.output = self._stack.enter_context(self._new)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _remove_staging(self) -> None:
        shutil.rmtree(self._staging, ignore_errors=True)

    def files_of(self, message: Message) -> list[ExportedFile]:
        """The files of a message, each copied or downloaded if that can be done."""
        return [self._file(message, index) for index in range(len(message.attachments))]

    def _file(self, message: Message, index: int) -> ExportedFile:
        attachment = message.attachments[index]
        name = f"{message.id}-{index + 1}-{_named(attachment)}"
        if attachment.saved is not None and self._copy(Path(attachment.saved), attachment.size, name):
            return ExportedFile(attachment, PurePath(self._folder.name, name))
        if self._fetch is None:
            return ExportedFile(attachment)
        fetch = self._fetch
        try:
            self._write(name, lambda output: fetch(message.id, index, output.write))
        except StoreError:
            raise
        except SessionError as error:
            self.missing += 1
            if isinstance(error, NetworkUnreachable | RequestTimeout):
                self._fetch = _failing(error)  # the others would only keep their caller waiting
            return ExportedFile(attachment, problem=error.message)
        return ExportedFile(attachment, PurePath(self._folder.name, name))

    def _copy(self, source: Path, size: int, name: str) -> bool:
        """Copy a file that was saved once, if it is still what it was, as far as its size tells."""
        try:
            file = source.open("rb") if source.is_file() else None
        except OSError:
            file = None
        if file is None:
            return False
        with file:
            if os.fstat(file.fileno()).st_size != size:
                return False

            def copy(output: BinaryIO) -> None:
                for chunk in read_chunks(file):
                    output.write(chunk)

            self._write(name, copy)
        return True

    def _write(self, name: str, fill: Callable[[BinaryIO], object]) -> None:
        self._make_staging()
        path = self._staging / name
        try:
            with os.fdopen(create_private_file(path), "wb") as output:
                fill(output)
        except BaseException as error:
            with suppress(OSError):
                path.unlink()
            if isinstance(error, OSError):
                raise StoreUnwritable(f"Can't write {self._folder / name}: {error.strerror}.") from None
            raise

    def _make_staging(self) -> None:
        if self._staging.exists():
            return
        if os.path.lexists(self._folder) and not (self._overwrite and _is_own_folder(self._folder)):
            raise CannotCreate(f"{self._folder} exists already; it is left as it is. Use --force to write into it.")
        self._remove_stale()
        make_private_folder(self._staging)
        self._stack.enter_context(held_folder(self._staging))

    def _remove_stale(self) -> None:
        """Remove what killed exports to the same target have left: what is in it is decrypted."""
        own = f".{self._folder.name}."
        for path in self._folder.parent.iterdir():
            if path.name.startswith(own) and _STAGING_END.fullmatch(path.name, len(own)) and _is_own_folder(path):
                with suppress(OSError):
                    if holder_of(path) is None:
                        shutil.rmtree(path, ignore_errors=True)

    def commit(self) -> None:
        """Give everything its name. Raises CannotCreate if a name was taken meanwhile."""
        try:
            made = self._place_folder()
            try:
                self._new.commit()
            except BaseException:
                if made:
                    self._folder.rename(self._staging)
                raise
        except FileExistsError:
            raise CannotCreate(f"{self._target} exists already; it is left as it is.") from None
        except OSError as error:
            raise StoreUnwritable(f"Can't write {self._folder}: {error.strerror}.") from None

    def _place_folder(self) -> bool:
        """Put the files where they belong; whether a folder was made for them."""
        if not self._staging.exists() or not any(self._staging.iterdir()):
            return False
        if not os.path.lexists(self._folder):
            self._staging.rename(self._folder)
            return True
        for path in self._staging.iterdir():
            path.replace(self._folder / path.name)
        return False


def _is_own_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _named(attachment: Attachment) -> str:
    """A safe name, with the ending that the file's type asks for, where it has none."""
    name = safe_file_name(attachment.name, attachment.content_type, "file")
    return name if PurePath(name).suffix else name + (mimetypes.guess_extension(attachment.content_type) or "")


def _failing(error: SessionError) -> Fetch:
    def fail(message_id: int, index: int, write: Callable[[bytes], object]) -> int:
        raise error

    return fail
