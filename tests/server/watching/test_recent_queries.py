"""The last minutes, and who has them counted."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from server.watching.query_counts import QueryCounts
from server.watching.recent_queries import LONGEST, NO_ZONE, UNREADABLE, RecentQueries, TopRow, rcode_text, type_text
from server.watching.top_lease import LEASE, TopLease


def counts(name: bytes, number: int = 1) -> QueryCounts:
    made = QueryCounts(queries=number, read=number, octets=100 * number)
    made.names.add(name, number)
    return made


@pytest.mark.parametrize("begin", [0.0, 3.5, 1e6 + 0.25])
def test_a_report_covers_the_minutes_that_are_asked_for(begin: float) -> None:
    recent = RecentQueries(begin)
    seconds = 20 * 60
    for second in range(1, seconds + 1):
        recent.add(counts(b"\x00"), begin + second)
    for minutes in range(1, LONGEST + 1):
        report = recent.report(minutes)
        # The oldest piece is there whole: of five seconds in the last minute, of a minute before it.
        assert minutes * 60 - 5 <= report.queries <= minutes * 60 + 60
        assert report.seconds == pytest.approx(report.queries, abs=6)
        assert report.names == (TopRow(".", report.queries, report.queries),)
        assert report.octets == 100 * report.queries
    assert len(recent._pieces) <= 13
    assert len(recent._minutes) <= LONGEST + 1


def test_a_short_time_is_told_as_such() -> None:
    recent = RecentQueries(100.0)
    assert recent.report(5).seconds == 0
    recent.add(counts(b"\x01a\x00", 7), 102.5)
    report = recent.report(5)
    assert (report.seconds, report.queries) == (2.5, 7)
    assert [row.key for row in report.names] == ["a."]


def test_a_report_is_made_in_steps_and_is_of_the_moment_in_which_it_began() -> None:
    recent = RecentQueries(0)
    for second in range(1, 200):
        recent.add(counts(b"\x00"), second)
    whole, steps = recent.report(LONGEST), recent.reporting(LONGEST)
    given = []
    for number, step in enumerate(steps):
        recent.add(counts(b"\x00"), 200 + number)  # pieces become minutes meanwhile
        given.append(step)
    assert given[-1] == whole
    assert set(given[:-1]) == {None}
    assert len(given) > 13


async def test_others_run_while_a_report_is_made(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    lease = TopLease(lambda _: None, lambda: counts(b"\x00"))
    nursery.start_soon(lease.run)
    for _ in range(100):
        await lease.top(LONGEST)
        await trio.sleep(5)
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    nursery.start_soon(other)
    await lease.top(LONGEST)
    assert turns > 13
    nursery.cancel_scope.cancel()


def test_words_for_what_has_no_name() -> None:
    made = counts(b"")
    made.zones.add(b"")
    made.rcodes.add(b"\x17")
    made.types.add(b"\xff\xfe")
    recent = RecentQueries(0)
    recent.add(made, 1)
    report = recent.report(1)
    assert (report.names[0].key, report.zones[0].key) == (UNREADABLE, NO_ZONE)
    assert (report.rcodes[0].key, report.types[0].key) == ("BADCOOKIE", "TYPE65534")
    assert (rcode_text(16), type_text(0)) == ("BADVERS", "TYPE0")


async def test_counting_lasts_as_long_as_somebody_asks(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    switched: list[tuple[float, bool]] = []
    drained = 0

    def drain() -> QueryCounts:
        nonlocal drained
        drained += 1
        return counts(b"\x00", 2)

    def switch(on: bool) -> None:
        switched.append((trio.current_time(), on))

    lease = TopLease(switch, drain)
    nursery.start_soon(lease.run)
    await trio.sleep(100)
    assert (switched, drained) == ([], 0)  # at no cost while nobody looks
    began = trio.current_time()
    assert (await lease.top(1)).seconds == 0
    for _ in range(20):
        await trio.sleep(LEASE - 1)
        report = await lease.top(15)
    assert report.seconds == pytest.approx(20 * (LEASE - 1), abs=1)
    assert report.queries == pytest.approx(2 * report.seconds, rel=0.2)
    last = trio.current_time()
    await trio.sleep(100)
    assert [on for _, on in switched] == [True, False]
    assert switched[0][0] == began
    assert switched[1][0] == pytest.approx(last + LEASE, abs=1)
    seen = drained
    await trio.sleep(100)
    assert drained == seen
    assert (await lease.top(1)).seconds == 0  # what was counted then is forgotten
    await trio.sleep(2)
    assert 0 < (await lease.top(1)).seconds <= 2
    nursery.cancel_scope.cancel()


async def test_an_end_ends_counting_too(autojump_clock: MockClock) -> None:
    switched: list[bool] = []
    lease = TopLease(switched.append, QueryCounts)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lease.run)
        await lease.top(1)
        await trio.sleep(1.5)
        nursery.cancel_scope.cancel()
    assert switched == [True, False]
