"""octoDNS, as it comes, syncs real zones up, plans nothing more, and changes them; then they are signed."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.interop.operator import Operator, until
from tests.interop.tools import SERVER, documented, paste
from tests.processes import serving

pytestmark = pytest.mark.interop

FORWARD, REVERSE = "shop.test.", "2.0.192.in-addr.arpa."
LONG = "v=DKIM1\\; k=rsa\\; p=" + "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A" * 21
DS = {"key_tag": 12345, "algorithm": 13, "digest_type": 2, "digest": "ef" * 32}


def _mx(preference: int, exchange: str) -> dict[str, object]:
    return {"preference": preference, "exchange": exchange}


def _srv(priority: int, port: int, target: str) -> dict[str, object]:
    return {"priority": priority, "weight": 5, "port": port, "target": target}


def _caa(flags: int, tag: str, value: str) -> dict[str, object]:
    return {"flags": flags, "tag": tag, "value": value}


def _hosts(number: int) -> dict[str, object]:
    return {f"host{host}": {"type": "A", "value": f"198.51.{host // 256}.{host % 256}"} for host in range(number)}


ZONE: dict[str, Any] = {
    "": [
        {
            "type": "Route53Provider/ALIAS",
            "values": [{"name": "www", "type": "A"}, {"name": "www", "type": "AAAA"}],
        },
        {"type": "NS", "ttl": 3600, "values": ["ns1.shop.test.", "ns2.shop.test."]},
        {"type": "MX", "values": [_mx(10, "mx1.shop.test."), _mx(20, "mx2.shop.test.")]},
        {"type": "TXT", "values": ["v=spf1 mx -all", "two  spaces, and 'more' ", "semi\\; colon", "(a) 'b' @ $ % *"]},
        {"type": "CAA", "values": [_caa(0, "issue", "ca.test; policy=ev"), _caa(128, "iodef", "mailto:a@shop.test")]},
    ],
    "*.wild": [{"type": "A", "value": "192.0.2.20"}, {"type": "TXT", "value": "any"}],
    "_dmarc": {"type": "TXT", "value": "v=DMARC1\\; p=reject\\; rua=mailto:dmarc@shop.test"},
    "_imaps._tcp": {"type": "SRV", "values": [_srv(0, 993, "mail.shop.test.")]},
    "_pop3._tcp": {"type": "SRV", "value": {**_srv(0, 0, "."), "weight": 0}},
    "_sip._tcp": {"type": "SRV", "values": [_srv(10, 5060, "sip.shop.test."), _srv(20, 5060, "sip2.shop.test.")]},
    "alias": {"type": "CNAME", "value": "www.shop.test."},
    "autodiscover": {"type": "CNAME", "value": "mail.elsewhere.test."},
    "bücher": {"type": "A", "value": "192.0.2.30"},
    "child": [
        {"type": "NS", "values": ["ns1.child.shop.test.", "ns.other.test."]},
        {"type": "DS", "value": DS},
    ],
    "deep.er.still": {"type": "A", "value": "192.0.2.31"},
    "enum": {
        "type": "NAPTR",
        "values": [
            {"order": 10, "preference": preference, "flags": "U", "service": f"{service}+D2U",
             "regexp": "!^.*$!sip:info@shop.test!", "replacement": "."}
            for preference, service in [(20, "SIP"), (30, "SIPS")]
        ],
    },
    "insecure": {"type": "NS", "values": ["ns.other.test."]},
    "key._domainkey": {"type": "TXT", "value": LONG},
    "legacy": {"type": "SPF", "value": "v=spf1 -all"},
    "mail": [{"type": "A", "value": "192.0.2.25"}, {"type": "AAAA", "value": "2001:0DB8:0::19"}],
    "mx1": {"type": "A", "value": "192.0.2.26"},
    "mx2": {"type": "A", "value": "192.0.2.27"},
    "ns1": {"type": "A", "value": "192.0.2.53"},
    "ns1.child": [{"type": "A", "value": "192.0.2.54"}, {"type": "AAAA", "value": "2001:db8::54"}],
    "ns2": {"type": "A", "value": "192.0.2.55"},
    "ptr": {"type": "PTR", "value": "one.shop.test."},
    "sip": {"type": "A", "values": ["192.0.2.61", "192.0.2.62"]},
    "sip2": {"type": "A", "value": "192.0.2.63"},
    "www": [{"type": "A", "ttl": 60, "value": "192.0.2.10"}, {"type": "AAAA", "value": "2001:db8::10"}],
    **_hosts(400),
}  # fmt: skip
"""More than a page of record sets, in one batch: an alias and its target have to be in the same one."""
CHANGED: dict[str, Any] = {
    **{name: records for name, records in ZONE.items() if name not in {"enum", "mx2"}},
    **_hosts(1600),
    "": [
        *(record for record in ZONE[""] if record["type"] not in {"MX", "CAA"}),
        {"type": "MX", "ttl": 900, "values": [_mx(5, "mx1.shop.test."), _mx(15, "new.shop.test.")]},
    ],
    "alias": {"type": "A", "value": "192.0.2.40"},
    "new": [{"type": "A", "value": "192.0.2.41"}, {"type": "TXT", "values": ["one", "two"]}],
    "sip2": {"type": "CNAME", "value": "sip.shop.test."},
    "www": [
        {"type": "A", "ttl": 120, "values": ["192.0.2.11", "192.0.2.12"]},
        {"type": "AAAA", "value": "2001:db8::10"},
    ],
}
"""What is made, changed and gone, and one thing in the place of another, in two batches."""
BACKWARD: dict[str, Any] = {
    "0-25": {"type": "NS", "values": ["ns1.shop.test."]},
    **{str(host): {"type": "CNAME", "value": f"{host}.0-25.{REVERSE}"} for host in (1, 2)},
    "200": {"type": "PTR", "value": "www.shop.test."},
    "201": {"type": "PTR", "value": "mail.shop.test."},
}


SHOWN = [
    ("shop.test.", "A", "192.0.2.12"),
    ("shop.test.", "NS", "ns2.shop.test."),
    ("shop.test.", "MX", "15 new.shop.test."),
    ("shop.test.", "TXT", "\"two  spaces, and 'more' \""),
    ("www.shop.test.", "A", "192.0.2.12"),
    ("any.wild.shop.test.", "TXT", '"any"'),
    ("key._domainkey.shop.test.", "TXT", '"v=DKIM1; k=rsa; p=MIIB'),
    ("_sip._tcp.shop.test.", "SRV", "5060 sip2.shop.test."),
    ("_pop3._tcp.shop.test.", "SRV", "0 0 0 ."),
    ("child.shop.test.", "DS", "12345 13 2"),
    ("alias.shop.test.", "A", "192.0.2.40"),
    ("sip2.shop.test.", "A", "192.0.2.62"),
    ("xn--bcher-kva.shop.test.", "A", "192.0.2.30"),
    ("ptr.shop.test.", "PTR", "one.shop.test."),
    ("host1599.shop.test.", "A", "198.51.6.63"),
    ("www.shop.test.", "HTTPS", "h2,h3"),
    ("www.shop.test.", "SSHFP", "4 2 AB"),
    ("_443._tcp.www.shop.test.", "TLSA", "3 1 1 CD"),
    ("_dns.resolver.shop.test.", "SVCB", "www.shop.test."),
    (f"200.{REVERSE}", "PTR", "www.shop.test."),
    (f"1.{REVERSE}", "CNAME", f"1.0-25.{REVERSE}"),
]
"""Owners, types, and what delv shows of them in the end."""
GONE = [
    ("enum.shop.test.", "NAPTR"),
    ("mx2.shop.test.", "A"),
    ("shop.test.", "CAA"),
    ("alias.shop.test.", "CNAME"),
    ("insecure.shop.test.", "DS"),
    (f"202.{REVERSE}", "PTR"),
]
"""Owners and types that aren't there in the end."""


class Octo:
    """octoDNS with its files."""

    def __init__(self, folder: Path, operator: Operator) -> None:
        self._folder = folder
        self._commands = documented("octoDNS", "sh")
        (folder / "octodns.yaml").write_text(documented("octoDNS", "yaml"))
        (folder / "zones").mkdir()

    def zones(self, **zones: object) -> None:
        """Write what the zones should be."""
        for name, records in zones.items():
            (self._folder / "zones" / f"{name}yaml").write_text(json.dumps(records))  # which is YAML

    def plan(self) -> str:
        """What it says that it would do."""
        return self._run(*(line for line in self._commands.splitlines() if "--doit" not in line))

    def sync(self) -> None:
        """Have it plan, and do what it planned."""
        self._run(self._commands)

    def _run(self, *commands: str) -> str:
        return paste("\n".join(commands), self._folder, ".env-octodns")


def made_beside(operator: Operator, zone: str) -> None:
    """Record sets of the types that octoDNS's provider doesn't know."""
    values = {
        ("www", "HTTPS"): "1 . alpn=h2,h3",
        ("www", "SSHFP"): f"4 2 {'ab' * 32}",
        ("_443._tcp.www", "TLSA"): f"3 1 1 {'cd' * 32}",
        ("_dns.resolver", "SVCB"): "1 www.shop.test. alpn=dot",
    }
    changes = [
        {
            "Action": "CREATE",
            "ResourceRecordSet": {
                "Name": f"{owner}.{FORWARD}", "Type": rrtype, "TTL": 60, "ResourceRecords": [{"Value": value}],
            },
        }
        for (owner, rrtype), value in values.items()
    ]  # fmt: skip
    operator.route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})


def test_zones_are_synced_planned_and_changed(tmp_path: Path) -> None:
    (tmp_path / "quick.toml").write_text(SERVER + documented("Tools", "toml"))
    with serving(tmp_path) as server:
        operator = Operator(tmp_path, server)
        octo = Octo(tmp_path, operator)
        octo.zones(**{FORWARD: ZONE, REVERSE: BACKWARD})
        assert "Create <" in octo.plan()
        assert not operator.route53.list_hosted_zones()["HostedZones"]
        octo.sync()
        assert "No changes were planned" in octo.plan()

        zones = {zone["Name"]: zone["Id"] for zone in operator.route53.list_hosted_zones()["HostedZones"]}
        assert set(zones) == {FORWARD, REVERSE}
        made_beside(operator, zones[FORWARD])
        assert "192.0.2.10" in operator.lab.dig("alias.shop.test.", "A", "+short")
        assert "sip:info@shop.test" in operator.lab.dig("enum.shop.test.", "NAPTR", "+short")

        octo.zones(**{FORWARD: CHANGED})
        planned = octo.plan()
        assert all(f"{word} <" in planned for word in ("Create", "Delete"))
        assert "Update" in planned
        octo.sync()
        assert "No changes were planned" in octo.plan()

        for name, zone in zones.items():
            operator.sign(zone)
            until(partial(operator.is_valid, name, "SOA", name.rstrip(".")))
        assert "No changes were planned" in octo.plan()
        for owner, rrtype, expected in SHOWN:
            answer = operator.lab.delv(owner, rrtype, root=zone_of(owner))
            assert "; fully validated" in answer
            assert expected in answer
        for owner, rrtype in GONE:
            answer = operator.lab.delv(owner, rrtype, root=zone_of(owner))
            assert "negative response, fully validated" in answer
        operator.close()


def zone_of(owner: str) -> str:
    """Where delv begins."""
    return next(zone for zone in (FORWARD, REVERSE) if owner.endswith(zone)).rstrip(".")
