"""`python -m server.hosting.compile_zone`: makes the image of one zone file, beside a server that keeps answering.

A zone of a million RRsets takes ten seconds and a gigabyte to compile, which a server that does it itself has twice:
every answer waits for the interpreter, and little of the memory comes back. What this program needs ends with it.

What it may read, for how long and with how much memory is limited (`[zone_files]`), because the machine's owner may not
trust the author of a zone file.

It reads an `Order` from its standard input, and writes `Report`s to its standard output, one a line, as JSON.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
import sys
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path

import msgspec

from server.hosting.zone_image_files import Images
from zones.denial import DenialMode
from zones.masterfile.load import ZoneFileError, ZoneWarning, load_zone
from zones.masterfile.reading_limits import DEFAULT_LIMITS, ReadingLimits
from zones.masterfile.warnings import first, left_out
from zones.storage.name_hash import KEY_OCTETS
from zones.storage.zone_image import ImageError, SourceFile, image_of

_LARGEST_IMAGE = 4
"""Octets of an image for each of the zone's files that is allowed."""


class Order(msgspec.Struct, frozen=True):
    """What is wanted."""

    file: str
    origin: str
    signed: bool
    denial: str
    images: str
    """The folder in which the image is to be."""
    limits: ReadingLimits = DEFAULT_LIMITS
    memory: int = 0
    """Octets that it may take; 0: three quarters of the machine's."""


class CompileProgress(msgspec.Struct, frozen=True, tag=True):
    """How far it is: each step goes from 0 to 1."""

    step: str
    done: float


class Refused(msgspec.Struct, frozen=True, tag=True):
    """The file makes no zone (`ZoneFileError`)."""

    file: str
    line: int
    reason: str


class Unwritten(msgspec.Struct, frozen=True, tag=True):
    """The zone is one, but its image can't be kept."""

    reason: str


class Made(msgspec.Struct, frozen=True, tag=True):
    """The image is there, and has this digest (in hexadecimal digits)."""

    digest: str
    warnings: tuple[str, ...] = ()
    """Warnings about the zone (`zones.masterfile.warnings.first`)."""


Report = CompileProgress | Refused | Unwritten | Made
CompileOutcome = Refused | Unwritten | Made


def compiled(order: Order, report: Callable[[CompileProgress], None]) -> CompileOutcome:
    """Make the image that is ordered."""
    sources: list[SourceFile] = []
    warnings: list[ZoneWarning] = []
    try:
        zone = load_zone(
            Path(order.file),
            order.origin,
            signed=order.signed,
            denial=DenialMode(order.denial),
            progress=lambda done, of: report(CompileProgress("reading", done / of)),
            read=lambda path, octets: sources.append(SourceFile(path, sha256(octets).digest())),
            warned=warnings.extend,
            lenient=True,
            limits=order.limits,
        )
    except ZoneFileError as error:
        return Refused(error.file, error.line, error.reason)
    pieces = image_of(
        zone,
        sources,
        partial(os.urandom, KEY_OCTETS),
        lambda done, of: report(CompileProgress("compiling", done / of)),
        left_out(warnings),
        _LARGEST_IMAGE * order.limits.octets,
    )
    try:
        return Made(Images(Path(order.images)).write(zone.origin, pieces).hex(), first(warnings))
    except ImageError as error:
        return Refused(order.file, 0, f"cannot make its image: {error}")
    except OSError as error:
        return Unwritten(str(error))


def _bound_memory(wanted: int) -> int:
    """Let this process have so many octets, or no more than it may have already; how many that are."""
    octets = wanted or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4 * 3
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    octets = octets if hard == resource.RLIM_INFINITY else min(octets, hard)
    resource.setrlimit(resource.RLIMIT_AS, (octets, hard))
    return octets


def main() -> None:
    """Do what the standard input says."""
    # A signal to all programs at once is meant for the control process, with which this one ends.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    gc.disable()  # nothing here is garbage before the end
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)

    def write(report: Report) -> None:
        sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
        sys.stdout.buffer.flush()

    memory = _bound_memory(order.memory)
    try:
        outcome = compiled(order, write)
    except MemoryError:
        reason = f"compiling it needs more than {memory} octets of memory; raise zone_files.memory"
        outcome = Refused(order.file, 0, reason)
    write(outcome)
    os._exit(0)  # what is left needs no taking apart, which takes a second


if __name__ == "__main__":
    main()
