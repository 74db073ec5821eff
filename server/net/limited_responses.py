"""Response rate limiting at work: what `server.net.udp` shows each batch of responses to before it sends them."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from server.net.mmsg import Clients
from server.net.response_rate_limit import ResponseRateLimit
from server.query.fast.responder import Responder

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

    def _tell(self) -> None:
        for network, response_class, untold in self._limit.news:
            others = {"other_networks": untold} if untold else {}
            kind = f"{response_class.name.lower()}s"
            _log.warning("responses are limited", network=network, responses=kind, **others)
        self._limit.news.clear()
