"""An independent client for Session, the private messenger on an onion-routed, decentralised network.

The Python API is the class `Client` and the errors in `session_cli.errors`:

    from session_cli import Client

    with Client.open("default") as client:
        client.send("05…", "hello")
        for event in client.receive():
            print(event.message.body)
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
