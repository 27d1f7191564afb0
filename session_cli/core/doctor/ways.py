"""The ways into the network: its definition, the proxy, guards and paths, seeds, the clock.

Guards are those that know us already. Nobody else is asked than they, one seed and the proxy, and what is learnt is
forgotten again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from statistics import median

from ...errors import InvalidNetworkDefinition, NetworkError, ProxyUnreachable, UsageError, WrongNetwork
from ...network.clock import TOLERANCE_MS, Deadline
from ...network.definition import load_definition
from ...network.network import Network
from ...network.node_list import MAX_AGE_S
from ...network.proxy import check_direct
from ...network.proxy_probe import ProxyKind, probe_proxy
from ..monitor import ask_guards, measure_standing_paths
from .findings import Finding, Subject, info, ok, problem, warning

PATIENCE_S = 30.0
_PROXY_PATIENCE_S = 5.0
_SIGNATURES_MS = 60_000
"""A clock that is wrong by more would have its signatures refused."""
_CLOCKS = 3
"""So many nodes must agree before our own clock is called wrong."""


def _deadline(subject: Subject) -> Deadline:
    return Deadline(PATIENCE_S).within(subject.timeout) if subject.timeout is not None else Deadline(PATIENCE_S)


def check_definition(subject: Subject) -> Iterator[Finding]:
    """Whether the network's definition can be read, belongs to the profile, and what its list of nodes is like."""
    own = subject.store.settings.get("network_id") if subject.store is not None else None
    reference = subject.network_reference
    if reference is None and subject.store is not None:
        reference = str(subject.store.settings.get("network_reference"))
    try:
        definition = load_definition(reference or "mainnet")
        if own not in (None, definition.id):
            raise WrongNetwork(f"The profile {subject.profile!r} belongs to {own!r}, not to {definition.id!r}.")
        if subject.direct:
            check_direct(subject.proxy)
        network = Network(definition, subject.locations.cache, proxy=subject.proxy, direct=subject.direct, keep=False)
    except InvalidNetworkDefinition as error:
        yield problem(error.message, "Correct the file, or choose another with --network or SESSION_NETWORK.")
        return
    except WrongNetwork as error:
        yield problem(error.message, "Leave --network and SESSION_NETWORK away, or choose another --profile.")
        return
    except UsageError as error:
        yield problem(error.message, "Correct the option, or the setting behind it.")
        return
    subject.network = network
    yield ok(f"{definition.name}, with {len(definition.seeds)} seeds.")
    yield from _list_of(network)
    if subject.direct:
        yield warning("--direct: every node and server that is asked sees this machine's address.", "Leave it away.")


def _list_of(network: Network) -> Iterator[Finding]:
    age_s = network.pool.age_s
    if age_s is None:
        yield info("No list of nodes yet; the first request fetches it.")
    elif age_s < 0:
        yield warning("The list of nodes is from the future: this machine's clock was wrong.", "Set the clock.")
    elif age_s > MAX_AGE_S or network.pool.state.stale:
        wrong = " and was found wrong" if network.pool.state.stale else ""
        yield info(
            f"{len(network.pool.nodes):,} nodes; the list is {_hours(age_s)} old{wrong}, the next request renews it."
        )
    else:
        yield ok(f"{len(network.pool.nodes):,} nodes, listed {_hours(age_s)} ago.")


def _hours(seconds: float) -> str:
    for length, name in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {name}"
    return "less than two minutes"


def check_proxy(subject: Subject) -> Iterator[Finding]:
    """Whether the proxy is there, and is what its URL says."""
    if subject.proxy is None:
        yield ok("None: guards see this machine's address, and nobody behind them does.")
        return
    try:
        kind = probe_proxy(subject.proxy, _PROXY_PATIENCE_S)
    except ProxyUnreachable as error:
        subject.proxy_is_down = True
        yield problem(error.message, "Start it, or correct --proxy or SESSION_PROXY.")
        return
    if kind is ProxyKind.OTHER:
        subject.proxy_is_down = True
        yield problem("What listens at the proxy's address is no SOCKS5 proxy.", "Correct --proxy or SESSION_PROXY.")
    else:
        yield ok(f"{kind[0].upper()}{kind[1:]} answers.")


def _reason_not_to_ask(subject: Subject) -> str | None:
    if subject.network is None:
        return "Not asked: no network is known."
    return "Not asked: the proxy can't be reached." if subject.proxy_is_down else None


def check_guards(subject: Subject) -> Iterator[Finding]:
    """Whether the guards answer, and whether their paths lead on."""
    reason = _reason_not_to_ask(subject)
    if subject.network is None or reason is not None:
        yield info(reason or "")
        return
    if subject.direct:
        yield info("Not asked: with --direct there are none.")
        return
    network, deadline = subject.network, _deadline(subject)
    guards = ask_guards(network, deadline)
    if not guards:
        yield info("None yet; the first request finds some.")
        return
    answering = [guard for guard in guards if guard.problem is None]
    for guard in guards:
        if guard.problem is not None and answering:
            yield warning(
                f"The guard {guard.node.ip}:{guard.node.port} fails: {guard.problem}",
                "The others do its work, and another is found if it stays away.",
            )
    if not answering:
        yield problem(
            f"No guard answers: {guards[0].problem}",
            "Is this machine online? A firewall may keep it from the ports of service nodes (22000 to 22200).",
        )
        return
    took = max(guard.latency_ms or 0 for guard in answering)
    yield ok(f"{len(answering)} of {len(guards)} guards answer within {took} ms.")
    paths = measure_standing_paths(network, deadline)
    working = [path for path in paths if all(hop.problem is None for hop in path.hops)]
    if working:
        took = max(path.hops[-1].latency_ms or 0 for path in working)
        yield ok(f"{len(working)} of {len(paths)} paths work, within {took} ms.")
    elif paths:
        yield info("No path works at the moment; the next request draws new ones.")


def check_seeds(subject: Subject) -> Iterator[Finding]:
    """Whether a seed gives a list of nodes."""
    reason = _reason_not_to_ask(subject)
    if subject.network is None or reason is not None:
        yield info(reason or "")
        return
    pool = subject.network.pool
    before = len(pool.state.troubles)
    try:
        subject.network.list.refresh_from_seeds(_deadline(subject))
    except NetworkError as error:
        text = error.message
        advice = "Is this machine online? A firewall, or a captive portal, may be in the way; try another network."
        # They are asked for the first list, and where nodes disagree.
        yield warning(text, advice) if pool.is_usable else problem(text, advice)
        return
    for trouble in pool.state.troubles[before:]:
        yield warning(trouble.message, "Others are asked in its place; look again later.")
    yield ok(f"A list of {len(pool.nodes):,} nodes was given.")


def check_clock(subject: Subject) -> Iterator[Finding]:
    """Whether this machine's clock is the network's."""
    if subject.network is None:
        yield info("Nobody was asked for the time.")
        return
    clock = subject.network.clock
    yield from judge_clock(clock.offset_ms, clock.samples, time.localtime().tm_year)


def judge_clock(offset_ms: int, samples: Mapping[str, int], year: int) -> Iterator[Finding]:
    """How far the clock is off: by what was settled on (ms), or else by what single nodes (key → ms) have said."""
    ahead_ms = offset_ms
    if not ahead_ms and len(samples) >= _CLOCKS:
        ahead_ms = round(median(samples.values()))
    if abs(ahead_ms) > TOLERANCE_MS:
        way = "behind" if ahead_ms > 0 else "ahead"
        serious = " Without that, every signature would be refused." if abs(ahead_ms) > _SIGNATURES_MS else ""
        yield warning(
            f"This machine's clock is {abs(ahead_ms) / 1000:,.0f} s {way}; session allows for it.{serious}",
            "Set the clock: timedatectl set-ntp true",
        )
    elif samples:
        yield ok("In step with the network.")
    else:
        yield info(f"No node has told the time yet; this machine says it is {year}.")
