"""One start of a server with one zone: until it answers, and the memory that it has then."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype

from bench.process import PROC, TICKS, Child, memory
from bench.rounds import SERVER_CORE, free_port
from bench.servers import Server, Site
from bench.workloads import query
from bench.zone import ORIGIN, ZoneFiles, rrsets, zone_text

LOOK_EVERY = 0.02
READY_WITHIN = 300.0
SETTLED = 1.0
"""Seconds after the first answer at which memory is read."""
TINY = 2
"""Names in the zone by which a server is measured without one."""


class WrongStartError(Exception):
    """A server did not do what was to be measured; the message has its last words."""


@dataclass(frozen=True, slots=True)
class Start:
    """What was measured."""

    server: str
    how: str
    """`cold`, or `again` with what the one before left."""
    names: int
    seconds: float
    """From the start of the program to its first answer."""
    cpu: float
    """Seconds of CPU time until then, in all its processes, those that have ended among them."""
    resident: int
    """Octets of memory of all its processes, files that are mapped among them (proc(5), VmRSS)."""
    anonymous: int
    """Without those (RssAnon)."""


def zone_files(directory: Path, names: int) -> ZoneFiles:
    """A zone of so many names, unsigned for all: it is loading that is measured."""
    plain = directory / f"{names}.zone"
    plain.write_text(zone_text(names))
    return ZoneFiles(names, plain, plain)


def rrset_count(names: int) -> int:
    """How many RRsets such a zone has."""
    return 2 + sum(1 for _ in rrsets(names))


def starts(server: Server, directory: Path, zone: ZoneFiles, hows: Sequence[str]) -> list[Start]:
    """Start a server again and again on the same directory. Raises `WrongStartError`."""
    place = Path(tempfile.mkdtemp(dir=directory, prefix=f"{server.name}-"))
    site = Site(place, free_port(), zone)
    command = server.set_up(site)
    return [_start(server, how, command, site) for how in hows]


def _start(server: Server, how: str, command: Sequence[str], site: Site) -> Start:
    began = time.monotonic()
    with Child(command, core=SERVER_CORE, cwd=Path.cwd(), log=site.directory / "log") as child:
        _wait(child, server, site.port, site.zone.names, began + READY_WITHIN)
        seconds = time.monotonic() - began
        pids = child.pids()
        cpu = sum(map(_cpu, pids))
        time.sleep(SETTLED)
        return Start(
            server.name,
            how,
            site.zone.names,
            seconds,
            cpu,
            sum(memory(pid, "VmRSS") for pid in pids),
            sum(memory(pid, "RssAnon") for pid in pids),
        )


def _wait(child: Child, server: Server, port: int, names: int, deadline: float) -> None:
    """Until the last name is answered: from then on all are."""
    asked = query(f"n{names - 1:05}.{ORIGIN}", "A")
    while child.alive and time.monotonic() < deadline:
        try:
            answer = dns.query.udp(asked, "127.0.0.1", port=port, timeout=0.2)
        except (dns.exception.DNSException, OSError):
            time.sleep(LOOK_EVERY)
            continue
        types = {rrset.rdtype for rrset in answer.answer}
        if answer.rcode() == dns.rcode.NOERROR and dns.rdatatype.A in types:
            if server.live and dns.rdatatype.RRSIG not in types:
                raise WrongStartError(f"{server.title} gives an answer without a signature")
            return
        time.sleep(LOOK_EVERY)
    raise WrongStartError(f"{server.title} does not answer:\n{child.last_words()}")


def _cpu(pid: int) -> float:
    """CPU time of a process and of the children that it has waited for (proc(5), utime to cstime)."""
    fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS
