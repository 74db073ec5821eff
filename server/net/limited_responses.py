"""Response rate limiting at work: what `server.net.udp` shows each batch of responses to before it sends them, and each
query that has to be made first, so that what would be cut costs no signature: random names of a network that is
limited take 0.2 to 0.5 of the time (three runs side by side on a busy machine).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import structlog

from server.net.mmsg import Clients
from server.net.response_rate_limit import ResponseRateLimit
from server.query.fast.responder import Miss, Responder

_log = structlog.get_logger("signwright.limits")


class LimitedResponses:
    """An `Outgoing` of `server.net.udp`: one for all sockets of a process, since a flood comes to any of them."""

    def __init__(self, limit: ResponseRateLimit, responder: Responder, clock: Callable[[], float]) -> None:
        """`responder` knows who of the last batch has a server cookie; `clock` gives seconds since the epoch."""
        self._limit, self._responder, self._clock = limit, responder, clock

    def __call__(self, queries: object, responses: list[bytes | None], clients: Clients) -> None:  # noqa: ARG002
        """Replace the responses that are too many."""
        limit = self._limit
        passed = limit.apply(responses, clients.networks, clients.host, self._responder.vouched, int(self._clock()))
        if passed is not responses:
            responses[:] = passed
            if limit.news:
                self._tell()

    def ahead(
        self, responses: list[bytes | None], missed: Sequence[Miss], clients: Clients, now: int
    ) -> Sequence[Miss]:
        """As `server.net.udp.Ahead`: cut what is one too many before it is made."""
        limit = self._limit
        if not limit.has_suspects(now):
            return missed
        left: list[Miss] = []
        networks = clients.networks(len(responses))
        for one in missed:
            is_over = partial(limit.is_over, networks[one.slot], partial(clients.host, one.slot))
            cut = self._responder.cut_ahead(one, now, is_over) if limit.is_suspect(networks[one.slot]) else None
            if cut is None:
                left.append(one)
            else:
                responses[one.slot] = cut
        return left

    def _tell(self) -> None:
        for network, response_class, untold in self._limit.news:
            others = {"other_networks": untold} if untold else {}
            kind = f"{response_class.name.lower()}s"
            _log.warning("response rate limited", network=network, responses=kind, **others)
        self._limit.news.clear()
