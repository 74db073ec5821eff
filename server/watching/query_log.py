"""The query log: the task that answers makes lines, and a thread writes them, so that no disk holds up answers.

The thread does nothing but write: whatever else it did would take Python's lock from answering, which waits 5 ms for
it. What waits for the thread is bounded; what does not fit is counted and lost. A disk that takes nothing more stops
the log and nothing else, and is tried again every ten seconds.

All processes of a server append to one file, each whole lines by one system call, which Linux does one after the other
(O_APPEND, on local file systems). So there is one file to rotate, and the control process, which has keys to keep, does
not copy what workers log.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import structlog

from keys.custody.disk_errors import naming
from server.watching.log_lines import Host, LogLines

BUFFER = 4 << 20
"""Octets that wait to be written at most."""
_WRITTEN_AT_ONCE = 1 << 16  # octets that wake the thread
_PAUSE = 0.5  # seconds until fewer are written
_TRIED_AGAIN = 10.0  # seconds
_LOST_TOLD = 60.0  # seconds
_ENDS_WITHIN = 1.0  # seconds
_log = structlog.get_logger("signwright.querylog")


class QueryLogSpec(msgspec.Struct, frozen=True):
    """How queries are logged."""

    file: str
    """An absolute path."""
    mode: int = 0o600
    """Of a file that is made."""
    every: int = 1
    """One query of so many is logged."""
    prefixes: bool = False
    """Whether clients are logged by their /24 or /56 alone."""


class QueryLog:
    """An `Observer` of `server.watching.seen_responses`, and the thread that writes."""

    def __init__(
        self,
        spec: QueryLogSpec,
        lines: LogLines,
        clock: Callable[[], float],
        *,
        pause: float = _PAUSE,
        again: float = _TRIED_AGAIN,
    ) -> None:
        """`clock` gives seconds since the epoch. Opens nothing yet: see `start`."""
        self._spec = spec
        self._lines = lines
        self._clock = clock
        self._pause, self._again = pause, again
        self._waiting: deque[tuple[int, bytes]] = deque()
        """How many lines, and these; put here by who answers and taken by the thread."""
        self._put = self._taken = 0
        """Octets, each counted by one thread alone."""
        self._unlogged = self._unwritten = 0
        """Lines that were lost, likewise."""
        self.written = 0
        """Lines."""
        self.failure: str | None = None
        """Why nothing is written now."""
        self._second, self._second_text = -1.0, b""
        self._wake = threading.Event()
        self._reopen = self._closing = False
        self._fd: int | None = None
        self._is_torn = False
        """Whether the last line was not written whole."""
        self._told = -_LOST_TOLD
        self._lost_told = 0
        self._thread = threading.Thread(target=self._run, name="query log", daemon=True)

    @property
    def lost(self) -> int:
        """Lines that were not written, for want of room here or on the disk."""
        return self._unlogged + self._unwritten

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def reopen(self) -> None:
        """Open the file anew by its name, soon: what rotates logs has moved it."""
        self._reopen = True
        self._wake.set()

    def close(self) -> None:
        """Write what waits, and end; what a disk does not take within a second is lost."""
        self._closing = True
        self._wake.set()
        self._thread.join(_ENDS_WITHIN)

    def __call__(
        self,
        queries: Sequence[bytes],
        before: Sequence[bytes | None],
        after: Sequence[bytes | None],
        host: Host,
        *,
        over_tcp: bool,
    ) -> None:
        """Log a batch. Never waits."""
        if self.failure is not None or self._put - self._taken >= BUFFER:
            self._unlogged += (len(before) - before.count(None)) // self._spec.every
            return
        lines = self._lines.lines(queries, before, after, host, self._moment, over_tcp=over_tcp)
        if lines:
            octets = b"".join(lines)
            self._put += len(octets)
            self._waiting.append((len(lines) // 3, octets))
            if self._put - self._taken >= _WRITTEN_AT_ONCE and not self._wake.is_set():
                self._wake.set()

    def _moment(self) -> bytes:
        """What time it is (ISO 8601)."""
        second, fraction = divmod(self._clock(), 1)
        if second != self._second:
            self._second = second
            self._second_text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()
        return b"%s.%06dZ" % (self._second_text, int(fraction * 1_000_000))

    # --- the thread

    def _run(self) -> None:
        while True:
            self._wake.wait(self._pause)
            self._wake.clear()
            is_last = self._closing
            if self._reopen:
                self._reopen = False
                self._shut()
            try:
                with naming(Path(self._spec.file)):
                    self._write_waiting()
            except OSError as error:
                self._stop(error)
                if not is_last:
                    self._rest()
            if self._closing and (is_last or not self._waiting):
                self._shut()
                return
            self._tell_lost()

    def _write_waiting(self) -> None:
        """Write all that waits. Raises `OSError`."""
        if self._fd is None:
            self._fd = _opened(self._spec.file, self._spec.mode)
            if self._is_failing():
                self.failure = None
                _log.info("queries are logged again", file=self._spec.file, lost=self.lost - self._lost_told)
                self._lost_told = self.lost
        while self._waiting:
            count, octets = self._take()
            try:
                self._write(octets)
            except OSError:
                self._unwritten += count
                raise
            self.written += count

    def _is_failing(self) -> bool:
        return self.failure is not None

    def _take(self) -> tuple[int, bytes]:
        """Some of what waits, as much as is written at once."""
        count, parts, size = 0, list[bytes](), 0
        while self._waiting and size < _WRITTEN_AT_ONCE:
            lines, octets = self._waiting.popleft()
            count += lines
            size += len(octets)
            parts.append(octets)
        self._taken += size
        return count, b"".join(parts)

    def _write(self, octets: bytes) -> None:
        """Write whole lines by one system call, where the disk takes them. Raises `OSError`."""
        assert self._fd is not None
        left = memoryview(b"\n" + octets if self._is_torn else octets)
        while left:
            written = os.write(self._fd, left)
            left = left[written:]
            self._is_torn = bool(left)

    def _stop(self, error: OSError) -> None:
        """What waits is lost: it would be old, and there may be no room for it for long."""
        self._shut()
        reason = error.strerror or str(error)
        if self.failure is None:
            _log.error("queries are not logged", file=self._spec.file, reason=reason, tried_again_in=self._again)
        self.failure = f"{self._spec.file}: {reason}"
        while self._waiting:
            count, octets = self._waiting.popleft()
            self._unwritten += count
            self._taken += len(octets)

    def _rest(self) -> None:
        until = time.monotonic() + self._again
        while not self._closing and not self._reopen and (left := until - time.monotonic()) > 0:
            self._wake.wait(left)
            self._wake.clear()

    def _shut(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _tell_lost(self) -> None:
        """Log once a minute that lines are lost, where the disk works and is too slow."""
        lost = self.lost
        if self.failure is None and lost > self._lost_told and time.monotonic() - self._told >= _LOST_TOLD:
            self._told = time.monotonic()
            _log.warning("the disk is too slow for the query log", file=self._spec.file, lost=lost - self._lost_told)
            self._lost_told = lost


def _opened(file: str, mode: int) -> int:
    """The file, to append to; one that is made has this mode, whatever the umask. Raises `OSError`.

    Something other than a file, such as a pipe that nobody reads, never blocks.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        fd = os.open(file, flags | os.O_CREAT | os.O_EXCL, mode & 0o600)
    except FileExistsError:
        return os.open(file, flags | os.O_CREAT, mode & 0o600)
    os.fchmod(fd, mode)
    return fd
