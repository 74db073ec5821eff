"""`python -m server.hosting.compile_zone`: makes the image of one zone file, beside a server that keeps answering.

A zone of a million RRsets takes ten seconds and a gigabyte to compile, which a server that does it itself has twice:
every answer waits for the interpreter, and little of the memory comes back. What this program needs ends with it.

It reads an `Order` from its standard input, and writes `Report`s to its standard output, one a line, as JSON.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import msgspec

from server.hosting.zone_image_files import Images
from zones.denial import DenialMode
from zones.masterfile.load import ZoneFileError, ZoneWarning, load_zone
from zones.masterfile.warnings import first, left_out
from zones.storage.zone_image import SourceFile, image_of


class Order(msgspec.Struct, frozen=True):
    """What is wanted."""

    file: str
    origin: str
    signed: bool
    denial: str
    images: str
    """The folder in which the image is to be."""


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
        )
    except ZoneFileError as error:
        return Refused(error.file, error.line, error.reason)
    pieces = image_of(
        zone, sources, lambda done, of: report(CompileProgress("compiling", done / of)), left_out(warnings)
    )
    try:
        return Made(Images(Path(order.images)).write(zone.origin, pieces).hex(), first(warnings))
    except OSError as error:
        return Unwritten(str(error))


def main() -> None:
    """Do what the standard input says."""
    # Whoever sends these to all programs at once means the control process, with which this one ends.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    gc.disable()  # nothing here is garbage before the end
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)

    def write(report: Report) -> None:
        sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
        sys.stdout.buffer.flush()

    write(compiled(order, write))
    os._exit(0)  # what is left needs no taking apart, which takes a second


if __name__ == "__main__":
    main()
