"""How each declared failure ends the program: one sentence on stderr and an exit code. Bugs keep their traceback."""

from __future__ import annotations

import enum
from collections.abc import Iterator

from keys.custody.zsk_encryption import StateError
from keys.emulator.aws_files import CredentialsFileError
from keys.emulator.keystore import KeystoreError
from keys.kms.kms_errors import KmsError
from server.app import NothingToServe
from server.control.control_client import ControlError
from server.net.listen import CannotListen, PortInUse
from server.privileges import CannotBecomeUser
from server.settings.configuration import ConfigError
from server.settings.zone_arguments import NoZoneFile
from server.worker.pool import WorkerFailed
from zones.masterfile.load import ZoneFileError


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


_EXITS: tuple[tuple[type[Exception], Exit], ...] = (
    (PortInUse, Exit.ADDRESS),
    (CannotListen, Exit.ADDRESS),
    (ZoneFileError, Exit.ZONE_FILE),
    (NoZoneFile, Exit.ZONE_FILE),
    (ConfigError, Exit.CONFIGURATION),
    (CannotBecomeUser, Exit.CONFIGURATION),
    (StateError, Exit.STATE),
    (KeystoreError, Exit.STATE),
    (CredentialsFileError, Exit.STATE),
    (KmsError, Exit.KMS),
    (ControlError, Exit.FAILED),
    (WorkerFailed, Exit.FAILED),
    (OSError, Exit.FAILED),
)


def alone(error: Exception) -> Exception:
    """What went wrong alone, out of the groups that nurseries put around it."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def exit_of(error: Exception) -> Exit | None:
    """The exit code of a declared failure; `None` for anything else, which is a bug."""
    if isinstance(error, NothingToServe):
        return Exit.ZONE_FILE if error.loads else Exit.NOTHING_TO_SERVE
    return next((code for kind, code in _EXITS if isinstance(error, kind)), None)


def sentences(error: Exception) -> Iterator[str]:
    """What to say of it."""
    if isinstance(error, NothingToServe) and error.loads:
        yield from (load.reason for load in error.loads if load.reason)
        yield "no zone can be served"
    elif isinstance(error, NothingToServe):
        yield f"{error}: name zone files, or add [[zones]] to the configuration"
    elif isinstance(error, OSError) and not isinstance(error, ControlError):
        yield f"{error.filename}: {error.strerror}" if error.filename else str(error)
    else:
        yield str(error)
