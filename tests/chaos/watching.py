"""Those who ask all along: a judge of each answer, unbound, delv, and the client that remembers what was acknowledged.

An answer is bogus where it says anything that is not proved: SERVFAIL says nothing, and so is none. A DS that is denied
while its child is signed is the worst of them, since caches keep it.
"""

from __future__ import annotations

import re
import secrets
import subprocess
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset

from tests.chaos.stage import CHILD, HOSTED, LEAF, PARENT, STEADY, Stage
from tests.interop.programs import Resolver
from tests.validator.judge import judge
from tests.validator.signatures import Bogus

SILENT = (dns.rcode.SERVFAIL,)
_AT_FAULT = re.compile(r"validation failure.*(signature|no signatures|unknown keys|proof failed|no NSEC)")
"""What unbound says of answers, and not of their lack."""


def ask(stage: Stage, name: str, rrtype: str, *, tcp: bool = False, seconds: float = 2.0) -> bytes | None:
    """The response to a query with DO; None where there is none."""
    query = dns.message.make_query(name, rrtype, want_dnssec=True)
    query.flags &= ~dns.flags.RD
    with suppress(dns.exception.DNSException, OSError, EOFError):
        if tcp:
            return dns.query.tcp(query, "127.0.0.1", seconds, stage.dns).to_wire()
        return dns.query.udp(query, "127.0.0.1", seconds, stage.dns, ignore_unexpected=True).to_wire()
    return None


class Judge:
    """Asks the server itself, and takes no answer for what it does not prove."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.seen: Counter[str] = Counter()
        self.over = threading.Event()
        self._keys: dict[str, dns.rrset.RRset] = {}

    def learn(self) -> None:
        """Take the DNSKEY RRsets of now for those of all the time to come: no key rolls within hours."""
        for origin in STEADY:
            deadline = time.monotonic() + 60
            while origin not in self._keys and time.monotonic() < deadline:
                wire = ask(self.stage, origin, "DNSKEY")
                message = dns.message.from_wire(wire) if wire is not None else None
                for rrset in message.answer if message is not None else ():
                    if rrset.rdtype == dns.rdatatype.DNSKEY:
                        self._keys[origin] = rrset
                time.sleep(0.2)
            if origin not in self._keys:
                self.stage.object(f"{origin} has no DNSKEY RRset")

    def run(self) -> None:
        """Ask until it is over."""
        turn = 0
        while not self.over.is_set():
            turn += 1
            origin = STEADY[turn % len(STEADY)]
            name = f"n{secrets.token_hex(4)}.{origin}" if turn % 4 == 0 else f"www.{origin}"
            self.asked(origin, name, "A", tcp=turn % 5 == 0)
            for child in (CHILD, LEAF):
                self.asked(PARENT, child, "DS", tcp=turn % 7 == 0)
            time.sleep(0.02)

    def asked(self, origin: str, name: str, rrtype: str, *, tcp: bool = False) -> bool:
        """Ask and judge; whether there was an answer that is proved."""
        wire = ask(self.stage, name, rrtype, tcp=tcp)
        if wire is None:
            self.seen["nothing"] += 1
            return False
        message = dns.message.from_wire(wire)
        if message.rcode() in SILENT:
            self.seen["SERVFAIL"] += 1
            return False
        if message.rcode() == dns.rcode.REFUSED:
            self.stage.object(f"{name} {rrtype}: REFUSED")
            return False
        try:
            judge(wire, dns.name.from_text(name), dns.rdatatype.from_text(rrtype), self._keys[origin], int(time.time()))
        except Bogus as error:
            self.stage.object(f"{name} {rrtype} is bogus: {error}\n{message}")
            return False
        if rrtype == "DS" and not message.answer:
            self.stage.object(f"{name} DS is denied with a signature\n{message}")
            return False
        self.seen["proved"] += 1
        return True


class Ledger:
    """What may stand at names of a hosted zone: the last value acknowledged, or one that was tried since."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.may_be: dict[str, set[str]] = {}
        self.acknowledged = 0

    def tried(self, name: str, value: str) -> None:
        """A change is sent."""
        self.may_be.setdefault(name, {""}).add(value)

    def told(self, name: str, value: str) -> None:
        """It is acknowledged."""
        self.may_be[name] = {value}
        self.acknowledged += 1

    def wrong(self) -> str | None:
        """What is not answered as it must be."""
        for name, values in self.may_be.items():
            wire = ask(self.stage, f"{name}.{HOSTED}", "TXT", tcp=True)
            if wire is None:
                return f"{name}.{HOSTED}: no answer"
            message = dns.message.from_wire(wire)
            texts = [rdata.strings[0].decode() for rrset in message.answer if rrset.rdtype == 16 for rdata in rrset]
            if (texts[0] if texts else "") not in values:
                return f"{name}.{HOSTED} is {texts} ({dns.rcode.to_text(message.rcode())}), not one of {sorted(values)}"
        return None


def validated(stage: Stage, name: str, origin: str) -> str | None:
    """What delv says against an answer, with the trust anchors that the server writes."""
    anchors = stage.state / "trust" / "anchors.delv"
    command = ["delv", "@127.0.0.1", "-p", str(stage.dns), "-a", str(anchors), f"+root={origin.rstrip('.')}", name, "A"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    said = done.stdout + done.stderr
    return None if "; fully validated" in said else said.strip() or "nothing"


class Resolving:
    """Asks unbound, which caches, and reads what that says of the answers it got."""

    def __init__(self, stage: Stage, resolver: Resolver) -> None:
        self.stage, self.resolver = stage, resolver
        self.over = threading.Event()
        self.seen: Counter[str] = Counter()

    def run(self) -> None:
        """Ask until it is over."""
        turn = 0
        while not self.over.is_set():
            turn += 1
            origin = STEADY[turn % len(STEADY)]
            with suppress(dns.exception.DNSException, OSError):
                response = self.resolver.ask(f"www.{origin}", "A")
                secure = bool(response.flags & dns.flags.AD)
                self.seen["secure" if secure else dns.rcode.to_text(response.rcode())] += 1
                if response.rcode() == dns.rcode.NOERROR and not secure:
                    self.stage.object(f"unbound takes www.{origin} for insecure\n{response}")
            time.sleep(0.05)

    def is_secure(self, origin: str) -> bool:
        """Whether it validates now."""
        with suppress(dns.exception.DNSException, OSError):
            return bool(self.resolver.ask(f"www.{origin}", "A").flags & dns.flags.AD)
        return False

    def complaints(self) -> list[str]:
        """The lines in which it found an answer bogus."""
        return [line for line in Path(self.resolver.log).read_text().splitlines() if _AT_FAULT.search(line)]
