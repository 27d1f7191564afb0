"""The settings: what each is called, what it takes, what it means and where its value may stand.

Everything that is said or decided about a setting, in code, help and manual, comes from the table below.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from ..errors import UsageError

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Plain = str | int | float | bool
"""A value as TOML and JSON write it."""

MAX_SECONDS = 1e9


class BadValue(ValueError):
    """Why a value is none that the setting takes, to be put behind the setting's name."""


class Kind(ABC, Generic[T_co]):
    """What values a setting takes. All methods raise BadValue."""

    expects: str
    choices: tuple[str, ...] = ()

    @abstractmethod
    def parse(self, text: str) -> T_co:
        """The value that a text of the command line or the environment means."""

    def read(self, value: object, folder: Path) -> T_co:
        """The value that one of the configuration file means; `folder` is where that file lies."""
        if not isinstance(value, str):
            raise BadValue(f"must be {self.expects}.")
        return self.parse(value)

    def store(self, text: str) -> Plain:
        """What the configuration file shall hold so that it means what `text` means here and now."""
        value = plain(self.parse(text))
        if value is None:
            raise BadValue(f"must be {self.expects}.")
        return value

    def public(self, value: Any) -> Any:
        """A value, or None, without what nobody else should see."""
        return value


class _Text(Kind[str]):
    expects = "a text in quotes"

    def parse(self, text: str) -> str:
        if not text.strip():
            raise BadValue("must not be empty.")
        return text


class _Choice(Kind[str]):
    def __init__(self, *choices: str) -> None:
        self.choices = choices
        self.expects = " or ".join((", ".join(choices[:-1]), choices[-1]))

    def parse(self, text: str) -> str:
        if text not in self.choices:
            raise BadValue(f"must be {self.expects}, not {_quoted(text)}.")
        return text


class _Switch(Kind[bool]):
    expects = "true or false"
    choices = ("true", "false")
    _MEANT: ClassVar = {
        "true": True,
        "yes": True,
        "on": True,
        "1": True,
        "false": False,
        "no": False,
        "off": False,
        "0": False,
    }

    def parse(self, text: str) -> bool:
        meant = self._MEANT.get(text.lower())
        if meant is None:
            raise BadValue(f"must be {self.expects}, not {_quoted(text)}.")
        return meant

    def read(self, value: object, folder: Path) -> bool:
        if not isinstance(value, bool):
            raise BadValue(f"must be {self.expects}, without quotes.")
        return value


class _Seconds(Kind[float]):
    expects = "a number of seconds above 0"

    def parse(self, text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            raise BadValue(f"must be {self.expects}, not {_quoted(text)}.") from None
        if not 0 < number <= MAX_SECONDS:  # NaN neither
            raise BadValue(f"must be {self.expects} and at most {MAX_SECONDS:.0f}, not {_quoted(text)}.")
        return number

    def read(self, value: object, folder: Path) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BadValue(f"must be {self.expects}, without quotes.")
        return self.parse(str(value))


class _ProfileName(_Text):
    def parse(self, text: str) -> str:
        from ..store.locations import check_profile_name

        try:
            return check_profile_name(text)
        except UsageError as error:
            raise BadValue(error.message) from None


class _Network(_Text):
    """A built-in network's name, or a path."""

    def read(self, value: object, folder: Path) -> str:
        from ..network.definition import BUILT_IN

        text = super().read(value, folder)
        return text if text in BUILT_IN else str(folder / _expanded(text))

    def store(self, text: str) -> str:
        """Raises InvalidNetworkDefinition, too."""
        from ..core.profile import choose_network

        return choose_network(self.parse(text)).reference


class _Proxy(_Text):
    def parse(self, text: str) -> str:
        from ..network.proxy import check_proxy

        try:
            return check_proxy(text)
        except UsageError as error:
            # Never quoted: there can be a password in it.
            raise BadValue(error.message) from None

    def public(self, value: str | None) -> str | None:
        from ..network.proxy import without_login

        return None if value is None else without_login(value)


class _Folder(Kind[Path]):
    expects = "a path in quotes"

    def parse(self, text: str) -> Path:
        if not text:
            raise BadValue("must not be empty.")
        return _expanded(text)

    def read(self, value: object, folder: Path) -> Path:
        return folder / super().read(value, folder)

    def store(self, text: str) -> str:
        return str(self.parse(text).absolute())


def _expanded(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise BadValue(f"names no home folder that there is: {_quoted(text)}.") from None


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:39] + "…")


@dataclass(frozen=True, slots=True)
class Setting(Generic[T]):
    """One setting. Its value is of type `T`."""

    name: str
    kind: Kind[T]
    default: T
    meaning: str
    option: str | None = None
    """What sets it on the command line."""
    default_meaning: str = ""
    """What happens by default, where the value does not tell."""
    default_variable: str = ""
    """A variable, shared with other programs, that gives the default."""
    for_profiles: bool = True
    """Whether a profile can have a value of its own."""

    @property
    def variable(self) -> str:
        """What sets it in the environment."""
        return f"SESSION_{self.name.upper()}"

    @property
    def default_text(self) -> str:
        """The default in words."""
        return self.default_meaning or shown(self.default) or "none"

    @property
    def help(self) -> str:
        """The meaning in a line, with the default if that is worth a word."""
        if self.default is False or self.default_text == "none":
            return self.meaning
        return f"{self.meaning.removesuffix('.')} (default: {self.default_text})."


PROFILE: Setting[str] = Setting(
    "profile", _ProfileName(), "default", "Which account on this machine.", option="--profile", for_profiles=False
)
NETWORK: Setting[str | None] = Setting(
    "network",
    _Network(),
    None,
    "mainnet, testnet or the path of a network definition.",
    option="--network",
    default_meaning="the profile's own; mainnet for a new one",
)
PROXY: Setting[str | None] = Setting(
    "proxy",
    _Proxy(),
    None,
    "Send everything through socks5h://HOST:PORT or http://HOST:PORT.",
    option="--proxy",
)
DIRECT: Setting[bool] = Setting(
    "direct", _Switch(), False, "Without onion paths: show nodes and servers your address.", option="--direct"
)
TIMEOUT: Setting[float | None] = Setting(
    "timeout",
    _Seconds(),
    None,
    "Give up after so many seconds.",
    option="--timeout",
    default_meaning="when every way has failed",
)
QUIET: Setting[bool] = Setting("quiet", _Switch(), False, "No remarks on stderr, only errors.", option="--quiet")
COLOR: Setting[str] = Setting(
    "color",
    _Choice("auto", "always", "never"),
    "auto",
    "Colours: auto, always or never.",
    option="--color",
)
PAGER: Setting[str] = Setting(
    "pager",
    _Text(),
    "less -FRX",
    "The command that shows long output page by page; cat for none.",
    default_variable="PAGER",
)
INTERVAL: Setting[float] = Setting(
    "interval", _Seconds(), 5.0, "Seconds from one poll to the next of recv --follow.", option="--interval"
)
DOWNLOAD: Setting[Path | None] = Setting(
    "download",
    _Folder(),
    None,
    "The folder in which recv saves the files that come.",
    option="--download",
    default_meaning="they are not saved",
)
DOWNLOAD_NAME: Setting[str] = Setting(
    "download_name",
    _Choice("name", "id", "time"),
    "name",
    "How recv calls the files that it saves: by their sender's name for them, or with id or time before it.",
    option="--download-name",
)
NOTIFY_SHOW: Setting[str] = Setting(
    "notify_show",
    _Choice("all", "name", "nothing"),
    "all",
    "What a desktop notification shows: all, only the name of who wrote, or nothing of either.",
    option="--notify-show",
)
READ_RECEIPTS: Setting[bool] = Setting(
    "read_receipts", _Switch(), False, "Tell people which of their messages were read, and show what they tell."
)
TYPING: Setting[bool] = Setting(
    "typing", _Switch(), False, "Show with recv who is typing; what send --typing tells does not depend on it."
)
MARK_READ: Setting[bool] = Setting(
    "mark_read", _Switch(), False, "Mark what recv has shown as read.", option="--mark-read"
)
SAVED_NOTICES: Setting[bool] = Setting(
    "saved_notices", _Switch(), False, "Tell people that a file of theirs was saved."
)

SETTINGS: dict[str, Setting[Any]] = {
    setting.name: setting
    for setting in (
        PROFILE,
        NETWORK,
        PROXY,
        DIRECT,
        TIMEOUT,
        QUIET,
        COLOR,
        PAGER,
        INTERVAL,
        DOWNLOAD,
        DOWNLOAD_NAME,
        NOTIFY_SHOW,
        READ_RECEIPTS,
        TYPING,
        MARK_READ,
        SAVED_NOTICES,
    )
}


def setting_named(name: str) -> Setting[Any]:
    """The setting of this name. Raises UsageError, with the names that come close."""
    if name in SETTINGS:
        return SETTINGS[name]
    raise UsageError(f"There is no setting {name!r}.{similar_names(name)} See session config list")


def similar_names(name: str) -> str:
    """A hint at settings whose names are like `name`, with a space before it; or nothing."""
    from difflib import get_close_matches

    similar = get_close_matches(name.replace("-", "_").lower(), SETTINGS)
    return f" Did you mean {' or '.join(similar)}?" if similar else ""


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """A setting's value, and where it was found."""

    value: T
    source: str
    """`option`, `environment`, `file` or `default`."""
    place: str | Callable[[], str] = ""
    """Where in the source. Finding the line of a file takes time, and few ask."""

    @property
    def origin(self) -> str:
        """Source and place: `environment SESSION_PROXY`."""
        return f"{self.source} {self.place if isinstance(self.place, str) else self.place()}".strip()


def plain(value: object) -> Plain | None:
    """A setting's value as TOML and JSON write it; whole numbers as such."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if value is None or isinstance(value, Plain) else str(value)


def shown(value: object) -> str:
    """A setting's value for people and shells, as the command line takes it back; empty for none."""
    written = plain(value)
    if written is None:
        return ""
    return str(written).lower() if isinstance(written, bool) else str(written)
