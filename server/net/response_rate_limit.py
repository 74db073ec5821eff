"""Response rate limiting: how much of what we send over UDP one network may be the target of. Pure; time is handed in.

A sender's address can be forged, and then what we send goes to somebody who never asked. So responses are counted by
the /24 or /56 that they go to and by their class: answers, denials (by zone), referrals, errors. Of one class a network
gets `rate` a second; in the first second, before it is noticed, up to three times that. Beyond, each response is
dropped, or slips: it is sent with TC set and nothing in it, so that an honest client asks again over TCP. Errors and
denials always slip, others every second time. A network that was sent four times the rate in one second gets nothing
but slips in the next. What goes to the holder of a server cookie, or over TCP, goes where it was asked for and is not
counted. If a response to a suspect would cost a signature, its class is determined before it is made, and a response
beyond the limit is not made at all (`server.query.response_class`): a flood from one network costs no signatures.

No network is limited that stays below the rate, whatever others do: only suspects are, and those are counted exactly. A
suspect is found by its share of all responses, which is cheap: nothing is counted while all responses together stay
below the rate; up to `_EXACT` times the rate, each is counted by network alone; and beyond, those of every fourth
batch. The networks of a batch are counted by one call of C. That costs 0.14 µs a packet, or 0.05 of every fourth batch,
where a bucket for each packet cost 0.27. Networks that ask once, as forged ones do, are forgotten first (`_prune`), and
so can neither fill the memory nor hide who asks often.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple

from server.query.finished_response import truncated
from server.query.response_class import CutAhead, Key, ResponseClass, class_of

IPV4_PREFIX, IPV6_PREFIX = 3, 7
"""Octets of an address that name its network: /24 and /56."""
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_FLOOD = 4  # times the rate: no honest client asks that much
_EXACT = 8  # times the rate
_SAMPLED = 4  # one batch of so many is counted
_MOST_COUNTED = 8192  # networks
_MOST_SUSPECTS = 4096
_MOST_ZONES = 64
"""Zones whose denials are counted separately for one network; all others count as one."""
_TOLD_A_MINUTE = 10
_MINUTE = 60
_SLIP = (2, 1, 2, 1)
"""By class: which of the limited responses slips, each or each second."""


class Limited(NamedTuple):
    """That responses to a network are limited from now on, for the log."""

    network: str
    response_class: ResponseClass
    untold: int
    """How many networks more were limited in the minutes before, and not told of."""


class _Suspect:
    """A network that asks for much."""

    __slots__ = ("blocked", "counts", "exempt", "limited", "partly_exempt", "seen")

    def __init__(self, exempt: bool, partly_exempt: Sequence[Network]) -> None:
        self.exempt = exempt
        self.partly_exempt = partly_exempt
        self.counts: dict[Key, int] = {}
        """Responses in this second, by class and zone."""
        self.blocked: frozenset[Key] = frozenset()
        """Of which there were far too many in the last second."""
        self.seen = 0
        self.limited = 0

    def counted_as(self, key: Key) -> Key:
        """What a response of this class is counted as."""
        return key if key in self.counts or len(self.counts) < _MOST_ZONES else (key[0], b"")


class ResponseRateLimit:
    """Counts for one process."""

    def __init__(self, rate: int, exempt: Sequence[Network] = ()) -> None:
        """`rate` in responses a second for each network and class; 0 limits nothing. `exempt` are not limited."""
        self._rate = rate
        self._exempt = exempt
        self._second = 0
        self._total = 0
        self._batches = 0
        self._threshold = rate
        self._counts: Counter[bytes] = Counter()
        self._suspects: dict[bytes, _Suspect] = {}
        self.dropped = [0] * len(ResponseClass)
        """Responses that were not sent, by class."""
        self.slipped = [0] * len(ResponseClass)
        """Responses that were sent with TC set instead."""
        self.news: list[Limited] = []
        """For the log, which takes them out."""
        self._told: set[bytes] = set()
        self._told_since = 0
        self._untold: set[bytes] = set()

    def apply(
        self,
        responses: list[bytes | None],
        networks: Callable[[int], Sequence[bytes]],
        address: Callable[[int], bytes],
        vouched: Collection[int],
        now: int,
    ) -> list[bytes | None]:
        """What of a batch of responses, without their IDs, is sent at `now` (seconds since the epoch).

        `networks` gives the first `IPV4_PREFIX` or `IPV6_PREFIX` octets of the address of each of so many, `address`
        the whole address of one; `vouched` are the numbers of those that go to holders of a server cookie.
        """
        if not self._rate:
            return responses
        if now != self._second:
            self._begin(now)
        sent = len(responses) - responses.count(None)  # a query that waits has its turn when it is answered
        self._total += sent
        suspects = self._suspects
        if self._total <= self._rate and not suspects:
            return responses
        counted = self._is_counted()
        if not counted and not suspects:
            return responses
        targets = networks(len(responses))
        if counted and sent:
            self._count([target for target, one in zip(targets, responses, strict=True) if one is not None])
        if not suspects or suspects.keys().isdisjoint(targets):
            return responses
        return [
            response
            if response is None or (suspect := suspects.get(target)) is None or number in vouched
            else self._judged(target, suspect, response, number, address, now)
            for number, (response, target) in enumerate(zip(responses, targets, strict=True))
        ]

    def has_suspects(self, now: int) -> bool:
        """Whether a response that is made at `now` may be one too many."""
        return bool(self._suspects) and now == self._second

    def is_suspect(self, target: bytes) -> bool:
        """Whether the network `target` asks for much."""
        return target in self._suspects

    def is_over(self, target: bytes, address: Callable[[], bytes], key: Key) -> bool:
        """Whether the next response of this class to the network `target` is one too many in this second.

        `address` gives the whole address. Nothing is counted: `apply` counts what stands for it (`CutAhead`).
        """
        suspect = self._suspects.get(target)
        if suspect is None or suspect.exempt:
            return False
        key = suspect.counted_as(key)
        if suspect.counts.get(key, 0) < self._rate and key not in suspect.blocked:
            return False
        return not (suspect.partly_exempt and _is_in(address(), suspect.partly_exempt))

    def _begin(self, now: int) -> None:
        """A second begins. Of suspects, those stay who still asked for much in the last one."""
        followed = now == self._second + 1
        kept: dict[bytes, _Suspect] = {}
        for network, suspect in self._suspects.items():
            if followed and suspect.seen > self._rate // 2:
                flooded = _FLOOD * self._rate
                suspect.blocked = frozenset(key for key, count in suspect.counts.items() if count > flooded)
                suspect.counts, suspect.seen = {}, 0
                kept[network] = suspect
        self._suspects = kept
        self._second, self._total = now, 0
        self._threshold = self._rate
        self._counts.clear()

    def _is_counted(self) -> bool:
        """Whether the next batch is counted by network."""
        if self._total <= _EXACT * self._rate:
            return True
        if self._threshold == self._rate:  # from now on, one batch stands for several
            self._threshold = self._rate // _SAMPLED
            self._counts.clear()
        self._batches += 1
        return not self._batches % _SAMPLED

    def _count(self, targets: Sequence[bytes]) -> None:
        counts = self._counts
        counts.update(targets)
        if max(map(counts.__getitem__, targets)) > self._threshold:
            for target in set(targets):
                if counts[target] > self._threshold and target not in self._suspects:
                    self._suspect(target)
        if len(counts) > _MOST_COUNTED:
            self._prune()

    def _prune(self) -> None:
        """Forget at least half of the networks that are counted: those with the least, and of others as much as these
        had. So nobody's count falls behind by more than 1/4096 of all that were counted (Misra and Gries).
        """
        median = sorted(self._counts.values())[len(self._counts) // 2]
        self._counts = Counter({key: count - median for key, count in self._counts.items() if count > median})

    def _suspect(self, target: bytes) -> None:
        if len(self._suspects) >= _MOST_SUSPECTS:
            return  # it would take millions of packets a second
        network = _network(target)
        same = [one for one in self._exempt if one.version == network.version]
        exempt = any(network.subnet_of(one) for one in same)  # type: ignore[arg-type]
        partly = [one for one in same if one.subnet_of(network)]  # type: ignore[arg-type]
        self._suspects[target] = _Suspect(exempt, partly)

    def _judged(
        self,
        target: bytes,
        suspect: _Suspect,
        response: bytes,
        number: int,
        address: Callable[[int], bytes],
        now: int,
    ) -> bytes | None:
        """What is sent of a response to a suspect."""
        suspect.seen += 1
        if suspect.exempt or (suspect.partly_exempt and _is_in(address(number), suspect.partly_exempt)):
            return response
        counts = suspect.counts
        key = suspect.counted_as(class_of(response))
        count = counts[key] = counts.get(key, 0) + 1
        if count <= self._rate and key not in suspect.blocked:
            return response
        kind = key[0]
        if not suspect.limited:
            self._tell(target, ResponseClass(kind), now)
        suspect.limited += 1
        if suspect.limited % _SLIP[kind]:
            self.dropped[kind] += 1
            return None
        self.slipped[kind] += 1
        return bytes(response) if isinstance(response, CutAhead) else truncated(response)

    def _tell(self, target: bytes, kind: ResponseClass, now: int) -> None:
        """Have the log told, of each network once a minute and of few."""
        if not self._told_since <= now < self._told_since + _MINUTE:
            self._told_since = now
            self._told.clear()
        if target in self._told:
            return
        if len(self._told) < _TOLD_A_MINUTE:
            self._told.add(target)
            self.news.append(Limited(str(_network(target)), kind, len(self._untold)))
            self._untold.clear()
        elif len(self._untold) < _MOST_SUSPECTS:
            self._untold.add(target)


def _network(target: bytes) -> Network:
    if len(target) == IPV4_PREFIX:
        return ipaddress.IPv4Network((target + b"\x00", 24))
    return ipaddress.IPv6Network((target + bytes(16 - len(target)), 56))


def _is_in(address: bytes, networks: Sequence[Network]) -> bool:
    found = ipaddress.ip_address(address)
    return any(found in network for network in networks)


def network_of(address: bytes) -> bytes:
    """The octets that name the network of an address of 4 or 16 octets."""
    return address[: IPV4_PREFIX if len(address) == 4 else IPV6_PREFIX]


def networks_of(texts: Sequence[str]) -> Iterator[Network]:
    """The networks that texts such as "192.0.2.0/24" name. Raises `ValueError`."""
    for text in texts:
        yield ipaddress.ip_network(text)
