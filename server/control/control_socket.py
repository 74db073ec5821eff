"""The Unix socket of the control protocol."""

from __future__ import annotations

import socket
from pathlib import Path

from keys.aws.http_limits import Limits
from server.state.directory import check_socket_path

LIMITS = Limits(connections=32, trusted=True)
"""Of HTTP on it: only the user whom the server runs as can connect."""


def bind_control(path: Path) -> socket.socket:
    """A listening socket at `path`, 0600. The caller holds the state directory, so one that is there is a leftover.

    Raises `StateError` where the path is too long, and `OSError`.
    """
    check_socket_path(path)
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.bind(str(path))
        path.chmod(0o600)  # nobody can connect before listen(), and the directory is 0700
        sock.listen(16)
    except BaseException:
        sock.close()
        raise
    return sock
