"""Who is waited for: this process always, a worker until it has ended, a remote member until its lease has."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from keys.custody.change_log import Position, advanced, beginning
from keys.custody.members import (
    MARGIN,
    Lease,
    Member,
    Members,
    acknowledged,
    is_published,
    next_end,
    of,
    passed_by_all,
    renewed,
    waited_for,
    without,
)

OLD = beginning("log")
NEW = advanced(OLD, b"1")


def test_this_process_is_waited_for_until_it_has_the_position() -> None:
    members = of([Member("this process", OLD)])
    assert not is_published(members, NEW, 1e9)
    assert next_end(members, NEW, 1e9) is None
    assert is_published(acknowledged(members, "this process", NEW), NEW, 0)


def test_a_worker_is_waited_for_until_it_is_taken_out() -> None:
    members = of([Member("this process", NEW), Member("worker 1", OLD), Member("worker 2")])
    assert [member.name for member in waited_for(members, NEW, 1e9)] == ["worker 1", "worker 2"]
    members = without(members, "worker 1")
    assert not is_published(members, NEW, 1e9)
    members = without(members, "worker 2")
    assert is_published(members, NEW, 0)
    assert acknowledged(members, "worker 2", OLD) == members  # it has ended; a late message changes nothing


def test_a_position_in_another_log_counts_as_none() -> None:
    members = of([Member("node", beginning("before the restore")._replace(version=99))])
    assert not is_published(members, NEW, 0)
    assert passed_by_all(members, "log", 0) is None


def test_a_lease_ends_for_the_member_first() -> None:
    lease = Lease(10)
    assert lease.end_for_member(asked=100) == 110
    assert lease.end_for_grantor(committed=100) > 110 + MARGIN
    members = renewed({}, "node", lease, committed=100)
    assert waited_for(members, NEW, 111) == (members["node"],)
    assert next_end(members, NEW, 101) == members["node"].may_answer_until
    assert is_published(members, NEW, 112)


def test_a_shorter_lease_takes_nothing_back() -> None:
    members = renewed(renewed({}, "node", Lease(100), 0), "node", Lease(1), 1)
    assert not is_published(members, NEW, 100)


def test_what_all_have_passed_can_go() -> None:
    later = advanced(NEW, b"2")
    members = of([Member("a", later), Member("b", NEW), Member("gone", OLD, may_answer_until=5)])
    assert passed_by_all(members, "log", 1) == 0
    assert passed_by_all(members, "log", 5) == 1
    assert passed_by_all({}, "log", 0) is None
    assert passed_by_all(of([Member("c")]), "log", 0) is None


class Remote:
    """A member on another machine: a clock of its own, messages that are late or lost, an answer whenever it may."""

    def __init__(self, random_: random.Random, end: Callable[[Lease, float, float], float]) -> None:
        self._random, self._end = random_, end
        self._offset, self._rate = random_.uniform(-1e6, 1e6), random_.uniform(0.9995, 1.0005)
        self.position = OLD
        self._answers_until = -1e9
        self._sent: list[tuple[float, float]] = []
        """Requests under way: when each arrives, and when it was sent by the member's own clock."""
        self._replies: list[tuple[float, float, Position]] = []

    def clock(self, now: float) -> float:
        return self._offset + now * self._rate

    def answers(self, now: float) -> bool:
        return self.clock(now) < self._answers_until

    def ask(self, now: float) -> None:
        if self._random.random() < 0.8:
            self._sent.append((now + self._random.expovariate(1), self.clock(now)))

    def arrived(self, now: float) -> list[float]:
        """When the requests that arrive by now were sent."""
        due = [asked for at, asked in self._sent if at <= now]
        self._sent = [(at, asked) for at, asked in self._sent if at > now]
        return due

    def reply(self, now: float, asked: float, position: Position) -> None:
        if self._random.random() < 0.8:
            self._replies.append((now + self._random.expovariate(1), asked, position))

    def take(self, now: float, lease: Lease) -> None:
        for at, asked, position in self._replies:
            if at <= now:
                self.position = position if position.includes(self.position) else self.position
                self._answers_until = max(self._answers_until, self._end(lease, asked, self.clock(now)))
        self._replies = [reply for reply in self._replies if reply[0] > now]


def violations(seed: int, end: Callable[[Lease, float, float], float], margin: float) -> int:
    """How often, in a run at random, a position was called published and an answer without it was given."""
    chance, lease, found = random.Random(seed), Lease(5), 0
    remote, newest = Remote(chance, end), OLD
    members: Members = {}
    now = 0.0
    for _ in range(600):
        now += chance.expovariate(4)
        if chance.random() < 0.05:
            newest = advanced(newest, b"%d" % newest.version)
        if chance.random() < 0.2:
            remote.ask(now)
        for asked in remote.arrived(now):
            members = renewed(members, "node", lease, now + chance.random() / 10 - MARGIN + margin)
            members = acknowledged(members, "node", remote.position)
            remote.reply(now, asked, newest)
        remote.take(now, lease)
        if is_published(members, newest, now) and remote.answers(now) and not remote.position.includes(newest):
            found += 1
        if chance.random() < 0.02:
            now += chance.uniform(0, 20)  # cut off for a while
    return found


@pytest.mark.parametrize("seed", range(20))
def test_no_answer_without_what_is_published(seed: int) -> None:
    assert violations(seed, lambda lease, asked, _heard: lease.end_for_member(asked), MARGIN) == 0


def test_a_lease_that_counts_from_when_it_was_heard_of_is_too_long() -> None:
    assert sum(violations(seed, lambda lease, _asked, heard: lease.end_for_member(heard), MARGIN) for seed in range(20))


def test_a_grantor_that_counts_shorter_than_the_member_is_too_fast() -> None:
    assert sum(violations(seed, lambda lease, asked, _heard: lease.end_for_member(asked), -4) for seed in range(20))


def test_rows_stay_while_a_member_that_may_answer_follows_another_log() -> None:
    here, elsewhere = Member("here", OLD), Member("elsewhere", OLD._replace(log_id="another"), may_answer_until=5.0)
    both = of([here, elsewhere])
    assert passed_by_all(both, OLD.log_id, 4.0) is None
    assert passed_by_all(both, OLD.log_id, 5.0) == OLD.version
    assert passed_by_all(of([here, Member("new")]), OLD.log_id, 4.0) is None
