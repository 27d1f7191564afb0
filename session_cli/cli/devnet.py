"""`devnet`: a small Session network on this machine, for trying out, tests and scripts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .. import signals
from ..devnet.profiles import PROFILES
from ..errors import UnreadableInput, UsageError
from .context import App
from .exit_codes import ExitCode
from .json_output import json_object
from .text import harmless
from .typer_app import PlainTyper

if TYPE_CHECKING:
    from ..devnet.chaos_file import Plan
    from ..devnet.community_options import CommunityOptions
    from ..devnet.network import Devnet

# As with env, nice and timeout, so that scripts can tell them from what the command itself says.
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126
_FIRST = "first"

app = PlainTyper(help="Run a small Session network on this machine.", no_args_is_help=True)

NodesOption = Annotated[int, typer.Option("--nodes", help="How many service nodes.", min=4, max=200)]
SwarmsOption = Annotated[int, typer.Option("--swarms", help="How many swarms they form.", min=1, max=50)]
DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="Keep the network here; without, it is forgotten at the end.", metavar="DIR"),
]
MaxFileOption = Annotated[
    int | None, typer.Option("--max-file-size", help="The file server's limit, in bytes.", min=1000, metavar="BYTES")
]
ChaosOption = Annotated[
    str | None,
    typer.Option(
        "--chaos",
        help=f"Have faults: those of a file, or one of {', '.join(PROFILES)}.",
        metavar="FILE|PROFILE",
    ),
]

CommunityOption = Annotated[
    bool, typer.Option("--community", help="Have a community server too, with a room of the token lobby.")
]
RoomsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--community-room",
        help="Have a community server with this room instead; can be given several times.",
        metavar="TOKEN[=NAME]",
    ),
]
AdminsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--community-admin",
        help="Who is admin of all its rooms: an account id, or first for whoever comes first. Can be given several "
        "times.",
        metavar="ID|first",
    ),
]


def load_devnet() -> type[Devnet]:
    """The local network's class. Raises UsageError where what it needs is not installed."""
    try:
        from ..devnet.network import Devnet
    except ModuleNotFoundError as error:
        if error.name != "aiohttp":
            raise
        raise UsageError("The local network needs one more package: pip install 'session-shell[devnet]'") from None
    return Devnet


@app.plain_command()
def run(
    ctx: typer.Context,
    nodes: NodesOption = 12,
    swarms: SwarmsOption = 3,
    data: DataOption = None,
    host: Annotated[
        str | None,
        typer.Option("--host", help="Listen on this IPv4 address, for other machines too.", metavar="ADDRESS"),
    ] = None,
    port_base: Annotated[
        int | None, typer.Option("--port-base", help="The first of the ports to use.", min=1, max=65000, metavar="PORT")
    ] = None,
    max_file_size: MaxFileOption = None,
    community: CommunityOption = False,
    community_room: RoomsOption = None,
    community_admin: AdminsOption = None,
    chaos: ChaosOption = None,
) -> None:
    """Run a local network until interrupted; print the path of its definition for --network or SESSION_NETWORK.

    With --community, --community-room or --community-admin it has a community server as well. The definition names
    it and its rooms, so that they can be joined by their tokens; their URLs are printed on standard error.

    With --chaos it misbehaves, so that you can see how a script stands that. The profiles are examples to begin with:
    half-gone (half of the nodes are dead), hostile (a third of them lie and spoil), lossy (a tenth of the requests get
    lost), outage (all is dead from the 10th second to the 20th), skewed (clocks are wrong), slow (every hop takes 100
    to 400 ms) and storm (servers refuse what they are asked). A file that has the name of a profile is meant if a path
    leads to it, as in ./slow. With -v you see which faults begin and end.

    A file of faults is TOML: a table headed [[fault]] for each, with its kind and the keys of that kind, what it is
    aimed at (nodes, swarm, seed, file_server, community, roles, methods), a probability, and in at and for the seconds
    after which it begins and which it lasts. See session-chaos(5) for all of them, with examples.
    """
    context: App = ctx.obj
    plan = _load_plan(context, chaos)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    rooms = _community(community, community_room or [], community_admin or [])
    network = _make(nodes, swarms, data, host=host, port_base=port_base, max_file_size=max_file_size, community=rooms)
    with tempfile.TemporaryDirectory(prefix="session-devnet-") as temporary, network:
        definition = (data or Path(temporary)).absolute() / "network.toml"
        network.write_definition(definition)
        if plan is not None:
            network.chaos.follow(plan)
        urls = {room.token: network.room_url(room.token) for room in rooms.rooms} if rooms else {}
        if context.json:
            told = [{"token": token, "url": url} for token, url in urls.items()]
            context.emit_json(json_object("devnet", definition=str(definition), nodes=nodes, swarms=swarms, rooms=told))
        else:
            context.emit(str(definition))
        context.note(f"{nodes} service nodes in {swarms} swarms are running; Ctrl-C stops them.")
        for token, url in urls.items():
            context.note(f"Room {token}:  {url}")
        context.note(f"In another terminal:  export SESSION_NETWORK={definition}")
        while not stopped.wait(3600):
            pass


@app.plain_command("exec", context_settings={"allow_interspersed_args": False, "ignore_unknown_options": False})
def exec_(
    ctx: typer.Context,
    command: Annotated[
        list[str], typer.Argument(metavar="COMMAND...", help="What to run, after --.", show_default=False)
    ],
    nodes: NodesOption = 12,
    swarms: SwarmsOption = 3,
    data: DataOption = None,
    max_file_size: MaxFileOption = None,
    community: CommunityOption = False,
    community_room: RoomsOption = None,
    community_admin: AdminsOption = None,
    chaos: ChaosOption = None,
) -> int:
    """Run a command against a local network of its own, and pass on its exit code.

    Where there is no such command the exit code is 127; where it can't be run, 126.

    The command finds SESSION_NETWORK set and, unless SESSION_HOME is set already, a SESSION_HOME that is thrown away
    afterwards, so that it can't touch your real profiles.

    With --community, --community-room or --community-admin there is a community server too. The definition, of which
    SESSION_NETWORK is the path, has its url, its key and its rooms under community.

    With --chaos the network misbehaves from the moment the command starts; session-devnet-run(1) tells the profiles,
    session-chaos(5) how to write a file of faults.
    """
    plan = _load_plan(ctx.obj, chaos)
    rooms = _community(community, community_room or [], community_admin or [])
    network = _make(nodes, swarms, data, max_file_size=max_file_size, community=rooms)
    with signals.raising(), tempfile.TemporaryDirectory(prefix="session-devnet-") as temporary, network:
        definition = Path(temporary) / "network.toml"
        network.write_definition(definition)
        environment = dict(os.environ, SESSION_NETWORK=str(definition))
        environment.setdefault("SESSION_HOME", str(Path(temporary) / "home"))
        if plan is not None:
            network.chaos.follow(plan)
        return _run_command(ctx.obj, command, environment)


def _make(
    nodes: int,
    swarms: int,
    data: Path | None,
    *,
    host: str | None = None,
    port_base: int | None = None,
    max_file_size: int | None = None,
    community: CommunityOptions | None = None,
) -> Devnet:
    devnet = load_devnet()
    from ..devnet.options import DevnetOptions

    if swarms > nodes:
        raise UsageError(f"{nodes} nodes can't form {swarms} swarms.")
    options = DevnetOptions(
        nodes=nodes, swarms=swarms, data_dir=data, host=host, port_base=port_base, community=community
    )
    return devnet(options if max_file_size is None else replace(options, max_file_size=max_file_size))


def _community(wanted: bool, rooms: list[str], admins: list[str]) -> CommunityOptions | None:
    """The community server that is asked for, if any. Raises UsageError, InvalidInput."""
    if not (wanted or rooms or admins):
        return None
    from ..devnet.community_options import LOBBY, CommunityOptions, CommunityRoom, Moderator
    from ..protocol.account import parse_account_id

    made = []
    for room in rooms:
        token, _, name = room.partition("=")
        made.append(CommunityRoom(token, name))
    return CommunityOptions(
        made or [LOBBY],
        [Moderator(parse_account_id(admin), admin=True) for admin in admins if admin != _FIRST],
        first_is_admin=_FIRST in admins,
    )


def _load_plan(context: App, name_or_path: str | None) -> Plan | None:
    if name_or_path is None:
        return None
    load_devnet()
    from ..devnet.chaos_file import load_plan

    context.listen()
    return load_plan(name_or_path)


def _run_command(context: App, command: list[str], environment: dict[str, str]) -> int:
    try:
        child = subprocess.Popen(command, env=environment)
    except OSError as error:
        code = _NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_EXECUTABLE
        return _cannot_run(context, code, UnreadableInput(f"Can't run {command[0]!r}: {error.strerror}."))
    with child:
        while True:
            try:
                code = child.wait()
                break
            except KeyboardInterrupt:
                continue  # the terminal has sent it to the command too; its answer counts
            except BaseException:
                child.terminate()
                raise
    return code if code >= 0 else ExitCode.INTERRUPTED - signal.SIGINT - code


def _cannot_run(context: App, code: int, error: UnreadableInput) -> int:
    """Report an error with a code that it has here alone."""
    if context.json:
        context.emit_json(json_object("error", code=code, error=error.slug, message=error.message))
    context.say(f"{context.painter(sys.stderr).error('session:')} {harmless(error.message)}")
    return code


commands = {"devnet": app}
