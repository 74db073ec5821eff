"""Resolvers that are asked the same things all the time, and what is held against their answers.

An answer is judged by when it was asked for and when it came: one that came before the second at which its zone turns
bogus has to be right and authentic, one that was asked for after the last cache has forgotten has to be SERVFAIL. In
between both are right, since a validator that still holds what it validated answers from it.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import dns.asyncquery
import dns.exception
import dns.message
import dns.rcode
import trio

from tests.interop.programs import Resolver, is_authentic

NOERROR, NXDOMAIN, SERVFAIL = "NOERROR", "NXDOMAIN", "SERVFAIL"
NO_ANSWER = "no answer"


class Question(NamedTuple):
    """What a zone is asked, and what the right answer is."""

    zone: str
    """Its apex, with the last dot."""
    owner: str
    """Relative to the apex; `{}` stands for a label that was never asked for."""
    rrtype: str
    answers: bool = True
    """Whether there are records."""
    rcode: str = NOERROR
    staggered: bool = False
    """Whether it is one of those that only the phase of their live windows tells apart."""

    @property
    def fresh(self) -> bool:
        """Whether no cache can hold the answer."""
        return "{}" in self.owner


class Sight(NamedTuple):
    """One answer."""

    resolver: str
    question: Question
    sent: float
    """Seconds since the epoch."""
    received: float
    rcode: str
    authentic: bool
    answers: bool

    @property
    def is_right(self) -> bool:
        wanted = self.question
        return self.authentic and (self.rcode, self.answers) == (wanted.rcode, wanted.answers)

    def __str__(self) -> str:
        wanted = self.question
        ad = " AD" if self.authentic else ""
        return f"{self.sent:.2f} {self.resolver}: {wanted.owner} {wanted.zone} {wanted.rrtype} {self.rcode}{ad}"


class Watched(NamedTuple):
    """A resolver under watch."""

    name: str
    resolver: Resolver
    keeps: int
    """Seconds for which it may answer out of what it has validated before."""
    questions: tuple[Question, ...]
    """What it is asked."""
    interval: float
    """Seconds from one query to the next of the same kind."""


def questions(zone: str, no_name: str, staggered: Sequence[str]) -> list[Question]:
    """What is asked of a zone (`stage.ZONE`); `no_name` is the code that says that a name is not there."""
    return [
        Question(zone, "", "DNSKEY"),
        Question(zone, "", "SOA"),
        Question(zone, "www.", "A"),
        Question(zone, "{}.wild.", "TXT"),
        Question(zone, "www.", "MX", answers=False),
        Question(zone, "nobody.", "A", answers=False, rcode=no_name),
        Question(zone, "{}.", "A", answers=False, rcode=no_name),
        *(Question(zone, f"{label}.", "A", staggered=True) for label in staggered),
    ]


async def watch(resolvers: Sequence[Watched], sights: list[Sight]) -> None:
    """Ask every resolver each of its questions again and again, until cancelled; `sights` gets the answers."""
    labels = (f"n{number}" for number in itertools.count())
    async with trio.open_nursery() as nursery:
        for watched in resolvers:
            for question in watched.questions:
                nursery.start_soon(_ask_on, watched, question, labels, sights)


async def _ask_on(watched: Watched, question: Question, labels: Iterator[str], sights: list[Sight]) -> None:
    while True:
        next_at = trio.current_time() + watched.interval
        sights.append(await ask(watched, question, next(labels)))
        await trio.sleep_until(next_at)


async def ask(watched: Watched, question: Question, label: str) -> Sight:
    """One answer to one question; `label` is what makes a fresh one new."""
    qname = question.owner.format(label) + question.zone
    query = dns.message.make_query(qname, question.rrtype, want_dnssec=True)
    sent = time.time()
    try:
        # A port is soon another's: what comes late for the one before is not ours, and a lack of answers shows.
        response, _ = await dns.asyncquery.udp_with_fallback(
            query, "127.0.0.1", port=watched.resolver.port, timeout=5, ignore_unexpected=True, ignore_errors=True
        )
    except dns.exception.Timeout:
        return Sight(watched.name, question, sent, time.time(), NO_ANSWER, authentic=False, answers=False)
    rcode = dns.rcode.to_text(response.rcode())
    return Sight(
        watched.name, question, sent, time.time(), rcode, is_authentic(response), answers=bool(response.answer)
    )


def wrong_before(sights: Sequence[Sight], foretold: Mapping[str, float]) -> list[Sight]:
    """The answers that came before their zone's foretold second and are not right, or not authentic."""
    return [sight for sight in before(sights, foretold) if not sight.is_right]


def wrong_after(sights: Sequence[Sight], foretold: Mapping[str, float], resolvers: Sequence[Watched]) -> list[Sight]:
    """The answers that no cache could give any more and that are not SERVFAIL."""
    return [sight for sight in after(sights, foretold, resolvers) if sight.rcode != SERVFAIL]


def before(sights: Sequence[Sight], foretold: Mapping[str, float]) -> list[Sight]:
    """The answers that came before their zone's foretold second (an apex without one: at any time)."""
    return [sight for sight in sights if sight.received < foretold.get(sight.question.zone, float("inf"))]


def after(sights: Sequence[Sight], foretold: Mapping[str, float], resolvers: Sequence[Watched]) -> list[Sight]:
    """The answers to what was asked once nothing that is cached could serve any more.

    In the foretold second itself an RRSIG is still valid (RFC 4035 §5.3.1: "less than or equal"), so for a validator
    that has the DNSKEY RRset in its cache it is the last one.
    """
    keeps = {watched.name: watched.keeps for watched in resolvers}

    def since(sight: Sight) -> float:
        return foretold[sight.question.zone] + 1 + (0 if sight.question.fresh else keeps[sight.resolver])

    return [sight for sight in sights if sight.sent >= since(sight)]
