"""The program over Tor itself: a whole private Tor network on this machine."""

from __future__ import annotations

import ipaddress
import sys
from pathlib import Path

import pytest

from session_cli.devnet.network import Devnet
from tests.support.devnet import Person
from tests.support.outcomes import bodies
from tests.support.sockets import seed_of, watch
from tests.support.tor import TorNetwork

SEED_NAME = "seed.invalid"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="what the daemons are connected to is read from /proc")
def test_a_conversation_over_tor(shared_net: Devnet, shared_definition: Path, tmp_path: Path) -> None:
    """The seed has a name that only Tor knows, and nothing but Tor's port is ever connected to."""
    address, port = seed_of(shared_net)
    definition = tmp_path / "network.toml"
    definition.write_text(shared_definition.read_text().replace(f"//{address}:{port}", f"//{SEED_NAME}:{port}"))
    alice, bob = (Person(tmp_path / name, definition).init("--name", name) for name in ("alice", "bob"))
    file = tmp_path / "file.bin"
    file.write_bytes(bytes(range(256)) * 400)
    folder = tmp_path / "tor"
    folder.mkdir(mode=0o700)
    with TorNetwork(folder, {SEED_NAME: address}) as tor:
        runs = [
            watch(alice, "--proxy", tor.proxy, "send", bob.id, "by way of Tor", "--attach", str(file)),
            watch(bob, "--proxy", tor.proxy, "recv", "--json"),
            watch(bob, "--proxy", tor.proxy, "attach", "save", "1", "-o", str(tmp_path / "got.bin")),
            watch(bob, "--proxy", tor.proxy, "send", alice.id, "and back"),
            watch(alice, "--proxy", tor.proxy, "recv", "--json"),
        ]
        for run in runs:
            assert run.done.code == 0, f"{run.done.stderr}\n{tor.log()}"
            assert set(run.connections) == {("127.0.0.1", tor.socks_port)}
            assert (run.names, run.others) == ([], [])
    assert tor.peers
    assert all(_stays_here(address) for address in tor.peers), tor.peers
    assert bodies(runs[1].done.objects) == ["by way of Tor"]
    assert (tmp_path / "got.bin").read_bytes() == file.read_bytes()
    assert bodies(runs[4].done.objects) == ["and back"]


def _stays_here(address: str) -> bool:
    """Whether a socket's end is on this machine; the unspecified address is that of a socket without a peer."""
    parsed = ipaddress.ip_address(address)
    return parsed.is_loopback or parsed.is_unspecified
