from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from session_cli.errors import StoreUnwritable, UsageError
from session_cli.private_files import make_private_folder, write_private_file
from session_cli.store.locations import Locations, check_profile_name, locate


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_one_folder_holds_everything(tmp_path: Path) -> None:
    found = locate({"SESSION_HOME": str(tmp_path)})
    assert found == Locations(tmp_path / "data", tmp_path / "config", tmp_path / "cache", tmp_path / "state")
    assert found.profile_dir("bob") == tmp_path / "data" / "profiles" / "bob"
    assert found.key_files == tmp_path / "config" / "keys"
    assert not list(tmp_path.iterdir())


def test_home_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert locate({"SESSION_HOME": "here"}).data == tmp_path / "here" / "data"
    assert locate({"SESSION_HOME": "~/x"}).data == Path.home() / "x" / "data"


@pytest.mark.parametrize("environ", [{}, {"SESSION_HOME": ""}])
def test_the_systems_places(environ: dict[str, str]) -> None:
    found = locate(environ)
    for path in (found.data, found.config, found.cache, found.state):
        assert path.is_absolute()
        assert "session-shell" in path.parts


def test_a_home_spares_the_search_for_the_systems_places() -> None:
    script = (
        "import sys; from session_cli.store.locations import locate; locate({'SESSION_HOME': '/x'});"
        "sys.exit('platformdirs' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize("name", ["default", "a", "Bob.2", "x-y_z", "7", "a" * 64])
def test_profile_names(name: str) -> None:
    assert check_profile_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".x", "-x", "_x", "a/b", "a\\b", "a b", "ä", "a\n", "a\0", "a" * 65, "../default"]
)
def test_no_profile_names(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="profile name"):
        locate({"SESSION_HOME": str(tmp_path)}).profile_dir(name)


@pytest.mark.skipif(sys.platform == "win32", reason="file modes are POSIX's")
class TestModes:
    def test_folders_and_files_are_private_under_any_umask(self, tmp_path: Path, any_umask: int) -> None:
        folder = tmp_path / "a" / "b" / "c"
        make_private_folder(folder)
        write_private_file(folder / "file", b"content")
        for made in (folder.parent.parent, folder.parent, folder):
            assert mode(made) == 0o700
        assert mode(folder / "file") == 0o600

    def test_an_existing_folder_is_tightened_and_its_parents_are_left_alone(self, tmp_path: Path) -> None:
        parent = tmp_path / "parent"
        folder = parent / "folder"
        folder.mkdir(parents=True)
        parent.chmod(0o755)
        folder.chmod(0o755)
        make_private_folder(folder)
        assert (mode(parent), mode(folder)) == (0o755, 0o700)

    def test_nothing_is_loosened(self, tmp_path: Path) -> None:
        folder = tmp_path / "folder"
        folder.mkdir()
        folder.chmod(0o500)
        make_private_folder(folder)
        assert mode(folder) == 0o500

    def test_a_file_written_again_becomes_private(self, tmp_path: Path) -> None:
        file = tmp_path / "file"
        file.touch()
        file.chmod(0o644)
        write_private_file(file, b"new")
        assert (mode(file), file.read_bytes()) == (0o600, b"new")

    def test_no_permission(self, unprivileged: Path) -> None:
        file = unprivileged / "file"
        write_private_file(file, b"old")
        unprivileged.chmod(0o500)
        with pytest.raises(StoreUnwritable, match="Permission denied"):
            write_private_file(file, b"new")
        with pytest.raises(StoreUnwritable, match="Permission denied"):
            make_private_folder(unprivileged / "x" / "y")
        assert file.read_bytes() == b"old"


def test_a_file_in_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnwritable):
        make_private_folder(tmp_path / "file")
    with pytest.raises(StoreUnwritable):
        make_private_folder(tmp_path / "file" / "folder")
    with pytest.raises(StoreUnwritable):
        write_private_file(tmp_path / "file" / "x", b"")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    write_private_file(file, b"old")

    def fail(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(KeyboardInterrupt):
        write_private_file(file, b"new")
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [("file", b"old")]


def test_a_full_disk_leaves_the_old_file(small_disk: Path) -> None:
    file = small_disk / "file"
    write_private_file(file, b"old")
    with pytest.raises(StoreUnwritable, match="No space left"):
        write_private_file(file, bytes(1024 * 1024))
    assert [(entry.name, entry.read_bytes()) for entry in small_disk.iterdir()] == [("file", b"old")]
