"""Many datagrams in one system call, from any address of 127/8: `sendmmsg` and `recvmmsg` by cffi, without a compiler.

All of 127/8 is this host's, so that one socket on the wildcard address sends from each of ten thousand prefixes: each
message says by IP_PKTINFO (ip(7)) where it comes from. Nothing of a packet is made as it leaves but the labels that
vary, and those for a whole batch at once: 2 µs a packet, of which the kernel takes nearly all.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Sequence
from typing import Any

import cffi

from bench.abuse.packets import LABEL, Packet, repeated

BATCH = 64
ROOM = 2048
"""Octets of an answer that are kept; its whole length is known all the same."""
_IP_PKTINFO = 8  # not in Python 3.11's socket module
_SO_RCVBUFFORCE = 33
_RECEIVE_BUFFER = 32 << 20
_MMSGHDR = "PI4xPPPPi4xI4x"
_PR_SET_TIMERSLACK = 29

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
int prctl(int option, unsigned long second, unsigned long third, unsigned long fourth, unsigned long fifth);
""")
_library: Any = _ffi.dlopen(None)


def wake_exactly() -> None:
    """Have the kernel end this thread's sleeps when they are over, not up to 50 µs later (prctl(2))."""
    _library.prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)


def wildcard_socket() -> socket.socket:
    """A UDP socket that sends from any local address, with as large a buffer as we may have."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
    sock.bind(("0.0.0.0", 0))  # all of this host's addresses are loopback's here: what we send to is 127.0.0.1
    sock.setblocking(False)
    return sock


def from_address(source: str) -> tuple[int, int, bytes]:
    """The control message that has a datagram leave from `source`."""
    return socket.IPPROTO_IP, _IP_PKTINFO, struct.pack("=i4s4x", 0, socket.inet_aton(source))


class Sender:
    """Sends packets to 127.0.0.1 in turn, again and again, each with a label of its own where that varies."""

    def __init__(self, sock: socket.socket, port: int, packets: Sequence[Packet]) -> None:
        self._fd = sock.fileno()
        packets = repeated(packets, BATCH)
        self._count = len(packets)
        self._next = 0
        self._octets: list[Any] = []
        self._labels = _ffi.new("unsigned char[]", self._count * LABEL)
        self._label_octets = _ffi.buffer(self._labels)
        self._name = self._kept(struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", port, b"\x7f\0\0\1"))
        self._headers = _ffi.new("struct mmsghdr[]", self._count)
        self._vectors = _ffi.new("struct iovec[]", self._count * 4)
        self._ids = _ffi.new("unsigned char[]", self._count * 2)
        _ffi.buffer(self._ids)[:] = os.urandom(self._count * 2)
        kept: dict[bytes, Any] = {}
        for slot, one in enumerate(packets):
            self._lay(slot, one, kept)

    def _kept(self, octets: bytes) -> Any:
        held = _ffi.new("unsigned char[]", octets)
        self._octets.append(held)
        return held

    def _lay(self, slot: int, one: Packet, kept: dict[bytes, Any]) -> None:
        level, kind, content = from_address(one.source)
        control = struct.pack("=Qii", 16 + len(content), level, kind) + content
        control += bytes(-len(control) % 8)
        for octets in (one.head, one.tail, control):
            if octets not in kept:
                kept[octets] = self._kept(octets)
        vectors = self._vectors + 4 * slot
        vectors[0] = (self._ids + 2 * slot, 2)
        vectors[1] = (kept[one.head], len(one.head))
        vectors[2] = (self._labels + LABEL * slot, LABEL)
        vectors[3] = (kept[one.tail], len(one.tail))
        header = self._headers[slot].msg_hdr
        header.msg_name, header.msg_namelen = self._name, 16
        header.msg_iov, header.msg_iovlen = vectors, 4 if one.varies else 2
        header.msg_control, header.msg_controllen = kept[control], len(control)

    def send(self, wanted: int) -> int:
        """Send at most so many, and at most `BATCH`; returns how many the kernel took."""
        at = self._next
        count = min(wanted, BATCH, self._count - at)
        # What is random is made once a batch: 0.05 µs a packet.
        self._label_octets[at * LABEL : (at + count) * LABEL] = os.urandom(count * LABEL // 2).hex().encode()
        sent: int = _library.sendmmsg(self._fd, self._headers + at, count, socket.MSG_DONTWAIT)
        if sent < 0:
            _raise_unless(_ffi.errno, (errno.EAGAIN, errno.EINTR, errno.ECONNREFUSED, errno.ENOBUFS))
            return 0
        self._next = (at + sent) % self._count
        return sent


class Receiver:
    """Takes what has come to a socket by batches, and counts it."""

    def __init__(self, sock: socket.socket) -> None:
        self._fd = sock.fileno()
        self._octets = _ffi.new("unsigned char[]", BATCH * ROOM)
        self._view = _ffi.buffer(self._octets)
        self._headers = _ffi.new("struct mmsghdr[]", BATCH)
        self._vectors = _ffi.new("struct iovec[]", BATCH)
        for slot in range(BATCH):
            self._vectors[slot] = (self._octets + slot * ROOM, ROOM)
            self._headers[slot].msg_hdr.msg_iov = self._vectors + slot
            self._headers[slot].msg_hdr.msg_iovlen = 1
        self._lengths = struct.Struct("=" + "56xI4x" * BATCH)
        self._header_view = _ffi.buffer(self._headers)
        self.answers = 0
        self.octets = 0
        self.truncated = 0
        self.rcodes = [0] * 16

    def receive(self) -> int:
        """Take one batch; returns how many there were."""
        count: int = _library.recvmmsg(
            self._fd, self._headers, BATCH, socket.MSG_DONTWAIT | socket.MSG_TRUNC, _ffi.NULL
        )
        if count < 0:
            _raise_unless(_ffi.errno, (errno.EAGAIN, errno.EINTR, errno.ECONNREFUSED))
            return 0
        view = self._view[: count * ROOM]
        self.answers += count
        self.octets += sum(self._lengths.unpack(self._header_view)[:count])
        self.truncated += sum(octet >> 1 & 1 for octet in view[2::ROOM])
        for octet in view[3::ROOM]:
            self.rcodes[octet & 15] += 1
        return count


assert struct.calcsize(_MMSGHDR) == _ffi.sizeof("struct mmsghdr"), "this needs 64-bit Linux"


def _raise_unless(number: int, harmless: Sequence[int]) -> None:
    if number not in harmless:
        raise OSError(number, os.strerror(number))
