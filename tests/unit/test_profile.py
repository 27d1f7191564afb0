"""Making a profile: whole, or not at all."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from session_cli import Client, private_files
from session_cli.errors import StoreUnwritable


def test_one_that_could_not_be_made_leaves_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_path: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch, pytest.raises(StoreUnwritable, match="does not confirm"):
        patch.setattr(private_files, "sync_folder", fail)
        Client.create(environ={"SESSION_HOME": str(tmp_path)})
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    Client.create(environ={"SESSION_HOME": str(tmp_path)}).close()
