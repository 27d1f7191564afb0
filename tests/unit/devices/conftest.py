"""Two devices of ours and a phone, on a swarm made for the test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from session_cli.protocol.account import Identity
from tests.support.devices import Device, Phone, Swarm


@pytest.fixture
def swarm() -> Swarm:
    return Swarm(Identity.from_seed(b"\x09" * 16))


@pytest.fixture
def laptop(swarm: Swarm) -> Iterator[Device]:
    device = Device(swarm, is_new=True)
    yield device
    device.close()


@pytest.fixture
def server(swarm: Swarm) -> Iterator[Device]:
    """A device that nobody has used yet."""
    device = Device(swarm)
    yield device
    device.close()


@pytest.fixture
def phone(swarm: Swarm) -> Phone:
    return Phone(swarm)
