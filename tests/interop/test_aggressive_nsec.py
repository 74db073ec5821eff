"""unbound and BIND with aggressive use of NSEC (RFC 8198), through a flood: both kinds of denial, in either order."""

from __future__ import annotations

import re
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.request import urlopen

import dns.message
import dns.rcode
import pytest

from tests.interop.programs import DENIALS, QUESTIONS, SAMPLES, Lab, Resolver, is_authentic, named, unbound
from tests.processes import run, serving

pytestmark = pytest.mark.interop

_CONFIG = """\
listen = ["127.0.0.1:0"]
metrics = "127.0.0.1:0"
[limits]
responses = 0
[kms]
emulator = "127.0.0.1:0"
[route53]
listen = false
"""
_ABSENT = 60
"""Random names that a resolver is asked for, which is to ask for few itself."""
_NAMED = [(owner, rrtype) for owner, rrtype in DENIALS + QUESTIONS if not owner.endswith("child")]
"""The queries to BIND, which is configured with one zone."""


def _configure(folder: Path, extra: str) -> None:
    zones = [("lab.example", extra), ("child.lab.example", ""), ("insecure.lab.example", "signed = false\n")]
    text = "".join(f'[[zones]]\nfile = "{SAMPLES / name}.zone"\n{more}' for name, more in zones)
    (folder / "quick.toml").write_text(_CONFIG + text)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    _configure(tmp_path, 'flood_denial = "nsec"\n')
    with serving(tmp_path) as server:
        yield Lab(tmp_path / "state", server)


@contextmanager
def flooding(lab: Lab) -> Iterator[None]:
    """Random names, as many as are answered, from this process."""
    over = threading.Event()

    def send() -> None:
        query = dns.message.make_query(f"{'x' * 16}.lab.example.", "A", want_dnssec=True).to_wire()
        before, behind = query.split(b"x" * 16)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect((lab.server.address.host, lab.server.address.port))
            sock.settimeout(0.1)
            while not over.is_set():
                for _ in range(32):
                    sock.send(before + secrets.token_hex(8).encode() + behind)
                for _ in range(32):
                    try:
                        sock.recv(4096)
                    except TimeoutError:
                        break

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def udp_queries(lab: Lab) -> int:
    """How many queries the server has had over UDP."""
    url = next(line for line in lab.server.banner if line.startswith("Metrics for Prometheus: ")).split()[-1]
    with urlopen(url, timeout=60) as response:
        text = response.read().decode()
    return sum(int(float(n)) for n in re.findall(r'^signwright_queries_total\{.*transport="udp"\} (\S+)$', text, re.M))


@contextmanager
def resolvers(lab: Lab, folder: Path) -> Iterator[list[Resolver]]:
    conf = (lab.trust / "resolver.conf").read_text()
    with ExitStack() as stack:
        yield [
            stack.enter_context(unbound(folder / "unbound", conf, "aggressive-nsec: yes")),
            stack.enter_context(named(folder / "named", lab)),
        ]


def ask_everything(resolver: Resolver) -> None:
    """All that is there is found, all else denied, and AD says that it is proved."""
    for owner, rrtype in _NAMED:
        response = resolver.ask(owner, rrtype)
        assert is_authentic(response), (owner, rrtype, response)
        wanted = (owner, rrtype) in QUESTIONS or owner.endswith(".old")
        assert bool(response.answer) == wanted, (owner, rrtype, response)
    for number in range(_ABSENT // 4):
        response = resolver.ask(f"{secrets.token_hex(8)}.wild", "A" if number % 2 else "TXT")
        assert is_authentic(response)
        assert response.answer


def ask_for_absent_names(lab: Lab, resolver: Resolver) -> int:
    """How many queries it took the resolver to deny random names."""
    before = udp_queries(lab)
    for _ in range(_ABSENT):
        response = resolver.ask(secrets.token_hex(8), "A")
        assert is_authentic(response)
        assert response.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)
        assert not response.answer
    return udp_queries(lab) - before


def test_both_kinds_of_denial_through_a_flood(lab: Lab, tmp_path: Path) -> None:
    with resolvers(lab, tmp_path / "first") as first, resolvers(lab, tmp_path / "second") as second:
        for resolver in first:
            assert ask_for_absent_names(lab, resolver) >= _ABSENT
            ask_everything(resolver)
        with flooding(lab):
            lab.server.wait_for("flood of random names")
        # It stays so for half a minute: compact denials, then the chain, and the chain alone.
        for resolver in first + second:
            assert ask_for_absent_names(lab, resolver) < _ABSENT // 2
            ask_everything(resolver)
        # And back: by a reload, as it would take half a minute to notice the end.
        _configure(tmp_path, "")
        assert run("reload", cwd=tmp_path).returncode == 0
        for resolver in second:
            ask_everything(resolver)
            assert ask_for_absent_names(lab, resolver) < _ABSENT // 2
