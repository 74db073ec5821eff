"""Members: the backends that answer, and up to which position of the change log; which to wait for, and for how long.

"Published" means that every member that may still be answering has a position. This process and its workers may
answer until they are known to have ended: their `may_answer_until` is `None` until they are taken out (a worker when it
is killed and reaped). A remote member answers no longer than its lease, which it renews by writing; both sides count it
by their own CLOCK_BOOTTIME, which goes on while a machine sleeps and which nobody sets. The member counts from before
it asked, and the grantor from after it committed and with a margin, so that the member's end is always the earlier one.

Times are seconds of CLOCK_BOOTTIME and are handed in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from keys.custody.change_log import Position

MARGIN = 1.0
"""Seconds by which the grantor counts longer, for two clocks that do not run at quite the same speed (1 in 1,000)."""


class Member(NamedTuple):
    """One that answers, as those who wait for it know it."""

    name: str
    position: Position | None = None
    """What it last said that every answer of its includes; `None`: nothing yet."""
    may_answer_until: float | None = None
    """By the clock of who waits. `None`: until it is taken out."""

    def may_answer(self, boottime: float) -> bool:
        """Whether it may give an answer now."""
        return self.may_answer_until is None or boottime < self.may_answer_until

    def has(self, position: Position) -> bool:
        """Whether all its answers include `position`."""
        return self.position is not None and self.position.includes(position)


class Lease(NamedTuple):
    """What a remote member is allowed: to answer for so long without being heard of."""

    seconds: float

    def end_for_member(self, asked: float) -> float:
        """When the member must fall silent, by its clock: counted from before it asked."""
        return asked + self.seconds

    def end_for_grantor(self, committed: float, margin: float = MARGIN) -> float:
        """Until when it is waited for, by the grantor's clock: counted from after the lease was stored."""
        return committed + self.seconds * 1.001 + margin


Members = Mapping[str, Member]
"""By name."""


def of(members: Iterable[Member]) -> Members:
    """Members by their names."""
    return {member.name: member for member in members}


def acknowledged(members: Members, name: str, position: Position) -> Members:
    """The members after one has said that all its answers include `position`; one that was taken out stays out."""
    member = members.get(name)
    return members if member is None else {**members, name: member._replace(position=position)}


def renewed(members: Members, name: str, lease: Lease, committed: float) -> Members:
    """The members after a lease was stored for one; the later end counts, since the member may have got either."""
    member = members.get(name, Member(name))
    end = lease.end_for_grantor(committed)
    if member.may_answer_until is not None:
        end = max(end, member.may_answer_until)
    return {**members, name: member._replace(may_answer_until=end)}


def without(members: Members, name: str) -> Members:
    """The members without one that is known to have ended."""
    return {other: member for other, member in members.items() if other != name}


def waited_for(members: Members, position: Position, boottime: float) -> tuple[Member, ...]:
    """Those that may give an answer without `position`: while there are any, it is not published."""
    return tuple(m for m in members.values() if m.may_answer(boottime) and not m.has(position))


def is_published(members: Members, position: Position, boottime: float) -> bool:
    """Whether every answer from now on includes `position`."""
    return not waited_for(members, position, boottime)


def next_end(members: Members, position: Position, boottime: float) -> float | None:
    """When the first of those that are waited for may answer no more, if nobody is heard of until then."""
    ends = [m.may_answer_until for m in waited_for(members, position, boottime) if m.may_answer_until is not None]
    return min(ends, default=None)


def passed_by_all(members: Members, log_id: str, boottime: float) -> int | None:
    """The version that every member that may still answer has: rows below it can go. `None`: one has none."""
    versions: list[int] = []
    for member in members.values():
        if not member.may_answer(boottime):
            continue
        if member.position is None or member.position.log_id != log_id:
            return None
        versions.append(member.position.version)
    return min(versions, default=None)
