"""STATE/server.json: where a server that is ready listens, for programs. It is there while the server is ready."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import msgspec

from keys.custody.private_files import write_private
from server.state.paths import StateDir


class ServerFile(msgspec.Struct, frozen=True, kw_only=True):
    """What is in it."""

    pid: int
    dns: Sequence[str]
    """ADDRESS:PORT, each for UDP and TCP."""
    route53: str | None = None
    """A URL, as all that follow; `None` where nothing is served."""
    kms: str | None = None
    cloudwatch: str | None = None
    page: str | None = None


def write(state: StateDir, content: ServerFile) -> None:
    """Put it there whole. Blocks; raises `OSError`."""
    write_private(state.server_file, msgspec.json.encode(content) + b"\n")


@contextmanager
def gone_afterwards(state: StateDir) -> Iterator[None]:
    """Remove it before, even if another process left it, and after. The caller holds the state."""
    _remove(state)
    try:
        yield
    finally:
        _remove(state)


def _remove(state: StateDir) -> None:
    with suppress(OSError):  # a disk that takes no writes: its process id tells that it is a leftover
        state.server_file.unlink(missing_ok=True)
