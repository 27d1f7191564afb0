"""With --proxy and --tor everything goes through the proxy, look-ups of names included, or nothing goes at all."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from session_cli.devnet.network import Devnet
from tests.support.devnet import Person
from tests.support.outcomes import bodies, check_refusal
from tests.support.proxies import ConnectProxy, Destination, Fault, Microsocks, Proxy, SocksProxy
from tests.support.sockets import Watched, guards_of, seed_of, watch
from tests.support.tools import free_ports

SEED_NAME = "seed.invalid"
SHORT_NAME = "127.1"
"""A name for 127.0.0.1 that every resolver knows, whatever this machine calls itself; no client takes it for an
address."""
DATA = bytes(range(256)) * 2000
KINDS = pytest.mark.parametrize("kind", [SocksProxy, ConnectProxy])
TOR = ("127.0.0.1", 9050)


def with_seed_called(name: str, definition: Path, net: Devnet, folder: Path) -> Path:
    """The definition of a network whose seed has a name. Its certificate is known by its fingerprint, as ever."""
    host, port = seed_of(net)
    text = definition.read_text()
    assert f"//{host}:{port}" in text
    path = folder / "named.toml"
    path.write_text(text.replace(f"//{host}:{port}", f"//{name}:{port}"))
    return path


@pytest.fixture
def named(shared_net: Devnet, shared_definition: Path, tmp_path: Path) -> Path:
    """The shared network's definition with a seed whose name nobody but a proxy knows."""
    return with_seed_called(SEED_NAME, shared_definition, shared_net, tmp_path)


def open_proxy(kind: type[Proxy], net: Devnet, fault: Fault | None = None) -> Proxy:
    """A proxy of ours that knows the seed's name."""
    return kind({SEED_NAME: seed_of(net)[0]}, fault)


def check_kept_in(run: Watched, proxy: tuple[str, int]) -> None:
    """Of all this machine's addresses the process used the proxy's alone, and it looked up nothing."""
    assert set(run.connections) <= {proxy}
    assert (run.names, run.others) == ([], [])


def converse(alice: Person, bob: Person, folder: Path, *options: str) -> Iterator[Watched]:
    """Two people exchange a message and a file; every run of the program, while it is still fresh."""
    file = folder / "file.bin"
    file.write_bytes(DATA)
    runs = [watch(alice, "send", bob.id, "hello", "--attach", str(file), *options)]
    yield runs[0]
    received = watch(bob, "recv", "--json", *options)
    yield received
    assert bodies(received.done.objects) == ["hello"]
    yield watch(bob, "attach", "save", str(received.done.objects[0]["id"]), "-o", str(folder / "saved.bin"), *options)
    assert (folder / "saved.bin").read_bytes() == DATA
    yield watch(bob, "send", alice.id, "thanks", *options)
    answered = watch(alice, "recv", "--json", *options)
    yield answered
    assert bodies(answered.done.objects) == ["thanks"]


def check_conversation(proxy: Proxy | Microsocks, net: Devnet, definition: Path, folder: Path, seed_name: str) -> None:
    """All of a conversation goes through the proxy, which is asked for the seed by name and for guards by address."""
    alice, bob = (Person(folder / name, definition).init("--name", name) for name in ("alice", "bob"))
    for run in converse(alice, bob, folder, "--proxy", proxy.url):
        assert run.done.code == 0, run.done.stderr
        assert run.connections
        check_kept_in(run, proxy.address)
    guards = guards_of(alice, net) | guards_of(bob, net)
    asked = set(proxy.destinations)
    assert {where for where in asked if where.is_name} == {Destination(seed_name, seed_of(net)[1])}
    assert {(where.host, where.port) for where in asked if not where.is_name} <= guards
    assert len(asked) > 1


@KINDS
def test_everything_goes_through_a_proxy(kind: type[Proxy], shared_net: Devnet, named: Path, tmp_path: Path) -> None:
    with open_proxy(kind, shared_net) as proxy:
        check_conversation(proxy, shared_net, named, tmp_path, SEED_NAME)


def test_everything_goes_through_microsocks(shared_net: Devnet, shared_definition: Path, tmp_path: Path) -> None:
    """A SOCKS server that others wrote understands us as ours does."""
    definition = with_seed_called(SHORT_NAME, shared_definition, shared_net, tmp_path)
    with Microsocks(tmp_path) as proxy:
        check_conversation(proxy, shared_net, definition, tmp_path, SHORT_NAME)


@KINDS
def test_the_environment_makes_no_exceptions(
    kind: type[Proxy], shared_net: Devnet, named: Path, tmp_path: Path
) -> None:
    """NO_PROXY is for browsers, too; and --proxy outweighs whatever else is set."""
    elsewhere = f"http://127.0.0.1:{free_ports(1)[0]}"
    variables = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "https_proxy", "all_proxy"), elsewhere)
    extra = {**variables, "NO_PROXY": "*", "no_proxy": "*"}
    with open_proxy(kind, shared_net) as proxy:
        alice = Person(tmp_path / "alice", named, extra={**extra, "SESSION_PROXY": proxy.url}).init()
        for options in (("--proxy", proxy.url), ()):
            run = watch(alice, "recv", *options)
            assert run.done.code == 0, run.done.stderr
            assert run.connections
            check_kept_in(run, proxy.address)


COMMANDS: dict[str, Callable[[Person], tuple[str, ...]]] = {
    "send": lambda who: ("send", who.id, "hello"),
    "recv": lambda who: ("recv",),
    "attach": lambda who: ("attach", "send", who.id, __file__),
}


def newcomer_and_regular(definition: Path, proxy: Proxy, folder: Path) -> list[Person]:
    """One who knows nothing of the network yet, and one who has nodes and guards."""
    newcomer, regular = (Person(folder / name, definition).init() for name in ("newcomer", "regular"))
    regular.run("recv", "--proxy", proxy.url)
    return [newcomer, regular]


@KINDS
@pytest.mark.parametrize("command", COMMANDS)
def test_a_proxy_that_is_down(kind: type[Proxy], command: str, shared_net: Devnet, named: Path, tmp_path: Path) -> None:
    with open_proxy(kind, shared_net) as proxy:
        people = newcomer_and_regular(named, proxy, tmp_path)
    for who in people:
        run = watch(who, *COMMANDS[command](who), "--proxy", proxy.url)
        check_refusal(run.done, 75, "proxy")
        assert run.connections
        check_kept_in(run, proxy.address)


@KINDS
@pytest.mark.parametrize("fault", [Fault.REFUSE, Fault.CLOSE, Fault.GARBAGE])
def test_a_proxy_that_does_not_do_its_work(
    kind: type[Proxy], fault: Fault, shared_net: Devnet, named: Path, tmp_path: Path
) -> None:
    with open_proxy(kind, shared_net) as proxy:
        people = newcomer_and_regular(named, proxy, tmp_path)
        proxy.fault = fault
        for who in people:
            before = guards_of(who, shared_net)
            run = watch(who, "send", who.id, "hello", "--proxy", proxy.url)
            check_refusal(run.done, 75)
            assert run.connections
            check_kept_in(run, proxy.address)
            assert guards_of(who, shared_net) >= before, "the guards are not to blame"


@KINDS
@pytest.mark.parametrize("fault", [Fault.REFUSE, Fault.CLOSE, Fault.GARBAGE])
def test_the_proxy_is_named_when_it_fails(
    kind: type[Proxy], fault: Fault, shared_net: Devnet, named: Path, tmp_path: Path
) -> None:
    """Nobody should look for the fault at the seed, which was never reached."""
    alice = Person(tmp_path / "alice", named).init()
    with open_proxy(kind, shared_net, fault) as proxy:
        check_refusal(alice.try_run("recv", "--proxy", proxy.url), 75, "proxy")


@KINDS
def test_a_proxy_that_hangs(kind: type[Proxy], shared_net: Devnet, named: Path, tmp_path: Path) -> None:
    with open_proxy(kind, shared_net) as proxy:
        people = newcomer_and_regular(named, proxy, tmp_path)
        proxy.fault = Fault.HANG
        for who in people:
            begun = time.monotonic()
            run = watch(who, "recv", "--timeout", "1", "--proxy", proxy.url)
            assert time.monotonic() - begun < 10
            check_refusal(run.done, 75)
            assert run.connections
            check_kept_in(run, proxy.address)


@KINDS
def test_a_proxy_that_does_not_know_the_seed(
    kind: type[Proxy], shared_net: Devnet, named: Path, tmp_path: Path
) -> None:
    """A name that the proxy can't resolve is not tried at home."""
    alice = Person(tmp_path / "alice", named).init()
    with kind() as proxy:
        run = watch(alice, "recv", "--proxy", proxy.url)
        check_refusal(run.done, 75)
        check_kept_in(run, proxy.address)
        assert set(proxy.destinations) == {Destination(SEED_NAME, seed_of(shared_net)[1])}


def test_tor_that_is_not_running(shared_net: Devnet, named: Path, tmp_path: Path) -> None:
    try:
        socket.create_connection(TOR, timeout=1).close()
    except OSError:
        pass
    else:
        pytest.skip("something listens where Tor would, at 127.0.0.1:9050")
    newcomer, regular = Person(tmp_path / "newcomer", named).init(), Person(tmp_path / "regular", named).init()
    with open_proxy(SocksProxy, shared_net) as proxy:
        regular.run("recv", "--proxy", proxy.url)
    for who in (newcomer, regular):
        for command in COMMANDS.values():
            run = watch(who, *command(who), "--tor")
            check_refusal(run.done, 75, "proxy")
            assert run.connections
            check_kept_in(run, TOR)
