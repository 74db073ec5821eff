"""`signwright serve` on one core, and what its operator has: boto3's clients, and its memory as Linux sees it."""

from __future__ import annotations

import re
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import dns.dnssec
import dns.name
import dns.query
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from botocore.config import Config
from botocore.configloader import load_config

from bench.process import PROC, Child, memory
from bench.rounds import SERVER_CORE
from bench.workloads import query
from keys.kms.ksk_key_policy import dnssec_key_policy

READY_WITHIN = 60
"""Seconds."""
PER_BATCH = 1000
"""Changes in one request: as many as Route 53 takes."""


class WrongFigureError(Exception):
    """What was measured is not what was to be measured; the message says why."""


@dataclass(frozen=True, slots=True)
class Site:
    """A running server."""

    child: Child
    pid: int
    port: int
    """Of its DNS, on 127.0.0.1."""
    state: Path

    def client(self, service: str) -> Any:
        """boto3's client of `route53` or `kms`; one a thread."""
        aws = self.state / "aws"
        (urls,) = load_config(str(aws / "config"))["services"].values()
        key = load_config(str(aws / "credentials"))["profiles"]["default"]
        session = boto3.Session(key["aws_access_key_id"], key["aws_secret_access_key"], region_name="us-east-1")
        url = urls[{"route53": "route_53"}.get(service, service)]["endpoint_url"]
        return session.client(service, endpoint_url=url, config=Config(retries={"total_max_attempts": 1}))

    def resident(self, highest: bool = False) -> int:
        """Octets of memory that it has now, or had at most since `forget_highest` (proc(5), VmRSS and VmHWM)."""
        return memory(self.pid, "VmHWM" if highest else "VmRSS")

    def forget_highest(self) -> None:
        """Let `resident(highest=True)` begin anew."""
        (PROC / str(self.pid) / "clear_refs").write_text("5")

    def cpu(self) -> float:
        """Seconds of CPU time that it has used."""
        return self.child.cpu_seconds([self.pid])

    def waited(self) -> float:
        """Seconds in which its threads could have run and had no core (/proc/PID/task/TID/schedstat)."""
        stats = [path.read_text().split() for path in (PROC / str(self.pid) / "task").glob("*/schedstat")]
        return sum(int(fields[1]) for fields in stats) / 1e9


@contextmanager
def served(directory: Path) -> Iterator[Site]:
    """A server with a state of its own in `directory`, until the block ends. Raises `RuntimeError`."""
    directory.mkdir()
    config = directory / "signwright.toml"
    config.write_text(
        f'listen = ["127.0.0.1:0"]\nstate = "{directory}/state"\n[kms]\nemulator = "127.0.0.1:0"\n'
        '[route53]\nlisten = "127.0.0.1:0"\nrate = 1000000\n'
        # The load and who waits for the change are one client here: its answers would be limited long before.
        "[limits]\nresponses = 0\n"
    )
    command = [sys.executable, "-m", "server.cli", "serve", "--config", str(config)]
    with Child(command, core=SERVER_CORE, cwd=Path.cwd(), log=directory / "log") as child:
        banner = _ready(child)
        address = re.search(r" on 127\.0\.0\.1:(\d+)", banner)
        if address is None:
            raise RuntimeError(f"the server does not say where it answers:\n{banner}")
        yield Site(child, child.pids()[-1], int(address[1]), directory / "state")


def _ready(child: Child) -> str:
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline:
        text = child.log.read_text()
        for line in text.splitlines():
            if line.startswith("Ready"):
                return line
        if not child.alive:
            break
        time.sleep(0.05)
    raise RuntimeError(f"the server does not start:\n{child.last_words()}")


def create_key(kms: Any) -> str:
    """A KMS key as Route 53's documentation has it made; its ARN."""
    made = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY", Policy=dnssec_key_policy("000000000000"))
    return str(made["KeyMetadata"]["Arn"])


def create_signed(route53: Any, kms: Any, name: str) -> str:
    """A new hosted zone that is answered signed (its change is INSYNC); its id."""
    zone = str(route53.create_hosted_zone(Name=name, CallerReference=name)["HostedZone"]["Id"])
    route53.create_key_signing_key(
        CallerReference=name,
        HostedZoneId=zone,
        KeyManagementServiceArn=create_key(kms),
        Name="ksk",
        Status="ACTIVE",
    )
    change = route53.enable_hosted_zone_dnssec(HostedZoneId=zone)["ChangeInfo"]["Id"]
    until_insync = route53.get_waiter("resource_record_sets_changed")
    until_insync.wait(Id=change, WaiterConfig={"Delay": 0.5, "MaxAttempts": 240})
    return zone


def address(name: str, value: str) -> dict[str, Any]:
    """An A record set."""
    return {"Name": name, "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": value}]}


def upsert(route53: Any, zone: str, name: str, value: str) -> None:
    """One change: an A record set."""
    change = {"Action": "UPSERT", "ResourceRecordSet": address(name, value)}
    route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": [change]})


def validate_keys(site: Site, route53: Any, zone: str, name: str) -> None:
    """Verify the zone's DNSKEY RRset by the DS record that the API tells. Raises `WrongFigureError` and dnspython's."""
    told = route53.get_dnssec(HostedZoneId=zone)["KeySigningKeys"][0]["DSRecord"]
    signer = dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.DS, told)
    apex = dns.name.from_text(name)
    answer = dns.query.tcp(query(name, "DNSKEY"), "127.0.0.1", port=site.port, timeout=5)
    keys = answer.get_rrset(answer.answer, apex, dns.rdataclass.IN, dns.rdatatype.DNSKEY)
    signatures = answer.get_rrset(answer.answer, apex, dns.rdataclass.IN, dns.rdatatype.RRSIG, dns.rdatatype.DNSKEY)
    if keys is None or signatures is None:
        raise WrongFigureError(f"{name} has no signed DNSKEY RRset")
    known = [key for key in keys if dns.dnssec.make_ds(apex, key, "SHA256") == signer]
    if not known:
        raise WrongFigureError(f"no DNSKEY of {name} has the DS record that the API tells")
    trusted = dns.rrset.from_rdata_list(apex, keys.ttl, known)
    dns.dnssec.validate(keys, signatures, {apex: trusted})


def udp_socket(port: int) -> socket.socket:
    """A socket that asks the server."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect(("127.0.0.1", port))
    sock.settimeout(0.2)
    return sock
