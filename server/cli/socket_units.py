"""Which addresses systemd holds for this server: a port that is taken by these is as it should be."""

from __future__ import annotations

import json
import subprocess
from functools import cache

from server.net.addresses import Address, parse_address

_OURS = "signwright"
_WITHIN = 5  # seconds


@cache
def held_by_systemd() -> frozenset[Address]:
    """Addresses of the sockets of units that start a service whose name begins with "signwright". None without systemd.

    It takes systemctl 10 ms, so it is asked once, and only where a port is taken.
    """
    command = ["systemctl", "list-sockets", "--all", "--output=json"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_WITHIN, check=True)  # noqa: S603
        return frozenset(_of(json.loads(done.stdout)))
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError, AttributeError):
        return frozenset()  # no systemd, or one that is older than this option


def _of(units: list[dict[str, str]]) -> list[Address]:
    found = []
    for unit in units:
        if unit["activates"].startswith(_OURS):
            try:
                found.append(parse_address(unit["listen"]))
            except ValueError:  # a path
                continue
    return found
