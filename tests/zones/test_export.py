"""A zone as a master file: what is read back is the zone, and other servers' programs take it."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import dns.dnssec
import dns.name
import dns.node
import dns.rdataset
import dns.rdatatype
import dns.zone
import pytest
from hypothesis import given, settings

from tests import lab, strategies
from zones import names
from zones.denial import DenialMode
from zones.export import CannotExportError, exported
from zones.masterfile.load import parse_zone
from zones.zone import Zone

TEXT = """\
@ 300 SOA ns1 hostmaster 1 7200 3600 1209600 300
@ 300 NS ns1
@ 300 NS NS.sub
ns1 300 A 192.0.2.1
Zz 300 TXT "a;b" "\\\\200" \\"
*.wild 600 MX 10 Mail
a.ent 60 AAAA 2001:db8::1
sub 300 NS ns.sub
sub 300 NS ns.other
sub 300 DS 1 13 2 0000000000000000000000000000000000000000000000000000000000000000
ns.sub 300 A 192.0.2.2
other 300 NS ns.other
ns.other 300 A 192.0.2.3
ns.other 300 AAAA 2001:db8::3
below.sub 300 TXT "never answered"
old 300 TYPE65534 \\# 2 ABCD
sip 300 NAPTR 100 10 "u" "sip+E2U" "!^.*$!sip:x@y!" .
loc 300 LOC 51 30 12.748 N 0 7 39.612 W 0.00m 0m 0m 0m
al 300 CNAME NS1
"""
NOW = lab.NOW


def zone_of(text: str = TEXT, *, denial: DenialMode = DenialMode.COMPACT) -> Zone:
    return parse_zone(text, "lab.example", denial=denial)


def text_of(zone: Zone, *, signed: bool, now: int = NOW) -> str:
    keys = lab.zone_keys(zone.origin, now) if signed else None
    return "".join(exported(zone, keys, now, valid=signed))


def content(zone: Zone) -> object:
    return {
        owner: (
            {rrtype: (rrset.ttl, sorted(rrset.records)) for rrtype, rrset in node.rrsets.items()},
            node.is_cut,
            sorted((o, sorted(r.records)) for o, r in node.glue),
            sorted((o, sorted(r.records)) for o, r in node.sibling_glue),
        )
        for owner, node in zone.nodes.items()
    }


def test_what_is_read_back_is_the_zone() -> None:
    zone = zone_of()
    text = text_of(zone, signed=False)
    assert content(zone_of(text)) == content(zone)
    assert "never answered" not in text
    assert text.startswith(
        "; lab.example. serial 1, exported 2030-03-17T17:46:40Z by Signwright\nlab.example.\t300\tIN\tSOA"
    )


@given(strategies.zones())
@settings(max_examples=40)
def test_any_zone_is_read_back(made: strategies.MadeZone) -> None:
    zone = parse_zone(made.text, made.origin.to_text())
    text = text_of(zone, signed=False)
    assert content(parse_zone(text, made.origin.to_text())) == content(zone)


def test_it_is_in_canonical_order() -> None:
    for signed in (False, True):
        lines = text_of(zone_of(), signed=signed).splitlines()[1:]
        owners = list(dict.fromkeys(dns.name.from_text(line.split("\t")[0]) for line in lines))
        assert owners == sorted(owners)
        assert len(owners) == 13


@pytest.mark.parametrize("denial", list(DenialMode))
def test_signed_it_has_a_chain_and_every_signature_is_valid_until_the_time_it_says(denial: DenialMode) -> None:
    zone = zone_of(denial=denial)
    text = text_of(zone, signed=True)
    read = dns.zone.from_text(text, "lab.example.", relativize=False)
    apex = read.origin
    assert apex is not None
    keys: dict[dns.name.Name, dns.node.Node | dns.rdataset.Rdataset] = {apex: read.find_rdataset(apex, "DNSKEY")}
    expirations = []
    for name, node in read.nodes.items():
        for rdataset in node.rdatasets:
            if rdataset.rdtype == dns.rdatatype.RRSIG:
                expirations += [rrsig.expiration for rrsig in rdataset]
                covered = read.find_rrset(name, rdataset.covers)
                dns.dnssec.validate(covered, read.find_rrset(name, "RRSIG", rdataset.covers), keys, now=NOW)
    said = text.partition("valid until ")[2].partition(",")[0]
    assert said == time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(min(expirations)))
    chain, owner = [], apex
    while owner not in chain:
        chain.append(owner)
        owner = read.find_rdataset(owner, "NSEC")[0].next
    assert owner == apex
    assert {names.from_dnspython(name) for name in chain} == {o for o, node in zone.nodes.items() if node.rrsets}


def test_without_a_valid_dnskey_rrset_it_is_refused() -> None:
    zone = zone_of()
    with pytest.raises(CannotExportError, match="no valid signature"):
        "".join(exported(zone, lab.zone_keys(zone.origin), NOW, valid=False))
    with pytest.raises(CannotExportError, match="no valid signature"):
        "".join(exported(zone, lab.zone_keys(zone.origin), NOW + 30 * 86400, valid=True))


_CHECKERS = {
    "named-checkzone": (["named-checkzone", "-i", "local", "lab.example", "{file}"], "bind9-utils"),
    "knotc": (["knotc", "-c", "{folder}/knot.conf", "zone-check", "lab.example"], "knot"),
    "nsd-checkzone": (["nsd-checkzone", "lab.example", "{file}"], "nsd"),
}
_VERIFIERS = {
    "ldns-verify-zone": (["ldns-verify-zone", "{file}"], "ldnsutils"),
    "dnssec-verify": (["dnssec-verify", "-o", "lab.example", "{file}"], "bind9-utils"),
}


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("program", [*_CHECKERS, *_VERIFIERS])
def test_other_programs_take_it(tmp_path: Path, program: str, signed: bool) -> None:
    if program in _VERIFIERS and not signed:
        return
    command, package = (_CHECKERS | _VERIFIERS)[program]
    if shutil.which(command[0]) is None:
        pytest.skip(f"no {program} on the PATH: apt-get install {package}")
    file = tmp_path / "lab.example.zone"
    now = int(time.time())  # what they go by
    file.write_text(text_of(zone_of(), signed=signed, now=now))
    (tmp_path / "knot.conf").write_text(f'zone:\n  - domain: lab.example\n    file: "{file}"\n')
    command = [part.format(file=file, folder=tmp_path) for part in command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
