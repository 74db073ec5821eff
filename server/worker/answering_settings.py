"""How a process answers, beside from which zones: the same for the process that has all else and for its workers."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from server.net.response_rate_limit import ResponseRateLimit, networks_of
from server.query.cookies import CookieKey
from server.query.server_facts import ServerFacts


class AnsweringSettings(msgspec.Struct, frozen=True, array_like=True):
    """Part of the first message to a worker. Its repr says nothing of the cookie key."""

    cookie_key: bytes = b""
    """Of all that answer for this state (`server.query.cookies`); empty: no cookies."""
    nsid: bytes = b""
    version: bytes = b""
    id: bytes = b""
    responses: int = 0
    """A second for each network and class; 0: no limit."""
    exempt: tuple[str, ...] = ()
    """Networks that are not limited, as text."""

    def __repr__(self) -> str:
        return f"<AnsweringSettings, responses={self.responses}>"

    def facts(self, keepalive: Callable[[], int]) -> ServerFacts:
        """What the server says of itself; `keepalive` as there."""
        cookies = CookieKey(self.cookie_key) if self.cookie_key else None
        return ServerFacts(cookies, self.nsid, keepalive, self.version, self.id)

    def limit(self) -> ResponseRateLimit:
        """What counts responses by network, in one process."""
        return ResponseRateLimit(self.responses, tuple(networks_of(self.exempt)))
