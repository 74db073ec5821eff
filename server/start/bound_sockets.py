"""All that a server listens on but its control socket: passed by the service manager, or bound here."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from server.net.addresses import Address
from server.net.listen import Pair, bind, bind_shared, bind_stream
from server.net.passed_sockets import KMS, METRICS, ROUTE53, Claims
from server.route53.serve_api import endpoint, tls_context
from server.settings.configuration import Config


class BoundSockets(NamedTuple):
    """All that is listened on, but for the control socket."""

    listened: Sequence[Sequence[Pair]]
    """By address: one pair, or one for each worker."""
    watched: socket.socket | None
    """Of the metrics."""
    api: socket.socket | None
    """Of the Route 53 API."""
    tls: ssl.SSLContext | None
    """Of `api`."""
    emulator: socket.socket | None
    """Of the KMS emulator."""

    @property
    def listeners(self) -> Sequence[Address]:
        """Where DNS is answered."""
        return [pairs[0].address for pairs in self.listened]

    def addresses(self) -> Iterator[Address]:
        """Where it listens."""
        yield from self.listeners
        yield from (Address(*sock.getsockname()[:2]) for sock in (self.watched, self.api, self.emulator) if sock)

    def watched_address(self, config: Config) -> Address | None:
        """The address of the metrics as it is configured, with the port that it has."""
        if config.metrics is None or self.watched is None:
            return None
        return config.metrics._replace(port=self.watched.getsockname()[1])

    def api_url(self, config: Config) -> str | None:
        """The URL of the Route 53 API."""
        return endpoint(config.route53, self.api) if config.route53 is not None and self.api is not None else None


def bind_sockets(config: Config, held: ExitStack, claims: Claims) -> BoundSockets:
    """Bind what the configuration names and was not passed; `held` closes all. A run claims what was passed anew.

    Raises `ConfigError`, `PortInUse`, `CannotListen`, and `PassedSocketError` for a socket that no setting names.
    """

    def stream(role: str, address: Address, where: str) -> socket.socket:
        return held.enter_context(claims.stream(role, address) or bind_stream(address, where, late=True))

    listened: list[Sequence[Pair]] = []
    for address in config.listen:
        if (passed := claims.pair(address)) is not None:
            # One socket for all workers: the kernel gives each datagram and each connection to one of them.
            pairs: Sequence[Pair] = [passed] * max(1, config.workers)
        else:
            pairs = bind_shared(address, config.workers, late=True) if config.workers else (bind(address, late=True),)
        listened.append([held.enter_context(_bound(pair)) for pair in pairs])
    watched = api = tls = emulator = None
    if config.metrics is not None:
        watched = stream(METRICS, config.metrics, "the setting metrics")
    if config.route53 is not None:
        tls = tls_context(config.route53)
        api = stream(ROUTE53, config.route53.listen, "the setting route53.listen")
    if config.kms.endpoint is None:
        emulator = stream(KMS, config.kms.emulator, "the setting kms.emulator")
    claims.refuse_the_rest()
    return BoundSockets(listened, watched, api, tls, emulator)


@contextmanager
def _bound(pair: Pair) -> Iterator[Pair]:
    with pair.udp, pair.tcp:
        yield pair
