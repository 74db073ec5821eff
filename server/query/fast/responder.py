"""The hot path: a batch of queries in, a batch of responses out, both as they stand behind their IDs.

It has two halves. What is remembered whole costs next to nothing and is answered at once; all else is a `Miss`, which
has to be made, and may wait until others are answered (`waiting_queries`).

Which way a query takes, in order; what the way costs beside a signature, instead of what (µs a query, one core, CPython
3.11); and the test in `tests/` that holds its octets equal to those of `server.query.respond`, which asks no cache:

    the query                               way                            µs, not       held equal by
    asked before, as it stands              Caches.packets                 0.14, not 3   test_responder.py
    … with other capitals (0x20)            Caches.packets                 0.6, not 3    test_responder.py
    … with an EDNS option that gets nothing _Lane.forms                    0.5, not 4    test_responder.py
    … with a cookie                         _Lane.cookied                  0.9, not 4    test_responder.py
    no such name, one label below an apex:
      compact denial                        CompactBelowApex               4.7, not 14   test_absent_names.py
      NSEC chain                            ChainBelowApex                 3.2, not 10   test_absent_names.py
    no such name elsewhere                  deny_absent                    10, not 20    test_absent_names.py
    the RRset stands there                  answer_present                 10, not 24    test_present_rrsets.py
    composed before, for another packet     Caches.answers, .denials       3, not 20     test_purity.py
    anything else                           decide, emit                   20            test_answers.py

`bytes.lower()` over a whole packet would also change types (65 becomes 97), and so would be wrong: the key lower-cases
only the name. A query with EDNS options is answered as one without, and what its options ask for is put behind the OPT
record of that answer: nothing that is remembered has a cookie in it. The forms of queries with one option are known
again by all from the end of the name to the data of the option. The caches of names that exist are not asked for names
that do not: they never have such names.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Mapping, Sequence

import msgspec

from server.query.cookies import Standing
from server.query.edns import DEFAULT_SIZE, MINIMUM_SIZE, OPTION_COOKIE, Edns
from server.query.emit_to_size import Response
from server.query.fast.absent_names import deny_absent
from server.query.fast.answer_caches import Answers, Caches, Cookied, Generations
from server.query.fast.compact_below_apex import CompactBelowApex, Unsigned
from server.query.fast.flood_detection import FloodDetection, Switched, unheard, wants_own_signature
from server.query.fast.nsec_chain_below_apex import ChainBelowApex
from server.query.fast.present_rrsets import answer_present
from server.query.fast.query_forms import FORM, PLAIN_TAIL, QUESTION_TAIL, Form, form_of
from server.query.fast.query_shapes import Shape, SignedShape, shape_of
from server.query.fast.waiting_queries import Dropped
from server.query.finished_response import with_options
from server.query.read_query import (
    HEADER_SIZE,
    ID_SIZE,
    Query,
    Rcode,
    Rejected,
    Unanswerable,
    read_query,
    response_flags,
)
from server.query.respond import (
    Answered,
    Failed,
    Via,
    Wanted,
    answer,
    is_signed,
    message,
    rejection,
    response_limit,
    wait_for_it,
)
from server.query.response_class import CutAhead, Key, class_ahead, cut_ahead
from server.query.server_facts import SILENT, ServerFacts, Told, told
from zones.denial import DenialMode
from zones.names import MAXIMUM_LABEL, MAXIMUM_NAME
from zones.zoneset import ServedZone, ZoneSet

_NAME_AT = HEADER_SIZE - ID_SIZE
_OPTION_CODE = PLAIN_TAIL + 1  # where the lower octet of the first option's code stands behind a name
_ANY_ID = bytes(ID_SIZE)
_QR_AND_OPCODE = 0xF8  # in the first octet of the flags
_ONE_QUESTION_AND_OPT = b"\x00\x01\x00\x00\x00\x00\x00\x01"
_CLOCK_STEP = 600  # seconds back that the margin of every RRSIG covers with ease
_SHAPES = 4096  # remembered at once
_FORMS = 4096
_FEW = 4
"""Sizes of origins: of more, only those are tried that a name has. With 200 of them it costs 1.8 µs a name, not 28."""
_BELOW = 2048  # remembered at once, over all shapes
_ROOM_FOR_OPTIONS = 256
"""Octets that a remembered response must leave free for EDNS options: else it is found out whether they fit."""
RCODES = 17
"""Places to count in: the RCODEs of a header, and silence."""
_SILENCE = RCODES - 1
_QR = 0x80
"""Of the first octet of flags: a response."""

Below = CompactBelowApex | ChainBelowApex
_BELOW_APEX: Mapping[DenialMode, type[CompactBelowApex] | type[ChainBelowApex]] = {
    DenialMode.COMPACT: CompactBelowApex,
    DenialMode.NSEC: ChainBelowApex,
}
"""What denies names below an apex, by the zone's denial; another kind of denial takes the general way."""


Sender = Callable[[int], bytes | None]
"""Gives the address (4 or 16 octets) that the n-th of some queries is from; None where nobody knows it."""


def _nobody(_: int) -> None:
    """Where nobody knows who asks."""


class Miss(msgspec.Struct, frozen=True, gc=False):
    """A query that is not remembered, as far as it was read when that was found."""

    slot: int
    """Its place among the queries that came with it."""
    query: bytes
    """What follows the ID."""
    name_end: int
    """Where the first zero octet is behind the beginning of the question's name; below 0 where there is none."""
    name: bytes
    """From the place of the question's name to there."""
    lowered: bytes
    """The same in lower case."""
    tail: bytes
    """What follows that name, from the zero octet on."""

    @property
    def question(self) -> bytes:
        """Name in lower case, type and class."""
        return self.lowered + self.tail[:QUESTION_TAIL]


class _Lane:
    """What is known of the queries of one transport: responses differ in what fits."""

    __slots__ = ("cookied", "forms", "packets", "rcodes", "shapes", "via")

    def __init__(self, via: Via, packets: Answers[tuple[bytes, int]], cookied: Generations[Cookied]) -> None:
        self.via = via
        self.packets = packets
        """Whole responses behind the ID, and until when, by the query's octets behind the ID."""
        self.shapes: dict[bytes, Shape] = {}
        self.forms: dict[bytes, Form] = {}
        """Of queries with one EDNS option, by what follows their names up to the option's data."""
        self.cookied = cookied
        self.rcodes = [0] * RCODES


_Unsigned = tuple[CompactBelowApex, bytes, Unsigned]
"""A denial that waits for its signature: what completes it, its key in `Caches.denials`, and what was made of it."""
_WAITS = Response(b"", b"", 0)
"""Stands for such a denial."""


class Responder:
    """Answers for one process: the zones as they are now, and the caches."""

    def __init__(
        self,
        zoneset: Callable[[], ZoneSet],
        caches: Caches,
        failed: Failed,
        udp_size: int = DEFAULT_SIZE,
        wanted: Wanted = wait_for_it,
        facts: ServerFacts = SILENT,
        switched: Switched = unheard,
    ) -> None:
        """`zoneset` gives the zones of now; `failed` is called where a query could not be answered, `wanted` where a
        zone that is asked for has no keys yet, `switched` where one is flooded, or no more. `facts` is what the server
        says of itself.
        """
        self._zoneset = zoneset
        self._caches = caches
        self._failed = failed
        self._wanted = wanted
        self._facts = facts
        self._sender: Sender = _nobody
        self.udp_size = udp_size
        """The largest UDP response in octets."""
        self._udp = _Lane(Via.UDP, caches.packets, caches.cookies)
        self._tcp = _Lane(Via.TCP, caches.stream_packets, caches.stream_cookies)
        self._latest = self._begun_at = 0
        self._begun: ZoneSet | None = None
        """What `begin` was last called for."""
        self._below: dict[bytes, Below | None] = {}
        """By apex and kind of query, what denies names one label below; None where that is not simple."""
        self._current = ZoneSet()
        """As they are answered."""
        self._floods = FloodDetection(switched)
        self._sizes: Mapping[int, None] | None = None
        self.datagrams_seen = 0
        """How many datagrams were answered, or deserved silence. Those that no other count names were hot: NOERROR
        from one dictionary."""
        self.udp_rcodes = self._udp.rcodes
        """Datagrams that were not hot, by the RCODE in the header of the response, and last what got none."""
        self.dropped = Dropped()
        """Datagrams besides these for whose answers there was no time."""
        self.messages_seen = 0
        """How many messages came by TCP, likewise."""
        self.tcp_rcodes = self._tcp.rcodes
        """Messages over TCP that were not hot."""
        self.standings = [0] * len(Standing)
        """Queries with a COOKIE option, by what it says of their senders (`Standing`)."""
        self.vouched: list[int] = []
        """Which of the last datagrams had a valid server cookie."""

    def remembered(
        self, queries: Sequence[bytes], now: int, sender: Sender = _nobody
    ) -> tuple[list[bytes | None], list[Miss]]:
        """The responses to datagrams that are remembered, and what has to be made. `now` is read once for all.

        Queries and responses are without their IDs (`server.net.mmsg`); what is shorter than an ID is empty. `sender`
        gives the address that one of them is from.
        """
        self.begin(now)
        self._sender = sender
        self.vouched = []
        responses, missed = self._remembered_among(queries, now, self._udp)
        self.datagrams_seen += len(queries) - len(missed)
        return responses, missed

    def make(self, missed: Sequence[Miss], numbers: Sequence[int], now: int) -> list[bytes | None]:
        """The responses to datagrams that were not remembered, in their order; None where silence is due.

        They go out with others, numbered `numbers` among them. `begin` must have been called for this `now`, and for
        the zones of now. Many at once cost less than one by one: their signatures are made one after the other, for
        which OpenSSL needs the nearest of the processor's caches whole, as Python does for all else. A compact denial
        of 46 µs loses 8 where the two alternate (33 for the signature, 5 for all else, each for itself).
        """
        self.datagrams_seen += len(missed)
        waiting: list[_Unsigned] = []
        places: list[int] = []
        responses: list[bytes | None] = []
        for one, number in zip(missed, numbers, strict=True):
            responses.append(self._make(one, number, now, self._udp, waiting))
            if len(waiting) > len(places):
                places.append(len(responses) - 1)
        if waiting:
            try:
                signatures = [sign(data) for _, _, (sign, data, _, _, _) in waiting]
                for place, unsigned, signature in zip(places, waiting, signatures, strict=True):
                    responses[place] = self._signed(missed[place], unsigned, signature)
            except Exception:
                # One by one, so that a failure is reported for its query and affects no other.
                for place in places:
                    if responses[place] is None:
                        responses[place] = self._make(missed[place], numbers[place], now, self._udp)
        return responses

    def _signed(self, missed: Miss, unsigned: _Unsigned, signature: bytes) -> bytes:
        """The response to a datagram that waited for nothing else."""
        below, key, prepared = unsigned
        denial = below.complete(prepared, signature)
        self._caches.denials.offer(key, denial)
        self._udp.rcodes[denial.head[1] & 15] += 1
        return b"".join((denial.head, missed.name, missed.tail[:QUESTION_TAIL], denial.body))

    def look_again(self, sender: Sender, vouched: list[int]) -> None:
        """Have `make` go on with datagrams that were looked at before others.

        `sender` gives the address of each by its number. `vouched` takes the numbers of those that had a valid server
        cookie.
        """
        self._sender, self.vouched = sender, vouched

    def cut_ahead(self, missed: Miss, now: int, is_over: Callable[[Key], bool]) -> CutAhead | None:
        """What is sent at once in place of the response to one of the datagrams looked at last, which would cost a
        signature; None where that is to be made. `is_over` says of a class whether its next response is one too many.

        A client with a valid server cookie is not limited.
        """
        try:
            query = read_query(_ANY_ID + missed.query)
            key = class_ahead(query, self._current, now)
            if key is None or not is_over(key):
                return None
            said = told(query.edns, self._sender(missed.slot), now, self._facts, over_tcp=False)
            if said.standing is Standing.VALID:
                return None
            question = missed.query[_NAME_AT : query.question_end - ID_SIZE]
            cut = cut_ahead(query, key, question, self.udp_size, said.options)
        except Exception:
            return None  # what makes it says why
        self.standings[said.standing] += bool(said.standing)
        self.datagrams_seen += 1
        self.udp_rcodes[Rcode.NOERROR] += 1
        return cut

    def exist(self, missed: Sequence[Miss]) -> list[bool]:
        """Of each, whether a zone here has the name: there are finitely many of them, and their answers remembered.

        Cheap, since it is asked where there is no time to lose (0.3 µs).
        """
        served, sizes = self._current.get, self._sizes_of_origins()
        are_few = len(sizes) <= _FEW
        exist: list[bool] = []
        for one in missed:
            owner = one.lowered + b"\x00"
            for size in sizes if are_few else _sizes_of_suffixes(owner, sizes):
                zone = served(owner[-size:])
                if zone is not None:
                    exist.append(owner in zone.zone.nodes)
                    break
            else:
                exist.append(False)
        return exist

    def datagrams(self, queries: Sequence[bytes], now: int, sender: Sender = _nobody) -> list[bytes | None]:
        """The response to each datagram, or None where silence is due: `remembered` and `make` in one."""
        responses, missed = self.remembered(queries, now, sender)
        slots = [one.slot for one in missed]
        for slot, response in zip(slots, self.make(missed, slots, now), strict=True):
            responses[slot] = response
        return responses

    def messages(self, wires: Sequence[bytes], now: int, client: bytes | None = None) -> list[bytes | None]:
        """The response to each message that came by TCP, or None where silence is due. These are whole.

        All are from the address `client`.
        """
        return [
            None if response is None else wire[:ID_SIZE] + response
            for wire, response in zip(wires, self.stream(wires, now, client), strict=True)
        ]

    def stream(
        self,
        wires: Sequence[bytes],
        now: int,
        client: bytes | None,
        is_late: Callable[[], bool] = lambda: False,
        most: float = math.inf,
    ) -> list[bytes | None]:
        """As `messages`, but the responses are without their IDs, and may be fewer than the messages.

        The first message has its response in any case. `is_late` is asked before each further one that is not
        remembered; where it says so, the rest is left for another time, as it is once there are `most` octets or more.
        """
        self._sender, self.vouched = lambda _: client, []  # not those of datagrams that still wait
        self.begin(now)
        queries = [wire[ID_SIZE:] for wire in wires]
        responses: list[bytes | None] = []
        size = 0
        while len(responses) < len(queries) and size < most:
            left = queries[len(responses) :] if responses else queries
            remembered, missed = self._remembered_among(left, now, self._tcp, to_first_miss=True)
            if missed:
                remembered.pop()
            responses += remembered
            size += sum(map(len, filter(None, remembered)))
            if missed:
                if responses and (size >= most or is_late()):
                    break
                made = self._make(missed[0], len(responses), now, self._tcp)
                responses.append(made)
                size += len(made or b"")
        while len(responses) > 1 and size - len(responses[-1] or b"") >= most:  # those are remembered
            size -= len(responses.pop() or b"")
        self.messages_seen += len(responses)
        return responses

    def _remembered_among(  # noqa: PLR0912 - a call more costs a tenth of an answer
        self, queries: Sequence[bytes], now: int, lane: _Lane, *, to_first_miss: bool = False
    ) -> tuple[list[bytes | None], list[Miss]]:
        """The responses that are remembered, and what is to be made for the places that are still None.

        `to_first_miss`: none is looked at behind the first that is to be made.
        """
        remembered, cookied, forms = lane.packets.young.get, lane.cookied.young.get, lane.forms.get
        sender, has_cookies = self._sender, self._facts.cookies is not None
        responses: list[bytes | None] = []
        missed: list[Miss] = []
        answered = responses.append
        for query in queries:
            known = remembered(query)
            if known is not None and now < known[1]:
                answered(known[0])
                continue
            name_end = query.find(0, _NAME_AT)
            tail = query[name_end:]
            response = None
            if len(tail) > FORM:
                if has_cookies and tail[_OPTION_CODE] == OPTION_COOKIE and (client := sender(len(responses))):
                    kept = cookied(client + tail)
                    known = remembered(query[:name_end] + kept[0]) if kept is not None else None
                    # Of a query without an OPT record, the same octets could be the name.
                    if kept is not None and known is not None and now < known[1] and query[_NAME_AT - 1] == 1:
                        _, room, suffix, until, standing = kept
                        if now < until and len(known[0]) <= room:
                            self._note(standing, len(responses))
                            answered(known[0][:-2] + suffix)
                            continue
                elif (form := forms(tail[:FORM])) is not None and not form.asks and len(tail) == form.size:
                    known = remembered(query[:name_end] + form.bare)
                    if known is not None and now < known[1] and query[_NAME_AT - 1] == 1:
                        answered(known[0])
                        continue
            name = query[_NAME_AT:name_end]
            lowered = name.lower()
            if len(tail) > PLAIN_TAIL:
                try:
                    response = self._remembered_with_options(query, name_end, tail, len(responses), now, lane)
                except Exception:
                    response = None  # it fails in `_make` too, which says so
            elif lowered != name:
                # A zero octet within a label ends this "name" early; the key then differs from any stored one, or is
                # right.
                known = remembered(b"".join((query[:_NAME_AT], lowered, tail)))
                if known is not None and now < known[1]:
                    packet = known[0]
                    response = b"".join((packet[:_NAME_AT], name, packet[name_end:]))
            if response is None:
                missed.append(Miss(len(responses), query, name_end, name, lowered, tail))
                if to_first_miss:
                    answered(None)
                    break
            answered(response)
        return responses, missed

    def _remembered_with_options(
        self, query: bytes, name_end: int, tail: bytes, number: int, now: int, lane: _Lane
    ) -> bytes | None:
        """As `_with_options`, where what the query gets without its options is remembered, and they certainly fit."""
        form = lane.forms.get(tail[:FORM])
        if form is None or len(tail) != form.size:
            return None
        known = lane.packets.young.get(query[:name_end] + form.bare)
        if known is None or now >= known[1] or query[_NAME_AT - 1] != 1:
            return None
        response = known[0]
        if not form.asks:
            return response
        size = len(response) + _ROOM_FOR_OPTIONS
        if size > MINIMUM_SIZE and size > response_limit(form.edns, lane.via, self.udp_size):
            return None
        options = self._options(form, tail, number, now, lane)
        return with_options(response, options) if options else response

    def _make(
        self, missed: Miss, number: int, now: int, lane: _Lane, waiting: list[_Unsigned] | None = None
    ) -> bytes | None:
        """What is not remembered, numbered `number` of those that are answered together.

        None also where all but its signature is made: then it is put into `waiting`, where there is such a list.
        """
        query, tail = missed.query, missed.tail
        try:
            if len(tail) > PLAIN_TAIL:
                return self._with_options(query, missed.name_end, tail, number, now, lane)
            if missed.name_end > 0:
                return self._respond(query, missed.name, missed.lowered, tail, number, now, lane, waiting)
            return self._read(query, number, now, lane)
        except Exception:
            # Whatever a stranger sends, it does not end the loop that answers all others.
            self._failed(missed.name, 0)
            return _failure(query, lane)

    def _with_options(
        self, query: bytes, name_end: int, tail: bytes, number: int, now: int, lane: _Lane
    ) -> bytes | None:
        """The response to a query with more behind its name than a question and an OPT record without options: most
        often with EDNS options. It is the one numbered `number` of those that are answered together.
        """
        form = lane.forms.get(tail[:FORM])
        if form is None or len(tail) != form.size:
            form = _learned(tail, lane)
            if form is None:
                return self._read(query, number, now, lane)
        plain = query[:name_end] + form.bare
        known = lane.packets.young.get(plain)
        # Of a query without an OPT record, the same octets could be the name.
        is_hot = known is not None and now < known[1] and query[_NAME_AT - 1] == 1
        if known is not None and is_hot:
            response = known[0]
        elif _has_counts(query) and _is_name(query[_NAME_AT:name_end]):
            made = self._plain(plain, name_end, form.bare, number, now, lane)
            assert made is not None  # as it is a query
            response = made
        else:
            return self._read(query, number, now, lane)
        options = self._options(form, tail, number, now, lane)
        if not options:
            return response
        size = ID_SIZE + len(response) + len(options)
        if size > MINIMUM_SIZE and size > response_limit(form.edns, lane.via, self.udp_size):
            if not is_hot:
                lane.rcodes[response[1] & 15] -= 1  # it is counted again
            return self._read(query, number, now, lane, is_noted=True)
        return with_options(response, options)

    def _options(self, form: Form, tail: bytes, number: int, now: int, lane: _Lane) -> bytes:
        """The EDNS options that a query gets; empty where there are none."""
        if form.is_cookie:
            return self._cookie(tail, form, number, now, lane)
        return self._told(form.edns, number, now, lane).options

    def _cookie(self, tail: bytes, form: Form, number: int, now: int, lane: _Lane) -> bytes:
        """The COOKIE option for a query that has one and no other; empty where there are no cookies."""
        client = self._sender(number)
        if not client or self._facts.cookies is None:
            return b""
        # No other address has the same octets with a cookie behind: where one has the option's code, the other has the
        # root that owns the OPT record.
        key = client + tail
        known = lane.cookied.get(key)
        if known is None or now >= known.until:
            standing, option, until = self._facts.cookies.answer(tail[FORM:], client, now)
            room = response_limit(form.edns, lane.via, self.udp_size) - ID_SIZE - len(option)
            known = Cookied(form.bare, room, len(option).to_bytes(2) + option, until, standing)
            lane.cookied.put(key, known)
        self._note(known.standing, number)
        return known.suffix[2:]

    def _told(self, edns: Edns, number: int, now: int, lane: _Lane, *, is_noted: bool = False) -> Told:
        """What a query gets beside its answer."""
        client = self._sender(number) if edns.cookie else None
        said = told(edns, client, now, self._facts, over_tcp=lane.via is Via.TCP)
        if said.standing and not is_noted:
            self._note(said.standing, number)
        return said

    def _note(self, standing: Standing, number: int) -> None:
        self.standings[standing] += 1
        if standing is Standing.VALID:
            self.vouched.append(number)

    def _plain(self, query: bytes, name_end: int, tail: bytes, number: int, now: int, lane: _Lane) -> bytes | None:
        """The response to a query without EDNS options; its name ends where `tail` begins."""
        name = query[_NAME_AT:name_end]
        lowered = name.lower()
        if lowered != name:
            # A zero octet within a label ends this "name" early; the key then differs from any stored one, or is
            # right.
            known = lane.packets.young.get(b"".join((query[:_NAME_AT], lowered, tail)))
            if known is not None and now < known[1]:
                response = known[0]
                return b"".join((response[:_NAME_AT], name, response[name_end:]))
        if name_end > 0:
            return self._respond(query, name, lowered, tail, number, now, lane)
        return self._read(query, number, now, lane)

    @property
    def floods(self) -> Mapping[bytes, bool]:
        """By origin whether a zone is flooded, of those with `flood_denial` that were asked for random names."""
        return self._floods.states()

    def begin(self, now: int) -> None:
        """Forget what is not so at `now`, with the zones of now. A call for the same again costs next to nothing."""
        given = self._zoneset()
        if given is self._begun and now == self._begun_at:
            return
        self._begun, self._begun_at = given, now
        zoneset = self._floods.answered(given, now)
        self._caches.for_zoneset(zoneset, now)
        if zoneset is not self._current:
            self._current = zoneset
            self._below.clear()
            self._sizes = None
        if now < self._latest - _CLOCK_STEP:
            # What was made for a later time may not be valid yet.
            self._caches.forget_answers()
            self._caches.cookies.clear()
            self._caches.stream_cookies.clear()
            self._below.clear()
            self._latest = now
        elif now > self._latest:
            self._latest = now

    def _sizes_of_origins(self) -> Mapping[int, None]:
        """Of the zones of now, the longest first: where they are few, a name's zone is found without a look at each of
        its labels.
        """
        if self._sizes is None:
            self._sizes = dict.fromkeys(sorted({len(origin) for origin in self._current}, reverse=True))
        return self._sizes

    def _respond(
        self, query: bytes, name: bytes, lowered: bytes, tail: bytes, number: int, now: int, lane: _Lane,
        waiting: list[_Unsigned] | None = None,
    ) -> bytes | None:  # fmt: skip
        """What is not in the young generation. The name goes up to the first zero octet. `waiting`: as for `_make`."""
        shape = lane.shapes.get(query[:_NAME_AT] + tail)
        if shape is None:
            return self._read(query, number, now, lane)
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
                    response = self._denied(owner, name, served, below, shape, signed, now, waiting)
                    if response is _WAITS:
                        return None
        if response is None:
            known = lane.packets.get(b"".join((query[:_NAME_AT], lowered, tail)))
            if known is not None and now < known[1]:  # it was of the old generation
                packet = known[0]
                return b"".join((packet[:_NAME_AT], name, packet[_NAME_AT + len(name) :]))
            if not _is_name(name):
                return self._read(query, number, now, lane)
            response = self._made(query, owner, tail, shape, served, now, lane)
        lane.rcodes[response.head[1] & 15] += 1
        return b"".join((response.head, name, tail[:QUESTION_TAIL], response.body))

    def _made(
        self, asked: bytes, owner: bytes, tail: bytes, shape: Shape, served: ServedZone | None, now: int, lane: _Lane
    ) -> Response:
        """What is remembered nowhere, by the shortest way that leads there; `served` is its zone, if that is signed."""
        made = None
        if served is not None and shape.signed is not None:
            made = self._present(owner, served, shape.signed, now)
        if made is None:
            end = HEADER_SIZE + len(owner) + QUESTION_TAIL - 1
            query = Query(shape.flags, owner, shape.qtype, shape.qclass, end, shape.edns)
            made = self._remembered(query, shape, now)
        response, exists, alone = made
        if exists:  # and so it is NOERROR: what is hot needs no counting by RCODE
            whole = response.head + owner[:-1] + tail[:QUESTION_TAIL] + response.body, response.until
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
            query,
            self._current,
            now,
            shape.limit,
            self.udp_size,
            self._failed,
            caches.signatures,
            self._wanted,
            self._facts,
        )
        if made.response.until and not made.exists and shape.edns is not None and shape.edns.do:
            self._note_general(query, now)
        if made.response.until and made.exists:
            caches.answers.keep(b"", query.qname, shape.variant, made.response, alone=made.alone)
        elif made.response.until:
            caches.denials.offer(key, made.response)
        return made

    def _note_general(self, query: Query, now: int) -> None:
        """Count a name that was answered the general way with signatures, if it counts for a flood."""
        served = self._current.find(query.qname, query.qtype)
        if served is None or served.zone.flood_denial is None or not is_signed(served, now):
            return
        names = self._floods.names(served.zone)
        if names is not None and wants_own_signature(served.zone, query.qname, query.qtype):
            names.note(query.qname)

    def _signed_zone(self, owner: bytes, signed: SignedShape, now: int) -> ServedZone | None:
        """The zone that answers for `owner`, if it is signed and serves."""
        served = self._current.find(owner, signed.qtype)
        return served if served is not None and is_signed(served, now) else None

    def _denied(
        self, owner: bytes, name: bytes, served: ServedZone, below: Below | None, shape: Shape, signed: SignedShape,
        now: int, waiting: list[_Unsigned] | None,
    ) -> Response | None:  # fmt: skip
        """The denial of a name that does not exist in a signed zone; None where it must be made the general way.

        `_WAITS` where all but its signature is made, and is in `waiting`.
        """
        try:
            denials, key = self._caches.denials, owner + shape.variant
            denial = denials.get(key)
            if denial is None or now >= denial.until:
                denial = None
                if type(below) is CompactBelowApex and (prepared := below.prepare(owner, now)) is not None:
                    if below.names is not None:
                        below.names.note(owner)
                    if waiting is not None:
                        waiting.append((below, key, prepared))
                        return _WAITS
                    denial = below.complete(prepared, prepared[0](prepared[1]))
                    denials.offer(key, denial)
                elif _is_name(name):
                    denial = deny_absent(owner, served, now, signed, self._caches)
                    if denial is not None:
                        denials.offer(key, denial)
                        names = self._floods.names(served.zone)
                        if names is not None:
                            names.note(owner)
        except Exception:
            self._failed(owner, signed.qtype)
            return None  # the general way says SERVFAIL
        else:
            return denial

    def _denied_below(self, owner: bytes, below: Below, signed: SignedShape, now: int) -> Response | None:
        """As `_denied`, by what remembers its denials itself."""
        try:
            if below.names is not None:
                below.names.note(owner)
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
        """What denies names below the apex that `owner` lies one label below; `owner` is not an apex itself."""
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
            below.names = self._floods.names(zone)
        self._below[key] = below
        return below

    def _read(self, asked: bytes, number: int, now: int, lane: _Lane, *, is_noted: bool = False) -> bytes | None:
        """Read a query octet by octet; where nothing but a question and perhaps an OPT is in it, learn its shape.

        `is_noted`: what its cookie says of its sender has been counted.
        """
        packet = _ANY_ID + asked
        try:
            query = read_query(packet, over_tcp=lane.via is Via.TCP)
        except Unanswerable:
            lane.rcodes[_SILENCE] += 1
            return None
        except Rejected as rejected:
            client = self._sender(number) if rejected.cookie_wanted else None
            wire = rejection(packet, rejected, self.udp_size, client, now, self._facts)
            lane.rcodes[wire[3] & 15] += 1
            return wire[ID_SIZE:]
        options = (
            self._told(query.edns, number, now, lane, is_noted=is_noted).options if query.edns is not None else b""
        )
        limit = response_limit(query.edns, lane.via, self.udp_size) - len(options)
        shape = shape_of(query, limit, self.udp_size)
        tail = packet[query.question_end - QUESTION_TAIL :]
        if len(tail) == QUESTION_TAIL or (len(tail) == PLAIN_TAIL and query.edns is not None):
            if len(lane.shapes) >= _SHAPES:
                lane.shapes.clear()
            lane.shapes[asked[:_NAME_AT] + tail] = shape
        response = self._remembered(query, shape, now).response
        lane.rcodes[response.head[1] & 15] += 1
        whole = message(packet, query, response)
        return with_options(whole, options) if options else whole


def _failure(query: bytes, lane: _Lane) -> bytes | None:
    """SERVFAIL, the header alone; None if it is not a query. `query` is what follows the ID."""
    if len(query) < _NAME_AT or query[0] & _QR:
        lane.rcodes[_SILENCE] += 1
        return None
    lane.rcodes[Rcode.SERVFAIL] += 1
    return response_flags(int.from_bytes(query[:2]), Rcode.SERVFAIL).to_bytes(2) + bytes(_NAME_AT - 2)


def _learned(tail: bytes, lane: _Lane) -> Form | None:
    """The form of a query with EDNS options, kept where its beginning is enough to know it by."""
    form = form_of(tail)
    if form is None or (lane.via is Via.TCP and form.edns.keepalive):
        return None
    if form.is_single:
        if len(lane.forms) >= _FORMS:
            lane.forms.clear()
        lane.forms[tail[:FORM]] = form
    return form


def _sizes_of_suffixes(owner: bytes, sizes: Container[int]) -> list[int]:
    """Those of `sizes` (octets) that a zone of `owner` may have by the labels of that, the longest first.

    `owner` need not be a name.
    """
    found: list[int] = []
    position, left = 0, len(owner)
    while left > 0:
        if left in sizes:
            found.append(left)
        step = owner[position] + 1
        position += step
        left -= step
    return found


def _has_counts(query: bytes) -> bool:
    """Whether it is a query of opcode QUERY with one question, and one record behind it."""
    return not query[0] & _QR_AND_OPCODE and query[2:_NAME_AT] == _ONE_QUESTION_AND_OPT


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
