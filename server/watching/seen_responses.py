"""Where responses pass by as they leave, with who asked: what limits them is asked first, then observers see both.

Without observers that costs a call and a comparison a batch. An observer that fails is taken away, and keeps nobody
from an answer. What sends each query and response elsewhere, as dnstap does, would be one more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from server.net.mmsg import Clients
from server.net.udp import Outgoing
from server.query.read_query import ID_SIZE


class Observer(Protocol):
    """What looks at queries and responses and changes nothing."""

    def __call__(
        self,
        queries: Sequence[bytes],
        before: Sequence[bytes | None],
        after: Sequence[bytes | None],
        host: Callable[[int], bytes],
        *,
        over_tcp: bool,
    ) -> None:
        """See a batch, all without IDs: each response as it was made, and what of it is sent.

        None in `before` is silence, or a query that still waits. `host` gives the address of a slot, 4 or 16 octets.
        """


class SeenResponses:
    """An `Outgoing` of `server.net.udp`, and the same for TCP: one for all sockets of a process."""

    def __init__(self, failed: Callable[[], None], limit: Outgoing | None = None) -> None:
        """`failed` is called for an observer that raises, in its handler."""
        self._failed = failed
        self.limit = limit
        """May replace UDP responses before they are seen."""
        self._observers: tuple[Observer, ...] = ()

    def add(self, observer: Observer) -> None:
        """Have it see all from now on."""
        if observer not in self._observers:
            self._observers += (observer,)

    def remove(self, observer: Observer) -> None:
        """Have it see nothing more."""
        self._observers = tuple(one for one in self._observers if one is not observer)

    def __call__(self, queries: Sequence[bytes], responses: list[bytes | None], clients: Clients) -> None:
        """As `Outgoing`."""
        if not self._observers:
            if self.limit is not None:
                self.limit(queries, responses, clients)
            return
        before = responses
        if self.limit is not None:
            before = responses.copy()
            self.limit(queries, responses, clients)
        self._show(queries, before, responses, clients.host, over_tcp=False)

    def stream(self, wires: Sequence[bytes], responses: Sequence[bytes | None], client: bytes | None) -> None:
        """What was answered to whole messages by TCP; `client` is their address. Responses are without their IDs."""
        if self._observers and client is not None:
            queries = [wire[ID_SIZE:] for wire in wires]
            self._show(queries, responses, responses, lambda _: client, over_tcp=True)

    def _show(
        self,
        queries: Sequence[bytes],
        before: Sequence[bytes | None],
        after: Sequence[bytes | None],
        host: Callable[[int], bytes],
        *,
        over_tcp: bool,
    ) -> None:
        for observer in self._observers:
            try:
                observer(queries, before, after, host, over_tcp=over_tcp)
            except Exception:
                self.remove(observer)
                self._failed()
