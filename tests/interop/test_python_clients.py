"""Clients of other projects from PyPI: dns-lexicon changes records, and aiobotocore calls without threads."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import dns.message
import dns.query
import pytest

from signwright.testing import RunningServer, running_server

pytestmark = pytest.mark.interop

ENVIRONMENT = Path(__file__).parents[2] / ".env-clients" / "bin"
ASYNC = """
import asyncio
from aiobotocore.session import get_session

async def main():
    session = get_session()
    async with session.create_client("route53") as client, session.create_client("kms") as kms:
        zone = (await client.create_hosted_zone(Name="aio.test", CallerReference="aio"))["HostedZone"]["Id"]
        changes = [
            {"Action": "CREATE", "ResourceRecordSet": {
                "Name": f"h{n}.aio.test", "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": f"192.0.2.{n}"}]}}
            for n in range(1, 9)
        ]
        await asyncio.gather(*(
            client.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": [change]})
            for change in changes
        ))
        names = []
        async for page in client.get_paginator("list_resource_record_sets").paginate(HostedZoneId=zone):
            names += [one["Name"] for one in page["ResourceRecordSets"] if one["Type"] == "A"]
        key = (await kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY"))["KeyMetadata"]
        print(len(names), key["KeyState"])

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server() as running:
        yield running


def run(server: RunningServer, *command: str) -> str:
    done = subprocess.run(command, env=server.env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def strings(server: RunningServer, owner: str) -> set[bytes]:
    host, port = server.dns
    answer = dns.query.udp(dns.message.make_query(owner, "TXT"), host, port=port, timeout=10)
    return {rdata.strings[0] for rrset in answer.answer for rdata in rrset}


LEXICON = """
import sys
from lexicon.client import Client
from lexicon.config import ConfigResolver

# Its command asks the public DNS for the zone of a name, which its API does not.
domain, name = "lex-shop.com", "c.lex-shop.com"
with Client(ConfigResolver().with_dict({"provider_name": "route53", "domain": domain})) as client:
    assert client.create_record("TXT", name, "first")
    assert client.create_record("TXT", name, "second")
    print(sorted(record["content"] for record in client.list_records("TXT", name)))
    assert client.delete_record(rtype="TXT", name=name, content="first")
    found = client.list_records("TXT", name)
    print([record["content"] for record in found])
    assert client.update_record(found[0]["id"], "TXT", name, "third")
"""


def test_lexicon(server: RunningServer) -> None:
    server.route53.create_hosted_zone(Name="lex-shop.com", CallerReference="lex")
    assert run(server, str(ENVIRONMENT / "python"), "-c", LEXICON) == "['first', 'second']\n['second']\n"
    assert strings(server, "c.lex-shop.com") == {b"third"}


def test_aiobotocore(server: RunningServer) -> None:
    assert run(server, str(ENVIRONMENT / "python"), "-c", ASYNC) == "8 Enabled\n"
