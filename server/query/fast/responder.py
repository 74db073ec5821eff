"""The hot path: a batch of queries in, a batch of responses out, both as they stand behind their IDs.

Which way a query takes, in order; what the way costs beside a signature, instead of what (µs a query, one core, CPython
3.11); and the test in `tests/` that holds its octets equal to those of `server.query.respond`, which asks no cache:

    the query                               way                            µs, not       held equal by
    asked before, as it stands              Caches.packets                 0.14, not 3   test_responder.py
    … with other capitals (0x20)            Caches.packets                 0.6, not 3    test_responder.py
    … with one EDNS option, as cookies      _Lane.forms                    0.5, not 1.2  test_responder.py
    no such name, one label below an apex:
      compact denial                        CompactBelowApex               4.7, not 14   test_absent_names.py
      NSEC chain                            ChainBelowApex                 3.2, not 10   test_absent_names.py
    no such name elsewhere                  deny_absent                    10, not 20    test_absent_names.py
    the RRset stands there                  answer_present                 10, not 24    test_present_rrsets.py
    composed before, for another packet     Caches.answers, .denials       3, not 20     test_purity.py
    anything else                           decide, emit                   20            test_answers.py

`bytes.lower()` over a whole packet would also change types (65 becomes 97), and so would be wrong: the key lower-cases
only the name. No response depends on EDNS options, so they are no part of the key; the forms of queries with one option
are known again by all from the end of the name to the data of the option, and only the length is left to compare. The
caches of names that exist are not asked for names that do not: they never have such names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from server.query.edns import DEFAULT_SIZE
from server.query.emit_to_size import Response
from server.query.fast.absent_names import deny_absent
from server.query.fast.answer_caches import Answers, Caches
from server.query.fast.compact_below_apex import CompactBelowApex
from server.query.fast.nsec_chain_below_apex import ChainBelowApex
from server.query.fast.present_rrsets import answer_present
from server.query.fast.query_shapes import Shape, SignedShape, shape_of
from server.query.read_query import HEADER_SIZE, ID_SIZE, Query, Rejected, Unanswerable, error_response, read_query
from server.query.respond import Answered, Failed, Via, Wanted, answer, is_signed, response_limit, wait_for_it
from zones.denial import DenialMode
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
_BELOW = 2048  # remembered at once, over all shapes
RCODES = 17
"""Places to count in: the RCODEs of a header, and silence."""
_SILENCE = RCODES - 1

Below = CompactBelowApex | ChainBelowApex
_BELOW_APEX: Mapping[DenialMode, type[CompactBelowApex] | type[ChainBelowApex]] = {
    DenialMode.COMPACT: CompactBelowApex,
    DenialMode.NSEC: ChainBelowApex,
}
"""What denies names below an apex, by the zone's denial; another kind of denial takes the general way."""


class _Lane:
    """What is known of the queries of one transport: responses differ in what fits."""

    __slots__ = ("forms", "packets", "rcodes", "shapes", "via")

    def __init__(self, via: Via, packets: Answers[tuple[bytes, int]]) -> None:
        self.via = via
        self.packets = packets
        """Whole responses behind the ID, and until when, by the query's octets behind the ID."""
        self.shapes: dict[bytes, Shape] = {}
        self.forms: dict[bytes, tuple[int, bytes]] = {}
        """Of queries with one EDNS option, by what follows their names up to the option's data: how long that is with
        the data, and what it is without the option."""
        self.rcodes = [0] * RCODES


class Responder:
    """Answers for one process: the zones as they are now, and the caches."""

    def __init__(
        self,
        zoneset: Callable[[], ZoneSet],
        caches: Caches,
        failed: Failed,
        udp_size: int = DEFAULT_SIZE,
        wanted: Wanted = wait_for_it,
    ) -> None:
        """`zoneset` gives the zones of now; `failed` is called where a query could not be answered, `wanted` where a
        zone that is asked for has no keys yet.
        """
        self._zoneset = zoneset
        self._caches = caches
        self._failed = failed
        self._wanted = wanted
        self.udp_size = udp_size
        """The largest UDP response in octets."""
        self._udp = _Lane(Via.UDP, caches.packets)
        self._tcp = _Lane(Via.TCP, caches.stream_packets)
        self._latest = 0
        self._below: dict[bytes, Below | None] = {}
        """By apex and kind of query, what denies names one label below; None where that is not simple."""
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
            self._below.clear()
        if now < self._latest - _CLOCK_STEP:
            # What was made for a later time may not be valid yet.
            self._caches.forget_answers()
            self._below.clear()
            self._latest = now
        elif now > self._latest:
            self._latest = now

    def _respond(self, query: bytes, name: bytes, lowered: bytes, tail: bytes, now: int, lane: _Lane) -> bytes | None:
        """What is not in the young generation. The name goes up to the first zero octet."""
        if len(tail) > _PLAIN_TAIL and not (tail := self._without_option(tail, lane)):
            return self._read(query, now, lane)
        shape = lane.shapes.get(query[:_NAME_AT] + tail)
        if shape is None:
            return self._read(query, now, lane)
        owner = lowered + b"\x00"
        served, response = None, None
        if (signed := shape.signed) is not None:
            below = self._below_apex(owner, signed, now)
            served = below.served if below is not None else self._signed_zone(owner, signed, now)
            # The caches of names that exist are not asked for others, which they never have.
            if served is not None and owner not in served.zone.nodes:
                if below is not None and below.remembers:
                    response = self._denied_below(owner, below, signed, now)
                else:
                    response = self._denied(owner, name, served, below, shape, signed, now)
        if response is None:
            known = lane.packets.get(b"".join((query[:_NAME_AT], lowered, tail)))
            if known is not None and now < known[1]:  # it was of the old generation, or had more than one option
                packet = known[0]
                return b"".join((packet[:_NAME_AT], name, packet[_NAME_AT + len(name) :]))
            if not _is_name(name):
                return self._read(query, now, lane)
            response = self._made(query, owner, tail, shape, served, now, lane)
        lane.rcodes[response.head[1] & 15] += 1
        return b"".join((response.head, name, tail[:_QUESTION_TAIL], response.body))

    def _made(
        self, asked: bytes, owner: bytes, tail: bytes, shape: Shape, served: ServedZone | None, now: int, lane: _Lane
    ) -> Response:
        """What is remembered nowhere, by the shortest way that leads there; `served` is its zone, if that is signed."""
        made = None
        if served is not None and shape.signed is not None:
            made = self._present(owner, served, shape.signed, now)
        if made is None:
            end = HEADER_SIZE + len(owner) + _QUESTION_TAIL - 1
            query = Query(shape.flags, owner, shape.qtype, shape.qclass, end, shape.edns)
            made = self._remembered(query, shape, now)
        response, exists, alone = made
        if exists:  # and so it is NOERROR: what is hot needs no counting by RCODE
            whole = response.head + owner[:-1] + tail[:_QUESTION_TAIL] + response.body, response.until
            lane.packets.keep(asked[:_NAME_AT], owner, tail[1:], whole, alone=alone)
        return response

    def _remembered(self, query: Query, shape: Shape, now: int) -> Answered:
        """As `respond` says, from the caches of composed responses where they have it."""
        caches = self._caches
        key = query.qname + shape.variant
        response = caches.answers.get(key)
        if response is not None and now < response.until:
            return Answered(response, True, caches.answers.is_alone(key))
        response = caches.denials.get(key)
        if response is not None and now < response.until:
            return Answered(response)
        made = answer(
            query, self._current, now, shape.limit, self.udp_size, self._failed, caches.signatures, self._wanted
        )
        if made.response.until and made.exists:
            caches.answers.keep(b"", query.qname, shape.variant, made.response, alone=made.alone)
        elif made.response.until:
            caches.denials.offer(key, made.response)
        return made

    def _signed_zone(self, owner: bytes, signed: SignedShape, now: int) -> ServedZone | None:
        """The zone that answers for `owner`, if it is signed and serves."""
        served = self._current.find(owner, signed.qtype)
        return served if served is not None and is_signed(served, now) else None

    def _denied(
        self, owner: bytes, name: bytes, served: ServedZone, below: Below | None, shape: Shape, signed: SignedShape,
        now: int,
    ) -> Response | None:  # fmt: skip
        """The denial of a name that does not exist in a signed zone; None where it must be made the general way."""
        try:
            denials, key = self._caches.denials, owner + shape.variant
            denial = denials.get(key)
            if denial is None or now >= denial.until:
                denial = below.deny(owner, now) if below is not None else None
                if denial is None and _is_name(name):
                    denial = deny_absent(owner, served, now, signed, self._caches)
                if denial is not None:
                    denials.offer(key, denial)
        except Exception:
            self._failed(owner, signed.qtype)
            return None  # the general way says SERVFAIL
        else:
            return denial

    def _denied_below(self, owner: bytes, below: Below, signed: SignedShape, now: int) -> Response | None:
        """As `_denied`, by what remembers its denials itself."""
        try:
            return below.deny(owner, now)
        except Exception:
            self._failed(owner, signed.qtype)
            return None  # the general way says SERVFAIL

    def _present(self, owner: bytes, served: ServedZone, signed: SignedShape, now: int) -> Answered | None:
        """The answer that stands in a signed zone; None for all else."""
        try:
            made = answer_present(owner, served, now, signed, self._caches)
        except Exception:
            self._failed(owner, signed.qtype)
            return None  # the general way says SERVFAIL
        return None if made is None else Answered(made, True, True)

    def _below_apex(self, owner: bytes, signed: SignedShape, now: int) -> Below | None:
        """What denies names below the apex that `owner` lies one label below, and is no apex itself."""
        apex = owner[owner[0] + 1 :]
        key = apex + signed.key
        below = self._below.get(key)
        if below is None and key not in self._below:
            below = self._learn_apex(key, apex, signed)
        if below is None or not below.valid_from <= now < below.valid_until or self._current.get(owner) is not None:
            return None
        return below

    def _learn_apex(self, key: bytes, apex: bytes, signed: SignedShape) -> Below | None:
        served = self._current.get(apex)
        if served is None:
            return None  # not worth remembering: such apexes are as many as names
        if len(self._below) >= _BELOW:
            self._below.clear()
        zone, keys = served.zone, served.keys
        way = _BELOW_APEX.get(zone.denial.mode)
        below = None
        if way is not None and keys is not None and zone.signed and not served.gaps and zone.is_plain_below_apex:
            below = way(served, keys, signed, self._caches)
        self._below[key] = below
        return below

    def _read(self, asked: bytes, now: int, lane: _Lane) -> bytes | None:
        """Read a query octet by octet; where nothing but a question and perhaps an OPT is in it, learn its shape."""
        packet = _ANY_ID + asked
        try:
            query = read_query(packet)
        except Unanswerable:
            lane.rcodes[_SILENCE] += 1
            return None
        except Rejected as rejected:
            wire = error_response(packet, rejected)
            lane.rcodes[wire[3] & 15] += 1
            return wire[ID_SIZE:]
        shape = shape_of(query, response_limit(query.edns, lane.via, self.udp_size), self.udp_size)
        tail = packet[query.question_end - _QUESTION_TAIL :]
        if len(tail) > _PLAIN_TAIL:
            tail = _without_options(tail)
        if len(tail) in (_QUESTION_TAIL, _PLAIN_TAIL):
            if len(lane.shapes) >= _SHAPES:
                lane.shapes.clear()
            lane.shapes[asked[:_NAME_AT] + tail] = shape
        response = self._remembered(query, shape, now).response
        lane.rcodes[response.head[1] & 15] += 1
        return b"".join((response.head, packet[HEADER_SIZE : query.question_end], response.body))

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


def _is_name(name: bytes) -> bool:
    """Whether `name`, which goes up to the first zero octet, is whole labels of a name."""
    position, size = 0, len(name)
    if size >= MAXIMUM_NAME:
        return False
    while position < size:
        length = name[position]
        if length > MAXIMUM_LABEL:
            return False
        position += length + 1
    return position == size
