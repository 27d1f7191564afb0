"""Measures what the program costs, as ratios to something plain, taken in the same run.

    python -m tests.bench [startup] [oneshot] [backlog] [attachment] [network] [pipes] [history] [configs] [groups]
        [communities]

Nothing here asserts: clocks are noisy, and a number is to be read with the machine in mind.
"""

from __future__ import annotations

import sys

from . import attachment, backlog, communities, configs, groups, history, network, oneshot, pipes, startup

PARTS = {
    "startup": startup.measure,
    "oneshot": oneshot.measure,
    "backlog": backlog.measure,
    "attachment": attachment.measure,
    "network": network.measure,
    "pipes": pipes.measure,
    "history": history.measure,
    "configs": configs.measure,
    "groups": groups.measure,
    "communities": communities.measure,
}


def main() -> None:
    """Run the parts named on the command line, or all."""
    for name in sys.argv[1:] or PARTS:
        print(f"{name}:")
        for line in PARTS[name]():
            print(f"  {line}")


if __name__ == "__main__":
    main()
