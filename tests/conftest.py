"""What holds for all tests, and the local network that most of them share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from session_cli.devnet.network import CommunityOptions, Devnet, DevnetOptions
from tests.support.devnet import Person

# How long an example takes depends on what else the machine does; tests/bench measures time, properties don't.
settings.register_profile("session", deadline=None, max_examples=200)
settings.register_profile("nightly", deadline=None, max_examples=10_000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("SESSION_TEST_EXAMPLES", "session"))


def pytest_xdist_auto_num_workers() -> int:
    """Twice as many test processes as there are processors: many tests wait, for what never answers for one."""
    return 2 * (os.cpu_count() or 1)


@pytest.fixture(scope="session")
def shared_net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    """One local network a test process. Not to be stopped or broken by a test; `private_net` is for that."""
    with Devnet(DevnetOptions(data_dir=tmp_path_factory.mktemp("network"), community=CommunityOptions())) as net:
        yield net


@pytest.fixture(scope="session")
def shared_definition(shared_net: Devnet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shared network's definition file."""
    path = tmp_path_factory.mktemp("definition") / "network.toml"
    shared_net.write_definition(path)
    return path


@pytest.fixture
def person(shared_definition: Path, tmp_path: Path) -> Callable[[str], Person]:
    """Makes people with accounts on the shared network."""

    def make(name: str) -> Person:
        return Person(tmp_path / name.lower(), shared_definition).init("--name", name)

    return make


@pytest.fixture
def private_net() -> Iterator[Devnet]:
    """A local network for one test, which may do with it what it likes."""
    with Devnet(DevnetOptions(peer_timeout=0.5, hop_timeout=3.0, community=CommunityOptions())) as net:
        yield net
