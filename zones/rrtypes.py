"""Numbers of the record types that answering treats in a way of their own (IANA, DNS Parameters)."""

from __future__ import annotations

TYPE_A, TYPE_NS, TYPE_CNAME, TYPE_SOA, TYPE_AAAA = 1, 2, 5, 6, 28
TYPE_DNAME, TYPE_DS, TYPE_RRSIG, TYPE_NSEC, TYPE_DNSKEY = 39, 43, 46, 47, 48
TYPE_NXNAME, TYPE_ANY = 128, 255
