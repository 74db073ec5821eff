"""The UDP loop: wait until there are datagrams, then take and answer batches until there are none.

Waiting costs a trip through the scheduler; draining does not. A bound on the batches of one turn lets other tasks run.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import NoReturn

import trio

from server.hot import Responder
from server.mmsg import BATCH, batch_for

_BATCHES_A_TURN = 16


async def serve_udp(sock: socket.socket, responder: Responder, clock: Callable[[], float]) -> NoReturn:
    """Answer what comes to `sock`, a bound non-blocking UDP socket, until cancelled."""
    batch = batch_for(sock)
    while True:
        await trio.lowlevel.wait_readable(sock)
        for _ in range(_BATCHES_A_TURN):
            queries = batch.receive()
            if not queries:
                break
            responses = responder.datagrams(queries, int(clock()))
            done = batch.send(responses)
            while done < len(responses):
                await trio.lowlevel.wait_writable(sock)
                done = batch.send(responses, done)
            if len(queries) < BATCH:
                break
        else:
            await trio.lowlevel.checkpoint()
