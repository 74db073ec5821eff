"""From a master file (RFC 1035 §5) to a compiled zone; every error names the file, the line and the reason."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.exception
import dns.name

from zones import names
from zones.build import build_zone
from zones.masterfile import Progress, Reader, Reading, with_newlines
from zones.validate import Gathering, ZoneFileError
from zones.zone import Denial, Zone

__all__ = ["Progress", "ZoneFileError", "load_zone", "parse_zone"]


def load_zone(
    path: Path,
    origin: str,
    *,
    signed: bool = True,
    denial: Denial = Denial.COMPACT,
    progress: Progress | None = None,
    read: Callable[[str, bytes], None] | None = None,
    plain: bool = True,
) -> Zone:
    """Read the zone `origin` from the master file at `path`. Raises `ZoneFileError`.

    `progress` is called about each 64 KiB. `read` is called with the path and the octets of each file that is read.
    Without `plain`, dnspython reads every line, which gives the same.
    """
    try:
        source = path.read_bytes()
    except OSError as error:
        raise ZoneFileError(str(path), 0, f"cannot be read: {error.strerror}") from None
    if read is not None:
        read(str(path), source)
    source = source.removeprefix(b"\xef\xbb\xbf")
    reading = Reading(str(path), path.parent, progress, read, plain=plain)
    return _compile(with_newlines(source), origin, reading, signed=signed, denial=denial)


def parse_zone(
    text: str,
    origin: str,
    *,
    file: str = "<text>",
    signed: bool = True,
    denial: Denial = Denial.COMPACT,
    plain: bool = True,
) -> Zone:
    """Read the zone `origin` from the text of a master file; `file` is what errors call it. Raises `ZoneFileError`."""
    # Surrogates are no characters: they are refused with the line, as in a file.
    source = text.encode("utf-8", "surrogatepass")
    return _compile(source, origin, Reading(file, None, plain=plain), signed=signed, denial=denial)


def _compile(source: bytes, origin: str, reading: Reading, *, signed: bool, denial: Denial) -> Zone:
    try:
        apex = dns.name.from_text(origin)
    except dns.exception.DNSException as error:
        raise ZoneFileError(reading.file, 0, f"{origin!r} is no domain name: {error}") from None
    wire_origin = names.from_dnspython(apex)
    gathering = Gathering(wire_origin, signed=signed)
    with _without_cycles():
        Reader(source, apex, reading, gathering).read_all()
        return build_zone(wire_origin, gathering.rrsets(reading.file), signed=signed, denial=denial)


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
