"""`network`: the paths in use, and what is known of the network."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import NetworkUnreachable, NotConfigured, UsageError
from .context import App
from .json_output import iso_time, json_object
from .output import Painter
from .text import counted, harmless, human_time, short_id
from .typer_app import PlainTyper

if TYPE_CHECKING:
    from ..core.client import Client
    from ..core.monitor import NetworkStatus, Node, StandingPath
    from ..network.network import Network
    from ..network.pool_cache import Trouble

app = PlainTyper(help="Show the way into the network.", no_args_is_help=True)

_TROUBLES_SHOWN = 5
_TROUBLE_WIDTH = 64
_KNOWS = {
    "guard": "sees your address, not where it goes",
    "middle": "sees its neighbours, nothing else",
    "last": "sees where it goes, not from whom",
}


@app.plain_command()
def path(ctx: typer.Context) -> None:
    """Show the onion paths in use, and how long each hop takes to answer.

    The guards stay the same from run to run, as far as they work; the hops behind them change every ten minutes. The
    times are those of a question to the hop over the hops before it, there and back. Exits with 75 if no path works.
    """
    context: App = ctx.obj
    if context.direct:
        raise UsageError("With --direct there are no paths.")
    from ..core.monitor import measure_paths
    from ..network.clock import Deadline

    with _network(context) as (network, _):
        paths = measure_paths(network, Deadline(context.timeout))
    for number, standing in enumerate(paths, 1):
        if context.json:
            context.emit_json(_path_json(number, standing))
        else:
            context.emit(("\n" if number > 1 else "") + _path_text(number, standing, context.painter()))
    if not any(all(hop.problem is None for hop in standing.hops) for standing in paths):
        raise NetworkUnreachable(f"No path into the network {network.definition.name!r} works at the moment.")


@app.plain_command()
def status(
    ctx: typer.Context,
    who: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID]...", help="Show the swarms of these, too.", show_default=False),
    ] = None,
    refresh: Annotated[bool, typer.Option("--refresh", help="Fetch the list of nodes first.")] = False,
) -> None:
    """Show what is known of the network: its nodes, our guards, the clock, and what went wrong lately.

    Nobody is asked, unless by --refresh. Strikes are given to nodes that failed while others did not, and make them the
    last to be used: one for an hour, two for six, three for two days.
    """
    context: App = ctx.obj
    from ..core import monitor
    from ..network.clock import Deadline

    with _network(context, online=refresh) as (network, client):
        accounts = [_account(context, client, name) for name in who or ()]
        if client is not None and not accounts:
            accounts = [client.account_id]
        if refresh:
            network.list.refresh(Deadline(context.timeout))
        known = monitor.status(network, accounts)
    own = client.account_id if client is not None else None
    if context.json:
        context.emit_json(_status_json(known))
    else:
        context.emit(_status_text(known, context.painter(), own))


@contextmanager
def _network(context: App, *, online: bool = True) -> Iterator[tuple[Network, Client | None]]:
    """The network of the profile, or where there is none, the one that was asked for."""
    try:
        client = context.open_client(online=online)
    except NotConfigured:
        if context.names_profile:
            raise
        if online:
            context.listen()
            context.warn_of_directness()
        from ..core.monitor import open_network

        reference = context.network_name or "mainnet"
        with open_network(reference, context.environ, proxy=context.proxy_url, direct=context.direct) as network:
            yield network, None
        return
    with client:
        yield client.network, client


def _account(context: App, client: Client | None, name: str) -> str:
    text = context.text_argument(name)
    if client is not None:
        return client.resolve(text)
    from ..protocol.account import parse_account_id

    return parse_account_id(text)


# Paths.


def _role(position: int, length: int) -> str:
    return "guard" if position == 0 else "last" if position == length - 1 else "middle"


def _path_json(number: int, standing: StandingPath) -> dict[str, Any]:
    return json_object(
        "network_path",
        number=number,
        built=iso_time(int(standing.built_s * 1000)),
        hops=[
            {
                "position": position + 1,
                "role": _role(position, len(standing.hops)),
                "node": hop.node.id,
                "address": f"{hop.node.ip}:{hop.node.port}",
                "latency_ms": hop.latency_ms,
                "problem": hop.problem,
            }
            for position, hop in enumerate(standing.hops)
        ],
    )


def _path_text(number: int, standing: StandingPath, painter: Painter) -> str:
    lines = [f"{painter.bold(f'Path {number}')}  {painter.dim('drawn ' + _ago(standing.built_s))}"]
    for position, hop in enumerate(standing.hops):
        role = _role(position, len(standing.hops))
        address = f"{hop.node.ip}:{hop.node.port}"
        took = f"{hop.latency_ms:>5} ms" if hop.latency_ms is not None else "      –"
        note = painter.dim(_KNOWS[role]) if hop.problem is None else painter.warning(harmless(hop.problem))
        lines.append(f"  {role:<7} {address:<21} {took}   {note}".rstrip())
    return "\n".join(lines)


# Status.


def _status_json(known: NetworkStatus) -> dict[str, Any]:
    return json_object(
        "network_status",
        network=known.network,
        seeds=list(known.seeds),
        nodes=known.nodes,
        swarms=known.swarms,
        fetched=None if known.fetched_s is None else iso_time(int(known.fetched_s * 1000)),
        stale=known.stale,
        guards=[_node_json(node) for node in known.guards],
        struck=[_node_json(node) for node in known.struck],
        clock_offset_ms=known.clock_offset_ms,
        troubles=[
            {
                "at": iso_time(int(trouble.at_s * 1000)),
                "request": trouble.request,
                "error": trouble.error,
                "guard": trouble.guard,
                "message": trouble.message,
            }
            for trouble in known.troubles
        ],
        shown_swarms=[
            {"id": swarm.account_id, "members": [_node_json(node) for node in swarm.members]}
            for swarm in known.shown_swarms
        ],
    )


def _node_json(node: Node) -> dict[str, Any]:
    return {"node": node.id, "address": f"{node.ip}:{node.port}", "strikes": node.strikes}


def _status_text(known: NetworkStatus, painter: Painter, own: str | None) -> str:
    rows: list[tuple[str, list[str]]] = [
        ("Network", [harmless(known.network)]),
        ("Nodes", [_nodes_text(known, painter)]),
        ("Guards", [_node_text(node, painter) for node in known.guards] or ["none yet"]),
        ("Clock", [_clock_text(known.clock_offset_ms)]),
        ("Strikes", [_node_text(node, painter) for node in known.struck] or ["none"]),
    ]
    for swarm in known.shown_swarms:
        whose = "Own swarm" if swarm.account_id == own else f"Swarm of {short_id(swarm.account_id)}"
        rows.append((whose, [_node_text(node, painter) for node in swarm.members] or ["not known yet"]))
    rows.append(("Troubles", _troubles_text(known.troubles) or ["none lately"]))
    width = max(len(title) for title, _ in rows)
    indented = "\n" + " " * (width + 2)
    return "\n".join(f"{painter.bold(title.ljust(width))}  {indented.join(lines)}" for title, lines in rows)


def _troubles_text(troubles: Sequence[Trouble]) -> list[str]:
    """The latest of them, a line each; the same again and again in one line."""
    folded: list[tuple[Trouble, int]] = []
    for trouble in troubles:
        for index, (earlier, count) in enumerate(folded):
            if (earlier.request, earlier.message) == (trouble.request, trouble.message):
                del folded[index]
                folded.append((trouble, count + 1))
                break
        else:
            folded.append((trouble, 1))
    lines = []
    for trouble, count in folded[-_TROUBLES_SHOWN:]:
        times = f", {count} times" if count > 1 else ""
        guard = f" over {trouble.guard}" if trouble.guard and trouble.guard not in trouble.message else ""
        lines.append(harmless(f"{trouble.request}{guard}, {_ago(trouble.at_s)}{times}:"))
        lines += ["  " + line for line in wrap(harmless(trouble.message), _TROUBLE_WIDTH)]
    return lines


def _nodes_text(known: NetworkStatus, painter: Painter) -> str:
    if known.fetched_s is None:
        return "no list yet; the first request fetches it"
    stale = painter.warning(", found wrong since") if known.stale else ""
    return f"{known.nodes:,} in {counted(known.swarms, 'swarm')}, listed {_ago(known.fetched_s)}{stale}"


def _node_text(node: Node, painter: Painter) -> str:
    strikes = painter.warning(f"  {counted(node.strikes, 'strike')}") if node.strikes else ""
    return f"{node.ip}:{node.port}{strikes}"


def _clock_text(offset_ms: int | None) -> str:
    if offset_ms is None:
        return "not known yet"
    if not offset_ms:
        return "in step with the network"
    return f"this machine is {human_time(abs(offset_ms) / 1000)} {'behind' if offset_ms > 0 else 'ahead'}"


def _ago(moment_s: float) -> str:
    seconds = time.time() - moment_s
    return "just now" if seconds < 2 else f"{human_time(seconds)} ago"


commands = {"network": app}
