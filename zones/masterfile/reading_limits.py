"""Limits for reading a zone file: the machine's owner may not trust the person who wrote it.

A line can ask for 2,000,000,000 records, or for a file that includes itself twice. Each bound is above what real zones
need, and can be raised.
"""

from __future__ import annotations

import msgspec

from zones.masterfile.zone_rules import ZoneFileError

LONGEST_RECORD = 0x100000
"""Octets of text of one record: each octet of rdata may be written as an escape of four."""
LONGEST_NAME = 1024
"""Characters of a domain name as text, in which each octet may be an escape of four."""
LONGEST_WORD = 64
"""Characters of a TTL, class, type or range."""
LONGEST_TEMPLATE = 4096
"""Characters of an owner or rdata in $GENERATE, and of the name of an included file."""


class ReadingLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds on one zone file with all that it includes."""

    folders: tuple[str, ...] = ()
    """Absolute paths of folders whose files may be included, beside those below the folder of the zone file."""
    includes: int = 10_000
    """Files that are included, each as often as it is."""
    depth: int = 8
    """Files that are open at a time, but for the zone file."""
    octets: int = 1 << 30
    """Of all files together, each as often as it is read."""
    generated: int = 1_000_000
    """Records that all $GENERATE together make."""
    unplain: int | None = None
    """Octets of lines that aren't plain (`simple_lines`), each of which costs as much as thirty that are."""


DEFAULT_LIMITS = ReadingLimits()


class LimitError(ZoneFileError):
    """A zone file that takes more than a bound allows."""

    code = "limit"


class Consumption:
    """What was taken so far. Each method raises `LimitError` for what would exceed a bound."""

    def __init__(self, limits: ReadingLimits) -> None:
        self.limits = limits
        self.octets = self.includes = self.generated = self._unplain = 0

    def take_file(self, place: tuple[str, int], octets: int) -> None:
        """A file of so many octets is to be read."""
        self.octets += octets
        if self.octets > (most := self.limits.octets):
            raise LimitError(*place, f"the zone's files have more than {most} octets; allow more by zone_files.octets")

    def take_include(self, place: tuple[str, int], depth: int) -> None:
        """A file is to be included, with which so many are open beside the zone file."""
        limits = self.limits
        if depth > limits.depth:
            reason = f"$INCLUDE within $INCLUDE, more than {limits.depth} deep; allow more by zone_files.include_depth"
            raise LimitError(*place, reason)
        self.includes += 1
        if self.includes > limits.includes:
            raise LimitError(
                *place, f"more than {limits.includes} files are included; allow more by zone_files.includes"
            )

    def take_generated(self, place: tuple[str, int], records: int) -> None:
        """So many records are to be made by one $GENERATE."""
        self.generated += records
        if self.generated > (most := self.limits.generated):
            raise LimitError(*place, f"$GENERATE makes more than {most} records; allow more by zone_files.generated")

    def take_unplain(self, file: str, octets: int) -> None:
        """So many octets of lines that aren't plain were read."""
        self._unplain += octets
        if self.limits.unplain is not None and self._unplain > self.limits.unplain:
            raise LimitError(file, 0, f"more than {self.limits.unplain} octets of lines that take long to read")
