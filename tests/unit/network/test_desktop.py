"""Notifications on a session bus, and the many ways for one not to be there."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from session_cli.errors import NotificationFailed
from session_cli.network import desktop

if sys.platform != "linux":
    pytest.skip("D-Bus is Linux's", allow_module_level=True)
from tests.support.bus import FakeBus, fake_bus

STEPS = ("greeting", "Hello", "Notify")


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[FakeBus]:
    with fake_bus(tmp_path / "bus") as made:
        yield made


def show(bus: FakeBus) -> None:
    desktop.show("title", "body", {"DBUS_SESSION_BUS_ADDRESS": bus.address})


def test_what_is_shown(bus: FakeBus) -> None:
    environ = {"DBUS_SESSION_BUS_ADDRESS": bus.address}
    for title, body in (("Zoë 😀", "two\nlines"), ("-n", ""), ("", "x" * 100_000)):
        desktop.show(title, body, environ)
        assert bus.texts[-1] == (title, body)
    assert desktop.server_name(environ) == "Desk 1.0"
    assert len(bus.texts) == 3


@pytest.mark.parametrize("step", STEPS)
def test_a_desktop_that_hangs(
    step: Literal["greeting", "Hello", "Notify"], bus: FakeBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desktop, "_TIMEOUT_S", 0.2)
    bus.silent_from = step
    with pytest.raises(NotificationFailed, match="does not answer"):
        show(bus)
    assert bus.shown == []


@pytest.mark.parametrize("step", STEPS)
def test_a_desktop_that_leaves(step: Literal["greeting", "Hello", "Notify"], bus: FakeBus) -> None:
    bus.leaves_at = step
    with pytest.raises(NotificationFailed, match="can't be reached"):
        show(bus)
    bus.leaves_at = None
    show(bus)
    assert len(bus.shown) == 1


@pytest.mark.parametrize("greeting", [b"REJECTED EXTERNAL\r\n", b"HTTP/1.1 400 Bad Request\r\n", b"\xff" * 10_000])
def test_a_bus_of_others(greeting: bytes, bus: FakeBus) -> None:
    bus.greeting = greeting
    with pytest.raises(NotificationFailed, match="does not let us in, or is none"):
        show(bus)


@pytest.mark.parametrize("address", ["", "none", "disabled:", "unix:", "unix:dir=/tmp", "tcp:host=localhost,port=1"])
def test_addresses_that_lead_nowhere(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 4_294_967_294)
    environ = {"DBUS_SESSION_BUS_ADDRESS": address, "XDG_RUNTIME_DIR": str(tmp_path)}
    with pytest.raises(NotificationFailed, match="names no Unix socket" if address else "There is no desktop"):
        desktop.show("title", "body", environ)


def test_an_abstract_name_is_shown_as_one() -> None:
    environ = {"DBUS_SESSION_BUS_ADDRESS": f"unix:abstract=/session-test-{os.getpid()},guid=0"}
    with pytest.raises(NotificationFailed, match=r"refused \(@/session-test-"):
        desktop.show("title", "body", environ)


def test_the_second_address_counts_where_the_first_is_unknown(bus: FakeBus) -> None:
    desktop.show("title", "body", {"DBUS_SESSION_BUS_ADDRESS": f"tcp:host=localhost,port=1;{bus.address}"})
    assert len(bus.shown) == 1


def test_the_usual_places(bus: FakeBus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 4_294_967_294)
    with pytest.raises(NotificationFailed, match="and no /run/user/4294967294/bus"):
        desktop.show("title", "body", {})
    desktop.show("title", "body", {"XDG_RUNTIME_DIR": str(tmp_path)})
    assert len(bus.shown) == 1
    nowhere = tmp_path / "nowhere"
    with pytest.raises(NotificationFailed, match=f"no {nowhere}/bus or /run/user/4294967294/bus"):
        desktop.show("title", "body", {"XDG_RUNTIME_DIR": str(nowhere)})


def test_systems_without_d_bus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jeepney", None)
    with pytest.raises(NotificationFailed, match="pip install jeepney"):
        desktop.check_support()
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(NotificationFailed, match="--exec"):
        desktop.check_support()
