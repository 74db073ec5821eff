"""Batches of datagrams by one system call: `recvmmsg` and `sendmmsg`, called through cffi without a compiler.

Where the platform lacks them, `PlainBatch` does the same with a system call a datagram. Measured on hot signed answers,
one core, interleaved: 687 k answers/s by batches of 64, 420 k by plain calls.

What a packet costs here beside the system calls, in µs: 0.10 to receive, 0.13 to send. Addresses and sizes of a batch
are put down at once by a `struct` made beforehand (0.02 less than by a format made each time). Places of queries lie
4,160 octets apart, not 4,096, since the beginnings of all would share a set of the processor's cache (2.31 µs an answer
with all system calls, not 2.37). Batches of 128 gain nothing over 64 (2.30).

All memory is laid out once. The kernel writes each sender's address into the slot that the response is then sent
from, so that addresses never become Python objects. Nor do IDs: a response is sent as the first octets of its query's
place and what was made for it, two vectors a message, which is 3 % faster than a copy with the ID in front. On a
wildcard address the same holds for the local address a datagram came to (IP_PKTINFO): a response leaves from there.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import sys
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Protocol

import cffi
import msgspec
import trio

from server.net.response_rate_limit import network_of
from server.query.read_query import ID_SIZE

QUERY_LIMIT = 4096  # octets; a longer datagram is not a known query: truncation makes it FORMERR
BATCH = 64

_STRIDE = QUERY_LIMIT + 64  # octets from the place of one query to the next
_STARTS = range(ID_SIZE, BATCH * _STRIDE, _STRIDE)
_VECTORS = [struct.Struct(f"={4 * count}Q") for count in range(BATCH + 1)]


def _for_each_count(one: str) -> Sequence[struct.Struct]:
    return [struct.Struct(one * count) for count in range(BATCH + 1)]


# By family, what takes the networks out of so many socket addresses: 0.04 µs each, where `host` costs 0.2 and more.
_NETWORKS = {socket.AF_INET: _for_each_count("4x3s9x"), socket.AF_INET6: _for_each_count("8x7s13x")}
_CONTROL = 64  # octets for one IP_PKTINFO or IPV6_PKTINFO message
_NAME_SIZE_4, _NAME_SIZE_6 = 16, 28  # octets of a struct sockaddr_in and sockaddr_in6
_MSGHDR = struct.calcsize("PI4xPPPPi4x")
_MMSGHDR = _MSGHDR + 8
# What takes the lengths of so many datagrams out of their headers.
_LENGTHS = [struct.Struct("=" + f"{_MSGHDR}xI4x" * count) for count in range(BATCH + 1)]
_AGAIN = (errno.EAGAIN, errno.EWOULDBLOCK)
_IP_MTU_DISCOVER, _IP_PMTUDISC_PROBE = 10, 3
_IP_PKTINFO = 8  # Linux; not in Python 3.11's socket module

_ffi = cffi.FFI()
_ffi.cdef("""
struct iovec { void *iov_base; size_t iov_len; };
struct msghdr {
    void *msg_name; unsigned int msg_namelen;
    struct iovec *msg_iov; size_t msg_iovlen;
    void *msg_control; size_t msg_controllen;
    int msg_flags;
};
struct mmsghdr { struct msghdr msg_hdr; unsigned int msg_len; };
int recvmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags, void *timeout);
int sendmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags);
""")


class Clients(Protocol):
    """Who sent what: by the place of a query among those that are answered together."""

    def host(self, slot: int) -> bytes:
        """The address that it came from, 4 or 16 octets."""

    def networks(self, count: int) -> Sequence[bytes]:
        """The /24 or /56 that each of the first `count` came from: 3 or 7 octets of its address."""


class Sender(Protocol):
    """A copy of all that is needed to answer a datagram after others have taken its place."""

    @property
    def host(self) -> bytes:
        """The address that it came from, 4 or 16 octets."""


class Batch(Clients, Protocol):
    """Datagrams received together, to be answered together."""

    def receive(self) -> list[bytes]:
        """What follows the ID in the datagrams that are there, at most `BATCH`; no items when there are none.

        Does not wait.
        """

    def has_come(self) -> bool:
        """Whether `receive` would find any: less than half the cost of a `receive` that finds none."""

    def send(self, responses: Sequence[bytes | None], start: int = 0) -> int:
        """Send the response to each datagram received last, from the one numbered `start` on; None is silence.

        Each gets its datagram's ID before it. Returns how many are done; fewer than all when the socket takes no more
        now.
        """

    def sender(self, slot: int) -> Sender:
        """A copy of who sent the datagram in a place, for `send_to`. Only for what waits: it costs 0.3 µs."""

    def send_to(self, senders: Sequence[Any], responses: Sequence[bytes | None], start: int = 0) -> int:
        """As `send`, to senders of earlier datagrams of this batch, at most `BATCH` of them."""

    async def wait_writable(self) -> None:
        """Wait until the socket takes more."""


def batch_for(sock: socket.socket) -> Batch:
    """The best that the platform has. `sock` is a bound, non-blocking UDP socket."""
    if sys.platform == "linux" and struct.calcsize("P") == 8:
        return KernelBatch(sock)
    return PlainBatch(sock)


class KernelBatch:
    """By `recvmmsg` and `sendmmsg`, on 64-bit Linux."""

    def __init__(self, sock: socket.socket) -> None:
        self._fd = sock.fileno()
        self._library: Any = _ffi.dlopen(None)
        self._socket = sock
        self._name_size = _NAME_SIZE_6 if sock.family == socket.AF_INET6 else _NAME_SIZE_4
        self._with_control = ask_for_local_address(sock, sock.getsockname()[0])
        self._names = _ffi.new("unsigned char[]", BATCH * self._name_size)
        self._controls = _ffi.new("unsigned char[]", BATCH * _CONTROL)
        self._queries = _ffi.new("unsigned char[]", BATCH * _STRIDE)
        self._query_octets = _ffi.buffer(self._queries)
        self._received, self._received_iov = self._headers(1)
        for slot in range(BATCH):
            self._received_iov[slot] = (self._queries + slot * _STRIDE, QUERY_LIMIT)
        self._sent, self._sent_iov = self._headers(2)
        self._sent_iov_octets = _ffi.buffer(self._sent_iov)
        self._name_octets = _ffi.buffer(self._names)
        self._control_octets = _ffi.buffer(self._controls)
        self._host_start, self._host_end = (8, 24) if sock.family == socket.AF_INET6 else (4, 8)
        """Where the address stands in a struct sockaddr_in6 or sockaddr_in."""
        self._networks = _NETWORKS[sock.family]
        self._later = _Later(self._name_size, with_control=self._with_control)
        begin = int(_ffi.cast("uintptr_t", self._queries))
        self._numbered = [value for slot in range(BATCH) for value in (begin + slot * _STRIDE, ID_SIZE, 0, 0)]
        """Addresses and sizes of the vectors of a batch: each slot's ID, and the place of what follows it."""
        self._header_octets = _ffi.buffer(self._received)
        # recvmmsg overwrites the lengths of address and control data: each batch starts from this copy.
        self._fresh_headers = memoryview(self._header_octets[:])
        self._written = 0
        """How many headers the kernel has written since."""
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)

    def _headers(self, vectors_each: int) -> tuple[Any, Any]:
        headers = _ffi.new("struct mmsghdr[]", BATCH)
        vectors = _ffi.new("struct iovec[]", BATCH * vectors_each)
        for slot in range(BATCH):
            header = headers[slot].msg_hdr
            header.msg_name = self._names + slot * self._name_size
            header.msg_namelen = self._name_size
            header.msg_iov = vectors + slot * vectors_each
            header.msg_iovlen = vectors_each
            if self._with_control:
                header.msg_control = self._controls + slot * _CONTROL
                header.msg_controllen = _CONTROL
        return headers, vectors

    def receive(self) -> list[bytes]:
        """As `Batch.receive`."""
        if self._written:
            written = self._written * _MMSGHDR
            self._header_octets[:written] = self._fresh_headers[:written]
            self._written = 0
        count = self._library.recvmmsg(self._fd, self._received, BATCH, socket.MSG_DONTWAIT, _ffi.NULL)
        if count < 0:
            _raise_unless(_ffi.errno, (*_AGAIN, errno.EINTR, errno.ECONNREFUSED))
            return []
        self._written = count
        octets = self._query_octets
        lengths = _LENGTHS[count].unpack_from(self._header_octets)
        return [octets[at : at + length - ID_SIZE] for at, length in zip(_STARTS, lengths, strict=False)]

    def has_come(self) -> bool:
        """As `Batch.has_come`."""
        return bool(self._poll.poll(0))

    def send(self, responses: Sequence[bytes | None], start: int = 0) -> int:
        """As `Batch.send`."""
        if start or None in responses:
            slots: Sequence[int] = [slot for slot in range(start, len(responses)) if responses[slot] is not None]
        else:
            slots = range(len(responses))
        if not slots:
            return len(responses)
        moved = slots[-1] != len(slots) - 1
        octets: Sequence[Any] = [responses[slot] for slot in slots] if moved else responses[: len(slots)]
        joined = b"".join(octets)
        held = _ffi.from_buffer(joined)  # keeps the octets in place while the kernel reads them
        if moved:
            self._readdress(slots)
            vectors = [number for slot in slots for number in self._numbered[4 * slot : 4 * slot + 4]]
        else:
            vectors = self._numbered[: 4 * len(octets)]
        sizes = vectors[3::4] = [*map(len, octets)]
        vectors[2::4] = accumulate(sizes[:-1], initial=int(_ffi.cast("uintptr_t", held)))
        _VECTORS[len(octets)].pack_into(self._sent_iov_octets, 0, *vectors)
        if self._with_control:
            for number, slot in enumerate(slots):
                self._sent[number].msg_hdr.msg_controllen = self._received[slot].msg_hdr.msg_controllen
        done = self._send_all(self._sent, len(slots))
        if moved:
            self._readdress(range(len(slots)))
        return len(responses) if done == len(slots) else slots[done]

    def _readdress(self, slots: Sequence[int]) -> None:
        """Let the n-th message sent go to the sender of the datagram in the n-th of `slots`."""
        for number, slot in enumerate(slots):
            header = self._sent[number].msg_hdr
            header.msg_name = self._names + slot * self._name_size
            if self._with_control:
                header.msg_control = self._controls + slot * _CONTROL

    def host(self, slot: int) -> bytes:
        """As `Clients.host`."""
        at = slot * self._name_size
        host: bytes = self._name_octets[at + self._host_start : at + self._host_end]
        return host

    def networks(self, count: int) -> Sequence[bytes]:
        """As `Clients.networks`."""
        return self._networks[count].unpack_from(self._name_octets)

    def sender(self, slot: int) -> KernelSender:
        """As `Batch.sender`."""
        at, identity_at, control = slot * self._name_size, slot * _STRIDE, b""
        if self._with_control:
            size = self._received[slot].msg_hdr.msg_controllen
            control = self._control_octets[slot * _CONTROL : slot * _CONTROL + size]
        identity = self._query_octets[identity_at : identity_at + ID_SIZE]
        return KernelSender(identity, self._name_octets[at : at + self._name_size], control)

    def send_to(self, senders: Sequence[KernelSender], responses: Sequence[bytes | None], start: int = 0) -> int:
        """As `Batch.send_to`."""
        slots = [slot for slot in range(start, len(responses)) if responses[slot] is not None]
        if not slots:
            return len(responses)
        octets: list[Any] = [responses[slot] for slot in slots]
        joined = b"".join([senders[slot].identity + response for slot, response in zip(slots, octets, strict=True)])
        held = _ffi.from_buffer(joined)  # keeps the octets in place while the kernel reads them
        self._later.address(int(_ffi.cast("uintptr_t", held)), [*map(len, octets)], [senders[slot] for slot in slots])
        done = self._send_all(self._later.headers, len(slots))
        return len(responses) if done == len(slots) else slots[done]

    async def wait_writable(self) -> None:
        """As `Batch.wait_writable`."""
        await trio.lowlevel.wait_writable(self._socket)

    def _send_all(self, headers: Any, count: int) -> int:
        done = 0
        while done < count:
            sent = self._library.sendmmsg(self._fd, headers + done, count - done, socket.MSG_DONTWAIT)
            if sent > 0:
                done += sent
            elif _ffi.errno in _AGAIN:
                break
            elif _ffi.errno != errno.EINTR:
                done += 1  # this one cannot be sent (an unreachable or forged address): the others can
        return done


class KernelSender(msgspec.Struct, frozen=True, gc=False):
    """A `Sender` of a `KernelBatch`, in octets that the kernel wrote and will read."""

    identity: bytes
    """The ID of the query."""
    name: bytes
    """The socket address."""
    control: bytes
    """Which of our addresses the datagram came to, where that is known."""

    @property
    def host(self) -> bytes:
        """As `Sender.host`: where it stands in a struct sockaddr_in or sockaddr_in6."""
        return self.name[4:8] if len(self.name) == _NAME_SIZE_4 else self.name[8:24]


class _Later:
    """Headers of messages to senders that were copied, each of one vector."""

    def __init__(self, name_size: int, *, with_control: bool) -> None:
        self.headers = _ffi.new("struct mmsghdr[]", BATCH)
        self._with_control = with_control
        names = _ffi.new("unsigned char[]", BATCH * name_size)
        controls = _ffi.new("unsigned char[]", BATCH * _CONTROL)
        vectors = _ffi.new("struct iovec[]", BATCH)
        self._held = names, controls, vectors  # the headers point to them
        self._names, self._controls, self._vectors = _ffi.buffer(names), _ffi.buffer(controls), _ffi.buffer(vectors)
        for slot in range(BATCH):
            header = self.headers[slot].msg_hdr
            header.msg_name, header.msg_namelen = names + slot * name_size, name_size
            header.msg_iov, header.msg_iovlen = vectors + slot, 1
            if with_control:
                header.msg_control = controls + slot * _CONTROL

    def address(self, place: int, sizes: Sequence[int], senders: Sequence[KernelSender]) -> None:
        """Let the n-th message go to the n-th sender: ID and response, of `sizes` without the ID, from `place` on."""
        count = len(senders)
        names = b"".join([sender.name for sender in senders])
        self._names[: len(names)] = names
        whole = [size + ID_SIZE for size in sizes]
        vectors = [0] * (2 * count)
        vectors[::2], vectors[1::2] = accumulate(whole[:-1], initial=place), whole
        struct.pack_into(f"={2 * count}Q", self._vectors, 0, *vectors)
        if self._with_control:
            for slot, sender in enumerate(senders):
                start, size = slot * _CONTROL, len(sender.control)
                self._controls[start : start + size] = sender.control
                self.headers[slot].msg_hdr.msg_controllen = size


class PlainSender(msgspec.Struct, frozen=True):
    """A `Sender` of a `PlainBatch`, as Python's sockets have it."""

    identity: bytes
    """The ID of the query."""
    control: list[tuple[int, int, bytes]]
    address: Any

    @property
    def host(self) -> bytes:
        """As `Sender.host`."""
        text: str = self.address[0]
        return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text.partition("%")[0])


class PlainBatch:
    """By one system call a datagram, wherever sockets are."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._control = _CONTROL if ask_for_local_address(sock, sock.getsockname()[0]) else 0
        self._senders: list[PlainSender] = []

    def receive(self) -> list[bytes]:
        """As `Batch.receive`."""
        queries: list[bytes] = []
        self._senders = []
        while len(queries) < BATCH:
            try:
                query, control, _, sender = self._socket.recvmsg(QUERY_LIMIT, self._control)
            except (BlockingIOError, InterruptedError, ConnectionRefusedError):
                break
            queries.append(query[ID_SIZE:])
            self._senders.append(PlainSender(query[:ID_SIZE], control, sender))
        return queries

    def has_come(self) -> bool:
        """As `Batch.has_come`; a look costs one system call in any case."""
        return True

    def send(self, responses: Sequence[bytes | None], start: int = 0) -> int:
        """As `Batch.send`."""
        return self._send(self._senders, responses, start)

    def host(self, slot: int) -> bytes:
        """As `Clients.host`."""
        return self._senders[slot].host

    def networks(self, count: int) -> Sequence[bytes]:
        """As `Clients.networks`."""
        return [network_of(self.host(slot)) for slot in range(count)]

    def sender(self, slot: int) -> PlainSender:
        """As `Batch.sender`."""
        return self._senders[slot]

    def send_to(self, senders: Sequence[PlainSender], responses: Sequence[bytes | None], start: int = 0) -> int:
        """As `Batch.send_to`."""
        return self._send(senders, responses, start)

    async def wait_writable(self) -> None:
        """As `Batch.wait_writable`."""
        await trio.lowlevel.wait_writable(self._socket)

    def _send(self, receivers: Sequence[PlainSender], responses: Sequence[bytes | None], start: int) -> int:
        for slot in range(start, len(responses)):
            response = responses[slot]
            if response is None:
                continue
            to = receivers[slot]
            try:
                self._socket.sendmsg((to.identity, response), to.control, 0, to.address)
            except BlockingIOError:
                return slot
            except OSError:
                continue  # this one cannot be sent (an unreachable or forged address): the others can
        return len(responses)


def ask_for_local_address(sock: socket.socket, host: str) -> bool:
    """On a wildcard address `host`, have the kernel tell where each datagram came to; whether it will.

    It notes that as a datagram arrives, so those that arrived before have no such note: ask before `bind`.
    """
    if host == "0.0.0.0":  # noqa: S104
        sock.setsockopt(socket.IPPROTO_IP, getattr(socket, "IP_PKTINFO", _IP_PKTINFO), 1)
    elif host == "::":
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    else:
        return False
    return True


def never_fragment(sock: socket.socket) -> None:
    """Have the kernel send each datagram in one piece or not at all, whatever ICMP tells it (RFC 9715 §3.1).

    PROBE, not the OMIT of other servers: both pass over what ICMP claims of the path, but only PROBE sets DF, so that
    no router on the way makes fragments, which could be replaced by forged ones. It also spares the kernel a hash for
    the identification of fragments: a datagram of 190 octets takes 3.89 µs to send with PROBE, 4.09 with OMIT, 4.14
    with neither (one call each, loopback, minimum of 60 interleaved rounds). IPv6 needs nothing: there only the sender
    makes fragments, and no path has an MTU below 1,280, which 1,232 octets with their headers fill.
    """
    if sys.platform == "linux" and sock.family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_PROBE)


def _raise_unless(number: int, harmless: Sequence[int]) -> None:
    if number not in harmless:
        raise OSError(number, os.strerror(number))
