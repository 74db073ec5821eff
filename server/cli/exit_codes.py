"""How each declared failure ends the program: one sentence on stderr and an exit code. Bugs keep their traceback."""

from __future__ import annotations

import enum
from collections.abc import Iterator


class Exit(enum.IntEnum):
    """Exit codes."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    """As click has it."""
    ADDRESS = 3
    ZONE_FILE = 4
    CONFIGURATION = 5
    STATE = 6
    NOTHING_TO_SERVE = 7
    KMS = 8


_EXITS: dict[str, Exit] = {
    "server.net.listen.PortInUse": Exit.ADDRESS,
    "server.net.listen.CannotListen": Exit.ADDRESS,
    "server.net.passed_sockets.PassedSocketError": Exit.CONFIGURATION,
    "zones.masterfile.zone_rules.ZoneFileError": Exit.ZONE_FILE,
    "server.settings.zone_arguments.NoZoneFile": Exit.ZONE_FILE,
    "server.settings.schema.ConfigError": Exit.CONFIGURATION,
    "server.privileges.CannotBecomeUser": Exit.CONFIGURATION,
    "keys.custody.state_files.StateError": Exit.STATE,
    "keys.emulator.keystore.KeystoreError": Exit.STATE,
    "keys.emulator.aws_files.CredentialsFileError": Exit.STATE,
    "keys.kms.kms_errors.KmsError": Exit.KMS,
    "server.control.socket_http.ControlError": Exit.FAILED,
    "server.worker.pool.WorkerFailed": Exit.FAILED,
    "builtins.OSError": Exit.FAILED,
}
"""By the names of exceptions: to import them all takes a second, and what was raised is imported."""
_NOTHING_TO_SERVE = "server.start.first_load.NothingToServe"


def alone(error: Exception) -> Exception:
    """What went wrong alone, out of the groups that nurseries put around it."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def exit_of(error: Exception) -> Exit | None:
    """The exit code of a declared failure; `None` for anything else, which is a bug."""
    kinds = _kinds(error)
    if _NOTHING_TO_SERVE in kinds:
        return Exit.ZONE_FILE if error.loads else Exit.NOTHING_TO_SERVE  # type: ignore[attr-defined]
    return next((code for kind, code in _EXITS.items() if kind in kinds), None)


def sentences(error: Exception) -> Iterator[str]:
    """What to say of it."""
    kinds = _kinds(error)
    if _NOTHING_TO_SERVE in kinds and error.loads:  # type: ignore[attr-defined]
        yield from (load.reason for load in error.loads if load.reason)  # type: ignore[attr-defined]
        yield "no zone can be served"
    elif _NOTHING_TO_SERVE in kinds:
        yield f"{error}: name zone files, or add [[zones]] to the configuration"
    elif isinstance(error, OSError):
        yield f"{error.filename}: {error.strerror}" if error.filename else str(error)
    else:
        yield str(error)


def _kinds(error: Exception) -> set[str]:
    """The names of its class and of those that it is derived from."""
    return {f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__}
