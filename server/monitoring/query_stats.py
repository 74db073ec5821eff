"""What was answered and what the caches did for it, as a value: one process's, or the sum of several."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from server.net.response_rate_limit import ResponseRateLimit
from server.net.tcp_load import TcpLoad
from server.query.cookies import Standing
from server.query.fast.answer_caches import Caches
from server.query.fast.responder import RCODES, Responder
from server.query.response_class import ResponseClass
from zones import names

_CACHES = ("packets", "stream_packets", "answers", "denials", "chain_denials", "signatures", "gaps", "cookies")


class Written(Protocol):
    """A log that counts its lines."""

    @property
    def written(self) -> int:
        """Those that were written."""

    @property
    def lost(self) -> int:
        """Those that were not."""


class QueryStats(msgspec.Struct, frozen=True):
    """Counted since a process was started."""

    udp: tuple[int, ...] = (0,) * RCODES
    """Datagrams by the RCODE in the header of the response, and last what got none."""
    dropped: Mapping[str, int] = {}
    """Those of `udp` that got no response since there was no time to make it, by cause."""
    tcp: tuple[int, ...] = (0,) * RCODES
    """Messages over TCP likewise."""
    hot: int = 0
    """Those of `udp` that were answered from the cache of whole responses."""
    stored: Mapping[str, int] = {}
    """What was made, since it was not there, by cache."""
    entries: Mapping[str, int] = {}
    """What each cache holds now."""
    tcp_open: int = 0
    """TCP connections now."""
    tcp_ended: Mapping[str, int] = {}
    """TCP connections that the server ended, by cause."""
    logged: int = 0
    """Lines of the query log that were written."""
    unlogged: int = 0
    """Those that were lost, for want of room in the buffer or on the disk."""
    cookies: Mapping[str, int] = {}
    """Queries with a COOKIE option, by what it says of their senders: "client_only", "bad" or "valid"."""
    limited: Mapping[str, int] = {}
    """Responses that were too many for a network and not sent, by class."""
    slipped: Mapping[str, int] = {}
    """The same, sent with TC set."""
    flooded: Mapping[str, int] = {}
    """How many processes deny a zone by its chain now, by the zone's name, as they are flooded with random names."""

    @classmethod
    def of(
        cls,
        responder: Responder,
        caches: Caches,
        load: TcpLoad,
        limit: ResponseRateLimit | None = None,
        *,
        log: Written | None = None,
    ) -> QueryStats:
        """Of the process that answers by these."""
        limit = limit or ResponseRateLimit(0)
        hot = responder.datagrams_seen - sum(responder.udp_rcodes)
        hot_by_tcp = responder.messages_seen - sum(responder.tcp_rcodes)
        dropped = responder.dropped.by_cause()
        by_name = {name: getattr(caches, name) for name in _CACHES}
        return cls(
            udp=(
                responder.udp_rcodes[0] + hot,
                *responder.udp_rcodes[1:-1],
                responder.udp_rcodes[-1] + sum(dropped.values()),
            ),
            dropped=dropped,
            tcp=(responder.tcp_rcodes[0] + hot_by_tcp, *responder.tcp_rcodes[1:]),
            hot=hot,
            stored={name: cache.stored for name, cache in by_name.items()},
            entries={name: len(cache) for name, cache in by_name.items()},
            tcp_open=load.open,
            tcp_ended={why.value: count for why, count in load.ended.items()},
            cookies={one.name.lower(): responder.standings[one] for one in Standing if one},
            limited={one.name.lower(): limit.dropped[one] for one in ResponseClass},
            slipped={one.name.lower(): limit.slipped[one] for one in ResponseClass},
            logged=log.written if log is not None else 0,
            unlogged=log.lost if log is not None else 0,
            flooded={names.to_text(origin): int(is_on) for origin, is_on in responder.floods.items()},
        )

    def __add__(self, other: QueryStats) -> QueryStats:
        return QueryStats(
            udp=tuple(map(sum, zip(self.udp, other.udp, strict=True))),
            tcp=tuple(map(sum, zip(self.tcp, other.tcp, strict=True))),
            dropped=_sum(self.dropped, other.dropped),
            hot=self.hot + other.hot,
            stored=_sum(self.stored, other.stored),
            entries=_sum(self.entries, other.entries),
            tcp_open=self.tcp_open + other.tcp_open,
            tcp_ended=_sum(self.tcp_ended, other.tcp_ended),
            cookies=_sum(self.cookies, other.cookies),
            limited=_sum(self.limited, other.limited),
            slipped=_sum(self.slipped, other.slipped),
            logged=self.logged + other.logged,
            unlogged=self.unlogged + other.unlogged,
            flooded=_sum(self.flooded, other.flooded),
        )

    def past(self) -> QueryStats:
        """What remains of a process that has ended: its caches and connections are gone, and it denies nothing."""
        return msgspec.structs.replace(self, entries={}, tcp_open=0, flooded={})


def counting(
    responder: Responder,
    caches: Caches,
    load: TcpLoad,
    limit: ResponseRateLimit,
    clock: Callable[[], float],
    *,
    log: Written | None = None,
) -> Callable[[], QueryStats]:
    """What gives the `QueryStats` of a process, as of now. `clock` gives seconds since the epoch."""

    def query_stats() -> QueryStats:
        responder.begin(int(clock()))  # so that a flood ends also where nobody asks any more
        return QueryStats.of(responder, caches, load, limit, log=log)

    return query_stats


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}
