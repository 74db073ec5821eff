"""What of a host keeps a server from serving well: each look gives findings, and changes nothing.

Times are seconds, sizes octets.
"""

from __future__ import annotations

import os
import resource
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from keys.custody.zsk_encryption import StateError
from keys.timekeeping.system_clocks import UNSYNCHRONISED, synchronised
from server.cli.socket_units import held_by_systemd
from server.net.addresses import Address
from server.net.descriptors import HTTP, needs
from server.net.listen import UDP_BUFFER, CannotListen, PortInUse, bind
from server.settings.configuration import Config
from server.state.directory import check_usable
from server.state.paths import StateDir

OK, WARNING, ERROR = "ok", "warning", "error"
LEVELS = (OK, WARNING, ERROR)
_DNS = 53
_LITTLE, _VERY_LITTLE = 1 << 30, 100 << 20
"""Octets that are free on the disk of the state."""
_PRIVATE = 0o077


class Finding(NamedTuple):
    """One thing that was looked at."""

    level: str
    """One of `LEVELS`."""
    name: str
    text: str


def findings(config: Config, *, is_running: bool, proc: Path = Path("/proc")) -> Iterator[Finding]:
    """Everything. `is_running` tells whether this state's own server runs, which then holds the ports."""
    for address in config.listen:
        yield port(address, is_running=is_running, proc=proc)
    yield clock(synchronised)
    yield descriptors(config, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    yield permissions(config)
    yield from buffers(proc)
    yield disk(config.state, lambda path: shutil.disk_usage(path).free)


def port(address: Address, *, is_running: bool, proc: Path = Path("/proc")) -> Finding:
    """Whether the address can be listened on."""
    if is_running:
        return Finding(OK, "port", f"{address}: this state's server runs")
    try:
        pair = bind(address)
    except PortInUse as error:
        if address in held_by_systemd():
            return Finding(OK, "port", f"{address}: systemd holds it, and passes it to the server")
        resolved = address.port == _DNS and _runs("systemd-resolve", proc)
        way = (
            "; systemd-resolved holds port 53 of loopback: listen on this host's other addresses, each by its own "
            "name, or set DNSStubListener=no in /etc/systemd/resolved.conf and restart systemd-resolved"
        )
        return Finding(ERROR, "port", str(error) + (way if resolved else ""))
    except CannotListen as error:
        return Finding(ERROR, "port", str(error))
    pair.udp.close()
    pair.tcp.close()
    return Finding(OK, "port", f"{address} is free for UDP and TCP")


def clock(is_synchronised: Callable[[], bool | None]) -> Finding:
    """Whether the kernel calls its clock synchronised."""
    known = is_synchronised()
    if known is None:
        return Finding(WARNING, "clock", "the kernel does not say whether the clock is synchronised")
    if known:
        return Finding(OK, "clock", "the kernel calls the clock synchronised")
    return Finding(WARNING, "clock", UNSYNCHRONISED)


def descriptors(config: Config, limit: int) -> Finding:
    """Whether as many TCP clients fit as are configured. `limit` is the hard one of RLIMIT_NOFILE."""
    connections = config.tcp.connections
    wanted, _ = needs(connections, config.workers, len(config.listen), HTTP)
    if limit == resource.RLIM_INFINITY or limit >= wanted:
        return Finding(OK, "descriptors", f"{connections} TCP connections fit")
    way = "raise LimitNOFILE= (systemd) or ulimit -Hn, or lower tcp.connections"
    return Finding(WARNING, "descriptors", f"the limit is {limit}, and {wanted} are needed: {way}")


def permissions(config: Config) -> Finding:
    """Whether the state and the zone files can be used by this user, and the state by no other."""
    state = StateDir(config.state)
    try:
        check_usable(config.state)
    except StateError as error:
        return Finding(ERROR, "permissions", str(error))
    if state.path.is_dir():
        mode = stat.S_IMODE(state.path.stat().st_mode)
        if mode & _PRIVATE:
            return Finding(ERROR, "permissions", f"{state.path} has mode {mode:04o}: run chmod 0700 {state.path}")
        if not os.access(state.path, os.R_OK | os.W_OK | os.X_OK):
            return Finding(ERROR, "permissions", f"{state.path} belongs to another user: run this as that user")
    for zone in config.zones:
        if zone.file is not None and not os.access(zone.file, os.R_OK):
            return Finding(ERROR, "permissions", f"{zone.file} is missing or cannot be read by this user")
    return Finding(OK, "permissions", f"{state.path} and the zone files can be used")


def buffers(proc: Path = Path("/proc")) -> Iterator[Finding]:
    """Whether the kernel gives a UDP socket the buffers that the server asks for."""
    for name in ("rmem_max", "wmem_max"):
        try:
            most = int((proc / "sys/net/core" / name).read_text())
        except (OSError, ValueError):
            yield Finding(WARNING, "buffers", f"net.core.{name} can't be read")
            continue
        if most >= UDP_BUFFER:
            yield Finding(OK, "buffers", f"net.core.{name} is {most}")
        else:
            way = f"run sysctl -w net.core.{name}={UDP_BUFFER}, or bursts of queries are lost"
            yield Finding(WARNING, "buffers", f"net.core.{name} is {most}: {way}")


def disk(state: Path, free_at: Callable[[Path], int]) -> Finding:
    """Whether there is room for the state. `free_at` gives the octets that are free on the disk of a folder."""
    folder = next(path for path in (state, *state.parents) if path.exists())
    free = free_at(folder)
    text = f"{free >> 20} MiB free on the disk of {state}"
    if free < _VERY_LITTLE:
        return Finding(ERROR, "disk", f"{text}: keys cannot be stored soon; free some")
    return Finding(WARNING if free < _LITTLE else OK, "disk", text)


def _runs(name: str, proc: Path) -> bool:
    """Whether a program runs whose name begins so."""
    for file in proc.glob("[0-9]*/comm"):
        try:
            if file.read_text().startswith(name):
                return True
        except OSError:  # it has ended
            continue
    return False
