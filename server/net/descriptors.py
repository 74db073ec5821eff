"""How many files and sockets this process may have open, and how many TCP connections fit (RLIMIT_NOFILE).

Every kind of client has a bound of its own, and the limit is raised to the sum of all of them and of `RESERVE`. So
however many clients there are of one kind, the control socket, the state and zone files still get theirs.
"""

from __future__ import annotations

import resource

import structlog

RESERVE = 64
"""Descriptors that no client can take: the state database, zone files, trust files, programs that are started."""
HTTP = 4 * 128
"""Descriptors for HTTP: the control socket, the API, the metrics and the emulator, with as many connections each."""
_A_LISTENER = 2  # its UDP and its TCP socket
_A_WORKER = 3  # its channel, both ends while it starts, and its process
_log = structlog.get_logger("signwright")


def fit_connections(connections: int, workers: int, listeners: int, http: int) -> int:
    """Raise the soft limit as far as it takes, at most to the hard one; how many TCP connections fit in all processes.

    `connections` is how many are wanted, of all `workers` together, or of this process where that is 0. `listeners` is
    how many addresses answer DNS, `http` how many descriptors HTTP may take. Workers inherit the limit. Where fewer fit
    than are wanted, the log says so, and what to do about it. At least one does.
    """
    needed, besides = needs(connections, workers, listeners, http)
    limit = _raised(needed)
    if limit >= needed:
        return connections
    fits = max(1, min(connections, (limit - besides) * max(1, workers)))
    _log.warning(
        "too few file descriptors: raise LimitNOFILE= (systemd) or ulimit -Hn, or lower tcp.connections",
        limit=limit,
        needed=needed,
        tcp_connections=connections,
        tcp_connections_now=fits,
    )
    return fits


def needs(connections: int, workers: int, listeners: int, http: int) -> tuple[int, int]:
    """How many descriptors the process with the most of them needs, and how many of those no TCP client of DNS takes.

    The arguments are those of `fit_connections`.
    """
    if not workers:
        besides = RESERVE + http + _A_LISTENER * listeners
        return besides + connections, besides
    control = RESERVE + http + workers * (_A_WORKER + _A_LISTENER * listeners)
    besides = RESERVE + _A_LISTENER * listeners
    return max(control, besides + -(-connections // workers)), besides


def _raised(wanted: int) -> int:
    """The soft limit, once it is at least so many, or as many as may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted if soft == resource.RLIM_INFINITY else soft
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    except (OSError, ValueError):  # fs.nr_open, or a sandbox
        return soft
    return most
