"""Names as people and tags want them; everywhere else a name is wire form, lower case."""

from __future__ import annotations

import dns.name


def to_text(name: bytes) -> str:
    """The name as text, with its final dot."""
    return dns.name.from_wire(name, 0)[0].to_text()
