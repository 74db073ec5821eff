"""Are the answers right? A sample of the queries, asked one at a time, and every signature of the answers verified.

Nothing is taken from the server but its DNSKEY RRset, which must be signed by one of its own keys: which key is the
right one is a question for a parent, and there is none here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import dns.dnssec
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.node
import dns.query
import dns.rcode
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.rrset

from bench.workloads import UNIQUE_LABEL, Expect, Workload, query
from bench.zone import ORIGIN

ZONE = dns.name.from_text(ORIGIN)
NXNAME = 128
Keys = dict[dns.name.Name, dns.node.Node | dns.rdataset.Rdataset]


class WrongAnswerError(Exception):
    """An answer that is not what the workload expects; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check saw: answers, signatures verified, and the smallest and largest answer in octets."""

    answers: int
    signatures: int
    smallest: int
    largest: int


def fetch_keys(port: int) -> Keys:
    """The zone's DNSKEY RRset, over TCP. Raises `WrongAnswerError` where it is not there or not signed by itself."""
    answer = dns.query.tcp(query(ORIGIN, "DNSKEY"), "127.0.0.1", port=port, timeout=5)
    for rrset in answer.answer:
        if rrset.rdtype == dns.rdatatype.DNSKEY:
            keys: Keys = {ZONE: rrset}
            verify_section(answer.answer, keys)
            return keys
    raise WrongAnswerError(f"no DNSKEY RRset: {dns.rcode.to_text(answer.rcode())}")


def check_answers(port: int, workload: Workload, names: int, seed: int, count: int) -> Checked:
    """Ask a sample of a workload's queries over UDP. Raises `WrongAnswerError` for the first wrong answer."""
    dice = Random(seed)
    questions = workload.questions(names, dice)
    keys = fetch_keys(port) if workload.signed else {}
    signatures = 0
    sizes = []
    for _ in range(count):
        owner, rdtype = dice.choice(questions)
        label = "".join(dice.choices("abcdefghijklmnopqrstuvwxyz234567", k=len(UNIQUE_LABEL)))
        owner = owner.replace(UNIQUE_LABEL, label)
        if workload.spell:
            owner = "".join(dice.choice((letter.lower(), letter.upper())) for letter in owner)
        asked = query(owner, rdtype, workload.edns)
        answer = _ask(asked, port)
        signatures += check_answer(asked, answer, workload, keys)
        sizes.append(len(answer.wire or b""))
    return Checked(count, signatures, min(sizes), max(sizes))


def check_answer(asked: dns.message.QueryMessage, answer: dns.message.Message, workload: Workload, keys: Keys) -> int:
    """Check one answer; returns how many signatures were verified. Raises `WrongAnswerError`."""
    question = asked.question[0]
    text = f"{question.name} {dns.rdatatype.to_text(question.rdtype)}"
    try:
        _check_header(asked, answer)
        if workload.expect is Expect.ANSWER:
            _check_positive(question, answer)
        else:
            _check_denial(question.name, answer)
        if not workload.signed:
            return 0
        return verify_section(answer.answer, keys) + verify_section(answer.authority, keys)
    except (WrongAnswerError, dns.exception.DNSException) as error:
        raise WrongAnswerError(f"{text}: {error}") from None


def verify_section(section: Sequence[dns.rrset.RRset], keys: Keys) -> int:
    """Verify the signatures of a section, which every RRset must have; returns how many RRsets there were."""
    signed = [rrset for rrset in section if rrset.rdtype != dns.rdatatype.RRSIG]
    signatures = {(rrset.name, rrset.covers): rrset for rrset in section if rrset.rdtype == dns.rdatatype.RRSIG}
    for rrset in signed:
        rrsigs = signatures.get((rrset.name, rrset.rdtype))
        if rrsigs is None:
            raise WrongAnswerError(f"no RRSIG for {rrset.name} {dns.rdatatype.to_text(rrset.rdtype)}")
        dns.dnssec.validate(rrset, rrsigs, keys)
    return len(signed)


def _ask(asked: dns.message.QueryMessage, port: int) -> dns.message.Message:
    try:
        return dns.query.udp(asked, "127.0.0.1", port=port, timeout=2, raise_on_truncation=True)
    except dns.exception.DNSException as error:
        raise WrongAnswerError(f"{asked.question[0].name}: {error}") from None


def _check_header(asked: dns.message.Message, answer: dns.message.Message) -> None:
    if not answer.flags & dns.flags.AA:
        raise WrongAnswerError("AA is clear")
    if answer.question != asked.question:
        raise WrongAnswerError("it repeats another question")


def _check_positive(question: dns.rrset.RRset, answer: dns.message.Message) -> None:
    if answer.rcode() != dns.rcode.NOERROR:
        raise WrongAnswerError(dns.rcode.to_text(answer.rcode()))
    if answer.get_rrset(answer.answer, question.name, dns.rdataclass.IN, question.rdtype) is None:
        raise WrongAnswerError("the RRset is not in the answer")


def _check_denial(name: dns.name.Name, answer: dns.message.Message) -> None:
    """NXDOMAIN with a record that covers the name; or NOERROR with an NSEC at it (RFC 9824 §3, mod-onlinesign)."""
    if answer.answer:
        raise WrongAnswerError("an answer for a name that does not exist")
    at_name = answer.get_rrset(answer.authority, name, dns.rdataclass.IN, dns.rdatatype.NSEC)
    if answer.rcode() == dns.rcode.NOERROR and at_name is not None:
        return
    if answer.rcode() != dns.rcode.NXDOMAIN:
        raise WrongAnswerError(dns.rcode.to_text(answer.rcode()))
    if not any(_covers(rrset, name) for rrset in answer.authority):
        raise WrongAnswerError("no NSEC or NSEC3 covers the name")


def _covers(rrset: dns.rrset.RRset, name: dns.name.Name) -> bool:
    if rrset.rdtype == dns.rdatatype.NSEC:
        upper: dns.name.Name = rrset[0].next
        return bool(rrset.name < name and (name < upper or upper == ZONE))
    if rrset.rdtype == dns.rdatatype.NSEC3:
        rdata = rrset[0]
        hashed: str = dns.dnssec.nsec3_hash(name, rdata.salt or None, rdata.iterations, rdata.algorithm).lower()
        first: str = rrset.name.labels[0].decode().lower()
        last: str = rdata.next_name().labels[0].decode().lower()
        return first < hashed < last or (last <= first and (hashed > first or hashed < last))
    return False
