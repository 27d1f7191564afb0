"""`sync`: in step with one's other devices, now."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from .context import App
from .json_output import json_object
from .text import counted
from .typer_app import single_command

if TYPE_CHECKING:
    from ..core.config_sync import SyncSummary

_NAMES = {
    "user_profile": "your profile",
    "contacts": "contacts",
    "convo_info_volatile": "what was read",
    "user_groups": "groups and communities",
}


def sync(ctx: typer.Context) -> None:
    """Fetch what your other devices changed, and tell them what was changed here.

    recv does the same on its way, and send tells them. This command shows no messages; those that come are left for
    recv. What is shared, and what never leaves this device, is listed in session(1).
    """
    app: App = ctx.obj
    with app.open_client() as client:
        summary = client.sync()
        if app.json:
            fields = asdict(summary) | {"pushed": list(summary.pushed), "waiting": list(summary.waiting)}
            app.emit_json(json_object("sync", **fields))
        else:
            app.note(_text(summary))


def _text(summary: SyncSummary) -> str:
    told, waiting = (", ".join(map(_NAMES.__getitem__, names)) for names in (summary.pushed, summary.waiting))
    parts = []
    if summary.merged:
        parts.append(f"{counted(summary.merged, 'change')} of your other devices taken over.")
    if told:
        parts.append(f"Your other devices are told of: {told}.")
    if waiting:
        parts.append(f"To be told by the next sync: {waiting}.")
    return " ".join(parts) or "Nothing was new, here or there."


commands = {"sync": single_command("sync", sync)}
