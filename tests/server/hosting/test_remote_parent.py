"""Looking up the DS at a parent's servers: real ones on loopback, honest and not, and those that break the line."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
import trio

from keys.custody.parent_interface import ParentUnavailable
from keys.rules.wanted_ds import ParentDs
from server.hosting.remote_parent import RemoteParent
from server.net.addresses import Address
from server.net.listen import bind
from server.net.tcp_framing import Deframer, frame
from server.settings.parent_servers import ParentServers

CHILD = b"\x05child\x03lab\x07example\x00"
NOW = 1_767_225_600.25
DS = "1234 13 2 " + "AB" * 32
OTHER_DS = "4321 13 2 " + "CD" * 32
RDATA, OTHER_RDATA = bytes.fromhex("04d20d02" + "ab" * 32), bytes.fromhex("10e10d02" + "cd" * 32)
SOA = "ns1.lab.example. h.lab.example. 1 7200 3600 1209600 300"

Answer = Callable[[dns.message.Message], bytes | None]
Conversation = Callable[[trio.SocketStream], Awaitable[None]]


def answered(
    *, aa: bool = True, rcode: int = 0, answer: tuple[str, ...] = (), soa: str | None = None, ttl: int = 1800
) -> Answer:
    def make(query: dns.message.Message) -> bytes:
        response = dns.message.make_response(query)
        response.set_rcode(dns.rcode.Rcode.make(rcode))
        if aa:
            response.flags |= dns.flags.AA
        if answer:
            response.answer.append(dns.rrset.from_text_list("child.lab.example.", ttl, "IN", "DS", answer))
        if soa is not None:
            response.authority.append(dns.rrset.from_text(soa, 600, "IN", "SOA", SOA))
        return response.to_wire()

    return make


GONE = answered(soa="lab.example.")


def truncated(query: dns.message.Message) -> bytes:
    response = dns.message.make_response(query)
    response.flags |= dns.flags.TC | dns.flags.AA
    return response.to_wire()


def silent(_: dns.message.Message) -> None:
    return None


class Server:
    """Answers over TCP as the test says, and over UDP with a lie: nobody may query that."""

    def __init__(self, tcp: Answer) -> None:
        self.tcp = tcp
        self.conversation: Conversation | None = None
        self.asked: list[str] = []
        self.address = Address("127.0.0.1", 0)

    async def serve_udp(self, sock: trio.socket.SocketType) -> None:
        while True:
            wire, client = await sock.recvfrom(4096)
            self.asked.append("udp")
            await sock.sendto(answered(soa="lab.example.")(dns.message.from_wire(wire)) or b"", client)

    async def serve_tcp(self, stream: trio.SocketStream) -> None:
        if self.conversation is not None:
            await self.conversation(stream)
            return
        deframer = Deframer()
        async for octets in stream:
            for wire in deframer.feed(bytes(octets)):
                query = dns.message.from_wire(wire)
                self.asked.append(f"tcp {query.question[0]}")
                made = self.tcp(query)
                if made is not None:
                    await stream.send_all(frame(made))


@asynccontextmanager
async def serving(tcp: Answer) -> AsyncIterator[Server]:
    server = Server(tcp)
    async with trio.open_nursery() as nursery:
        server.address, udp_socket, tcp_socket = bind(Address("127.0.0.1", 0))
        with trio.socket.from_stdlib_socket(udp_socket) as sock:
            nursery.start_soon(server.serve_udp, sock)
            listener = trio.SocketListener(trio.socket.from_stdlib_socket(tcp_socket))
            nursery.start_soon(trio.serve_listeners, server.serve_tcp, [listener])
            yield server
            nursery.cancel_scope.cancel()


class Passing:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def asking(*servers: Server, clock: Callable[[], float] = trio.current_time, tcp_seconds: float = 60) -> RemoteParent:
    addresses = tuple(server.address for server in servers)
    return RemoteParent(ParentServers(addresses), lambda: NOW, tcp_seconds=tcp_seconds, monotonic=clock)


@asynccontextmanager
async def parent(tcp: Answer) -> AsyncIterator[tuple[RemoteParent, Server]]:
    async with serving(tcp) as server:
        yield asking(server), server


async def test_a_ds_rrset_with_its_ttl_and_when_it_was_seen() -> None:
    async with parent(answered(answer=(DS, OTHER_DS))) as (remote, server):
        found = await remote.look_up(CHILD)
    assert set(found.rdatas) == {RDATA, OTHER_RDATA}
    assert (found.ttl, found.seen_at) == (1800, 1_767_225_601)  # never before it was seen
    assert server.asked == ["tcp child.lab.example. IN DS"]


@pytest.mark.parametrize("rcode", [dns.rcode.NOERROR, dns.rcode.NXDOMAIN])
async def test_a_denial_has_the_ttl_that_caches_give_it(rcode: int) -> None:
    async with parent(answered(rcode=rcode, soa="lab.example.")) as (remote, _):
        assert await remote.look_up(CHILD) == ParentDs((), 300, 1_767_225_601, settled=False, settles_in=60)


async def test_nothing_is_asked_by_udp_where_anybody_may_answer() -> None:
    """The servers here say by UDP that there is no DS."""
    async with parent(answered(answer=(DS,))) as (remote, server):
        assert (await remote.look_up(CHILD)).rdatas == (RDATA,)
        server.tcp = silent
        with pytest.raises(ParentUnavailable, match="no response over TCP"):
            await asking(server, tcp_seconds=0.2).look_up(CHILD)
    assert "udp" not in server.asked


async def test_gone_is_settled_after_a_minute_in_which_all_servers_said_so() -> None:
    clock = Passing()
    async with serving(GONE) as one, serving(GONE) as other:
        remote = asking(one, other, clock=clock)
        left = []
        for clock.time in (0, 30, 59.9, 60, 3600):
            found = await remote.look_up(CHILD)
            assert found.rdatas == ()
            assert found.settled is (found.settles_in == 0)
            left.append(found.settles_in)
        assert left == [60, 30, 1, 0, 0]
        # What comes is there at once, and what goes then has to be said for a minute again.
        one.tcp = other.tcp = answered(answer=(DS,))
        assert (await remote.look_up(CHILD)).rdatas == (RDATA,)
        one.tcp = other.tcp = GONE
        assert not (await remote.look_up(CHILD)).settled
        clock.time += 60
        assert (await remote.look_up(CHILD)).settled


async def test_a_liar_at_one_of_two_addresses_makes_no_ds_go() -> None:
    clock = Passing()
    async with serving(answered(answer=(DS,), ttl=900)) as honest, serving(GONE) as liar:
        remote = asking(liar, honest, clock=clock)
        for clock.time in (0, 61, 3600):
            found = await remote.look_up(CHILD)
            assert (found.rdatas, found.ttl, found.settled) == ((RDATA,), 900, False)
        # Two that disagree about others, too: what either has is there, for as long as the longer of the two.
        liar.tcp = answered(answer=(OTHER_DS,), ttl=7200)
        clock.time += 61
        found = await remote.look_up(CHILD)
        assert (set(found.rdatas), found.ttl, found.settled) == ({RDATA, OTHER_RDATA}, 7200, False)
        # The minute counts from when they agree.
        honest.tcp = liar.tcp = GONE
        assert not (await remote.look_up(CHILD)).settled
        clock.time += 59
        assert not (await remote.look_up(CHILD)).settled
        clock.time += 1
        assert (await remote.look_up(CHILD)).settled


async def test_a_server_that_fails_hides_no_ds_that_another_one_has() -> None:
    clock = Passing()
    async with serving(GONE) as one, serving(GONE) as other:
        remote = asking(one, other, clock=clock)
        await remote.look_up(CHILD)
        one.tcp = answered(rcode=dns.rcode.SERVFAIL)
        with pytest.raises(ParentUnavailable, match="the server answered SERVFAIL") as raised:
            await remote.look_up(CHILD)
        assert raised.value.seen is None
        other.tcp = answered(answer=(DS,))
        with pytest.raises(ParentUnavailable) as raised:
            await remote.look_up(CHILD)
        assert raised.value.seen == ParentDs((RDATA,), 1800, 1_767_225_601, settled=False, settles_in=60)
        # That was seen: earlier answers of both do not count against it.
        one.tcp = other.tcp = GONE
        clock.time += 60
        assert not (await remote.look_up(CHILD)).settled


async def reset(stream: trio.SocketStream) -> None:
    await stream.receive_some(2)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def close_at_once(stream: trio.SocketStream) -> None:
    await stream.receive_some()


async def close_in_the_middle(stream: trio.SocketStream) -> None:
    await stream.receive_some()
    await stream.send_all(b"\x00\x40" + b"\x00" * 20)


async def send_garbage(stream: trio.SocketStream) -> None:
    await stream.receive_some()
    await stream.send_all(b"\x00\x0d" + b"\xff" * 13)


async def send_a_message_that_is_none(stream: trio.SocketStream) -> None:
    query = await stream.receive_some()
    header = bytes(query[2:4]) + b"\x84\x00\xff\xff\xff\xff\xff\xff\xff\xff"
    await stream.send_all(frame(header + b"\xc0\x0c" * 4000))


async def send_endlessly(stream: trio.SocketStream) -> None:
    await stream.receive_some()
    with pytest.raises(trio.BrokenResourceError):
        while True:
            await stream.send_all(b"\xff\xff" * 4096)


async def drip(stream: trio.SocketStream) -> None:
    await stream.receive_some()
    await stream.send_all(b"\xff\xff")
    with pytest.raises(trio.BrokenResourceError):
        while True:
            await stream.send_all(b"\x00")
            await trio.sleep(0.01)


async def send_nothing(stream: trio.SocketStream) -> None:
    while await stream.receive_some():
        pass


@pytest.mark.parametrize(
    ("conversation", "tcp_seconds"),
    [
        (reset, 60),
        (close_at_once, 60),
        (close_in_the_middle, 60),
        (send_garbage, 60),
        (send_a_message_that_is_none, 60),
        (send_endlessly, 60),
        (drip, 0.3),
        (send_nothing, 0.3),
    ],
)
async def test_whatever_a_peer_does_is_a_look_that_failed(conversation: Conversation, tcp_seconds: float) -> None:
    async with serving(silent) as server:
        server.conversation = conversation
        remote = asking(server, tcp_seconds=tcp_seconds)
        with trio.fail_after(30):
            with pytest.raises(ParentUnavailable, match=r"query to \S+ for child\.lab\.example\. DS: ."):
                await remote.look_up(CHILD)
            with pytest.raises(ParentUnavailable, match=r"query to \S+ for child\.lab\.example\. NS: ."):
                await remote.delegation(CHILD)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (answered(aa=False, answer=(DS,)), "not authoritative: name a server of the parent zone, not a resolver"),
        (answered(rcode=dns.rcode.SERVFAIL), "the server answered SERVFAIL"),
        (answered(rcode=dns.rcode.REFUSED), "the server answered REFUSED"),
        (answered(soa="child.lab.example."), "from the zone child.lab.example., which is not the parent"),
        (answered(soa="other.example."), "from the zone other.example., which is not the parent"),
        (answered(), "the negative response has no SOA record"),
        (truncated, "the answer is truncated"),
    ],
)
async def test_what_is_no_parents_word_tells_nothing(answer: Answer, reason: str) -> None:
    async with parent(answer) as (remote, _):
        with pytest.raises(ParentUnavailable) as raised:
            await remote.look_up(CHILD)
    assert str(raised.value).endswith(reason)
    assert " for child.lab.example. DS: " in str(raised.value)


@pytest.mark.parametrize("wrong", ["id", "question"])
async def test_what_was_not_asked_for_is_not_believed(wrong: str) -> None:
    def forged(query: dns.message.Message) -> bytes:
        name = "other.example." if wrong == "question" else "child.lab.example."
        asked = dns.message.make_query(name, "DS", id=query.id ^ (wrong == "id"))
        return answered(answer=(DS,))(asked) or b""

    async with parent(forged) as (remote, _):
        with pytest.raises(ParentUnavailable):
            await remote.look_up(CHILD)


async def test_nobody_there() -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    await listeners[0].aclose()
    remote = RemoteParent(ParentServers((Address("127.0.0.1", port),)), lambda: NOW)
    with pytest.raises(ParentUnavailable, match=r"DS: Connection refused$"):
        await remote.look_up(CHILD)
    with pytest.raises(ParentUnavailable, match="the root zone has no parent"):
        await remote.look_up(b"\x00")


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
            assert server.asked == ["tcp child.lab.example. IN NS"]
    async with parent(referral(rcode=dns.rcode.REFUSED)) as (remote, _):
        with pytest.raises(ParentUnavailable, match="the server answered REFUSED"):
            await remote.delegation(CHILD)
    async with AsyncExitStack() as stack:
        refusing, telling = [
            await stack.enter_async_context(serving(one))
            for one in (referral(rcode=dns.rcode.REFUSED), referral("ns1.test."))
        ]
        assert await asking(refusing, telling).delegation(CHILD) == frozenset((b"\x03ns1\x04test\x00",))
