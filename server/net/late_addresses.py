"""Addresses that this host does not have yet, as of a network that comes up late: listened on all the same.

The kernel lets a socket wait for its address (IP_FREEBIND): once an interface has it, what comes to it is answered.
Until then it is a trouble in `status` and the log, since it may be a mistake as well.
"""

from __future__ import annotations

from collections.abc import Iterable

import trio

from server.net.addresses import Address
from server.net.listen import CannotListen, check_host
from server.supervised import Report

_LOOK_AGAIN = 2.0
"""Seconds."""


async def follow(addresses: Iterable[Address], report: Report) -> None:
    """Report which of the addresses this host does not have, until it has all."""
    missing = [*dict.fromkeys(addresses)]
    while missing := [address for address in missing if not _told(address, report)]:  # noqa: ASYNC110
        await trio.sleep(_LOOK_AGAIN)


def _told(address: Address, report: Report) -> bool:
    """Whether it is here by now."""
    try:
        check_host(address)
    except CannotListen:
        report(
            f"address {address}",
            "no interface of this host has it: add it to the host, or change the setting; the server answers there "
            "as soon as the host has it",
        )
        return False
    report(f"address {address}", None)
    return True
