"""What every command has at hand: the global options, the streams, and the client they lead to."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import signals
from ..errors import InvalidInput, UnreadableInput, UsageError
from .output import Painter
from .text import harmless

if TYPE_CHECKING:
    from ..core.attachments import ProgressReport
    from ..core.client import Client
    from ..store.key import PassphrasePrompt

MAX_STDIN_TEXT = 1_000_000


@dataclass(slots=True)
class App:
    """The settings of one run, from options, environment and the configuration file, in that order."""

    profile: str | None = None
    network: str | None = None
    proxy: str | None = None
    tor: bool = False
    direct: bool = False
    json: bool = False
    quiet: bool = False
    verbose: int = 0
    no_input: bool = False
    color: str = "auto"
    timeout: float | None = None
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    _config: dict[str, Any] | None = None

    # Settings.

    def setting(self, name: str, variable: str) -> str | None:
        """An option's value: as given, else from the environment, else from the configuration file."""
        given: str | None = getattr(self, name)
        if given is not None:
            return given
        if self.environ.get(variable):
            return self.environ[variable]
        value = self._configuration().get(name)
        if value is not None and not isinstance(value, str):
            raise UsageError(f"In config.toml, {name!r} must be a text.")
        return value

    def _configuration(self) -> dict[str, Any]:
        if self._config is None:
            from ..store.locations import locate

            path = locate(self.environ).config / "config.toml"
            try:
                text = path.read_text(encoding="utf-8")
            except FileNotFoundError:
                self._config = {}
                return self._config
            except UnicodeDecodeError:
                raise UsageError(f"{path} is no UTF-8 text.") from None
            except OSError as error:
                raise UnreadableInput(f"Can't read {path}: {error.strerror}.") from None
            import tomllib

            try:
                self._config = tomllib.loads(text)
            except tomllib.TOMLDecodeError as error:
                raise UsageError(f"{path} is no valid TOML: {error}.") from None
        return self._config

    @property
    def names_profile(self) -> bool:
        """Whether a certain profile was asked for."""
        return self.setting("profile", "SESSION_PROFILE") is not None

    @property
    def profile_name(self) -> str:
        """The profile asked for."""
        return self.setting("profile", "SESSION_PROFILE") or "default"

    @property
    def network_name(self) -> str | None:
        """The network asked for, if any."""
        return self.setting("network", "SESSION_NETWORK")

    @property
    def proxy_url(self) -> str | None:
        """The proxy asked for, if any. Raises UsageError if two are."""
        if self.tor and self.proxy:
            raise UsageError("--tor and --proxy exclude each other.")
        if self.tor and self.direct:
            raise UsageError("--tor and --direct exclude each other: one hides your address, the other shows it.")
        if not self.tor:
            return self.setting("proxy", "SESSION_PROXY")
        from ..core.client import TOR_PROXY

        return TOR_PROXY

    # The client.

    def open_client(self, *, online: bool = True) -> Client:
        """Open the profile. Raises what `Client.open` raises. Not `online`: for a command that asks nobody."""
        from ..core.client import Client

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
        )
        if online:
            self.warn_of_directness()
        return client

    def warn_of_directness(self) -> None:
        """Say what --direct does, if it was given."""
        if self.direct:
            whose = "the proxy's" if self.proxy_url else "this machine's"
            self.note(f"session: --direct shows {whose} address to every node and server that is asked.")

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

    def passphrase_prompt(self) -> PassphrasePrompt | None:
        """What asks for the store's passphrase, if somebody is there."""
        return self._ask_passphrase if not self.no_input and sys.stderr.isatty() and _has_terminal() else None

    def _ask_passphrase(self, *, new: bool) -> str:
        if not new:
            return ask_secret(f"Passphrase of the profile {self.profile_name!r}: ")
        first = ask_secret("Choose a passphrase for this profile: ")
        if ask_secret("Again: ") != first:
            raise InvalidInput("The two passphrases differ.")
        return first

    def note(self, text: str) -> None:
        """Something worth knowing, for people only."""
        if not self.quiet:
            self.say(harmless(text))

    def say(self, text: str) -> None:
        """Talk to the person, whatever the options say."""
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def painter(self, stream: Any = None) -> Painter:
        """Colours as --color, NO_COLOR and the stream ask for."""
        stream = stream or sys.stdout
        wanted = self.color == "always" or (
            self.color == "auto"
            and not self.environ.get("NO_COLOR")
            and self.environ.get("TERM") != "dumb"
            and stream.isatty()
        )
        return Painter(enabled=wanted)

    # Data.

    def emit(self, text: str) -> None:
        """One line (or paragraph) of data to stdout, at once."""
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def emit_json(self, value: dict[str, Any]) -> None:
        """One JSON object on a line of its own."""
        from .output import json_text

        self.emit(json_text(value))

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

    def progress(self) -> ProgressReport | None:
        """A progress bar on the terminal; None where nobody watches."""
        if self.quiet or self.json or not sys.stderr.isatty():
            return None
        from .progress import ProgressBar

        return ProgressBar()


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
