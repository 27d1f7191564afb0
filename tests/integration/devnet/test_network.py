"""The network as a whole: its life, its definition, its swarms, and what it leaves behind."""

from __future__ import annotations

import base64
import gc
import hashlib
import json
import os
import socket
import sqlite3
import ssl
import stat
import sys
import threading
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from session_cli.devnet.network import Devnet, DevnetOptions, NodeHandle, NodeSpec
from session_cli.errors import NetworkUnreachable, StoreDamaged, StoreLocked, StoreUnwritable, UsageError
from session_cli.protocol import storage_rpc
from session_cli.protocol.account import Identity
from session_cli.protocol.onion import EncType, V4Request
from session_cli.protocol.swarm import swarm_for

from .helpers import MovableClock, PathClient, new_session

TTL_MS = 3_600_000


def swarm_of(net: Devnet, account: str) -> list[NodeHandle]:
    swarm_id = swarm_for(account, [node.swarm_id for node in net.nodes if node.swarm_id is not None])
    return [node for node in net.nodes if node.swarm_id == swarm_id]


def direct(node: NodeHandle, request: storage_rpc.Request) -> tuple[int, Any]:
    with new_session() as session:
        response = session.post(f"https://{node.ip}:{node.port}/storage_rpc/v1", json=request.to_json(), timeout=10)
    is_json = response.headers["Content-Type"] == "application/json"
    return response.status_code, response.json() if is_json else response.text


def store(account: str, data: bytes, now: float) -> storage_rpc.Request:
    return storage_rpc.store(account, data, timestamp_ms=int(now * 1000), ttl_ms=TTL_MS)


def retrieve(identity: Identity, now: float) -> storage_rpc.Request:
    return storage_rpc.retrieve(identity, timestamp_ms=int(now * 1000))


def contents(node: NodeHandle, identity: Identity, now: float | None = None) -> list[bytes]:
    """What a node holds for an account, in its order."""
    status, body = direct(node, retrieve(identity, time.time() if now is None else now))
    assert status == 200
    return [message.data for message in storage_rpc.parse_retrieve(body, identity.account_id, 0).messages]


def path_client(net: Devnet, avoiding: NodeHandle | None = None) -> PathClient:
    """A client with a path of three hops that does not lead over the node."""
    hops = [node for node in net.nodes if node.running and (avoiding is None or node.index != avoiding.index)]
    return PathClient(net, hops[:3])


def test_definition(tmp_path: Path) -> None:
    with Devnet(DevnetOptions(max_file_size=5_000_000)) as net:
        path = tmp_path / "devnet.toml"
        net.write_definition(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.read_text() == net.definition_toml()
        definition = tomllib.loads(net.definition_toml())
        der = socket_certificate(definition["seeds"][0]["url"])
        file_server = definition["file_server"]
    assert definition["name"] == "devnet"
    assert definition["id"].startswith("devnet-")
    assert len(definition["id"]) == len("devnet-") + 16
    assert (definition["hops"], definition["ons"], definition["subnet_diversity"]) == (3, False, False)
    assert definition["seeds"][0]["certificate_sha256"] == hashlib.sha256(der).hexdigest()
    assert file_server["max_file_size"] == 5_000_000
    assert [entry.name for entry in tmp_path.iterdir()] == ["devnet.toml"]


def socket_certificate(url: str) -> bytes:
    host, port = url.removeprefix("https://").split(":")
    return ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate((host, int(port))))


def test_default_layout() -> None:
    """Twelve nodes in three swarms of four, each with an address of its own where there are some."""
    with Devnet() as net:
        swarms = [node.swarm_id for node in net.nodes]
        assert len(net.nodes) == 12
        assert sorted(swarms.count(swarm) for swarm in set(swarms)) == [4, 4, 4]
        assert len({(node.ip, node.port) for node in net.nodes}) == 12
        if sys.platform.startswith("linux"):
            assert len({node.ip.rpartition(".")[0] for node in net.nodes}) == 12
        assert all(node.running for node in net.nodes)


def test_starts_quickly() -> None:
    """Tests start many of these. A generous bound for a busy machine; it takes a twentieth of a second."""
    started = time.process_time()
    with Devnet() as net:
        assert len(net.nodes) == 12
        assert time.process_time() - started < 0.5


def test_node_list_in_binary() -> None:
    """51 bytes a node, raw directly and base64 inside of a batch."""
    with Devnet(DevnetOptions(nodes=4, swarms=2)) as net:
        node = net.nodes[0]
        with new_session() as session:
            request = {"method": "active_nodes_bin", "params": {}}
            url = f"https://{node.ip}:{node.port}/storage_rpc/v1"
            raw = session.post(url, json=request, timeout=10)
            batch = {"method": "batch", "params": {"requests": [request]}}
            inside = session.post(url, json=batch, timeout=10).json()["results"][0]
        expected = b"".join(
            n.ed25519
            + (n.swarm_id or 0).to_bytes(8, "big")
            + socket.inet_aton(n.ip)
            + n.port.to_bytes(2, "big")
            + (22020).to_bytes(2, "big")
            + bytes([2, 8, 0])
            for n in net.nodes
        )
    assert raw.content == expected
    assert raw.headers["Content-Type"] == "application/octet-stream"
    assert inside == {"code": 200, "body": base64.b64encode(expected).decode()}


@pytest.mark.parametrize("enc_type", EncType)
def test_message_through_the_onion(enc_type: EncType) -> None:
    """Stored at one member over three hops, read at another; every part saw only its own neighbours."""
    identity = Identity.generate()
    with Devnet() as net:
        first, *others = swarm_of(net, identity.account_id)
        outside = [node for node in net.nodes if node.swarm_id != first.swarm_id]
        client = PathClient(net, outside[:3])
        request = store(identity.account_id, b"hello", time.time())
        reply = client.rpc(first, request.method, dict(request.params), enc_type)
        assert reply.status == 200
        digest = storage_rpc.message_hash(identity.account_id, 0, b"hello")
        result = storage_rpc.parse_store(reply.json(), digest)
        assert result.confirmed == {node.ed25519.hex() for node in [first, *others]}
        log = net.request_log
        client.close()
        for node in [first, *others]:
            assert contents(node, identity) == [b"hello"]
    hops = [record for record in log if record.kind == "onion"]
    path = [node.index for node in outside[:3]] + [first.index]
    assert [(record.role, record.node) for record in hops] == [
        ("destination", path[3]),
        ("middle", path[2]),
        ("middle", path[1]),
        ("guard", path[0]),
    ]
    assert [(record.previous, record.following) for record in hops] == [
        (path[2], None),
        (path[1], path[3]),
        (path[0], path[2]),
        (None, path[1]),
    ]
    sizes = [record.layer_bytes for record in hops]
    assert sizes == sorted(sizes)
    assert [(record.method, record.status) for record in log if record.kind == "storage"] == [("store", 200)]


def test_log_tells_no_secrets() -> None:
    identity = Identity.generate()
    with Devnet() as net:
        node, now = swarm_of(net, identity.account_id)[0], time.time()
        direct(node, storage_rpc.batch([store(identity.account_id, b"contents", now), retrieve(identity, now)]))
        requests.post(f"{net.file_server_url}/file", data=b"file contents", timeout=10)
        records = net.request_log
    text = repr(records)
    assert identity.account_id not in text
    assert identity.ed25519_public.hex() not in text
    assert "contents" not in text
    assert [(record.kind, record.method, record.parts) for record in records] == [
        ("storage", "batch", ("store", "retrieve")),
        ("file", "POST /file", ()),
    ]


def test_restart_keeps_everything(tmp_path: Path) -> None:
    data = tmp_path / "data"
    options = DevnetOptions(nodes=6, swarms=2, data_dir=data)
    identity = Identity.generate()
    with Devnet(options) as net:
        node = swarm_of(net, identity.account_id)[0]
        assert direct(node, store(identity.account_id, b"kept", time.time()))[0] == 200
        uploaded = requests.post(f"{net.file_server_url}/file", data=b"a file", timeout=10).json()["id"]
        definition, addresses = net.definition_toml(), [(n.ip, n.port, n.ed25519, n.swarm_id) for n in net.nodes]
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in [data, *data.rglob("*")]}
    assert set(modes.values()) == {0o700, 0o600}
    assert all(mode == (0o700 if path.is_dir() else 0o600) for path, mode in modes.items())
    with Devnet(options) as net:
        assert net.definition_toml() == definition
        assert [(n.ip, n.port, n.ed25519, n.swarm_id) for n in net.nodes] == addresses
        for node in swarm_of(net, identity.account_id):
            assert contents(node, identity) == [b"kept"]
        assert requests.get(f"{net.file_server_url}/file/{uploaded}", timeout=10).content == b"a file"


def test_restart_elsewhere(tmp_path: Path) -> None:
    """Options that insist on an address move the nodes; who they are stays. A killed upload leaves nothing."""
    with Devnet(DevnetOptions(nodes=2, swarms=1, data_dir=tmp_path)) as net:
        before = [(node.ed25519, node.swarm_id) for node in net.nodes]
    (tmp_path / "files" / "upload-0123").write_bytes(b"half")
    with Devnet(DevnetOptions(data_dir=tmp_path, host="127.0.0.1")) as net:
        assert [(node.ed25519, node.swarm_id) for node in net.nodes] == before
        assert {node.ip for node in net.nodes} == {"127.0.0.1"}
    assert list((tmp_path / "files").iterdir()) == []


def test_two_networks_on_one_folder(tmp_path: Path) -> None:
    options = DevnetOptions(nodes=1, swarms=1, data_dir=tmp_path)
    with Devnet(options), pytest.raises(StoreLocked):
        Devnet(options).start()
    with Devnet(options) as net:
        assert net.nodes[0].running


def test_damaged_data(tmp_path: Path) -> None:
    (tmp_path / "network.json").write_text("{}")
    with pytest.raises(StoreDamaged):
        Devnet(DevnetOptions(data_dir=tmp_path)).start()
    (tmp_path / "network.json").unlink()
    (tmp_path / "devnet.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreUnwritable):
        Devnet(DevnetOptions(data_dir=tmp_path)).start()


def test_unusable_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnwritable):
        Devnet(DevnetOptions(data_dir=tmp_path / "file" / "data")).start()


@pytest.mark.parametrize(
    "options",
    [
        DevnetOptions(nodes=0),
        DevnetOptions(nodes=2, swarms=3),
        DevnetOptions(host="localhost"),
        DevnetOptions(host="0.0.0.0"),
        DevnetOptions(port_base=65530),
    ],
)
def test_senseless_options(options: DevnetOptions) -> None:
    threads = threading.active_count()
    with pytest.raises(UsageError):
        Devnet(options).start()
    assert threading.active_count() == threads


def test_given_host_and_ports() -> None:
    """All on one address, on consecutive ports."""
    base = free_range(5)
    with Devnet(DevnetOptions(nodes=3, swarms=1, host="127.0.0.1", port_base=base)) as net:
        assert [(node.ip, node.port) for node in net.nodes] == [("127.0.0.1", base + i) for i in range(3)]
        assert net.seed_url == f"https://127.0.0.1:{base + 3}"
        assert net.file_server_url == f"http://127.0.0.1:{base + 4}"
    with Devnet(DevnetOptions(nodes=3, swarms=1, host="127.0.0.1")) as net:
        assert len({node.port for node in net.nodes}) == 3


def test_system_with_one_loopback_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where 127.0.0.1 is all there is, nodes differ by port, and everything works as well."""

    class OneAddress(socket.socket):
        def bind(self, address: Any) -> None:
            if address[0] != "127.0.0.1":
                raise OSError(99, "Cannot assign requested address")
            super().bind(address)

    monkeypatch.setattr("session_cli.devnet.layout.socket.socket", OneAddress)
    identity = Identity.generate()
    with Devnet() as net:
        monkeypatch.undo()
        assert {node.ip for node in net.nodes} == {"127.0.0.1"}
        assert len({node.port for node in net.nodes}) == 12
        node = swarm_of(net, identity.account_id)[0]
        client = path_client(net, node)
        request = store(identity.account_id, b"hello", time.time())
        assert client.rpc(node, request.method, dict(request.params)).status == 200
        client.close()


def free_range(count: int) -> int:
    """The first of consecutive ports that nobody uses, below those that the system hands out."""
    for base in range(20_000 + os.getpid() % 1000 * 10, 32_000, count):
        sockets = []
        try:
            for port in range(base, base + count):
                probe = socket.socket()
                sockets.append(probe)
                probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        finally:
            for probe in sockets:
                probe.close()
        return base
    raise RuntimeError("no free ports")


def test_port_in_use(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        spec = NodeSpec(os.urandom(32), ip="127.0.0.1", port=taken.getsockname()[1])
        with pytest.raises(NetworkUnreachable, match="can't listen"):
            Devnet(DevnetOptions(node_specs=[spec], swarms=1, data_dir=tmp_path)).start()


def test_stopped_member() -> None:
    """It can't be reached, its peers say so, and what they queued arrives when it comes back."""
    identity = Identity.generate()
    with Devnet(DevnetOptions(peer_timeout=0.05)) as net:
        first, second, *_ = swarm_of(net, identity.account_id)
        second.stop()
        second.stop()
        assert not second.running
        with pytest.raises(requests.ConnectionError):
            direct(second, storage_rpc.Request("info", {}))
        _, body = direct(first, store(identity.account_id, b"while away", time.time()))
        assert body["swarm"][second.ed25519.hex()] == {"failed": True, "timeout": True}
        second.start()
        second.start()
        assert contents(second, identity) == [b"while away"]
        _, body = direct(first, store(identity.account_id, b"back", time.time()))
        assert not any(result.get("failed") for result in body["swarm"].values())


def test_queued_for_too_long() -> None:
    """Forwards wait half a minute; after that the member has missed them."""
    identity, clock = Identity.generate(), MovableClock()
    with Devnet(DevnetOptions(peer_timeout=0.01, clock=clock)) as net:
        first, second, *_ = swarm_of(net, identity.account_id)
        second.stop()
        direct(first, store(identity.account_id, b"missed", clock()))
        clock.advance(31)
        direct(first, store(identity.account_id, b"queued", clock()))
        second.start()
        assert contents(second, identity, clock()) == [b"queued"]
        assert contents(first, identity, clock()) == [b"missed", b"queued"]


def test_member_that_refuses() -> None:
    """A peer that revoked a token which the others did not says no for itself alone."""
    group, member = Identity.generate(), Identity.generate()
    account = "03" + group.ed25519_public.hex()
    token = bytes([3, 3, 0, 0]) + member.ed25519_public
    with Devnet(DevnetOptions(peer_timeout=0.01)) as net:
        first, second, *others = swarm_of(net, account)
        # A node remembers nothing of an account without messages.
        direct(second, store(account, b"something", time.time()))
        for node in (first, *others):
            node.stop()
        now = int(time.time() * 1000)
        revocation = storage_rpc.Request(
            "revoke_subaccount",
            {
                "pubkey": account,
                "timestamp": now,
                "revoke": base64.b64encode(token).decode(),
                "signature": base64.b64encode(group.sign(f"revoke_subaccount{now}".encode() + token)).decode(),
            },
        )
        direct(second, revocation)
        # So long that nothing waits in a queue any more.
        for queued in net.directory:
            queued.undelivered.clear()
        for node in (first, *others):
            node.start()
        request = storage_rpc.Request(
            "store",
            {
                "pubkey": account,
                "namespace": 11,
                "timestamp": now,
                "ttl": TTL_MS,
                "data": base64.b64encode(b"data").decode(),
                "signature": base64.b64encode(member.sign(f"store11{now}".encode())).decode(),
                "subaccount": base64.b64encode(token).decode(),
                "subaccount_sig": base64.b64encode(group.sign(token)).decode(),
            },
        )
        status, body = direct(first, request)
    assert status == 200
    assert body["swarm"].pop(second.ed25519.hex()) == {
        "failed": True,
        "code": "401",
        "reason": "store signature verification failed",
    }
    assert len(body["swarm"]) == 1 + len(others)


def test_swarms_that_change() -> None:
    """A swarm that dissolves hands over what now belongs elsewhere."""
    identity = Identity.generate()
    with Devnet(DevnetOptions(nodes=4, swarms=2)) as net:
        members = swarm_of(net, identity.account_id)
        others = [node for node in net.nodes if node.swarm_id != members[0].swarm_id]
        direct(members[0], store(identity.account_id, b"moves", time.time()))
        for node in members:
            node.join_swarm(others[0].swarm_id)
        assert {node.swarm_id for node in net.nodes} == {others[0].swarm_id}
        for node in net.nodes:
            assert contents(node, identity) == [b"moves"]
        for node in net.nodes:
            node.join_swarm(None)
        assert direct(net.nodes[0], storage_rpc.Request("info", {}))[0] == 503


def test_many_clients_at_once() -> None:
    """Eight clients, each over a path of its own: everything arrives once, at all members in the same order or not."""
    identity = Identity.generate()
    with Devnet() as net:
        members = swarm_of(net, identity.account_id)
        outside = [node for node in net.nodes if node not in members]

        def work(number: int) -> None:
            client = PathClient(net, outside[number % 6 : number % 6 + 3])
            for count in range(10):
                request = store(identity.account_id, f"{number}.{count}".encode(), time.time())
                assert client.rpc(members[number % 4], request.method, dict(request.params)).status == 200
                upload = V4Request("POST", "/file", {}, f"file {number}.{count}".encode())
                assert client.file_server(upload).code == 200
            client.close()

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(8)))
        expected = {f"{number}.{count}".encode() for number in range(8) for count in range(10)}
        for member in members:
            found = contents(member, identity)
            assert len(found) == 80
            assert set(found) == expected
        assert sum(record.method == "POST /file" for record in net.request_log) == 80


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file, no thread, no socket, even with a client that holds its connection and a request that hangs."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    threads, sockets = set(threading.enumerate()), open_sockets()
    net = Devnet(DevnetOptions(peer_timeout=30))
    net.start()
    net.start()
    assert list(temporary.iterdir())
    client = path_client(net)
    client.file_server(V4Request("POST", "/file", {}, bytes(100_000)))
    identity = Identity.generate()
    first, second, *_ = swarm_of(net, identity.account_id)
    second.stop()
    hanging = threading.Thread(target=_ignoring_errors, args=(first, store(identity.account_id, b"x", time.time())))
    hanging.start()
    time.sleep(0.1)
    started = time.monotonic()
    net.stop()
    net.stop()
    assert time.monotonic() - started < 5
    hanging.join()
    client.close()
    assert list(temporary.iterdir()) == []
    assert set(threading.enumerate()) == threads
    assert open_sockets() <= sockets


def _ignoring_errors(node: NodeHandle, request: storage_rpc.Request) -> None:
    try:
        direct(node, request)
    except requests.RequestException:
        return


def open_sockets() -> int:
    """How many sockets this process has open; 0 where the system does not tell."""
    folder = Path("/proc/self/fd")
    if not folder.exists():
        return 0
    gc.collect()
    count = 0
    for entry in folder.iterdir():
        try:
            count += str(entry.readlink()).startswith("socket:")
        except OSError:
            continue
    return count


def test_only_ciphertext_rests(tmp_path: Path) -> None:
    """What a network keeps holds the messages as they came, and no trace of who asked for what."""
    identity = Identity.generate()
    with Devnet(DevnetOptions(nodes=3, swarms=1, data_dir=tmp_path)) as net:
        direct(net.nodes[0], store(identity.account_id, b"sealed elsewhere", time.time()))
        contents(net.nodes[0], identity)
    database = sqlite3.connect(tmp_path / "devnet.sqlite")
    tables = {row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    database.close()
    assert tables == {"messages", "revoked", "files", "sqlite_sequence"}
    assert sorted(json.loads((tmp_path / "network.json").read_text())["nodes"][0]) == [
        "ip",
        "legacy_public",
        "omq_port",
        "port",
        "seed",
        "swarm_id",
    ]
