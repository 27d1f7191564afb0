"""The examination: one check after the other, each on its own, none of which changes anything.

    for finding in examine(Subject("default")):
        print(finding.check, finding.status, finding.message, finding.advice)

The rooms: `machine` (versions, locale, environment), `files` (folders, disk, leftovers, locks), `account` (profile,
key, store), `ways` (proxy, nodes, clock).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ...errors import SessionError
from . import account, files, machine
from .findings import Check, Finding, Status, Subject, problem, warning

__all__ = ["Finding", "Status", "Subject", "examine"]

CHECKS: tuple[tuple[str, Check], ...] = (
    ("versions", machine.check_versions),
    ("locale", machine.check_locale),
    ("environment", machine.check_environment),
    ("config", machine.check_configuration),
    ("profile", account.check_profile),
    ("permissions", files.check_permissions),
    ("place", files.check_place),
    ("disk", files.check_disk),
    ("key", account.check_key),
    ("store", account.check_store),
    ("deliveries", account.check_deliveries),
    ("communities", account.check_communities),
    ("leftovers", files.check_leftovers),
    ("locks", files.check_locks),
    ("notifications", machine.check_notifications),
)


def _online_checks(subject: Subject) -> tuple[tuple[str, Check], ...]:
    if subject.unknown_settings:
        return (("network", _leave_out),)
    # Not before: an examination that stays on this machine need not load an HTTP library.
    from . import ways

    return (
        ("network", ways.check_definition),
        ("proxy", ways.check_proxy),
        ("guards", ways.check_guards),
        ("seeds", ways.check_seeds),
        ("clock", ways.check_clock),
    )


def _leave_out(subject: Subject) -> Iterator[Finding]:
    """Why nobody is asked: without its proxy, for one, this machine would show its own address."""
    yield warning(
        f"Nobody was asked: what the configuration file says of {', '.join(subject.unknown_settings)} can't be told, "
        "and a guess could show this machine's address.",
        "Correct the file first, or give each of these as an option.",
    )


def examine(subject: Subject, *, offline: bool = False) -> Iterator[Finding]:
    """Everything that can be found, as it is found. No trouble stops it. With `offline` nobody is asked.

    Nothing is written: the store is not brought up to date, no file's mode is changed, and what the network says is
    forgotten again.
    """
    try:
        for name, check in CHECKS if offline else (*CHECKS, *_online_checks(subject)):
            for finding in _surely(check, subject):
                yield replace(finding, check=name)
    finally:
        subject.close()


def _surely(check: Check, subject: Subject) -> Iterator[Finding]:
    """What a check finds, its own failure included."""
    try:
        yield from check(subject)
    except SessionError as error:
        yield problem(error.message, "See what the message says; the other checks may tell why.")
    except OSError as error:
        place = f" {error.filename}" if error.filename else ""
        yield problem(f"Can't look at{place or ' it'}: {error.strerror or type(error).__name__}.", "Check who owns it.")
    except Exception as error:  # noqa: BLE001 - one broken check must not hide what the others find
        yield problem(f"This check itself failed ({type(error).__name__}).", "This is a bug in session: report it.")
