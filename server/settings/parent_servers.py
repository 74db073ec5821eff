"""Whom the setting `parent` names: servers of the parent zone, and what their answers are validated by."""

from __future__ import annotations

from typing import NamedTuple

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype

from server.net.addresses import Address


class ParentServers(NamedTuple):
    """Authoritative servers of a parent zone: what all of them say is what the parent says."""

    addresses: tuple[Address, ...]
    anchors: tuple[str, ...] = ()
    """DS or DNSKEY records of the parent zone, as `anchor` reads them; without one, nothing is validated."""

    def __str__(self) -> str:
        return ", ".join(map(str, self.addresses))


class Anchor(NamedTuple):
    """A trust anchor (RFC 4033 §2): a key of a zone, or its digest."""

    zone: dns.name.Name
    rdata: dns.rdata.Rdata


def anchor(text: str) -> Anchor:
    """Read `example. DS 1234 13 2 AB…` or `example. DNSKEY 257 3 13 …`; a TTL and the class may stand in between.

    Raises `ValueError`, whose message says what is wrong.
    """
    owner, *rest = text.split() or [""]
    while rest and (rest[0].isdigit() or rest[0].upper() == "IN"):
        rest = rest[1:]
    if not rest or rest[0].upper() not in ("DS", "DNSKEY"):
        raise ValueError(f'{text[:80]!r} is not a DS or DNSKEY record, such as "example. DS 1234 13 2 AB…"')
    try:
        zone = dns.name.from_text(owner).canonicalize()
        rdata = dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.from_text(rest[0]), " ".join(rest[1:]))
    except (dns.exception.DNSException, ValueError) as error:
        raise ValueError(f"{text[:80]!r} is not a valid {rest[0].upper()} record: {error}") from None
    return Anchor(zone, rdata)
