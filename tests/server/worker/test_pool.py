"""Real workers on real sockets: they answer as one process does, follow every change, and are replaced if they die."""

from __future__ import annotations

import itertools
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import dns.message
import dns.name
import dns.rcode
import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from keys.custody.change_log import Position, advanced, beginning
from keys.timekeeping.clock import Clock
from keys.timekeeping.system_clocks import SYSTEM
from server import child_programs
from server.hosting.zone_image_files import Images
from server.net.addresses import Address
from server.net.listen import Pair, bind_shared
from server.net.tcp_load import Limits
from server.query.respond import Via, respond
from server.worker import pool
from server.worker.channel import Channel
from server.worker.messages import Hello, encode
from server.worker.pool import Pool, WorkerFailed
from tests.lab import new_key, query, wire_name, zone_keys
from tests.processes import runs
from zones.denial import DenialMode
from zones.masterfile.load import parse_zone
from zones.node import Node, RRset
from zones.rrtypes import TYPE_A
from zones.storage.zone_image import image_of
from zones.zoneset import ZoneSet

START = beginning("log")
LAB, CHILD = wire_name("lab.example"), wire_name("child.lab.example")
TEXT = """\
@ 300 SOA ns host 1 7200 3600 1209600 60
@ 300 NS ns
ns 300 A 192.0.2.53
www 300 A 192.0.2.1
www 300 AAAA 2001:db8::1
*.wild 60 TXT "w"
a.b.c 60 A 192.0.2.2
alias 60 CNAME www
away 60 CNAME www.elsewhere.test.
child 600 NS ns.child
ns.child 600 A 192.0.2.54
insecure 600 NS ns.elsewhere.test.
"""
OF_CHILD = "@ 300 SOA ns host 5 7200 3600 1209600 60\n@ 300 NS ns\nns 300 A 192.0.2.54\n"
NAMES = [
    *("lab.example", "www.lab.example", "WwW.lab.example", "no.lab.example", "x.wild.lab.example", "b.c.lab.example"),
    *("a.b.c.lab.example", "alias.lab.example", "away.lab.example", "child.lab.example", "ns.child.lab.example"),
    *("x.insecure.lab.example", "elsewhere.test", "no.child.lab.example"),
]
TYPES = ["A", "AAAA", "TXT", "SOA", "NS", "DS", "DNSKEY", "NSEC", "ANY"]


def scenario(denial: DenialMode = DenialMode.COMPACT) -> ZoneSet:
    """A parent and a child, signed from now on."""
    now = int(time.time())
    parent, child = parse_zone(TEXT, "lab.example", denial=denial), parse_zone(OF_CHILD, "child.lab.example")
    zoneset = ZoneSet().with_zone(parent).with_zone(child)
    return zoneset.with_keys(LAB, zone_keys(LAB, now)).with_keys(CHILD, zone_keys(CHILD, now))


class Workers:
    """Workers that run, and their clients."""

    def __init__(self, pool: Pool, address: Address) -> None:
        self.pool = pool
        self.address = address

    async def ask(self, wire: bytes, *, tcp: bool = False) -> bytes:
        """The answer to a query from a port of its own: to which worker it comes is the kernel's choice."""
        with trio.fail_after(60):
            if tcp:
                async with await trio.open_tcp_stream(*self.address) as stream:
                    await stream.send_all(len(wire).to_bytes(2) + wire)
                    octets = b""
                    while len(octets) < 2 or len(octets) < 2 + int.from_bytes(octets[:2]):
                        octets += await stream.receive_some()
                    return octets[2:]
            with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                await sock.connect(tuple(self.address))
                await sock.send(wire)
                return bytes(await sock.recv(4096))

    async def all_answer(self, name: str, expected: str | None) -> bool:
        """Whether the A record is this one, or is not there, in every one of many answers."""
        found = set()
        for _ in range(24):
            message = dns.message.from_wire(await self.ask(query(name, "A")))
            found.add(next((rrset[0].to_text() for rrset in message.answer if rrset.rdtype == TYPE_A), None))
        return found == {expected}

    def pids(self) -> list[int]:
        return [report.pid for report in self.pool.reports() if report.pid is not None]


@asynccontextmanager
async def workers(
    count: int, zoneset: ZoneSet, look: float = 5, images: Path = Path(), clock: Callable[[], float] | None = None
) -> AsyncIterator[Workers]:
    pairs, here = bind_shared(Address("127.0.0.1", 0), count), Clock(SYSTEM)
    try:
        pool = Pool(
            [[pair] for pair in pairs],
            1232,
            Limits(),
            Images(images),
            "logfmt",
            clock=clock or (lambda: here.offset),
            look=look,
        )
        pool.follow(zoneset, START)
        async with trio.open_nursery() as nursery:
            await nursery.start(pool.run)
            yield Workers(pool, pairs[0].address)
            nursery.cancel_scope.cancel()
    finally:
        close(pairs)


async def test_workers_go_by_the_time_that_the_control_process_believes() -> None:
    # To a control process that holds off a step of a year, the keys of today are not valid yet.
    believed = [Clock(SYSTEM).offset - 365 * 86400]
    async with workers(2, scenario(), clock=lambda: believed[0]) as running:

        async def rcodes() -> set[int]:
            return {dns.message.from_wire(await running.ask(query("www.lab.example", "A"))).rcode() for _ in range(16)}

        assert await rcodes() == {dns.rcode.SERVFAIL}
        believed[0] = Clock(SYSTEM).offset
        running.pool.clock_moved()
        with trio.fail_after(60):
            while await rcodes() != {dns.rcode.NOERROR}:  # noqa: ASYNC110 - other processes are waited for
                await trio.sleep(0.02)


def close(pairs: tuple[Pair, ...]) -> None:
    for pair in pairs:
        pair.udp.close()
        pair.tcp.close()


async def until(what: Callable[[], bool], seconds: float = 60) -> None:
    with trio.fail_after(seconds):
        while not what():  # noqa: ASYNC110 - other processes are waited for
            await trio.sleep(0.02)


@pytest.mark.parametrize("denial", list(DenialMode))
async def test_two_workers_answer_byte_for_byte_as_one_process(denial: DenialMode) -> None:
    zoneset = scenario(denial)
    async with workers(2, zoneset) as running:
        asked = 0
        for name, qtype, do in itertools.product(NAMES, TYPES, (True, False)):
            wire = query(name, qtype, do=do, ident=asked)
            for via in Via:
                before = int(time.time())
                answer = await running.ask(wire, tcp=via is Via.TCP)
                # A window may roll meanwhile.
                expected = {respond(wire, zoneset, now, via) for now in range(before, int(time.time()) + 1)}
                assert answer in expected, (name, qtype, do, via)
                asked += 1
        assert running.pool.has_reached(1)

        def told() -> bool:
            query_stats = running.pool.query_stats()
            return sum(query_stats.udp) + sum(query_stats.tcp) == asked

        await until(told)
        assert min(sum(worker.query_stats.udp) for worker in running.pool._workers) > 0  # both had their part
        pids = running.pids()
    assert len(pids) == 2
    assert not any(runs(pid) for pid in pids)


async def test_every_change_reaches_all() -> None:
    zoneset = scenario()
    async with workers(2, zoneset) as running:
        pool = running.pool
        assert await running.all_answer("www.lab.example", "192.0.2.1")
        for number in range(5):
            changed = {
                b"\x03www" + LAB: Node({TYPE_A: RRset(TYPE_A, 60, (bytes([192, 0, 2, 100 + number]),))}, (46, 47))
            }
            zoneset = zoneset.with_nodes(LAB, changed)
            version = pool.follow(zoneset, START)
            assert not pool.has_reached(version)
            await pool.reached()
            assert pool.has_reached(version)
            assert await running.all_answer("www.lab.example", f"192.0.2.{100 + number}")
        zoneset = zoneset.with_zone(parse_zone(TEXT, "other.example"))
        pool.follow(
            zoneset.with_keys(wire_name("other.example"), zone_keys(wire_name("other.example"), int(time.time()))),
            START,
        )
        await pool.reached()
        assert await running.all_answer("www.other.example", "192.0.2.1")
        pool.follow(zoneset.without_zone(LAB), START)
        await pool.reached()
        assert await running.all_answer("www.lab.example", None)
        assert [(report.version, report.is_behind) for report in pool.reports()] == [(8, False)] * 2


async def test_each_worker_is_a_member_with_the_position_of_the_set_that_it_answers_from() -> None:
    zoneset = scenario()
    async with workers(2, zoneset) as running:
        pool = running.pool

        def positions() -> list[Position | None]:
            return [member.position for member in pool.members()]

        assert [member.name for member in pool.members()] == ["worker 1", "worker 2"]
        assert positions() == [START] * 2
        # The same set stands for a later position without a message.
        noted = advanced(START, b"1")
        assert pool.follow(zoneset, noted) == 1
        assert positions() == [noted] * 2
        news = []
        pool.on_news = lambda: news.append(positions())
        removed = advanced(noted, b"2")
        pool.follow(zoneset.without_zone(CHILD), removed)
        assert positions() == [noted] * 2
        await pool.reached()
        assert positions() == [removed] * 2
        assert news in ([[removed, noted], [removed] * 2], [[noted, removed], [removed] * 2])
        for number in range(10):
            pool.follow(zoneset if number % 2 else ZoneSet(), removed)
            await pool.reached()
        assert len(pool._positions) <= 2


async def test_a_worker_is_a_member_until_it_is_reaped() -> None:
    async with workers(1, scenario()) as running:
        pool, (hanging,) = running.pool, running.pids()
        os.kill(hanging, signal.SIGSTOP)
        position = advanced(START, b"1")
        pool.follow(ZoneSet(), position)
        gone: list[bool] = []

        def told() -> None:
            if not list(pool.members()):
                gone.append(runs(hanging))

        pool.on_news = told
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, os.kill, hanging, signal.SIGTERM)  # which it does not heed
            await trio.sleep(0.1)
            assert [member.position for member in pool.members()] == [START]
            os.kill(hanging, signal.SIGKILL)
        await until(lambda: bool(gone))
        assert not any(gone)
        await until(lambda: [member.position for member in pool.members()] == [position])


async def test_a_worker_that_dies_under_load_is_replaced_and_no_query_is_lost_that_it_did_not_hold() -> None:
    async with workers(2, scenario()) as running:
        pool, seen, sent = running.pool, 0, 0
        killed, *_ = running.pids()
        wire = query("www.lab.example", "A")
        sockets = [trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(32)]
        for sock in sockets:
            await sock.connect(tuple(running.address))

        async def listen(sock: trio.socket.SocketType) -> None:
            nonlocal seen
            while True:
                await sock.recv(4096)
                seen += 1

        async with trio.open_nursery() as nursery:
            for sock in sockets:
                nursery.start_soon(listen, sock)
            # What comes for the dead one fits into its sockets until the next one is there.
            for number in range(600):
                if number == 200:
                    os.kill(killed, signal.SIGKILL)
                await sockets[number % len(sockets)].send(wire)
                sent += 1
            # All but a batch, which the worker may have held.
            await until(lambda: seen >= sent - 64)
            nursery.cancel_scope.cancel()
        for sock in sockets:
            sock.close()
        await until(lambda: sorted(report.restarts for report in pool.reports()) == [0, 1])
        await until(lambda: all(report.version is not None for report in pool.reports()))
        assert killed not in running.pids()
        assert pool.has_reached(1)
        assert await running.all_answer("www.lab.example", "192.0.2.1")
        # What the dead one has told is still in the sum, which never falls.
        await until(lambda: sum(pool.query_stats().udp) >= seen - 500)
        pool.follow(ZoneSet(), START)
        await pool.reached()
        assert await running.all_answer("www.lab.example", None)


async def test_a_worker_that_hangs_is_replaced_and_nobody_waits_for_it_for_ever() -> None:
    async with workers(1, scenario(), look=1) as running:  # long enough for the next one to start
        (hanging,) = running.pids()
        os.kill(hanging, signal.SIGSTOP)
        version = running.pool.follow(ZoneSet(), START)
        assert not running.pool.has_reached(version)
        with trio.fail_after(60):
            await running.pool.reached()
        assert not runs(hanging)
        await until(lambda: running.pool.reports()[0].version == version)
        assert await running.all_answer("www.lab.example", None)


async def test_where_no_worker_can_be_started_the_others_go_on_until_one_can() -> None:
    async with workers(2, scenario()) as running:
        killed, other = running.pids()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))  # what is open stays open
        try:
            with capture_logs() as logs:
                os.kill(killed, signal.SIGKILL)
                await until(lambda: any("could not start" in log.get("reason", "") for log in logs))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        await until(lambda: all(report.version is not None for report in running.pool.reports()))
        assert other in running.pids()
        assert await running.all_answer("www.lab.example", "192.0.2.1")


async def test_a_worker_that_is_being_replaced_keeps_nobody_waiting() -> None:
    async with workers(1, scenario()) as running:
        os.kill(running.pids()[0], signal.SIGKILL)
        await until(lambda: running.pool.reports()[0].version is None)
        version = running.pool.follow(ZoneSet(), START)
        await running.pool.reached()
        await until(lambda: running.pool.reports()[0].version == version)


async def test_a_worker_that_was_given_older_zones_is_waited_for_before_it_has_answered() -> None:
    async with workers(1, scenario()) as running:
        (old,) = running.pids()
        os.kill(old, signal.SIGKILL)
        await until(lambda: running.pids() not in ([], [old]))
        (starting,) = running.pids()
        os.kill(starting, signal.SIGSTOP)
        await trio.sleep(0.1)  # its zones wait in the stream
        version = running.pool.follow(ZoneSet(), START)
        assert not running.pool.has_reached(version)
        os.kill(starting, signal.SIGCONT)
        await running.pool.reached()
        assert running.pids() == [starting]
        assert await running.all_answer("www.lab.example", None)


async def test_a_worker_that_cannot_start_ends_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHOME", "/nowhere")  # a Python that finds no library
    with pytest.RaisesGroup(
        pytest.RaisesExc(WorkerFailed, match="cannot start any worker: worker 1 exited with status 1 before"),
        flatten_subgroups=True,
    ):
        async with workers(1, scenario()):
            raise AssertionError("it is not ready")


async def test_a_worker_that_dies_while_it_starts_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    deaths = 2
    command = child_programs.command

    def dies_at_first(module: str) -> list[str]:
        nonlocal deaths
        deaths -= 1
        return [sys.executable, "-c", "raise SystemExit(7)"] if deaths >= 0 else command(module)

    monkeypatch.setattr(pool, "command", dies_at_first)
    with capture_logs() as logs:
        async with workers(1, scenario()) as running:
            assert running.pool.reports()[0].restarts == 2
            assert await running.all_answer("www.lab.example", "192.0.2.1")
    assert [log["reason"] for log in logs if log["event"] == "worker replaced"] == ["exited with status 7"] * 2


async def test_a_start_waits_for_no_worker_that_dies_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    live = Pool._live

    async def the_second_dies(of: Pool, worker: pool._Worker) -> str:
        return await live(of, worker) if worker.number == 1 else "exited with status 7"

    monkeypatch.setattr(Pool, "_live", the_second_dies)
    with capture_logs():
        async with workers(2, scenario()) as running:
            one, other = running.pool.reports()
            assert (one.version, other.version) == (1, None)


@pytest.mark.parametrize("broken", ["updates", "decode_from_worker"])
async def test_what_fails_between_us_and_a_worker_costs_that_worker(
    monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """A bug in what it is sent, and words that nobody understands: it is replaced, at the start as later."""
    works = getattr(pool, broken)
    fails = True

    def sometimes(*arguments: object) -> object:
        nonlocal fails
        if fails:
            fails = False
            raise ValueError("out of step")
        return works(*arguments)

    monkeypatch.setattr(pool, broken, sometimes)
    with capture_logs() as logs:
        async with workers(1, scenario()) as running:
            assert running.pool.reports()[0].restarts == 1
            fails = True
            running.pool.follow(ZoneSet(), START)
            await until(lambda: running.pool.reports()[0].restarts == 2)
            await until(lambda: running.pool.reports()[0].version is not None)
            assert await running.all_answer("www.lab.example", None)
    assert [log["reason"] for log in logs if log["event"] == "worker replaced"] == [
        "was abandoned: ValueError: out of step"
    ] * 2


@pytest.mark.parametrize("count", [1, 24])
async def test_the_first_word_of_a_worker_has_time_and_more_beside_others(
    autojump_clock: MockClock, count: int
) -> None:
    watching = Pool([[]] * count, 1232, Limits(), Images(Path()), look=2)
    worker = watching._workers[0]

    async def watched() -> float:
        began = trio.current_time()
        with trio.CancelScope() as living, capture_logs():
            await watching._watch(worker, living)
        assert living.cancel_called
        return trio.current_time() - began

    assert await watched() >= 60 + 5 * count
    worker.has_spoken = True
    assert await watched() == 12


def test_each_way_to_end_has_words() -> None:
    assert pool._ending(7) == "exited with status 7"
    assert pool._ending(-signal.SIGKILL) == "was killed by SIGKILL"
    assert pool._ending(-(signal.SIGRTMIN + 5)) == f"was killed by signal {signal.SIGRTMIN + 5}"


async def test_no_secret_is_in_the_arguments_or_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of the KMS")
    zoneset = scenario()
    served = zoneset.get(LAB)
    assert served is not None
    assert served.keys is not None
    private_key = served.keys.signers[0].signer.private_key()
    async with workers(1, zoneset) as running:
        process = Path("/proc") / str(running.pids()[0])
        told = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
        assert b"server.worker" in told
        assert b"of the KMS" not in told
        assert private_key[-32:] not in told
        assert private_key.hex().encode() not in told


async def test_a_zone_that_is_mapped_is_mapped_by_workers_too(tmp_path: Path) -> None:
    images = Images(tmp_path)
    zoneset = ZoneSet().with_zone(parse_zone(TEXT, "lab.example")).with_keys(LAB, zone_keys(LAB, int(time.time())))
    async with workers(2, zoneset, images=tmp_path) as running:
        assert await running.all_answer("new.lab.example", None)
        for number in (1, 2):
            zone = parse_zone(f"{TEXT}\nnew 60 A 192.0.2.{number}\n", "lab.example")
            mapped = images.open(LAB, images.write(LAB, image_of(zone, (), new_key)))
            zoneset = zoneset.with_zone(mapped.zone)
            running.pool.follow(zoneset, START)
            await running.pool.reached()
            images.keep_only([mapped.digest])
            assert await running.all_answer("new.lab.example", f"192.0.2.{number}")


async def test_an_image_that_somebody_removed_is_written_again_for_the_next_worker(tmp_path: Path) -> None:
    images, zone = Images(tmp_path), parse_zone(f"{TEXT}\nnew 60 A 192.0.2.1\n", "lab.example")
    mapped = images.open(LAB, images.write(LAB, image_of(zone, (), new_key)))
    zoneset = ZoneSet().with_zone(mapped.zone).with_keys(LAB, zone_keys(LAB, int(time.time())))
    with capture_logs() as told:
        async with workers(1, zoneset, images=tmp_path) as running:
            images.keep_only([])
            os.kill(running.pids()[0], signal.SIGKILL)
            await until(
                lambda: running.pool.reports()[0].version is not None and running.pool.reports()[0].restarts == 1
            )
            assert await running.all_answer("new.lab.example", "192.0.2.1")
    assert images.open(LAB, mapped.digest).content == mapped.content
    assert "zone image was missing; written again" in [line["event"] for line in told]


async def test_an_image_that_can_t_be_written_again_is_missed_until_it_can(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    images, zone = Images(folder), parse_zone(f"{TEXT}\nnew 60 A 192.0.2.1\n", "lab.example")
    mapped = images.open(LAB, images.write(LAB, image_of(zone, (), new_key)))
    zoneset = ZoneSet().with_zone(mapped.zone).with_keys(LAB, zone_keys(LAB, int(time.time())))
    with capture_logs() as told:
        async with workers(1, zoneset, images=folder) as running:
            folder.rename(tmp_path / "elsewhere")
            os.kill(running.pids()[0], signal.SIGKILL)
            await until(lambda: running.pool.reports()[0].restarts >= 2)
            folder.mkdir()
            await until(lambda: running.pool.reports()[0].version is not None)
            assert await running.all_answer("new.lab.example", "192.0.2.1")
    assert "zone image is missing and cannot be written" in [line["event"] for line in told]
    assert "a zone image is missing or damaged" in capfd.readouterr().err


async def test_a_worker_refuses_a_control_process_of_another_version(capfd: pytest.CaptureFixture[str]) -> None:
    ours, theirs = socket.socketpair()
    async with Channel(ours) as channel:
        with theirs:
            command = [sys.executable, "-m", "server.worker", "--number", "7", "--images", "."]
            command += ["--channel", str(theirs.fileno())]
            process = await trio.lowlevel.open_process(command, pass_fds=(theirs.fileno(),))
        await channel.send(encode(Hello(0, 1232, 1, 1.0, 0.0)))
        assert await process.wait() == 1
    assert "a protocol other than" in capfd.readouterr().err


async def test_a_zone_that_is_asked_for_and_has_no_keys_yet_is_told() -> None:
    unsigned_yet = ZoneSet().with_zone(parse_zone(TEXT, "lab.example"))
    told: list[bytes] = []
    with capture_logs():
        async with workers(2, unsigned_yet) as running:
            running.pool.asked_for = told.append
            assert await running.all_answer("www.lab.example", None)
            await until(lambda: bool(told))
            assert set(told) == {LAB}
