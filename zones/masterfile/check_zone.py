"""All that is wrong with a zone file and with what it includes, where loading it ends with the first error.

What only follows from an error is left out: of records whose owner, origin or TTL could not be read nothing is judged,
and no record is missed where one could not be read. The limits of reading hold, and it takes linear time.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from zones.denial import DenialMode
from zones.masterfile.found_faults import FoundFaults
from zones.masterfile.line_warnings import LineWarnings
from zones.masterfile.load import Progress, read_zone
from zones.masterfile.reading_limits import DEFAULT_LIMITS, ReadingLimits
from zones.masterfile.warnings import ON_WHAT_IS_MISSING, ZoneWarning
from zones.masterfile.zone_rules import ZoneFileError
from zones.zone import Zone


class CheckedZone(NamedTuple):
    """What was found."""

    zone: Zone | None
    """None where there are errors."""
    errors: FoundFaults
    warnings: FoundFaults


def check_zone(
    path: Path,
    origin: str,
    *,
    signed: bool = True,
    denial: DenialMode = DenialMode.COMPACT,
    progress: Progress | None = None,
    limits: ReadingLimits = DEFAULT_LIMITS,
) -> CheckedZone:
    """Check the zone `origin` in the master file at `path`; the arguments are those of `zones.masterfile.load`."""
    found = _Found(str(path))
    try:
        zone = read_zone(
            path,
            origin,
            found,
            signed=signed,
            denial=denial,
            progress=progress,
            limits=limits,
        )
    except ZoneFileError as error:
        found.take(error)
        zone = None
    return CheckedZone(None if found.errors else zone, found.errors, found.warnings)


class _Found:
    """As `zones.masterfile.load.FaultTaker`."""

    def __init__(self, file: str) -> None:
        self.errors = FoundFaults("error")
        self.warnings = FoundFaults("warning")
        self._lines = LineWarnings(file, self.errors, self.warnings)
        self._lost_owners: set[bytes] = set()
        self._lost_types: set[str] = set()
        self._is_owner_lost = False
        self._last: ZoneFileError | None = None

    def wants(self, file: str, line: int) -> bool:
        """As `Recovery.wants`."""
        return self.errors.wants(file, line)

    def take(self, error: ZoneFileError) -> None:
        """As `Recovery.take`."""
        if error is self._last:
            return
        self._last = error
        if error.code in ("no-soa", "no-ns") and (
            self._is_owner_lost or error.code.removeprefix("no-").upper() in self._lost_types
        ):
            return  # it stands where something could not be read
        self.errors.take(error.file, error.line, error.code, error.reason)

    def lose(self, owner: bytes | None, word: str) -> None:
        """As `Recovery.lose`."""
        if word != "$TTL":
            self._lost_types.add(word)
            if owner is not None:
                self._lost_owners.add(owner)
            else:
                self._is_owner_lost = True

    def read(self, path: str, octets: bytes) -> None:
        """Look at a file that is read."""
        self._lines.look_at(path, octets)

    def has_errors(self) -> bool:
        """As `FaultTaker.has_errors`."""
        return bool(self.errors)

    def warn(self, warnings: Sequence[ZoneWarning]) -> None:
        """Take the warnings about records."""
        for warning in warnings:
            is_void = self._is_owner_lost and warning.kind in ON_WHAT_IS_MISSING
            if is_void or (warning.other in self._lost_owners and warning.other != warning.owner):
                continue
            reason = warning.reason if self.warnings.wants(warning.file, warning.line) else ""
            self.warnings.take(warning.file, warning.line, warning.kind.name.lower().replace("_", "-"), reason)
