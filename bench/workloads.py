"""What is asked: each workload is a row of `WORKLOADS`.

A workload is a list of queries, sent in turn again and again, and what the generator changes in each as it leaves: a
label that was never used before, or upper and lower case at random.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from random import Random

import dns.edns
import dns.flags
import dns.message
import dns.rdatatype

from bench.zone import ORIGIN, rrsets

UNIQUE_LABEL = "a" * 12
"""Stands in a query's name where the generator writes a label of its own of that length."""
UNIQUE_LABEL_AT = 13
"""Its offset in the message: behind the header and the label's length."""
UDP_SIZE = 1232


class Expect(Enum):
    """The kind of every right answer to a workload."""

    ANSWER = "answer"
    NO_NAME = "no name"


class Edns(Enum):
    """What a query carries beside its question."""

    NONE = "none"
    DO = "DO"
    COOKIE = "DO and a client cookie"
    UNKNOWN = "DO and an unknown option"


Question = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Workload:
    """One row: its queries, how the generator varies them, and what answers are right."""

    name: str
    title: str
    questions: Callable[[int, Random], Sequence[Question]]
    """(names in the zone, dice) → owner and type of each query, in the order in which they are sent."""
    expect: Expect = Expect.ANSWER
    edns: Edns = Edns.DO
    spell: bool = False
    """Whether the names' case varies at random (draft-vixie-dnsext-dns0x20)."""

    @property
    def fresh(self) -> bool:
        """Whether each query asks for something new, so that a server that signs live signs for each."""
        return self.expect is Expect.NO_NAME

    @property
    def signed(self) -> bool:
        """Whether the queries ask for RRSIGs."""
        return self.edns is not Edns.NONE

    def messages(self, names: int, seed: int) -> list[dns.message.QueryMessage]:
        """The queries for a zone of so many names; the same ones for the same seed."""
        return [query(owner, rdtype, self.edns) for owner, rdtype in self.questions(names, Random(seed))]

    def generator_options(self) -> list[str]:
        """Options of the load generator."""
        options = ["-u", str(UNIQUE_LABEL_AT)] if self.fresh else []
        return options + (["-c"] if self.spell else [])


def query(owner: str, rdtype: str, edns: Edns = Edns.DO) -> dns.message.QueryMessage:
    """A query as a resolver sends it to an authority: RD clear."""
    extra: list[dns.edns.Option] = []
    if edns is Edns.COOKIE:
        extra = [dns.edns.GenericOption("COOKIE", b"benchmrk")]  # RFC 7873 §4: a client cookie has 8 octets
    elif edns is Edns.UNKNOWN:
        extra = [
            dns.edns.GenericOption(dns.edns.OptionType.make(65001), b"bench")
        ]  # RFC 6891 §9: for local and experimental use
    with_do = edns is not Edns.NONE
    return dns.message.make_query(
        owner, rdtype, flags=0, use_edns=0 if with_do else False, want_dnssec=with_do, payload=UDP_SIZE,
        options=extra or None,
    )  # fmt: skip


def framed(messages: Sequence[dns.message.Message]) -> bytes:
    """The generator's input: each message behind its length (RFC 1035 §4.2.2)."""
    wires = [message.to_wire() for message in messages]
    return b"".join(len(wire).to_bytes(2, "big") + wire for wire in wires)


def hot_questions(names: int, dice: Random) -> list[Question]:
    """One question for each of 1,000 names, of a type that it has."""
    types: dict[str, list[str]] = {}
    for rrset in rrsets(names):
        types.setdefault(rrset.owner, []).append(rrset.type)
    owners = dice.sample(sorted(types), min(1000, len(types)))
    return [(owner, dice.choice(types[owner])) for owner in owners]


def all_questions(names: int, dice: Random) -> list[Question]:
    """A question for every RRset of the zone, shuffled."""
    questions = [(rrset.owner, rrset.type) for rrset in rrsets(names)]
    dice.shuffle(questions)
    return questions


def missing_questions(names: int, dice: Random) -> list[Question]:
    """One question, whose first label the generator replaces."""
    del names, dice
    return [(f"{UNIQUE_LABEL}.{ORIGIN}", "A")]


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("hot", "hot set of 1,000 names, DO", hot_questions),
        Workload("nxdomain", "random names that do not exist, each once, DO", missing_questions, Expect.NO_NAME),
        Workload("uniform", "every RRset of the zone in turn, shuffled, DO", all_questions),
        Workload("0x20", "hot set, upper and lower case at random, DO", hot_questions, spell=True),
        Workload("cookie", "hot set, DO and a client cookie", hot_questions, edns=Edns.COOKIE),
        Workload("options", "hot set, DO and an unknown EDNS option", hot_questions, edns=Edns.UNKNOWN),
        Workload("no-edns", "hot set without EDNS", hot_questions, edns=Edns.NONE),
    )
}
