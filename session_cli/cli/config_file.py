"""The file of settings, `config.toml`: read with care, and changed without losing what its owner wrote around them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import InvalidConfig, UnreadableInput, UsageError
from .settings import SETTINGS, BadValue, Found, Plain, Setting, T, similar_names

NAME = "config.toml"
PROFILES = "profiles"
"""The table whose tables hold the settings of one profile each."""
_LOCK_NAME = "config.lock"
_LOCK_WAIT_S = 10.0

Keys = tuple[str, ...]
"""Where something stands: (`timeout`,) or (`profiles`, `work`, `timeout`)."""


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A configuration file as it was read."""

    path: Path
    text: str
    values: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> ConfigFile:
        """Read a file; one that isn't there is empty. Its values are not checked.

        Raises InvalidConfig if it is no TOML, UnreadableInput.
        """
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return cls(path, "", {})
        except OSError as error:
            raise UnreadableInput(f"Can't read {path}: {error.strerror}.") from None
        import tomllib

        try:
            text = data.decode("utf-8-sig")
            return cls(path, text, tomllib.loads(text))
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise InvalidConfig(f"{path}:{line}: This is no UTF-8 text.") from None
        except tomllib.TOMLDecodeError as error:
            problem, _, place = str(error).partition(" (at ")
            line_named = re.match(r"line (\d+)", place)
            line = int(line_named[1]) if line_named else text.count("\n") + 1
            raise InvalidConfig(f"{path}:{line}: This is no TOML: {problem}.") from None

    def find(self, setting: Setting[T], profile: str | None) -> Found[T] | None:
        """A setting's value for a profile, or for all (None). Raises InvalidConfig if it is none."""
        places: list[Keys] = [] if profile is None else [(PROFILES, profile, setting.name)]
        for keys in (*places, (setting.name,)):
            value: Any = self.values
            for key in keys:
                value = value.get(key) if isinstance(value, dict) else None
            if value is not None:
                return Found(self._read(setting, keys, value), "file", partial(self._place, keys))
        return None

    def _read(self, setting: Setting[T], keys: Keys, value: object) -> T:
        try:
            return setting.kind.read(value, self.path.parent)
        except BadValue as problem:
            raise self._invalid(keys, str(problem)) from None

    def check(self) -> None:
        """Raise InvalidConfig if anything in the file is not what it should be."""
        problems = list(self.problems())
        if problems:
            others = f" (the first of {len(problems)} errors)" if len(problems) > 1 else ""
            raise InvalidConfig(problems[0].message + others)

    def problems(self) -> Iterator[InvalidConfig]:
        """Whatever in the file is not what it should be."""
        for _, problem in self._problems():
            yield problem

    def without_problems(self) -> ConfigFile:
        """The file as if nothing were in it but what is as it should be."""
        from copy import deepcopy

        values = deepcopy(self.values)
        for keys, _ in self._problems():
            _put(values, keys, None, dict)
        return ConfigFile(self.path, self.text, values)

    def may_hide(self, setting: Setting[Any], profile: str) -> bool:
        """Whether a profile's value of a setting may be in what is wrong in the file: garbled, or misnamed."""
        return any(_may_mean(keys, setting, profile) for keys, _ in self._problems())

    def _problems(self) -> Iterator[tuple[Keys, InvalidConfig]]:
        for name, value in self.values.items():
            if name != PROFILES:
                yield from self._problems_of((name,), value)
            elif not isinstance(value, dict):
                yield (name,), self._wrong((name,), "must hold a table for each profile, as in [profiles.work].")
            else:
                for profile, table in value.items():
                    yield from self._problems_of_profile(profile, table)

    def _problems_of_profile(self, profile: str, table: object) -> Iterator[tuple[Keys, InvalidConfig]]:
        from ..store.locations import check_profile_name

        keys = (PROFILES, profile)
        try:
            check_profile_name(profile)
        except UsageError as error:
            yield keys, self._wrong(keys, error.message)
            return
        if not isinstance(table, dict):
            yield keys, self._wrong(keys, "must be a table, as in [profiles.work].")
            return
        for name, value in table.items():
            yield from self._problems_of((*keys, name), value)

    def _problems_of(self, keys: Keys, value: object) -> Iterator[tuple[Keys, InvalidConfig]]:
        setting = SETTINGS.get(keys[-1])
        if setting is None:
            yield keys, self._invalid(keys, f"There is no such setting.{similar_names(keys[-1])}")
        elif len(keys) > 1 and not setting.for_profiles:
            yield keys, self._invalid(keys, "can't be set for a profile.")
        else:
            try:
                self._read(setting, keys, value)
            except InvalidConfig as problem:
                yield keys, problem

    def _invalid(self, keys: Keys, what: str) -> InvalidConfig:
        """What is wrong with a setting, and how to be rid of it."""
        from shlex import join

        remedy = ["session", "config", "unset", *(("--profile", keys[1]) if len(keys) > 1 else ()), keys[-1]]
        return self._wrong(keys, f"{what} Repair it, or: {join(remedy)}")

    def _wrong(self, keys: Keys, what: str) -> InvalidConfig:
        return InvalidConfig(f"{self._place(keys)}: {dotted(keys)}: {what}")

    def _place(self, keys: Keys) -> str:
        line = next((line for there, line in _lines(self.text) if there[: len(keys)] == keys), None)
        return f"{self.path}:{line}" if line else str(self.path)


def _may_mean(keys: Keys, setting: Setting[Any], profile: str) -> bool:
    """Whether what stands under these keys, and is wrong, may have been meant as a profile's value of a setting."""
    if len(keys) == 3 and keys[1] != profile:
        return False
    is_table_of_profile = len(keys) == 2
    return is_table_of_profile or keys[-1] not in SETTINGS or keys[-1] == setting.name


def dotted(keys: Keys) -> str:
    """Keys as TOML writes them."""
    return ".".join(key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else f'"{key}"' for key in keys)


def _lines(text: str) -> Iterator[tuple[Keys, int]]:
    """All keys of a valid TOML document, and the line that each begins on."""
    import tomllib

    table: Keys = ()
    statement, begin = "", 1
    for number, line in enumerate(text.split("\n"), 1):
        statement += line.removesuffix("\r") + "\n"
        try:
            found = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue  # not at its end yet
        is_header = statement.lstrip().startswith("[")
        for path in _paths(found):
            table = path if is_header else table
            yield (table if is_header else (*table, *path)), begin
        statement, begin = "", number + 1


def _paths(found: Any) -> Iterator[Keys]:
    """The paths to all that is in a table."""
    for key, value in found.items():
        inner = value[0] if isinstance(value, list) and len(value) == 1 else value
        if isinstance(inner, dict) and inner:
            yield from ((key, *path) for path in _paths(inner))
        else:
            yield (key,)


def change(path: Path, keys: Keys, value: Plain | None) -> bool:
    """Give a setting a value in the file, or take it out (None). False if there was nothing to take out.

    Comments and layout stay. The file is replaced in one step, and processes that do this at once take turns; if the
    file is a symbolic link, the file that it leads to is replaced. Raises InvalidConfig, UnreadableInput,
    StoreUnwritable, StoreLocked.
    """
    from .. import signals
    from ..file_lock import FileLock
    from ..private_files import make_private_folder, write_private_file

    if value is None and not _has(ConfigFile.read(path).values, keys):
        return False
    make_private_folder(path.parent)
    with FileLock(path.with_name(_LOCK_NAME), _LOCK_WAIT_S, purpose="to change the settings"):
        file = ConfigFile.read(path)
        if value is None and not _has(file.values, keys):
            return False
        changed = _changed(file, keys, value).encode()
        with signals.deferred():
            write_private_file(path.resolve(), changed)
    return True


def _has(values: Any, keys: Keys) -> bool:
    for key in keys:
        if not isinstance(values, dict) or key not in values:
            return False
        values = values[key]
    return True


def _changed(file: ConfigFile, keys: Keys, value: Plain | None) -> str:
    """The file's text after a change. Raises InvalidConfig where the change can't be made without harm."""
    import tomllib
    from copy import deepcopy

    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    expected = deepcopy(file.values)
    by_hand = InvalidConfig(f"{file.path}: {dotted(keys)}: can't be changed in a file written like this; edit it.")
    try:
        document = tomlkit.parse(file.text)
        _put(expected, keys, value, dict)
        _put(document, keys, value, tomlkit.table)
        text = tomlkit.dumps(document)
        # It is somebody's own file: what is written must be what was meant, whatever the library makes of it.
        if tomllib.loads(text) != expected:
            raise by_hand
    except (TOMLKitError, tomllib.TOMLDecodeError, TypeError, AttributeError):
        raise by_hand from None
    return text


def _put(table: Any, keys: Keys, value: Plain | None, new_table: Callable[[], Any]) -> None:
    *parents, name = keys
    for key in parents:
        if key not in table:
            table[key] = new_table()
        table = table[key]
    if value is None:
        del table[name]
    else:
        table[name] = value
