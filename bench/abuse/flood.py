"""A program: queries by schedule, whatever is answered; what comes back is counted.

The schedule is the only thing that it follows. What its core has no time for within 50 ms is left out, and how much
that was is part of what it says. With a rate of 0 it sends as fast as it is answered (`window` outstanding).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from bench.abuse.datagrams import BATCH, Receiver, Sender, wake_exactly, wildcard_socket
from bench.abuse.packets import LABEL, Packet
from bench.abuse.programs import Told, ready, work

_PAUSE = 0.0002
"""Seconds between two looks at the schedule: at 30,000 a second 6 packets are sent at once."""
_LOST = 0.05
"""Seconds without any answer after which what is outstanding is given up, where there is a window."""
_TURN = 16
"""Batches that are sent before answers are taken."""
_MOST_BEHIND = 0.05
"""Seconds."""
_DRAINED = 1000
"""Batches of answers that are taken at the end."""
_MARK = 0.1
"""Seconds between two marks."""


class Mark(NamedTuple):
    """What had been sent and answered at a moment of the monotonic clock, which all programs share."""

    at: float
    sent: int
    answers: int
    octets: int


class _Flood:
    def __init__(self, sender: Sender, receiver: Receiver) -> None:
        self.sender = sender
        self.receiver = receiver
        self.sent = 0
        self.skipped = 0
        """Of the schedule, what could not be sent nearly in time."""
        self.behind = 0.0
        self.marks: list[Mark] = []

    def mark(self, now: float) -> None:
        if not self.marks or now - self.marks[-1].at >= _MARK:
            self.marks.append(Mark(now, self.sent, self.receiver.answers, self.receiver.octets))

    def by_schedule(self, rate: float, seconds: float, told: Told) -> None:
        began = now = time.monotonic()
        while now - began < seconds and not told.to_stop:
            due = int((now - began) * rate) - self.skipped
            for _ in range(_TURN):
                if self.sent >= due or not (done := self.sender.send(due - self.sent)):
                    break
                self.sent += done
            self.behind = max(self.behind, (due - self.sent) / rate)
            if due - self.sent > _MOST_BEHIND * rate:
                # Sending the backlog of a busy core at once would be a burst, not the rate that is measured.
                self.skipped += due - self.sent
            # No more than a batch or two at once, so that the schedule is looked at again soon.
            if self.receiver.receive() < BATCH or self.receiver.receive() < BATCH:
                time.sleep(_PAUSE)
            now = time.monotonic()
            self.mark(now)

    def by_window(self, window: int, seconds: float, told: Told) -> None:
        given_up = 0
        began = now = heard = time.monotonic()
        while now - began < seconds and not told.to_stop:
            missing = window - (self.sent - given_up - self.receiver.answers)
            if missing >= min(BATCH, window) // 2:
                self.sent += self.sender.send(missing)
            if self.receiver.receive():
                heard = now
            elif now - heard > _LOST:
                given_up, heard = self.sent - self.receiver.answers, now
            now = time.monotonic()
            self.mark(now)


def flood(order: dict[str, Any], told: Told) -> Mapping[str, Any]:
    """`order`: port, packets (as `Packet`, octets in hexadecimal digits), rate, window, seconds at most."""
    packets = [Packet(source, bytes.fromhex(head), bytes.fromhex(tail)) for source, head, tail in order["packets"]]
    wake_exactly()
    with wildcard_socket() as sock:
        flood = _Flood(Sender(sock, order["port"], packets), Receiver(sock))
        ready()
        if order["rate"]:
            flood.by_schedule(order["rate"], order["seconds"], told)
        else:
            flood.by_window(order["window"], order["seconds"], told)
        time.sleep(_LOST)
        for _ in range(_DRAINED):
            if not flood.receiver.receive():
                break
    return {
        "sent": flood.sent,
        "skipped": flood.skipped,
        "answers": flood.receiver.answers,
        "octets": flood.receiver.octets,
        "truncated": flood.receiver.truncated,
        "rcodes": {str(number): count for number, count in enumerate(flood.receiver.rcodes) if count},
        "packet_octets": sum(2 + len(one.head) + len(one.tail) + LABEL * one.varies for one in packets) / len(packets),
        "most_behind_ms": flood.behind * 1e3,
        "marks": flood.marks,
    }


def between(marks: Sequence[Sequence[float]], begin: float, end: float) -> Mark:
    """What was sent and answered from one moment to another, a second each; the time in place of the moment.

    Raises `ValueError` where the flood wasn't there.
    """
    inside = [Mark(at, *map(int, counts)) for at, *counts in marks if begin <= at <= end]
    if len(inside) < 2:
        raise ValueError(f"no two marks of a flood from {begin:.1f} to {end:.1f}")
    first, last = inside[0], inside[-1]
    seconds = last.at - first.at
    return Mark(
        seconds, *(round((after - before) / seconds) for before, after in zip(first[1:], last[1:], strict=True))
    )


if __name__ == "__main__":
    work(flood)
