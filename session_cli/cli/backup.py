"""`backup`: everything of one profile in one encrypted file, and back."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from ..errors import UnreadableInput, UsageError
from .account import KeyCommandOption, KeyOption, announce, key_method
from .context import App
from .json_output import iso_time, json_object
from .text import counted, harmless, human_size
from .typer_app import PlainTyper

if TYPE_CHECKING:
    from ..core.backup import BackupInfo

app = PlainTyper(help="Make, check and restore backups of everything.", no_args_is_help=True)

_FileArgument = Annotated[
    str, typer.Argument(metavar="FILE|-", help="The backup; - is standard input.", show_default=False)
]


@app.plain_command()
def create(
    ctx: typer.Context,
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="[FILE|-]",
            help="The new file, a folder for it, or - for standard output (default: a new name in this folder).",
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace an existing file.")] = False,
) -> None:
    """Put the account and all messages into one encrypted file; print its name.

    The file opens with a passphrase of its own, from a prompt, SESSION_BACKUP_PASSPHRASE, _FILE or _COMMAND. It holds
    the recovery phrase as well, so choose a good one. Attachments that were saved are files of yours, and not in it.
    Messages may come and go meanwhile.
    """
    context: App = ctx.obj
    if file == "-":
        if context.json:
            raise UsageError("With - the backup itself goes to standard output, where --json can't go, too.")
        if sys.stdout.isatty():
            raise UsageError("A backup is nothing for a terminal; send it into a pipe, or name a file.")
    with context.open_client(online=False) as client:
        prompt = context.passphrase_prompt(of_backup=True)
        if file == "-":
            output = sys.stdout.buffer
            info = client.backup(output.write, prompt=prompt, environ=context.environ, progress=context.progress())
            output.flush()
            context.note(f"The backup holds {counted(info.messages, 'message')} of {info.account_id}.")
            return
        path = _target(file, client.profile_name)
        info = client.backup(path, prompt=prompt, environ=context.environ, overwrite=force, progress=context.progress())
    if context.json:
        context.emit_json(_backup_json(info, path))
    else:
        context.emit(harmless(str(path)))
        context.note(f"It holds {counted(info.messages, 'message')} of {info.account_id}.")


@app.plain_command()
def verify(ctx: typer.Context, file: _FileArgument) -> None:
    """Check that a backup is whole and genuine, and show what it holds.

    All of it is decrypted and authenticated, and the database in it is checked; nothing of it is kept.
    """
    from ..core.backup import backup_sources, verify_backup
    from ..core.profile import key_sources

    context: App = ctx.obj
    sources = key_sources(context.environ, context.profile_name, context.passphrase_prompt(of_backup=True))
    with _opened(file) as source:
        info = verify_backup(source, sources, backup_sources(sources), context.progress())
    if context.json:
        context.emit_json(_backup_json(info, None if file == "-" else Path(file)))
        return
    for label, value in (
        ("account", info.account_id),
        ("profile", harmless(info.profile)),
        ("network", harmless(info.network)),
        ("messages", str(info.messages)),
        ("made", time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(info.created_ms / 1000))),
        ("size", human_size(info.size)),
    ):
        context.emit(f"{label:<8} {value}")


@app.plain_command()
def restore(
    ctx: typer.Context,
    file: _FileArgument,
    force: Annotated[
        bool, typer.Option("--force", "-f", help="Replace a profile that is there, and all that it holds.")
    ] = False,
    key: KeyOption = None,
    key_command: KeyCommandOption = None,
) -> None:
    """Make a profile out of a backup; print the account id.

    Nothing appears before all of the backup has proved genuine. With --force the old profile stays until the new one
    takes its place in one step. Works offline: what came since the backup was made is fetched by the next recv.
    """
    from ..core.client import Client

    context: App = ctx.obj
    context.listen()
    with (
        _opened(file) as source,
        Client.restore_backup(
            source,
            context.profile_name,
            network=context.network_name,
            key_method=key_method(context, key, key_command),
            key_command=key_command,
            prompt=context.passphrase_prompt(),
            backup_prompt=context.passphrase_prompt(of_backup=True),
            environ=context.environ,
            overwrite=force,
            progress=context.progress(),
        ) as client,
    ):
        announce(context, client, "restored")


def _target(file: str | None, profile: str) -> Path:
    from ..core.backup import default_name

    path = Path(file) if file is not None else Path()
    return path / default_name(profile, time.time()) if path.is_dir() else path


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    """A backup to read. Raises UnreadableInput, UsageError."""
    if file == "-":
        if sys.stdin.isatty():
            raise UsageError("Standard input is the terminal; pipe a backup in, or name a file.")
        yield sys.stdin.buffer
        return
    try:
        source = Path(file).open("rb")  # noqa: SIM115 - an error in the block is not one of opening
    except OSError as error:
        raise UnreadableInput(f"Can't read {file}: {error.strerror}.") from None
    with source:
        yield source


def _backup_json(info: BackupInfo, path: Path | None) -> dict[str, Any]:
    return json_object(
        "backup",
        path=None if path is None else str(path.absolute()),
        account=info.account_id,
        profile=info.profile,
        network=info.network,
        created=iso_time(info.created_ms),
        created_ms=info.created_ms,
        messages=info.messages,
        size=info.size,
    )


commands = {"backup": app}
