"""Changes of statuses that wait for a hook: bounded, and the last one of each zone and of each KSK is never lost.

The rule: changes wait in the order in which they came. While 1,000 or more wait, a change takes the place of those of
the same zone or KSK that wait already, says what the status was before the first of them, and goes to the end: what it
was in between is not told. So there are never more than 1,000 and one for each zone and KSK, and those of one zone keep
their order. One that a hook could not be told for long is set aside, unless a later one of its kind waits, and told in
the end, after others.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

import msgspec

from keys.rules.key_status import StatusChange

MOST = 1000
"""Changes that may wait, of whichever zones, before later ones take the place of earlier ones."""

_Whose = tuple[str, str | None, str]


class Waiting(NamedTuple):
    """A change that is to be told."""

    zone: str
    """Text of the origin."""
    change: StatusChange

    @property
    def whose(self) -> _Whose:
        """The zone, or its KSK, that the change is of, and what of it."""
        return self.zone, self.change.ksk, self.change.about


class WaitingChanges:
    """What one hook is still to be told."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._number = 0
        self._waiting: OrderedDict[int, Waiting] = OrderedDict()
        self._numbers: dict[_Whose, list[int]] = {}
        self._aside: OrderedDict[_Whose, Waiting] = OrderedDict()

    def __len__(self) -> int:
        """How many wait, without those that are set aside."""
        return len(self._waiting)

    @property
    def aside(self) -> int:
        """How many are set aside."""
        return len(self._aside)

    def add(self, new: Waiting) -> None:
        """Have a change wait."""
        self._aside.pop(new.whose, None)
        numbers = self._numbers.setdefault(new.whose, [])
        if numbers and len(self._waiting) >= self._most:
            replaced = [self._waiting.pop(number) for number in numbers]
            numbers.clear()
            new = new._replace(change=msgspec.structs.replace(new.change, before=replaced[0].change.before))
        self._number += 1
        self._waiting[self._number] = new
        numbers.append(self._number)

    def take(self) -> Waiting:
        """The change that came first. Raises `KeyError` where none waits."""
        number, first = self._waiting.popitem(last=False)
        numbers = self._numbers[first.whose]
        numbers.remove(number)
        if not numbers:
            del self._numbers[first.whose]
        return first

    def set_aside(self, one: Waiting) -> None:
        """Keep a change that could not be told for later, behind others, unless a newer one of its kind waits."""
        if one.whose not in self._numbers:
            self._aside.pop(one.whose, None)
            self._aside[one.whose] = one

    def take_aside(self) -> Waiting | None:
        """The change that was set aside first."""
        return self._aside.popitem(last=False)[1] if self._aside else None
