"""Running a command for each event."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import signals
from ..errors import HookFailed, UsageError

if TYPE_CHECKING:
    from ..core.model import Event

_GRACE_S = 2.0
_PAUSE_S = 0.01
_LONGEST_PAUSE_S = 30.0


VARIABLES = {
    "SESSION_TYPE": "The type of the event: message, reaction, call …",
    "SESSION_ID": "The id of the message, or of that to which something happened; empty if there is none.",
    "SESSION_HASH": "The swarm's name for it, or its number on a community's server; empty if it has none.",
    "SESSION_DIRECTION": "incoming, or outgoing for what you did on another device.",
    "SESSION_CONVERSATION_TYPE": "contact, group, community, or self for notes to self.",
    "SESSION_CONVERSATION_ID": "The id of the other person, of the group, or your own, or a room's address; to answer: "
    'session send "$SESSION_CONVERSATION_ID" …',
    "SESSION_CONVERSATION_NAME": "The name shown for it; may be empty.",
    "SESSION_SENDER_ID": "The id of who wrote or did it, in a room the one that is seen there, unless it was you; "
    "empty where nobody can tell.",
    "SESSION_SENDER_NAME": "The name shown for them, which they may have chosen to mislead; may be empty.",
    "SESSION_TIMESTAMP": "When it was sent: RFC 3339, UTC.",
    "SESSION_TIMESTAMP_MS": "The same in milliseconds since 1970.",
    "SESSION_BODY": "The text of a message, without NULs; empty for other types.",
    "SESSION_EMOJI": "Of a reaction.",
    "SESSION_CHANGE": "Of a group_update: invited, added, removed …; of a community_update: renamed, closed …",
    "SESSION_REQUEST": "1 if it is from somebody whom you never wrote to, else 0.",
    "SESSION_FILES": "Where --download has saved its files, a path a line.",
    "SESSION_PROFILE": "The profile, so that session called by the command uses the same one.",
    "SESSION_NETWORK": "The network, if one was chosen.",
    "SESSION_PROXY": "The proxy, if there is one.",
}
"""What a command finds in its environment, and what it means."""


class Hook:
    """A command that is given each event: as JSON on its standard input, and its fields in `SESSION_*` variables.

    `command` is cut into words as a shell would, and run without one, unless `shell` is set. What it prints goes where
    our own output goes. It has failed when its exit status is not 0, or when it runs longer than `timeout_s`.
    """

    def __init__(self, command: str, *, shell: bool, timeout_s: float, environ: Mapping[str, str]) -> None:
        try:
            self._arguments = ["/bin/sh", "-c", command] if shell else shlex.split(command)
        except ValueError as error:
            raise UsageError(f"--exec can't be cut into words ({error}); --exec-shell hands it to a shell.") from None
        if not self._arguments:
            raise UsageError("--exec needs a command.")
        program, path = self._arguments[0], environ.get("PATH", os.defpath)
        if shutil.which(program, path=path) is None:
            if shutil.which(program, os.F_OK, path) is not None:
                raise UsageError(f"{program!r} may not be run by you; chmod +x lets --exec run it.")
            raise UsageError(f"There is no program {program!r} to run with --exec.")
        self._timeout_s = timeout_s
        self._environ = environ
        self._running: subprocess.Popen[bytes] | None = None

    def run(self, event: bytes, fields: Mapping[str, str]) -> None:
        """Run the command for one event. Raises HookFailed."""
        # No variable can hold a NUL. All are UTF-8, whatever the locale says.
        variables = {name: os.fsdecode(value.replace("\0", "").encode()) for name, value in fields.items()}
        try:
            # A signal between the start and the note of it would leave the command running.
            with signals.deferred():
                self._running = process = subprocess.Popen(
                    self._arguments,
                    stdin=subprocess.PIPE,
                    env={**self._environ, **variables},
                    start_new_session=True,  # so that what it starts can be ended with it
                )
                registered = signals.undo_when_killed(self._kill)
        except OSError as error:
            raise HookFailed(f"{self._arguments[0]!r} can't be run: {error.strerror}.") from None
        try:
            # A command that does not read its standard input is no failure; communicate() gets over that.
            process.communicate(event, timeout=self._timeout_s)
        except subprocess.TimeoutExpired:
            raise HookFailed(f"It did not end within {self._timeout_s:g} s.") from None
        finally:
            self._kill()
            self._running = None
            registered.close()
        if process.returncode < 0:
            raise HookFailed(f"It was ended by {_signal_name(-process.returncode)}.")
        if process.returncode:
            raise HookFailed(f"Its exit status was {process.returncode}.")

    def _kill(self) -> None:
        """End the command if it still runs, and with it all that it has started."""
        process = self._running
        if process is None or process.returncode is not None:
            return
        if os.name != "posix":
            process.kill()
            process.wait()
            return
        # Without Popen's ways to wait: this may be a signal that arrived in the midst of one, while it holds a lock.
        until = time.monotonic() + _GRACE_S
        _signal_group(process.pid, signal.SIGTERM)
        while _signal_group(process.pid, 0) and time.monotonic() < until:
            _reap(process, os.WNOHANG)
            time.sleep(_PAUSE_S)
        _signal_group(process.pid, signal.SIGKILL)
        _reap(process, 0)


def pause_before(attempt: int) -> None:
    """Wait before an attempt that follows a failed one (1, 2, …): longer each time."""
    time.sleep(min(_LONGEST_PAUSE_S, 2.0 ** (attempt - 1)))


def fields_of(event: Event, values: Mapping[str, Any]) -> dict[str, str]:
    """The variables for an event: its fields, as `--json` has them, under `SESSION_` and their name.

    Those of a message are those of the message to which something happened, where the event is no message itself.
    """
    message, place = event.message, event.conversation
    sender = event.sender if event.sender and not event.sender.is_shared else None
    paths = [file.saved for file in message.attachments if file.saved] if message else []
    return {
        "SESSION_TYPE": event.type,
        "SESSION_ID": str(message.id) if message else "",
        "SESSION_HASH": (message.hash or "") if message else "",
        "SESSION_DIRECTION": event.direction,
        "SESSION_CONVERSATION_TYPE": place.type if place else "",
        "SESSION_CONVERSATION_ID": place.id if place else "",
        "SESSION_CONVERSATION_NAME": (place.name or "") if place else "",
        "SESSION_SENDER_ID": sender.id if sender else "",
        "SESSION_SENDER_NAME": (sender.name or "") if sender else "",
        "SESSION_TIMESTAMP": str(values["timestamp"]),
        "SESSION_TIMESTAMP_MS": str(event.timestamp_ms),
        "SESSION_BODY": message.body if message and event.type == "message" else "",
        "SESSION_EMOJI": str(event.content.get("emoji", "")),
        "SESSION_CHANGE": str(event.content.get("change", "")),
        "SESSION_REQUEST": "1" if message and message.request else "0",
        "SESSION_FILES": "\n".join(path for path in paths if Path(path).exists()),
    }


def _reap(process: subprocess.Popen[bytes], options: int) -> None:
    if process.returncode is None:
        with suppress(ChildProcessError):
            ended, status = os.waitpid(process.pid, options)
            if ended:
                process.returncode = os.waitstatus_to_exitcode(status)


def _signal_group(leader: int, number: int) -> bool:
    """Send a signal to a process and all that belong to its group; False if there is nobody left."""
    try:
        os.killpg(leader, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        return False  # only others' processes are left, as after sudo
    return True


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
