"""The command: `scripts/fuzz` or `python -m tests.fuzz`."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tests.fuzz import http_requests, over_sockets, packets, zone_texts
from tests.fuzz.chunks import SIZES, done_with
from tests.fuzz.findings import Chunk, Done

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "build" / "fuzz.jsonl"
SHOWN = 20


@click.command(context_settings={"show_default": True})
@click.option("--packets", "packet_count", type=click.IntRange(0), default=10_000_000, help="Mutated queries.")
@click.option("--sockets", type=click.IntRange(0), default=200_000, help="… of others, to the real program.")
@click.option("--http", type=click.IntRange(0), default=1_000_000, help="Mutated HTTP requests, to the real program.")
@click.option("--files", type=click.IntRange(0), default=100_000, help="Mutated zone files.")
@click.option("--bodies", type=click.IntRange(0), default=100_000, help="Mutated bodies, signed, to the real program.")
@click.option("--seed", type=click.IntRange(0), default=1, help="Makes other cases.")
@click.option("--jobs", type=click.IntRange(1), default=os.cpu_count() or 1, help="Processes.")
@click.option(
    "--results",
    type=click.Path(dir_okay=False, path_type=Path),
    default=RESULTS,
    help="Where chunks are noted. What the same sources passed is left out, so this can be interrupted.",
)
@click.option("--replay", help="One case, as a failure prints it: KIND:SEED:NUMBER.")
def main(
    *,
    packet_count: int,
    sockets: int,
    http: int,
    files: int,
    bodies: int,
    seed: int,
    jobs: int,
    results: Path,
    replay: str | None,
) -> None:
    """Feed the server what strangers may send, changed at random, and hold it to its rules.

    No crash, no hang, nothing over the size that a query grants, no answer to an answer, memory that stays, time that
    grows with the octets. The same seed gives the same cases. Ends with 1 where a rule was broken, and prints the case.
    """
    console = Console(width=None if sys.stdout.isatty() else 120)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if replay is not None:
        kind, of_seed, number = replay.split(":")
        sys.exit(_report(console, [done_with(Chunk(kind, int(of_seed), int(number), 1), "")]))
    counts = {packets.KIND: packet_count, over_sockets.KIND: sockets, http_requests.HTTP: http,
              zone_texts.KIND: files, http_requests.BODIES: bodies}  # fmt: skip
    chunks = [chunk for kind, count in counts.items() for chunk in _chunks(kind, seed, count)]
    code = digest_of(ROOT)
    done = {one.chunk: one for one in _read(results) if one.code == code and not one.findings}
    ran: list[Done] = [done[chunk] for chunk in chunks if chunk in done]
    results.parent.mkdir(parents=True, exist_ok=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with results.open("ab") as file, Progress(*columns, console=console, transient=True, refresh_per_second=1) as bars:
        bar = {kind: bars.add_task(kind, total=count) for kind, count in counts.items() if count}
        for one in ran:
            bars.advance(bar[one.chunk.kind], one.chunk.count)
        for one in _run([chunk for chunk in chunks if chunk not in done], jobs, code):
            ran.append(one)
            file.write(msgspec.json.encode(one) + b"\n")
            file.flush()
            bars.advance(bar[one.chunk.kind], one.chunk.count)
            for finding in one.findings[:SHOWN]:
                console.print(str(finding), highlight=False, markup=False)
    sys.exit(_report(console, ran))


def _chunks(kind: str, seed: int, count: int) -> Iterator[Chunk]:
    for first in range(0, count, SIZES[kind]):
        yield Chunk(kind, seed, first, min(SIZES[kind], count - first))


def _run(chunks: list[Chunk], jobs: int, code: str) -> Iterator[Done]:
    """Each chunk in a process of the pool; each of these starts a real program when it first needs one."""
    waiting: set[Future[Done]] = set()
    upcoming = iter(chunks)
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        while True:
            for one in upcoming:
                waiting.add(pool.submit(done_with, one, code))
                if len(waiting) >= 2 * jobs:
                    break
            if not waiting:
                return
            finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in finished:
                yield future.result()


def digest_of(root: Path) -> str:
    """What the sources are: it differs when any of them does."""
    digest = sha256()
    for package in ("keys", "zones", "server", "tests/fuzz"):
        for file in sorted((root / package).rglob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _read(results: Path) -> list[Done]:
    found = []
    for line in results.read_bytes().splitlines() if results.exists() else []:
        try:
            found.append(msgspec.json.decode(line, type=Done))
        except msgspec.MsgspecError:
            continue  # cut short when it was interrupted
    return found


def _report(console: Console, ran: list[Done]) -> int:
    """Say how many there were of each kind, and what was found; the exit code."""
    for kind in SIZES:
        of_kind = [one for one in ran if one.chunk.kind == kind]
        if of_kind:
            count, seconds = sum(one.chunk.count for one in of_kind), sum(one.seconds for one in of_kind)
            found = sum(len(one.findings) for one in of_kind)
            grown = max(one.grown for one in of_kind) >> 20
            rate = count / max(seconds, 1e-9)
            console.print(f"{kind}: {count:,} cases, {found} broken rules, {rate:,.0f}/s a process, grown {grown} MiB")
    findings = [finding for one in ran for finding in one.findings]
    for finding in findings[:SHOWN]:
        console.print(str(finding), highlight=False, markup=False)
    return 1 if findings else 0


if __name__ == "__main__":
    main(prog_name="scripts/fuzz")
