"""The clocks of the machine, and what its kernel says of them."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from functools import cache, partial
from typing import NamedTuple

_UNSYNCHRONISED = 0x0040
"""STA_UNSYNC of <sys/timex.h>."""
UNSYNCHRONISED = (
    "the kernel does not call the clock synchronised; start an NTP client (systemd-timesyncd, chrony): signatures are "
    "valid by the clock"
)
"""What people read where the clock is not synchronised."""
_REST = 256
"""Octets: more than what follows in `struct timex`."""


class Clocks(NamedTuple):
    """What a clock is made of; each gives seconds."""

    wall: Callable[[], float]
    """Since the epoch."""
    boot: Callable[[], float]
    """CLOCK_BOOTTIME: nobody sets it, and it goes on while the machine sleeps."""
    awake: Callable[[], float]
    """CLOCK_MONOTONIC: stands still while the machine sleeps."""
    synchronised: Callable[[], bool | None]
    """Whether the kernel calls the wall clock synchronised; `None`: not known."""


class _Timex(ctypes.Structure):
    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * _REST),
    )


def synchronised() -> bool | None:
    """Whether the kernel calls its clock synchronised (adjtimex(2), which only reads here); `None`: it can't be asked.

    A sandbox may forbid it, as systemd's ProtectClock does.
    """
    adjtimex = _adjtimex()
    if adjtimex is None:
        return None
    timex = _Timex()  # modes 0: read only
    if adjtimex(ctypes.byref(timex)) < 0:
        return None
    return not timex.status & _UNSYNCHRONISED


@cache
def _adjtimex() -> Callable[[object], int] | None:
    return getattr(ctypes.CDLL(None), "adjtimex", None)


# Where there is no CLOCK_BOOTTIME, a sleep is a step of the wall clock. No function of ours: that is a call less.
boottime = partial(time.clock_gettime, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))

SYSTEM = Clocks(time.time, boottime, time.monotonic, synchronised)
"""Those of this machine."""


def offset_as_read() -> float:
    """Wall clock minus CLOCK_BOOTTIME, for who believes whatever the wall clock says."""
    return SYSTEM.wall() - SYSTEM.boot()
