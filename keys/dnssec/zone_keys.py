"""All that answering needs of the keys of one zone: the signed DNSKEY RRset, and which ZSK signs which window."""

from __future__ import annotations

from typing import NamedTuple

from keys.dnssec.dnskey_rrset import SignedDnskeyRRset
from keys.dnssec.signing_policy import Policy
from keys.dnssec.zone_signer import ZoneSigner


class ActiveSigner(NamedTuple):
    """A ZSK with the time from which it signs: it signs the live windows that begin at or after `since`."""

    since: int
    signer: ZoneSigner


class ZoneKeys(NamedTuple):
    """All an answering process needs of a zone's keys; published whole, never changed."""

    keyset: SignedDnskeyRRset
    signers: tuple[ActiveSigner, ...]
    """Ordered by `since`; the first one signs every window that begins before the second's activation."""
    policy: Policy
    delegation: tuple[bytes, ...] = ()
    """DNSKEY rdata of the KSKs that the DS of a parent served here is to name."""

    def signer_at(self, start: int) -> ZoneSigner:
        """The ZSK that signs a live window that begins at `start` (RFC 6781 §4.1.1.1)."""
        chosen = self.signers[0].signer
        for since, signer in self.signers:
            if since <= start:
                chosen = signer
        return chosen
