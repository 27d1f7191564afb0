"""`doctor`, as its users meet it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from session_cli.cli.schema import json_schema
from session_cli.devnet.faults import Dead
from session_cli.devnet.network import Devnet
from tests.support.devnet import Done, Person
from tests.support.outcomes import check_refusal, files_below
from tests.support.proxies import SocksProxy
from tests.support.tools import free_ports

People = Callable[[str], Person]


def findings(done: Done) -> dict[str, list[tuple[str, str]]]:
    """Check → status and message of each of its findings."""
    found: dict[str, list[tuple[str, str]]] = {}
    for item in done.objects:
        jsonschema.validate(item, json_schema())
        assert item["type"] == "doctor_check"
        assert (item["advice"] is None) == (item["status"] in ("ok", "info"))
        found.setdefault(item["check"], []).append((item["status"], item["message"]))
    return found


def status_of(done: Done) -> dict[str, list[str]]:
    return {check: [status for status, _ in found] for check, found in findings(done).items()}


def test_all_is_well(person: People, shared_net: Devnet) -> None:
    alice = person("Alice")
    alice.run("network", "path")  # draws both paths, and a recv may need only one
    before = sorted((path, path.read_bytes()) for path in files_below(alice.home))
    done = alice.run("doctor", "--json")
    assert done.stderr == ""
    found = findings(done)
    assert found["guards"][0][1].startswith("2 of 2 guards answer within ")
    assert found["guards"][1][1].startswith("2 of 2 paths work, within ")
    assert found["seeds"] == [("ok", "A list of 12 nodes was given.")]
    assert found["clock"] == [("ok", "In step with the network.")]
    assert "12 nodes" in found["network"][1][1]
    assert {status for some in found.values() for status, _ in some} <= {"ok", "info"}
    assert sorted((path, path.read_bytes()) for path in files_below(alice.home)) == before, "nothing is written"


def test_for_people(person: People) -> None:
    alice = person("Alice")
    done = alice.run("doctor", "--offline")
    *lines, last = done.lines
    assert last == "All is well."
    quiet = alice.run("doctor", "--offline", "--quiet")
    assert (quiet.stdout, quiet.stderr) == (b"", ""), "nothing that cron would have to send by mail"
    assert {line[0] for line in lines} <= {"✓", "·"}
    assert len({line.index(line.split()[2], 2 + len(line.split()[1])) for line in lines}) == 1, "one column"
    assert "\x1b" not in done.text
    assert "\x1b[32m✓" in alice.run("doctor", "--offline", "--color", "always").text


def test_offline_asks_nobody(person: People, shared_net: Devnet) -> None:
    alice = person("Alice")
    asked = len(shared_net.request_log)
    found = findings(alice.run("doctor", "--offline", "--json"))
    assert not {"guards", "seeds", "clock", "proxy", "network"} & set(found)
    assert not any(record.kind == "seed" for record in shared_net.request_log[asked:])


def test_before_anything_was_asked_no_guard_is_looked_for(private_net: Devnet, tmp_path: Path) -> None:
    definition = tmp_path / "network.toml"
    private_net.write_definition(definition)
    alice = Person(tmp_path / "alice", definition).init()
    found = findings(alice.run("doctor", "--json"))
    assert found["guards"] == [("info", "None yet; the first request finds some.")]
    assert found["network"][1][0] == "info"
    assert {record.kind for record in private_net.request_log} == {"seed"}


def test_a_guard_that_is_gone(private_net: Devnet, tmp_path: Path) -> None:
    definition = tmp_path / "network.toml"
    private_net.write_definition(definition)
    alice = Person(tmp_path / "alice", definition).init()
    alice.run("recv")
    guard, _ = alice.run("network", "status", "--json").objects[0]["guards"]
    gone = [node for node in private_net.nodes if node.ed25519.hex() == guard["node"]]
    private_net.chaos.inject(Dead("unreachable"), nodes=gone)
    found = findings(alice.run("doctor", "--json"))
    assert [status for status, _ in found["guards"]][:2] == ["warning", "ok"]
    assert guard["address"] in found["guards"][0][1]
    assert found["guards"][1][1].startswith("1 of 2 guards answer")


def test_no_network(private_net: Devnet, tmp_path: Path) -> None:
    definition = tmp_path / "network.toml"
    private_net.write_definition(definition)
    alice = Person(tmp_path / "alice", definition).init()
    alice.run("recv")
    private_net.stop()
    done = alice.try_run("doctor", "--json")
    assert done.code == 1
    assert done.stderr == ""
    found = status_of(done)
    assert found["guards"] == ["problem"]
    assert found["seeds"] == ["warning"], "there is a list already"
    assert found["store"] == ["ok"]


def test_without_an_account(tmp_path: Path, shared_definition: Path) -> None:
    done = Person(tmp_path / "nobody", shared_definition).try_run("doctor")
    assert done.code == 1
    assert done.lines[-1] == "1 problem, 0 warnings."
    assert "→ Make an account with `session init`" in done.text
    assert not (tmp_path / "nobody").exists() or not list(files_below(tmp_path / "nobody"))


def test_another_network(person: People) -> None:
    alice = person("Alice")
    done = alice.try_run("doctor", "--network", "testnet", "--json")
    assert done.code == 1
    assert status_of(done)["network"] == ["problem"]
    assert status_of(done)["guards"] == ["info"]
    done = alice.try_run("doctor", "--network", "/nowhere.toml", "--json")
    assert status_of(done)["network"] == ["problem"]


def test_proxies(person: People) -> None:
    alice = person("Alice")
    alice.run("recv")
    with SocksProxy() as proxy:
        found = findings(alice.run("doctor", "--proxy", proxy.url, "--json"))
        assert found["proxy"] == [("ok", "A SOCKS5 proxy answers.")]
        assert found["guards"][0][0] == "ok"
        assert proxy.destinations
    (port,) = free_ports(1)
    done = alice.try_run("doctor", "--proxy", f"socks5h://127.0.0.1:{port}", "--json")
    found = findings(done)
    assert found["proxy"][0][0] == "problem"
    assert [found[check] for check in ("guards", "seeds")] == [[("info", "Not asked: the proxy can't be reached.")]] * 2
    check_refusal(alice.try_run("doctor", "--tor", "--proxy", "http://localhost:1"), 2, "--tor")


def test_the_password_of_a_proxy_is_not_shown(person: People) -> None:
    alice = person("Alice")
    alice.run("recv")
    (port,) = free_ports(1)
    alice.extra = {"SESSION_PROXY": f"socks5h://user:w0rd@127.0.0.1:{port}"}
    config = alice.home / "config/config.toml"
    config.write_text(f"proxy = 'socks5://user:w0rd@127.0.0.1:{port}'\n")
    for done in (
        alice.try_run("doctor"),
        alice.try_run("doctor", "--json"),
        alice.try_run("doctor", "-vv", "--json"),
        alice.try_run("recv", "-vv", "--proxy", f"http://user:w0rd@127.0.0.1:{port}"),
        alice.try_run("network", "status", "-vv"),
    ):
        assert done.code
        assert "w0rd" not in done.text + done.stderr
    config.unlink()
    check_refusal(alice.try_run("recv"), 75, f"The proxy 127.0.0.1:{port}")
    assert "w0rd" not in alice.try_run("recv", "-vv").stderr


def test_direct(person: People) -> None:
    alice = person("Alice")
    alice.run("recv")
    found = status_of(alice.run("doctor", "--direct", "--json"))
    assert found["network"][-1] == "warning"
    assert found["guards"] == ["info"]


def test_a_broken_configuration_file_stops_nothing(person: People) -> None:
    alice = person("Alice")
    config: Any = alice.home / "config/config.toml"
    config.write_text("profile = ")
    done = alice.try_run("doctor", "--offline", "--json")
    assert done.code == 1
    found = status_of(done)
    assert found["config"] == ["problem"]
    assert found["store"] == ["ok"]
    config.unlink()
    config.mkdir()
    found = status_of(alice.try_run("doctor", "--offline", "--json"))
    assert (found["config"], found["store"]) == (["problem"], ["ok"])
    config.rmdir()
    config.write_text("proxy = 3")
    assert status_of(alice.try_run("doctor", "--offline", "--json"))["store"] == ["ok"]


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("proxy = 'socks5h://127.0.0.1:9050'\ncolor = ", "profile, proxy, direct"),
        ("proxy = 'socks5://127.0.0.1:9050'\n", "proxy"),
        ("direct = 'no'\n", "direct"),
        ("proxi = 'socks5h://127.0.0.1:9050'\n", "profile, proxy, direct"),
        ("profiles = 1\n", "profile, proxy, direct"),
        ("[profile.default]\nproxy = 'socks5h://127.0.0.1:9050'\n", "profile"),
        ("[profiles.default]\nproxy = 3\n", "proxy"),
        ("[profiles]\ndefault = 3\n", "profile, proxy, direct"),
    ],
)
def test_without_knowing_the_way_nobody_is_asked(text: str, unknown: str, private_net: Devnet, tmp_path: Path) -> None:
    definition = tmp_path / "network.toml"
    private_net.write_definition(definition)
    alice = Person(tmp_path / "alice", definition).init()
    config = alice.home / "config/config.toml"
    config.write_text(text)
    done = alice.try_run("doctor", "--json")
    found = findings(done)
    assert done.code == 1
    ((status, message),) = found["network"]
    assert (status, f" of {unknown} can't be told" in message) == ("warning", True)
    assert not {"guards", "seeds", "clock", "proxy"} & set(found)
    assert private_net.request_log == []


def test_settings_that_can_be_read_count(person: People) -> None:
    alice = person("Alice")
    alice.run("recv")
    config = alice.home / "config/config.toml"
    with SocksProxy() as proxy:
        config.write_text(f"proxy = '{proxy.url}'\ncolor = 3\ntimeout = 'soon'\n[profiles.other]\nproxy = 7\n")
        found = findings(alice.try_run("doctor", "--json"))
        assert [status for status, _ in found["config"]] == ["problem"] * 3
        assert found["proxy"] == [("ok", "A SOCKS5 proxy answers.")]
        assert found["guards"][0][0] == "ok"
        assert proxy.destinations
        config.write_text("proxy = 7\n")
        given = findings(alice.try_run("doctor", "--json", "--proxy", proxy.url))
        assert given["guards"][0][0] == "ok", "an option counts, whatever the file says"


def test_damage_is_found(person: People) -> None:
    alice = person("Alice")
    path = alice.home / "data/profiles/default/messages.db"
    content = bytearray(path.read_bytes())
    content[-2000] ^= 1
    path.write_bytes(content)
    done = alice.try_run("doctor", "--offline")
    assert done.code == 1
    assert "✗ store" in done.text
    assert "backup" in done.text


def test_names_of_strangers_are_harmless(tmp_path: Path, shared_definition: Path) -> None:
    home = tmp_path / "a\x1b[31mhome"
    text = Person(home, shared_definition).init().run("doctor", "--offline").text
    assert "\x1b" not in text
    assert "a␛[31mhome" in text
