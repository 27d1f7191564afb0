"""An independent client for Session, the private messenger on an onion-routed, decentralised network.

The Python API is the class `Client`, and the errors that it raises, in `session_cli.errors`:

    from pathlib import Path

    from session_cli import Client
    from session_cli.errors import NetworkError

    with Client.open("default") as client:
        message = client.send("Bob", "The backup is done.", attachments=[Path("backup.log")])
        try:
            for event in client.receive(types=["message"], wait=60):
                print(event.message.sender.name, event.message.body)
        except NetworkError as error:
            print("later, perhaps:", error.message)

`Client.create` makes an account where there is none. Everything is synchronous, and what is returned are plain values.
A client belongs to one thread; several processes, the command `session` among them, may use one profile at once. An
event of `receive` counts as taken when the next one is asked for: who dies while handling it is given it again.

Only what stands here, in `session_cli.errors` and in the docstrings of `Client` is meant to be relied on.
"""

from __future__ import annotations

TYPE_CHECKING = False  # not from `typing`, whose import takes longer than all of `session --version`
if TYPE_CHECKING:
    from .core.client import Client

__version__ = "0.1.0"
__all__ = ["Client", "__version__"]


def __getattr__(name: str) -> object:
    # Loaded on first use: `session --version` and shell completion must not pay for the client.
    if name == "Client":
        from .core.client import Client

        return Client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
