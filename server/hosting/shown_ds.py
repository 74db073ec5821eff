"""Which DS of a zone a parent served here has shown, and until when: what this process knows though nobody stored it.

A zone's keyring stores that the parent's DS names a KSK once that was seen. A full disk may keep it from that, and the
DS, or the whole zone above, may go meanwhile; caches have it all the same. So what was shown is kept here, and told
with each look at the parent, for the keyring to take what it has not.
"""

from __future__ import annotations

from typing import NamedTuple

from keys.rules.wanted_ds import ParentDs

_MOST = 32
"""DS records of one zone that are kept: of KSKs that roll, there are a few."""


class _Shown(NamedTuple):
    ttl: int
    until: int | None
    """Seconds since the epoch; `None`: it is shown now."""


class ShownDs:
    """Of one zone."""

    __slots__ = ("_shown",)

    def __init__(self) -> None:
        self._shown: dict[bytes, _Shown] = {}

    def note(self, rdatas: tuple[bytes, ...], ttl: int, now: int) -> None:
        """These DS are shown from now on (rounded up, seconds since the epoch), with this TTL, and no others."""
        shown = self._shown
        for rdata, one in shown.items():
            if one.until is None and rdata not in rdatas:
                shown[rdata] = one._replace(until=now)
        for rdata in rdatas:
            before = shown.pop(rdata, None)  # what comes again becomes the newest
            shown[rdata] = _Shown(max(ttl, before.ttl if before is not None else 0), None)
        while len(shown) > _MOST:
            del shown[next(iter(shown))]

    def lately(self) -> tuple[ParentDs, ...]:
        """Those that were shown and are not any more, each as it was seen last."""
        return tuple(
            ParentDs((rdata,), one.ttl, one.until, settled=False)
            for rdata, one in self._shown.items()
            if one.until is not None
        )
