r"""What NSEC records prove (RFC 4035 §5.4 with RFC 6840 §4, RFC 9824)."""

from __future__ import annotations

from dns.name import Name
from dns.rdatatype import RdataType

from tests.validator.signatures import Bogus, Verified

NXNAME = 128
LONGEST = 255


class Nsec:
    """One verified NSEC record."""

    def __init__(self, verified: Verified, apex: Name) -> None:
        rrset = verified.rrset
        if len(rrset) != 1:
            raise Bogus(f"{len(rrset)} NSEC records at {rrset.name}")
        if verified.encloser is not None:
            raise Bogus(f"NSEC at {rrset.name} is expanded from a wildcard")
        self.owner = rrset.name
        self.next: Name = rrset[0].next
        self.ttl = rrset.ttl
        self.types = {
            (window << 8) + (position << 3) + bit
            for window, bitmap in rrset[0].windows
            for position, octet in enumerate(bitmap)
            for bit in range(8)
            if octet & 0x80 >> bit
        }
        self.apex = apex
        self.used = False
        if not {RdataType.NSEC, RdataType.RRSIG} <= self.types:
            raise Bogus(f"NSEC at {self.owner} denies itself or its RRSIG")
        if not self.next.is_subdomain(apex):
            raise Bogus(f"NSEC at {self.owner} leads out of the zone, to {self.next}")
        if NXNAME in self.types and self.types != {RdataType.NSEC, RdataType.RRSIG, NXNAME}:
            raise Bogus(f"NSEC at {self.owner}: NXNAME and other types")
        if NXNAME in self.types and self.next != immediate_successor(self.owner, apex):
            raise Bogus(f"NSEC at {self.owner} is compact, but its next name is {self.next}")

    @property
    def is_cut(self) -> bool:
        """Whether it is of a delegation point, the parent's side."""
        return RdataType.NS in self.types and RdataType.SOA not in self.types

    def matches(self, name: Name) -> bool:
        """Whether it is the record of `name` itself."""
        return bool(self.owner == name)

    def within(self, name: Name) -> bool:
        """Whether `name` lies between owner and next. No statement about children of a cut or a DNAME holds."""
        low, middle, high = order(self.owner), order(name), order(self.next)
        inside = low < middle < high if low < high else low < middle
        if inside and name.is_subdomain(self.owner) and (self.is_cut or RdataType.DNAME in self.types):
            raise Bogus(f"NSEC at {self.owner} proves nothing about names below it: {name} (RFC 6840 §4.1)")
        return inside

    def denies(self, name: Name) -> bool:
        """Whether it proves that `name` does not exist, not even as an empty non-terminal."""
        return self.within(name) and not self.next.is_subdomain(name)

    def shows_empty(self, name: Name) -> bool:
        """Whether it proves that `name` is an empty non-terminal."""
        return self.within(name) and self.next.is_subdomain(name)

    def closest_encloser(self, name: Name) -> Name:
        """The longest ancestor of `name` that this record, which denies it, shows to exist."""
        return max((_common(name, self.owner), _common(name, self.next)), key=lambda shared: len(shared.labels))


def _common(one: Name, other: Name) -> Name:
    shared = one.fullcompare(other)[2]
    return Name(one.labels[-shared:])


def order(name: Name) -> tuple[bytes, ...]:
    """Sorts names canonically (RFC 4034 §6.1)."""
    return tuple(label.lower() for label in reversed(name.labels))


def octets(name: Name) -> int:
    """The length of its wire form."""
    return sum(len(label) + 1 for label in name.labels)


def immediate_successor(name: Name, apex: Name) -> Name:
    r"""The first name after `name` in canonical order (RFC 4471 §3.1.2), found by trying what is small first."""
    name = name.canonicalize()
    if octets(name) + 2 <= LONGEST:
        return Name((b"\x00", *name.labels))
    while name != apex:
        label, *rest = name.labels
        # A sibling that begins with this label comes before any with a greater octet.
        candidates = [label + b"\x00"]
        for end in range(len(label), 0, -1):
            greater = next((o for o in range(label[end - 1] + 1, 256) if not 0x41 <= o <= 0x5A), None)
            if greater is not None:
                candidates.append(label[: end - 1] + bytes([greater]))
        for candidate in candidates:
            if len(candidate) <= 63 and len(candidate) + 1 + sum(len(r) + 1 for r in rest) <= LONGEST:
                return Name((candidate, *rest))
        name = Name(rest)
    return apex


def prove_no_name(proofs: list[Nsec], name: Name) -> Nsec | None:
    """RFC 4035 §5.4: `name` does not exist and no wildcard stands for it; or NXNAME says so (RFC 9824 §3.1)."""
    for proof in proofs:
        if proof.matches(name) and NXNAME in proof.types:
            proof.used = True
            return proof
    denying = next((proof for proof in proofs if proof.denies(name)), None)
    if denying is None:
        raise Bogus(f"nothing denies {name}")
    wildcard = Name((b"*", *denying.closest_encloser(name).labels))
    other = next((proof for proof in proofs if proof.denies(wildcard)), None)
    if other is None:
        raise Bogus(f"nothing denies {wildcard}")
    denying.used = other.used = True
    return None


def prove_no_data(proofs: list[Nsec], name: Name, rdtype: int, apex: Name) -> None:
    """RFC 4035 §5.4, RFC 6840 §4: `name` or the wildcard that stands for it exists without `rdtype`."""
    for proof in proofs:
        if proof.matches(name):
            _check_types(proof, rdtype, apex)
            proof.used = True
            return
    for proof in proofs:
        if proof.shows_empty(name):
            proof.used = True
            return
    denying = next((proof for proof in proofs if proof.denies(name)), None)
    if denying is None:
        raise Bogus(f"nothing says what {name} has")
    wildcard = Name((b"*", *denying.closest_encloser(name).labels))
    for proof in proofs:
        if proof.matches(wildcard) or proof.shows_empty(wildcard):
            if proof.matches(wildcard):
                _check_types(proof, rdtype, apex)
                if proof.is_cut:
                    raise Bogus(f"a wildcard delegation at {wildcard}")
            denying.used = proof.used = True
            return
    raise Bogus(f"nothing says what {wildcard} has")


def _check_types(proof: Nsec, rdtype: int, apex: Name) -> None:
    if NXNAME in proof.types:
        raise Bogus(f"{proof.owner} does not exist: no NODATA")
    if rdtype in proof.types or RdataType.CNAME in proof.types:
        raise Bogus(f"NSEC at {proof.owner} shows that type {rdtype} or a CNAME exists")
    if proof.is_cut and rdtype != RdataType.DS:
        raise Bogus(f"NSEC at the cut {proof.owner} cannot deny type {rdtype} (RFC 6840 §4.1)")
    if rdtype == RdataType.DS and RdataType.SOA in proof.types and proof.owner != apex:
        raise Bogus(f"NSEC at {proof.owner} is the child's: it cannot deny DS (RFC 6840 §4.4)")


def prove_expansion(proofs: list[Nsec], name: Name, encloser: Name) -> None:
    """RFC 4035 §5.3.4: `name` was expanded from `*.encloser`, so nothing closer may exist."""
    for proof in proofs:
        if proof.denies(name) and proof.closest_encloser(name) == encloser:
            proof.used = True
            return
    raise Bogus(f"nothing proves that {name} may be expanded from *.{encloser}")


def prove_no_signer(proofs: list[Nsec], cut: Name) -> None:
    """RFC 4035 §5.2: the delegation point `cut` has no DS."""
    for proof in proofs:
        if proof.matches(cut):
            if not proof.is_cut or RdataType.DS in proof.types:
                raise Bogus(f"NSEC at {cut} does not show an unsigned delegation")
            proof.used = True
            return
    raise Bogus(f"neither DS nor its denial at {cut}")
