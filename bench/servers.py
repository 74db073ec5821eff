"""How each server is configured and started: each is a row of `SERVERS`.

All are alike in what matters: one thread that answers UDP (the core is one), no additional or authority data that was
not asked for, no rate limits, room for 200 TCP connections, no logging of queries, and otherwise the defaults of
Debian's packages.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from bench.zone import ORIGIN, ZoneFiles


@dataclass(frozen=True, slots=True)
class Site:
    """Where a server runs: an empty directory of its own, its port on 127.0.0.1, and the zone."""

    directory: Path
    port: int
    zone: ZoneFiles

    def write(self, name: str, text: str) -> str:
        """Write a file into the directory; returns its path."""
        path = self.directory / name
        path.write_text(text)
        return str(path)


@dataclass(frozen=True, slots=True)
class Server:
    """One row: a server and the way it signs."""

    name: str
    title: str
    set_up: Callable[[Site], list[str]]
    """Writes the configuration and returns the command that serves in the foreground."""
    version: Callable[[], str]
    live: bool = False
    """Whether it signs as it answers, so that the raw limit of signing is a limit of its own."""
    warm: float = 0.0
    """Seconds of load before each round, at least: until it answers as it does from then on."""


def nsd(site: Site) -> list[str]:
    config = site.write(
        "nsd.conf",
        f"""
server:
    ip-address: 127.0.0.1@{site.port}
    server-count: 1
    tcp-count: 200
    username: ""
    database: ""
    zonesdir: "{site.directory}"
    pidfile: ""
    xfrdfile: "{site.directory}/xfrd.state"
    zonelistfile: "{site.directory}/zone.list"
    xfrdir: "{site.directory}"
    minimal-responses: yes
    rrl-ratelimit: 0
    rrl-whitelist-ratelimit: 0
remote-control:
    control-enable: no
zone:
    name: "{ORIGIN}"
    zonefile: "{site.zone.signed}"
""",
    )
    return ["nsd", "-d", "-c", config]


def knot(site: Site) -> list[str]:
    return _knot(site, f'file: "{site.zone.signed}"', "")


def knot_onlinesign(site: Site) -> list[str]:
    module = """
policy:
  - id: live
    algorithm: ecdsap256sha256
    single-type-signing: on
mod-onlinesign:
  - id: live
    policy: live
"""
    return _knot(site, f'file: "{site.zone.plain}"\n    module: mod-onlinesign/live', module)


def _knot(site: Site, zone: str, extra: str) -> list[str]:
    config = site.write(
        "knot.conf",
        f"""
server:
    rundir: "{site.directory}"
    listen: 127.0.0.1@{site.port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
database:
    storage: "{site.directory}"
log:
  - target: stderr
    any: warning
{extra}
zone:
  - domain: {ORIGIN}
    zonefile-sync: -1
    journal-content: none
    {zone}
""",
    )
    return ["knotd", "-c", config]


def bind(site: Site) -> list[str]:
    config = site.write(
        "named.conf",
        f"""
options {{
    directory "{site.directory}";
    pid-file none;
    session-keyfile none;
    listen-on port {site.port} {{ 127.0.0.1; }};
    listen-on-v6 {{ none; }};
    recursion no;
    tcp-clients 200;
    minimal-responses yes;
    notify no;
    dnssec-validation no;
    max-records-per-type 0;
}};
controls {{ }};
zone "{ORIGIN}" {{ type primary; file "{site.zone.signed}"; }};
""",
    )
    return ["named", "-g", "-n", "1", "-c", config]


def powerdns(site: Site) -> list[str]:
    return _powerdns(site, [])


def powerdns_narrow(site: Site) -> list[str]:
    return _powerdns(site, ["set-nsec3", ORIGIN, "1 0 0 -", "narrow"])


def _powerdns(site: Site, denial: list[str]) -> list[str]:
    named = site.write("zones.conf", f'zone "{ORIGIN}" {{ type master; file "{site.zone.plain}"; }};\n')
    site.write(
        "pdns.conf",
        f"""
launch=bind
bind-config={named}
bind-dnssec-db={site.directory}/dnssec.db
local-address=127.0.0.1
local-port={site.port}
socket-dir={site.directory}
receiver-threads=1
distributor-threads=1
max-tcp-connections=200
signing-threads=1
daemon=no
guardian=no
loglevel=3
""",
    )
    tool = ["pdnsutil", f"--config-dir={site.directory}"]
    run_tool([*tool, "create-bind-db", f"{site.directory}/dnssec.db"])
    run_tool([*tool, "secure-zone", ORIGIN])
    if denial:
        run_tool([*tool, *denial])
    run_tool([*tool, "rectify-zone", ORIGIN])
    return ["pdns_server", f"--config-dir={site.directory}"]


def signwright(site: Site) -> list[str]:
    return _signwright(site, "compact")


def signwright_nsec(site: Site) -> list[str]:
    return _signwright(site, "nsec")


def signwright_flood(site: Site) -> list[str]:
    return _signwright(site, "compact", of_zone='flood_denial = "nsec"\n')


def signwright_windows(site: Site) -> list[str]:
    policy = """
[policy]
window = "4s"
slot = "2s"
refresh = "2s"
"""
    return _signwright(site, "compact", policy)


def signwright_worker(site: Site) -> list[str]:
    return [*_signwright(site, "compact"), "--workers", "1"]


def signwright_workers(site: Site) -> list[str]:
    return [*_signwright(site, "compact"), "--workers", "2"]


def _signwright(site: Site, denial: str, extra: str = "", of_zone: str = "") -> list[str]:
    config = site.write(
        "signwright.toml",
        f"""
listen = ["127.0.0.1:{site.port}"]
state = "{site.directory}/state"

[kms]
emulator = "127.0.0.1:0"

[route53]
listen = false

[limits]
responses = 0
{extra}
[[zones]]
file = "{site.zone.plain}"
origin = "{ORIGIN}"
denial = "{denial}"
{of_zone}""",
    )
    return [sys.executable, "-m", "server.cli", "serve", "--config", config]


def run_tool(command: Sequence[str]) -> str:
    """What a tool prints. Raises `RuntimeError` with that when it fails."""
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout.strip()}")
    return done.stdout


def _asked(*command: str) -> Callable[[], str]:
    """The version number that a program tells; some exit with an error for it."""

    def ask() -> str:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=10, check=False
        )
        found = re.search(r"\d+\.\d+[\w.:~+-]*", re.sub(r"\d+:\d+:\d+", "", done.stdout))
        return found[0] if found else "unknown"

    return ask


def _own_version() -> str:
    head = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent, env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False,
    ).stdout.strip()  # fmt: skip
    return f"{metadata.version('signwright')} {head}".strip()


SERVERS = {
    server.name: server
    for server in (
        Server("signwright", "Signwright, compact", signwright, _own_version, live=True),
        Server("signwright-nsec", "Signwright, NSEC", signwright_nsec, _own_version, live=True),
        Server("signwright-flood", "Signwright, flood_denial", signwright_flood, _own_version, live=True, warm=8.0),
        Server("signwright-windows", "Signwright, windows of 4 s", signwright_windows, _own_version, live=True),
        Server("signwright-worker", "Signwright, one worker", signwright_worker, _own_version, live=True),
        Server("signwright-workers", "Signwright, two workers", signwright_workers, _own_version, live=True),
        Server("nsd", "NSD, pre-signed", nsd, _asked("nsd", "-v")),
        Server("knot", "Knot, pre-signed", knot, _asked("knotd", "-V")),
        Server("knot-onlinesign", "Knot, onlinesign", knot_onlinesign, _asked("knotd", "-V"), live=True),
        Server("bind", "BIND, pre-signed", bind, _asked("named", "-v")),
        Server("powerdns", "PowerDNS, live, NSEC", powerdns, _asked("pdns_server", "--version"), live=True),
        Server(
            "powerdns-narrow", "PowerDNS, live, narrow", powerdns_narrow, _asked("pdns_server", "--version"), live=True
        ),
    )
}
