"""What a name with characters of other languages is in DNS: A-labels (RFC 5890 §2.3.2.1)."""

from __future__ import annotations

import dns.exception
import dns.name


def in_a_labels(name: bytes) -> str | None:
    """The name that clients ask for where `name` (wire form) is shown; `None` where that is not a name in UTF-8."""
    labels = dns.name.from_wire(name, 0)[0].labels
    try:
        text = ".".join(label.decode() for label in labels)
        return dns.name.from_text(text, None, dns.name.IDNA_2008_UTS_46).to_text()
    except (UnicodeError, dns.exception.DNSException):
        return None
