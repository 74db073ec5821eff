"""A whole zone listed page by page: does a page at the end cost what one at the beginning costs, and what memory?"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.api.served import Site, WrongFigureError

PAGE = 300
"""Record sets on a page: as many as Route 53 gives."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What was measured."""

    pages: list[float]
    """Seconds for each full page."""
    record_sets: int
    before: int
    """Octets of the server's memory before the first page."""
    highest: int
    """The most that it had while pages were listed."""

    @property
    def growth(self) -> int:
        return max(0, self.highest - self.before)


def measure(site: Site, zone: str, names: int, step: Callable[[], None]) -> Listing:
    """List the zone. Raises `WrongFigureError` where a record set is missing or told twice."""
    route53 = site.client("route53")
    pages: list[float] = []
    seen: set[tuple[str, str]] = set()
    told = 0
    start: dict[str, str] = {}
    site.forget_highest()
    before = site.resident()
    while True:
        began = time.perf_counter()
        page = route53.list_resource_record_sets(HostedZoneId=zone, MaxItems=str(PAGE), **start)
        taken = time.perf_counter() - began
        found = page["ResourceRecordSets"]
        told += len(found)
        seen.update((record_set["Name"], record_set["Type"]) for record_set in found)
        step()
        if not page["IsTruncated"]:
            break
        pages.append(taken)
        start = {"StartRecordName": page["NextRecordName"], "StartRecordType": page["NextRecordType"]}
    highest = site.resident(highest=True)
    if told != len(seen) or told != names + 2:
        raise WrongFigureError(f"{told} record sets were listed, {len(seen)} different ones, of {names + 2}")
    return Listing(pages, told, before, highest)
