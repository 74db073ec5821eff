"""A resolver's cache that uses NSEC records aggressively (RFC 8198): what it would say without asking.

It takes everything that a validated response proves, whatever kind of denial that is from, and concludes as much of it
as RFC 8198 §5, RFC 8020 §2 and RFC 9824 §3 allow. Nothing ever expires, which makes it bolder than resolvers are.
"""

from __future__ import annotations

import dns.message
import dns.rcode
import dns.rrset
from dns.name import Name
from dns.rdatatype import RdataType

from tests.validator.denial import NXNAME, Nsec
from tests.validator.judge import Judgement, Verdict
from tests.validator.signatures import Bogus, Keys, Section, Verified


class AggressiveCache:
    """What was learnt of one zone."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._nsecs: dict[tuple[Name, Name], Nsec] = {}
        self._held: dict[tuple[Name, int], dns.rrset.RRset] = {}
        """Positive RRsets, those of wildcards under the wildcard's name."""
        self._gone: set[Name] = set()
        """Names that do not exist, and nothing below them does (RFC 8020)."""

    def learn(self, judgement: Judgement) -> None:
        """Take what a response says that was validated."""
        message = judgement.message
        for records in (message.answer, message.authority):
            section = Section(records)
            for name, rdtype in list(section.rrsets):
                taken = section.take(name, rdtype)
                if taken is not None and taken[1] is not None and rdtype != RdataType.DNSKEY:
                    self._take(self._keys.verify(taken))
        if judgement.verdict is Verdict.NXDOMAIN and message.rcode() == dns.rcode.NXDOMAIN:
            self._gone.add(judgement.final)

    def _take(self, verified: Verified) -> None:
        rrset = verified.rrset
        if rrset.rdtype == RdataType.NSEC and verified.encloser is None:
            nsec = Nsec(verified, self._keys.apex)
            self._nsecs[nsec.owner, nsec.next] = nsec
        owner = rrset.name if verified.encloser is None else Name((b"*", *verified.encloser.labels))
        self._held[owner, int(rrset.rdtype)] = rrset

    def concludes(self, name: Name, rdtype: int) -> Verdict | None:
        """What it says of a name and type without asking: POSITIVE, NODATA or NXDOMAIN; None where it has to ask.

        ALIAS for a CNAME. What it holds under the name itself is of no interest here.
        """
        if any(name.is_subdomain(gone) for gone in self._gone):
            return Verdict.NXDOMAIN
        for nsec in self._nsecs.values():
            if nsec.matches(name):
                if NXNAME in nsec.types:
                    return Verdict.NXDOMAIN
                if self._lacks(nsec, rdtype):
                    return Verdict.NODATA
            elif _holds(nsec.shows_empty, name):
                return Verdict.NODATA
            elif _holds(nsec.denies, name):
                found = self._by_wildcard(Name((b"*", *nsec.closest_encloser(name).labels)), rdtype)
                if found is not None:
                    return found
        return None

    def _by_wildcard(self, wildcard: Name, rdtype: int) -> Verdict | None:
        """What is so of a name that does not exist, for which only `wildcard` can stand (RFC 8198 §5.3, §5.4)."""
        if (wildcard, rdtype) in self._held:
            return Verdict.POSITIVE
        if (wildcard, int(RdataType.CNAME)) in self._held:
            return Verdict.ALIAS
        for nsec in self._nsecs.values():
            if nsec.matches(wildcard):
                if NXNAME in nsec.types:
                    return Verdict.NXDOMAIN
                if self._lacks(nsec, rdtype):
                    return Verdict.NODATA
            elif _holds(nsec.shows_empty, wildcard):
                return Verdict.NODATA
            elif _holds(nsec.denies, wildcard):
                return Verdict.NXDOMAIN
        return None

    def _lacks(self, nsec: Nsec, rdtype: int) -> bool:
        """Whether it proves that there is no such type at its owner (RFC 6840 §4.1, §4.3, §4.4)."""
        if rdtype in nsec.types or RdataType.CNAME in nsec.types:
            return False
        if rdtype == RdataType.DS:
            return RdataType.SOA not in nsec.types or nsec.owner == self._keys.apex
        return not nsec.is_cut


def _holds(statement: object, name: Name) -> bool:
    """Whether an NSEC record says so; one that must not be used for what lies below it says nothing (RFC 6840 §4.1)."""
    try:
        return bool(statement(name))  # type: ignore[operator]
    except Bogus:
        return False
