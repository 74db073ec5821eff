"""Telling others of each change of a status: a webhook, and a program.

Whoever tells us waits for nothing: a change goes into a queue, and one task for each hook takes it from there, in turn.
A hook that fails is tried again after growing pauses, since a network that took the KMS away may have taken the webhook
too; then the change is given up, and the log says so. A URL may carry a secret, so no log holds one.
"""

from __future__ import annotations

import subprocess
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import httpx2
import msgspec
import structlog
import trio

from keys.rules.key_status import StatusChange
from server.settings.configuration import HooksConfig

PAUSES = (1, 5, 30, 120, 600, 1800)
"""Seconds before each further try."""

_QUEUE = 1000  # changes that may wait for one hook
_LONGEST_OUTPUT = 500
_log = structlog.get_logger("signwright.hooks")


class HookFailedError(Exception):
    """A try that failed. The message holds no URL."""


class Hooks:
    """The hooks that are configured. Start `run` as a task; `notify` may be called before."""

    def __init__(self, config: HooksConfig, *, pauses: tuple[float, ...] = PAUSES) -> None:
        self._pauses = pauses
        self._hooks: list[tuple[str, Callable[[bytes], Awaitable[None]]]] = []
        if config.url is not None:
            self._hooks.append((f"webhook at {urlsplit(config.url).hostname}", _Webhook(config.url, config.timeout)))
        if config.command is not None:
            self._hooks.append((f"program {config.command[0]}", _Program(config.command, config.timeout)))
        self._queues = [trio.open_memory_channel[bytes](_QUEUE) for _ in self._hooks]

    def notify(self, zone: str, change: StatusChange) -> None:
        """Tell of a change of `zone` (text of the origin). Returns at once and raises nothing."""
        body = body_of(zone, change)
        for (name, _), (queue, _) in zip(self._hooks, self._queues, strict=True):
            try:
                queue.send_nowait(body)
            except (trio.WouldBlock, trio.BrokenResourceError):
                _log.error("a status change is not told: too many wait already", hook=name, zone=zone)

    async def run(self) -> None:
        """Tell what comes, until cancelled."""
        async with trio.open_nursery() as nursery:
            for (name, tell), (_, waiting) in zip(self._hooks, self._queues, strict=True):
                nursery.start_soon(self._run_one, name, tell, waiting)

    async def _run_one(
        self, name: str, tell: Callable[[bytes], Awaitable[None]], waiting: trio.MemoryReceiveChannel[bytes]
    ) -> None:
        async for body in waiting:
            await self._tell(name, tell, body)

    async def _tell(self, name: str, tell: Callable[[bytes], Awaitable[None]], body: bytes) -> None:
        for pause in (*self._pauses, None):
            try:
                await tell(body)
            except HookFailedError as error:
                if pause is None:
                    _log.error("a status change is not told", hook=name, error=str(error), change=body.decode())
                    return
                _log.warning("a hook failed", hook=name, error=str(error), again_in=pause)
                await trio.sleep(pause)
            else:
                return


def body_of(zone: str, change: StatusChange) -> bytes:
    """What a hook is given: the change as JSON, with a sentence for people, which chat servers show, as `text`."""
    who = f"{zone} {change.ksk}" if change.ksk else zone
    reason = f": {change.reason}" if change.reason else ""
    text = f"{who} is {change.after} (was {change.before}){reason}"
    return msgspec.json.encode({"text": text, "zone": zone, **msgspec.to_builtins(change)})


class _Webhook:
    def __init__(self, url: str, timeout: int) -> None:
        self._url = url
        self._timeout = timeout

    async def __call__(self, body: bytes) -> None:
        headers = {"Content-Type": "application/json", "User-Agent": "signwright"}
        try:
            with trio.fail_after(self._timeout):
                async with (
                    httpx2.AsyncClient(timeout=self._timeout) as client,
                    client.stream("POST", self._url, content=body, headers=headers) as response,
                ):
                    status = response.status_code
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise HookFailedError(type(error).__name__) from None
        except trio.TooSlowError:
            raise HookFailedError(f"no answer within {self._timeout} s") from None
        if not 200 <= status < 300:
            raise HookFailedError(f"it answered {status}")


class _Program:
    def __init__(self, command: tuple[str, ...], timeout: int) -> None:
        self._command = command
        self._timeout = timeout

    async def __call__(self, body: bytes) -> None:
        try:
            with trio.fail_after(self._timeout):
                done = await trio.run_process(
                    self._command, stdin=body, capture_stdout=True, stderr=subprocess.STDOUT, check=False
                )
        except OSError as error:
            raise HookFailedError(f"it cannot be run: {error.strerror}") from None
        except trio.TooSlowError:
            raise HookFailedError(f"it did not end within {self._timeout} s, and was killed") from None
        if done.returncode:
            said = done.stdout[-_LONGEST_OUTPUT:].decode(errors="replace").strip()
            raise HookFailedError(f"it ended with {done.returncode}" + (f": {said}" if said else ""))
