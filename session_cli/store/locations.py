"""Where a profile's files live.

`SESSION_HOME` puts everything below one folder; without it each kind of file goes where the operating system keeps
that kind.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError

APP_NAME = "session-shell"
_PROFILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Locations:
    """The four folders that this program uses. They need not exist yet."""

    data: Path
    """The profiles: databases and their key headers."""
    config: Path
    """Settings, and key files (apart from the data that they open)."""
    cache: Path
    """What can be fetched again: the list of service nodes."""
    state: Path
    """Logs."""

    def profile_dir(self, name: str) -> Path:
        """The folder of the profile `name`. Raises UsageError if that is no profile name."""
        return self.data / "profiles" / check_profile_name(name)

    @property
    def key_files(self) -> Path:
        """The folder of the key files."""
        return self.config / "keys"


def locate(environ: Mapping[str, str]) -> Locations:
    """Find the folders: below `SESSION_HOME` if `environ` has it (empty counts as unset), else the system's places."""
    home = environ.get("SESSION_HOME")
    if home:
        root = Path(home).expanduser().absolute()
        return Locations(data=root / "data", config=root / "config", cache=root / "cache", state=root / "state")

    from platformdirs import PlatformDirs

    system = PlatformDirs(APP_NAME, appauthor=False)
    return Locations(
        data=system.user_data_path,
        config=system.user_config_path,
        cache=system.user_cache_path,
        state=system.user_state_path,
    )


def check_profile_name(name: str) -> str:
    """Return `name` if it can name a profile, and so a folder on every system; raise UsageError if it can't."""
    if not _PROFILE_NAME.fullmatch(name):
        raise UsageError(
            "A profile name has 1 to 64 characters, all of them letters, digits, dots, hyphens or underscores, "
            "and begins with a letter or digit."
        )
    return name
