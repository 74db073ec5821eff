"""From the first start of many zones to the refresh of all of them."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dns.message

from bench.api.served import WrongFigureError
from bench.process import Child
from bench.rounds import SERVER_CORE
from bench.zones.fleet import Fleet, Server, asking, count_signed, emulator, origin, serving, status
from keys.dnssec.signing_policy import HOUR, Policy

SIGNATURES = Policy().slots
"""That a refresh of one zone asks of the KMS."""
BARE_CALLS = 3000
"""Calls by which the rate of the KMS is measured, before the refresh and after it."""
IDLE = 60.0
"""Seconds in which every key manager looks at the clock once."""
REFRESH_WITHIN = 0.5
"""Seconds for each zone after which a refresh of all counts as failed."""


@dataclass(frozen=True)
class Took:
    """One thing that the server did. Seconds, and seconds of CPU time: its own and the KMS emulator's."""

    seconds: float
    cpu: float
    kms_cpu: float


@dataclass(frozen=True)
class Many:
    """What was measured."""

    zones: int
    first: Took
    """Start with nothing: keys made, zones signed."""
    restart: Took
    answered: int
    """Zones of which a signed answer came after the restart."""
    memory: int
    """Octets, after the restart and those answers."""
    memory_alone: int
    """Octets of a server with one zone, restarted and asked likewise."""
    memory_refreshed: int
    idle: Took
    status: float
    """Seconds of `signwright status`."""
    status_json: float
    metrics: float
    metrics_size: int
    silence: float
    """The longest time without an answer meanwhile, in seconds: the three above, and the reload."""
    reload: Took
    """With one changed file among them."""
    refresh: Took
    """From the reload of a policy that makes every RRSIG of the KMS another, until all zones have theirs."""
    refresh_silence: float
    """The longest time without an answer meanwhile, in seconds."""
    kms: float
    """Sign calls a second, of a client that does nothing else."""
    kms_spread: tuple[float, float]
    kms_client_cpu: float
    """CPU seconds of that client for a call."""

    @property
    def a_zone(self) -> float:
        """Octets of memory for each zone."""
        return (self.memory - self.memory_alone) / self.zones

    @property
    def a_zone_refreshed(self) -> float:
        """The same after the refresh of all."""
        return (self.memory_refreshed - self.memory_alone) / self.zones

    @property
    def refresh_ratio(self) -> float:
        """How many times the time that the KMS alone takes."""
        return self.refresh.seconds / (self.zones * SIGNATURES / self.kms)


Step = Callable[[str, int, int], None]
"""Told of what goes on: its name, how far it is, of how much."""


def measure(folder: Path, zones: int, step: Step) -> Many:
    """Measure so many zones. Raises `RuntimeError` and `WrongFigureError`."""
    with emulator(folder) as (kms, endpoint):
        alone = _alone(Fleet(folder / "one", endpoint))
        fleet = Fleet(folder / "many", endpoint)
        fleet.write_zones(zones)
        fleet.configure(zones)
        step("first start: keys made, zones signed", 0, 1)
        before = kms.cpu_seconds(kms.pids())
        with serving(fleet, "first.log", 3600) as server:
            first = Took(server.seconds, server.cpu, kms.cpu_seconds(kms.pids()) - before)
            _all_signed(server, zones)
        step("restart", 0, 1)
        before = kms.cpu_seconds(kms.pids())
        with serving(fleet, "second.log", 3600) as server:
            restart = Took(server.seconds, server.cpu, kms.cpu_seconds(kms.pids()) - before)
            _all_signed(server, zones)
            return _running(fleet, server, kms, zones, alone, first, restart, step)


def _alone(fleet: Fleet) -> int:
    """The memory of a server with one zone."""
    fleet.write_zones(1)
    fleet.configure(1)
    with serving(fleet, "first.log", 60):
        pass
    with serving(fleet, "second.log", 60) as server:
        _all_signed(server, 1)
        return server.resident()


def _all_signed(server: Server, zones: int) -> None:
    answered = count_signed(server.port, zones)
    if (server.signed, answered) != (zones, zones):
        raise WrongFigureError(
            f"of {zones} zones, {answered} gave a signed answer; the server speaks of {server.signed}"
        )


def _running(
    fleet: Fleet, server: Server, kms: Child, zones: int, alone: int, first: Took, restart: Took, step: Step
) -> Many:
    memory = server.resident()
    step("idle", 0, 1)
    idle = _timed(server, kms, lambda: time.sleep(IDLE))
    step("status, metrics, reload", 0, 1)
    with listening(server.port) as silences:
        told, _ = status(fleet)
        told_json, text = status(fleet, "--json")
        began = time.monotonic()
        with urllib.request.urlopen(server.metrics) as response:
            exposition = response.read()
        scraped = time.monotonic() - began
        fleet.change(0)
        reload = _timed(server, kms, lambda: _reload(fleet))
    arn = json.loads(text)["zones"][0]["keys"]["ksks"][0]["arn"]
    rates = [_bare(fleet.endpoint, arn)]
    with listening(server.port, every=0.02) as refresh_silences:
        refresh = _timed(server, kms, lambda: _refresh(fleet, server, zones, step))
    memory_refreshed = server.resident()
    rates.append(_bare(fleet.endpoint, arn))
    calls_a_second = sorted(BARE_CALLS / seconds for seconds, _ in rates)
    return Many(
        zones=zones,
        first=first,
        restart=restart,
        answered=zones,
        memory=memory,
        memory_alone=alone,
        memory_refreshed=memory_refreshed,
        idle=idle,
        status=told,
        status_json=told_json,
        metrics=scraped,
        metrics_size=len(exposition),
        silence=max(silences),
        reload=reload,
        refresh=refresh,
        refresh_silence=max(refresh_silences),
        kms=sum(calls_a_second) / 2,
        kms_spread=(calls_a_second[0], calls_a_second[1]),
        kms_client_cpu=sum(used for _, used in rates) / (2 * BARE_CALLS),
    )


@contextmanager
def listening(port: int, every: float = 0.005) -> Iterator[list[float]]:
    """Ask for one name again and again, after pauses of so many seconds; the seconds until each answer."""
    over, taken = threading.Event(), list[float]()

    def go() -> None:
        with asking(port) as ask:
            while not over.wait(every):
                began = time.monotonic()
                ask(f"www.{origin(1)}", "A")
                taken.append(time.monotonic() - began)

    thread = threading.Thread(target=go)
    thread.start()
    try:
        yield taken
    finally:
        over.set()
        thread.join()


def _timed(server: Server, kms: Child, act: Callable[[], object]) -> Took:
    began, used, kms_used = time.monotonic(), server.cpu_seconds(), kms.cpu_seconds(kms.pids())
    act()
    return Took(time.monotonic() - began, server.cpu_seconds() - used, kms.cpu_seconds(kms.pids()) - kms_used)


def _reload(fleet: Fleet) -> None:
    command = [sys.executable, "-m", "server.cli", "reload", "--config", str(fleet.config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or done.stdout.count("replaced") != 1:
        raise WrongFigureError(f"the reload went wrong: {done.stdout[:200]}{done.stderr[-300:]}")


def _refresh(fleet: Fleet, server: Server, zones: int, step: Step, ttl: int = HOUR + 60) -> None:
    """Have every DNSKEY RRset signed anew, and wait until each is answered so."""
    fleet.configure(zones, dnskey_ttl=ttl)
    server.reload()
    deadline = time.monotonic() + 60 + REFRESH_WITHIN * zones
    with asking(server.port) as ask:
        for number in range(zones):
            while not _has_ttl(ask(origin(number), "DNSKEY"), ttl):
                if time.monotonic() > deadline:
                    raise WrongFigureError(f"zone {number} is not refreshed")
                time.sleep(0.1)
            step("refresh of all zones", number + 1, zones)


def _has_ttl(answer: dns.message.Message | None, ttl: int) -> bool:
    """Whether a signed answer came, and with this TTL."""
    return answer is not None and [rrset.ttl for rrset in answer.answer] == [ttl, ttl]


def _bare(endpoint: str, arn: str) -> tuple[float, float]:
    """Seconds for `BARE_CALLS` Sign calls from the server's core, and CPU seconds."""
    command = ["taskset", "-c", str(SERVER_CORE), sys.executable, "-m", "bench.zones.bare"]
    done = subprocess.run([*command, endpoint, arn, str(BARE_CALLS)], capture_output=True, text=True, check=True)
    seconds, used = done.stdout.split()
    return float(seconds), float(used)
