"""The program `session`: the way in, kept light so that small questions are answered at once."""

from __future__ import annotations

import _signal  # `signal` dresses its numbers as enums, which takes longer than all of `session --version`
import os
import sys

TYPE_CHECKING = False  # not from `typing`, whose import takes longer than all of `session --version`
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> None:
    """Run the command line in `sys.argv`; never returns."""
    # Until commands can clean up after themselves, Ctrl-C just ends the program, without a traceback.
    if _signal.getsignal(_signal.SIGINT) is not _signal.SIG_IGN:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    _open_standard_streams()
    arguments = sys.argv[1:]
    if arguments == ["--version"]:
        from . import __version__

        # Answered before anything is loaded: scripts ask for the version often.
        _answer(f"session {__version__}\n")
    if arguments in (["--help"], ["-h"]):
        _answer(_prepared_help())
    import gc

    # Loading code makes many objects and no garbage; looking for some takes a tenth of a short command's time.
    gc.set_threshold(100_000, 50, 50)
    from .cli.app import run

    run(arguments)


def _answer(text: str) -> NoReturn:
    """Print a text and end; with 74 (an input/output error) if it can't be printed."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError:
        # Or else the interpreter would try again, and complain in its own words.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(74)
    sys.exit(0)


def _open_standard_streams() -> None:
    """Put something in the place of standard streams that the caller has closed.

    Otherwise the next file to be opened, the database perhaps, would get the number of standard output and all that
    is printed. Output nobody gets must fail, or messages would count as shown: so it goes where writing fails.
    """
    for number, name, opening, flags in (
        (0, "stdin", "r", os.O_RDONLY),
        (1, "stdout", "w", os.O_RDONLY),
        (2, "stderr", "w", os.O_WRONLY),
    ):
        if getattr(sys, name) is not None:
            continue
        descriptor = os.open(os.devnull, flags)
        if descriptor != number:
            os.dup2(descriptor, number)
            os.close(descriptor)
        # Or the programs that we start would have the same trouble.
        os.set_inheritable(number, True)
        setattr(sys, name, os.fdopen(number, opening, encoding="utf-8", closefd=False))


def _prepared_help() -> str:
    """The top-level help, which `session_cli.cli.manual` has written beside the commands it lists."""
    folder = __file__.rpartition("__main__")[0]
    with open(f"{folder}cli/help.txt", encoding="utf-8") as file:  # noqa: PTH123 - pathlib would take longer to load
        return file.read()


if __name__ == "__main__":
    main()
