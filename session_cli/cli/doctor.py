"""`doctor`: what is wrong with this installation, and what to do about it."""

from __future__ import annotations

import shutil
import sys
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated

import typer

from .context import App
from .exit_codes import ExitCode
from .json_output import json_object
from .output import Painter
from .settings import DIRECT, NETWORK, PROFILE, PROXY
from .text import counted, harmless
from .typer_app import single_command

if TYPE_CHECKING:
    from ..core.doctor import Finding, Status, Subject

_NAME_WIDTH = len("notifications")
_WAY = (PROFILE, NETWORK, PROXY, DIRECT)
"""The settings that decide who is asked, and from which address."""
_INDENT = " " * (2 + _NAME_WIDTH + 2)


def doctor(
    ctx: typer.Context,
    offline: Annotated[bool, typer.Option("--offline", help="Ask nobody: leave the network out.")] = False,
) -> int:
    """Check this installation, and say what to do about what is wrong.

    Looked at are versions, environment, configuration, files, key, store, locks, and the way into the network: the
    proxy, the guards in use, a seed and the clock. Nothing is changed. A passphrase is asked for as by any command;
    --no-input leaves the store closed instead. Exits with 1 if there is a problem; warnings are none. With --quiet
    only problems and warnings are shown, so that cron says nothing while all is well.
    """
    from ..core.doctor import Status, examine

    app: App = ctx.obj
    subject = _subject(app)
    if not offline:
        app.listen()
    painter, width = app.painter(), _width()
    count = dict.fromkeys(Status, 0)
    for finding in examine(subject, offline=offline):
        count[finding.status] += 1
        if app.quiet and finding.status not in (Status.PROBLEM, Status.WARNING):
            continue
        if app.json:
            app.emit_json(
                json_object(
                    "doctor_check",
                    check=finding.check,
                    status=str(finding.status),
                    message=finding.message,
                    advice=finding.advice,
                )
            )
        else:
            app.emit(_finding_text(finding, painter, width))
    if not app.json and not app.quiet:
        app.emit(_summary(count[Status.PROBLEM], count[Status.WARNING], painter))
    return ExitCode.NEGATIVE if count[Status.PROBLEM] else ExitCode.OK


def _subject(app: App) -> Subject:
    """What is to be examined, whatever state the configuration file is in: that is looked at, too."""
    from ..core.doctor import Subject
    from .manual import ENVIRONMENT

    problems, unknown = app.forgive_config(_WAY)
    profile, network, proxy = app.profile_name, app.network_name, app.proxy_url
    return Subject(
        profile,
        environ=app.environ,
        network_reference=network,
        proxy=proxy,
        direct=app.direct,
        timeout=app.timeout,
        prompt=app.passphrase_prompt(),
        variables=tuple(ENVIRONMENT),
        configuration_problems=tuple(problems),
        unknown_settings=tuple(unknown),
    )


def _width() -> int | None:
    """The terminal's columns; None where lines need not fit into any."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _finding_text(finding: Finding, painter: Painter, width: int | None) -> str:
    mark = _mark(finding.status, painter)
    lines = _folded(harmless(finding.message), width)
    text = f"{mark} {finding.check:<{_NAME_WIDTH}}  " + f"\n{_INDENT}".join(lines)
    if finding.advice:
        text += f"\n{_INDENT}" + f"\n{_INDENT}".join(_folded("→ " + harmless(finding.advice), width))
    return text


def _folded(text: str, width: int | None) -> list[str]:
    if width is None:
        return [text]
    # A command that is to be copied must not be broken at its hyphens.
    room = max(20, width - len(_INDENT))
    return wrap(text, room, break_on_hyphens=False, break_long_words=False) or [""]


def _mark(status: Status, painter: Painter) -> str:
    return {
        "ok": painter.good("✓"),
        "info": painter.dim("·"),
        "warning": painter.warning("!"),
        "problem": painter.error("✗"),
    }[status]


def _summary(problems: int, warnings: int, painter: Painter) -> str:
    if problems:
        return painter.error(f"{counted(problems, 'problem')}, {counted(warnings, 'warning')}.")
    return painter.warning(f"No problem, {counted(warnings, 'warning')}.") if warnings else painter.good("All is well.")


commands = {"doctor": single_command("doctor", doctor)}
