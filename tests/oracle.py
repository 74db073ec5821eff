"""What the answer is: RFC 1034 §4.3.2 written as naively as it reads, over a dnspython zone.

It knows nothing of signatures and denials; it says what is there, and the validator says whether it is proved.
"""

from __future__ import annotations

import enum
from functools import lru_cache
from typing import NamedTuple

import dns.rdataclass
import dns.rrset
import dns.zone
from dns.name import Name
from dns.node import Node
from dns.rdataset import Rdataset
from dns.rdatatype import RdataType

WEEK = 7 * 24 * 3600
CHAIN_LIMIT = 16


class Kind(enum.Enum):
    """How the walk ends."""

    POSITIVE = "positive"
    ALIAS = "alias"
    NODATA = "nodata"
    NXDOMAIN = "nxdomain"
    YXDOMAIN = "yxdomain"
    REFERRAL = "referral"


class Truth(NamedTuple):
    """What the response must contain."""

    kind: Kind
    final: Name
    answer: list[dns.rrset.RRset]
    cut: Name | None = None
    present: frozenset[int] = frozenset()
    """The types at the final name, or at the wildcard that stands for it."""


@lru_cache(maxsize=4)
def _parsed(text: str, origin: Name) -> dns.zone.Zone:
    """Read once: dnspython looks at each character, which takes longer than all that is then asked of the zone."""
    return dns.zone.from_text(text, origin, relativize=False, check_origin=False)


def _copy(zone: dns.zone.Zone) -> dns.zone.Zone:
    """What can have RRsets added that the zone gets none of."""
    copied = dns.zone.Zone(zone.origin, relativize=False)
    for name, node in zone.nodes.items():
        copied.nodes[name] = Node()  # type: ignore[no-untyped-call]
        copied.nodes[name].rdatasets = list(node.rdatasets)
    return copied


class Oracle:
    """One zone that answers by reading all of it, each time."""

    def __init__(self, text: str, origin: Name, *, signed: bool) -> None:
        self.origin = origin
        self.zone = _copy(_parsed(text, origin))
        self.signed = signed

    def add(self, rrset: dns.rrset.RRset) -> None:
        """Something that is in no zone file: the DNSKEY RRset."""
        self.zone.replace_rdataset(rrset.name, rrset.to_rdataset())

    def rrset(self, name: Name, rdtype: int, owner: Name | None = None) -> dns.rrset.RRset | None:
        """The RRset at `name`, answered as that of `owner`."""
        rdataset = self.zone.get_rdataset(name, RdataType(rdtype))
        if rdataset is None:
            return None
        return dns.rrset.from_rdata_list(owner or name, self.ttl(rdataset), list(rdataset))

    def ttl(self, rdataset: Rdataset) -> int:
        """Its TTL as served: at most a week where the zone is signed."""
        return min(rdataset.ttl, WEEK) if self.signed else rdataset.ttl

    @property
    def negative_ttl(self) -> int:
        """RFC 2308 §5."""
        soa = self.zone.get_rdataset(self.origin, RdataType.SOA)
        assert soa is not None
        return min(soa.ttl, int(soa[0].minimum), WEEK)

    def exists(self, name: Name) -> bool:
        """Whether something is at or below `name`."""
        return any(owner.is_subdomain(name) for owner in self.zone.nodes)

    def types(self, name: Name) -> frozenset[int]:
        """What is at `name`."""
        node = self.zone.get_node(name)
        return frozenset(int(rdataset.rdtype) for rdataset in node) if node else frozenset()

    def answer(self, qname: Name, qtype: int) -> Truth:
        """RFC 1034 §4.3.2 from step 3 on, as RFC 4592 §3.3.1 and RFC 6672 §3.2 have it now."""
        answer: list[dns.rrset.RRset] = []
        current = qname
        seen: set[Name] = set()
        while current.is_subdomain(self.origin) and current not in seen and len(seen) < CHAIN_LIMIT:
            seen.add(current)
            outcome = self._match(current, qtype, answer)
            if isinstance(outcome, Truth):
                return outcome
            current = outcome
        return Truth(Kind.ALIAS, current, answer)

    def _match(self, qname: Name, qtype: int, answer: list[dns.rrset.RRset]) -> Truth | Name:
        """Down from the apex, label by label; the name where an alias leads on."""
        for size in range(len(self.origin.labels), len(qname.labels) + 1):
            name = Name(qname.labels[-size:])
            types = self.types(name)
            if RdataType.NS in types and name != self.origin and not (name == qname and self._is_parents(qtype)):
                return Truth(Kind.REFERRAL, qname, answer, name, types)
            if name == qname:
                break
            if RdataType.DNAME in types:
                return self._redirected(qname, qtype, name, answer)
            below = Name(qname.labels[-size - 1 :])
            if not self.exists(below):
                wildcard = Name((b"*", *name.labels))
                if not self.exists(wildcard):
                    return Truth(Kind.NXDOMAIN, qname, answer)
                return self._data(wildcard, qname, qtype, answer)
        return self._data(qname, qname, qtype, answer)

    def _is_parents(self, qtype: int) -> bool:
        """RFC 4035 §2.3, §3.1.4.1: what the parent side of a delegation point answers."""
        return qtype == RdataType.DS or (self.signed and qtype == RdataType.NSEC)

    def _data(self, source: Name, qname: Name, qtype: int, answer: list[dns.rrset.RRset]) -> Truth | Name:
        types = self.types(source)
        found = self.rrset(source, qtype, qname)
        if found is not None:
            return Truth(Kind.POSITIVE, qname, [*answer, found], present=types)
        alias = self.rrset(source, RdataType.CNAME, qname)
        stands_beside = self.signed and qtype in (RdataType.NSEC, RdataType.RRSIG)
        if alias is not None and qtype != RdataType.ANY and not stands_beside:
            answer.append(alias)
            target: Name = alias[0].target
            return target
        return Truth(Kind.NODATA, qname, answer, present=types)

    def _redirected(self, qname: Name, qtype: int, owner: Name, answer: list[dns.rrset.RRset]) -> Truth | Name:
        redirect = self.rrset(owner, RdataType.DNAME)
        assert redirect is not None
        if redirect not in answer:
            answer.append(redirect)
        target = (*qname.labels[: -len(owner.labels)], *redirect[0].target.labels)
        if sum(len(label) + 1 for label in target) > 255:
            return Truth(Kind.YXDOMAIN, qname, answer)
        alias = dns.rrset.from_text(qname, redirect.ttl, "IN", "CNAME", Name(target).to_text())
        answer.append(alias)
        return Truth(Kind.POSITIVE, qname, answer) if qtype == RdataType.CNAME else Name(target)

    def glue(self, cut: Name) -> dict[tuple[Name, int], dns.rrset.RRset]:
        """Addresses of the name servers of `cut` that lie at or below it (RFC 9471 §3.1)."""
        found = {}
        servers = self.zone.get_rdataset(cut, RdataType.NS)
        for server in servers or ():
            for rdtype in (RdataType.A, RdataType.AAAA):
                rrset = self.rrset(server.target, rdtype)
                if rrset is not None and server.target.is_subdomain(cut):
                    found[server.target, int(rdtype)] = rrset
        return found
