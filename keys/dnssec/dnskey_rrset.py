"""The signed keyset: the DNSKEY RRset, its RRSIGs slot by slot, and which ZSKs sign.

It is one value that is replaced whole, never in part.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from keys.dnssec.rrsig import TYPE_RRSIG, data_to_sign, label_count, record, rrsig_prefix
from keys.dnssec.signature_validity import Window

TYPE_DNSKEY = 48


class SlotSignature(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One RRSIG over the DNSKEY RRset: by one KSK, for one slot."""

    ksk: bytes
    """DNSKEY rdata of the KSK that made it (tags collide, rdata does not)."""
    start: int
    end: int
    inception: int
    expiration: int
    rrsig: bytes
    """The whole RRSIG rdata."""


class ServedDnskeyRRset(NamedTuple):
    """What is answered to a DNSKEY query during some time."""

    ttl: int
    rdatas: tuple[bytes, ...]
    rrsigs: tuple[bytes, ...]
    until: int
    """The second from which this must not be served any more."""


class SignedDnskeyRRset(msgspec.Struct, frozen=True):
    """A DNSKEY RRset with the RRSIGs of every ACTIVE KSK for the coming slots."""

    owner: bytes
    """The apex in wire form, lower case."""
    ttl: int
    rdatas: tuple[bytes, ...]
    """DNSKEY rdata in canonical order."""
    signatures: tuple[SlotSignature, ...]

    def served(self, now: int) -> ServedDnskeyRRset | None:
        """The RRset and the RRSIGs of the slot that `now` is in.

        Of a KSK of which no slot holds `now`, the RRSIG that is valid longest serves, with the TTL cut to what remains
        of it; `None` once the last RRSIG of all has expired.
        """
        ttl, until, rrsigs = self.ttl, None, []
        for ksk in dict.fromkeys(s.ksk for s in self.signatures):
            valid = [s for s in self.signatures if s.ksk == ksk and s.inception <= now < s.expiration]
            if not valid:
                continue
            chosen = max(valid, key=lambda s: (s.start <= now < s.end, s.expiration))
            rrsigs.append(chosen.rrsig)
            if chosen.start <= now < chosen.end:
                until = chosen.end if until is None else min(until, chosen.end)
            else:
                # The TTL shrinks every second, so this is good for one second only.
                ttl, until = min(ttl, chosen.expiration - now), now + 1
        return ServedDnskeyRRset(ttl, self.rdatas, tuple(rrsigs), until) if until is not None else None

    def sharing(self) -> SignedDnskeyRRset:
        """The same, with each KSK's rdata as one object, and not one for each slot: 1.7 kB less for each zone."""
        known = {rdata: rdata for rdata in self.rdatas}
        shared = (msgspec.structs.replace(s, ksk=known.setdefault(s.ksk, s.ksk)) for s in self.signatures)
        return msgspec.structs.replace(self, signatures=tuple(shared))

    def spans(self) -> tuple[tuple[int, int], ...]:
        """The spans of time in which it has a valid RRSIG, each from its first second until before the second one.

        It is one span, but for a keyset that was replaced when the clock had jumped and keeps slots of before.
        """
        return _joined((s.inception, s.expiration) for s in self.signatures)

    def valid_until(self, now: int, ksk: bytes | None = None) -> int | None:
        """When the span that holds `now` ends, by the RRSIGs of all KSKs or of one (its rdata); `None`: none does."""
        spans = _joined((s.inception, s.expiration) for s in self.signatures if ksk in {None, s.ksk})
        return next((until for since, until in spans if since <= now < until), None)

    @property
    def expiration(self) -> int:
        """When its last RRSIG expires, in seconds since the epoch."""
        return max((s.expiration for s in self.signatures), default=0)


def _joined(times: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    joined: list[tuple[int, int]] = []
    for since, until in sorted(times):
        if joined and since <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], until)
        else:
            joined.append((since, until))
    return tuple(joined)


def dnskey_signing(
    owner: bytes, ttl: int, rdatas: tuple[bytes, ...], ksk_tag: int, window: Window
) -> tuple[bytes, bytes]:
    """RRSIG rdata without the signature, and the data to sign, for the DNSKEY RRset in one slot.

    `rdatas` is in canonical order.
    """
    prefix = rrsig_prefix(TYPE_DNSKEY, label_count(owner), ttl, window.inception, window.expiration, ksk_tag, owner)
    return prefix, data_to_sign(prefix, owner, TYPE_DNSKEY, ttl, rdatas)


def dnskey_records(served: ServedDnskeyRRset) -> tuple[list[bytes], list[bytes]]:
    """The DNSKEY records and their RRSIG records, each without its owner."""
    return (
        [record(TYPE_DNSKEY, served.ttl, rdata) for rdata in served.rdatas],
        [record(TYPE_RRSIG, served.ttl, rrsig) for rrsig in served.rrsigs],
    )
