"""The words of a zone's status, explained once, below it: only those that stand in it, in the order of this table."""

from __future__ import annotations

import re
from collections.abc import Iterator

WORDS = (
    ("DS", r"DS", "the record in the parent zone by which resolvers trust a KSK"),
    ("KSK", r"KSK|ksk_\w+", "key-signing key: it stays in the KMS and signs the DNSKEY RRset; the DS names it"),
    ("ZSK", r"ZSK", "zone-signing key: this server signs all other records with it, and rolls it by itself"),
    ("VALID UNTIL", r"VALID UNTIL", "when the last signature over the DNSKEY RRset expires, if the KMS makes no more"),
    ("compact", r"compact", "denial: NOERROR with NXNAME for a name that does not exist (RFC 9824)"),
    ("nsec", r"nsec", "denial: NXDOMAIN with records of the zone's NSEC chain (RFC 4034 §4)"),
    ("starting", r"starting", "the KMS has not signed the first DNSKEY RRset yet"),
    ("troubled", r"troubled", "answered and valid; something fails that must be fixed before VALID UNTIL"),
    ("failing", r"failing", "validating resolvers answer SERVFAIL for the zone, or this server does"),
    ("frozen", r"frozen", "no key changes until the reason has ended; what is published stays"),
    ("ACTIVE", r"ACTIVE", "the KSK signs"),
    ("INACTIVE", r"INACTIVE", "the KSK is not used"),
    ("DELETING", r"DELETING", "the KSK leaves the DNSKEY RRset and is then forgotten; its KMS key stays"),
    ("ACTION_NEEDED", r"ACTION_NEEDED", "the KMS does not sign with the KSK; the signatures made ahead stay valid"),
    ("INTERNAL_FAILURE", r"INTERNAL_FAILURE", "the KSK is well, and the keys of the zone are frozen"),
    ("generated", r"generated", "the ZSK is made, and not in the DNSKEY RRset yet"),
    ("published", r"published", "in the DNSKEY RRset, and not in every resolver's cache yet (RFC 7583 §3.1)"),
    ("ready", r"ready", "in every resolver's cache: the ZSK may sign"),
    ("active", r"active", "the ZSK signs"),
    ("retired", r"retired", "the ZSK signs no more, and stays until no cache holds what it signed"),
    ("refresh", r"refresh", "the KMS signs the DNSKEY RRset for the next days"),
    ("rollover", r"rollover", "a new ZSK is published, then signs, then the old one is removed"),
)
"""The word as it is shown, the pattern of how it stands in a status, and what it means."""


def explained(text: str) -> Iterator[tuple[str, str]]:
    """Each word that stands in the text, with its meaning."""
    for word, pattern, meaning in WORDS:
        if re.search(rf"\b(?:{pattern})\b", text):
            yield word, meaning
