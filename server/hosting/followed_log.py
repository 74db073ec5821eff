"""How far the answers of this process follow the change log: each version that is committed, until it is applied.

A version that changes nothing of what is answered is applied at once; any other when what it changes stands in the set
of zones. So the set of zones answers for `position`, the end of the run of versions without a gap that are applied, and
is handed on with it. Three things can change an answer, each by somebody who then says so: a zone's data (records, or a
file), its keys where a key manager publishes them, and whether there is the zone at all.

What is answered may also change where nothing was written: keys that are shown once more, a file that a full disk keeps
from being noted. No position stands for that, so it is remembered (`beside`): a caller that must be certain of it asks
the members for their newest set of zones.

Anything but the next version with the right digest is a loss: what it may have told is read from the state
(`server.hosting.state_snapshots`), and the position stays below it until that is answered from.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from keys.custody.change_log import (
    Change,
    Committed,
    FileChanged,
    KeysChanged,
    Position,
    RecordsChanged,
    SignednessChanged,
    ZoneCreated,
    ZoneDeleted,
)

_MOST_CHANGED = 1 << 16
"""Parts of zones of which it is known when they were changed, before those are forgotten that are applied."""


class Part(enum.Enum):
    """What of a zone is answered from."""

    DATA = "data"
    KEYS = "keys"


Subject = tuple[Part, bytes]
"""A part of the zone with that origin."""


def subject_of(change: Change) -> Subject | None:
    """What is answered otherwise once this is applied; `None`: nothing."""
    match change:
        case RecordsChanged() | ZoneCreated() | ZoneDeleted() | FileChanged():
            return Part.DATA, change.origin
        case KeysChanged() | SignednessChanged():
            return Part.KEYS, change.origin
        case _:
            return None


class Lost(NamedTuple):
    """Something that was committed and can't be followed: a snapshot of the state is to be taken."""

    number: int
    reason: str
    origins: frozenset[bytes] | None
    """Of the zones that it concerns; `None`: of all, it is not known of which."""


@dataclass(eq=False)
class _Version:
    """One that is committed and not applied yet."""

    position: Position
    open: set[Subject | Lost]
    """What is still to be applied of it."""


class FollowedLog:
    """The change log as this process follows it. Each method returns at once and reads nothing."""

    def __init__(self, position: Position) -> None:
        """All that is answered from will be read after the log stood at `position`."""
        self.position = position
        """Of the set of zones: every answer has all that was changed up to here."""
        self.newest = position
        """What was committed last."""
        self.stopped: str | None = None
        """Why nothing is acknowledged any more: another program writes the state."""
        self._versions: deque[_Version] = deque()
        self._open: dict[Subject | Lost, list[_Version]] = {}
        self._changed: dict[Subject, Position] = {}
        self._most_changed = _MOST_CHANGED
        self._kept: set[bytes] = set()
        self._puts = 0
        self._beside: dict[Subject, int] = {}
        self._losses = 0
        self.lost: list[Lost] = []
        """What is still to be read from the state; the position stays below it."""

    # What is committed

    def committed(self, told: Committed) -> None:
        """Take note of a transaction, in the order of versions.

        One that does not follow what is known, or that nobody has applied, needs a snapshot of the state (`lost`).
        """
        subjects = {subject for change in told.changes if (subject := subject_of(change)) is not None}
        version = _Version(told.position, {one for one in subjects if self._is_awaited(one)})
        if told.before != self.newest:
            reason = f"the change log was at version {self.newest.version} here, and is at {told.before.version}"
            version.open.add(self._lose(reason, None))
        elif told.is_late:
            # Nobody else publishes these, because their writer gave up.
            reason = f"version {told.position.version} is stored, although the disk said that it was not"
            concerned = frozenset(origin for _, origin in subjects)
            version.open = {self._lose(reason, concerned)} if subjects else set()
        self.newest = told.position
        for subject in subjects:
            self._changed[subject] = told.position
        if len(self._changed) > self._most_changed:
            self._forget_applied()
        for awaited in version.open:
            self._open.setdefault(awaited, []).append(version)
        self._versions.append(version)
        self._advance()

    def _lose(self, reason: str, origins: frozenset[bytes] | None) -> Lost:
        self._losses += 1
        self.lost.append(Lost(self._losses, reason, origins))
        return self.lost[-1]

    def awaits_keys(self, lost: Lost, origin: bytes) -> None:
        """The keys of this zone are read anew for a loss: to be called before their key manager is started."""
        subject = (Part.KEYS, origin)
        for version in self._open.get(lost, ()):
            version.open.add(subject)
            self._open.setdefault(subject, []).append(version)

    def found(self, lost: Lost) -> None:
        """All that was committed before this loss, and what was lost, is answered from: a snapshot was taken."""
        self.lost.remove(lost)
        self._applied(lost)

    def _forget_applied(self) -> None:
        """Forget when zones were changed whose changes are applied: of zones that come and go there is no end."""
        applied = self.position.version
        self._changed = {subject: at for subject, at in self._changed.items() if at.version > applied}
        self._most_changed = max(_MOST_CHANGED, 2 * len(self._changed))

    def _is_awaited(self, subject: Subject) -> bool:
        part, origin = subject
        return part is Part.DATA or origin in self._kept

    def stop(self, reason: str) -> None:
        """Acknowledge nothing any more: another program writes the state."""
        self.stopped = self.stopped or reason

    # What is applied

    def put(self, part: Part, origin: bytes) -> None:
        """All that is committed of this part of a zone stands in the set of zones, which has just been replaced."""
        subject, self._puts = (part, origin), self._puts + 1
        if subject in self._open:
            self._beside.pop(subject, None)
            self.passed_over(part, origin)
        else:
            self._beside[subject] = self._puts

    def passed_over(self, part: Part, origin: bytes) -> None:
        """What is committed of this part of a zone changes no answer, or can't be answered from now: nobody waits for
        it.
        """
        self._applied((part, origin))

    def _applied(self, subject: Subject | Lost) -> None:
        for version in self._open.pop(subject, ()):
            version.open.discard(subject)
        self._advance()

    def keeps(self, origin: bytes) -> None:
        """A key manager publishes this zone's keys from now on, and says so of each version of them."""
        self._kept.add(origin)

    def keeps_no_more(self, origin: bytes) -> None:
        """None does any more: what it has stored last is not answered from."""
        self._kept.discard(origin)
        self.passed_over(Part.KEYS, origin)

    def _advance(self) -> None:
        while self._versions and not self._versions[0].open and self.stopped is None:
            self.position = self._versions.popleft().position

    # What is waited for

    def position_of(self, part: Part, origin: bytes) -> Position:
        """With which position this part of a zone was changed last, as far as this process has seen."""
        return self._changed.get((part, origin), self.position)

    def reaches(self, position: Position) -> bool:
        """Whether the set of zones has what was committed with `position`."""
        return self.stopped is None and self.position.includes(self.in_this_log(position))

    def in_this_log(self, position: Position) -> Position:
        """A position that stands for `position` in the present log: this one, unless the state was put in its place."""
        return position if position.log_id == self.newest.log_id else self.newest

    def is_beside(self, subjects: Iterable[Subject]) -> bool:
        """Whether any of these was put without anything having been written."""
        return any(subject in self._beside for subject in subjects)

    @property
    def beside(self) -> int | None:
        """The number of the newest thing that was put without anything having been written; `None`: there is none."""
        return max(self._beside.values(), default=None)

    def all_have(self, number: int) -> None:
        """Everybody answers from all that was put up to this number."""
        self._beside = {subject: put for subject, put in self._beside.items() if put > number}
