"""Numbers of the DNSSEC registries that we use: one algorithm, one digest, two kinds of DNSKEY."""

from __future__ import annotations

ECDSAP256SHA256 = 13  # RFC 6605 §4
DIGEST_SHA256 = 2  # RFC 4509 §2
FLAG_ZSK = 256  # RFC 4034 §2.1.1
FLAG_KSK = 257
DNSKEY_PROTOCOL = 3  # RFC 4034 §2.1.2
