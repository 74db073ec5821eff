"""When an RRSIG is valid: the slots of the DNSKEY RRset and the live windows of all else.

Both are quantised, so that the same answer is made of the same bytes for hours, in every process that answers. An RRSIG
served at *t* stays valid until *t* + TTL + margin, since not every cache caps a TTL at the RRSIG's remaining life
(RFC 4035 §5.3.3), and its inception lies a margin before the first instant at which it can be served.
"""

from __future__ import annotations

from typing import NamedTuple
from zlib import crc32

from keys.dnssec.signing_policy import MAXIMUM_SIGNED_TTL, Policy


class Window(NamedTuple):
    """The validity of one RRSIG, and the span in which it is served; all in seconds since the epoch."""

    start: int
    """First second in which it is served."""
    end: int
    """The second from which the next one is served."""
    inception: int
    expiration: int


def slot_window(now: int, policy: Policy, ahead: int = 0) -> Window:
    """The DNSKEY slot that holds `now`, or the one `ahead` slots later. Slots are cut from the epoch on, in UTC."""
    start = (now // policy.slot + ahead) * policy.slot
    end = start + policy.slot
    return Window(start, end, start - policy.margin, end + policy.dnskey_ttl + policy.margin)


def live_window(owner: bytes, ttl: int, now: int, policy: Policy) -> Window:
    """The window in which an RRset of `owner` (wire form, lower case) with `ttl` is signed at `now`.

    Windows of different owners begin at different times (a hash of the owner), so that signatures never all
    roll at once.
    """
    return Window(*live_times(owner, ttl, now, policy))


def live_times(owner: bytes, ttl: int, now: int, policy: Policy) -> tuple[int, int, int, int]:
    """The times of `live_window`: each signature asks, and a tuple is made in half the time (0.3 µs less)."""
    start = now - (now - crc32(owner)) % policy.window
    end = start + policy.window
    lasting = ttl if ttl < MAXIMUM_SIGNED_TTL else MAXIMUM_SIGNED_TTL
    return start, end, start - policy.margin, end + lasting + policy.margin
