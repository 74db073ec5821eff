"""Telling others of each change of a status: a webhook, and a program.

Callers never wait: a change is queued (`waiting_changes`), and one task for each hook sends the changes in turn. A hook
that fails, in whatever way, is retried after growing pauses, since a network that took the KMS away may have taken the
webhook too; then the change is set aside, and the log says so. Changes that were set aside are sent once the hook takes
another change; after half an hour without one, the task retries with one of them. A hook that fails is a trouble
in `status`. A URL may carry a secret, so no log and no trouble holds one.
"""

from __future__ import annotations

import math
import subprocess
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import httpx2
import msgspec
import structlog
import trio

from keys.rules.key_status import StatusChange
from server.monitoring.waiting_changes import Waiting, WaitingChanges
from server.settings.configuration import HooksConfig
from server.supervised import Report

PAUSES = (1, 5, 30, 120, 600, 1800)
"""Seconds before each further try."""

_REST = 1800.0
"""Seconds without a change after which a hook is tried with one that was set aside."""
_LONGEST_OUTPUT = 500
_log = structlog.get_logger("signwright.hooks")


class HookFailedError(Exception):
    """A try that failed. The message holds no URL."""


class Hooks:
    """The hooks that are configured. Start `run` as a task; `notify` may be called before."""

    def __init__(
        self,
        config: HooksConfig,
        report: Report = lambda _what, _reason: None,
        *,
        pauses: tuple[float, ...] = PAUSES,
        rest: float = _REST,
    ) -> None:
        """`report` receives the hook that fails."""
        self._hooks: list[_Hook] = []
        if config.url is not None:
            name = f"webhook at {urlsplit(config.url).hostname}"
            self._hooks.append(_Hook(name, _Webhook(config.url, config.timeout), report, pauses, rest))
        if config.command is not None:
            name = f"program {config.command[0]}"
            self._hooks.append(_Hook(name, _Program(config.command, config.timeout), report, pauses, rest))

    def notify(self, zone: str, change: StatusChange) -> None:
        """Tell of a change of `zone` (text of the origin). Returns at once and raises nothing."""
        for hook in self._hooks:
            hook.notify(Waiting(zone, change))

    async def run(self) -> None:
        """Tell what comes, until cancelled."""
        async with trio.open_nursery() as nursery:
            for hook in self._hooks:
                nursery.start_soon(hook.run)


class _Hook:
    """One of them, and what it is still to be told."""

    def __init__(
        self,
        name: str,
        tell: Callable[[bytes], Awaitable[None]],
        report: Report,
        pauses: tuple[float, ...],
        rest: float,
    ) -> None:
        self._name = name
        self._tell_one = tell
        self._report = report
        self._pauses = pauses
        self._rest = rest
        self._waiting = WaitingChanges()
        self._news = trio.Event()

    def notify(self, one: Waiting) -> None:
        self._waiting.add(one)
        self._news.set()

    async def run(self) -> None:
        while True:
            if self._waiting:
                works = await self._tell(self._waiting.take())
            else:
                self._news = trio.Event()
                with trio.move_on_after(self._rest if self._waiting.aside else math.inf):
                    await self._news.wait()
                    continue
                works = True
            while works and not self._waiting and (one := self._waiting.take_aside()) is not None:
                works = await self._try(one) is None
                if not works:
                    self._waiting.set_aside(one)

    async def _tell(self, one: Waiting) -> bool:
        """Tell of a change, however often it has to be tried; whether it was told."""
        for pause in (*self._pauses, None):
            reason = await self._try(one)
            if reason is None:
                return True
            if pause is not None:
                _log.warning("hook failed", hook=self._name, error=reason, again_in=pause)
                await trio.sleep(pause)
            else:
                self._waiting.set_aside(one)
                change = body_of(*one).decode()
                _log.error("status change not delivered yet", hook=self._name, error=reason, change=change)
        return False

    async def _try(self, one: Waiting) -> str | None:
        """Try once; why it failed."""
        reason = None
        try:
            await self._tell_one(body_of(*one))
        except HookFailedError as error:
            reason = str(error)
        except Exception as error:  # such as a client that can't be made: what it says may hold the URL
            reason = type(error).__name__
        self._report(self._name, reason)
        return reason


def body_of(zone: str, change: StatusChange) -> bytes:
    """What a hook is given: the change as JSON, with a sentence for people, which chat servers show, as `text`."""
    who = f"{zone} {change.ksk}" if change.ksk else zone + _ABOUT.get(change.about, "")
    reason = f": {change.reason}" if change.reason else ""
    text = f"{who} is {change.after} (was {change.before}){reason}"
    return msgspec.json.encode({"text": text, "zone": zone, **msgspec.to_builtins(change)})


_ABOUT = {"parent_ds": ": the parent's DS", "parent_ns": ": the parent's NS"}


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
            raise HookFailedError(f"no response within {self._timeout} s") from None
        if not 200 <= status < 300:
            raise HookFailedError(f"HTTP status {status}")


class _Program:
    def __init__(self, command: tuple[str, ...], timeout: int) -> None:
        self._command = command
        self._timeout = timeout

    async def __call__(self, body: bytes) -> None:
        try:
            with trio.fail_after(self._timeout):
                done = await trio.run_process(
                    self._command,
                    stdin=body,
                    capture_stdout=True,
                    stderr=subprocess.STDOUT,
                    check=False,
                    deliver_cancel=_end,
                )
        except OSError as error:
            raise HookFailedError(f"cannot run it: {error.strerror}") from None
        except trio.TooSlowError:
            raise HookFailedError(f"killed: it ran longer than {self._timeout} s") from None
        if done.returncode:
            said = done.stdout[-_LONGEST_OUTPUT:].decode(errors="replace").strip()
            raise HookFailedError(f"exit status {done.returncode}" + (f": {said}" if said else ""))


async def _end(process: trio.Process) -> None:
    """End a program that is waited for no longer: the server may be stopping, so it has a second."""
    process.terminate()
    await trio.sleep(1)
    process.kill()
