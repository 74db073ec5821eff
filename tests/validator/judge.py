"""From a response to a judgement (RFC 4035 §5): what it says, if all that it says is proved."""

from __future__ import annotations

import enum
from typing import NamedTuple

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
from dns.name import Name
from dns.rdatatype import RdataType

from tests.validator import denial
from tests.validator.signatures import SKEW, Bogus, Keys, Section, Verified

CHAIN_LIMIT = 16
"""Aliases that the server follows within its zone; what it leaves out beyond them is not a fault."""


class Verdict(enum.Enum):
    """What a response says."""

    POSITIVE = "positive"
    ALIAS = "alias"
    """Aliases that lead out of the zone, in a circle, or further than one response goes."""
    NODATA = "nodata"
    NXDOMAIN = "nxdomain"
    YXDOMAIN = "yxdomain"
    SECURE_REFERRAL = "secure referral"
    INSECURE_REFERRAL = "insecure referral"
    TRUNCATED = "truncated"


class Judgement(NamedTuple):
    """What a response says, proved."""

    verdict: Verdict
    final: Name
    """The name that the last alias leads to."""
    message: dns.message.Message
    nsecs: tuple[Name, ...] = ()
    """The owners of the NSEC records in the authority section."""


def judge(
    wire: bytes, qname: Name, qtype: int, dnskeys: dns.rrset.RRset, now: int, *, co: bool = False, skew: int = SKEW
) -> Judgement:
    """Validate the response to a query with DO. Raises `Bogus`.

    `dnskeys` is the trusted DNSKEY RRset of the zone, `co` whether the query had CO (RFC 9824 §5).
    """
    message = dns.message.from_wire(wire, one_rr_per_rrset=True)
    if not message.flags & dns.flags.QR or message.flags & (dns.flags.AD | dns.flags.RA):
        raise Bogus(f"flags {dns.flags.to_text(message.flags)}")
    if message.flags & dns.flags.TC:
        if message.answer or message.authority:
            raise Bogus("truncated, and yet there are records")
        return Judgement(Verdict.TRUNCATED, qname, message)
    judging = _Judging(message, qname, qtype, Keys(dnskeys, now, skew), co=co)
    verdict = judging.verdict()
    judging.answer.must_be_empty("answer")
    judging.authority.must_be_empty("authority")
    for proof in judging.proofs:
        if not proof.used:
            raise Bogus(f"nobody needs the NSEC at {proof.owner}")
    return Judgement(verdict, judging.current, message, tuple(proof.owner for proof in judging.proofs))


class _Judging:
    def __init__(self, message: dns.message.Message, qname: Name, qtype: int, keys: Keys, *, co: bool) -> None:
        self.keys = keys
        self.qtype = qtype
        self.co = co
        self.rcode = message.rcode()
        self.authoritative = bool(message.flags & dns.flags.AA)
        self.answer = Section(message.answer)
        self.authority = Section(message.authority)
        self.current = qname
        self.redirects: dict[Name, dns.rrset.RRset] = {}
        self.proofs: list[denial.Nsec] = []
        for name, rdtype in list(self.authority.rrsets):
            if rdtype == RdataType.NSEC:
                self.proofs.append(denial.Nsec(self._authority(name, rdtype), keys.apex))

    def verdict(self) -> Verdict:
        seen: set[Name] = set()
        while self.current not in seen and self.current.is_subdomain(self.keys.apex):
            seen.add(self.current)
            verdict = self._at_current(aliases=len(seen) - 1)
            if verdict is not None:
                return verdict
        self._expect(dns.rcode.NOERROR)
        return Verdict.ALIAS

    def _at_current(self, aliases: int) -> Verdict | None:
        """The verdict, or None when an alias leads on."""
        redirect = self._redirect()
        if redirect is not None:
            return self._follow_redirect(redirect, aliases)
        if self._has_answer():
            self._expect(dns.rcode.NOERROR)
            return Verdict.POSITIVE
        if (self.current, int(RdataType.CNAME)) in self.answer.rrsets:
            self.current = self._answer(RdataType.CNAME).rrset[0].target
            return None
        if (self.keys.apex, int(RdataType.SOA)) in self.authority.rrsets:
            return self._denied()
        for name, rdtype in self.authority.rrsets:
            if rdtype == RdataType.NS:
                return self._referred(name, aliases)
        if aliases < CHAIN_LIMIT:
            raise Bogus("no answer, no denial, no referral")
        return Verdict.ALIAS

    def _redirect(self) -> dns.rrset.RRset | None:
        above = self.current
        while above != self.keys.apex:
            above = above.parent()
            if (above, int(RdataType.DNAME)) in self.answer.rrsets:
                taken = self.answer.take(above, RdataType.DNAME)
                assert taken is not None
                verified = self.keys.verify(taken)
                if verified.encloser is not None:
                    raise Bogus("a DNAME expanded from a wildcard")
                self.redirects[above] = verified.rrset
            if above in self.redirects:
                return self.redirects[above]
        return None

    def _follow_redirect(self, redirect: dns.rrset.RRset, aliases: int) -> Verdict | None:
        """RFC 6672 §3.1, §5.3.1: the CNAME is synthesised, and not signed."""
        if aliases >= CHAIN_LIMIT and (self.current, int(RdataType.CNAME)) not in self.answer.rrsets:
            self._expect(dns.rcode.NOERROR)
            return Verdict.ALIAS
        kept = self.current.labels[: -len(redirect.name.labels)]
        target = redirect[0].target.canonicalize().labels
        if sum(len(label) + 1 for label in (*kept, *target)) > denial.LONGEST:
            self._expect(dns.rcode.YXDOMAIN)
            return Verdict.YXDOMAIN
        taken = self.answer.take(self.current, RdataType.CNAME)
        if taken is None or taken[1] is not None or len(taken[0]) != 1:
            raise Bogus(f"no synthesised CNAME, or a signed one, at {self.current}")
        if taken[0][0].target != Name((*kept, *target)) or taken[0].ttl != redirect.ttl:
            raise Bogus(f"{taken[0]} is not what {redirect} makes")
        if self.qtype == RdataType.CNAME:
            self._expect(dns.rcode.NOERROR)
            return Verdict.POSITIVE
        self.current = Name((*kept, *target))
        return None

    def _has_answer(self) -> bool:
        if self.qtype == RdataType.RRSIG:
            found = [key for key in self.answer.rrsigs if key[0] == self.current and key not in self.answer.rrsets]
            for key in found:
                del self.answer.rrsigs[key]
            return bool(found)
        if self.qtype == RdataType.ANY:
            found = [key for key in self.answer.rrsets if key[0] == self.current]
            for _, rdtype in found:
                self._answer(rdtype)
            return bool(found)
        if (self.current, self.qtype) not in self.answer.rrsets:
            return False
        self._answer(self.qtype)
        return True

    def _answer(self, rdtype: int) -> Verified:
        taken = self.answer.take(self.current, rdtype)
        assert taken is not None
        verified = self.keys.verify(taken)
        if verified.encloser is not None:
            denial.prove_expansion(self.proofs, self.current, verified.encloser)
        return verified

    def _authority(self, name: Name, rdtype: int) -> Verified:
        taken = self.authority.take(name, rdtype)
        assert taken is not None
        return self.keys.verify(taken)

    def _denied(self) -> Verdict:
        soa = self._authority(self.keys.apex, RdataType.SOA).rrset
        if soa.ttl > soa[0].minimum:
            raise Bogus(f"SOA with TTL {soa.ttl} over its minimum {soa[0].minimum}")
        for proof in self.proofs:
            if proof.ttl != soa.ttl:
                raise Bogus(f"NSEC at {proof.owner} with TTL {proof.ttl}, the SOA has {soa.ttl}")
        if not self.authoritative:
            raise Bogus("a denial without AA")
        says_no_name = self.rcode == dns.rcode.NXDOMAIN
        if says_no_name or any(p.matches(self.current) and denial.NXNAME in p.types for p in self.proofs):
            compact = denial.prove_no_name(self.proofs, self.current)
            # RFC 9824 §5: NOERROR for those who did not say that they know better.
            self._expect(dns.rcode.NOERROR if compact is not None and not self.co else dns.rcode.NXDOMAIN)
            return Verdict.NXDOMAIN
        self._expect(dns.rcode.NOERROR)
        denial.prove_no_data(self.proofs, self.current, self.qtype, self.keys.apex)
        return Verdict.NODATA

    def _referred(self, cut: Name, aliases: int) -> Verdict:
        self._expect(dns.rcode.NOERROR)
        taken = self.authority.take(cut, RdataType.NS)
        assert taken is not None
        if taken[1] is not None:
            raise Bogus(f"the parent signs NS at the cut {cut}")
        if cut == self.keys.apex or not cut.is_subdomain(self.keys.apex) or not self.current.is_subdomain(cut):
            raise Bogus(f"a referral to {cut} for {self.current}")
        if self.authoritative != bool(aliases):
            raise Bogus("AA in a referral, or no AA behind an alias of ours")
        if (cut, int(RdataType.DS)) in self.authority.rrsets:
            if self._authority(cut, RdataType.DS).encloser is not None:
                raise Bogus("DS expanded from a wildcard")
            return Verdict.SECURE_REFERRAL
        denial.prove_no_signer(self.proofs, cut)
        return Verdict.INSECURE_REFERRAL

    def _expect(self, rcode: int) -> None:
        if self.rcode != rcode:
            raise Bogus(f"RCODE {dns.rcode.to_text(self.rcode)}, expected {dns.rcode.to_text(dns.rcode.Rcode(rcode))}")
