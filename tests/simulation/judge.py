"""The judge: an adversarial resolver in closed form.

A cache may have fetched anything at any time from any server that was not yet up to date, and keep it for a whole TTL.
So whatever was served is a span: from the first second in which it could be had to the last in which a cache may hold
it. Wherever two spans overlap, some resolver holds both, and they must fit:

    a datum and a DNSKEY RRset           the ZSK that signed the datum is in the RRset
    a DNSKEY RRset and a DS RRset        a KSK that the DS names has signed the RRset
    anything unsigned and a DS RRset     never, nor with a DNSKEY RRset that was validated with it, perhaps at its end

A server answers from a state until the policy's propagation after the next one was published: exactly that long, the
worst that the policy allows. The RRSIG of what is served at *t* must be valid from *t* - margin to *t* + TTL + margin,
since validators' clocks differ; the server's own error of clock uses up its share of the margin.

Spans hold true times; the answering code is asked at the ends of each span and the second before and after.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from math import ceil, floor
from typing import NamedTuple

from keys.dnssec.dnskey_rrset import SignedDnskeyRRset, SlotSignature
from keys.dnssec.signing_policy import MAXIMUM_SIGNED_TTL
from keys.dnssec.zone_keys import ZoneKeys
from tests.simulation.history import DsSet, Foretold, History, Publication, Step


class Span(NamedTuple):
    """Something that a cache may hold from `first` until before `until`."""

    first: float
    until: float
    what: frozenset[bytes]


class State(NamedTuple):
    """A publication with the time in which some server answers from it."""

    first: float
    last: float
    """The end, not in it, as of every time in which something is served."""
    number: int
    """Of the publication."""
    keys: ZoneKeys | None
    elsewhere: bool = False
    """Whether the machine was started anew meanwhile, so that this is served by others alone."""


def judge(history: History) -> list[str]:
    """What a resolver could have found bogus, and what else was wrong; empty where all is well."""
    verdict = Verdict(history)
    objections = [*history.objections, *verdict.objections]
    for datum in verdict.data:
        for keyset in verdict.rdatas:
            if _overlap(datum, keyset) and not datum.what <= keyset.what:
                objections.append(
                    f"{_at(datum, keyset)}: a datum signed by a ZSK that is not in the DNSKEY RRset, both in caches"
                )
    for ds in verdict.ds:
        for keyset in verdict.signers:
            if ds.what and _overlap(ds, keyset) and not ds.what & keyset.what:
                objections.append(f"{_at(ds, keyset)}: no KSK that the DS names has signed the DNSKEY RRset")
        for plain in verdict.unsigned:
            if ds.what and _overlap(ds, plain):
                objections.append(f"{_at(ds, plain)}: unsigned data while a DS may be cached")
            for trusted in verdict.trusted(ds, plain):
                objections.append(f"{_at(trusted, plain)}: unsigned data while DNSKEYs that a DS led to may be cached")
    return objections


class Verdict:
    """The spans of a history, and what can be said of each thing served by itself."""

    def __init__(self, history: History) -> None:
        self._history = history
        self.objections: list[str] = []
        self._fetched: list[tuple[Span, int]] = []
        """Signed DNSKEY RRsets: when they could be had, and their TTL."""
        self._lag = max((p.keys.policy.propagation for p in history.publications if p.keys is not None), default=0)
        data: list[Span] = []
        rdatas: list[Span] = []
        signers: list[Span] = []
        unsigned: list[Span] = []
        if history.unsigned_until is not None:
            unsigned.append(Span(0, history.unsigned_until, frozenset()))
        for state in states(history):
            if state.keys is None:
                unsigned.append(Span(state.first, self._held(state.first, state.last), frozenset()))
                continue
            data += self._data(state, state.keys)
            for keyset, signed in self._keysets(state, state.keys):
                rdatas.append(keyset)
                if signed is not None:
                    signers.append(signed)
        self.data, self.rdatas = _merged(data), _merged(rdatas)
        self.signers, self.unsigned = _merged(signers), _merged(unsigned)
        self.ds = [
            Span(now.at, later.at + history.ds_lag + history.ds_ttl, now.named)
            for now, later in pairwise([*history.ds, DsSet(history.end, frozenset())])
        ]

    def trusted(self, ds: Span, plain: Span) -> Iterator[Span]:
        """DNSKEY RRsets that were validated while a cache held `ds`, where one may be held beside `plain`."""
        for fetched, ttl in self._fetched:
            if fetched.what & ds.what and _overlap(fetched, ds):
                span = Span(max(fetched.first, ds.first), min(fetched.until, ds.until) + ttl, fetched.what)
                if _overlap(span, plain):
                    yield span

    def _held(self, first: float, last: float) -> float:
        """When the last cache drops what was served from `first` to `last` with the zone's largest TTL."""
        lag = self._lag  # some server still has the zone as it was
        return max(
            min(end + lag, last) + min(ttl, MAXIMUM_SIGNED_TTL)
            for _, end, ttl in _levels(self._history.ttls, first - lag, last)
        )

    def _clocks(self, state: State) -> Iterator[tuple[float, float, int]]:
        """By how much the clock is wrong of those that answer from a state, with the first and the last time."""
        return _levels([Step(0, 0)] if state.elsewhere else self._history.offsets, state.first, state.last)

    def _data(self, state: State, keys: ZoneKeys) -> Iterator[Span]:
        """What each ZSK signs, of owners with windows of every phase (closed form of `live_window`)."""
        policy = keys.policy
        for start, end, offset in self._clocks(state):
            for number, (since, signer) in enumerate(keys.signers):
                first, last = start, end
                if number:
                    first = max(first, since - offset)
                    if keys.signer_at(since - 1) is signer:
                        self._object(since - 1, "a ZSK signs a window that begins before its activation")
                if number + 1 < len(keys.signers):
                    successor = keys.signers[number + 1].since
                    # The last of its windows begins a second before the successor's first.
                    last = min(last, successor - 1 + policy.window - offset)
                    if keys.signer_at(successor) is signer:
                        self._object(successor, "a ZSK signs a window that begins after its retirement")
                if first < last:
                    yield Span(first, self._held(first, last), frozenset({signer.rdata}))

    def _keysets(self, state: State, keys: ZoneKeys) -> Iterator[tuple[Span, Span | None]]:
        """What is answered to DNSKEY queries, piece by piece: the set, and who has signed it."""
        for start, end, offset in self._clocks(state):
            for first, last in _pieces(keys.keyset, start + offset, end + offset):
                foretold = self._foretold(first - offset, state.number)
                # At both ends of the piece, in whole seconds, as the answering code is asked.
                for now in {floor(first), ceil(last) - 1}:
                    served = keys.keyset.served(now)
                    if served is None:
                        if foretold.valid_until is None or now < foretold.valid_until:
                            self._object(now - offset, f"SERVFAIL, foretold was {foretold.valid_until}")
                        continue
                    if foretold.valid_until is not None and now >= foretold.valid_until:
                        self._object(now - offset, f"no SERVFAIL, which was foretold for {foretold.valid_until}")
                    until = last + served.ttl
                    signatures = [s for s in keys.keyset.signatures if s.rrsig in served.rrsigs]
                    for signature in signatures:
                        if signature.start <= now < signature.end:
                            margin = max(0, keys.policy.margin - abs(offset))
                            self._check(signature, first - offset, last - offset, served.ttl, margin)
                        else:
                            # Its TTL shrinks with what remains of it, by the server's clock.
                            self._check(signature, first - offset, now - max(0, offset), served.ttl, 0)
                            until = min(until, signature.expiration)
                    span = Span(first - offset, until - offset, frozenset(served.rdatas))
                    run_out = foretold.safe_until is not None and now >= foretold.safe_until
                    signers = frozenset(s.ksk for s in signatures)
                    if not run_out:
                        self._fetched.append((Span(first - offset, last - offset, signers), served.ttl))
                    yield span, None if run_out else span._replace(what=signers)

    def _check(self, rrsig: SlotSignature, first: float, last: float, ttl: int, margin: int) -> None:
        """Whether an RRSIG over the DNSKEY RRset is valid wherever it may be looked at, and the margin beyond."""
        if rrsig.inception + margin > first:
            self._object(first, f"an RRSIG over the DNSKEY RRset is valid from {rrsig.inception} only")
        if rrsig.expiration < last + ttl + margin:
            self._object(last, f"an RRSIG over the DNSKEY RRset is valid until {rrsig.expiration} only")

    def _foretold(self, at: float, publication: int) -> Foretold:
        """What was said of a state, last before `at`; what is said of its successor is not meant for it."""
        foretold = self._history.foretold
        start = bisect_left(foretold, publication, key=lambda one: one.publication)
        end = bisect_right(foretold, publication, key=lambda one: one.publication)
        until = bisect_right(foretold, at, start, end, key=lambda one: one.at)
        return foretold[max(start, until - 1)]

    def _object(self, at: float, objection: str) -> None:
        self.objections.append(f"{at:.2f}: {objection}")


def states(history: History) -> list[State]:
    """The publications, each until the slowest server has the next one."""
    found = []
    followed = [*history.publications[1:], Publication(history.end, None)]
    for number, (publication, successor) in enumerate(zip(history.publications, followed, strict=True)):
        policies = [p.keys.policy for p in (publication, successor) if p.keys is not None]
        lag = max((policy.propagation for policy in policies), default=0)
        last = min(successor.at + lag, history.end)
        # A machine that is started anew has what is stored, which is the successor.
        boot = next((at for at in history.boots if successor.at <= at < last), last)
        found.append(State(publication.at, boot, number, publication.keys))
        if boot < last:
            found.append(State(boot, last, number, publication.keys, elsewhere=True))
    return found


def _pieces(keyset: SignedDnskeyRRset, start: float, end: float) -> Iterator[tuple[float, float]]:
    """Spans of the server's time in which the same is served, but for a TTL that shrinks."""
    edges = {start, end}
    for signature in keyset.signatures:
        for edge in (signature.start, signature.end, signature.inception, signature.expiration):
            if start < edge < end:
                edges.add(edge)
    return pairwise(sorted(edges))


def _levels(steps: Sequence[Step], first: float, last: float) -> Iterator[tuple[float, float, int]]:
    """The values in force from `first` to `last`, each with its first and last time."""
    number = max(0, bisect_right(steps, first, key=lambda step: step.at) - 1)
    while number < len(steps):
        start = max(first, steps[number].at if number else first)
        end = min(last, steps[number + 1].at) if number + 1 < len(steps) else last
        if start > last:
            return
        yield start, max(start, end), steps[number].value
        number += 1


def _merged(spans: Iterable[Span]) -> list[Span]:
    """Spans of the same thing that touch, as one."""
    merged: list[Span] = []
    for span in sorted(spans, key=lambda span: (sorted(span.what), span.first)):
        if merged and merged[-1].what == span.what and span.first <= merged[-1].until:
            merged[-1] = merged[-1]._replace(until=max(merged[-1].until, span.until))
        else:
            merged.append(span)
    return merged


def _overlap(one: Span, other: Span) -> bool:
    return one.first < other.until and other.first < one.until


def _at(one: Span, other: Span) -> str:
    return f"{max(one.first, other.first):.2f}–{min(one.until, other.until):.2f}"
