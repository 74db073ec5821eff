"""What is wanted of each row, and whether a run has it: pure functions of what was seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.abuse.cases import Seen
from bench.abuse.limits import Variant, has_limits
from bench.abuse.prober import LOST
from bench.abuse.rows import OWN, PEERS, RATES
from bench.servers import SERVERS

FLOOR_MS = 0.5
"""A peer's 99 % latency below this counts as this."""
MOST_MEMORY = 64.0
MOST_LOSS = 0.001
GONE = 5.0
HTTP_P99_MS, CONTROL_SECONDS = 10.0, 1.0
LEAST_BUSY = 0.95
"""Share in which the server's core was busy: below it, the generator was the limit."""


MOST_FOREIGN, MOST_STEAL = 0.05, 0.03
"""Shares of the server's core that others may have had."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One line of the table."""

    row: str
    load: str
    measure: str
    own: str
    others: str
    wanted: str
    reached: bool | None
    """None where it could not be measured; `own` says why."""


Cells = Mapping[str, Seen]
"""By the name of the server."""


def verdicts(seen: Sequence[Seen]) -> list[Verdict]:
    """Each line of the table that the run can say something about."""
    found: list[Verdict] = []
    for name, judge in _JUDGES.items():
        of_row = [one for one in seen if one.row == name]
        if of_row:
            found += judge(of_row)
    ends = [one for one in seen if one.variant.server == OWN and "gone_seconds" in one.values]
    if ends:
        worst = max(ends, key=lambda one: float(one.values["gone_seconds"]))
        value = float(worst.values["gone_seconds"])
        title = f"worst of {len(ends)}: {worst.row}, {worst.load}"
        found.append(Verdict("sigterm", title, "gone", f"{value:.1f} s", "", f"≤ {GONE:g} s", value <= GONE))
    return found


def disturbed(seen: Sequence[Seen]) -> list[str]:
    """Cases in which the server did not have its core to itself: what was measured there says little."""
    found = []
    for one in seen:
        foreign, steal = one.values.get("foreign", 0.0), one.values.get("steal", 0.0)
        if foreign > MOST_FOREIGN or steal > MOST_STEAL:
            found.append(f"{one.row}: {one.variant.title}: {one.load} ({foreign:.0%} others, {steal:.0%} steal)")
    return found


def _by_load(seen: Sequence[Seen]) -> dict[str, dict[str, Seen]]:
    loads: dict[str, dict[str, Seen]] = {}
    for one in seen:
        loads.setdefault(one.load, {})[one.variant.server] = one
    return loads


def _title(server: str) -> str:
    return SERVERS[server].title.partition(",")[0]


def _p99_beside_peers(row: str, load: str, cells: Cells, factor: float) -> Verdict:
    """Hot queries' p99 over that of the best peer of the same run."""
    own, peers = cells[OWN].values, [name for name in PEERS if name in cells]
    value = float(own["hot"]["p99_ms"])
    others = ", ".join(f"{_title(name)} {cells[name].values['hot']['p99_ms']:.2f}" for name in peers)
    if not peers:
        return Verdict(row, load, "hot p99", f"{value:.2f} ms", "", f"≤ {factor:g} × the best peer", None)
    best = max(FLOOR_MS, min(float(cells[name].values["hot"]["p99_ms"]) for name in peers))
    reached = value <= min(factor * best, LOST * 1e3 - 1) and not own["died"]
    return Verdict(row, load, "hot p99", f"{value:.2f} ms", others, f"≤ {factor * best:.2f} ms", reached)


def _random(seen: Sequence[Seen]) -> Iterator[Verdict]:
    loads = _by_load(seen)
    peaks = [one for one in seen if "answers_per_second" in one.values and one.variant.server == OWN]
    for rate in RATES:
        load = f"{rate:,}/s"
        cells = loads.get(load, {})
        if OWN not in cells:
            continue
        yield _p99_beside_peers("random", load, cells, 2)
        lost = int(cells[OWN].values["hot"]["lost"])
        others = ", ".join(f"{_title(name)} {cells[name].values['hot']['lost']}" for name in PEERS if name in cells)
        samples = f"{lost} of {cells[OWN].values['hot']['samples']:,}"
        yield Verdict("random", load, "hot queries lost", samples, others, "none", lost == 0)
        if peaks:
            most = min(rate, max(int(one.values["answers_per_second"]) for one in peaks))
            value = int(cells[OWN].values["flood"][0]["answers_per_second"])
            yield Verdict(
                "random", load, "denials", f"{value:,}/s", f"alone, at most {most:,}/s", f"≥ {0.9 * most:,.0f}/s",
                value >= 0.9 * most,
            )  # fmt: skip


def _flood_denial(seen: Sequence[Seen]) -> Iterator[Verdict]:
    def rate(variant: Variant) -> float:
        rates = [float(one.values["answers_per_second"]) for one in seen if one.variant == variant]
        return median(rates) if rates else 0.0

    flood, compact, powerdns = rate(Variant(OWN, flood=True)), rate(Variant(OWN)), rate(Variant("powerdns"))
    others = f"compact {compact:,.0f}/s, PowerDNS {powerdns:,.0f}/s"
    for over, factor in ((compact, 6), (powerdns, 8)):
        if over:
            name = "compact" if over is compact else "PowerDNS"
            own = f"{flood:,.0f}/s, × {flood / over:.1f}" if flood else "no flood_denial yet"
            reached = flood >= factor * over if flood else None
            yield Verdict("flood-denial", "random names", "denials", own, others, f"≥ {factor} × {name}", reached)


def _spoofed(seen: Sequence[Seen]) -> Iterator[Verdict]:
    for load, cells in _by_load(seen).items():
        for probe in ("hot", "hot with a cookie"):
            if OWN not in cells:
                continue
            own = cells[OWN].values
            lost, samples = int(own[probe]["lost"]), max(int(own[probe]["samples"]), 1)
            who = "honest loss, cookies" if probe != "hot" else "honest loss"
            others = ", ".join(
                f"{_title(name)} {cells[name].values[probe]['lost'] / max(cells[name].values[probe]['samples'], 1):.2%}"
                for name in PEERS if name in cells
            )  # fmt: skip
            share = lost / samples
            yield Verdict("spoofed", load, who, f"{share:.3%}", others, "< 0.1 %", share < MOST_LOSS)
            value, idle = float(own[probe]["p99_ms"]), float(own["idle_p99_ms"])
            others = ", ".join(
                f"{_title(name)} {cells[name].values[probe]['p99_ms']:.2f}" for name in PEERS if name in cells
            )
            wanted = f"≤ 5 × idle, {5 * idle:.2f} ms"
            yield Verdict("spoofed", load, f"{probe}, p99", f"{value:.2f} ms", others, wanted, value <= 5 * idle)


def _amplification(seen: Sequence[Seen]) -> Iterator[Verdict]:
    for load, cells in _by_load(seen).items():
        peers = [name for name in PEERS if name in cells]
        if OWN not in cells or not peers:
            continue
        for rate, own in cells[OWN].values["times"].items():
            best = {kind: min(cells[name].values["times"][rate][kind] for name in peers) for kind in own}
            worst = max(own, key=lambda kind: own[kind] / max(best[kind], 0.01))
            largest = max(own, key=lambda kind: own[kind])
            text = f"{own[worst]:.2f} for {worst}; most {own[largest]:.2f} for {largest}"
            others = f"best {best[worst]:.2f} for {worst}; " + ", ".join(
                f"{_title(name)} most {max(cells[name].values['times'][rate].values()):.2f}" for name in peers
            )
            reached = all(own[kind] <= best[kind] * 1.01 for kind in own)
            yield Verdict("amplification", f"{load}, {int(rate):,}/s", "times", text, others, "≤ best peer", reached)


def _tcp(seen: Sequence[Seen]) -> Iterator[Verdict]:
    for load, cells in _by_load(seen).items():
        if OWN not in cells:
            continue
        yield _p99_beside_peers("tcp", load, cells, 2)
        peers = [name for name in PEERS if name in cells]
        asked, answered = (int(cells[OWN].values["newcomers"][key]) for key in ("asked", "answered"))
        others = ", ".join(
            f"{_title(name)} {cells[name].values['newcomers']['answered']}"
            f"/{cells[name].values['newcomers']['asked']}" for name in peers
        )  # fmt: skip
        yield Verdict("tcp", load, "new clients answered", f"{answered}/{asked}", others, "all", answered == asked)
        value = float(cells[OWN].values["memory_mib"])
        others = ", ".join(f"{_title(name)} {cells[name].values['memory_mib']:+.0f}" for name in peers)
        yield Verdict("tcp", load, "memory", f"{value:+.0f} MiB", others, "≤ + 64 MiB", value <= MOST_MEMORY)


def _http(seen: Sequence[Seen]) -> Iterator[Verdict]:
    for one in seen:
        kinds = one.values.get("kinds") or {"": one.values["hot"]}
        worst = max(kinds, key=lambda kind: float(kinds[kind]["p99_ms"]))
        value = float(kinds[worst]["p99_ms"])
        own = f"{value:.2f} ms" + (f" ({worst})" if worst else "")
        reached = value <= HTTP_P99_MS and not one.values["died"]
        yield Verdict("http", one.load, "hot p99", own, "", f"≤ {HTTP_P99_MS:g} ms", reached)
        slowest = float(one.values["control_seconds"])
        wanted = f"≤ {CONTROL_SECONDS:g} s"
        yield Verdict("http", one.load, "control socket", f"{slowest:.2f} s", "", wanted, slowest <= CONTROL_SECONDS)


def _hot(seen: Sequence[Seen]) -> Iterator[Verdict]:
    def rate(variant: Variant, load: str = "plain") -> float:
        rates = [
            float(one.values["answers_per_second"])
            for one in seen
            if one.variant == variant and one.load == load and one.values["busy"] >= LEAST_BUSY
        ]
        return median(rates) if rates else 0.0

    without, nsd = rate(Variant(OWN)), rate(Variant("nsd"))
    limited = Variant(OWN, limited=True)
    for load, over, factor, name in (
        ("plain", without, 0.95, "without limits"),
        ("plain", nsd, 1.0, "NSD"),
        ("with a valid cookie", without, 0.6, "without limits"),
    ):
        value = rate(limited, load)
        own = f"{value:,.0f}/s, × {value / over:.2f}" if value and over else _why_not()
        others = f"without limits {without:,.0f}/s, NSD {nsd:,.0f}/s"
        yield Verdict(
            "hot", load, "answers", own, others, f"≥ {factor:g} × {name}",
            value >= factor * over if value and over else None,
        )  # fmt: skip


def _why_not() -> str:
    return "no round kept the server's core busy" if has_limits() else "no limits yet"


_JUDGES: Mapping[str, Callable[[Sequence[Seen]], Iterator[Verdict]]] = {
    "random": _random,
    "flood-denial": _flood_denial,
    "spoofed": _spoofed,
    "amplification": _amplification,
    "tcp": _tcp,
    "http": _http,
    "hot": _hot,
}
