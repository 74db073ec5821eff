"""What dig sees: flags, sizes, errors, spelling."""

from __future__ import annotations

import re

import pytest

from tests.interop.programs import Lab

pytestmark = pytest.mark.interop


def flags(answer: str) -> set[str]:
    found = re.search(r";; flags: ([a-z ]*);", answer)
    assert found, answer
    return set(found[1].split())


def status(answer: str) -> str:
    found = re.search(r"status: ([A-Z]+)", answer)
    assert found, answer
    return found[1]


def test_an_authority_sets_aa_and_neither_ra_nor_ad(compact_lab: Lab) -> None:
    assert flags(compact_lab.dig("www", "A", "+dnssec", "+adflag")) == {"qr", "aa"}
    assert flags(compact_lab.dig("www", "A", "+rec", "+cdflag")) == {"qr", "aa", "rd", "cd"}


def test_a_referral_has_no_aa(compact_lab: Lab) -> None:
    answer = compact_lab.dig("x.y.insecure", "DS", "+dnssec")
    assert status(answer) in ("NOERROR", "NXDOMAIN")
    assert "aa" in flags(answer)  # insecure is served here, too: its own zone answers


def test_what_does_not_fit_is_asked_for_again_over_tcp(compact_lab: Lab) -> None:
    assert "tc" in flags(compact_lab.dig("big", "TXT", "+ignore"))
    assert "ANSWER: 16" in compact_lab.dig("big", "TXT")
    assert "tc" in flags(compact_lab.dig("big", "TXT", "+ignore", "+bufsize=4096"))
    assert "ANSWER: 17" in compact_lab.dig("big", "TXT", "+tcp", "+dnssec")


def test_edns(compact_lab: Lab) -> None:
    assert status(compact_lab.dig("www", "A", "+edns=1", "+noednsneg")) == "BADVERS"
    assert "EDNS: version: 0, flags: do; udp: 1232" in compact_lab.dig("www", "A", "+dnssec")
    assert "OPT PSEUDOSECTION" not in compact_lab.dig("www", "A", "+noedns")
    assert status(compact_lab.dig("www", "A", "+ednsopt=65001:c0ffee")) == "NOERROR"


def test_names_that_do_not_exist(compact_lab: Lab) -> None:
    assert status(compact_lab.dig("no-such-name", "A")) == "NXDOMAIN"
    assert status(compact_lab.dig("no-such-name", "A", "+dnssec")) == "NOERROR"


def test_what_nobody_may_ask(compact_lab: Lab) -> None:
    answer = compact_lab.dig("www", "TYPE128")
    assert status(answer) == "FORMERR"
    assert "EDE: 30" in answer
    assert status(compact_lab.dig("version.bind.", "TXT", "-c", "CH")) == "REFUSED"
    assert "Transfer failed" in compact_lab.dig("@", "AXFR")


def test_any_is_one_rrset(compact_lab: Lab) -> None:
    assert "ANSWER: 2," in compact_lab.dig("www", "ANY", "+dnssec")


def test_the_question_comes_back_as_it_was_spelled(compact_lab: Lab) -> None:
    answer = compact_lab.dig("WwW", "A", "+dnssec")
    assert ";WwW.lab.example." in answer
    assert "192.0.2.80" in answer


def test_cookies_as_dig_has_them(compact_lab: Lab) -> None:
    for name in ("www", "no-such-name", "big", "version.bind."):
        for how in ("+notcp", "+tcp"):
            first = compact_lab.dig(name, "A", "+cookie", "+dnssec", "+ignore", how)
            found = re.search(r"; COOKIE: ([0-9a-f]{48}) \(good\)", first)
            assert found, first
            assert found[1] in compact_lab.dig(name, "A", f"+cookie={found[1]}", "+ignore", how)
    bad = compact_lab.dig("www", "A", "+cookie=" + "ab" * 24)
    assert status(bad) == "NOERROR"
    assert re.search(r"; COOKIE: (ab){8}01000000[0-9a-f]{24} \(good\)", bad)
    assert status(compact_lab.dig("www", "A", "+nocookie", "+ednsopt=10:abcdef")) == "FORMERR"
    alone = compact_lab.dig(".", "A", "+header-only", "+cookie")
    assert status(alone) == "NOERROR"
    assert "(good)" in alone


def test_other_options(compact_lab: Lab) -> None:
    assert "TCP KEEPALIVE: 10.0 secs" in compact_lab.dig("www", "A", "+tcp", "+keepalive")
    assert "KEEPALIVE" not in compact_lab.dig("www", "A", "+keepalive")
    assert "NSID" not in compact_lab.dig("www", "A", "+nsid")  # off by default
    notify = compact_lab.dig("www", "SOA", "+opcode=notify")
    assert status(notify) == "NOTIMP"
    assert "EDE: 21" in notify
