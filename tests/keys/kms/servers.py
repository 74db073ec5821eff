"""Real servers for the client to meet: one that does to each request what a script says, and moto's."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import trio

ROOT = Path(__file__).parents[3]


class Received(NamedTuple):
    """A request as the scripted server read it."""

    headers: dict[str, str]
    body: bytes

    @property
    def operation(self) -> str:
        return self.headers["x-amz-target"].removeprefix("TrentService.")

    @property
    def parameters(self) -> dict[str, Any]:
        parameters: dict[str, Any] = json.loads(self.body)
        return parameters


Turn = Callable[[trio.SocketStream], Awaitable[None]]
"""What is done once a request has been read."""


class Scripted:
    """An HTTP server that does one turn of its script for each request; more requests than turns are a test's error."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.script: list[Turn] = []
        self.requests: list[Received] = []
        self.connections = 0
        self.open = 0
        self.most_open = 0

    async def handle(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        self.open += 1
        self.most_open = max(self.open, self.most_open)
        try:
            while request := await _read(stream):
                self.requests.append(request)
                await self.script.pop(0)(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client has gone, or this turn was to close
        finally:
            self.open -= 1
            await trio.aclose_forcefully(stream)


@asynccontextmanager
async def scripted() -> AsyncIterator[Scripted]:
    """A scripted server on a port of its own."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    server = Scripted(f"http://127.0.0.1:{listener.socket.getsockname()[1]}")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, server.handle, [listener])
        yield server
        nursery.cancel_scope.cancel()


async def _read(stream: trio.SocketStream) -> Received | None:
    data = b""
    while b"\r\n\r\n" not in data:
        more = await stream.receive_some()
        if not more:
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    fields = (line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:])
    headers = {name.lower(): value.strip() for name, _, value in fields}
    while len(body) < int(headers["content-length"]):
        body += await stream.receive_some()
    return Received(headers, body)


def answer(document: object, status: int = 200, request_id: str = "request-1") -> Turn:
    """A turn that answers with JSON."""
    return answer_bytes(json.dumps(document).encode(), status, f"x-amzn-RequestId: {request_id}\r\n")


def answer_bytes(body: bytes, status: int = 200, headers: str = "") -> Turn:
    """A turn that answers with any body."""

    async def turn(stream: trio.SocketStream) -> None:
        head = f"HTTP/1.1 {status} Word\r\ncontent-length: {len(body)}\r\n{headers}\r\n"
        await stream.send_all(head.encode() + body)

    return turn


async def silence(stream: trio.SocketStream) -> None:
    """No byte, for ever."""
    await trio.sleep_forever()


async def hang_up(stream: trio.SocketStream) -> None:
    """The connection is closed without a byte."""
    await trio.aclose_forcefully(stream)


async def half_an_answer(stream: trio.SocketStream) -> None:
    """Fewer bytes than were promised, then the end."""
    await stream.send_all(b'HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{"Keys": [')
    await trio.aclose_forcefully(stream)


async def no_http(stream: trio.SocketStream) -> None:
    """Another protocol's greeting."""
    await stream.send_all(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    await trio.aclose_forcefully(stream)


async def drip(stream: trio.SocketStream) -> None:
    """A byte now and then: never late enough for a read time-out, and never done."""
    await stream.send_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
    while True:
        await stream.send_all(b" ")
        await trio.sleep(0.01)


async def flood(stream: trio.SocketStream) -> None:
    """An answer without an end."""
    await stream.send_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        await stream.send_all(b"10000\r\n" + b" " * 0x10000 + b"\r\n")


@contextmanager
def moto_server(directory: Path) -> Iterator[str]:
    """moto's server in a process of its own; its URL. `directory` takes its log."""
    program = ROOT / ".env-moto" / "bin" / "moto_server"
    assert program.exists(), f"{program} is missing: scripts/test makes it"
    log = directory / "moto.log"
    with log.open("wb") as output:
        process = subprocess.Popen([program, "-H", "127.0.0.1", "-p", "0"], stdout=output, stderr=output)
    try:
        url = _moto_url(process, log)
        with httpx2.Client() as client:
            assert client.get(f"{url}/moto-api/data.json").status_code == 200
        yield url
    finally:
        process.terminate()
        process.wait(60)


def _moto_url(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r"Running on (http://[\d.:]+)", log.read_text()):
            return found[1]
        time.sleep(0.05)
    raise AssertionError(f"moto's server did not start:\n{log.read_text()}")
