"""Our own profile: its times, and what the file server has a say in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from session_cli.core.profiles import Profiles
from session_cli.errors import CannotCreate, NetworkUnreachable, ServiceRefused
from session_cli.network.network import Network
from session_cli.protocol.account import Identity
from session_cli.protocol.attachment import DownloadUrl
from session_cli.protocol.picture import open_picture
from session_cli.store.store import Store
from tests.support.stores import profile_in_memory

ME = Identity.from_seed(bytes(16))
NOW_MS = 1_700_000_000_500


@pytest.fixture
def store() -> Iterator[Store]:
    store = profile_in_memory(ME).store
    store.now_ms = lambda: NOW_MS
    yield store
    store.close()


def profiles(store: Store, network: Callable[[], Any] | None = None) -> Profiles:
    def offline() -> Network:
        raise NetworkUnreachable("no network")

    profile = replace(profile_in_memory(ME), store=store)
    return Profiles(profile, cast("Callable[[], Network]", network or offline), 5.0)


def server(url: DownloadUrl, taken: list[bytes]) -> Any:
    """A network whose file server says that an upload is at `url`."""

    def upload(body: Any, size: int, deadline: Any, progress: Any) -> Any:
        taken.append(b"".join(body()))
        assert len(taken[-1]) == size
        return SimpleNamespace(url=url)

    files = SimpleNamespace(upload=upload)
    return SimpleNamespace(files=files, clock=SimpleNamespace(now_ms=lambda: NOW_MS))


def test_times_only_grow(store: Store) -> None:
    ours = profiles(store)
    assert ours.own().changed_ms is None
    assert ours.change(name="A").changed_ms == 1_700_000_000_000
    assert ours.change(name="B").changed_ms == 1_700_000_001_000
    assert ours.change(name="B").changed_ms == 1_700_000_001_000, "nothing was changed"
    store.now_ms = lambda: NOW_MS - 86_400_000
    assert ours.change(name="C").changed_ms == 1_700_000_002_000, "the clock was ahead, or is behind"


def test_a_picture_goes_out_encrypted_and_is_kept_as_others_get_it(store: Store) -> None:
    taken: list[bytes] = []
    url = DownloadUrl("http", "files.test", None, "12")
    ours = profiles(store, lambda: server(url, taken))
    assert ours.change(picture=b"a picture").picture
    assert b"a picture" not in taken[0]
    assert open_picture(taken[0], store.settings.get("picture_key"), stream=False) == b"a picture"
    assert store.settings.get("picture_url") == "http://files.test/file/12"
    store.now_ms = lambda: NOW_MS + 5_000
    gone = profiles(store).change(remove_picture=True)
    assert (gone.picture, gone.changed_ms) == (False, 1_700_000_005_000)
    assert store.settings.get("picture_key") is None


@pytest.mark.parametrize("digits", [200, 201])
def test_an_address_that_others_would_not_take(digits: int, store: Store) -> None:
    url = DownloadUrl("http", "files.test", None, "1" * digits)
    assert len(url.text()) == digits + 23
    ours = profiles(store, lambda: server(url, []))
    if len(url.text()) <= 223:
        assert ours.change(picture=b"x").picture
        return
    with pytest.raises(ServiceRefused, match="223"):
        ours.change(name="A", picture=b"x")
    assert ours.own() == profiles(store).own()
    assert (ours.own().name, ours.own().picture) == (None, False)


def test_without_a_network_nothing_changes(store: Store) -> None:
    ours = profiles(store)
    with pytest.raises(NetworkUnreachable):
        ours.change(name="A", picture=b"x")
    assert ours.own().name is None


def test_a_folder_is_no_place_for_a_picture(store: Store, tmp_path: Path) -> None:
    with pytest.raises(CannotCreate, match="folder"):
        profiles(store).save_picture("me", tmp_path)
