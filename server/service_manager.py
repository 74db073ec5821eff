"""Notifies systemd (sd_notify) that the server is ready, alive, or stopping. Datagrams, and no library.

Without NOTIFY_SOCKET in the environment nothing is sent.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress

import trio

_PER_WATCHDOG = 3
"""Signs of life in the time in which one has to come."""
_MICRO = 1_000_000


def notify(text: str, environment: Mapping[str, str] = os.environ) -> None:
    """Send an assignment such as "READY=1". Raises nothing: who does not listen misses it."""
    address = environment.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):  # the abstract namespace of Linux
        address = "\0" + address[1:]
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.sendto(text.encode(), address)


async def keep_alive(environment: Mapping[str, str] = os.environ) -> None:
    """Send signs of life as often as WATCHDOG_USEC wants them, from the loop that answers: where it hangs, none come.

    Returns at once where none are wanted from this process.
    """
    microseconds, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not (microseconds.isascii() and microseconds.isdigit() and int(microseconds)):
        return
    if pid not in ("", str(os.getpid())):
        return
    while True:
        notify("WATCHDOG=1", environment)
        await trio.sleep(int(microseconds) / _MICRO / _PER_WATCHDOG)
