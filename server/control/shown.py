"""What a command prints, made by the server, so that the command itself has next to nothing to import.

A status takes 0.1 s of imports to understand, and none to pass on: `GET /shown/status` gives what stands on standard
output and standard error, and the exit code.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from server.control.server_operations import DsReport, ReloadReport, ServerStatus


class Look(msgspec.Struct, frozen=True):
    """How it is to look."""

    columns: int | None = None
    """Of the terminal; `None`: there is none, and no line is broken."""
    colour: bool = False
    as_json: bool = False
    """For programs; all else says nothing then."""
    options: str = ""
    """What follows each command that is shown, so that it can be pasted: " --state /var/lib/signwright"."""
    zone: str | None = None
    """Its name, where only one is to be shown."""


class Shown(msgspec.Struct, frozen=True):
    """What to print, and how to end."""

    out: str
    err: str = ""
    exit: int = 0


class Screens(Protocol):
    """Makes it; no method takes longer than the report is long."""

    def status(self, status: ServerStatus, look: Look) -> Shown:
        """Of `signwright status`."""

    def ds(self, report: DsReport, look: Look, now: int) -> Shown:
        """Of `signwright ds`; `now` in seconds since the epoch."""

    def reload(self, report: ReloadReport, look: Look) -> Shown:
        """Of `signwright reload`."""
