"""The zone that every server serves: generated alike each time, and signed once for those that don't sign live."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

ORIGIN = "bench.example."
TTL = 3600


class Rrset(NamedTuple):
    """One RRset in presentation form; the owner is absolute."""

    owner: str
    type: str
    rdatas: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ZoneFiles:
    """The zone as master files: `plain`, and `signed` (ECDSAP256SHA256, NSEC) with the same data."""

    names: int
    plain: Path
    signed: Path


def rrsets(names: int) -> Iterator[Rrset]:
    """The RRsets below the apex: an A at each of so many names, at some also AAAA, TXT, MX or CAA.

    Targets lie outside the zone, so that no server has additional data to add.
    """
    for number in range(names):
        owner = f"n{number:05}.{ORIGIN}"
        high, low = divmod(number, 250)
        yield Rrset(owner, "A", (f"198.{18 + high // 256}.{high % 256}.{low + 1}",))
        if number % 2 == 0:
            yield Rrset(owner, "AAAA", (f"2001:db8::{number >> 16:x}:{number & 0xFFFF:x}",))
        if number % 3 == 0:
            yield Rrset(owner, "TXT", (f'"v=bench1 number={number}"',))
        if number % 10 == 0:
            yield Rrset(owner, "MX", (f"10 mx{number % 7}.mail.invalid.",))
        if number % 20 == 0:
            yield Rrset(owner, "CAA", ('0 issue "ca.invalid"',))


def zone_text(names: int) -> str:
    """The unsigned zone as a master file (RFC 1035 §5) with so many names below the apex."""
    lines = [
        f"$ORIGIN {ORIGIN}",
        f"$TTL {TTL}",
        f"@ IN SOA ns.invalid. hostmaster.invalid. 1 7200 3600 1209600 {TTL}",
        "@ IN NS ns1.invalid.",
        "@ IN NS ns2.invalid.",
    ]
    lines += [f"{rrset.owner} IN {rrset.type} {rdata}" for rrset in rrsets(names) for rdata in rrset.rdatas]
    return "\n".join(lines) + "\n"


def write_zone(directory: Path, names: int, more: str = "") -> ZoneFiles:
    """Write the zone, and sign it with BIND's dnssec-signzone: a KSK and a ZSK, valid for 30 days.

    `more` are other lines of the master file.
    """
    plain = directory / "bench.example.zone"
    signed = directory / "bench.example.signed"
    keys = directory / "keys"
    keys.mkdir(parents=True)
    plain.write_text(zone_text(names) + more)
    for flags in ([], ["-f", "KSK"]):
        _run("dnssec-keygen", "-q", "-K", str(keys), "-a", "ECDSAP256SHA256", *flags, ORIGIN)
    _run("dnssec-signzone", "-q", "-S", "-K", str(keys), "-d", str(keys), "-o", ORIGIN, "-f", str(signed), str(plain))
    return ZoneFiles(names, plain, signed)


def _run(*command: str) -> None:
    """Run a tool to its end. Raises `RuntimeError` with what it said when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stderr.strip() or done.stdout.strip()}")
