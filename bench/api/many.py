"""Many zones, created and signed by a few clients at once, each with a KMS key of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import local

from bench.api.served import Site, create_signed, validate_keys

CLIENTS = 8
SAMPLE = 20
"""Zones of which the DNSKEY RRset is validated by the DS record that the API tells."""


@dataclass(frozen=True, slots=True)
class Many:
    """What was measured."""

    zones: int
    seconds: float
    each: list[float]
    """Seconds for each zone, while others were made beside it."""
    validated: int


def measure(site: Site, zones: int, step: Callable[[], None]) -> Many:
    """Create and sign so many zones. Raises dnspython's errors where a DNSKEY RRset does not validate."""
    clients = local()

    def connect() -> None:
        clients.route53, clients.kms = site.client("route53"), site.client("kms")

    def make(number: int) -> tuple[str, float]:
        began = time.perf_counter()
        zone = create_signed(clients.route53, clients.kms, name(number))
        step()
        return zone, time.perf_counter() - began

    with ThreadPoolExecutor(CLIENTS, initializer=connect) as pool:
        began = time.perf_counter()
        made = list(pool.map(make, range(zones)))
        seconds = time.perf_counter() - began
    route53 = site.client("route53")
    sample = range(0, zones, max(1, zones // SAMPLE))
    for number in sample:
        validate_keys(site, route53, made[number][0], name(number))
    return Many(zones, seconds, [taken for _, taken in made], len(sample))


def name(number: int) -> str:
    """One of the zones."""
    return f"zone{number:04}.example."
