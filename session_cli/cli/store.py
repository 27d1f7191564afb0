"""`store`: upkeep of the encrypted database and its key."""

from __future__ import annotations

from typing import Annotated

import typer

from .account import KeyChoice, KeyCommandOption, describe_key
from .context import App
from .exit_codes import ExitCode
from .json_output import json_object
from .text import counted, harmless, human_size
from .typer_app import PlainTyper

app = PlainTyper(help="Look after the store of messages and its key.", no_args_is_help=True)

_ADVICE = "Make a copy of the folder first. Then bring back a backup: session backup restore --force FILE"


@app.plain_command()
def info(ctx: typer.Context) -> None:
    """Show where the store is, how large it is, and how it is encrypted."""
    context: App = ctx.obj
    with context.open_client(online=False) as client:
        known = client.store_info()
    facts = known.facts
    free = facts.free_pages * facts.page_bytes
    if context.json:
        context.emit_json(
            json_object(
                "store_info",
                profile=context.profile_name,
                path=str(known.path),
                size=known.size,
                version=facts.version,
                cipher=known.cipher,
                key={"method": known.key.method.value, "keyring": known.key.keyring_backend},
                messages=facts.messages,
                conversations=facts.conversations,
                attachments=facts.attachments,
                unknown_messages=facts.unknowns,
                pages=facts.pages,
                free_pages=facts.free_pages,
                page_size=facts.page_bytes,
            )
        )
        return
    for label, value in (
        ("path", harmless(str(known.path))),
        ("size", f"{human_size(known.size)}, {human_size(free)} of it free"),
        ("version", str(facts.version)),
        ("cipher", known.cipher),
        ("key", f"from {describe_key(known.key)}"),
        ("messages", f"{facts.messages} in {counted(facts.conversations, 'conversation')}"),
        ("files", f"{facts.attachments} attached to messages"),
        ("unknown", f"{facts.unknowns} kept for a later version"),
    ):
        context.emit(f"{label:<9} {value}")


@app.plain_command()
def rekey(
    ctx: typer.Context,
    key: Annotated[KeyChoice, typer.Option("--key", help="Where the key shall be kept.", show_default=False)],
    key_command: KeyCommandOption = None,
) -> None:
    """Keep the store's key in another place, or under another passphrase.

    The old way works until the new one does. A passphrase in use comes from where it always does; the new one from a
    prompt, SESSION_NEW_PASSPHRASE, _FILE or _COMMAND. An old key file or keyring entry is removed, unless another
    profile needs it. Messages are not encrypted anew: an old copy of key.json still opens the store with the old
    passphrase or command, or with a copy of the old key file.
    """
    from ..core.profile import key_sources
    from ..core.upkeep import rekey_store
    from ..store.key import KeyMethod

    context: App = ctx.obj
    context.listen()
    sources = key_sources(context.environ, context.profile_name, context.passphrase_prompt())
    before, after = rekey_store(sources, KeyMethod(key.value), command=key_command)
    if context.json:
        context.emit_json(
            json_object(
                "store_rekey",
                profile=context.profile_name,
                before={"method": before.method.value, "keyring": before.keyring_backend},
                after={"method": after.method.value, "keyring": after.keyring_backend},
            )
        )
    elif before.method is after.method:
        context.note(f"The store's key comes from {describe_key(after)}, as before, but from another one.")
    else:
        context.note(
            f"The store's key now comes from {describe_key(after)}; before it came from {describe_key(before)}."
        )


@app.plain_command()
def check(ctx: typer.Context) -> int:
    """Look for damage in the store. Exits with 1 if there is some.

    Looked at are the key's header, who else has access to the files, the database's structure and indexes, and whether
    what it holds fits together.
    """
    from ..core.profile import key_sources
    from ..core.upkeep import check_store

    context: App = ctx.obj
    sources = key_sources(context.environ, context.profile_name, context.passphrase_prompt())
    findings = list(check_store(sources))
    damaged = any(finding.part != "files" for finding in findings)
    if context.json:
        context.emit_json(
            json_object(
                "store_check",
                profile=context.profile_name,
                ok=not findings,
                findings=[{"part": finding.part, "message": finding.message} for finding in findings],
            )
        )
    elif not findings:
        context.emit("The store is sound.")
    else:
        for finding in findings:
            context.emit(f"{finding.part + ':':<9} {harmless(finding.message)}")
    if damaged:
        context.note(_ADVICE)
    return ExitCode.NEGATIVE if findings else ExitCode.OK


@app.plain_command()
def reparse(ctx: typer.Context) -> None:
    """Read anew the messages that were too new for an earlier version.

    Those that this version understands take their places in the log, and recv shows them. The others stay.
    """
    context: App = ctx.obj
    context.listen()
    with context.open_client(online=False) as client:
        result = client.reparse()
    left = result.kept - result.understood
    if context.json:
        context.emit_json(
            json_object(
                "store_reparse",
                profile=context.profile_name,
                kept=result.kept,
                understood=result.understood,
                left=left,
            )
        )
    elif not result.kept:
        context.emit("No message waits for a later version.")
    elif not result.understood:
        context.emit(f"None of {counted(result.kept, 'message')} is understood by this version; all stay.")
    else:
        rest = f"; {left} left for a later version" if left else ""
        context.emit(f"{result.understood} of {counted(result.kept, 'message')} understood{rest}.")


@app.plain_command()
def compact(ctx: typer.Context) -> None:
    """Make the store's file as small as what it holds.

    Nobody else may have the store open meanwhile. As much room as the store takes is needed for an encrypted copy.
    """
    from ..core.profile import key_sources
    from ..core.upkeep import compact_store

    context: App = ctx.obj
    sources = key_sources(context.environ, context.profile_name, context.passphrase_prompt())
    before, after = compact_store(sources, context.progress())
    if context.json:
        context.emit_json(json_object("store_compact", profile=context.profile_name, before=before, after=after))
    else:
        saved = human_size(max(before - after, 0))
        context.emit(f"{saved} freed: {human_size(before)} before, {human_size(after)} now")


commands = {"store": app}
