"""Changes in a large signed zone under a steady load of queries: when does DNS have the new data?

Each change gives one name an address that no answer had before. The clock begins when boto3 returns, and ends with the
first DNS answer that has the new address; a name is asked for again as soon as an answer has the old one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from bench.api.served import PER_BATCH, Site, address, create_signed, udp_socket, upsert, validate_keys
from bench.load import LoadResult, run_load
from bench.rounds import LOAD_CORE
from bench.workloads import framed, query

ZONE = "bench.example."
UNSEEN_AFTER = 5.0
"""Seconds after which a change counts as lost."""
INTERVAL = 0.1
"""Seconds from one change to the next, where the server keeps up."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What was measured. Times in seconds."""

    visible: list[float]
    """From the API's answer to the first DNS answer with the new data."""
    calls: list[float]
    """How long the API took."""
    asked_again: int
    """Answers with the old data after the API's answer."""
    undisturbed: LoadResult
    """The load before the changes."""
    load: LoadResult
    """The load while changes were made."""
    cpu: float
    """CPU time of the server for each second meanwhile: 1 is a whole core."""
    undisturbed_cpu: float
    waited: float
    """Seconds in which the server's threads had to wait for a core, a second."""


def owner(number: int) -> str:
    """One of the zone's names."""
    return f"n{number:05}.{ZONE}"


def fill(site: Site, names: int, step: Callable[[int], None]) -> str:
    """Create the signed zone with so many names, through the API; its id. `step` is called for each batch."""
    route53 = site.client("route53")
    zone = create_signed(route53, site.client("kms"), ZONE)
    for start in range(0, names, PER_BATCH):
        batch = [
            {"Action": "CREATE", "ResourceRecordSet": address(owner(n), f"198.18.{n >> 8 & 255}.{n & 255}")}
            for n in range(start, min(start + PER_BATCH, names))
        ]
        route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": batch})
        step(len(batch))
    validate_keys(site, route53, zone, ZONE)
    return zone


def write_queries(path: Path, names: int, hot: int, dice: Random) -> None:
    """Queries with DO: half of them for `hot` names, half for any name."""
    favourites = dice.sample(range(names), min(hot, names))
    numbers = [dice.choice(favourites) if n % 2 else dice.randrange(names) for n in range(50_000)]
    path.write_bytes(framed([query(owner(number), "A") for number in numbers]))


def measure(
    site: Site,
    zone: str,
    names: int,
    generator: Path,
    queries: Path,
    rate: int,
    seconds: float,
    step: Callable[[], None],
) -> Changes:
    """Change names for so many seconds while `rate` queries a second are answered."""
    edges: list[float] = []
    undisturbed = _load(generator, site, queries, rate, min(seconds, 5), lambda: edges.append(site.cpu()))
    undisturbed_cpu = (edges[1] - edges[0]) / undisturbed.seconds
    results: list[LoadResult] = []
    going, over = threading.Event(), threading.Event()

    def load() -> None:
        try:
            edges = iter((going, over))
            results.append(_load(generator, site, queries, rate, seconds, lambda: next(edges).set()))
        finally:
            going.set()
            over.set()

    loading = threading.Thread(target=load)
    loading.start()
    visible: list[float] = []
    calls: list[float] = []
    asked_again = 0
    route53, dice = site.client("route53"), Random(2)
    going.wait()
    began, before, used = time.monotonic(), site.waited(), site.cpu()
    with closing(udp_socket(site.port)) as sock:
        while not over.is_set():
            number = len(calls)
            name, value = owner(dice.randrange(names)), f"203.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
            started = time.perf_counter()
            upsert(route53, zone, name, value)
            answered = time.perf_counter()
            old = _until_seen(sock, name, value, answered)
            seen = time.perf_counter()
            if over.is_set():
                break
            calls.append(answered - started)
            visible.append(seen - answered)
            asked_again += old
            step()
            time.sleep(max(0.0, began + len(calls) * INTERVAL - time.monotonic()))
    taken = time.monotonic() - began
    waited, cpu = (site.waited() - before) / taken, (site.cpu() - used) / taken
    loading.join()
    if not results:
        raise RuntimeError("the load generator ended early")
    return Changes(visible, calls, asked_again, undisturbed, results[0], cpu, undisturbed_cpu, waited)


def _load(generator: Path, site: Site, queries: Path, rate: int, seconds: float, edge: Callable[[], Any]) -> LoadResult:
    options = ["-b", "2", "-s", str(seconds), "-w", "1024", "-r", str(rate), "-z"]
    return run_load(generator, LOAD_CORE, site.port, queries, options, edge)


def _until_seen(sock: Any, name: str, value: str, since: float) -> int:
    """Ask for `name` until the answer has `value`; how many answers had not. Raises `RuntimeError`."""
    asked = query(name, "A")
    wire, wanted = asked.to_wire(), bytes(map(int, value.split(".")))
    old = 0
    while time.perf_counter() - since < UNSEEN_AFTER:
        sock.send(wire)
        try:
            answer = sock.recv(4096)
        except TimeoutError:
            continue
        if wanted in answer and answer[:2] == wire[:2]:
            return old
        old += 1
    raise RuntimeError(f"{name} has not its new address {UNSEEN_AFTER:.0f} s after the API's answer")
