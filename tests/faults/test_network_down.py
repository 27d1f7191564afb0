"""When the network, or a part of it, is not there."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from session_cli.devnet.network import Devnet, DevnetOptions, NodeHandle
from tests.support.devnet import Person
from tests.support.outcomes import bodies, check_json_refusal, check_refusal

PATIENCE_S = 60


@pytest.fixture
def breakable(tmp_path: Path) -> Iterator[tuple[Devnet, Path]]:
    """A network for one test, and its definition. It answers fast when its nodes are gone."""
    with Devnet(DevnetOptions(peer_timeout=0.3, hop_timeout=1.0)) as net:
        definition = tmp_path / "network.toml"
        net.write_definition(definition)
        yield net, definition


def couple(definition: Path, folder: Path) -> tuple[Person, Person]:
    """Two people who have been on the network before."""
    alice, bob = Person(folder / "alice", definition).init(), Person(folder / "bob", definition).init()
    alice.run("send", bob.id, "first")
    assert bodies(bob.receive()) == ["first"]
    return alice, bob


def test_it_is_not_running(tmp_path: Path) -> None:
    definition = tmp_path / "network.toml"
    with Devnet(DevnetOptions(nodes=5, swarms=1)) as net:
        net.write_definition(definition)
        alice, bob = couple(definition, tmp_path)
        newcomer = Person(tmp_path / "carol", definition).init()
    file = tmp_path / "file"
    file.write_text("data")
    for who in (newcomer, alice):
        for command in (("send", bob.id, "hi"), ("recv",), ("attach", "send", bob.id, str(file))):
            begun = time.monotonic()
            check_refusal(who.try_run(*command), 75, "devnet")
            assert time.monotonic() - begun < PATIENCE_S
    check_json_refusal(alice.try_run("recv", "--json"), 75, "network_unreachable")
    assert alice.run("whoami", "--quiet").text.strip() == alice.id


def test_a_file_server_that_is_gone_loses_no_file(breakable: tuple[Devnet, Path], tmp_path: Path) -> None:
    """The definition names a file server at which nobody listens."""
    _, definition = breakable
    text = definition.read_text()
    before, section, rest = text.partition("[file_server]")
    definition.write_text(before + section + re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:1", rest))
    alice, bob = couple(definition, tmp_path)
    check_refusal(alice.try_run("attach", "send", bob.id, "-", stdin=b"data"), 75)
    assert bob.receive() == []


def stop_members(net: Devnet, account: str, count: int) -> list[NodeHandle]:
    """Stop so many members of the swarm that holds an account."""
    stopped = [net.nodes[member.index] for member in net.directory.swarm_of(account)[1][:count]]
    for node in stopped:
        node.stop()
    return stopped


def test_a_member_of_the_swarm_is_gone(breakable: tuple[Devnet, Path], tmp_path: Path) -> None:
    net, definition = breakable
    alice, bob = couple(definition, tmp_path)
    stop_members(net, bob.id, 1)
    begun = time.monotonic()
    alice.run("send", bob.id, "second")
    assert bodies(bob.receive()) == ["second"]
    assert time.monotonic() - begun < PATIENCE_S


def test_most_of_a_swarm_is_gone(breakable: tuple[Devnet, Path], tmp_path: Path) -> None:
    """It may be too much for one try; but it ends in time, and what is said to be sent is there."""
    net, definition = breakable
    alice, bob = couple(definition, tmp_path)
    stop_members(net, bob.id, 3)
    begun = time.monotonic()
    sent = alice.try_run("send", bob.id, "second")
    received = bob.try_run("recv", "--json")
    assert time.monotonic() - begun < PATIENCE_S
    assert {sent.code, received.code} <= {0, 75}
    if received.code == 0:
        assert bodies(received.objects) == (["second"] if sent.code == 0 else [])


def test_a_whole_swarm_is_gone_and_comes_back(breakable: tuple[Devnet, Path], tmp_path: Path) -> None:
    net, definition = breakable
    alice, bob = couple(definition, tmp_path)
    members = stop_members(net, bob.id, 4)
    begun = time.monotonic()
    check_refusal(alice.try_run("send", bob.id, "lost"), 75)
    check_refusal(bob.try_run("recv"), 75)
    assert time.monotonic() - begun < 2 * PATIENCE_S
    for node in members:
        node.start()
    alice.run("send", bob.id, "second")
    assert bodies(bob.receive()) == ["second"], "what was reported as failed does not come after all"


def test_all_guards_are_gone(breakable: tuple[Devnet, Path], tmp_path: Path) -> None:
    """New ones are found, and the command succeeds."""
    import json

    net, definition = breakable
    alice, bob = couple(definition, tmp_path)
    (cache,) = (alice.home / "cache").glob("*.state.json")
    guards = {bytes.fromhex(key) for key in json.loads(cache.read_text())["guards"]}
    for node in net.nodes:
        if node.ed25519 in guards:
            node.stop()
    done = alice.try_run("send", bob.id, "second")
    assert done.code in (0, 75), done.stderr
    if done.code == 75:
        alice.run("send", bob.id, "second")
    for node in net.nodes:
        node.start()
    assert bodies(bob.receive()) == ["second"]


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"null", b"[]", b'{"format":2}', b"\xff", b'{"format":2,"nodes":[[1]],"paths":[[1]]}']
)
def test_a_broken_cache_is_made_anew(content: bytes, shared_definition: Path, tmp_path: Path) -> None:
    alice = Person(tmp_path / "alice", shared_definition).init()
    alice.run("recv")
    caches = list((alice.home / "cache").glob("*.json"))
    assert len(caches) == 2
    for cache in caches:
        cache.write_bytes(content)
    assert alice.run("recv").stderr == ""
    assert all(len(cache.read_bytes()) > 100 for cache in caches)


def test_a_seed_with_another_certificate(shared_definition: Path, tmp_path: Path) -> None:
    definition = tmp_path / "pinned.toml"
    definition.write_text(
        re.sub(
            r'certificate_sha256 = "[0-9a-f]+"', f'certificate_sha256 = "{"ab" * 32}"', shared_definition.read_text()
        )
    )
    alice = Person(tmp_path / "alice", definition).init()
    check_refusal(alice.try_run("recv"), 75, "certificate")
    definition.write_text(re.sub(r"certificate_sha256 = .*", "", shared_definition.read_text()))
    check_refusal(alice.try_run("recv"), 75, "certificate")
    lists = [path for path in (alice.home / "cache").glob("*.json") if not path.name.endswith(".state.json")]
    assert not lists, "nothing was learnt from it"


@pytest.mark.parametrize("proxy", [("--proxy", "socks5h://127.0.0.1:1"), ("--proxy", "http://127.0.0.1:1")], ids=str)
def test_a_proxy_that_is_not_there(proxy: tuple[str, ...], shared_definition: Path, tmp_path: Path) -> None:
    alice = Person(tmp_path / "alice", shared_definition).init()
    begun = time.monotonic()
    check_refusal(alice.try_run("recv", *proxy), 75, "proxy")
    alice.run("recv")
    check_refusal(alice.try_run("recv", *proxy), 75, "proxy")
    assert time.monotonic() - begun < PATIENCE_S


def test_time_is_up(breakable: tuple[Devnet, Path], tmp_path: Path) -> None:
    """--timeout holds for the whole command, whatever is wrong with the network."""
    net, definition = breakable
    alice, bob = couple(definition, tmp_path)
    for node in net.nodes:
        node.stop()
    begun = time.monotonic()
    check_refusal(alice.try_run("send", "--timeout", "3", bob.id, "hi"), 75)
    assert time.monotonic() - begun < 10
