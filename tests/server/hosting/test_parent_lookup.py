"""Looking up the DS: real servers on loopback, honest and not, and the zones that are served here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
import trio

from keys.custody.parent_interface import ParentUnavailable
from keys.rules.wanted_ds import ParentDs
from server.hosting.parent_lookup import LocalParent, RemoteParent, parent_for
from server.net.addresses import Address
from server.net.listen import bind
from server.net.tcp_framing import Deframer, frame
from zones.masterfile.load import parse_zone
from zones.zoneset import ZoneSet

CHILD = b"\x05child\x03lab\x07example\x00"
NOW = 1_767_225_600.25
DS = "1234 13 2 " + "AB" * 32
OTHER_DS = "4321 13 2 " + "CD" * 32
SOA = "ns1.lab.example. h.lab.example. 1 7200 3600 1209600 300"

Answer = Callable[[dns.message.Message], bytes | None]


def answered(*, aa: bool = True, rcode: int = 0, answer: tuple[str, ...] = (), soa: str | None = None) -> Answer:
    def make(query: dns.message.Message) -> bytes:
        response = dns.message.make_response(query)
        response.set_rcode(dns.rcode.Rcode.make(rcode))
        if aa:
            response.flags |= dns.flags.AA
        if answer:
            response.answer.append(dns.rrset.from_text_list("child.lab.example.", 1800, "IN", "DS", answer))
        if soa is not None:
            response.authority.append(dns.rrset.from_text(soa, 600, "IN", "SOA", SOA))
        return response.to_wire()

    return make


def truncated(query: dns.message.Message) -> bytes:
    response = dns.message.make_response(query)
    response.flags |= dns.flags.TC | dns.flags.AA
    return response.to_wire()


def silent(query: dns.message.Message) -> None:
    return None


class Server:
    """Answers over UDP and TCP on one port, as it is told."""

    def __init__(self, udp: Answer, tcp: Answer) -> None:
        self.udp, self.tcp = udp, tcp
        self.asked: list[str] = []
        self.address = Address("127.0.0.1", 0)

    async def serve_udp(self, sock: trio.socket.SocketType) -> None:
        while True:
            wire, client = await sock.recvfrom(4096)
            query = dns.message.from_wire(wire)
            self.asked.append(f"udp {query.question[0]}")
            for response in self._responses(query, self.udp):
                await sock.sendto(response, client)

    def _responses(self, query: dns.message.Message, answer: Answer) -> list[bytes]:
        made = answer(query)
        return [made] if made is not None else []

    async def serve_tcp(self, stream: trio.SocketStream) -> None:
        deframer = Deframer()
        async for octets in stream:
            for wire in deframer.feed(bytes(octets)):
                query = dns.message.from_wire(wire)
                self.asked.append(f"tcp {query.question[0]}")
                for response in self._responses(query, self.tcp):
                    await stream.send_all(frame(response))


@asynccontextmanager
async def parent(udp: Answer, tcp: Answer = silent) -> AsyncIterator[tuple[RemoteParent, Server]]:
    server = Server(udp, tcp)
    async with trio.open_nursery() as nursery:
        address, udp_socket, tcp_socket = bind(Address("127.0.0.1", 0))
        with trio.socket.from_stdlib_socket(udp_socket) as sock:
            nursery.start_soon(server.serve_udp, sock)
            listener = trio.SocketListener(trio.socket.from_stdlib_socket(tcp_socket))
            nursery.start_soon(trio.serve_listeners, server.serve_tcp, [listener])
            yield RemoteParent(address, lambda: NOW, udp_seconds=0.3, tcp_seconds=0.3), server
            nursery.cancel_scope.cancel()


async def test_a_ds_rrset_with_its_ttl_and_when_it_was_seen() -> None:
    async with parent(answered(answer=(DS, OTHER_DS))) as (remote, server):
        found = await remote.look_up(CHILD)
    assert {rdata.hex() for rdata in found.rdatas} == {"04d20d02" + "ab" * 32, "10e10d02" + "cd" * 32}
    assert (found.ttl, found.seen_at) == (1800, 1_767_225_601)  # never before it was seen
    assert server.asked == ["udp child.lab.example. IN DS"]


@pytest.mark.parametrize("rcode", [dns.rcode.NOERROR, dns.rcode.NXDOMAIN])
async def test_a_denial_has_the_ttl_that_caches_give_it(rcode: int) -> None:
    async with parent(answered(rcode=rcode, soa="lab.example.")) as (remote, _):
        assert await remote.look_up(CHILD) == ParentDs((), 300, 1_767_225_601)


async def test_what_is_truncated_or_lost_is_asked_for_over_tcp() -> None:
    async with parent(truncated, answered(answer=(DS,))) as (remote, server):
        assert len((await remote.look_up(CHILD)).rdatas) == 1
        assert [asked.split()[0] for asked in server.asked] == ["udp", "tcp"]
        server.udp = silent
        server.asked.clear()
        assert len((await remote.look_up(CHILD)).rdatas) == 1
        assert [asked.split()[0] for asked in server.asked] == ["udp", "udp", "tcp"]


async def test_what_was_not_asked_for_is_not_believed() -> None:
    async with parent(answered(answer=(DS,))) as (remote, server):
        honest = server._responses

        def forged(query: dns.message.Message, answer: Answer) -> list[bytes]:
            true = honest(query, answer)[0]
            wrong_id = dns.message.make_response(query)
            wrong_id.id ^= 1
            wrong_id.flags |= dns.flags.AA
            other = dns.message.make_query("other.example.", "DS", id=query.id)
            wrong_question = dns.message.make_response(other)
            return [wrong_id.to_wire(), wrong_question.to_wire(), b"nonsense", true]

        server._responses = forged  # type: ignore[method-assign]
        assert len((await remote.look_up(CHILD)).rdatas) == 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (answered(aa=False, answer=(DS,)), "not authoritative: name a server of the parent zone, not a resolver"),
        (answered(rcode=dns.rcode.SERVFAIL), "it answered SERVFAIL"),
        (answered(rcode=dns.rcode.REFUSED), "it answered REFUSED"),
        (answered(soa="child.lab.example."), "from the zone child.lab.example., which is not the parent"),
        (answered(soa="other.example."), "from the zone other.example., which is not the parent"),
        (answered(), "it denied the DS without an SOA record"),
        (silent, "no answer by UDP or TCP"),
    ],
)
async def test_what_is_no_parents_word_tells_nothing(answer: Answer, reason: str) -> None:
    async with parent(answer, silent) as (remote, _):
        with pytest.raises(ParentUnavailable) as raised:
            await remote.look_up(CHILD)
    assert str(raised.value).endswith(reason)
    assert "was asked for child.lab.example. DS" in str(raised.value)


async def test_nobody_there() -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    await listeners[0].aclose()
    remote = RemoteParent(Address("127.0.0.1", port), lambda: NOW, udp_seconds=0.2)
    with pytest.raises(ParentUnavailable, match=r"Connection refused"):
        await remote.look_up(CHILD)
    with pytest.raises(ParentUnavailable, match="the root zone has no parent"):
        await remote.look_up(b"\x00")


async def test_a_parent_that_is_served_here() -> None:
    text = f"@ 900 SOA {SOA}\n@ 900 NS ns1\nns1 900 A 192.0.2.1\nchild 700 NS ns1\nchild 800 DS {DS}\nbare 700 NS ns1\n"
    zones = ZoneSet().with_zone(parse_zone(text, "lab.example"))
    local = LocalParent(lambda: zones, lambda: NOW)
    found = await local.look_up(CHILD)
    assert ([rdata.hex() for rdata in found.rdatas], found.ttl) == (["04d20d02" + "ab" * 32], 800)
    assert await local.look_up(b"\x04bare" + CHILD[6:]) == ParentDs((), 300, 1_767_225_601)
    with pytest.raises(ParentUnavailable, match=r"no parent zone of lab\.example\. is served here"):
        await local.look_up(CHILD[6:])
    wanted = LocalParent(lambda: zones, lambda: NOW, required=False)
    assert await wanted.look_up(CHILD[6:]) == ParentDs((), 0, 1_767_225_601, known=False)
    assert await wanted.look_up(CHILD) == found
    assert (wanted.is_asked(CHILD[6:]), wanted.is_asked(CHILD), local.is_asked(CHILD[6:])) == (False, True, True)
    # What lies between is somebody else's, who alone knows whom that delegates to.
    assert await wanted.look_up(b"\x01a" + CHILD) == ParentDs((), 0, 1_767_225_601, known=False)
    assert not wanted.is_asked(b"\x01a" + CHILD)
    assert (await wanted.look_up(b"\x01a\x01b" + CHILD[6:])).known
    assert not wanted.is_asked(b"\x00")
    zones = zones.with_unloaded(b"\x02up" + CHILD[6:])
    with pytest.raises(ParentUnavailable, match=r"the parent zone up\.lab\.example\. could not be loaded"):
        await wanted.look_up(b"\x01a\x02up" + CHILD[6:])


def referral(*servers: str, aa: bool = False, rcode: int = 0, section: str = "authority") -> Answer:
    def make(query: dns.message.Message) -> bytes:
        response = dns.message.make_response(query)
        response.set_rcode(dns.rcode.Rcode.make(rcode))
        if aa:
            response.flags |= dns.flags.AA
        if servers:
            rrset = dns.rrset.from_text_list("child.lab.example.", 1800, "IN", "NS", servers)
            getattr(response, section).append(rrset)
        return response.to_wire()

    return make


async def test_whom_the_parent_delegates_to() -> None:
    for answer, expected in (
        (referral("NS1.test.", "ns2.test."), {b"\x03ns1\x04test\x00", b"\x03ns2\x04test\x00"}),
        (referral(aa=True, rcode=dns.rcode.NXDOMAIN), None),
        (referral("ns1.test.", aa=True, section="answer"), None),
    ):
        async with parent(answer) as (remote, server):
            assert await remote.delegation(CHILD) == expected
            assert server.asked == ["udp child.lab.example. IN NS"]
    async with parent(referral(rcode=dns.rcode.REFUSED)) as (remote, _):
        with pytest.raises(ParentUnavailable, match="it answered REFUSED"):
            await remote.delegation(CHILD)
    async with parent(silent) as (remote, _):
        with pytest.raises(ParentUnavailable):
            await remote.delegation(CHILD)


async def test_whom_a_parent_that_is_served_here_delegates_to() -> None:
    text = f"@ 900 SOA {SOA}\n@ 900 NS ns1\nns1 900 A 192.0.2.1\nchild 700 NS NS1\nchild 700 NS ns.elsewhere.test.\n"
    zones = ZoneSet().with_zone(parse_zone(text, "lab.example"))
    local = LocalParent(lambda: zones, lambda: NOW)
    assert await local.delegation(CHILD) == frozenset((b"\x03ns1" + CHILD[6:], b"\x02ns\x09elsewhere\x04test\x00"))
    assert await local.delegation(b"\x04bare" + CHILD[6:]) is None
    assert await local.delegation(CHILD[6:]) is None


def test_the_setting_says_who_is_asked() -> None:
    assert parent_for(None, ZoneSet, lambda: NOW) is None
    assert isinstance(parent_for("auto", ZoneSet, lambda: NOW), LocalParent)
    assert isinstance(parent_for("local", ZoneSet, lambda: NOW), LocalParent)
    assert isinstance(parent_for(Address("192.0.2.1", 53), ZoneSet, lambda: NOW), RemoteParent)
