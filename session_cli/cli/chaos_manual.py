"""What `session-chaos(5)` says: the words around, and out of the faults themselves what each is and takes."""

from __future__ import annotations

import re
from dataclasses import MISSING
from inspect import getdoc
from typing import Any

from ..devnet.chaos_file import default_of, describe, parameters
from ..devnet.fault_kinds import FAULTS
from ..devnet.faults import ROLES, Fault, is_short, written
from ..devnet.injections import COMMUNITY_METHODS, FILE_METHODS, RPC_METHODS, SEED_METHODS

INTRODUCTION = """
session devnet run and session devnet exec take with --chaos a TOML file that says what goes wrong in the local network.

The file has a table headed [[fault]] for each fault. Its kind is one of those below; its other keys are those of the
kind, and those that say where and when it strikes. A key that is not known is an error, as is one that makes no sense
for the kind or can never strike. Faults that strike at once do so one after the other, in the order of the file.

Instead of a file --chaos takes the name of a ready-made profile. A file of the same name is meant if a path leads to
it, as in ./slow.

What is drawn by chance differs each time, unless random_seed (a whole number) stands at the top of the file.
"""

EXAMPLE = """\
random_seed = 7

# For ever: the first two nodes are slow as guards, whatever is asked.
[[fault]]
kind = "delay"
seconds = 0.5
jitter = 0.5
nodes = [0, 1]
roles = ["guard"]

# One store in five is carried out, and its answer lost.
[[fault]]
kind = "drop"
after = true
methods = ["store"]
roles = ["destination"]
probability = 0.2

# A third of the nodes is gone for half a minute, and then comes back.
[[fault]]
kind = "dead"
how = "silent"
nodes = "33%"
at = 10
for = 30

# Downloads come at a snail's pace.
[[fault]]
kind = "throttle"
bytes_per_second = 2000
file_server = true
methods = ["GET /file/<id>"]
"""

WHEN_AND_WHERE = {
    "nodes": (
        'Which service nodes: a list of their indices, the first being 0, or a share such as "30%". Shares take the '
        "nodes in one order for all faults, so that equal shares are the same nodes. Without nodes, swarm, seed, "
        "file_server and community, a fault is aimed at all nodes."
    ),
    "swarm": "The nodes of one swarm instead: its place, the first being 0, or an account id that it serves.",
    "seed": "true: (also) the seed node.",
    "file_server": "true: (also) the file server.",
    "community": "true: (also) the community server, if the network was started with one.",
    "roles": (
        f"Only while a node is one of these: {', '.join(sorted(ROLES))}. The guard is the node that a client connects "
        "to, the exit the one that asks a server, the destination the one that answers. Without roles, a fault "
        "strikes at every hop that it is aimed at."
    ),
    "methods": (
        "Only what asks for one of these, also inside of a batch. At nodes: "
        f"{', '.join(sorted(RPC_METHODS))}. At the seed node: {', '.join(sorted(SEED_METHODS))}. "
        f"At the file server: {', '.join(sorted(FILE_METHODS))}. "
        f"At the community server: {', '.join(sorted(COMMUNITY_METHODS))}."
    ),
    "probability": "How likely it strikes on each occasion: more than 0, at most 1, which it is if not given.",
    "at": "How many seconds after the start it begins; 0 if not given.",
    "for": "How many seconds it lasts; for ever if not given.",
}

_TITLES = {
    "Faults on the way": "delay drop throttle garble truncate content_type page empty endless status",
    "Faults in answers": "inner_status nonsense wrong_swarm lying_signatures",
    "Faults in nodes": "dead clock forgets no_replication blame",
    "Faults in lists of nodes": "stale_list altered_list",
    "Faults in community servers": "redirect oversized wrong_key forged_posts",
}


def kinds() -> dict[str, dict[str, str]]:
    """All kinds of faults by title and name, with what each is and which keys it takes."""
    return {title: {name: _described(FAULTS[name]) for name in names.split()} for title, names in _TITLES.items()}


def _described(kind: type[Fault]) -> str:
    text = re.sub("`([^`]*)`", r"\1", " ".join((getdoc(kind) or "").split()))
    keys = [_key(kind, name, hint) for name, hint in parameters(kind).items()]
    return f"{text} Keys: {'; '.join(keys)}." if keys else text


def _key(kind: type[Fault], name: str, hint: Any) -> str:
    default = default_of(kind, name)
    if default is MISSING:
        return f"{name}, {describe(hint)}, must be given"
    if not is_short(default):
        return f"{name}, {describe(hint)}"
    return f"{name}, {describe(hint)}, {written(default)} if not given"
