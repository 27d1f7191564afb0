"""What the machine offers: versions, the locale, the environment, the configuration file, notifications."""

from __future__ import annotations

import locale
import platform
import re
import ssl
import sys
from collections.abc import Iterator
from importlib import metadata

from ... import __version__
from ...errors import NotificationFailed
from .findings import Finding, Subject, info, ok, problem, warning

DISTRIBUTION = "session-shell"
_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(?:\[[^]]*\])?\s*(?P<limits>[^;]*)(?:;(?P<marker>.*))?")
_SYSTEM = re.compile(r"sys_platform == ['\"](\w+)['\"]")
_LIMIT = re.compile(r"(>=|<|==|!=|>|<=|~=)\s*([0-9][0-9.]*)")
_PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_OLD_OPENSSL = (3, 0)


# Versions.


def check_versions(subject: Subject) -> Iterator[Finding]:
    """The program and what it stands on, against what the package asks for."""
    from ...store.database import library_versions

    sqlite, cipher = library_versions()
    shown = f"SQLite {sqlite}" + (f" with Multiple Ciphers {cipher}" if cipher else "")
    pynacl = _installed("pynacl")
    libsodium = f", PyNaCl {pynacl}" if pynacl else ""
    yield ok(
        f"session {__version__}, Python {platform.python_version()}, {shown}{libsodium}, "
        f"{' '.join(ssl.OPENSSL_VERSION.split()[:2])}."
    )
    if not cipher:
        yield problem(
            "The database library has no encryption: it is apsw, not apsw-sqlite3mc.",
            "pip uninstall apsw; pip install --force-reinstall apsw-sqlite3mc",
        )
    if ssl.OPENSSL_VERSION_INFO[:2] < _OLD_OPENSSL:
        yield warning(
            f"{ssl.OPENSSL_VERSION} is no longer maintained.", "Upgrade Python, or the system's OpenSSL that it uses."
        )
    yield from check_requirements(metadata.requires(DISTRIBUTION) or [])


def check_requirements(requirements: list[str]) -> Iterator[Finding]:
    """Installed packages against requirements as the package's metadata have them.

    Those of extras and of other systems are passed over.
    """
    for requirement in requirements:
        found = _REQUIREMENT.match(requirement)
        if found is None or not _applies(found["marker"] or ""):
            continue
        name, limits = found["name"], found["limits"].strip()
        version = _installed(name)
        if version is None:
            yield problem(f"{name} is not installed.", f"Install it: pip install '{name}{limits}'")
        elif not _fits(version, limits):
            yield warning(
                f"{name} {version} is not what session was made for ({limits}).", f"pip install '{name}{limits}'"
            )


def _applies(marker: str) -> bool:
    """Whether a requirement is this installation's, by `extra` and `sys_platform`, the only markers that it has."""
    system = _SYSTEM.search(marker)
    return "extra ==" not in marker and (system is None or system[1] == sys.platform)


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _fits(version: str, limits: str) -> bool:
    """Whether a version lies within `>=` and `<`, the only limits that this package sets."""
    own = _numbers(version)
    for relation, limit in _LIMIT.findall(limits):
        if (relation == ">=" and own < _numbers(limit)) or (relation == "<" and own >= _numbers(limit)):
            return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    leading = re.match(r"[0-9]+(?:\.[0-9]+)*", version)
    numbers = [int(part) for part in leading[0].split(".")] if leading else []
    while numbers and not numbers[-1]:
        numbers.pop()  # 29.0 is 29
    return tuple(numbers)


# The locale and the environment.


def check_locale(subject: Subject) -> Iterator[Finding]:
    """Whether names and messages can be typed and shown."""
    yield from check_encodings(locale.getencoding(), sys.getfilesystemencoding())


def check_encodings(terminal: str, file_names: str) -> Iterator[Finding]:
    """What the locale, and Python, take texts and file names to be encoded in."""
    if not _is_utf8(terminal):
        yield warning(
            f"The locale's encoding is {terminal}; session reads and writes UTF-8 whatever the locale says.",
            "Set a UTF-8 locale, such as LANG=C.UTF-8, or other letters than ASCII's will look wrong.",
        )
    elif not _is_utf8(file_names):
        yield warning(f"File names are encoded in {file_names}.", "Set a UTF-8 locale, such as LANG=C.UTF-8.")
    else:
        yield ok("Texts and file names are UTF-8.")


def _is_utf8(encoding: str) -> bool:
    return encoding.lower().replace("-", "").replace("_", "") == "utf8"


def check_environment(subject: Subject) -> Iterator[Finding]:
    """Variables that are set and matter, by name: a value can be a secret."""
    environ = subject.environ
    known = [name for name in subject.variables if environ.get(name)]
    yield info(f"Set: {', '.join(known)}.") if known else ok("No variable of session's is set.")
    yield from _misspelt(subject)
    if environ.get("SESSION_PASSPHRASE"):
        yield warning(
            "SESSION_PASSPHRASE is set: other programs of the same user can read it.",
            "Use SESSION_PASSPHRASE_FILE or SESSION_PASSPHRASE_COMMAND in its place.",
        )
    if subject.proxy is None:
        ignored = [name for name in _PROXY_VARIABLES if environ.get(name) or environ.get(name.lower())]
        if ignored:
            yield warning(
                f"{', '.join(ignored)} means nothing to session, which connects to guards without a proxy.",
                "If it shall use one: --proxy URL, or SESSION_PROXY=URL",
            )


def _misspelt(subject: Subject) -> Iterator[Finding]:
    from difflib import get_close_matches

    for name in sorted(subject.environ):
        if name.startswith("SESSION") and name not in subject.variables:
            similar = get_close_matches(name, subject.variables, 1, 0.85)
            if similar:
                yield warning(f"{name} is set, but means nothing to session.", f"Did you mean {similar[0]}?")


def check_configuration(subject: Subject) -> Iterator[Finding]:
    """Whether the settings make sense."""
    path = subject.locations.config / "config.toml"
    for text in subject.configuration_problems:
        yield problem(text, "Correct it: session config unset NAME, or with an editor. All other commands fail.")
    if not subject.configuration_problems:
        yield ok(f"{path} is fine." if path.exists() else f"There is no {path}: the defaults hold.")


# Notifications.


def check_notifications(subject: Subject) -> Iterator[Finding]:
    """Whether a desktop notification could be shown."""
    from ...network.desktop import server_name

    try:
        yield ok(f"Desktop notifications are shown by {server_name(subject.environ)}.")
    except NotificationFailed as error:
        yield info(f"No desktop notifications: {error.message}")
