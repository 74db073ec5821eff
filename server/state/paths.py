"""Where everything is in a state directory: names alone, so that a command that only needs these is quick.

It must import nothing that takes long (`tests/server/cli/test_quick.py`).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from keys.custody.state_files import DATABASE, STATE_KEY, StateError

SOCKET_PATH_LIMIT = 107
"""Octets of a Unix socket's path: `sun_path` has 108 on Linux, and ends with a zero."""


class StateDir(NamedTuple):
    """Where everything is in a state directory."""

    path: Path

    @property
    def database(self) -> Path:
        """Keys, keysets and intents; SQLite."""
        return self.path / DATABASE

    @property
    def state_key(self) -> Path:
        """The key that encrypts the private ZSKs in the database."""
        return self.path / STATE_KEY

    @property
    def kms(self) -> Path:
        """The emulator's keys and principals."""
        return self.path / "kms"

    @property
    def aws(self) -> Path:
        """`config` and `credentials` for clients of the emulator."""
        return self.path / "aws"

    @property
    def trust(self) -> Path:
        """DS records, trust anchors, resolver configuration: what is for others to read."""
        return self.path / "trust"

    @property
    def images(self) -> Path:
        """Compiled images of large zones; they can be made again."""
        return self.path / "zones"

    @property
    def control_socket(self) -> Path:
        """Where the running server is spoken to."""
        return self.path / "control.sock"

    @property
    def server_file(self) -> Path:
        """Where a server that is ready listens, for programs."""
        return self.path / "server.json"

    @property
    def lock(self) -> Path:
        """Held by the server that uses this directory; its text is the process id."""
        return self.path / "lock"

    @property
    def kms_lock(self) -> Path:
        """Held by the emulator that uses `kms` and `aws`: embedded in a server, or on its own beside one."""
        return self.kms / "lock"

    @property
    def version(self) -> Path:
        """The form in which all the rest is written."""
        return self.path / "version"


def check_socket_path(path: Path) -> None:
    """Raises `StateError` where no Unix socket can be at `path`."""
    length = len(os.fsencode(path))
    if length > SOCKET_PATH_LIMIT:
        raise StateError(
            f"the path of the control socket, {path}, has {length} octets, and the path of a Unix socket "
            f"is limited to {SOCKET_PATH_LIMIT}: choose a state directory with a shorter path"
        )
