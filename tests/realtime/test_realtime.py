"""Real time, real parts: rollovers, an outage that is mended, and one that outlasts the runway, seen by resolvers.

Everything is real but the length of the times: processes, sockets, clocks, the KMS's protocol, unbound. Not one answer
may be bogus before the second that `signwright status --json` foretells, and not one that is not SERVFAIL may be given
after it, once caches have forgotten. README.md tells which mistakes this finds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import trio

from keys.rules.key_status import Condition
from keys.rules.keyring import KskStatus, ZskPhase
from tests.realtime.pulse import Pulse
from tests.realtime.stage import TTL, ZONES, Stage, on_stage
from tests.realtime.watch import Sight, after, ask, before, watch, wrong_after, wrong_before

pytestmark = [pytest.mark.realtime, pytest.mark.timeout(500)]


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "state/aws/config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "state/aws/credentials"))
    with on_stage(tmp_path) as started:
        yield started


async def until(condition: Callable[[], bool], seconds: float) -> None:
    """Wait until `condition`, which blocks, holds; at most so long."""
    deadline = trio.current_time() + seconds
    while trio.current_time() < deadline:
        if await trio.to_thread.run_sync(condition):
            return
        await trio.sleep(0.25)
    raise AssertionError(f"it took longer than {seconds} s: {condition}")


def removed(stage: Stage, zone: str) -> int:
    """How many ZSKs have left the zone's DNSKEY RRset."""
    return max((zsk.sequence for zsk in stage.keys(zone).zsks if zsk.phase is ZskPhase.REMOVED), default=0)


def all_have(stage: Stage, status: KskStatus) -> bool:
    return all(ksk.status is status for zone in ZONES for ksk in stage.keys(zone).ksks)


def progress(stage: Stage) -> list[object]:
    """How far the rollovers have come."""
    zsks = [(zone, zsk) for zone in ZONES for zsk in stage.keys(zone).zsks]
    return [(zone, z.sequence, z.published, z.activated, z.retired, z.phase is ZskPhase.REMOVED) for zone, z in zsks]


async def rollovers(stage: Stage, more: int) -> None:
    """Wait until `more` whole rollovers have ended in each zone."""
    already = await trio.to_thread.run_sync(lambda: {zone: removed(stage, zone) for zone in ZONES})
    await until(lambda: all(removed(stage, zone) >= already[zone] + more for zone in ZONES), 60 * more)


def waiting(stage: Stage, zone: str) -> int | None:
    """When the zone's successor may sign that is published and does not sign yet."""
    return next((zsk.ready for zsk in stage.keys(zone).zsks if zsk.activated is None), None)


async def outage_with_recovery(stage: Stage) -> None:
    """The KSKs are disabled in the KMS and enabled again: what is served stays, and nothing rolls over meanwhile.

    It begins while successors wait for their activation and ends after they could have had it. Where the machine was so
    late that one was activated before anybody asked the KMS, it is done again.
    """
    for _ in range(3):
        if await _outage(stage):
            return
    raise AssertionError("successors were activated before a KSK that can't sign was found out")


async def _outage(stage: Stage) -> bool:
    """Whether all successors waited all the time."""
    async with trio.open_nursery() as nursery:
        for zone in ZONES:
            nursery.start_soon(_disable_while_a_successor_waits, stage, zone)
    await until(partial(all_have, stage, KskStatus.ACTION_NEEDED), 30)
    suspended = await trio.to_thread.run_sync(progress, stage)
    ready = [await trio.to_thread.run_sync(waiting, stage, zone) for zone in ZONES]
    waits = [at for at in ready if at is not None]
    await trio.sleep(max([3.0, *(at + 2 - time.time() for at in waits)]))
    assert await trio.to_thread.run_sync(progress, stage) == suspended
    assert await trio.to_thread.run_sync(stage.conditions) == {Condition.TROUBLED}
    for zone in ZONES:
        await trio.to_thread.run_sync(stage.enable, zone)
    await until(partial(all_have, stage, KskStatus.ACTIVE), 30)
    return len(waits) == len(ZONES)


async def _disable_while_a_successor_waits(stage: Stage, zone: str) -> None:
    await until(lambda: waiting(stage, zone) is not None, 60)
    await trio.to_thread.run_sync(stage.disable, zone)


async def outage_past_the_runway(stage: Stage) -> dict[str, int]:
    """The KMS fails every request, until caches have forgotten too; the seconds that were foretold meanwhile."""
    await trio.to_thread.run_sync(stage.break_kms)
    await until(partial(all_have, stage, KskStatus.ACTION_NEEDED), 30)
    foretold = await trio.to_thread.run_sync(stage.foretold)
    assert min(foretold.values()) > time.time() + 2, "it was foretold too late to be of use"
    await trio.sleep(max(foretold.values()) + TTL + 4 - time.time())
    assert await trio.to_thread.run_sync(stage.foretold) == foretold
    assert await trio.to_thread.run_sync(stage.conditions) == {Condition.FAILING}
    return foretold


async def recovery(stage: Stage) -> None:
    """The KMS works again, and so does the zone, to a resolver that has not seen it fail."""
    await trio.to_thread.run_sync(stage.mend_kms)
    await until(lambda: stage.conditions() == {Condition.SIGNING}, 30)
    with stage.another_resolver("later") as later:
        for question in later.questions:
            sight = await ask(later, question, "later")
            assert sight.is_right, str(sight)


def shown(stage: Stage, pulse: Pulse, wrong: list[Sight]) -> str:
    """The first of what was wrong, with the words of the validators, for the report of a failure."""
    lines = [f"{len(wrong)} answers are wrong", str(pulse), *map(str, wrong[:12])]
    for watched in stage.resolvers:
        why = [line for line in watched.resolver.log.read_text().splitlines() if "validation failure" in line]
        lines += [f"{watched.name}: {len(why)} failures to validate", *why[:6]]
    return "\n".join([*lines, f"events and queries: {stage.folder}"])


def check_before(stage: Stage, pulse: Pulse, sights: list[Sight], foretold: dict[str, int]) -> None:
    """Nothing was wrong so far, or before the foretold second."""
    wrong = wrong_before(pulse.judged(sights), foretold)
    assert not wrong, shown(stage, pulse, wrong)


async def test_no_answer_is_bogus_before_the_foretold_second_and_all_are_after_it(stage: Stage) -> None:
    pulse = Pulse(stage.folder)
    sights: list[Sight] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pulse.run)
        nursery.start_soon(stage.hoard.run)
        for relay in stage.relays:
            nursery.start_soon(relay.run)
        nursery.start_soon(watch, stage.resolvers, sights)
        for act in (partial(rollovers, stage, 2), partial(outage_with_recovery, stage), partial(rollovers, stage, 1)):
            await act()
            check_before(stage, pulse, sights, {})
        foretold = await outage_past_the_runway(stage)
        nursery.cancel_scope.cancel()
    check_before(stage, pulse, sights, foretold)
    wrong = wrong_after(pulse.judged(sights), foretold, stage.resolvers)
    assert not wrong, shown(stage, pulse, wrong)
    for watched in stage.resolvers:
        for question in watched.questions:
            seen = [sight for sight in sights if (sight.resolver, sight.question) == (watched.name, question)]
            # Of each kind many were seen, up to the last seconds before and from the first ones after.
            early, late = before(seen, foretold), after(seen, foretold, stage.resolvers)
            assert len(pulse.judged(early)) > 100, (watched.name, question, str(pulse))
            assert max(sight.sent for sight in early) > foretold[question.zone] - 2, (watched.name, question)
            assert len(late) > 4, (watched.name, question, len(late))
    assert "Traceback" not in stage.server.log
    await recovery(stage)
