"""What every command has at hand: the global options, the streams, and the client they lead to."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from .. import signals
from ..errors import InvalidConfig, InvalidInput, SessionError, UnreadableInput, UsageError
from .config_file import NAME as CONFIG_NAME
from .config_file import ConfigFile
from .exit_codes import exit_code_of
from .json_output import json_line, json_object
from .output import Painter
from .settings import (
    COLOR,
    DIRECT,
    NETWORK,
    PROFILE,
    PROXY,
    QUIET,
    READ_RECEIPTS,
    SAVED_NOTICES,
    TIMEOUT,
    TYPING,
    BadValue,
    Found,
    Setting,
    T,
)
from .text import harmless

if TYPE_CHECKING:
    from ..core.attachments import ProgressReport
    from ..core.client import Client
    from ..store.key import PassphrasePrompt

MAX_STDIN_TEXT = 1_000_000


@dataclass(slots=True)
class App:
    """The global options of one run, and the settings that follow from them, the environment and the file."""

    options: dict[str, Any] = field(default_factory=dict)
    """The settings given as global options, by name."""
    tor: bool = False
    json: bool = False
    verbose: int = 0
    no_input: bool = False
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    _config: ConfigFile | None = None

    # Settings.

    def setting(self, setting: Setting[T], given: T | None = None) -> T:
        """A setting's value; `given` is that of a command's own option, None if it was not used.

        Raises UsageError where the environment has nonsense, InvalidConfig where the file has, UnreadableInput.
        """
        return self.find(setting, given).value

    def find(self, setting: Setting[T], given: T | None = None) -> Found[T]:
        """As `setting`, with where the value comes from."""
        option: Any = self.options.get(setting.name) if given is None else given
        if option is not None:
            return Found(option, "option", setting.option or "")
        if self.tor and setting.name == PROXY.name:
            from ..network.proxy import TOR_PROXY

            return Found(cast(T, TOR_PROXY), "option", "--tor")
        return (
            self._from_environment(setting, setting.variable)
            or self._config_file().find(setting, self.profile_name if setting.for_profiles else None)
            or self._from_environment(setting, setting.default_variable)
            or Found(setting.default, "default")
        )

    def _from_environment(self, setting: Setting[T], variable: str) -> Found[T] | None:
        text = self.environ.get(variable)
        if not text:
            return None
        try:
            return Found(setting.kind.parse(text), "environment", variable)
        except BadValue as problem:
            raise UsageError(f"{variable} in the environment: {problem}") from None

    @property
    def config_path(self) -> Path:
        """Where the configuration file is, or would be."""
        from ..store.locations import locate

        return locate(self.environ).config / CONFIG_NAME

    def _config_file(self) -> ConfigFile:
        return self._config or self.load_config()

    def load_config(self, *, check: bool = True) -> ConfigFile:
        """Read the configuration file (again). Raises InvalidConfig, if `check` then for any wrong entry."""
        file = ConfigFile.read(self.config_path)
        if check:
            file.check()
        self._config = file
        return file

    def forgive_config(self, decisive: Sequence[Setting[Any]]) -> tuple[list[str], list[str]]:
        """Go on with what is right in the configuration file: for who shall say what is wrong with it.

        Returns what is wrong, and the names of those of the `decisive` settings whose value may be in that.
        """
        try:
            file = self.load_config(check=False)
        except (InvalidConfig, UnreadableInput) as error:
            problems, self._config = [error.message], ConfigFile(self.config_path, "", {})
            hidden = list(decisive)
        else:
            problems, self._config = [problem.message for problem in file.problems()], file.without_problems()
            hidden = [setting for setting in decisive if file.may_hide(setting, self.profile_name)]
        # What the file says does not matter where an option or the environment says something else.
        unknown = [setting.name for setting in hidden if self.find(setting).source in ("file", "default")]
        return problems, unknown

    @property
    def names_profile(self) -> bool:
        """Whether a certain profile was asked for."""
        return self.find(PROFILE).source != "default"

    @property
    def profile_name(self) -> str:
        """The profile asked for."""
        return self.setting(PROFILE)

    @property
    def network_name(self) -> str | None:
        """The network asked for, if any."""
        return self.setting(NETWORK)

    @property
    def proxy_url(self) -> str | None:
        """The proxy asked for, if any. Raises UsageError if two are."""
        if self.tor and PROXY.name in self.options:
            raise UsageError("--tor and --proxy exclude each other.")
        if self.tor and self.direct:
            raise UsageError(
                f"--tor and {self._directness} exclude each other: one hides your address, the other shows it."
            )
        return self.setting(PROXY)

    @property
    def direct(self) -> bool:
        """Whether to go without onion paths."""
        return self.setting(DIRECT)

    @property
    def _directness(self) -> str:
        """What is to blame for going without onion paths."""
        found = self.find(DIRECT)
        return "--direct" if found.source == "option" else f"direct ({found.origin})"

    @property
    def timeout(self) -> float | None:
        """The limit for an operation as a whole, in seconds, if any."""
        return self.setting(TIMEOUT)

    @property
    def quiet(self) -> bool:
        """Whether to keep remarks back."""
        return self.setting(QUIET)

    # The client.

    def open_client(self, *, online: bool = True) -> Client:
        """Open the profile. Raises what `Client.open` raises. Not `online`: for a command that asks nobody."""
        from ..core.client import Client
        from ..core.preferences import Preferences

        proxy = self.proxy_url
        if online:
            self.listen()
        client = Client.open(
            self.profile_name,
            network=self.network_name,
            prompt=self.passphrase_prompt(),
            environ=self.environ,
            proxy=proxy,
            direct=self.direct,
            timeout=self.timeout,
            preferences=Preferences(
                read_receipts=self.setting(READ_RECEIPTS),
                typing=self.setting(TYPING),
                saved_notices=self.setting(SAVED_NOTICES),
            ),
            looking=not online,
        )
        if online:
            self.warn_of_directness()
        return client

    def warn_of_directness(self) -> None:
        """Say what going without onion paths does, if that was asked for."""
        if self.direct:
            whose = "the proxy's" if self.proxy_url else "this machine's"
            self.note(f"session: {self._directness} shows {whose} address to every node and server that is asked.")

    def listen(self) -> None:
        """Send what the floors below have to say to stderr: warnings, and every request with -v."""
        import logging

        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("session: %(message)s"))
        # Texts of strange servers come along here, too.
        handler.addFilter(_harmless_record)
        ours = logging.getLogger("session_cli")
        ours.handlers = [handler]
        ours.propagate = False
        levels = (logging.WARNING, logging.INFO, logging.DEBUG)
        ours.setLevel(logging.ERROR if self.quiet else levels[min(self.verbose, 2)])

    # Talking to a person.

    @property
    def interactive(self) -> bool:
        """Whether a person can be asked."""
        return not self.no_input and sys.stdin.isatty() and sys.stderr.isatty()

    def passphrase_prompt(self, *, of_backup: bool = False) -> PassphrasePrompt | None:
        """What asks for the passphrase of the store, or of a backup, if somebody is there."""
        if self.no_input or not sys.stderr.isatty() or not _has_terminal():
            return None

        def ask(*, new: bool) -> str:
            if not new:
                subject = "backup" if of_backup else f"profile {self.profile_name!r}"
                return ask_secret(f"Passphrase of the {subject}: ")
            first = ask_secret(f"Choose a passphrase for {'the backup' if of_backup else 'this profile'}: ")
            if ask_secret("Again: ") != first:
                raise InvalidInput("The two passphrases differ.")
            return first

        return ask

    def note(self, text: str) -> None:
        """Something worth knowing, for people only."""
        if not self.quiet:
            self.say(harmless(text))

    def confirm(self, question: str, what: str) -> None:
        """Have a person confirm something (`what`: a verb). Raises UsageError if they don't, or nobody is there."""
        if not self.interactive:
            raise UsageError(f"Nobody is there to confirm; use --yes to {what} all the same.")
        import textwrap

        self.say("\n".join(textwrap.wrap(harmless(question), 79, break_on_hyphens=False)))
        sys.stderr.write(f"Type yes to {what}: ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("yes", "y"):
            raise UsageError("Nothing was done.")

    def say(self, text: str) -> None:
        """Talk to the person, whatever the options say."""
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def report(self, error: SessionError, text: str, **fields: Any) -> None:
        """Say that something failed while the rest goes on: on stderr, and with --json as an object, too.

        `text` is what is said, `fields` what the object has beside.
        """
        if self.json:
            code = int(exit_code_of(error))
            self.emit_json(json_object("error", code=code, error=error.slug, message=text, **fields))
        self.say(f"session: {harmless(text)}")

    def painter(self, stream: Any = None) -> Painter:
        """Colours as --color, NO_COLOR and the stream ask for, and the columns of a terminal."""
        stream = stream or sys.stdout
        color = self.setting(COLOR)
        wanted = color == "always" or (
            color == "auto"
            and not self.environ.get("NO_COLOR")
            and self.environ.get("TERM") != "dumb"
            and stream.isatty()
        )
        if not stream.isatty():
            return Painter(enabled=wanted)
        from shutil import get_terminal_size

        return Painter(enabled=wanted, columns=get_terminal_size().columns)

    # Data.

    def emit(self, text: str) -> None:
        """One line (or paragraph) of data to stdout, at once."""
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def emit_json(self, value: dict[str, Any]) -> None:
        """One JSON object on a line of its own."""
        self.emit(json_line(value))

    def read_text(self) -> str:
        """The text on standard input, without the line ends at its end.

        Raises InvalidInput if it is no UTF-8 or endless, UnreadableInput.
        """
        try:
            data = sys.stdin.buffer.read(MAX_STDIN_TEXT + 1)
        except OSError as error:
            raise UnreadableInput(f"Can't read standard input: {error.strerror}.") from None
        if len(data) > MAX_STDIN_TEXT:
            raise InvalidInput("Standard input is too long for a message; send it as a file: session attach send TO -")
        try:
            return data.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            raise InvalidInput("Standard input is no UTF-8 text; send it as a file: session attach send TO -") from None

    def text_argument(self, text: str) -> str:
        """A text from the command line, which is UTF-8 whatever the locale says. Raises InvalidInput."""
        try:
            return os.fsencode(text).decode("utf-8")
        except UnicodeError:
            raise InvalidInput("A text on the command line is no UTF-8; give it through a pipe or a file.") from None

    def progress(self, *, of_bytes: bool = True) -> ProgressReport | None:
        """A progress bar on the terminal, of bytes or of people; None where nobody watches."""
        if self.quiet or self.json or not sys.stderr.isatty():
            return None
        from .progress import ProgressBar

        return ProgressBar(of_bytes=of_bytes)


def _harmless_record(record: Any) -> bool:
    record.msg, record.args = harmless(record.getMessage()), ()
    return True


def ask_secret(question: str) -> str:
    """Ask for something that must not be shown. Ctrl-C leaves the terminal as it was."""
    from getpass import getpass

    with signals.raising():
        return getpass(question)


def _has_terminal() -> bool:
    """Whether a passphrase can be typed, even if standard input is a pipe."""
    if sys.stdin.isatty():
        return True
    try:
        with Path("/dev/tty").open("rb"):
            return True
    except OSError:
        return False
