"""`network path`, `network status`, `--direct` and `-v`, as their users meet them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from session_cli.devnet.faults import Dead, Status
from session_cli.devnet.network import Devnet
from session_cli.network.pool_cache import MOST_STRIKES
from tests.support.devnet import Person
from tests.support.outcomes import bodies, check_refusal

People = Callable[[str], Person]


def test_the_paths_in_use(shared_net: Devnet, person: People) -> None:
    alice = person("Alice")
    done = alice.run("network", "path")
    assert done.stderr == ""
    first, second = done.text.split("\n\n")
    for number, text in enumerate((first, second), 1):
        title, *hops = text.splitlines()
        assert re.fullmatch(rf"Path {number}  drawn (just now|\d+ seconds? ago)", title)
        assert [hop.split()[0] for hop in hops] == ["guard", "middle", "last"]
        assert all(re.search(r"\d+ ms", hop) for hop in hops)
        assert all(len(line) <= 80 for line in text.splitlines())
    objects = alice.run("network", "path", "--json").objects
    nodes = {node.ed25519.hex(): f"{node.ip}:{node.port}" for node in shared_net.nodes}
    shown = [hop for path in objects for hop in path["hops"]]
    assert len({hop["node"] for hop in shown}) == 6, "the paths share no node"
    assert all(nodes[hop["node"]] == hop["address"] and hop["problem"] is None for hop in shown)
    addresses = re.findall(r"127\.\S+", done.text)
    assert addresses == [hop["address"] for hop in shown], "they are the same in both runs"


def test_a_path_with_a_dead_hop(private_net: Devnet, tmp_path: Path) -> None:
    definition = tmp_path / "network.toml"
    private_net.write_definition(definition)
    alice = Person(tmp_path / "alice", definition).init()
    before = alice.run("network", "path", "--json").objects
    dead = before[0]["hops"][1]["node"]
    private_net.chaos.inject(Dead("unreachable"), nodes=[n for n in private_net.nodes if n.ed25519.hex() == dead])
    done = alice.run("network", "path", "--json")
    problems = [[hop["problem"] for hop in path["hops"]] for path in done.objects]
    assert problems == [[None, "A hop of the path is gone.", "Nothing gets that far."], [None] * 3]
    assert all((hop["latency_ms"] is None) == (hop["problem"] is not None) for p in done.objects for hop in p["hops"])
    text = alice.run("network", "path").text
    assert "gone" in text
    assert text.count("–") == 2


def test_no_path_at_all(private_net: Devnet, tmp_path: Path) -> None:
    definition = tmp_path / "network.toml"
    private_net.write_definition(definition)
    alice = Person(tmp_path / "alice", definition).init()
    alice.run("network", "path")
    private_net.chaos.kill()
    done = alice.try_run("network", "path")
    assert done.code == 75
    assert done.text.count("–") == 6
    assert done.stderr == "session: No path into the network 'devnet' works at the moment.\n"
    *paths, error = alice.try_run("network", "path", "--json").objects
    assert (len(paths), error["code"], error["error"]) == (2, 75, "network_unreachable")
    before = alice.run("network", "status", "--json").objects
    assert before[0]["guards"], "nobody draws new guards because of a pulled plug"
    assert before[0]["struck"] == []


def test_status_before_anything_was_asked(person: People, shared_net: Devnet) -> None:
    alice = person("Alice")
    asked = len(shared_net.request_log)
    done = alice.run("network", "status")
    assert "no list yet" in done.text
    (status,) = alice.run("network", "status", "--json").objects
    assert (status["nodes"], status["fetched"], status["guards"]) == (0, None, [])
    assert status["clock_offset_ms"] is None
    assert "not known yet" in done.text
    assert [swarm["members"] for swarm in status["shown_swarms"]] == [[]]
    assert not any(record.kind == "seed" for record in shared_net.request_log[asked:]), "nobody is asked"


def test_status_of_a_network_in_use(person: People, shared_net: Devnet) -> None:
    alice, bob = person("Alice"), person("Bob")
    alice.run("send", bob.id, "hello")
    done = alice.run("network", "status")
    assert done.stderr == ""
    for words in ("Network", "12 in 3 swarms", "Guards", "in step with the network", "Own swarm", "none lately"):
        assert words in done.text
    assert all(len(line) <= 80 for line in done.text.splitlines())
    (status,) = alice.run("network", "status", "--json", bob.id, "me").objects
    assert (status["nodes"], status["swarms"], status["stale"], status["clock_offset_ms"]) == (12, 3, False, 0)
    assert len(status["guards"]) == 2
    for swarm, who in zip(status["shown_swarms"], (bob, alice), strict=True):
        assert swarm["id"] == who.id
        expected = {member.ed25519.hex() for member in shared_net.directory.swarm_of(who.id)[1]}
        assert {member["node"] for member in swarm["members"]} == expected


def test_status_tells_what_went_wrong(private_net: Devnet, tmp_path: Path) -> None:
    definition = tmp_path / "network.toml"
    private_net.write_definition(definition)
    alice = Person(tmp_path / "alice", definition).init()
    alice.run("recv")
    guard, _ = alice.run("network", "status", "--json").objects[0]["guards"]
    with private_net.chaos.inject(
        Status(500), nodes=[node for node in private_net.nodes if node.ed25519.hex() == guard["node"]], roles={"guard"}
    ) as fault:
        while not fault.hits:
            alice.run("recv")
    (status,) = alice.run("network", "status", "--json").objects
    assert {(trouble["request"], trouble["error"]) for trouble in status["troubles"]} == {("retrieve", "path_failed")}
    assert 0 < sum(node["strikes"] for node in status["struck"]) <= 3 * MOST_STRIKES
    text = alice.run("network", "status").text
    assert f"retrieve over {guard['address'].partition(':')[0]}, " in text
    assert "  The path failed with status 500." in text
    assert "strike" in text


def test_refresh_fetches_the_list_now(person: People, shared_net: Devnet) -> None:
    alice = person("Alice")
    (status,) = alice.run("network", "status", "--refresh", "--json").objects
    assert status["nodes"] == 12
    (again,) = alice.run("network", "status", "--refresh", "--json").objects
    assert again["fetched"] > status["fetched"]


def test_without_an_account(shared_definition: Path, tmp_path: Path) -> None:
    nobody = Person(tmp_path / "nobody", shared_definition)
    assert len(nobody.run("network", "path", "--json").objects) == 2
    (status,) = nobody.run("network", "status", "--json").objects
    assert status["shown_swarms"] == []
    assert status["nodes"] == 12
    check_refusal(nobody.try_run("network", "status", "nobody"), 65)
    for command in ("path", "status"):
        check_refusal(nobody.try_run("network", command, "--profile", "other"), 78, "other")


def test_direct_without_an_account(shared_definition: Path, tmp_path: Path) -> None:
    nobody = Person(tmp_path / "nobody", shared_definition)
    assert "--direct shows this machine's address" in nobody.run("network", "status", "--refresh", "--direct").stderr
    assert nobody.run("network", "status", "--direct").stderr == "", "nobody is asked"
    check_refusal(nobody.try_run("network", "status", "--direct", "--proxy", "socks5h://localhost:9150"), 2, "--tor")


# Without onion requests.


def test_direct_warns_and_works(person: People, shared_net: Devnet) -> None:
    alice, bob = person("Alice"), person("Bob")
    warning = "session: --direct shows this machine's address to every node and server that is asked.\n"
    before = len(shared_net.request_log)
    assert alice.run("--direct", "send", bob.id, "straight").stderr == warning
    assert alice.run("attach", "send", bob.id, "-", "--direct", "-q", stdin=b"data").stderr == ""
    events = bob.run("recv", "--json", "--direct").objects
    assert bodies(events) == ["straight", ""]
    assert bob.run("attach", "save", str(events[1]["id"]), "-o", "-", "--direct").stdout == b"data"
    roles = {record.role for record in shared_net.request_log[before:] if record.kind == "onion"}
    assert roles == {"destination"}, "nobody relayed anything, and all was sealed to its reader"


def test_direct_asks_no_guard(person: People, shared_net: Devnet) -> None:
    alice = person("Alice")
    alice.run("recv", "--direct", "-q")
    assert alice.run("network", "status", "--json").objects[0]["guards"] == []


@pytest.mark.parametrize(
    "tor", [("--tor",), ("--proxy", "socks5h://127.0.0.1:9050"), ("--proxy", "socks5h://localhost:9150")]
)
def test_direct_and_tor_exclude_each_other(tor: tuple[str, ...], person: People) -> None:
    alice = person("Alice")
    check_refusal(alice.try_run("recv", "--direct", *tor), 2, "--tor", "--direct")
    check_refusal(alice.try_run("network", "path", "--direct"), 2, "no paths")


# Talking about it.


def test_verbose_says_a_line_a_request_and_no_secret(person: People, shared_net: Devnet) -> None:
    alice, bob = person("Alice"), person("Bob")
    alice.run("send", bob.id, "our other devices are told that we know Bob")
    done = alice.run("-v", "send", bob.id, "between us")
    lines = done.stderr.splitlines()
    assert len(lines) == 2
    for line in lines:
        assert re.fullmatch(r"session: store over 127\.\d+\.\d+\.\d+: \d+ ms", line)
    for secret in (bob.id, alice.id, "between us", bob.id[2:18]):
        assert secret not in done.stderr
    twice = alice.run("-vv", "send", bob.id, "between us").stderr
    assert len(re.findall(r"session:   by way of (?:127[\d.]+ → ){3}127[\d.]+\n", twice)) == 2
    assert bob.id not in twice
