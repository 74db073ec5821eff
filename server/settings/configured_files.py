"""The files that a configuration consists of: its own, the zone files, and what these include. For backups.

To read a large zone as a zone takes minutes, so only lines that begin with $INCLUDE are looked for. What looks like one
inside a quoted string is a file too many, and no other than a zone file may include. This blocks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from server.settings.configuration import Config, ZoneConfig
from zones.masterfile.reading_limits import ReadingLimits
from zones.masterfile.regular_files import open_below, open_regular, real_path

_INCLUDE = re.compile(rb'\$INCLUDE[ \t]+(?:"([^"\r\n]*)"|([^\s;"]+))', re.IGNORECASE)
_LONGEST_LINE = 1 << 20


def configured_files(config: Config) -> Iterator[Path]:
    """Absolute paths, each once; one that can't be read is among them."""
    seen: set[Path] = set()
    if config.file is not None:
        seen.add(config.file)
        yield config.file
    for zone in config.zones if not config.samples else ():
        for path in _of_zone(zone):
            if path not in seen:
                seen.add(path)
                yield path


def _of_zone(zone: ZoneConfig) -> Iterator[Path]:
    if zone.file is None:
        return
    limits = zone.files.reading
    folders = [real_path(zone.file.parent), *map(real_path, limits.folders)]
    waiting, seen = [zone.file], {zone.file}
    while waiting and len(seen) <= limits.includes:
        path = waiting.pop()
        yield path
        for included in _included(path, zone.file, folders, limits):
            if included not in seen:
                seen.add(included)
                waiting.append(included)


def _included(path: Path, zone_file: Path, folders: list[str], limits: ReadingLimits) -> list[Path]:
    """What a file of a zone includes. Relative paths begin at the folder of the zone file."""
    found: list[Path] = []
    try:
        file = open_regular(path) if path == zone_file else open_below(str(path), folders)
        if file is None:
            return []
        with file:
            while (line := file.readline(_LONGEST_LINE)) and file.tell() <= limits.octets:
                if line[:1] == b"$" and (match := _INCLUDE.match(line)):
                    included = zone_file.parent / (match[1] or match[2]).decode()
                    below = open_below(str(included), folders)
                    if below is not None:
                        below.close()
                        found.append(Path(real_path(included)))
    except (OSError, ValueError):  # as whoever copies it will find, or reads the zone
        pass
    return found
