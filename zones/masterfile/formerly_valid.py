"""Records that an earlier version served and that are invalid now: whoever loads the zone decides about them.

An upgrade must not take down a zone that was served before it. So a server leaves such a record out and warns, while
`signwright check` reports an error. Records that no version served are errors everywhere.
"""

from __future__ import annotations

from typing import Any

import dns.immutable
import dns.rdata
import dns.rdataclass
import dns.rdatatype


class NoLongerValidError(ValueError):
    """A record that an earlier version served and this one refuses; its text says what is wrong."""


@dns.immutable.immutable
class OutdatedRdata(dns.rdata.Rdata):
    """Stands for such a record among dnspython's rdatas: reading it succeeds, its octets raise `NoLongerValidError`.

    So the reader goes on behind it, also within a $GENERATE.
    """

    __slots__ = ("reason",)

    def __init__(self, rdclass: dns.rdataclass.RdataClass, rdtype: dns.rdatatype.RdataType, reason: str) -> None:
        super().__init__(rdclass, rdtype)
        self.reason = reason

    def _to_wire(self, *_: Any, **__: Any) -> None:
        raise NoLongerValidError(self.reason)
