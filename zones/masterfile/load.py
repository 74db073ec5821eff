"""From a master file (RFC 1035 §5) to a compiled zone; every error names the file, the line and the reason."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import dns.exception
import dns.name

from zones import names
from zones.build_zone import build_zone
from zones.denial import DenialMode
from zones.masterfile.master_file_reader import Progress, Reader, Reading, Recovery, with_newlines
from zones.masterfile.reading_limits import DEFAULT_LIMITS, LimitError, ReadingLimits
from zones.masterfile.regular_files import is_below, open_regular, real_path
from zones.masterfile.warnings import ZoneWarning
from zones.masterfile.zone_rules import Gathering, LenientGathering, ZoneFileError
from zones.zone import Zone

__all__ = [
    "LimitError",
    "Progress",
    "ReadingLimits",
    "Warned",
    "ZoneFileError",
    "ZoneWarning",
    "load_zone",
    "parse_zone",
]

_UNSHOWN = (
    "is invalid; nothing of the text is shown, as the file is a link out of its folder: "
    "run signwright check on the file itself, or add its folder to zone_files.include_folders"
)

Warned = Callable[[Sequence[ZoneWarning]], None]
"""Called once for a valid zone, with its warnings."""


def load_zone(
    path: Path,
    origin: str,
    *,
    signed: bool = True,
    denial: DenialMode = DenialMode.COMPACT,
    progress: Progress | None = None,
    read: Callable[[str, bytes], None] | None = None,
    warned: Warned | None = None,
    plain: bool = True,
    lenient: bool = False,
    limits: ReadingLimits = DEFAULT_LIMITS,
) -> Zone:
    """Read the zone `origin` from the master file at `path`. Raises `ZoneFileError`, as `LimitError` beyond `limits`.

    `progress` is called about each 64 KiB. `read` is called with the path and the octets of each file that is read.
    Warnings are looked for where `warned` wants to know (`zones.masterfile.warnings`). Without `plain`, dnspython reads
    every line, which gives the same. With `lenient`, as a server loads zones, records that are no longer valid are left
    out with a warning (`zones.masterfile.formerly_valid`).
    """
    reading = Reading(str(path), path.parent, progress, read, plain=plain, limits=limits)
    source, is_shown = _source_of(path, reading)
    try:
        return _compile(source, origin, reading, warned, signed=signed, denial=denial, lenient=lenient)
    except ZoneFileError as error:
        if is_shown or isinstance(error, LimitError) or error.file != str(path):
            raise
        raise ZoneFileError(error.file, error.line, _UNSHOWN) from None


def _source_of(path: Path, reading: Reading) -> tuple[bytes, bool]:
    """The text of the zone file, and whether errors may show any of it. Raises `ZoneFileError`."""
    try:
        with open_regular(path) as file:
            source = reading.take(file, str(path), (str(path), 0))
        is_shown = is_below(real_path(path), reading.folders)
    except OSError as error:
        raise ZoneFileError(str(path), 0, f"cannot be read: {error.strerror}", "unreadable") from None
    except ValueError as error:  # a path that no file can have
        raise ZoneFileError(str(path), 0, f"cannot be read: {error}", "unreadable") from None
    return with_newlines(source.removeprefix(b"\xef\xbb\xbf")), is_shown


class FaultTaker(Recovery, Protocol):
    """Takes all that is wrong with a zone file."""

    def read(self, path: str, octets: bytes) -> None:
        """Told the path and the octets of each file that is read."""

    def warn(self, warnings: Sequence[ZoneWarning]) -> None:
        """Called once, with the warnings of the zone."""

    def has_errors(self) -> bool:
        """Whether there are errors by now."""


def read_zone(
    path: Path,
    origin: str,
    found: FaultTaker,
    *,
    signed: bool,
    denial: DenialMode,
    progress: Progress | None,
    limits: ReadingLimits,
) -> Zone | None:
    """As `load_zone`, but `found` takes all errors and warnings; None where there are errors.

    Raises `ZoneFileError` for one behind which nothing can be read.
    """
    reading = Reading(str(path), path.parent, progress, found.read, plain=True, limits=limits)
    source, is_shown = _source_of(path, reading)
    if not is_shown:
        return load_zone(
            path, origin, signed=signed, denial=denial, progress=progress, warned=found.warn, limits=limits
        )
    apex = _apex(origin, reading)
    wire_origin = names.from_dnspython(apex)
    gathering = LenientGathering(wire_origin, found.take, signed=signed)
    with _without_cycles():
        try:
            Reader(source, apex, reading, gathering, found).read_all()
        except ZoneFileError as error:
            found.take(error)  # what was read is judged all the same, not what is missing
            found.lose(None, "")
        gathering.check_all(reading.file)
        found.warn(gathering.warnings())
        if found.has_errors():
            return None
        return build_zone(wire_origin, gathering.rrsets(), signed=signed, denial=denial)


def parse_zone(
    text: str,
    origin: str,
    *,
    file: str = "<text>",
    signed: bool = True,
    denial: DenialMode = DenialMode.COMPACT,
    warned: Warned | None = None,
    plain: bool = True,
    lenient: bool = False,
    limits: ReadingLimits = DEFAULT_LIMITS,
) -> Zone:
    """As `load_zone`, from the text of a master file; `file` is what errors call it. Raises `ZoneFileError`."""
    # Surrogates are not characters: they are rejected with their line, as in a file.
    source = text.encode("utf-8", "surrogatepass")
    reading = Reading(file, None, plain=plain, limits=limits)
    return _compile(source, origin, reading, warned, signed=signed, denial=denial, lenient=lenient)


def _compile(
    source: bytes,
    origin: str,
    reading: Reading,
    warned: Warned | None,
    *,
    signed: bool,
    denial: DenialMode,
    lenient: bool,
) -> Zone:
    apex = _apex(origin, reading)
    wire_origin = names.from_dnspython(apex)
    gathering = Gathering(wire_origin, signed=signed, lenient=lenient)
    with _without_cycles():
        Reader(source, apex, reading, gathering).read_all()
        gathering.check(reading.file)
        warnings = gathering.warnings() if warned is not None else []
        zone = build_zone(wire_origin, gathering.rrsets(), signed=signed, denial=denial)
    if warned is not None:
        warned(warnings)
    return zone


def _apex(origin: str, reading: Reading) -> dns.name.Name:
    try:
        return dns.name.from_text(origin)
    except dns.exception.DNSException as error:
        raise ZoneFileError(reading.file, 0, f"invalid origin {origin!r}: {error}") from None


@contextmanager
def _without_cycles() -> Iterator[None]:
    """Nothing made here is garbage in a cycle, and to look for such takes 2.3 s of 7 for a zone of a million RRsets."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
