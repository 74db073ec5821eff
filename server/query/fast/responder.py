"""The hot path: a batch of queries in, a batch of responses out, both as they stand behind their IDs.

What is asked again and again is answered from one dictionary, keyed by the query itself. What it costs (µs a packet,
one core, CPython 3.11): 0.1 to look it up, and 0.1 more over TCP, where IDs are cut off and put back; a query that
mixes upper and lower case (0x20 encoding) 0.5 more (0.65 in a function of its own), for the key that lower-cases only
the name. `bytes.lower()` over the whole packet would also change types (65 becomes 97), and so would be wrong.

No response depends on EDNS options, so they are no part of the key: cookies, which always differ, find the same entry.
They cost 0.37 more, and 1.0 where they are read octet by octet: so the forms of queries with one option are known
again, by all from the name's end to the option's data, and only the length is left to compare.

A name that does not exist costs its denial (`server.query.fast.below_apex`) and 1.4 around it: nothing is looked at
twice that the shape of the query or its apex tells, and the cache of whole responses is not asked, which never has such
names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from server.query.edns import DEFAULT_SIZE, Edns
from server.query.fast.below_apex import Below, below_apex
from server.query.fast.caches import Answers, Caches, Response
from server.query.fast.fresh_answer import fresh_answer
from server.query.fast.fresh_denial import DenialShape, fresh_denial
from server.query.respond import (
    CLASS_IN,
    Via,
    failure_of,
    is_ordinary,
    plain_opt,
    remembered,
    respond,
    response_limit,
    variant,
)
from server.query.wire import HEADER_SIZE, ID_SIZE, Query, Rejected, Unanswerable, read_query
from zones.names import MAXIMUM_LABEL, MAXIMUM_NAME
from zones.zoneset import ServedZone, ZoneSet

_NAME_AT = HEADER_SIZE - ID_SIZE
_ANY_ID = bytes(ID_SIZE)
_QUESTION_TAIL = 5  # octets of a question behind its last label: root, type, class
_OPT_SIZE = 11  # octets of an OPT record without options
_PLAIN_TAIL = _QUESTION_TAIL + _OPT_SIZE
_OPTION_HEADER = 4  # octets of an option before its data
_OPT_OWNER_AND_TYPE = b"\x00\x00\x29"
_CLOCK_STEP = 600  # seconds back that the margin of every RRSIG covers with ease
_SHAPES = 4096  # remembered at once
_FORMS = 4096
_BELOW = 2048  # each up to 30 kB, by lengths of names
RCODES = 17
"""Places to count in: the RCODEs of a header, and silence."""
_SILENCE = RCODES - 1
_log = structlog.get_logger("signwright.answer")


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a query says beside its ID and name: few shapes make up all traffic, so each is read once."""

    flags: int
    qtype: int
    qclass: int
    edns: Edns | None
    variant: bytes
    limit: int
    denial: DenialShape | None
    """Where it wants signatures and asks for ordinary data."""
    below: dict[bytes, Below]
    """By apex, what denies names one label below it to queries like this one; shared by types."""


_Made = tuple[Response, bool, bool]
"""A response, whether it is of a name that exists, and whether it follows from that name's node and the zone's keys."""


class _Lane:
    """What is known of the queries of one transport: responses differ in what fits."""

    __slots__ = ("forms", "packets", "rcodes", "shapes", "via")

    def __init__(self, via: Via, packets: Answers[tuple[bytes, int]]) -> None:
        self.via = via
        self.packets = packets
        """Whole responses behind the ID, and until when, by the query's octets behind the ID."""
        self.shapes: dict[bytes, _Shape] = {}
        self.forms: dict[bytes, tuple[int, bytes]] = {}
        """Of queries with one EDNS option, by what follows their names up to the option's data: how long that is with
        the data, and what it is without the option."""
        self.rcodes = [0] * RCODES


class Responder:
    """Answers for one process: the zones as they are now, and the caches."""

    def __init__(self, zoneset: Callable[[], ZoneSet], caches: Caches, udp_size: int = DEFAULT_SIZE) -> None:
        self._zoneset = zoneset
        self._caches = caches
        self.udp_size = udp_size
        """The largest UDP response in octets."""
        self._udp = _Lane(Via.UDP, caches.packets)
        self._tcp = _Lane(Via.TCP, caches.stream_packets)
        self._latest = 0
        self._below: dict[bytes, dict[bytes, Below]] = {}
        self._below_count = 0
        self._current = ZoneSet()
        self.datagrams_seen = 0
        """How many datagrams there were. Those that no other count names were hot: NOERROR from one dictionary."""
        self.udp_rcodes = self._udp.rcodes
        """Datagrams that were not hot, by the RCODE in the header of the response, and last what got none."""
        self.messages_seen = 0
        """How many messages came by TCP, likewise."""
        self.tcp_rcodes = self._tcp.rcodes
        """Messages over TCP that were not hot."""

    def datagrams(self, queries: Sequence[bytes], now: int) -> list[bytes | None]:
        """The response to each datagram, or None where silence is due. `now` is read once for all of them.

        Queries and responses are without their IDs (`server.net.mmsg`); what is shorter than an ID is empty.
        """
        self.datagrams_seen += len(queries)
        return self._responses(queries, now, self._udp)

    def messages(self, wires: Sequence[bytes], now: int) -> list[bytes | None]:
        """The response to each message that came by TCP, or None where silence is due. These are whole."""
        self.messages_seen += len(wires)
        responses = self._responses([wire[ID_SIZE:] for wire in wires], now, self._tcp)
        return [
            None if response is None else wire[:ID_SIZE] + response
            for wire, response in zip(wires, responses, strict=True)
        ]

    def _responses(self, queries: Sequence[bytes], now: int, lane: _Lane) -> list[bytes | None]:
        self._begin(now)
        remembered, form_of = lane.packets.young.get, lane.forms.get
        responses: list[bytes | None] = []
        answered = responses.append
        for query in queries:
            known = remembered(query)
            if known is not None and now < known[1]:
                answered(known[0])
                continue
            name_end = query.find(0, _NAME_AT)
            tail = query[name_end:]
            if len(tail) > _PLAIN_TAIL:
                form = form_of(tail[: _PLAIN_TAIL + _OPTION_HEADER])
                if form is not None and len(tail) == form[0]:
                    tail = form[1]
                    known = remembered(query[:name_end] + tail)
                    if known is not None and now < known[1]:
                        answered(known[0])
                        continue
            name = query[_NAME_AT:name_end]
            lowered = name.lower()
            if lowered != name:
                # A zero octet within a label ends this "name" early; the key then differs from any stored one, or is
                # right.
                known = remembered(b"".join((query[:_NAME_AT], lowered, tail)))
                if known is not None and now < known[1]:
                    response = known[0]
                    answered(b"".join((response[:_NAME_AT], name, response[name_end:])))
                    continue
            answered(
                self._respond(query, name, lowered, tail, now, lane) if name_end > 0 else self._read(query, now, lane)
            )
        return responses

    def _begin(self, now: int) -> None:
        """Forget what is not so at `now`, with the zones of now."""
        zoneset = self._zoneset()
        self._caches.for_zoneset(zoneset, now)
        if zoneset is not self._current:
            self._current = zoneset
            self._forget_below()
        if now < self._latest - _CLOCK_STEP:
            # What was made for a later time may not be valid yet.
            self._caches.forget_answers()
            self._forget_below()
            self._latest = now
        elif now > self._latest:
            self._latest = now

    def _forget_below(self) -> None:
        for below in self._below.values():
            below.clear()
        self._below_count = 0

    def _respond(self, query: bytes, name: bytes, lowered: bytes, tail: bytes, now: int, lane: _Lane) -> bytes | None:
        """What is not in the young generation. The name goes up to the first zero octet."""
        if len(tail) > _PLAIN_TAIL and not (tail := self._without_option(tail, lane)):
            return self._read(query, now, lane)
        shape = lane.shapes.get(query[:_NAME_AT] + tail)
        if shape is None:
            return self._read(query, now, lane)
        owner = lowered + b"\x00"
        below = self._below_apex(owner, shape, now)
        answer = self._denied(owner, below, shape, now) if below is not None and owner not in below.nodes else None
        if answer is None:
            known = lane.packets.get(b"".join((query[:_NAME_AT], lowered, tail)))
            if known is not None and now < known[1]:  # it was of the old generation, or had more than one option
                response = known[0]
                return b"".join((response[:_NAME_AT], name, response[_NAME_AT + len(name) :]))
            labels = _count_labels(name)
            if labels < 0:
                return self._read(query, now, lane)
            answer = self._made(query, owner, tail, labels, below, shape, now, lane)
        lane.rcodes[answer.head[1] & 15] += 1
        return b"".join((answer.head, name, tail[:_QUESTION_TAIL], answer.body))

    def _made(
        self, asked: bytes, owner: bytes, tail: bytes, labels: int, below: Below | None, shape: _Shape, now: int,
        lane: _Lane,
    ) -> Response:  # fmt: skip
        """What is remembered nowhere, by the shortest way that leads there."""
        made = None
        if below is not None and owner in below.nodes and shape.denial is not None:
            made = self._existing(owner, below.served, shape.denial, now)
        if made is None:
            made = self._elsewhere(owner, labels, shape, now)
        if made is None:
            end = HEADER_SIZE + len(owner) + _QUESTION_TAIL - 1
            query = Query(shape.flags, owner, shape.qtype, shape.qclass, end, shape.edns)
            made = remembered(query, shape.variant, self._zoneset(), now, shape.limit, self._caches, self.udp_size)
        answer, exists, alone = made
        if exists:  # and so it is NOERROR: what is hot needs no counting by RCODE
            whole = answer.head + owner[:-1] + tail[:_QUESTION_TAIL] + answer.body, answer.until
            lane.packets.keep(asked[:_NAME_AT], owner, tail[1:], whole, alone=alone)
        return answer

    def _below_apex(self, owner: bytes, shape: _Shape, now: int) -> Below | None:
        """What denies names below the apex that `owner` lies one label below, and is no apex itself."""
        apex = owner[owner[0] + 1 :]
        below = shape.below.get(apex) or self._learn_apex(apex, shape)
        if below is None or not below.valid_from <= now < below.valid_until or self._current.get(owner) is not None:
            return None
        return below

    def _learn_apex(self, apex: bytes, shape: _Shape) -> Below | None:
        served = self._current.get(apex)
        if served is None or shape.denial is None:
            return None
        below = below_apex(served, shape.denial, self._caches)
        if below is not None:
            if self._below_count >= _BELOW:
                self._forget_below()
            self._below_count += 1
            shape.below[apex] = below
        return below

    def _denied(self, owner: bytes, below: Below, shape: _Shape, now: int) -> Response | None:
        try:
            if below.remembers:
                return below.deny(owner, now)
            denials, key = self._caches.denials, owner + shape.variant
            answer = denials.get(key)
            if answer is not None and now < answer.until:
                return answer
            answer = below.deny(owner, now)
        except Exception:
            _log.exception("cannot deny", qname=owner.hex())
            return None  # the general way says SERVFAIL
        if answer is not None:
            denials.offer(key, answer)
        return answer

    def _elsewhere(self, owner: bytes, labels: int, shape: _Shape, now: int) -> _Made | None:
        """The same wherever `owner` lies in a zone that is signed."""
        if shape.denial is None:
            return None
        served = self._zoneset().find(owner, shape.qtype)
        if served is None or failure_of(served, now) is not None:
            return None
        if owner in served.zone.nodes:
            return self._existing(owner, served, shape.denial, now)
        key = owner + shape.variant
        known = self._caches.denials.get(key)
        if known is not None and now < known.until:
            return known, False, False
        try:
            answer = fresh_denial(owner, labels, served, now, shape.denial, self._caches)
        except Exception:
            _log.exception("cannot deny", qname=owner.hex())
            return None  # the general way says SERVFAIL
        if answer is None:
            return None
        self._caches.denials.offer(key, answer)
        return answer, False, False

    def _existing(self, owner: bytes, served: ServedZone, plain: DenialShape, now: int) -> _Made | None:
        try:
            answer = fresh_answer(owner, served, now, plain, self._caches)
        except Exception:
            _log.exception("cannot answer", qname=owner.hex())
            return None  # the general way says SERVFAIL
        return None if answer is None else (answer, True, True)

    def _read(self, asked: bytes, now: int, lane: _Lane) -> bytes | None:
        """Read a query octet by octet; where nothing but a question and perhaps an OPT is in it, learn its shape."""
        zoneset, packet = self._zoneset(), _ANY_ID + asked
        wire = respond(packet, zoneset, now, lane.via, self._caches, self.udp_size)
        lane.rcodes[_SILENCE if wire is None else wire[3] & 15] += 1
        try:
            query = read_query(packet)
        except (Unanswerable, Rejected):
            return wire and wire[ID_SIZE:]
        tail = packet[query.question_end - _QUESTION_TAIL :]
        if len(tail) > _PLAIN_TAIL:
            tail = _without_options(tail)
        if len(tail) in (_QUESTION_TAIL, _PLAIN_TAIL):
            if len(lane.shapes) >= _SHAPES:
                lane.shapes.clear()
            lane.shapes[asked[:_NAME_AT] + tail] = self._shape_of(query, lane.via)
        return wire and wire[ID_SIZE:]

    def _shape_of(self, query: Query, via: Via) -> _Shape:
        edns, qtype = query.edns, query.qtype
        limit = response_limit(edns, via, self.udp_size)
        denial, below = None, {}
        if edns is not None and edns.do and edns.version == 0 and query.qclass == CLASS_IN and is_ordinary(qtype):
            opt = plain_opt(edns.do, edns.co, self.udp_size)
            key = b"%d %d %d" % (query.flags, edns.co, limit)
            denial = DenialShape(query.flags, qtype, edns.co, limit, opt, key)
            if len(self._below) >= _SHAPES:
                self._forget_below()
                self._below = {}
                # A shape that kept what is not in `_below` any more would deny what other zones, later, have.
                self._udp.shapes.clear()
                self._tcp.shapes.clear()
            below = self._below.setdefault(key, {})
        return _Shape(query.flags, qtype, query.qclass, edns, variant(query, limit), limit, denial, below)

    def _without_option(self, tail: bytes, lane: _Lane) -> bytes:
        """As `_without_options`; where it was one option, the next of that length is known by its beginning."""
        bare = _without_options(tail)
        if bare and int.from_bytes(tail[_PLAIN_TAIL + 2 : _PLAIN_TAIL + 4]) == len(tail) - _PLAIN_TAIL - _OPTION_HEADER:
            if len(lane.forms) >= _FORMS:
                lane.forms.clear()
            lane.forms[tail[: _PLAIN_TAIL + _OPTION_HEADER]] = len(tail), bare
        return bare


def _without_options(tail: bytes) -> bytes:
    """What follows a name, with its OPT record's options taken out, since no response depends on them.

    Empty where it is anything but a question's end and one OPT record of well-formed options.
    """
    if tail[_QUESTION_TAIL : _QUESTION_TAIL + 3] != _OPT_OWNER_AND_TYPE:
        return b""
    bare = _PLAIN_TAIL
    position, size = bare, len(tail)
    if int.from_bytes(tail[bare - 2 : bare]) != size - bare:
        return b""
    while position + 4 <= size:
        position += 4 + (tail[position + 2] << 8 | tail[position + 3])
    return tail[: bare - 2] + b"\x00\x00" if position == size else b""


def _count_labels(name: bytes) -> int:
    """How many labels `name` has, which goes up to the first zero octet; -1 where it is no whole name."""
    position, size, count = 0, len(name), 0
    if size >= MAXIMUM_NAME:
        return -1
    while position < size:
        length = name[position]
        if length > MAXIMUM_LABEL:
            return -1
        position += length + 1
        count += 1
    return count if position == size else -1
