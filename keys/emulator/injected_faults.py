"""Faults on order: a table of what goes wrong, for which key and operation, and how often.

The table decides and counts; the HTTP edge carries out what it says. So a drill of an outage is a row in a table, the
same from a test, a laboratory or `POST /_faults`.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class OrderedFaultKind(StrEnum):
    """What goes wrong."""

    LATENCY = "latency"
    """The answer comes `seconds` later; other faults still apply."""
    THROTTLING = "throttling"
    """ThrottlingException, 400."""
    INTERNAL = "internal"
    """KMSInternalException, 500."""
    UNAVAILABLE = "unavailable"
    """KeyUnavailableException, 500."""
    DEPENDENCY_TIMEOUT = "dependency-timeout"
    """DependencyTimeoutException, 503."""
    REFUSED = "refused"
    """The connection is closed without a byte."""
    TIMEOUT = "timeout"
    """No answer: the connection is held for `seconds`, then closed without a byte."""


class OrderedFault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One fault. Raises `ValueError` when made of values without meaning."""

    kind: OrderedFaultKind
    key: str | None = None
    """The key's id or ARN; `None` for every request, those that name no key included."""
    operation: str | None = None
    """An operation's name, such as `Sign`; `None` for all."""
    count: int | None = None
    """How many requests it strikes; `None` until it is cleared."""
    seconds: float = 60.0
    """How long a latency or a time-out lasts."""

    def __post_init__(self) -> None:
        if self.count is not None and self.count < 1:
            raise ValueError("count must be at least 1")
        if not 0 <= self.seconds <= 3600:
            raise ValueError("seconds must be from 0 to 3600")

    def strikes(self, key_id: str | None, operation: str) -> bool:
        """Whether a request for this key (its id) and operation meets this fault."""
        of_key = self.key is None or (key_id is not None and self.key.rpartition("/")[2] == key_id)
        return of_key and self.operation in (None, operation)


class Faults:
    """The faults now in force, in the order in which they were added."""

    def __init__(self) -> None:
        self._rows: dict[int, OrderedFault] = {}
        self._next = 1

    def add(self, fault: OrderedFault) -> int:
        """Put a fault in force; its number clears it again."""
        number = self._next
        self._next += 1
        self._rows[number] = fault
        return number

    def clear(self, number: int | None = None) -> None:
        """End one fault, or all of them. A number that is not in force is accepted: the fault may have run out."""
        if number is None:
            self._rows.clear()
        else:
            self._rows.pop(number, None)

    def rows(self) -> dict[int, OrderedFault]:
        """The faults in force by number; `count` is what is left of it."""
        return dict(self._rows)

    def strike(self, key_id: str | None, operation: str) -> list[OrderedFault]:
        """The faults that this request meets, counted as used: latencies, and behind them at most one that ends it."""
        struck = []
        for number, fault in self.rows().items():
            if not fault.strikes(key_id, operation):
                continue
            self._use(number, fault)
            struck.append(fault)
            if fault.kind is not OrderedFaultKind.LATENCY:
                break
        return struck

    def _use(self, number: int, fault: OrderedFault) -> None:
        if fault.count == 1:
            del self._rows[number]
        elif fault.count is not None:
            self._rows[number] = msgspec.structs.replace(fault, count=fault.count - 1)
