"""The check of answers finds what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import dns.dnssec
import dns.dnssectypes
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from bench.check import ZONE, Keys, WrongAnswerError, check_answer
from bench.workloads import WORKLOADS, Workload, query
from bench.zone import ORIGIN

KEY = ec.generate_private_key(ec.SECP256R1())
DNSKEY = dns.dnssec.make_dnskey(KEY.public_key(), dns.dnssectypes.Algorithm.ECDSAP256SHA256)
KEYS: Keys = {ZONE: dns.rrset.from_rdata(ZONE, 3600, DNSKEY)}
HOT, NXDOMAIN = WORKLOADS["hot"], WORKLOADS["nxdomain"]
OWNER, MISSING = f"n00001.{ORIGIN}", f"m.{ORIGIN}"


def signed(owner: str, rdtype: str, rdata: str) -> list[dns.rrset.RRset]:
    rrset = dns.rrset.from_text(owner, 3600, "IN", rdtype, rdata)
    now = datetime.now(UTC)
    rrsig = dns.dnssec.sign(rrset, KEY, ZONE, DNSKEY, inception=now - timedelta(1), expiration=now + timedelta(1))
    return [rrset, dns.rrset.from_rdata(rrset.name, 3600, rrsig)]


def response(owner: str, rcode: dns.rcode.Rcode = dns.rcode.NOERROR) -> dns.message.Message:
    answer = dns.message.make_response(query(owner, "A"))
    answer.flags |= dns.flags.AA
    answer.set_rcode(rcode)
    return answer


def checked(owner: str, answer: dns.message.Message, workload: Workload) -> int:
    return check_answer(query(owner, "A"), dns.message.from_wire(answer.to_wire()), workload, KEYS)


def positive() -> dns.message.Message:
    answer = response(OWNER)
    answer.answer += signed(OWNER, "A", "198.18.0.2")
    return answer


def denial(lower: str, upper: str, rcode: dns.rcode.Rcode = dns.rcode.NXDOMAIN) -> dns.message.Message:
    answer = response(MISSING, rcode)
    answer.authority += signed(lower, "NSEC", f"{upper} A RRSIG NSEC")
    return answer


def no_rrsig(answer: dns.message.Message) -> None:
    del answer.answer[1]


def other_rdata(answer: dns.message.Message) -> None:
    answer.answer[0] = dns.rrset.from_text(OWNER, 3600, "IN", "A", "198.18.0.3")


def servfail(answer: dns.message.Message) -> None:
    answer.set_rcode(dns.rcode.SERVFAIL)


def no_aa(answer: dns.message.Message) -> None:
    answer.flags &= ~dns.flags.AA


def other_question(answer: dns.message.Message) -> None:
    answer.question = query(MISSING, "A").question


def nothing(answer: dns.message.Message) -> None:
    answer.answer.clear()


def test_a_right_answer_passes() -> None:
    assert checked(OWNER, positive(), HOT) == 1


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (no_rrsig, "no RRSIG for"),
        (other_rdata, "no RRSIGs validated"),
        (servfail, "SERVFAIL"),
        (no_aa, "AA is clear"),
        (other_question, "another question"),
        (nothing, "not in the answer"),
    ],
)
def test_a_wrong_answer_is_found(spoil: Callable[[dns.message.Message], None], reason: str) -> None:
    answer = positive()
    spoil(answer)
    with pytest.raises(WrongAnswerError, match=reason):
        checked(OWNER, answer, HOT)


@pytest.mark.parametrize(
    "answer",
    [
        denial(f"a.{ORIGIN}", f"z.{ORIGIN}"),
        denial(f"a.{ORIGIN}", ORIGIN),
        denial(MISSING, f"\\000.{MISSING}", dns.rcode.NOERROR),
    ],
    ids=["a gap", "the last gap", "compact denial"],
)
def test_a_right_denial_passes(answer: dns.message.Message) -> None:
    assert checked(MISSING, answer, NXDOMAIN) == 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (denial(f"n.{ORIGIN}", f"z.{ORIGIN}"), "covers the name"),
        (denial(f"a.{ORIGIN}", f"b.{ORIGIN}"), "covers the name"),
        (denial(MISSING, f"z.{ORIGIN}"), "covers the name"),
        (denial(f"a.{ORIGIN}", f"z.{ORIGIN}", dns.rcode.NOERROR), "NOERROR"),
    ],
    ids=["behind it", "before it", "at it, with NXDOMAIN", "NOERROR without one at it"],
)
def test_a_wrong_denial_is_found(answer: dns.message.Message, reason: str) -> None:
    with pytest.raises(WrongAnswerError, match=reason):
        checked(MISSING, answer, NXDOMAIN)


def test_narrow_nsec3_covers_by_hash() -> None:
    hashed = dns.dnssec.nsec3_hash(MISSING, None, 0, "SHA1").lower()
    assert hashed[-1] not in "0v"
    steps = "0123456789abcdefghijklmnopqrstuv"
    before, after = (hashed[:-1] + steps[steps.index(hashed[-1]) + step] for step in (-1, 1))
    for lower, upper, right in ((before, after, True), (after, before, False), (after, hashed, False)):
        answer = response(MISSING, dns.rcode.NXDOMAIN)
        answer.authority += signed(f"{lower}.{ORIGIN}", "NSEC3", f"1 0 0 - {upper} A RRSIG")
        if right:
            assert checked(MISSING, answer, NXDOMAIN) == 1
        else:
            with pytest.raises(WrongAnswerError, match="covers the name"):
                checked(MISSING, answer, NXDOMAIN)
