"""Which exit code belongs to which error: the numbers of sysexits.h, and 1 for a negative or partial answer."""

from __future__ import annotations

from enum import IntEnum

from .. import errors


class ExitCode(IntEnum):
    """What `session` tells its caller. Codes not named here mean failure."""

    OK = 0
    NEGATIVE = 1
    USAGE = 2
    DATA = 65
    NO_INPUT = 66
    REFUSED = 69
    BUG = 70
    CANT_CREATE = 73
    IO = 74
    TEMPORARY = 75
    NO_PERMISSION = 77
    NOT_CONFIGURED = 78
    INTERRUPTED = 130
    TERMINATED = 143


_CODES: tuple[tuple[type[errors.SessionError], ExitCode], ...] = (
    # The first class that fits counts, so subclasses stand before their parents.
    (errors.UsageError, ExitCode.USAGE),
    (errors.UnreadableInput, ExitCode.NO_INPUT),
    (errors.InvalidNetworkDefinition, ExitCode.NOT_CONFIGURED),
    (errors.InvalidConfig, ExitCode.NOT_CONFIGURED),
    (errors.InvalidInput, ExitCode.DATA),
    (errors.ProtocolError, ExitCode.DATA),
    (errors.NetworkError, ExitCode.TEMPORARY),
    (errors.NoPermission, ExitCode.NO_PERMISSION),
    (errors.ServiceRefused, ExitCode.REFUSED),
    (errors.NotificationFailed, ExitCode.TEMPORARY),
    (errors.HookFailed, ExitCode.NEGATIVE),
    (errors.ProgramMissing, ExitCode.REFUSED),
    (errors.NotConfigured, ExitCode.NOT_CONFIGURED),
    (errors.WrongNetwork, ExitCode.NOT_CONFIGURED),
    (errors.ProfileExists, ExitCode.CANT_CREATE),
    (errors.CannotCreate, ExitCode.CANT_CREATE),
    (errors.WrongKey, ExitCode.NO_PERMISSION),
    (errors.NotAdmin, ExitCode.NO_PERMISSION),
    (errors.KeySourceFailed, ExitCode.NO_PERMISSION),
    (errors.StoreDamaged, ExitCode.DATA),
    (errors.StoreTooNew, ExitCode.NOT_CONFIGURED),
    (errors.StoreLocked, ExitCode.TEMPORARY),
    (errors.StoreUnwritable, ExitCode.IO),
    (errors.StoreError, ExitCode.IO),
)


def exit_code_of(error: errors.SessionError) -> ExitCode:
    """The exit code for one of our errors."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), ExitCode.BUG)
