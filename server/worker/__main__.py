"""`python -m server.worker`: one worker. The control process starts it, with sockets that are open already.

It answers once it has all zones, and until the stream from the control process ends.
"""

from __future__ import annotations

import argparse
import logging
import signal
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import structlog
import trio

from keys.timekeeping.clock import Clock
from keys.timekeeping.system_clocks import SYSTEM
from server.hosting.zone_image_files import Images
from server.monitoring.flood_log import log_flood
from server.monitoring.gc_tuning import Aside, setting_aside
from server.monitoring.logs import FORMATS, LEVELS, configure_logs
from server.monitoring.query_failures import log_failure
from server.monitoring.query_stats import QueryStats, counting
from server.net.limited_responses import LimitedResponses
from server.net.tcp import serve_tcp
from server.net.tcp_load import Limits, TcpLoad
from server.net.udp import Ahead, serve_udp
from server.query.fast.answer_caches import Caches
from server.query.fast.responder import Responder
from server.watching.process_watch import ProcessWatch
from server.watching.query_log import QueryLogSpec
from server.watching.seen_responses import SeenResponses
from server.worker.channel import Channel
from server.worker.messages import (
    PROTOCOL,
    Acknowledged,
    AskedFor,
    ClockMoved,
    Counted,
    Hello,
    LogReopened,
    Nodes,
    Watch,
    Watched,
    ZoneMapped,
    decode_to_worker,
    encode,
)
from server.worker.updates import NODES_A_MESSAGE, Follower, answered_as
from zones import names
from zones.storage.zone_image import ImageError
from zones.zone import Zone

_REPORT = 1  # seconds
_log = structlog.get_logger("signwright.worker")


def main() -> None:
    """Answer, as the command line says."""
    parser = argparse.ArgumentParser(
        "server.worker", description="A worker of Signwright. The server starts it; do not run it yourself."
    )
    parser.add_argument("--number", type=int, required=True, help="number of this worker, for its log")
    parser.add_argument("--log", choices=FORMATS, default=FORMATS[0])
    parser.add_argument("--log-level", choices=LEVELS, default="info")
    parser.add_argument(
        "--channel", type=_socket, required=True, help="descriptor of the stream to the control process"
    )
    parser.add_argument("--images", type=Path, required=True, help="folder of the images of large zones")
    parser.add_argument("--query-log", type=_query_log, help="how queries are logged, as JSON")
    parser.add_argument("sockets", type=_socket, nargs="*", help="descriptors of UDP and TCP sockets")
    arguments = parser.parse_args()
    # A terminal or a supervisor that sends these to all programs at once means the control process.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    configure_logs(arguments.log, level=logging.getLevelNamesMapping()[arguments.log_level.upper()])
    structlog.contextvars.bind_contextvars(worker=arguments.number)
    trio.run(_work, arguments.channel, arguments.sockets, Images(arguments.images), arguments.query_log)


def _socket(descriptor: str) -> socket.socket:
    sock = socket.socket(fileno=int(descriptor))
    sock.setblocking(False)
    return sock


def _query_log(text: str) -> QueryLogSpec:
    return msgspec.json.decode(text, type=QueryLogSpec)


async def _work(
    stream: socket.socket, sockets: Sequence[socket.socket], images: Images, query_log: QueryLogSpec | None
) -> None:
    async with Channel(stream) as channel:
        first = await channel.receive()
        if first is None:
            return
        hello = decode_to_worker(first)
        if not isinstance(hello, Hello) or hello.protocol != PROTOCOL:
            raise RuntimeError(
                f"the control process uses a protocol other than {PROTOCOL}; run the same version of both"
            )
        with setting_aside() as aside:
            async with trio.open_nursery() as nursery:
                await _follow(hello, channel, sockets, images, query_log, aside, nursery)
                nursery.cancel_scope.cancel()
    _log.info("worker ends: the control process has ended")


async def _follow(
    hello: Hello,
    channel: Channel,
    sockets: Sequence[socket.socket],
    images: Images,
    query_log: QueryLogSpec | None,
    aside: Aside,
    nursery: trio.Nursery,
) -> None:
    """Answer from what the control process sends, until there is no control process."""
    opened: dict[bytes, Zone] = {}
    follower, caches = Follower(lambda _, digest: opened.pop(digest)), Caches()
    asked = _KeysAskedFor()
    load = TcpLoad(Limits(hello.connections, hello.idle))
    facts, rate = hello.answering.facts(lambda: load.keepalive), hello.answering.limit()
    responder = Responder(lambda: follower.zoneset, caches, log_failure, hello.udp_size, asked.wanted, facts, log_flood)
    clock = Clock(SYSTEM)
    nursery.start_soon(asked.tell, channel)
    clock.adopt(hello.clock)
    limited = LimitedResponses(rate, responder, clock.now)
    watch = ProcessWatch(lambda: follower.zoneset, clock.now, limited, query_log)
    watch.start(nursery)
    query_stats = counting(responder, caches, load, rate, clock.now, log=watch.log)
    nursery.start_soon(_report, channel, query_stats, watch)
    nursery.start_soon(clock.watch, lambda: None, _log)
    answers = False
    while (octets := await channel.receive()) is not None:
        message = decode_to_worker(octets)
        if isinstance(message, ClockMoved):
            clock.adopt(message.clock)
            continue
        if isinstance(message, Watch | LogReopened):
            watch.switch_watching(message.on) if isinstance(message, Watch) else watch.reopen_log()
            continue
        if isinstance(message, ZoneMapped):
            # In a thread: the checksum of a million RRsets takes 0.05 s, and is made without holding up answers.
            opened[message.image] = await trio.to_thread.run_sync(_open, images, message)
        version = follower.follow(message)
        if isinstance(message, Nodes) and len(message.nodes) >= NODES_A_MESSAGE:
            aside.accept()
        if version is not None:
            if not answers:
                aside.look_at_all()
                _answer(sockets, responder, watch.seen, limited.ahead, load, clock, nursery)
                answers = True
            await _tell(channel, encode(Acknowledged(version)))
        # However much there is to take up, what is asked meanwhile is answered.
        await trio.lowlevel.checkpoint()


def _open(images: Images, mapped: ZoneMapped) -> Zone:
    try:
        return answered_as(images.open(mapped.origin, mapped.image).zone, mapped)
    except ImageError as error:
        what = "a zone image is missing or damaged, so this worker ends; to make it again: signwright reload"
        _log.error(what, zone=names.to_text(mapped.origin), reason=str(error))
        raise


def _answer(
    sockets: Sequence[socket.socket],
    responder: Responder,
    seen: SeenResponses,
    ahead: Ahead,
    load: TcpLoad,
    clock: Clock,
    nursery: trio.Nursery,
) -> None:
    datagrams = [sock for sock in sockets if sock.type is socket.SOCK_DGRAM]
    if datagrams:
        nursery.start_soon(serve_udp, datagrams, responder, clock.now, seen, ahead)
    streams = [sock for sock in sockets if sock.type is socket.SOCK_STREAM]
    nursery.start_soon(serve_tcp, streams, responder, clock.now, load, datagrams, seen.stream)


class _KeysAskedFor:
    """Zones that are queried while their keys are not here yet: reports each to the control process, once a second.

    They are as many as zones are served, however many names are asked for.
    """

    def __init__(self) -> None:
        self._origins: set[bytes] = set()
        self._news = trio.Event()

    def wanted(self, origin: bytes) -> None:
        """Take note of one."""
        self._origins.add(origin)
        self._news.set()

    async def tell(self, channel: Channel) -> None:
        """Tell of them until cancelled."""
        while True:
            await self._news.wait()
            self._news, told = trio.Event(), self._origins
            self._origins = set()
            for origin in told:
                await _tell(channel, encode(AskedFor(origin)))
            await trio.sleep(_REPORT)


async def _report(channel: Channel, query_stats: Callable[[], QueryStats], watch: ProcessWatch) -> None:
    while True:
        await _tell(channel, encode(Counted(query_stats())))
        if watch.is_on:
            await _tell(channel, encode(Watched(watch.drain_watched())))
        await trio.sleep(_REPORT)


async def _tell(channel: Channel, message: bytes) -> None:
    try:
        await channel.send(message)
    except trio.BrokenResourceError:
        return  # the control process is gone, as `_follow` hears


if __name__ == "__main__":
    main()
