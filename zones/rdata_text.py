"""Rdata as the text of a master file (RFC 1035 §5.1), also where dnspython has none."""

from __future__ import annotations

import dns.rdata
import dns.rdataclass
import dns.rdatatype

_SERVICES = (dns.rdatatype.SVCB, dns.rdatatype.HTTPS)
_ALIAS_MODE, _SERVICE_MODE = b"\x00\x00", b"\x00\x01"


def rdata_text(rrtype: int, rdata: bytes) -> str:
    """Rdata in wire form as text, names in it absolute."""
    rdtype = dns.rdatatype.RdataType.make(rrtype)
    if rdtype in _SERVICES and rdata.startswith(_ALIAS_MODE):
        # With SvcParams, which dnspython refuses there and clients ignore (RFC 9460 §2.4.2).
        return "0" + _text(rdtype, _SERVICE_MODE + rdata[2:])[1:]
    return _text(rdtype, rdata).rstrip()  # of an IPSECKEY without a key it ends in a blank


def _text(rdtype: dns.rdatatype.RdataType, rdata: bytes) -> str:
    return dns.rdata.from_wire(dns.rdataclass.IN, rdtype, rdata, 0, len(rdata)).to_text(origin=None)
