"""The measurement of each case: a server of its own, a load, honest clients beside it, and the end under load."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from bench.abuse.flood import between
from bench.abuse.limits import Variant
from bench.abuse.packets import Packet, addresses, framed, packet, whole
from bench.abuse.programs import Program
from bench.abuse.stand import Stand, standing
from bench.process import PROC, TICKS, CoreTimes, core_times
from bench.rounds import SERVER_CORE
from bench.workloads import hot_questions
from bench.zone import ZoneFiles

HOT_RATE = 2000
"""Hot queries a second: 120,000 in a minute."""
HONEST = addresses(100 * 256, 16)
"""Where honest clients are: sixteen prefixes, each with a fourth of the rate that limits allow it."""
HONEST_TOO = addresses(101 * 256, 16)
WINDOW = 192
"""Queries outstanding where as many come as are answered."""
_IDLE = 0.1
"""The part of a case's time in which hot queries come alone, before the load."""
_SETTLE = 0.5
_LONG = 3600.0
"""Seconds: longer than any case; it is stopped before."""
_WATCH = 0.25
_PEAK = 10.0
"""Seconds of a load that is as fast as it is answered; the last half is measured."""

Values = dict[str, Any]
"""What was seen in a case, by name. A name says its unit: _ms, _seconds, _mib, _per_second."""


@dataclass(frozen=True, slots=True)
class Context:
    """What all cases share."""

    folder: Path
    zone: ZoneFiles
    seconds: float
    seed: int
    preferred: bool
    said: Callable[[str], None]

    @property
    def questions(self) -> list[tuple[str, str]]:
        """The hot set: a thousand names, each with a type that it has."""
        return hot_questions(self.zone.names, Random(self.seed))


@dataclass(frozen=True, slots=True)
class Load:
    """What abuses a server: programs with their orders, made when the server is there."""

    title: str
    programs: Callable[[Stand, Context], Sequence[tuple[str, Mapping[str, Any]]]]
    probes: Mapping[str, bool] = field(default_factory=lambda: {"hot": False})
    """Honest clients over UDP: a name for what they see, and whether they have cookies."""
    newcomers: bool = False
    """Whether honest clients come over TCP, too."""
    control: bool = False
    """Whether the control socket is asked meanwhile."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A case, and what was seen in it."""

    row: str
    load: str
    variant: Variant
    values: Values


def flood_order(
    port: int, packets: Sequence[Packet], rate: float, *, seconds: float = _LONG, window: int = WINDOW
) -> tuple[str, Mapping[str, Any]]:
    """The program `flood` and its order; a rate of 0 is as fast as it is answered."""
    shown = [(one.source, one.head.hex(), one.tail.hex()) for one in packets]
    return "flood", {"port": port, "packets": shown, "rate": rate, "window": window, "seconds": seconds}


def probe_order(stand: Stand, context: Context, seconds: float, *, cookies: bool) -> Mapping[str, Any]:
    """The order of the program `prober`."""
    return {
        "port": stand.port,
        "names": context.questions,
        "sources": HONEST_TOO if cookies else HONEST,
        "rate": HOT_RATE,
        "seconds": seconds,
        "cookies": cookies,
        "seed": context.seed,
    }


def abused(row: str, variant: Variant, load: Load, context: Context) -> Seen:
    """One case. Raises `RuntimeError` where a program fails, and `Unbuilt`."""
    context.said(f"{row}: {variant.title}: {load.title}")
    with standing(variant, context.zone, context.folder, preferred=context.preferred) as stand:
        warm(stand, context)
        with Program("prober", probe_order(stand, context, context.seconds * _IDLE, cookies=False)) as idle:
            values: Values = {"idle_p99_ms": idle.wait(context.seconds + 60)["p99_ms"]}
        before = stand.resident()
        with ExitStack() as stack:
            loads = [(name, stack.enter_context(Program(name, order))) for name, order in load.programs(stand, context)]
            time.sleep(min(_SETTLE, context.seconds))
            values |= _watched(stand, load, context)
            values["memory_mib"] = (values.pop("resident") - before) / 2**20
            values["died"] = not stand.child.alive
            values["gone_seconds"] = stand.end()
            begin, end = values.pop("window")
            for name, program in loads:
                seen = program.stop()
                if name == "flood":
                    counted = between(seen.pop("marks"), begin, end)
                    seen |= {"sent_per_second": counted.sent, "answers_per_second": counted.answers}
                    seen["octets_per_second"] = counted.octets
                values.setdefault(name, []).append(seen)
    return Seen(row, load.title, variant, values)


def _watched(stand: Stand, load: Load, context: Context) -> Values:
    """What honest clients see under load, and what the server uses meanwhile."""
    values: Values = {"resident": stand.resident()}
    pids = stand.child.pids()
    begin, core, used = time.monotonic(), core_times(SERVER_CORE), stand.child.cpu_seconds(pids)
    slowest = 0.0
    with ExitStack() as stack:
        clients = {
            name: stack.enter_context(Program("prober", probe_order(stand, context, context.seconds, cookies=cookies)))
            for name, cookies in load.probes.items()
        }
        if load.newcomers:
            question = _hot_message(context)
            order = {"port": stand.port, "sources": HONEST, "opening": question, "every": 0.2, "honest": True}
            clients["newcomers"] = stack.enter_context(Program("streams", {**order, "seconds": context.seconds}))
        while any(client.at_work for client in clients.values()):
            values["resident"] = max(values["resident"], stand.resident())
            if load.control:
                slowest = max(slowest, stand.control())
            time.sleep(_WATCH)
        for name, client in clients.items():
            values[name] = client.wait(60)
    if load.control:
        values["control_seconds"] = slowest
    end = time.monotonic()
    return values | {
        "window": (begin, end),
        **_shares(core, core_times(SERVER_CORE), stand.child.cpu_seconds(pids) - used, end - begin),
    }


def _shares(before: CoreTimes, after: CoreTimes, used: float, seconds: float) -> Values:
    """Shares of the time in which the server's core was busy, belonged to other programs, or to other machines."""
    total = max(after.total - before.total, 1)
    return {
        "busy": 1 - (after.idle - before.idle) / total,
        "foreign": max(0.0, ((after.work - before.work) / TICKS - used) / seconds),
        "steal": (after.steal - before.steal) / total,
    }


def _hot_message(context: Context) -> str:
    name, rdtype = context.questions[0]
    return framed(whole(packet(HONEST[0], name, rdtype), 1)).hex()


def warm(stand: Stand, context: Context) -> None:
    """Have every hot query answered, more than once."""
    packets = [
        packet(HONEST[number % len(HONEST)], name, rdtype) for number, (name, rdtype) in enumerate(context.questions)
    ]
    for rate in (HOT_RATE, HOT_RATE):  # below what limits allow
        name, order = flood_order(stand.port, packets, rate, seconds=len(packets) / rate * 1.1)
        with Program(name, order) as program:
            program.wait(60)


def peak(
    row: str, variant: Variant, title: str, packets: Callable[[Stand], Sequence[Packet]], context: Context
) -> Seen:
    """How many answers a second a server gives at most. Raises as `abused`."""
    context.said(f"{row}: {variant.title}: {title}")
    with standing(variant, context.zone, context.folder, preferred=context.preferred) as stand:
        warm(stand, context)
        seconds = min(context.seconds, _PEAK)
        return Seen(row, title, variant, peak_of(stand, packets(stand), seconds))


def peak_of(stand: Stand, packets: Sequence[Packet], seconds: float) -> Values:
    """Answers a second and the share in which the server's core was busy, in the last half of the time."""
    name, order = flood_order(stand.port, packets, 0.0, seconds=seconds)
    with Program(name, order) as program:
        time.sleep(seconds / 2)
        before, begin, used = core_times(SERVER_CORE), time.monotonic(), stand.child.cpu_seconds(stand.child.pids())
        time.sleep(seconds / 2 - min(0.1, seconds / 10))
        after, end = core_times(SERVER_CORE), time.monotonic()
        used = stand.child.cpu_seconds(stand.child.pids()) - used
        seen = program.wait(60)
    counted = between(seen["marks"], begin, end)
    shares = _shares(before, after, used, end - begin)
    return {"answers_per_second": counted.answers, "rcodes": seen["rcodes"], **shares}


assert PROC.is_dir(), "this needs Linux"
