"""What a server says of itself to those who ask: by EDNS options, and in class CHAOS; and what it says to one client.

None of it is remembered with an answer: an answer's OPT record gets its options last, when it is known who asks.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

from server.query.cookies import CookieAnswer, CookieKey, Standing
from server.query.edns import OPTION_KEEPALIVE, OPTION_NSID, Edns
from server.query.emit_to_size import QUESTION_POINTER, Response, bare_response
from server.query.read_query import Query, Rcode, response_flags
from server.query.sections import FOREVER
from zones.rrtypes import TYPE_ANY

CLASS_CHAOS = 3
TYPE_TXT = 16
NSID_LIMIT = 128
"""Octets of an NSID, so that with a cookie it fits beside any question and error in 512."""
TEXT_LIMIT = 255  # octets of a TXT record's string (RFC 1035 §3.3)
_VERSION_NAMES = (b"\x07version\x04bind\x00", b"\x07version\x06server\x00")
_ID_NAMES = (b"\x02id\x06server\x00", b"\x08hostname\x04bind\x00")
_OPTION = struct.Struct("!HH")
_TXT = struct.Struct("!HHIH")
_HEAD = struct.Struct("!5H")


class ServerFacts(NamedTuple):
    """Settings of one server. What is empty is not told."""

    cookies: CookieKey | None = None
    """Gives server cookies; None: cookies are unknown options."""
    nsid: bytes = b""
    """Which server it is (RFC 5001), at most `NSID_LIMIT` octets."""
    keepalive: Callable[[], int] | None = None
    """Tenths of a second without a query after which a TCP connection is closed now, at most 65,535 (RFC 7828)."""
    version: bytes = b""
    """To `version.bind` and `version.server`, at most `TEXT_LIMIT` octets."""
    id: bytes = b""
    """To `id.server` (RFC 4892) and `hostname.bind`, likewise."""


SILENT = ServerFacts()


class Told(NamedTuple):
    """What one query gets beside its answer."""

    options: bytes
    """For the OPT record of the response, behind what is in it."""
    standing: Standing
    until: int
    """The second from which this must be worked out anew, in seconds since the epoch."""


NOTHING = Told(b"", Standing.NONE, FOREVER)


def told(edns: Edns | None, client: bytes | None, now: int, facts: ServerFacts, *, over_tcp: bool) -> Told:
    """What the response to a query with this OPT record says of the server and to its client.

    `client` is the sender's address (4 or 16 octets), None where nobody knows it, who then gets no cookie.
    """
    if edns is None or edns.version or not (edns.cookie or edns.nsid or edns.keepalive is not None):
        return NOTHING
    options, standing, until = b"", Standing.NONE, FOREVER
    if edns.cookie and facts.cookies is not None and client:
        standing, options, until = facts.cookies.answer(edns.cookie, client, now)
    if edns.nsid and facts.nsid:
        options += _OPTION.pack(OPTION_NSID, len(facts.nsid)) + facts.nsid
    if over_tcp and edns.keepalive is not None and facts.keepalive is not None:
        options += _OPTION.pack(OPTION_KEEPALIVE, 2) + facts.keepalive().to_bytes(2)
    return Told(options, standing, until)


def cookie_alone(
    cookie: bytes, client: bytes | None, now: int, facts: ServerFacts
) -> tuple[Rcode, CookieAnswer] | None:
    """RCODE and cookie for a query for a server cookie and nothing else (RFC 7873 §5.4); None where there are none."""
    if facts.cookies is None or not client:
        return None
    answer = facts.cookies.answer(cookie, client, now)
    return Rcode.BADCOOKIE if answer.standing is Standing.BAD else Rcode.NOERROR, answer


def chaos(query: Query, opt: bytes, udp_size: int, facts: ServerFacts) -> Response | None:
    """What a query of class CHAOS gets; None for all but names that this server has something to say to.

    `opt` is the response's OPT record.
    """
    text = b""
    if query.qname in _VERSION_NAMES:
        text = facts.version
    elif query.qname in _ID_NAMES:
        text = facts.id
    if not text:
        return None
    if query.qtype not in (TYPE_TXT, TYPE_ANY):
        return bare_response(query, Rcode.NOERROR, udp_size)
    txt = QUESTION_POINTER + _TXT.pack(TYPE_TXT, CLASS_CHAOS, 0, len(text) + 1) + len(text).to_bytes(1) + text
    flags = response_flags(query.flags, Rcode.NOERROR, authoritative=True)
    return Response(_HEAD.pack(flags, 1, 1, 0, bool(opt)), txt + opt, FOREVER)
