"""The program `session`: the way in, kept light so that small questions are answered at once."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line in `sys.argv`; never returns."""
    arguments = sys.argv[1:]
    if arguments == ["--version"]:
        from . import __version__

        # Answered before anything is loaded: scripts ask for the version often.
        sys.stdout.write(f"session {__version__}\n")
        sys.exit(0)
    if arguments in (["--help"], ["-h"]):
        sys.stdout.write(_prepared_help())
        sys.exit(0)
    import gc

    # Loading code makes many objects and no garbage; looking for some takes a tenth of a short command's time.
    gc.set_threshold(100_000, 50, 50)
    from .cli.app import run

    run(arguments)


def _prepared_help() -> str:
    """The top-level help, which `session_cli.cli.manual` has written beside the commands it lists."""
    folder = __file__.rpartition("__main__")[0]
    with open(f"{folder}cli/help.txt", encoding="utf-8") as file:  # noqa: PTH123 - pathlib would take longer to load
        return file.read()


if __name__ == "__main__":
    main()
