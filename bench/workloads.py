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
ONCE_CONNECTIONS = 16
"""Connections at one time, each for one query: fewer than any server's default limit."""
FIRST_WINDOW = 32
"""Queries outstanding while every answer is new: those beside them wait for so many answers in the socket's buffer."""
INTERVAL_MS = 100


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


class Transport(Enum):
    """How queries travel: the generator's name for it."""

    UDP = "udp"
    TCP = "tcp"
    """Eight connections that stay, with queries pipelined."""
    ONCE = "once"
    """A connection for each query."""


class Load(Enum):
    """How hard they come."""

    PEAK = "peak"
    """As many as are answered."""
    PACED = "paced"
    """At one rate for all servers: half of what the slowest answers."""
    FIRST = "first"
    """Each once, to a server that was just started, while hot queries come at a low rate beside them."""
    STEADY = "steady"
    """As `PEAK`, for longer, with the answers counted for every tenth of a second."""


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
    transport: Transport = Transport.UDP
    load: Load = Load.PEAK
    servers: Sequence[str] = ("signwright", "nsd")
    """The servers for which there is a target, or that one compares with."""
    sockets: int = 4
    """Of the generator, over UDP."""

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

    def generator_options(self, window: int) -> list[str]:
        """Options of the load generator; `window` is how many queries are outstanding at most, over UDP and TCP."""
        sockets = {Transport.UDP: self.sockets, Transport.TCP: 8, Transport.ONCE: ONCE_CONNECTIONS}[self.transport]
        if self.transport is Transport.ONCE:
            window = sockets
        elif self.load is Load.FIRST:
            window = min(window, FIRST_WINDOW)
        options = ["-m", self.transport.value, "-n", str(sockets), "-w", str(window - window % sockets)]
        options += ["-u", str(UNIQUE_LABEL_AT)] if self.fresh else []
        options += ["-c"] if self.spell else []
        options += ["-p"] if self.load is Load.FIRST else []
        return options + (["-i", str(INTERVAL_MS)] if self.load is Load.STEADY else [])


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


def first_questions(names: int, dice: Random) -> list[Question]:
    """A question for every RRset of the zone but those that are hot (of the same dice), shuffled."""
    hot = set(hot_questions(names, dice))
    return [question for question in all_questions(names, dice) if question not in hot]


def missing_questions(names: int, dice: Random) -> list[Question]:
    """One question, whose first label the generator replaces."""
    del names, dice
    return [(f"{UNIQUE_LABEL}.{ORIGIN}", "A")]


_ALL = ("signwright", "nsd", "knot", "knot-onlinesign", "bind", "powerdns")
_PEERS = ("signwright", "nsd", "knot", "bind", "powerdns")
_DENIERS = (
    "signwright", "signwright-nsec", "signwright-flood", "nsd", "knot-onlinesign", "powerdns", "powerdns-narrow"
)  # fmt: skip

WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("hot", "hot set of 1,000 names, DO", hot_questions, servers=_ALL),
        Workload(
            "nxdomain", "random names that do not exist, each once, DO", missing_questions, Expect.NO_NAME,
            servers=_DENIERS,
        ),
        Workload("first", "every RRset once, to a server just started, DO", first_questions, load=Load.FIRST,
                 servers=("signwright",)),
        Workload("uniform", "every RRset of the zone in turn, shuffled, DO", all_questions),
        Workload("0x20", "hot set, upper and lower case at random, DO", hot_questions, spell=True),
        Workload("cookie", "hot set, DO and a client cookie", hot_questions, edns=Edns.COOKIE),
        Workload("options", "hot set, DO and an unknown EDNS option", hot_questions, edns=Edns.UNKNOWN),
        Workload("no-edns", "hot set without EDNS", hot_questions, edns=Edns.NONE),
        Workload("latency", "hot set at half of the lower peak, DO", hot_questions, load=Load.PACED),
        Workload(
            "windows", "hot set while every signature rolls, DO", hot_questions, load=Load.STEADY,
            servers=("signwright-windows", "nsd"),
        ),
        Workload(  # many sockets, so that each worker gets its part of them
            "workers", "hot set by workers that share a core, DO", hot_questions,
            servers=("signwright-worker", "signwright-workers"), sockets=32,
        ),
        Workload(
            "tcp", "hot set over TCP, pipelined, DO", hot_questions, transport=Transport.TCP, servers=_PEERS
        ),
        Workload(
            "tcp-once", "hot set over TCP, a connection for each query, DO", hot_questions, transport=Transport.ONCE,
            servers=_PEERS,
        ),
    )
}  # fmt: skip
