"""One connection to the real program: octets there, all that comes back, and the end."""

from __future__ import annotations

import errno
import socket

from tests.fuzz.findings import Broken

ENDS_WITHIN = 20.0
"""Seconds in which a connection that the client has ended must be answered and closed."""


def exchanged(port: int, octets: bytes) -> tuple[bytes, bool]:
    """What is answered to `octets`, whose sender then ends its side; and whether the other side read all of them.

    Raises `Broken` where the other side stays, and `OSError` where nobody listens.
    """
    received = b""
    with socket.create_connection(("127.0.0.1", port), ENDS_WITHIN) as sock:
        sock.settimeout(ENDS_WITHIN)
        try:
            sock.sendall(octets)
            sock.shutdown(socket.SHUT_WR)
            while part := sock.recv(65536):
                received += part
        except TimeoutError:
            raise Broken(f"{len(octets)} octets are neither answered nor closed; so far {received[:200]!r}") from None
        except (ConnectionResetError, BrokenPipeError):
            return received, False
        except OSError as error:
            if error.errno != errno.ENOTCONN:  # reset while we were sending
                raise
            return received, False
    return received, True
