"""A real unbound on the configuration that the server writes: AD where it should be, SERVFAIL where it must."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dns.rcode
import pytest

from tests.interop.meddler import Meddler, meddling
from tests.interop.programs import DENIALS, QUESTIONS, Lab, Resolver, is_authentic, unbound

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def resolver(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Resolver]:
    with unbound(tmp_path_factory.mktemp("unbound"), (lab.trust / "resolver.conf").read_text()) as running:
        yield running


@pytest.mark.parametrize(("owner", "rrtype"), QUESTIONS)
def test_what_is_there_is_authentic(resolver: Resolver, owner: str, rrtype: str) -> None:
    response = resolver.ask(owner, rrtype)
    assert response.rcode() == dns.rcode.NOERROR
    assert response.answer
    assert is_authentic(response)


@pytest.mark.parametrize(("owner", "rrtype"), DENIALS)
def test_what_is_not_there_is_authentic(resolver: Resolver, owner: str, rrtype: str) -> None:
    response = resolver.ask(owner, rrtype)
    assert response.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)
    assert is_authentic(response)


def test_the_insecure_child_is_answered_without_ad(resolver: Resolver) -> None:
    response = resolver.ask("www.insecure", "A")
    assert response.rcode() == dns.rcode.NOERROR
    assert response.answer[0][0].to_text() == "192.0.2.200"
    assert not is_authentic(response)


def test_the_fragment_works_where_it_is_included(lab: Lab, tmp_path: Path) -> None:
    own = 'server:\n    interface: 127.0.0.1\n    username: ""\n    chroot: ""\n    directory: ""\n    pidfile: ""\n'
    own += f'    use-syslog: no\n    include: "{lab.trust / "unbound.conf"}"\n'
    with unbound(tmp_path, own) as running:
        assert is_authentic(running.ask("www.child", "A"))


def test_aggressive_use_of_denials(lab: Lab, tmp_path: Path) -> None:
    """RFC 8198: what one denial proves, another answer must not contradict."""
    conf = (lab.trust / "resolver.conf").read_text()
    with unbound(tmp_path, conf, "aggressive-nsec: yes", "harden-below-nxdomain: yes") as running:
        for owner, rrtype in [*DENIALS, *QUESTIONS]:
            response = running.ask(owner, rrtype)
            assert is_authentic(response), (owner, rrtype)
            assert bool(response.answer) == ((owner, rrtype) in QUESTIONS or owner.endswith(".old")), (owner, rrtype)


def test_a_wrong_anchor_is_servfail(lab: Lab, tmp_path: Path) -> None:
    fragment = (lab.trust / "unbound.conf").read_text()
    digests = [line.split()[-1].strip('"') for line in fragment.splitlines() if "trust-anchor:" in line]
    for digest in digests:
        fragment = fragment.replace(digest, "00" * 32)
    wrong = tmp_path / "wrong.conf"
    wrong.write_text(fragment)
    conf = (lab.trust / "resolver.conf").read_text().replace(str(lab.trust / "unbound.conf"), str(wrong))
    with unbound(tmp_path / "resolver", conf) as running:
        for owner in ("www", "no-such-name", "www.child"):
            assert running.ask(owner, "A").rcode() == dns.rcode.SERVFAIL


@pytest.fixture
def meddler(lab: Lab) -> Iterator[Meddler]:
    address = lab.server.address
    with meddling((address.host, address.port)) as between:
        yield between


def through(lab: Lab, meddler: Meddler, folder: Path) -> str:
    """The resolver's configuration, with the meddler in the server's place."""
    fragment = (lab.trust / "unbound.conf").read_text()
    ours = f"{lab.server.address.host}@{lab.server.address.port}"
    assert ours in fragment
    folder.mkdir(parents=True, exist_ok=True)
    redirected = folder / "redirected.conf"
    redirected.write_text(fragment.replace(ours, f"127.0.0.1@{meddler.port}"))
    return (lab.trust / "resolver.conf").read_text().replace(str(lab.trust / "unbound.conf"), str(redirected))


FLIPPED = [("www", "A"), ("any.wild", "TXT"), ("host.old", "A"), ("no-such-name", "A"), ("www", "MX"), ("big", "TXT")]


def test_one_byte_of_rdata_flipped_on_the_way_is_servfail(lab: Lab, meddler: Meddler, tmp_path: Path) -> None:
    conf = through(lab, meddler, tmp_path)
    with unbound(tmp_path / "honest", conf) as running:
        for owner, rrtype in FLIPPED:
            assert is_authentic(running.ask(owner, rrtype)), (owner, rrtype)
    assert not meddler.flipped
    meddler.flips = True
    with unbound(tmp_path / "bent", conf) as running:
        for owner, rrtype in FLIPPED:
            assert running.ask(owner, rrtype).rcode() == dns.rcode.SERVFAIL, (owner, rrtype)
    assert meddler.flipped
