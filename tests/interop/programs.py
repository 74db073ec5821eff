"""dig, delv and unbound, run for real against a server of ours."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import dns.exception
import dns.flags
import dns.message
import dns.query
import pytest

import zones
from server.net.addresses import Address
from server.net.listen import bind
from tests.processes import Serving

_TRIES = 5

SAMPLES = Path(zones.__file__).parent / "samples"

QUESTIONS = [
    ("www", "A"),
    ("www", "AAAA"),
    ("www", "HTTPS"),
    ("svc", "HTTPS"),
    ("_dns.resolver", "SVCB"),
    ("_imaps._tcp", "SRV"),
    ("@", "MX"),
    ("@", "CAA"),
    ("@", "SOA"),
    ("@", "NS"),
    ("@", "DNSKEY"),
    ("alias", "A"),
    ("alias", "CNAME"),
    ("host.old", "A"),
    ("www.old", "A"),
    ("old", "DNAME"),
    ("any.thing.wild", "A"),
    ("named.wild", "A"),
    ("child", "DS"),
    ("www.child", "A"),
    ("big", "TXT"),
]
"""Owners in lab.example. and types that are there."""

DENIALS = [
    ("www", "MX"),
    ("no-such-name", "A"),
    ("no.such.name", "A"),
    ("no-such-name.old", "A"),
    ("b.ent", "A"),
    ("ent", "TXT"),
    ("thing.wild", "MX"),
    ("wild", "A"),
    ("insecure", "DS"),
    ("www.child", "MX"),
    ("no-such-name.child", "A"),
]
"""Owners and types that are not there."""


class Lab(NamedTuple):
    """A running server on the sample zones."""

    state: Path
    server: Serving

    @property
    def trust(self) -> Path:
        return self.state / "trust"

    def delv(
        self, owner: str, rrtype: str, *options: str, anchors: Path | None = None, root: str = "lab.example"
    ) -> str:
        address = self.server.address
        at = [f"@{address.host}", "-p", str(address.port), "-a", str(anchors or self.trust / "anchors.delv")]
        return _run(["delv", *at, f"+root={root}", *options, name(owner), rrtype])

    def dig(self, owner: str, rrtype: str, *options: str) -> str:
        address = self.server.address
        return _run(["dig", f"@{address.host}", "-p", str(address.port), "+norec", *options, name(owner), rrtype])


def name(owner: str) -> str:
    """An owner in lab.example.; one with a final dot is whole."""
    if owner.endswith("."):
        return owner
    return "lab.example." if owner == "@" else f"{owner}.lab.example."


def _run(command: list[str]) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
    return done.stdout


class Resolver(NamedTuple):
    """A running unbound or named."""

    port: int
    log: Path

    def ask(self, owner: str, rrtype: str) -> dns.message.Message:
        """The response to a query with DO, RD and CD clear."""
        query = dns.message.make_query(name(owner), rrtype, want_dnssec=True)
        return dns.query.udp_with_fallback(query, "127.0.0.1", port=self.port, timeout=60)[0]


def is_authentic(response: dns.message.Message) -> bool:
    """Whether the AD bit is set."""
    return bool(response.flags & dns.flags.AD)


@contextmanager
def unbound(folder: Path, resolver_conf: str, *options: str) -> Iterator[Resolver]:
    """An unbound on a free port. `resolver_conf` is a whole configuration, as the server writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    port, log, conf = 0, folder / "unbound.log", folder / "unbound.conf"
    for _ in range(_TRIES):
        port = _free_port()
        text = re.sub(r"interface: \S+", f"interface: 127.0.0.1@{port}", resolver_conf)
        conf.write_text("\n".join([text, "server:", *(f"    {option}" for option in options), ""]))
        with log.open("w") as output, subprocess.Popen(["unbound", "-d", "-c", conf], stderr=output) as process:
            try:
                if _starts(process, log):
                    yield Resolver(port, log)
                    return
            finally:
                process.kill()
    pytest.fail(f"unbound found {_TRIES} ports in use that had been free, the last of them {port}")


@contextmanager
def named(folder: Path, lab: Lab) -> Iterator[Resolver]:
    """A validating BIND on a free port, which asks the lab for lab.example. and uses NSEC records aggressively."""
    folder.mkdir(parents=True, exist_ok=True)
    log, conf = folder / "named.log", folder / "named.conf"
    for _ in range(_TRIES):
        port = _free_port()
        # `port` is also where it asks.
        conf.write_text(f"""\
options {{
    directory "{folder}"; pid-file none; session-keyfile none; port {lab.server.address.port};
    listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; empty-zones-enable no;
    recursion yes; dnssec-validation yes; synth-from-dnssec yes; minimal-responses no; qname-minimization off;
}};
controls {{ }};
include "{lab.trust / "anchors.delv"}";
zone "lab.example" {{ type static-stub; server-addresses {{ {lab.server.address.host}; }}; }};
""")
        command = ["named", "-g", "-n", "1", "-c", str(conf)]
        with log.open("w") as output, subprocess.Popen(command, stderr=output) as process:
            try:
                if _starts(process, log, ready=" running", taken="address in use"):
                    _wait_for_answers(port)
                    yield Resolver(port, log)
                    return
            finally:
                process.kill()
    pytest.fail(f"named found {_TRIES} ports in use that had been free, the last of them {port}")


def _starts(
    process: subprocess.Popen[bytes],
    log: Path,
    seconds: float = 60,
    ready: str = "start of service",
    taken: str = "Address already in use",
) -> bool:
    """Whether it serves; it does not where somebody took the port that was free when it was looked for."""
    deadline = time.monotonic() + seconds
    while ready not in log.read_text():
        if taken in log.read_text():
            return False
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)
    return True


def _wait_for_answers(port: int) -> None:
    """named says "running" before it reads: what is sent in that millisecond is never answered."""
    query = dns.message.make_query("version.bind.", "TXT", "CH")
    for _ in range(100):
        try:
            dns.query.udp(query, "127.0.0.1", port=port, timeout=0.3)
        except dns.exception.Timeout:
            continue
        return
    pytest.fail("named says that it runs, and answers nothing")


def _free_port() -> int:
    pair = bind(Address("127.0.0.1", 0))
    pair.udp.close()
    pair.tcp.close()
    return pair.address.port
