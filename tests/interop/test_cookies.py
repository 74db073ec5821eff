"""DNS cookies (RFC 7873, RFC 9018) as kdig has them, and a resolver that they take past the response rate limit."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import dns.rcode
import pytest

from tests.interop.programs import SAMPLES, Lab, Resolver, is_authentic, name, named, unbound
from tests.processes import serving

pytestmark = pytest.mark.interop

_LIMIT = 2
"""Responses a second and class: a resolver with an empty cache asks for more."""
_CONFIG = f"""\
listen = ["127.0.0.1:0"]
metrics = "127.0.0.1:0"
[edns]
nsid = "interop"
[limits]
responses = {_LIMIT}
[kms]
emulator = "127.0.0.1:0"
[route53]
listen = false
[[zones]]
file = "{SAMPLES / "lab.example"}.zone"
[[zones]]
file = "{SAMPLES / "child.lab.example"}.zone"
"""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    (tmp_path / "quick.toml").write_text(_CONFIG)
    with serving(tmp_path) as server:
        yield Lab(tmp_path / "state", server)


def counted(lab: Lab, metric: str) -> int:
    """A counter of the server, summed over the rest of its labels."""
    url = next(line for line in lab.server.banner if line.startswith("Metrics for Prometheus: ")).split()[-1]
    with urlopen(url, timeout=60) as response:
        text = response.read().decode()
    return sum(int(float(value)) for value in re.findall(rf"^{metric}\S* (\S+)$", text, re.MULTILINE))


def ask_for_many(resolver: Resolver) -> None:
    """More than the limit allows, answers and denials, all of which arrive and validate."""
    for number in range(20 * _LIMIT):
        answered = resolver.ask(f"name-{number}.wild", "A")
        assert is_authentic(answered)
        assert answered.answer
        denied = resolver.ask(f"name-{number}", "A")
        assert is_authentic(denied)
        assert denied.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)


def test_bind_brings_its_cookie_back_and_is_not_limited(lab: Lab, tmp_path: Path) -> None:
    with named(tmp_path / "named", lab) as resolver:
        ask_for_many(resolver)
    # (What it asked before it had a cookie may have been limited: it starts with a handful of queries at once.)
    assert counted(lab, 'signwright_cookies_total{standing="valid"') > 20 * _LIMIT
    assert counted(lab, "signwright_limited_responses_total") <= 20 * _LIMIT // 2


def test_a_resolver_without_cookies_is_limited_and_still_answers(lab: Lab, tmp_path: Path) -> None:
    """A response that is truncated sends it to TCP, which proves its address as a cookie does."""
    conf = (lab.trust / "resolver.conf").read_text()
    with unbound(tmp_path / "unbound", conf, "aggressive-nsec: no") as resolver:
        ask_for_many(resolver)
    assert counted(lab, "signwright_limited_responses_total") > 20 * _LIMIT // 2


def test_edns_options_as_kdig_has_them(lab: Lab) -> None:
    def kdig(*options: str) -> str:
        address = lab.server.address
        command = ["kdig", f"@{address.host}", "-p", str(address.port), "+norec", "+timeout=30", *options]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout

    for transport in ("+notcp", "+tcp"):
        told = kdig(transport, "+dnssec", "+cookie", "+nsid", name("www"), "A")
        assert "status: NOERROR" in told
        assert "192.0.2.80" in told
        found = re.search(r"COOKIE: ([0-9A-F]{48})$", told, re.MULTILINE)
        assert found, told
        assert '"interop"' in told
        back = kdig(transport, f"+cookie={found[1]}", name("www"), "A")
        assert "status: NOERROR" in back
    assert counted(lab, 'signwright_cookies_total{standing="valid"') == 2
    assert "status: BADVERS" in kdig("+edns=1", name("www"), "A")
    assert "status: FORMERR" in kdig("+ednsopt=10:abcdef", name("www"), "A")
    assert "status: NOERROR" in kdig("+ednsopt=65001:abcdef", name("www"), "A")
