"""A whole local network: start it, hand its definition to a client, stop it.

    with Devnet(DevnetOptions(nodes=9)) as net:
        net.write_definition(Path("devnet.toml"))
        ...

It runs in a thread of its own, in which nearly everything happens; only heavy cryptography and file access go to a
few more threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Coroutine, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import aiohttp

from ..errors import NetworkUnreachable, StoreUnwritable
from ..protocol.account import Identity
from .account_calls import AccountCalls
from .chaos import Chaos
from .community_conduct import CommunityConduct
from .community_options import CommunityOptions, CommunityRoom, Moderator
from .community_routes import CommunityRoutes
from .conduct import Conduct
from .database import open_database
from .definition import community_table, file_server_table, network_table, seed_table
from .directory import Directory, Member
from .file_routes import FileRoutes
from .file_store import FileStore
from .http_server import Listener, Workers
from .injections import ServerName
from .layers import NodeKeys
from .layout import Layout, draw, moved, write_private
from .ledger import Ledger
from .node_handle import NodeHandle
from .onion_relay import OnionRelay, RelayTimeouts
from .options import DevnetOptions, FileServerOptions, NodeSpec
from .request_log import RequestLog, RequestRecord
from .seed_node import SeedNode
from .service_node import ServiceNode
from .storage_rpc import StorageRpc
from .swarm_storage import NodeStorage
from .web_server import WebServer, max_request_bytes
from .wire import Wire

__all__ = [
    "CommunityOptions",
    "CommunityRoom",
    "Devnet",
    "DevnetOptions",
    "FileServerOptions",
    "Moderator",
    "NodeHandle",
    "NodeSpec",
    "RequestRecord",
]

T = TypeVar("T")
_THREADS = 4
_CALL_SECONDS = 30


class Devnet:
    """A local network. Use it as a context manager, or call `start` and `stop`."""

    def __init__(self, options: DevnetOptions | None = None) -> None:
        self.options = options or DevnetOptions()
        self.directory: Directory
        self.chaos = Chaos(self)
        self._log = RequestLog(self.options.request_log_size)
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._stop_requested = False
        self._failure: BaseException | None = None
        self._layout: Layout
        self._file_keys: NodeKeys
        self._seed: SeedNode
        self._files: WebServer
        self._community: WebServer | None = None
        self._rooms: CommunityRoutes
        self._handles: tuple[NodeHandle, ...] = ()

    # Life.

    def __enter__(self) -> Devnet:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start everything; returns when all servers listen.

        Raises UsageError, NetworkUnreachable (an address can't be had), StoreUnwritable, StoreLocked or StoreDamaged
        (the data folder).
        """
        if self._thread is not None:
            return
        self._stop_requested = False
        started: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(started,), name="devnet", daemon=True)
        self._thread.start()
        try:
            started.result()
        except BaseException:
            # Also when Ctrl-C comes while we wait.
            self._finish(self._thread)
            self._failure = self._thread = None
            raise

    def stop(self) -> None:
        """Close every socket, end every thread, and remove what was only temporary. Does nothing if not started."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._finish(thread)
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _finish(self, thread: threading.Thread) -> None:
        """Have the thread end, in whatever state it is. It looks at the flag once everything is open."""
        self._stop_requested = True
        if self._loop is not None and self._stopping is not None:
            # A loop that is closed has ended by itself.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stopping.set)
        thread.join()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something in the network's thread, and wait for it. Raises NetworkUnreachable if it does not run."""
        if self._thread is None or self._loop is None:
            work.close()
            raise NetworkUnreachable("The local network is not running.")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_CALL_SECONDS)

    def _run(self, started: Future[None]) -> None:
        try:
            asyncio.run(self._main(started))
        except BaseException as error:  # noqa: BLE001 - `start` or `stop` raises it, whatever it is
            self._failure = error
            if not started.done():
                started.set_exception(error)

    async def _main(self, started: Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        async with contextlib.AsyncExitStack() as stack:
            await self._open(stack)
            started.set_result(None)
            if not self._stop_requested:
                await self._stopping.wait()

    # Construction, in the network's thread.

    async def _open(self, stack: contextlib.AsyncExitStack) -> None:
        options = self.options
        folder = options.data_dir
        files = self._prepare_folders(stack, folder)
        database = open_database(folder / "devnet.sqlite" if folder else None)
        stack.callback(database.close)
        known = Layout.load(folder) if folder else None
        self._layout = moved(known, options) if known else draw(options)
        executor = ThreadPoolExecutor(_THREADS, "devnet-worker")
        stack.callback(executor.shutdown, cancel_futures=True)
        workers = Workers(executor)
        # Connections are kept for moments only: a server that went meanwhile would cost a request.
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=2)
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        nodes = self._build_nodes(database, workers, session)
        self._file_keys = _keys(options.file_server.x25519_secret, self._layout.file_seed)
        store = FileStore(database, files, options.file_server, options.clock)
        routes = FileRoutes(store, workers, options.file_server, options.max_file_size, options.clock)
        self._files = WebServer(
            routes,
            self._file_keys,
            self._log,
            workers,
            kind="file",
            ip=self._layout.server_ip,
            port=self._layout.file_port,
            max_file_size=options.max_file_size,
            wire=Wire(self.chaos.injections, "file_server"),
        )
        listeners: dict[ServerName, Listener] = {"file_server": self._files.listener}
        self._community = self._build_community(options.community, database, workers) if options.community else None
        if self._community is not None:
            listeners["community"] = self._community.listener
        listeners["seed"] = self._seed.listener
        # What a client meets first starts last: whoever reads the list of nodes can reach them.
        servers: list[ServiceNode | Listener] = [*nodes, *listeners.values()]
        stack.push_async_callback(_stop_all, servers)
        for server in servers:
            await server.start()
        self._handles = tuple(NodeHandle(self, node) for node in nodes)
        stack.callback(self.chaos.detach)
        self.chaos.attach(self.directory, nodes, listeners)
        if folder:
            self._remember(folder)

    def _prepare_folders(self, stack: contextlib.AsyncExitStack, folder: Path | None) -> Path:
        """Where files are kept: below the data folder, or somewhere that goes when the network does."""
        if folder is None:
            temporary = Path(tempfile.mkdtemp(prefix="session-devnet-"))
            stack.callback(shutil.rmtree, temporary, ignore_errors=True)
            return temporary
        files = folder / "files"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            files.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise StoreUnwritable(f"{folder} can't be made: {error.strerror or error}.") from None
        return files

    def _build_nodes(
        self, database: sqlite3.Connection, workers: Workers, session: aiohttp.ClientSession
    ) -> list[ServiceNode]:
        options, clock = self.options, self.options.clock
        members = []
        for index, node in enumerate(self._layout.nodes):
            identity = Identity.from_seed(node.seed)
            storage = NodeStorage(database, identity.ed25519_public, clock)
            calls = AccountCalls(identity, storage, clock, Conduct(self.chaos.injections, index))
            members.append(
                Member(
                    index,
                    identity,
                    node.legacy_public,
                    node.ip,
                    node.port,
                    node.omq_port,
                    node.swarm_id,
                    storage,
                    calls,
                )
            )
        self.directory = Directory(members, clock, options.peer_timeout)
        block_hash = options.block_hash or hashlib.sha256(self._layout.network_id.encode()).hexdigest()
        ledger = Ledger(clock, options.height, block_hash, options.ons)
        node_context = self._layout.node_certificate.server_context()
        timeouts = RelayTimeouts(options.hop_timeout, options.server_timeout)
        relays: dict[int, OnionRelay] = {}
        nodes = []
        for member in members:
            wire = Wire(self.chaos.injections, member.index)
            conduct = Conduct(self.chaos.injections, member.index)
            rpc = StorageRpc(member, self.directory, ledger, conduct)
            relay = OnionRelay(
                member,
                self.directory,
                rpc,
                log=self._log,
                workers=workers,
                session=session,
                relays=relays,
                timeouts=timeouts,
                wire=wire,
                conduct=conduct,
            )
            relays[member.index] = relay
            limit = max_request_bytes(options.max_file_size)
            nodes.append(
                ServiceNode(
                    member,
                    rpc,
                    relay,
                    log=self._log,
                    context=node_context,
                    clock=clock,
                    max_onion_bytes=limit,
                    wire=wire,
                )
            )
        seed_context = self._layout.seed_certificate.server_context()
        self._seed = SeedNode(
            self.directory,
            ledger,
            self._log,
            self._layout.server_ip,
            self._layout.seed_port,
            seed_context,
            wire=Wire(self.chaos.injections, "seed"),
            conduct=Conduct(self.chaos.injections, "seed"),
        )
        return nodes

    def _build_community(self, options: CommunityOptions, database: sqlite3.Connection, workers: Workers) -> WebServer:
        keys = _keys(options.x25519_secret, self._layout.community_seed)
        conduct = CommunityConduct(self.chaos.injections, keys.public)
        self._rooms = CommunityRoutes(database, keys.public, options, self.options.clock, conduct)
        return WebServer(
            self._rooms,
            keys,
            self._log,
            workers,
            kind="community",
            ip=self._layout.server_ip,
            port=self._layout.community_port,
            max_file_size=options.max_file_size,
            wire=Wire(self.chaos.injections, "community"),
            conduct=conduct,
        )

    def _remember(self, folder: Path) -> None:
        for node, member in zip(self._layout.nodes, self.directory, strict=True):
            node.port = member.port
        self._layout.seed_port = self._seed.listener.port
        self._layout.file_port = self._files.listener.port
        if self._community is not None:
            self._layout.community_port = self._community.listener.port
        self._layout.save(folder)

    # What a running network tells.

    @property
    def nodes(self) -> Sequence[NodeHandle]:
        """The service nodes."""
        return self._handles

    @property
    def request_log(self) -> list[RequestRecord]:
        """What every part of the network saw, oldest first; a copy."""
        return self._log.snapshot()

    @property
    def network_id(self) -> str:
        """Names this network, the same after every restart of the same data."""
        return self._layout.network_id

    @property
    def seed_url(self) -> str:
        return f"https://{self._layout.server_ip}:{self._seed.listener.port}"

    @property
    def file_server_url(self) -> str:
        return f"http://{self._layout.server_ip}:{self._files.listener.port}"

    @property
    def file_server_x25519(self) -> bytes:
        """The key to which requests to the file server are sealed, 32 bytes."""
        return self._file_keys.public

    @property
    def community_url(self) -> str:
        """The community server's base URL. Raises NetworkUnreachable if the network has none."""
        return f"http://{self._layout.server_ip}:{self._running_community().listener.port}"

    @property
    def community_x25519(self) -> bytes:
        """The key (32 bytes) to which requests to the community server are sealed. Raises as `community_url`."""
        return self._running_community().public_key

    def _running_community(self) -> WebServer:
        if self._community is None:
            raise NetworkUnreachable("The local network was started without a community server.")
        return self._community

    def room_url(self, token: str) -> str:
        """What somebody joins a room with. Raises NetworkUnreachable if the network has no community server."""
        return f"{self.community_url}/{token}?public_key={self.community_x25519.hex()}"

    def add_room(self, room: CommunityRoom) -> str:
        """Make one more room, which the definition does not name; returns what it is joined with.

        One of the same token stays as it is. Raises NetworkUnreachable if the network has no community server.
        """
        url = self.room_url(room.token)
        self.call(self._rooms.add_room(room))
        return url

    def definition_toml(self) -> str:
        """The network definition for clients."""
        has_pinned_key = self.options.file_server.x25519_secret is not None
        file_ed25519 = None if has_pinned_key else Identity.from_seed(self._layout.file_seed).ed25519_public
        lines = [
            *network_table(self.network_id),
            *seed_table(self.seed_url, self._layout.seed_certificate.sha256),
            *file_server_table(self.file_server_url, file_ed25519, self.file_server_x25519, self.options.max_file_size),
        ]
        if self.options.community is not None:
            tokens = [room.token for room in self.options.community.rooms]
            lines += community_table(self.community_url, self.community_x25519, tokens)
        return "\n".join(lines) + "\n"

    def write_definition(self, path: Path) -> None:
        """Write the definition, whole or not at all, readable by us alone."""
        write_private(path, self.definition_toml())


def _keys(x25519_secret: bytes | None, seed: bytes) -> NodeKeys:
    """A server's keys: of a secret that was given, else of a seed (32 bytes each)."""
    if x25519_secret is not None:
        from nacl.bindings import crypto_scalarmult_base

        return NodeKeys(crypto_scalarmult_base(x25519_secret), x25519_secret)
    identity = Identity.from_seed(seed)
    return NodeKeys(identity.x25519_public, identity.x25519_secret)


async def _stop_all(servers: Sequence[ServiceNode | Listener]) -> None:
    """All at once, so that requests under way hold the end up only once."""
    await asyncio.gather(*(server.stop() for server in servers))
