"""`init`, `restore`, `whoami` and `phrase`: the account itself."""

from __future__ import annotations

import enum
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import (
    CannotCreate,
    InvalidInput,
    InvalidPhrase,
    NetworkError,
    SessionError,
    StoreUnwritable,
    UnreadableInput,
    UsageError,
)
from .context import App, ask_secret
from .json_output import json_object
from .text import counted, harmless
from .typer_app import single_command

if TYPE_CHECKING:
    from ..core.client import Client
    from ..protocol.account import Identity
    from ..store.key import KeyInfo, KeyMethod


class Words(enum.StrEnum):
    """How many words a recovery phrase is written in."""

    W13 = "13"
    W12 = "12"
    W24 = "24"
    W25 = "25"


class KeyChoice(enum.StrEnum):
    """Where the key of the store is kept."""

    KEYRING = "keyring"
    PASSPHRASE = "passphrase"  # noqa: S105 - the name of a method
    KEYFILE = "keyfile"
    COMMAND = "command"


_MAX_PHRASE_BYTES = 4096
WORDS_A_LINE = 5

NameOption = Annotated[
    str | None, typer.Option("--name", help="The name that others see, of at most 100 bytes.", metavar="NAME")
]
KeyOption = Annotated[
    KeyChoice | None, typer.Option("--key", help="Where the store's key is kept.", show_default=False)
]
KeyCommandOption = Annotated[
    str | None, typer.Option("--key-command", help="The program that prints the key, for --key command.", metavar="CMD")
]


def init(
    ctx: typer.Context,
    name: NameOption = None,
    words: Annotated[
        Words, typer.Option("--words", help="How the phrase is written: 13 is what every Session app takes.")
    ] = Words.W13,
    phrase_file: Annotated[
        Path | None,
        typer.Option("--phrase-file", help="Write the recovery phrase to this new file (0600).", metavar="FILE"),
    ] = None,
    key: KeyOption = None,
    key_command: KeyCommandOption = None,
) -> None:
    """Make an account. Works offline; prints the account id.

    The recovery phrase is the account: who has it can read and write in its name, and without it a lost device can't
    be replaced. It is shown once, on stderr; `session phrase` shows it again.
    """
    from ..protocol.account import Identity

    app: App = ctx.obj
    if words is Words.W25:
        raise UsageError("A new account has 13, 12 or 24 words; 25 are only for `session phrase` and `restore`.")
    identity = Identity.generate(32 if words is Words.W24 else 16)
    phrase = _encode(identity.short_seed, words)
    if phrase_file is not None:
        _check_new(phrase_file)
    with _create(app, identity, name, key, key_command, is_new=True) as client:
        if phrase_file is not None:
            _write_phrase(phrase_file, phrase)
            app.note(f"The recovery phrase is in {phrase_file}. Keep it where you keep passwords.")
        elif not app.quiet:
            painter = app.painter(sys.stderr)
            app.say("Recovery phrase (write it down; whoever has it has the account):")
            app.say("\n" + "\n".join(f"    {painter.bold(line)}" for line in _lines(phrase)) + "\n")
        if words is Words.W24:
            app.note("The official apps can't restore an account of 24 words yet; this program can.")
        elif words is Words.W12:
            app.note("The official apps take the 13-word form of the same phrase: session phrase --words 13")
        announce(app, client, "created")


def restore(
    ctx: typer.Context,
    phrase_file: Annotated[
        Path | None, typer.Option("--phrase-file", help="Read the recovery phrase from this file.", metavar="FILE")
    ] = None,
    expect: Annotated[
        str | None, typer.Option("--expect", help="The account id that must come out.", metavar="ID")
    ] = None,
    seed_hex: Annotated[bool, typer.Option("--seed-hex", help="The input is the seed itself, 32 hex digits.")] = False,
    name: Annotated[
        str | None, typer.Option("--name", help="The name that others see, if the account has none.", metavar="NAME")
    ] = None,
    key: KeyOption = None,
    key_command: KeyCommandOption = None,
) -> None:
    """Bring an account back from its recovery phrase, and fetch what the network still holds for it.

    That is its name, picture and contacts, what was read, and the messages of the last 14 days. Your other devices hear
    nothing from this one until it has fetched what they left; if it can't now, the next recv or sync does.

    The phrase comes from a prompt, standard input or --phrase-file, never from the command line. Session's 13 and 25
    words and BIP39's 12 and 24 are understood.
    """
    from ..protocol import phrase as phrases
    from ..protocol.account import Identity

    app: App = ctx.obj
    text = _read_phrase(app, phrase_file)
    if seed_hex:
        identity = Identity.from_seed(phrases.decode_hex_seed(text))
    else:
        decoded = phrases.decode(text)
        if decoded.completed:
            # Which words they are is nobody's business who reads this line in a log.
            positions = ", ".join(str(position) for position, _ in decoded.completed)
            app.note(f"Given in short, and completed: word {positions}.")
        identity = Identity.from_seed(decoded.seed)
    if expect is not None and expect.strip().lower() != identity.account_id:
        raise InvalidPhrase(
            f"The phrase belongs to another account than expected, to {identity.account_id}. Nothing was made."
        )
    with _create(app, identity, name, key, key_command) as client:
        found: dict[str, int] | None = None
        try:
            fetched = client.poll()
            shared = client.shared()
            found = {
                "contacts": shared.contacts,
                "groups": shared.groups,
                "communities": shared.communities,
                "messages": fetched.new,
            }
            app.note(_found_text(shared.name, found))
        except NetworkError as error:
            app.note(f"The account is restored; fetching what it holds has to wait for recv or sync: {error.message}")
        announce(app, client, "restored", found=found)


def _found_text(name: str | None, found: dict[str, int]) -> str:
    name_text = f"the name {name!r}" if name is not None else "no name"
    contacts, groups, messages = (counted(found[key], key[:-1]) for key in ("contacts", "groups", "messages"))
    communities = f"{found['communities']} communit{'y' if found['communities'] == 1 else 'ies'}"
    return (
        f"Found: {name_text}, {contacts}, {groups}, {communities} and {messages}; see what is new with `session recv`."
    )


def whoami(
    ctx: typer.Context,
    qr: Annotated[bool, typer.Option("--qr", help="Show the account id as a QR code for a phone.")] = False,
) -> None:
    """Show the account of this profile. With --quiet the account id alone."""
    app: App = ctx.obj
    with app.open_client(online=False) as client:
        if app.json:
            app.emit_json(_account_json(client))
        elif app.quiet:
            app.emit(client.account_id)
        else:
            for label, value in (
                ("account", client.account_id),
                ("name", harmless(client.name) if client.name else "(none)"),
                ("profile", client.profile_name),
                ("network", client.network_id),
                ("store", str(client.folder)),
                ("key", describe_key(client.key_info)),
            ):
                app.emit(f"{label:<8} {value}")
        if qr:
            import segno

            segno.make(client.account_id).terminal(out=sys.stdout, compact=True)


def phrase(
    ctx: typer.Context,
    words: Annotated[
        Words | None,
        typer.Option("--words", help="How to write it; default: as every Session app takes it.", show_default=False),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
) -> None:
    """Show the recovery phrase. Whoever reads it has the account."""
    app: App = ctx.obj
    with app.open_client(online=False) as client:
        if not yes:
            app.confirm("The recovery phrase gives full control over the account. Is nobody looking?", "show it")
        seed = client.seed()
        text = _encode(seed, words or (Words.W13 if len(seed) == 16 else Words.W25))
        if app.json:
            app.emit_json(json_object("phrase", phrase=text))
        elif sys.stdout.isatty():
            app.emit("\n".join(_lines(text)))
        else:
            app.emit(text)


def _lines(phrase: str) -> list[str]:
    """A phrase in lines of whole words: a narrow terminal would break one, and the copy made by hand with it."""
    words = phrase.split()
    return [" ".join(words[at : at + WORDS_A_LINE]) for at in range(0, len(words), WORDS_A_LINE)]


def _encode(seed: bytes, words: Words) -> str:
    from ..protocol import phrase as phrases

    if len(seed) != (16 if words in (Words.W13, Words.W12) else 32):
        fitting = "13 or 12" if len(seed) == 16 else "25 or 24"
        raise UsageError(f"The phrase of this account has {fitting} words.")
    return phrases.encode_session(seed) if words in (Words.W13, Words.W25) else phrases.encode_bip39(seed)


def _create(
    app: App,
    identity: Identity,
    name: str | None,
    key: KeyChoice | None,
    key_command: str | None,
    *,
    is_new: bool = False,
) -> Client:
    from ..core.client import Client

    app.listen()
    method = key_method(app, key, key_command)
    return Client.create(
        app.profile_name,
        name=app.text_argument(name) if name is not None else None,
        identity=identity,
        is_new=is_new,
        network=app.network_name or "mainnet",
        key_method=method,
        key_command=key_command,
        prompt=app.passphrase_prompt(),
        environ=app.environ,
        proxy=app.proxy_url,
        timeout=app.timeout,
    )


def key_method(app: App, key: KeyChoice | None, key_command: str | None) -> KeyMethod:
    """How a new store's key shall be kept, as asked for or by default."""
    from ..core.profile import default_key_method
    from ..store.key import KeyMethod

    if key is not None:
        return KeyMethod(key.value)
    if key_command is not None:
        return KeyMethod.COMMAND
    return default_key_method(interactive=app.interactive)


def _account_json(client: Client) -> dict[str, Any]:
    return json_object(
        "account",
        id=client.account_id,
        name=client.name,
        profile=client.profile_name,
        network=client.network_id,
        store={"path": str(client.folder), "key": client.key_info.method.value},
    )


def announce(app: App, client: Client, how: str, **more: Any) -> None:
    """Print the id of an account that has just come to this machine, and say where it is kept.

    `more` is what its JSON has beside.
    """
    if app.json:
        app.emit_json(_account_json(client) | more)
    else:
        app.emit(client.account_id)
    app.note(f"Account {how} as profile {client.profile_name!r} on the network {client.network_id!r}.")
    app.note(f"The store's key comes from {describe_key(client.key_info)}; --key chooses another place.")


def describe_key(key: KeyInfo) -> str:
    """Where a key comes from, for people."""
    return {
        "keyring": f"the keyring {key.keyring_backend}",
        "passphrase": "a passphrase",
        "keyfile": "a key file that only you can read",
        "command": "a command",
    }[key.method.value]


def _check_new(path: Path) -> None:
    if path.exists() or path.is_symlink():
        raise CannotCreate(f"{path} exists already; it is left as it is.")
    if not path.parent.is_dir():
        raise CannotCreate(f"There is no folder {path.parent}.")


def _write_phrase(path: Path, text: str) -> None:
    from ..private_files import write_private_file

    try:
        write_private_file(path, text.encode() + b"\n")
    except SessionError as error:
        raise StoreUnwritable(
            f"The account was made, but the phrase could not be written: {error.message} See it with `session phrase`."
        ) from None


def _read_phrase(app: App, path: Path | None) -> str:
    if path is not None:
        try:
            with path.open("rb") as file:
                data = file.read(_MAX_PHRASE_BYTES + 1)
        except OSError as error:
            raise UnreadableInput(f"Can't read {path}: {error.strerror}.") from None
    elif app.interactive:
        return ask_secret("Recovery phrase: ")
    elif sys.stdin.isatty():
        raise UsageError("Nobody may be asked for the phrase; give it on standard input or with --phrase-file.")
    else:
        data = sys.stdin.buffer.read(_MAX_PHRASE_BYTES + 1)
    if len(data) > _MAX_PHRASE_BYTES:
        raise InvalidInput("That is too long to be a recovery phrase.")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidInput("That is no text, and so no recovery phrase.") from None


commands = {
    "init": single_command("init", init),
    "restore": single_command("restore", restore),
    "whoami": single_command("whoami", whoami),
    "phrase": single_command("phrase", phrase),
}
